//! What Istio and Cilium make of our manifests, in a real Envoy: bootstraps of the shape that their control
//! planes give a proxy, with the plugins, labels and EnvoyFilters of a whole overlay in it, under traffic.
//!
//! `test-harness/manifests apply` does with EnvoyFilters what Istio does; what else is here of Istio is
//! the shape of its listeners and clusters, by their names.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use test_harness::authority::{Authority, Identity};
use test_harness::fakes::otlp_sink::OtlpSink;
use test_harness::hosts::places::built_module;
use test_harness::hosts::{Envoy, Postgres, Samples, Version, free_port, wait_for};
use test_harness::manifests::{judge, judged, plugins};
use test_harness::net::{Client, messages};
use test_harness::{rules, shipped};

const LIMIT: Duration = Duration::from_secs(20);
const PRIMARY: &str = "outbound|5432||postgres-rw.databases.svc.cluster.local";
const REPLICAS: &str = "outbound|5432||postgres-ro.databases.svc.cluster.local";
const DATABASE: &str = "outbound|5432||orders.abcdefghijkl.eu-central-1.rds.amazonaws.com";
const SIDECAR: &str = "kubernetes/overlays/istio-sidecar";
const GATEWAY: &str = "kubernetes/overlays/istio-gateway";
const WAYPOINT: &str = "kubernetes/overlays/istio-ambient";
const DIRECT_TLS: &str = "../test-harness/tests/overlays/direct-tls";
const EXTERNAL: &str = "../test-harness/tests/overlays/external";
const HISTOGRAMS: &str = "../test-harness/tests/overlays/histograms";
/// A sampled parent, so that the statement's span is exported whatever `root_one_in` says.
const TRACED: &str =
    "select 1 /*traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/";

/// Of Envoy's own metrics, what the dashboards show of a cluster.
const OF_CLUSTERS: [&str; 3] = [
    "envoy_cluster_upstream_cx_active",
    "envoy_cluster_upstream_cx_connect_fail",
    "envoy_cluster_upstream_cx_overflow",
];

/// What Istio makes of `extraStatTags`, before the tags it always has, and of `proxyStatsMatcher`.
fn stats_config() -> Value {
    let tags = judged(&["mesh-config", "istio/mesh-config.yaml"]);
    let tags: Vec<String> = serde_json::from_str(&tags).expect("JSON");
    let fixed = [
        ("cache", r"(cache\.(.+?)\.)"),
        (
            "cluster_name",
            r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)",
        ),
        ("component", r"(component\.(.+?)\.)"),
        ("tag", r"(tag\.(.+?);\.)"),
        ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
    ];
    let extra = tags
        .iter()
        .map(|tag| json!({"tag_name": tag, "regex": format!(r"({tag}=\.=(.*?);\.;)")}));
    let fixed = fixed.map(|(tag, regex)| json!({"tag_name": tag, "regex": regex}));
    let kept = [
        "reporter=",
        "cluster_manager",
        "listener_manager",
        "server",
        "wasm",
        "component",
    ];
    let mesh = rules::parse(&shipped::file("istio/mesh-config.yaml"));
    let asked = &mesh["defaultConfig"]["proxyStatsMatcher"]["inclusionRegexps"];
    let asked = asked.as_array().into_iter().flatten();
    let asked = asked.map(|regex| json!({"safe_regex": {"regex": regex}}));
    let kept = kept.map(|kept| json!({"prefix": kept}));
    json!({
        "use_all_default_tags": false,
        "stats_tags": extra.chain(fixed).collect::<Vec<_>>(),
        "stats_matcher": {"inclusion_list": {"patterns": kept.into_iter().chain(asked).collect::<Vec<_>>()}},
    })
}

fn cluster(name: &str, server: SocketAddr) -> Value {
    let address = json!({"address": server.ip().to_string(), "port_value": server.port()});
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "10s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"socket_address": address}}}
        ]}]},
    })
}

/// The chain that Istio makes: the plugins of the manifest by their priorities, and tcp_proxy.
fn chain(manifest: &str, to: &str) -> Value {
    let plugins = plugins(manifest).into_iter().map(|plugin| {
        json!({
            "name": format!("extensions.istio.io/trafficextension/{}", plugin.name),
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
                "config": {
                    "name": plugin.name,
                    "vm_config": {
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": built_module(&plugin.module)}},
                    },
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": plugin.configuration.to_string(),
                    },
                },
            },
        })
    });
    let tcp_proxy = json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": to, "cluster": to,
        },
    });
    json!({"filters": plugins.chain([tcp_proxy]).collect::<Vec<_>>()})
}

fn tls(kind: &str, identity: &Identity, authority: &Authority, protocols: &[&str]) -> Value {
    let file = |path: PathBuf| json!({ "filename": path });
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}"),
            "common_tls_context": {
                "alpn_protocols": protocols,
                "tls_certificates": [{
                    "certificate_chain": file(identity.certificate.clone()),
                    "private_key": file(identity.key.clone()),
                }],
                "validation_context": {"trusted_ca": file(authority.certificate())},
            },
        },
    })
}

fn bootstrap(listener: &str, port: u16, chain: Value, clusters: Vec<Value>) -> Value {
    json!({
        "node": {
            "id": "postgres-primary-0.databases", "cluster": "postgres.databases",
            "metadata": {"WORKLOAD_NAME": "postgres-primary", "NAMESPACE": "databases"},
        },
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "stats_config": stats_config(),
        "static_resources": {
            "listeners": [{
                "name": listener,
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "filter_chains": [chain],
            }],
            "clusters": clusters,
        },
    })
}

/// The bootstrap as Istio gives it to a proxy of this kind and with these labels.
#[track_caller]
fn filtered(kind: &str, labels: &str, manifest: &str, bootstrap: &Value) -> Value {
    let patched = apply(kind, labels, manifest, bootstrap);
    serde_json::from_str(&patched.unwrap_or_else(|error| panic!("{error}"))).expect("JSON")
}

fn apply(kind: &str, labels: &str, manifest: &str, bootstrap: &Value) -> Result<String, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bootstrap.json");
    fs::write(&path, bootstrap.to_string()).expect("it can be written");
    let path = path.to_str().expect("a path in UTF-8");
    let output = judge(&["apply", kind, labels, manifest, path]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

/// The one listener on another port, and the Collector in its place. There is no agent of Istio's that has
/// certificates, and the servers take plaintext.
fn on(mut bootstrap: Value, port: u16, collector: SocketAddr) -> String {
    let clusters = bootstrap["staticResources"]["clusters"].as_array_mut();
    for cluster in clusters.into_iter().flatten() {
        if cluster["name"] == "session-server" {
            let cluster = cluster.as_object_mut().expect("a cluster");
            cluster.remove("transportSocket").expect("the mesh's TLS");
        }
    }
    let listener = &mut bootstrap["staticResources"]["listeners"][0];
    listener["address"]["socketAddress"]["portValue"] = json!(port);
    let text = bootstrap.to_string();
    let address = r#""address":"otel-collector.observability.svc.cluster.local","portValue":4318"#;
    let here = format!(
        r#""address":"{}","portValue":{}"#,
        collector.ip(),
        collector.port()
    );
    text.replace(address, &here)
}

/// What psql prints through a port: its output and its errors.
fn psql(server: &Postgres, port: u16, options: &str, statement: &str) -> (String, String) {
    let output = server
        .client_through(port, "psql")
        .env("PGOPTIONS", options)
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .args(["-XAtqc", statement])
        .output()
        .expect("psql runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn port_seen(server: &Postgres, port: u16, options: &str) -> String {
    let (port, errors) = psql(server, port, options, "select current_setting('port')");
    assert_eq!(errors, "");
    port
}

/// One span of a traced statement has reached the Collector, from the workload.
#[track_caller]
fn a_span_arrives(sink: &OtlpSink, envoy: &Envoy) {
    let span = wait_for(LIMIT, || {
        let batches = sink.batches::<TracesData>().into_iter();
        let mut resources = batches.flat_map(|batch| batch.resource_spans);
        resources.find(|resource| format!("{resource:?}").contains("postgres-primary"))
    });
    assert!(span.is_some(), "{}\n{}", envoy.log(), envoy.scrape());
}

/// The sidecar of a server: the inbound chain with the mesh's mutual TLS before it, and a client's own
/// sidecar on the other side.
#[test]
fn the_sidecar_knows_the_workload_governs_measures_and_exports() {
    let authority = Authority::new();
    let identity = |account: &str| {
        let id = format!("URI:spiffe://cluster.local/ns/databases/sa/{account}");
        authority.identity(account, &id)
    };
    let sink = OtlpSink::keeping();
    let server = Postgres::start(Version::V18);
    server.sql("create table t (a int)");

    // By its port Istio tells chains of the one inbound listener apart; here it is the listener's.
    let port = free_port();
    let mut inbound = chain(SIDECAR, "inbound|5432||");
    let mut socket = tls(
        "DownstreamTlsContext",
        &identity("postgres"),
        &authority,
        &["istio-peer-exchange", "h2", "http/1.1"],
    );
    socket["typed_config"]["require_client_certificate"] = json!(true);
    inbound["transport_socket"] = socket;
    inbound["filter_chain_match"] = json!({
        "destination_port": port,
        "transport_protocol": "tls",
        "application_protocols": ["istio-peer-exchange", "istio"],
    });
    let clusters = vec![cluster("inbound|5432||", server.address())];
    let mut shape = bootstrap("virtualInbound", port, inbound, clusters);
    shape["static_resources"]["listeners"][0]["listener_filters"] = json!([{
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        },
    }]);
    let shape = filtered("sidecar", "app=postgres,role=primary", SIDECAR, &shape);
    let envoy = Envoy::with_bootstrap(&on(shape, port, sink.address())).start();

    let client = Envoy::in_front_of(([127, 0, 0, 1], port).into())
        .edit(|bootstrap| {
            let socket = tls(
                "UpstreamTlsContext",
                &identity("shop"),
                &authority,
                &["istio-peer-exchange", "istio"],
            );
            bootstrap["static_resources"]["clusters"][0]["transport_socket"] = socket;
        })
        .start();
    let through = |statement: &str| psql(&server, client.port(), "", statement);
    assert_eq!(through(TRACED), ("1".to_owned(), String::new()));
    let (_, denied) = through("drop table t");
    assert!(
        denied.contains("tables are not dropped through the mesh"),
        "{denied}"
    );
    assert_eq!(server.sql("select count(*) from t"), "0");

    a_span_arrives(&sink, &envoy);
    let labels = [("operation", "SELECT"), ("database", "postgres")];
    let counted = wait_for(LIMIT, || {
        let scrape: Samples = envoy.scrape();
        (scrape.sum("pgmesh_statements_total", &labels) == 1.0).then_some(())
    });
    assert!(counted.is_some(), "{}", envoy.scrape());
    // Istio drops what is not asked for, and has a label of its own for the cluster.
    let scrape: Samples = envoy.scrape();
    for name in OF_CLUSTERS {
        let labels = [("cluster_name", "inbound|5432||")];
        let shown = scrape.select(name, &labels).count();
        assert_eq!(shown, 1, "{name}\n{scrape}");
    }
    // The query log, of the statement that failed, in the proxy's own log.
    let logged = envoy.log();
    let lines = logged
        .lines()
        .filter(|line| line.contains(r#""pgmesh.event":"query""#));
    let known = lines
        .filter(|line| line.contains("spiffe://cluster.local/ns/databases/sa/shop"))
        .count();
    assert!(known >= 1, "{logged}");

    // Without the mesh there is no chain that would take it.
    let (printed, _) = psql(&server, port, "", "select 1");
    assert_eq!(printed, "");
}

/// A bootstrap of the shape that Istio gives a gateway, or a waypoint for each of its Services: no `vm_id`.
fn through_one_listener(manifest: &str, servers: [&Postgres; 2]) -> Value {
    let clusters = vec![
        cluster(PRIMARY, servers[0].address()),
        cluster(REPLICAS, servers[1].address()),
    ];
    bootstrap("0.0.0.0_5432", 5432, chain(manifest, PRIMARY), clusters)
}

#[test]
fn the_gateway_routes_measures_and_exports() {
    let (primary, replica) = (Postgres::start(Version::V18), Postgres::start(Version::V15));
    let sink = OtlpSink::keeping();
    let shape = through_one_listener(GATEWAY, [&primary, &replica]);
    let shape = filtered("gateway", "istio=postgres-gateway", GATEWAY, &shape);
    let envoy = Envoy::with_bootstrap(&on(shape, 0, sink.address())).start();
    let port = envoy.listener("0.0.0.0_5432").port();
    for (options, server) in [("", &primary), ("-c pgmesh.route=ro", &replica)] {
        let seen = port_seen(&primary, port, options);
        assert_eq!(seen, server.port().to_string(), "{options}");
    }
    let labels: [(&str, &str); 2] = [("operation", "SELECT"), ("protocol", "simple")];
    let routed = [("route", "replicas")];
    let scrape = wait_for(LIMIT, || {
        let scrape: Samples = envoy.scrape();
        let statements = scrape.sum("pgmesh_statements_total", &labels);
        // Each filter hands over its own.
        let routes = scrape.sum("pgmesh_policy_routes_total", &routed);
        (statements == 2.0 && routes == 1.0).then_some(scrape)
    });
    let scrape = scrape.unwrap_or_else(|| panic!("{}", envoy.scrape()));
    let sum = |family: &str, labels: &[(&str, &str)]| scrape.sum(family, labels);
    let quick = [("operation", "SELECT"), ("le", "+Inf")];
    let family = "pgmesh_statement_duration_microseconds_bucket";
    assert_eq!(sum(family, &quick), 2.0, "{scrape}");
    let allowed = [("rule", "default"), ("action", "allow")];
    let connections = sum("pgmesh_policy_connections_total", &allowed);
    assert_eq!(connections, 2.0, "{scrape}");
    psql(&primary, port, "", TRACED);
    a_span_arrives(&sink, &envoy);
    a_cancel_finds_its_session(&primary, &replica, port);
}

/// Ctrl-C on a session that was routed away from the primary.
fn a_cancel_finds_its_session(primary: &Postgres, replica: &Postgres, port: u16) {
    let sleeps = "select pg_sleep(600)";
    let mut sleeping = primary.client_through(port, "psql");
    let sleeping = sleeping
        .envs([
            ("PGOPTIONS", "-c pgmesh.route=ro"),
            ("PGSSLMODE", "disable"),
        ])
        .env("PGGSSENCMODE", "disable")
        .args(["-Xc", sleeps])
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql starts");
    let there = format!("select count(*) from pg_stat_activity where query = '{sleeps}'");
    let asleep = wait_for(LIMIT, || (replica.sql(&there) == "1").then_some(()));
    assert!(asleep.is_some(), "it sleeps on the replica");
    let pid = i32::try_from(sleeping.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id"), Signal::INT).expect("it runs");
    let output = sleeping.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("due to user request"), "{said}");
}

/// The DestinationRules' bound holds for all that passes the gateway, and Envoy closes what comes above it
/// without a word: before that the policy has said that there are too many.
#[test]
fn the_gateway_says_that_there_are_too_many() {
    let everybody = plugins(GATEWAY)
        .iter()
        .flat_map(|plugin| plugin.configuration["limits"].as_array().cloned())
        .flatten()
        .find(|limit| limit["name"] == "everybody")
        .and_then(|limit| limit["max_connections"].as_u64())
        .expect("a limit for everybody");
    let built = judged(&["build", GATEWAY]);
    let bounds = built.split("maxConnections: ").skip(1);
    let bounds: Vec<u64> = bounds
        .map(|rest| rest.lines().next().and_then(|it| it.parse().ok()))
        .map(|bound| bound.expect("a number"))
        .collect();
    assert_eq!(bounds.len(), 2, "of postgres-rw and postgres-ro");

    let server = Postgres::builder(Version::V18).setting("max_connections", "200");
    let server = server.start();
    server.sql("create role shop login; create role reports login");
    let mut shape = through_one_listener(GATEWAY, [&server, &server]);
    for (index, bound) in bounds.iter().enumerate() {
        shape["static_resources"]["clusters"][index]["circuit_breakers"] =
            json!({"thresholds": [{ "max_connections": bound }]});
    }
    let shape = filtered("gateway", "istio=postgres-gateway", GATEWAY, &shape);
    let envoy = Envoy::with_bootstrap(&on(shape, 0, ([127, 0, 0, 1], 9).into())).start();
    let address = envoy.listener("0.0.0.0_5432");
    let begin = |number: u64| {
        // No user comes to an allowance of its own.
        let user = ["shop", "reports"][usize::from(number.is_multiple_of(2))];
        let parameters = [("user", user), ("database", "postgres")];
        let mut client = Client::connect(address);
        client.send(&messages::startup(messages::PROTOCOL_3_0, &parameters));
        client
    };
    let sessions: Vec<Client> = (0..everybody)
        .map(|number| {
            let mut client = begin(number);
            client.read_until_ready();
            client
        })
        .collect();
    let refused = begin(everybody).read_to_end();
    let refused = String::from_utf8_lossy(&refused);
    assert!(refused.contains("53300"), "{refused}");
    assert!(refused.contains("everybody"), "{refused}");
    drop(sessions);
}

/// A waypoint ends the mesh's TLS in one listener and hands the session to an internal one, where the
/// filters stand: they see no certificate.
#[test]
fn the_waypoint_governs_measures_and_exports_and_sees_no_certificate() {
    let authority = Authority::new();
    let identity = |account: &str| {
        let id = format!("URI:spiffe://cluster.local/ns/databases/sa/{account}");
        authority.identity(account, &id)
    };
    let server = Postgres::start(Version::V18);
    let sink = OtlpSink::keeping();
    let mut shape = through_one_listener(WAYPOINT, [&server, &server]);
    shape["bootstrap_extensions"] = json!([{
        "name": "envoy.bootstrap.internal_listener",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
        },
    }]);
    let mut terminate = json!({"filters": [{
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "main_internal", "cluster": "main_internal",
        },
    }]});
    let mut socket = tls(
        "DownstreamTlsContext",
        &identity("waypoint"),
        &authority,
        &[],
    );
    socket["typed_config"]["require_client_certificate"] = json!(true);
    terminate["transport_socket"] = socket;
    let listeners = &mut shape["static_resources"]["listeners"];
    let inner = &mut listeners[0];
    inner["name"] = json!("main_internal");
    inner["internal_listener"] = json!({});
    inner.as_object_mut().expect("a listener").remove("address");
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": 15008}});
    let outer = json!({
        "name": "connect_terminate", "address": address, "filter_chains": [terminate],
    });
    listeners.as_array_mut().expect("a list").insert(0, outer);
    let internal = json!({"envoy_internal_address": {"server_listener_name": "main_internal"}});
    let cluster = json!({
        "name": "main_internal", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "main_internal", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": internal}}
        ]}]},
        "transport_socket": {
            "name": "envoy.transport_sockets.internal_upstream",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
                    },
                },
            },
        },
    });
    let clusters = shape["static_resources"]["clusters"].as_array_mut();
    clusters.expect("a list").push(cluster);

    let labels = "gateway.networking.k8s.io/gateway-name=postgres-waypoint";
    let shape = filtered("waypoint", labels, WAYPOINT, &shape);
    let envoy = Envoy::with_bootstrap(&on(shape, 0, sink.address())).start();
    let waypoint = envoy.listener("connect_terminate");
    let client = Envoy::in_front_of(waypoint)
        .edit(|bootstrap| {
            bootstrap["static_resources"]["clusters"][0]["transport_socket"] =
                tls("UpstreamTlsContext", &identity("shop"), &authority, &[]);
        })
        .start();
    let (_, denied) = psql(&server, client.port(), "", "drop table t");
    assert!(denied.contains("not dropped through the mesh"), "{denied}");
    psql(&server, client.port(), "", TRACED);
    a_span_arrives(&sink, &envoy);
    let logged = wait_for(LIMIT, || {
        let log = envoy.log();
        log.contains(r#""pgmesh.event":"query""#).then_some(log)
    });
    let logged = logged.unwrap_or_else(|| panic!("{}", envoy.log()));
    assert!(!logged.contains("spiffe://"), "{logged}");
}

/// A client that begins TLS at once gets "postgresql" agreed on, and an answer of PostgreSQL's.
#[test]
fn the_gateway_takes_direct_tls_and_agrees_on_postgresql() {
    let server = Postgres::start(Version::V18);
    let authority = Authority::new();
    let identity = authority.identity("gateway", "DNS:db.example.com");
    let mut shape = through_one_listener(DIRECT_TLS, [&server, &server]);
    // What Istio offers: the EnvoyFilter adds to it.
    let socket = tls(
        "DownstreamTlsContext",
        &identity,
        &authority,
        &["h2", "http/1.1"],
    );
    shape["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = socket;
    let shape = filtered("gateway", "istio=postgres-gateway", DIRECT_TLS, &shape);
    let sink = OtlpSink::keeping();
    let envoy = Envoy::with_bootstrap(&on(shape, 0, sink.address())).start();
    let address = envoy.listener("0.0.0.0_5432");
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-alpn",
            "postgresql",
            "-servername",
            "db.example.com",
        ])
        .args(["-verify_return_error", "-verify_hostname", "db.example.com"])
        .args(["-CAfile".as_ref(), authority.certificate().as_os_str()])
        .args(["-connect", &address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    // A StartupMessage of protocol 3.0; then the session is left to end by itself.
    let body = b"\0\x03\0\0user\0postgres\0\0";
    let mut message = u32::try_from(body.len() + 4)
        .expect("short")
        .to_be_bytes()
        .to_vec();
    message.extend_from_slice(body);
    let mut input = client.stdin.take().expect("a pipe");
    input.write_all(&message).expect("it reads");
    let answered = wait_for(LIMIT, || {
        let sessions = envoy
            .scrape()
            .sum("pgmesh_connections_active", &[("user", "postgres")]);
        (sessions == 1.0).then_some(())
    });
    assert!(answered.is_some(), "{}", envoy.scrape());
    drop(input);
    let output = client.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("ALPN protocol: postgresql"), "{said}");
    assert!(said.contains("server_version"), "{said}");
}

/// A database outside the mesh that insists on TLS and on its ALPN, from the client's sidecar.
#[test]
fn the_client_s_sidecar_encrypts_towards_a_database_outside() {
    let server = Postgres::start(Version::V18);
    let authority = Authority::new();
    let identity = authority.identity("rds", "DNS:orders");
    let database = Envoy::in_front_of(server.address())
        .edit(|bootstrap| {
            let listener = &mut bootstrap["static_resources"]["listeners"][0];
            listener["listener_filters"] = json!([{
                "name": "envoy.filters.listener.tls_inspector",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
                },
            }]);
            let chain = &mut listener["filter_chains"][0];
            chain["filter_chain_match"] = json!({"application_protocols": ["postgresql"]});
            chain["transport_socket"] =
                tls("DownstreamTlsContext", &identity, &authority, &["postgresql"]);
        })
        .start();
    // What Istio makes of the DestinationRule: no ALPN.
    let mut external = cluster(DATABASE, ([127, 0, 0, 1], database.port()).into());
    let mut socket = tls("UpstreamTlsContext", &identity, &authority, &[]);
    socket["typed_config"]["sni"] = json!("orders");
    external["transport_socket"] = socket;
    let listener = "240.240.0.10_5432";
    let shape = bootstrap(listener, 5432, chain(EXTERNAL, DATABASE), vec![external]);
    let sink = OtlpSink::keeping();
    let start = |shape: Value| Envoy::with_bootstrap(&on(shape, 0, sink.address())).start();
    let envoy = start(filtered("sidecar", "app=shop", EXTERNAL, &shape));
    let port = envoy.listener(listener).port();
    assert_eq!(port_seen(&server, port, ""), server.port().to_string());
    let (_, denied) = psql(&server, port, "", "drop table t");
    assert!(denied.contains("not dropped through the mesh"), "{denied}");
    psql(&server, port, "", TRACED);
    a_span_arrives(&sink, &envoy);
    // Without the EnvoyFilter the database hangs up.
    let envoy = start(filtered("sidecar", "app=other", EXTERNAL, &shape));
    let (printed, _) = psql(&server, envoy.listener(listener).port(), "", "select 1");
    assert_eq!(printed, "");
}

#[test]
fn an_envoy_filter_is_for_its_own_proxies_and_contexts_only() {
    let server = Postgres::start(Version::V18);
    let shape = through_one_listener(GATEWAY, [&server, &server]);
    let clusters = |kind: &str, labels: &str, manifest: &str| {
        let patched = filtered(kind, labels, manifest, &shape);
        let all = patched["staticResources"]["clusters"].as_array();
        all.expect("clusters").len()
    };
    // Two are there; the Collector is the third, where the selector and the context are right, and
    // the way of cancels the gateway's fourth.
    assert_eq!(clusters("sidecar", "app=postgres", SIDECAR), 3);
    assert_eq!(clusters("sidecar", "app=shop", SIDECAR), 2);
    assert_eq!(clusters("gateway", "istio=postgres-gateway", GATEWAY), 4);
    assert_eq!(clusters("gateway", "istio=ingressgateway", GATEWAY), 2);
    let waypoint = "gateway.networking.k8s.io/gateway-name=postgres-waypoint";
    assert_eq!(clusters("waypoint", waypoint, WAYPOINT), 3);
    // A waypoint reads no workloadSelector, a sidecar no targetRefs.
    assert_eq!(clusters("waypoint", "app=postgres", SIDECAR), 2);
    assert_eq!(clusters("sidecar", "app=postgres", WAYPOINT), 2);
    // The sidecar's filter says SIDECAR_INBOUND: in a gateway it would be for nothing.
    let error = apply("gateway", "app=postgres", SIDECAR, &shape).expect_err("no context");
    assert!(error.contains("applies nowhere in a gateway"), "{error}");

    let patched = filtered("sidecar", "app=postgres", HISTOGRAMS, &shape);
    let buckets = &patched["statsConfig"]["histogramBucketSettings"][0]["buckets"];
    assert_eq!(buckets[0], json!(50), "{patched}");
    let said = Envoy::with_bootstrap(&on(patched, 0, server.address())).validate();
    assert_eq!(said, Ok(()));
}

/// What Cilium's agent gives its Envoy: the resources of the CiliumEnvoyConfig, an address for each
/// listener, and the Services' backends for the clusters.
#[test]
fn the_filters_work_as_cilium_would_run_them() {
    let (primary, replica) = (Postgres::start(Version::V18), Postgres::start(Version::V15));
    let sink = OtlpSink::keeping();
    let module = |name: &str| built_module(name).to_string_lossy().into_owned();
    let mut carried = judged(&["resources", "cilium/node/envoy-config.yaml"]);
    for name in ["envoy-metrics", "envoy-policy"] {
        carried = carried.replace(&format!("/pgmesh/{name}/plugin.wasm"), &module(name));
    }
    let carried: Vec<Value> = serde_json::from_str(&carried).expect("JSON");
    let of = |kind: &'static str| {
        let all = carried.iter();
        all.filter(move |resource| {
            resource["@type"]
                .as_str()
                .is_some_and(|it| it.ends_with(kind))
        })
    };
    let listeners: Vec<Value> = of(".Listener")
        .map(|listener| {
            let mut listener = listener.clone();
            let address = json!({"address": "127.0.0.1", "portValue": 0});
            listener["address"] = json!({ "socketAddress": address });
            listener.as_object_mut().expect("a message").remove("@type");
            listener
        })
        .collect();
    let clusters: Vec<Value> = of(".Cluster")
        .map(|found| {
            let name = found["name"].as_str().expect("a name");
            let backend = match name {
                "databases/postgres-rw" => primary.address(),
                "databases/postgres-ro" => replica.address(),
                "observability/otel-collector" => sink.address(),
                other => panic!("{other}"),
            };
            cluster(name, backend)
        })
        .collect();
    let bootstrap = json!({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    });
    let envoy = Envoy::with_bootstrap(&bootstrap.to_string()).start();
    for (listener, server) in [("postgres-rw", &primary), ("postgres-ro", &replica)] {
        let port = envoy.listener(listener).port();
        assert_eq!(port_seen(&primary, port, ""), server.port().to_string());
        let (_, denied) = psql(&primary, port, "", "drop table t");
        assert!(denied.contains("\"no drop\""), "{denied}");
    }
    let counted = wait_for(LIMIT, || {
        let stats = envoy.stats("pgmesh_policy_connections_total");
        stats.contains("rule=.=default").then_some(())
    });
    assert!(counted.is_some(), "{}", envoy.stats("pgmesh"));
    // Its labels cannot be read from Prometheus there, so that it exports.
    let exported = wait_for(LIMIT, || (!sink.bodies().is_empty()).then_some(()));
    assert!(exported.is_some(), "{}", envoy.log());
}

/// The Envoy beside PostgreSQL: its sessions, and of its admin interface what Prometheus needs.
#[test]
fn our_own_sidecar_shows_its_metrics_and_nothing_else_of_its_admin_interface() {
    let server = Postgres::start(Version::V18);
    let envoy = shipped::sidecar_bootstrap(&server).start();
    let seen = port_seen(&server, envoy.listener("postgres").port(), "");
    assert_eq!(seen, server.port().to_string());
    let stats = envoy.listener("stats");
    let get = |path: &str| {
        let answer = minreq::get(format!("http://{stats}{path}"))
            .with_timeout(10)
            .send();
        let answer = answer.expect("Envoy answers");
        (
            answer.status_code,
            answer.as_str().unwrap_or_default().to_owned(),
        )
    };
    let counted = wait_for(LIMIT, || {
        get("/stats/prometheus")
            .1
            .contains("pgmesh_connections_total{")
            .then_some(())
    });
    assert!(counted.is_some(), "{}", get("/stats/prometheus").1);
    assert_eq!(get("/ready").0, 200);
    for hidden in [
        "/",
        "/config_dump",
        "/quitquitquit",
        "/stats/prometheus/../../config_dump",
    ] {
        assert_eq!(get(hidden).0, 404, "{hidden}");
    }
}
