//! Makes the module's stack small: nothing in it recurses, and its pages count as memory in each
//! Fluent Bit. The host's `wasm_stack_size` is another stack, that of the interpreter.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size=131072");
    }
}
