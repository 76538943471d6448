//! The corpus: statements written as templates, expanded the same way for the tests that need no
//! server and for those that do.
//!
//! `{a|b}` stands for each of its alternatives, `<name>` for each alternative of a `<name> := a || b` line
//! at the head of the file, the same one throughout a statement. A blank line ends a statement.

/// How a statement is run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Run {
    /// In a transaction block of its own, which is rolled back, behind these statements.
    InBlock(Vec<String>),
    /// Outside of one.
    Bare,
}

/// A statement of the corpus.
#[derive(Clone, Debug)]
pub struct Case {
    pub run: Run,
    pub text: String,
}

const FILES: &[&str] = &[
    include_str!("literals.txt"),
    include_str!("queries.txt"),
    include_str!("commands.txt"),
];

/// Statements to run once, before all others.
pub fn setup() -> impl Iterator<Item = &'static str> {
    include_str!("setup.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
}

/// Every statement, in the order of the files.
pub fn cases() -> Vec<Case> {
    FILES.iter().flat_map(|file| cases_of(file)).collect()
}

type Variables = Vec<(String, Vec<String>)>;

fn cases_of(file: &str) -> Vec<Case> {
    let mut variables = Variables::new();
    let mut cases = Vec::new();
    for paragraph in file.split("\n\n") {
        let lines = paragraph.lines().filter(|line| !line.starts_with('#'));
        let mut template = Vec::new();
        for line in lines {
            if let Some((name, alternatives)) = line.split_once(" := ") {
                let alternatives = alternatives.split(" || ").map(str::to_owned).collect();
                variables.push((name.to_owned(), alternatives));
            } else if template.is_empty()
                && line.starts_with("  '")
                && let Some((_, last)) = variables.last_mut()
            {
                continue_alternatives(last, line);
            } else {
                template.push(line);
            }
        }
        cases.extend(cases_of_template(&template, &variables));
    }
    cases
}

/// An alternative that holds a newline goes on in the next line.
fn continue_alternatives(alternatives: &mut Vec<String>, line: &str) {
    let mut parts = line.split(" || ");
    if let (Some(last), Some(part)) = (alternatives.last_mut(), parts.next()) {
        last.push('\n');
        last.push_str(part);
    }
    alternatives.extend(parts.map(str::to_owned));
}

fn cases_of_template(lines: &[&str], variables: &Variables) -> Vec<Case> {
    let [first, rest @ ..] = lines else {
        return Vec::new();
    };
    let (run, template) = if let Some(before) = first.strip_prefix("@then ") {
        (Run::InBlock(vec![before.to_owned()]), rest.join("\n"))
    } else if first.starts_with("@bare ") {
        let text = lines.join("\n");
        (
            Run::Bare,
            text.strip_prefix("@bare ").unwrap_or_default().to_owned(),
        )
    } else {
        (Run::InBlock(Vec::new()), lines.join("\n"))
    };
    let mut texts = vec![template];
    for (name, alternatives) in variables {
        if texts.iter().any(|text| text.contains(name.as_str())) {
            texts = texts
                .iter()
                .flat_map(|text| alternatives.iter().map(move |one| text.replace(name, one)))
                .collect();
        }
    }
    texts
        .iter()
        .flat_map(|text| choices(text))
        .map(|text| Case {
            run: run.clone(),
            text,
        })
        .collect()
}

/// Every way to read `{a|b}`; braces around anything without a bar stay.
fn choices(text: &str) -> Vec<String> {
    let mut read = vec![String::new()];
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (inside, after) = behind.split_once('}').unwrap_or((behind, ""));
        let mut alternatives = alternatives(inside);
        if let [only] = alternatives.as_mut_slice() {
            *only = format!("{{{only}}}");
        }
        read = read
            .iter()
            .flat_map(|start| {
                alternatives
                    .iter()
                    .map(move |one| format!("{start}{before}{one}"))
            })
            .collect();
        rest = after;
    }
    read.iter().map(|start| format!("{start}{rest}")).collect()
}

/// Split at single bars: two are an operator.
fn alternatives(inside: &str) -> Vec<String> {
    let hidden = inside.replace("||", "\0");
    hidden
        .split('|')
        .map(|one| one.replace('\0', "||"))
        .collect()
}

/// A text on one line, as it stands in the golden files.
pub fn escaped(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
}
