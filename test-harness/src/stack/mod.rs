//! All of it at once, as `envoy-configs` puts it together:
//!
//! ```text
//!   applications -> Envoy [metrics, policy] -> PostgreSQL -> standby
//!        |             |        |                  |
//!        | OTLP        | OTLP   | log              | jsonlog
//!        v             v        |                  +------------.
//!      the Collector [processor] <-----------------'            v
//!        |           |          |                     Fluent Bit [filter]
//!        v           v          v                               |
//!      Jaeger       Loki <----------------------------------------'
//!
//!   Prometheus, with the shipped rules -> Alertmanager     asks Envoy, the Collector and each
//!                                                          server's exporter
//! ```
//!
//! The tests that follow something through more than two of these start it, and so does
//! `make demo STACK=1`.

pub mod load;
mod shipping;
pub mod statements;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::authority::Authority;
use crate::hosts::collector::Build;
use crate::hosts::places::{RunDirectory, built_module};
use crate::hosts::{
    Alertmanager, Collector, Envoy, HostError, Jaeger, Loki, Postgres, PostgresExporter,
    Prometheus, Release, Version, free_port,
};
use crate::{rules, shipped};

use shipping::Shipping;

/// The value of the label `postgresql`: the primary, its exporter and its Envoy.
pub const SERVER: &str = "orders";

/// The metrics filter: every slow and failed statement is told, every parent's trace is followed. Its
/// bounds are so low that a minute of load reaches them.
const METRICS: &str = r#"{
  "max_label_sets": 40,
  "query_log": { "slower_than_ms": 200, "failed": true, "per_fingerprint_and_minute": 20 },
  "top_statements": { "top": 100, "interval_s": 5, "stats": 50, "export": true },
  "traces": { "root_one_in": 100 },
  "export": { "cluster": "otlp", "timeout_ms": 1000, "max_queue_bytes": 120000 },
  "resource": { "service.name": "orders-db" }
}"#;

const POLICY: &str = r#"{
  "rules": [
    { "name": "no drop", "action": "deny", "command": ["DROP TABLE", "DROP SCHEMA", "DROP DATABASE"],
      "message": "tables are not dropped through the mesh", "hint": "Write a migration." },
    { "name": "strangers", "action": "deny", "user": ["stranger*"] },
    { "name": "where", "action": "deny", "mode": "dry_run", "where": "missing" }
  ],
  "limits": [ { "name": "per application", "key": ["application"], "max_connections": 30 } ],
  "routes": [ { "name": "replicas", "cluster": "replicas", "option": "ro" } ]
}"#;

/// The listener that asks for a certificate.
const MESHED: &str = "meshed";

/// What postgres_exporter before 0.13, such as Debian's, is asked by a query of one's own.
const LAG: &str = "pg_replication: { query: \"select case when pg_is_in_recovery() \
  then extract(epoch from now() - pg_last_xact_replay_timestamp()) else 0 end as lag\", \
  metrics: [ { lag: { usage: GAUGE, description: Replay lag in seconds. } } ] }";

/// Everything, running. What comes first ends first.
#[derive(Debug)]
pub struct Stack {
    pub prometheus: Prometheus,
    pub alertmanager: Alertmanager,
    shipping: Shipping,
    pub exporters: [PostgresExporter; 2],
    pub workload: Envoy,
    pub envoy: Envoy,
    pub collector: Collector,
    pub jaeger: Jaeger,
    pub loki: Loki,
    pub standby: Postgres,
    pub primary: Postgres,
    scratch: RunDirectory,
}

impl Stack {
    /// Starts it all around a server of this version.
    #[track_caller]
    pub fn start(version: Version) -> Self {
        Self::start_with(version, Release::Debian)
    }

    /// The same with exporters of a release.
    #[track_caller]
    pub fn start_with(version: Version, exporter: Release) -> Self {
        match Self::try_start(version, exporter) {
            Ok(stack) => stack,
            Err(error) => panic!("{error}"),
        }
    }

    /// As [`start`](Self::start), for programs that want to say it in their own way.
    pub fn try_start(version: Version, exporter: Release) -> Result<Self, HostError> {
        let primary = server(version)?;
        primary.sql("create extension pg_stat_statements");
        let standby = primary.standby();
        let (jaeger, loki) = (Jaeger::start(), Loki::start());
        let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let collector = Collector::with_configuration(Build::Ours, |otlp| {
            collector_configuration(otlp, metrics, &primary, &jaeger, &loki).to_string()
        });
        let authority = Authority::new();
        let envoy = envoy(&primary, &standby, collector.otlp(), &authority)?;
        let workload = workload(&envoy, &authority)?;
        let shipping = Shipping::start(&json_log(&primary), &envoy, &loki);
        let exporters = [&primary, &standby].map(|server| {
            let queries = shipped::file("kubernetes/base/queries.yaml");
            let own = if exporter == Release::Debian { LAG } else { "" };
            PostgresExporter::of(exporter, server, &format!("{queries}\n{own}\n"))
        });
        let alertmanager = Alertmanager::start(&shipped::file("prometheus/alertmanager.yml"));
        let prometheus = prometheus(&envoy, &exporters, metrics, &alertmanager);
        Ok(Self {
            prometheus,
            alertmanager,
            shipping,
            exporters,
            workload,
            envoy,
            collector,
            jaeger,
            loki,
            standby,
            primary,
            scratch: RunDirectory::new("stack")?,
        })
    }

    /// Where clients connect to: Envoy's listener.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.envoy.port()))
    }

    /// Where the workload `billing` connects to: its own Envoy, which speaks for it with its certificate.
    pub fn workload_port(&self) -> u16 {
        self.workload.port()
    }

    /// Where the primary's jsonlog is.
    pub fn json_log(&self) -> PathBuf {
        json_log(&self.primary)
    }

    /// A directory that goes with the stack.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Who ships the logs: `Fluent Bit 5.1.1`, or what stands in for it here.
    pub fn log_shipper(&self) -> &str {
        self.shipping.name()
    }
}

/// Where a server of the stack writes its jsonlog.
fn json_log(server: &Postgres) -> PathBuf {
    server.data_directory().join("log/postgresql.json")
}

fn server(version: Version) -> Result<Postgres, HostError> {
    let settings = [
        ("cluster_name", SERVER),
        ("log_destination", "stderr,jsonlog"),
        ("logging_collector", "on"),
        ("log_directory", "log"),
        ("log_filename", "postgresql.log"),
        ("log_min_duration_statement", "200ms"),
        ("log_checkpoints", "on"),
        ("log_connections", "on"),
        ("log_disconnections", "on"),
        ("log_lock_waits", "on"),
        ("log_temp_files", "0"),
        ("log_autovacuum_min_duration", "0"),
        ("deadlock_timeout", "100ms"),
        ("archive_mode", "on"),
        ("archive_command", "true"),
    ];
    let builder = Postgres::builder(version).preload("pg_stat_statements");
    let builder = settings.iter().fold(builder, |builder, (name, value)| {
        builder.setting(name, value)
    });
    builder.try_start()
}

/// Both modules in one chain, with routes to the standby, as in the shipped `policy.yaml`.
fn envoy(
    primary: &Postgres,
    standby: &Postgres,
    collector: SocketAddr,
    authority: &Authority,
) -> Result<Envoy, HostError> {
    let mut socket = tls_socket("DownstreamTlsContext", authority, "orders-db");
    socket["typed_config"]["require_client_certificate"] = json!(true);
    let shipped = rules::parse(&shipped::file("envoy/policy.yaml"));
    Envoy::in_front_of(primary.address())
        .module("envoy-metrics", METRICS)
        .module("envoy-policy", POLICY)
        .cluster("replicas", standby.address())
        .cluster("otlp", collector)
        .stats_config(shipped["stats_config"].clone())
        .edit(|bootstrap| {
            let chain = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0];
            let filters = chain["filters"].as_array_mut().expect("filters");
            let proxy = &mut filters.last_mut().expect("tcp_proxy")["typed_config"];
            proxy["upstream_connect_mode"] = json!("ON_DOWNSTREAM_DATA");
            proxy["max_early_data_bytes"] = json!(16384);
            let listeners = bootstrap["static_resources"]["listeners"].as_array_mut();
            let listeners = listeners.expect("listeners");
            let mut meshed = listeners[0].clone();
            meshed["name"] = json!(MESHED);
            meshed["filter_chains"][0]["transport_socket"] = socket;
            listeners.push(meshed);
        })
        .try_start()
}

/// The Envoy beside a workload, which has its certificate.
fn workload(server: &Envoy, authority: &Authority) -> Result<Envoy, HostError> {
    let socket = tls_socket("UpstreamTlsContext", authority, "billing");
    Envoy::in_front_of(server.listener(MESHED))
        .edit(|bootstrap| {
            bootstrap["static_resources"]["clusters"][0]["transport_socket"] = socket;
        })
        .try_start()
}

fn tls_socket(kind: &str, authority: &Authority, workload: &str) -> Value {
    let id = format!("URI:spiffe://mesh.test/ns/shop/sa/{workload}");
    let identity = authority.identity(workload, &id);
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}"),
            "common_tls_context": {
                "tls_certificates": [{
                    "certificate_chain": {"filename": identity.certificate},
                    "private_key": {"filename": identity.key},
                }],
                "validation_context": {"trusted_ca": {"filename": authority.certificate()}},
            },
        },
    })
}

/// OTLP from applications and from Envoy, and the server's jsonlog; each signal to its store.
fn collector_configuration(
    otlp: SocketAddr,
    metrics: SocketAddr,
    server: &Postgres,
    jaeger: &Jaeger,
    loki: &Loki,
) -> Value {
    let pipeline = |receivers: &[&str], exporter: &str| json!({"receivers": receivers, "processors": ["batch", "wasm"], "exporters": [exporter]});
    json!({
        "receivers": {
            "otlp": {"protocols": {"http": {"endpoint": otlp.to_string()}}},
            "filelog": {
                "include": [json_log(server)],
                "start_at": "beginning",
                "poll_interval": "100ms",
                "resource": {"service.name": SERVER},
            },
        },
        "processors": {
            "batch": {"timeout": "200ms"},
            "wasm": {
                "path": built_module("otel-processor"),
                "runtime": {"mode": "compiled"},
                "plugin_config": {},
            },
        },
        "exporters": {
            "otlp_http/jaeger": {"endpoint": format!("http://{}", jaeger.otlp())},
            "otlp_http/loki": {"endpoint": format!("http://{}/otlp", loki.address())},
            "prometheus": {
                "endpoint": metrics.to_string(),
                // Without it there are no exemplars.
                "enable_open_metrics": true,
            },
        },
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                "traces": pipeline(&["otlp"], "otlp_http/jaeger"),
                "logs": pipeline(&["otlp", "filelog"], "otlp_http/loki"),
                "metrics": pipeline(&["otlp"], "prometheus"),
            },
        },
    })
}

/// The shipped configuration with this stack's addresses, and the standby's exporter and the Collector
/// beside it.
fn prometheus(
    envoy: &Envoy,
    exporters: &[PostgresExporter; 2],
    collector: SocketAddr,
    alertmanager: &Alertmanager,
) -> Prometheus {
    let [primary, standby] = exporters;
    let mut text = shipped::file("prometheus/prometheus.yml");
    let others = format!(
        "\n  - targets: ['{}']\n    labels: {{ postgresql: {SERVER}-replica }}\n\
         - job_name: collector\n  static_configs:\n  - targets: ['{collector}']\n",
        standby.address()
    );
    for (from, to) in [
        ("127.0.0.1:9093", alertmanager.address().to_string()),
        ("127.0.0.1:9902", envoy.admin_address().to_string()),
        ("127.0.0.1:9187", primary.address().to_string()),
        ("scrape_interval: 15s", "scrape_interval: 2s".to_owned()),
        (
            "evaluation_interval: 30s",
            "evaluation_interval: 5s".to_owned(),
        ),
    ] {
        assert!(text.contains(from), "no {from} in prometheus.yml");
        text = text.replace(from, &to);
    }
    let mut builder = Prometheus::builder().text(&(text + &others));
    for file in rules::files() {
        builder = builder.rules(&format!("rules/{}.yaml", file.name), &file.text);
    }
    builder.start()
}
