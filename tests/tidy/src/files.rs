//! What holds for every file: it says what it is for, is short, waits for conditions, has no loose ends.

use crate::File;

/// A Rust file's lines up to its tests.
const OWN_LINES: usize = 400;

/// A file of tests is read by row, so it may be longer.
const TEST_LINES: usize = 800;

/// Names that say nothing about what is inside; things of all kinds gather under them.
const EMPTY_NAMES: [&str; 7] = [
    "util", "utils", "common", "helper", "helpers", "misc", "shared",
];

/// Everything about one file, by its kind.
#[must_use]
pub fn complaints(file: &File) -> Vec<String> {
    let mut complaints = empty_names(&file.path);
    complaints.extend(loose_ends(file));
    if file.path.ends_with(".rs") {
        complaints.extend(purpose(file));
        complaints.extend(length(file));
        complaints.extend(test_wiring(file));
        complaints.extend(bare_sleeps(file));
    }
    complaints
}

/// The first line says what the file is for.
#[must_use]
pub fn purpose(file: &File) -> Option<String> {
    let first = file.text.lines().next().unwrap_or_default();
    let says = first.starts_with("//! ") || first.starts_with("#![doc");
    (!says).then(|| {
        format!(
            "{}: the first line must say what it is for: `//! …`",
            file.path
        )
    })
}

/// Short enough to be read whole.
#[must_use]
pub fn length(file: &File) -> Option<String> {
    let limit = if holds_tests(&file.path) {
        TEST_LINES
    } else {
        OWN_LINES
    };
    let lines = file.text.lines();
    let own = lines.take_while(|line| !starts_tests(line)).count();
    (own > limit).then(|| {
        format!(
            "{}: {own} lines before its tests, at most {limit}: which part is a thing of its own?",
            file.path
        )
    })
}

fn holds_tests(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn starts_tests(line: &str) -> bool {
    line.trim() == "#[cfg(test)]"
}

/// Folders and files are named after what is in them.
#[must_use]
pub fn empty_names(path: &str) -> Vec<String> {
    let parts = path
        .split('/')
        .map(|part| part.split('.').next().unwrap_or(part));
    let empty = parts.filter(|part| EMPTY_NAMES.contains(part));
    empty
        .map(|part| format!("{path}: `{part}` says nothing; name it after what is in it"))
        .collect()
}

/// Marks of unfinished work, tests that do not run, and paths of one person's machine.
#[must_use]
pub fn loose_ends(file: &File) -> Vec<String> {
    // Taken apart so that this file does not hold what it forbids.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("to", "do!("),
        concat!("#[ig", "nore"),
    ];
    let mut complaints = Vec::new();
    for (n, line) in file.numbered() {
        let mark = marks.iter().find(|mark| has_word(line, mark));
        complaints.extend(mark.map(|mark| {
            format!(
                "{}:{n}: `{mark}`: finish it, or open an issue and say what holds today",
                file.path
            )
        }));
        if names_a_private_path(line) {
            complaints.push(format!("{}:{n}: a path of one person's machine", file.path));
        }
    }
    complaints
}

/// True if `word` is in the line and no letter or digit is directly beside it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let beside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        !beside(before) && (word.ends_with('(') || !beside(after))
    })
}

fn names_a_private_path(line: &str) -> bool {
    [concat!("/wo", "rk/"), concat!("/ro", "ot/")]
        .iter()
        .any(|folder| {
            line.match_indices(folder).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_ascii_alphanumeric() || "_-./}~*".contains(c))
            })
        })
}

/// Tests wire things exactly as `main` does: `cfg(test)` only opens a module of tests at the end.
#[must_use]
pub fn test_wiring(file: &File) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let mut complaints = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let asks =
            code.starts_with("#[cfg(") || code.starts_with("#![cfg(") || code.contains("cfg!(");
        if !asks || !has_word(code, "test") {
            continue;
        }
        let mut below = lines[n + 1..].iter();
        let item = below.find(|line| !line.starts_with("#["));
        let opens_tests = item.is_some_and(|item| item.starts_with("mod "));
        if !(starts_tests(line) && opens_tests) {
            complaints.push(format!(
                "{}:{}: what is only there under test belongs into the module of tests; the rest is the same in both",
                file.path,
                n + 1
            ));
        }
    }
    complaints
}

/// A test waits for a condition. Where only time can tell, the line above says what the sleep waits for. Under tokio's
/// paused clock a sleep takes no time and is left alone: in a test marked so, and in what stands above the first test of
/// a file that has one.
#[must_use]
pub fn bare_sleeps(file: &File) -> Vec<String> {
    const PAUSED: &str = "start_paused = true";
    let mut in_tests = holds_tests(&file.path) || file.path.starts_with("tests/");
    let mut paused = file.text.contains(PAUSED);
    let mut said_why = false;
    let mut complaints = Vec::new();
    for (n, line) in file.numbered() {
        in_tests |= starts_tests(line);
        if line.trim().starts_with("#[tokio::test") || line.trim() == "#[test]" {
            paused = line.contains(PAUSED);
        }
        let says_why = line.contains("// waits for ");
        let sleeps = line.contains(concat!("sle", "ep("));
        if sleeps && in_tests && !paused && !says_why && !said_why {
            complaints.push(format!(
                "{}:{n}: a test waits for a condition with a named limit; if it cannot: `// waits for …` above it",
                file.path
            ));
        }
        said_why = says_why;
    }
    complaints
}
