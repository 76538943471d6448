//! Writes into a metric what was decided for it: the receiver's names, and what is shown of queries.

use otlp_wire::{Any, Editor, Error, Field, KeyValue, Message, Value, schema};
use schema::number_data_point as point;

use super::labels;
use super::names::{COLLECTION, Kind, NAMESPACE, Names, Semantic, names};
use super::point::{Attribute, Point};
use super::queries::{FINGERPRINT, Fate, OTHER, Queries, Shown};
use super::roles::Role;

/// What is to become of a metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'c, 'a> {
    /// The name that takes the place of its own.
    pub(crate) semantic: Option<&'static Semantic>,
    /// For each of its points, or none if no point has a query.
    pub(crate) fates: &'c [Fate],
    pub(crate) points: &'c [Point<'a>],
}

/// Changes a metric where it stands. Points are counted as [`super::point::points`] lists them.
pub(crate) fn metric<'a>(
    editor: &mut Editor<'a>,
    metric: Message<'a>,
    change: Change<'_, 'a>,
    queries: &mut Queries,
) -> Result<(), Error> {
    let mut has_unit = false;
    let mut place = 0;
    for field in metric.fields() {
        let field = field?;
        match (field.number, change.semantic) {
            (schema::metric::NAME, Some(semantic)) => {
                editor.replace(&field, |new| new.text(schema::metric::NAME, semantic.name));
            }
            (schema::metric::UNIT, Some(semantic)) => {
                has_unit = true;
                editor.replace(&field, |new| new.text(schema::metric::UNIT, semantic.unit));
            }
            (schema::metric::GAUGE | schema::metric::SUM, _) => {
                numbers(editor, &field, (change, &mut place), queries)?;
            }
            _ => {}
        }
    }
    if let Some(semantic) = change.semantic.filter(|_| !has_unit) {
        editor.append(metric, |new| new.text(schema::metric::UNIT, semantic.unit));
    }
    Ok(())
}

/// Changes a `Gauge` or `Sum`; a gauge becomes a sum where the receiver has one.
fn numbers<'a>(
    editor: &mut Editor<'a>,
    field: &Field<'a>,
    (change, place): (Change<'_, 'a>, &mut usize),
    queries: &mut Queries,
) -> Result<(), Error> {
    let sum = change
        .semantic
        .filter(|it| field.number == schema::metric::GAUGE && it.kind != Kind::Gauge);
    if sum.is_some() {
        editor.renumber(field, schema::metric::SUM);
    }
    editor.inside(field, |editor, message| {
        for field in message.fields() {
            let field = field?;
            match field.number {
                schema::numbers::POINTS => {
                    one_point(editor, &field, (change, *place), queries)?;
                    *place = place.saturating_add(1);
                }
                // No gauge has such; a sum would, of another type perhaps.
                schema::numbers::TEMPORALITY | schema::numbers::IS_MONOTONIC if sum.is_some() => {
                    editor.remove(&field);
                }
                _ => {}
            }
        }
        if let Some(semantic) = sum {
            let monotonic = semantic.kind == Kind::Counter;
            editor.append(message, |new| {
                new.uint(schema::numbers::TEMPORALITY, schema::numbers::CUMULATIVE);
                new.uint(schema::numbers::IS_MONOTONIC, u64::from(monotonic));
            });
        }
        Ok::<_, Error>(())
    })
}

fn one_point<'a>(
    editor: &mut Editor<'a>,
    field: &Field<'a>,
    (change, place): (Change<'_, 'a>, usize),
    queries: &mut Queries,
) -> Result<(), Error> {
    let fate = change.fates.get(place);
    if fate.is_some_and(|fate| fate.gone) {
        editor.remove(field);
        return Ok(());
    }
    let Some(point) = change.points.get(place) else {
        return Ok(());
    };
    let shown = fate.map_or(&Shown::Nothing, |fate| &fate.shown);
    let total = fate.and_then(|fate| fate.total);
    let mut names = change.semantic.map(|_| Renamed::of(point));
    editor.inside(field, |editor, message| {
        let mut attributes = point.attributes.iter();
        for field in message.fields() {
            let field = field?;
            match field.number {
                point::ATTRIBUTES => {
                    if let Some(attribute) = attributes.next()
                        && !show(editor, attribute, shown, queries)?
                        && let Some(names) = &mut names
                    {
                        names.rename(editor, attribute)?;
                    }
                }
                point::EXEMPLARS => labels::exemplar(editor, &field, queries)?,
                point::AS_DOUBLE | point::AS_INT if total.is_some() => editor.remove(&field),
                _ => {}
            }
        }
        let adds = change.semantic.and_then(|semantic| semantic.adds);
        editor.append(message, |new| {
            match shown {
                Shown::Statement(said) => {
                    let fingerprint = said.fingerprint.to_string();
                    new.text_attribute(point::ATTRIBUTES, FINGERPRINT, &fingerprint);
                }
                Shown::Other => new.text_attribute(point::ATTRIBUTES, FINGERPRINT, OTHER),
                Shown::Text | Shown::Nothing => {}
            }
            if let Some(total) = total {
                total.write(new);
            }
            if let Some((key, value)) = adds {
                new.text_attribute(point::ATTRIBUTES, key, value);
            }
        });
        Ok(())
    })
}

/// Makes of an attribute what is shown of the point's query; `false` if it has nothing to do with it.
fn show<'a>(
    editor: &mut Editor<'a>,
    attribute: &Attribute<'a>,
    shown: &Shown,
    queries: &mut Queries,
) -> Result<bool, Error> {
    match (queries.roles.of(attribute.key, attribute.value), shown) {
        (Role::Data, _) => text(editor, attribute, "?")?,
        (Role::Words, _) => redact(editor, attribute, queries)?,
        (Role::Plain, _) | (_, Shown::Nothing) => return Ok(false),
        (Role::Text, Shown::Other) => text(editor, attribute, OTHER)?,
        (Role::Text, _) => redact(editor, attribute, queries)?,
        (Role::Id, Shown::Other) | (Role::Fingerprint, Shown::Other | Shown::Statement(_)) => {
            editor.remove(&attribute.field);
        }
        (Role::Id | Role::Fingerprint, _) => {}
    }
    Ok(true)
}

/// Gives an attribute a text for its value.
fn text<'a>(editor: &mut Editor<'a>, attribute: &Attribute<'a>, value: &str) -> Result<(), Error> {
    editor.inside(&attribute.field, |editor, message| {
        for field in message.all(schema::key_value::VALUE) {
            editor.set_any_text(&field?, value)?;
        }
        Ok(())
    })
}

fn redact<'a>(
    editor: &mut Editor<'a>,
    attribute: &Attribute<'a>,
    queries: &mut Queries,
) -> Result<(), Error> {
    editor.inside(&attribute.field, |editor, message| {
        for field in message.all(schema::key_value::VALUE) {
            editor.change_texts(&field?, &mut |text| queries.redact(text))?;
        }
        Ok(())
    })
}

/// Attributes of a point under the names that the receiver has for them: database and schema in one.
struct Renamed {
    namespace: Option<String>,
    /// By name: whether an attribute has it already.
    taken: [bool; 3],
}

impl Renamed {
    fn of(point: &Point<'_>) -> Self {
        Self {
            namespace: namespace(point),
            taken: [false; 3],
        }
    }

    fn rename<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        attribute: &Attribute<'a>,
    ) -> Result<(), Error> {
        let (slot, name) = match names(attribute.key) {
            Some(Names::Database | Names::Schema) => (0, NAMESPACE),
            Some(Names::Table) => (1, COLLECTION),
            Some(Names::Replica) => (2, "replication_client"),
            Some(Names::Server) | None => return Ok(()),
        };
        let Some(taken) = self.taken.get_mut(slot) else {
            return Ok(());
        };
        if std::mem::replace(taken, true) {
            editor.remove(&attribute.field);
            return Ok(());
        }
        editor.inside(&attribute.field, |editor, message| {
            for field in message.fields() {
                let field = field?;
                match (field.number, &self.namespace) {
                    (schema::key_value::KEY, _) => {
                        editor.replace(&field, |new| new.text(schema::key_value::KEY, name));
                    }
                    (schema::key_value::VALUE, Some(namespace)) if slot == 0 => {
                        editor.set_any_text(&field, namespace)?;
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }
}

/// `{database}|{schema}`, of a point that has both.
fn namespace(point: &Point<'_>) -> Option<String> {
    let named = |wanted| {
        let mut attributes = point.attributes.iter();
        let found = attributes.find(|attribute| names(attribute.key) == Some(wanted));
        found.and_then(|attribute| attribute.value.text())
    };
    Some(format!(
        "{}|{}",
        named(Names::Database)?,
        named(Names::Schema)?
    ))
}

/// What is left of a metric of which not even the points can be found: its name, if it has one.
pub(crate) fn replace<'a>(editor: &mut Editor<'a>, metric: &Field<'a>, error: Error) {
    editor.replace(metric, |new| {
        new.message(schema::scope::ITEMS, |new| {
            let fields = metric.message().map(Message::fields);
            let mut fields = fields.into_iter().flatten().flatten();
            let name = fields.find(|field| field.number == schema::metric::NAME);
            let name = name.and_then(|name| std::str::from_utf8(name.bytes().ok()?).ok());
            if let Some(name) = name {
                new.text(schema::metric::NAME, name);
            }
            let reason = error.to_string();
            new.text_attribute(schema::metric::METADATA, super::ERROR, &reason);
        });
    });
}

/// What is left of a metric that cannot be read: points without attributes that may hold data, and no
/// point that cannot be read at all.
pub(crate) fn strip<'a>(
    editor: &mut Editor<'a>,
    metric: Message<'a>,
    error: Error,
    queries: &mut Queries,
) -> Result<(), Error> {
    let reason = error.to_string();
    let mut says_why = false;
    for field in metric.fields() {
        let field = field?;
        match field.number {
            schema::metric::GAUGE | schema::metric::SUM => {}
            schema::metric::HISTOGRAM
            | schema::metric::EXPONENTIAL_HISTOGRAM
            | schema::metric::SUMMARY => {
                editor.remove(&field);
                continue;
            }
            _ => continue,
        }
        let mark = editor.mark();
        let stripped = editor.inside(&field, |editor, message| {
            for field in message.fields() {
                let field = field?;
                match field.number {
                    schema::numbers::POINTS => {
                        says_why |= strip_point(editor, &field, &reason, queries);
                    }
                    schema::numbers::TEMPORALITY | schema::numbers::IS_MONOTONIC
                        if !matches!(field.value(), Value::Varint(_)) =>
                    {
                        editor.remove(&field);
                    }
                    _ => {}
                }
            }
            Ok::<_, Error>(())
        });
        if stripped.is_err() {
            editor.roll_back(mark);
            editor.remove(&field);
            says_why = false;
        }
    }
    if !says_why {
        editor.append(metric, |new| {
            new.text_attribute(schema::metric::METADATA, super::ERROR, &reason);
        });
    }
    Ok(())
}

/// Whether anything is left of the point.
fn strip_point<'a>(
    editor: &mut Editor<'a>,
    field: &Field<'a>,
    reason: &str,
    queries: &mut Queries,
) -> bool {
    let mark = editor.mark();
    let stripped = editor.inside(field, |editor, message| {
        for field in message.fields() {
            let field = field?;
            let is_harmless = match field.number {
                point::ATTRIBUTES => is_harmless(&field, queries),
                point::START_TIME | point::TIME | point::AS_DOUBLE | point::AS_INT => {
                    field.number_value().is_ok()
                }
                point::FLAGS => field.number_value().is_ok(),
                point::EXEMPLARS => false,
                _ => true,
            };
            if !is_harmless {
                editor.remove(&field);
            }
        }
        editor.append(message, |new| {
            new.text_attribute(point::ATTRIBUTES, super::ERROR, reason);
        });
        Ok::<_, Error>(())
    });
    if stripped.is_err() {
        editor.roll_back(mark);
        editor.remove(field);
    }
    stripped.is_ok()
}

fn is_harmless(attribute: &Field<'_>, queries: &mut Queries) -> bool {
    let read = attribute.message().and_then(KeyValue::read);
    read.is_ok_and(|read| {
        let value = match read.any() {
            Ok(value @ (Any::Text(_) | Any::Int(_) | Any::Bool(_) | Any::Double(_))) => value,
            _ => return false,
        };
        let role = queries.roles.of(read.key, value);
        matches!(role, Role::Plain | Role::Id)
    })
}
