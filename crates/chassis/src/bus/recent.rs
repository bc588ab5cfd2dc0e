//! Ids seen lately.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

/// How many ids are remembered.
pub(crate) const REMEMBERED: usize = 4096;

/// The last [`REMEMBERED`] ids that were acknowledged. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<Ids>>);

#[derive(Debug, Default)]
struct Ids {
    known: HashSet<Uuid>,
    order: VecDeque<Uuid>,
}

impl Recent {
    pub(crate) fn contains(&self, id: Uuid) -> bool {
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.known.contains(&id)
    }

    pub(crate) fn insert(&self, id: Uuid) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.known.insert(id) {
            ids.order.push_back(id);
            if ids.order.len() > REMEMBERED
                && let Some(oldest) = ids.order.pop_front()
            {
                ids.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_id_is_forgotten_first() {
        let recent = Recent::default();
        let id = |number: usize| Uuid::from_u128(number as u128);
        for number in 0..=REMEMBERED {
            recent.insert(id(number));
            recent.insert(id(number));
        }
        assert!(!recent.contains(id(0)));
        assert!(recent.contains(id(1)) && recent.contains(id(REMEMBERED)));
    }
}
