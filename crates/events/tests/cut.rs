//! Lists of packages and paths that are longer than a frame.

use events::{
    Envelope, Payload,
    message::{
        Candidate, ChangedPath, PackageUpdate, PackagesRefreshed, PackagesUpdated, PathChange,
        SvnCommitted,
    },
};
use jiff::Timestamp;
use uuid::Uuid;

fn fits<P: Payload>(payload: &P) -> bool {
    Envelope::seal(Uuid::from_u128(1), "/test", Timestamp::UNIX_EPOCH, payload).is_ok()
}

fn updated(count: usize) -> PackagesUpdated {
    let package = |n: usize| PackageUpdate {
        name: format!("p{n:05}{}", "x".repeat(190))
            .parse()
            .expect("a name"),
        version: format!("1:{n}").parse().expect("a version"),
        before: None,
        architectures: vec!["amd64".parse().expect("an architecture")],
        source: None,
    };
    PackagesUpdated {
        repository: "acme".parse().expect("a repository"),
        suite: "bookworm".parse().expect("a suite"),
        component: "main".parse().expect("a component"),
        packages: (0..count).map(package).collect(),
        packages_total: count,
    }
}

#[test]
fn many_packages_are_cut_from_the_end_and_counted() {
    assert_eq!(updated(100).cut_to_frame(), updated(100), "what fits stays");
    let all = updated(5000);
    assert!(!fits(&all));
    let cut = all.clone().cut_to_frame();
    assert!(fits(&cut));
    assert_eq!(cut.packages_total, 5000);
    assert!(
        cut.packages.len() > 300,
        "only {} are left",
        cut.packages.len()
    );
    assert_eq!(cut.packages[..], all.packages[..cut.packages.len()]);
    assert_eq!(cut.subject(), "acme bookworm/main: 5000 packages");
}

#[test]
fn many_candidates_are_cut_too() {
    let candidate = |n: usize| Candidate {
        name: format!("p{n:05}{}", "x".repeat(190))
            .parse()
            .expect("a name"),
        architecture: None,
        installed: None,
        before: None,
        after: Some("1".parse().expect("a version")),
    };
    let all = PackagesRefreshed {
        host: "web1".parse().expect("a host"),
        source: None,
        packages: (0..5000).map(candidate).collect(),
        packages_total: 0,
    };
    let cut = all.cut_to_frame();
    assert!(fits(&cut) && cut.packages_total == 5000);
}

#[test]
fn the_worst_commit_to_subversion_fits() {
    let path = |n: usize| format!("{n}/{}", "\"".repeat(990)).parse().expect("a path");
    let all = SvnCommitted {
        repository: "r".repeat(200).parse().expect("a repository"),
        revision: u64::MAX,
        author: Some("\"".repeat(100)),
        title: "\"".repeat(200),
        branches: (0..500).map(path).collect(),
        paths: (0..1000)
            .map(|n| ChangedPath {
                change: PathChange::Properties,
                path: path(n),
            })
            .collect(),
        paths_total: 1000,
    };
    let cut = all.cut_to_frame();
    assert!(fits(&cut), "{} paths", cut.paths.len());
    assert!(cut.paths.len() > 40, "only {} are left", cut.paths.len());
    assert_eq!(cut.paths_total, 1000);
}
