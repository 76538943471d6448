package wasm

import (
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A signal is one of the three kinds of telemetry, and how its batches become bytes and come back.
type signal[T any] struct {
	// name ends the names of the functions for it: processTraces, currentTraces, setResultTraces.
	name string
	// supported is its bit in what getSupportedTelemetry returns.
	supported uint32
	marshal   func(T) ([]byte, error)
	unmarshal func([]byte) (T, error)
}

var (
	metrics = signal[pmetric.Metrics]{
		"Metrics", 1,
		(&pmetric.ProtoMarshaler{}).MarshalMetrics, (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics,
	}
	logs = signal[plog.Logs]{
		"Logs", 2,
		(&plog.ProtoMarshaler{}).MarshalLogs, (&plog.ProtoUnmarshaler{}).UnmarshalLogs,
	}
	traces = signal[ptrace.Traces]{
		"Traces", 4,
		(&ptrace.ProtoMarshaler{}).MarshalTraces, (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces,
	}
)
