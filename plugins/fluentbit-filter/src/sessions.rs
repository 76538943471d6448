//! What was written of sessions: members of a record, ready to be copied into the next one.

/// Sessions remembered. One that is new takes the place of another.
const PLACES: usize = 64;
/// The most that is remembered of one, in bytes.
const LONGEST: usize = 1024;

/// What was written of sessions, in records that keep members of the same names.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Made when there is something to remember.
    places: Vec<(u64, Vec<u8>)>,
    /// The names, a quote behind each: what is added does not take them.
    beside: Vec<u8>,
}

impl Sessions {
    /// Forgets all, since another would be written now.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
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

    /// What was written of a session.
    #[inline]
    pub(crate) fn get(&self, session: u64) -> Option<&[u8]> {
        let (known, written) = self.places.get(place(session))?;
        (*known == session).then_some(written)
    }

    /// Remembers what was written of a session.
    pub(crate) fn set(&mut self, session: u64, written: &[u8]) {
        if self.places.is_empty() {
            self.places.resize(PLACES, (0, Vec::new()));
        }
        let fits = written.len() <= LONGEST;
        if let Some((known, place)) = self.places.get_mut(place(session)).filter(|_| fits) {
            *known = session;
            place.clear();
            place.extend_from_slice(written);
        }
    }
}

fn place(session: u64) -> usize {
    session as usize % PLACES
}
