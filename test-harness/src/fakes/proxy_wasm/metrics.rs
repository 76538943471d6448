//! What a module has told its host to count, kept by name as Envoy keeps it.

use std::collections::BTreeMap;

use super::abi::Status;
use crate::hosts::samples::{Sample, Samples};

/// The kind of a metric (`proxy_metric_type_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Takes samples.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name as the module defined it, labels encoded.
    pub name: String,
    /// As the module defined it.
    pub kind: MetricKind,
    /// What it stands at; of a histogram, the sum of its samples.
    pub value: i64,
    /// The samples of a histogram, in their order.
    pub recorded: Vec<u64>,
}

/// All metrics of a VM. A metric's id is its place, from 1 on.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    all: Vec<Metric>,
    ids: BTreeMap<(u32, String), u32>,
}

impl Metrics {
    /// Defining a name again gives the same metric.
    pub(super) fn define(&mut self, kind_number: u32, name: String) -> Result<u32, Status> {
        let kind = match kind_number {
            0 => MetricKind::Counter,
            1 => MetricKind::Gauge,
            2 => MetricKind::Histogram,
            _ => return Err(Status::BadArgument),
        };
        let next = u32::try_from(self.all.len() + 1).expect("few metrics");
        let id = *self.ids.entry((kind_number, name.clone())).or_insert(next);
        if id == next {
            self.all.push(Metric {
                name,
                kind,
                value: 0,
                recorded: Vec::new(),
            });
        }
        Ok(id)
    }

    /// Envoy refuses to add nothing or less to a counter, and to add to a histogram at all.
    pub(super) fn increment(&mut self, id: u32, offset: i64) -> Result<(), Status> {
        let metric = self.find(id)?;
        match metric.kind {
            MetricKind::Counter if offset > 0 => metric.value += offset,
            MetricKind::Gauge => metric.value += offset,
            _ => return Err(Status::BadArgument),
        }
        Ok(())
    }

    /// As Envoy: adds to a counter, sets a gauge, gives a histogram a sample.
    pub(super) fn record(&mut self, id: u32, value: u64) -> Result<(), Status> {
        let metric = self.find(id)?;
        let signed = i64::try_from(value).map_err(|_| Status::BadArgument)?;
        match metric.kind {
            MetricKind::Counter => metric.value += signed,
            MetricKind::Gauge => metric.value = signed,
            MetricKind::Histogram => {
                metric.recorded.push(value);
                metric.value += signed;
            }
        }
        Ok(())
    }

    pub(super) fn get(&mut self, id: u32) -> Result<u64, Status> {
        let metric = self.find(id)?;
        match metric.kind {
            MetricKind::Histogram => Err(Status::BadArgument),
            _ => Ok(metric.value.cast_unsigned()),
        }
    }

    pub(super) fn all(&self) -> &[Metric] {
        &self.all
    }

    fn find(&mut self, id: u32) -> Result<&mut Metric, Status> {
        let index = (id as usize).checked_sub(1).ok_or(Status::BadArgument)?;
        self.all.get_mut(index).ok_or(Status::NotFound)
    }

    /// The metrics as a scrape of a real Envoy with our `stats_tags` gives them: labels taken out
    /// of the name (`name.label=.=value;.;label=.=value;.;`).
    pub(super) fn samples(&self) -> Samples {
        self.all.iter().flat_map(samples_of).collect()
    }
}

fn samples_of(metric: &Metric) -> Vec<Sample> {
    let (name, labels) = labels_out_of(&metric.name);
    let sample = |suffix: &str, value: f64| Sample {
        name: format!("{name}{suffix}"),
        labels: labels.clone(),
        value,
    };
    match metric.kind {
        MetricKind::Counter | MetricKind::Gauge => vec![sample("", metric.value as f64)],
        MetricKind::Histogram => vec![
            sample("_sum", metric.value as f64),
            sample("_count", metric.recorded.len() as f64),
        ],
    }
}

fn labels_out_of(encoded: &str) -> (String, BTreeMap<String, String>) {
    let mut labels = BTreeMap::new();
    let mut parts = encoded.split(";.;");
    let mut name = parts.next().unwrap_or_default();
    let mut pair = None;
    if let Some((before_value, value)) = name.split_once("=.=") {
        let (family, label) = before_value.rsplit_once('.').unwrap_or(("", before_value));
        name = family;
        pair = Some((label, value));
    }
    let rest = parts.filter_map(|part| part.split_once("=.="));
    labels.extend(
        pair.into_iter()
            .chain(rest)
            .map(|(label, value)| (label.into(), value.into())),
    );
    (name.replace('.', "_"), labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_taken_out_of_the_name() {
        let (name, labels) = labels_out_of("pgmesh_rows_total.database=.=app;.;user=.=bob;.;");
        assert_eq!(name, "pgmesh_rows_total");
        assert_eq!(
            labels
                .iter()
                .map(|(label, value)| format!("{label}:{value}"))
                .collect::<Vec<_>>(),
            ["database:app", "user:bob"]
        );
        assert_eq!(
            labels_out_of("plain.name"),
            ("plain_name".to_owned(), BTreeMap::new())
        );
    }

    #[test]
    fn a_counter_never_goes_down_and_a_name_is_defined_once() {
        let mut metrics = Metrics::default();
        let id = metrics.define(0, "a".to_owned()).unwrap();
        assert_eq!(metrics.define(0, "a".to_owned()), Ok(id));
        assert_eq!(metrics.increment(id, 3), Ok(()));
        assert_eq!(metrics.increment(id, 0), Err(Status::BadArgument));
        assert_eq!(metrics.increment(id, -1), Err(Status::BadArgument));
        assert_eq!(metrics.get(id), Ok(3));
        assert_eq!(metrics.get(id + 1), Err(Status::NotFound));
    }
}
