//! What is taken for facts, and what is not.

use events::Facts;
use serde_json::{Value, json};

fn read(value: Value) -> Result<Facts, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn flags_numbers_and_lines_are_facts_and_are_said_as_they_came() {
    let value = json!({ "rack": "b12", "cpus": 8, "load.limit": 0.5, "virtual": false });
    let facts = read(value.clone()).expect("facts");
    assert_eq!(serde_json::to_value(&facts).expect("JSON"), value);
    assert_eq!(
        facts.get("cpus").map(ToString::to_string).as_deref(),
        Some("8")
    );
    let unknown = read(json!({ "rack": null })).expect("facts");
    assert!(unknown.is_empty(), "a null is no fact");
}

#[test]
fn what_is_not_flat_or_not_bounded_is_refused_with_the_name() {
    let many: serde_json::Map<String, Value> = (0..65)
        .map(|n| (format!("n{n}"), Value::Bool(true)))
        .collect();
    let wrong = [
        (
            json!({ "os": { "name": "Debian" } }),
            "the fact os is an object or a list",
        ),
        (
            json!({ "mounts": ["/"] }),
            "the fact mounts is an object or a list",
        ),
        (
            json!({ "text": "a".repeat(201) }),
            "the fact text is longer than 200 characters",
        ),
        (json!({ "text": "a\nb" }), "the fact text is longer"),
        (json!({ "Rack": 1 }), "\"Rack\" is no name of a fact"),
        (json!({ "": 1 }), "\"\" is no name of a fact"),
        (json!({ "a".repeat(65): 1 }), "is no name of a fact"),
        (Value::Object(many), "65 facts, at most 64"),
    ];
    for (value, why) in wrong {
        let error = read(value).expect_err(why);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn facts_that_are_known_go_before_others() {
    let own = read(json!({ "rack": "b12" })).expect("facts");
    let told = read(json!({ "rack": "?", "cpus": 8 })).expect("facts");
    let all = own.over(&told).expect("few enough");
    assert_eq!(
        all,
        read(json!({ "rack": "b12", "cpus": 8 })).expect("facts")
    );
}
