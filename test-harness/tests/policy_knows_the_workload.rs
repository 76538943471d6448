//! Who a client is, the mesh says and not the client: two Envoys with mutual TLS between them, and
//! SPIFFE identities from an authority made on the spot.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Version};

const POLICY: &str = r#"{"default": "deny", "rules": [
    {"name": "billing", "action": "allow", "principal": ["spiffe://mesh.test/ns/shop/sa/billing"],
     "application_name": "{application}@{principal}"},
    {"name": "reports", "action": "allow", "principal": ["spiffe://mesh.test/ns/*/sa/reports"],
     "class": ["READ"]}
]}"#;

/// A certificate authority of this test run, with all it has signed.
struct Authority {
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let authority = Self { directory };
        authority.openssl(
            &["req", "-x509", "-subj", "/CN=test", "-out", "ca.crt"],
            "ca.key",
        );
        authority
    }

    /// Runs openssl with a new key.
    fn openssl(&self, arguments: &[&str], key: &str) {
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        let mut command = Command::new("openssl");
        command
            .args(arguments)
            .args(curve)
            .args(["-nodes", "-keyout", key]);
        output_of(command.current_dir(self.directory.path()));
    }

    /// Certificate and key of a workload, as Envoy takes them.
    fn identity(&self, workload: &str) -> Value {
        let name = |ending: &str| format!("{workload}.{ending}");
        let (key, request, certificate) = (name("key"), name("csr"), name("crt"));
        let id = format!("subjectAltName=URI:spiffe://mesh.test/ns/shop/sa/{workload}");
        self.openssl(
            &["req", "-subj", "/CN=x", "-addext", &id, "-out", &request],
            &key,
        );
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-in", &request, "-out", &certificate])
            .args(["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"])
            .args(["-copy_extensions", "copy"]);
        output_of(sign.current_dir(self.directory.path()));
        json!({
            "tls_certificates": [{
                "certificate_chain": self.inline(&certificate),
                "private_key": self.inline(&key),
            }],
            "validation_context": { "trusted_ca": self.inline("ca.crt") },
        })
    }

    fn inline(&self, file: &str) -> Value {
        let path: &Path = self.directory.path();
        json!({ "inline_string": fs::read_to_string(path.join(file)).expect(file) })
    }
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
    let mut socket = tls_socket("DownstreamTlsContext", &authority.identity("postgres"));
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
    let socket = tls_socket("UpstreamTlsContext", &authority.identity(workload));
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
