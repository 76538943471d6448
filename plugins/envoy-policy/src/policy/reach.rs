//! What reaches relations that it does not name: it goes on from those it names, works on whole
//! schemas, or gets at the bytes that rows are kept in.

use pg_sql::classify::{Access, QualifiedName, Traits};

use super::unit::Unit;

/// Commands about things that relations are in or depend on, where they name no relation.
const AROUND: &[&str] = &[
    "ALTER DEFAULT PRIVILEGES",
    "ALTER SCHEMA",
    "DROP ACCESS METHOD",
    "DROP AGGREGATE",
    "DROP CAST",
    "DROP COLLATION",
    "DROP DATABASE",
    "DROP DOMAIN",
    "DROP EXTENSION",
    "DROP FOREIGN DATA WRAPPER",
    "DROP FUNCTION",
    "DROP LANGUAGE",
    "DROP OPERATOR",
    "DROP OPERATOR CLASS",
    "DROP OPERATOR FAMILY",
    "DROP OWNED",
    "DROP PROCEDURE",
    "DROP ROUTINE",
    "DROP SCHEMA",
    "DROP SERVER",
    "DROP TEXT SEARCH CONFIGURATION",
    "DROP TEXT SEARCH DICTIONARY",
    "DROP TEXT SEARCH PARSER",
    "DROP TEXT SEARCH TEMPLATE",
    "DROP TYPE",
    "GRANT",
    "IMPORT FOREIGN SCHEMA",
    "REASSIGN OWNED",
    "REVOKE",
];

/// Commands that reach relations by other means than their names, whatever else they name: a foreign
/// table can stand for one of this very server, a subscription writes what the publisher says, and
/// the commands of the replication protocol send everything.
const BY_OTHER_MEANS: &[&str] = &[
    "ALTER FOREIGN TABLE",
    "ALTER SERVER",
    "ALTER SUBSCRIPTION",
    "ALTER USER MAPPING",
    "BASE_BACKUP",
    "CREATE FOREIGN TABLE",
    "CREATE SERVER",
    "CREATE SUBSCRIPTION",
    "CREATE USER MAPPING",
    "LOAD",
    "START_REPLICATION",
];

/// Functions that read or write the bytes that rows are kept in: files of the server, its WAL
/// (documentation 9.28.6 "Replication Management Functions"), or pages (contrib modules pageinspect,
/// pg_surgery and pg_walinspect).
const BENEATH: &[&str] = &[
    "brin_page_items",
    "bt_page_items",
    "get_raw_page",
    "gin_leafpage_items",
    "gist_page_items",
    "heap_force_freeze",
    "heap_force_kill",
    "lo_export",
    "lo_import",
    "pg_file_read",
    "pg_file_rename",
    "pg_file_unlink",
    "pg_file_write",
    "pg_get_wal_block_info",
    "pg_logical_slot_get_binary_changes",
    "pg_logical_slot_get_changes",
    "pg_logical_slot_peek_binary_changes",
    "pg_logical_slot_peek_changes",
    "pg_read_binary_file",
    "pg_read_file",
    "pgrowlocks",
];

/// Relations of the system that show values out of the rows of others: the commonest, and bounds of
/// histograms (documentation 53.27 "pg_stats").
const SAMPLES: &[&str] = &[
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_stats",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
];

/// Definitions that give functions another name, or another way to be called.
const RENAME_FUNCTIONS: &[&str] = &[
    "ALTER AGGREGATE",
    "ALTER FUNCTION",
    "ALTER PROCEDURE",
    "ALTER ROUTINE",
    "ALTER SCHEMA",
    "CREATE AGGREGATE",
    "CREATE CAST",
    "CREATE OPERATOR",
];

/// Whether a function may be called by another name from then on.
pub(super) fn renames_functions(unit: &Unit<'_>) -> bool {
    let inner = unit.inner.iter().map(|command| command.as_str());
    let mut commands = inner.chain([unit.command]);
    commands.any(|command| RENAME_FUNCTIONS.binary_search(&command).is_ok())
}

/// Whether the system's own relations get at others in this way: what is in them is shown by statistics,
/// and what they are called is a row that can be changed.
pub(super) fn by_catalog(unit: &Unit<'_>, access: Access) -> bool {
    let in_catalog = |name: &QualifiedName| match &name.schema {
        Some(schema) => schema == "pg_catalog",
        None => name.name.starts_with("pg_"),
    };
    unit.relations.iter().any(|relation| {
        let name = relation.name.name.as_str();
        let shows = access != Access::WRITE && SAMPLES.binary_search(&name).is_ok();
        let changes = relation.access.has(Access::WRITE) && name != "pg_settings";
        in_catalog(&relation.name) && (shows || changes)
    })
}

/// Whether a relation that is not named may be accessed in this way; `NONE`: in any.
pub(super) fn unnamed(unit: &Unit<'_>, access: Access) -> bool {
    let among = |names: &[&str], name| names.binary_search(&name).is_ok();
    let beneath = || {
        let mut called = unit.functions.iter().chain(unit.attributes);
        called.any(|function| among(BENEATH, function.name.as_str()))
    };
    (unit.relations.is_empty() && among(AROUND, unit.command))
        || among(BY_OTHER_MEANS, unit.command)
        || (unit.traits.has(Traits::CASCADE) && (access != Access::READ || publishes(unit)))
        || copies_a_file(unit)
        || beneath()
}

/// A publication sends rows to whoever subscribes.
fn publishes(unit: &Unit<'_>) -> bool {
    unit.command.ends_with(" PUBLICATION")
}

/// COPY with a file or a program of the server: it can be the file of a table.
fn copies_a_file(unit: &Unit<'_>) -> bool {
    use pg_sql::classify::Effects;
    unit.command == "COPY" && unit.effects.has(Effects::TOUCHES_SERVER_FILES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_so_that_every_entry_is_found() {
        for list in [AROUND, BY_OTHER_MEANS, BENEATH, SAMPLES, RENAME_FUNCTIONS] {
            assert!(list.is_sorted(), "{list:?}");
        }
    }
}
