//! Finding `log_line_prefix` out from the lines themselves: first the prefixes people use, then what
//! the shapes and names in a line suggest.
//!
//! A prefix is believed as long as it fits the lines; one that does not fit sets off a new search, and
//! a line that no prefix fits is somebody else's.

use std::sync::LazyLock;

use crate::field::{Field, Fields};
use crate::infer::infer;
use crate::prefix::Prefix;
use crate::scan::{before, find};

/// What it is worth, per line, that people use a prefix.
const KNOWN_BONUS: i64 = 6;
/// Lines of a sample that are looked at.
const MOST_LINES: usize = 64;
/// Bytes of a line in which its prefix ends.
const LONGEST_PREFIX: usize = 1024;

/// Prefixes people use: distributions, operators, clouds, and what guides tell to set. Of two that fit
/// equally well, the first is taken.
pub const KNOWN_PREFIXES: &[&str] = &[
    "%m [%p] ",
    "%m [%p] %q%u@%d ",
    "%m [%p] %q%u@%d/%a ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%m [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%t [%p]: db=%d,user=%u,app=%a,client=%h ",
    "%m [%p]: db=%d,user=%u,app=%a,client=%h ",
    "%m [%p]: [%l-1] db=%d,user=%u ",
    "%m [%p]: [%l-1] db=%d,user=%u,app=%a,client=%h ",
    "%t:%r:%u@%d:[%p]:",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",
    "%t-%c-",
    "%m-%c-",
    "%m [%p] %u@%d ",
    "%t [%p] %u@%d ",
    "%t %u@%d [%p] ",
    "< %m > ",
    "< %t >",
    "%t ",
    "%m ",
    "%t [%p] ",
    "%t [%p]: [%l-1] ",
    "%t [%p-%l] %q%u@%d ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p] %q[%u@%d] ",
    "%m [%p] %r %u@%d ",
    "%m %u@%d [%p] ",
    "%m %d %u [%p]: ",
    "%t %d %u [%p]: ",
    "%m [%p:%l] ",
    "user=%u,db=%d,app=%a,client=%h ",
    "%m %r %u@%d [%p] ",
    "%t %r %u@%d [%p] ",
    "%m %p %u@%d ",
    "%t %p %u %d ",
    "%m %u %d %p ",
    "%m %h %u %d [%p]: ",
    "%m|%u|%d|%p|%r|",
    "%m|%u|%d|%c|",
    "%t|%p|%u|%d|",
    "%m;%p;%u;%d;%h;",
    " sql_error_code = %e time_ms = \"%m\" pid=\"%p\" proc_start_time=\"%s\" session_id=\"%c\" vtid=\"%v\" tid=\"%x\" log_line=\"%l\" %qdatabase=\"%d\" connection_source=\"%r\" user=\"%u\" application_name=\"%a\" ",
    "sql_error_code = %e time_ms = \"%m\" pid=\"%p\" proc_start_time=\"%s\" session_id=\"%c\" vtid=\"%v\" tid=\"%x\" log_line=\"%l\" %qdatabase=\"%d\" connection_source=\"%r\" user=\"%u\" application_name=\"%a\" ",
    " sql_error_code = %e ",
    "sql_error_code = %e ",
    "",
];

/// The prefixes people use, compiled when the first log of text is read.
static KNOWN: LazyLock<Vec<Prefix>> = LazyLock::new(|| {
    let compiled = KNOWN_PREFIXES.iter().map(|prefix| Prefix::compile(prefix));
    compiled.filter_map(Result::ok).collect()
});

/// Learns the prefix of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Detector {
    current: Option<Prefix>,
}

impl Detector {
    /// The prefix that fitted last.
    pub(crate) fn current(&self) -> Option<&Prefix> {
        self.current.as_ref()
    }

    /// Searches for a prefix that fits a line which the current one does not.
    pub(crate) fn search(&mut self, line: &[u8]) -> Option<&Prefix> {
        let found = best(&KNOWN, &[line])?.prefix;
        self.current = Some(found);
        self.current.as_ref()
    }
}

/// A prefix found, and how sure it is.
#[derive(Clone, Debug)]
pub struct Detection {
    /// The prefix.
    pub prefix: Prefix,
    /// Lines it fits, with no value that looks as if it were several.
    pub fitted: usize,
    /// Lines that look like the server's: those it could fit.
    pub candidates: usize,
}

impl Detection {
    /// The share of the server's lines that the prefix fits, 0 to 1.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        self.fitted as f64 / self.candidates.max(1) as f64
    }
}

/// Finds the prefix of some lines of a log; continuation lines and those of other programs may be
/// among them. `None` if none fits nine in ten of those that look like the server's.
#[must_use]
pub fn detect(lines: &[&[u8]]) -> Option<Detection> {
    best(&KNOWN, lines).filter(|found| found.confidence() >= 0.9)
}

fn best(known: &[Prefix], lines: &[&[u8]]) -> Option<Detection> {
    let lines: Vec<&[u8]> = lines
        .iter()
        .copied()
        .filter(|line| looks_like_the_servers(line))
        .take(MOST_LINES)
        .collect();
    let mut best: Option<(i64, Detection)> = None;
    let inferred = inferred(&lines);
    let known = known.iter().map(|prefix| (prefix, KNOWN_BONUS));
    for (prefix, bonus) in known.chain(inferred.iter().map(|prefix| (prefix, 0))) {
        let scores = lines.iter().filter_map(|line| score(prefix, line));
        let (mut fits, mut fitted, mut total) = (false, 0_usize, 0_i64);
        for (score, odd) in scores {
            fits = true;
            fitted = fitted.saturating_add(usize::from(!odd));
            total = total.saturating_add(score).saturating_add(bonus);
        }
        if fits && best.as_ref().is_none_or(|(most, _)| total > *most) {
            let detection = Detection {
                prefix: prefix.clone(),
                fitted,
                candidates: lines.len(),
            };
            best = Some((total, detection));
        }
    }
    best.map(|(_, detection)| detection)
}

/// The prefixes that single lines suggest, each once.
fn inferred(lines: &[&[u8]]) -> Vec<Prefix> {
    let mut found: Vec<Prefix> = Vec::new();
    for prefix in lines.iter().filter_map(|line| infer(line)) {
        if !found.iter().any(|known| known.source() == prefix.source()) {
            found.push(prefix);
        }
    }
    found
}

/// Two blanks behind a colon stand in each line of the server, and in few others.
fn looks_like_the_servers(line: &[u8]) -> bool {
    !line.starts_with(b"\t") && find(before(line, LONGEST_PREFIX), b":  ").is_some()
}

/// How well a prefix fits a line: worth more the more values it finds, less if a value looks as if
/// it had swallowed some of its neighbours, which is said, too.
fn score(prefix: &Prefix, line: &[u8]) -> Option<(i64, bool)> {
    let mut fields = Fields::default();
    prefix.matches(line, &mut fields)?;
    let (mut score, mut odd) = (10_i64, false);
    for (field, text) in fields.iter() {
        let suspicious: &[u8] = match field {
            Field::UserName | Field::DatabaseName => b" ,;:=|()[]<>\"/@",
            Field::ClientAddress | Field::BackendType | Field::CommandTag => b",;=|<>\"@",
            Field::Application => b",;=|<>@",
            _ => b"",
        };
        let is_odd = text.raw.iter().any(|byte| suspicious.contains(byte));
        let application = field == Field::Application;
        odd |= is_odd && !application;
        score = score.saturating_add(match (is_odd, application) {
            (false, _) => 1,
            (true, true) => -3,
            (true, false) => -10,
        });
    }
    Some((score, odd))
}
