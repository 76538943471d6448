//! Hosts and peers that do what real ones cannot be made to do: fail on demand, stop the clock,
//! count every call, cut a message where it hurts.

#[cfg(feature = "fake-host")]
pub mod fluent_bit;
pub mod name_server;
#[cfg(feature = "fake-host")]
pub mod otelwasm;
pub mod otlp_sink;
pub mod postgres_server;
#[cfg(feature = "fake-host")]
pub mod proxy_wasm;
