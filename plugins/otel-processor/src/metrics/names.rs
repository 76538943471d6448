//! What exporters call the things that the Collector's `postgresqlreceiver` has a name for.
//!
//! A row is only where both mean the same number in the same unit; where the receiver tells by an
//! attribute what an exporter tells by the name, the row adds that attribute.
//!
//! Sources: the receiver's `metadata.yaml` (0.156); `collector/*.go` of postgres_exporter (0.11 to 0.19);
//! CloudNativePG's `config/manager/default-monitoring.yaml` (1.28), whose exporter puts `cnpg_` in front;
//! pgMonitor's `sql_exporter/common/*.yml` (5.3) and `exporter/postgres/*.yml` (4.x).

/// What kind of number it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `Gauge`.
    Gauge,
    /// `Sum` that only grows.
    Counter,
    /// `Sum` that grows and shrinks.
    UpDown,
}

/// The receiver's name for what others call otherwise.
#[derive(Debug)]
pub(crate) struct Semantic {
    pub(crate) name: &'static str,
    /// By UCUM.
    pub(crate) unit: &'static str,
    pub(crate) kind: Kind,
    /// An attribute that the receiver tells it by.
    pub(crate) adds: Option<(&'static str, &'static str)>,
    /// What others call it: view and column, without the family's prefix and `_total`.
    pub(crate) columns: &'static [&'static str],
}

type Columns = &'static [&'static str];

const fn counter(name: &'static str, unit: &'static str, columns: Columns) -> Semantic {
    Semantic {
        name,
        unit,
        kind: Kind::Counter,
        adds: None,
        columns,
    }
}

impl Semantic {
    const fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    const fn with(mut self, key: &'static str, value: &'static str) -> Self {
        self.adds = Some((key, value));
        self
    }
}

/// What the families put in front of the names of views and columns.
const FAMILIES: [&[u8]; 3] = [b"pg_", b"cnpg_pg_", b"ccp_"];

pub(crate) const SEMANTICS: [Semantic; 51] = [
    counter("postgresql.backends", "1", &["stat_database_numbackends"]).of(Kind::UpDown),
    counter(
        "postgresql.bgwriter.buffers.allocated",
        "{buffers}",
        &["stat_bgwriter_buffers_alloc"],
    ),
    counter(
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        &["stat_bgwriter_buffers_backend"],
    )
    .with("source", "backend"),
    counter(
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        &["stat_bgwriter_buffers_backend_fsync"],
    )
    .with("source", "backend_fsync"),
    counter(
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        &["stat_bgwriter_buffers_checkpoint"],
    )
    .with("source", "checkpoints"),
    counter(
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        &["stat_checkpointer_buffers_written"],
    )
    .with("source", "checkpoints"),
    counter(
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        &["stat_bgwriter_buffers_clean"],
    )
    .with("source", "bgwriter"),
    counter(
        "postgresql.bgwriter.checkpoint.count",
        "{checkpoints}",
        &["stat_bgwriter_checkpoints_req"],
    )
    .with("type", "requested"),
    counter(
        "postgresql.bgwriter.checkpoint.count",
        "{checkpoints}",
        &[
            "stat_checkpointer_num_requested",
            "stat_checkpointer_checkpoints_req",
        ],
    )
    .with("type", "requested"),
    counter(
        "postgresql.bgwriter.checkpoint.count",
        "{checkpoints}",
        &["stat_bgwriter_checkpoints_timed"],
    )
    .with("type", "scheduled"),
    counter(
        "postgresql.bgwriter.checkpoint.count",
        "{checkpoints}",
        &[
            "stat_checkpointer_num_timed",
            "stat_checkpointer_checkpoints_timed",
        ],
    )
    .with("type", "scheduled"),
    counter(
        "postgresql.bgwriter.duration",
        "ms",
        &["stat_bgwriter_checkpoint_sync_time"],
    )
    .with("type", "sync"),
    counter(
        "postgresql.bgwriter.duration",
        "ms",
        &["stat_checkpointer_sync_time"],
    )
    .with("type", "sync"),
    counter(
        "postgresql.bgwriter.duration",
        "ms",
        &["stat_bgwriter_checkpoint_write_time"],
    )
    .with("type", "write"),
    counter(
        "postgresql.bgwriter.duration",
        "ms",
        &["stat_checkpointer_write_time"],
    )
    .with("type", "write"),
    counter(
        "postgresql.bgwriter.maxwritten",
        "1",
        &["stat_bgwriter_maxwritten_clean"],
    ),
    counter(
        "postgresql.blks_hit",
        "{blks_hit}",
        &["stat_database_blks_hit"],
    ),
    counter(
        "postgresql.blks_read",
        "{blks_read}",
        &["stat_database_blks_read"],
    ),
    counter(
        "postgresql.blocks_read",
        "1",
        &["statio_user_tables_heap_blocks_hit"],
    )
    .with("source", "heap_hit"),
    counter(
        "postgresql.blocks_read",
        "1",
        &["statio_user_tables_heap_blocks_read"],
    )
    .with("source", "heap_read"),
    counter(
        "postgresql.blocks_read",
        "1",
        &["statio_user_tables_idx_blocks_hit"],
    )
    .with("source", "idx_hit"),
    counter(
        "postgresql.blocks_read",
        "1",
        &["statio_user_tables_idx_blocks_read"],
    )
    .with("source", "idx_read"),
    counter(
        "postgresql.blocks_read",
        "1",
        &["statio_user_tables_tidx_blocks_hit"],
    )
    .with("source", "tidx_hit"),
    counter(
        "postgresql.blocks_read",
        "1",
        &["statio_user_tables_tidx_blocks_read"],
    )
    .with("source", "tidx_read"),
    counter(
        "postgresql.blocks_read",
        "1",
        &["statio_user_tables_toast_blocks_hit"],
    )
    .with("source", "toast_hit"),
    counter(
        "postgresql.blocks_read",
        "1",
        &["statio_user_tables_toast_blocks_read"],
    )
    .with("source", "toast_read"),
    counter("postgresql.commits", "1", &["stat_database_xact_commit"]),
    counter(
        "postgresql.connection.max",
        "{connections}",
        &[
            "settings_max_connections",
            "connection_stats_max_connections",
        ],
    )
    .of(Kind::Gauge),
    counter("postgresql.db_size", "By", &["database_size_bytes"]).of(Kind::UpDown),
    counter(
        "postgresql.deadlocks",
        "{deadlock}",
        &["stat_database_deadlocks"],
    ),
    counter(
        "postgresql.operations",
        "1",
        &["stat_user_tables_n_tup_del"],
    )
    .with("operation", "del"),
    counter(
        "postgresql.operations",
        "1",
        &["stat_user_tables_n_tup_hot_upd"],
    )
    .with("operation", "hot_upd"),
    counter(
        "postgresql.operations",
        "1",
        &["stat_user_tables_n_tup_ins"],
    )
    .with("operation", "ins"),
    counter(
        "postgresql.operations",
        "1",
        &["stat_user_tables_n_tup_upd"],
    )
    .with("operation", "upd"),
    counter(
        "postgresql.query.conflicts",
        "{query}",
        &["stat_database_conflicts"],
    ),
    counter(
        "postgresql.replication.data_delay",
        "By",
        &[
            "stat_replication_pg_wal_lsn_diff",
            "stat_replication_replay_diff_bytes",
        ],
    )
    .of(Kind::Gauge),
    counter(
        "postgresql.rollbacks",
        "1",
        &["stat_database_xact_rollback"],
    ),
    counter("postgresql.rows", "1", &["stat_user_tables_n_dead_tup"])
        .of(Kind::UpDown)
        .with("state", "dead"),
    counter("postgresql.rows", "1", &["stat_user_tables_n_live_tup"])
        .of(Kind::UpDown)
        .with("state", "live"),
    counter(
        "postgresql.sequential_scans",
        "{sequential_scan}",
        &["stat_user_tables_seq_scan"],
    ),
    counter(
        "postgresql.table.vacuum.count",
        "{vacuum}",
        &["stat_user_tables_vacuum_count"],
    ),
    counter("postgresql.temp.io", "By", &["stat_database_temp_bytes"]),
    counter(
        "postgresql.temp_files",
        "{temp_file}",
        &["stat_database_temp_files"],
    ),
    counter(
        "postgresql.tup_deleted",
        "{tup_deleted}",
        &["stat_database_tup_deleted"],
    ),
    counter(
        "postgresql.tup_fetched",
        "{tup_fetched}",
        &["stat_database_tup_fetched"],
    ),
    counter(
        "postgresql.tup_inserted",
        "{tup_inserted}",
        &["stat_database_tup_inserted"],
    ),
    counter(
        "postgresql.tup_returned",
        "{tup_returned}",
        &["stat_database_tup_returned"],
    ),
    counter(
        "postgresql.tup_updated",
        "{tup_updated}",
        &["stat_database_tup_updated"],
    ),
    counter(
        "postgresql.wal.delay",
        "s",
        &["stat_replication_flush_lag_seconds"],
    )
    .of(Kind::Gauge)
    .with("operation", "flush"),
    counter(
        "postgresql.wal.delay",
        "s",
        &["stat_replication_replay_lag_seconds"],
    )
    .of(Kind::Gauge)
    .with("operation", "replay"),
    counter(
        "postgresql.wal.delay",
        "s",
        &["stat_replication_write_lag_seconds"],
    )
    .of(Kind::Gauge)
    .with("operation", "write"),
];

/// View and column that the name of a metric is made of, in whatever family.
pub(crate) fn column(name: &[u8]) -> Option<&[u8]> {
    let mut families = FAMILIES.iter();
    let column = families.find_map(|family| name.strip_prefix(*family))?;
    // Prometheus' conventions put it behind the name of a counter.
    Some(column.strip_suffix(b"_total").unwrap_or(column))
}

/// The receiver's name for what an exporter calls so.
pub(crate) fn semantic(name: &[u8]) -> Option<&'static Semantic> {
    let name = column(name)?;
    SEMANTICS.iter().find(|semantic| {
        let mut columns = semantic.columns.iter();
        columns.any(|column| column.as_bytes() == name)
    })
}

/// The database of what a point tells of: `{database}|{schema}` by the semantic conventions.
pub(crate) const NAMESPACE: &str = "db.namespace";
/// The table.
pub(crate) const COLLECTION: &str = "db.collection.name";

/// What an attribute of a point, or of the receiver's resources, names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Names {
    Database,
    Schema,
    Table,
    /// The address of a replica.
    Replica,
    /// The server, where one exporter asks several.
    Server,
}

const ATTRIBUTES: [(&str, Names); 17] = [
    ("client_addr", Names::Replica),
    ("database", Names::Database),
    ("datname", Names::Database),
    (COLLECTION, Names::Table),
    (NAMESPACE, Names::Database),
    ("dbname", Names::Database),
    ("objectname", Names::Table),
    ("postgresql.database.name", Names::Database),
    ("postgresql.schema.name", Names::Schema),
    ("postgresql.table.name", Names::Table),
    ("relname", Names::Table),
    ("replication_client", Names::Replica),
    ("schema", Names::Schema),
    ("schemaname", Names::Schema),
    ("server", Names::Server),
    ("table", Names::Table),
    ("table_name", Names::Table),
];

/// What an attribute names, if it is one of those that do.
pub(crate) fn names(key: &[u8]) -> Option<Names> {
    let mut known = ATTRIBUTES.iter();
    let found = known.find(|(known, _)| known.as_bytes() == key)?;
    Some(found.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Text;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    use opentelemetry_proto::tonic::metrics::v1::{
        Gauge, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    };
    use prost::Message;

    fn attribute(key: &str, text: &str) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue {
                value: Some(Text::StringValue(text.to_owned())),
            }),
            ..KeyValue::default()
        }
    }

    /// A gauge of an exporter's as `unify: "rename"` makes it.
    fn renamed(name: &str) -> Metric {
        let data = Data::Gauge(Gauge {
            data_points: vec![NumberDataPoint {
                time_unix_nano: 1,
                attributes: vec![attribute("datname", "shop")],
                value: Some(Value::AsInt(7)),
                ..NumberDataPoint::default()
            }],
        });
        let batch = MetricsData {
            resource_metrics: vec![ResourceMetrics {
                scope_metrics: vec![ScopeMetrics {
                    metrics: vec![Metric {
                        name: name.to_owned(),
                        data: Some(data),
                        ..Metric::default()
                    }],
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        let config = br#"{"metrics":{"unify":"rename","derive":false}}"#;
        let mut processor = crate::Processor::configure(config).unwrap();
        let bytes = batch.encode_to_vec();
        let out = processor.process_metrics(&bytes).unwrap();
        let mut out = MetricsData::decode(&*out).unwrap();
        out.resource_metrics[0].scope_metrics[0].metrics.remove(0)
    }

    #[test]
    fn every_column_of_every_family_becomes_what_its_row_says() {
        for semantic in &SEMANTICS {
            for column in semantic.columns {
                for (family, end) in [
                    ("pg_", ""),
                    ("pg_", "_total"),
                    ("cnpg_pg_", ""),
                    ("ccp_", ""),
                ] {
                    let name = format!("{family}{column}{end}");
                    let metric = renamed(&name);
                    assert_eq!(metric.name, semantic.name, "{name}");
                    assert_eq!(metric.unit, semantic.unit, "{name}");
                    let (kind, points) = match metric.data.unwrap() {
                        Data::Gauge(gauge) => (Kind::Gauge, gauge.data_points),
                        Data::Sum(sum) if sum.is_monotonic => (Kind::Counter, sum.data_points),
                        Data::Sum(sum) => (Kind::UpDown, sum.data_points),
                        other => panic!("{other:?}"),
                    };
                    assert_eq!(kind, semantic.kind, "{name}");
                    let added = semantic.adds.map(|(key, value)| attribute(key, value));
                    let database = attribute(NAMESPACE, "shop");
                    let expected: Vec<_> = [database].into_iter().chain(added).collect();
                    assert_eq!(points[0].attributes, expected, "{name}");
                }
            }
        }
    }

    #[test]
    fn no_column_is_in_two_rows() {
        let columns = SEMANTICS.iter().flat_map(|semantic| semantic.columns);
        let mut columns: Vec<_> = columns.collect();
        columns.sort_unstable();
        assert!(columns.is_sorted_by(|one, other| one < other));
    }
}
