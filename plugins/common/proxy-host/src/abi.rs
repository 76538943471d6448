//! The wasm side: the imports of the ABI 0.2.1 behind [`Host`], the log, and what [`plugin!`]
//! needs to define the exports.
//!
//! Signatures and numbers: the proxy-wasm ABI specification, v0.2.1.

use std::cell::UnsafeCell;

use crate::{Buffer, Host, HostError, MetricId, MetricKind, Plugin, Runtime, arena};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: i32, message: *const u8, size: usize) -> i32;
    fn proxy_get_log_level(level: *mut i32) -> i32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> i32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> i32;
    fn proxy_get_buffer_bytes(
        buffer: i32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_define_metric(kind: i32, name: *const u8, size: usize, id: *mut u32) -> i32;
    fn proxy_increment_metric(id: u32, offset: i64) -> i32;
    fn proxy_record_metric(id: u32, value: u64) -> i32;
}

/// The host that loaded this module.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProxyWasm;

fn check(status: i32) -> Result<(), HostError> {
    if status == 0 {
        Ok(())
    } else {
        Err(HostError(status))
    }
}

impl Host for ProxyWasm {
    fn now(&self) -> u64 {
        let mut time = 0;
        // SAFETY: the host writes eight bytes to a place that is ours.
        let status = unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
        if check(status).is_ok() { time } else { 0 }
    }

    fn with_buffer<R>(
        &self,
        buffer: Buffer,
        start: usize,
        len: usize,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, HostError> {
        let mark = arena::mark();
        let mut data = std::ptr::null_mut();
        let mut size = 0;
        // SAFETY: the host writes a pointer and a size to places that are ours, the pointer being
        // one that `allocate` gave it during this call.
        let status = unsafe {
            proxy_get_buffer_bytes(buffer as i32, start, len, &raw mut data, &raw mut size)
        };
        let result = check(status).map(|()| {
            if data.is_null() {
                return read(&[]);
            }
            // SAFETY: `size` bytes were allocated in this call and filled by the host; they stay
            // until `release` below, and `read` cannot keep the reference.
            read(unsafe { std::slice::from_raw_parts(data, size) })
        });
        arena::release(mark);
        result
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError> {
        let mut id = 0;
        // SAFETY: the host reads the name and writes four bytes to a place that is ours.
        check(unsafe { proxy_define_metric(kind as i32, name.as_ptr(), name.len(), &raw mut id) })
            .map(|()| MetricId(id))
    }

    fn increment_metric(&self, metric: MetricId, offset: i64) -> Result<(), HostError> {
        // SAFETY: no memory is shared.
        check(unsafe { proxy_increment_metric(metric.0, offset) })
    }

    fn record_metric(&self, metric: MetricId, value: u64) -> Result<(), HostError> {
        // SAFETY: no memory is shared.
        check(unsafe { proxy_record_metric(metric.0, value) })
    }

    fn set_tick_period(&self, milliseconds: u32) -> Result<(), HostError> {
        // SAFETY: no memory is shared.
        check(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
    }
}

/// The front end of the host's log: the `log` crate's macros end here.
struct HostLog;

impl log::Log for HostLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            log::Level::Trace => 0,
            log::Level::Debug => 1,
            log::Level::Info => 2,
            log::Level::Warn => 3,
            log::Level::Error => 4,
        };
        let line = record.args().to_string();
        // SAFETY: the host reads the message before it returns.
        unsafe { proxy_log(level, line.as_ptr(), line.len()) };
    }

    fn flush(&self) {}
}

/// Sends the `log` crate's records to the host, as fine as the host's own log level.
fn start_log() {
    let mut level = 2;
    // SAFETY: the host writes four bytes to a place that is ours.
    if check(unsafe { proxy_get_log_level(&raw mut level) }).is_err() {
        level = 2;
    }
    // Only the first root context of a VM finds no logger.
    let _already_set = log::set_logger(&HostLog);
    log::set_max_level(match level {
        0 => log::LevelFilter::Trace,
        1 => log::LevelFilter::Debug,
        2 => log::LevelFilter::Info,
        3 => log::LevelFilter::Warn,
        _ => log::LevelFilter::Error,
    });
}

/// Memory for the host to put in what it was asked for: the module's
/// `proxy_on_memory_allocate`.
#[must_use]
pub fn allocate(size: usize) -> *mut u8 {
    arena::allocate(size)
}

/// The one runtime of a module's VM.
pub struct VmCell<P: Plugin>(UnsafeCell<Option<Box<Runtime<P>>>>);

// SAFETY: a wasm module without the threads feature has one thread.
unsafe impl<P: Plugin> Sync for VmCell<P> {}

impl<P: Plugin> VmCell<P> {
    /// Empty until the first [`VmCell::start`].
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Makes the runtime, if this VM has none yet.
    pub fn start(&self) {
        start_log();
        // SAFETY: one thread, and no reference outlives the expression.
        let slot = unsafe { &mut *self.0.get() };
        if slot.is_none() {
            *slot = Some(Box::default());
        }
    }

    /// Runs one callback. The runtime is out of its cell meanwhile, so that a callback inside a
    /// callback finds none and gets `otherwise`.
    pub fn enter<R>(&self, otherwise: R, callback: impl FnOnce(&mut Runtime<P>) -> R) -> R {
        // SAFETY: one thread, and the reference ends before `callback` runs.
        let Some(mut runtime) = (unsafe { &mut *self.0.get() }).take() else {
            return otherwise;
        };
        let result = callback(&mut runtime);
        // SAFETY: as above.
        unsafe { *self.0.get() = Some(runtime) };
        result
    }
}

impl<P: Plugin> Default for VmCell<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// Defines the exports of a module whose filter is the given [`Plugin`]: once, in its cdylib.
#[macro_export]
macro_rules! plugin {
    ($plugin:ty) => {
        static VM: $crate::VmCell<$plugin> = $crate::VmCell::new();

        #[unsafe(no_mangle)]
        extern "C" fn proxy_abi_version_0_2_1() {}

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
            $crate::allocate(size)
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_vm_start(_root: u32, _configuration_size: usize) -> i32 {
            VM.start();
            1
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
            VM.start();
            VM.enter((), |vm| vm.create(id.into(), parent.into()))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_configure(root: u32, configuration_size: usize) -> i32 {
            VM.enter(false, |vm| {
                vm.configure(&$crate::ProxyWasm, root.into(), configuration_size)
            })
            .into()
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_new_connection(_id: u32) -> i32 {
            $crate::Action::Continue as i32
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_downstream_data(id: u32, size: usize, end: i32) -> i32 {
            VM.enter($crate::Action::Continue, |vm| {
                vm.downstream_data(&$crate::ProxyWasm, id.into(), size, end != 0)
            }) as i32
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_upstream_data(id: u32, size: usize, end: i32) -> i32 {
            VM.enter($crate::Action::Continue, |vm| {
                vm.upstream_data(&$crate::ProxyWasm, id.into(), size, end != 0)
            }) as i32
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_upstream_connection_close(id: u32, _by: i32) {
            VM.enter((), |vm| vm.upstream_close(&$crate::ProxyWasm, id.into()))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_delete(id: u32) {
            VM.enter((), |vm| vm.delete(&$crate::ProxyWasm, id.into()))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_tick(root: u32) {
            VM.enter((), |vm| vm.tick(&$crate::ProxyWasm, root.into()))
        }
    };
}
