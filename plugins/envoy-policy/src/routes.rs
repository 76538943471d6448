//! Routing: which of Envoy's clusters a session goes to, decided by its StartupMessage.
//!
//! A session has one server for all its life, so a read-only pool is chosen for sessions, never for
//! statements: by who the client is, or by the start-up option `pgmesh.route`, which never reaches
//! the server. Envoy's tcp_proxy takes the cluster from filter state when it connects, which is after
//! the StartupMessage only if `max_early_data_bytes` lets it wait.

use proxy_host::{Host, HostError};

use crate::config::RouteDocument;
use crate::policy::{Client, Who};

/// The setting by which a client asks for a route.
pub const OPTION: &str = "pgmesh.route";

/// tcp_proxy's filter state (`source/common/tcp_proxy/tcp_proxy.cc`).
pub const CLUSTER_STATE: &str = "envoy.tcp_proxy.cluster";

/// A compiled route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Unique in its policy.
    pub name: String,
    /// Envoy's name of the cluster.
    cluster: String,
    who: Who,
    option: Option<String>,
}

/// Compiles the routes of a document.
///
/// # Errors
/// One line that names the path of what is wrong, and what was expected.
pub fn compile(documents: &[RouteDocument]) -> Result<Vec<Route>, String> {
    let mut routes: Vec<Route> = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let at = |reason: String| format!("routes[{index}].{reason}");
        if document.name.is_empty() {
            return Err(at("name: expected a name".to_owned()));
        }
        if document.cluster.is_empty() {
            return Err(at("cluster: expected the name of a cluster".to_owned()));
        }
        if routes.iter().any(|known| known.name == document.name) {
            let name = &document.name;
            return Err(at(format!("name: there is a route `{name}` already")));
        }
        routes.push(Route {
            name: document.name.clone(),
            cluster: document.cluster.clone(),
            who: Who::of_route(document).map_err(at)?,
            option: document.option.clone(),
        });
    }
    Ok(routes)
}

/// The first route for a client that asks for `option`.
#[must_use]
pub fn choose<'a>(
    routes: &'a [Route],
    client: &Client,
    option: Option<&str>,
) -> Option<(usize, &'a Route)> {
    let asked = |route: &Route| route.option.is_none() || route.option.as_deref() == option;
    routes
        .iter()
        .enumerate()
        .find(|(_, route)| asked(route) && route.who.matches(client))
}

impl Route {
    /// Makes Envoy connect the session to this cluster.
    ///
    /// # Errors
    /// The host has no such function.
    pub fn take(&self, host: &impl Host) -> Result<(), HostError> {
        set_state(host, CLUSTER_STATE, &self.cluster)
    }
}

/// Sets filter state of Envoy's own.
///
/// # Errors
/// The host has no such function, or no such state.
pub fn set_state(host: &impl Host, path: &str, value: &str) -> Result<(), HostError> {
    host.call_foreign_function("set_envoy_filter_state", &argument(path, value))
}

/// `SetEnvoyFilterStateArguments` of Envoy's `source/extensions/common/wasm/ext`: path and value;
/// the life span is by default that of the filter chain.
fn argument(path: &str, value: &str) -> Vec<u8> {
    let mut argument = Vec::new();
    for (tag, text) in [(0x0a, path), (0x12, value)] {
        argument.push(tag);
        let mut length = text.len();
        while length >= 0x80 {
            argument.push(0x80 | u8::try_from(length & 0x7f).unwrap_or(0));
            length >>= 7;
        }
        argument.push(u8::try_from(length).unwrap_or(0));
        argument.extend_from_slice(text.as_bytes());
    }
    argument
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::json::Read;

    fn compiled(json: &str) -> Result<Vec<Route>, String> {
        compile(&Vec::<RouteDocument>::read(serde_json::from_str(json).unwrap()).unwrap())
    }

    #[test]
    fn the_first_route_that_matches_is_taken() {
        let routes = compiled(
            r#"[{"name": "replication", "cluster": "primary-replication", "replication": true},
                {"name": "asked", "cluster": "replicas", "option": "ro"},
                {"name": "reports", "cluster": "reports", "user": ["report*"]}]"#,
        )
        .unwrap();
        let chosen = |user: &str, replication, option| {
            let client = Client {
                user: user.to_owned(),
                replication,
                ..Client::default()
            };
            choose(&routes, &client, option).map(|(_, route)| route.cluster.clone())
        };
        assert_eq!(chosen("app", false, None), None);
        assert_eq!(
            chosen("app", false, Some("ro")).as_deref(),
            Some("replicas")
        );
        assert_eq!(chosen("app", false, Some("rw")), None);
        assert_eq!(chosen("reporter", false, None).as_deref(), Some("reports"));
        let replication = chosen("reporter", true, Some("ro"));
        assert_eq!(replication.as_deref(), Some("primary-replication"));
    }

    #[test]
    fn the_cluster_is_told_as_envoy_reads_it() {
        let expected = b"\x0a\x17envoy.tcp_proxy.cluster\x12\x08replicas";
        assert_eq!(argument(CLUSTER_STATE, "replicas"), expected);
    }

    #[test]
    fn a_bad_route_says_where_and_why() {
        for (json, expected) in [
            (
                r#"[{"name": "a", "cluster": ""}]"#,
                "routes[0].cluster: expected",
            ),
            (
                r#"[{"name": "a", "cluster": "c", "user": [""]}]"#,
                "routes[0].user[0]: expected a name",
            ),
        ] {
            let error = compiled(json).expect_err(json);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
