//! Warnings that a peer can cause at will, kept to a few lines.

use std::time::Duration;

use tokio::time::Instant;

/// At most one line in this time.
const EVERY: Duration = Duration::from_secs(10);

/// Says when a warning is due.
#[derive(Debug, Default)]
pub(crate) struct Rarely {
    last: Option<Instant>,
    silent: u64,
}

impl Rarely {
    /// How often it happened since the last line, this time included, if there is to be one.
    pub(crate) fn due(&mut self) -> Option<u64> {
        self.silent += 1;
        if self.last.is_some_and(|last| last.elapsed() < EVERY) {
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_said_and_the_next_are_counted() {
        let mut rarely = Rarely::default();
        assert_eq!(rarely.due(), Some(1));
        assert_eq!((rarely.due(), rarely.due()), (None, None));
        tokio::time::advance(EVERY).await;
        assert_eq!(rarely.due(), Some(3));
        assert_eq!(rarely.due(), None);
    }
}
