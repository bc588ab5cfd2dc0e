//! The drawing of the layers.

use tidy::layers::{self, Package};

use crate::{none, tree};

const DRAWING: &str = "
```layers
events →
stomp →
world →
chassis → events, stomp
chassis (tests) → world
services → crates
deploykit → crates, services
```
";

fn package(name: &str, folder: &str, uses: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        folder: folder.to_owned(),
        uses: uses.iter().map(|&name| name.to_owned()).collect(),
        uses_in_tests: Vec::new(),
    }
}

fn workspace() -> Vec<Package> {
    vec![
        package("events", "crates", &[]),
        package("stomp", "crates", &[]),
        package("world", "crates", &[]),
        package("chassis", "crates", &["stomp"]),
        package("stomp-git", "services", &["chassis", "events"]),
        package("deploykit", "services", &["stomp-git", "chassis"]),
    ]
}

/// Complaints about the workspace after one change to it.
fn after(change: impl FnOnce(&mut Vec<Package>)) -> Vec<String> {
    let mut packages = workspace();
    change(&mut packages);
    layers::complaints(
        &layers::drawing(DRAWING).expect("it is a good drawing"),
        &packages,
    )
}

/// Complaints after one change to the drawing.
fn drawn(from: &str, to: &str) -> Vec<String> {
    assert!(DRAWING.contains(from), "{from}");
    match layers::drawing(&DRAWING.replace(from, to)) {
        Ok(drawing) => layers::complaints(&drawing, &workspace()),
        Err(complaint) => vec![complaint],
    }
}

#[test]
fn the_drawing_in_architecture_is_true() {
    let drawing = layers::drawing(&tree::file("ARCHITECTURE.md").text).unwrap();
    let packages = layers::packages(&tree::metadata()).unwrap();
    assert!(packages.len() > 10, "{packages:?}");
    none(layers::complaints(&drawing, &packages));
}

#[test]
fn what_is_drawn_is_allowed() {
    none(after(|_| {}));
    none(after(|packages| {
        packages[3].uses_in_tests = vec!["world".to_owned(), "events".to_owned()];
    }));
}

#[test]
fn an_arrow_that_is_not_drawn_is_found() {
    let found = after(|packages| packages[3].uses.push("world".to_owned()));
    assert_eq!(
        found,
        ["layers: chassis uses world; the drawing has no such arrow"]
    );
    let found = after(|packages| packages[4].uses.push("deploykit".to_owned()));
    assert_eq!(
        found,
        ["layers: stomp-git uses deploykit; the drawing has no such arrow"]
    );
}

#[test]
fn tests_keep_to_the_drawing_too() {
    let found = after(|packages| packages[0].uses_in_tests.push("stomp".to_owned()));
    assert_eq!(
        found,
        ["layers: events's tests use stomp; the drawing has no such arrow"]
    );
}

#[test]
fn a_package_that_is_not_drawn_is_found() {
    let found = after(|packages| packages.push(package("xtask", "", &[])));
    assert_eq!(found, ["layers: xtask is not in the drawing"]);
    let found = after(|packages| packages.push(package("git", "crates", &[])));
    assert_eq!(found, ["layers: git is not in the drawing"]);
}

#[test]
fn a_drawing_that_is_wrong_is_found() {
    let table = [
        ("stomp →", "stomp → events\nfax →", "the drawing has fax"),
        (
            "events →\n",
            "events → stomp\n",
            "events → stomp does not point to a line above",
        ),
        (
            "stomp →\n",
            "stomp →\nstomp → events\n",
            "stomp has two lines",
        ),
        (
            "stomp →\n",
            "stomp uses nothing\n",
            "is not `name → name, name`",
        ),
        ("```layers", "```text", "no fenced block"),
    ];
    for (from, to, expected) in table {
        let found = drawn(from, to);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn cargo_is_understood_with_renamed_and_test_dependencies() {
    let metadata = r#"{"workspace_root": "/x", "packages": [
        {"name": "git", "manifest_path": "/x/crates/git/Cargo.toml", "dependencies": [
            {"name": "events", "rename": "words", "kind": null, "path": "/x/crates/events"},
            {"name": "world", "kind": "dev", "path": "/x/crates/world"},
            {"name": "command", "kind": "build", "path": "/x/crates/command"},
            {"name": "serde", "kind": null}
        ]},
        {"name": "xtask", "manifest_path": "/x/xtask/Cargo.toml", "dependencies": []}
    ]}"#;
    let mut git = package("git", "crates", &["events"]);
    git.uses_in_tests = vec!["world".to_owned(), "command".to_owned()];
    assert_eq!(
        layers::packages(metadata),
        Ok(vec![git, package("xtask", "", &[])])
    );
}
