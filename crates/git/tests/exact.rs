//! Mirrors that are gated: exactly what is admitted comes, whatever the origin has by then.

use std::collections::BTreeSet;

use events::{CommitId, RefName};
use git::{Change, Ensured, Fetched, Git, GitError, Mirror, Tips};

use crate::{
    place::{Place, name},
    served::{WAYS, arrived, serve},
};

fn admitted<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<RefName> {
    names.into_iter().map(name).collect()
}

async fn tips(place: &Place) -> Tips {
    place.git.tips(&place.origin()).await.unwrap()
}

/// What the origin has now, as far as it is admitted.
async fn bring(place: &Place, names: &[&str]) -> Fetched {
    let mirror = place.mirror();
    let there = tips(place).await;
    let like = there.tips[0].commit.clone();
    mirror.ensure_gated(&place.origin(), &like).await.unwrap();
    let names = admitted(names.iter().copied());
    mirror.fetch_exactly(&there, &names).await.unwrap()
}

async fn leads(place: &Place, text: &str) -> Option<CommitId> {
    place.mirror().resolve(&name(text)).await.unwrap()
}

fn here(place: &Place, commit: &CommitId) -> bool {
    arrived(place, place.mirror().folder(), commit.as_str())
}

#[tokio::test]
async fn what_is_not_admitted_does_not_arrive_by_any_way() {
    for (way, protocol_2) in WAYS {
        let place = Place::new();
        let green = place.commit("a.txt", "1");
        place.work(&["tag", "-a", "-m", "x", "v1"]);
        place.work(&["checkout", "-q", "-b", "red"]);
        let red = place.commit("a.txt", "2");
        place.work(&["tag", "v2"]);
        let (git, origin) = serve(&place, way, protocol_2);
        let there = git.tips(&origin).await.unwrap();
        let mirror = Mirror::at(place.mirror().folder(), &git);
        let ensured = mirror.ensure_gated(&origin, &green).await.unwrap();
        assert_eq!(ensured, Ensured::Cloned);
        assert_eq!(
            mirror.refs().await.unwrap(),
            [],
            "there, with nothing in it"
        );
        let names = admitted(["refs/heads/main", "refs/tags/v1"]);
        let fetched = mirror.fetch_exactly(&there, &names).await.unwrap();
        assert_eq!(fetched.changed.len(), 2, "{way:?} {protocol_2}");
        assert_eq!(leads(&place, "refs/heads/main").await, Some(green.clone()));
        assert_eq!(leads(&place, "refs/tags/v1").await, Some(green));
        assert!(!here(&place, &red), "{way:?} {protocol_2}");
        let again = mirror.fetch_exactly(&there, &names).await.unwrap();
        assert_eq!(
            again,
            Fetched::default(),
            "the annotated tag is no moved one"
        );
    }
}

#[tokio::test]
async fn an_origin_that_moves_between_the_look_and_the_fetch_brings_nothing_else() {
    for (way, protocol_2) in WAYS {
        let place = Place::new();
        let green = place.commit("a.txt", "1");
        let (git, origin) = serve(&place, way, protocol_2);
        let there = git.tips(&origin).await.unwrap();
        let red = place.commit("a.txt", "2");
        let mirror = Mirror::at(place.mirror().folder(), &git);
        mirror.ensure_gated(&origin, &green).await.unwrap();
        let names = admitted(["refs/heads/main"]);
        let fetched = mirror.fetch_exactly(&there, &names).await;
        let leads = leads(&place, "refs/heads/main").await;
        if protocol_2 {
            assert_eq!(fetched.unwrap().changed.len(), 1, "{way:?}");
            assert_eq!(leads, Some(green), "{way:?}");
        } else {
            // Such a server gives only what a ref leads to now: nothing comes, and the next look knows more.
            let error = fetched.unwrap_err();
            assert!(
                matches!(&error, GitError::Failed { said, .. } if said.contains("unadvertised") || said.contains("not our ref")),
                "{way:?}: {error}"
            );
            assert_eq!(leads, None, "{way:?}");
        }
        assert!(!here(&place, &red), "{way:?} {protocol_2}");
    }
}

#[tokio::test]
async fn what_is_not_admitted_stays_as_it_is_here_and_what_is_gone_goes() {
    let place = Place::new();
    let first = place.commit("a.txt", "1");
    place.work(&["branch", "topic"]);
    place.work(&["tag", "v1"]);
    bring(
        &place,
        &["refs/heads/main", "refs/heads/topic", "refs/tags/v1"],
    )
    .await;
    place.commit("a.txt", "2");
    place.work(&["branch", "-q", "-D", "topic"]);
    place.work(&["tag", "-d", "v1"]);
    let gone = |text| Change {
        name: name(text),
        before: Some(first.clone()),
        after: None,
    };
    let fetched = bring(&place, &[]).await;
    assert_eq!(
        fetched.changed,
        [gone("refs/heads/topic"), gone("refs/tags/v1")]
    );
    assert_eq!(leads(&place, "refs/heads/main").await, Some(first));
}

#[tokio::test]
async fn a_branch_comes_where_a_branch_of_half_its_name_was() {
    let place = Place::new();
    place.work(&["branch", "topic"]);
    bring(&place, &["refs/heads/topic"]).await;
    place.work(&["branch", "-q", "-D", "topic"]);
    place.work(&["branch", "topic/x"]);
    let fetched = bring(&place, &["refs/heads/topic/x"]).await;
    assert_eq!(fetched.changed.len(), 2);
}

#[tokio::test]
async fn a_rewritten_branch_is_followed_when_admitted() {
    let place = Place::new();
    bring(&place, &["refs/heads/main"]).await;
    place.work(&["commit", "-q", "--amend", "-m", "rewritten"]);
    let new = place.work(&["rev-parse", "HEAD"]);
    bring(&place, &["refs/heads/main"]).await;
    assert_eq!(
        leads(&place, "refs/heads/main").await.unwrap().as_str(),
        new
    );
}

#[tokio::test]
async fn a_moved_tag_is_never_followed_and_reported_admitted_or_not() {
    let place = Place::new();
    let first = place.commit("a.txt", "1");
    place.work(&["tag", "v1"]);
    bring(&place, &["refs/tags/v1"]).await;
    let second = place.commit("a.txt", "2");
    place.work(&["tag", "-f", "v1"]);
    for names in [&["refs/tags/v1"][..], &[]] {
        let fetched = bring(&place, names).await;
        let moved = &fetched.moved_tags[0];
        assert_eq!(
            (&moved.here, moved.there.as_str()),
            (&first, second.as_str())
        );
        assert_eq!(leads(&place, "refs/tags/v1").await.as_ref(), Some(&first));
        assert!(!here(&place, &second));
    }
}

#[tokio::test]
async fn an_origin_that_lies_about_an_annotated_tag_moves_no_ref() {
    let place = Place::new();
    let green = place.commit("a.txt", "1");
    place.work(&["branch", "topic"]);
    place.work(&["tag", "-a", "-m", "x", "v1"]);
    place.work(&["tag", "-a", "-m", "a tag of a tag", "v2", "v1"]);
    bring(&place, &["refs/heads/main", "refs/heads/topic"]).await;
    place.work(&["branch", "-q", "-D", "topic"]);
    let red = place.commit("a.txt", "2");
    place.work(&["tag", "-a", "-m", "x", "v3"]);
    place.work(&["tag", "-a", "-m", "a tree", "v4", "HEAD^{tree}"]);
    place.work(&["reset", "-q", "--hard", green.as_str()]);
    let next = place.commit("a.txt", "3");
    let told = tips(&place).await;
    let names = admitted([
        "refs/heads/main",
        "refs/tags/v1",
        "refs/tags/v2",
        "refs/tags/v3",
    ]);
    let mirror = place.mirror();
    let before = mirror.refs().await.unwrap();
    for object in [red.as_str(), "v3", "v4"] {
        let object = place.work(&["rev-parse", object]);
        let mut lie = told.clone();
        for tip in &mut lie.tips {
            if tip.name == name("refs/tags/v3") {
                tip.commit = green.clone();
                tip.object = object.parse().unwrap();
            }
        }
        let error = mirror.fetch_exactly(&lie, &names).await.unwrap_err();
        let is_named =
            matches!(&error, GitError::Untrue { name, .. } if name.as_str() == "refs/tags/v3");
        assert!(is_named, "{object}: {error}");
        assert_eq!(mirror.refs().await.unwrap(), before, "{object}");
    }
    // The truth: v3 is red and not admitted, v4 leads to no commit.
    let names = admitted(["refs/heads/main", "refs/tags/v1", "refs/tags/v2"]);
    let there = tips(&place).await;
    mirror.fetch_exactly(&there, &names).await.unwrap();
    assert_eq!(leads(&place, "refs/heads/main").await, Some(next));
    assert_eq!(leads(&place, "refs/heads/topic").await, None);
    for tag in ["refs/tags/v1", "refs/tags/v2"] {
        assert_eq!(leads(&place, tag).await.as_ref(), Some(&green), "{tag}");
    }
}

#[tokio::test]
async fn a_gated_mirror_refuses_an_ordinary_fetch_until_its_keeper_lifts_the_gate() {
    let place = Place::mirrored().await;
    let mirror = place.mirror();
    let first = leads(&place, "refs/heads/main").await.unwrap();
    assert!(!mirror.gated().await.unwrap());
    let ensured = mirror.ensure_gated(&place.origin(), &first).await.unwrap();
    assert_eq!(ensured, Ensured::Kept);
    assert!(mirror.gated().await.unwrap());
    assert_eq!(
        leads(&place, "refs/heads/main").await.as_ref(),
        Some(&first),
        "what was there stays"
    );
    let second = place.commit("a.txt", "2");
    let error = mirror.fetch().await.unwrap_err();
    assert!(matches!(error, GitError::Gated { .. }), "{error}");
    assert!(!here(&place, &second));
    // Who does not decide that leaves it as it is.
    mirror.ensure_empty(&place.origin(), &first).await.unwrap();
    assert!(mirror.gated().await.unwrap());
    mirror.ensure(&place.origin()).await.unwrap();
    mirror.fetch().await.unwrap();
    assert_eq!(leads(&place, "refs/heads/main").await, Some(second));
}

#[tokio::test]
async fn a_gate_that_cannot_be_read_is_not_an_open_one() {
    let place = Place::mirrored().await;
    place.commit("a.txt", "2");
    std::fs::write(place.mirror().folder().join("config"), "[core\n").unwrap();
    let error = place.mirror().fetch().await.unwrap_err();
    let unread =
        matches!(&error, GitError::Failed { program, .. } if program.starts_with("git config"));
    assert!(unread, "{error}");
}

#[tokio::test]
async fn one_commit_comes_alone_with_no_ref() {
    for (way, protocol_2) in WAYS {
        let place = Place::new();
        let ordered = place.commit("a.txt", "1");
        let red = place.commit("a.txt", "2");
        let (git, origin) = serve(&place, way, protocol_2);
        let mirror = Mirror::at(place.mirror().folder(), &git);
        mirror.ensure_empty(&origin, &ordered).await.unwrap();
        if !protocol_2 {
            // An older server gives it while a ref leads to it.
            mirror.fetch_commit(&ordered).await.unwrap_err();
            place.work(&["tag", "v1", ordered.as_str()]);
        }
        mirror.fetch_commit(&ordered).await.unwrap();
        assert!(mirror.has(&ordered).await.unwrap(), "{way:?} {protocol_2}");
        assert!(!here(&place, &red), "{way:?} {protocol_2}");
        assert_eq!(mirror.refs().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_commit_that_nobody_has_is_an_error_that_names_it() {
    let place = Place::new();
    let first = place.commit("a.txt", "1");
    let mirror = place.mirror();
    mirror.ensure_empty(&place.origin(), &first).await.unwrap();
    let missing: CommitId = "1".repeat(40).parse().unwrap();
    let error = mirror.fetch_commit(&missing).await.unwrap_err();
    assert!(error.to_string().contains(missing.as_str()), "{error}");
}

#[tokio::test]
async fn a_gated_mirror_of_a_sha256_repository_is_made_for_its_ids() {
    let place = Place::new();
    std::fs::remove_dir_all(place.path("origin")).unwrap();
    let sha256 = ["init", "-q", "-b", "main", "--object-format=sha256"];
    place.say(&place.path(""), &[&sha256[..], &["origin"]].concat());
    let first = place.commit("a.txt", "1");
    bring(&place, &["refs/heads/main"]).await;
    assert_eq!(leads(&place, "refs/heads/main").await, Some(first));
}

#[tokio::test]
async fn a_gated_mirror_that_could_not_be_made_whole_is_not_there() {
    let place = Place::new();
    let first = place.commit("a.txt", "1");
    // The gate is set before the mirror has its name: nobody can come between and fetch everything.
    let refusing: Git =
        place.wrapped("case \"$*\" in *deploykit.gate*ci) exit 9;; esac\nexec $REAL \"$@\"");
    let mirror = Mirror::at(place.mirror().folder(), &refusing);
    mirror
        .ensure_gated(&place.origin(), &first)
        .await
        .unwrap_err();
    assert!(!mirror.exists().await.unwrap());
}
