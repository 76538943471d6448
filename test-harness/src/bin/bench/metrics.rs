//! Metrics as an exporter has them, for what the processor's memory comes to.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: i32 = 2;
/// Between two scrapes.
const SECOND: u64 = 1_000_000_000;

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// A counter with one point, at its `number`th scrape.
pub fn counter(name: &str, labels: &[(&str, &str)], number: u64) -> Metric {
    let point = NumberDataPoint {
        attributes: labels.iter().map(|(key, value)| text(key, value)).collect(),
        time_unix_nano: 1_767_000_000 * SECOND + number * SECOND,
        value: Some(Number::AsDouble(number as f64)),
        ..NumberDataPoint::default()
    };
    Metric {
        name: name.to_owned(),
        data: Some(Data::Sum(Sum {
            data_points: vec![point],
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        })),
        ..Metric::default()
    }
}

/// The metrics of one exporter.
pub fn batch(instance: &str, metrics: Vec<Metric>) -> Vec<u8> {
    let scope = ScopeMetrics {
        metrics,
        ..ScopeMetrics::default()
    };
    let resource = ResourceMetrics {
        resource: Some(Resource {
            attributes: vec![text("service.instance.id", instance)],
            ..Resource::default()
        }),
        scope_metrics: vec![scope],
        ..ResourceMetrics::default()
    };
    MetricsData {
        resource_metrics: vec![resource],
    }
    .encode_to_vec()
}
