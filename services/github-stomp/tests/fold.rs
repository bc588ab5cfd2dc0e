//! What is told twice is announced once, and what is news is announced.

use events::message::Pushed;
use github_stomp::fold::{Fold, Told, Verdict};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

const WINDOW_S: i64 = 3600;

/// `main a b` is a push of `refs/heads/main` from aaa… to bbb…; `-` is no commit.
fn push(text: &str) -> Pushed {
    let [name, before, after] = text.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{text}");
    };
    let side = |side: &str| (side != "-").then(|| side.repeat(40).parse().unwrap());
    let name = format!("refs/heads/{name}").parse().unwrap();
    Pushed::of("shop".parse().unwrap(), name, side(before), side(after))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn fold() -> Fold {
    Fold::new(SignedDuration::from_secs(WINDOW_S))
}

/// Announces it, if it is news.
fn tell(fold: &mut Fold, told: Told, text: &str, second: i64) -> &'static str {
    match fold.judge(&push(text), told, at(second)) {
        Verdict::Announce(ticket) => {
            fold.announced(&ticket, id(1));
            "news"
        }
        Verdict::Known(_) => "known",
        Verdict::UnderWay => "under way",
    }
}

#[test]
fn only_the_newest_push_of_a_ref_is_folded_and_only_for_a_while() {
    /// When, what, and what it is.
    type Steps = &'static [(i64, &'static str, &'static str)];
    let table: [(&str, Steps); 7] = [
        (
            "a second hook of the same push",
            &[
                (0, "main a b", "news"),
                (1, "main a b", "known"),
                (9, "main a b", "known"),
            ],
        ),
        (
            "back to an earlier state and forth again",
            &[
                (0, "main a b", "news"),
                (1, "main b a", "news"),
                (2, "main a b", "news"),
            ],
        ),
        (
            "a late double of an older push is announced once more, which does no harm",
            &[
                (0, "main a b", "news"),
                (1, "main b c", "news"),
                (2, "main a b", "news"),
            ],
        ),
        (
            "the same commits on another ref",
            &[
                (0, "main a b", "news"),
                (0, "other a b", "news"),
                (1, "main a b", "known"),
            ],
        ),
        (
            "deleted and made again",
            &[
                (0, "x - a", "news"),
                (1, "x a -", "news"),
                (2, "x - a", "news"),
                (3, "x - a", "known"),
            ],
        ),
        (
            "after the window",
            &[
                (0, "main a b", "news"),
                (WINDOW_S, "main a b", "known"),
                (WINDOW_S + 1, "main a b", "news"),
            ],
        ),
        (
            "a clock that was set back",
            &[
                (5000, "main a b", "news"),
                (4000, "main a b", "known"),
                (0, "main a b", "news"),
            ],
        ),
    ];
    for (what, pushes) in table {
        let mut fold = fold();
        for (second, text, expected) in pushes {
            assert_eq!(
                tell(&mut fold, Told::Hook, text, *second),
                *expected,
                "{what}: {text}"
            );
        }
    }
}

#[test]
fn a_hook_that_comes_after_the_sweep_is_folded_by_where_it_led() {
    let mut fold = fold();
    // Two pushes, seen as one.
    assert_eq!(tell(&mut fold, Told::Sweep, "main a c", 0), "news");
    assert_eq!(tell(&mut fold, Told::Hook, "main b c", 1), "known");
    assert_eq!(tell(&mut fold, Told::Hook, "main c d", 2), "news");
    assert_eq!(
        tell(&mut fold, Told::Hook, "main b d", 3),
        "news",
        "hooks say exactly what they mean"
    );
}

#[test]
fn of_an_annotated_tag_that_the_sweep_told_a_hook_may_name_the_tag_or_its_commit() {
    for (late, expected) in [("v1 - e", "known"), ("v1 - a", "known"), ("v1 - b", "news")] {
        let mut fold = fold();
        let tag = push("v1 - e").leading_to(push("v1 - a").after);
        let Verdict::Announce(ticket) = fold.judge(&tag, Told::Sweep, at(0)) else {
            panic!("it is news");
        };
        fold.announced(&ticket, id(1));
        assert_eq!(tell(&mut fold, Told::Hook, late, 1), expected, "{late}");
    }
}

#[test]
fn what_is_being_announced_is_waited_for_and_what_failed_is_news_again() {
    let mut fold = fold();
    let first = push("main a b");
    let Verdict::Announce(ticket) = fold.judge(&first, Told::Hook, at(0)) else {
        panic!("it is news");
    };
    assert!(fold.is_under_way(&first));
    assert_eq!(fold.judge(&first, Told::Hook, at(1)), Verdict::UnderWay);
    fold.failed(&ticket);
    assert!(!fold.is_under_way(&first));
    let Verdict::Announce(again) = fold.judge(&first, Told::Hook, at(2)) else {
        panic!("it is news again");
    };
    // A ticket from before says nothing about the new one.
    fold.failed(&ticket);
    fold.announced(&ticket, id(1));
    assert!(fold.is_under_way(&first));
    fold.announced(&again, id(2));
    assert_eq!(fold.judge(&first, Told::Hook, at(3)), Verdict::Known(id(2)));
}

#[test]
fn it_remembers_so_many_refs_and_forgets_the_oldest() {
    let mut fold = Fold::with_room(SignedDuration::from_secs(WINDOW_S), 2);
    for text in ["one a b", "two a b", "one b c", "three a b"] {
        assert_eq!(tell(&mut fold, Told::Hook, text, 0), "news");
    }
    assert_eq!(tell(&mut fold, Told::Hook, "one b c", 1), "known");
    assert_eq!(tell(&mut fold, Told::Hook, "three a b", 1), "known");
    assert_eq!(
        tell(&mut fold, Told::Hook, "two a b", 1),
        "news",
        "it was forgotten"
    );
}

#[test]
fn what_an_earlier_process_announced_is_known() {
    let mut fold = fold();
    fold.remember(&push("main a b"), Told::Hook, at(0), id(1));
    fold.remember(&push("main b c"), Told::Hook, at(1), id(2));
    assert_eq!(
        fold.judge(&push("main b c"), Told::Hook, at(2)),
        Verdict::Known(id(2))
    );
    let heard = fold.heard_of(&"shop".parse().unwrap());
    let heard: Vec<_> = heard.into_values().collect();
    assert_eq!(heard.len(), 1);
    assert_eq!(
        (&heard[0].after, heard[0].at),
        (&push("main b c").after, at(1))
    );
    assert!(fold.heard_of(&"other".parse().unwrap()).is_empty());
}
