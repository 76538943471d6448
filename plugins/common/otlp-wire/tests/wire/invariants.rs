//! What holds for whatever bytes are, for the property tests and the fuzz targets.

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Decoded;
use otlp_wire::{Any, Editor, Error, Fault, Field, Message, Writer};
use prost::Message as _;

/// Messages in each other that edits go into.
const LEVELS: usize = 8;

/// Fields follow each other without a gap, up to the end or to an error that stands in the bytes; what
/// was read is written so that it is read again.
pub fn any_fields(bytes: &[u8]) {
    let mut offset = 0;
    let mut fields = Message::new(bytes).fields();
    for field in &mut fields {
        let field = match field {
            Ok(field) => field,
            Err(error) => {
                assert!((offset..=bytes.len()).contains(&error.offset), "{error}");
                break;
            }
        };
        assert!(field.offset() >= offset && field.offset() < bytes.len());
        offset = field.offset() + 1;
        let mut written = Vec::new();
        Writer::new(&mut written).field(&field);
        let mut again = Message::new(&written).fields();
        let read = again.next().expect("a field").expect("a field");
        assert_eq!((read.number, read.value()), (field.number, field.value()));
        assert!(again.next().is_none());
    }
    assert!(fields.next().is_none(), "nothing comes behind an error");
}

/// What prost takes for an `AnyValue` is one, and of the same kind.
pub fn any_value(bytes: &[u8]) {
    let Ok(decoded) = AnyValue::decode(bytes) else {
        return;
    };
    let read = match Any::read(Message::new(bytes)) {
        Ok(read) => read,
        // prost skips groups, and takes the last of several values.
        Err(error) => {
            let is_known = matches!(error.fault, Fault::WireType | Fault::Repeated);
            return assert!(is_known, "{decoded:?}: {error}");
        }
    };
    match (&decoded.value, read) {
        (None, Any::Empty) => {}
        // An index into the strings of a profile, of which a batch has none: it takes no value's place.
        (Some(Decoded::StringValueStrindex(_)), _) => {}
        (Some(Decoded::StringValue(text)), Any::Text(read)) => assert_eq!(text.as_bytes(), read),
        (Some(Decoded::BytesValue(bytes)), Any::Bytes(read)) => assert_eq!(bytes, read),
        (Some(Decoded::BoolValue(value)), Any::Bool(read)) => assert_eq!(*value, read),
        (Some(Decoded::IntValue(value)), Any::Int(read)) => assert_eq!(*value, read),
        (Some(Decoded::DoubleValue(value)), Any::Double(read)) => {
            assert_eq!(value.to_bits(), read.to_bits());
        }
        (Some(Decoded::ArrayValue(_)), Any::List(_))
        | (Some(Decoded::KvlistValue(_)), Any::Map(_)) => {}
        (decoded, read) => panic!("{decoded:?} is read as {read:?}"),
    }
}

/// What becomes of a field, or of the end of a message.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Keep,
    Remove,
    Replace,
    Renumber,
    Enter,
    /// Removed, and that taken back.
    Think,
}

fn edit(script: &mut impl Iterator<Item = u8>) -> Edit {
    match script.next().map(|byte| byte % 8) {
        Some(1) => Edit::Remove,
        Some(2) => Edit::Replace,
        Some(3) => Edit::Renumber,
        Some(4 | 5) => Edit::Enter,
        Some(6) => Edit::Think,
        _ => Edit::Keep,
    }
}

fn appends(script: &mut impl Iterator<Item = u8>) -> bool {
    script.next().is_some_and(|byte| byte % 4 == 1)
}

fn fill(new: &mut Writer<'_>) {
    new.text(7, "new");
}

/// The message that a field is, if all of its own fields can be read.
fn whole<'a>(field: &Field<'a>, level: usize) -> Option<Message<'a>> {
    let message = field.message().ok().filter(|_| level < LEVELS)?;
    message
        .fields()
        .all(|field| field.is_ok())
        .then_some(message)
}

/// Edits of a batch, chosen by the bytes of a script, are what they are on a copy of it.
pub fn any_edits(bytes: &[u8], script: &[u8]) {
    if Message::new(bytes).fields().any(|field| field.is_err()) {
        return;
    }
    let mut editor = Editor::new(bytes);
    let batch = editor.batch();
    let mut script_of_editor = script.iter().copied();
    run(&mut editor, batch, 0, &mut script_of_editor).expect("fields that were read before");
    let expected = copy(bytes, 0, &mut script.iter().copied());
    let expected = expected.as_deref().unwrap_or(bytes);
    assert_eq!(&*editor.finish(), expected);
}

fn run<'a>(
    editor: &mut Editor<'a>,
    message: Message<'a>,
    level: usize,
    script: &mut impl Iterator<Item = u8>,
) -> Result<(), Error> {
    for field in message.fields() {
        let field = field?;
        match edit(script) {
            Edit::Keep => {}
            Edit::Remove => editor.remove(&field),
            Edit::Replace => editor.replace(&field, fill),
            Edit::Renumber => editor.renumber(&field, 9),
            Edit::Enter if whole(&field, level).is_some() => {
                editor.inside(&field, |editor, inner| {
                    run(editor, inner, level + 1, script)
                })?;
            }
            Edit::Enter => {}
            Edit::Think => {
                let mark = editor.mark();
                editor.remove(&field);
                editor.roll_back(mark);
            }
        }
    }
    let appends = appends(script);
    editor.append(message, |new| {
        if appends {
            fill(new);
        }
    });
    Ok(())
}

/// The message with its edits; `None` if there are none.
fn copy(message: &[u8], level: usize, script: &mut impl Iterator<Item = u8>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut changed = false;
    let fields: Vec<_> = Message::new(message)
        .fields()
        .map(|field| field.expect("one"))
        .collect();
    for (place, field) in fields.iter().enumerate() {
        let end = fields.get(place + 1).map_or(message.len(), Field::offset);
        let raw = &message[field.offset()..end];
        let tag = raw
            .iter()
            .position(|byte| *byte < 0x80)
            .expect("the end of a tag")
            + 1;
        let mut kept = true;
        match edit(script) {
            Edit::Keep | Edit::Think => out.extend_from_slice(raw),
            Edit::Remove => kept = false,
            Edit::Replace => {
                kept = false;
                fill(&mut Writer::new(&mut out));
            }
            Edit::Renumber => {
                kept = false;
                out.push(9 << 3 | raw[0] & 7);
                out.extend_from_slice(&raw[tag..]);
            }
            Edit::Enter => {
                let inner =
                    whole(field, level).and_then(|inner| copy(inner.bytes(), level + 1, script));
                match inner {
                    Some(inner) => {
                        kept = false;
                        out.extend_from_slice(&raw[..tag]);
                        prost::encoding::encode_varint(inner.len() as u64, &mut out);
                        out.extend(inner);
                    }
                    None => out.extend_from_slice(raw),
                }
            }
        }
        changed |= !kept;
    }
    if appends(script) {
        changed = true;
        fill(&mut Writer::new(&mut out));
    }
    changed.then_some(out)
}
