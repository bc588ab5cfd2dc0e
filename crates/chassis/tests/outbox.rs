//! The spool: order, crashes, limits.

use std::{fs, path::Path, time::Duration};

use chassis::outbox::{Limits, Spool, SpoolError};
use events::{Envelope, Topic, message::Beat};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

use crate::peer::{Peer, Tester, until, within};

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

fn append(spool: &Spool, world: &World, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        spool
            .append(world, &Topic::Keepalive, true, &beat(number))
            .unwrap();
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn numbers(peer: &Peer) -> Vec<u64> {
    peer.sent()
        .iter()
        .map(|sent| sent.envelope().open::<Beat>().unwrap().number)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_the_broker_and_arrive_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    peer.leave();
    let world = peer.world();
    let first = Spool::open(&world, folder.path(), Limits::default()).unwrap();
    append(&first, &world, 1..=20);
    drop(first);
    // Another process goes on where the first one left off.
    let spool = Spool::open(&world, folder.path(), Limits::default()).unwrap();
    append(&spool, &world, 21..=30);
    assert_eq!(files(folder.path()).len(), 30);

    let tester = Tester::new(&peer);
    let stop = CancellationToken::new();
    let told = async {
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert!(peer.sent().is_empty());
        peer.come_back();
        until("the spool is empty", || files(folder.path()).is_empty()).await;
        append(&spool, &world, [31]);
        until("the last one is gone too", || {
            files(folder.path()).is_empty()
        })
        .await;
        stop.cancel();
    };
    let (delivered, ()) =
        within(async { tokio::join!(spool.deliver(&tester.bus, &world, &stop), told) }).await;
    delivered.unwrap();
    assert_eq!(numbers(&peer), (1..=31).collect::<Vec<u64>>());
    assert_eq!(peer.sent()[0].headers["persistent"], "true");
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_half_written_file_is_ignored_and_a_spoilt_one_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let world = peer.world();
    let spool = Spool::open(&world, folder.path(), Limits::default()).unwrap();
    let half = ".00000000000000000001-x.json.new";
    fs::write(folder.path().join(half), "{\"topic\":").unwrap();
    fs::write(
        folder.path().join("00000000000000000002-x.json"),
        "{\"topic\":",
    )
    .unwrap();
    append(&spool, &world, [1]);
    let tester = Tester::new(&peer);
    let stop = CancellationToken::new();
    let told = async {
        until("the good one arrived and is gone", || {
            files(folder.path()) == [half, "00000000000000000002-x.json.bad"]
        })
        .await;
        stop.cancel();
    };
    let (delivered, ()) =
        within(async { tokio::join!(spool.deliver(&tester.bus, &world, &stop), told) }).await;
    delivered.unwrap();
    assert_eq!(numbers(&peer), [1]);
    tester.disconnect().await;
}

#[test]
fn a_full_spool_refuses_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::real();
    let limits = Limits {
        messages: 2,
        bytes: 1 << 20,
    };
    let spool = Spool::open(&world, folder.path(), limits).unwrap();
    append(&spool, &world, 1..=2);
    let refused = spool.append(&world, &Topic::Keepalive, true, &beat(3));
    assert!(
        matches!(refused, Err(SpoolError::Full { messages: 2, .. })),
        "{refused:?}"
    );
    assert_eq!(files(folder.path()).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new();
    let world = peer.world();
    let spool = Spool::open(&world, folder.path(), Limits::default()).unwrap();
    // A folder in place of a file cannot be read by anybody, root included.
    let odd = "00000000000000000001-x.json";
    fs::create_dir(folder.path().join(odd)).unwrap();
    append(&spool, &world, 1..=2);
    let stop = CancellationToken::new();
    let tester = Tester::new(&peer);
    let delivered = async {
        until("both are sent", || numbers(&peer) == [1, 2]).await;
        until("only the odd one is left", || files(folder.path()) == [odd]).await;
        stop.cancel();
    };
    let (ended, ()) =
        within(async { tokio::join!(spool.deliver(&tester.bus, &world, &stop), delivered) }).await;
    ended.unwrap();
    tester.disconnect().await;
}
