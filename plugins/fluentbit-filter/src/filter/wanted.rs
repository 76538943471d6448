//! Which entries stay: by their event, by their severity, one of so many.

use pg_log::{Class, Event, Faults, Severity};

use crate::config::Config;

/// What is not in a configuration as it is.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Entries of a lower severity are dropped.
    lowest: Option<Severity>,
    /// How many came of the events of which one in so many is kept.
    sampled: Vec<(&'static str, u32)>,
}

impl Wanted {
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        Ok(Self {
            lowest: config.lowest_severity()?,
            sampled: Vec::new(),
        })
    }

    /// Whether an entry is not wanted. A companion line without its message always is, and so is an entry
    /// whose severity could not be read, whatever is the lowest.
    pub(super) fn drops(
        &mut self,
        config: &Config,
        event: &Event<'_>,
        class: Option<&'static Class>,
    ) -> bool {
        let severity = event.severity();
        let is_read = severity.is_some() && !event.faults.contains(Faults::SEVERITY_UNKNOWN);
        if is_read && severity < self.lowest {
            return true;
        }
        let Some(class) = class else {
            return false;
        };
        if config.drop.iter().any(|name| name == class.name) {
            return true;
        }
        let every = config.sample.get(class.name);
        every.is_some_and(|every| self.skips(class, *every))
    }

    /// Whether another one of so many entries of a class was kept.
    fn skips(&mut self, class: &'static Class, every: u32) -> bool {
        let mut known = self.sampled.iter_mut();
        let Some((_, seen)) = known.find(|(name, _)| *name == class.name) else {
            self.sampled.push((class.name, 1));
            return false;
        };
        let dropped = *seen > 0;
        *seen = seen.saturating_add(1).checked_rem(every).unwrap_or(0);
        dropped
    }
}
