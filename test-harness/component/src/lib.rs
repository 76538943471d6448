//! A host for `pgmesh-otel-processor.component.wasm` on wasmtime: all that it takes to run it in Rust.

use std::path::Path;

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Result, Store, StoreLimits, StoreLimitsBuilder};

pub use exports::pgmesh::processor::processor::{Description, Error, Signals};

wasmtime::component::bindgen!({ path: "../../wit", world: "otel-processor" });

/// The most memory that one instance gets.
const MEMORY_BYTES: usize = 256 << 20;

/// One instance: it handles one batch at a time.
pub struct Processor {
    store: Store<StoreLimits>,
    instance: OtelProcessor,
}

impl Processor {
    /// Loads the component and gives it its configuration, a JSON document.
    pub fn load(file: &Path, configuration: &str) -> Result<Self> {
        let engine = Engine::default();
        let component = Component::from_file(&engine, file)?;
        // The component imports nothing, so that there is nothing to link.
        let linker = Linker::new(&engine);
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES).build();
        let mut store = Store::new(&engine, limits);
        store.limiter(|limits| limits);
        let instance = OtelProcessor::instantiate(&mut store, &component, &linker)?;
        let mut processor = Self { store, instance };
        processor.configure(configuration)??;
        Ok(processor)
    }

    /// What the component says it is.
    pub fn describe(&mut self) -> Result<Description> {
        let contract = self.instance.pgmesh_processor_processor();
        contract.call_describe(&mut self.store)
    }

    /// Configures it anew. The outer error is a trap, here and below.
    pub fn configure(&mut self, document: &str) -> Result<Result<(), Error>> {
        let contract = self.instance.pgmesh_processor_processor();
        contract.call_configure(&mut self.store, document)
    }

    /// Handles a `TracesData`.
    pub fn traces(&mut self, batch: &[u8]) -> Result<Result<Vec<u8>, Error>> {
        let contract = self.instance.pgmesh_processor_processor();
        contract.call_process_traces(&mut self.store, batch)
    }

    /// Handles a `LogsData`.
    pub fn logs(&mut self, batch: &[u8]) -> Result<Result<Vec<u8>, Error>> {
        let contract = self.instance.pgmesh_processor_processor();
        contract.call_process_logs(&mut self.store, batch)
    }

    /// Handles a `MetricsData`.
    pub fn metrics(&mut self, batch: &[u8]) -> Result<Result<Vec<u8>, Error>> {
        let contract = self.instance.pgmesh_processor_processor();
        contract.call_process_metrics(&mut self.store, batch)
    }
}
