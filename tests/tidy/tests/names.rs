//! One name, and all parts of a service.

use tidy::{File, names};

use crate::{none, tree};

/// A service and a crate as they should be.
fn good() -> Vec<File> {
    let doc = "#![doc = include_str!(\"../README.md\")]\n";
    vec![
        File::new("crates/git/Cargo.toml", "[package]\nname = \"git\"\n"),
        File::new("crates/git/README.md", "# git\n"),
        File::new("crates/git/src/lib.rs", doc),
        File::new(
            "services/stomp-git/Cargo.toml",
            "[package]\nname = \"stomp-git\"\n",
        ),
        File::new(
            "services/stomp-git/README.md",
            "# stomp-git: keeps mirrors\n",
        ),
        File::new("services/stomp-git/dist/stomp-git.toml", "x = 1\n"),
        File::new("services/stomp-git/src/lib.rs", doc),
        File::new("services/stomp-git/src/main.rs", "//! `stomp-git`.\n"),
    ]
}

#[test]
fn every_service_and_crate_has_its_parts_under_one_name() {
    none(names::complaints(&tree::files()));
}

#[test]
fn a_missing_part_is_found() {
    none(names::complaints(&good()));
    for part in [
        "crates/git/README.md",
        "crates/git/src/lib.rs",
        "services/stomp-git/README.md",
        "services/stomp-git/dist/stomp-git.toml",
        "services/stomp-git/src/lib.rs",
        "services/stomp-git/src/main.rs",
    ] {
        let mut tree = good();
        tree.retain(|file| file.path != part);
        assert_eq!(tree.len(), good().len() - 1);
        let found = names::complaints(&tree);
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        assert!(found[0].contains("is missing"), "{found:?}");
    }
}

#[test]
fn another_name_is_found() {
    let table = [
        (
            "services/stomp-git/Cargo.toml",
            "[package]\nname = \"git-stomp\"\n",
            "package must be named",
        ),
        (
            "services/stomp-git/Cargo.toml",
            "[package]\nname = \"stomp-git\"\n[[bin]]\nname = \"sg\"\n",
            "binary must be named",
        ),
        (
            "crates/git/README.md",
            "# gitty: what\n",
            "first line must be",
        ),
        (
            "services/stomp-git/README.md",
            "Keeps mirrors\n",
            "first line must be",
        ),
        (
            "crates/git/src/lib.rs",
            "//! git\n",
            "must be the crate's doc",
        ),
    ];
    for (path, text, expected) in table {
        let mut tree = good();
        let file = tree.iter_mut().find(|file| file.path == path);
        file.expect("it is one of the good ones").text = text.to_owned();
        let found = names::complaints(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn a_main_with_logic_in_it_is_found() {
    let mut tree = good();
    tree.last_mut().expect("main.rs").text = "x\n".repeat(61);
    assert!(names::complaints(&tree)[0].contains("61 lines, at most 60"));
}
