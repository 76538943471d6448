//! What runs inside the containers of `envoy-configs/kubernetes`, run here: the replica's first copy, the
//! roles, the servers' configuration, the exporter's queries, and the Collector's configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use serde_json::Value;
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::collector::Build;
use test_harness::hosts::{Collector, Postgres, PostgresExporter, Version, wait_for};
use test_harness::manifests::judged;
use test_harness::rules::parse;
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(30);

/// The first container of this name, in all that is built of the base.
fn container(name: &str) -> Value {
    let built = judged(&["build", "kubernetes/base"]);
    let objects = built.split("\n---\n").map(parse);
    let mut all = objects.flat_map(|object| {
        let spec = object["spec"]["template"]["spec"].clone();
        let lists = ["initContainers", "containers"].map(|list| spec[list].as_array().cloned());
        lists.into_iter().flatten().flatten().collect::<Vec<_>>()
    });
    let found = all.find(|container| container["name"] == name);
    found.unwrap_or_else(|| panic!("no container {name}"))
}

/// Runs the script of the replica's container `copy` in the pod `postgres-replica-0`, with the names that
/// its manifest gives it.
fn copy(script: &str, primary: &Postgres, data: &Path) -> Output {
    let programs = primary.version().program("psql").expect("psql is there");
    let programs = programs.parent().expect("a folder");
    let path = std::env::var("PATH").expect("a PATH");
    let variables = container("copy")["env"].clone();
    let mut variables = variables.as_array().expect("a list").iter();
    let pod = variables.find(|it| it["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name");
    let pod = pod.expect("the pod's name")["name"].as_str();
    Command::new("sh")
        .args(["-ec", script])
        .env("PATH", format!("{}:{path}", programs.display()))
        .env(pod.expect("a string"), "postgres-replica-0")
        .env("PGDATA", data)
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", primary.port().to_string())
        .env("PGUSER", "replicator")
        .env("PGPASSWORD", "secret")
        .output()
        .expect("sh runs")
}

/// A copy that broke off is made again: neither the slot nor the half of a copy stands in the way.
#[test]
fn a_replica_is_copied_once_however_often_that_fails() {
    let script = container("copy")["args"][0].clone();
    let script = script.as_str().expect("a script");
    for version in Version::ALL {
        let primary = Postgres::builder(version)
            .authentication("scram-sha-256")
            .start();
        primary.sql("create role replicator login replication password 'secret'");
        let slots = || primary.sql("select string_agg(slot_name, ',') from pg_replication_slots");
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("pgdata");
        let part = directory.path().join("pgdata.part");

        // The slot is made, and the copy fails for want of a sender.
        primary.sql("alter role replicator nologin");
        assert!(!copy(script, &primary, &data).status.success());
        primary.sql("alter role replicator login connection limit 1");
        let occupied = script.replace("pg_basebackup ", "false ");
        let failed = copy(&occupied, &primary, &data);
        assert!(!failed.status.success(), "{failed:?}");
        assert_eq!(slots(), "postgres_replica_0");
        // A container that was killed leaves a part behind.
        fs::create_dir_all(&part).expect("made");
        fs::write(part.join("PG_VERSION"), "18\n").expect("written");
        assert!(!data.exists());

        primary.sql("alter role replicator connection limit -1");
        let done = copy(script, &primary, &data);
        assert!(done.status.success(), "{done:?}");
        assert!(data.join("standby.signal").exists() && !part.exists());
        let settings = fs::read_to_string(data.join("postgresql.auto.conf")).expect("written");
        assert!(settings.contains("primary_slot_name = 'postgres_replica_0'"));
        assert_eq!(slots(), "postgres_replica_0");

        // A restart copies nothing.
        fs::write(data.join("mark"), "").expect("written");
        let again = copy(script, &primary, &data);
        assert!(again.status.success(), "{again:?}");
        assert!(data.join("mark").exists());
    }
}

/// The settings of the ConfigMap are PostgreSQL's, and the roles are made as its script says.
#[test]
fn the_server_takes_its_settings_and_makes_its_roles() {
    let mut builder = Postgres::builder(Version::V18);
    for line in shipped::file("kubernetes/base/postgresql.conf").lines() {
        let Some((name, value)) = line.split_once(" = ") else {
            assert!(line.starts_with('#'), "{line}");
            continue;
        };
        // Those of the container, and of this machine.
        if name != "hba_file" && name != "listen_addresses" {
            builder = builder.setting(name, value.trim_matches('\''));
        }
    }
    let server = builder.start();
    let psql = Version::V18.program("psql").expect("psql is there");
    let path = std::env::var("PATH").expect("a PATH");
    let programs = psql.parent().expect("a folder").display();
    let made = Command::new("sh")
        .args(["-c", &shipped::file("kubernetes/base/roles.sh")])
        .env("PATH", format!("{programs}:{path}"))
        .env("PGHOST", server.socket_directory())
        .env("PGPORT", server.port().to_string())
        .env("POSTGRES_USER", "postgres")
        .env("REPLICATION_PASSWORD", "it's")
        .env("EXPORTER_PASSWORD", "a \"quote\"")
        .output()
        .expect("sh runs");
    assert!(made.status.success(), "{made:?}");
    let roles = "select string_agg(rolname, ',' order by rolname) from pg_roles where rolcanlogin";
    assert_eq!(server.sql(roles), "exporter,postgres,replicator");
    let monitors = "select pg_has_role('exporter', 'pg_monitor', 'member')";
    assert_eq!(server.sql(monitors), "t");
    server.sql("select count(*) from pg_stat_statements");
}

/// The custom queries, through a real exporter, on both servers and their standbys.
#[test]
fn the_exporter_s_own_queries_give_their_metrics() {
    let queries = shipped::file("kubernetes/base/queries.yaml");
    for version in Version::ALL {
        let server = Postgres::start(version);
        let standby = server.standby();
        let exporter = PostgresExporter::with_queries(&server, &queries);
        let opened = wait_for(LIMIT, || {
            let scrape = exporter.scrape();
            (scrape.sum("pg_sessions_opened", &[]) > 0.0).then_some(scrape)
        });
        let scrape = opened.unwrap_or_else(|| panic!("{}\n{}", exporter.scrape(), exporter.log()));
        for name in [
            "pg_wraparound_transactions",
            "pg_wraparound_multixacts",
            "pg_sessions_abandoned",
            "pg_sessions_fatal",
            "pg_sessions_killed",
            "pg_sessions_idle_in_transaction_seconds",
        ] {
            assert!(scrape.to_string().contains(name), "{name}: {scrape}");
        }
        let age = scrape.sum("pg_wraparound_transactions", &[("datname", "postgres")]);
        assert!(age > 0.0, "{scrape}");
        assert!(!scrape.to_string().contains("pg_standby"), "{scrape}");
        let error = scrape.sum("pg_exporter_user_queries_load_error", &[]);
        assert_eq!(error, 0.0, "{scrape}");

        let follows = PostgresExporter::with_queries(&standby, &queries);
        let receivers = |count: f64| {
            let seen = wait_for(LIMIT, || {
                let scrape = follows.scrape().to_string();
                let said = scrape.contains("pg_standby_receivers");
                let now = follows.scrape().sum("pg_standby_receivers", &[]);
                (said && now == count).then_some(())
            });
            assert!(seen.is_some(), "{}\n{}", follows.scrape(), follows.log());
        };
        receivers(1.0);
        standby.sql("alter system set primary_conninfo = ''");
        standby.reload();
        receivers(0.0);
    }
}

/// What `operators/README.md` tells to give an exporter beside a server of one's own is enough for it, by the
/// server's socket, and lets nobody else in.
#[test]
fn an_exporter_of_one_s_own_server_gets_in_by_its_socket() {
    let readme = shipped::file("operators/README.md");
    let (_, part) = readme.split_once("## An exporter for").expect("a part");
    let (_, sql) = part.split_once("```sql\n").expect("SQL");
    let (sql, rest) = sql.split_once("```\n").expect("its end");
    let (_, rules) = rest.split_once("\n```\n").expect("a line of pg_hba.conf");
    let (rule, _) = rules.split_once("\n```\n").expect("its end");
    for version in Version::ALL {
        let server = Postgres::start(version);
        server.sql(sql);
        server.sql("create role other login");
        let path = server.data_directory().join("pg_hba.conf");
        let rules = format!("{rule}\nlocal all postgres trust\n");
        fs::write(path, rules).expect("it can be written");
        server.reload();
        let sees_all = |user: &str| {
            let mut psql = server.client("psql");
            let seen = "select count(*) > 0 from pg_stat_activity where query like '%pg_stat%'";
            let output = psql.args(["-XAtqU", user, "-c", seen]).output();
            let output = output.expect("psql runs");
            String::from_utf8_lossy(&output.stdout).trim() == "t"
        };
        let entered = wait_for(LIMIT, || sees_all("exporter").then_some(()));
        assert!(entered.is_some(), "{}", server.log());
        assert!(!sees_all("other"), "{rule}");
    }
}

/// The Collector that is deployed beside it takes what our filters export, and sends it on.
#[test]
fn the_collector_sends_on_what_it_is_given() {
    let sink = OtlpSink::keeping();
    let configuration = |otlp: SocketAddr| {
        let mut text = shipped::file("kubernetes/observability/collector/config.yaml");
        let to = format!("http://{}, compression: none }}", sink.address());
        for (from, to) in [
            ("0.0.0.0:4318", otlp.to_string().as_str()),
            ("http://tempo.monitoring:4318 }", &to),
            ("http://loki.loki:3100/otlp }", &to),
            (
                "http://prometheus-operated.monitoring:9090/api/v1/otlp }",
                &to,
            ),
            (
                "\nservice:\n",
                "\nservice:\n  telemetry: { metrics: { level: none } }\n",
            ),
        ] {
            assert!(text.contains(from), "no {from:?}");
            text = text.replace(from, to);
        }
        text
    };
    let collector = Collector::with_configuration(Build::Ours, configuration);
    let span = Span {
        name: "SELECT".to_owned(),
        ..Span::default()
    };
    let scope = ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    };
    let resource = ResourceSpans {
        scope_spans: vec![scope],
        ..ResourceSpans::default()
    };
    let sent = collector.send(&TracesData {
        resource_spans: vec![resource],
    });
    sent.expect("it takes a span");
    let passed = wait_for(LIMIT, || {
        let batches = sink.batches::<TracesData>();
        (!batches.is_empty()).then_some(())
    });
    assert!(passed.is_some(), "{}", collector.log());
}
