// Package wasm is a Collector processor that runs a WebAssembly module over each batch.
//
// It is a host for tests, not for users. Users run otelwasm (github.com/otelwasm/otelwasm), whose ABI
// and configuration this repeats exactly, with the habits that a module has to live with:
//
//   - what does not fit the guest's buffer is answered with 0, not with the length that would do;
//   - the configuration is empty while getSupportedTelemetry runs, and there again in each batch;
//   - a guest that reports success and has set no result gives an empty batch;
//   - a batch is marshalled anew each time the guest asks for it;
//   - there is one instance for each processor and signal, with no lock around it, so that the
//     pipeline has to bring one batch at a time (the batch processor does);
//   - nothing bounds the guest's time or memory.
//
// What otelwasm grants beyond that is not granted here, so that a module that needs it fails: WASI.
package wasm

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
)

// Config is what stands under `wasm` in the Collector's configuration.
type Config struct {
	// Path of the module.
	Path string `mapstructure:"path"`
	// PluginConfig reaches the module as JSON.
	PluginConfig map[string]any `mapstructure:"plugin_config"`
	// Runtime says how the module is run.
	Runtime RuntimeConfig `mapstructure:"runtime"`
}

// RuntimeConfig is what stands under `runtime`.
type RuntimeConfig struct {
	// Mode is `interpreter` (the default) or `compiled`.
	Mode string `mapstructure:"mode"`
}

// Validate is called by the Collector before it starts anything.
func (c *Config) Validate() error {
	if c.Path == "" {
		return errors.New("path is required")
	}
	if _, known := modes[c.Runtime.Mode]; !known {
		return fmt.Errorf("invalid runtime mode: %s", c.Runtime.Mode)
	}
	return nil
}

// NewFactory makes the factory of the processor `wasm`.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		component.MustNewType("wasm"),
		func() component.Config { return &Config{Runtime: RuntimeConfig{Mode: "interpreter"}} },
		processor.WithTraces(newTraces, component.StabilityLevelDevelopment),
		processor.WithMetrics(newMetrics, component.StabilityLevelDevelopment),
		processor.WithLogs(newLogs, component.StabilityLevelDevelopment),
	)
}

var mutates = processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true})

func newTraces(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	guest, err := newGuest(ctx, set, cfg.(*Config), traces)
	if err != nil {
		return nil, err
	}
	return processorhelper.NewTraces(ctx, set, cfg, next, guest.process, mutates, processorhelper.WithShutdown(guest.shutdown))
}

func newMetrics(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	guest, err := newGuest(ctx, set, cfg.(*Config), metrics)
	if err != nil {
		return nil, err
	}
	return processorhelper.NewMetrics(ctx, set, cfg, next, guest.process, mutates, processorhelper.WithShutdown(guest.shutdown))
}

func newLogs(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	guest, err := newGuest(ctx, set, cfg.(*Config), logs)
	if err != nil {
		return nil, err
	}
	return processorhelper.NewLogs(ctx, set, cfg, next, guest.process, mutates, processorhelper.WithShutdown(guest.shutdown))
}
