//! Lines of log as a busy server writes them, for the figures of `make bench`.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use serde_json::json;

/// Records in a batch: what the Collector's batch processor makes by default.
pub(crate) const LINES: usize = 8192;

/// What a busy server says of one request.
pub(crate) struct Message {
    severity: &'static str,
    sqlstate: &'static str,
    text: &'static str,
    detail: &'static str,
    statement: &'static str,
}

pub(crate) const MESSAGES: [Message; 5] = [
    Message {
        severity: "LOG",
        sqlstate: "00000",
        text: "connection authorized: user=shop_backend database=shop application_name=checkout-service",
        detail: "",
        statement: "",
    },
    Message {
        severity: "LOG",
        sqlstate: "00000",
        text: "duration: 12.{} ms  statement: SELECT id, total FROM orders WHERE id = {} AND state <> 'paid'",
        detail: "",
        statement: "",
    },
    Message {
        severity: "LOG",
        sqlstate: "00000",
        text: "duration: 0.{} ms  execute <unnamed>: INSERT INTO order_lines (order_id, sku, quantity) VALUES ($1, $2, $3)",
        detail: "parameters: $1 = '{}', $2 = 'sku-{}', $3 = '2'",
        statement: "",
    },
    Message {
        severity: "ERROR",
        sqlstate: "23505",
        text: "duplicate key value violates unique constraint \"customers_email_key\"",
        detail: "Key (email)=(user{}@example.com) already exists.",
        statement: "INSERT INTO customers (email, name) VALUES ('user{}@example.com', 'Bob') RETURNING id",
    },
    Message {
        severity: "LOG",
        sqlstate: "00000",
        text: "disconnection: session time: 0:00:00.{} user=shop_backend database=shop host=10.0.13.7 port=39612",
        detail: "",
        statement: "",
    },
];

const TIME: &str = "2026-11-23 03:34:37.123 UTC";

/// Lines of text.
pub(crate) fn stderr(message: &Message) -> Vec<String> {
    let line = |word, text| format!("{TIME} [4711] shop_backend@shop {word}:  {text}");
    let companions = [("DETAIL", message.detail), ("STATEMENT", message.statement)];
    let companions = companions.into_iter().filter(|(_, text)| !text.is_empty());
    std::iter::once((message.severity, message.text))
        .chain(companions)
        .map(|(word, text)| line(word, text))
        .collect()
}

/// A row.
pub(crate) fn csvlog(message: &Message) -> Vec<String> {
    let quoted = |text: &str| match text {
        "" => String::new(),
        text => format!("\"{}\"", text.replace('"', "\"\"")),
    };
    let Message {
        severity, sqlstate, ..
    } = message;
    let [text, detail, statement] = [message.text, message.detail, message.statement].map(quoted);
    vec![format!(
        "{TIME},\"shop_backend\",\"shop\",4711,\"10.0.13.7:39612\",6747.46,1,\"idle\",2026-11-23 03:34:30 UTC,3/4,0,{severity},{sqlstate},{text},{detail},,,,,{statement},,,\"checkout-service\",\"client backend\",,0"
    )]
}

/// An object, its members in the order of the server's.
pub(crate) fn jsonlog(message: &Message) -> Vec<String> {
    let quoted = |text: &str| json!(text).to_string();
    let Message {
        severity, sqlstate, ..
    } = message;
    let mut entry = format!(
        "{{\"timestamp\":\"{TIME}\",\"user\":\"shop_backend\",\"dbname\":\"shop\",\"pid\":4711,\
         \"remote_host\":\"10.0.13.7\",\"remote_port\":39612,\"session_id\":\"6747.46\",\"line_num\":1,\
         \"ps\":\"idle\",\"session_start\":\"2026-11-23 03:34:30 UTC\",\"vxid\":\"3/4\",\"txid\":0,\
         \"error_severity\":\"{severity}\",\"state_code\":\"{sqlstate}\",\"message\":{}",
        quoted(message.text)
    );
    for (key, text) in [("detail", message.detail), ("statement", message.statement)] {
        if !text.is_empty() {
            entry.push_str(&format!(",\"{key}\":{}", quoted(text)));
        }
    }
    entry.push_str(
        ",\"application_name\":\"checkout-service\",\"backend_type\":\"client backend\",\"query_id\":0}",
    );
    vec![entry]
}

/// A message as the lines that the server writes of it.
pub(crate) type Format = fn(&Message) -> Vec<String>;

/// As many records as fit, each with values of its own.
pub(crate) fn batch(format: Format, first: usize) -> Vec<u8> {
    let lines = MESSAGES.iter().cycle().flat_map(format).zip(first..);
    let lines =
        lines.map(|(line, number)| line.replace("{}", &(100_000 + number % 900_000).to_string()));
    batch_of(lines.take(LINES), "db-0")
}

/// These lines as records of a pod's.
pub(crate) fn batch_of(lines: impl Iterator<Item = String>, pod: &str) -> Vec<u8> {
    let string = |text: String| AnyValue {
        value: Some(Value::StringValue(text)),
    };
    let records = lines.map(|line| LogRecord {
        observed_time_unix_nano: 1_795_404_877_123_000_000,
        body: Some(string(line)),
        ..LogRecord::default()
    });
    let pod = KeyValue {
        key: "k8s.pod.name".to_owned(),
        value: Some(string(pod.to_owned())),
        ..KeyValue::default()
    };
    let scope = ScopeLogs {
        log_records: records.collect(),
        ..ScopeLogs::default()
    };
    let resource = ResourceLogs {
        resource: Some(Resource {
            attributes: vec![pod],
            ..Resource::default()
        }),
        scope_logs: vec![scope],
        ..ResourceLogs::default()
    };
    LogsData {
        resource_logs: vec![resource],
    }
    .encode_to_vec()
}
