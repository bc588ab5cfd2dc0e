//! Names from outside: what is taken and what is refused.

use std::fmt::Debug;

use events::{
    AptSource, Architecture, CommitId, ComponentName, EnvironmentName, GroupName, HostName,
    JobName, NameError, PackageName, PackageVersion, PageUrl, ProjectName, RefKind, RefName,
    RepoName, SuiteName, SvnPath, TagName,
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;

/// Text that must never be a name of any kind.
const HOSTILE: [&str; 22] = [
    "",
    " ",
    "; rm -rf",
    "; rm -rf /",
    "$(id)",
    "`id`",
    "a b",
    "a\tb",
    "../x",
    "x/../y",
    "/etc/passwd",
    "-x",
    "--upload-pack=id",
    "a\0b",
    "a\nb",
    "a\r\nb",
    "a\\b",
    "<script>",
    "a\"b",
    "a'b",
    "a\u{202e}b",
    "*",
];

fn parse<T: std::str::FromStr<Err = NameError>>(text: &str) -> Result<T, NameError> {
    text.parse()
}

/// A name is the same by `parse` and by serde, both ways; an error shows the text.
fn judge<T>(text: &str) -> bool
where
    T: std::str::FromStr<Err = NameError> + DeserializeOwned + serde::Serialize + Debug,
    T: AsRef<str>,
{
    let json = serde_json::Value::from(text);
    match (parse::<T>(text), serde_json::from_value::<T>(json.clone())) {
        (Ok(name), Ok(same)) => {
            assert_eq!(name.as_ref(), text);
            assert_eq!(serde_json::to_value(&same).expect("JSON"), json);
            true
        }
        (Err(error), Err(_)) => {
            let shown = error.to_string();
            assert!(shown.contains("is not a"), "{shown}");
            assert!(
                !shown.contains('\n') && shown.chars().count() < 300,
                "{shown}"
            );
            false
        }
        (parsed, read) => panic!("{text:?}: {parsed:?} but {read:?}"),
    }
}

fn table<T>(taken: &[&str], refused: &[&str])
where
    T: std::str::FromStr<Err = NameError> + DeserializeOwned + serde::Serialize + Debug,
    T: AsRef<str>,
{
    for text in taken {
        assert!(judge::<T>(text), "{text:?} is refused");
    }
    let long = "x".repeat(300);
    for text in refused.iter().chain(&HOSTILE).chain([&long.as_str()]) {
        assert!(!judge::<T>(text), "{text:?} is taken");
    }
}

#[test]
fn hosts() {
    table::<HostName>(
        &[
            "web1",
            "web1.example.org",
            "1",
            "a-b.c",
            "xn--bcher-kva.example",
        ],
        &[
            "Web1", "web_1", "web1.", ".web1", "a..b", "-a", "a-", "a.-b", "a.b-", "a/b", "bücher",
            "web1:22", "a@b", "@{", "x.lock\n",
        ],
    );
    assert!(parse::<HostName>(&"a".repeat(63)).is_ok());
    assert!(parse::<HostName>(&"a".repeat(64)).is_err());
}

#[test]
fn repositories() {
    table::<RepoName>(
        &["shop", "group/shop", "a/b/c", "Shop_2.x-y", "a.b"],
        &[
            "shop.git",
            "a.git/b",
            "a/b.git",
            "/shop",
            "shop/",
            "a//b",
            "a/./b",
            "a/.b",
            "a/-b",
            "a/b.",
            "a.lock",
            "a.lock/b",
            "..",
            ".",
            "a:b",
            "git@host:a",
            "ü",
        ],
    );
}

#[test]
fn words() {
    let taken = ["shop", "a", "shop-2", "2"];
    let refused = ["Shop", "a_b", "a.b", "a/b", "-a", "a-", "ü", "@{"];
    table::<ProjectName>(&taken, &[&refused[..], &["mirrors"]].concat());
    table::<EnvironmentName>(&taken, &refused);
    table::<GroupName>(&taken, &refused);
}

#[test]
fn tags() {
    table::<TagName>(
        &[
            "v1",
            "v1.2.3",
            "release/2026-11",
            "v1+build",
            "Grüße",
            "版本1",
            "a@b",
            "a#1",
            "v1.2,3=4",
        ],
        &[
            "@",
            "a@{1}",
            "a..b",
            "a.lock",
            "a/b.lock/c",
            ".a",
            "a/.b",
            "a/-b",
            "a.",
            "a/b./c",
            "/a",
            "a/",
            "a//b",
            "a~1",
            "a^",
            "a:b",
            "a?b",
            "a[b",
            "a&b",
            "a|b",
            "a%b",
            "é\u{301}",
        ],
    );
    assert!(parse::<TagName>(&"x".repeat(240)).is_ok());
    assert!(parse::<TagName>(&"x".repeat(241)).is_err());
    assert!(parse::<TagName>(&"ü".repeat(121)).is_err(), "bytes count");
}

#[test]
fn refs() {
    table::<RefName>(
        &[
            "refs/heads/main",
            "refs/tags/v1",
            "refs/heads/a/b",
            "refs/pull/7/head",
            "refs/heads/ü",
        ],
        &[
            "main",
            "refs",
            "refs/",
            "refs/heads",
            "refs/heads/",
            "refs//x",
            "heads/main",
            "refs/heads/../x",
            "refs/heads/a..b",
            "refs/heads/@{",
            "refs/heads/x.lock",
            "refs/heads/-x",
            "refs/heads/.x",
            "refs/heads/@",
            "refs/../x",
            "refs/-x/y",
            "refs/heads/a\nb",
            "refs/heads/a\0b",
            "refs/heads/; rm -rf",
            "Refs/heads/x",
        ],
    );
}

#[test]
fn commits() {
    let sha1 = "0123456789abcdef0123456789abcdef01234567";
    let sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    table::<CommitId>(
        &[sha1, sha256],
        &[
            &sha1[1..],
            &sha256[1..],
            &sha1.to_uppercase(),
            &"0".repeat(40),
            &"0".repeat(64),
            &"g".repeat(40),
            "HEAD",
            &"é".repeat(20),
        ],
    );
    assert_eq!(
        parse::<CommitId>(sha1).expect("a commit").short(),
        "0123456789"
    );
}

#[test]
fn packages() {
    table::<PackageName>(
        &["shop", "libstdc++6", "g++", "python3.11", "0ad", "a-b.c+d"],
        &[
            "a",
            "Shop",
            "shop_2",
            "-shop",
            "+shop",
            ".shop",
            "shop:i386",
            "shop=1",
            "shop/x",
            "ü",
            "shop^",
            "shop~",
        ],
    );
    table::<PackageVersion>(
        &[
            "1",
            "1.4.4",
            "1:2.0~rc1-3+b1",
            "0~",
            "2.37-10.3ubuntu1~22.04",
            "a1",
        ],
        &[
            "~1", "+1", ":1", ".1", "1_2", "1/2", "1=2", "1,2", "ü", "1|2",
        ],
    );
    table::<Architecture>(
        &["amd64", "all", "kfreebsd-amd64"],
        &["AMD64", "x86_64", "amd64/i386", "any:"],
    );
}

#[test]
fn suites_and_components() {
    let taken = [
        "bookworm",
        "stable/updates",
        "bookworm-updates",
        "12.1",
        "Acme_x",
    ];
    let refused = [
        "/x", "x/", "a//b", "a/../b", "a/.b", "a:b", "ü", "a,b", "..",
    ];
    table::<SuiteName>(&taken, &refused);
    table::<ComponentName>(&taken, &refused);
}

#[test]
fn sources_of_apt() {
    table::<AptSource>(
        &["acme.sources", "acme.list", "a_b-c.2.list"],
        &[
            "acme",
            ".sources",
            ".list",
            "..list",
            "a/b.list",
            "acme.sources.bak",
            "acme.list ",
            "acme,x.list",
        ],
    );
}

#[test]
fn paths_of_subversion_may_hold_what_a_shell_would_misread() {
    let taken = |text: &str| {
        let json = serde_json::Value::from(text);
        let taken = parse::<SvnPath>(text).is_ok();
        assert_eq!(taken, serde_json::from_value::<SvnPath>(json).is_ok());
        taken
    };
    for text in [
        "trunk/",
        "trunk/a b.txt",
        "Grüße/$(id)",
        "-x",
        "it's",
        "a..b/...",
        ".hidden",
    ] {
        assert!(taken(text), "{text:?} is refused");
    }
    let long = "x".repeat(1001);
    for text in [
        "",
        "/",
        "/trunk",
        "trunk//x",
        "a/../b",
        "..",
        "./a",
        "a/.",
        "a\nb",
        "a\0",
        "a\tb",
        "a\\b",
        "a\u{202e}b",
        "a\u{7f}",
        &long,
    ] {
        assert!(!taken(text), "{text:?} is taken");
    }
}

#[test]
fn a_ref_knows_what_it_is() {
    let of = |text: &str| parse::<RefName>(text).expect("a ref");
    assert_eq!(of("refs/heads/a/b").kind(), RefKind::Branch("a/b"));
    assert_eq!(of("refs/tags/v1").kind(), RefKind::Tag("v1"));
    assert_eq!(of("refs/pull/7/head").kind(), RefKind::Other("pull/7/head"));
    let tag = parse::<TagName>("v1").expect("a tag");
    assert_eq!(of("refs/tags/v1").tag_name(), Some(tag.clone()));
    assert_eq!(of("refs/heads/v1").tag_name(), None);
    assert_eq!(RefName::tag(&tag), of("refs/tags/v1"));
    assert_eq!(RefName::branch(&tag), of("refs/heads/v1"));
}

#[test]
fn a_segment_that_no_host_has_is_refused() {
    for segment in ["", "web1.example", "Web1", "_", "a__b", "*", "a/b"] {
        assert!(HostName::from_segment(segment).is_err(), "{segment:?}");
    }
}

#[test]
fn an_error_shows_a_long_text_cut() {
    let error = parse::<HostName>(&"ü".repeat(500)).expect_err("too long");
    assert_eq!(error.input.chars().count(), 80);
}

proptest! {
    #[test]
    fn host_segments_can_be_undone(text in "[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?){0,3}") {
        let host: HostName = text.parse().expect("a host");
        let segment = host.segment();
        prop_assert!(!segment.contains('.'));
        prop_assert_eq!(HostName::from_segment(&segment).expect("its segment"), host);
    }

    #[test]
    fn two_hosts_never_share_a_segment(a in "[a-z.-]{1,6}", b in "[a-z.-]{1,6}") {
        if let (Ok(a), Ok(b)) = (parse::<HostName>(&a), parse::<HostName>(&b)) {
            prop_assert_eq!(a == b, a.segment() == b.segment());
        }
    }

    /// What is made of a tag can be read again at the other end, and the other way round.
    #[test]
    fn tags_and_their_refs_are_valid_together(text in "[a-z./@-]{1,12}|x{235,245}") {
        let tag = parse::<TagName>(&text);
        let in_full = parse::<RefName>(&format!("refs/tags/{text}"));
        prop_assert_eq!(tag.is_ok(), in_full.is_ok(), "{:?} {:?}", tag, in_full);
        if let (Ok(tag), Ok(in_full)) = (tag, in_full) {
            prop_assert_eq!(parse::<RefName>(RefName::branch(&tag).as_str()), Ok(RefName::branch(&tag)));
            prop_assert_eq!(in_full.tag_name(), Some(tag));
        }
    }

    /// The rules are at least as strict as those of a path, an argument and a line of a log.
    #[test]
    fn nothing_dangerous_is_ever_a_name(text in "\\PC{0,12}|[a-z./\\\\ ;$\n\0-]{0,8}") {
        let plain = |name: &str| {
            !name.starts_with(['-', '/', '.'])
                && !name.contains("..")
                && !name.contains("//")
                && !name.chars().any(|c| c.is_control() || c.is_whitespace() || "\\;$`'\"<>&|*?~^:".contains(c))
        };
        for taken in [
            parse::<HostName>(&text).is_ok(),
            parse::<RepoName>(&text).is_ok(),
            parse::<ProjectName>(&text).is_ok(),
            parse::<TagName>(&text).is_ok(),
            parse::<RefName>(&text).is_ok(),
            parse::<SuiteName>(&text).is_ok(),
            parse::<AptSource>(&text).is_ok(),
        ] {
            prop_assert!(!taken || plain(&text), "{:?}", text);
        }
    }
}

#[test]
fn a_job_has_its_folders_and_what_jenkins_escapes_in_them() {
    for text in [
        "shop",
        "backend/shop",
        "backend/shop/feature%2Flogin",
        "Nightly build (slow)",
        "matrix/label=linux,jdk=21",
        "Größe",
    ] {
        assert!(judge::<JobName>(text), "{text}");
    }
    let name: JobName = "backend/shop".parse().expect("a job");
    assert_eq!(name.parts().collect::<Vec<_>>(), ["backend", "shop"]);
    let spaced = |text: &str| text == "a b";
    for text in HOSTILE.into_iter().filter(|text| !spaced(text)) {
        assert!(!judge::<JobName>(text), "{text:?}");
    }
    let long = "x".repeat(301);
    for text in [
        "/shop", "shop/", "a//b", ".", "a/..", "-x", "a b ", "a:b", &long,
    ] {
        assert!(!judge::<JobName>(text), "{text:?}");
    }
}

#[test]
fn a_page_is_http_and_has_no_login() {
    for text in [
        "http://ci/",
        "https://ci.example.org:8443/jenkins/job/a/job/b%20c/42/",
        "https://ci.example.org/a?b=c#d",
    ] {
        assert!(judge::<PageUrl>(text), "{text}");
    }
    let long = format!("https://ci/{}", "x".repeat(2000));
    let bad = [
        "javascript:alert(1)",
        "ftp://ci/",
        "https://",
        "https:///x",
        "https://ann:secret@ci/",
        "https://ci/a b",
        "https://ci/\"onclick=",
        "https://ci/<b>",
        &long,
    ];
    for text in HOSTILE.into_iter().chain(bad) {
        assert!(!judge::<PageUrl>(text), "{text:?}");
    }
}
