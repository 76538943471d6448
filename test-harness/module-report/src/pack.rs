//! Makes a module smaller without changing what it does: memory is zero before the data segments are
//! put into it, so zeros in them need not be there.

use std::fmt;

use wasm_encoder::{ConstExpr, DataCountSection, DataSection, Module, RawSection, SectionId};
use wasmparser::{Data, DataKind, Operator, Parser, Payload, TypeRef};

/// Zeros in a row that are worth a segment of their own behind them.
const SHORTEST_RUN: usize = 16;

/// Why a module cannot be made smaller.
#[derive(Debug)]
pub enum PackError {
    /// It is none.
    Malformed(wasmparser::BinaryReaderError),
    /// Its memory is the host's, and may not be zero.
    ImportedMemory,
    /// Its data is of a kind that compilers do not write for one memory of 4 GiB at most.
    UnknownData,
}

impl fmt::Display for PackError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(out, "no module: {error}"),
            Self::ImportedMemory => out.write_str("the memory is imported"),
            Self::UnknownData => out.write_str("a data segment without a fixed place"),
        }
    }
}

impl std::error::Error for PackError {}

impl From<wasmparser::BinaryReaderError> for PackError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

/// The module with the zeros in its data left out.
///
/// # Errors
/// When it is no module, or its data is not for a memory of its own.
pub fn pack(module: &[u8]) -> Result<Vec<u8>, PackError> {
    let data = packed_data(module)?;
    let mut packed = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        if id == SectionId::Data as u8 {
            packed.section(&data);
        } else if id == SectionId::DataCount as u8 {
            packed.section(&DataCountSection { count: data.len() });
        } else {
            let data = module.get(range).unwrap_or_default();
            packed.section(&RawSection { id, data });
        }
    }
    Ok(packed.finish())
}

fn packed_data(module: &[u8]) -> Result<DataSection, PackError> {
    let mut packed = DataSection::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if matches!(import?.ty, TypeRef::Memory(_)) {
                        return Err(PackError::ImportedMemory);
                    }
                }
            }
            Payload::DataSection(section) => {
                for segment in section {
                    pack_segment(&segment?, &mut packed)?;
                }
            }
            _ => {}
        }
    }
    Ok(packed)
}

fn pack_segment(segment: &Data<'_>, packed: &mut DataSection) -> Result<(), PackError> {
    let place = place(&segment.kind)?;
    for (at, bytes) in runs(segment.data) {
        let offset = u32::try_from(at).ok().and_then(|at| place.checked_add(at));
        let offset = ConstExpr::i32_const(offset.ok_or(PackError::UnknownData)?.cast_signed());
        packed.active(0, &offset, bytes.iter().copied());
    }
    Ok(())
}

/// Where in memory a segment is put.
fn place(kind: &DataKind<'_>) -> Result<u32, PackError> {
    let DataKind::Active {
        memory_index: 0,
        offset_expr,
    } = kind
    else {
        return Err(PackError::UnknownData);
    };
    match offset_expr.get_operators_reader().read()? {
        Operator::I32Const { value } => Ok(value.cast_unsigned()),
        _ => Err(PackError::UnknownData),
    }
}

/// The pieces between runs of zeros, and where they begin.
fn runs(data: &[u8]) -> Vec<(usize, &[u8])> {
    let mut runs = Vec::new();
    let mut from = None;
    let mut zeros = 0_usize;
    for (at, byte) in data.iter().enumerate() {
        if *byte != 0 {
            from.get_or_insert(at);
            zeros = 0;
            continue;
        }
        zeros = zeros.saturating_add(1);
        if zeros == SHORTEST_RUN
            && let Some(from) = from.take()
        {
            let end = at.saturating_add(1).saturating_sub(zeros);
            runs.push((from, data.get(from..end).unwrap_or_default()));
        }
    }
    if let Some(from) = from {
        let end = data.len().saturating_sub(zeros);
        runs.push((from, data.get(from..end).unwrap_or_default()));
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_zeros_are_the_data_again() {
        let mut data = vec![0; 40];
        data.extend([1, 0, 0, 2]);
        data.extend([0; SHORTEST_RUN]);
        data.extend([3; 5]);
        data.extend([0; SHORTEST_RUN - 1]);
        data.extend([4, 0]);
        let pieces = runs(&data);
        assert_eq!(pieces.len(), 2);
        let mut again = vec![0; data.len()];
        for (at, piece) in pieces {
            again[at..at + piece.len()].copy_from_slice(piece);
        }
        assert_eq!(again, data);
    }
}
