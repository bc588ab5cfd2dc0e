//! Shipped settings files.

use tidy::{File, settings};

use crate::{none, tree};

#[test]
fn every_shipped_settings_file_is_valid_with_and_without_its_optional_keys() {
    let mut shipped = tree::ours();
    shipped.retain(|file| file.path.contains("/dist/") && file.path.ends_with(".toml"));
    assert!(!shipped.is_empty());
    none(shipped.iter().flat_map(settings::complaints).collect());
}

fn complaints(text: &str) -> Vec<String> {
    settings::complaints(&File::new("services/x/dist/x.toml", text))
}

#[test]
fn a_wrong_file_is_found_in_both_states() {
    none(complaints(
        "# A number = 1 to 3.\na = 1\n#b = 2\n#[c.\"x/y\"]\n#d = 3\n",
    ));
    assert_eq!(complaints("a = \n").len(), 2);
    let twice = complaints("a = 1\n#a = 2\n");
    assert_eq!(twice.len(), 1);
    assert!(
        twice[0].contains("every commented key switched on"),
        "{twice:?}"
    );
}

#[test]
fn a_commented_key_that_would_not_be_tried_is_found() {
    for bad in [
        "# b = 2\n",
        "# a.b-c = [1]\n",
        "# \"web/shop\" = 1\n",
        "# [c]\n",
        "# [[c.d]]\n",
    ] {
        let found = complaints(bad);
        assert_eq!(found.len(), 1, "{bad}");
        assert!(found[0].contains("has no space after its #"), "{found:?}");
    }
}
