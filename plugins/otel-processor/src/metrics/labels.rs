//! Labels of points that are no plain numbers, of exemplars, and of what instrumented clients measure:
//! they lose their data, and nothing else changes.
//!
//! Field numbers: `opentelemetry/proto/metrics/v1/metrics.proto`. An exemplar has the attributes that
//! a view has taken off the measurement, the statement and its parameters perhaps.

use otlp_wire::{Any, Editor, Error, Field, KeyValue, Message, schema};

use super::queries::Queries;
use super::roles::Role;
use crate::traces::around::Named;
use crate::traces::names::is_system;

/// Where a kind of metric has its points' attributes and exemplars.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// In `Metric`; its points are field 1.
    number: u32,
    attributes: u32,
    exemplars: Option<u32>,
}

const fn kind(number: u32, attributes: u32, exemplars: Option<u32>) -> Kind {
    Kind {
        number,
        attributes,
        exemplars,
    }
}

const KINDS: [Kind; 5] = [
    kind(schema::metric::GAUGE, 7, Some(5)),
    kind(schema::metric::SUM, 7, Some(5)),
    kind(schema::metric::HISTOGRAM, 9, Some(8)),
    kind(schema::metric::EXPONENTIAL_HISTOGRAM, 1, Some(11)),
    kind(schema::metric::SUMMARY, 7, None),
];

/// Whose the points are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Of<'c> {
    /// A family of PostgreSQL's: numbers are handled elsewhere.
    Family,
    /// Instrumented clients: PostgreSQL's are those that name it, by one of these names, or stand where that
    /// is named and name nothing else.
    Clients(Named, &'c [String]),
}

/// How names of clients' metrics begin (semantic conventions 1.44, `docs/db/database-metrics.md`), as
/// they are and as Prometheus has them.
const CLIENTS: [&[u8]; 2] = [b"db.client.", b"db_client_"];

/// Attributes of an `Exemplar`.
const FILTERED: u32 = 7;

/// Whether a metric is one of instrumented clients.
pub(crate) fn is_of_clients(name: &[u8]) -> bool {
    CLIENTS.iter().any(|client| name.starts_with(client))
}

/// Changes the labels of a metric.
pub(crate) fn metric<'a>(
    editor: &mut Editor<'a>,
    metric: &Field<'a>,
    of: Of<'_>,
    queries: &mut Queries,
) -> Result<(), Error> {
    editor.inside(metric, |editor, metric| {
        for field in metric.fields() {
            let field = field?;
            let known = KINDS.iter().find(|kind| kind.number == field.number);
            let is_number = matches!(field.number, schema::metric::GAUGE | schema::metric::SUM);
            let Some(kind) = known.filter(|_| !(is_number && of == Of::Family)) else {
                continue;
            };
            editor.inside(&field, |editor, data| {
                for point in data.all(schema::numbers::POINTS) {
                    let point = point?;
                    if is_postgres(point.message()?, kind.attributes, of)? {
                        labels(editor, &point, kind, queries)?;
                    }
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(())
    })
}

fn is_postgres(point: Message<'_>, attributes: u32, of: Of<'_>) -> Result<bool, Error> {
    let Of::Clients(named, systems) = of else {
        return Ok(true);
    };
    for attribute in point.all(attributes) {
        let read = KeyValue::read(attribute?.message()?)?;
        if is_system(read.key)
            && let Any::Text(system) = read.any()?
        {
            let mut systems = systems.iter();
            return Ok(systems.any(|known| known.as_bytes().eq_ignore_ascii_case(system)));
        }
    }
    Ok(named == Named::Postgres)
}

fn labels<'a>(
    editor: &mut Editor<'a>,
    point: &Field<'a>,
    kind: &Kind,
    queries: &mut Queries,
) -> Result<(), Error> {
    editor.inside(point, |editor, point| {
        for field in point.fields() {
            let field = field?;
            if field.number == kind.attributes {
                label(editor, &field, queries)?;
            } else if kind.exemplars == Some(field.number) {
                exemplar(editor, &field, queries)?;
            }
        }
        Ok(())
    })
}

/// Changes the attributes of an `Exemplar`.
pub(crate) fn exemplar<'a>(
    editor: &mut Editor<'a>,
    exemplar: &Field<'a>,
    queries: &mut Queries,
) -> Result<(), Error> {
    editor.inside(exemplar, |editor, message| {
        let mut filtered = message.all(FILTERED);
        filtered.try_for_each(|attribute| label(editor, &attribute?, queries))
    })
}

/// Takes the data out of an attribute, or the attribute out where it is nothing but data.
fn label<'a>(
    editor: &mut Editor<'a>,
    attribute: &Field<'a>,
    queries: &mut Queries,
) -> Result<(), Error> {
    let read = KeyValue::read(attribute.message()?)?;
    match queries.roles.of(read.key, read.any()?) {
        Role::Text | Role::Words => editor.inside(attribute, |editor, message| {
            let mut values = message.all(schema::key_value::VALUE);
            values.try_for_each(|value| {
                editor.change_texts(&value?, &mut |text| queries.redact(text))
            })
        }),
        Role::Data => {
            editor.remove(attribute);
            Ok(())
        }
        Role::Id | Role::Fingerprint | Role::Plain => Ok(()),
    }
}
