//! A session's events, and what is counted of them.

use pg_sql::Operation;
use pg_wire::{Severity, SqlState};
use proxy_host::fake::FakeHost;

use super::*;
use crate::config::Config;

const V3: ProtocolVersion = ProtocolVersion { major: 3, minor: 0 };

struct Bench {
    host: FakeHost,
    series: Series,
    hints: Hints,
}

impl Bench {
    fn new(config: &str) -> Self {
        let config = Config::read(config.as_bytes()).expect(config);
        Self {
            host: FakeHost::default(),
            series: Series::new(config),
            hints: Hints::default(),
        }
    }

    fn on<'a>(&'a mut self, ledger: &'a mut Ledger) -> Recorder<'a, FakeHost> {
        let Self {
            host,
            series,
            hints,
        } = self;
        Recorder {
            host,
            series,
            hints,
            ledger,
            follow: None,
        }
    }

    fn open(&mut self, user: &str, application: &str) -> Ledger {
        let mut ledger = Ledger::new(false);
        let mut recorder = self.on(&mut ledger);
        recorder.message(MessageName::StartupMessage, 40);
        recorder.event(startup(user, application));
        recorder.event(Event::Ready {
            duration: 1_000_000,
        });
        ledger
    }

    fn value(&mut self, name: &str) -> Option<i64> {
        self.series.flush(&self.host, 0);
        self.host.value(name)
    }
}

fn startup<'a>(user: &'a str, application: &'a str) -> Event<'a> {
    Event::Startup(StartupMessage {
        version: V3,
        user: user.as_bytes(),
        database: b"shop",
        application_name: application.as_bytes(),
        replication: None,
    })
}

fn refused() -> Event<'static> {
    Event::ConnectionFailed(Report {
        severity: Severity::Fatal,
        sqlstate: SqlState(*b"28P01"),
        message: b"password authentication failed",
    })
}

fn statement(protocol: SubProtocol, outcome: Outcome) -> Event<'static> {
    Event::Statement(Statement {
        operation: Operation::Select,
        protocol,
        outcome,
        rows: 7,
        data_rows: 7,
        received: 1_000,
        started: 2_000,
        first_row: Some(62_000),
        finished: 302_000,
        text: pg_wire::TextId::UNTOLD,
        index: 0,
        block: pg_wire::Block::Outside,
    })
}

#[test]
fn what_came_before_ready_for_query_counts_under_the_sessions_labels() {
    let mut bench = Bench::new("");
    bench.open("bob", "");
    let labels = "database=.=shop;.;user=.=bob;.;";
    assert_eq!(
        bench.value(&format!(
            "pgmesh_messages_total.{labels}message=.=StartupMessage;.;"
        )),
        Some(1)
    );
    assert_eq!(
        bench.value(&format!(
            "pgmesh_connections_active.{labels}protocol_version=.=3.0;.;"
        )),
        Some(1)
    );
}

#[test]
fn strangers_cannot_use_up_the_label_sets() {
    let mut bench = Bench::new(r#"{"max_label_sets": 1}"#);
    for user in ["a", "b", "c"] {
        let mut ledger = Ledger::new(false);
        let mut recorder = bench.on(&mut ledger);
        recorder.event(startup(user, ""));
        recorder.event(refused());
    }
    bench.open("bob", "");
    let failures = "pgmesh_connection_failures_total.database=.=other;.;user=.=other;.;\
                    sqlstate=.=28P01;.;";
    assert_eq!(bench.value(failures), Some(3));
    let bob = "pgmesh_connections_total.database=.=shop;.;user=.=bob;.;protocol_version=.=3.0;.;";
    assert_eq!(bench.value(bob), Some(1));
}

#[test]
fn values_that_show_alike_are_one_label_set_and_hold_no_more_than_is_shown() {
    let mut bench = Bench::new(r#"{"labels": {"application": true}, "max_label_sets": 1}"#);
    let shown = "a".repeat(63);
    for tail in 0..10 {
        let mut ledger = bench.open("bob", &format!("{shown}{tail}"));
        let renamed = format!("{shown}{tail}{}", "x".repeat(400));
        bench.on(&mut ledger).event(Event::ParameterStatus {
            name: b"application_name",
            value: renamed.as_bytes(),
        });
    }
    let own = format!("application=.={shown};.;protocol_version=.=3.0;.;");
    let opened = format!("pgmesh_connections_total.database=.=shop;.;user=.=bob;.;{own}");
    assert_eq!(bench.value(&opened), Some(10));
    assert_eq!(bench.value("pgmesh_label_sets_dropped_total"), None);
}

#[test]
fn a_stranger_with_long_names_holds_no_more_of_them_than_a_label_can_show() {
    let mut bench = Bench::new("");
    let mut ledger = Ledger::new(false);
    let before = ledger.heap_bytes();
    bench
        .on(&mut ledger)
        .event(startup(&"u".repeat(9000), &"a".repeat(9000)));
    let names = ledger.heap_bytes().saturating_sub(before);
    assert_eq!(names, 2 * 63 + "shop".len());
}

#[test]
fn sessions_beyond_the_cap_count_as_other_and_a_counter_says_so() {
    let mut bench = Bench::new(r#"{"max_label_sets": 1}"#);
    for user in ["a", "b", "c"] {
        bench.open(user, "");
    }
    let other =
        "pgmesh_connections_total.database=.=other;.;user=.=other;.;protocol_version=.=3.0;.;";
    assert_eq!(bench.value(other), Some(2));
    assert_eq!(bench.value("pgmesh_label_sets_dropped_total"), Some(2));
}

#[test]
fn a_statement_counts_with_its_times_in_microseconds() {
    let mut bench = Bench::new("");
    let mut ledger = bench.open("bob", "");
    bench
        .on(&mut ledger)
        .event(statement(SubProtocol::Extended, Outcome::Completed));
    let labels = "database=.=shop;.;user=.=bob;.;operation=.=SELECT;.;";
    let own = format!("{labels}protocol=.=extended;.;");
    assert_eq!(
        bench.value(&format!("pgmesh_statements_total.{own}")),
        Some(1)
    );
    assert_eq!(
        bench.value(&format!("pgmesh_statement_duration_microseconds_sum.{own}")),
        Some(300)
    );
    assert_eq!(
        bench.value(&format!("pgmesh_first_row_duration_microseconds_sum.{own}")),
        Some(60)
    );
    assert_eq!(bench.value(&format!("pgmesh_rows_total.{labels}")), Some(7));
}

#[test]
fn a_server_that_goes_away_in_a_statement_is_told_from_a_client_that_does() {
    let mut bench = Bench::new("");
    let gone = "pgmesh_backend_disconnects_total.database=.=shop;.;user=.=bob;.;";
    let mut client_left = bench.open("bob", "");
    bench
        .on(&mut client_left)
        .event(statement(SubProtocol::Simple, Outcome::Disconnected));
    assert_eq!(bench.value(gone), None);
    let mut server_left = bench.open("bob", "");
    server_left.server_closed();
    bench
        .on(&mut server_left)
        .event(statement(SubProtocol::Simple, Outcome::Disconnected));
    assert_eq!(bench.value(gone), Some(1));
}

#[test]
fn a_session_that_renames_itself_takes_its_gauges_along() {
    let mut bench = Bench::new(r#"{"labels": {"user": false, "application": true}}"#);
    let mut ledger = bench.open("bob", "psql");
    bench
        .on(&mut ledger)
        .event(Event::PreparedStatements { count: 3 });
    let renamed = Event::ParameterStatus {
        name: b"application_name",
        value: b"jobs",
    };
    bench.on(&mut ledger).event(renamed);
    let gauge = |application: &str| {
        format!(
            "pgmesh_prepared_statements_active.database=.=shop;.;application=.={application};.;"
        )
    };
    assert_eq!(bench.value(&gauge("psql")), Some(0));
    assert_eq!(bench.value(&gauge("jobs")), Some(3));
    bench.on(&mut ledger).closed();
    assert_eq!(bench.value(&gauge("jobs")), Some(0));
}

#[test]
fn a_disabled_metric_is_never_defined() {
    let mut bench = Bench::new(r#"{"disable": ["messages_total", "errors_total"]}"#);
    let mut ledger = bench.open("bob", "");
    let report = Report {
        severity: Severity::Error,
        sqlstate: SqlState(*b"42601"),
        message: b"syntax error",
    };
    bench.on(&mut ledger).event(Event::Error(report));
    bench.series.flush(&bench.host, 0);
    let defined = bench.host.metrics();
    assert!(
        defined.keys().all(|name| !name.contains("messages_total")),
        "{defined:?}"
    );
    assert!(
        defined.keys().all(|name| !name.contains("errors_total")),
        "{defined:?}"
    );
}

#[test]
fn sqlstates_are_capped_per_set_of_labels() {
    let mut bench = Bench::new("");
    let mut ledger = bench.open("bob", "");
    for code in 0..1000 {
        let mut sqlstate = [b'0'; 5];
        sqlstate.copy_from_slice(format!("{code:05}").as_bytes());
        let report = Report {
            severity: Severity::Error,
            sqlstate: SqlState(sqlstate),
            message: b"",
        };
        bench.on(&mut ledger).event(Event::Error(report));
    }
    let errors = |host: &FakeHost| {
        host.metrics()
            .keys()
            .filter(|n| n.contains("errors_total"))
            .count()
    };
    assert_eq!(errors(&bench.host), 65);
    assert_eq!(bench.value("pgmesh_label_sets_dropped_total"), Some(936));
}
