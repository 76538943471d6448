//! A real Envoy, with or without one of our modules, in front of a TCP server.
//!
//! Either a test describes what it needs ([`Envoy::in_front_of`]), or it runs a bootstrap file that
//! we ship, with the ports exchanged ([`Envoy::with_bootstrap`]).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::places::{RunDirectory, built_module, python_package};
use super::process::{Process, Spec};
use super::{HostError, Samples};

const START_LIMIT: Duration = Duration::from_secs(60);
const ADMIN_TIMEOUT_SECONDS: u64 = 10;

/// The name of the listener and of the cluster in bootstraps made here.
pub const LISTENER: &str = "postgres";

/// What an Envoy shall be like, before it starts.
#[derive(Debug, Clone)]
pub struct Builder {
    bootstrap: Bootstrap,
    concurrency: u32,
    log_level: String,
    node: Option<String>,
}

#[derive(Debug, Clone)]
enum Bootstrap {
    Made(Value),
    Text(String),
}

impl Builder {
    /// Puts a built module, `dist/pgmesh-<name>.wasm`, into the chain with this configuration;
    /// an empty one stands for none at all. May be called again for a chain of several.
    #[track_caller]
    pub fn module(self, name: &str, configuration: &str) -> Self {
        self.module_file(&built_module(name), name, configuration)
    }

    /// The same for a module that lies elsewhere.
    #[track_caller]
    pub fn module_file(self, path: &Path, name: &str, configuration: &str) -> Self {
        let filter = wasm_filter(path, name, configuration);
        self.edit(|bootstrap| {
            let chain = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0];
            let filters = chain["filters"]
                .as_array_mut()
                .expect("a chain has filters");
            filters.insert(filters.len() - 1, filter);
        })
    }

    /// Takes the bootstrap's `stats_config`, such as the one we ship.
    #[track_caller]
    pub fn stats_config(self, config: Value) -> Self {
        self.edit(|bootstrap| bootstrap["stats_config"] = config)
    }

    /// Adds a cluster of one host, for a module's HTTP callouts.
    #[track_caller]
    pub fn cluster(self, name: &str, address: SocketAddr) -> Self {
        let address = json!({"socket_address": {
            "address": address.ip().to_string(), "port_value": address.port()
        }});
        let endpoint = json!({"lb_endpoints": [{"endpoint": {"address": address}}]});
        self.edit(|bootstrap| {
            let clusters = bootstrap["static_resources"]["clusters"].as_array_mut();
            clusters.expect("there are clusters").push(json!({
                "name": name,
                "type": "STATIC",
                "connect_timeout": "1s",
                "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
            }));
        })
    }

    /// Changes the bootstrap in any other way.
    #[track_caller]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        match &mut self.bootstrap {
            Bootstrap::Made(bootstrap) => change(bootstrap),
            Bootstrap::Text(_) => panic!("a bootstrap given as text changes by `replacing`"),
        }
        self
    }

    /// Replaces a part of a bootstrap given as text; panics when it is not in there.
    #[track_caller]
    pub fn replacing(mut self, part: &str, replacement: &str) -> Self {
        match &mut self.bootstrap {
            Bootstrap::Text(text) => {
                assert!(text.contains(part), "the bootstrap has no {part:?}");
                *text = text.replace(part, replacement);
            }
            Bootstrap::Made(_) => panic!("a bootstrap made here changes by `edit`"),
        }
        self
    }

    /// The number of worker threads; 1 otherwise.
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// What is logged: a level, or `level,component:level,...`; `warning,wasm:info` otherwise.
    pub fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// Gives Envoy's node an id, as `--service-node` does.
    pub fn node(mut self, id: &str) -> Self {
        self.node = Some(id.to_owned());
        self
    }

    /// Starts Envoy and waits until it is live.
    #[track_caller]
    pub fn start(self) -> Envoy {
        match self.try_start() {
            Ok(envoy) => envoy,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`start`](Self::start), where the refusal is what one wants to see.
    pub fn try_start(self) -> Result<Envoy, HostError> {
        let directory = RunDirectory::new("envoy")?;
        let admin_file = directory.path().join("admin");
        let arguments = self.arguments(directory.path())?;
        let spec = Spec::new("Envoy", &program()?, directory.path().join("log"))
            .args(arguments)
            .args([Path::new("--admin-address-path"), &admin_file])
            .args(["--concurrency", &self.concurrency.to_string()]);
        let mut process = Process::start(spec)?;
        let admin = process.wait_until(START_LIMIT, || {
            let address: SocketAddr = fs::read_to_string(&admin_file).ok()?.trim().parse().ok()?;
            (get(address, "/ready").ok()? == "LIVE\n").then_some(address)
        })?;
        Ok(Envoy {
            process,
            _directory: directory,
            admin,
        })
    }

    /// Asks Envoy what it thinks of the configuration, modules included, without serving.
    /// The error is what Envoy says.
    pub fn validate(self) -> Result<(), String> {
        let directory = RunDirectory::new("envoy").map_err(|error| error.to_string())?;
        let run = || -> Result<_, HostError> {
            let mut command = Command::new(program()?);
            command
                .args(self.arguments(directory.path())?)
                .args(["--mode", "validate"]);
            command
                .output()
                .map_err(|error| HostError::new(format!("cannot run Envoy: {error}")))
        };
        let output = run().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn arguments(&self, directory: &Path) -> Result<Vec<String>, HostError> {
        let (name, text) = match &self.bootstrap {
            Bootstrap::Made(bootstrap) => ("bootstrap.json", bootstrap.to_string()),
            Bootstrap::Text(text) => ("bootstrap.yaml", text.clone()),
        };
        let path = directory.join(name);
        fs::write(&path, text)
            .map_err(|error| HostError::new(format!("{}: {error}", path.display())))?;
        let (level, components) = self
            .log_level
            .split_once(',')
            .unwrap_or((&self.log_level, "wasm:info"));
        let arguments = [
            "-c",
            &path.to_string_lossy(),
            "--disable-hot-restart",
            "--log-level",
        ];
        let levels = [level, "--component-log-level", components];
        let node = self.node.iter().flat_map(|id| ["--service-node", id]);
        Ok(arguments
            .into_iter()
            .chain(levels)
            .chain(node)
            .map(str::to_owned)
            .collect())
    }
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    // The process goes before its directory.
    process: Process,
    _directory: RunDirectory,
    admin: SocketAddr,
}

impl Envoy {
    /// One listener on a free port of 127.0.0.1 that passes every connection on to `server`.
    pub fn in_front_of(server: SocketAddr) -> Builder {
        Self::builder(Bootstrap::Made(plain_bootstrap(server)))
    }

    /// A bootstrap as the file's text, JSON or YAML. Its admin address must be there, with port 0
    /// for a free one; so should the ports of its listeners be.
    pub fn with_bootstrap(text: &str) -> Builder {
        Self::builder(Bootstrap::Text(text.to_owned()))
    }

    fn builder(bootstrap: Bootstrap) -> Builder {
        Builder {
            bootstrap,
            concurrency: 1,
            log_level: "warning,wasm:info".to_owned(),
            node: None,
        }
    }

    /// The port of the listener that clients of PostgreSQL connect to.
    #[track_caller]
    pub fn port(&self) -> u16 {
        self.listener(LISTENER).port()
    }

    /// Where the listener of this name listens.
    #[track_caller]
    pub fn listener(&self, name: &str) -> SocketAddr {
        let listeners: Value = serde_json::from_str(&self.admin("/listeners?format=json"))
            .expect("Envoy lists its listeners in JSON");
        let find = || {
            let found = listeners["listener_statuses"]
                .as_array()?
                .iter()
                .find(|listener| listener["name"] == name)?;
            let address = &found["local_address"]["socket_address"];
            format!("{}:{}", address["address"].as_str()?, address["port_value"])
                .parse()
                .ok()
        };
        find().unwrap_or_else(|| panic!("no listener {name} among {listeners}"))
    }

    /// Where its admin interface listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// What the admin interface answers to GET.
    #[track_caller]
    pub fn admin(&self, path: &str) -> String {
        get(self.admin, path).unwrap_or_else(|error| panic!("{error}\n{}", self.process.log()))
    }

    /// A scrape, as Prometheus would do it.
    #[track_caller]
    pub fn scrape(&self) -> Samples {
        Samples::parse(&self.admin("/stats/prometheus"))
    }

    /// The statistics whose internal names match this regular expression, `name: value` by line.
    #[track_caller]
    pub fn stats(&self, filter: &str) -> String {
        self.admin(&format!("/stats?filter={filter}"))
    }

    /// Where it logs to.
    pub fn log_file(&self) -> &Path {
        self.process.log_file()
    }

    /// The lines it has logged so far; one that is still being written is left out.
    pub fn log(&self) -> String {
        let mut log = self.process.log();
        log.truncate(log.rfind('\n').map_or(0, |end| end + 1));
        log
    }

    /// The CPU time it has used so far, over all its threads.
    pub fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    /// The memory it occupies now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Makes its listeners accept no more connections; those that are there go on.
    #[track_caller]
    pub fn drain(&self) {
        let url = format!("http://{}/drain_listeners", self.admin);
        let answer = minreq::post(url).with_timeout(ADMIN_TIMEOUT_SECONDS).send();
        assert!(
            answer.is_ok_and(|answer| answer.status_code == 200),
            "Envoy does not drain"
        );
    }

    /// Ends it in good order.
    pub fn stop(&mut self) {
        self.process.stop();
    }
}

/// The Envoy program that `make setup` installed.
fn program() -> Result<PathBuf, HostError> {
    python_package("envoy/_bin/envoy")
}

fn get(address: SocketAddr, path: &str) -> Result<String, HostError> {
    let url = format!("http://{address}{path}");
    let failed = |error| HostError::new(format!("{url}: {error}"));
    let answer = minreq::get(&url)
        .with_timeout(ADMIN_TIMEOUT_SECONDS)
        .send()
        .map_err(failed)?;
    Ok(answer.as_str().map_err(failed)?.to_owned())
}

fn socket_address(address: SocketAddr) -> Value {
    let (address, port) = (address.ip().to_string(), address.port());
    json!({ "socket_address": { "address": address, "port_value": port } })
}

fn plain_bootstrap(server: SocketAddr) -> Value {
    let any_port = socket_address(SocketAddr::from(([127, 0, 0, 1], 0)));
    json!({
        "admin": { "address": any_port },
        "static_resources": {
            "listeners": [{
                "name": LISTENER,
                "address": any_port,
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.tcp_proxy",
                    "typed_config": {
                        "@type": type_url("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"),
                        "stat_prefix": LISTENER,
                        "cluster": LISTENER,
                    },
                }] }],
            }],
            "clusters": [{
                "name": LISTENER,
                "connect_timeout": "5s",
                "load_assignment": {
                    "cluster_name": LISTENER,
                    "endpoints": [{ "lb_endpoints": [{
                        "endpoint": { "address": socket_address(server) },
                    }] }],
                },
            }],
        },
    })
}

fn wasm_filter(module: &Path, name: &str, configuration: &str) -> Value {
    let mut config = json!({
        "name": name,
        "root_id": name,
        "failure_policy": "FAIL_CLOSED",
        "vm_config": {
            "vm_id": name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": module.to_string_lossy() } },
        },
    });
    if !configuration.is_empty() {
        config["configuration"] = json!({
            "@type": type_url("google.protobuf.StringValue"),
            "value": configuration,
        });
    }
    json!({
        "name": "envoy.filters.network.wasm",
        "typed_config": {
            "@type": type_url("envoy.extensions.filters.network.wasm.v3.Wasm"),
            "config": config,
        },
    })
}

fn type_url(name: &str) -> String {
    format!("type.googleapis.com/{name}")
}
