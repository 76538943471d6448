//! Fields in the order in which the Collector writes them, which is no other encoder's: the last first.

use otlp_wire::Message as Wire;

/// The message with its fields in the opposite order, messages inside it too as far as `depth` goes:
/// what the Collector writes.
pub(crate) fn reversed(message: &[u8], depth: usize) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut before = 0;
    for field in Wire::new(message).fields() {
        let field = field.expect("a field");
        let end = field.offset();
        if end > before {
            fields.push((before, end));
        }
        before = end;
    }
    fields.push((before, message.len()));
    let mut out = Vec::new();
    for (start, end) in fields.into_iter().rev() {
        let bytes = &message[start..end];
        let field = Wire::new(bytes)
            .fields()
            .next()
            .expect("one")
            .expect("a field");
        match field.bytes() {
            // Tags of one byte only.
            Ok(inner)
                if depth > 0
                    && bytes[0] < 0x80
                    && Wire::new(inner).fields().all(|field| field.is_ok()) =>
            {
                out.push(bytes[0]);
                let inner = reversed_or_empty(inner, depth - 1);
                prost::encoding::encode_varint(inner.len() as u64, &mut out);
                out.extend(inner);
            }
            _ => out.extend_from_slice(bytes),
        }
    }
    out
}

fn reversed_or_empty(message: &[u8], depth: usize) -> Vec<u8> {
    if message.is_empty() {
        Vec::new()
    } else {
        reversed(message, depth)
    }
}
