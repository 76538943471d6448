//! Reads a built module the way a suspicious operator would: how large, which hash, what it asks of
//! its host. `make plugins` prints the report; the tests assert on it. [`pack`] makes it smaller before.
#![forbid(unsafe_code)]

mod pack;

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload};

pub use pack::{PackError, pack};

/// One built `.wasm` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleReport {
    /// The file's size in bytes.
    pub size: usize,
    /// SHA-256 of the file in lower-case hex, as Istio's `sha256` and Envoy's remote data source want it.
    pub sha256: String,
    /// What the host must provide, as `module.name`, in the module's order.
    pub imports: Vec<String>,
    /// The names the host may call or read, in the module's order.
    pub exports: Vec<String>,
}

impl ModuleReport {
    /// Reads the module at `path`. The error names the file and what is wrong with it.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::of_bytes(&bytes).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads a module that is already in memory.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut imports = Vec::new();
        let mut exports = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        imports.push(format!("{}.{}", import.module, import.name));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        exports.push(export?.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        let sha256 = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            size: bytes.len(),
            sha256,
            imports,
            exports,
        })
    }
}

impl fmt::Display for ModuleReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "  size     {} bytes", self.size)?;
        writeln!(out, "  sha256   {}", self.sha256)?;
        writeln!(out, "  imports  {}", self.imports.len())?;
        self.imports
            .iter()
            .try_for_each(|import| writeln!(out, "    {import}"))
    }
}
