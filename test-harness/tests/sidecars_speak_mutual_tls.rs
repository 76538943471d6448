//! `client-sidecar.yaml` beside an application and `sidecar-mtls.yaml` beside PostgreSQL: mutual TLS
//! between them, identities that decide and name sessions, and both sides tell the same.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, TracesData};
use test_harness::authority::{Authority, Workload};
use test_harness::drivers::{conninfo, psycopg_runs, psycopg_sessions, traced_application};
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::samples::Sample;
use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(30);
const SERVER: &str = "URI:spiffe://cluster.local/ns/databases/sa/postgres";
const TILL: &str = "URI:spiffe://cluster.local/ns/shop/sa/till";
const NAME: &str = "select application_name from pg_stat_activity where pid = pg_backend_pid()";

/// Those that drop no table.
const SESSIONS: [&str; 9] = [
    "simple_protocol",
    "parameters_in_text_and_binary",
    "errors_and_rollbacks",
    "prepared_statements",
    "server_side_cursors",
    "listen_and_notify",
    "cancellation",
    "large_values",
    "asynchronous",
];

/// The Envoys of one hop.
struct Hop {
    beside: Envoy,
    client: Envoy,
    workloads: [Workload; 2],
}

fn hop(server: &Postgres, authority: &Authority, client: &str) -> Hop {
    let workloads = [authority.workload(SERVER), authority.workload(client)];
    let beside = shipped::mtls_sidecar_bootstrap(server, &workloads[0]).start();
    let client = shipped::client_sidecar_bootstrap(&beside, &workloads[1]).start();
    Hop {
        beside,
        client,
        workloads,
    }
}

#[test]
fn the_certificate_decides_and_names_the_session() {
    let authority = Authority::new();
    for version in Version::ALL {
        let server = Postgres::start(version);
        server.sql("create table t (a int)");
        let through = |client: &str, statements: &[&str]| {
            let hop = hop(&server, &authority, client);
            let said = server.psql_through(hop.client.port(), "", statements);
            (said, hop)
        };
        let statements = [NAME, "insert into t values (1)", "drop table t"];
        let ((stdout, stderr), hop) = through(TILL, &statements);
        let stamped = "psql@spiffe://cluster.local/ns/shop/sa/till\n";
        assert_eq!(stdout, stamped, "{stderr}");
        let denied = "ERROR:  42501: tables are not dropped through the mesh";
        assert!(stderr.starts_with(denied), "{stderr}");
        let line = wait_for(LIMIT, || {
            let log = hop.beside.log();
            let line = log.lines().find(|line| line.contains("\"verdict\""))?;
            Some(line.to_owned())
        });
        let line = line.unwrap_or_else(|| panic!("{}", hop.beside.log()));
        for said in [
            "\"principal\":\"spiffe://cluster.local/ns/shop/sa/till\"",
            "\"user\":\"postgres\"",
            "\"verdict\":\"denied\"",
            "\"client_tls\":\"TLSv1.3\"",
        ] {
            assert!(line.contains(said), "{said}: {line}");
        }

        let reports = "URI:spiffe://cluster.local/ns/reports/sa/monthly";
        let ((stdout, stderr), _) = through(reports, &["select a from t", statements[1]]);
        assert_eq!(stdout, "1\n", "{stderr}");
        assert!(stderr.starts_with("ERROR:  25006"), "{stderr}");

        let stranger = "URI:spiffe://cluster.local/ns/elsewhere/sa/till";
        let ((stdout, stderr), _) = through(stranger, &["select 1"]);
        assert_eq!(stdout, "");
        assert!(stderr.contains("not allowed by any rule"), "{stderr}");
    }
}

#[test]
fn whoever_shows_no_certificate_of_the_trust_domain_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Postgres::builder(Version::V18)
        .setting("log_connections", "on")
        .start();
    let Hop { beside, .. } = hop(&server, &authority, TILL);
    let (stdout, stderr) = server.psql_through(beside.port(), "", &["select 1"]);
    assert!(stdout.is_empty() && !stderr.is_empty(), "{stdout}{stderr}");
    let anonymous = format!(
        "{} sslmode=require sslnegotiation=direct",
        conninfo(beside.port(), "postgres")
    );
    let said = psycopg_runs(&anonymous, "select 1");
    assert!(said.contains("certificate required"), "{said}");

    for workload in [
        other.workload(TILL),
        authority.workload("URI:spiffe://elsewhere.test/ns/shop/sa/till"),
    ] {
        let client = shipped::client_sidecar_bootstrap(&beside, &workload).start();
        let (stdout, stderr) = server.psql_through(client.port(), "", &["select 1"]);
        assert_eq!(stdout, "", "{stderr}");
    }
    // None of them came as far as the server.
    let log = server.log();
    assert!(!log.contains("connection received"), "{log}");
}

#[test]
fn the_client_speaks_to_no_other_server() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Postgres::start(Version::V18);
    let till = authority.workload(TILL);
    for impostor in [
        other.workload(SERVER),
        authority.workload("URI:spiffe://cluster.local/ns/shop/sa/postgres"),
    ] {
        let beside = shipped::mtls_sidecar_bootstrap(&server, &impostor).start();
        let client = shipped::client_sidecar_bootstrap(&beside, &till).start();
        let (stdout, stderr) = server.psql_through(client.port(), "", &["select 1"]);
        assert_eq!(stdout, "", "{stderr}");
        let reason = "CERTIFICATE_VERIFY_FAILED";
        wait_for(LIMIT, || client.log().contains(reason).then_some(()))
            .unwrap_or_else(|| panic!("{}", client.log()));
    }
}

/// What both sides must agree on: counters of what passed, without times.
fn counts(envoy: &Envoy) -> Vec<Sample> {
    let counted = [
        "pgmesh_connections_total",
        "pgmesh_statements_total",
        "pgmesh_rows_total",
        "pgmesh_notices_total",
        "pgmesh_transactions_total",
        "pgmesh_bytes_total",
        "pgmesh_messages_total",
        "pgmesh_parses_total",
        "pgmesh_copy_bytes_total",
        "pgmesh_copy_rows_total",
        "pgmesh_errors_total",
        "pgmesh_statement_duration_microseconds_count",
    ];
    let scrape = envoy.scrape();
    let counts = scrape.only(&mut |sample: &Sample| counted.contains(&sample.name.as_str()));
    counts.iter().cloned().collect()
}

#[test]
fn both_sides_count_the_same() {
    let authority = Authority::new();
    for version in Version::ALL {
        let server = Postgres::start(version);
        let hop = hop(&server, &authority, TILL);
        psycopg_sessions(&conninfo(hop.client.port(), "postgres"), &SESSIONS);
        let agreed = wait_for(LIMIT, || {
            let (client, beside) = (counts(&hop.client), counts(&hop.beside));
            (client.len() > 40 && client == beside).then_some(())
        });
        let (client, beside) = (counts(&hop.client), counts(&hop.beside));
        let only = |some: &[Sample], others: &[Sample]| -> Vec<Sample> {
            let lacking = some.iter().filter(|sample| !others.contains(sample));
            lacking.cloned().collect()
        };
        let differences = (only(&client, &beside), only(&beside, &client));
        assert!(agreed.is_some(), "{differences:#?}");
    }
}

/// What `EnvoyCertificateExpires` asks for, in seconds since 1970.
#[test]
fn both_sides_tell_when_their_certificates_end() {
    let authority = Authority::new();
    let server = Postgres::start(Version::V18);
    let hop = hop(&server, &authority, TILL);
    let (said, errors) = server.psql_through(hop.client.port(), "", &["select 1"]);
    assert_eq!(said, "1\n", "{errors}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs_f64();
    for (envoy, name) in [
        (
            &hop.beside,
            "envoy_listener_ssl_certificate_expiration_unix_time_seconds",
        ),
        (
            &hop.client,
            "envoy_cluster_ssl_certificate_expiration_unix_time_seconds",
        ),
    ] {
        let scrape = envoy.scrape();
        let ends: Vec<&Sample> = scrape.select(name, &[]).collect();
        assert!(!ends.is_empty(), "{scrape}");
        for end in ends {
            // The authority signs for thirty days.
            let days = (end.value - now) / 86_400.0;
            assert!((29.0..=30.0).contains(&days), "{end:?}");
            let named = end.labels.contains_key("envoy_tls_certificate");
            assert!(named, "{end:?}");
        }
    }
}

/// The spans of a trace that the application's Envoys made: service, kind, name, parent.
fn spans(sink: &OtlpSink, trace: &str) -> Vec<(String, SpanKind, String, Vec<u8>)> {
    let mut found = Vec::new();
    for resource in sink
        .batches::<TracesData>()
        .into_iter()
        .flat_map(|batch| batch.resource_spans)
    {
        let service = service(&resource);
        let spans = resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        for span in spans.filter(|span| hex(&span.trace_id) == trace) {
            let kind = span.kind();
            found.push((service.clone(), kind, span.name, span.parent_span_id));
        }
    }
    found.sort();
    found
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn service(resource: &ResourceSpans) -> String {
    let attributes = resource.resource.iter().flat_map(|it| &it.attributes);
    let named = attributes.filter(|attribute| attribute.key == "service.name");
    let values = named.filter_map(|attribute| attribute.value.as_ref()?.value.as_ref());
    let texts = values.filter_map(|value| match value {
        any_value::Value::StringValue(text) => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn one_trace_crosses_both_sides() {
    let sink = OtlpSink::keeping();
    let authority = Authority::new();
    let server = Postgres::start(Version::V18);
    let workloads = [authority.workload(SERVER), authority.workload(TILL)];
    let beside = shipped::mtls_sidecar_bootstrap(&server, &workloads[0]);
    let beside = shipped::exporting(beside, sink.address()).start();
    let client = shipped::client_sidecar_bootstrap(&beside, &workloads[1]);
    let client = shipped::exporting(client, sink.address()).start();
    let trace = traced_application(&conninfo(client.port(), "postgres"), sink.address());
    // Four statements of the application's, BEGIN and COMMIT, and the block that holds them.
    let complete = wait_for(LIMIT, || (spans(&sink, &trace).len() >= 19).then_some(()));
    let spans = spans(&sink, &trace);
    assert!(complete.is_some(), "{spans:#?}");
    let of = |service: &str, kind: SpanKind| {
        let made = spans
            .iter()
            .filter(|span| (span.0 == service) && span.1 == kind);
        made.map(|span| (span.2.clone(), span.3.clone()))
            .collect::<Vec<_>>()
    };
    let (ours, theirs) = (
        of("shop", SpanKind::Client),
        of("postgres", SpanKind::Server),
    );
    assert_eq!((ours.len(), theirs.len()), (7, 7), "{spans:#?}");
    for ((name, parent), (their_name, their_parent)) in ours.iter().zip(&theirs) {
        assert_eq!(name, their_name, "{spans:#?}");
        // BEGIN and COMMIT stand under the block, which each side has a span of its own for.
        let same = parent == their_parent;
        assert_eq!(same, !["BEGIN", "COMMIT"].contains(&&**name), "{spans:#?}");
    }
}

#[test]
fn renewed_certificates_are_shown_without_a_restart() {
    let (authority, next) = (Authority::new(), Authority::new());
    let server = Postgres::start(Version::V18);
    let hop = hop(&server, &authority, TILL);
    let mut open = server
        .client_through(hop.client.port(), "psql")
        .arg("-XAtq")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql starts");
    let sessions = "select count(*) from pg_stat_activity where application_name like '%/sa/till'";
    wait_for(LIMIT, || (server.sql(sessions) == "1").then_some(())).expect("it is connected");

    let name = || server.psql_through(hop.client.port(), "", &[NAME]);
    let renewed = |id: &str| {
        let name = wait_for(LIMIT, || name().0.trim().ends_with(id).then_some(()));
        assert!(name.is_some(), "{id}: {}", hop.client.log());
    };
    hop.workloads[1].renew(&authority, "URI:spiffe://cluster.local/ns/shop/sa/renewed");
    renewed("/sa/renewed");
    for (workload, id) in hop.workloads.iter().zip([SERVER, TILL]) {
        workload.renew(&next, id);
    }
    renewed("/sa/till");

    // The session of before has gone on through all of it.
    let mut input = open.stdin.take().expect("it is a pipe");
    writeln!(input, "{NAME};").expect("psql reads");
    drop(input);
    let output = open.wait_with_output().expect("psql ends");
    assert_eq!(
        output.stdout,
        b"psql@spiffe://cluster.local/ns/shop/sa/till\n"
    );
}

#[test]
fn certificates_may_come_after_envoy_has_started() {
    let authority = Authority::new();
    let server = Postgres::start(Version::V18);
    let Hop {
        beside, workloads, ..
    } = hop(&server, &authority, TILL);
    let (data, hidden) = ("..data", "..hidden");
    let at = |name: &str| workloads[1].directory().join(name);
    fs::rename(at(data), at(hidden)).expect("it is there");
    let client = shipped::client_sidecar_bootstrap(&beside, &workloads[1]).start();
    let connects = || {
        let (stdout, _) = server.psql_through(client.port(), "", &["select 1"]);
        (stdout == "1\n").then_some(())
    };
    assert_eq!(connects(), None);
    fs::rename(at(hidden), at(data)).expect("it is there");
    wait_for(LIMIT, connects).unwrap_or_else(|| panic!("{}", client.log()));
}

#[test]
fn libpq_with_a_certificate_needs_no_envoy_of_its_own() {
    let authority = Authority::new();
    let server = Postgres::start(Version::V18);
    let workloads = [
        authority.workload(&format!("{SERVER},DNS:localhost")),
        authority.workload(TILL),
    ];
    let beside = shipped::mtls_sidecar_bootstrap(&server, &workloads[0]).start();
    let file = |name: &str| workloads[1].directory().join(name).display().to_string();
    let conninfo = format!(
        "host=localhost port={} user=postgres dbname=postgres application_name=till \
         sslmode=verify-full sslnegotiation=direct sslcert={} sslkey={} sslrootcert={}",
        beside.port(),
        file("tls.crt"),
        file("tls.key"),
        file("ca.crt"),
    );
    let stamped = "till@spiffe://cluster.local/ns/shop/sa/till";
    assert_eq!(psycopg_runs(&conninfo, NAME), stamped);
}
