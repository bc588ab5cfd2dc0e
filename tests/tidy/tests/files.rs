//! Rules for every file.

use tidy::{File, files};

use crate::{none, tree};

fn rust(text: &str) -> File {
    File::new("crates/x/src/x.rs", text)
}

fn test(text: &str) -> File {
    File::new("crates/x/tests/x.rs", text)
}

#[test]
fn every_file_is_tidy() {
    none(tree::ours().iter().flat_map(files::complaints).collect());
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_found() {
    for bad in [
        "",
        "use std::fs;\n//! late",
        "// what",
        "//!\n//! empty first line",
    ] {
        assert!(files::purpose(&rust(bad)).is_some(), "{bad}");
    }
    for good in [
        "//! For this.\n",
        "#![doc = include_str!(\"../README.md\")]\n",
    ] {
        assert_eq!(files::purpose(&rust(good)), None, "{good}");
    }
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let lines = |n: usize| "x\n".repeat(n);
    assert_eq!(files::length(&rust(&lines(400))), None);
    assert!(files::length(&rust(&lines(401))).is_some());
    let tested = format!(
        "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
        lines(400),
        lines(200)
    );
    assert_eq!(files::length(&rust(&tested)), None);
    assert_eq!(files::length(&test(&lines(800))), None);
    assert!(files::length(&test(&lines(801))).is_some());
}

#[test]
fn a_name_that_says_nothing_is_found() {
    for bad in [
        "crates/common/src/lib.rs",
        "crates/x/src/utils.rs",
        "tests/helpers/mod.rs",
        "hooks/misc.sh",
    ] {
        assert_eq!(files::empty_names(bad).len(), 1, "{bad}");
    }
    let shared_folder = "crates/agent/src/shared_links.rs";
    assert!(files::empty_names(shared_folder).is_empty());
}

#[test]
fn a_loose_end_is_found() {
    for bad in [
        concat!("// TO", "DO: later"),
        concat!("// FIX", "ME"),
        concat!("//XX", "X what"),
        concat!("    to", "do!()"),
        concat!("#[ig", "nore]"),
        concat!("#[ig", "nore = \"slow\"]"),
        concat!("see /wo", "rk/main"),
        concat!("`/ro", "ot/x`"),
    ] {
        assert_eq!(files::loose_ends(&rust(bad)).len(), 1, "{bad}");
    }
    for good in [
        concat!("let all = \"TO", "DOS\";"),
        concat!("${base}/wo", "rk/x"),
        concat!("https://example.org/wo", "rk/x"),
        "mktemp -d XXXXXX",
    ] {
        assert!(files::loose_ends(&rust(good)).is_empty(), "{good}");
    }
}

#[test]
fn wiring_that_differs_under_test_is_found() {
    for bad in [
        "#[cfg(not(test))]\nfn start() {}",
        "#[cfg(test)]\nfn start() {}",
        concat!("    if cf", "g!(test) {"),
        "#![cfg(test)]",
        "#[cfg(any(test, unix))]\nmod tests {}",
    ] {
        assert_eq!(files::test_wiring(&rust(bad)).len(), 1, "{bad}");
    }
    for good in [
        "#[cfg(test)]\nmod tests {",
        "#[cfg(test)]\n#[expect(clippy::panic, reason = \"x\")]\nmod tests;",
        "#[cfg(unix)]\nfn start() {}",
        "// under #[cfg(test)] nothing differs",
    ] {
        assert!(files::test_wiring(&rust(good)).is_empty(), "{good}");
    }
}

#[test]
fn a_test_that_only_lets_time_pass_is_found() {
    let bare = concat!("    tokio::time::sle", "ep(SECOND).await;\n");
    let why = "    // waits for the kernel to close the socket, which nothing reports\n";
    assert_eq!(files::bare_sleeps(&test(bare)).len(), 1);
    assert!(files::bare_sleeps(&test(&format!("{why}{bare}"))).is_empty());
    assert_eq!(
        files::bare_sleeps(&test(&format!("{why}{bare}{bare}"))).len(),
        1
    );
    assert!(files::bare_sleeps(&rust(bare)).is_empty());
    let inside = format!("fn x() {{}}\n#[cfg(test)]\nmod tests {{\n{bare}}}");
    assert_eq!(files::bare_sleeps(&rust(&inside)).len(), 1);
}

#[test]
fn a_sleep_under_the_paused_clock_takes_no_time() {
    let bare = concat!("    tokio::time::sle", "ep(SECOND).await;\n");
    let paused = "#[tokio::test(start_paused = true)]\nasync fn x() {\n";
    let real = "#[tokio::test]\nasync fn x() {\n";
    assert!(files::bare_sleeps(&test(&format!("{bare}{paused}{bare}}}\n"))).is_empty());
    let mixed = format!("{paused}{bare}}}\n{real}{bare}}}\n");
    assert_eq!(files::bare_sleeps(&test(&mixed)).len(), 1);
    assert_eq!(
        files::bare_sleeps(&test(&format!("{real}{bare}}}\n"))).len(),
        1
    );
}
