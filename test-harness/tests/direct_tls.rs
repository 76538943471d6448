//! `direct-tls.yaml`: TLS from the first byte on both sides of Envoy, with clients that can do so
//! (libpq 18 in psycopg, pgjdbc) and a PostgreSQL 18 that has TLS.

use std::time::Duration;

use test_harness::authority::{Authority, Identity, Workload};
use test_harness::drivers::{java, psycopg_runs};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(30);
const NAME: &str = "DNS:localhost";

/// How a client should connect, with the certificate that it believes.
fn conninfo(envoy: &Envoy, authority: &Authority) -> String {
    format!(
        "host=localhost port={} user=postgres dbname=postgres sslmode=verify-full \
         sslnegotiation=direct sslrootcert={}",
        envoy.port(),
        authority.certificate().display()
    )
}

fn server(identity: &Identity) -> Postgres {
    Postgres::builder(Version::V18)
        .tls_as(identity)
        .authentication("scram-sha-256")
        .start()
}

/// An authority, a server with a certificate of it, and Envoy in front of it with another.
fn start() -> (Authority, Postgres, Envoy, Workload) {
    let authority = Authority::new();
    let server = server(&authority.identity("server", NAME));
    server.sql("alter role postgres password 'secret'");
    let workload = authority.workload(NAME);
    let envoy = shipped::direct_tls_bootstrap(&server, &workload).start();
    (authority, server, envoy, workload)
}

const DISABLED: &str = "password=secret channel_binding=disable";

#[test]
fn libpq_and_envoy_both_speak_tls_and_the_filters_read_what_is_between() {
    let (authority, _server, envoy, _workload) = start();
    let conninfo = format!("{} {DISABLED}", conninfo(&envoy, &authority));
    let encrypted = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(psycopg_runs(&conninfo, encrypted), "True|TLSv1.3");
    let denied = psycopg_runs(&conninfo, "drop table t");
    assert!(
        denied.starts_with("tables are not dropped through the mesh"),
        "{denied}"
    );
    let statements = [("operation", "SELECT"), ("user", "postgres")];
    let counted = wait_for(LIMIT, || {
        let scrape = envoy.scrape();
        (scrape.sum("pgmesh_statements_total", &statements) == 1.0).then_some(scrape)
    });
    let scrape = counted.unwrap_or_else(|| panic!("{}", envoy.scrape()));
    assert_eq!(
        scrape.sum("pgmesh_connections_opaque_total", &[]),
        0.0,
        "{scrape}"
    );
}

#[test]
fn pgjdbc_speaks_it_too() {
    let (authority, _server, envoy, _workload) = start();
    let url = format!(
        "jdbc:postgresql://localhost:{}/postgres?user=postgres&password=secret&sslmode=verify-full\
         &sslNegotiation=direct&channelBinding=disable&sslrootcert={}",
        envoy.port(),
        authority.certificate().display()
    );
    let output = output_of(java("Stamped").arg(url));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(stdout.trim(), "PostgreSQL JDBC Driver", "{}", envoy.log());
}

#[test]
fn what_is_not_tls_from_the_first_byte_is_refused() {
    let (authority, server, envoy, _workload) = start();
    let (stdout, stderr) = server.psql_through(envoy.port(), "", &["select 1"]);
    assert!(stdout.is_empty() && !stderr.is_empty(), "{stdout}{stderr}");
    let asks_first = conninfo(&envoy, &authority).replace("=direct", "=postgres");
    let said = psycopg_runs(&format!("{asks_first} {DISABLED}"), "select 1");
    assert!(
        said.contains("received invalid response to SSL negotiation"),
        "{said}"
    );
}

#[test]
fn envoy_speaks_to_no_other_server() {
    let (authority, other) = (Authority::new(), Authority::new());
    let workload = authority.workload(NAME);
    for identity in [
        other.identity("server", NAME),
        authority.identity("server", "DNS:elsewhere"),
    ] {
        let server = server(&identity);
        let envoy = shipped::direct_tls_bootstrap(&server, &workload).start();
        let conninfo = format!("{} {DISABLED}", conninfo(&envoy, &authority));
        let said = psycopg_runs(&conninfo, "select 1");
        assert!(said.contains("connection"), "{said}");
        let reason = "CERTIFICATE_VERIFY_FAILED";
        wait_for(LIMIT, || envoy.log().contains(reason).then_some(()))
            .unwrap_or_else(|| panic!("{}", envoy.log()));
    }
}

/// SCRAM binds the password to the server's certificate, which a client of Envoy does not see.
#[test]
fn channel_binding_must_be_off_unless_envoy_shows_the_servers_own_certificate() {
    let (authority, _server, envoy, _workload) = start();
    let conninfo_of = |envoy| format!("{} password=secret", conninfo(envoy, &authority));
    let said = psycopg_runs(&conninfo_of(&envoy), "select 1");
    assert!(
        said.contains("SCRAM channel binding check failed"),
        "{said}"
    );

    let workload = authority.workload(NAME);
    let identity = Identity {
        certificate: workload.directory().join("tls.crt"),
        key: workload.directory().join("tls.key"),
    };
    let server = server(&identity);
    server.sql("alter role postgres password 'secret'");
    let envoy = shipped::direct_tls_bootstrap(&server, &workload).start();
    assert_eq!(psycopg_runs(&conninfo_of(&envoy), "select 1"), "1");
}
