//! What goes wrong, and the alerts that tell of it. A fault lasts as long as its guard.

use std::any::Any;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use test_harness::background::{Again, Program, Stopped};
use test_harness::fakes::otlp_sink::Answer;
use test_harness::hosts::Postgres;
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::wait_for;
use test_harness::net::{Client, messages};

use crate::site::Site;

/// Keeps a fault up.
pub type Guard = Box<dyn Any>;

/// One thing that goes wrong.
pub struct Fault {
    /// The alerts that it causes.
    pub alerts: &'static [&'static str],
    /// Begins it.
    pub cause: fn(&Site) -> Guard,
}

/// What clients do, each in a database of its own, and a replica that nobody else is about.
pub const OF_CLIENTS: &[Fault] = &[
    Fault {
        alerts: &[
            "PostgreSQLErrorRatioHigh",
            "PostgreSQLErrorSurge",
            "PostgreSQLErrorBudgetBurnsFast",
            "PostgreSQLErrorBudgetBurnsSlowly",
        ],
        cause: errors,
    },
    Fault {
        alerts: &[
            "PostgreSQLStatementsSlow",
            "PostgreSQLLatencyBudgetBurnsFast",
            "PostgreSQLLatencyBudgetBurnsSlowly",
        ],
        cause: slow_statements,
    },
    Fault {
        alerts: &["PostgreSQLIdleInTransaction", "PostgreSQLLongTransaction"],
        cause: idle_transactions,
    },
    Fault {
        alerts: &["PostgreSQLConnectionChurn"],
        cause: churn,
    },
    Fault {
        alerts: &["PostgreSQLStartupSlow"],
        cause: slow_startups,
    },
    Fault {
        alerts: &[
            "PostgreSQLAuthenticationFailures",
            "PostgreSQLConnectionsExhausted",
            "PgmeshPolicyConnectionsDenied",
        ],
        cause: refused_sessions,
    },
    Fault {
        alerts: &["PostgreSQLCancelStorm"],
        cause: cancels,
    },
    Fault {
        alerts: &["PostgreSQLDeadlocks"],
        cause: deadlocks,
    },
    Fault {
        alerts: &["PostgreSQLCacheHitsLow"],
        cause: reads_of_all,
    },
    Fault {
        alerts: &["PgmeshPolicyDenials", "PgmeshPolicyWouldDeny"],
        cause: denials,
    },
    Fault {
        alerts: &[
            "PgmeshOpaqueSessions",
            "PgmeshPolicyUninspectable",
            "PgmeshDesync",
        ],
        cause: what_cannot_be_read,
    },
    Fault {
        alerts: &["PgmeshExportDropped"],
        cause: refused_spans,
    },
    Fault {
        alerts: &["PostgreSQLReplicaDisconnected"],
        cause: broken_stream,
    },
];

/// What happens to servers, and what many sessions do to them.
pub const OF_SERVERS: &[Fault] = &[
    Fault {
        alerts: &["PostgreSQLConnectionsHigh", "PgmeshPolicyLimitReached"],
        cause: many_sessions,
    },
    Fault {
        alerts: &["PgmeshLabelOverflow"],
        cause: many_users,
    },
    Fault {
        alerts: &["PgmeshMemoryHigh"],
        cause: many_prepared_statements,
    },
    Fault {
        alerts: &["PostgreSQLReplicationLag"],
        cause: paused_replay,
    },
    Fault {
        alerts: &["PostgreSQLReplicationSilent"],
        cause: dead_standby,
    },
    Fault {
        alerts: &["PostgreSQLSlotHoldsWal"],
        cause: forgotten_slot,
    },
    Fault {
        alerts: &["PostgreSQLArchivingFails"],
        cause: failing_archive,
    },
    Fault {
        alerts: &["PostgreSQLWraparound"],
        cause: many_transactions,
    },
];

/// One process of the server is killed, and takes all others along.
pub const CRASH: &[Fault] = &[Fault {
    alerts: &["PostgreSQLBackendsDie"],
    cause: crash,
}];

/// The server stops.
pub const DOWN: &[Fault] = &[Fault {
    alerts: &["PostgreSQLDown", "EnvoyHasNoServer"],
    cause: stop,
}];

/// Of the exporter that has ended.
pub const EXPORTER_GONE: Fault = Fault {
    alerts: &["PostgreSQLMetricsMissing"],
    cause: |_| Box::new(()),
};

/// Of the Envoy without its module.
pub const MODULE_GONE: Fault = Fault {
    alerts: &["PgmeshMetricsMissing"],
    cause: |_| Box::new(()),
};

const MOMENT: Duration = Duration::from_millis(20);

fn pgbench(site: &Site, database: &str, arguments: &[&str]) -> Program {
    let mut pgbench = site.primary.client_through(site.envoy.port(), "pgbench");
    pgbench
        .env("PGDATABASE", database)
        .args(["-n", "-T", "600"]);
    Program::start(pgbench.args(arguments))
}

/// An application as it should be: a few sessions, reads and writes, all fast.
pub fn usual_load(site: &Site) -> Guard {
    for database in ["shop", "churn"] {
        let mut tables = site.primary.client("pgbench");
        output_of(tables.env("PGDATABASE", database).args(["-i", "-q"]));
    }
    let steady = |database| {
        let session = site.session("postgres", database);
        Again::queries(session, 5 * MOMENT, &["select 1"])
    };
    Box::new((
        pgbench(site, "shop", &["-c", "2", "-R", "40"]),
        ["errors", "slow", "idle", "churn", "startup", "deadlocks"].map(steady),
    ))
}

fn errors(site: &Site) -> Guard {
    let mut timeouts = site.session("postgres", "errors");
    timeouts.query("set statement_timeout = '1ms'");
    let divisions = (0..2).map(|_| site.session("postgres", "errors"));
    let divisions = divisions
        .map(|session| Again::queries(session, MOMENT, &["select 1/0", "select 1"]))
        .collect::<Vec<_>>();
    Box::new((
        Again::queries(timeouts, MOMENT, &["select pg_sleep(1)"]),
        divisions,
    ))
}

fn slow_statements(site: &Site) -> Guard {
    let slow = |_| {
        let session = site.session("postgres", "slow");
        Again::queries(session, MOMENT, &["select pg_sleep(0.5)"])
    };
    Box::new((0..4).map(slow).collect::<Vec<_>>())
}

/// Pauses of a second in eight transactions, one of which never ends.
fn idle_transactions(site: &Site) -> Guard {
    let idle = |_| {
        let mut session = site.session("postgres", "idle");
        session.query("begin");
        session.query("select txid_current()");
        Again::queries(session, Duration::from_secs(1), &["select 1"])
    };
    Box::new((0..8).map(idle).collect::<Vec<_>>())
}

fn churn(site: &Site) -> Guard {
    Box::new(pgbench(site, "churn", &["-C", "-S", "-c", "2"]))
}

fn slow_startups(site: &Site) -> Guard {
    let (server, port) = (site.primary.version(), site.envoy.port());
    let psql = server.program("psql").expect("it is there");
    let log_in = move || {
        let mut psql = Command::new(&psql);
        psql.args(["-XAtqc", "select 1", "-h", "127.0.0.1", "-U", "postgres"]);
        psql.args(["-p", &port.to_string(), "-d", "startup"]);
        // A developer's option: every session waits so long before it is ready.
        psql.env("PGOPTIONS", "-c post_auth_delay=2");
        let _answer = psql.output();
    };
    Box::new(
        (0..3)
            .map(|_| Again::and_again(log_in.clone()))
            .collect::<Vec<_>>(),
    )
}

/// By the server: no such role, no connection left for it. By the policy: not this one.
fn refused_sessions(site: &Site) -> Guard {
    let address = site.address();
    let refused = |user: &'static str| {
        Again::and_again(move || {
            let mut client = Client::connect(address);
            client.send(&Site::hello(user, "shop", "till"));
            client.read_to_end();
            thread::sleep(5 * MOMENT);
        })
    };
    Box::new(["nobody", "narrow", "banned"].map(refused))
}

fn cancels(site: &Site) -> Guard {
    let address = site.address();
    Box::new(Again::and_again(move || {
        let mut client = Client::connect(address);
        client.send(&messages::cancel_request(1, &[0; 4]));
        client.read_to_end();
        thread::sleep(2 * MOMENT);
    }))
}

/// Two transactions that lock two rows in opposite order.
fn deadlocks(site: &Site) -> Guard {
    site.session("postgres", "deadlocks")
        .query("create table rows as select generate_series(1, 2) as id");
    let locking = |first: u8, second: u8| {
        let mut session = site.session("postgres", "deadlocks");
        let lock = |id| format!("select from rows where id = {id} for update");
        Again::and_again(move || {
            session.query("begin");
            session.query(&lock(first));
            thread::sleep(MOMENT);
            session.query(&lock(second));
            session.query("rollback");
        })
    };
    Box::new([locking(1, 2), locking(2, 1)])
}

/// A table that does not fit into shared_buffers, read from one end to the other.
fn reads_of_all(site: &Site) -> Guard {
    let mut session = site.session("postgres", "cache");
    session.query(
        "create table big as select g, repeat('x', 500) as x from generate_series(1, 40000) g",
    );
    Box::new(Again::queries(
        session,
        MOMENT,
        &["select count(*) from big"],
    ))
}

fn denials(site: &Site) -> Guard {
    let session = site.session("postgres", "shop");
    let queries = &[
        "drop table if exists nothing",
        "delete from pgbench_history where false",
    ];
    Box::new(Again::queries(session, 5 * MOMENT, queries))
}

/// The first bytes of TLS, and a session that goes on with what is no message.
fn what_cannot_be_read(site: &Site) -> Guard {
    let address = site.address();
    Box::new(Again::and_again(move || {
        let mut client = Client::connect(address);
        client.send(&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]);
        client.read_to_end();
        let mut client = Client::connect(address);
        client.send(&Site::hello("postgres", "shop", "till"));
        client.read_until_ready();
        client.send(&[0xff; 16]);
        client.read_to_end();
        thread::sleep(5 * MOMENT);
    }))
}

fn refused_spans(site: &Site) -> Guard {
    site.collector.answer(Answer::Status(400, &[], b""));
    Box::new(())
}

/// As many of one application as the policy lets in, and others until few of the server's are left.
fn many_sessions(site: &Site) -> Guard {
    let address = site.address();
    let hello = move |application: &str| {
        let mut client = Client::connect(address);
        client.send(&Site::hello("postgres", "shop", application));
        client
    };
    let applications = ["job"; 40].into_iter().chain(["report"; 12]);
    let sessions: Vec<Client> = applications
        .map(|application| {
            let mut client = hello(application);
            client.read_until_ready();
            client
        })
        .collect();
    let one_too_many = Again::and_again(move || {
        hello("job").read_to_end();
        thread::sleep(5 * MOMENT);
    });
    Box::new((sessions, one_too_many))
}

fn many_users(site: &Site) -> Guard {
    let address = site.address();
    let mut number = 0;
    Box::new(Again::and_again(move || {
        number = (number + 1) % 80;
        let mut client = Client::connect(address);
        client.send(&Site::hello(&format!("reader_{number}"), "shop", "till"));
        client.read_until_ready();
        thread::sleep(5 * MOMENT);
    }))
}

fn many_prepared_statements(site: &Site) -> Guard {
    let mut session = site.session("postgres", "shop");
    // A name of that length is cut by the server, and kept in the text.
    let long = "x".repeat(2000);
    for number in 0..1500 {
        let name = format!("statement_{number}");
        let text = format!("select $1::text as {long}_{number}");
        session.send(&messages::parse(&name, &text));
    }
    session.send(&messages::sync());
    session.read_until_ready();
    Box::new(session)
}

/// Statements that end a fault.
struct Undo(Command, Vec<String>);

impl Undo {
    fn by(server: &Postgres, statements: &[&str]) -> Guard {
        let statements = statements.iter().map(|&it| it.to_owned()).collect();
        Box::new(Self(server.client("psql"), statements))
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        // The server may be gone.
        for statement in &self.1 {
            self.0.args(["-c", statement]);
        }
        let _undone = self.0.arg("-XAtq").output();
    }
}

fn paused_replay(site: &Site) -> Guard {
    site.standby.sql("select pg_wal_replay_pause()");
    Undo::by(&site.standby, &["select pg_wal_replay_resume()"])
}

/// The standby runs, has replayed all it has, and asks nobody for more.
fn broken_stream(site: &Site) -> Guard {
    let source = site
        .standby
        .sql("show primary_conninfo")
        .replace('\'', "''");
    site.standby.sql("alter system set primary_conninfo = ''");
    site.standby.reload();
    let streams = "do $$ begin
        while not exists (select from pg_stat_wal_receiver where status = 'streaming') loop
          perform pg_sleep(0.1);
        end loop;
      end $$";
    Undo::by(
        &site.standby,
        &[
            &format!("alter system set primary_conninfo = '{source}'"),
            "select pg_reload_conf()",
            "set statement_timeout = '20s'",
            streams,
        ],
    )
}

/// Its reader never comes.
fn forgotten_slot(site: &Site) -> Guard {
    let slot = "select pg_create_physical_replication_slot('forgotten', true)";
    site.primary.sql(slot);
    let drop = "select pg_drop_replication_slot('forgotten')";
    Undo::by(&site.primary, &[drop])
}

fn failing_archive(site: &Site) -> Guard {
    site.primary
        .sql("alter system set archive_command = 'false'");
    site.primary.reload();
    let session = site.session("postgres", "shop");
    Box::new((
        Again::queries(session, 100 * MOMENT, &["select pg_switch_wal()"]),
        Undo::by(
            &site.primary,
            &[
                "alter system set archive_command = 'true'",
                "select pg_reload_conf()",
            ],
        ),
    ))
}

/// More than [`LOWERED`](crate::LOWERED) allows, each with an id of its own.
fn many_transactions(site: &Site) -> Guard {
    let burn =
        "do $$ begin for i in 1..60000 loop perform txid_current(); commit; end loop; end $$";
    site.primary.sql(burn);
    Box::new(())
}

/// Neither end of the stream says anything, and the connection stays.
fn dead_standby(site: &Site) -> Guard {
    Box::new([
        Stopped::process(&site.standby, "select pid from pg_stat_wal_receiver"),
        Stopped::process(&site.primary, "select pid from pg_stat_replication"),
    ])
}

fn crash(site: &Site) -> Guard {
    let sessions = (0..9).map(|_| {
        let mut psql = site.primary.client_through(site.envoy.port(), "psql");
        Program::start(psql.args(["-Xc", "select pg_sleep(600)"]))
    });
    let sessions: Vec<Program> = sessions.collect();
    let one = "select min(pid) from pg_stat_activity
        where query = 'select pg_sleep(600)' having count(*) = 9";
    let pid = wait_for(Duration::from_secs(10), || {
        Pid::from_raw(site.primary.sql(one).parse().ok()?)
    });
    kill_process(pid.expect("a session that sleeps"), Signal::KILL).expect("it is there");
    Box::new(sessions)
}

fn stop(site: &Site) -> Guard {
    let postmaster = i32::try_from(site.primary.process_id())
        .ok()
        .and_then(Pid::from_raw);
    kill_process(postmaster.expect("it runs"), Signal::INT).expect("it runs");
    Box::new(())
}
