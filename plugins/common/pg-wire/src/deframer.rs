//! Cuts one direction's bytes into messages, whatever pieces they come in.
//!
//! The first thing a [`Session`](crate::Session) does with bytes. A message that lies wholly in the
//! piece at hand is handed out as a slice of it; only the beginning of a message that is split is
//! copied, and of that only what its head needs. The rest of a body is skipped by its length.

use crate::layout::{Head, Layout, MAX_STARTUP_PACKET, by_tag};
use crate::{Direction, Limits, MessageName};

/// Tag and length word.
const HEADER: usize = 5;
/// Length word and code of a start-up packet.
const STARTUP_HEADER: usize = 8;
/// A buffer no larger than this is kept for the next split message.
const KEPT_CAPACITY: usize = 64;

/// What the next byte of a direction begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// A packet without a tag: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest.
    Startup,
    /// The one byte that answers an SSLRequest or GSSENCRequest, or an ErrorResponse.
    Answer,
    /// A message with tag and length.
    Tagged,
}

/// One message: its name, its length, and the beginning of its body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// Which message.
    pub name: MessageName,
    /// Bytes on the wire, tag and length word included.
    pub length: u64,
    /// The first bytes of the body, as many as the session looks at; for a start-up packet all of
    /// what follows the length word.
    pub head: &'a [u8],
    /// The body is longer than `head`.
    pub truncated: bool,
}

/// The first byte that cannot be what it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrameError {
    /// The peer sent a tag that this direction does not have.
    UnknownTag,
    /// The peer sent a length below 4, or beyond what this message can have.
    BadLength(MessageName),
    /// The client began with a TLS record.
    DirectTls,
    /// The client began with something that is no start-up packet of protocol 3.
    NotStartup,
}

/// Cuts messages out of one direction of a connection.
#[derive(Debug)]
pub struct Deframer {
    direction: Direction,
    phase: Phase,
    limits: Limits,
    /// Whether `held` was handed out by the last call, and is cleared by the next.
    spent: bool,
    /// The beginning of a message that was split: `held.len()` is less than its header and head
    /// together, or equal if `spent`. Empty as long as no message is split.
    held: Vec<u8>,
    /// Body bytes of the message handed out last that are still to come. While this is not 0,
    /// `held` is empty or `spent`.
    skip: u64,
}

impl Deframer {
    /// For a new connection.
    #[must_use]
    pub fn new(direction: Direction, limits: Limits) -> Self {
        let phase = match direction {
            Direction::Frontend => Phase::Startup,
            Direction::Backend => Phase::Tagged,
        };
        Self {
            direction,
            phase,
            limits,
            spent: false,
            held: Vec::new(),
            skip: 0,
        }
    }

    /// What the next message begins with; to be called between messages.
    pub fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Bytes at the front of the next input that belong to a message already handed out.
    #[must_use]
    pub fn skip(&self) -> u64 {
        self.skip
    }

    /// So many of the bytes to skip went by unseen.
    pub fn skipped(&mut self, bytes: u64) {
        self.skip = self.skip.saturating_sub(bytes);
    }

    /// Bytes this deframer holds on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// The next message, cut from the front of `input`; `None` once `input` is used up.
    #[inline(always)]
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FrameError> {
        if self.phase != Phase::Tagged || !self.held.is_empty() || self.skip != 0 {
            return self.next_slowly(input);
        }
        self.next_whole(input)
    }

    /// A message that begins in `input`, with nothing held and nothing to skip.
    #[inline(always)]
    fn next_whole<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FrameError> {
        let [tag, l0, l1, l2, l3, rest @ ..] = *input else {
            return self.hold(input);
        };
        let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]);
        let (name, body, head) = self.header(*tag, length)?;
        let Some(head) = rest.get(..head) else {
            return self.hold(input);
        };
        match rest.get(body..) {
            Some(after) => *input = after,
            None => {
                self.skip = body.saturating_sub(rest.len()) as u64;
                *input = &[];
            }
        }
        Ok(Some(Frame {
            name,
            length: u64::from(length).saturating_add(1),
            head,
            truncated: head.len() < body,
        }))
    }

    /// Name, body length and head length of a tagged message.
    #[inline(always)]
    fn header(&self, tag: u8, length: u32) -> Result<(MessageName, usize, usize), FrameError> {
        let (name, body, head) = checked(self.direction, tag, length)?;
        Ok((name, body, body.min(head.limit(&self.limits))))
    }

    /// Keeps the beginning of a split message.
    #[cold]
    fn hold<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FrameError> {
        if let Some(tag) = input.first() {
            by_tag(self.direction, *tag).ok_or(FrameError::UnknownTag)?;
        }
        self.held.extend_from_slice(input);
        *input = &[];
        Ok(None)
    }

    #[cold]
    fn next_slowly<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FrameError> {
        if self.spent {
            self.spent = false;
            self.held.clear();
            self.held.shrink_to(KEPT_CAPACITY);
        }
        self.discard(input);
        if input.is_empty() {
            return Ok(None);
        }
        match self.phase {
            Phase::Startup => self.next_startup(input),
            Phase::Answer if self.held.is_empty() && input.first() != Some(&b'E') => {
                let (head, rest) = input.split_at_checked(1).unwrap_or_default();
                *input = rest;
                let name = MessageName::EncryptionResponse;
                Ok(Some(Frame {
                    name,
                    length: 1,
                    head,
                    truncated: false,
                }))
            }
            Phase::Answer | Phase::Tagged if self.held.is_empty() => self.next_whole(input),
            Phase::Answer | Phase::Tagged => self.next_split(input),
        }
    }

    /// Drops what is to be skipped from the front of `input`.
    fn discard(&mut self, input: &mut &[u8]) {
        let here = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(input.len());
        *input = input.get(here..).unwrap_or_default();
        self.skip = self.skip.saturating_sub(here as u64);
    }

    /// A tagged message whose beginning is held.
    fn next_split<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FrameError> {
        if !self.fill(HEADER, input) {
            return Ok(None);
        }
        let &[tag, l0, l1, l2, l3, ..] = self.held.as_slice() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let (name, body, head) = self.header(tag, length)?;
        if !self.fill(HEADER.saturating_add(head), input) {
            return Ok(None);
        }
        self.skip = body.saturating_sub(head) as u64;
        self.discard(input);
        self.spent = true;
        Ok(Some(Frame {
            name,
            length: u64::from(length).saturating_add(1),
            head: self.held.get(HEADER..).unwrap_or_default(),
            truncated: head < body,
        }))
    }

    /// A packet of the start-up phase: always whole, since all of it is looked at. It is held even
    /// when it is not split; there is one or two in a connection's life.
    fn next_startup<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FrameError> {
        self.fill(1, input);
        match self.held.first() {
            Some(0) => {}
            Some(0x16) => return Err(FrameError::DirectTls),
            _ => return Err(FrameError::NotStartup),
        }
        if !self.fill(STARTUP_HEADER, input) {
            return match self.held.as_slice() {
                &[l0, l1, l2, l3, ..] => {
                    startup_length(u32::from_be_bytes([l0, l1, l2, l3])).map(|_| None)
                }
                _ => Ok(None),
            };
        }
        let Some(header) = self.held.first_chunk() else {
            return Ok(None);
        };
        let (name, length) = startup_header(*header)?;
        if !self.fill(length, input) {
            return Ok(None);
        }
        self.spent = true;
        Ok(Some(Frame {
            name,
            length: length as u64,
            head: self.held.get(4..).unwrap_or_default(),
            truncated: false,
        }))
    }

    /// Moves bytes from `input` to `held` until it has `target`; whether it has.
    fn fill(&mut self, target: usize, input: &mut &[u8]) -> bool {
        let missing = target.saturating_sub(self.held.len()).min(input.len());
        if let Some((now, later)) = input.split_at_checked(missing) {
            self.held.extend_from_slice(now);
            *input = later;
        }
        self.held.len() >= target
    }
}

/// Name and body length of a tagged message, for those who cut a stream themselves because they
/// change it. Unknown tags and lengths that the receiver would refuse are errors.
#[inline(always)]
pub fn tagged_header(
    direction: Direction,
    header: [u8; HEADER],
) -> Result<(MessageName, usize), FrameError> {
    let [tag, l0, l1, l2, l3] = header;
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    checked(direction, tag, length).map(|(name, body, _)| (name, body))
}

/// Name and whole length of a packet of the start-up phase, from its length word and its code.
/// Anything but protocol 3 and the three requests is [`FrameError::NotStartup`].
pub fn startup_header(header: [u8; STARTUP_HEADER]) -> Result<(MessageName, usize), FrameError> {
    let [l0, l1, l2, l3, c0, c1, c2, c3] = header;
    let length = startup_length(u32::from_be_bytes([l0, l1, l2, l3]))?;
    let name = startup_name(u32::from_be_bytes([c0, c1, c2, c3]))?;
    let layout = Layout::of(name);
    if length < layout.min || length > layout.max {
        return Err(FrameError::NotStartup);
    }
    Ok((name, length as usize))
}

#[inline(always)]
fn checked(
    direction: Direction,
    tag: u8,
    length: u32,
) -> Result<(MessageName, usize, Head), FrameError> {
    let (name, layout) = by_tag(direction, tag).ok_or(FrameError::UnknownTag)?;
    if length < layout.min || length > layout.max {
        return Err(FrameError::BadLength(*name));
    }
    Ok((*name, length.saturating_sub(4) as usize, layout.head))
}

fn startup_length(length: u32) -> Result<u32, FrameError> {
    if (STARTUP_HEADER as u32..=MAX_STARTUP_PACKET).contains(&length) {
        Ok(length)
    } else {
        Err(FrameError::NotStartup)
    }
}

/// The packet a code stands for (`src/include/libpq/pqcomm.h`).
fn startup_name(code: u32) -> Result<MessageName, FrameError> {
    match (code, code >> 16) {
        (80_877_102, _) => Ok(MessageName::CancelRequest),
        (80_877_103, _) => Ok(MessageName::SSLRequest),
        (80_877_104, _) => Ok(MessageName::GSSENCRequest),
        (_, 3) => Ok(MessageName::StartupMessage),
        _ => Err(FrameError::NotStartup),
    }
}
