//! No link leads nowhere: in any Markdown of the repository to a file or a heading of it, in any file to a
//! page of the repository on GitHub, and in the comments of what we ship to what lies beside it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_harness::hosts::places::tree;

/// Where the repository is read on the web.
const ON_GITHUB: &str = "https://github.com/pgmesh/pgmesh/blob/main/";

/// The files of the repository, those not yet committed too, by path below its root.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(tree())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files");
    let names = String::from_utf8(output.stdout).expect("UTF-8");
    let there = |name: &&str| tree().join(name).is_file();
    names.lines().filter(there).map(str::to_owned).collect()
}

/// Text without its fenced code blocks and code spans, in which brackets are no links.
fn prose(markdown: &str) -> String {
    let mut fenced = false;
    let lines = markdown.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let outside = text.split('`').enumerate();
    outside
        .map(|(index, part)| if index % 2 == 0 { part } else { "code" })
        .collect()
}

/// The targets of `[text](target)`.
fn links(markdown: &str) -> Vec<String> {
    let text = prose(markdown);
    let targets = text.split("](").skip(1);
    targets
        .filter_map(|rest| rest.split([')', ' ']).next())
        .map(str::to_owned)
        .collect()
}

/// The anchors that GitHub makes of the headings.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in markdown.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title == line || !title.starts_with(' ') {
            continue;
        }
        let kept = |it: &char| it.is_alphanumeric() || " -_".contains(*it);
        let slug: String = title.trim().to_lowercase().chars().filter(kept).collect();
        let slug = slug.replace(' ', "-");
        let numbered = (1..).map(|number| format!("{slug}-{number}"));
        let mut candidates = std::iter::once(slug.clone()).chain(numbered);
        let free = candidates.find(|it| !anchors.contains(it));
        anchors.extend(free);
    }
    anchors
}

/// The paths to other folders in a configuration's comments.
fn paths_in_comments(text: &str) -> Vec<&str> {
    let comments = text.lines().filter_map(|line| line.split_once('#'));
    let inside = |it: char| it.is_ascii_alphanumeric() || "/._-".contains(it);
    let words = comments.flat_map(|(_, comment)| comment.split(move |it| !inside(it)));
    let paths = words.filter(|word| word.starts_with("../"));
    paths.map(|path| path.trim_end_matches('.')).collect()
}

/// Why a link of `from` leads nowhere.
fn fault(from: &Path, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target: PathBuf = if path.is_empty() {
        from.to_owned()
    } else {
        from.parent().expect("a file lies in a folder").join(path)
    };
    if !target.exists() {
        return Some("there is no such file".to_owned());
    }
    let is_markdown = target.extension().is_some_and(|it| it == "md");
    if anchor.is_empty() || !is_markdown {
        return None;
    }
    let known = anchors(&fs::read_to_string(&target).expect("UTF-8"));
    (!known.contains(anchor)).then(|| format!("{anchor:?} is none of {known:?}"))
}

#[test]
fn every_link_in_markdown_leads_to_a_file_or_a_heading() {
    let mut checked = 0;
    let mut faults = Vec::new();
    for name in files().iter().filter(|name| name.ends_with(".md")) {
        let path = tree().join(name);
        let text = fs::read_to_string(&path).expect("UTF-8");
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            faults.extend(fault(&path, &link).map(|why| format!("{name}: {link}: {why}")));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(checked > 20, "only {checked} links were found");
}

#[test]
fn every_address_of_a_page_of_ours_on_github_is_a_file_here() {
    let mut checked = 0;
    let mut faults = Vec::new();
    for name in files() {
        // What is not text has no addresses.
        let Ok(text) = fs::read_to_string(tree().join(&name)) else {
            continue;
        };
        for rest in text.split(ON_GITHUB).skip(1) {
            let inside = |it: char| it.is_ascii_alphanumeric() || "/._-#".contains(it);
            let end = rest.find(|it| !inside(it)).unwrap_or(rest.len());
            let page = rest[..end].trim_end_matches('.');
            // Code that puts the address together has a placeholder next.
            let complete = page.contains('.') && !page.ends_with('/');
            if !complete {
                continue;
            }
            checked += 1;
            let why = fault(&tree().join("README.md"), page);
            faults.extend(why.map(|why| format!("{name}: {page}: {why}")));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(checked > 30, "only {checked} addresses were found");
}

#[test]
fn every_path_in_a_comment_of_what_we_ship_is_there() {
    let mut checked = 0;
    let mut faults = Vec::new();
    for name in files() {
        let ending = name.rsplit('.').next().unwrap_or_default();
        if !["yaml", "yml", "toml", "conf", "sh"].contains(&ending) {
            continue;
        }
        let path = tree().join(&name);
        let text = fs::read_to_string(&path).expect("UTF-8");
        for other in paths_in_comments(&text) {
            checked += 1;
            faults.extend(fault(&path, other).map(|why| format!("{name}: {other}: {why}")));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(checked > 40, "only {checked} paths were found");
}

#[test]
fn a_link_that_leads_nowhere_is_noticed() {
    let readme = tree().join("README.md");
    assert!(fault(&readme, "no-such-file.md").is_some());
    assert!(fault(&readme, "#no-such-heading").is_some());
    assert_eq!(fault(&readme, "#what-is-measured"), None);
    let text = "[a](b.md) and `[c](d.md)`\n```\n[e](f.md)\n```\n[g](h.md#i \"title\")";
    assert_eq!(links(text), ["b.md", "h.md#i"]);
    let text = "a: ../b # as ../c/d.yaml, and in ../../e.\n# (../f)";
    assert_eq!(paths_in_comments(text), ["../c/d.yaml", "../../e", "../f"]);
}
