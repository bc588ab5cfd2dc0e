//! What happens at each limit is a stated policy.

use std::time::Duration;

use broker::{Limits, Settings};
use stomp::SendError;
use tokio::io::AsyncReadExt;

use crate::support::{House, Raw, message, next, soon, text, texts};

#[tokio::test(start_paused = true)]
async fn a_durable_backlog_over_its_limit_loses_its_oldest() {
    let limits = Limits {
        backlog_messages: 3,
        ..Limits::default()
    };
    let house = House::limited(limits).await;
    let agent = house.guest("agent").await;
    drop(agent.durable("t", "agent", 1).await);
    for n in 0..5 {
        agent.publish("t", &n.to_string()).await;
    }
    let mut deliveries = agent.durable("t", "agent", 10).await;
    assert_eq!(texts(&mut deliveries, 3).await, ["2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_without_durability_is_disconnected() {
    let limits = Limits {
        backlog_messages: 3,
        ..Limits::default()
    };
    let house = House::limited(limits).await;
    let (slow, writer) = (house.guest("slow").await, house.guest("w").await);
    let mut deliveries = slow.subscribe("t").await;
    // Ten are on their way, three wait; the next is too much.
    for n in 0..14 {
        writer.publish("t", &n.to_string()).await;
    }
    while soon("end", deliveries.next()).await.is_some() {}
    let ended = slow.ended().await.to_string();
    assert!(ended.contains("too slow"), "{ended}");
    writer.publish("t", "the others go on").await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_budget_refuses_the_publisher_and_keeps_what_was_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        disk_bytes: 100_000,
        ..Limits::default()
    };
    let house = House::with(Settings {
        data: Some(folder.path().into()),
        limits,
        ..Settings::default()
    })
    .await;
    let agent = house.guest("agent").await;
    drop(agent.durable("t", "agent", 1).await);
    let writer = house.guest("w").await;
    let body = "x".repeat(10_000);
    for _ in 0..9 {
        writer.publish("t", &body).await;
    }
    let refused = writer.client.send(message("t", &body)).await;
    assert!(
        matches!(&refused, Err(SendError::Refused(why)) if why.contains("limit of 100000 bytes")),
        "{refused:?}"
    );
    let mut deliveries = agent.durable("t", "agent", 10).await;
    for _ in 0..9 {
        let delivery = next(&mut deliveries).await;
        agent.client.ack(&delivery).await.unwrap();
    }
    // Room again, as soon as the log has made it, and for ever.
    soon("room", async {
        loop {
            let writer = house.guest("again").await;
            if writer.client.send(message("t", "first")).await.is_ok() {
                return;
            }
        }
    })
    .await;
    agent
        .client
        .ack(&next(&mut deliveries).await)
        .await
        .unwrap();
    for _ in 0..30 {
        agent.publish("t", &body).await;
        let delivery = next(&mut deliveries).await;
        assert_eq!(text(&delivery), body);
        agent.client.ack(&delivery).await.unwrap();
    }
    let files = std::fs::read_dir(folder.path()).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 100_000, "{bytes}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_disconnected_and_keeps_its_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        write: Duration::from_secs(2),
        ..Limits::default()
    };
    let house = House::with(Settings {
        data: Some(folder.path().into()),
        limits,
        ..Settings::default()
    })
    .await;
    let mut raw = house.raw("agent").await;
    raw.say("SUBSCRIBE\nid:agent\ndestination:/topic/t\nack:client-individual\ndurable:true\nreceipt:r\n\n\0").await;
    raw.receipt("r").await;
    let writer = house.guest("w").await;
    let body = "x".repeat(20_000);
    // More than the pipe holds: the broker's write cannot end.
    for _ in 0..10 {
        soon("others are not held up", writer.publish("t", &body)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut rest = Vec::new();
    soon("hung up", raw.pipe.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(rest.len() < 10 * body.len(), "it was cut in the middle");
    let (agent, mut deliveries) = house.take_over("agent", "t", 10).await;
    for _ in 0..10 {
        let delivery = next(&mut deliveries).await;
        assert_eq!(text(&delivery), body);
        agent.client.ack(&delivery).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_backlog_passes_a_small_buffer() {
    let limits = Limits {
        outgoing_bytes: 10_000,
        most_prefetch: 1000,
        ..Limits::default()
    };
    let house = House::limited(limits).await;
    let agent = house.guest("agent").await;
    drop(agent.durable("t", "agent", 1).await);
    let body = "x".repeat(5000);
    for _ in 0..200 {
        agent.publish("t", &body).await;
    }
    let mut deliveries = agent.durable("t", "agent", 1000).await;
    for _ in 0..200 {
        assert_eq!(text(&next(&mut deliveries).await).len(), 5000);
    }
}

#[tokio::test(start_paused = true)]
async fn non_persistent_messages_for_an_absent_subscriber_do_not_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        memory_bytes: 2500,
        ..Limits::default()
    };
    let house = House::with(Settings {
        data: Some(folder.path().into()),
        limits,
        ..Settings::default()
    })
    .await;
    let agent = house.guest("agent").await;
    drop(agent.durable("t", "agent", 1).await);
    for n in 0..5 {
        let light = stomp::Message {
            persistent: false,
            ..message("t", &n.to_string().repeat(1000))
        };
        agent.client.send(light).await.unwrap();
    }
    agent.publish("t", "heavy").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    let seen: Vec<_> = texts(&mut deliveries, 3)
        .await
        .iter()
        .map(|text| text[..1].to_owned())
        .collect();
    assert_eq!(seen, ["0", "1", "h"]);
}

#[tokio::test(start_paused = true)]
async fn too_many_subscriptions_are_refused() {
    let limits = Limits {
        subscriptions: 2,
        durable_subscriptions: 1,
        ..Limits::default()
    };
    let house = House::limited(limits).await;
    let mut raw = house.raw("a").await;
    for n in 0..3 {
        raw.say(&format!("SUBSCRIBE\nid:{n}\ndestination:/topic/t\n\n\0"))
            .await;
    }
    assert!(raw.error().await.contains("more than 2 subscriptions"));
    let mut raw = house.raw("a").await;
    for n in 0..2 {
        raw.say(&format!(
            "SUBSCRIBE\nid:{n}\ndestination:/topic/t\ndurable:true\n\n\0"
        ))
        .await;
    }
    assert!(raw.error().await.contains("more than 1 durable"));
}

#[tokio::test(start_paused = true)]
async fn a_durable_backlog_is_bounded_in_bytes_too() {
    let limits = Limits {
        backlog_bytes: 2500,
        ..Limits::default()
    };
    let house = House::limited(limits).await;
    let agent = house.guest("agent").await;
    drop(agent.durable("t", "agent", 1).await);
    for n in 0..5 {
        agent.publish("t", &n.to_string().repeat(1000)).await;
    }
    let mut deliveries = agent.durable("t", "agent", 10).await;
    let left = texts(&mut deliveries, 2).await;
    let left: Vec<_> = left.iter().map(|text| &text[..1]).collect();
    assert_eq!(left, ["3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn who_has_not_logged_in_takes_only_so_many_places() {
    let limits = Limits {
        strangers: 2,
        ..Limits::default()
    };
    let house = House::limited(limits).await;
    let mut guests = Vec::new();
    for client_id in ["a", "b", "c"] {
        guests.push(house.guest(client_id).await);
    }
    let _silent = [house.pipe().await, house.pipe().await];
    let mut third = Raw::new(house.pipe().await);
    assert_eq!(third.item().await, None);
    guests[0].publish("t", "who is in stays in").await;
    // Their time for CONNECT is over.
    tokio::time::sleep(Duration::from_secs(11)).await;
    house.guest("d").await.publish("t", "room again").await;
}

#[tokio::test(start_paused = true)]
async fn who_has_too_much_outstanding_is_cut_and_keeps_its_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        outgoing_frames: 4,
        ..Limits::default()
    };
    let house = House::with(Settings {
        data: Some(folder.path().into()),
        limits,
        ..Settings::default()
    })
    .await;
    let mut raw = house.raw("agent").await;
    raw.say("SUBSCRIBE\nid:agent\ndestination:/topic/t\nack:client-individual\ndurable:true\nreceipt:r\n\n\0").await;
    raw.receipt("r").await;
    let writer = house.guest("w").await;
    let body = "x".repeat(20_000);
    for _ in 0..20 {
        writer.publish("t", &body).await;
    }
    let mut rest = Vec::new();
    soon("cut", raw.pipe.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.len() < 20 * body.len());
    let (_agent, mut deliveries) = house.take_over("agent", "t", 1).await;
    assert_eq!(text(&next(&mut deliveries).await), body);
}

#[tokio::test(start_paused = true)]
async fn the_largest_message_that_is_taken_can_be_read_by_a_client() {
    let limits = Limits::default();
    let house = House::new().await;
    let (reader, writer) = (house.guest("reader").await, house.guest("w").await);
    let mut deliveries = reader.durable("t", "reader", 10).await;
    // Beside the client's own headers: destination, persistent, receipt; and `content-length` in the bytes.
    let mut largest = message("t", &"x".repeat(limits.frame.body_bytes));
    let own = limits.frame.headers - 4;
    let value = "v".repeat(limits.frame.header_bytes / own - 12);
    for n in 0..own {
        largest.headers.push((format!("h{n}"), value.clone()));
    }
    writer.client.send(largest.clone()).await.unwrap();
    let read = next(&mut deliveries).await;
    assert_eq!(read.body.len(), limits.frame.body_bytes);
    assert_eq!(read.header(&format!("h{}", own - 1)), Some(&*value));
    for n in 0..4 {
        largest.headers.push((format!("more{n}"), String::new()));
    }
    let refused = writer.client.send(largest).await.unwrap_err().to_string();
    assert!(refused.contains("headers"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_would_fill_the_memory_is_refused() {
    let house = House::new().await;
    let mut raw = house.raw("much").await;
    let receipt = "r".repeat(257);
    let send = format!("SEND\ndestination:/topic/t\nreceipt:{receipt}\n\nx\0");
    raw.say(&send).await;
    assert_eq!(
        raw.error().await,
        "the header receipt has more than 256 bytes"
    );
}
