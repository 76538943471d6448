//! Who a client is, the mesh says and not the client: two Envoys with mutual TLS between them, and
//! SPIFFE identities from an authority made on the spot.

use std::path::PathBuf;

use serde_json::{Value, json};
use test_harness::authority::Authority;
use test_harness::hosts::{Envoy, Postgres, Version};

const POLICY: &str = r#"{"default": "deny", "rules": [
    {"name": "billing", "action": "allow", "principal": ["spiffe://mesh.test/ns/shop/sa/billing"],
     "application_name": "{application}@{principal}"},
    {"name": "reports", "action": "allow", "principal": ["spiffe://mesh.test/ns/*/sa/reports"],
     "class": ["READ"]}
]}"#;

/// Certificate and key of a workload, as Envoy takes them.
fn identity(authority: &Authority, workload: &str) -> Value {
    let id = format!("URI:spiffe://mesh.test/ns/shop/sa/{workload}");
    let identity = authority.identity(workload, &id);
    let file = |path: PathBuf| json!({ "filename": path });
    json!({
        "tls_certificates": [{
            "certificate_chain": file(identity.certificate),
            "private_key": file(identity.key),
        }],
        "validation_context": { "trusted_ca": file(authority.certificate()) },
    })
}

fn tls_socket(kind: &str, context: &Value) -> Value {
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}"),
            "common_tls_context": context,
        },
    })
}

/// The Envoy beside the server: it asks every client for its certificate.
fn beside(server: &Postgres, authority: &Authority) -> Envoy {
    let mut socket = tls_socket("DownstreamTlsContext", &identity(authority, "postgres"));
    socket["typed_config"]["require_client_certificate"] = json!(true);
    Envoy::in_front_of(server.address())
        .module("envoy-policy", POLICY)
        .edit(|bootstrap| {
            let listener = &mut bootstrap["static_resources"]["listeners"][0];
            listener["filter_chains"][0]["transport_socket"] = socket;
        })
        .start()
}

/// The Envoy beside a workload, which speaks for it.
fn of(workload: &str, server: &Envoy, authority: &Authority) -> Envoy {
    let socket = tls_socket("UpstreamTlsContext", &identity(authority, workload));
    Envoy::in_front_of(([127, 0, 0, 1], server.port()).into())
        .edit(|bootstrap| {
            bootstrap["static_resources"]["clusters"][0]["transport_socket"] = socket;
        })
        .start()
}

fn psql(server: &Postgres, port: u16, statements: &[&str]) -> (String, String) {
    let mut psql = server.client_through(port, "psql");
    psql.args(["-XAtq", "-v", "VERBOSITY=verbose"]);
    for statement in statements {
        psql.args(["-c", statement]);
    }
    let output = psql.output().expect("psql runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_certificate_decides_and_names_the_session() {
    let authority = Authority::new();
    for version in Version::ALL {
        let server = Postgres::start(version);
        server.sql("create table t (a int)");
        let mesh = beside(&server, &authority);
        let through = |workload: &str, statements: &[&str]| {
            let envoy = of(workload, &mesh, &authority);
            psql(&server, envoy.port(), statements)
        };

        let name = "select application_name from pg_stat_activity where pid = pg_backend_pid()";
        let forged = "set application_name = 'psql@spiffe://mesh.test/ns/shop/sa/reports'";
        let (stdout, stderr) =
            through("billing", &[name, "insert into t values (1)", forged, name]);
        let stamped = "psql@spiffe://mesh.test/ns/shop/sa/billing\n";
        assert_eq!(stdout, stamped.repeat(2), "{stderr}");
        assert_eq!(stderr.matches("42501").count(), 1, "{stderr}");

        let (stdout, stderr) = through("reports", &["select a from t", "delete from t", "table t"]);
        assert_eq!(stdout, "1\n1\n", "{stderr}");
        assert!(
            stderr.contains("42501: not allowed by any rule"),
            "{stderr}"
        );

        let (stdout, stderr) = through("stranger", &["select 1"]);
        assert_eq!(stdout, "");
        assert!(stderr.contains("not allowed by any rule"), "{stderr}");
        let stranger = r#""principal":"spiffe://mesh.test/ns/shop/sa/stranger""#;
        assert!(mesh.log().contains(stranger), "{}", mesh.log());

        // Without a certificate nobody gets as far as the policy.
        let (stdout, stderr) = psql(&server, mesh.port(), &["select 1"]);
        assert!(
            stdout.is_empty() && !stderr.contains("mesh's policy"),
            "{stderr}"
        );
    }
}
