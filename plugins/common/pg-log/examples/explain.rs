//! Prints what leaves a module of each entry of a log on standard input, whatever its format:
//! `cargo run -qp pg-log --example explain < postgresql.log`. With `--unknown`, only the messages that
//! are of no class.

use std::io::{self, Read, Write};

use pg_log::{Classes, Field, Memory, Options, Parser, Reporter, Sink};

struct Printer(Vec<u8>);

impl Sink for Printer {
    fn text(&mut self, name: &str, value: &[u8]) {
        let lines = value.split(|byte| *byte == b'\n').enumerate();
        for (number, line) in lines {
            let name = if number == 0 { name } else { "" };
            self.0.extend_from_slice(format!("{name:32} ").as_bytes());
            self.0.extend_from_slice(line);
            self.0.push(b'\n');
        }
    }

    fn number(&mut self, name: &str, digits: &[u8]) {
        self.text(name, digits);
    }
}

fn main() -> io::Result<()> {
    let only_unknown = std::env::args().any(|argument| argument == "--unknown");
    let mut log = Vec::new();
    io::stdin().read_to_end(&mut log)?;
    let (mut parser, mut memory) = (Parser::new(), Memory::default());
    let (classes, reporter) = (Classes::new(), Reporter::new(Options::default()));
    let mut printer = Printer(Vec::new());
    let mut rest = log.as_slice();
    while !rest.is_empty() {
        let line = rest.iter().position(|byte| *byte == b'\n');
        let next = line.and_then(|line| rest.get(line..)?.get(1..));
        let Some((event, behind)) = parser.parse(rest) else {
            rest = next.unwrap_or_default();
            continue;
        };
        if !only_unknown {
            reporter.report(&event, &mut memory, &mut printer);
            printer.0.push(b'\n');
        } else if classes.of(&event).is_none() {
            let message = event.fields.get(Field::Message).unwrap_or_default();
            printer.text(
                event.severity().map_or("", |one| one.name()),
                &message.decode(),
            );
        }
        rest = behind;
    }
    io::stdout().write_all(&printer.0)
}
