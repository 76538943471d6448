//! `pgmesh-otel-processor.component.wasm`: the contract of `wit/` over [`otel_processor::Processor`],
//! for hosts that run components.
//!
//! No more than the translation: bytes in and out, and errors by whom they blame.

use std::borrow::Cow;
use std::cell::Cell;

use otel_processor::Processor;

use bindings::exports::pgmesh::processor::processor::{Description, Error, Guest, Signals};

/// What wit-bindgen makes of the contract.
mod bindings {
    #![allow(
        unsafe_code,
        clippy::all,
        clippy::restriction,
        unreachable_pub,
        reason = "generated: pointers and lengths across the component's boundary"
    )]

    wit_bindgen::generate!({ path: "../../wit", world: "otel-processor" });

    export!(Component with_types_in self);

    use super::Component;
}

/// A configured processor, or what is wrong with the configuration.
type Configured = Result<Processor, String>;

thread_local! {
    /// None before the first call that needs it. A component has one thread.
    static PROCESSOR: Cell<Option<Configured>> = const { Cell::new(None) };
}

/// The largest batch: what comes of it needs as much room again, and a host bounds that.
const LARGEST_BYTES: usize = 64 << 20;

struct Component;

impl Guest for Component {
    fn describe() -> Description {
        Description {
            name: "pgmesh-otel-processor".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            signals: Signals::TRACES | Signals::LOGS | Signals::METRICS,
        }
    }

    fn configure(document: String) -> Result<(), Error> {
        let configured = configured(document.as_bytes());
        let result = configured.as_ref().map(|_| ()).map_err(Clone::clone);
        PROCESSOR.set(Some(configured));
        result.map_err(Error::Configuration)
    }

    fn process_traces(batch: Vec<u8>) -> Result<Vec<u8>, Error> {
        process(batch, |processor, batch| processor.process_traces(batch))
    }

    fn process_logs(batch: Vec<u8>) -> Result<Vec<u8>, Error> {
        process(batch, |processor, batch| processor.process_logs(batch))
    }

    fn process_metrics(batch: Vec<u8>) -> Result<Vec<u8>, Error> {
        process(batch, |processor, batch| processor.process_metrics(batch))
    }
}

fn configured(document: &[u8]) -> Configured {
    Processor::configure(document).map_err(|error| error.to_string())
}

type Outcome<'a> = Result<Cow<'a, [u8]>, otel_processor::Error>;

/// Handles one batch. One with nothing to do is given back without a copy.
fn process(
    batch: Vec<u8>,
    handle: impl for<'a> FnOnce(&mut Processor, &'a [u8]) -> Outcome<'a>,
) -> Result<Vec<u8>, Error> {
    if batch.len() > LARGEST_BYTES {
        let reason = format!(
            "the batch has {} bytes, more than {LARGEST_BYTES}",
            batch.len()
        );
        return Err(Error::Malformed(reason));
    }
    // Out of its place for the while, which is shorter than any two calls: nothing calls back.
    let mut processor = PROCESSOR.take().unwrap_or_else(|| configured(b""));
    let outcome = match &mut processor {
        Ok(processor) => handle(processor, &batch)
            .map(|handled| match handled {
                Cow::Borrowed(_) => None,
                Cow::Owned(changed) => Some(changed),
            })
            .map_err(|error| Error::Malformed(error.to_string())),
        Err(reason) => Err(Error::Configuration(reason.clone())),
    };
    PROCESSOR.set(Some(processor));
    outcome.map(|changed| changed.unwrap_or(batch))
}
