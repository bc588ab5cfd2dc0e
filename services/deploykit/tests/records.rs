//! The table of records in docs/bus.md against the words in the code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

type Words = BTreeMap<String, BTreeSet<String>>;

/// The events of each component, as the page has them.
fn documented() -> Words {
    let page = include_str!("../../../docs/bus.md");
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| component | event |"));
    let mut words = Words::new();
    let mut component = String::new();
    for row in rows.skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, of, events, level, fields, _] = cells[..] else {
            panic!("a row has four cells: {row}");
        };
        assert!(!level.is_empty() && !fields.is_empty(), "{row}");
        if !of.is_empty() {
            component = of.trim_matches('`').to_owned();
        }
        let events = events
            .split(',')
            .map(|it| it.trim().trim_matches('`').to_owned());
        words.entry(component.clone()).or_default().extend(events);
    }
    words
}

/// What a component is made of, without its tests.
fn source(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            text += &source(&path);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let file = fs::read_to_string(&path).unwrap();
            text += file.split("#[cfg(test)]").next().unwrap();
        }
    }
    text
}

/// Words that are said where they stand: the first text of `say(…)` and `Said::new(…)`.
fn said(source: &str) -> BTreeSet<String> {
    let calls = ["say(", "Said::new("].into_iter();
    let calls = calls.flat_map(|call| source.split(call).skip(1));
    let first = calls.filter_map(|rest| {
        let (before, rest) = rest.split_once('"')?;
        let arguments = !before.contains([')', '(', '{', ';']);
        let (word, _) = rest.split_once('"')?;
        let plain = word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        (arguments && plain && !word.is_empty()).then(|| word.to_owned())
    });
    first.collect()
}

#[test]
fn the_table_of_records_has_the_words_of_the_code() {
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let documented = documented();
    assert!(documented.len() > 5);
    let mut found = 0;
    for entry in fs::read_dir(services).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let source = source(&entry.path().join("src"));
        // Who makes no line may call something of its own `say`.
        if !source.contains("Said::new(") && !documented.contains_key(&name) {
            continue;
        }
        let none = BTreeSet::new();
        let listed = documented.get(&name).unwrap_or(&none);
        let said = said(&source);
        found += said.len();
        let missing: Vec<_> = said.difference(listed).collect();
        assert!(
            missing.is_empty(),
            "{name} says what docs/bus.md does not have: {missing:?}"
        );
        let gone = { listed.iter() }.filter(|word| !source.contains(&format!("\"{word}\"")));
        let gone: Vec<_> = gone.collect();
        assert!(
            gone.is_empty(),
            "docs/bus.md has what {name} never says: {gone:?}"
        );
    }
    assert!(found > 20, "{found} are found in the code");
}
