//! A real Fluent Bit, where there is one: no package index has it, so it is run whenever it is on the
//! `PATH`.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::places::{RunDirectory, program_on_path, tree};
use super::postgres::output_of;
use super::process::{Process, Spec};
use super::wait_for;
use crate::{rules, shipped};

const LIMIT: Duration = Duration::from_secs(30);
/// The parser waits two seconds for the next line of an entry, and the output is flushed every second.
const PATIENCE: Duration = Duration::from_millis(3500);

/// Where a shipped configuration expects Envoy's log.
const ENVOYS_LOG: &str = "/var/log/envoy/*.log";

/// How a shipped configuration ends, in place of Loki.
const FILE_OUTPUT_YAML: &str = "
    - name: file
      match: postgres.*
      path: @FOLDER@
      file: records
      format: plain
";
const FILE_OUTPUT_CLASSIC: &str = "
[OUTPUT]
    name   file
    match  postgres.*
    path   @FOLDER@
    file   records
    format plain
";

/// A shipped configuration, by the language it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shipped {
    /// `fluent-bit.yaml`.
    Yaml,
    /// `fluent-bit.conf`.
    Classic,
}

/// What takes part in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filters<'m> {
    /// All of the shipped configuration.
    All,
    /// All but the module: the records as it is given them.
    WithoutTheModule,
    /// This module, or what `wamrc` made of one, in the place of ours.
    Module(&'m Path),
    /// Fluent Bit's parser with one regex and its time in the place of the module, as one finds it
    /// everywhere: for one prefix, and nothing is classified or redacted.
    OneRegex,
}

/// The parser of [`Filters::OneRegex`].
const ONE_REGEX: &str = r"
[PARSER]
    name        one_regex
    format      regex
    regex       ^(?<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \w+) \[(?<pid>\d+)\] (?<user>[^@ ]*)@(?<database>[^ ]*) (?<severity>\w+):  (?<message>.*)$
    time_key    time
    time_format %Y-%m-%d %H:%M:%S.%L %Z
";
const ONE_REGEX_FILTER: &str = "
    - name: parser
      match: postgres.*
      key_name: log
      parser: one_regex
";

/// The program.
#[derive(Debug, Clone)]
pub struct FluentBit(PathBuf);

impl FluentBit {
    /// The one on the `PATH`. Says so aloud when there is none: past the test harness, which
    /// swallows what a passing test prints.
    pub fn find() -> Option<Self> {
        static SAY: Once = Once::new();
        let found = program_on_path("fluent-bit").ok().map(Self);
        if found.is_none() {
            SAY.call_once(|| {
                let line = "\nNOT TESTED in the real Fluent Bit: no fluent-bit on the PATH\n";
                // Where there is no standard error there is nobody to tell.
                let _ = std::io::stderr().write_all(line.as_bytes());
            });
        }
        found
    }

    /// Its version.
    pub fn version(&self) -> String {
        let output = output_of(Command::new(&self.0).arg("--version"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs the shipped YAML over a server's log and Envoy's, into the Loki at this address, until it
    /// is dropped.
    #[track_caller]
    pub fn into_loki(&self, log: &Path, envoys: &Path, loki: SocketAddr) -> Running {
        let directory = RunDirectory::new("fluent-bit").expect("a directory");
        let path = configuration(Shipped::Yaml, Filters::All, log, directory.path());
        let text = fs::read_to_string(&path).expect("just written");
        let text = text.replace(ENVOYS_LOG, &envoys.to_string_lossy());
        let (kept, _) = text.split_once("\n    - name: file").expect("the output");
        let shipped = fs::read_to_string(tree().join("envoy-configs/fluent-bit/fluent-bit.yaml"));
        let shipped = shipped.expect("it is shipped");
        let output = shipped
            .find("\n    - name: loki")
            .and_then(|at| shipped.get(at..));
        let output = output.expect("its output is Loki");
        for part in ["host: loki\n", "port: 3100\n"] {
            assert!(output.contains(part), "{output}");
        }
        let output = output
            .replace("host: loki\n", &format!("host: {}\n", loki.ip()))
            .replace("port: 3100\n", &format!("port: {}\n", loki.port()));
        fs::write(&path, format!("{kept}{output}")).expect("written");
        self.run(&path, directory)
    }

    /// Runs the configuration of the shipped DaemonSet over a folder in the place of the node's
    /// `/var/log/containers`, into the Loki at this address, until it is dropped.
    #[track_caller]
    pub fn on_a_node(&self, containers: &Path, loki: SocketAddr) -> Running {
        let directory = RunDirectory::new("fluent-bit").expect("a directory");
        let all = shipped::file("fluent-bit/kubernetes.yaml");
        let map = all
            .split("\n---\n")
            .find(|one| one.contains("kind: ConfigMap"));
        let map = rules::parse(map.expect("a ConfigMap"));
        let text = map["data"]["fluent-bit.yaml"].as_str();
        let mut text = text.expect("the configuration").to_owned();
        let modules = format!("{}/pgmesh-", tree().join("dist").display());
        for (shipped, here) in [
            ("/var/log/containers", containers.display().to_string()),
            (
                "/var/lib/fluent-bit",
                directory.path().display().to_string(),
            ),
            ("/pgmesh/pgmesh-", modules),
            (
                "accessible_paths: /pgmesh",
                format!("accessible_paths: {}", tree().display()),
            ),
            ("host: loki.loki", format!("host: {}", loki.ip())),
            ("port: 3100", format!("port: {}", loki.port())),
            // It is to read what was there before it.
            ("db: ", "read_from_head: true\n      db: ".to_owned()),
        ] {
            assert!(text.contains(shipped), "{shipped} in {text}");
            text = text.replace(shipped, &here);
        }
        let path = directory.path().join("fluent-bit.yaml");
        fs::write(&path, text).expect("written");
        self.run(&path, directory)
    }

    #[track_caller]
    fn run(&self, configuration: &Path, directory: RunDirectory) -> Running {
        let spec = Spec::new("Fluent Bit", &self.0, directory.path().join("log"))
            .args(["-c".as_ref(), configuration.as_os_str()]);
        Running {
            process: Process::start(spec).unwrap_or_else(|error| panic!("{error}")),
            _directory: directory,
        }
    }

    /// CPU time that the shipped YAML takes for all of `log`, records thrown away.
    #[track_caller]
    pub fn cpu_time(&self, filters: Filters<'_>, log: &Path) -> Duration {
        let directory = RunDirectory::new("fluent-bit").expect("a directory");
        let path = configuration(Shipped::Yaml, filters, log, directory.path());
        let text = fs::read_to_string(&path).expect("just written");
        let text = text.replace("- name: file", "- name: \"null\"");
        let (kept, _) = text.rsplit_once("\n      path:").expect("of the output");
        fs::write(&path, kept).expect("written");
        let spec = Spec::new("Fluent Bit", &self.0, directory.path().join("log"))
            .args(["-c".as_ref(), path.as_os_str()]);
        let process = Process::start(spec).unwrap_or_else(|error| panic!("{error}"));
        let mut last = (Instant::now(), Duration::ZERO);
        let spent = wait_for(10 * LIMIT, || {
            let now = process.cpu_time();
            // An idle Fluent Bit still wakes up.
            if now.saturating_sub(last.1) > Duration::from_millis(50) {
                last = (Instant::now(), now);
            }
            Some(last.1).filter(|_| last.0.elapsed() > PATIENCE)
        });
        spent.expect("it comes to an end")
    }

    /// Runs a shipped configuration over all of `log`, into a file; the records in it.
    #[track_caller]
    pub fn records(&self, shipped: Shipped, filters: Filters<'_>, log: &Path) -> Vec<Value> {
        let directory = RunDirectory::new("fluent-bit").expect("a directory");
        let configuration = configuration(shipped, filters, log, directory.path());
        let spec = Spec::new("Fluent Bit", &self.0, directory.path().join("log"))
            .args(["-c".as_ref(), configuration.as_os_str()]);
        let mut process = Process::start(spec).unwrap_or_else(|error| panic!("{error}"));
        let path = directory.path().join("records");
        let records = settled(&path).unwrap_or_else(|| {
            let configuration = fs::read_to_string(&configuration).expect("just written");
            panic!("no records\n{configuration}\n{}", process.log())
        });
        process.stop();
        let read = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        records.lines().map(read).collect()
    }
}

/// A Fluent Bit at work.
#[derive(Debug)]
pub struct Running {
    // The process goes before its directory.
    process: Process,
    _directory: RunDirectory,
}

impl Running {
    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// What a file holds once nothing has been added for longer than an entry of several lines is waited
/// for.
fn settled(path: &Path) -> Option<String> {
    let mut last = (Instant::now(), None);
    wait_for(LIMIT, || {
        let now = fs::read_to_string(path).ok();
        if now != last.1 {
            last = (Instant::now(), now);
        }
        last.1.clone().filter(|_| last.0.elapsed() > PATIENCE)
    })
}

/// Writes the shipped configuration with the paths of this run; where.
fn configuration(shipped: Shipped, filters: Filters<'_>, log: &Path, directory: &Path) -> PathBuf {
    let folder = tree().join("envoy-configs/fluent-bit");
    let (name, output) = match shipped {
        Shipped::Yaml => ("fluent-bit.yaml", FILE_OUTPUT_YAML),
        Shipped::Classic => ("fluent-bit.conf", FILE_OUTPUT_CLASSIC),
    };
    let text = fs::read_to_string(folder.join(name)).expect("it is shipped");
    let loki = match shipped {
        Shipped::Yaml => "\n    - name: loki",
        Shipped::Classic => "\n[OUTPUT]",
    };
    let (before, _) = text.split_once(loki).expect("its output is Loki");
    let ours = "/fluent-bit/pgmesh-fluentbit-filter.wasm";
    let before = match filters {
        Filters::All => before.to_owned(),
        Filters::WithoutTheModule => in_place_of_the_module(shipped, before, ""),
        Filters::Module(module) => before.replace(ours, &module.to_string_lossy()),
        Filters::OneRegex => in_place_of_the_module(shipped, before, ONE_REGEX_FILTER),
    };
    let modules = tree().join("dist");
    let text = before
        .replace("/var/log/postgresql/*.log", &log.to_string_lossy())
        .replace("/fluent-bit", &modules.to_string_lossy());
    let text = text + &output.replace("@FOLDER@", &directory.to_string_lossy());
    let parsers = fs::read_to_string(folder.join("parsers.conf")).expect("it is shipped");
    fs::write(directory.join("parsers.conf"), parsers + ONE_REGEX).expect("written");
    let path = directory.join(name);
    fs::write(&path, text).expect("written");
    path
}

fn in_place_of_the_module(shipped: Shipped, text: &str, other: &str) -> String {
    let (start, end) = match shipped {
        Shipped::Yaml => ("\n    - name: wasm", "\n  outputs:"),
        Shipped::Classic => ("\n[FILTER]\n    name             wasm", ""),
    };
    let (before, rest) = text.split_once(start).expect("the module is a filter");
    let after = match end {
        "" => "",
        end => rest
            .find(end)
            .and_then(|at| rest.get(at..))
            .expect("outputs"),
    };
    format!("{before}\n{other}{after}")
}
