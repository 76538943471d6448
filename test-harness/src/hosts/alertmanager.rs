//! A real Alertmanager: it groups, inhibits and keeps the alerts that Prometheus sends.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::places::{RunDirectory, program_on_path};
use super::process::{Process, Spec};
use super::{HostError, free_port};

const START_LIMIT: Duration = Duration::from_secs(30);
const TIMEOUT_SECONDS: u64 = 10;
/// Another process may take a free port before Alertmanager does.
const ATTEMPTS: usize = 3;

/// An alert that it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldAlert {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `active` or `suppressed`.
    pub state: String,
    /// Fingerprints of the alerts that silence it.
    pub inhibited_by: Vec<String>,
}

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    // The process goes before its directory.
    process: Process,
    _directory: RunDirectory,
    address: SocketAddr,
}

impl Alertmanager {
    /// Starts one with the text of a configuration file.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::try_start(config) {
                Ok(alertmanager) => return alertmanager,
                Err(error) => last = Some(error),
            }
        }
        panic!("{}", last.expect("an attempt was made"))
    }

    fn try_start(config: &str) -> Result<Self, HostError> {
        let program = program_on_path("prometheus-alertmanager")?;
        let directory = RunDirectory::new("alertmanager")?;
        let file = directory.path().join("alertmanager.yml");
        let failed = |error| HostError::new(format!("{}: {error}", file.display()));
        fs::write(&file, config).map_err(failed)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let data = directory.path().join("data");
        let spec = Spec::new("Alertmanager", &program, directory.path().join("log"))
            .args([format!("--config.file={}", file.display())])
            .args([format!("--storage.path={}", data.display())])
            .args([format!("--web.listen-address={address}")])
            .args(["--cluster.listen-address=", "--log.level=warn"])
            .unprivileged();
        let mut process = Process::start(spec)?;
        process.wait_until(START_LIMIT, || get(address, "/-/ready"))?;
        Ok(Self {
            process,
            _directory: directory,
            address,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The alerts it holds, silenced ones too.
    #[track_caller]
    pub fn alerts(&self) -> Vec<HeldAlert> {
        let answer = get(self.address, "/api/v2/alerts").expect("Alertmanager answers");
        let alerts: Vec<Value> = serde_json::from_str(&answer).expect("a list");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
        let held = |alert: &Value| HeldAlert {
            labels: alert["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(label, value)| (label.clone(), text(value)))
                .collect(),
            state: text(&alert["status"]["state"]),
            inhibited_by: texts(&alert["status"]["inhibitedBy"]),
        };
        alerts.iter().map(held).collect()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let request = minreq::get(format!("http://{address}{path}")).with_timeout(TIMEOUT_SECONDS);
    let answer = request.send().ok()?;
    let found = answer.status_code == 200;
    found.then(|| answer.as_str().ok().map(str::to_owned))?
}
