//! Command tags of parse trees, as `CreateCommandTag` of `src/backend/tcop/utility.c` gives them,
//! with the exceptions `pg_sql::classify::Command` documents.

use serde_json::Value;

use pg_query::protobuf::{ObjectType, TransactionStmtKind};

/// Statements whose tag does not depend on their fields.
const FIXED: &[(&str, &str)] = &[
    ("InsertStmt", "INSERT"),
    ("UpdateStmt", "UPDATE"),
    ("DeleteStmt", "DELETE"),
    ("MergeStmt", "MERGE"),
    ("DeclareCursorStmt", "DECLARE CURSOR"),
    ("ClosePortalStmt", "CLOSE CURSOR"),
    ("CreateDomainStmt", "CREATE DOMAIN"),
    ("CreateSchemaStmt", "CREATE SCHEMA"),
    ("CreateStmt", "CREATE TABLE"),
    ("CreateTableSpaceStmt", "CREATE TABLESPACE"),
    ("DropTableSpaceStmt", "DROP TABLESPACE"),
    ("AlterTableSpaceOptionsStmt", "ALTER TABLESPACE"),
    ("CreateExtensionStmt", "CREATE EXTENSION"),
    ("AlterExtensionStmt", "ALTER EXTENSION"),
    ("AlterExtensionContentsStmt", "ALTER EXTENSION"),
    ("CreateFdwStmt", "CREATE FOREIGN DATA WRAPPER"),
    ("AlterFdwStmt", "ALTER FOREIGN DATA WRAPPER"),
    ("CreateForeignServerStmt", "CREATE SERVER"),
    ("AlterForeignServerStmt", "ALTER SERVER"),
    ("CreateUserMappingStmt", "CREATE USER MAPPING"),
    ("AlterUserMappingStmt", "ALTER USER MAPPING"),
    ("DropUserMappingStmt", "DROP USER MAPPING"),
    ("CreateForeignTableStmt", "CREATE FOREIGN TABLE"),
    ("ImportForeignSchemaStmt", "IMPORT FOREIGN SCHEMA"),
    ("TruncateStmt", "TRUNCATE TABLE"),
    ("CommentStmt", "COMMENT"),
    ("SecLabelStmt", "SECURITY LABEL"),
    ("CopyStmt", "COPY"),
    ("AlterDomainStmt", "ALTER DOMAIN"),
    ("AlterDefaultPrivilegesStmt", "ALTER DEFAULT PRIVILEGES"),
    ("CompositeTypeStmt", "CREATE TYPE"),
    ("CreateEnumStmt", "CREATE TYPE"),
    ("CreateRangeStmt", "CREATE TYPE"),
    ("AlterEnumStmt", "ALTER TYPE"),
    ("AlterTypeStmt", "ALTER TYPE"),
    ("ViewStmt", "CREATE VIEW"),
    ("IndexStmt", "CREATE INDEX"),
    ("RuleStmt", "CREATE RULE"),
    ("CreateSeqStmt", "CREATE SEQUENCE"),
    ("AlterSeqStmt", "ALTER SEQUENCE"),
    ("DoStmt", "DO"),
    ("CreatedbStmt", "CREATE DATABASE"),
    ("AlterDatabaseStmt", "ALTER DATABASE"),
    ("AlterDatabaseRefreshCollStmt", "ALTER DATABASE"),
    ("AlterDatabaseSetStmt", "ALTER DATABASE"),
    ("DropdbStmt", "DROP DATABASE"),
    ("NotifyStmt", "NOTIFY"),
    ("ListenStmt", "LISTEN"),
    ("UnlistenStmt", "UNLISTEN"),
    ("LoadStmt", "LOAD"),
    ("CallStmt", "CALL"),
    ("ClusterStmt", "CLUSTER"),
    ("ExplainStmt", "EXPLAIN"),
    ("RefreshMatViewStmt", "REFRESH MATERIALIZED VIEW"),
    ("AlterSystemStmt", "ALTER SYSTEM"),
    ("VariableShowStmt", "SHOW"),
    ("CreateTransformStmt", "CREATE TRANSFORM"),
    ("CreateTrigStmt", "CREATE TRIGGER"),
    ("CreateEventTrigStmt", "CREATE EVENT TRIGGER"),
    ("AlterEventTrigStmt", "ALTER EVENT TRIGGER"),
    ("CreatePlangStmt", "CREATE LANGUAGE"),
    ("CreateRoleStmt", "CREATE ROLE"),
    ("AlterRoleStmt", "ALTER ROLE"),
    ("AlterRoleSetStmt", "ALTER ROLE"),
    ("DropRoleStmt", "DROP ROLE"),
    ("DropOwnedStmt", "DROP OWNED"),
    ("ReassignOwnedStmt", "REASSIGN OWNED"),
    ("LockStmt", "LOCK TABLE"),
    ("ConstraintsSetStmt", "SET CONSTRAINTS"),
    ("CheckPointStmt", "CHECKPOINT"),
    ("ReindexStmt", "REINDEX"),
    ("CreateConversionStmt", "CREATE CONVERSION"),
    ("CreateCastStmt", "CREATE CAST"),
    ("CreateOpClassStmt", "CREATE OPERATOR CLASS"),
    ("CreateOpFamilyStmt", "CREATE OPERATOR FAMILY"),
    ("AlterOpFamilyStmt", "ALTER OPERATOR FAMILY"),
    ("AlterOperatorStmt", "ALTER OPERATOR"),
    ("AlterTsdictionaryStmt", "ALTER TEXT SEARCH DICTIONARY"),
    (
        "AlterTsconfigurationStmt",
        "ALTER TEXT SEARCH CONFIGURATION",
    ),
    ("AlterTsDictionaryStmt", "ALTER TEXT SEARCH DICTIONARY"),
    (
        "AlterTsConfigurationStmt",
        "ALTER TEXT SEARCH CONFIGURATION",
    ),
    ("CreatePolicyStmt", "CREATE POLICY"),
    ("AlterPolicyStmt", "ALTER POLICY"),
    ("CreateAmStmt", "CREATE ACCESS METHOD"),
    ("CreatePublicationStmt", "CREATE PUBLICATION"),
    ("AlterPublicationStmt", "ALTER PUBLICATION"),
    ("CreateSubscriptionStmt", "CREATE SUBSCRIPTION"),
    ("AlterSubscriptionStmt", "ALTER SUBSCRIPTION"),
    ("DropSubscriptionStmt", "DROP SUBSCRIPTION"),
    ("AlterCollationStmt", "ALTER COLLATION"),
    ("PrepareStmt", "PREPARE"),
    ("ExecuteStmt", "EXECUTE"),
    ("CreateStatsStmt", "CREATE STATISTICS"),
    ("AlterStatsStmt", "ALTER STATISTICS"),
    ("DeallocateStmt", "DEALLOCATE"),
    ("AlterTableMoveAllStmt", ""),
];

/// The tag of a statement.
pub fn tag(kind: &str, node: &Value) -> String {
    let truth = |field: &str| node[field] == Value::Bool(true);
    let choose = |yes: bool, one: &str, other: &str| if yes { one } else { other }.to_owned();
    match kind {
        "SelectStmt" => {
            // transformOptionalSelectInto: INTO stands in the leftmost operand.
            let left = &node["larg"];
            let into = !node["into_clause"].is_null();
            if left.is_null() {
                choose(into, "SELECT INTO", "SELECT")
            } else {
                tag(kind, left)
            }
        }
        "TransactionStmt" => transaction(&node["kind"]),
        "FetchStmt" => choose(truth("ismove"), "MOVE", "FETCH"),
        "VacuumStmt" => choose(truth("is_vacuumcmd"), "VACUUM", "ANALYZE"),
        "GrantStmt" => choose(truth("is_grant"), "GRANT", "REVOKE"),
        "GrantRoleStmt" => choose(truth("is_grant"), "GRANT ROLE", "REVOKE ROLE"),
        "CreateFunctionStmt" => {
            choose(truth("is_procedure"), "CREATE PROCEDURE", "CREATE FUNCTION")
        }
        "CreateTableAsStmt" => {
            let view = object(&node["objtype"]) == "MATERIALIZED VIEW";
            choose(view, "CREATE MATERIALIZED VIEW", "CREATE TABLE AS")
        }
        "DefineStmt" => format!("CREATE {}", object(&node["kind"])),
        "DropStmt" => format!("DROP {}", object(&node["remove_type"])),
        "AlterTableStmt" | "AlterTableMoveAllStmt" | "AlterFunctionStmt" => {
            format!("ALTER {}", object(&node["objtype"]))
        }
        "AlterObjectSchemaStmt" | "AlterOwnerStmt" | "AlterObjectDependsStmt" => {
            format!("ALTER {}", object(&node["object_type"]))
        }
        "RenameStmt" => rename(node),
        "DiscardStmt" => {
            let target = node["target"].as_i64().unwrap_or_default();
            [
                "",
                "DISCARD ALL",
                "DISCARD PLANS",
                "DISCARD SEQUENCES",
                "DISCARD TEMP",
            ][usize::try_from(target).unwrap_or_default()]
            .to_owned()
        }
        "VariableSetStmt" => set(node),
        "AlterRoleStmt" => "ALTER ROLE".to_owned(),
        _ => {
            let known = FIXED.iter().find(|(name, _)| *name == kind);
            known.map_or_else(|| format!("? {kind}"), |(_, tag)| (*tag).to_owned())
        }
    }
}

fn rename(node: &Value) -> String {
    // A column or attribute is renamed in its relation, whose kind gives the tag.
    let within = [
        "COLUMN",
        "ATTRIBUTE",
        "TABLE CONSTRAINT",
        "DOMAIN CONSTRAINT",
    ];
    let renamed = object(&node["rename_type"]);
    let of = match renamed {
        "COLUMN" | "ATTRIBUTE" => object(&node["relation_type"]),
        "TABLE CONSTRAINT" => "TABLE",
        "DOMAIN CONSTRAINT" => "DOMAIN",
        other => other,
    };
    debug_assert!(!within.contains(&of) || of == renamed, "{of}");
    format!("ALTER {of}")
}

/// VAR_SET_VALUE 1, _DEFAULT 2, _CURRENT 3, _MULTI 4, VAR_RESET 5, VAR_RESET_ALL 6.
fn set(node: &Value) -> String {
    let name = node["name"].as_str().unwrap_or_default();
    match (node["kind"].as_i64().unwrap_or_default(), name) {
        (5 | 6, _) => "RESET",
        (4, "TRANSACTION" | "TRANSACTION SNAPSHOT") => "SET TRANSACTION",
        (_, "role" | "session_authorization") => "SET ROLE",
        _ => "SET",
    }
    .to_owned()
}

fn transaction(kind: &Value) -> String {
    let number = kind
        .as_i64()
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or_default();
    match TransactionStmtKind::try_from(number).unwrap_or_default() {
        TransactionStmtKind::TransStmtBegin => "BEGIN",
        TransactionStmtKind::TransStmtStart => "START TRANSACTION",
        TransactionStmtKind::TransStmtCommit => "COMMIT",
        TransactionStmtKind::TransStmtRollback | TransactionStmtKind::TransStmtRollbackTo => {
            "ROLLBACK"
        }
        TransactionStmtKind::TransStmtSavepoint => "SAVEPOINT",
        TransactionStmtKind::TransStmtRelease => "RELEASE",
        TransactionStmtKind::TransStmtPrepare => "PREPARE TRANSACTION",
        TransactionStmtKind::TransStmtCommitPrepared => "COMMIT PREPARED",
        TransactionStmtKind::TransStmtRollbackPrepared => "ROLLBACK PREPARED",
        TransactionStmtKind::Undefined => "?",
    }
    .to_owned()
}

/// An object type as tags spell it.
fn object(value: &Value) -> &'static str {
    let number = value
        .as_i64()
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or_default();
    match ObjectType::try_from(number).unwrap_or_default() {
        ObjectType::ObjectAccessMethod => "ACCESS METHOD",
        ObjectType::ObjectAggregate => "AGGREGATE",
        ObjectType::ObjectAttribute => "ATTRIBUTE",
        ObjectType::ObjectCast => "CAST",
        ObjectType::ObjectColumn => "COLUMN",
        ObjectType::ObjectCollation => "COLLATION",
        ObjectType::ObjectConversion => "CONVERSION",
        ObjectType::ObjectDatabase => "DATABASE",
        ObjectType::ObjectDomain => "DOMAIN",
        ObjectType::ObjectDomconstraint => "DOMAIN CONSTRAINT",
        ObjectType::ObjectEventTrigger => "EVENT TRIGGER",
        ObjectType::ObjectExtension => "EXTENSION",
        ObjectType::ObjectFdw => "FOREIGN DATA WRAPPER",
        ObjectType::ObjectForeignServer => "SERVER",
        ObjectType::ObjectForeignTable => "FOREIGN TABLE",
        ObjectType::ObjectFunction => "FUNCTION",
        ObjectType::ObjectIndex => "INDEX",
        ObjectType::ObjectLanguage => "LANGUAGE",
        ObjectType::ObjectLargeobject => "LARGE OBJECT",
        ObjectType::ObjectMatview => "MATERIALIZED VIEW",
        ObjectType::ObjectOpclass => "OPERATOR CLASS",
        ObjectType::ObjectOperator => "OPERATOR",
        ObjectType::ObjectOpfamily => "OPERATOR FAMILY",
        ObjectType::ObjectPolicy => "POLICY",
        ObjectType::ObjectProcedure => "PROCEDURE",
        ObjectType::ObjectPublication => "PUBLICATION",
        ObjectType::ObjectRole => "ROLE",
        ObjectType::ObjectRoutine => "ROUTINE",
        ObjectType::ObjectRule => "RULE",
        ObjectType::ObjectSchema => "SCHEMA",
        ObjectType::ObjectSequence => "SEQUENCE",
        ObjectType::ObjectStatisticExt => "STATISTICS",
        ObjectType::ObjectSubscription => "SUBSCRIPTION",
        ObjectType::ObjectTabconstraint => "TABLE CONSTRAINT",
        ObjectType::ObjectTable => "TABLE",
        ObjectType::ObjectTablespace => "TABLESPACE",
        ObjectType::ObjectTransform => "TRANSFORM",
        ObjectType::ObjectTrigger => "TRIGGER",
        ObjectType::ObjectTsconfiguration => "TEXT SEARCH CONFIGURATION",
        ObjectType::ObjectTsdictionary => "TEXT SEARCH DICTIONARY",
        ObjectType::ObjectTsparser => "TEXT SEARCH PARSER",
        ObjectType::ObjectTstemplate => "TEXT SEARCH TEMPLATE",
        ObjectType::ObjectType => "TYPE",
        ObjectType::ObjectView => "VIEW",
        other => {
            debug_assert!(other != ObjectType::Undefined, "an object type");
            "?"
        }
    }
}
