//! A thin layer over the proxy-wasm 0.2.1 host interface that cannot panic.
