//! The log, cut and stopped everywhere.

mod memory_disk;

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use stomp::{Command, Frame};

use super::*;
use memory_disk::MemoryDisk;

/// Segments are then as small as they can be, so that a few commits fill one.
const LIMIT: u64 = 60_000;
const QUEUES: u64 = 3;

/// What a store must have: who waits for what (and whether it may have been seen), and the subscriptions.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    waiting: BTreeMap<(u64, u64), bool>,
    bodies: BTreeMap<u64, usize>,
    kept: BTreeMap<u64, i64>,
}

/// A thing to do; numbers choose among what is there.
#[derive(Debug, Clone)]
enum Op {
    Put { queues: u8, bytes: usize },
    Mark { which: usize, redelivered: bool },
    Settle { which: usize },
    Keep { queue: u64, used_s: i64 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (1_u8..8, 0_usize..900).prop_map(|(queues, bytes)| Op::Put { queues, bytes }),
        1 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, redelivered)| Op::Mark { which, redelivered }),
        4 => any::<usize>().prop_map(|which| Op::Settle { which }),
        1 => (1..=QUEUES, 0_i64..99).prop_map(|(queue, used_s)| Op::Keep { queue, used_s }),
    ]
}

fn message(sequence: u64, bytes: usize) -> Arc<Message> {
    let body = format!("{sequence:bytes$}");
    let sent = Frame::new(Command::Send).with_body(body);
    Arc::new(Message::new("/topic/t", &sent, 0, &Memory::default()))
}

fn durable(used_s: i64) -> Durable {
    Durable {
        client_id: "c".to_owned(),
        name: "n".to_owned(),
        destination: "/topic/t".to_owned(),
        used_s,
    }
}

impl Model {
    /// The change that an operation makes here, and does.
    fn change(&mut self, op: &Op, sequence: u64) -> Option<Change> {
        let chosen = |which: usize| {
            let keys: Vec<_> = self.waiting.keys().copied().collect();
            (!keys.is_empty()).then(|| keys[which % keys.len()])
        };
        Some(match *op {
            Op::Put { queues, bytes } => {
                let queues: Vec<u64> = (1..=QUEUES)
                    .filter(|id| queues >> (id - 1) & 1 == 1)
                    .collect();
                self.bodies.insert(sequence, bytes);
                self.waiting
                    .extend(queues.iter().map(|&queue| ((queue, sequence), false)));
                Change::Put {
                    sequence,
                    expires_ms: sequence * 10,
                    message: message(sequence, bytes),
                    queues,
                }
            }
            Op::Mark { which, redelivered } => {
                let (queue, sequence) = chosen(which)?;
                self.waiting.insert((queue, sequence), redelivered);
                Change::Mark {
                    queue,
                    sequence,
                    redelivered,
                }
            }
            Op::Settle { which } => {
                let (queue, sequence) = chosen(which)?;
                self.waiting.remove(&(queue, sequence));
                Change::Settle { queue, sequence }
            }
            Op::Keep { queue, used_s } => {
                self.kept.insert(queue, used_s);
                Change::Keep {
                    queue,
                    durable: durable(used_s),
                }
            }
        })
    }
}

fn open(disk: &MemoryDisk) -> Result<(Store, Found), OpenError> {
    Store::open(disk, Path::new("/data"), LIMIT, Memory::default(), 0x5eed)
}

/// What a broker finds, bodies read and compared.
fn found(disk: &MemoryDisk, bodies: &BTreeMap<u64, usize>) -> Model {
    let (mut store, found) = open(disk).expect("it opens");
    let sequences: Vec<u64> = found.waiting.iter().map(|it| it.sequence).collect();
    let read = store.commit(disk, &[], &sequences).expect("read").read;
    let mut model = Model::default();
    for waiting in found.waiting {
        let Waiting {
            queue,
            sequence,
            expires_ms,
            redelivered,
            ..
        } = waiting;
        let expected = message(sequence, bodies[&sequence]);
        assert_eq!(read[&sequence].encoded(), expected.encoded());
        assert_eq!(expires_ms, sequence * 10);
        model.waiting.insert((queue, sequence), redelivered);
    }
    let kept = found.queues.into_iter();
    model.kept = kept.map(|(id, durable)| (id, durable.used_s)).collect();
    model.bodies.clone_from(bodies);
    model
}

/// Runs commits until the disk stops: what was there before the last one, and what it would have made of it.
fn run(disk: &MemoryDisk, commits: &[Vec<Op>], mut after_each: impl FnMut(&Model)) -> [Model; 2] {
    let mut model = Model::default();
    let Ok((mut store, found)) = open(disk) else {
        return [model.clone(), model];
    };
    let mut sequence = found.starts << PER_START_BITS;
    for ops in commits {
        let before = model.clone();
        let mut changes = Vec::new();
        for op in ops {
            sequence += 1;
            changes.extend(model.change(op, sequence));
        }
        match store.commit(disk, &changes, &[]) {
            Ok(committed) => {
                assert!(committed.disk_bytes <= LIMIT + 8192, "{committed:?}");
                after_each(&model);
            }
            Err(_) => return [before, model],
        }
    }
    [model.clone(), model]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn stopped_after_any_operation_a_commit_is_whole_or_not_there(
        commits in vec(vec(op(), 1..5), 1..25),
    ) {
        for stop in 0.. {
            let disk = MemoryDisk::default();
            disk.stop_after(stop);
            let mut done = 0;
            let [before, after] = run(&disk, &commits, |_| done += 1);
            let killed = found(&disk.after_kill(), &after.bodies);
            let like = |model: &Model, seen: &Model| (&model.waiting, &model.kept) == (&seen.waiting, &seen.kept);
            prop_assert!(like(&before, &killed) || like(&after, &killed), "{before:?} {after:?} {killed:?}");
            let lost = found(&disk.after_power_loss(), &after.bodies);
            prop_assert!(like(&before, &lost) || like(&after, &lost), "{before:?} {after:?} {lost:?}");
            if done == commits.len() {
                prop_assert!(like(&after, &lost), "what was confirmed is flushed");
                break;
            }
        }
    }

    #[test]
    fn cut_at_any_byte_the_last_commit_is_whole_or_not_there(
        commits in vec(vec(op(), 1..4), 1..12),
    ) {
        let disk = MemoryDisk::default();
        let mut last = (disk.clone(), Model::default());
        let seen = disk.clone();
        let mut cuts = Vec::new();
        run(&disk, &commits, |model| {
            let before = std::mem::replace(&mut last, (seen.after_kill(), model.clone()));
            cuts.push((before, (seen.after_kill(), model.clone())));
        });
        for ((old_disk, before), (disk, after)) in cuts {
            let (path, bytes) = disk.newest();
            let there = disk.paths();
            let removed = old_disk.paths().iter().any(|old| !there.contains(old));
            let flushed = match old_disk.paths().is_empty() {
                // A segment goes once the commit that it is not wanted after is flushed.
                false if removed => bytes,
                false if old_disk.newest().0 == path => old_disk.newest().1,
                // The first commit, or the first of its segment. The start was flushed before.
                _ if path.ends_with("00000001.log") => HEAD_BYTES,
                _ => 0,
            };
            for cut in flushed..=bytes {
                let copy = disk.after_kill();
                copy.harm(&path, |bytes| bytes.truncate(cut));
                let found = found(&copy, &after.bodies);
                let expected = if cut == bytes { &after } else { &before };
                prop_assert_eq!(&found.waiting, &expected.waiting);
                prop_assert_eq!(&found.kept, &expected.kept);
            }
        }
    }
}

/// Five messages for two queues, one commit each.
fn five() -> (MemoryDisk, Store) {
    let disk = MemoryDisk::default();
    let (mut store, found) = open(&disk).unwrap();
    assert_eq!((found.starts, found.waiting.len()), (1, 0));
    let mut model = Model::default();
    for sequence in 1..=5 {
        let put = Op::Put {
            queues: 3,
            bytes: 100,
        };
        let change = model.change(&put, sequence).unwrap();
        store.commit(&disk, &[change], &[]).unwrap();
    }
    (disk, store)
}

fn damage(disk: &MemoryDisk) -> (usize, &'static str) {
    match open(disk) {
        Err(OpenError::Damaged { offset, what, .. }) => (offset, what),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_byte_that_changed_before_the_last_commit_refuses_the_start_and_changes_nothing() {
    let (disk, _store) = five();
    let (path, bytes) = disk.newest();
    let last = bytes - (bytes - HEAD_BYTES) / 5;
    for at in 0..last {
        let copy = disk.after_kill();
        copy.harm(&path, |bytes| bytes[at] ^= 1);
        let (offset, what) = damage(&copy);
        assert_eq!(what, "a group is damaged");
        assert!(offset <= at, "{offset} {at}");
        assert_eq!(copy.newest().1, bytes);
    }
    // In the last one it may be the end of what was written when the power went: its pages come in any order.
    for at in last..bytes {
        let copy = disk.after_kill();
        copy.harm(&path, |bytes| bytes[at] ^= 1);
        let (_, found) = open(&copy).unwrap();
        assert_eq!(found.waiting.len(), 8);
    }
}

#[test]
fn a_message_that_looks_like_a_commit_does_not_refuse_the_start_after_a_kill() {
    let (disk, mut store) = five();
    let mut forged = Group::default();
    forged.clear(KEPT_BYTES);
    let forged = forged.finish(u64::MAX, 0);
    let sent = Frame::new(Command::Send).with_body(forged.to_vec());
    let put = Change::Put {
        sequence: 6,
        expires_ms: 0,
        message: Arc::new(Message::new("/topic/t", &sent, 0, &Memory::default())),
        queues: vec![1],
    };
    let (path, before) = disk.newest();
    store.commit(&disk, &[put], &[]).unwrap();
    let (_, bytes) = disk.newest();
    for cut in before..bytes {
        let copy = disk.after_kill();
        copy.harm(&path, |bytes| bytes.truncate(cut));
        let (_, found) = open(&copy).unwrap();
        assert_eq!(found.waiting.len(), 10, "{cut}");
    }
}

#[test]
fn a_missing_segment_or_commit_refuses_the_start() {
    let disk = MemoryDisk::default();
    let commits = vec![
        vec![Op::Put {
            queues: 1,
            bytes: 3000
        }];
        9
    ];
    run(&disk, &commits, |_| ());
    let paths = disk.paths();
    assert!(paths.len() > 3, "{paths:?}");
    let copy = disk.after_kill();
    copy.remove_file(&paths[1]).unwrap();
    assert_eq!(damage(&copy), (0, "the segment before it is missing"));
    let copy = disk.after_kill();
    let next = copy.read(&paths[2]).unwrap();
    copy.harm(&paths[1], |bytes| *bytes = next);
    assert_eq!(damage(&copy), (0, "commits are missing before it"));
    let copy = disk.after_kill();
    copy.harm(&paths[1], |bytes| bytes.truncate(20));
    assert_eq!(damage(&copy), (0, "a group is damaged"));
}

#[test]
fn a_message_that_changed_on_disk_is_not_delivered() {
    let (disk, mut store) = five();
    let (path, bytes) = disk.newest();
    store.commit(&disk, &[], &[5]).unwrap();
    disk.harm(&path, |file| file[bytes - 2] ^= 1);
    let error = store.commit(&disk, &[], &[5]).unwrap_err().to_string();
    assert!(error.contains("00000001.log is damaged at byte"), "{error}");
}

#[test]
fn a_few_old_messages_do_not_keep_the_log_from_shrinking() {
    let disk = MemoryDisk::default();
    let (mut store, _) = open(&disk).unwrap();
    let keep = Change::Keep {
        queue: 1,
        durable: durable(7),
    };
    let put = |sequence| Change::Put {
        sequence,
        expires_ms: 0,
        message: message(sequence, 1000),
        queues: vec![1, 2],
    };
    let mark = Change::Mark {
        queue: 1,
        sequence: 1,
        redelivered: true,
    };
    let settle = |queue, sequence| Change::Settle { queue, sequence };
    let first = [keep, put(1), mark, settle(2, 1)];
    store.commit(&disk, &first, &[]).unwrap();
    let mut most = 0;
    for sequence in 2..2000 {
        let passing = [put(sequence), settle(1, sequence), settle(2, sequence)];
        let committed = store.commit(&disk, &passing, &[1]).unwrap();
        most = most.max(committed.disk_bytes);
    }
    assert!(
        most < 16_000,
        "2 MB went through it, at most {most} were there"
    );
    let (_, found) = open(&disk.after_kill()).unwrap();
    assert_eq!(found.queues, [(1, durable(7))]);
    let left: Vec<_> = found
        .waiting
        .iter()
        .map(|it| (it.queue, it.sequence, it.redelivered))
        .collect();
    assert_eq!(left, [(1, 1, true)]);
}

#[test]
fn every_start_counts() {
    let disk = MemoryDisk::default();
    for start in 1..=4 {
        assert_eq!(open(&disk).unwrap().1.starts, start);
    }
}
