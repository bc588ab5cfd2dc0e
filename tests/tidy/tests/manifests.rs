//! Rules for every package's manifest.

use tidy::{File, manifests};

use crate::{none, tree};

const GOOD: &str = r#"
[package]
name = "x"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[dependencies]
serde = { workspace = true, features = ["rc"] }
tokio.workspace = true

[dev-dependencies]
tempfile.workspace = true

[lints]
workspace = true
"#;

fn complaints(text: &str) -> Vec<String> {
    manifests::complaints(&File::new("crates/x/Cargo.toml", text))
}

#[test]
fn every_manifest_leaves_versions_and_lints_to_the_workspace() {
    let mut manifests = tree::ours();
    manifests.retain(|file| file.path.ends_with("/Cargo.toml"));
    assert!(manifests.len() > 10);
    none(manifests.iter().flat_map(manifests::complaints).collect());
}

#[test]
fn what_the_workspace_decides_is_not_decided_again() {
    none(complaints(GOOD));
    let table = [
        ("[lints]\nworkspace = true", "", "ban on unsafe code"),
        (
            "[lints]\nworkspace = true",
            "[lints]\nworkspace = false",
            "ban on unsafe code",
        ),
        (
            "edition.workspace = true",
            "edition = \"2021\"",
            "edition.workspace",
        ),
        ("publish.workspace = true", "", "publish.workspace"),
        (
            "tokio.workspace = true",
            "tokio = \"1\"",
            "tokio: its version",
        ),
        (
            "tempfile.workspace = true",
            "tempfile = { version = \"3\" }",
            "tempfile: its version",
        ),
        ("[package]", "[package", "TOML parse error"),
    ];
    for (from, to, expected) in table {
        let found = complaints(&GOOD.replace(from, to));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn every_package_has_at_most_one_binary_of_integration_tests() {
    none(manifests::test_binaries(&tree::metadata()).unwrap());
}

#[test]
fn a_second_binary_of_integration_tests_is_found() {
    let metadata = r#"{"packages": [
        {"name": "git", "targets": [{"name": "git", "kind": ["lib"]}, {"name": "main", "kind": ["test"]}]},
        {"name": "stomp", "targets": [{"name": "a", "kind": ["test"]}, {"name": "b", "kind": ["test"]}]}
    ]}"#;
    let found = manifests::test_binaries(metadata).unwrap();
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("stomp: a, b are 2 test binaries"),
        "{found:?}"
    );
}
