//! What is compared, from either side.

use pg_sql::classify::{Access, QualifiedName, Statement, Traits};
use std::collections::{BTreeMap, BTreeSet};

/// Functions the grammar has a spelling of its own for; pg-sql reports the spelling's name.
pub const SPELLED_OUT: &[&str] = &[
    "extract",
    "normalize",
    "overlay",
    "position",
    "substring",
    "trim",
];

/// Names that are functions in one server version and grammar in another: reported, not compared.
const VERSIONED: &[&str] = &[
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_value",
    "merge_action",
];

/// What `LIKE ... ESCAPE` and `SIMILAR TO` become: the text calls nothing.
const OPERATORS: &[&str] = &["like_escape", "similar_to_escape"];

/// The name of a relation or function.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Name {
    /// Catalog and schema, as far as given, with a dot.
    pub schema: String,
    /// The name itself.
    pub name: String,
}

impl Name {
    /// From its parts, the name last.
    pub fn from_parts(mut parts: Vec<String>) -> Self {
        let name = parts.pop().unwrap_or_default();
        Self {
            schema: parts.join("."),
            name,
        }
    }

    /// The server writes `pg_catalog` where the grammar has its own spelling for a function.
    pub fn without_pg_catalog(mut self) -> Self {
        if self.schema == "pg_catalog" && SPELLED_OUT.contains(&self.name.as_str()) {
            self.schema.clear();
        }
        self
    }

    fn of(name: &QualifiedName) -> Self {
        let parts = [
            name.catalog.clone(),
            name.schema.clone(),
            Some(name.name.clone()),
        ];
        Self::from_parts(parts.into_iter().flatten().collect())
    }
}

/// What a statement does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// Its command.
    pub tag: String,
    /// Relations, and whether each is read, written, or the command's object.
    pub relations: BTreeMap<Name, [bool; 3]>,
    /// Functions called.
    pub functions: BTreeSet<Name>,
    /// Names behind a dot; what pg-sql says may hold more, since `s.t.*` has one that is none.
    pub attributes: BTreeSet<String>,
    /// The outermost query is limited.
    pub limit: bool,
    /// RETURNING anywhere.
    pub returning: bool,
    /// FOR UPDATE and the like anywhere.
    pub locking: bool,
    /// A parameter anywhere.
    pub parameter: bool,
    /// An UPDATE or DELETE without a WHERE anywhere.
    pub without_where: bool,
}

impl Facts {
    /// What pg-sql says.
    pub fn of(statement: &Statement) -> Self {
        let uses = [Access::READ, Access::WRITE, Access::OBJECT];
        let relations = statement.relations.iter();
        let has = |flag| statement.traits.has(flag);
        Self {
            tag: statement.command.as_str().to_owned(),
            relations: relations
                .map(|relation| {
                    (
                        Name::of(&relation.name),
                        uses.map(|one| relation.access.has(one)),
                    )
                })
                .collect(),
            functions: statement
                .functions
                .iter()
                .map(|name| Name::of(name).without_pg_catalog())
                .collect(),
            attributes: statement
                .attributes
                .iter()
                .map(|name| name.name.clone())
                .collect(),
            limit: has(Traits::LIMIT),
            returning: has(Traits::RETURNING),
            locking: has(Traits::LOCKING),
            parameter: has(Traits::PARAMETER),
            without_where: has(Traits::UNFILTERED),
        }
    }

    /// Where `said` differs from this, in words; empty when it is right.
    pub fn differences(&self, said: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut differ = |what: &str, right: String, said: String| {
            if right != said {
                found.push(format!("{what}: is {right}, said {said}"));
            }
        };
        differ("command", self.tag.clone(), said.tag.clone());
        differ(
            "relations",
            format!("{:?}", self.relations),
            format!("{:?}", said.relations),
        );
        let compared = |functions: &BTreeSet<Name>| {
            let names = functions.iter().filter(|name| {
                let operator =
                    name.schema == "pg_catalog" && OPERATORS.contains(&name.name.as_str());
                !operator && !VERSIONED.contains(&name.name.as_str())
            });
            format!("{:?}", names.collect::<Vec<_>>())
        };
        differ(
            "functions",
            compared(&self.functions),
            compared(&said.functions),
        );
        let flags = |facts: &Self| [facts.limit, facts.returning, facts.locking, facts.parameter];
        differ(
            "limit, returning, locking, parameter",
            format!("{:?}", flags(self)),
            format!("{:?}", flags(said)),
        );
        let missed: Vec<&String> = self.attributes.difference(&said.attributes).collect();
        if !missed.is_empty() {
            found.push(format!("names behind a dot were missed: {missed:?}"));
        }
        if self.without_where && !said.without_where {
            found.push("an UPDATE or DELETE without WHERE was missed".to_owned());
        }
        found
    }
}
