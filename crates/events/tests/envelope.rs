//! What is around each message.

use events::{
    Envelope, MAX_FRAME_BYTES, OpenError, ParseError, Payload, SealError,
    message::{Beat, ScriptOutput},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

fn beat() -> Beat {
    Beat {
        from: "hub1".to_owned(),
        number: 1,
        last_round_trip_ms: None,
    }
}

fn sealed() -> Envelope {
    Envelope::seal(
        Uuid::from_u128(1),
        "/deploykit/test/hub1",
        Timestamp::UNIX_EPOCH,
        &beat(),
    )
    .expect("a beat is sealed")
}

/// The envelope as JSON after a change to it.
fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = serde_json::to_value(sealed()).expect("JSON");
    change(&mut value);
    value.to_string().into_bytes()
}

#[test]
fn a_message_comes_back_as_it_was_sealed() {
    let envelope = Envelope::parse(&sealed().to_bytes()).expect("an envelope");
    assert_eq!(envelope, sealed());
    assert!(envelope.is::<Beat>());
    assert_eq!(envelope.open::<Beat>().expect("a beat"), beat());
}

#[test]
fn unknown_attributes_and_fields_are_ignored() {
    let body = changed(|value| {
        value["sampledrate"] = 3.into();
        value["data"]["colour"] = "red".into();
    });
    let envelope = Envelope::parse(&body).expect("an envelope");
    assert_eq!(envelope.open::<Beat>().expect("a beat"), beat());
}

#[test]
fn attributes_that_may_be_left_out() {
    let body = changed(|value| {
        let attributes = value.as_object_mut().expect("an object");
        attributes.remove("subject");
        attributes.remove("datacontenttype");
    });
    let envelope = Envelope::parse(&body).expect("an envelope");
    assert_eq!(envelope.datacontenttype, "application/json");
}

#[test]
fn an_attribute_that_is_needed_is_named_when_it_is_missing() {
    for name in ["specversion", "id", "source", "type", "time", "data"] {
        let body = changed(|value| {
            value.as_object_mut().expect("an object").remove(name);
        });
        let Err(ParseError::NotAnEnvelope(source)) = Envelope::parse(&body) else {
            panic!("taken without {name}");
        };
        assert!(
            source.to_string().contains(&format!("`{name}`")),
            "{source}"
        );
    }
}

#[test]
fn what_is_no_message_is_refused() {
    for body in [
        &b""[..],
        b"not JSON",
        b"[]",
        b"\xff\xfe",
        b"{",
        b"null",
        b"{} {}",
    ] {
        assert!(
            matches!(Envelope::parse(body), Err(ParseError::NotAnEnvelope(_))),
            "{body:?}"
        );
    }
    for (name, wrong) in [
        ("id", json!("7")),
        ("time", json!("yesterday")),
        ("type", json!(1)),
    ] {
        let body = changed(|value| value[name] = wrong);
        assert!(
            matches!(Envelope::parse(&body), Err(ParseError::NotAnEnvelope(_))),
            "{name}"
        );
    }
    let deep = "[".repeat(10_000);
    assert!(Envelope::parse(deep.as_bytes()).is_err());
}

#[test]
fn another_specversion_or_kind_of_data_is_refused() {
    let body = changed(|value| value["specversion"] = "2.0".into());
    assert!(
        matches!(Envelope::parse(&body), Err(ParseError::SpecVersion(found)) if found == "2.0")
    );
    let body = changed(|value| value["datacontenttype"] = "text/xml".into());
    assert!(
        matches!(Envelope::parse(&body), Err(ParseError::ContentType(found)) if found == "text/xml")
    );
}

#[test]
fn a_message_of_the_future_is_told_from_another_message() {
    for (kind, future) in [
        ("deploykit.keepalive.v2", true),
        ("deploykit.keepalive.v10", true),
        ("deploykit.keepalive", false),
        ("deploykit.keepalive.v", false),
        ("deploykit.keepalive.vast", false),
        ("deploykit.git.pushed.v1", false),
        ("deploykit.keepalive.v1.v1", false),
        ("", false),
    ] {
        let body = changed(|value| value["type"] = kind.into());
        let envelope = Envelope::parse(&body).expect("an envelope");
        let found = match envelope.open::<Beat>() {
            Err(OpenError::Version { .. }) => true,
            Err(OpenError::Type { .. }) => false,
            other => panic!("{kind}: {other:?}"),
        };
        assert_eq!(found, future, "{kind}");
    }
}

#[test]
fn the_right_type_with_wrong_data_says_what_is_wrong() {
    let body = changed(|value| value["data"]["number"] = "one".into());
    let envelope = Envelope::parse(&body).expect("an envelope");
    let Err(OpenError::Data { known, source }) = envelope.open::<Beat>() else {
        panic!("it was taken");
    };
    assert_eq!(known, Beat::TYPE);
    assert!(source.to_string().contains("invalid type"), "{source}");
}

#[test]
fn the_limit_holds_for_readers_and_writers() {
    let mut body = sealed().to_bytes();
    body.resize(MAX_FRAME_BYTES, b' ');
    Envelope::parse(&body).expect("as large as can be");
    body.push(b' ');
    let refused = Envelope::parse(&body);
    assert!(matches!(refused, Err(ParseError::TooLarge(size)) if size == MAX_FRAME_BYTES + 1));

    let large = Beat {
        from: "x".repeat(MAX_FRAME_BYTES),
        ..beat()
    };
    let refused = Envelope::seal(Uuid::from_u128(1), "/test", Timestamp::UNIX_EPOCH, &large);
    assert!(
        matches!(refused, Err(SealError::TooLarge { .. })),
        "{refused:?}"
    );
}

#[test]
fn the_worst_script_output_fits_a_frame() {
    let output = ScriptOutput {
        host: "h".repeat(63).parse().expect("a host"),
        project: "p".repeat(63).parse().expect("a project"),
        deploy: Uuid::from_u128(1),
        step: events::message::Step::Check,
        offset: u64::MAX,
        // JSON writes each of them with six characters.
        text: "\u{1}".repeat(ScriptOutput::MAX_BYTES),
        cut: true,
    };
    Envelope::seal(Uuid::from_u128(1), "/test", Timestamp::UNIX_EPOCH, &output).expect("it fits");
}

#[test]
fn the_main_attributes_are_headers_too() {
    let mut envelope = sealed();
    envelope.traceparent = Some("00-1-2-01".to_owned());
    envelope.dedupkey = Some("key".to_owned());
    let headers = envelope.headers();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, v)| (*name, v.as_str()))
        .collect();
    assert_eq!(
        headers,
        [
            ("content-type", "application/cloudevents+json"),
            ("ce-id", "00000000-0000-0000-0000-000000000001"),
            ("ce-type", "deploykit.keepalive.v1"),
            ("ce-source", "/deploykit/test/hub1"),
            ("ce-time", "1970-01-01T00:00:00Z"),
            ("ce-subject", "beat 1 of hub1"),
            ("ce-dedupkey", "key"),
            ("traceparent", "00-1-2-01"),
        ]
    );
}
