//! Prints the JSON Schema of the policy, made from its types:
//! `cargo run -p envoy-policy --features schema --example schema`.

fn main() {
    let schema = schemars::schema_for!(envoy_policy::config::Document);
    println!(
        "{}",
        serde_json::to_string_pretty(&schema).unwrap_or_default()
    );
}
