//! What was written of sessions and of messages: members of a record, ready to be copied into the next one.

use pg_log::Part;

/// The most that is remembered of one, in bytes.
const LONGEST: usize = 1024;

/// Parts, each in its place; one that is new takes that of another. Made when there is something to remember.
type Places = Vec<(Part, Vec<u8>)>;

/// What was written, in records that keep members of the same names.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    sessions: Places,
    messages: Places,
    /// The names, a quote behind each: what is added does not take them.
    beside: Vec<u8>,
}

impl Parts {
    /// Forgets all, since another would be written now.
    pub(crate) fn clear(&mut self) {
        self.sessions.clear();
        self.messages.clear();
    }

    /// Forgets sessions, since others are numbered so from now on.
    pub(crate) fn forget_sessions(&mut self) {
        self.sessions.clear();
    }

    /// Whether they were written beside no members.
    #[inline]
    pub(crate) fn are_alone(&self) -> bool {
        self.beside.is_empty()
    }

    /// What follows is written beside members of these names.
    pub(crate) fn beside<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]> + Clone) {
        let mut rest: &[u8] = &self.beside;
        let mut same = true;
        for key in keys.clone() {
            let behind = rest.strip_prefix(key);
            match behind.and_then(|behind| behind.strip_prefix(b"\"")) {
                Some(behind) => rest = behind,
                None => same = false,
            }
        }
        if !same || !rest.is_empty() {
            self.clear();
            self.beside.clear();
            for key in keys {
                self.beside.extend_from_slice(key);
                self.beside.push(b'"');
            }
        }
    }

    /// What was written of a part.
    #[inline]
    pub(crate) fn get(&self, part: Part) -> Option<&[u8]> {
        let places = match part.is_session() {
            true => &self.sessions,
            false => &self.messages,
        };
        let (known, written) = places.get(part.place())?;
        (*known == part).then_some(written)
    }

    /// Remembers what was written of a part.
    pub(crate) fn set(&mut self, part: Part, written: &[u8]) {
        let places = match part.is_session() {
            true => &mut self.sessions,
            false => &mut self.messages,
        };
        if places.is_empty() {
            places.resize(Part::PLACES, (Part::default(), Vec::new()));
        }
        let place = places.get_mut(part.place());
        if let Some((known, place)) = place.filter(|_| written.len() <= LONGEST) {
            *known = part;
            place.clear();
            place.extend_from_slice(written);
        }
    }
}
