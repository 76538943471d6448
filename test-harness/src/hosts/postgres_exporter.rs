//! A real postgres_exporter that asks a server as its superuser: the one of Debian, or the one that the
//! manifests deploy.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use super::places::{RunDirectory, program_on_path};
use super::process::{Process, Spec};
use super::{HostError, Postgres, Samples, free_port};
use crate::shipped;

const START_LIMIT: Duration = Duration::from_secs(30);
const TIMEOUT_SECONDS: u64 = 10;
/// Another process may take a free port before the exporter does.
const ATTEMPTS: usize = 3;

/// Which postgres_exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The one of Debian, 0.11.
    Debian,
    /// The one of the manifests, with their arguments, where somebody has put it on the `PATH`.
    Shipped,
}

impl Release {
    /// Whether it can be started here.
    pub fn is_there(self) -> bool {
        program_on_path(self.program()).is_ok()
    }

    fn program(self) -> &'static str {
        match self {
            Self::Debian => "prometheus-postgres-exporter",
            Self::Shipped => "postgres_exporter",
        }
    }

    /// What the manifests switch on.
    fn arguments(self) -> Vec<String> {
        let manifest = match self {
            Self::Debian => String::new(),
            Self::Shipped => shipped::file("kubernetes/base/exporter.yaml"),
        };
        let (first, _) = manifest.split_once("env:").unwrap_or_default();
        let arguments = first
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- "));
        let collectors = arguments.filter(|argument| argument.starts_with("--collector."));
        collectors.map(str::to_owned).collect()
    }
}

/// A running exporter.
#[derive(Debug)]
pub struct PostgresExporter {
    // The process goes before its directory.
    process: Process,
    _directory: RunDirectory,
    address: SocketAddr,
}

impl PostgresExporter {
    /// Starts Debian's for this server, with its default metrics.
    #[track_caller]
    pub fn start(server: &Postgres) -> Self {
        Self::with_queries(server, "")
    }

    /// The same with custom queries: the YAML of `--extend.query-path`.
    #[track_caller]
    pub fn with_queries(server: &Postgres, queries: &str) -> Self {
        Self::of(Release::Debian, server, queries)
    }

    /// The same of a release.
    #[track_caller]
    pub fn of(release: Release, server: &Postgres, queries: &str) -> Self {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::try_start(release, server, queries) {
                Ok(exporter) => return exporter,
                Err(error) => last = Some(error),
            }
        }
        panic!("{}", last.expect("an attempt was made"))
    }

    fn try_start(release: Release, server: &Postgres, queries: &str) -> Result<Self, HostError> {
        let program = program_on_path(release.program())?;
        let directory = RunDirectory::new("exporter")?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let source = format!(
            "postgresql://postgres@127.0.0.1:{}/postgres?sslmode=disable",
            server.port()
        );
        let mut spec = Spec::new("postgres_exporter", &program, directory.path().join("log"))
            .args([format!("--web.listen-address={address}")])
            .args(["--log.level=warn"])
            .args(release.arguments())
            .env("DATA_SOURCE_NAME", &source)
            .unprivileged();
        if !queries.is_empty() {
            let path = directory.path().join("queries.yaml");
            let failed = |error| HostError::new(format!("{}: {error}", path.display()));
            fs::write(&path, queries).map_err(failed)?;
            spec = spec.args([format!("--extend.query-path={}", path.display())]);
        }
        let mut process = Process::start(spec)?;
        process.wait_until(START_LIMIT, || get(address))?;
        Ok(Self {
            process,
            _directory: directory,
            address,
        })
    }

    /// Where it listens; its metrics are at `/metrics`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A scrape, as Prometheus would do it.
    #[track_caller]
    pub fn scrape(&self) -> Samples {
        let text = get(self.address).unwrap_or_else(|| panic!("no answer\n{}", self.log()));
        Samples::parse(&text)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn get(address: SocketAddr) -> Option<String> {
    let url = format!("http://{address}/metrics");
    let answer = minreq::get(url).with_timeout(TIMEOUT_SECONDS).send().ok()?;
    answer.as_str().ok().map(str::to_owned)
}
