//! What holds for whatever a batch is, for the property tests and the fuzz targets.

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::MetricsData;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use otel_processor::Processor;
use prost::Message;

const CONFIGS: [&str; 3] = [
    "",
    r#"{"traces":{"migrate":"replace","comments":"promote","keep_alive":"drop"},"metrics":{"unify":"rename"}}"#,
    r#"{"traces":{"migrate":"duplicate","exceptions":"drop"},"metrics":{"unify":"duplicate","max_queries":1},"logs":{"join":false,"prefix":"%t|%p|"}}"#,
];

/// A processor of each kind, that knows nothing.
pub fn processors() -> [Processor; CONFIGS.len()] {
    CONFIGS.map(|config| Processor::configure(config.as_bytes()).expect("a configuration"))
}

/// A batch of each signal is handled or refused; what comes of OTLP is OTLP. What a processor has
/// learned of it, it knows when it comes again.
pub fn any_batch(processors: &mut [Processor], bytes: &[u8]) {
    for processor in processors {
        for _ in 0..2 {
            if let (Ok(out), Ok(_)) = (processor.process_traces(bytes), TracesData::decode(bytes)) {
                TracesData::decode(&*out).expect("OTLP");
            }
            if let (Ok(out), Ok(_)) = (processor.process_logs(bytes), LogsData::decode(bytes)) {
                LogsData::decode(&*out).expect("OTLP");
            }
            if let (Ok(out), Ok(_)) = (processor.process_metrics(bytes), MetricsData::decode(bytes))
            {
                MetricsData::decode(&*out).expect("OTLP");
            }
        }
    }
}

/// Lines of any log are records, none more than they were; two of a batch may have become one.
pub fn any_lines(processors: &mut [Processor], log: &str) {
    let line = |text: &str| LogRecord {
        body: Some(AnyValue {
            value: Some(Value::StringValue(text.to_owned())),
        }),
        ..LogRecord::default()
    };
    let log_records: Vec<_> = log.split('\n').map(line).collect();
    let lines = log_records.len();
    let scope = ScopeLogs {
        log_records,
        ..ScopeLogs::default()
    };
    let resource = ResourceLogs {
        scope_logs: vec![scope],
        ..ResourceLogs::default()
    };
    let batch = LogsData {
        resource_logs: vec![resource],
    }
    .encode_to_vec();
    for processor in processors {
        let out = processor.process_logs(&batch).expect("it is OTLP");
        let mut out = LogsData::decode(&*out).expect("OTLP");
        let records = out.resource_logs.remove(0).scope_logs.remove(0).log_records;
        assert!(records.len() <= lines);
        assert!(!records.is_empty());
    }
}
