//! A list of refs that is longer than a frame.

use events::{
    Envelope,
    message::{Fetched, RefTip},
};
use jiff::Timestamp;
use uuid::Uuid;

fn tip(name: String, committed_s: i64) -> RefTip {
    RefTip {
        name: name.parse().expect("a ref"),
        commit: format!("{:040x}", committed_s + 1)
            .parse()
            .expect("a commit"),
        committed_s,
    }
}

fn fetched(refs: Vec<RefTip>) -> Fetched {
    Fetched {
        host: "web1".parse().expect("a host"),
        repository: "shop".parse().expect("a repository"),
        refs_total: refs.len(),
        refs,
    }
}

fn fits(fetched: &Fetched) -> bool {
    Envelope::seal(Uuid::from_u128(1), "/test", Timestamp::UNIX_EPOCH, fetched).is_ok()
}

#[test]
fn what_fits_is_not_cut() {
    let few = fetched(
        (0..100)
            .map(|n| tip(format!("refs/tags/v{n}"), n))
            .collect(),
    );
    assert_eq!(few.clone().cut_to_frame(), few);
}

#[test]
fn the_oldest_are_left_out_whatever_they_are_and_the_order_stays() {
    let tags = (0..5000).rev().map(|n| tip(format!("refs/tags/v{n}"), n));
    let branches = [
        tip("refs/heads/main".to_owned(), 4999),
        tip("refs/heads/old".to_owned(), 7),
    ];
    let all = fetched(tags.chain(branches).collect());
    assert!(!fits(&all));
    let cut = all.clone().cut_to_frame();
    assert!(fits(&cut));
    assert_eq!(cut.refs_total, 5002);
    assert!(cut.refs.len() > 800, "only {} are left", cut.refs.len());
    let names: Vec<&str> = cut.refs.iter().map(|tip| tip.name.as_str()).collect();
    assert_eq!(names[..2], ["refs/tags/v4999", "refs/tags/v4998"]);
    assert_eq!(names.last(), Some(&"refs/heads/main"));
}

#[test]
fn the_longest_names_fit_too() {
    let long = |n: i64| tip(format!("refs/tags/{n:04}{}", "ü".repeat(118)), n);
    let mut all = fetched((0..2000).map(long).collect());
    all.host = vec!["h".repeat(60); 4].join(".").parse().expect("a host");
    all.repository = "r".repeat(200).parse().expect("a repository");
    let cut = all.cut_to_frame();
    assert!(fits(&cut));
    assert!(cut.refs.len() > 300, "only {} are left", cut.refs.len());
}

#[test]
fn a_total_that_is_known_already_stays() {
    let mut some = fetched(vec![tip("refs/tags/v1".to_owned(), 1)]);
    some.refs_total = 9000;
    assert_eq!(some.cut_to_frame().refs_total, 9000);
}
