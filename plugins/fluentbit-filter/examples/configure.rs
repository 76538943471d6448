//! Writes a configuration into a built module as its defaults: `configure MODULE CONFIG.json OUT`.
#![allow(clippy::print_stderr, reason = "a command")]

use std::fs;
use std::process::ExitCode;

use fluentbit_filter::config::{Config, DEFAULTS_MARK, DEFAULTS_ROOM, Object};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [module, config, out] => configure(module, config, out),
        _ => Err("usage: configure MODULE CONFIG.json OUT".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn configure(module: &str, config: &str, out: &str) -> Result<(), String> {
    let read = |path: &str| fs::read(path).map_err(|error| format!("{path}: {error}"));
    let (mut bytes, json) = (read(module)?, read(config)?);
    Config::parse(&Object::new(), &json).map_err(|error| format!("{config}: {error}"))?;
    let json = compact(&json).map_err(|error| format!("{config}: {error}"))?;
    let marks = bytes.windows(DEFAULTS_MARK.len());
    let mut places = marks
        .enumerate()
        .filter(|(_, found)| found == DEFAULTS_MARK);
    let (Some((mark, _)), None) = (places.next(), places.next()) else {
        return Err(format!("{module}: no module of ours"));
    };
    let room = mark
        .checked_add(DEFAULTS_MARK.len())
        .and_then(|start| bytes.get_mut(start..)?.get_mut(..DEFAULTS_ROOM))
        .ok_or_else(|| format!("{module}: no module of ours"))?;
    if json.len() >= DEFAULTS_ROOM {
        return Err(format!("{config}: more than {DEFAULTS_ROOM} bytes"));
    }
    room.fill(0);
    for (place, byte) in room.iter_mut().zip(json) {
        *place = byte;
    }
    fs::write(out, bytes).map_err(|error| format!("{out}: {error}"))
}

fn compact(json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(json)?)
}
