//! The bytes of frontend messages, and a few backend ones, for tests that write them by hand.
//!
//! Named and laid out as in PostgreSQL's "Message Formats". Deliberately no use of `pg-wire`: a
//! test must not take its expectations from what it tests.

/// Protocol 3.0 as a StartupMessage states it.
pub const PROTOCOL_3_0: u32 = 196_608;
/// Protocol 3.2.
pub const PROTOCOL_3_2: u32 = 196_610;
/// The code of an SSLRequest.
pub const SSL_REQUEST: u32 = 80_877_103;
/// The code of a GSSENCRequest.
pub const GSSENC_REQUEST: u32 = 80_877_104;
/// The code of a CancelRequest.
pub const CANCEL_REQUEST: u32 = 80_877_102;

/// A message: tag, length, body.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(untagged(body));
    bytes
}

/// A message of the start, which has no tag: length, body.
pub fn untagged(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a message is below 4 GiB");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// StartupMessage with these parameters, such as `("user", "alice")`.
pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend(text(name));
        body.extend(text(value));
    }
    body.push(0);
    untagged(&body)
}

/// SSLRequest or GSSENCRequest.
pub fn request(code: u32) -> Vec<u8> {
    untagged(&code.to_be_bytes())
}

/// CancelRequest.
pub fn cancel_request(process_id: u32, key: &[u8]) -> Vec<u8> {
    let mut body = CANCEL_REQUEST.to_be_bytes().to_vec();
    body.extend(process_id.to_be_bytes());
    body.extend_from_slice(key);
    untagged(&body)
}

/// Query.
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &text(sql))
}

/// Parse, with no parameter types.
pub fn parse(statement: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[text(statement), text(sql), vec![0, 0]].concat())
}

/// Bind, with parameters in text format.
pub fn bind(portal: &str, statement: &str, parameters: &[&str]) -> Vec<u8> {
    let count = u16::try_from(parameters.len())
        .expect("few parameters")
        .to_be_bytes();
    let mut body = [text(portal), text(statement), vec![0, 0], count.to_vec()].concat();
    for parameter in parameters {
        body.extend(
            u32::try_from(parameter.len())
                .expect("a short one")
                .to_be_bytes(),
        );
        body.extend_from_slice(parameter.as_bytes());
    }
    body.extend([0, 0]);
    message(b'B', &body)
}

/// Describe a statement (`S`) or portal (`P`).
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[vec![kind], text(name)].concat())
}

/// Close a statement (`S`) or portal (`P`).
pub fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[vec![kind], text(name)].concat())
}

/// Execute; a limit of 0 rows is none.
pub fn execute(portal: &str, limit: u32) -> Vec<u8> {
    message(b'E', &[text(portal), limit.to_be_bytes().to_vec()].concat())
}

/// Sync.
pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// Flush.
pub fn flush() -> Vec<u8> {
    message(b'H', b"")
}

/// CopyData, of either side.
pub fn copy_data(data: &[u8]) -> Vec<u8> {
    message(b'd', data)
}

/// CopyDone, of either side.
pub fn copy_done() -> Vec<u8> {
    message(b'c', b"")
}

/// CopyFail.
pub fn copy_fail(reason: &str) -> Vec<u8> {
    message(b'f', &text(reason))
}

/// Terminate.
pub fn terminate() -> Vec<u8> {
    message(b'X', b"")
}

/// AuthenticationOk.
pub fn authentication_ok() -> Vec<u8> {
    message(b'R', &[0; 4])
}

/// ParameterStatus.
pub fn parameter_status(name: &str, value: &str) -> Vec<u8> {
    message(b'S', &[text(name), text(value)].concat())
}

/// BackendKeyData.
pub fn backend_key_data(process_id: u32, key: &[u8]) -> Vec<u8> {
    message(b'K', &[&process_id.to_be_bytes(), key].concat())
}

/// ReadyForQuery, with status `I`, `T` or `E`.
pub fn ready_for_query(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

/// RowDescription of one column of type `text`.
pub fn row_description(column: &str) -> Vec<u8> {
    const TEXT_OID: u32 = 25;
    let mut body = vec![0, 1];
    body.extend(text(column));
    body.extend([0; 6]);
    body.extend(TEXT_OID.to_be_bytes());
    body.extend((-1_i16).to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend([0; 2]);
    message(b'T', &body)
}

/// DataRow of one column.
pub fn data_row(value: &[u8]) -> Vec<u8> {
    let size = u32::try_from(value.len()).expect("a value is below 4 GiB");
    message(b'D', &[&[0, 1], &size.to_be_bytes()[..], value].concat())
}

/// CommandComplete.
pub fn command_complete(tag: &str) -> Vec<u8> {
    message(b'C', &text(tag))
}

/// ErrorResponse.
pub fn error_response(severity: &str, sqlstate: &str, reason: &str) -> Vec<u8> {
    let fields = [
        ('S', severity),
        ('V', severity),
        ('C', sqlstate),
        ('M', reason),
    ];
    let mut body: Vec<u8> = fields
        .iter()
        .flat_map(|(field, value)| [vec![*field as u8], text(value)].concat())
        .collect();
    body.push(0);
    message(b'E', &body)
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}
