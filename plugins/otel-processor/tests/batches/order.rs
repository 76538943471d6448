//! Fields in the order in which the Collector writes them, which is no other encoder's: the last first.

use otlp_wire::Message as Wire;

/// The message with its fields in the opposite order, messages inside it too as far as `depth` goes:
/// what the Collector writes. What a repeated field holds keeps its order.
pub(crate) fn reversed(message: &[u8], depth: usize) -> Vec<u8> {
    let fields = || {
        Wire::new(message)
            .fields()
            .map(|field| field.expect("a field"))
    };
    let ends = fields().skip(1).map(|field| field.offset());
    let ends = ends.chain([message.len()]);
    // The fields of one number.
    let mut runs: Vec<(u32, Vec<u8>)> = Vec::new();
    for (field, end) in fields().zip(ends) {
        if runs.last().is_none_or(|run| run.0 != field.number) {
            runs.push((field.number, Vec::new()));
        }
        let (_, run) = runs.last_mut().expect("one");
        let bytes = &message[field.offset()..end];
        match field.bytes() {
            // Tags of one byte only.
            Ok(inner)
                if depth > 0
                    && bytes[0] < 0x80
                    && Wire::new(inner).fields().all(|field| field.is_ok()) =>
            {
                run.push(bytes[0]);
                let inner = reversed(inner, depth - 1);
                prost::encoding::encode_varint(inner.len() as u64, run);
                run.extend(inner);
            }
            _ => run.extend_from_slice(bytes),
        }
    }
    runs.into_iter().rev().flat_map(|(_, run)| run).collect()
}
