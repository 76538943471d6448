//! Prints the JSON Schema of the filter's configuration, made from its types:
//! `cargo run -p envoy-metrics --features schema --example schema`.

fn main() {
    let schema = schemars::schema_for!(envoy_metrics::config::Config);
    println!(
        "{}",
        serde_json::to_string_pretty(&schema).unwrap_or_default()
    );
}
