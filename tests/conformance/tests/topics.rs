//! Publishing, wildcards, headers, bodies.

use bytes::Bytes;
use futures_util::future::join_all;
use stomp::Message;

use crate::site::{Site, message, texts};

pub(crate) async fn every_subscriber_hears_what_is_published(site: &mut Site) {
    let (one, two) = (site.link("conf-one").await, site.link("conf-two").await);
    let mut first = one.hear("/topic/conf.fan").await;
    let mut second = two.hear("/topic/conf.fan").await;
    one.publish("/topic/conf.other", "for nobody").await;
    one.publish("/topic/conf.fan", "for both").await;
    assert_eq!(first.text().await, "for both");
    assert_eq!(second.text().await, "for both");
}

pub(crate) async fn a_star_stands_for_one_word(site: &mut Site) {
    let link = site.link("conf-star").await;
    let mut heard = link.hear("/topic/conf.star.*.end").await;
    for middle in ["", ".a.b", ".a", ".web1"] {
        let destination = format!("/topic/conf.star{middle}.end");
        link.publish(&destination, &destination).await;
    }
    assert_eq!(
        texts(&heard.up_to("/topic/conf.star.web1.end").await),
        ["/topic/conf.star.a.end", "/topic/conf.star.web1.end"]
    );
}

pub(crate) async fn each_pipelined_publish_has_its_own_receipt(site: &mut Site) {
    let link = site.link("conf-pipeline").await;
    let mut heard = link
        .hear_durably("/topic/conf.pipeline", "conf-pipeline")
        .await;
    let numbers: Vec<String> = (1..=50).map(|number| number.to_string()).collect();
    let publishing = numbers
        .iter()
        .map(|number| link.publish("/topic/conf.pipeline", number));
    join_all(publishing).await;
    assert_eq!(texts(&heard.up_to("50").await), numbers);
}

pub(crate) async fn bodies_arrive_as_they_were_sent(site: &mut Site) {
    let link = site.link("conf-bodies").await;
    let mut heard = link.hear("/topic/conf.bodies").await;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let bodies: [&[u8]; 6] = [
        b"",
        b"\0",
        b"\0\0\nMESSAGE\n\n\0",
        b"\n",
        &all_bytes,
        "größer".as_bytes(),
    ];
    for body in bodies {
        let sent = link.client.send(Message {
            body: Bytes::copy_from_slice(body),
            ..message("/topic/conf.bodies", "")
        });
        sent.await.expect("the broker takes it");
        assert_eq!(heard.next().await.body, body);
    }
}

pub(crate) async fn headers_arrive_as_they_were_sent(site: &mut Site) {
    let link = site.link("conf-headers").await;
    let mut heard = link.hear("/topic/conf.headers").await;
    let odd = [
        ("ce-colon", "a:b::c"),
        ("ce-backslash", "c:\\new\\table"),
        ("ce-lines", "one\ntwo\r\nthree"),
        ("ce-words", "größer, \u{1f680}"),
        ("ce-empty", ""),
        ("Ce-Case", "Kept"),
        ("ce:name", "colon in a name"),
    ];
    let mut asked = message("/topic/conf.headers", "odd");
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    asked.headers.extend(odd.map(owned));
    link.client.send(asked).await.expect("the broker takes it");
    let delivery = heard.next().await;
    for (name, value) in odd {
        assert_eq!(delivery.header(name), Some(value), "{name}");
    }
    assert_eq!(delivery.destination, "/topic/conf.headers");
}

pub(crate) async fn a_frame_of_120_kb_passes(site: &mut Site) {
    let link = site.link("conf-large").await;
    let mut heard = link.hear("/topic/conf.large").await;
    let text = "0123456789".repeat(12_000);
    link.publish("/topic/conf.large", &text).await;
    assert!(heard.text().await == text, "a large body has changed");
}
