//! What reprepro's and svnlook's words become.

use deploykit::announce::{packages::updated, svn::committed};
use events::message::{PackagesUpdated, PathChange, SvnCommitted};

fn told(input: &str) -> (Vec<PackagesUpdated>, Vec<String>) {
    let (messages, errors) = updated(&"acme".parse().unwrap(), input);
    (messages, errors.iter().map(ToString::to_string).collect())
}

/// As reprepro 5.3.1 told its log script.
const TOLD: &str = "\
add bookworm deb main amd64 shop 1.0 -- pool/main/s/shop-src/shop_1.0_all.deb
add bookworm deb main arm64 shop 1.0 -- pool/main/s/shop-src/shop_1.0_all.deb
replace bookworm deb main amd64 libshop2++ 1:1.1~rc1 1.0 -- pool/main/s/shop-src/libshop2++_1.1~rc1_amd64.deb -- pool/main/s/shop-src/libshop2++_1.0_amd64.deb
add bookworm deb extra amd64 tool 3
add trixie deb main amd64 shop 1.0
remove bookworm deb main amd64 old 1.0 -- pool/main/o/old/old_1.0_all.deb
add bookworm dsc main source shop-src 1.0 -- pool/main/s/shop-src/shop-src_1.0.dsc
add bookworm udeb main amd64 shop-udeb 1.0
";

#[test]
fn there_is_one_message_per_suite_and_component() {
    let (messages, errors) = told(TOLD);
    assert_eq!(errors, [""; 0]);
    let places: Vec<String> = messages
        .iter()
        .map(|message| {
            format!(
                "{}/{} {}",
                message.suite, message.component, message.packages_total
            )
        })
        .collect();
    assert_eq!(
        places,
        ["bookworm/extra 1", "bookworm/main 2", "trixie/main 1"]
    );
    let [library, shop] = &messages[1].packages[..] else {
        panic!("{messages:?}");
    };
    let architectures: Vec<&str> = shop.architectures.iter().map(AsRef::as_ref).collect();
    assert_eq!(
        (shop.version.as_str(), &architectures[..]),
        ("1.0", &["amd64", "arm64"][..])
    );
    assert_eq!(
        (shop.source.as_ref().unwrap().as_str(), &shop.before),
        ("shop-src", &None)
    );
    assert_eq!(library.version.as_str(), "1:1.1~rc1");
    assert_eq!(library.before.as_ref().unwrap().as_str(), "1.0");
}

#[test]
fn a_line_that_is_none_is_named_and_spoils_no_other() {
    for (line, expected) in [
        ("add bookworm deb main amd64 shop", "is not \"add|replace"),
        ("add bookworm deb", "is not \"add|replace"),
        ("rm -rf /", "is not \"add|replace"),
        (
            "add bookworm deb main amd64 shop;id 1.0",
            "is not a package name",
        ),
        ("add ../x deb main amd64 shop 1.0", "is not a suite name"),
        (
            "add bookworm deb main amd64 shop $(id)",
            "is not a package version",
        ),
        (
            "add bookworm deb main AMD64 shop 1.0",
            "is not a architecture",
        ),
    ] {
        let (messages, errors) = told(&format!("{line}\nadd bookworm deb main amd64 good 1\n"));
        assert_eq!(messages.len(), 1, "{line}");
        assert!(
            errors.len() == 1 && errors[0].contains(expected),
            "{line}: {errors:?}"
        );
    }
    assert_eq!(told("\n \n"), (Vec::new(), Vec::new()));
}

fn commit(info: &str, changed: &str) -> Result<SvnCommitted, String> {
    let input = format!("{info}{changed}");
    let commit = committed(&"legacy".parse().unwrap(), 4711, &mut input.as_bytes());
    commit.map_err(|error| error.to_string())
}

fn branches(commit: &SvnCommitted) -> Vec<&str> {
    commit.branches.iter().map(AsRef::as_ref).collect()
}

const INFO: &str = "ann\n2026-11-21 13:46:30 +0000 (Sat, 21 Nov 2026)\n";

#[test]
fn a_commit_is_read_as_svnlook_tells_it() {
    let log = "Grüße: first\nline two\n\nU   evil/path";
    let changed = "A   shop/trunk/\nU   shop/trunk/a b.txt\n_U  shop/tags/v1/\nUU  notes.txt\nD   shop/branches/fix/x/y\n";
    let commit = commit(&format!("{INFO}{}\n{log}\n", log.len()), changed).unwrap();
    assert_eq!(
        (commit.revision, commit.title.as_str()),
        (4711, "Grüße: first")
    );
    assert_eq!(commit.author.as_deref(), Some("ann"));
    assert_eq!(
        branches(&commit),
        ["shop/branches/fix", "shop/tags/v1", "shop/trunk"]
    );
    let paths: Vec<(PathChange, &str)> = commit
        .paths
        .iter()
        .map(|it| (it.change, it.path.as_str()))
        .collect();
    assert_eq!(
        paths,
        [
            (PathChange::Added, "shop/trunk/"),
            (PathChange::Changed, "shop/trunk/a b.txt"),
            (PathChange::Properties, "shop/tags/v1/"),
            (PathChange::Changed, "notes.txt"),
            (PathChange::Deleted, "shop/branches/fix/x/y"),
        ]
    );
    assert_eq!(
        commit.paths_total, 5,
        "nothing of the log message is a path"
    );
}

#[test]
fn a_branch_is_a_folder_below_its_name() {
    for (path, expected) in [
        ("trunk/x", Some("trunk")),
        ("trunk/", Some("trunk")),
        ("trunk", None),
        ("a/b/trunk/c/d", Some("a/b/trunk")),
        ("branches/", None),
        ("branches/fix/", Some("branches/fix")),
        ("branches/fix/x", Some("branches/fix")),
        ("tags/README", None),
        ("doc/trunk/branches/x", Some("doc/trunk")),
        ("notes/x", None),
    ] {
        let commit = commit(&format!("{INFO}0\n\n"), &format!("U   {path}\n")).unwrap();
        assert_eq!(branches(&commit), Vec::from_iter(expected), "{path}");
    }
}

#[test]
fn nobody_no_message_and_strange_paths_are_taken_as_they_are() {
    let empty = commit("\n2026\n0\n\n", "U   ../x\nA   a\u{7f}b\nX   y\nz\n").unwrap();
    assert_eq!((empty.author, empty.title.as_str()), (None, ""));
    assert_eq!((empty.paths.len(), empty.paths_total), (0, 4));
    let many: String = (0..5000)
        .map(|n| format!("A   branches/b{n}/f\n"))
        .collect();
    let many = commit(&format!("{INFO}0\n\n"), &many).unwrap();
    assert_eq!(
        (many.branches.len(), many.paths.len(), many.paths_total),
        (20, 200, 5000)
    );
    let long = format!("{INFO}200000\n{}\n", "x".repeat(200_000));
    let long = commit(
        &long,
        &format!("U   trunk/x\nU   {}\nU   trunk/y\n", "p".repeat(50_000)),
    )
    .unwrap();
    assert_eq!(
        (long.title.len(), long.paths.len(), long.paths_total),
        (200, 2, 3)
    );
}

#[test]
fn what_svnlook_does_not_print_is_refused_by_its_line() {
    for (info, at) in [
        ("", 1),
        ("ann\n", 2),
        (INFO, 3),
        ("ann\n2026\nmany\n", 3),
        ("ann\n2026\n-1\n", 3),
    ] {
        let refused = commit(info, "").unwrap_err();
        assert_eq!(
            refused,
            format!("line {at} of the input is not what `svnlook info` prints")
        );
    }
}
