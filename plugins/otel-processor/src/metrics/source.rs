//! The server that a resource's metrics tell of.

use otlp_wire::{KeyValue, Message, schema};
use twox_hash::XxHash64;

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// Which server: the same number for the same attributes of a resource, parts aside, in whatever
    /// order.
    pub(crate) server: u64,
}

impl Source {
    /// Of a `ResourceMetrics`. What cannot be read in it tells nothing.
    pub(crate) fn of(resource: Message<'_>) -> Self {
        let mut server = 0_u64;
        let resource = resource.find(schema::resource::RESOURCE);
        let resource = resource.ok().flatten().map(|field| field.message());
        if let Some(Ok(resource)) = resource {
            let attributes = resource.all(schema::resource::ATTRIBUTES);
            for attribute in attributes.flatten().flat_map(|field| field.message()) {
                let read = KeyValue::read(attribute);
                if !read.is_ok_and(|read| is_part(read.key)) {
                    server = server.wrapping_add(XxHash64::oneshot(0, attribute.bytes()));
                }
            }
        }
        Self { server }
    }
}
