//! The outbox: order, many callers, limits, failing disks, crashes at every step.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chassis::{
    BusSettings,
    bus::Bus,
    outbox::{AppendError, Keeper, Limits, Outbox, OutboxSettings, Waiting, drop_off},
};
use events::{Envelope, Topic, message::Beat};
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

use crate::{
    faulty::{Fate, Faulty},
    peer::{OnSend, Peer, Tester, host, until, within},
};

fn beat(number: u64) -> Envelope {
    let beat = Beat {
        from: "hook".to_owned(),
        number,
        last_round_trip_ms: None,
    };
    // Ids that fall while the order rises: the order is not the ids'.
    let id = Uuid::from_u128(u128::from(u64::MAX - number));
    Envelope::seal(id, "/test", Timestamp::UNIX_EPOCH, &beat).unwrap()
}

pub(crate) fn waiting(number: u64) -> Waiting {
    Waiting {
        topic: Topic::Keepalive,
        persistent: true,
        until: None,
        envelope: beat(number),
    }
}

/// As a hook does: one call, one file.
pub(crate) fn hook(world: &World, folder: &Path, numbers: impl IntoIterator<Item = u64>) {
    let messages: Vec<Waiting> = numbers.into_iter().map(waiting).collect();
    drop_off(world, folder, Limits::default(), &messages).unwrap();
}

async fn append(outbox: &Outbox, number: u64) -> Result<(), AppendError> {
    outbox.append_waiting(&waiting(number)).await
}

pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The numbers that the broker got, doubles too.
pub(crate) fn numbers(peer: &Peer) -> Vec<u64> {
    peer.sent()
        .iter()
        .map(|sent| sent.envelope().open::<Beat>().unwrap().number)
        .collect()
}

/// The numbers as a reader sees them that folds doubles by their ids.
fn folded(peer: &Peer) -> Vec<u64> {
    let mut seen = std::collections::BTreeSet::new();
    numbers(peer)
        .into_iter()
        .filter(|number| seen.insert(*number))
        .collect()
}

async fn open(bus: &Bus, world: &World, folder: &Path) -> (Outbox, Keeper) {
    let settings = OutboxSettings::default();
    Outbox::open(bus, world, &settings, folder).await.unwrap()
}

/// Runs the keeper while something is done, and stops it then.
pub(crate) async fn kept<T>(keeper: Keeper, doing: impl Future<Output = T>) -> T {
    let stop = CancellationToken::new();
    let doing = async {
        let done = doing.await;
        stop.cancel();
        done
    };
    let ((), done) = within(async { tokio::join!(keeper.run(&stop), doing) }).await;
    done
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_the_broker_and_arrive_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    peer.leave();
    let world = peer.world();
    // Hooks, one after the other; then a service goes on.
    hook(&world, folder.path(), 1..=1);
    hook(&world, folder.path(), 2..=20);
    let tester = Tester::new(&peer);
    let (outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    assert_eq!(outbox.holds().0, 20);
    kept(keeper, async {
        for number in 21..=30 {
            append(&outbox, number).await.unwrap();
        }
        assert_eq!(files(folder.path()).len(), 2 + 10);
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert!(peer.sent().is_empty());
        peer.come_back();
        until("the outbox is empty", || files(folder.path()).is_empty()).await;
        hook(&world, folder.path(), [31]);
        until("the last one is gone too", || {
            numbers(&peer).contains(&31) && files(folder.path()).is_empty()
        })
        .await;
    })
    .await;
    assert_eq!(numbers(&peer), (1..=31).collect::<Vec<u64>>());
    assert_eq!(peer.sent()[0].headers["persistent"], "true");
    assert_eq!(outbox.holds(), (0, 0));
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_one_file_and_one_flush() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    peer.leave();
    let flushes = Arc::new(AtomicUsize::new(0));
    let lists = Arc::new(AtomicUsize::new(0));
    let mut world = peer.world();
    let (flushed, listed) = (Arc::clone(&flushes), Arc::clone(&lists));
    world.disk = Arc::new(Faulty::new(move |step, _| {
        flushed.fetch_add(usize::from(step == "create"), Ordering::Relaxed);
        listed.fetch_add(usize::from(step == "list"), Ordering::Relaxed);
        Fate::Done
    }));
    let tester = Tester::new(&peer);
    let (outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    kept(keeper, async {
        let appended = join_all((1..=64).map(|number| append(&outbox, number))).await;
        assert!(appended.iter().all(Result::is_ok));
        let left = files(folder.path());
        assert!(
            left.len() == 1 && left[0].ends_with(".x64.json"),
            "{left:?}"
        );
        assert_eq!(flushes.load(Ordering::Relaxed), 1);
        for number in 65..=100 {
            append(&outbox, number).await.unwrap();
        }
        assert_eq!(lists.load(Ordering::Relaxed), 1, "only to open it");
        peer.come_back();
        until("the outbox is empty", || files(folder.path()).is_empty()).await;
    })
    .await;
    assert_eq!(numbers(&peer), (1..=100).collect::<Vec<u64>>());
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn lost_connections_double_messages_and_do_not_change_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let world = peer.world();
    hook(&world, folder.path(), 1..=300);
    // Thirteen are taken, the last without its receipt, then the connection is cut; again and again.
    peer.cut_every(13);
    let settings = BusSettings {
        backoff_limit_s: 1,
        ..BusSettings::default()
    };
    let tester = Tester::with(&peer, settings);
    let (_outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    kept(keeper, async {
        until("the outbox is empty", || files(folder.path()).is_empty()).await;
    })
    .await;
    assert_eq!(folded(&peer), (1..=300).collect::<Vec<u64>>());
    assert!(numbers(&peer).len() > 300, "some came twice");
    let mut ids: Vec<Uuid> = peer.sent().iter().map(|sent| sent.envelope().id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 300, "under the same ids");
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn another_broker_takes_over_only_once_the_one_before_has_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let world = peer.world();
    let (first, second) = ("first:1", "second:2");
    peer.refuse(first);
    peer.on_send(OnSend::Later);
    let settings = BusSettings {
        brokers: vec![first.to_owned(), second.to_owned()],
        fail_back_s: 5,
        ..BusSettings::default()
    };
    let tester = Tester::with(&peer, settings);
    let (_outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    hook(&world, folder.path(), 1..=10);
    kept(keeper, async {
        until("the second has them", || peer.sent().len() == 10).await;
        peer.accept(first);
        until("the first takes over", || {
            peer.reached().iter().any(|address| address == first)
        })
        .await;
        hook(&world, folder.path(), 11..=20);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(peer.sent().len(), 10, "ten are not confirmed");
        peer.on_send(OnSend::Confirm);
        peer.confirm_now();
        until("the outbox is empty", || files(folder.path()).is_empty()).await;
    })
    .await;
    assert_eq!(numbers(&peer), (1..=20).collect::<Vec<u64>>());
    let sends = |address: &str| {
        let wanted = format!("{address} SEND");
        peer.heard().into_iter().filter(|it| *it == wanted).count()
    };
    assert_eq!((sends(second), sends(first)), (10, 10));
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_waits_with_those_behind_it_and_spares_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let world = peer.world();
    hook(&world, folder.path(), 1..=3);
    peer.on_send(OnSend::Refuse);
    let tester = Tester::new(&peer);
    let (_outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    kept(keeper, async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        // At the start and every 30 s, not as fast as it can.
        let tries = peer.connects().len();
        assert!((3..=5).contains(&tries), "{tries}");
        peer.on_send(OnSend::Confirm);
        until("the outbox is empty", || files(folder.path()).is_empty()).await;
    })
    .await;
    assert_eq!(folded(&peer), [1, 2, 3]);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_ahead_of_a_refused_message_is_not_sent_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let world = peer.world();
    let mut messages: Vec<Waiting> = (1..=10).map(waiting).collect();
    messages[4].topic = Topic::DeployReports;
    drop_off(&world, folder.path(), Limits::default(), &messages).unwrap();
    peer.on_send(OnSend::RefuseTo("/topic/deploykit.deploy.reports"));
    let tester = Tester::new(&peer);
    let (_outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    let times = |number| numbers(&peer).into_iter().filter(|&n| n == number).count();
    kept(keeper, async {
        tokio::time::sleep(Duration::from_secs(300)).await;
        for number in 1..=4 {
            assert_eq!(
                times(number),
                2,
                "{number}: with the refused one, and alone"
            );
        }
        assert!((5..=11).contains(&times(5)), "{} times", times(5));
        for number in 6..=10 {
            assert!(times(number) <= 1, "{number} waits");
        }
        peer.on_send(OnSend::Confirm);
        until("the outbox is empty", || files(folder.path()).is_empty()).await;
    })
    .await;
    assert_eq!(folded(&peer), (1..=10).collect::<Vec<u64>>());
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_sent_is_put_aside_alone() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let world = peer.world();
    let half = ".00000000000000000001-x.json.new";
    let single = "00000000000000000002-x.json";
    let several = "00000000000000000003-x.x4.json";
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(half, "{\"topic\":");
    write(single, "{\"topic\":");
    let line = |number| serde_json::to_string(&waiting(number)).unwrap();
    let mut large = waiting(2);
    large.envelope.data["from"] = "x".repeat(200_000).into();
    let large = serde_json::to_string(&large).unwrap();
    write(
        several,
        &format!("{}\nnonsense\n{large}\n{}\n", line(1), line(3)),
    );
    hook(&world, folder.path(), [4]);
    let tester = Tester::new(&peer);
    let (_outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    kept(keeper, async {
        let (second, third) = (format!("{several}.2.bad"), format!("{several}.3.bad"));
        let left = [half, &format!("{single}.bad"), &second, &third];
        until("the good ones are gone", || files(folder.path()) == left).await;
        let aside = fs::read_to_string(folder.path().join(second)).unwrap();
        assert_eq!(aside, "nonsense");
        assert_eq!(
            fs::read_to_string(folder.path().join(third)).unwrap(),
            large
        );
    })
    .await;
    assert_eq!(numbers(&peer), [1, 3, 4]);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_be_put_aside_keeps_its_file_and_sends_no_other_line_twice() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let mut world = peer.world();
    let full = Arc::new(AtomicBool::new(true));
    let disk_is_full = Arc::clone(&full);
    world.disk = Arc::new(Faulty::new(move |step, path| {
        // One of the two that are put aside fits.
        let aside = path.to_string_lossy().contains(".3.bad");
        match step == "create" && aside && disk_is_full.load(Ordering::Relaxed) {
            true => Fate::Fails,
            false => Fate::Done,
        }
    }));
    let name = "00000000000000000001-x.x4.json";
    let line = |number| serde_json::to_string(&waiting(number)).unwrap();
    let text = format!("{}\nnonsense\nnonsense too\n{}\n", line(1), line(2));
    fs::write(folder.path().join(name), text).unwrap();
    let tester = Tester::new(&peer);
    let (_outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    let (second, third) = (format!("{name}.2.bad"), format!("{name}.3.bad"));
    kept(keeper, async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(files(folder.path()), [name, &second]);
        // It is for a person, who may take it away.
        fs::remove_file(folder.path().join(&second)).unwrap();
        tokio::time::sleep(Duration::from_secs(100)).await;
        full.store(false, Ordering::Relaxed);
        until("only the last one is left", || {
            files(folder.path()) == [third.as_str()]
        })
        .await;
    })
    .await;
    assert_eq!(numbers(&peer), [1, 2]);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_refuses_and_takes_again_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    peer.leave();
    let world = peer.world();
    let tester = Tester::new(&peer);
    let settings = OutboxSettings {
        messages: 3,
        ..OutboxSettings::default()
    };
    let opened = Outbox::open(&tester.bus, &world, &settings, folder.path());
    let (outbox, keeper) = opened.await.unwrap();
    kept(keeper, async {
        let outcomes = join_all((1..=5).map(|number| append(&outbox, number))).await;
        let taken: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        let said = outcomes[4].as_ref().unwrap_err().to_string();
        let begins = format!(
            "the outbox {} is full: 3 messages, ",
            folder.path().display()
        );
        assert!(said.starts_with(&begins), "{said}");
        // A hook is refused as well.
        let refused = drop_off(&world, folder.path(), settings.limits(), &[waiting(6)]);
        assert!(
            matches!(refused, Err(AppendError::Full { messages: 3, .. })),
            "{refused:?}"
        );
        peer.come_back();
        until("there is room", || outbox.holds().0 == 0).await;
        append(&outbox, 7).await.unwrap();
        until("it is empty", || files(folder.path()).is_empty()).await;
    })
    .await;
    assert_eq!(numbers(&peer), [1, 2, 3, 7]);
    // So it is for bytes.
    let limits = Limits {
        messages: 100,
        bytes: 700,
    };
    let both = drop_off(
        &world,
        folder.path(),
        limits,
        &[waiting(1), waiting(2), waiting(3)],
    );
    assert!(
        matches!(both, Err(AppendError::Full { bytes: 0, .. })),
        "{both:?}"
    );
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn several_messages_are_taken_all_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    peer.leave();
    let world = peer.world();
    let tester = Tester::new(&peer);
    let settings = OutboxSettings {
        messages: 4,
        ..OutboxSettings::default()
    };
    let opened = Outbox::open(&tester.bus, &world, &settings, folder.path());
    let (outbox, keeper) = opened.await.unwrap();
    let beats = |numbers: std::ops::RangeInclusive<u64>| -> Vec<Beat> {
        let beat = |number| Beat {
            from: "service".to_owned(),
            number,
            last_round_trip_ms: None,
        };
        numbers.map(beat).collect()
    };
    kept(keeper, async {
        let ids = outbox.append_all(&beats(1..=3)).await.unwrap();
        assert_eq!(ids.len(), 3);
        let refused = outbox.append_all(&beats(10..=11)).await;
        assert!(
            matches!(refused, Err(AppendError::Full { messages: 3, .. })),
            "{refused:?}"
        );
        assert_eq!(outbox.append_all(&beats(4..=4)).await.unwrap().len(), 1);
        assert!(outbox.append_all::<Beat>(&[]).await.unwrap().is_empty());
        let names = files(folder.path());
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names[0].ends_with(".x3.json"), "{names:?}");
        assert_eq!(outbox.holds().0, 4);
        peer.come_back();
        until("it is empty", || files(folder.path()).is_empty()).await;
    })
    .await;
    assert_eq!(numbers(&peer), [1, 2, 3, 4]);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let world = peer.world();
    // A folder in place of a file cannot be read by anybody, root included.
    let odd = "00000000000000000001-x.json";
    fs::create_dir(folder.path().join(odd)).unwrap();
    // Nor may one fill the memory, whoever left it.
    let huge = "00000000000000000002-x.json";
    let file = fs::File::create(folder.path().join(huge)).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    hook(&world, folder.path(), [1]);
    let tester = Tester::new(&peer);
    let (_outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    kept(keeper, async {
        until("it is sent", || numbers(&peer) == [1]).await;
        until("only the odd ones are left", || {
            files(folder.path()) == [odd, huge]
        })
        .await;
        fs::remove_file(folder.path().join(huge)).unwrap();
        // Once it can be read, it goes out.
        fs::remove_dir(folder.path().join(odd)).unwrap();
        let late = serde_json::to_string(&waiting(2)).unwrap();
        fs::write(folder.path().join(odd), late).unwrap();
        until("it is sent too", || numbers(&peer) == [1, 2]).await;
    })
    .await;
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_refuses_until_it_works_again() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let broken = Arc::new(AtomicUsize::new(0));
    let mut world = peer.world();
    let (seen, steps) = (Arc::clone(&broken), ["create", "rename", "sync_folder"]);
    world.disk = Arc::new(Faulty::new(move |step, _| {
        match seen.load(Ordering::Relaxed) {
            0 => Fate::Done,
            number if step == steps[number - 1] => Fate::Half,
            _ => Fate::Done,
        }
    }));
    let tester = Tester::new(&peer);
    let (outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    kept(keeper, async {
        for number in 1..=3 {
            broken.store(number, Ordering::Relaxed);
            let refused = append(&outbox, number as u64).await;
            let Err(AppendError::Disk { source, .. }) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(source.to_string(), "no space left on device");
            assert_eq!(outbox.holds(), (0, 0), "its room is given back");
        }
        broken.store(0, Ordering::Relaxed);
        append(&outbox, 4).await.unwrap();
        until("it is sent", || !numbers(&peer).is_empty()).await;
    })
    .await;
    assert_eq!(numbers(&peer), [4], "what was refused is not sent");
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_was_handed_in_and_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    peer.leave();
    let world = peer.world();
    let tester = Tester::new(&peer);
    let (outbox, keeper) = open(&tester.bus, &world, folder.path()).await;
    let stop = CancellationToken::new();
    let appending = async {
        let handed_in = append(&outbox, 1);
        stop.cancel();
        handed_in.await
    };
    let (taken, ()) = within(async { tokio::join!(appending, keeper.run(&stop)) }).await;
    taken.unwrap();
    assert_eq!(files(folder.path()).len(), 1);
    let late = append(&outbox, 2).await;
    assert!(matches!(late, Err(AppendError::Stopped)), "{late:?}");
    tester.disconnect().await;
}

/// A life of a service that dies at a step of its disk; gives the numbers that it accepted.
async fn life(
    peer: &Peer,
    folder: &Path,
    first: u64,
    dies_at: usize,
    half: bool,
) -> (Vec<u64>, bool) {
    let step = Arc::new(AtomicUsize::new(0));
    let dead = CancellationToken::new();
    let (steps, dies) = (Arc::clone(&step), dead.clone());
    let mut world = peer.world();
    world.disk = Arc::new(Faulty::new(move |_, _| {
        match steps.fetch_add(1, Ordering::Relaxed) {
            now if now < dies_at => Fate::Done,
            now => {
                // The dead do nothing more.
                dies.cancel();
                match now == dies_at && half {
                    true => Fate::Half,
                    false => Fate::Fails,
                }
            }
        }
    }));
    let (bus, connection) =
        Bus::new("tester", &host(), BusSettings::default(), world.clone()).unwrap();
    let mut accepted = Vec::new();
    let stop = CancellationToken::new();
    let living = async {
        let settings = OutboxSettings::default();
        let Ok((outbox, keeper)) = Outbox::open(&bus, &world, &settings, folder).await else {
            return;
        };
        let appending = async {
            let several: Vec<_> =
                join_all((first..first + 5).map(|number| append(&outbox, number))).await;
            accepted.extend(
                (first..)
                    .zip(several)
                    .filter(|(_, it)| it.is_ok())
                    .map(|(n, _)| n),
            );
            for number in first + 5..first + 8 {
                if append(&outbox, number).await.is_ok() {
                    accepted.push(number);
                }
            }
            until("it is delivered, or the service is dead", || {
                outbox.holds().0 == 0 || dead.is_cancelled()
            })
            .await;
        };
        tokio::select! {
            () = keeper.run(&stop) => {}
            () = connection.run(CancellationToken::new()) => {}
            () = appending => {}
        }
    };
    within(living).await;
    (accepted, dead.is_cancelled())
}

#[tokio::test(start_paused = true)]
async fn nothing_accepted_is_lost_wherever_the_service_dies() {
    let mut died = 0;
    for half in [false, true] {
        for dies_at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let peer = Peer::new();
            let (accepted, dead) = life(&peer, folder.path(), 1, dies_at, half).await;
            // A second one finds what the first one left.
            let (more, _) = life(&peer, folder.path(), 11, usize::MAX, false).await;
            assert_eq!(more.len(), 8);
            let seen = folded(&peer);
            let wanted: Vec<u64> = accepted.iter().chain(&more).copied().collect();
            let got: Vec<u64> = seen
                .iter()
                .copied()
                .filter(|it| wanted.contains(it))
                .collect();
            assert_eq!(
                got, wanted,
                "died at step {dies_at}, half: {half}; got {seen:?}"
            );
            if !dead {
                assert_eq!(accepted.len(), 8);
                break;
            }
            died += 1;
        }
    }
    assert!(died > 20, "it died at {died} steps");
}
