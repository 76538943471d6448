//! The server that a resource's metrics tell of.

use otlp_wire::{KeyValue, Message, schema};

use super::names::{Names, names};

/// Attributes of resources by which the Collector's receiver tells parts of one server.
const PARTS: [&str; 4] = [
    "postgresql.database.name",
    "postgresql.index.name",
    "postgresql.schema.name",
    "postgresql.table.name",
];

/// Whether an attribute of a resource names a part of a server.
pub(crate) fn is_part(key: &[u8]) -> bool {
    PARTS.iter().any(|part| part.as_bytes() == key)
}

/// Where metrics come from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Source<'a> {
    /// Which server: the same number for the same attributes of a resource, parts aside, in whatever
    /// order.
    pub(crate) server: u64,
    /// The `Resource`.
    pub(crate) resource: Option<Message<'a>>,
    pub(crate) schema_url: Option<&'a [u8]>,
    pub(crate) database: Option<&'a str>,
    pub(crate) schema: Option<&'a str>,
    pub(crate) table: Option<&'a str>,
}

impl<'a> Source<'a> {
    /// Of a `ResourceMetrics`. What cannot be read in it tells nothing.
    pub(crate) fn of(message: Message<'a>) -> Self {
        let mut source = Self::default();
        for field in message.fields().flatten() {
            match field.number {
                schema::resource::RESOURCE => source.resource = field.message().ok(),
                schema::resource::SCHEMA_URL => source.schema_url = field.bytes().ok(),
                _ => {}
            }
        }
        let attributes = source
            .resource
            .map(|it| it.all(schema::resource::ATTRIBUTES));
        for field in attributes.into_iter().flatten().flatten() {
            if let Ok(message) = field.message() {
                source.attribute(message);
            }
        }
        source
    }

    fn attribute(&mut self, message: Message<'a>) {
        if let Ok(read) = KeyValue::read(message)
            && is_part(read.key)
        {
            let text = read.any().ok().and_then(|value| value.text());
            match names(read.key) {
                Some(Names::Database) => self.database = text,
                Some(Names::Schema) => self.schema = text,
                Some(Names::Table) => self.table = text,
                _ => {}
            }
        } else {
            let hash = crate::bounded::hash(0, message.bytes());
            self.server = self.server.wrapping_add(hash);
        }
    }
}
