//! What a session may hold: the few numbers that bound its memory.

/// Bounds of one session. [`Limits::DEFAULT`] suits counting; a caller that wants to print or judge
/// statement text asks for more of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a Query's or Parse's text that the session looks at, from its beginning. The first
    /// keyword is looked for here, past leading comments.
    pub statement_text: u32,
    /// Bytes of an ErrorResponse or NoticeResponse body, from its beginning; severity and SQLSTATE
    /// come first.
    pub report: u32,
    /// Messages waiting for their answer. One entry takes [`crate::IN_FLIGHT_BYTES`].
    pub in_flight: u32,
    /// Named prepared statements that are told apart; more are not counted.
    pub prepared: u16,
    /// Named portals that are told apart; the statements of more are known by their tags only.
    pub portals: u16,
}

impl Limits {
    /// The limits of [`Session::new`](crate::Session::new).
    pub const DEFAULT: Self = Self {
        statement_text: 1024,
        report: 512,
        in_flight: 65_536,
        prepared: 2048,
        portals: 64,
    };
}

impl Limits {
    /// What a session with these limits never exceeds, in bytes on the heap and in itself. Vectors
    /// grow by doubling, which is counted in. An idle session that has been through any of it falls
    /// back to less than [`Limits::IDLE_STATE_BYTES`], prepared statements aside.
    #[must_use]
    pub const fn max_state_bytes(&self) -> usize {
        const fn add(sum: usize, count: usize, bytes: usize) -> usize {
            sum.saturating_add(count.saturating_mul(bytes).saturating_mul(2))
        }
        let mut sum = size_of::<crate::Session>();
        sum = add(sum, 1, crate::layout::longest_held(self));
        sum = add(sum, 1, crate::layout::longest_held(self));
        sum = add(sum, self.in_flight as usize, crate::IN_FLIGHT_BYTES);
        sum = add(sum, self.prepared as usize, crate::session::PREPARED_BYTES);
        add(sum, self.portals as usize, crate::session::PORTAL_BYTES)
    }

    /// Messages that may wait for their answer before the server has let the client in, whatever
    /// [`Limits::in_flight`] allows: until then the memory belongs to whoever can connect.
    pub(crate) const STARTING_IN_FLIGHT: u32 = 64;

    /// What a session never exceeds before the server has let the client in: the messages in flight
    /// and a start-up packet.
    pub const STARTING_STATE_BYTES: usize = 32 * 1024;

    /// What a session holds that waits for nothing and has no prepared statements.
    pub const IDLE_STATE_BYTES: usize = 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
