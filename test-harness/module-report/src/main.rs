//! Prints the report of each module named on the command line.

use std::path::Path;
use std::process::ExitCode;

use module_report::ModuleReport;

fn main() -> ExitCode {
    for path in std::env::args().skip(1) {
        match ModuleReport::of_file(Path::new(&path)) {
            Ok(report) => print!("{path}\n{report}"),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
