//! The metrics that gauges are computed from, as each family has them.
//!
//! Sources as in `names`; which points count for what is what the recording rules for Prometheus count
//! too (`envoy-configs/prometheus/rules/servers.yaml`).

use super::names::{Names, is_spelled, known_part, names};
use super::point::Point;

/// What goes into a gauge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Input {
    BlocksHit,
    BlocksRead,
    Commits,
    Rollbacks,
    Deadlocks,
    TempBytes,
    CheckpointsRequested,
    CheckpointsTimed,
    Connections,
    MaxConnections,
    Lag,
    LongestTransaction,
    FrozenAge,
    DeadRows,
    LiveRows,
    WastedBytes,
    Bytes,
}

/// How many there are.
pub(crate) const INPUTS: usize = Input::Bytes as usize + 1;

impl Input {
    /// Whether it counts from some start on, so that its rate is what matters.
    pub(crate) const fn is_counter(self) -> bool {
        (self as usize) < Self::Connections as usize
    }

    /// Whether several points are their sum; of others the largest counts.
    pub(crate) const fn is_summed(self) -> bool {
        self.is_counter()
            || matches!(
                self,
                Self::Connections
                    | Self::DeadRows
                    | Self::LiveRows
                    | Self::WastedBytes
                    | Self::Bytes
            )
    }
}

/// What a point tells of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Level {
    Server,
    Database,
    Table,
}

/// Which points of a metric count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Always,
    /// Those with one of these values; without the attribute, the empty one.
    Is(&'static str, &'static [&'static str]),
    /// Those that tell of a database.
    HasDatabase,
}

/// A metric that goes into a gauge.
#[derive(Debug)]
pub(crate) struct Row {
    /// View and column without the family's prefix and `_total`, or the whole name.
    pub(crate) metric: &'static str,
    pub(crate) when: When,
    pub(crate) input: Input,
    pub(crate) level: Level,
}

const fn row(metric: &'static str, input: Input, level: Level) -> Row {
    Row {
        metric,
        when: When::Always,
        input,
        level,
    }
}

impl Row {
    const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    pub(crate) fn counts(&self, point: &Point<'_>) -> bool {
        match self.when {
            When::Always => true,
            When::Is(key, values) => {
                let mut attributes = point.attributes.iter();
                let found = attributes.find(|attribute| attribute.key == key.as_bytes());
                let value = found.map_or(Some(""), |attribute| attribute.value.text());
                value.is_some_and(|value| values.contains(&value))
            }
            When::HasDatabase => {
                let mut attributes = point.attributes.iter();
                let found = attributes.find(|it| names(it.key) == Some(Names::Database));
                found.is_some_and(|it| it.value.text().is_some_and(|name| !name.is_empty()))
            }
        }
    }
}

/// Walsenders do not count towards `max_connections`; older postgres_exporters do not tell them apart.
const CLIENTS: When = When::Is("backend_type", &["", "client backend"]);
const REPLAY: When = When::Is("operation", &["replay"]);

use Input::*;
use Level::{Database, Server, Table};

/// Where a server has several metrics for one thing, the first here counts.
pub(crate) static ROWS: [Row; 45] = [
    row("stat_database_blks_hit", BlocksHit, Database),
    row("postgresql.blks_hit", BlocksHit, Database),
    row("stat_database_blks_read", BlocksRead, Database),
    row("postgresql.blks_read", BlocksRead, Database),
    row("stat_database_xact_commit", Commits, Database),
    row("postgresql.commits", Commits, Database),
    row("stat_database_xact_rollback", Rollbacks, Database),
    row("postgresql.rollbacks", Rollbacks, Database),
    row("stat_database_deadlocks", Deadlocks, Database),
    row("postgresql.deadlocks", Deadlocks, Database),
    row("stat_database_temp_bytes", TempBytes, Database),
    row("postgresql.temp.io", TempBytes, Database),
    row(
        "stat_bgwriter_checkpoints_req",
        CheckpointsRequested,
        Server,
    ),
    row(
        "stat_checkpointer_num_requested",
        CheckpointsRequested,
        Server,
    ),
    row(
        "stat_checkpointer_checkpoints_req",
        CheckpointsRequested,
        Server,
    ),
    row(
        "postgresql.bgwriter.checkpoint.count",
        CheckpointsRequested,
        Server,
    )
    .when(When::Is("type", &["requested"])),
    row("stat_bgwriter_checkpoints_timed", CheckpointsTimed, Server),
    row("stat_checkpointer_num_timed", CheckpointsTimed, Server),
    row(
        "stat_checkpointer_checkpoints_timed",
        CheckpointsTimed,
        Server,
    ),
    row(
        "postgresql.bgwriter.checkpoint.count",
        CheckpointsTimed,
        Server,
    )
    .when(When::Is("type", &["scheduled"])),
    row("stat_activity_count", Connections, Server).when(CLIENTS),
    row("cnpg_backends_total", Connections, Server).when(When::HasDatabase),
    // pgMonitor's `ccp_connection_stats_total`.
    row("connection_stats", Connections, Server),
    row("postgresql.backends", Connections, Server),
    row("settings_max_connections", MaxConnections, Server),
    row("settings_setting", MaxConnections, Server).when(When::Is("name", &["max_connections"])),
    row("connection_stats_max_connections", MaxConnections, Server),
    row("postgresql.connection.max", MaxConnections, Server),
    row("replication_lag_seconds", Lag, Server),
    row("replication_lag", Lag, Server),
    row("replication_lag_replay_time", Lag, Server),
    row("postgresql.wal.delay", Lag, Server).when(REPLAY),
    row("postgresql.wal.lag", Lag, Server).when(REPLAY),
    row("stat_activity_max_tx_duration", LongestTransaction, Server).when(CLIENTS),
    row(
        "cnpg_backends_max_tx_duration_seconds",
        LongestTransaction,
        Server,
    )
    .when(When::HasDatabase),
    row(
        "connection_stats_max_query_time",
        LongestTransaction,
        Server,
    ),
    // In spite of its name and unit, PostgreSQL's age(): a number of transactions.
    row(
        "database_wraparound_age_datfrozenxid_seconds",
        FrozenAge,
        Database,
    ),
    row("database_xid_age", FrozenAge, Database),
    row(
        "transaction_wraparound_oldest_current_xid",
        FrozenAge,
        Server,
    ),
    row("stat_user_tables_n_dead_tup", DeadRows, Table),
    row("stat_user_tables_n_live_tup", LiveRows, Table),
    row("postgresql.rows", DeadRows, Table).when(When::Is("state", &["dead"])),
    row("postgresql.rows", LiveRows, Table).when(When::Is("state", &["live"])),
    row("bloat_check_total_wasted_space_bytes", WastedBytes, Table),
    row("bloat_check_size_bytes", Bytes, Table),
];

/// The rows of a metric with their places in the table.
pub(crate) fn rows(name: &[u8]) -> impl Iterator<Item = (usize, &'static Row)> {
    let name = known_part(name);
    let rows = ROWS.iter().enumerate();
    rows.filter(move |(_, row)| is_spelled(row.metric, name))
}
