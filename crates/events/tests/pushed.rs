//! What a push says about paths.

use events::message::Pushed;

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
