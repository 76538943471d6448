//! Metrics of PostgreSQL: which they are, and what becomes of them.
//!
//! ```text
//!  metric of a family -> point (what its points say) -+-> queries (texts, fingerprints, who is `other`) -+-> edit
//!                                                     |   names (what the receiver calls it) ------------+
//!                                                     +-> inputs, counters (rates) -> derived (gauges)
//! ```
//!
//! A batch is walked once. Of a metric of no family only the name is read; of histograms, exponential
//! histograms, summaries and exemplars, and of what instrumented clients measure, the labels alone may
//! change (`labels`).

pub(crate) mod config;
mod counters;
mod derived;
mod edit;
mod inputs;
mod labels;
mod names;
mod point;
mod queries;
mod roles;
mod source;
#[cfg(test)]
mod tables;

use std::borrow::Cow;

use otlp_wire::{Editor, Field, Message, Writer, schema};

use crate::Error;
use crate::bounded::Bounded;
use crate::traces::Traces;
use crate::traces::around::{Named, RESOURCE, SCOPE};
use config::Unify;
use counters::Counters;
use derived::Gathered;
use edit::Change;
use labels::Of;
use names::Semantic;
use queries::{Fate, Queries};
use source::Source;

/// Servers that are remembered.
const MOST_SERVERS: usize = 4096;

/// Why a metric was not handled.
const ERROR: &str = "pgmesh.error";

/// Handles batches of metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    queries: Queries,
    counters: Counters,
    /// Servers whose gauges another processor in front of this one computes.
    derived_before: Bounded<u64>,
    config: config::Metrics,
    /// What PostgreSQL is called where a client names it.
    systems: Vec<String>,
}

/// What is around a metric.
struct Around<'a> {
    scope: Message<'a>,
    source: Source<'a>,
    /// The system that is named there.
    named: Named,
}

impl Metrics {
    pub(crate) fn new(config: config::Metrics, systems: Vec<String>) -> Self {
        Self {
            queries: Queries::new(config.query_attributes.clone(), config.max_queries),
            counters: Counters::new(),
            derived_before: Bounded::new(MOST_SERVERS),
            config,
            systems,
        }
    }

    pub(crate) fn process<'a>(
        &mut self,
        batch: &'a [u8],
        room: &mut Vec<u8>,
        traces: &mut Traces,
    ) -> Result<Cow<'a, [u8]>, Error> {
        if !self.config.enabled {
            return Ok(Cow::Borrowed(batch));
        }
        let mut editor = Editor::with_room(batch, std::mem::take(room));
        let mut gathered = Gathered::new();
        for resource in editor.batch().all(schema::RESOURCES) {
            editor.inside(&resource?, |editor, message| {
                let source = Source::of(message);
                let named = traces.named_in(message, schema::resource::RESOURCE, &RESOURCE);
                for field in message.fields() {
                    let field = field?;
                    match field.number {
                        schema::resource::RESOURCE => {
                            traces.around(editor, &field, (&RESOURCE, named));
                        }
                        schema::resource::SCOPES => editor.inside(&field, |editor, scope| {
                            let inner = traces.named_in(scope, schema::scope::SCOPE, &SCOPE);
                            let around = Around {
                                scope,
                                source,
                                named: inner.or(named),
                            };
                            self.scope(editor, &around, (&mut gathered, traces))
                        })?,
                        _ => {}
                    }
                }
                Ok::<_, Error>(())
            })?;
        }
        let known = &self.derived_before;
        gathered.write(&mut editor, |server| known.get(server).is_none(), traces);
        let (handled, unused) = editor.finish_with_room();
        *room = unused;
        Ok(handled)
    }

    fn scope<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        around: &Around<'a>,
        (gathered, traces): (&mut Gathered<'a>, &mut Traces),
    ) -> Result<(), Error> {
        if is_our_own(around.scope)? {
            self.derived_before.set(around.source.server, 1);
        }
        let mut copies = Vec::new();
        for field in around.scope.fields() {
            let field = field?;
            match field.number {
                schema::scope::ITEMS => {}
                schema::scope::SCOPE => {
                    traces.around(editor, &field, (&SCOPE, around.named));
                    continue;
                }
                _ => continue,
            }
            let mark = editor.mark();
            let edited = self.item(editor, &field, around, (gathered, &mut copies));
            if let Err(Error::Malformed(error)) = edited {
                editor.roll_back(mark);
                edit::replace(editor, &field, error);
            }
        }
        editor.append(around.scope, |new| new.fields(&copies));
        Ok(())
    }

    /// Handles a metric, whosever it is.
    fn item<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        around: &Around<'a>,
        gathered: (&mut Gathered<'a>, &mut Vec<u8>),
    ) -> Result<(), Error> {
        let Some(name) = field.message()?.find(schema::metric::NAME)? else {
            return Ok(());
        };
        let name = name.bytes()?;
        if self.is_of_a_family(name) {
            return self.metric(editor, field, (name, around), gathered);
        }
        match labels::is_of_clients(name) {
            true => Ok(labels::metric(
                editor,
                field,
                Of::Clients(around.named, &self.systems),
                &mut self.queries,
            )?),
            false => Ok(()),
        }
    }

    fn is_of_a_family(&self, name: &[u8]) -> bool {
        let mut prefixes = self.config.prefixes.iter();
        prefixes.any(|prefix| name.starts_with(prefix.as_bytes()))
    }

    /// Handles a metric. If something in it cannot be read, its sensitive parts are taken out.
    fn metric<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        (name, around): (&[u8], &Around<'a>),
        (gathered, copies): (&mut Gathered<'a>, &mut Vec<u8>),
    ) -> Result<(), Error> {
        let mark = editor.mark();
        let copied = copies.len();
        let edited = self.edit(editor, field, (name, around), (gathered, copies));
        if let Err(Error::Malformed(error)) = edited {
            editor.roll_back(mark);
            copies.truncate(copied);
            let queries = &mut self.queries;
            editor.inside(field, |editor, metric| {
                edit::strip(editor, metric, error, queries)
            })?;
        }
        Ok(())
    }

    fn edit<'a>(
        &mut self,
        editor: &mut Editor<'a>,
        field: &Field<'a>,
        (name, around): (&[u8], &Around<'a>),
        (gathered, copies): (&mut Gathered<'a>, &mut Vec<u8>),
    ) -> Result<(), Error> {
        let points = point::points(field.message()?)?;
        if points.is_empty() {
            return Ok(labels::metric(
                editor,
                field,
                Of::Family,
                &mut self.queries,
            )?);
        }
        if self.config.derive {
            gathered.metric(name, &points, &around.source, &mut self.counters);
        }
        let fates = self.queries.fates(around.source.server, name, &points);
        let semantic = match self.config.unify {
            Unify::Off => None,
            Unify::Rename | Unify::Duplicate => names::semantic(name),
        };
        let change = Change {
            semantic: semantic
                .as_ref()
                .filter(|_| self.config.unify == Unify::Rename),
            fates: &fates,
            points: &points,
        };
        let has_exemplars = points.iter().any(|point| point.has_exemplars);
        if change.semantic.is_some() || !fates.is_empty() || has_exemplars {
            editor.inside(field, |editor, metric| {
                edit::metric(editor, metric, change, &mut self.queries)
            })?;
        }
        match semantic.filter(|_| self.config.unify == Unify::Duplicate) {
            Some(semantic) => {
                let known = subjects(around.scope, semantic.name)?;
                self.duplicate(field.message()?, (&semantic, fates, &known), copies)
            }
            None => Ok(()),
        }
    }

    /// Adds a metric to the `copies`, under the receiver's name, but for what is `known` under it.
    fn duplicate(
        &mut self,
        metric: Message<'_>,
        (semantic, mut fates, known): (&Semantic, Vec<Fate>, &Bounded<u64>),
        copies: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut copy = Editor::new(metric.bytes());
        let message = copy.batch();
        let points = point::points(message)?;
        fates.resize_with(points.len(), Fate::default);
        for (fate, point) in fates.iter_mut().zip(&points) {
            fate.gone |= known.get(edit::subject(point, semantic.adds)).is_some();
        }
        if fates.iter().all(|fate| fate.gone) {
            return Ok(());
        }
        let change = Change {
            semantic: Some(semantic),
            fates: &fates,
            points: &points,
        };
        edit::metric(&mut copy, message, change, &mut self.queries)?;
        Writer::new(copies).bytes(schema::scope::ITEMS, &copy.finish());
        Ok(())
    }
}

/// Whether the metrics of a scope are gauges that a processor like this has computed.
fn is_our_own(scope: Message<'_>) -> Result<bool, Error> {
    let Some(scope) = scope.find(schema::scope::SCOPE)? else {
        return Ok(false);
    };
    let name = scope.message()?.find(schema::scope::NAME)?;
    let name = name.map(|name| name.bytes()).transpose()?;
    Ok(name == Some(derived::SCOPE.as_bytes()))
}

/// What the metrics of a scope tell of under this name.
fn subjects(scope: Message<'_>, wanted: &str) -> Result<Bounded<u64>, Error> {
    let mut known = Bounded::new(usize::MAX);
    for field in scope.all(schema::scope::ITEMS) {
        let metric = field?.message()?;
        let name = metric.find(schema::metric::NAME)?;
        if name.map(|name| name.bytes()).transpose()? == Some(wanted.as_bytes()) {
            for point in point::points(metric).unwrap_or_default() {
                known.set(edit::subject(&point, None), 1);
            }
        }
    }
    Ok(known)
}
