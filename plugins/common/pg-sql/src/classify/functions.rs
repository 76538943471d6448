//! Functions of the server that do more than compute, by name.
//!
//! A user may define functions of the same names; the effect is then said too often, never too
//! rarely. Sources: the documentation's chapter 9.27 "System Administration Functions", 9.15 "XML
//! Functions", 9.17 "Sequence Manipulation Functions", 35.4 "Server-side Functions" of large
//! objects, and the contrib modules adminpack, dblink, file_fdw, tablefunc and xml2.

use super::types::{Effects, QualifiedName};

const FILES: Effects = Effects::TOUCHES_SERVER_FILES;
const FILES_AND_WRITE: Effects = FILES.and(Effects::WRITES_ROWS);
const WRITES: Effects = Effects::WRITES_ROWS;
const UNSEEN: Effects = Effects::RUNS_UNSEEN_CODE;
const LOCKS: Effects = Effects::LOCKS;
const SETTINGS: Effects = Effects::CHANGES_SETTINGS;

/// Sorted by name.
const EFFECTS: &[(&str, Effects)] = &[
    ("connectby", UNSEEN),
    ("crosstab", UNSEEN),
    ("crosstab2", UNSEEN),
    ("crosstab3", UNSEEN),
    ("crosstab4", UNSEEN),
    ("crosstab_hash", UNSEEN),
    ("cursor_to_xml", UNSEEN),
    ("cursor_to_xmlschema", UNSEEN),
    ("database_to_xml", UNSEEN),
    ("database_to_xml_and_xmlschema", UNSEEN),
    ("database_to_xmlschema", UNSEEN),
    ("dblink", UNSEEN),
    ("dblink_build_sql_delete", UNSEEN),
    ("dblink_build_sql_insert", UNSEEN),
    ("dblink_build_sql_update", UNSEEN),
    ("dblink_connect", UNSEEN),
    ("dblink_connect_u", UNSEEN),
    ("dblink_exec", UNSEEN),
    ("dblink_open", UNSEEN),
    ("dblink_send_query", UNSEEN),
    ("lo_creat", WRITES),
    ("lo_create", WRITES),
    ("lo_export", FILES),
    ("lo_from_bytea", WRITES),
    ("lo_import", FILES_AND_WRITE),
    ("lo_put", WRITES),
    ("lo_truncate", WRITES),
    ("lo_truncate64", WRITES),
    ("lo_unlink", WRITES),
    ("lowrite", WRITES),
    ("nextval", WRITES),
    ("pg_advisory_lock", LOCKS),
    ("pg_advisory_lock_shared", LOCKS),
    ("pg_advisory_xact_lock", LOCKS),
    ("pg_advisory_xact_lock_shared", LOCKS),
    ("pg_current_logfile", FILES),
    ("pg_file_length", FILES),
    ("pg_file_read", FILES),
    ("pg_file_rename", FILES),
    ("pg_file_settings", FILES),
    ("pg_file_sync", FILES),
    ("pg_file_unlink", FILES),
    ("pg_file_write", FILES),
    ("pg_hba_file_rules", FILES),
    ("pg_ident_file_mappings", FILES),
    ("pg_logdir_ls", FILES),
    ("pg_ls_archive_statusdir", FILES),
    ("pg_ls_dir", FILES),
    ("pg_ls_logdir", FILES),
    ("pg_ls_logicalmapdir", FILES),
    ("pg_ls_logicalsnapdir", FILES),
    ("pg_ls_replslotdir", FILES),
    ("pg_ls_summariesdir", FILES),
    ("pg_ls_tmpdir", FILES),
    ("pg_ls_waldir", FILES),
    ("pg_read_binary_file", FILES),
    ("pg_read_file", FILES),
    ("pg_reload_conf", SETTINGS),
    ("pg_show_all_file_settings", FILES),
    ("pg_stat_file", FILES),
    ("pg_try_advisory_lock", LOCKS),
    ("pg_try_advisory_lock_shared", LOCKS),
    ("pg_try_advisory_xact_lock", LOCKS),
    ("pg_try_advisory_xact_lock_shared", LOCKS),
    ("query_to_xml", UNSEEN),
    ("query_to_xml_and_xmlschema", UNSEEN),
    ("query_to_xmlschema", UNSEEN),
    ("schema_to_xml", UNSEEN),
    ("schema_to_xml_and_xmlschema", UNSEEN),
    ("schema_to_xmlschema", UNSEEN),
    ("set_config", SETTINGS),
    ("setval", WRITES),
    ("table_to_xml", UNSEEN),
    ("table_to_xml_and_xmlschema", UNSEEN),
    ("table_to_xmlschema", UNSEEN),
    ("ts_rewrite", UNSEEN),
    ("ts_stat", UNSEEN),
    ("xpath_table", UNSEEN),
];

/// What a plain EXPLAIN may do by planning these calls: the planner runs what is STABLE to estimate rows, and
/// `table_to_xml` is.
pub(crate) fn effects_of_planning<'a>(calls: impl Iterator<Item = &'a QualifiedName>) -> Effects {
    let unseen = calls.filter(|call| effects_of(&call.name).has(UNSEEN));
    unseen.fold(Effects::NONE, |effects, _| effects.and(UNSEEN))
}

/// What calling a function of this name does besides computing.
pub(crate) fn effects_of(name: &str) -> Effects {
    let found = EFFECTS
        .binary_search_by(|(known, _)| (*known).cmp(name))
        .ok();
    found
        .and_then(|index| EFFECTS.get(index))
        .map_or(Effects::NONE, |(_, effects)| *effects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_entry_is_found() {
        for (name, effects) in EFFECTS {
            assert_eq!(effects_of(name), *effects, "{name}");
        }
        assert_eq!(effects_of("lower"), Effects::NONE);
    }
}
