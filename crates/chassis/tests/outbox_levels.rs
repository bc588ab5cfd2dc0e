//! What an outbox tells of itself: how much waits, for how long, what was refused, what nobody wants any more.

use std::{path::Path, time::Duration};

use chassis::{
    BusSettings, PublishError,
    outbox::{Keeper, Limits, Outbox, OutboxSettings, Waiting, drop_off},
};

use crate::{
    log::Log,
    metrics::{beat, value},
    outbox::{files, hook, kept, numbers, waiting},
    peer::{Peer, Tester, until, within},
};

/// Two messages at most.
const TWO: OutboxSettings = OutboxSettings {
    folder: None,
    messages: 2,
    mib: 256,
    warn_age_s: 60,
};

async fn open(tester: &Tester, peer: &Peer, folder: &Path) -> (Outbox, Keeper) {
    opened(tester, peer, &TWO, folder).await
}

async fn opened(
    tester: &Tester,
    peer: &Peer,
    settings: &OutboxSettings,
    folder: &Path,
) -> (Outbox, Keeper) {
    let opened = Outbox::open(&tester.bus, &peer.world(), settings, folder).await;
    opened.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_outbox_tells_how_much_waits_for_how_long_and_warns_once() {
    let (log, folder, peer) = (Log::catch(), tempfile::tempdir().unwrap(), Peer::new());
    peer.leave();
    let tester = Tester::new(&peer);
    let metrics = tester.bus.metrics();
    // A message of an hour ago, by its name.
    let then = peer.world().clock.now().as_microsecond() - 3_600_000_000;
    let file = folder.path().join(format!("{then:020}-x.json"));
    std::fs::write(&file, "nonsense").unwrap();
    let (outbox, keeper) = open(&tester, &peer, folder.path()).await;
    let age = value(metrics, "outbox_oldest_age_seconds");
    assert!((3600.0..3700.0).contains(&age), "{age}");
    assert_eq!(value(metrics, "outbox_messages"), 1.0);
    assert_eq!(value(metrics, "outbox_bytes"), 8.0);
    assert_eq!(value(metrics, "outbox_limit_messages"), 2.0);
    assert_eq!(value(metrics, "outbox_limit_bytes"), 268_435_456.0);
    kept(keeper, async {
        until("it is put aside", || {
            value(metrics, "outbox_put_aside_total") == 1.0
        })
        .await;
        // As an older version wrote it.
        let old = serde_json::to_value(waiting(1)).unwrap();
        assert_eq!(old.as_object().unwrap().len(), 3, "{old}");
        std::fs::write(&file, old.to_string()).unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        outbox.append(&beat(2)).await.unwrap();
        outbox.append(&beat(3)).await.unwrap_err();
        outbox.append(&beat(4)).await.unwrap_err();
        assert_eq!(value(metrics, "outbox_refused_total{why=\"full\"}"), 2.0);
        assert_eq!(value(metrics, "outbox_refused_total{why=\"disk\"}"), 0.0);
        peer.come_back();
        until("it is empty", || outbox.holds() == (0, 0)).await;
        assert_eq!(value(metrics, "outbox_oldest_age_seconds"), 0.0);
        tokio::time::sleep(Duration::from_secs(2)).await;
    })
    .await;
    let text = log.text();
    let said = |what: &str| text.matches(what).count();
    assert_eq!(said("messages wait for the broker"), 1, "{text}");
    assert_eq!(said("messages go out in time again"), 1, "{text}");
    assert_eq!(said("the outbox is full"), 1, "{text}");
    assert_eq!(said("the outbox takes messages again"), 1, "{text}");
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_others_fill_says_so_once_until_there_is_room() {
    let (log, folder, peer) = (Log::catch(), tempfile::tempdir().unwrap(), Peer::new());
    peer.leave();
    let tester = Tester::new(&peer);
    let (outbox, keeper) = open(&tester, &peer, folder.path()).await;
    let full = || log.text().matches("the outbox is full").count();
    kept(keeper, async {
        hook(&peer.world(), folder.path(), [1]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(full(), 0);
        hook(&peer.world(), folder.path(), [2]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(full(), 1, "{}", log.text());
        peer.come_back();
        until("it is empty", || outbox.holds() == (0, 0)).await;
        until("it says so", || {
            log.text().contains("the outbox takes messages again")
        })
        .await;
    })
    .await;
    assert_eq!(full(), 1, "{}", log.text());
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_hooks_were_refused_is_counted_by_who_delivers_even_if_that_came_later() {
    let (log, folder, peer) = (Log::catch(), tempfile::tempdir().unwrap(), Peer::new());
    peer.leave();
    let refused = |messages| {
        let messages = vec![waiting(1); messages];
        drop_off(&peer.world(), folder.path(), TWO.limits(), &messages).unwrap_err();
    };
    refused(5);
    let tester = Tester::new(&peer);
    let (_outbox, keeper) = open(&tester, &peer, folder.path()).await;
    let counted = || value(tester.bus.metrics(), "outbox_refused_total{why=\"full\"}");
    assert_eq!(counted(), 5.0);
    kept(keeper, async {
        refused(3);
        refused(70_000);
        refused(3);
        let most = f64::from(64 << 10);
        until("they are counted", || counted() == 5.0 + most).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(counted(), 5.0 + most, "once");
        assert_eq!(files(folder.path()), [""; 0], "nothing is left of it");
    })
    .await;
    let said = log.text().matches("hooks were refused").count();
    assert_eq!(said, 2, "{}", log.text());
    tester.disconnect().await;
}

/// Finds a broker that is back within 2 s.
fn patient(peer: &Peer) -> Tester {
    let settings = BusSettings {
        publish_limit_s: 600,
        backoff_limit_s: 1,
        ..BusSettings::default()
    };
    Tester::with(peer, settings)
}

/// What the broker was told of the life of a message: seconds left, and in all since it was made.
fn lives(peer: &Peer) -> Vec<(u64, i64)> {
    let sent = peer.sent().into_iter().map(|sent| {
        let number = |name| -> i64 { sent.headers[name].parse().unwrap() };
        let made = sent.envelope().time.as_millisecond();
        let left = u64::try_from(number("expiration")).unwrap();
        let rounded = |ms: i64| (ms + 500) / 1000;
        ((left + 500) / 1000, rounded(number("expires") - made))
    });
    sent.collect()
}

#[tokio::test(start_paused = true)]
async fn what_waited_in_an_outbox_goes_out_with_what_is_left_of_its_life_or_not_at_all() {
    let (log, folder, peer) = (Log::catch(), tempfile::tempdir().unwrap(), Peer::new());
    peer.leave();
    let tester = patient(&peer);
    let settings = OutboxSettings::default();
    let (outbox, keeper) = opened(&tester, &peer, &settings, folder.path()).await;
    let hook = |number| {
        let message = Waiting::seal(&beat(number), "/test", &peer.world()).unwrap();
        drop_off(&peer.world(), folder.path(), Limits::default(), &[message]).unwrap();
    };
    kept(keeper, async {
        outbox.append(&beat(1)).await.unwrap();
        hook(2);
        // A beat lives for five minutes.
        tokio::time::sleep(Duration::from_secs(240)).await;
        outbox.append(&beat(3)).await.unwrap();
        hook(4);
        tokio::time::sleep(Duration::from_secs(120)).await;
        peer.come_back();
        until("it is empty", || files(folder.path()).is_empty()).await;
    })
    .await;
    assert_eq!(numbers(&peer), [3, 4]);
    let metrics = tester.bus.metrics();
    assert_eq!(value(metrics, "outbox_expired_total"), 2.0);
    let failed = "bus_publish_failures_total{kind=\"expired\"}";
    assert_eq!(value(metrics, failed), 2.0);
    for (left, all) in lives(&peer) {
        assert!((175..=180).contains(&left), "{left} s are left");
        assert_eq!(all, 300);
    }
    let said = log.text().matches("are dropped").count();
    assert_eq!(said, 1, "{}", log.text());
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_a_connection_goes_out_with_what_is_left_of_its_life_or_not_at_all() {
    let peer = Peer::new();
    peer.leave();
    let tester = patient(&peer);
    let (bus, clock) = (&tester.bus, peer.world().clock);
    let soon = clock.now() + Duration::from_secs(60);
    let (beat, ordered) = (beat(1), beat(2));
    let publishing = async { tokio::join!(bus.publish(&beat), bus.publish_until(&ordered, soon)) };
    let back = async {
        tokio::time::sleep(Duration::from_secs(120)).await;
        peer.come_back();
    };
    let ((sent, late), ()) = within(async { tokio::join!(publishing, back) }).await;
    sent.unwrap();
    assert!(matches!(late, Err(PublishError::Expired)), "{late:?}");
    let [(left, all)] = lives(&peer)[..] else {
        panic!("one message: {:?}", peer.sent());
    };
    assert!((175..=180).contains(&left), "{left} s are left");
    assert_eq!(all, 300);
    tester.disconnect().await;
}
