//! What the alerts are about: two servers, the Envoy in front of the first, and who watches them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::prometheus::Alert;
use test_harness::hosts::{
    Alertmanager, Envoy, Postgres, PostgresExporter, Prometheus, Version, free_port, wait_for,
};
use test_harness::net::{Client, messages};
use test_harness::{rules, shipped};

/// The value of the label `postgresql` of the primary, its exporter and its Envoy.
pub const SERVER: &str = "shop";

/// Databases, one for each fault that is told by database.
const DATABASES: &[&str] = &[
    "shop",
    "errors",
    "slow",
    "idle",
    "churn",
    "startup",
    "cache",
    "deadlocks",
];

/// The metrics filter.
const METRICS: &str = r#"{ "max_label_sets": 60, "traces": { "root_one_in": 100 },
  "export": { "cluster": "otlp" } }"#;

const POLICY: &str = r#"{ "rules": [
  { "name": "no drop", "action": "deny", "command": ["DROP *"] },
  { "name": "banned", "action": "deny", "user": ["banned"] },
  { "name": "big deletes", "action": "deny", "mode": "dry_run", "command": ["DELETE"] } ],
  "limits": [ { "name": "one each", "key": ["application"], "max_connections": 40 } ] }"#;

/// Of releases before 0.13, such as Debian's, this is asked by a query of one's own.
const LAG: &str = "pg_replication: { query: \"select case when pg_is_in_recovery() \
  then extract(epoch from now() - pg_last_xact_replay_timestamp()) else 0 end as lag\", \
  metrics: [ { lag: { usage: GAUGE, description: Replay lag in seconds. } } ] }";

pub struct Site {
    pub primary: Postgres,
    pub standby: Postgres,
    pub envoy: Envoy,
    pub collector: OtlpSink,
    admin: SocketAddr,
    exporter: Option<PostgresExporter>,
    _standbys_exporter: PostgresExporter,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
}

impl Site {
    pub fn start(quick_rules: Vec<(String, String)>) -> Self {
        let primary = Postgres::builder(Version::V15)
            .setting("max_connections", "70")
            .setting("shared_buffers", "1MB")
            .setting("deadlock_timeout", "20ms")
            .setting("restart_after_crash", "on")
            .setting("archive_mode", "on")
            .setting("archive_command", "true")
            .start();
        prepare(&primary);
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let collector = OtlpSink::start();
        let envoy = envoy(&primary, admin, collector.address());
        let standby = primary.standby_through(envoy.port());
        let queries = format!("{}\n{LAG}\n", shipped::file("kubernetes/base/queries.yaml"));
        let exporter = PostgresExporter::with_queries(&primary, &queries);
        let standbys_exporter = PostgresExporter::with_queries(&standby, &queries);
        let alertmanager = Alertmanager::start(&shipped::file("prometheus/alertmanager.yml"));
        let server = [("postgresql", SERVER)];
        let mut prometheus = Prometheus::builder()
            // Of a server that is down the exporter tells after a second.
            .interval("2s")
            .scrape("envoy", admin, "/stats/prometheus", &server)
            .scrape("postgres", exporter.address(), "/metrics", &server)
            .scrape(
                "standby",
                standbys_exporter.address(),
                "/metrics",
                &[("postgresql", "shop-standby")],
            )
            .alertmanager(alertmanager.address());
        for (name, text) in quick_rules {
            prometheus = prometheus.rules(&name, &text);
        }
        Self {
            primary,
            standby,
            envoy,
            collector,
            admin,
            exporter: Some(exporter),
            _standbys_exporter: standbys_exporter,
            prometheus: prometheus.start(),
            alertmanager,
        }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.envoy.port()))
    }

    /// What a client sends first.
    pub fn hello(user: &str, database: &str, application: &str) -> Vec<u8> {
        let parameters = [
            ("user", user),
            ("database", database),
            ("application_name", application),
        ];
        messages::startup(messages::PROTOCOL_3_0, &parameters)
    }

    /// A session through Envoy.
    pub fn session(&self, user: &str, database: &str) -> Client {
        let mut client = Client::connect(self.address());
        client.send(&Self::hello(user, database, "till"));
        client.read_until_ready();
        client
    }

    /// The alerts that fire now.
    pub fn firing(&self) -> Vec<Alert> {
        let alerts = self.prometheus.alerts().into_iter();
        alerts.filter(|alert| alert.state == "firing").collect()
    }

    /// What Prometheus has of alerts that do not fire.
    pub fn explain(&self, missing: &BTreeSet<&str>) -> String {
        let known: Vec<_> = self.prometheus.alerts();
        let known = known.iter().map(|it| format!("{} {}", it.name(), it.state));
        let known: Vec<_> = known.collect();
        let records: Vec<String> = self
            .prometheus
            .query(r#"{__name__=~"pgmesh:.*5m|postgresql:.*|pgmesh_state_bytes"}"#)
            .iter()
            .map(|series| format!("{:?} {}", series.labels, series.value))
            .collect();
        format!("{missing:?}; there are {known:?}\n{}", records.join("\n"))
    }

    /// Waits until the Alertmanager holds back whatever else is said of the server that is down.
    pub fn told_of_the_server_alone(&self) {
        let held = || {
            let alerts = self.alertmanager.alerts().into_iter();
            alerts.filter(|held| held.labels.get("postgresql").is_some_and(|it| it == SERVER))
        };
        let of_the_server = |name: &str| name.starts_with("PostgreSQL");
        let settled = wait_for(Duration::from_secs(30), || {
            std::thread::sleep(Duration::from_millis(200));
            let (mut told, mut silenced) = (Vec::new(), 0);
            for alert in held().filter(|held| of_the_server(&held.labels["alertname"])) {
                if alert.inhibited_by.is_empty() {
                    told.push(alert.labels["alertname"].clone());
                } else {
                    silenced += 1;
                }
            }
            (told == ["PostgreSQLDown"] && silenced > 0).then_some(())
        });
        assert!(settled.is_some(), "{:#?}", held().collect::<Vec<_>>());
    }

    /// The exporter of the primary ends, and stays in Prometheus' configuration.
    pub fn exporter_ends(&mut self) {
        self.exporter = None;
    }

    /// Another Envoy takes the place of the first, with the same address and without the modules.
    pub fn envoy_loses_the_module(&mut self) {
        self.envoy.stop();
        self.envoy = Envoy::in_front_of(self.primary.address())
            .edit(|bootstrap| at_port(bootstrap, self.admin))
            .start();
    }
}

/// With both modules, and with the labels as the shipped bootstraps make them.
fn envoy(primary: &Postgres, admin: SocketAddr, otlp: SocketAddr) -> Envoy {
    let shipped = rules::parse(&shipped::file("envoy/sidecar.yaml"));
    Envoy::in_front_of(primary.address())
        .module("envoy-metrics", METRICS)
        .module("envoy-policy", POLICY)
        .stats_config(shipped["stats_config"].clone())
        .cluster("otlp", otlp)
        .edit(|bootstrap| {
            at_port(bootstrap, admin);
            bootstrap["static_resources"]["clusters"][0]["health_checks"] = json!([{
                "timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1,
                "tcp_health_check": {},
            }]);
        })
        .start()
}

fn at_port(bootstrap: &mut Value, admin: SocketAddr) {
    bootstrap["admin"]["address"]["socket_address"]["port_value"] = admin.port().into();
}

fn prepare(primary: &Postgres) {
    primary.sql("create role banned login; create role narrow login connection limit 0");
    for index in 0..80 {
        primary.sql(&format!("create role reader_{index} login"));
    }
    for database in DATABASES {
        primary.sql(&format!("create database {database}"));
    }
}
