//! Ids seen lately.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

/// So many are always remembered.
const LEAST: usize = 4096;

/// Beyond these an id is remembered for as long as a duplicate may well come. A publisher that lost its connection sends
/// again within its publish limit (30 s unless set otherwise), while others publish on; a broker that was killed brings
/// again what was acknowledged shortly before.
const KEPT: Duration = Duration::from_secs(600);

/// So many at most: about 4 MB, and 30 s of the 2,000 messages a second that one reader manages.
const MOST: usize = 65_536;

/// The ids that were acknowledged lately. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<Ids>>);

#[derive(Debug, Default)]
struct Ids {
    known: HashSet<Uuid>,
    order: VecDeque<(Instant, Uuid)>,
}

impl Recent {
    pub(crate) fn contains(&self, id: Uuid) -> bool {
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.known.contains(&id)
    }

    pub(crate) fn insert(&self, id: Uuid, now: Instant) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.known.insert(id) {
            ids.order.push_back((now, id));
            ids.forget(now);
        }
    }
}

impl Ids {
    fn forget(&mut self, now: Instant) {
        while let Some((since, oldest)) = self.order.front().copied()
            && self.order.len() > LEAST
            && (self.order.len() > MOST || now.duration_since(since) > KEPT)
        {
            self.order.pop_front();
            self.known.remove(&oldest);
        }
        // After a burst, its room is given back.
        if self.order.capacity() > 4 * self.order.len().max(LEAST) {
            self.order.shrink_to_fit();
            self.known.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    #[test]
    fn few_are_remembered_however_old() {
        let (recent, start) = (Recent::default(), Instant::now());
        for number in 0..=LEAST {
            let now = start + KEPT * 2 * u32::try_from(number).unwrap();
            recent.insert(id(number), now);
            recent.insert(id(number), now);
        }
        assert!(!recent.contains(id(0)));
        assert!(recent.contains(id(1)) && recent.contains(id(LEAST)));
    }

    #[test]
    fn a_burst_is_remembered_for_its_time_and_then_its_room_is_given_back() {
        let (recent, start) = (Recent::default(), Instant::now());
        for number in 0..LEAST * 8 {
            recent.insert(id(number), start);
        }
        recent.insert(id(MOST), start + KEPT);
        assert!(recent.contains(id(0)));
        recent.insert(id(MOST + 1), start + KEPT * 2);
        assert!(!recent.contains(id(0)));
        assert!(recent.contains(id(MOST)) && recent.contains(id(MOST + 1)));
        let ids = recent.0.lock().unwrap();
        assert_eq!((ids.known.len(), ids.order.len()), (LEAST, LEAST));
        assert!(ids.order.capacity() <= LEAST * 4);
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let (recent, now) = (Recent::default(), Instant::now());
        for number in 0..=MOST {
            recent.insert(id(number), now);
        }
        assert!(!recent.contains(id(0)) && recent.contains(id(1)));
    }
}
