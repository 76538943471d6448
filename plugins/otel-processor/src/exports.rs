//! otelwasm's calls (pull ABI): the host asks for a batch to be handled, the module fetches it, and
//! hands the result back before it answers.
//!
//! Contract (`github.com/otelwasm/otelwasm`, `wasmplugin`): every `current*` copies what fits `limit`
//! into the module's memory and returns the length, or 0 when it does not fit; `setResult*` copies a
//! result out, and must be called before 0 is returned, or the host takes an empty batch for the
//! result; any other return is an error with the text of `setResultStatusReason`.
#![allow(
    unsafe_code,
    reason = "the host's calls are pointers and lengths, found by unmangled names"
)]

use std::borrow::Cow;
use std::cell::Cell;

use crate::{Error, Processor};

#[link(wasm_import_module = "opentelemetry.io/wasm")]
unsafe extern "C" {
    #[link_name = "currentTraces"]
    fn current_traces(buffer: *mut u8, limit: usize) -> usize;
    #[link_name = "currentLogs"]
    fn current_logs(buffer: *mut u8, limit: usize) -> usize;
    #[link_name = "currentMetrics"]
    fn current_metrics(buffer: *mut u8, limit: usize) -> usize;
    #[link_name = "setResultTraces"]
    fn set_result_traces(bytes: *const u8, length: usize);
    #[link_name = "setResultLogs"]
    fn set_result_logs(bytes: *const u8, length: usize);
    #[link_name = "setResultMetrics"]
    fn set_result_metrics(bytes: *const u8, length: usize);
    #[link_name = "getPluginConfig"]
    fn get_plugin_config(buffer: *mut u8, limit: usize) -> usize;
    #[link_name = "setResultStatusReason"]
    fn set_result_status_reason(bytes: *const u8, length: usize);
}

/// What the host calls for something of unknown length.
type Fetch = unsafe extern "C" fn(*mut u8, usize) -> usize;
/// What takes a result.
type Hand = unsafe extern "C" fn(*const u8, usize);

/// The first room for a batch, and the most.
const BATCH_ROOM: (usize, usize) = (1 << 20, 64 << 20);
/// The first room for the configuration, and the most.
const CONFIG_ROOM: (usize, usize) = (64 << 10, 4 << 20);

const OK: i32 = 0;
const ERROR: i32 = 1;

/// Metrics, logs and traces: 1, 2 and 4.
const ALL_SIGNALS: i32 = 7;

#[derive(Default)]
struct State {
    /// None before the first batch: only then does the host give the configuration.
    processor: Option<Result<Processor, String>>,
    buffer: Vec<u8>,
}

struct Shared(Cell<State>);

// SAFETY: a wasm module without the threads feature has one thread.
unsafe impl Sync for Shared {}

static STATE: Shared = Shared(Cell::new(State {
    processor: None,
    buffer: Vec::new(),
}));

/// Lets the host fill `buffer`, in as much room as it takes up to `room.1`. Returns the length: 0 if
/// there is nothing, or too much.
fn fetch(call: Fetch, buffer: &mut Vec<u8>, room: (usize, usize)) -> usize {
    let mut size = room.0.max(buffer.len());
    loop {
        if buffer.len() < size {
            // Nothing of it is needed in the larger one.
            *buffer = Vec::new();
            if buffer.try_reserve_exact(size).is_err() {
                return 0;
            }
            buffer.resize(size, 0);
        }
        // SAFETY: the buffer has room for what the host is told.
        let length = unsafe { call(buffer.as_mut_ptr(), buffer.len()) };
        if (1..=buffer.len()).contains(&length) {
            return length;
        }
        // A host that says how much it needs is given that.
        size = length.max(buffer.len().saturating_mul(2));
        if size > room.1 {
            return 0;
        }
    }
}

fn refuse(reason: &str) -> i32 {
    // SAFETY: the host copies the text before it returns.
    unsafe { set_result_status_reason(reason.as_ptr(), reason.len()) };
    ERROR
}

fn configure() -> Result<Processor, String> {
    let mut json = Vec::new();
    let length = fetch(get_plugin_config, &mut json, CONFIG_ROOM);
    let json = json.get(..length).unwrap_or_default();
    Processor::configure(json).map_err(|error| error.to_string())
}

/// How a signal is handled.
type Process = for<'a> fn(&mut Processor, &'a [u8]) -> Result<Cow<'a, [u8]>, Error>;

/// One batch of a signal.
fn process(current: Fetch, process: Process, set: Hand) -> i32 {
    // A trap in a call to the host leaves nothing locked: the next batch begins with a new state.
    let mut state = STATE.0.take();
    let State { processor, buffer } = &mut state;
    let processor = processor.get_or_insert_with(configure);
    let result = match processor {
        Ok(processor) => handle(processor, buffer, (current, process, set)),
        Err(error) => refuse(error),
    };
    STATE.0.set(state);
    result
}

fn handle(
    processor: &mut Processor,
    buffer: &mut Vec<u8>,
    (current, process, set): (Fetch, Process, Hand),
) -> i32 {
    let length = fetch(current, buffer, BATCH_ROOM);
    if length == 0 {
        return refuse("pgmesh: the batch is empty, or larger than 64 MiB");
    }
    match process(processor, buffer.get(..length).unwrap_or_default()) {
        Ok(Cow::Borrowed(same)) => hand(set, same),
        Ok(Cow::Owned(changed)) => {
            let handed = hand(set, &changed);
            processor.recycle(changed);
            handed
        }
        Err(error) => refuse(&format!("pgmesh: {error}")),
    }
}

fn hand(set: Hand, result: &[u8]) -> i32 {
    // SAFETY: the host copies the bytes before it returns.
    unsafe { set(result.as_ptr(), result.len()) };
    OK
}

#[unsafe(export_name = "getSupportedTelemetry")]
extern "C" fn supported_telemetry() -> i32 {
    ALL_SIGNALS
}

#[unsafe(export_name = "processTraces")]
extern "C" fn process_traces() -> i32 {
    process(current_traces, Processor::process_traces, set_result_traces)
}

#[unsafe(export_name = "processLogs")]
extern "C" fn process_logs() -> i32 {
    process(current_logs, Processor::process_logs, set_result_logs)
}

#[unsafe(export_name = "processMetrics")]
extern "C" fn process_metrics() -> i32 {
    process(
        current_metrics,
        Processor::process_metrics,
        set_result_metrics,
    )
}
