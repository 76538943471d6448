//! What of `starttls.yaml` can run without contrib's filter: a session passes its three listeners, and
//! our filters, in the middle one, know the client by its own address.

use std::time::Duration;

use test_harness::authority::Authority;
use test_harness::hosts::{Postgres, Version, wait_for};
use test_harness::shipped;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn sessions_pass_all_three_listeners_and_are_judged_by_the_clients_address() {
    let authority = Authority::new();
    let workload = authority.workload("DNS:localhost");
    for version in Version::ALL {
        let server = Postgres::start(version);
        let envoy = shipped::starttls_bootstrap_without_contrib(&server, &workload).start();
        let port = envoy.listener("starttls").port();
        let (stdout, stderr) = server.psql_through(port, "", &["select 6 * 7", "drop table t"]);
        assert_eq!(stdout, "42\n", "{stderr}");
        assert!(
            stderr.starts_with("ERROR:  42501: tables are not"),
            "{stderr}"
        );
        let record = r#""rule":"no drop","action":"deny","mode":"enforce","source":"127.0.0.1""#;
        assert!(envoy.log().contains(record), "{}", envoy.log());
        let line = wait_for(LIMIT, || {
            let log = envoy.log();
            let line = log
                .lines()
                .find(|line| line.contains("\"verdict\":\"denied\""))?;
            Some(line.to_owned())
        });
        let line = line.unwrap_or_else(|| panic!("{}", envoy.log()));
        assert!(line.contains("\"client\":\"127.0.0.1:"), "{line}");
        let counted = wait_for(LIMIT, || {
            let scrape = envoy.scrape();
            let statements = scrape.sum("pgmesh_statements_total", &[("operation", "SELECT")]);
            (statements == 1.0).then_some(())
        });
        assert!(counted.is_some(), "{}", envoy.scrape());
    }
}
