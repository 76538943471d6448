//! The facts of a statement as they stand in PostgreSQL's own parse tree.
//!
//! Works on the tree as JSON, since what is asked for can stand anywhere in it. Written apart from
//! pg-sql's grammar: nothing here knows how that one reads text.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

use crate::facts::{Facts, Name};
use crate::tag::tag;
use pg_query::protobuf::ObjectType;

/// How a relation is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Use {
    Read,
    Write,
    Object,
}

/// The facts of one raw statement.
pub fn facts(statement: &Value) -> Facts {
    let (kind, node) = unwrap(statement).expect("a statement is a node");
    let mut walk = Walk {
        facts: Facts {
            tag: tag(kind, node),
            ..Facts::default()
        },
        scopes: Vec::new(),
    };
    walk.facts.limit = limit(kind, node);
    walk.node(kind, node, Use::Object);
    walk.facts
}

/// A node's kind and fields: nodes are wrapped as `{"node": {"SelectStmt": {...}}}`.
pub fn unwrap(value: &Value) -> Option<(&str, &Value)> {
    let (kind, node) = value.get("node")?.as_object()?.iter().next()?;
    Some((kind, node))
}

fn limit(kind: &str, node: &Value) -> bool {
    let query = |field: &str| unwrap(&node[field]).is_some_and(|(kind, node)| limit(kind, node));
    match kind {
        "SelectStmt" => match unwrap(&node["limit_count"]) {
            Some(("AConst", constant)) => constant["isnull"] != Value::Bool(true),
            other => other.is_some(),
        },
        "InsertStmt" => query("select_stmt"),
        "ExplainStmt" | "PrepareStmt" | "DeclareCursorStmt" | "CreateTableAsStmt" | "ViewStmt" => {
            query("query")
        }
        _ => false,
    }
}

struct Walk {
    facts: Facts,
    scopes: Vec<Vec<String>>,
}

impl Walk {
    /// `value` is anything: a wrapped node, a list, a bare struct, a scalar.
    fn any(&mut self, value: &Value, usage: Use) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.any(item, usage)),
            Value::Object(fields) => match unwrap(value) {
                Some((kind, node)) => self.node(kind, node, usage),
                None => self.bare(fields, usage),
            },
            _ => {}
        }
    }

    /// A struct that is a field of a fixed type carries no name: it is told by its fields.
    fn bare(&mut self, fields: &Map<String, Value>, usage: Use) {
        let has = |name: &str| fields.contains_key(name);
        let value = Value::Object(fields.clone());
        if has("relname") && has("inh") {
            self.relation(&value, usage);
        } else if has("limit_count") && has("target_list") {
            self.node("SelectStmt", &value, usage);
        } else if has("funcname") && has("funcformat") {
            self.node("FuncCall", &value, usage);
        } else if has("targtype") && has("grantees") {
            self.node("GrantStmt", &value, usage);
        } else if has("options") && has("exprs") && fields.len() == 2 {
            self.node("ReturningClause", &value, usage);
        } else {
            self.fields(&value, usage, &[]);
        }
    }

    fn fields(&mut self, node: &Value, usage: Use, except: &[&str]) {
        for (name, value) in node.as_object().into_iter().flatten() {
            if !except.contains(&name.as_str()) {
                self.any(value, usage);
            }
        }
    }

    fn node(&mut self, kind: &str, node: &Value, usage: Use) {
        let with = node.get("with_clause").filter(|with| !with.is_null());
        if let Some(with) = with {
            self.open_with(with);
        }
        self.node_itself(kind, node, usage);
        if with.is_some() {
            self.scopes.pop();
        }
    }

    fn open_with(&mut self, with: &Value) {
        let recursive = with["recursive"] == Value::Bool(true);
        let expressions: Vec<&Value> = with["ctes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|cte| Some(unwrap(cte)?.1))
            .collect();
        let names = expressions.iter().map(|cte| text(&cte["ctename"]));
        self.scopes.push(if recursive {
            names.collect()
        } else {
            Vec::new()
        });
        for expression in expressions {
            self.fields(expression, Use::Read, &[]);
            self.scopes
                .last_mut()
                .unwrap()
                .push(text(&expression["ctename"]));
        }
    }

    fn node_itself(&mut self, kind: &str, node: &Value, usage: Use) {
        match kind {
            "RangeVar" => self.relation(node, usage),
            "SelectStmt" => {
                self.facts.locking |= !is_empty(&node["locking_clause"]);
                self.any(&node["into_clause"], Use::Object);
                self.fields(
                    node,
                    Use::Read,
                    &["with_clause", "locking_clause", "into_clause"],
                );
            }
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => {
                self.any(&node["relation"], Use::Write);
                self.fields(node, Use::Read, &["with_clause", "relation"]);
                if matches!(kind, "UpdateStmt" | "DeleteStmt") {
                    self.facts.without_where |= node["where_clause"].is_null();
                }
            }
            "TruncateStmt" | "RefreshMatViewStmt" => self.fields(node, Use::Write, &[]),
            "CopyStmt" => {
                let from = node["is_from"] == Value::Bool(true);
                self.any(&node["relation"], if from { Use::Write } else { Use::Read });
                self.fields(node, Use::Read, &["relation"]);
            }
            "ReturningClause" => {
                self.facts.returning = true;
                self.fields(node, usage, &[]);
            }
            "ColumnRef" => {
                let fields = node["fields"].as_array().map_or(&[][..], Vec::as_slice);
                if fields.len() > 1 {
                    self.attribute(fields.last());
                }
            }
            "AIndirection" => {
                node["indirection"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .for_each(|field| self.attribute(Some(field)));
                self.fields(node, usage, &[]);
            }
            "ParamRef" => self.facts.parameter = true,
            "FuncCall" => {
                self.function(node);
                self.fields(node, usage, &["funcname"]);
            }
            "ConstraintsSetStmt" | "CompositeTypeStmt" | "ImportForeignSchemaStmt" => {}
            "AlterExtensionContentsStmt" => self.described(node),
            "RenameStmt"
            | "AlterTableStmt"
            | "AlterObjectSchemaStmt"
            | "AlterOwnerStmt"
            | "AlterObjectDependsStmt" => self.altered(node),
            "DropStmt" => self.dropped(node),
            "CommentStmt" | "SecLabelStmt" => self.described(node),
            "GrantStmt" => self.fields(node, Use::Object, &["privileges"]),
            "ViewStmt" | "CreateTableAsStmt" | "CreateStatsStmt" => {
                self.fields(node, Use::Object, &[])
            }
            _ => self.fields(node, usage, &[]),
        }
    }

    fn altered(&mut self, node: &Value) {
        let of = [&node["rename_type"], &node["objtype"], &node["object_type"]];
        let kind = of.into_iter().find_map(object_type).unwrap_or("");
        let types = [
            "OBJECT_TYPE",
            "OBJECT_ATTRIBUTE",
            "OBJECT_DOMAIN",
            "OBJECT_DOMCONSTRAINT",
        ];
        let except: &[&str] = if types.contains(&kind) {
            &["relation"]
        } else {
            &[]
        };
        self.fields(node, Use::Object, except);
    }

    fn dropped(&mut self, node: &Value) {
        let keep = match object_type(&node["remove_type"]).unwrap_or("") {
            kind if is_relation(kind) => 0,
            "OBJECT_TRIGGER" | "OBJECT_RULE" | "OBJECT_POLICY" => 1,
            _ => return,
        };
        for object in node["objects"].as_array().into_iter().flatten() {
            self.listed(object, keep);
        }
    }

    fn described(&mut self, node: &Value) {
        let cut = match object_type(&node["objtype"]).unwrap_or("") {
            kind if is_relation(kind) => 0,
            "OBJECT_COLUMN"
            | "OBJECT_TRIGGER"
            | "OBJECT_RULE"
            | "OBJECT_POLICY"
            | "OBJECT_TABCONSTRAINT" => 1,
            _ => return,
        };
        self.listed(&node["object"], cut);
    }

    /// A relation given as a list of names, of which the last `cut` are something in it.
    fn listed(&mut self, list: &Value, cut: usize) {
        let Some((_, list)) = unwrap(list) else {
            return;
        };
        let mut names = strings(&list["items"]);
        names.truncate(names.len() - cut);
        self.add(Name::from_parts(names), Use::Object);
    }

    fn relation(&mut self, node: &Value, usage: Use) {
        let parts = ["catalogname", "schemaname", "relname"].map(|field| text(&node[field]));
        let name = Name::from_parts(parts.into_iter().filter(|part| !part.is_empty()).collect());
        let expression = || {
            self.scopes
                .iter()
                .flatten()
                .any(|known| *known == name.name)
        };
        if usage == Use::Read && name.schema.is_empty() && expression() {
            return;
        }
        self.add(name, usage);
    }

    fn add(&mut self, name: Name, usage: Use) {
        let relations: &mut BTreeMap<Name, [bool; 3]> = &mut self.facts.relations;
        let access = relations.entry(name).or_default();
        match usage {
            Use::Read => access[0] = true,
            Use::Write => access[1] = true,
            Use::Object => access[2] = true,
        }
    }

    fn attribute(&mut self, field: Option<&Value>) {
        if let Some(("String", name)) = field.and_then(unwrap) {
            self.facts.attributes.insert(text(&name["sval"]));
        }
    }

    fn function(&mut self, node: &Value) {
        let mut names = strings(&node["funcname"]);
        if node["funcformat"] == 4 {
            // COERCE_SQL_SYNTAX: the grammar's own spelling, EXTRACT(year FROM x) and the like.
            let last = names.pop().unwrap_or_default();
            let trims = ["btrim", "ltrim", "rtrim"].contains(&last.as_str());
            names = vec![if trims { "trim".to_owned() } else { last }];
            if !crate::facts::SPELLED_OUT.contains(&names[0].as_str()) {
                return;
            }
        }
        self.facts
            .functions
            .insert(Name::from_parts(names).without_pg_catalog());
    }
}

fn object_type(value: &Value) -> Option<&'static str> {
    let number = i32::try_from(value.as_i64()?).ok()?;
    ObjectType::try_from(number)
        .ok()
        .map(|kind| kind.as_str_name())
}

fn is_relation(kind: &str) -> bool {
    let kinds = [
        "TABLE",
        "VIEW",
        "MATVIEW",
        "INDEX",
        "SEQUENCE",
        "FOREIGN_TABLE",
    ];
    kind.strip_prefix("OBJECT_")
        .is_some_and(|kind| kinds.contains(&kind))
}

/// The strings of a list of String nodes.
pub fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some(text(&unwrap(item)?.1["sval"])))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_none_or(Vec::is_empty)
}
