//! docs/threat-model.md names a test for each threat, and the tests exist.

use tidy::File;

use crate::{none, tree};

/// Each link of a table row as test and file, and rows without one.
fn complaints(page: &File, find: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    let rows = page.text.lines().filter(|line| line.starts_with("| "));
    for row in rows.filter(|row| !row.starts_with("| could |")) {
        let shown = row.rsplit(" | ").next().unwrap_or_default();
        let links: Vec<&str> = shown.split('[').skip(1).collect();
        if links.is_empty() {
            complaints.push(format!("no test: {row}"));
        }
        for link in links {
            let parts = link.split_once("](../").and_then(|(test, rest)| {
                let (path, _) = rest.split_once(')')?;
                Some((test, path))
            });
            let Some((test, path)) = parts else {
                complaints.push(format!("not a link to a test: {link}"));
                continue;
            };
            let text = find(path).unwrap_or_default();
            if !text.contains(&format!("fn {test}(")) {
                complaints.push(format!("{path} has no test {test}"));
            }
        }
    }
    complaints
}

#[test]
fn every_threat_names_a_test_that_exists() {
    let page = tree::file("docs/threat-model.md");
    assert!(page.text.matches("\n| ").count() > 25);
    let all = tree::files();
    let find = |path: &str| {
        let found = all.iter().find(|file| file.path == path);
        found.map(|file| file.text.clone())
    };
    none(complaints(&page, find));
    let find = |_: &str| Some("fn here() {}".to_owned());
    let page = |row: &str| File::new("docs/threat-model.md", row);
    let link = "| x | y | [here](../a.rs), [gone](../a.rs) |";
    assert_eq!(complaints(&page(link), find), ["a.rs has no test gone"]);
    assert_eq!(complaints(&page("| x | y | nothing |"), find).len(), 1);
    assert_eq!(complaints(&page("| could | what |"), find).len(), 0);
}
