//! The VM that runs the module, and the connections in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use wasmtime::{Config, Engine, Instance, Linker, Module, Store, WasmParams, WasmResults};

use super::Delivery;
use super::abi::{Action, BufferKind, ClosedBy, Stream};
use super::imports;
use super::state::{Context, State};

/// The root context, the first there is.
pub(super) const ROOT: u32 = 1;

/// What one callback may cost; a module that needs more is taken to hang.
const FUEL_PER_CALLBACK: u64 = 20_000_000_000;

/// The names by which a module says that it is for this ABI (0.2.0 differs in nothing it uses).
const ABI_VERSIONS: [&str; 2] = ["proxy_abi_version_0_2_1", "proxy_abi_version_0_2_0"];

type Properties = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the host keeps of a connection.
#[derive(Debug, Default)]
struct Wire {
    /// Bytes from the client that the module has paused.
    held_from_client: Vec<u8>,
    /// Bytes from the server that the module has paused.
    held_from_server: Vec<u8>,
    server_received: Vec<u8>,
    client_received: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Vm {
    store: Store<State>,
    instance: Instance,
    wires: BTreeMap<u32, Wire>,
    next_context: u32,
    pub(super) instructions: u64,
}

impl Vm {
    /// Makes the VM; the module has not run yet.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let module = compiled(path)?;
        if !module
            .exports()
            .any(|export| ABI_VERSIONS.contains(&export.name()))
        {
            return Err(format!(
                "{} exports none of {ABI_VERSIONS:?}",
                path.display()
            ));
        }
        let mut linker = Linker::new(module.engine());
        imports::define(&mut linker).map_err(|error| format!("{error:#}"))?;
        let mut store = Store::new(module.engine(), State::new());
        store.set_fuel(FUEL_PER_CALLBACK).expect("fuel is on");
        let instance = linker
            .instantiate(&mut store, &module)
            .map_err(|error| format!("{error:#}"))?;
        Ok(Self {
            store,
            instance,
            wires: BTreeMap::new(),
            next_context: ROOT + 1,
            instructions: 0,
        })
    }

    /// Starts the module as Envoy does: initialise, root context, VM start, configure.
    pub(super) fn start(
        &mut self,
        configuration: &[u8],
        properties: Properties,
    ) -> Result<(), String> {
        let root = Context {
            root: ROOT,
            properties,
        };
        self.state().contexts.insert(ROOT, root);
        for name in ["_initialize", "_start"] {
            if self.try_call::<_, ()>(ROOT, name, ())?.is_some() {
                break;
            }
        }
        self.try_call::<_, ()>(ROOT, "proxy_on_context_create", (ROOT, 0))?;
        self.state().buffer = Some((BufferKind::VmConfiguration, Vec::new()));
        self.agree("proxy_on_vm_start", (ROOT, 0))?;
        let size = u32::try_from(configuration.len()).expect("a configuration fits into the VM");
        self.state().buffer = Some((BufferKind::PluginConfiguration, configuration.to_vec()));
        self.agree("proxy_on_configure", (ROOT, size))?;
        self.state().buffer = None;
        Ok(())
    }

    /// Calls an export that may refuse by answering false.
    fn agree(&mut self, name: &str, parameters: (u32, u32)) -> Result<(), String> {
        match self.try_call::<_, u32>(ROOT, name, parameters)? {
            Some(0) => Err(format!("{name} answered false")),
            _ => Ok(()),
        }
    }

    pub(super) fn state(&mut self) -> &mut State {
        self.store.data_mut()
    }

    pub(super) fn connect(&mut self, properties: Properties) -> (u32, Action) {
        let id = self.next_context;
        self.next_context += 1;
        self.state().contexts.insert(
            id,
            Context {
                root: ROOT,
                properties,
            },
        );
        self.wires.insert(id, Wire::default());
        self.call::<_, ()>(id, "proxy_on_context_create", (id, ROOT));
        let action = self.call::<_, u32>(id, "proxy_on_new_connection", id);
        (id, action_of(action))
    }

    pub(super) fn data(&mut self, id: u32, from: Stream, bytes: &[u8], end: bool) -> Delivery {
        let (export, to) = match from {
            Stream::Downstream => ("proxy_on_downstream_data", Stream::Upstream),
            Stream::Upstream => ("proxy_on_upstream_data", Stream::Downstream),
        };
        let mut buffer = std::mem::take(self.wire(id).held(from));
        buffer.extend_from_slice(bytes);
        let size = u32::try_from(buffer.len()).expect("a buffer fits into the VM");
        self.state().buffer = Some((BufferKind::Data(from), buffer));
        let action = action_of(self.call(id, export, (id, size, u32::from(end))));
        let (_, mut buffer) = self
            .state()
            .buffer
            .take()
            .expect("the callback leaves it there");
        // What reaches a side in the callback that closes it is lost.
        if self.state().closed.contains(&(id, to)) {
            buffer.clear();
        }
        let wire = self.wire(id);
        if action == Action::Pause {
            let held = buffer.len();
            *wire.held(from) = buffer;
            return Delivery {
                action,
                delivered: Vec::new(),
                held,
            };
        }
        wire.received(to).extend_from_slice(&buffer);
        Delivery {
            action,
            delivered: buffer,
            held: 0,
        }
    }

    pub(super) fn server_closed(&mut self, id: u32) {
        let by = ClosedBy::Remote as u32;
        self.call::<_, ()>(id, "proxy_on_upstream_connection_close", (id, by));
    }

    /// Ends a connection in the order Envoy does.
    pub(super) fn close(&mut self, id: u32, by: ClosedBy) {
        self.call::<_, ()>(id, "proxy_on_downstream_connection_close", (id, by as u32));
        self.call::<_, u32>(id, "proxy_on_done", id);
        self.call::<_, ()>(id, "proxy_on_log", id);
        self.call::<_, ()>(id, "proxy_on_delete", id);
        self.state().contexts.remove(&id);
        self.wires.remove(&id);
    }

    pub(super) fn tick(&mut self) {
        self.call::<_, ()>(ROOT, "proxy_on_tick", ROOT);
    }

    pub(super) fn answer_http_call(
        &mut self,
        token: u32,
        headers: Vec<(String, String)>,
        body: &[u8],
    ) {
        let sizes = [headers.len(), body.len()].map(|size| u32::try_from(size).expect("small"));
        self.state().http_response_headers = headers;
        self.state().buffer = Some((BufferKind::HttpCallResponseBody, body.to_vec()));
        let parameters = (ROOT, token, sizes[0], sizes[1], 0);
        self.call::<(u32, u32, u32, u32, u32), ()>(ROOT, "proxy_on_http_call_response", parameters);
        self.state().buffer = None;
        self.state().http_response_headers.clear();
    }

    pub(super) fn received(&self, id: u32, at: Stream) -> Vec<u8> {
        let wire = &self.wires[&id];
        match at {
            Stream::Downstream => wire.client_received.clone(),
            Stream::Upstream => wire.server_received.clone(),
        }
    }

    pub(super) fn allocate(&mut self, size: u32) -> u32 {
        self.call(ROOT, "proxy_on_memory_allocate", size)
    }

    pub(super) fn memory_bytes(&mut self) -> usize {
        let memory = self.instance.get_memory(&mut self.store, "memory");
        memory
            .expect("every callback needs it")
            .data_size(&self.store)
    }

    /// Calls an export. One that the module lacks does nothing, as in Envoy. Panics on a trap.
    #[track_caller]
    fn call<P: WasmParams, R: WasmResults + Default>(
        &mut self,
        context: u32,
        name: &str,
        parameters: P,
    ) -> R {
        match self.try_call(context, name, parameters) {
            Ok(result) => result.unwrap_or_default(),
            Err(trap) => panic!("{trap}; the module logged {:?}", self.state().logs),
        }
    }

    fn try_call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        name: &str,
        parameters: P,
    ) -> Result<Option<R>, String> {
        let Some(function) = self.instance.get_func(&mut self.store, name) else {
            return Ok(None);
        };
        let function = function
            .typed::<P, R>(&self.store)
            .map_err(|error| format!("{name} has another signature: {error:#}"))?;
        self.state().current = context;
        self.store.set_fuel(FUEL_PER_CALLBACK).expect("fuel is on");
        let result = function
            .call(&mut self.store, parameters)
            .map_err(|trap| format!("{name} trapped: {trap:?}"))?;
        self.instructions += FUEL_PER_CALLBACK - self.store.get_fuel().expect("fuel is on");
        self.release_resumed();
        Ok(Some(result))
    }

    /// Lets the bytes go that the module has held back and released in this callback.
    fn release_resumed(&mut self) {
        for id in std::mem::take(&mut self.state().resumed) {
            if let Some(wire) = self.wires.get_mut(&id) {
                let held = std::mem::take(&mut wire.held_from_client);
                wire.server_received.extend(held);
            }
        }
    }

    fn wire(&mut self, id: u32) -> &mut Wire {
        self.wires.get_mut(&id).expect("the connection is open")
    }
}

impl Wire {
    fn held(&mut self, from: Stream) -> &mut Vec<u8> {
        match from {
            Stream::Downstream => &mut self.held_from_client,
            Stream::Upstream => &mut self.held_from_server,
        }
    }

    fn received(&mut self, at: Stream) -> &mut Vec<u8> {
        match at {
            Stream::Downstream => &mut self.client_received,
            Stream::Upstream => &mut self.server_received,
        }
    }
}

fn action_of(number: u32) -> Action {
    match number {
        0 => Action::Continue,
        1 => Action::Pause,
        other => panic!("{other} is no action"),
    }
}

/// Compiles a module once per process.
fn compiled(path: &Path) -> Result<Module, String> {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        let mut config = Config::new();
        config.consume_fuel(true);
        Engine::new(&config).expect("this machine can run wasm")
    });
    static MODULES: Mutex<BTreeMap<PathBuf, Module>> = Mutex::new(BTreeMap::new());
    let mut modules = MODULES
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let module = Module::from_file(&ENGINE, path)
        .map_err(|error| format!("{}: {error:#}", path.display()))?;
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}
