//! The gauges that the processor computes from an exporter's metrics are what a real Prometheus computes
//! from the same scrapes with the PromQL of the README, through resets of the counters too; and nothing
//! that a query label of `pg_stat_statements` should not show comes out.
//!
//! A real postgres_exporter is scraped while a real server works. Prometheus is then served the texts it
//! gave, with the times they were taken at; the processor, in the fake host and in a real Collector, the
//! same numbers as OTLP.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::{Value as Json, json};
use test_harness::fakes::otelwasm::{Otelwasm, Signal};
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::collector::{Build, Mode, Pipeline};
use test_harness::hosts::places::{built_module, tree};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{
    Collector, Postgres, PostgresExporter, Prometheus, Samples, Version, wait_for,
};
use test_harness::net::client::Client;

const LIMIT: Duration = Duration::from_secs(60);
const TOLERANCE: f64 = 1e-9;
const CUMULATIVE: i32 = 2;
const SECRET: &str = "hunter2-4111-1111";

/// What the exporter asks besides: what newer ones and pgMonitor ask. Numbers that nothing on a quiet
/// primary would move stand in for lag and bloat.
fn queries(version: Version) -> String {
    let column = |name: &str, usage: &str| json!({ name: { "usage": usage, "description": "-" } });
    let view = |query: &str, labels: &[&str], values: &[(&str, &str)]| {
        let labels = labels.iter().map(|name| column(name, "LABEL"));
        let values = values.iter().map(|(name, usage)| column(name, usage));
        json!({ "query": query, "metrics": labels.chain(values).collect::<Vec<_>>() })
    };
    let mut views = json!({
        "pg_replication": view(
            "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) AS lag",
            &[], &[("lag", "GAUGE")],
        ),
        "pg_database_wraparound": view(
            "SELECT datname, age(datfrozenxid) AS age_datfrozenxid_seconds FROM pg_database",
            &["datname"], &[("age_datfrozenxid_seconds", "GAUGE")],
        ),
        "pg_stat_user_tables": view(
            "SELECT current_database() AS datname, schemaname, relname, n_live_tup, n_dead_tup
               FROM pg_stat_user_tables",
            &["datname", "schemaname", "relname"],
            &[("n_live_tup", "GAUGE"), ("n_dead_tup", "GAUGE")],
        ),
        "ccp_bloat_check": view(
            "SELECT current_database() AS dbname, schemaname, relname AS objectname,
                    pg_total_relation_size(relid) AS size_bytes,
                    pg_total_relation_size(relid) / 3 AS total_wasted_space_bytes
               FROM pg_stat_user_tables",
            &["dbname", "schemaname", "objectname"],
            &[("size_bytes", "GAUGE"), ("total_wasted_space_bytes", "GAUGE")],
        ),
        "pg_stat_statements": view(
            "SELECT datname, queryid::text, query, calls, total_exec_time, mean_exec_time
               FROM pg_stat_statements JOIN pg_database ON dbid = pg_database.oid",
            &["datname", "queryid", "query"],
            &[("calls", "COUNTER"), ("total_exec_time", "COUNTER"), ("mean_exec_time", "GAUGE")],
        ),
    });
    if version == Version::V18 {
        views["pg_stat_checkpointer"] = view(
            "SELECT num_timed, num_requested FROM pg_stat_checkpointer",
            &[],
            &[("num_timed", "COUNTER"), ("num_requested", "COUNTER")],
        );
    }
    // JSON is YAML too.
    views.to_string()
}

/// What the exporter said, and when.
struct Scrape {
    text: String,
    milliseconds: u64,
}

impl Scrape {
    fn take(exporter: &PostgresExporter) -> Self {
        let url = format!("http://{}/metrics", exporter.address());
        let answer = minreq::get(url).with_timeout(10).send().expect("an answer");
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        Self {
            text: answer.as_str().expect("text").to_owned(),
            milliseconds: now.as_millis() as u64,
        }
    }

    /// PostgreSQL's metrics with their time, for Prometheus.
    fn timed(&self) -> String {
        let mut timed = String::new();
        for line in self.text.lines() {
            match line.starts_with('#') {
                true => writeln!(timed, "{line}"),
                false => writeln!(timed, "{line} {}", self.milliseconds),
            }
            .expect("a string grows");
        }
        timed
    }

    /// PostgreSQL's metrics as the Collector's prometheus receiver would have them.
    fn otlp(&self) -> MetricsData {
        let samples = Samples::parse(&self.text);
        let mut metrics: BTreeMap<String, Vec<NumberDataPoint>> = BTreeMap::new();
        for sample in samples.iter() {
            if !sample.name.starts_with("pg_") && !sample.name.starts_with("ccp_") {
                continue;
            }
            let labels = sample.labels.iter();
            let point = NumberDataPoint {
                attributes: labels.map(|(key, value)| attribute(key, value)).collect(),
                time_unix_nano: self.milliseconds * 1_000_000,
                value: Some(number_data_point::Value::AsDouble(sample.value)),
                ..NumberDataPoint::default()
            };
            metrics.entry(sample.name.clone()).or_default().push(point);
        }
        let metrics = metrics.into_iter().map(|(name, data_points)| {
            let data = match self.text.contains(&format!("# TYPE {name} counter\n")) {
                true => Data::Sum(Sum {
                    data_points,
                    aggregation_temporality: CUMULATIVE,
                    is_monotonic: true,
                }),
                false => Data::Gauge(Gauge { data_points }),
            };
            Metric {
                name,
                data: Some(data),
                ..Metric::default()
            }
        });
        MetricsData {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource {
                    attributes: vec![attribute("service.instance.id", "db1:9187")],
                    ..Resource::default()
                }),
                scope_metrics: vec![ScopeMetrics {
                    metrics: metrics.collect(),
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        }
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// Work of every kind that a gauge tells of.
fn work(server: &Postgres, amount: u32) {
    for statement in [
        format!("INSERT INTO orders SELECT n FROM generate_series(1, {amount}000) AS n"),
        format!("DELETE FROM orders WHERE id % 7 = {}", amount % 7),
        "SET work_mem = '64kB'; SELECT count(*) FROM (SELECT id FROM orders ORDER BY id DESC) AS o"
            .to_owned(),
        "BEGIN; DELETE FROM orders; ROLLBACK".to_owned(),
        "CHECKPOINT".to_owned(),
        format!("SET search_path = '{SECRET}-{amount}'"),
        format!("CREATE ROLE r{amount} PASSWORD '{SECRET}'"),
        "SELECT pg_stat_force_next_flush()".to_owned(),
    ] {
        server.sql(&statement);
    }
    deadlock(server);
}

/// More transactions than the exporter's own connections, which tell of theirs late, can make up for.
fn commit_often(server: &Postgres) {
    let mut session = Client::session(server.address(), "postgres");
    for _ in 0..500 {
        session.query("SELECT 1");
    }
    session.query("SELECT pg_stat_force_next_flush()");
}

/// Two transactions that wait for each other; one of them is ended by the server.
fn deadlock(server: &Postgres) {
    let lock = |number| format!("SELECT pg_advisory_xact_lock({number})");
    let mut sessions = [1, 2].map(|first| {
        let mut session = Client::session(server.address(), "postgres");
        session.query("SET deadlock_timeout = '10ms'");
        session.query("BEGIN");
        session.query(&lock(first));
        session
    });
    thread::scope(|scope| {
        for (session, second) in sessions.iter_mut().zip([2, 1]) {
            let lock = lock(second);
            scope.spawn(move || session.query(&lock));
        }
    });
    for session in &mut sessions {
        session.query("ROLLBACK");
        session.query("SELECT pg_stat_force_next_flush()");
    }
}

/// Ends a backend so that the server restarts all others and forgets its statistics.
fn crash(server: &Postgres) {
    let mut session = Client::session(server.address(), "postgres");
    session.patience(LIMIT);
    let backend = server.sql("SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
    output_of(Command::new("kill").args(["-9", &backend]));
    session.read_to_end();
    let answers = || server_answers(server).then_some(());
    wait_for(LIMIT, answers).expect("the server is back");
}

fn server_answers(server: &Postgres) -> bool {
    let mut psql = server.client("psql");
    let output = psql.args(["-XAtqc", "SELECT 1"]).output();
    sleep(Duration::from_millis(50));
    output.is_ok_and(|output| output.status.success())
}

/// A server's life in scrapes: work, statistics that are reset, a crash.
fn scrapes(version: Version) -> Vec<Scrape> {
    let server = Postgres::builder(version)
        .preload("pg_stat_statements")
        .setting("autovacuum", "off")
        .start();
    server.sql("CREATE EXTENSION pg_stat_statements; CREATE TABLE orders (id int)");
    let exporter = PostgresExporter::with_queries(&server, &queries(version));
    let mut idle = Client::session(server.address(), "postgres");
    idle.query("BEGIN");
    idle.query("SELECT 1");
    let steps: [&dyn Fn(&Postgres); 7] = [
        &|server| work(server, 3),
        &|server| {
            work(server, 5);
            commit_often(server);
        },
        &|_| {},
        &|server| {
            server.sql("SELECT pg_stat_reset(), pg_stat_reset_shared('bgwriter')");
            if version == Version::V18 {
                server.sql("SELECT pg_stat_reset_shared('checkpointer')");
            }
            work(server, 1);
        },
        &|server| {
            work(server, 8);
            commit_often(server);
        },
        &|server| {
            crash(server);
            work(server, 2);
        },
        &|server| work(server, 4),
    ];
    let mut scrapes = Vec::new();
    for step in steps {
        step(&server);
        // The exporter finds a server that is back at its next scrape.
        let taken = wait_for(LIMIT, || {
            let scrape = Scrape::take(&exporter);
            sleep(Duration::from_millis(300));
            scrape
                .text
                .contains("pg_stat_database_blks_hit{")
                .then_some(scrape)
        });
        scrapes.push(taken.expect("it has been scraped"));
    }
    scrapes
}

/// Serves one scrape after the other, the last for ever.
fn serve(scrapes: &[Scrape]) -> SocketAddr {
    let texts = scrapes.iter().map(Scrape::timed).collect::<Vec<_>>();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its own");
    thread::spawn(move || {
        for (served, stream) in listener.incoming().enumerate() {
            let mut stream = stream.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => request.push(byte[0]),
                    _ => break,
                }
            }
            let text = &texts[served.min(texts.len() - 1)];
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                text.len()
            );
            // Who has gone needs no answer.
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(text.as_bytes());
        }
    });
    address
}

/// By gauge, and by `database|schema` and table.
type Gauges = BTreeMap<(String, String), f64>;

/// The table of the README: a gauge's name without its prefix, and its PromQL in full.
fn promql(version: Version) -> Vec<(String, String)> {
    let readme = fs::read_to_string(tree().join("README.md")).expect("it is there");
    let (_, table) = readme
        .split_once("| `pgmesh.postgresql.` | unit | of a | PromQL |\n|---|---|---|---|\n")
        .expect("the table");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let row = row.replace("\\|", "\u{1}");
        let cells = row.split('|').map(str::trim).collect::<Vec<_>>();
        let quoted = |cell: &str| {
            let mut parts = cell.split('`');
            let quoted = parts.nth(1).expect("a quoted name");
            quoted.replace('\u{1}', "|")
        };
        (quoted(cells[1]), in_full(&quoted(cells[4]), version))
    })
    .collect()
}

/// What the README says once for all: the range, and databases that are left out.
fn in_full(promql: &str, version: Version) -> String {
    let mut full = String::new();
    let mut rest = promql;
    while let Some(start) = rest.find("pg_").or_else(|| rest.find("ccp_")) {
        let end =
            rest[start..].find(|character: char| !character.is_alphanumeric() && character != '_');
        let end = end.map_or(rest.len(), |end| start + end);
        let (name, label) = match &rest[start..end] {
            name if name.contains("_database_") || name.contains("_user_tables_") => {
                (name, "{datname!~\"template[01]|\"}")
            }
            name => (name, ""),
        };
        full.push_str(&rest[..start]);
        full.push_str(name);
        full.push_str(label);
        if rest[..start].ends_with("irate(") {
            full.push_str("[5m]");
        }
        rest = &rest[end..];
    }
    full.push_str(rest);
    match version {
        Version::V15 => full,
        // There the view has another name.
        Version::V18 => full
            .replace(
                "pg_stat_bgwriter_checkpoints_req_total",
                "pg_stat_checkpointer_num_requested",
            )
            .replace(
                "pg_stat_bgwriter_checkpoints_timed_total",
                "pg_stat_checkpointer_num_timed",
            ),
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").expect("a string grows");
        encoded
    })
}

/// What PromQL gives at a time, where it is a number.
fn asked(prometheus: &Prometheus, promql: &str, milliseconds: u64) -> Vec<(Json, f64)> {
    let time = milliseconds as f64 / 1000.0;
    let query = percent_encoded(promql);
    let answer = prometheus.api(&format!("/api/v1/query?query={query}&time={time:.3}"));
    let series = answer["data"]["result"].as_array().expect("a vector");
    let values = series.iter().map(|series| {
        let value = series["value"][1].as_str().expect("a number");
        (series["metric"].clone(), value.parse().expect("a number"))
    });
    values
        .filter(|(_, value): &(Json, f64)| value.is_finite())
        .collect()
}

/// What Prometheus makes of the scrapes, by scrape.
fn of_prometheus(scrapes: &[Scrape], version: Version) -> Vec<Gauges> {
    let prometheus = Prometheus::builder()
        .interval("200ms")
        .scrape("postgres", serve(scrapes), "/metrics", &[])
        .start();
    let last = scrapes.last().expect("there are some").milliseconds;
    let all = || {
        let found = asked(
            &prometheus,
            "count_over_time(pg_settings_max_connections[1h])",
            last,
        );
        sleep(Duration::from_millis(100));
        let all = found
            .first()
            .is_some_and(|(_, count)| *count == scrapes.len() as f64);
        all.then_some(())
    };
    wait_for(LIMIT, all).unwrap_or_else(|| panic!("not all are there\n{}", prometheus.log()));
    let promql = promql(version);
    assert!(promql.len() >= 12, "{promql:?}");
    let at = |scrape: &Scrape| {
        let mut gauges = Gauges::new();
        for (name, promql) in &promql {
            for (labels, value) in asked(&prometheus, promql, scrape.milliseconds) {
                let label = |names: &[&str]| {
                    let mut found = names.iter().filter_map(|name| labels[*name].as_str());
                    found.next().unwrap_or_default().to_owned()
                };
                let schema = label(&["schemaname"]);
                let mut place = label(&["datname", "dbname"]);
                if !schema.is_empty() {
                    write!(place, "|{schema} {}", label(&["relname", "objectname"]))
                        .expect("it grows");
                }
                gauges.insert((name.clone(), place), value);
            }
        }
        gauges
    };
    scrapes.iter().map(at).collect()
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

fn points(metric: &Metric) -> &[NumberDataPoint] {
    match &metric.data {
        Some(Data::Gauge(gauge)) => &gauge.data_points,
        Some(Data::Sum(sum)) => &sum.data_points,
        _ => &[],
    }
}

fn value(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => panic!("{point:?}"),
    }
}

fn metrics(batch: &MetricsData) -> impl Iterator<Item = &Metric> {
    let scopes = batch
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics);
    scopes.flat_map(|scope| &scope.metrics)
}

/// The gauges in what the processor gave for a scrape.
#[track_caller]
fn of_processor(batch: &MetricsData, scrape: &Scrape) -> Gauges {
    let mut gauges = Gauges::new();
    for metric in metrics(batch) {
        let Some(name) = metric.name.strip_prefix("pgmesh.postgresql.") else {
            continue;
        };
        for point in points(metric) {
            assert_eq!(point.time_unix_nano, scrape.milliseconds * 1_000_000);
            let [namespace, table] =
                ["db.namespace", "db.collection.name"].map(|key| text(&point.attributes, key));
            let place = format!("{namespace} {table}").trim().to_owned();
            let twice = gauges.insert((name.to_owned(), place), value(point));
            assert_eq!(twice, None, "{name}: {point:?}");
        }
    }
    gauges
}

#[track_caller]
fn agree(found: &Gauges, expected: &Gauges, shown: &str) {
    let names = |gauges: &Gauges| gauges.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{shown}");
    for (gauge, value) in found {
        let expected = expected[gauge];
        let difference = (value - expected).abs() / expected.abs().max(1.0);
        assert!(
            difference <= TOLERANCE,
            "{shown}: {gauge:?} is {value}, not {expected}"
        );
    }
}

/// What each host makes of the scrapes, by scrape.
fn hosted(scrapes: &[Scrape], configuration: &Json) -> Vec<(String, Vec<MetricsData>)> {
    let batches = scrapes.iter().map(Scrape::otlp).collect::<Vec<_>>();
    let mut fake = Otelwasm::load(&built_module("otel-processor"), &configuration.to_string());
    let processed = batches.iter().map(|batch| {
        let out = fake.process(Signal::Metrics, &batch.encode_to_vec());
        MetricsData::decode(&*out.expect("it is OTLP")).expect("OTLP")
    });
    let mut hosts = vec![("the fake host".to_owned(), processed.collect())];
    for build in Build::all() {
        for mode in Mode::ALL {
            let sink = OtlpSink::keeping();
            let pipeline = Pipeline::to(sink.address()).module(mode, configuration.clone());
            let collector = Collector::start(build, &pipeline);
            for batch in &batches {
                collector.send(batch).expect("it is taken");
            }
            hosts.push((format!("{build:?}, {mode:?}"), sink.batches()));
        }
    }
    hosts
}

/// Gauges that some scrape of the server's life must have given, above zero.
const SEEN: [&str; 12] = [
    "cache.hit_ratio",
    "checkpoint.requested_ratio",
    "connection.utilization",
    "deadlock.rate",
    "replication.lag",
    "table.dead_row_ratio",
    "table.wasted_ratio",
    "temp.io.rate",
    "transaction.max_duration",
    "transaction.rate",
    "transaction.rollback_ratio",
    "wraparound.headroom",
];

#[test]
fn derived_gauges_are_what_prometheus_computes_through_resets_and_a_crash() {
    for version in Version::ALL {
        let scrapes = scrapes(version);
        let commits = scrapes.iter().map(|scrape| {
            let of_postgres = [("datname", "postgres")];
            Samples::parse(&scrape.text).value("pg_stat_database_xact_commit", &of_postgres)
        });
        let commits = commits.collect::<Vec<_>>();
        let began_anew = commits.windows(2).filter(|two| two[1] < two[0]);
        assert_eq!(began_anew.count(), 2, "{version:?}: {commits:?}");
        let expected = of_prometheus(&scrapes, version);
        for name in SEEN {
            let all = expected.iter().flatten();
            let of_this = all.filter(|((gauge, _), value)| gauge == name && **value > 0.0);
            assert!(of_this.count() > 1, "{version:?}: {name} in {expected:#?}");
        }
        for (host, batches) in hosted(&scrapes, &json!({})) {
            assert_eq!(batches.len(), scrapes.len(), "{host}");
            for (place, ((batch, scrape), expected)) in
                batches.iter().zip(&scrapes).zip(&expected).enumerate()
            {
                let shown = format!("{version:?}, {host}, scrape {place}");
                agree(&of_processor(batch, scrape), expected, &shown);
            }
        }
    }
}

/// By database: the sum over all statements.
fn sums(batch: &MetricsData, name: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for metric in metrics(batch).filter(|metric| metric.name == name) {
        for point in points(metric) {
            let database = text(&point.attributes, "datname").to_owned();
            *sums.entry(database).or_default() += value(point);
        }
    }
    sums
}

#[test]
fn statements_in_labels_show_no_data_and_add_up_however_few_are_told_apart() {
    const CALLS: &str = "pg_stat_statements_calls";
    let scrapes = scrapes(Version::V15);
    assert!(
        scrapes.iter().any(|scrape| scrape.text.contains(SECRET)),
        "nothing to take out"
    );
    for most in [0, 5, 500] {
        let configuration = json!({ "metrics": { "max_queries": most, "unify": "rename" } });
        for (host, batches) in hosted(&scrapes, &configuration) {
            for (batch, scrape) in batches.iter().zip(&scrapes) {
                assert!(!format!("{batch:?}").contains(SECRET), "{host}");
                assert_eq!(sums(batch, CALLS), sums(&scrape.otlp(), CALLS), "{host}");
                let calls = metrics(batch).filter(|metric| metric.name == CALLS);
                let calls = calls.flat_map(points).collect::<Vec<_>>();
                let others = calls
                    .iter()
                    .filter(|point| text(&point.attributes, "query") == "other");
                assert!(calls.len() - others.count() <= most, "{host}");
                for point in calls {
                    assert_ne!(
                        text(&point.attributes, "pgmesh.fingerprint"),
                        "",
                        "{host}: {point:?}"
                    );
                }
                assert!(metrics(batch).any(|metric| metric.name == "postgresql.blks_hit"));
                assert!(metrics(batch).all(|metric| metric.name != "pg_stat_database_blks_hit"));
            }
        }
    }
}
