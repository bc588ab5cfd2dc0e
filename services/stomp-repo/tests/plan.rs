//! What is wanted of which source, and how it stands.

use std::{collections::BTreeSet, process::Command};

use debversion::Version;
use events::message::{PackageUpdate, PackagesUpdated};
use proptest::prelude::*;
use stomp_repo::{
    Settings,
    plan::{Architectures, Plan, Skip, Standing, Want, Weighed, plan, weigh},
};

const SETTINGS: &str = r#"
    [sources."acme.sources"]
    repositories = ["acme", "acme-mirror"]
    suites = ["bookworm"]
    packages = ["shop*", "libx"]
    upcoming = ["shop-worker", "plugin-*"]
    [sources."old.list"]
    repositories = ["acme"]
    architectures = ["i386"]
"#;

fn decide(
    repository: &str,
    suite: &str,
    package: &str,
    version: &str,
    architectures: &[&str],
) -> Plan {
    let (_, settings) = chassis::settings::parse::<Settings>(SETTINGS, "test").unwrap();
    let host = Architectures {
        native: "amd64".parse().unwrap(),
        foreign: BTreeSet::from(["i386".parse().unwrap()]),
    };
    let package = PackageUpdate {
        name: package.parse().unwrap(),
        version: version.parse().unwrap(),
        before: None,
        architectures: architectures
            .iter()
            .map(|text| text.parse().unwrap())
            .collect(),
        source: None,
    };
    let updated = PackagesUpdated {
        repository: repository.parse().unwrap(),
        suite: suite.parse().unwrap(),
        component: "main".parse().unwrap(),
        packages: vec![package],
        packages_total: 1,
    };
    plan(&updated, &settings.sources, &host)
}

/// `source: package version` of each, with a `+` where it matters before it is installed; then what was skipped.
fn told(plan: &Plan) -> Vec<String> {
    let wants = plan.wants.iter().flat_map(|(source, wants)| {
        wants.iter().map(move |(name, want)| {
            let upcoming = if want.upcoming { "+" } else { "" };
            format!("{source}: {name} {}{upcoming}", want.version)
        })
    });
    wants
        .chain(plan.skipped.iter().map(ToString::to_string))
        .collect()
}

#[test]
fn a_package_of_interest_is_wanted_of_its_source() {
    let plan = decide(
        "acme-mirror",
        "bookworm",
        "shop",
        "1.4",
        &["amd64", "arm64"],
    );
    assert_eq!(told(&plan), ["acme.sources: shop 1.4"]);
    let plan = decide("acme-mirror", "bookworm", "shop-api", "1.4", &["all"]);
    assert_eq!(told(&plan), ["acme.sources: shop-api 1.4"]);
}

#[test]
fn a_repository_with_two_sources_is_looked_at_by_each() {
    let plan = decide("acme", "bookworm", "shop", "1.4", &["amd64", "i386"]);
    assert_eq!(
        told(&plan),
        [
            "acme.sources: shop 1.4",
            "acme.sources: shop:i386 1.4",
            "old.list: shop:i386 1.4"
        ]
    );
}

#[test]
fn what_is_upcoming_matters_before_it_is_installed() {
    let plan = decide("acme-mirror", "bookworm", "plugin-x", "1:2~rc1", &["all"]);
    assert_eq!(told(&plan), ["acme.sources: plugin-x 1:2~rc1+"]);
    let plan = decide("acme-mirror", "bookworm", "shop-worker", "1", &["all"]);
    assert_eq!(
        told(&plan),
        ["acme.sources: shop-worker 1+"],
        "both lists name it"
    );
}

#[test]
fn what_is_not_of_interest_is_skipped_with_its_reason() {
    let table = [
        (
            "other",
            "bookworm",
            "shop",
            "1",
            "amd64",
            "no source of other is watched here",
        ),
        (
            "acme-mirror",
            "trixie",
            "shop",
            "1",
            "amd64",
            "trixie is none of the suites of acme.sources",
        ),
        (
            "acme-mirror",
            "bookworm",
            "nginx",
            "1",
            "amd64",
            "nginx is not of interest here",
        ),
        (
            "acme-mirror",
            "bookworm",
            "shop",
            "1",
            "arm64",
            "shop is not for an architecture of this host",
        ),
        (
            "acme-mirror",
            "bookworm",
            "shop",
            "99999999999:1",
            "amd64",
            "\"99999999999:1\" of shop is no version: Error parsing epoch: number too large to fit in target type",
        ),
    ];
    for (repository, suite, package, version, architecture, expected) in table {
        let plan = decide(repository, suite, package, version, &[architecture]);
        assert_eq!(told(&plan), [expected]);
    }
}

#[test]
fn one_version_that_is_none_spoils_no_other_package() {
    let (_, settings) = chassis::settings::parse::<Settings>(SETTINGS, "test").unwrap();
    let host = Architectures {
        native: "amd64".parse().unwrap(),
        foreign: BTreeSet::new(),
    };
    let package = |name: &str, version: &str| PackageUpdate {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        before: None,
        architectures: vec!["all".parse().unwrap()],
        source: None,
    };
    let updated = PackagesUpdated {
        repository: "acme-mirror".parse().unwrap(),
        suite: "bookworm".parse().unwrap(),
        component: "main".parse().unwrap(),
        packages: vec![
            package("shop", "99999999999:1"),
            package("shop-api", "2"),
            package("shop-api", "3~1"),
        ],
        packages_total: 3,
    };
    let plan = plan(&updated, &settings.sources, &host);
    assert!(
        matches!(plan.skipped[..], [Skip::Version { .. }]),
        "{plan:?}"
    );
    assert_eq!(
        told(&plan)[0],
        "acme.sources: shop-api 3~1",
        "the higher of two"
    );
}

#[test]
fn of_a_message_that_was_cut_every_source_of_the_repository_is_refreshed() {
    let (_, settings) = chassis::settings::parse::<Settings>(SETTINGS, "test").unwrap();
    let host = Architectures {
        native: "amd64".parse().unwrap(),
        foreign: BTreeSet::new(),
    };
    let mut updated = PackagesUpdated {
        repository: "acme".parse().unwrap(),
        suite: "trixie".parse().unwrap(),
        component: "main".parse().unwrap(),
        packages: Vec::new(),
        packages_total: 1,
    };
    let mut swept = |suite: &str, total: usize| {
        updated.suite = suite.parse().unwrap();
        updated.packages_total = total;
        let plan = plan(&updated, &settings.sources, &host);
        assert!(
            plan.sweeps
                .iter()
                .all(|source| plan.wants.contains_key(source))
        );
        let names = plan.sweeps.iter().map(ToString::to_string);
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(swept("bookworm", 1), "acme.sources old.list");
    assert_eq!(swept("trixie", 1), "old.list", "the other is for bookworm");
    assert_eq!(swept("bookworm", 0), "");
}

fn want(version: &str, upcoming: bool) -> Want {
    Want {
        version: version.parse().unwrap(),
        compared: version.parse().unwrap(),
        upcoming,
        repository: "acme".parse().unwrap(),
        tries: 0,
    }
}

/// `-` is none.
fn standing(installed: &str, candidate: &str, versions: &[&str]) -> Standing {
    let version = |text: &str| (text != "-").then(|| text.parse().unwrap());
    Standing {
        installed: version(installed),
        candidate: version(candidate),
        versions: versions.iter().filter_map(|text| version(text)).collect(),
    }
}

#[test]
fn only_what_apt_does_not_know_yet_is_worth_a_refresh() {
    use Weighed::{Candidate, NotInstalled, Pinned, Unknown};
    let table = [
        (
            "1.4.4",
            false,
            standing("1.4.3", "1.4.3", &["1.4.3"]),
            Unknown,
        ),
        (
            "1.4.3",
            false,
            standing("1.4.3", "1.4.3", &["1.4.3"]),
            Candidate,
        ),
        (
            "1.4.3",
            false,
            standing("1.4.3", "1.4.4", &["1.4.4", "1.4.3"]),
            Candidate,
        ),
        ("1.10", false, standing("1.9", "1.9", &["1.9"]), Unknown),
        ("1:1.0", false, standing("2.0", "2.0", &["2.0"]), Unknown),
        (
            "2.0",
            false,
            standing("1:1.0", "1:1.0", &["1:1.0"]),
            Candidate,
        ),
        (
            "2.0~rc1",
            false,
            standing("2.0", "2.0", &["2.0"]),
            Candidate,
        ),
        (
            "2.0",
            false,
            standing("2.0~rc1", "2.0~rc1", &["2.0~rc1"]),
            Unknown,
        ),
        (
            "1.0-1+b1",
            false,
            standing("1.0-1", "1.0-1", &["1.0-1"]),
            Unknown,
        ),
        ("1.0-0", false, standing("1.0", "1.0", &["1.0"]), Candidate),
        (
            "1.4.4",
            false,
            standing("1.4.3", "1.4.3", &["1.4.4", "1.4.3"]),
            Pinned,
        ),
        (
            "1.4.4",
            false,
            standing("-", "1.4.3", &["1.4.3"]),
            NotInstalled,
        ),
        ("1.4.4", true, standing("-", "1.4.3", &["1.4.3"]), Unknown),
        ("1.4.4", true, standing("-", "-", &[]), Unknown),
        ("1.4.4", true, standing("-", "1.4.4", &["1.4.4"]), Candidate),
    ];
    for (announced, upcoming, standing, expected) in table {
        let weighed = weigh(&want(announced, upcoming), &standing);
        assert_eq!(weighed, expected, "{announced} {upcoming} {standing:?}");
    }
}

/// The referee.
fn dpkg_says_greater(one: &str, other: &str) -> bool {
    let compared = Command::new("dpkg")
        .args(["--compare-versions", one, "gt", other])
        .output();
    compared.unwrap().status.success()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn versions_compare_as_dpkg_compares_them(
        one in "([0-9]:)?[0-9][0-9a-z.+~]{0,4}(-[0-9a-z+~]{1,3})?",
        other in "([0-9]:)?[0-9][0-9a-z.+~]{0,4}(-[0-9a-z+~]{1,3})?",
    ) {
        let ours = one.parse::<Version>().unwrap() > other.parse::<Version>().unwrap();
        prop_assert_eq!(ours, dpkg_says_greater(&one, &other), "{} {}", one, other);
    }
}
