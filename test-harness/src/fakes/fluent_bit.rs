//! Does with a filter module exactly what Fluent Bit 5.1 does, `event_format json`: one instance for
//! ever, arguments copied in through the module's own `malloc` and freed, a record that it cannot copy
//! handed over as NULL with its length, the result read up to its NUL and never freed, the next record
//! to the same instance after a trap.
//!
//! What the real host survives badly is a failure here: a result that is not one JSON object (a
//! double free there), one without its NUL or outside of the memory.

use std::ffi::CStr;
use std::path::Path;

use wasmtime::{Config, Engine, Instance, Memory, Module, Store, TypedFunc};

/// What one record may cost: an endless loop hangs the real host for ever.
const FUEL_PER_RECORD: u64 = 10_000_000_000;

/// The most the host is ready to copy: the module's `malloc` may refuse earlier.
const LARGEST_ARGUMENT: usize = 256 * 1024 * 1024;

type Entry = TypedFunc<(u32, u32, u32, u32, u32, u32), u32>;

/// How the module's instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// Compiled, and counted: a record that goes on for ever traps.
    Metered,
    /// Compiled, as by `wamrc`: nothing is counted.
    Compiled,
}

impl Execution {
    fn engine(self) -> wasmtime::Result<Engine> {
        let mut config = Config::new();
        config.consume_fuel(self == Self::Metered);
        Engine::new(&config)
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The input pointer came back: the record passes as it is.
    Passed,
    /// Another record takes its place.
    Replaced(String),
    /// It is dropped.
    Dropped,
    /// The module trapped; the record is lost.
    Trapped(String),
}

impl Answer {
    /// The record that took the place; panics if none did.
    #[track_caller]
    pub fn record(&self) -> serde_json::Value {
        match self {
            Self::Replaced(text) => serde_json::from_str(text).expect("checked on arrival"),
            other => panic!("no other record came: {other:?}"),
        }
    }
}

/// A module in its host.
pub struct FluentBit {
    store: Store<()>,
    memory: Memory,
    malloc: TypedFunc<u32, u32>,
    free: TypedFunc<u32, ()>,
    entry: Entry,
    metered: bool,
    /// Instructions the next record may take, if they are counted.
    fuel: u64,
    /// Instructions of the last record, as the engine counts them; 0 unless metered.
    pub instructions: u64,
}

impl FluentBit {
    /// Loads a module as `wasm_path` and `function_name` tell.
    #[track_caller]
    pub fn load(path: &Path, function: &str) -> Self {
        Self::load_to_be(Execution::Metered, path, function)
    }

    /// As [`load`](Self::load), run in another way.
    #[track_caller]
    pub fn load_to_be(execution: Execution, path: &Path, function: &str) -> Self {
        Self::try_load(execution, path, function).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`load_to_be`](Self::load_to_be); the error is what the host would log.
    pub fn try_load(execution: Execution, path: &Path, function: &str) -> Result<Self, String> {
        let failed = |error: wasmtime::Error| format!("{}: {error:#}", path.display());
        let engine = execution.engine().map_err(failed)?;
        let module = Module::from_file(&engine, path).map_err(failed)?;
        let mut store = Store::new(&engine, ());
        let metered = execution == Execution::Metered;
        if metered {
            store.set_fuel(FUEL_PER_RECORD).map_err(failed)?;
        }
        // No import is provided: one would trap when called.
        let instance = Instance::new(&mut store, &module, &[]).map_err(failed)?;
        let memory = instance.get_memory(&mut store, "memory");
        Ok(Self {
            memory: memory.ok_or("the module exports no memory")?,
            malloc: instance
                .get_typed_func(&mut store, "malloc")
                .map_err(failed)?,
            free: instance
                .get_typed_func(&mut store, "free")
                .map_err(failed)?,
            entry: instance
                .get_typed_func(&mut store, function)
                .map_err(failed)?,
            store,
            metered,
            fuel: FUEL_PER_RECORD,
            instructions: 0,
        })
    }

    /// Bytes of the module's memory.
    pub fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// Hands a record over, at a time in seconds since 1970.
    #[track_caller]
    pub fn record(&mut self, seconds: u32, record: &[u8]) -> Answer {
        self.with_result(seconds, record, Self::judge)
    }

    /// As [`record`](Self::record), with so few instructions that the module may trap on its way.
    #[track_caller]
    pub fn record_within(&mut self, instructions: u64, record: &[u8]) -> Answer {
        self.fuel = instructions;
        let answer = self.record(0, record);
        self.fuel = FUEL_PER_RECORD;
        answer
    }

    /// As [`record`](Self::record), for measurements: the result is copied, as the host does, but not
    /// looked at. Its length; 0 if the record passed, was dropped or trapped.
    pub fn record_unjudged(&mut self, seconds: u32, record: &[u8]) -> usize {
        self.with_result(seconds, record, |host, called, record_at| match called {
            Ok(at) if at != record_at => std::hint::black_box(host.result(at).to_vec()).len(),
            _ => 0,
        })
    }

    fn with_result<T>(
        &mut self,
        seconds: u32,
        record: &[u8],
        look: impl FnOnce(&Self, wasmtime::Result<u32>, u32) -> T,
    ) -> T {
        let tag = b"kube.var.log.containers.postgres";
        let tag_at = self.copy_in(tag);
        let record_at = self.copy_in(record);
        let arguments = (tag_at, length(tag), seconds, 0, record_at, length(record));
        self.refuel(self.fuel);
        let called = self.entry.call(&mut self.store, arguments);
        if self.metered {
            self.instructions = self.fuel - self.store.get_fuel().expect("fuel is on");
        }
        let answer = look(self, called, record_at);
        self.refuel(FUEL_PER_RECORD);
        for at in [tag_at, record_at] {
            if at != 0 {
                self.free
                    .call(&mut self.store, at)
                    .expect("free does not trap");
            }
        }
        answer
    }

    fn refuel(&mut self, fuel: u64) {
        if self.metered {
            self.store.set_fuel(fuel).expect("fuel is on");
        }
    }

    /// Copies an argument in, with a NUL behind it; 0 if there is no room.
    fn copy_in(&mut self, bytes: &[u8]) -> u32 {
        if bytes.len() > LARGEST_ARGUMENT {
            return 0;
        }
        let size = length(bytes) + 1;
        let at = self.malloc.call(&mut self.store, size);
        let at = at.expect("malloc does not trap");
        if at != 0 {
            let place = at as usize;
            let end = place + bytes.len();
            let memory = self.memory.data_mut(&mut self.store);
            memory[place..end].copy_from_slice(bytes);
            memory[end] = 0;
        }
        at
    }

    /// The C string at `at`.
    #[track_caller]
    fn result(&self, at: u32) -> &[u8] {
        let memory = self.memory.data(&self.store);
        let text = memory
            .get(at as usize..)
            .unwrap_or_else(|| panic!("the result lies outside of the memory: {at}"));
        let text = CStr::from_bytes_until_nul(text).expect("the result ends with a NUL");
        text.to_bytes()
    }

    #[track_caller]
    fn judge(&self, called: wasmtime::Result<u32>, record_at: u32) -> Answer {
        match called {
            Ok(at) if at == record_at && at != 0 => Answer::Passed,
            Ok(at) => self.read_result(at),
            Err(error) => Answer::Trapped(format!("{error:#}")),
        }
    }

    #[track_caller]
    fn read_result(&self, at: u32) -> Answer {
        let text = self.result(at);
        if text.is_empty() {
            return Answer::Dropped;
        }
        let text = std::str::from_utf8(text).expect("the result is UTF-8");
        let parsed: Result<serde_json::Map<String, serde_json::Value>, _> =
            serde_json::from_str(text);
        if let Err(error) = parsed {
            panic!("the result is not one JSON object, a double free in the host: {error}: {text}");
        }
        Answer::Replaced(text.to_owned())
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("arguments are below 4 GiB")
}
