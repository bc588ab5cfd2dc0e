//! The files that hold deliveries.
#![expect(
    clippy::disallowed_methods,
    reason = "what lies on the disk is looked at as anybody would"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use events::message::Pushed;
use github_stomp::deliveries::{Became, Bounds, Delivery, Outcome, Shelf, shelf};
use jiff::Timestamp;
use testkit::{Faulty, Folder};
use uuid::Uuid;
use world::RealDisk;

const BOUNDS: Bounds = Bounds {
    number: 32,
    bytes: 1 << 20,
    age_s: 1000,
};

fn id(number: u128) -> Uuid {
    // As UUIDv7 do, they sort by time.
    Uuid::from_u128(number << 80 | 7 << 76)
}

fn delivery(number: u128, body: &str) -> (Delivery, Bytes) {
    let delivery = Delivery {
        id: id(number),
        time: Timestamp::UNIX_EPOCH,
        source: if number.is_multiple_of(2) {
            "hub"
        } else {
            "lab"
        }
        .to_owned(),
        delivery: String::new(),
        event: "push".to_owned(),
        answer: 202,
        replay_of: None,
        outcome: Outcome::Announced,
        said: String::new(),
        became: Vec::new(),
        body_bytes: body.len(),
        kept_bytes: body.len(),
    };
    (delivery, Bytes::from(body.to_owned()))
}

fn open(folder: &Folder, bounds: Bounds) -> (Shelf, Vec<Uuid>) {
    let mut there = Vec::new();
    let shelf = Shelf::open(&RealDisk, &folder.join("kept"), bounds, |delivery| {
        there.push(delivery.id);
    });
    (shelf.unwrap(), there)
}

fn newest(folder: &Folder, most: usize) -> Vec<Uuid> {
    let newest = shelf::newest(&RealDisk, &folder.join("kept"), most, |_| true);
    newest.unwrap().iter().map(|found| found.id).collect()
}

fn ids(numbers: impl IntoIterator<Item = u128>) -> Vec<Uuid> {
    numbers.into_iter().map(id).collect()
}

fn logs(folder: &Folder) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder.join("kept")).unwrap();
    let mut logs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    logs.sort();
    logs
}

#[test]
fn a_delivery_was_announced_if_one_of_its_pushes_was() {
    let push = Pushed::of(
        "shop".parse().unwrap(),
        "refs/heads/main".parse().unwrap(),
        None,
        None,
    );
    let of = |outcomes: &[Outcome]| {
        let became = outcomes.iter().map(|one| Became::of(&push, *one, id(1)));
        Outcome::of(&became.collect::<Vec<_>>())
    };
    let (announced, folded) = (Outcome::Announced, Outcome::Folded);
    assert_eq!(of(&[folded, announced, folded]), announced);
    assert_eq!(of(&[folded, folded]), folded, "by the sweep too");
    assert_eq!(of(&[]), folded);
}

#[test]
fn what_is_kept_is_found_whole_and_listed_newest_first() {
    let folder = Folder::new();
    let (mut shelf, there) = open(&folder, BOUNDS);
    assert!(there.is_empty());
    // Bodies are bytes: they may look like the end of something.
    let bodies = ["{}", "", "\n\n{\"id\":1}\n", &"x".repeat(100_000)];
    for (number, body) in bodies.iter().enumerate() {
        shelf
            .add(&RealDisk, &[delivery(number as u128, body)], 0)
            .unwrap();
    }
    assert_eq!(newest(&folder, 99), ids([3, 2, 1, 0]));
    assert_eq!(newest(&folder, 2), ids([3, 2]));
    for (number, body) in bodies.iter().enumerate() {
        let found = shelf::find(&RealDisk, &folder.join("kept"), id(number as u128)).unwrap();
        assert_eq!(found.unwrap().1, body.as_bytes());
    }
    assert!(
        shelf::find(&RealDisk, &folder.join("kept"), id(9))
            .unwrap()
            .is_none()
    );
    let of_lab = shelf::newest(&RealDisk, &folder.join("kept"), 1, |it| it.source == "lab");
    assert_eq!(of_lab.unwrap()[0].id, id(3));
    // The next process adds to a file of its own.
    drop(shelf);
    let (mut shelf, there) = open(&folder, BOUNDS);
    assert_eq!(there, ids([0, 1, 2, 3]));
    shelf.add(&RealDisk, &[delivery(4, "{}")], 0).unwrap();
    assert_eq!(newest(&folder, 2), ids([4, 3]));
}

#[test]
fn nobody_else_can_read_them() {
    let folder = Folder::new();
    let (mut shelf, _) = open(&folder, BOUNDS);
    shelf.add(&RealDisk, &[delivery(0, "{}")], 0).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.join("kept")), 0o700);
    assert_eq!(mode(&logs(&folder)[0]), 0o600);
}

#[test]
fn the_oldest_go_when_they_are_too_many_too_large_or_too_old() {
    let number = Folder::new();
    let (mut shelf, _) = open(&number, BOUNDS);
    for it in 0..100 {
        shelf.add(&RealDisk, &[delivery(it, "{}")], 0).unwrap();
        let kept = newest(&number, 1000);
        assert!(kept.len() <= 32, "{}", kept.len());
        assert_eq!(kept[0], id(it));
    }
    assert!(newest(&number, 1000).len() > 28, "no more go than must");

    let size = Folder::new();
    let bounds = Bounds {
        number: 10_000,
        ..BOUNDS
    };
    let (mut shelf, _) = open(&size, bounds);
    for it in 0..100 {
        shelf
            .add(&RealDisk, &[delivery(it, &"x".repeat(30_000))], 0)
            .unwrap();
        let bytes: u64 = logs(&size)
            .iter()
            .map(|log| fs::metadata(log).unwrap().len())
            .sum();
        assert!(bytes <= bounds.bytes, "{bytes}");
    }
    assert!(newest(&size, 1000).len() > 30);
    // One that is larger than all of it is kept alone.
    shelf
        .add(&RealDisk, &[delivery(100, &"x".repeat(2 << 20))], 0)
        .unwrap();
    assert_eq!(newest(&size, 1000), ids([100]));

    shelf.add(&RealDisk, &[delivery(101, "{}")], 500).unwrap();
    shelf.remove_old(&RealDisk, 1200).unwrap();
    assert_eq!(newest(&size, 1000), ids([101]), "of its age alone");
    shelf.remove_old(&RealDisk, 1501).unwrap();
    assert!(logs(&size).is_empty());
    shelf.add(&RealDisk, &[delivery(102, "{}")], 1502).unwrap();
    assert_eq!(newest(&size, 1000), ids([102]));
}

#[test]
fn a_full_disk_leaves_no_files_without_a_delivery_and_what_was_kept_before_is_found() {
    let folder = Folder::new();
    let fault: Arc<Mutex<&[&str]>> = Arc::default();
    let disk = {
        let fault = Arc::clone(&fault);
        Faulty::new(move |call, _| match fault.lock().unwrap().contains(&call) {
            true => Err(std::io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        })
    };
    let (mut shelf, _) = open(&folder, BOUNDS);
    shelf.add(&disk, &[delivery(0, "{}")], 0).unwrap();
    let before = logs(&folder);
    let mut number = 1;
    let mut lose = |shelf: &mut Shelf, calls: &'static [&str]| {
        *fault.lock().unwrap() = calls;
        for _ in 0..5 {
            let both = [number, number + 1].map(|number| delivery(number, "{}"));
            let lost = shelf.add(&disk, &both, 0).unwrap_err();
            assert_eq!(lost.number, 2);
            number += 2;
        }
        *fault.lock().unwrap() = &[];
    };
    for calls in [&["append_log"][..], &["open_log"], &["create"]] {
        lose(&mut shelf, calls);
        assert_eq!(logs(&folder), before, "{calls:?}");
    }
    // Of one that cannot be removed either no more are made, and it goes when that works, also after a restart.
    lose(&mut shelf, &["append_log", "remove_file"]);
    assert_eq!(logs(&folder).len(), 2);
    shelf.remove_old(&disk, 0).unwrap();
    assert_eq!(logs(&folder), before);
    lose(&mut shelf, &["append_log", "remove_file"]);
    let (mut shelf, there) = open(&folder, BOUNDS);
    assert_eq!(there, ids([0]));
    shelf.add(&disk, &[delivery(99, "{}")], 0).unwrap();
    assert_eq!(logs(&folder).len(), 2);
    assert_eq!(newest(&folder, 9), ids([99, 0]));
}

#[test]
fn half_a_delivery_at_the_end_is_passed_over_wherever_it_breaks_off() {
    let folder = Folder::new();
    let (mut shelf, _) = open(&folder, BOUNDS);
    shelf.add(&RealDisk, &[delivery(0, "whole")], 0).unwrap();
    let log = logs(&folder).remove(0);
    let first = fs::metadata(&log).unwrap().len() as usize;
    shelf.add(&RealDisk, &[delivery(1, "broken")], 0).unwrap();
    drop(shelf);
    let whole = fs::read(&log).unwrap();
    for length in 0..whole.len() {
        fs::write(&log, &whole[..length]).unwrap();
        let found = shelf::find(&RealDisk, &folder.join("kept"), id(0)).unwrap();
        assert_eq!(found.is_some(), length >= first - 1, "{length} bytes");
        let torn = shelf::find(&RealDisk, &folder.join("kept"), id(1)).unwrap();
        assert_eq!(torn.is_some(), length >= whole.len() - 1, "{length} bytes");
        let (_, _never_panics) = open(&folder, BOUNDS);
    }
    // Nothing but zeros, as some file systems leave behind.
    fs::write(&log, [whole.as_slice(), &[0; 5000]].concat()).unwrap();
    assert_eq!(open(&folder, BOUNDS).1, ids([0, 1]));
}
