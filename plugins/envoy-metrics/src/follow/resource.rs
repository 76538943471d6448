//! The resource that exported telemetry belongs to: what the configuration says, and what the host
//! knows of itself.

use std::collections::BTreeMap;

use proxy_host::Host;

/// Attributes and the host's properties they are taken from, the first that is there. Istio's
/// sidecars have their pod in the node's metadata.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "service.name",
        &["xds", "node", "metadata", "WORKLOAD_NAME"],
    ),
    ("service.name", &["xds", "node", "cluster"]),
    ("service.instance.id", &["xds", "node", "id"]),
    ("k8s.pod.name", &["xds", "node", "metadata", "NAME"]),
    (
        "k8s.namespace.name",
        &["xds", "node", "metadata", "NAMESPACE"],
    ),
    (
        "k8s.cluster.name",
        &["xds", "node", "metadata", "CLUSTER_ID"],
    ),
];
/// Stands for the service where nobody has named one.
const UNNAMED: &str = "pgmesh";

/// The resource's attributes.
pub(crate) fn attributes(
    host: &impl Host,
    configured: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut attributes = configured.clone();
    for (key, path) in KNOWN {
        if attributes.contains_key(*key) {
            continue;
        }
        let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = host.with_property(path, read).unwrap_or_default();
        if !value.is_empty() {
            attributes.insert((*key).to_owned(), value);
        }
    }
    let name = attributes.entry("service.name".to_owned());
    name.or_insert_with(|| UNNAMED.to_owned());
    attributes
}
