//! Sending, receiving and acknowledging against a scripted broker, in paused time.

use std::time::Duration;

use futures_util::FutureExt;
use stomp::{Ended, Expires, SendError, Subscription};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::script::{Script, introduction, message, text};

#[tokio::test(start_paused = true)]
async fn each_caller_is_told_its_own_outcome_whatever_the_order() {
    let mut script = Script::new().await;
    let mut sends = JoinSet::new();
    for n in 0..3 {
        let client = script.client.clone();
        sends.spawn(async move { (n, client.send(message(&n.to_string())).await.is_ok()) });
    }
    let mut receipts = Vec::new();
    for _ in 0..3 {
        let frame = script.far.frame().await;
        receipts.push((
            frame.body.clone(),
            frame.header("receipt").unwrap().to_owned(),
        ));
    }
    assert!(
        timeout(Duration::from_secs(1), sends.join_next())
            .await
            .is_err(),
        "nothing is confirmed yet"
    );
    for (body, receipt) in receipts.iter().rev() {
        script
            .far
            .say(&format!("RECEIPT\nreceipt-id:{receipt}\n\n\0"))
            .await;
        let (n, sent) = sends.join_next().await.unwrap().unwrap();
        assert_eq!((n.to_string().as_bytes(), sent), (&body[..], true));
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_started_go_out_in_order_and_each_receipt_is_its_own() {
    let mut script = Script::new().await;
    let mut receipts = Vec::new();
    for n in 0..3 {
        let started = script.client.start(&message(&n.to_string())).await;
        receipts.push(started.unwrap());
    }
    let mut asked = Vec::new();
    for n in 0..3 {
        let frame = script.far.frame().await;
        assert_eq!(frame.body, n.to_string());
        asked.push(frame.header("receipt").unwrap().to_owned());
    }
    let receipt = |id: &str| format!("RECEIPT\nreceipt-id:{id}\n\n\0");
    script.far.say(&receipt(&asked[1])).await;
    (&mut receipts[1]).await.unwrap();
    assert!(receipts[0].outcome().is_none() && receipts[2].outcome().is_none());
    let error = format!("ERROR\nreceipt-id:{}\nmessage:no\n\n\0", asked[0]);
    script.far.say(&error).await;
    script.ended().await;
    let first = receipts[0].outcome();
    assert!(
        matches!(first, Some(Err(SendError::Refused(_)))),
        "{first:?}"
    );
    let last = receipts[2].outcome();
    assert!(matches!(last, Some(Err(SendError::Ended(_)))), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_send_carries_what_it_should() {
    let mut script = Script::new().await;
    let client = script.client.clone();
    let mut sent = message("body");
    for (name, value) in [
        ("x-own", "1"),
        ("receipt", "forged"),
        ("destination", "/topic/other"),
    ] {
        sent.headers.push((name.into(), value.into()));
    }
    let (done, frame) = tokio::join!(client.send(sent), script.confirm_next());
    done.unwrap();
    assert_eq!(
        frame,
        "SEND\ndestination:/topic/t\npersistent:true\nx-own:1\n"
    );
    let mut light = message("body");
    (light.persistent, light.confirm) = (false, false);
    client.send(light).await.unwrap();
    let frame = script.far.frame().await;
    assert_eq!(text(&frame), "SEND\ndestination:/topic/t\n");
    assert_eq!(frame.header("receipt"), None);
}

#[tokio::test(start_paused = true)]
async fn a_time_to_live_is_written_for_every_broker_on_every_broker() {
    for server in [
        "RabbitMQ/3",
        "ActiveMQ/5",
        "ActiveMQ-Artemis/2",
        "deploykit-broker/0",
        "other",
    ] {
        let mut script = Script::with_server(server).await;
        let client = script.client.clone();
        let mut sent = message("body");
        sent.expires = Some(Expires {
            at_ms: 1_800_000_060_000,
            after_ms: 60_000,
        });
        for name in ["expires", "expiration"] {
            sent.headers.push((name.into(), "forged".into()));
        }
        let (done, frame) = tokio::join!(client.send(sent), script.confirm_next());
        done.unwrap();
        assert_eq!(
            frame,
            "SEND\ndestination:/topic/t\npersistent:true\nexpires:1800000060000\nexpiration:60000\n",
            "{server}"
        );
    }
}

/// RabbitMQ 3.10.8, word for word.
#[tokio::test(start_paused = true)]
async fn an_error_without_a_receipt_is_for_what_goes_where_it_names() {
    let mut script = Script::new().await;
    let mut sends = JoinSet::new();
    for to in ["orders.web1", "orders.web11", "orders.web1", "reports"] {
        let client = script.client.clone();
        let mut sent = message("x");
        sent.destination = format!("/topic/{to}");
        sends.spawn(async move { (to, client.send(sent).await.unwrap_err()) });
    }
    for _ in 0..4 {
        script.far.frame().await;
    }
    let why = "ACCESS_REFUSED - access to topic 'orders.web1' in exchange 'amq.topic' in vhost '/' refused for user 'web2'";
    let error = format!("ERROR\nmessage:access_refused\n\n{why}\0");
    script.far.say(&error).await;
    let outcomes = sends.join_all().await;
    let mut refused: Vec<_> = outcomes
        .iter()
        .filter(|(_, error)| matches!(error, SendError::Refused(told) if told.ends_with(why)))
        .map(|(to, _)| *to)
        .collect();
    refused.sort_unstable();
    assert_eq!(refused, ["orders.web1", "orders.web1"]);
    let ended = |error: &SendError| matches!(error, SendError::Ended(_));
    assert_eq!(outcomes.iter().filter(|(_, it)| ended(it)).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_error_the_guilty_and_the_others_are_told_and_the_driver_ends() {
    let mut script = Script::new().await;
    let mut deliveries = script.subscribe("agent").await;
    let mut sends = JoinSet::new();
    for _ in 0..2 {
        let client = script.client.clone();
        sends.spawn(async move { client.send(message("x")).await.unwrap_err() });
    }
    let first = script.far.frame().await;
    script.far.frame().await;
    let receipt = first.header("receipt").unwrap();
    script
        .far
        .say(&format!(
            "ERROR\nreceipt-id:{receipt}\nmessage:not authorized\n\n\0"
        ))
        .await;
    let mut outcomes: Vec<_> = sends
        .join_all()
        .await
        .iter()
        .map(ToString::to_string)
        .collect();
    outcomes.sort();
    assert_eq!(
        outcomes,
        [
            "the broker refused it: not authorized",
            "the connection ended: the broker sent ERROR: not authorized"
        ]
    );
    assert!(matches!(script.ended().await, Ended::Error(why) if why == "not authorized"));
    assert!(deliveries.next().await.is_none());
    assert!(matches!(
        script.client.send(message("late")).await,
        Err(SendError::Ended(_))
    ));
    let late = Subscription {
        destination: "/topic/t".into(),
        durable: None,
        prefetch: 1,
    };
    assert!(matches!(
        script.client.subscribe(late).await,
        Err(SendError::Ended(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_driver_fails_what_is_outstanding() {
    let mut script = Script::new().await;
    let client = script.client.clone();
    let mut sends = JoinSet::new();
    sends.spawn(async move { client.send(message("x")).await });
    script.far.frame().await;
    script.abort();
    let outcome = timeout(Duration::from_secs(1), sends.join_next())
        .await
        .expect("at once");
    assert!(matches!(
        outcome.unwrap().unwrap(),
        Err(SendError::Ended(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_can_never_be_sent_harms_nobody_else() {
    let mut script = Script::new().await;
    let mut wrong = message("x");
    wrong.headers.push(("a".into(), "b\0c".into()));
    assert!(matches!(
        script.client.send(wrong).await,
        Err(SendError::Invalid(_))
    ));
    let mut long = message("x");
    long.body = vec![0; 16 * 1024 * 1024 + 1].into();
    assert!(matches!(
        script.client.send(long).await,
        Err(SendError::TooLong { .. })
    ));
    let nul = Subscription {
        destination: "/topic/\0".into(),
        durable: Some("s".into()),
        prefetch: 1,
    };
    assert!(matches!(
        script.client.subscribe(nul).await,
        Err(SendError::Invalid(_))
    ));
    let client = script.client.clone();
    let (sent, frame) = tokio::join!(client.send(message("good")), script.confirm_next());
    sent.unwrap();
    assert!(frame.starts_with("SEND"), "{frame}");
}

#[tokio::test(start_paused = true)]
async fn the_window_holds_callers_back() {
    let mut connect = introduction();
    connect.limits.outstanding = 2;
    let mut script = Script::with(connect, "").await;
    let mut sends = JoinSet::new();
    for _ in 0..3 {
        let client = script.client.clone();
        sends.spawn(async move { client.send(message("x")).await });
    }
    let first = script.far.frame().await;
    script.far.frame().await;
    let third = timeout(Duration::from_secs(1), script.far.item()).await;
    assert!(third.is_err(), "{third:?}");
    let receipt = first.header("receipt").unwrap();
    script
        .far
        .say(&format!("RECEIPT\nreceipt-id:{receipt}\n\n\0"))
        .await;
    script.far.frame().await;
}

#[tokio::test(start_paused = true)]
async fn the_ack_goes_back_as_it_was_received_and_once() {
    let mut script = Script::new().await;
    let mut deliveries = script.subscribe("agent").await;
    script.far.say("MESSAGE\nsubscription:agent\nack:ID\\cx\\c1\nredelivered:true\ndestination:/topic/t\n\n\0").await;
    let delivery = deliveries.next().await.unwrap();
    assert!(delivery.redelivered());
    assert_eq!(delivery.destination, "/topic/t");
    script.client.ack(&delivery).await.unwrap();
    script.client.ack(&delivery).await.unwrap();
    assert_eq!(text(&script.far.frame().await), "ACK\nid:ID\\cx\\c1\n");
    let client = script.client.clone();
    let (_, next) = tokio::join!(client.send(message("x")), script.confirm_next());
    assert!(next.starts_with("SEND"), "{next}");
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limits_can_be_acknowledged_and_the_next_one_comes() {
    let mut script = Script::new().await;
    let mut deliveries = script.subscribe("agent").await;
    let many: String = (0..300).map(|n| format!("n{n}:x\n")).collect();
    let large = format!("MESSAGE\n{many}subscription:agent\nack:1\n\nmuch\0");
    script.far.say(&large).await;
    script
        .far
        .say("MESSAGE\nsubscription:agent\nack:2\n\nnext\0")
        .await;
    let delivery = deliveries.next().await.unwrap();
    assert_eq!(delivery.over.as_deref(), Some("more than 256 headers"));
    assert!(delivery.body.is_empty());
    script.client.ack(&delivery).await.unwrap();
    assert_eq!(text(&script.far.frame().await), "ACK\nid:1\n");
    let next = deliveries.next().await.unwrap();
    assert_eq!((next.over, &next.body[..]), (None, &b"next"[..]));
}

#[tokio::test(start_paused = true)]
async fn an_ack_that_was_given_up_for_want_of_room_can_be_said_again() {
    let mut script = Script::new().await;
    let mut deliveries = script.subscribe("agent").await;
    let brought = "MESSAGE\nsubscription:agent\nack:1\n\n\0";
    script.far.say(brought).await;
    let delivery = deliveries.next().await.unwrap();
    let mut sent = 0;
    while script.client.start(&message("x")).now_or_never().is_some() {
        sent += 1;
    }
    assert!(script.client.ack(&delivery).now_or_never().is_none());
    for _ in 0..sent {
        assert!(text(&script.far.frame().await).starts_with("SEND"));
    }
    script.client.ack(&delivery).await.unwrap();
    assert_eq!(text(&script.far.frame().await), "ACK\nid:1\n");
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_nobody_reads_hold_up_neither_receipts_nor_heart_beats() {
    let mut connect = introduction();
    connect.heart_beat = Duration::from_secs(1);
    let mut script = Script::with(connect, "server:RabbitMQ/3\nheart-beat:1000,1000\n").await;
    let _unread = script.subscribe("agent").await;
    for _ in 0..2 {
        script
            .far
            .say("MESSAGE\nsubscription:agent\nack:1\n\n\0")
            .await;
    }
    for _ in 0..10 {
        sleep(Duration::from_secs(2)).await;
        script.far.say("\n").await;
    }
    let client = script.client.clone();
    let (sent, _) = tokio::join!(client.send(message("x")), script.confirm_next());
    sent.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_ignores_the_prefetch_is_left() {
    let mut script = Script::with_server("RabbitMQ/3").await;
    let _unread = script.subscribe("agent").await;
    for n in 0..9 {
        script
            .far
            .say(&format!("MESSAGE\nsubscription:agent\nack:{n}\n\n\0"))
            .await;
    }
    let ended = script.ended().await;
    assert_eq!(
        ended.to_string(),
        "9 unacknowledged deliveries of agent, whose prefetch is 2"
    );
}

#[tokio::test(start_paused = true)]
async fn dropped_deliveries_cancel_the_subscription_before_it_is_asked_for_again() {
    let mut script = Script::new().await;
    let first = script.subscribe("agent").await;
    let client = script.client.clone();
    let again = || Subscription {
        destination: "/topic/t".into(),
        durable: Some("agent".into()),
        prefetch: 2,
    };
    let held = client.subscribe(again()).await;
    assert!(matches!(held, Err(SendError::Refused(_))), "{held:?}");
    drop(first);
    let (subscribed, ()) = tokio::join!(client.subscribe(again()), async {
        assert_eq!(text(&script.far.frame().await), "UNSUBSCRIBE\nid:agent\n");
        assert!(script.confirm_next().await.starts_with("SUBSCRIBE"));
    });
    subscribed.unwrap();
}

/// RabbitMQ hangs up on an acknowledgement for a subscription that has ended.
#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_goes_out_before_the_subscription_ends_and_nothing_after() {
    let mut script = Script::new().await;
    let mut deliveries = script.subscribe("agent").await;
    let brought = |n: u8| format!("MESSAGE\nsubscription:agent\nack:{n}\n\n\0");
    script.far.say(&(brought(1) + &brought(2))).await;
    let first = deliveries.next().await.unwrap();
    let second = deliveries.next().await.unwrap();
    script.client.ack(&first).await.unwrap();
    drop(deliveries);
    let late = script.client.ack(&second).await;
    assert!(matches!(late, Err(SendError::Ended(_))), "{late:?}");
    assert_eq!(text(&script.far.frame().await), "ACK\nid:1\n");
    assert_eq!(text(&script.far.frame().await), "UNSUBSCRIBE\nid:agent\n");
    let client = script.client.clone();
    let (sent, next) = tokio::join!(client.send(message("next")), script.confirm_next());
    sent.unwrap();
    assert!(next.starts_with("SEND"), "{next}");
}
