//! How many tests ran, from what the test runners print.

/// Tests counted so far.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// The last line of a good run, alone on a line so that machines can read it.
pub(crate) fn closing_line(passed: u64) -> String {
    format!("{passed} passed, 0 failed")
}

/// `cargo test`: one summary per test binary, added up.
pub(crate) fn cargo_test(tally: &mut Tally, line: &str) {
    let line = without_colour(line);
    let Some(counts) = line.trim().strip_prefix("test result: ") else {
        return;
    };
    tally.passed += count_before(counts, "passed").unwrap_or(0);
    tally.failed += count_before(counts, "failed").unwrap_or(0);
}

/// `cargo nextest run`: one summary for all; it counts what did not pass in several words, so failed = run - passed.
pub(crate) fn nextest(tally: &mut Tally, line: &str) {
    let line = without_colour(line);
    let Some((_, counts)) = line
        .trim()
        .strip_prefix("Summary [")
        .and_then(|rest| rest.split_once(']'))
    else {
        return;
    };
    let passed = count_before(counts, "passed").unwrap_or(0);
    let run = counts
        .split_whitespace()
        .next()
        .and_then(|run| run.rsplit('/').next())
        .and_then(|run| run.parse().ok())
        .unwrap_or(passed);
    *tally = Tally {
        passed,
        failed: u64::saturating_sub(run, passed),
    };
}

/// The number directly before `word`: 3 in `3 passed` and in `3 passed;`.
fn count_before(text: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).find_map(|pair| {
        let found = pair[1].trim_end_matches([',', ';', '.', ':']) == word;
        found.then(|| pair[0].trim_start_matches('(').parse().ok())?
    })
}

/// The line without escape sequences.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(how: fn(&mut Tally, &str), lines: &[&str]) -> (u64, u64) {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| how(&mut tally, line));
        (tally.passed, tally.failed)
    }

    #[test]
    fn cargo_tests_summaries_are_added_up() {
        let lines = [
            "running 2 tests",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            "test result: FAILED. 40 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            "test result: \u{1b}[32mok\u{1b}[0m. 3 passed; 0 failed; 0 ignored",
        ];
        assert_eq!(read(cargo_test, &lines), (45, 1));
    }

    #[test]
    fn nextests_summary_is_the_number() {
        let table = [
            (
                "     Summary [   0.005s] 3 tests run: 3 passed, 0 skipped\n",
                (3, 0),
            ),
            (
                "     Summary [   1.2s] 1 test run: 1 passed, 0 skipped",
                (1, 0),
            ),
            (
                "     Summary [   9s] 12 tests run: 12 passed (1 slow, 2 leaky), 4 skipped",
                (12, 0),
            ),
            (
                "     Summary [ 1.000s] 5 tests run: 3 passed (1 flaky), 1 failed, 1 timed out, 0 skipped",
                (3, 2),
            ),
            (
                "     Summary [ 1.000s] 2/7 tests run: 1 passed, 1 failed, 0 skipped",
                (1, 6),
            ),
            (
                "\u{1b}[32;1m     Summary\u{1b}[0m [   0.005s] \u{1b}[1m3\u{1b}[0m tests run: \u{1b}[1m3\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped",
                (3, 0),
            ),
            (
                "     Summary [ 0.0s] 0 tests run: 0 passed, 3 skipped",
                (0, 0),
            ),
        ];
        for (line, expected) in table {
            assert_eq!(read(nextest, &[line]), expected, "{line}");
        }
    }

    #[test]
    fn other_lines_count_nothing() {
        let lines = [
            "3 passed",
            "a test says: test result: ok. 3 passed",
            "Summary",
            "",
        ];
        assert_eq!(read(cargo_test, &lines), (0, 0));
        assert_eq!(read(nextest, &lines), (0, 0));
    }

    #[test]
    fn the_closing_line_stands_alone() {
        assert_eq!(closing_line(218), "218 passed, 0 failed");
    }
}
