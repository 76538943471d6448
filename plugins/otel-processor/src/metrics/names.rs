//! What exporters call the things that the Collector's `postgresqlreceiver` has a name for.
//!
//! A row is only where both mean the same number in the same unit; where the receiver tells by an
//! attribute what an exporter tells by the name, the row adds that attribute.
//!
//! Sources: the receiver's `metadata.yaml` (0.156); `collector/*.go` of postgres_exporter (0.11 to 0.19);
//! CloudNativePG's `config/manager/default-monitoring.yaml` (1.28), whose exporter puts `cnpg_` in front;
//! pgMonitor's `sql_exporter/common/*.yml` (5.3) and `exporter/postgres/*.yml` (4.x). How Prometheus
//! spells the receiver's names: OpenTelemetry's "Prometheus and OpenMetrics Compatibility" (underscores
//! for dots, the unit and `_total` behind).

use crate::traces::names::has_word;

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Semantic {
    pub(crate) name: &'static str,
    /// By UCUM.
    pub(crate) unit: &'static str,
    pub(crate) kind: Kind,
    /// An attribute that the receiver tells it by.
    pub(crate) adds: Option<(&'static str, &'static str)>,
    /// What others call it: words of view and column, without the family's prefix and `_total`.
    pub(crate) columns: &'static str,
}

/// No exporter has the same number; Prometheus spells the receiver's own name.
const NOBODY: &str = "";

const fn counter(name: &'static str, unit: &'static str, columns: &'static str) -> Semantic {
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

pub(crate) static SEMANTICS: [Semantic; 61] = [
    counter("postgresql.backends", "1", "stat_database_numbackends").of(Kind::UpDown),
    counter(
        "postgresql.bgwriter.buffers.allocated",
        "{buffers}",
        "stat_bgwriter_buffers_alloc",
    ),
    counter(
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        "stat_bgwriter_buffers_backend",
    )
    .with("source", "backend"),
    counter(
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        "stat_bgwriter_buffers_backend_fsync",
    )
    .with("source", "backend_fsync"),
    counter(
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        "stat_bgwriter_buffers_checkpoint stat_checkpointer_buffers_written",
    )
    .with("source", "checkpoints"),
    counter(
        "postgresql.bgwriter.buffers.writes",
        "{buffers}",
        "stat_bgwriter_buffers_clean",
    )
    .with("source", "bgwriter"),
    counter(
        "postgresql.bgwriter.checkpoint.count",
        "{checkpoints}",
        "stat_bgwriter_checkpoints_req stat_checkpointer_num_requested stat_checkpointer_checkpoints_req",
    )
    .with("type", "requested"),
    counter(
        "postgresql.bgwriter.checkpoint.count",
        "{checkpoints}",
        "stat_bgwriter_checkpoints_timed stat_checkpointer_num_timed stat_checkpointer_checkpoints_timed",
    )
    .with("type", "scheduled"),
    counter(
        "postgresql.bgwriter.duration",
        "ms",
        "stat_bgwriter_checkpoint_sync_time stat_checkpointer_sync_time",
    )
    .with("type", "sync"),
    counter(
        "postgresql.bgwriter.duration",
        "ms",
        "stat_bgwriter_checkpoint_write_time stat_checkpointer_write_time",
    )
    .with("type", "write"),
    counter(
        "postgresql.bgwriter.maxwritten",
        "1",
        "stat_bgwriter_maxwritten_clean",
    ),
    counter(
        "postgresql.blks_hit",
        "{blks_hit}",
        "stat_database_blks_hit",
    ),
    counter(
        "postgresql.blks_read",
        "{blks_read}",
        "stat_database_blks_read",
    ),
    counter(
        "postgresql.blocks_read",
        "1",
        "statio_user_tables_heap_blocks_hit statio_user_tables_heap_blks_hit",
    )
    .with("source", "heap_hit"),
    counter(
        "postgresql.blocks_read",
        "1",
        "statio_user_tables_heap_blocks_read statio_user_tables_heap_blks_read",
    )
    .with("source", "heap_read"),
    counter(
        "postgresql.blocks_read",
        "1",
        "statio_user_tables_idx_blocks_hit statio_user_tables_idx_blks_hit",
    )
    .with("source", "idx_hit"),
    counter(
        "postgresql.blocks_read",
        "1",
        "statio_user_tables_idx_blocks_read statio_user_tables_idx_blks_read",
    )
    .with("source", "idx_read"),
    counter(
        "postgresql.blocks_read",
        "1",
        "statio_user_tables_tidx_blocks_hit statio_user_tables_tidx_blks_hit",
    )
    .with("source", "tidx_hit"),
    counter(
        "postgresql.blocks_read",
        "1",
        "statio_user_tables_tidx_blocks_read statio_user_tables_tidx_blks_read",
    )
    .with("source", "tidx_read"),
    counter(
        "postgresql.blocks_read",
        "1",
        "statio_user_tables_toast_blocks_hit statio_user_tables_toast_blks_hit",
    )
    .with("source", "toast_hit"),
    counter(
        "postgresql.blocks_read",
        "1",
        "statio_user_tables_toast_blocks_read statio_user_tables_toast_blks_read",
    )
    .with("source", "toast_read"),
    counter("postgresql.commits", "1", "stat_database_xact_commit"),
    counter(
        "postgresql.connection.max",
        "{connections}",
        "settings_max_connections connection_stats_max_connections",
    )
    .of(Kind::Gauge),
    counter("postgresql.database.count", "{databases}", NOBODY).of(Kind::UpDown),
    counter("postgresql.database.locks", "{lock}", NOBODY).of(Kind::Gauge),
    counter("postgresql.db_size", "By", "database_size_bytes").of(Kind::UpDown),
    counter(
        "postgresql.deadlocks",
        "{deadlock}",
        "stat_database_deadlocks",
    ),
    counter("postgresql.function.calls", "{call}", NOBODY),
    counter(
        "postgresql.index.scans",
        "{scans}",
        "stat_user_indexes_idx_scan",
    ),
    counter("postgresql.index.size", "By", NOBODY).of(Kind::Gauge),
    counter("postgresql.operations", "1", "stat_user_tables_n_tup_del").with("operation", "del"),
    counter(
        "postgresql.operations",
        "1",
        "stat_user_tables_n_tup_hot_upd",
    )
    .with("operation", "hot_upd"),
    counter("postgresql.operations", "1", "stat_user_tables_n_tup_ins").with("operation", "ins"),
    counter("postgresql.operations", "1", "stat_user_tables_n_tup_upd").with("operation", "upd"),
    counter(
        "postgresql.query.conflicts",
        "{query}",
        "stat_database_conflicts",
    ),
    counter("postgresql.query.execution.time", "s", NOBODY),
    counter(
        "postgresql.replication.data_delay",
        "By",
        "stat_replication_pg_wal_lsn_diff stat_replication_replay_diff_bytes",
    )
    .of(Kind::Gauge),
    counter("postgresql.rollbacks", "1", "stat_database_xact_rollback"),
    counter("postgresql.rows", "1", "stat_user_tables_n_dead_tup")
        .of(Kind::UpDown)
        .with("state", "dead"),
    counter("postgresql.rows", "1", "stat_user_tables_n_live_tup")
        .of(Kind::UpDown)
        .with("state", "live"),
    counter(
        "postgresql.sequential_scans",
        "{sequential_scan}",
        "stat_user_tables_seq_scan",
    ),
    counter("postgresql.table.count", "{table}", NOBODY).of(Kind::UpDown),
    counter("postgresql.table.size", "By", NOBODY).of(Kind::UpDown),
    counter(
        "postgresql.table.vacuum.count",
        "{vacuum}",
        "stat_user_tables_vacuum_count",
    ),
    counter("postgresql.temp.io", "By", "stat_database_temp_bytes"),
    counter(
        "postgresql.temp_files",
        "{temp_file}",
        "stat_database_temp_files",
    ),
    counter(
        "postgresql.tup_deleted",
        "{tup_deleted}",
        "stat_database_tup_deleted",
    ),
    counter(
        "postgresql.tup_fetched",
        "{tup_fetched}",
        "stat_database_tup_fetched",
    ),
    counter(
        "postgresql.tup_inserted",
        "{tup_inserted}",
        "stat_database_tup_inserted",
    ),
    counter(
        "postgresql.tup_returned",
        "{tup_returned}",
        "stat_database_tup_returned",
    ),
    counter(
        "postgresql.tup_updated",
        "{tup_updated}",
        "stat_database_tup_updated",
    ),
    counter("postgresql.vector.insert.duration", "s", NOBODY),
    counter("postgresql.vector.insert.rows", "{vectors}", NOBODY),
    counter("postgresql.vector.search.calls", "{search}", NOBODY),
    counter("postgresql.vector.search.duration", "s", NOBODY),
    counter("postgresql.vector.search.rows_returned", "{rows}", NOBODY),
    counter("postgresql.wal.age", "s", NOBODY).of(Kind::Gauge),
    counter(
        "postgresql.wal.delay",
        "s",
        "stat_replication_flush_lag_seconds",
    )
    .of(Kind::Gauge)
    .with("operation", "flush"),
    counter(
        "postgresql.wal.delay",
        "s",
        "stat_replication_replay_lag_seconds",
    )
    .of(Kind::Gauge)
    .with("operation", "replay"),
    counter(
        "postgresql.wal.delay",
        "s",
        "stat_replication_write_lag_seconds",
    )
    .of(Kind::Gauge)
    .with("operation", "write"),
    counter("postgresql.wal.lag", "s", NOBODY).of(Kind::Gauge),
];

/// How the receiver's names begin as Prometheus spells them.
const SPELLED: &[u8] = b"postgresql_";

/// What Prometheus puts behind a name for its unit.
const UNITS: [&[u8]; 3] = [b"_bytes", b"_milliseconds", b"_seconds"];

/// View and column that the name of a metric is made of, in whatever family.
fn column(name: &[u8]) -> Option<&[u8]> {
    let mut families = FAMILIES.iter();
    let column = families.find_map(|family| name.strip_prefix(*family))?;
    Some(without_total(column))
}

/// The receiver's name as Prometheus spells it, without what that puts behind.
fn spelled(name: &[u8]) -> Option<&[u8]> {
    let name = Some(without_total(name)).filter(|name| name.starts_with(SPELLED))?;
    let mut units = UNITS.iter();
    Some(
        units
            .find_map(|unit| name.strip_suffix(*unit))
            .unwrap_or(name),
    )
}

/// Prometheus' conventions put it behind the name of a counter.
fn without_total(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"_total").unwrap_or(name)
}

/// The part of a metric's name by which tables have it; all of it, if it is of no exporter's.
pub(crate) fn known_part(name: &[u8]) -> &[u8] {
    column(name).or_else(|| spelled(name)).unwrap_or(name)
}

/// Whether a name is this one, as it is or as Prometheus spells it.
#[inline(never)]
pub(crate) fn is_spelled(known: &str, name: &[u8]) -> bool {
    let mut bytes = known.bytes().zip(name);
    known.len() == name.len()
        && bytes.all(|(known, byte)| known == *byte || (known == b'.' && *byte == b'_'))
}

/// The receiver's name for what an exporter calls so.
pub(crate) fn semantic(name: &[u8]) -> Option<Semantic> {
    let mut all = SEMANTICS.iter();
    if let Some(column) = column(name) {
        let is_one = |it: &&Semantic| !column.is_empty() && has_word(it.columns, column);
        return all.find(is_one).copied();
    }
    let name = spelled(name)?;
    let found = all.find(|it| is_spelled(it.name, name))?;
    // Its points have the receiver's attributes.
    Some(Semantic {
        adds: None,
        ..*found
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
    Index,
    /// The address of a replica.
    Replica,
    /// The server, where one exporter asks several.
    Server,
}

static ATTRIBUTES: [(&str, Names); 19] = [
    ("client_addr", Names::Replica),
    ("database", Names::Database),
    ("datname", Names::Database),
    (COLLECTION, Names::Table),
    (NAMESPACE, Names::Database),
    ("dbname", Names::Database),
    ("indexrelname", Names::Index),
    ("objectname", Names::Table),
    ("postgresql.database.name", Names::Database),
    ("postgresql.index.name", Names::Index),
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
#[inline(never)]
pub(crate) fn names(key: &[u8]) -> Option<Names> {
    let mut known = ATTRIBUTES.iter();
    let found = known.find(|(known, _)| is_spelled(known, key))?;
    Some(found.1)
}
