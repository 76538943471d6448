//! The host calls of the proxy-wasm ABI 0.2.1, as a network filter in Envoy sees them answer.
//!
//! Every call is counted by name and can be made to fail by the test. What Envoy does not do for
//! network filters (gRPC is the one thing left out that it would do) answers `Unimplemented`.

use wasmtime::{Caller, Linker};

use super::abi::{Status, pairs_of_bytes};
use super::guest::{Guest, Refusal};
use super::state::{HttpCall, State};

type Answer = Result<(), Refusal>;

/// Runs one host call: counts it, lets it fail if the test wants so, and turns the outcome into
/// the number that the module gets.
fn answer(
    caller: Caller<'_, State>,
    name: &'static str,
    work: impl FnOnce(&mut Guest<'_>) -> Answer,
) -> wasmtime::Result<u32> {
    let mut guest = Guest::new(caller)?;
    let done = match guest.state().called(name) {
        Ok(()) => work(&mut guest),
        Err(status) => Err(status.into()),
    };
    match done {
        Ok(()) => Ok(Status::Ok as u32),
        Err(Refusal::Status(status)) => Ok(status as u32),
        Err(Refusal::Trap(trap)) => Err(trap),
    }
}

/// Defines imports of the module `env` whose parameters are numbers and whose result is a status.
macro_rules! host_calls {
    ($linker:expr; $( $name:ident ($guest:ident $(, $parameter:ident : $kind:ty)*) $work:block )*) => {
        $( $linker.func_wrap(
            "env",
            stringify!($name),
            |caller: Caller<'_, State> $(, $parameter: $kind)*| {
                answer(caller, stringify!($name), |$guest| $work)
            },
        )?; )*
    };
}

/// Gives the module everything it may import.
pub(super) fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    define_basics(linker)?;
    define_buffers(linker)?;
    define_properties_and_metrics(linker)?;
    define_shared_state(linker)?;
    define_http(linker)?;
    define_unimplemented(linker)
}

fn define_basics(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    host_calls! { linker;
        proxy_log(guest, level: u32, text: u32, size: u32) {
            let message = guest.bytes(text, size)?;
            Ok(guest.state().log(level, &message)?)
        }
        proxy_get_log_level(guest, level_at: u32) {
            let level = guest.state().log_level as u32;
            guest.write_u32(level_at, level)
        }
        proxy_get_current_time_nanoseconds(guest, time_at: u32) {
            let time = guest.state().clock;
            guest.write_u64(time_at, time)
        }
        proxy_set_tick_period_milliseconds(guest, period: u32) {
            guest.state().tick_period = period;
            Ok(())
        }
        proxy_set_effective_context(guest, context: u32) {
            Ok(guest.state().set_effective_context(context)?)
        }
        proxy_done(_guest) {
            Ok(())
        }
        proxy_continue_stream(guest, stream: u32) {
            Ok(guest.state().continue_stream(stream)?)
        }
        proxy_close_stream(guest, stream: u32) {
            Ok(guest.state().close_stream(stream)?)
        }
        proxy_call_foreign_function(
            guest, name: u32, name_size: u32, argument: u32, argument_size: u32,
            result_at: u32, size_at: u32
        ) {
            let name = guest.text(name, name_size)?;
            let argument = guest.bytes(argument, argument_size)?;
            let state = guest.state();
            let result = state.foreign_functions.get(&name).cloned();
            state.foreign_calls.push((name, argument));
            let result = result.unwrap_or(Err(Status::NotFound))?;
            guest.hand_over(&result, result_at, size_at)
        }
    }
    Ok(())
}

fn define_buffers(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    host_calls! { linker;
        proxy_get_buffer_bytes(
            guest, kind: u32, start: u32, size: u32, data_at: u32, size_at: u32
        ) {
            let bytes = guest.state().buffer_bytes(kind, start, size)?.to_vec();
            if bytes.is_empty() {
                // Envoy answers Ok and writes neither pointer nor size.
                return Ok(());
            }
            guest.hand_over(&bytes, data_at, size_at)
        }
        proxy_get_buffer_status(guest, kind: u32, size_at: u32, flags_at: u32) {
            let size = guest.state().buffer_size(kind)?;
            guest.write_u32(size_at, size)?;
            guest.write_u32(flags_at, 0)
        }
        proxy_set_buffer_bytes(
            guest, kind: u32, start: u32, size: u32, data: u32, data_size: u32
        ) {
            let data = guest.bytes(data, data_size)?;
            Ok(guest.state().set_buffer(kind, start, size, &data)?)
        }
    }
    Ok(())
}

fn define_properties_and_metrics(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    host_calls! { linker;
        proxy_get_property(guest, path: u32, path_size: u32, value_at: u32, size_at: u32) {
            let path = guest.bytes(path, path_size)?;
            let value = guest.state().property(&path)?.to_vec();
            guest.hand_over(&value, value_at, size_at)
        }
        proxy_set_property(guest, path: u32, path_size: u32, value: u32, value_size: u32) {
            let path = guest.bytes(path, path_size)?;
            let value = guest.bytes(value, value_size)?;
            Ok(guest.state().set_property(path, value)?)
        }
        proxy_define_metric(guest, kind: u32, name: u32, size: u32, id_at: u32) {
            let name = guest.text(name, size)?;
            let id = guest.state().metrics.define(kind, name)?;
            guest.write_u32(id_at, id)
        }
        proxy_increment_metric(guest, id: u32, offset: i64) {
            Ok(guest.state().metrics.increment(id, offset)?)
        }
        proxy_record_metric(guest, id: u32, value: u64) {
            Ok(guest.state().metrics.record(id, value)?)
        }
        proxy_get_metric(guest, id: u32, value_at: u32) {
            let value = guest.state().metrics.get(id)?;
            guest.write_u64(value_at, value)
        }
    }
    Ok(())
}

fn define_shared_state(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    host_calls! { linker;
        proxy_get_shared_data(
            guest, key: u32, key_size: u32, value_at: u32, size_at: u32, cas_at: u32
        ) {
            let key = guest.bytes(key, key_size)?;
            let found = guest.state().shared_data.get(&key).cloned();
            let (value, cas) = found.ok_or(Status::NotFound)?;
            guest.hand_over(&value, value_at, size_at)?;
            guest.write_u32(cas_at, cas)
        }
        proxy_set_shared_data(
            guest, key: u32, key_size: u32, value: u32, value_size: u32, cas: u32
        ) {
            let key = guest.bytes(key, key_size)?;
            let value = guest.bytes(value, value_size)?;
            Ok(guest.state().set_shared_data(key, value, cas)?)
        }
        proxy_register_shared_queue(guest, name: u32, size: u32, token_at: u32) {
            let name = guest.bytes(name, size)?;
            let token = guest.state().queue_named(name);
            guest.write_u32(token_at, token)
        }
        proxy_resolve_shared_queue(
            guest, _vm: u32, _vm_size: u32, name: u32, size: u32, token_at: u32
        ) {
            let name = guest.bytes(name, size)?;
            let known = guest.state().queue_names.contains(&name);
            if !known {
                return Err(Status::NotFound.into());
            }
            let token = guest.state().queue_named(name);
            guest.write_u32(token_at, token)
        }
        proxy_enqueue_shared_queue(guest, token: u32, value: u32, size: u32) {
            let value = guest.bytes(value, size)?;
            guest.state().queue(token)?.push_back(value);
            Ok(())
        }
        proxy_dequeue_shared_queue(guest, token: u32, value_at: u32, size_at: u32) {
            let value = guest.state().queue(token)?.pop_front().ok_or(Status::Empty)?;
            guest.hand_over(&value, value_at, size_at)
        }
    }
    Ok(())
}

/// The header map of an HTTP call's answer (`proxy_header_map_type_t`).
const HTTP_CALL_RESPONSE_HEADERS: u32 = 6;

fn define_http(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    host_calls! { linker;
        proxy_http_call(
            guest, upstream: u32, upstream_size: u32, headers: u32, headers_size: u32,
            body: u32, body_size: u32, _trailers: u32, _trailers_size: u32, timeout: u32,
            token_at: u32
        ) {
            let upstream = guest.text(upstream, upstream_size)?;
            let headers = pairs_of_bytes(&guest.bytes(headers, headers_size)?);
            let body = guest.bytes(body, body_size)?;
            let state = guest.state();
            let token = u32::try_from(state.http_calls.len() + 1).expect("few calls");
            state.http_calls.push(HttpCall { token, upstream, headers, body, timeout });
            guest.write_u32(token_at, token)
        }
        proxy_get_header_map_pairs(guest, map: u32, pairs_at: u32, size_at: u32) {
            if map != HTTP_CALL_RESPONSE_HEADERS {
                return Err(Status::NotFound.into());
            }
            let pairs = super::abi::bytes_of_pairs(&guest.state().http_response_headers);
            guest.hand_over(&pairs, pairs_at, size_at)
        }
        proxy_get_header_map_value(
            guest, map: u32, name: u32, name_size: u32, value_at: u32, size_at: u32
        ) {
            let wanted = guest.text(name, name_size)?;
            let headers = &guest.state().http_response_headers;
            let found = headers.iter().find(|(name, _)| *name == wanted);
            let found = found.filter(|_| map == HTTP_CALL_RESPONSE_HEADERS);
            let value = found.map(|(_, value)| value.clone()).ok_or(Status::NotFound)?;
            guest.hand_over(value.as_bytes(), value_at, size_at)
        }
        // Envoy answers Ok and does nothing: there is no HTTP stream to answer on.
        proxy_send_local_response(
            _guest, _code: u32, _details: u32, _details_size: u32, _body: u32, _body_size: u32,
            _headers: u32, _headers_size: u32, _grpc_status: i32
        ) {
            Ok(())
        }
    }
    Ok(())
}

fn define_unimplemented(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    host_calls! { linker;
        proxy_set_header_map_pairs(_guest, _map: u32, _pairs: u32, _size: u32) {
            Err(Status::Unimplemented.into())
        }
        proxy_replace_header_map_value(
            _guest, _map: u32, _name: u32, _name_size: u32, _value: u32, _value_size: u32
        ) {
            Err(Status::Unimplemented.into())
        }
        proxy_add_header_map_value(
            _guest, _map: u32, _name: u32, _name_size: u32, _value: u32, _value_size: u32
        ) {
            Err(Status::Unimplemented.into())
        }
        proxy_remove_header_map_value(_guest, _map: u32, _name: u32, _name_size: u32) {
            Err(Status::Unimplemented.into())
        }
        proxy_get_status(_guest, _code_at: u32, _message_at: u32, _size_at: u32) {
            Err(Status::Unimplemented.into())
        }
        proxy_grpc_call(
            _guest, _upstream: u32, _upstream_size: u32, _service: u32, _service_size: u32,
            _method: u32, _method_size: u32, _metadata: u32, _metadata_size: u32,
            _message: u32, _message_size: u32, _timeout: u32, _token_at: u32
        ) {
            Err(Status::Unimplemented.into())
        }
        proxy_grpc_stream(
            _guest, _upstream: u32, _upstream_size: u32, _service: u32, _service_size: u32,
            _method: u32, _method_size: u32, _metadata: u32, _metadata_size: u32,
            _token_at: u32
        ) {
            Err(Status::Unimplemented.into())
        }
        proxy_grpc_send(_guest, _token: u32, _message: u32, _message_size: u32, _end: u32) {
            Err(Status::Unimplemented.into())
        }
        proxy_grpc_cancel(_guest, _token: u32) {
            Err(Status::Unimplemented.into())
        }
        proxy_grpc_close(_guest, _token: u32) {
            Err(Status::Unimplemented.into())
        }
    }
    Ok(())
}
