//! Syncs that the server passes over: while it waits for the rows of a COPY it takes no notice of them
//! (`CopyGetData`, `src/backend/commands/copyfromparse.c`), so that no ReadyForQuery comes for them.
//! Clients of the extended protocol send one behind the Execute that begins the COPY.
//!
//! How many they were is known for certain only where a COPY ends well, and where its CopyDone is the
//! only one since the server had answered everything. Otherwise they count as unanswered: on the safe
//! side.

/// What may be a COPY from the client, as both directions see it.
#[derive(Debug, Default)]
pub(super) struct CopyIn {
    /// Syncs since the last message that does not belong into a COPY.
    syncs: u32,
    ended: Ended,
    /// The server waits for rows.
    waits: bool,
}

/// CopyDone since the server had answered everything.
#[derive(Debug, Default)]
enum Ended {
    #[default]
    Never,
    /// Once, behind so many Syncs.
    Once(u32),
    /// More often, or it has been reckoned with.
    Often,
}

impl CopyIn {
    /// The client sent a Sync.
    pub(super) fn sync(&mut self) {
        self.syncs = self.syncs.saturating_add(1);
    }

    /// The client sent CopyDone.
    pub(super) fn done(&mut self) {
        self.ended = match self.ended {
            Ended::Never => Ended::Once(self.syncs),
            Ended::Once(_) | Ended::Often => Ended::Often,
        };
        self.syncs = 0;
    }

    /// The client sent a message that does not belong into a COPY.
    pub(super) fn other(&mut self) {
        self.syncs = 0;
    }

    /// The server asks for rows.
    pub(super) fn begins(&mut self) {
        self.waits = true;
    }

    /// A command is complete: so many Syncs were passed over.
    pub(super) fn complete(&mut self) -> u32 {
        match (std::mem::take(&mut self.waits), &self.ended) {
            (true, Ended::Once(syncs)) => {
                let syncs = *syncs;
                self.ended = Ended::Often;
                syncs
            }
            _ => 0,
        }
    }

    /// The server is ready; `settled`: it has answered everything.
    pub(super) fn ready(&mut self, settled: bool) {
        self.waits = false;
        if settled {
            self.ended = Ended::Never;
        }
    }
}
