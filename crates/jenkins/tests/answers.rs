//! Answers of Jenkins as checked types. The shapes are those that node-jenkins recorded, cut to what matters.

use jenkins::{Item, Outcome, answers};

#[test]
fn a_queue_item_waits_or_has_started_or_was_cancelled() {
    let table = [
        (
            r#"{"_class":"hudson.model.Queue$WaitingItem","cancelled":null,"why":"In the quiet period"}"#,
            Some(Item::Waiting {
                why: "In the quiet period".to_owned(),
                stuck: false,
            }),
        ),
        (
            r#"{"blocked":false,"stuck":false,"why":"Waiting for next available executor","executable":null}"#,
            Some(Item::Waiting {
                why: "Waiting for next available executor".to_owned(),
                stuck: false,
            }),
        ),
        (
            r#"{"stuck":true,"why":"a\u0007b\nc"}"#,
            Some(Item::Waiting {
                why: "a b c".to_owned(),
                stuck: true,
            }),
        ),
        (
            r#"{"_class":"hudson.model.Queue$LeftItem","cancelled":false,"executable":{"number":42,"url":"x"}}"#,
            Some(Item::Started(42)),
        ),
        (r#"{"cancelled":true}"#, Some(Item::Cancelled)),
        ("[]", None),
        ("<html>", None),
    ];
    for (text, item) in table {
        assert_eq!(answers::item(text.as_bytes()).ok(), item, "{text}");
    }
}

#[test]
fn a_build_is_read_through_whatever_its_plugins_say() {
    let text = r#"{
        "_class": "hudson.model.FreeStyleBuild", "number": 2, "building": false, "result": "UNSTABLE", "queueId": 17,
        "timestamp": 1421284713000, "url": "javascript:alert(1)",
        "actions": [
            null, {}, 7, {"_class": "x.Y", "parameters": "none"},
            {"parameters": [
                {"name": "DEPLOYKIT_ID", "value": "a"}, {"name": "FLAG", "value": true}, {"name": "N", "value": 3},
                {"name": "SECRET"}, {"value": "nameless"}, {"name": "FILE", "value": {"x": 1}}
            ]},
            {"lastBuiltRevision": {"SHA1": "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910"}},
            {"lastBuiltRevision": {"SHA1": "; rm -rf"}}
        ]
    }"#;
    let build = answers::build(text.as_bytes()).unwrap();
    assert_eq!(
        (build.number, build.outcome, build.queue_item),
        (2, Some(Outcome::Unstable), Some(17))
    );
    assert_eq!(build.url, None, "it may become a link");
    let pairs: Vec<_> = build
        .parameters
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(pairs, [("DEPLOYKIT_ID", "a"), ("FLAG", "true"), ("N", "3")]);
    assert_eq!(build.commits.len(), 1, "{:?}", build.commits);
}

#[test]
fn a_build_has_an_outcome_only_once_it_does_not_run() {
    let outcome = |building: bool, result: &str| {
        let text = format!(r#"{{"number":1,"building":{building},"result":{result}}}"#);
        answers::build(text.as_bytes()).unwrap().outcome
    };
    assert_eq!(outcome(true, "null"), None);
    assert_eq!(outcome(true, "\"FAILURE\""), None, "it may still change");
    assert_eq!(outcome(false, "null"), None);
    let table = [
        ("SUCCESS", Outcome::Success),
        ("UNSTABLE", Outcome::Unstable),
        ("FAILURE", Outcome::Failure),
        ("NOT_BUILT", Outcome::NotBuilt),
        ("ABORTED", Outcome::Aborted),
        ("success", Outcome::Failure),
    ];
    for (word, is) in table {
        assert_eq!(outcome(false, &format!("\"{word}\"")), Some(is), "{word}");
    }
}

#[test]
fn of_a_location_only_the_number_counts() {
    let table = [
        ("https://ci.example.org/queue/item/129/", Some(129)),
        ("/jenkins/queue/item/129", Some(129)),
        ("http://[::1]:8080/a/queue/item/1/", Some(1)),
        (".", None),
        ("https://ci/queue/item/", None),
        ("https://ci/queue/item/-1/", None),
        ("https://ci/queue/item/1/cancel", None),
        ("https://ci/login?from=/queue/item/x", None),
    ];
    for (location, item) in table {
        assert_eq!(answers::queue_item(location), item, "{location}");
    }
}
