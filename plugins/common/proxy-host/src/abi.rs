//! The wasm side: the imports of the ABI 0.2.1 behind [`Host`], the log, and what [`plugin!`]
//! needs to define the exports.
//!
//! Signatures and numbers: the proxy-wasm ABI specification, v0.2.1.

use std::cell::UnsafeCell;

use crate::{
    Buffer, ContextId, Host, HostError, HttpCallId, HttpRequest, MetricId, MetricKind, Plugin,
    Runtime, Side, Version, arena,
};

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
    fn proxy_set_buffer_bytes(
        buffer: i32,
        start: usize,
        len: usize,
        data: *const u8,
        size: usize,
    ) -> i32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> i32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        argument: *const u8,
        argument_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_close_stream(side: i32) -> i32;
    fn proxy_continue_stream(side: i32) -> i32;
    fn proxy_set_effective_context(id: u32) -> i32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        version: *mut u32,
    ) -> i32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        version: u32,
    ) -> i32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout_ms: u32,
        call: *mut u32,
    ) -> i32;
    fn proxy_get_header_map_value(
        map: i32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
}

/// `WasmHeaderMapType` of the ABI: the headers of the answer to an HTTP call.
const HTTP_CALL_RESPONSE_HEADERS: i32 = 6;

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

/// Makes a host call that hands over bytes in memory that it asks [`allocate`] for, and lends them
/// to `read`; `call` gets the places for their pointer and their size.
fn lend<R>(
    call: impl FnOnce(*mut *mut u8, *mut usize) -> i32,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<R, HostError> {
    let mark = arena::mark();
    let mut data = std::ptr::null_mut();
    let mut size = 0;
    let result = check(call(&raw mut data, &raw mut size)).map(|()| {
        if data.is_null() {
            return read(&[]);
        }
        // SAFETY: `size` bytes were allocated in this call and filled by the host; they stay until
        // `release` below, and `read` cannot keep the reference.
        read(unsafe { std::slice::from_raw_parts(data, size) })
    });
    arena::release(mark);
    result
}

/// Headers as the ABI hands them over: how many, then the sizes of each name and value, then the
/// names and values themselves, each with a NUL behind it; numbers are 32 bits, little endian.
fn header_map(headers: &[(&str, &str)]) -> Vec<u8> {
    let size = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    let mut map = count.to_le_bytes().to_vec();
    for (name, value) in headers {
        map.extend_from_slice(&size(name));
        map.extend_from_slice(&size(value));
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        map.extend_from_slice(text.as_bytes());
        map.push(0);
    }
    map
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
        // SAFETY: the host writes a pointer and a size to places that are ours.
        lend(
            |data, size| unsafe { proxy_get_buffer_bytes(buffer as i32, start, len, data, size) },
            read,
        )
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

    fn set_buffer(
        &self,
        buffer: Buffer,
        start: usize,
        len: usize,
        bytes: &[u8],
    ) -> Result<(), HostError> {
        let (data, size) = (bytes.as_ptr(), bytes.len());
        // SAFETY: the host reads the bytes before it returns.
        check(unsafe { proxy_set_buffer_bytes(buffer as i32, start, len, data, size) })
    }

    fn with_property<R>(
        &self,
        path: &[&str],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, HostError> {
        let path = path.join("\0");
        // SAFETY: the host reads the path before it returns, and writes a pointer and a size to
        // places that are ours.
        lend(
            |data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) },
            read,
        )
    }

    fn set_property(&self, name: &str, value: &[u8]) -> Result<(), HostError> {
        let (data, size) = (value.as_ptr(), value.len());
        // SAFETY: the host reads both before it returns.
        check(unsafe { proxy_set_property(name.as_ptr(), name.len(), data, size) })
    }

    fn call_foreign_function(&self, name: &str, argument: &[u8]) -> Result<(), HostError> {
        // SAFETY: the host reads name and argument before it returns, and writes a pointer and a
        // size to places that are ours.
        lend(
            |data, size| unsafe {
                proxy_call_foreign_function(
                    name.as_ptr(),
                    name.len(),
                    argument.as_ptr(),
                    argument.len(),
                    data,
                    size,
                )
            },
            |_answer| (),
        )
    }

    fn close(&self, side: Side) -> Result<(), HostError> {
        // SAFETY: no memory is shared.
        check(unsafe { proxy_close_stream(side as i32) })
    }

    fn resume(&self, side: Side) -> Result<(), HostError> {
        // SAFETY: no memory is shared.
        check(unsafe { proxy_continue_stream(side as i32) })
    }

    fn set_effective_context(&self, context: ContextId) -> Result<(), HostError> {
        // SAFETY: no memory is shared.
        check(unsafe { proxy_set_effective_context(context.into()) })
    }

    fn with_shared_data<R>(
        &self,
        key: &str,
        read: impl FnOnce(&[u8], Version) -> R,
    ) -> Result<R, HostError> {
        let mut version = 0;
        let at = &raw mut version;
        // SAFETY: the host reads the key before it returns, and writes a pointer, a size and a
        // version to places that are ours.
        lend(
            |data, size| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, at) },
            |value| {
                // SAFETY: `version` is alive, and the host no longer writes to it.
                read(value, Version(unsafe { at.read() }))
            },
        )
    }

    fn set_shared_data(&self, key: &str, value: &[u8], version: Version) -> Result<(), HostError> {
        let (data, size) = (value.as_ptr(), value.len());
        // SAFETY: the host reads both before it returns.
        check(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), data, size, version.0) })
    }

    fn http_call(&self, request: HttpRequest<'_>) -> Result<HttpCallId, HostError> {
        let headers = header_map(request.headers);
        let trailers = header_map(&[]);
        let mut call = 0;
        // SAFETY: the host reads what it is given before it returns, and writes four bytes to a
        // place that is ours.
        check(unsafe {
            proxy_http_call(
                request.cluster.as_ptr(),
                request.cluster.len(),
                headers.as_ptr(),
                headers.len(),
                request.body.as_ptr(),
                request.body.len(),
                trailers.as_ptr(),
                trailers.len(),
                request.timeout_ms,
                &raw mut call,
            )
        })
        .map(|()| HttpCallId(call))
    }

    fn with_response_header<R>(
        &self,
        name: &str,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, HostError> {
        let map = HTTP_CALL_RESPONSE_HEADERS;
        // SAFETY: the host reads the name before it returns, and writes a pointer and a size to
        // places that are ours.
        lend(
            |data, size| unsafe {
                proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, size)
            },
            read,
        )
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
pub struct VmCell<P: Plugin>(UnsafeCell<Vm<P>>);

struct Vm<P: Plugin> {
    /// `None` before the start, and while a callback runs.
    runtime: Option<Box<Runtime<P>>>,
    /// Contexts that ended while a callback ran: a host that closes a connection when it is told
    /// to says so before it returns.
    ended: Vec<u32>,
}

// SAFETY: a wasm module without the threads feature has one thread.
unsafe impl<P: Plugin> Sync for VmCell<P> {}

impl<P: Plugin> VmCell<P> {
    /// Empty until the first [`VmCell::start`].
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Vm {
            runtime: None,
            ended: Vec::new(),
        }))
    }

    fn with<R>(&self, f: impl FnOnce(&mut Vm<P>) -> R) -> R {
        // SAFETY: one thread, and no closure given here calls the host or `with` again, so that
        // this is the only reference.
        f(unsafe { &mut *self.0.get() })
    }

    /// Makes the runtime, if this VM has none yet.
    pub fn start(&self) {
        start_log();
        self.with(|vm| {
            if vm.runtime.is_none() {
                vm.runtime = Some(Box::default());
            }
        });
    }

    /// Runs one callback. The runtime is out of its cell meanwhile, so that a callback inside a
    /// callback finds none and gets `otherwise`.
    pub fn enter<R>(&self, otherwise: R, callback: impl FnOnce(&mut Runtime<P>) -> R) -> R {
        let Some(mut runtime) = self.with(|vm| vm.runtime.take()) else {
            return otherwise;
        };
        let result = callback(&mut runtime);
        while let Some(id) = self.with(|vm| vm.ended.pop()) {
            runtime.delete(&ProxyWasm, id.into());
        }
        self.with(|vm| vm.runtime = Some(runtime));
        result
    }

    /// A context has ended: now, or as soon as the callback that runs is over.
    pub fn delete(&self, id: u32) {
        self.with(|vm| vm.ended.push(id));
        self.enter((), |_| ());
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
        extern "C" fn proxy_on_new_connection(id: u32) -> i32 {
            VM.enter($crate::Action::Continue, |vm| {
                vm.accept(&$crate::ProxyWasm, id.into())
            }) as i32
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
            VM.delete(id)
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_tick(root: u32) {
            VM.enter((), |vm| vm.tick(&$crate::ProxyWasm, root.into()))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_http_call_response(
            root: u32,
            call: u32,
            headers: i32,
            body_size: usize,
            _trailers: i32,
        ) {
            VM.enter((), |vm| {
                let response = $crate::HttpResponse {
                    call: $crate::HttpCallId(call),
                    headers: usize::try_from(headers).unwrap_or(0),
                    body_size,
                };
                vm.http_response(&$crate::ProxyWasm, root.into(), response)
            })
        }
    };
}
