//! `gateway.yaml` in front of a primary and two streaming standbys, each behind `sidecar-mtls.yaml`,
//! with clients that come through `client-sidecar.yaml`: who goes where, and what happens when a
//! server fails.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use test_harness::authority::{Authority, Workload};
use test_harness::fakes::name_server::NameServer;
use test_harness::hosts::envoy::Builder;
use test_harness::hosts::{Envoy, Postgres, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(30);
const READ_ONLY: &str = "-c pgmesh.route=ro";
const PORT: &str = "select current_setting('port')";

/// Servers, the Envoys beside them, the gateway, and the Envoy beside a client.
struct Topology {
    // Those that lean on others go first.
    client: Envoy,
    gateway: Envoy,
    beside: [Option<Envoy>; 3],
    _follower: Envoy,
    replicas: [Postgres; 2],
    primary: Postgres,
    _workloads: [Workload; 3],
}

/// Those of the servers, of the gateway and of a client.
fn workloads() -> [Workload; 3] {
    let authority = Authority::new();
    [
        "databases/sa/postgres",
        "databases/sa/postgres-gateway",
        "shop/sa/till",
    ]
    .map(|name| authority.workload(&format!("URI:spiffe://cluster.local/ns/{name}")))
}

/// The Envoy beside a client, which expects the gateway.
fn client_of(gateway: &Envoy, workload: &Workload) -> Envoy {
    shipped::client_sidecar_bootstrap(gateway, workload)
        .replacing("/sa/postgres\"", "/sa/postgres-gateway\"")
        .start()
}

impl Topology {
    fn start() -> Self {
        Self::with(|gateway, _| gateway)
    }

    /// With changes to the gateway's bootstrap, which may know where the primary's Envoy is.
    fn with(change: impl FnOnce(Builder, SocketAddr) -> Builder) -> Self {
        let workloads = workloads();
        let [servers, gateway, till] = &workloads;
        let beside = |server: &Postgres| shipped::mtls_sidecar_bootstrap(server, servers).start();
        let primary = Postgres::start(Version::V18);
        let beside_primary = beside(&primary);
        // The standbys follow the primary through an Envoy of their own, too. One does for both, since
        // it must be there before they are.
        let follower = shipped::mtls_standby_bootstrap(&primary, servers, &beside_primary).start();
        let follow = follower.listener("primary").port();
        let replicas = [(); 2].map(|()| primary.standby_through(follow));
        let [first, second] = [beside(&replicas[0]), beside(&replicas[1])];
        let gateway = shipped::gateway_bootstrap(&beside_primary, [&first, &second], gateway);
        let gateway = change(gateway, beside_primary.listener("postgres")).start();
        let client = client_of(&gateway, till);
        let mesh = Self {
            client,
            gateway,
            beside: [Some(beside_primary), Some(first), Some(second)],
            _follower: follower,
            replicas,
            primary,
            _workloads: workloads,
        };
        wait_for(LIMIT, || {
            let healthy = mesh.members("healthy", "replicas");
            (healthy == mesh.members("total", "replicas")).then_some(())
        })
        .expect("all are healthy");
        mesh
    }

    fn psql(&self, options: &str, statements: &[&str]) -> (String, String) {
        self.primary
            .psql_through(self.client.port(), options, statements)
    }

    /// The port of the server that a session reaches, empty if it reaches none.
    fn reached(&self, options: &str) -> String {
        self.psql(options, &[PORT]).0.trim().to_owned()
    }

    /// A session that runs one statement, and goes on while others do.
    fn spawn(&self, options: &str, statement: &str) -> Child {
        self.primary
            .client_through(self.client.port(), "psql")
            .env("PGOPTIONS", options)
            .env("PGSSLMODE", "disable")
            .args(["-XAtqc", statement])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts")
    }

    /// How many servers of a cluster are in this state, as the gateway's metrics have it.
    fn members(&self, state: &str, cluster: &str) -> f64 {
        let metric = format!("envoy_cluster_membership_{state}");
        let scrape = self.gateway.scrape();
        scrape.value(&metric, &[("envoy_cluster_name", cluster)])
    }

    fn healthy_replicas(&self, count: f64) {
        let healthy = || self.members("healthy", "replicas");
        wait_for(LIMIT, || (healthy() == count).then_some(()))
            .unwrap_or_else(|| panic!("{} are healthy, not {count}", healthy()));
    }

    fn signal(&self, replica: usize, signal: Signal) {
        let pid = i32::try_from(self.replicas[replica].process_id()).expect("a process id");
        let pid = Pid::from_raw(pid).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }
}

#[test]
fn sessions_write_on_the_primary_and_read_on_the_replicas() {
    let mesh = Topology::start();
    let name = "select application_name from pg_stat_activity where pid = pg_backend_pid()";
    let stamped = "psql@spiffe://cluster.local/ns/shop/sa/till\n";
    let script = ["create table t (a int)", "insert into t values (7)", name];
    assert_eq!(mesh.psql("", &script), (stamped.to_owned(), String::new()));
    let read = || mesh.psql(READ_ONLY, &["select a from t", name]).0;
    wait_for(LIMIT, || (read() == format!("7\n{stamped}")).then_some(()))
        .unwrap_or_else(|| panic!("{}", read()));
    let (stdout, stderr) = mesh.psql(READ_ONLY, &["insert into t values (8)"]);
    assert!(stderr.starts_with("ERROR:  25006"), "{stdout}{stderr}");

    // Sessions that last are spread over both.
    let sessions: Vec<Child> = (0..8)
        .map(|_| mesh.spawn(READ_ONLY, "select current_setting('port') from pg_sleep(3)"))
        .collect();
    let mut ports: Vec<String> = sessions
        .into_iter()
        .map(|session| {
            let output = session.wait_with_output().expect("psql ends");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        })
        .collect();
    ports.sort();
    ports.dedup();
    let mut expected = mesh
        .replicas
        .each_ref()
        .map(|server| server.port().to_string());
    expected.sort();
    assert_eq!(ports, expected);
}

#[test]
fn a_denial_of_the_gateway_reaches_the_client_as_the_gateway_said_it() {
    let mesh = Topology::with(|gateway, _| {
        gateway.replacing(
            "tables are not dropped",
            "nobody drops tables here, not even",
        )
    });
    for statement in ["drop table t", "DROP TABLE \"t\""] {
        let (_, stderr) = mesh.psql("", &[statement]);
        let fingerprint =
            pg_sql::fingerprint(statement.as_bytes(), &pg_sql::LexerOptions::default());
        let expected = format!(
            "ERROR:  42501: nobody drops tables here, not even through the mesh\n\
             DETAIL:  Rule \"no drop\", fingerprint {fingerprint}.\nHINT:  Write a migration.\n"
        );
        assert!(stderr.starts_with(&expected), "{stderr}");
    }
}

#[test]
fn replication_passes_the_envoys_and_is_measured_by_them() {
    let mesh = Topology::start();
    mesh.psql("", &["create table t as select generate_series(1, 10000)"]);
    let physical: [(&str, &str); 1] = [("kind", "physical")];
    let beside = mesh.beside[0].as_ref().expect("it runs");
    let scrape = wait_for(LIMIT, || {
        let scrape = beside.scrape();
        let open = scrape.sum("pgmesh_replication_connections_active", &physical);
        let bytes = scrape.sum("pgmesh_replication_bytes_total", &physical);
        (open == 2.0 && bytes > 500_000.0).then_some(())
    });
    assert!(scrape.is_some(), "{}", beside.scrape());
    let waiting = "select count(*) from pg_stat_replication where state = 'streaming'";
    assert_eq!(mesh.primary.sql(waiting), "2");
}

#[test]
fn who_has_too_many_sessions_is_told_so() {
    let mesh = Topology::with(|gateway, _| {
        gateway.replacing("\"max_connections\": 50", "\"max_connections\": 2")
    });
    let sessions = [(); 2].map(|()| mesh.spawn("", "select pg_sleep(600)"));
    let sleeping = "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'";
    wait_for(LIMIT, || (mesh.primary.sql(sleeping) == "2").then_some(())).expect("they sleep");
    let (stdout, stderr) = mesh.psql(READ_ONLY, &["select 1"]);
    assert!(
        stdout.is_empty() && stderr.contains("too many connections"),
        "{stdout}{stderr}"
    );
    for mut session in sessions {
        session.kill().expect("it runs");
        session.wait().expect("it ends");
    }
}

#[test]
fn a_replica_that_hangs_or_is_gone_gets_no_more_sessions() {
    let mut mesh = Topology::start();
    let [first, second] = mesh
        .replicas
        .each_ref()
        .map(|server| server.port().to_string());
    // Its kernel still accepts connections for it.
    mesh.signal(0, Signal::STOP);
    mesh.healthy_replicas(1.0);
    for _ in 0..4 {
        assert_eq!(mesh.reached(READ_ONLY), second);
    }
    mesh.signal(0, Signal::CONT);
    mesh.healthy_replicas(2.0);

    // One whose machine is gone costs another attempt and no session, before any check has told.
    mesh.beside[2] = None;
    for _ in 0..6 {
        assert_eq!(mesh.reached(READ_ONLY), first);
    }
    mesh.replicas[0].kill();
    mesh.healthy_replicas(0.0);
    assert_eq!(mesh.reached(READ_ONLY), "");
    assert_eq!(mesh.reached(""), mesh.primary.port().to_string());
}

#[test]
fn a_cancel_reaches_the_server_of_its_session() {
    let mesh = Topology::start();
    for options in ["", READ_ONLY, READ_ONLY, READ_ONLY, READ_ONLY] {
        let sleeps = "select pg_sleep(600)";
        let mut session = mesh.spawn(options, sleeps);
        // The last one's backend may still be there, and has nothing to do.
        let sleeping = format!(
            "select count(*) from pg_stat_activity where state = 'active' and query = '{sleeps}'"
        );
        let servers = [&mesh.primary, &mesh.replicas[0], &mesh.replicas[1]];
        wait_for(LIMIT, || {
            let somewhere = servers.iter().any(|server| server.sql(&sleeping) == "1");
            somewhere.then_some(())
        })
        .expect("it sleeps");
        let pid = i32::try_from(session.id()).expect("a process id");
        kill_process(Pid::from_raw(pid).expect("a process id"), Signal::INT).expect("it runs");
        let ended = wait_for(LIMIT, || session.try_wait().expect("it is ours"));
        if ended.is_none() {
            session.kill().expect("it runs");
        }
        let output = session.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("canceling statement due to user request"),
            "{options}: {stderr}\n{}",
            mesh.gateway.log()
        );
    }
    for server in [&mesh.primary, &mesh.replicas[0], &mesh.replicas[1]] {
        assert!(!server.log().contains("cancel request"), "{}", server.log());
    }
}

#[test]
fn reads_may_go_to_the_primary_when_no_replica_is_left() {
    let mut mesh = Topology::with(|gateway, primary| {
        let (address, port) = (primary.ip(), primary.port());
        let next = "  # Where a CancelRequest goes";
        let fallback = format!(
            "      - priority: 1\n        lb_endpoints:\n        - endpoint:\n            \
             address:\n              \
             socket_address: {{ address: {address}, port_value: {port} }}\n{next}"
        );
        gateway.replacing(next, &fallback)
    });
    let primary = mesh.primary.port().to_string();
    assert_ne!(mesh.reached(READ_ONLY), primary);
    mesh.beside[1] = None;
    mesh.beside[2] = None;
    wait_for(LIMIT, || (mesh.reached(READ_ONLY) == primary).then_some(()))
        .unwrap_or_else(|| panic!("{}", mesh.gateway.admin("/clusters")));
}

/// Lines that a server has logged for connections from 127.0.0.1.
fn connections(server: &Postgres) -> usize {
    server.log().matches("host=127.0.0.1").count()
}

#[test]
fn the_health_check_asks_the_server_itself_and_leaves_nothing_in_its_log() {
    let [servers, gateway, _] = workloads();
    let told = Postgres::builder(Version::V18).setting("log_connections", "on");
    let quiet = [Postgres::start(Version::V15), Postgres::start(Version::V18)];
    let told = told.start();
    let [first, mut second, third] = [&told, &quiet[0], &quiet[1]]
        .map(|server| shipped::mtls_sidecar_bootstrap(server, &servers).start());
    let before = quiet.each_ref().map(Postgres::log);
    let gateway = shipped::gateway_bootstrap(&first, [&second, &third], &gateway).start();
    wait_for(LIMIT, || (connections(&told) >= 3).then_some(())).expect("it is asked");
    let healthy = gateway.stats("^cluster.(primary|replicas).membership_healthy");
    let expected =
        "cluster.primary.membership_healthy: 1\ncluster.replicas.membership_healthy: 2\n";
    assert_eq!(healthy, expected);
    assert_eq!(quiet.each_ref().map(Postgres::log), before);
    // Nor does the Envoy beside it write a line for each that was answered.
    second.stop();
    let log = second.log();
    assert!(!log.contains("\"bytes_sent\":1,"), "{log}");
}

#[test]
fn a_primary_that_fails_the_check_is_asked_all_the_same() {
    let mut mesh = Topology::start();
    mesh.primary.stop();
    let failing = || (mesh.members("healthy", "primary") == 0.0).then_some(());
    wait_for(LIMIT, failing).expect("the check fails");
    assert_eq!(mesh.reached(""), "");
    let line = wait_for(LIMIT, || {
        let log = mesh.gateway.log();
        let line = log
            .lines()
            .find(|line| line.contains("\"cluster\":\"primary\""))?;
        Some(line.to_owned())
    });
    // It was connected to, through the Envoy beside it.
    assert!(
        line.as_ref()
            .is_some_and(|line| line.contains("\"flags\":\"-\"")),
        "{line:?}"
    );
    let [first, second] = mesh
        .replicas
        .each_ref()
        .map(|server| server.port().to_string());
    let reached = mesh.reached(READ_ONLY);
    assert!(reached == first || reached == second, "{reached}");
}

/// Envoy keeps a host that a name no longer points to as long as it passes the check, unless told
/// otherwise: after a failover, half of all sessions would go to the old primary.
#[test]
fn a_name_that_points_to_another_primary_is_believed_at_once() {
    let [servers, gateway, till] = workloads();
    let [before, after] = [(); 2].map(|()| Postgres::start(Version::V18));
    let old = shipped::mtls_sidecar_bootstrap(&before, &servers).start();
    // The same port at another address.
    let listener = |address: &str, port: u16| {
        format!(
            "- name: postgres\n    address:\n      socket_address: {{ address: {address}, port_value: {port} }}"
        )
    };
    let new = shipped::mtls_sidecar_bootstrap(&after, &servers)
        .replacing(
            &listener("127.0.0.1", 0),
            &listener("127.0.0.2", old.port()),
        )
        .start();
    let names = NameServer::start(Ipv4Addr::new(127, 0, 0, 1));
    let resolver = format!(
        "typed_dns_resolver_config:\n  name: envoy.network.dns_resolver.cares\n  typed_config:\n    \
         \"@type\": type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig\n    \
         resolvers:\n    - socket_address: {{ address: 127.0.0.1, port_value: {} }}\n\nnode:",
        names.address().port()
    );
    let at = format!(
        "- endpoint:\n            address:\n              socket_address: {{ address: 127.0.0.1, port_value: {} }}",
        old.port()
    );
    let primary = at.replace("127.0.0.1", "postgres-primary.databases");
    let gateway = shipped::gateway_bootstrap(&old, [&new, &new], &gateway)
        .replacing(&at, &primary)
        .replacing("\nnode:", &format!("\n{resolver}"))
        .start();
    let client = client_of(&gateway, &till);
    let reached = || {
        before
            .psql_through(client.port(), "", &[PORT])
            .0
            .trim()
            .to_owned()
    };
    let [old_port, new_port] = [&before, &after].map(|server| server.port().to_string());
    assert_eq!(reached(), old_port, "{}", gateway.log());
    names.point_to(Ipv4Addr::new(127, 0, 0, 2));
    wait_for(LIMIT, || (reached() == new_port).then_some(()))
        .unwrap_or_else(|| panic!("{}", gateway.admin("/clusters")));
    for _ in 0..8 {
        assert_eq!(reached(), new_port);
    }
}
