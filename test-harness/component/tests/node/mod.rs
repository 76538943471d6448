//! The component on Node: `calls.mjs`, which uses the host in `host.mjs`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};
use test_harness::drivers;

/// One instance in one process.
pub struct Node {
    process: Child,
    calls: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Node {
    /// Starts it.
    #[track_caller]
    pub fn load(component: &Path) -> Self {
        let mut process = drivers::node("component-node/calls.mjs")
            .arg(component)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        Self {
            calls: process.stdin.take().expect("it is piped"),
            answers: BufReader::new(process.stdout.take().expect("it is piped")),
            process,
        }
    }

    #[track_caller]
    fn call(&mut self, call: &Value) -> Value {
        writeln!(self.calls, "{call}").expect("node reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("node answers");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer:?}: {error}"))
    }

    /// What it says that it is.
    #[track_caller]
    pub fn describe(&mut self) -> Value {
        self.call(&json!({"name": "describe"}))["value"].take()
    }

    /// Configures it; `tag: text` of an error.
    #[track_caller]
    pub fn configure(&mut self, document: &str) -> Result<(), String> {
        let answer = self.call(&json!({"name": "configure", "text": document}));
        result(&answer).map(|_| ())
    }

    /// Calls one of the functions for batches, by its name in JavaScript.
    #[track_caller]
    pub fn process(&mut self, name: &str, batch: &[u8]) -> Result<Vec<u8>, String> {
        let answer = self.call(&json!({"name": name, "bytes": hex(batch)}));
        let bytes = result(&answer)?["bytes"].as_str().expect("bytes");
        Ok(unhex(bytes))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn result(answer: &Value) -> Result<&Value, String> {
    let error = &answer["error"];
    match (error["tag"].as_str(), error["val"].as_str()) {
        (Some(tag), Some(text)) => Err(format!("{tag}: {text}")),
        _ => Ok(answer),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16);
    pairs.map(|at| byte(at).expect("hex digits")).collect()
}
