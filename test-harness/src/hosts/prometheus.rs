//! A real Prometheus: it scrapes what it is told to, runs our rules, and answers queries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::places::{RunDirectory, program_on_path};
use super::process::{Process, Spec};
use super::{HostError, free_port, wait_for};

const START_LIMIT: Duration = Duration::from_secs(60);
const TIMEOUT_SECONDS: u64 = 10;
/// Another process may take a free port before Prometheus does.
const ATTEMPTS: usize = 3;

/// What a Prometheus shall be like, before it starts.
#[derive(Debug, Clone)]
pub struct Builder {
    interval: String,
    jobs: Vec<Value>,
    rules: Vec<(String, String)>,
    alertmanager: Option<SocketAddr>,
    text: Option<String>,
}

impl Builder {
    /// How often it scrapes and evaluates, as Prometheus writes it (`500ms`); `1s` otherwise.
    pub fn interval(mut self, interval: &str) -> Self {
        interval.clone_into(&mut self.interval);
        self
    }

    /// Scrapes `path` of `target` as job `job`, and puts these labels on all it gives.
    pub fn scrape(
        mut self,
        job: &str,
        target: SocketAddr,
        path: &str,
        labels: &[(&str, &str)],
    ) -> Self {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        self.jobs.push(json!({
            "job_name": job,
            "metrics_path": path,
            "static_configs": [{ "targets": [target.to_string()], "labels": labels }],
        }));
        self
    }

    /// Takes the text of a configuration file in place of all that, but for the [rules](Self::rules),
    /// which lie beside it.
    pub fn text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// Runs the rules of this text, which becomes the file `name`.
    pub fn rules(mut self, name: &str, text: &str) -> Self {
        self.rules.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Tells this Alertmanager what fires.
    pub fn alertmanager(mut self, address: SocketAddr) -> Self {
        self.alertmanager = Some(address);
        self
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn start(self) -> Prometheus {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.try_start() {
                Ok(prometheus) => return prometheus,
                Err(error) => last = Some(error),
            }
        }
        panic!("{}", last.expect("an attempt was made"))
    }

    fn try_start(&self) -> Result<Prometheus, HostError> {
        let program = program_on_path("prometheus")?;
        let directory = RunDirectory::new("prometheus")?;
        let config = directory.path().join("prometheus.yml");
        let text = self.text.clone();
        let text = text.unwrap_or_else(|| self.config().to_string());
        let mut files = vec![(config.clone(), text)];
        for (name, text) in &self.rules {
            files.push((directory.path().join(name), text.clone()));
        }
        for (path, text) in files {
            let failed = |error| HostError::new(format!("{}: {error}", path.display()));
            fs::create_dir_all(path.parent().expect("a folder")).map_err(failed)?;
            fs::write(&path, text).map_err(failed)?;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let data = directory.path().join("data");
        let spec = Spec::new("Prometheus", &program, directory.path().join("log"))
            .args([format!("--config.file={}", config.display())])
            .args([format!("--storage.tsdb.path={}", data.display())])
            .args([format!("--web.listen-address={address}")])
            .args(["--log.level=warn", "--enable-feature=exemplar-storage"])
            .unprivileged();
        let mut process = Process::start(spec)?;
        process.wait_until(START_LIMIT, || get(address, "/-/ready"))?;
        Ok(Prometheus {
            process,
            _directory: directory,
            address,
        })
    }

    /// JSON, which is YAML too.
    fn config(&self) -> Value {
        let rules: Vec<&String> = self.rules.iter().map(|(name, _)| name).collect();
        let alertmanagers: Vec<Value> = self
            .alertmanager
            .iter()
            .map(|address| json!({ "static_configs": [{ "targets": [address.to_string()] }] }))
            .collect();
        json!({
            "global": { "scrape_interval": self.interval, "evaluation_interval": self.interval,
                        "scrape_timeout": self.interval },
            "rule_files": rules,
            "scrape_configs": self.jobs,
            "alerting": { "alertmanagers": alertmanagers },
        })
    }
}

/// One series of an answer, with its last value.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels; the metric's name is `__name__`.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// An alert that Prometheus has.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its labels, `alertname` and `severity` among them.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, with the values in them.
    pub annotations: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: String,
}

impl Alert {
    /// Its name.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }
}

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    // The process goes before its directory.
    process: Process,
    _directory: RunDirectory,
    address: SocketAddr,
}

impl Prometheus {
    /// One that scrapes nothing yet.
    pub fn builder() -> Builder {
        Builder {
            interval: "1s".to_owned(),
            jobs: Vec::new(),
            rules: Vec::new(),
            alertmanager: None,
            text: None,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What a query gives now. Panics, with Prometheus' own words, when it is not a query.
    #[track_caller]
    pub fn query(&self, expression: &str) -> Vec<Series> {
        let answer = self.now(expression);
        let data = &answer["data"];
        if data["resultType"] == "scalar" {
            let labels = BTreeMap::new();
            let value = value_of(&data["result"]).expect("a number");
            return vec![Series { labels, value }];
        }
        let series = data["result"].as_array().expect("a vector");
        series
            .iter()
            .map(|series| Series {
                labels: text_map(&series["metric"]),
                value: value_of(&series["value"]).expect("a number"),
            })
            .collect()
    }

    /// The whole answer to a query for `step` seconds each between two times, in seconds since 1970.
    #[track_caller]
    pub fn range(&self, expression: &str, start: u64, end: u64, step: u64) -> Value {
        let query = percent_encoded(expression);
        let path = format!("query_range?query={query}&start={start}&end={end}&step={step}");
        self.api(&format!("/api/v1/{path}"))
    }

    /// The whole answer to a query for this moment.
    #[track_caller]
    pub fn now(&self, expression: &str) -> Value {
        self.api(&format!(
            "/api/v1/query?query={}",
            percent_encoded(expression)
        ))
    }

    /// Asks again and again until a query gives something; panics after `limit`.
    #[track_caller]
    pub fn query_until_it_gives(&self, expression: &str, limit: Duration) -> Vec<Series> {
        let found = wait_for(limit, || {
            let series = self.query(expression);
            std::thread::sleep(Duration::from_millis(100));
            (!series.is_empty()).then_some(series)
        });
        found.unwrap_or_else(|| panic!("nothing in {limit:?} from: {expression}"))
    }

    /// The values of a label of the exemplars of the last ten minutes of what a query selects, each once.
    #[track_caller]
    pub fn exemplars(&self, expression: &str, label: &str) -> Vec<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let end = now.expect("after 1970").as_secs() + 1;
        let query = percent_encoded(expression);
        let start = end - 600;
        let path = format!("/api/v1/query_exemplars?query={query}&start={start}&end={end}");
        let answer = self.api(&path);
        let series = answer["data"].as_array().into_iter().flatten();
        let exemplars = series.flat_map(|series| series["exemplars"].as_array());
        let values = exemplars.flatten().map(|it| it["labels"][label].as_str());
        let values: BTreeSet<&str> = values.flatten().collect();
        values.into_iter().map(str::to_owned).collect()
    }

    /// The alerts that are pending or firing now.
    #[track_caller]
    pub fn alerts(&self) -> Vec<Alert> {
        let answer = self.api("/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().expect("a list");
        alerts
            .iter()
            .map(|alert| Alert {
                labels: text_map(&alert["labels"]),
                annotations: text_map(&alert["annotations"]),
                state: alert["state"].as_str().unwrap_or_default().to_owned(),
            })
            .collect()
    }

    /// Waits until this alert fires; panics after `limit`, with the alerts there are.
    #[track_caller]
    pub fn alert_fires(&self, name: &str, limit: Duration) -> Alert {
        let found = wait_for(limit, || {
            let mut alerts = self.alerts().into_iter();
            std::thread::sleep(Duration::from_millis(100));
            alerts.find(|alert| alert.name() == name && alert.state == "firing")
        });
        found.unwrap_or_else(|| {
            let alerts = self.alerts();
            let known: Vec<_> = alerts.iter().map(|it| (it.name(), &it.state)).collect();
            panic!("{name} does not fire; there are {known:?}")
        })
    }

    /// An answer of its HTTP API, decoded. Panics when it is an error.
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        let answer = get(self.address, path);
        let answer = answer.unwrap_or_else(|| panic!("no answer to {path}"));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer
    }
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let request = minreq::get(format!("http://{address}{path}")).with_timeout(TIMEOUT_SECONDS);
    let answer = request.send().ok()?;
    // Not ready yet; the errors of the API are 4xx and have a body to show.
    if answer.status_code == 503 {
        return None;
    }
    answer.as_str().ok().map(str::to_owned)
}

fn text_map(object: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = object.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

/// `[time, "value"]`; Rust reads `NaN` and `+Inf` as Prometheus writes them.
fn value_of(sample: &Value) -> Option<f64> {
    sample[1].as_str()?.parse().ok()
}

pub(super) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}
