;; A guest of otelwasm that does nothing but tell what its host does, as the reason for refusing each
;; batch of logs: four letters, 0 for a call that was answered with 0, and the configuration behind.
(module
  (import "opentelemetry.io/wasm" "currentLogs" (func $current (param i32 i32) (result i32)))
  (import "opentelemetry.io/wasm" "getPluginConfig" (func $config (param i32 i32) (result i32)))
  (import "opentelemetry.io/wasm" "setResultStatusReason" (func $reason (param i32 i32)))
  (import "opentelemetry.io/wasm" "getShutdownRequested" (func $ending (result i32)))
  (memory (export "memory") 2)
  (global $early (mut i32) (i32.const 0))
  (data (i32.const 0) "????: ")

  ;; Writes 0 or 1 at $at.
  (func $note (param $at i32) (param $answer i32)
    (i32.store8 (local.get $at)
      (i32.add (i32.const 48) (i32.ne (local.get $answer) (i32.const 0)))))

  (func (export "getSupportedTelemetry") (result i32)
    (global.set $early (call $config (i32.const 1024) (i32.const 60000)))
    (i32.const 7))

  (func (export "processLogs") (result i32)
    (local $length i32)
    ;; Was there a configuration while the host asked what is supported?
    (call $note (i32.const 0) (global.get $early))
    ;; Is a batch given that does not fit?
    (call $note (i32.const 1) (call $current (i32.const 1024) (i32.const 1)))
    ;; Is it given, again, where it does?
    (call $note (i32.const 2) (call $current (i32.const 1024) (i32.const 60000)))
    (call $note (i32.const 3) (call $ending))
    (local.set $length (call $config (i32.const 6) (i32.const 60000)))
    (call $reason (i32.const 0) (i32.add (i32.const 6) (local.get $length)))
    (i32.const 1))

  (func (export "processTraces") (result i32) unreachable)
  (func (export "processMetrics") (result i32) (i32.const 2)))
