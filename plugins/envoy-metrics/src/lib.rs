//! `pgmesh-envoy-metrics.wasm`.
