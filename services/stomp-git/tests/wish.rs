//! Which folders there are to be, and how to get there, as tables.

use std::{collections::BTreeSet, path::Path};

use events::{CommitId, message::RefTip};
use stomp_git::checkouts::{
    Fate, Ground, Link, Move, Place, Tree, What, Wish, branch_folder, fates, moves, tag_folder,
    wish,
};

fn id(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

/// A ref, its commit and its age; given newest first, tags before branches, as a mirror lists them.
fn tip(name: &str, digit: char) -> RefTip {
    RefTip {
        name: name.parse().unwrap(),
        commit: id(digit),
        committed_s: 0,
    }
}

fn branches(at_most: usize) -> What {
    What::Branches {
        follow: vec!["refs/heads/*".to_owned().try_into().unwrap()],
        at_most,
    }
}

fn place() -> Place {
    Place::many(Path::new("/srv/x"))
}

fn there(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn folders(wish: &Wish) -> Vec<(&str, &CommitId)> {
    let folders = wish.folders.iter();
    folders
        .map(|(name, commit)| (name.as_str(), commit))
        .collect()
}

#[test]
fn a_branch_s_folder_is_what_puppet_takes_and_a_tag_s_keeps_its_dots() {
    for (branch, folder) in [
        ("production", "production"),
        ("feature/x", "feature_x"),
        ("release-1.2", "release_1_2"),
        ("größe", "gr__e"),
        ("a@b#c=d,e+f", "a_b_c_d_e_f"),
    ] {
        assert_eq!(branch_folder(branch), folder);
    }
    for (tag, folder) in [
        ("v1.2.3-rc1+2", "v1.2.3-rc1+2"),
        ("shop/v1", "shop_v1"),
        ("a@b", "a_b"),
    ] {
        assert_eq!(tag_folder(tag), folder);
    }
}

#[test]
fn each_followed_branch_is_a_folder_and_a_tag_is_none() {
    let refs = [
        tip("refs/tags/v1", '9'),
        tip("refs/heads/main", '1'),
        tip("refs/heads/feature/x", '2'),
    ];
    let wish = wish(&branches(10), &place(), &refs, &there(&[]));
    assert_eq!(
        folders(&wish),
        [("feature_x", &id('2')), ("main", &id('1'))]
    );
    assert!(wish.troubles.is_empty() && wish.held.is_empty());
}

#[test]
fn two_branches_of_one_folder_leave_it_as_it_is_and_are_named() {
    let refs = [
        tip("refs/heads/a/b", '1'),
        tip("refs/heads/a-b", '2'),
        tip("refs/heads/a_b", '3'),
        tip("refs/heads/main", '4'),
    ];
    let wish = wish(&branches(10), &place(), &refs, &there(&["a_b"]));
    assert_eq!(folders(&wish), [("main", &id('4'))]);
    assert_eq!(wish.held, there(&["a_b"]));
    let [trouble] = &wish.troubles[..] else {
        panic!("{wish:?}")
    };
    for part in [
        "refs/heads/a/b",
        "refs/heads/a-b",
        "refs/heads/a_b",
        "folder a_b",
    ] {
        assert!(trouble.contains(part), "{trouble}");
    }
    let held = Ground {
        links: [("a_b".to_owned(), Link::Ours(id('1')))].into(),
        trees: Vec::new(),
    };
    let gone = Move::TakeAway {
        name: "a_b".to_owned(),
    };
    assert!(!moves(&wish, &held).contains(&gone));
}

#[test]
fn folders_that_are_there_do_not_give_way_for_the_limit() {
    let refs = [
        tip("refs/heads/a", '1'),
        tip("refs/heads/b", '2'),
        tip("refs/heads/z", '3'),
    ];
    let wish = wish(&branches(2), &place(), &refs, &there(&["z"]));
    assert_eq!(folders(&wish), [("a", &id('1')), ("z", &id('3'))]);
    assert!(
        wish.troubles[0].contains("1 branches have no folder"),
        "{wish:?}"
    );
}

#[test]
fn an_origin_without_any_ref_removes_nothing() {
    let empty = wish(&branches(2), &place(), &[], &there(&["main"]));
    assert_eq!((empty.held, empty.troubles.len()), (there(&["main"]), 1));
    let fresh = wish(&branches(2), &place(), &[], &there(&[]));
    assert_eq!(fresh, Wish::default());
}

#[test]
fn the_newest_followed_tags_are_folders() {
    let what = What::Tags {
        follow: vec!["refs/tags/v*".to_owned().try_into().unwrap()],
        at_most: 2,
    };
    let refs = [
        tip("refs/tags/v3", '3'),
        tip("refs/tags/nightly", '4'),
        tip("refs/tags/v2", '2'),
        tip("refs/tags/v1", '1'),
        tip("refs/heads/v9", '9'),
    ];
    let wish = wish(&what, &place(), &refs, &there(&["v1"]));
    assert_eq!(folders(&wish), [("v2", &id('2')), ("v3", &id('3'))]);
}

#[test]
fn one_branch_is_the_folder_itself_and_stays_when_the_branch_is_gone() {
    let what = What::Branch("refs/heads/main".parse().unwrap());
    let place = Place::one(Path::new("/srv/www/site")).unwrap();
    let refs = [tip("refs/tags/main", '9'), tip("refs/heads/main", '1')];
    let there = there(&["site"]);
    assert_eq!(
        folders(&wish(&what, &place, &refs, &there)),
        [("site", &id('1'))]
    );
    let gone = wish(&what, &place, &refs[..1], &there);
    assert!(gone.folders.is_empty() && gone.held.contains("site"));
    assert!(gone.troubles[0].contains("it has no refs/heads/main"));
}

/// A folder to be at a commit.
fn wanted(name: &str, digit: char) -> Wish {
    Wish {
        folders: [(name.to_owned(), id(digit))].into(),
        ..Wish::default()
    }
}

fn ground(link: Option<Link>, trees: &[char]) -> Ground {
    Ground {
        links: link
            .map(|link| ("main".to_owned(), link))
            .into_iter()
            .collect(),
        trees: trees.iter().map(|digit| tree(*digit, None)).collect(),
    }
}

fn tree(digit: char, old_since_s: Option<i64>) -> Tree {
    Tree {
        name: "main".to_owned(),
        commit: id(digit),
        old_since_s,
    }
}

#[test]
fn a_folder_is_led_to_its_commit_and_nothing_of_others_is_touched() {
    let lead = |laid_out| Move::Lead {
        name: "main".to_owned(),
        to: id('2'),
        laid_out,
    };
    let gone = Move::TakeAway {
        name: "main".to_owned(),
    };
    let leave = Move::Leave {
        name: "main".to_owned(),
    };
    let ours = |digit| Some(Link::Ours(id(digit)));
    let table = [
        (wanted("main", '2'), ground(None, &[]), vec![lead(false)]),
        (wanted("main", '2'), ground(None, &['2']), vec![lead(true)]),
        (
            wanted("main", '2'),
            ground(ours('1'), &['1']),
            vec![lead(false)],
        ),
        (wanted("main", '2'), ground(ours('2'), &['2']), vec![]),
        // Somebody removed the tree: it is laid out again.
        (
            wanted("main", '2'),
            ground(ours('2'), &[]),
            vec![lead(false)],
        ),
        (
            wanted("main", '2'),
            ground(Some(Link::Foreign), &[]),
            vec![leave],
        ),
        (Wish::default(), ground(ours('2'), &['2']), vec![gone]),
        (Wish::default(), ground(Some(Link::Foreign), &[]), vec![]),
    ];
    for (wish, ground, expected) in table {
        assert_eq!(moves(&wish, &ground), expected, "{wish:?} {ground:?}");
    }
}

#[test]
fn a_tree_that_no_folder_leads_to_is_noted_and_goes_after_its_grace() {
    let with = |old_since_s| Ground {
        trees: vec![tree('1', old_since_s)],
        ..ground(Some(Link::Ours(id('2'))), &[])
    };
    let marked = vec![Fate::Mark(tree('1', None))];
    assert_eq!(fates(&with(None), 1000, 60), marked);
    assert_eq!(fates(&with(Some(950)), 1000, 60), []);
    assert_eq!(
        fates(&with(Some(940)), 1000, 60),
        [Fate::Remove(tree('1', Some(940)))]
    );
    // The clock was ahead when it was noted.
    assert_eq!(
        fates(&with(Some(2000)), 1000, 60),
        [Fate::Mark(tree('1', Some(2000)))]
    );
    let back = Ground {
        trees: vec![tree('2', Some(10))],
        ..ground(Some(Link::Ours(id('2'))), &[])
    };
    assert_eq!(fates(&back, 1000, 60), [Fate::Unmark(tree('2', Some(10)))]);
}
