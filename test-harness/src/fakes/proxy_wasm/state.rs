//! What the fake host knows while it runs a module, and what it remembers for the test.

use std::collections::{BTreeMap, VecDeque};

use super::abi::{BufferKind, LogLevel, Status, Stream};
use super::metrics::Metrics;

/// Wall clock at the start: a round moment of 2026, in nanoseconds since the epoch.
const START: u64 = 1_790_000_000_000_000_000;

/// An HTTP call the module has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// What the answer refers to.
    pub token: u32,
    /// The cluster it goes to.
    pub upstream: String,
    /// Its headers, `:method` and so on among them.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The milliseconds it may take.
    pub timeout: u32,
}

/// A line the module has logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How grave.
    pub level: LogLevel,
    /// The text.
    pub message: String,
}

/// What a host call shall answer instead of doing its work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) status: Status,
    /// How many calls of it are still to fail.
    pub(super) times: u64,
}

#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) root: u32,
    /// Properties that hold for this context: given by the test or set by the module.
    pub(super) properties: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The data of the wasmtime store.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: u64,
    pub(super) log_level: LogLevel,
    pub(super) logs: Vec<LogLine>,
    /// Calls made so far, by the import's name.
    pub(super) calls: BTreeMap<&'static str, u64>,
    pub(super) faults: BTreeMap<String, Fault>,
    pub(super) contexts: BTreeMap<u32, Context>,
    /// The context that calls act on.
    pub(super) current: u32,
    /// The one buffer that exists during the callback that runs.
    pub(super) buffer: Option<(BufferKind, Vec<u8>)>,
    pub(super) metrics: Metrics,
    pub(super) tick_period: u32,
    /// Sides the module has closed, by context.
    pub(super) closed: Vec<(u32, Stream)>,
    /// Contexts whose paused client bytes the module has released.
    pub(super) resumed: Vec<u32>,
    pub(super) http_calls: Vec<HttpCall>,
    pub(super) http_response_headers: Vec<(String, String)>,
    /// What foreign functions answer; the others are not found.
    pub(super) foreign_functions: BTreeMap<String, Result<Vec<u8>, Status>>,
    pub(super) foreign_calls: Vec<(String, Vec<u8>)>,
    pub(super) shared_data: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    pub(super) queue_names: Vec<Vec<u8>>,
    pub(super) queues: Vec<VecDeque<Vec<u8>>>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            clock: START,
            log_level: LogLevel::Info,
            logs: Vec::new(),
            calls: BTreeMap::new(),
            faults: BTreeMap::new(),
            contexts: BTreeMap::new(),
            current: 0,
            buffer: None,
            metrics: Metrics::default(),
            tick_period: 0,
            closed: Vec::new(),
            resumed: Vec::new(),
            http_calls: Vec::new(),
            http_response_headers: Vec::new(),
            foreign_functions: BTreeMap::new(),
            foreign_calls: Vec::new(),
            shared_data: BTreeMap::new(),
            queue_names: Vec::new(),
            queues: Vec::new(),
        }
    }

    /// Counts a call and says whether the test wants it to fail.
    pub(super) fn called(&mut self, name: &'static str) -> Result<(), Status> {
        *self.calls.entry(name).or_default() += 1;
        match self.faults.get_mut(name) {
            Some(fault) if fault.times > 0 => {
                fault.times -= 1;
                Err(fault.status)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn log(&mut self, level: u32, message: &[u8]) -> Result<(), Status> {
        let level = LogLevel::of_number(level)?;
        let message = String::from_utf8_lossy(message).into_owned();
        self.logs.push(LogLine { level, message });
        Ok(())
    }

    fn buffer(&mut self, kind: u32) -> Result<&mut Vec<u8>, Status> {
        let asked = BufferKind::of_number(kind)?;
        match &mut self.buffer {
            Some((kind, bytes)) if *kind == asked => Ok(bytes),
            _ => Err(Status::NotFound),
        }
    }

    /// A part of the buffer, cut where it ends; past its end there is nothing.
    pub(super) fn buffer_bytes(
        &mut self,
        kind: u32,
        start: u32,
        size: u32,
    ) -> Result<&[u8], Status> {
        let end = start.checked_add(size).ok_or(Status::BadArgument)? as usize;
        let bytes = self.buffer(kind)?;
        let end = end.min(bytes.len());
        Ok(bytes.get(start as usize..end).unwrap_or_default())
    }

    pub(super) fn buffer_size(&mut self, kind: u32) -> Result<u32, Status> {
        Ok(u32::try_from(self.buffer(kind)?.len()).expect("a buffer fits into the VM"))
    }

    /// Envoy can put bytes before the buffer, behind it, or in the place of its beginning (all of
    /// it, or less), but not into its middle. A buffer of another callback is a bad argument.
    pub(super) fn set_buffer(
        &mut self,
        kind: u32,
        start: u32,
        size: u32,
        new: &[u8],
    ) -> Result<(), Status> {
        let bytes = self.buffer(kind).map_err(|_| Status::BadArgument)?;
        let (start, size) = (start as usize, size as usize);
        if start == 0 {
            bytes.splice(..size.min(bytes.len()), new.iter().copied());
        } else if start >= bytes.len() {
            bytes.extend_from_slice(new);
        } else {
            return Err(Status::BadArgument);
        }
        Ok(())
    }

    /// What the connection says, else what its root says.
    pub(super) fn property(&self, path: &[u8]) -> Result<&[u8], Status> {
        let context = self.contexts.get(&self.current);
        let root = context.and_then(|context| self.contexts.get(&context.root));
        context
            .into_iter()
            .chain(root)
            .find_map(|context| context.properties.get(path))
            .map(Vec::as_slice)
            .ok_or(Status::NotFound)
    }

    pub(super) fn set_property(&mut self, path: Vec<u8>, value: Vec<u8>) -> Result<(), Status> {
        let context = self
            .contexts
            .get_mut(&self.current)
            .ok_or(Status::NotFound)?;
        context.properties.insert(path, value);
        Ok(())
    }

    pub(super) fn set_effective_context(&mut self, id: u32) -> Result<(), Status> {
        if !self.contexts.contains_key(&id) {
            return Err(Status::BadArgument);
        }
        self.current = id;
        Ok(())
    }

    /// The bytes of a paused client go on; a paused server's go on only with its next bytes.
    pub(super) fn continue_stream(&mut self, stream: u32) -> Result<(), Status> {
        match Stream::of_number(stream)? {
            Stream::Downstream => self.resumed.push(self.current),
            Stream::Upstream => return Err(Status::Unimplemented),
        }
        Ok(())
    }

    pub(super) fn close_stream(&mut self, stream: u32) -> Result<(), Status> {
        let stream = Stream::of_number(stream)?;
        self.closed.push((self.current, stream));
        Ok(())
    }

    /// A `cas` of 0 sets the value whatever it was.
    pub(super) fn set_shared_data(
        &mut self,
        key: Vec<u8>,
        value: Vec<u8>,
        cas: u32,
    ) -> Result<(), Status> {
        let entry = self.shared_data.entry(key).or_default();
        if cas != 0 && cas != entry.1 {
            return Err(Status::CasMismatch);
        }
        *entry = (value, entry.1 + 1);
        Ok(())
    }

    pub(super) fn queue_named(&mut self, name: Vec<u8>) -> u32 {
        let index = self
            .queue_names
            .iter()
            .position(|known| *known == name)
            .unwrap_or_else(|| {
                self.queue_names.push(name);
                self.queues.push(VecDeque::new());
                self.queues.len() - 1
            });
        u32::try_from(index + 1).expect("few queues")
    }

    pub(super) fn queue(&mut self, token: u32) -> Result<&mut VecDeque<Vec<u8>>, Status> {
        let index = (token as usize).checked_sub(1).ok_or(Status::NotFound)?;
        self.queues.get_mut(index).ok_or(Status::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWNSTREAM: u32 = 2;
    const UPSTREAM: u32 = 3;

    fn with_buffer(bytes: &[u8]) -> State {
        let mut state = State::new();
        state.buffer = Some((BufferKind::Data(Stream::Downstream), bytes.to_vec()));
        state
    }

    #[test]
    fn a_buffer_is_changed_at_its_ends_only() {
        type Case = (u32, u32, &'static [u8], Result<&'static [u8], Status>);
        let cases: [Case; 8] = [
            (0, 0, b"new", Ok(b"newold")),
            (0, 3, b"new", Ok(b"new")),
            (0, 99, b"new", Ok(b"new")),
            (0, 99, b"", Ok(b"")),
            (0, 1, b"c", Ok(b"cld")),
            (3, 0, b"new", Ok(b"oldnew")),
            (99, 7, b"new", Ok(b"oldnew")),
            (1, 1, b"new", Err(Status::BadArgument)),
        ];
        for (start, size, new, expected) in cases {
            let mut state = with_buffer(b"old");
            let result = state.set_buffer(DOWNSTREAM, start, size, new);
            assert_eq!(
                result.map(|()| state.buffer.unwrap().1),
                expected.map(<[u8]>::to_vec)
            );
        }
    }

    #[test]
    fn a_buffer_exists_in_its_own_callback_and_is_empty_past_its_end() {
        let mut state = with_buffer(b"old");
        assert_eq!(state.buffer_bytes(DOWNSTREAM, 1, 99), Ok(b"ld".as_slice()));
        assert_eq!(state.buffer_bytes(DOWNSTREAM, 4, 1), Ok(b"".as_slice()));
        assert_eq!(
            state.buffer_bytes(DOWNSTREAM, 1, u32::MAX),
            Err(Status::BadArgument)
        );
        assert_eq!(state.buffer_bytes(UPSTREAM, 0, 1), Err(Status::NotFound));
        assert_eq!(
            state.set_buffer(UPSTREAM, 0, 0, b"x"),
            Err(Status::BadArgument)
        );
    }
}
