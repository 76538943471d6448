package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"
)

// The runtimes that `runtime.mode` names.
var modes = map[string]func() wazero.RuntimeConfig{
	"interpreter": wazero.NewRuntimeConfigInterpreter,
	"compiled":    wazero.NewRuntimeConfigCompiler,
}

// A guest is one instance of the module, for one processor and signal.
type guest[T any] struct {
	signal  signal[T]
	runtime wazero.Runtime
	memory  api.Memory
	run     api.Function
	config  []byte
	batches uint64
	log     *zap.Logger
}

// newGuest starts the module; it fails where the Collector should not start.
func newGuest[T any](ctx context.Context, set processor.Settings, cfg *Config, signal signal[T]) (*guest[T], error) {
	binary, err := os.ReadFile(cfg.Path)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(cfg.PluginConfig)
	if err != nil {
		return nil, fmt.Errorf("wasm: plugin_config: %w", err)
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, modes[cfg.Runtime.Mode]())
	if err := provideHost(ctx, runtime); err != nil {
		return nil, fmt.Errorf("wasm: %w", err)
	}
	module, err := runtime.InstantiateWithConfig(ctx, binary, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		return nil, fmt.Errorf("wasm: error instantiating guest: %w", err)
	}
	g := &guest[T]{
		signal: signal, runtime: runtime, memory: module.Memory(), config: config, log: set.Logger,
		run: module.ExportedFunction("process" + signal.name),
	}
	return g, g.check(ctx, module.ExportedFunction("getSupportedTelemetry"))
}

// check sees whether the module has all it must have, and wants this signal.
func (g *guest[T]) check(ctx context.Context, supported api.Function) error {
	switch {
	case g.memory == nil:
		return errors.New("wasm: guest doesn't export memory")
	case supported == nil:
		return errors.New("wasm: getSupportedTelemetry is not exported")
	case g.run == nil:
		return fmt.Errorf("wasm: process%s is not exported", g.signal.name)
	}
	signals, err := supported.Call(with(ctx, &call{}))
	if err != nil {
		return fmt.Errorf("wasm: getSupportedTelemetry: %w", err)
	}
	if uint32(signals[0])&g.signal.supported == 0 {
		return pipeline.ErrSignalNotSupported
	}
	return nil
}

// process gives the batch to the guest and returns what it made of it.
func (g *guest[T]) process(ctx context.Context, batch T) (T, error) {
	var result T
	call := &call{
		signal:  g.signal.name,
		config:  g.config,
		current: func() ([]byte, error) { return g.signal.marshal(batch) },
		setResult: func(bytes []byte) (err error) {
			result, err = g.signal.unmarshal(bytes)
			return err
		},
	}
	g.batches++
	status, err := g.run.Call(with(ctx, call))
	if err != nil {
		return batch, err
	}
	if status[0] != 0 {
		return batch, fmt.Errorf("wasm: error processing %s: status %d: %s", g.signal.name, status[0], call.reason)
	}
	return result, nil
}

// shutdown ends the guest. The line it logs is what the tests of memory read.
func (g *guest[T]) shutdown(ctx context.Context) error {
	g.log.Info("wasm guest ends", zap.Uint64("batches", g.batches), zap.Uint32("memory_bytes", g.memory.Size()))
	return g.runtime.Close(ctx)
}
