//! How targets are split.

use deploy_orchestrator::waves::{Size, canary_then_all, split};

use crate::support::hosts;

fn sizes(text: &str) -> Vec<Size> {
    text.split_whitespace()
        .map(|size| size.parse().expect("a size"))
        .collect()
}

/// The numbers of hosts per wave.
fn counts(all: usize, written: &str) -> Vec<usize> {
    let names: Vec<_> = (1..=all).map(|n| format!("web{n:03}")).collect();
    let targets = hosts(&names.join(" "));
    split(&targets, &sizes(written), &[])
        .iter()
        .map(Vec::len)
        .collect()
}

#[test]
fn sizes_are_counts_or_shares_of_all_targets() {
    let table: [(usize, &str, &[usize]); 8] = [
        (100, "1 25% 100%", &[1, 25, 74]),
        (
            100,
            "1 10% 10%",
            &[1, 10, 10, 10, 10, 10, 10, 10, 10, 10, 9],
        ),
        (3, "1 100%", &[1, 2]),
        (1, "1 25% 100%", &[1]),
        (7, "2", &[2, 2, 2, 1]),
        (10, "25%", &[3, 3, 3, 1]),
        (4, "100%", &[4]),
        (3, "0 0%", &[1, 1, 1]),
    ];
    for (all, written, expected) in table {
        assert_eq!(counts(all, written), expected, "{all} hosts in {written:?}");
    }
}

#[test]
fn the_default_is_one_canary_then_all() {
    let targets = hosts("web3 web1 web2");
    assert_eq!(
        split(&targets, &canary_then_all(), &[]),
        [hosts("web1"), hosts("web2 web3")]
    );
}

#[test]
fn canaries_come_first_in_their_own_order() {
    let waves = split(&hosts("a b c d"), &sizes("1 1 100%"), &hosts("d b x"));
    assert_eq!(waves, [hosts("d"), hosts("b"), hosts("a c")]);
}

#[test]
fn no_targets_make_no_waves() {
    assert!(split(&[], &sizes("1 100%"), &[]).is_empty());
}

#[test]
fn a_share_of_tolerated_hosts_is_one_at_least_unless_it_is_none() {
    let table = [
        ("2%", 3, 1),
        ("2%", 100, 2),
        ("2%", 149, 2),
        ("0%", 100, 0),
        ("0", 100, 0),
        ("5", 3, 5),
    ];
    for (size, all, expected) in table {
        let size: Size = size.parse().expect("a size");
        assert_eq!(size.tolerated_of(all), expected, "{size} of {all}");
    }
}

#[test]
fn what_is_no_size_is_refused_by_name() {
    for wrong in ["", "%", "x", "-1", "101%", "1.5", "1 %", "99999999999"] {
        let error = wrong.parse::<Size>().expect_err(wrong).to_string();
        assert!(
            error.starts_with(&format!("{wrong:?} is not a number of hosts")),
            "{error}"
        );
    }
}
