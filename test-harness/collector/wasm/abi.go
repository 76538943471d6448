package wasm

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// The module that a guest imports everything from.
const hostModule = "opentelemetry.io/wasm"

// A call is what the host functions see of the guest's call that they are called from.
type call struct {
	// signal is empty while the guest is asked what it supports.
	signal    string
	config    []byte
	current   func() ([]byte, error)
	setResult func([]byte) error
	reason    string
}

type callKey struct{}

func with(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

func callOf(ctx context.Context) *call {
	return ctx.Value(callKey{}).(*call)
}

// A hostFunction gets its two arguments, always a pointer and a length, and returns one number.
type hostFunction = func(c *call, memory api.Memory, pointer, length uint32) uint32

// provideHost makes the functions that a guest may import.
func provideHost(ctx context.Context, runtime wazero.Runtime) error {
	host := runtime.NewHostModuleBuilder(hostModule)
	i32 := api.ValueTypeI32
	export := func(name string, results []api.ValueType, function hostFunction) {
		host.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(
			func(ctx context.Context, guest api.Module, stack []uint64) {
				result := function(callOf(ctx), guest.Memory(), uint32(stack[0]), uint32(stack[1]))
				if len(results) > 0 {
					stack[0] = uint64(result)
				}
			}), []api.ValueType{i32, i32}, results).Export(name)
	}
	length, nothing := []api.ValueType{i32}, []api.ValueType{}
	for _, signal := range []string{traces.name, metrics.name, logs.name} {
		export("current"+signal, length, current(signal))
		export("setResult"+signal, nothing, setResult(signal))
	}
	export("getPluginConfig", length, func(c *call, memory api.Memory, buffer, limit uint32) uint32 {
		return fill(memory, buffer, limit, c.config)
	})
	export("setResultStatusReason", nothing, func(c *call, memory api.Memory, pointer, length uint32) uint32 {
		c.reason = string(read(memory, pointer, length))
		return 0
	})
	host.NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = 0 }), nothing, length).
		Export("getShutdownRequested")
	_, err := host.Instantiate(ctx)
	return err
}

// current copies the batch into the guest's buffer.
func current(signal string) hostFunction {
	return func(c *call, memory api.Memory, buffer, limit uint32) uint32 {
		if c.signal != signal {
			return 0
		}
		batch, err := c.current()
		if err != nil {
			return 0
		}
		return fill(memory, buffer, limit, batch)
	}
}

// setResult takes the guest's batch. What cannot be read ends the call, as a trap would.
func setResult(signal string) hostFunction {
	return func(c *call, memory api.Memory, pointer, length uint32) uint32 {
		bytes := read(memory, pointer, length)
		if c.signal == signal {
			if err := c.setResult(bytes); err != nil {
				panic(err)
			}
		}
		return 0
	}
}

// fill returns the length written: 0 for what does not fit, and for what is empty.
func fill(memory api.Memory, buffer, limit uint32, bytes []byte) uint32 {
	if uint64(len(bytes)) > uint64(limit) || !memory.Write(buffer, bytes) {
		return 0
	}
	return uint32(len(bytes))
}

// read is a view of the guest's memory; what lies outside of it ends the call.
func read(memory api.Memory, pointer, length uint32) []byte {
	bytes, ok := memory.Read(pointer, length)
	if !ok {
		panic("the guest named bytes outside of its memory")
	}
	return bytes
}
