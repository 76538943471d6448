//! Makes the component of the module that cargo built, which carries its contract in a section of its
//! own: `componentize MODULE COMPONENT`. The same as `wasm-tools component new`, for those without it.

use std::process::ExitCode;

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    let [module, component] = paths.as_slice() else {
        eprintln!("usage: componentize MODULE COMPONENT");
        return ExitCode::FAILURE;
    };
    let made = std::fs::read(module)
        .map_err(|error| format!("{}: {error}", module.display()))
        .and_then(|module| componentize(&module))
        .and_then(|bytes| {
            std::fs::write(component, bytes)
                .map_err(|error| format!("{}: {error}", component.display()))
        });
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    let encoder = ComponentEncoder::default().validate(true).module(module);
    encoder
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))
}
