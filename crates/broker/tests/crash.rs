//! `kill -9`: what was confirmed is there, what was acknowledged does not come back.
//!
//! The runtime has one thread and the disk works inline, so while a test copies the files nothing else runs: the copy is
//! what the disk would hold had the process been killed at that moment.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
};

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{House, Raw, message, next, text, texts};

fn snapshot(of: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(of).expect("a folder") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
    }
    copy
}

/// What a broker on this folder still has for the agent.
async fn kept(folder: &Path) -> BTreeSet<String> {
    let house = House::on(folder).await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 1000).await;
    // Published last, so it comes last.
    agent.publish("t", "end").await;
    let mut kept = BTreeSet::new();
    loop {
        let delivery = next(&mut deliveries).await;
        if text(&delivery) == "end" {
            return kept;
        }
        assert!(kept.insert(text(&delivery).to_owned()), "delivered twice");
    }
}

#[derive(Default)]
struct Seen {
    sent: BTreeSet<String>,
    confirmed: BTreeSet<String>,
    acknowledging: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
}

/// Acknowledges two of three, each with a receipt.
async fn acknowledge(mut raw: Raw, seen: Arc<Mutex<Seen>>) {
    raw.say("SUBSCRIBE\nid:agent\ndestination:/topic/t\nack:client-individual\ndurable:true\n\n\0")
        .await;
    loop {
        let frame = raw.frame().await;
        if let Some(receipt) = frame.header("receipt-id") {
            seen.lock()
                .expect("no panic")
                .acknowledged
                .insert(receipt.to_owned());
            continue;
        }
        let text = String::from_utf8(frame.body.to_vec()).expect("text");
        if text.ends_with(['0', '3', '6', '9']) {
            continue;
        }
        let ack = frame.header("ack").expect("an ack header").to_owned();
        seen.lock()
            .expect("no panic")
            .acknowledging
            .insert(text.clone());
        raw.say(&format!("ACK\nid:{ack}\nreceipt:{text}\n\n\0"))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_moment_it_has_what_it_confirmed_and_not_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::on(folder.path()).await;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut consumer = JoinSet::new();
    consumer.spawn(acknowledge(house.raw("agent").await, Arc::clone(&seen)));
    // The subscription is there before the first message is.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let guest = house.guest(&format!("w{writer}")).await;
        let seen = Arc::clone(&seen);
        writers.spawn(async move {
            // All of it, not only its client: it holds the connection.
            let guest = guest;
            for n in 0..20 {
                let text = format!("{writer}-{n}");
                seen.lock().unwrap().sent.insert(text.clone());
                guest.client.send(message("t", &text)).await.unwrap();
                seen.lock().unwrap().confirmed.insert(text);
            }
        });
    }
    let mut moments = Vec::new();
    for _ in 0..40 {
        for _ in 0..7 {
            tokio::task::yield_now().await;
        }
        let seen = seen.lock().unwrap();
        let must: BTreeSet<_> = seen
            .confirmed
            .difference(&seen.acknowledging)
            .cloned()
            .collect();
        moments.push((
            snapshot(folder.path()),
            must,
            seen.sent.clone(),
            seen.acknowledged.clone(),
        ));
    }
    while writers.join_next().await.is_some() {}
    let mut told_apart = 0;
    for (copy, must, may, must_not) in moments {
        let kept = kept(copy.path()).await;
        assert!(
            kept.is_superset(&must),
            "lost: {:?}",
            must.difference(&kept)
        );
        assert!(
            kept.is_subset(&may),
            "never sent: {:?}",
            kept.difference(&may)
        );
        assert!(
            kept.is_disjoint(&must_not),
            "came back: {:?}",
            kept.intersection(&must_not)
        );
        told_apart += usize::from(!must.is_empty() && !must_not.is_empty());
    }
    assert!(told_apart > 5, "the moments were in the midst of it");
}

/// Nobody waits for an acknowledgement without a receipt, so it need not have a commit of its own; but it does not wait for
/// the next one for long.
#[tokio::test(start_paused = true)]
async fn an_acknowledgement_alone_is_on_disk_soon() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::on(folder.path()).await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    agent.publish("t", "x").await;
    let delivery = next(&mut deliveries).await;
    agent.client.ack(&delivery).await.unwrap();
    // waits for what the broker puts off; the clock is the test's
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let copy = snapshot(folder.path());
    assert_eq!(kept(copy.path()).await, BTreeSet::new());
}

/// With a commit for each, a subscriber that acknowledges one by one would cost its publishers half of the disk.
#[tokio::test(start_paused = true)]
async fn acknowledgements_without_a_receipt_ride_along_with_the_next_commit() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::on(folder.path()).await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    agent.publish("t", "x").await;
    agent.publish("t", "y").await;
    let bytes = || {
        let log = folder.path().join("00000001.log");
        std::fs::metadata(log).expect("the log").len()
    };
    let before = bytes();
    for _ in 0..2 {
        let delivery = next(&mut deliveries).await;
        agent.client.ack(&delivery).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(bytes(), before, "nothing was written for them");
    agent.publish("u", "z").await;
    assert!(bytes() > before, "a receipt is for what came before it too");
    let copy = snapshot(folder.path());
    assert_eq!(kept(copy.path()).await, BTreeSet::new());
}

/// Here the disk has its own thread, which does nothing between a receipt and the next message.
#[tokio::test]
async fn a_receipt_means_that_it_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::threaded(folder.path()).await;
    let agent = house.guest("agent").await;
    drop(agent.durable("t", "agent", 1).await);
    let mut copies = Vec::new();
    let mut sent = BTreeSet::new();
    for n in 0..20 {
        agent.publish("t", &n.to_string()).await;
        sent.insert(n.to_string());
        copies.push((snapshot(folder.path()), sent.clone()));
    }
    for (copy, sent) in copies {
        assert_eq!(kept(copy.path()).await, sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_id_is_never_used_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let house = House::on(folder.path()).await;
        let agent = house.guest("agent").await;
        let mut deliveries = agent.durable("t", "agent", 10).await;
        agent.publish("t", "x").await;
        let delivery = next(&mut deliveries).await;
        assert!(ids.insert(delivery.header("message-id").unwrap().to_owned()));
        agent.client.ack(&delivery).await.unwrap();
        // The ack is there before the next frame is answered.
        agent.publish("u", "x").await;
        house.crash().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_for_many_is_kept_until_the_last_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::on(folder.path()).await;
    let (one, two) = (house.guest("one").await, house.guest("two").await);
    let mut first = one.durable("t", "one", 10).await;
    let mut second = two.durable("t", "two", 10).await;
    one.publish("t", "x").await;
    let delivery = next(&mut first).await;
    assert_eq!(texts(&mut second, 1).await, ["x"]);
    one.client.ack(&delivery).await.unwrap();
    one.publish("u", "the ack is there").await;
    let copy = snapshot(folder.path());
    let house = House::on(copy.path()).await;
    let (one, two) = (house.guest("one").await, house.guest("two").await);
    let mut first = one.durable("t", "one", 10).await;
    let mut second = two.durable("t", "two", 10).await;
    one.publish("t", "y").await;
    assert_eq!(texts(&mut first, 1).await, ["y"]);
    assert_eq!(texts(&mut second, 2).await, ["x", "y"]);
}
