//! Makes the module's stack small: nothing in it recurses, and its pages count as memory in each
//! Fluent Bit. The host's `wasm_stack_size` is another stack, that of the interpreter.
//!
//! And gives the module a function that begins the stack anew. After a trap the host calls the same
//! instance again, with the stack pointer where the trap left it; each trap would take some of the stack for
//! ever. Rust cannot set that pointer, so the function is put together here, as an object for the linker.

use std::path::Path;
use std::{env, fs, io};

/// Bytes of the module's stack, which the linker puts before all else: it begins here, and grows down.
const STACK: u32 = 65536;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("wasm32") {
        let directory = env::var("OUT_DIR").map_err(io::Error::other)?;
        let object = Path::new(&directory).join("stack.o");
        fs::write(&object, begin_stack())?;
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK}");
        println!("cargo::rustc-link-arg-cdylib={}", object.display());
    }
    Ok(())
}

/// `void pgmesh_begin_stack(void)`: `i32.const STACK; global.set __stack_pointer`, in the format of
/// WebAssembly object files (tool-conventions, `Linking.md`).
fn begin_stack() -> Vec<u8> {
    const NAME: &[u8] = b"pgmesh_begin_stack";
    const POINTER: &[u8] = b"__stack_pointer";
    // One type, without parameters and results.
    let types = [0x01, 0x60, 0x00, 0x00].to_vec();
    // One import, env.__stack_pointer: a global, i32, that can be set.
    let import = [
        &[0x01],
        &name(b"env")[..],
        &name(POINTER),
        &[0x03, 0x7f, 0x01],
    ]
    .concat();
    // No locals; i32.const; global.set with room for any index; end.
    let set = [0x24, 0x80, 0x80, 0x80, 0x80, 0x00];
    let before = [&[0x00, 0x41][..], &signed(STACK)].concat();
    let body = [&before[..], &set, &[0x0b]].concat();
    let code = [&[0x01][..], &sized(&body)].concat();
    // Two symbols: the function, which is defined here, and the pointer, which is not.
    let function = [&[0x00, 0x00, 0x00][..], &name(NAME)].concat();
    let symbols = [&[0x02][..], &function, &[0x02, 0x10, 0x00]].concat();
    let linking = [&name(b"linking")[..], &[0x02, 0x08], &sized(&symbols)].concat();
    // One place in the code, the fourth section, where the index of the second symbol goes. The count and
    // the length of the body stand before it, a byte each.
    let place = u8::try_from(before.len().saturating_add(3)).unwrap_or_default();
    let relocations = [&name(b"reloc.CODE")[..], &[0x03, 0x01, 0x07, place, 0x01]].concat();
    let sections = [
        (1, types),
        (2, import),
        (3, vec![0x01, 0x00]),
        (10, code),
        (0, linking),
        (0, relocations),
    ];
    let mut object = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in sections {
        object.push(id);
        object.extend(sized(&content));
    }
    object
}

/// Bytes with their length before them, which must be short.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len())
        .ok()
        .filter(|length| *length < 0x80);
    let mut all = vec![length.unwrap_or_default()];
    all.extend_from_slice(bytes);
    all
}

fn name(name: &[u8]) -> Vec<u8> {
    sized(name)
}

/// A number as signed LEB128.
fn signed(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 && low & 0x40 == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
