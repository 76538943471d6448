//! Prints how many statements of a folder pg-sql reads wrongly or not at all, and the first of each.

use oracle::fingerprints::{EXCEPTIONS, Groups, Judged};
use oracle::{Verdict, files, judge};
use std::path::Path;
use std::process::ExitCode;

/// Statements shown of each kind.
const SHOWN: usize = 40;

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: oracle <folder of .sql files>");
        return ExitCode::FAILURE;
    };
    let files = match files::sql_files(Path::new(&folder)) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("{folder}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut right, mut refused) = (0_usize, 0_usize);
    let (mut wrong, mut incomplete) = (Vec::new(), Vec::new());
    let mut groups = Groups::default();
    for file in &files {
        let text = std::fs::read(file).unwrap_or_default();
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for statement in files::statements(&String::from_utf8_lossy(&text)) {
            groups.add(&statement);
            match judge(&statement) {
                Verdict::Refused => refused += 1,
                Verdict::Right => right += 1,
                Verdict::Incomplete => incomplete.push(format!("{name}: {}", statement.trim())),
                Verdict::Wrong(why) => wrong.push(format!(
                    "{name}: {}\n    {}",
                    statement.trim(),
                    why.join("\n    ")
                )),
            }
        }
    }
    let judged = right + wrong.len() + incomplete.len();
    println!(
        "{} files, {judged} statements judged, {refused} refused by the server's parser",
        files.len()
    );
    println!(
        "right {right}, wrong {}, incomplete {}",
        wrong.len(),
        incomplete.len()
    );
    for (kind, list) in [("wrong", &wrong), ("incomplete", &incomplete)] {
        list.iter()
            .take(SHOWN)
            .for_each(|entry| println!("{kind}: {entry}"));
    }
    let fingerprints = groups.judge();
    print_fingerprints(&fingerprints);
    if judged > 0 && wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_fingerprints(judged: &Judged) {
    println!(
        "fingerprints: {} texts, {} statements to libpg_query, of which pg-sql tells apart",
        judged.texts, judged.groups
    );
    for (exception, count) in EXCEPTIONS.iter().zip(judged.excepted) {
        println!("{count:>8} {}", exception.name);
    }
    println!("{:>8} for no reason listed", judged.wrong.len());
    for [one, other] in judged.wrong.iter().take(SHOWN) {
        println!("told apart: {}\n       and: {}", one.trim(), other.trim());
    }
}
