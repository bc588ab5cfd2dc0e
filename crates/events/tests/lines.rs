//! What is said is one line and one bounded record, whatever it was made from.

use events::{
    OneLine, ServiceName,
    message::{Level, Line, RECORD_BYTES, Said},
    one_line::LINE_CHARS,
};
use proptest::prelude::*;
use serde_json::json;

fn said(said: Said) -> Line {
    let component = "stomp-git".parse().expect("a service");
    said.line(component, &"web1".parse().expect("a host"))
}

#[test]
fn the_host_is_first_and_the_record_says_what_happened() {
    let line = said(
        Said::new("changed", "shop main 1111111111..2222222222")
            .with("repository", "shop")
            .with("before", None::<&str>),
    );
    assert_eq!(line.line.as_str(), "web1: shop main 1111111111..2222222222");
    let record = json!({ "event": "changed", "level": "info", "repository": "shop" });
    assert_eq!(line.record, record, "what is absent is no field");
    assert_eq!((line.event(), line.level()), (Some("changed"), Level::Info));
}

#[test]
fn levels_are_read_leniently() {
    let with = |record| Line {
        record,
        ..said(Said::new("x", "y"))
    };
    for level in Level::ALL {
        assert_eq!(said(Said::new("x", "y").level(level)).level(), level);
    }
    assert_eq!(with(json!({ "level": "doom" })).level(), Level::Info);
    assert_eq!(with(json!(7)).level(), Level::Info);
    assert_eq!(with(json!(null)).event(), None);
}

#[test]
fn nothing_that_moves_a_cursor_or_turns_the_writing_comes_into_a_line() {
    for (text, shown) in [
        ("a\nb\r\n c\t d", "a b c d"),
        ("red \u{1b}[31m text\u{7}", "red [31m text"),
        ("\u{202e}gnp.exe\u{2028}x\u{feff}", "gnp.exe x"),
        ("  \u{0}  ", ""),
    ] {
        assert_eq!(OneLine::new(text).as_str(), shown, "{text:?}");
    }
}

#[test]
fn what_came_over_the_bus_is_brought_into_shape_too() {
    let line: Line = serde_json::from_value(json!({
        "component": "stomp-git", "host": "web1", "line": "web1: a\u{1b}]0;owned\u{7}\nweb2: b", "record": {},
    }))
    .unwrap();
    assert_eq!(line.line.as_str(), "web1: a ]0;owned web2: b");
}

#[test]
fn passwords_and_tokens_of_addresses_are_hidden() {
    for (text, shown) in [
        (
            "cannot read https://ann:hunter2@git.example.org/shop.git: 403",
            "cannot read https://***@git.example.org/shop.git: 403",
        ),
        (
            "'https://p@ss:w@rd@h/x' and ssh://git@h/y",
            "'https://***@h/x' and ssh://***@h/y",
        ),
        ("see https://example.org/a@b", "see https://example.org/a@b"),
        (
            "GET /x?Token=abc&ref=1 failed",
            "GET /x?Token=***&ref=1 failed",
        ),
        ("https://", "https://"),
    ] {
        assert_eq!(OneLine::new(text).as_str(), shown);
        let line = said(Said::new("x", "y").with("causes", json!([{ "cause": text }])));
        assert_eq!(line.record["causes"][0]["cause"], shown);
    }
}

#[test]
fn a_record_that_is_too_large_is_left_out_and_says_so() {
    let large = said(Said::new("problem", "y").with("cause", "x".repeat(RECORD_BYTES)));
    let left = json!({ "event": "problem", "level": "info", "cut": true });
    assert_eq!(large.record, left);
}

#[test]
fn a_component_is_a_word_that_a_topic_can_hold() {
    for bad in ["", "a.b", "A", "a/b", "a b", "*"] {
        bad.parse::<ServiceName>().unwrap_err();
    }
}

proptest! {
    #[test]
    fn any_text_is_one_bounded_line(text in any::<String>(), times in 1usize..40) {
        let line = OneLine::new(&text.repeat(times));
        prop_assert!(line.chars().count() <= LINE_CHARS);
        prop_assert!(!line.chars().any(char::is_control));
        prop_assert!(!line.contains("  ") && line.trim() == line.as_str());
        prop_assert_eq!(OneLine::new(&line), line, "what is in shape stays as it is");
    }
}
