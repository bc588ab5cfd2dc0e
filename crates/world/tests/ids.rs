//! Ids from the world's clock and randomness.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU8, Ordering},
};

use jiff::Timestamp;
use world::{Clock, Entropy, World};

#[derive(Debug)]
struct Steps(AtomicI64);

impl Clock for Steps {
    fn now(&self) -> Timestamp {
        let millis = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_millisecond(millis).expect("a time")
    }
}

/// Random bytes that get smaller, so that only the time can sort ids.
#[derive(Debug)]
struct Falling(AtomicU8);

impl Entropy for Falling {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_sub(1, Ordering::Relaxed));
    }
}

fn world(start_ms: i64) -> World {
    let mut world = World::real();
    world.clock = Arc::new(Steps(AtomicI64::new(start_ms)));
    world.entropy = Arc::new(Falling(AtomicU8::new(255)));
    world
}

#[test]
fn an_id_is_a_uuid_of_version_7_made_of_time_and_randomness() {
    let id = world(0x0193_5a2b_3c4d).new_id();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.to_string(), "01935a2b-3c4d-7fff-bfff-ffffffffffff");
}

#[test]
fn ids_sort_by_time() {
    let world = world(1_795_262_301_000);
    let ids: Vec<_> = (0..200).map(|_| world.new_id()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert!(texts.is_sorted(), "as text too, for file names");
}

#[test]
fn ids_of_one_millisecond_differ() {
    let real = World::real();
    let mut ids: Vec<_> = (0..1000).map(|_| real.new_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
}

#[test]
fn a_clock_before_1970_is_no_reason_to_fail() {
    assert_eq!(world(-5).new_id().get_version_num(), 7);
}
