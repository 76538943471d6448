//! Prints the JSON Schema of the processor's configuration, made from its types:
//! `cargo run -p otel-processor --features schema --example schema`.

fn main() {
    let schema = schemars::schema_for!(otel_processor::Config);
    println!(
        "{}",
        serde_json::to_string_pretty(&schema).unwrap_or_default()
    );
}
