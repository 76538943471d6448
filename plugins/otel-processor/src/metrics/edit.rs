//! Writes into a metric what was decided for it: the receiver's names, and what is shown of queries.

use otlp_wire::{Any, Editor, Error, Field, KeyValue, Message, schema};
use schema::number_data_point as point;

use super::names::{COLLECTION, Kind, NAMESPACE, Names, Semantic, names};
use super::point::{Attribute, Point, numbers};
use super::queries::{FINGERPRINT, Fate, OTHER, Queries, Role, Shown};

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
    if let Some(semantic) = change.semantic {
        rename(editor, metric, semantic)?;
    }
    let mut place = 0;
    for field in numbers(metric) {
        let field = field?;
        let becomes_sum = change.semantic.is_some_and(|semantic| {
            field.number == schema::metric::GAUGE && semantic.kind != Kind::Gauge
        });
        if becomes_sum {
            editor.renumber(&field, schema::metric::SUM);
        }
        editor.inside(&field, |editor, message| {
            for field in message.fields() {
                let field = field?;
                match field.number {
                    schema::numbers::POINTS => {
                        one_point(editor, &field, (change, place), queries)?;
                        place = usize::saturating_add(place, 1);
                    }
                    // No gauge has such; a sum would, of another type perhaps.
                    schema::numbers::TEMPORALITY | schema::numbers::IS_MONOTONIC if becomes_sum => {
                        editor.remove(&field);
                    }
                    _ => {}
                }
            }
            if becomes_sum {
                let monotonic = change
                    .semantic
                    .is_some_and(|semantic| semantic.kind == Kind::Counter);
                editor.append(message, |new| {
                    new.uint(schema::numbers::TEMPORALITY, schema::numbers::CUMULATIVE);
                    new.uint(schema::numbers::IS_MONOTONIC, u64::from(monotonic));
                });
            }
            Ok::<_, Error>(())
        })?;
    }
    Ok(())
}

fn rename<'a>(
    editor: &mut Editor<'a>,
    metric: Message<'a>,
    semantic: &Semantic,
) -> Result<(), Error> {
    let mut has_unit = false;
    for field in metric.fields() {
        let field = field?;
        match field.number {
            schema::metric::NAME => {
                editor.replace(&field, |new| new.text(schema::metric::NAME, semantic.name));
            }
            schema::metric::UNIT => {
                has_unit = true;
                editor.replace(&field, |new| new.text(schema::metric::UNIT, semantic.unit));
            }
            _ => {}
        }
    }
    if !has_unit {
        editor.append(metric, |new| new.text(schema::metric::UNIT, semantic.unit));
    }
    Ok(())
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
    editor.inside(field, |editor, message| {
        if let Some(fate) = fate {
            show(editor, message, (point, fate), queries)?;
        }
        if let Some(semantic) = change.semantic {
            let fate = fate.map(|fate| &fate.shown);
            rename_attributes(editor, (message, point), semantic, |key| {
                !is_shown(queries.role(key), fate)
            })?;
        }
        Ok(())
    })
}

/// Whether [`show`] has handled an attribute.
fn is_shown(role: Role, shown: Option<&Shown>) -> bool {
    match shown {
        None | Some(Shown::Nothing) => false,
        Some(_) => role != Role::Plain,
    }
}

/// Gives a point what is shown of its query, and the value of all that became like it.
fn show<'a>(
    editor: &mut Editor<'a>,
    message: Message<'a>,
    (point, fate): (&Point<'a>, &Fate),
    queries: &mut Queries,
) -> Result<(), Error> {
    if matches!(fate.shown, Shown::Nothing) {
        return Ok(());
    }
    for attribute in &point.attributes {
        match (queries.role(attribute.key), &fate.shown) {
            (Role::Text, Shown::Other) => text(editor, attribute, OTHER)?,
            (Role::Text, _) => redact(editor, attribute, queries)?,
            (Role::Id, Shown::Other) | (Role::Fingerprint, _) => editor.remove(&attribute.field),
            _ => {}
        }
    }
    let fingerprint = match &fate.shown {
        Shown::Statement(said) => Some(said.fingerprint.to_string()),
        Shown::Other => Some(OTHER.to_owned()),
        Shown::Text | Shown::Nothing => None,
    };
    if let Some(fingerprint) = fingerprint {
        editor.append(message, |new| {
            new.text_attribute(point::ATTRIBUTES, FINGERPRINT, &fingerprint);
        });
    }
    if let Some(total) = fate.total {
        for field in message.fields() {
            let field = field?;
            if matches!(field.number, point::AS_DOUBLE | point::AS_INT) {
                editor.remove(&field);
            }
        }
        editor.append(message, |new| total.write(new));
    }
    Ok(())
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

/// Gives the attributes of a point that `may` be touched the names that the receiver has for them:
/// database and schema in one.
fn rename_attributes<'a>(
    editor: &mut Editor<'a>,
    (message, point): (Message<'a>, &Point<'a>),
    semantic: &Semantic,
    may: impl Fn(&[u8]) -> bool,
) -> Result<(), Error> {
    let mut taken = [false; 4];
    let namespace = namespace(point);
    for attribute in point.attributes.iter().filter(|it| may(it.key)) {
        let Some(names) = names(attribute.key) else {
            continue;
        };
        let (slot, name) = match names {
            Names::Database | Names::Schema => (0, NAMESPACE),
            Names::Table => (1, COLLECTION),
            Names::Index => (2, "postgresql.index.name"),
            Names::Replica => (3, "replication_client"),
            Names::Server => continue,
        };
        let Some(taken) = taken.get_mut(slot) else {
            continue;
        };
        if std::mem::replace(taken, true) {
            editor.remove(&attribute.field);
            continue;
        }
        editor.inside(&attribute.field, |editor, message| {
            for field in message.fields() {
                let field = field?;
                match (field.number, &namespace) {
                    (schema::key_value::KEY, _) => {
                        editor.replace(&field, |new| new.text(schema::key_value::KEY, name));
                    }
                    (schema::key_value::VALUE, Some(namespace)) if slot == 0 => {
                        editor.set_any_text(&field, namespace)?;
                    }
                    _ => {}
                }
            }
            Ok::<_, Error>(())
        })?;
    }
    if let Some((key, value)) = semantic.adds {
        editor.append(message, |new| {
            new.text_attribute(point::ATTRIBUTES, key, value);
        });
    }
    Ok(())
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

/// What is left of a metric that cannot be read: points without attributes that may hold data, and no
/// point that cannot be read at all.
pub(crate) fn strip<'a>(
    editor: &mut Editor<'a>,
    metric: Message<'a>,
    error: Error,
    queries: &Queries,
) -> Result<(), Error> {
    let reason = error.to_string();
    let mut says_why = false;
    for field in numbers(metric) {
        let field = field?;
        let mark = editor.mark();
        let stripped = editor.inside(&field, |editor, message| {
            for field in message.all(schema::numbers::POINTS) {
                says_why |= strip_point(editor, &field?, &reason, queries);
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
    queries: &Queries,
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

fn is_harmless(attribute: &Field<'_>, queries: &Queries) -> bool {
    let read = attribute.message().and_then(KeyValue::read);
    read.is_ok_and(|read| {
        let plain = matches!(queries.role(read.key), Role::Plain | Role::Id);
        plain
            && matches!(
                read.any(),
                Ok(Any::Text(_) | Any::Int(_) | Any::Bool(_) | Any::Double(_))
            )
    })
}
