//! Does with a processor module what otelwasm does (pull ABI), without a Collector around it: one
//! instance for ever, no configuration before the first batch, 0 for what does not fit the module's
//! buffer, an empty batch where the module says that all went well and gave no result.
//!
//! A trap, which the real host makes an error of one batch, is a failure here.

use std::path::Path;

use wasmtime::{
    Caller, Engine, Extern, Instance, Linker, Memory, Module, Result, Store, TypedFunc,
};

/// The module that a guest imports everything from.
const HOST: &str = "opentelemetry.io/wasm";

/// A kind of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    fn name(self) -> &'static str {
        match self {
            Self::Traces => "Traces",
            Self::Logs => "Logs",
            Self::Metrics => "Metrics",
        }
    }
}

/// What the host functions see of the call they are called from.
#[derive(Debug, Default)]
struct Call {
    /// None while the guest is asked what it supports.
    signal: Option<Signal>,
    config: Vec<u8>,
    batch: Vec<u8>,
    result: Vec<u8>,
    reason: String,
    fetched: u32,
}

/// A module in its host.
pub struct Otelwasm {
    store: Store<Call>,
    memory: Memory,
    instance: Instance,
    supported: i32,
    config: Vec<u8>,
}

impl Otelwasm {
    /// Loads a module; `plugin_config` is the JSON that it is given with its first batch.
    #[track_caller]
    pub fn load(path: &Path, plugin_config: &str) -> Self {
        Self::try_load(path, plugin_config)
            .unwrap_or_else(|error| panic!("{}: {error:#}", path.display()))
    }

    fn try_load(path: &Path, plugin_config: &str) -> Result<Self> {
        let engine = Engine::default();
        let module = Module::from_file(&engine, path)?;
        let mut linker = Linker::new(&engine);
        provide_host(&mut linker)?;
        let mut store = Store::new(&engine, Call::default());
        let instance = linker.instantiate(&mut store, &module)?;
        let memory = instance.get_memory(&mut store, "memory");
        let supported: TypedFunc<(), i32> =
            instance.get_typed_func(&mut store, "getSupportedTelemetry")?;
        let supported = supported.call(&mut store, ())?;
        Ok(Self {
            memory: memory.ok_or_else(|| wasmtime::Error::msg("it exports no memory"))?,
            store,
            instance,
            supported,
            config: plugin_config.as_bytes().to_vec(),
        })
    }

    /// What it says that it handles: metrics 1, logs 2, traces 4.
    pub fn supported(&self) -> i32 {
        self.supported
    }

    /// Hands it a batch: what takes its place, or the reason why it fails.
    #[track_caller]
    pub fn process(&mut self, signal: Signal, batch: &[u8]) -> Result<Vec<u8>, String> {
        let call = self.store.data_mut();
        call.signal = Some(signal);
        call.config.clone_from(&self.config);
        call.batch.clear();
        call.batch.extend_from_slice(batch);
        call.fetched = 0;
        call.result.clear();
        call.reason.clear();
        let name = format!("process{}", signal.name());
        let status = self
            .instance
            .get_typed_func::<(), i32>(&mut self.store, &name)
            .and_then(|process| process.call(&mut self.store, ()))
            .unwrap_or_else(|error| panic!("{name} trapped: {error:#}"));
        let call = self.store.data_mut();
        match status {
            0 => Ok(std::mem::take(&mut call.result)),
            _ => Err(std::mem::take(&mut call.reason)),
        }
    }

    /// How often it asked for its last batch, with buffers too small and then large enough.
    pub fn fetched(&self) -> u32 {
        self.store.data().fetched
    }

    /// The size of its memory.
    pub fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }
}

fn provide_host(linker: &mut Linker<Call>) -> Result<()> {
    for signal in Signal::ALL {
        let name = signal.name();
        linker.func_wrap(
            HOST,
            &format!("current{name}"),
            move |mut caller: Caller<'_, Call>, buffer: u32, limit: u32| {
                let call = caller.data_mut();
                call.fetched += 1;
                let batch = match call.signal == Some(signal) {
                    true => std::mem::take(&mut call.batch),
                    false => Vec::new(),
                };
                let length = fill(&mut caller, buffer, limit, &batch);
                caller.data_mut().batch = batch;
                length
            },
        )?;
        linker.func_wrap(
            HOST,
            &format!("setResult{name}"),
            move |mut caller: Caller<'_, Call>, pointer: u32, length: u32| {
                let result = read(&mut caller, pointer, length)?;
                if caller.data().signal == Some(signal) {
                    caller.data_mut().result = result;
                }
                Ok::<_, wasmtime::Error>(())
            },
        )?;
    }
    linker.func_wrap(
        HOST,
        "getPluginConfig",
        |mut caller: Caller<'_, Call>, buffer: u32, limit: u32| {
            let config = caller.data().config.clone();
            fill(&mut caller, buffer, limit, &config)
        },
    )?;
    linker.func_wrap(
        HOST,
        "setResultStatusReason",
        |mut caller: Caller<'_, Call>, pointer: u32, length: u32| {
            let reason = read(&mut caller, pointer, length)?;
            caller.data_mut().reason = String::from_utf8_lossy(&reason).into_owned();
            Ok::<_, wasmtime::Error>(())
        },
    )?;
    linker.func_wrap(HOST, "getShutdownRequested", || 0_i32)?;
    Ok(())
}

fn memory(caller: &mut Caller<'_, Call>) -> Option<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory)
}

/// Returns the length written: 0 for what does not fit, and for what is empty.
fn fill(caller: &mut Caller<'_, Call>, buffer: u32, limit: u32, bytes: &[u8]) -> u32 {
    let Ok(length) = u32::try_from(bytes.len()) else {
        return 0;
    };
    let memory = memory(caller).filter(|_| length <= limit);
    let written = memory.and_then(|memory| memory.write(caller, buffer as usize, bytes).ok());
    written.map_or(0, |()| length)
}

/// What lies outside of the memory ends the call, as it does in the real host.
fn read(caller: &mut Caller<'_, Call>, pointer: u32, length: u32) -> Result<Vec<u8>> {
    let (from, length) = (pointer as usize, length as usize);
    let bytes = memory(caller)
        .and_then(|memory| memory.data(&*caller).get(from..)?.get(..length))
        .map(<[u8]>::to_vec);
    bytes.ok_or_else(|| wasmtime::Error::msg("the guest named bytes outside of its memory"))
}
