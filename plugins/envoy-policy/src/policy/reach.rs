//! What reaches relations that it does not name: it goes on from those it names, works on whole
//! schemas, or gets at the bytes that rows are kept in.

use pg_sql::classify::{Access, Traits};

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

/// Whether a relation that is not named may be accessed in this way; `NONE`: in any.
pub(super) fn unnamed(unit: &Unit<'_>, access: Access) -> bool {
    let among = |names: &[&str], name| names.binary_search(&name).is_ok();
    let beneath = || {
        let mut called = unit.functions.iter().chain(unit.attributes);
        called.any(|function| among(BENEATH, function.name.as_str()))
    };
    (unit.relations.is_empty() && among(AROUND, unit.command))
        || among(BY_OTHER_MEANS, unit.command)
        || (access != Access::READ && unit.traits.has(Traits::CASCADE))
        || copies_a_file(unit)
        || beneath()
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
        for list in [AROUND, BY_OTHER_MEANS, BENEATH] {
            assert!(list.is_sorted(), "{list:?}");
        }
    }
}
