//! Metrics as a scrape gives them: names, labels, values, and the questions a test asks of them.
//!
//! Reads the Prometheus text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt;

/// One line of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name, with `_bucket`, `_sum` or `_count` for parts of a histogram.
    pub name: String,
    /// Its labels, unescaped.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// Whether it has all these labels with these values; it may have others.
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(label, value)| self.labels.get(*label).is_some_and(|found| found == value))
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(label, value)| format!("{label}={value:?}"))
            .collect();
        write!(out, "{}{{{}}} {}", self.name, labels.join(","), self.value)
    }
}

/// Everything one scrape gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(Vec<Sample>);

impl Samples {
    /// Reads the text format. Panics at the first line that is not of it, for what a host prints
    /// must be readable to Prometheus.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            samples
                .map(|line| {
                    parse_sample(line).unwrap_or_else(|| panic!("not a Prometheus sample: {line}"))
                })
                .collect(),
        )
    }

    /// The sum over all samples of this name that carry these labels, 0 if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.select(name, labels)
            .fold(0.0, |sum, sample| sum + sample.value)
    }

    /// The value of the one sample of this name that carries these labels. Panics, listing what
    /// there is of this name, when it is not exactly one.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found: Vec<&Sample> = self.select(name, labels).collect();
        match found.as_slice() {
            [only] => only.value,
            _ => panic!(
                "{} samples of {name} with {labels:?}; there are:\n{}",
                found.len(),
                self.only(|sample| sample.name == name)
            ),
        }
    }

    /// All samples of this name that carry these labels.
    pub fn select<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.0
            .iter()
            .filter(move |sample| sample.name == name && sample.has(labels))
    }

    /// The samples that pass.
    pub fn only(&self, mut passes: impl FnMut(&Sample) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|sample| passes(sample))
                .cloned()
                .collect(),
        )
    }

    /// All samples, in the order of the scrape.
    pub fn iter(&self) -> std::slice::Iter<'_, Sample> {
        self.0.iter()
    }
}

impl FromIterator<Sample> for Samples {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|sample| writeln!(out, "{sample}"))
    }
}

fn parse_sample(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    // A time stamp may follow the value.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// Reads `a="x",b="y"} rest`.
fn parse_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (label, quoted) = rest.split_once("=\"")?;
        let (value, after) = parse_quoted(quoted)?;
        labels.insert(label.to_owned(), value);
        rest = after;
    }
}

/// Reads up to the closing quote; `\\`, `\"` and `\n` are the format's escapes.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            plain => value.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = r#"
# TYPE statements_total counter
statements_total{database="app",user="a \"quoted\", {braced} \\ name"} 3
statements_total{database="app",user="bob"} 4
up 1 1700000000000
duration_bucket{le="+Inf"} 7
"#;

    #[test]
    fn a_scrape_is_read_with_escapes_and_time_stamps() {
        let samples = Samples::parse(SCRAPE);
        assert_eq!(samples.iter().count(), 4);
        assert_eq!(samples.value("up", &[]), 1.0);
        assert_eq!(samples.value("duration_bucket", &[("le", "+Inf")]), 7.0);
        let quoted = [("user", r#"a "quoted", {braced} \ name"#)];
        assert_eq!(samples.value("statements_total", &quoted), 3.0);
    }

    #[test]
    fn a_sum_takes_what_carries_the_labels() {
        let samples = Samples::parse(SCRAPE);
        assert_eq!(samples.sum("statements_total", &[("database", "app")]), 7.0);
        assert_eq!(
            samples.sum("statements_total", &[("database", "other")]),
            0.0
        );
    }
}
