//! The harness's Prometheus, postgres_exporter and Alertmanager are real and speak to each other.

use std::time::Duration;

use test_harness::hosts::{Alertmanager, Postgres, PostgresExporter, Prometheus, Version};
use test_harness::hosts::{alertmanager::HeldAlert, wait_for};

const LIMIT: Duration = Duration::from_secs(60);
const RULES: &str = "
groups:
- name: one
  rules:
  - alert: ServerUp
    expr: pg_up == 1
    annotations:
      description: 'up is {{ $value }}'
";
const ALERTMANAGER: &str = "
route: { receiver: nobody }
receivers: [{ name: nobody }]
";

#[test]
fn an_alert_on_a_metric_of_the_exporter_reaches_the_alertmanager() {
    let server = Postgres::start(Version::V15);
    let exporter = PostgresExporter::start(&server);
    let alertmanager = Alertmanager::start(ALERTMANAGER);
    let prometheus = Prometheus::builder()
        .scrape("postgres", exporter.address(), "/metrics", &[("team", "a")])
        .rules("one.yml", RULES)
        .alertmanager(alertmanager.address())
        .start();
    let alert = prometheus.alert_fires("ServerUp", LIMIT);
    assert_eq!(alert.labels["team"], "a");
    assert_eq!(alert.annotations["description"], "up is 1");
    assert_eq!(prometheus.query("pg_up + 1")[0].value, 2.0);
    let held: Vec<HeldAlert> = wait_for(LIMIT, || {
        Some(alertmanager.alerts()).filter(|held| !held.is_empty())
    })
    .expect("the Alertmanager has been told");
    assert_eq!(held[0].labels["alertname"], "ServerUp");
    assert_eq!(held[0].state, "active");
}
