//! A denied statement surfaces in every driver as that driver's own "insufficient privilege", in and
//! out of a transaction, in the simple protocol, the extended one and pipelined, and the connection
//! is usable afterwards: real Envoy, real servers, psycopg, pgx, pgjdbc and tokio-postgres.

use std::process::Command;

use test_harness::drivers;
use test_harness::hosts::postgres::output_of;
use test_harness::hosts::{Envoy, Postgres, Version};

const POLICY: &str = r#"{"rules": [
    {"name": "no drop", "action": "deny", "command": ["DROP TABLE"],
     "message": "nobody drops a table through the mesh", "hint": "Use a migration."},
    {"name": "where", "action": "deny", "where": "missing"}
]}"#;

/// What a driver prints where it has nothing to say, and a position where there is none.
struct Absent {
    text: &'static str,
    position: &'static str,
}

/// How one driver tells of a denial.
struct Driver {
    /// Printed before each SQLSTATE: the class of the exception, where the language has one each.
    class: &'static str,
    absent: Absent,
}

impl Driver {
    fn drop(&self) -> String {
        let Self { class, absent } = self;
        let Absent { text, position } = absent;
        format!(
            "{class}42501|ERROR|nobody drops a table through the mesh|Rule \"no drop\"|\
             Use a migration.|{position}|{text}"
        )
    }

    fn delete(&self) -> String {
        let Self { class, absent } = self;
        let Absent { text, position } = absent;
        format!(
            "{class}42501|ERROR|statement denied by the mesh's policy|Rule \"where\"|\
             {text}|{position}|{text}"
        )
    }
}

/// Runs the program against 15 and 18 behind the policy. All but the line `after|...`, which is the
/// server's own error (a transaction that a denial has failed), must be `expected`.
fn prints(program: impl Fn(u16) -> Command, expected: &[String]) {
    for version in Version::ALL {
        let server = Postgres::start(version);
        let envoy = Envoy::in_front_of(server.address())
            .module("envoy-policy", POLICY)
            .start();
        let output = output_of(&mut program(envoy.port()));
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let (after, seen): (Vec<_>, Vec<_>) =
            lines.lines().partition(|line| line.starts_with("after|"));
        assert_eq!(seen, expected, "{version:?} {lines}\n{}", envoy.log());
        assert!(
            matches!(after[..], [line] if line.contains("25P02")),
            "{lines}"
        );
        assert!(
            server.log().contains("pgmesh_denied_no_drop_"),
            "{}",
            server.log()
        );
    }
}

#[test]
fn psycopg_raises_insufficient_privilege_and_goes_on() {
    let driver = Driver {
        class: "InsufficientPrivilege|",
        absent: Absent {
            text: "None",
            position: "None",
        },
    };
    let (drop, delete) = (driver.drop(), driver.delete());
    let expected = [
        format!("simple|{drop}"),
        format!("extended|{drop}"),
        format!("parameters|{delete}"),
        format!("several|{drop}"),
        format!("transaction|{drop}"),
        "state|INERROR".to_owned(),
        "rolled back|0".to_owned(),
        format!("pipeline|{drop}"),
        "first|1".to_owned(),
        "kept|True".to_owned(),
    ];
    let program = |port| {
        let mut command = drivers::python("denials.py");
        command.arg(drivers::conninfo(port, "postgres"));
        command
    };
    prints(program, &expected);
}

#[test]
fn pgx_returns_insufficient_privilege_and_goes_on() {
    let driver = Driver {
        class: "",
        absent: Absent {
            text: "",
            position: "0",
        },
    };
    let (drop, delete) = (driver.drop(), driver.delete());
    let expected = [
        format!("simple|{drop}"),
        format!("extended|{drop}"),
        format!("parameters|{delete}"),
        format!("several|{drop}"),
        format!("transaction|{drop}"),
        "state|E".to_owned(),
        "rolled back|0".to_owned(),
        format!("pipeline|{drop}"),
        "first|1".to_owned(),
        "kept|true".to_owned(),
    ];
    let program = |port| {
        let mut command = drivers::go("denials");
        command.arg(drivers::conninfo(port, "postgres") + " sslmode=disable");
        command
    };
    prints(program, &expected);
}

fn jdbc(port: u16) -> String {
    format!("jdbc:postgresql://127.0.0.1:{port}/postgres?user=postgres&sslmode=disable")
}

#[test]
fn pgjdbc_is_let_in_under_a_stamp_if_it_names_itself_in_its_startup_message() {
    let policy = r#"{"rules": [{"name": "stamp", "action": "allow",
        "application_name": "{application}@mesh"}]}"#;
    let server = Postgres::start(Version::V18);
    let envoy = Envoy::in_front_of(server.address())
        .module("envoy-policy", policy)
        .start();
    let url = jdbc(envoy.port());
    for (options, printed) in [
        (
            "&ApplicationName=shop&assumeMinServerVersion=9.0",
            "shop@mesh\n",
        ),
        ("&ApplicationName=shop", "42501\n"),
    ] {
        let output = output_of(drivers::java("Stamped").arg(format!("{url}{options}")));
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            printed,
            "{}",
            envoy.log()
        );
    }
}

#[test]
fn pgjdbc_throws_insufficient_privilege_and_goes_on() {
    let driver = Driver {
        class: "",
        absent: Absent {
            text: "null",
            position: "0",
        },
    };
    let (drop, delete) = (driver.drop(), driver.delete());
    let expected = [
        format!("simple|{drop}"),
        format!("several|{drop}"),
        format!("extended|{drop}"),
        format!("parameters|{delete}"),
        format!("transaction|{drop}"),
        "state|FAILED".to_owned(),
        "rolled back|0".to_owned(),
        format!("pipeline|{drop}"),
        "kept|t".to_owned(),
    ];
    let program = |port| {
        let mut command = drivers::java("Denials");
        command.arg(jdbc(port));
        command
    };
    prints(program, &expected);
}

#[test]
fn tokio_postgres_returns_insufficient_privilege_and_goes_on() {
    let driver = Driver {
        class: "",
        absent: Absent {
            text: "",
            position: "0",
        },
    };
    let (drop, delete) = (driver.drop(), driver.delete());
    let expected = [
        format!("simple|{drop}"),
        format!("extended|{drop}"),
        format!("parameters|{delete}"),
        format!("several|{drop}"),
        format!("transaction|{drop}"),
        "rolled back|0".to_owned(),
        format!("pipeline|{drop}"),
        "first|1".to_owned(),
        "third|3".to_owned(),
        "kept|true".to_owned(),
    ];
    let program = |port| {
        let mut command = drivers::rust("denials");
        command.arg(drivers::conninfo(port, "postgres"));
        command
    };
    prints(program, &expected);
}
