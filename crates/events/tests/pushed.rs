//! What a push says about paths.

use events::{Payload, message::Pushed};
use serde_json::json;

fn paths<const N: usize>(all: [&str; N]) -> Option<Vec<String>> {
    Pushed::paths(all.map(str::to_owned))
}

#[test]
fn paths_are_sorted_and_each_is_there_once() {
    let sorted = paths(["b", "a/c", "b"]).expect("they fit");
    assert_eq!(sorted, ["a/c", "b"]);
    assert_eq!(paths([]), Some(Vec::new()));
}

#[test]
fn paths_that_cannot_be_told_whole_are_not_told_at_all() {
    assert_eq!(paths(["a", ""]), None);
    assert_eq!(paths(["a", "b\nc"]), None);
    let many = |count: usize| Pushed::paths((0..count).map(|n| format!("{n:029}")));
    // 32 bytes each with quotes and comma; the brackets and the missing last comma add one.
    assert_eq!(many(1023).map(|paths| paths.len()), Some(1023));
    assert_eq!(many(1024), None);
    let quotes = Pushed::paths(["\"".repeat(17 * 1024)]);
    assert_eq!(quotes, None, "each takes two bytes");
}

#[test]
fn of_an_annotated_tag_the_commit_is_told_beside_and_makes_no_other_key() {
    let id = |digit: &str| Some(digit.repeat(40).parse().expect("it is an id"));
    let tag = Pushed::of(
        "shop".parse().expect("it is a name"),
        "refs/tags/v1".parse().expect("it is a name"),
        None,
        id("e"),
    );
    let annotated = tag.clone().leading_to(id("a"));
    assert_eq!(annotated.commit(), id("a").as_ref());
    assert_eq!(json!(annotated)["commit"], "a".repeat(40));
    assert_eq!(annotated.dedupkey(), tag.dedupkey());
    let read: Pushed = serde_json::from_value(json!(annotated)).expect("it is a push");
    assert_eq!(read, annotated);

    // One that is a commit itself says it once, and one that is gone leads nowhere.
    assert_eq!(tag.clone().leading_to(id("e")), tag);
    assert_eq!(tag.commit(), id("e").as_ref());
    let gone = Pushed { after: None, ..tag };
    assert_eq!(gone.clone().leading_to(id("a")), gone);
    let both = Pushed {
        commit: id("a"),
        ..gone
    };
    assert_eq!(both.commit(), None, "whoever says so");
}
