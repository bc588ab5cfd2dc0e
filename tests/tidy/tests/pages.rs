//! Links and the changelog.

use tidy::{File, pages};

use crate::{none, tree};

#[test]
fn every_relative_link_leads_somewhere() {
    let all = tree::files();
    let mut written = tree::ours();
    written.retain(|file| file.path.ends_with(".md"));
    assert!(written.len() > 5);
    none(
        written
            .iter()
            .flat_map(|page| pages::dead_links(page, &all))
            .collect(),
    );
}

#[test]
fn the_changelog_is_open_for_the_next_change() {
    assert_eq!(pages::changelog(&tree::file("CHANGELOG.md")), None);
    let change = |text| pages::changelog(&File::new("CHANGELOG.md", text));
    assert_eq!(change("# Changes\n\n## Unreleased\n\n## 0.1.0\n"), None);
    assert!(change("# Changes\n\n## 0.1.0\n\n## Unreleased\n").is_some());
    assert!(change("# Changes\n").is_some());
}

/// Complaints about one page at `docs/a.md`.
fn dead(text: &str) -> Vec<String> {
    let page = File::new("docs/a.md", text);
    let tree = [
        page.clone(),
        File::new(
            "docs/bus.md",
            "# The bus\n\n## Who, and what?\n\n```\n# not a heading\n```\n",
        ),
        File::new("crates/git/README.md", "# git\n"),
        File::new("LICENSE-MIT", ""),
    ];
    pages::dead_links(&page, &tree)
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    for bad in [
        "[x](gone.md)",
        "a [b](bus.md) and [x](../docs/gone.md) too",
        "![drawing](drawing.svg)",
        "[x](bus.md#nowhere)",
        "[x](#nowhere)",
        "[x](bus.md#not-a-heading)",
    ] {
        assert_eq!(dead(bad).len(), 1, "{bad}: {:?}", dead(bad));
    }
}

#[test]
fn links_that_lead_somewhere_or_are_not_ours_are_left_alone() {
    for good in [
        "[x](bus.md)",
        "[x](bus.md#who-and-what)",
        "# Here\n\n[x](#here)",
        "[x](../crates/git)",
        "[x](../crates/git/)",
        "[x](../LICENSE-MIT \"title\")",
        "[x](/LICENSE-MIT)",
        "[x](https://example.org/gone.md)",
        "[x](mailto:a@example.org)",
        "[`Bus`](crate::bus::Bus)",
        "`[x](gone.md)`",
        "```\n[x](gone.md)\n```",
    ] {
        assert!(dead(good).is_empty(), "{good}: {:?}", dead(good));
    }
}
