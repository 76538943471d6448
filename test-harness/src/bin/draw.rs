//! `make dashboards`: draws every dashboard from live data, for a look: `dist/dashboards/*.png`.
//!
//! A stack runs under load for some minutes; then the queries of each panel are asked, and a page draws
//! what they gave with a plotting library, in a headless Chromium.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use test_harness::dashboards::{self, Board};
use test_harness::hosts::Version;
use test_harness::hosts::places::{program_on_path, tree};
use test_harness::hosts::postgres::output_of;
use test_harness::stack::{Stack, load};

const LOAD: Duration = Duration::from_secs(180);
/// Seconds between two points of a graph.
const STEP: u64 = 5;
/// Pixels of a row of Grafana's grid, as the page has them.
const ROW: u64 = 34;

fn main() {
    let folder = tree().join("dist/dashboards");
    fs::create_dir_all(&folder).expect("dist can be written");
    let gathered = tree().join(".cache/dashboards-page");
    fs::copy(gathered.join("draw.mjs"), folder.join("draw.mjs")).expect("run `make drivers`");
    let library = gathered.join("node_modules/echarts/dist/echarts.min.js");
    fs::copy(library, folder.join("echarts.min.js")).expect("run `make drivers`");

    println!(
        "dashboards: starting the stack, and {} s of load",
        LOAD.as_secs()
    );
    let stack = Stack::start(Version::V15);
    let _load = load::start(&stack);
    thread::sleep(LOAD);
    for board in dashboards::all() {
        draw(&stack, &folder, board);
    }
}

fn draw(stack: &Stack, folder: &Path, mut board: Board) {
    let mut rows = 0;
    for panel in board.panels_mut() {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap_or_default();
        rows = rows.max(place("y") + place("h"));
        let kind = panel["type"].clone();
        for target in panel["targets"].as_array_mut().into_iter().flatten() {
            target["result"] = ask(stack, &kind, target);
        }
    }
    let page = fs::read_to_string(tree().join("test-harness/dashboards/page.html"));
    let page = page
        .expect("a page")
        .replace("@TITLE@", board.title())
        // What a query gives must not end the script.
        .replace("@BOARD@", &board.json.to_string().replace("</", "<\\/"));
    let html = folder.join(format!("{}.html", board.name));
    fs::write(&html, page).expect("written");
    let png = html.with_extension("png");
    let profile = tempfile::tempdir().expect("a directory");
    let chromium = program_on_path("chromium").unwrap_or_else(|error| panic!("{error}"));
    let mut chromium = Command::new(chromium);
    chromium
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
        ])
        .args(["--disable-component-update", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size=1610,{}", 80 + rows * ROW))
        .arg("--virtual-time-budget=10000")
        .arg(format!("--screenshot={}", png.display()))
        .arg(format!("file://{}", html.display()));
    output_of(&mut chromium);
    println!("dashboards: {}", png.display());
}

/// Series with their points, or streams with their lines.
fn ask(stack: &Stack, kind: &Value, target: &Value) -> Value {
    let query = dashboards::with_variables(target["expr"].as_str().unwrap_or_default());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let end = now.expect("after 1970").as_secs();
    let start = end - LOAD.as_secs();
    let latest = kind == "table" || kind == "bargauge";
    let answer = match (target["datasource"]["type"] == "loki", latest) {
        (true, false) => stack.loki.range(&query, LOAD, STEP),
        (true, true) => stack.loki.now(&query),
        (false, false) => stack.prometheus.range(&query, start, end, STEP),
        (false, true) => stack.prometheus.now(&query),
    };
    let series = answer["data"]["result"].as_array().cloned();
    let with_values = |mut series: Value| {
        if series["value"].is_array() {
            series["values"] = json!([series["value"]]);
        }
        // Loki calls them streams where there are lines.
        if series["metric"].is_null() {
            series["metric"] = series["stream"].clone();
        }
        series
    };
    series
        .unwrap_or_default()
        .into_iter()
        .map(with_values)
        .collect()
}
