//! Bridges, two topics and people: whatever is said arrives on the other side, and goes round nowhere.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use proptest::prelude::*;
use stomp_bridge::memory::{LASTS, Memory, Told};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Ours,
    Old,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Ours => Self::Old,
            Self::Old => Self::Ours,
        }
    }
}

fn told(about: u8, what: u8) -> Told {
    Told {
        about: about.to_string(),
        what: what.to_string(),
    }
}

/// Bridges on the same two topics.
struct Site {
    bridges: Vec<Memory>,
    /// False where something between the older daemons loses their headers. Ours is part of the body.
    marks_last: bool,
    now: Duration,
    /// The newest that each side heard about each thing.
    newest: BTreeMap<(Side, String), String>,
    carried: usize,
}

impl Site {
    fn new(bridges: usize, marks_last: bool) -> Self {
        Self {
            bridges: (0..bridges).map(|_| Memory::default()).collect(),
            marks_last,
            now: Duration::ZERO,
            newest: BTreeMap::new(),
            carried: 0,
        }
    }

    /// Somebody says it; returns when nothing more is said because of it.
    fn say(&mut self, side: Side, it: &Told) {
        let mut under_way = VecDeque::from([(side, false)]);
        let before = self.carried;
        while let Some((heard_on, marked)) = under_way.pop_front() {
            let newest = self.newest.entry((heard_on, it.about.clone()));
            newest.insert_entry(it.what.clone());
            self.now += Duration::from_millis(1);
            for memory in &mut self.bridges {
                let known = marked || memory.knows(it, self.now);
                memory.note(it, self.now);
                if !known {
                    let to = heard_on.other();
                    under_way.push_back((to, self.marks_last || to == Side::Ours));
                    self.carried += 1;
                }
            }
            assert!(self.carried - before <= 100, "it goes round");
        }
        assert!(self.carried - before <= self.bridges.len(), "once for each");
    }
}

proptest! {
    #[test]
    fn what_is_said_is_the_newest_on_the_other_side_and_goes_round_nowhere(
        said in prop::collection::vec((any::<bool>(), 0u8..3, 0u8..4), 1..60),
        bridges in 1usize..4,
        marks_last: bool,
    ) {
        let mut site = Site::new(bridges, marks_last);
        for (ours, about, what) in said {
            let side = if ours { Side::Ours } else { Side::Old };
            let it = told(about, what);
            site.say(side, &it);
            let there = site.newest.get(&(side.other(), it.about.clone()));
            prop_assert_eq!(there, Some(&it.what), "about {}", it.about);
        }
    }
}

#[test]
fn what_is_told_twice_is_known_for_a_minute() {
    let mut memory = Memory::default();
    let at = Duration::from_secs;
    assert!(!memory.knows(&told(1, 1), at(0)));
    memory.note(&told(1, 1), at(0));
    assert!(memory.knows(&told(1, 1), at(59)));
    assert!(!memory.knows(&told(2, 1), at(59)));
    assert!(!memory.knows(&told(1, 1), LASTS));
}

#[test]
fn a_branch_that_is_moved_away_and_back_was_moved_twice() {
    let mut memory = Memory::default();
    for what in [1, 2, 1, 2] {
        assert!(!memory.knows(&told(1, what), Duration::ZERO));
        memory.note(&told(1, what), Duration::ZERO);
    }
}

#[test]
fn what_was_told_again_is_known_from_then_on() {
    let mut memory = Memory::default();
    let at = Duration::from_secs;
    memory.note(&told(1, 1), at(0));
    memory.note(&told(1, 1), at(30));
    memory.note(&told(2, 1), at(61));
    assert!(memory.knows(&told(1, 1), at(89)));
    memory.note(&told(2, 1), at(200));
    assert_eq!(memory.holds(), 1);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut memory = Memory::default();
    for number in 0..50_000 {
        let it = Told {
            about: number.to_string(),
            what: String::new(),
        };
        memory.note(&it, Duration::ZERO);
    }
    assert_eq!(memory.holds(), 10_000);
}
