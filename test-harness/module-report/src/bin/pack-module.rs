//! Packs a module: `pack-module <from> <to>`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        eprintln!("pack-module: say from where, and to where");
        return ExitCode::FAILURE;
    };
    match pack(Path::new(&from), Path::new(&to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pack-module: {from}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pack(from: &Path, to: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let packed = module_report::pack(&std::fs::read(from)?)?;
    Ok(std::fs::write(to, packed)?)
}
