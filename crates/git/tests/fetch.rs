//! Clones and fetches.

use std::{fs, path::Path};

use git::{Change, Ensured, GitError, GitVersion, Mirror};

use crate::place::{Place, name};

#[tokio::test]
async fn a_clone_has_branches_and_tags_with_the_commits_they_lead_to() {
    let place = Place::new();
    let first = place.commit("a.txt", "1");
    place.work(&["tag", "-a", "-m", "annotated", "v1"]);
    place.work(&[
        "-c",
        "advice.nestedTag=false",
        "tag",
        "-a",
        "-m",
        "a tag of a tag",
        "v1-again",
        "v1",
    ]);
    place.work(&["tag", "a-tree", "HEAD^{tree}"]);
    let mirror = place.mirror();
    assert_eq!(
        mirror.ensure(&place.origin()).await.unwrap(),
        Ensured::Cloned
    );
    let refs = mirror.refs().await.unwrap();
    let found: Vec<_> = refs
        .iter()
        .map(|tip| (tip.name.as_str(), &tip.commit))
        .collect();
    let expected = [
        ("refs/tags/v1", &first),
        ("refs/tags/v1-again", &first),
        ("refs/heads/main", &first),
    ];
    assert_eq!(found, expected);
    assert!(refs.iter().all(|tip| tip.committed_s > 1_500_000_000));
    assert_eq!(mirror.ensure(&place.origin()).await.unwrap(), Ensured::Kept);
}

#[tokio::test]
async fn a_new_branch_and_tag_arrive_and_a_second_fetch_changes_nothing() {
    let place = Place::mirrored().await;
    let second = place.commit("b.txt", "2");
    place.work(&["tag", "v2"]);
    place.work(&["branch", "topic/x"]);
    let mirror = place.mirror();
    let fetched = mirror.fetch().await.unwrap();
    let changed: Vec<_> = fetched
        .changed
        .iter()
        .map(|change| change.name.as_str())
        .collect();
    assert_eq!(
        changed,
        ["refs/heads/main", "refs/heads/topic/x", "refs/tags/v2"]
    );
    assert!(
        fetched
            .changed
            .iter()
            .all(|change| change.after.as_ref() == Some(&second))
    );
    assert!(mirror.has(&second).await.unwrap());
    assert_eq!(mirror.fetch().await.unwrap().changed, []);
}

#[tokio::test]
async fn a_deleted_branch_and_tag_go() {
    let place = Place::new();
    let first = place.commit("a.txt", "1");
    place.work(&["branch", "old"]);
    place.work(&["tag", "v0"]);
    place.mirror().ensure(&place.origin()).await.unwrap();
    place.work(&["branch", "-q", "-D", "old"]);
    place.work(&["tag", "-d", "v0"]);
    let gone = |text| Change {
        name: name(text),
        before: Some(first.clone()),
        after: None,
    };
    let fetched = place.mirror().fetch().await.unwrap();
    assert_eq!(
        fetched.changed,
        [gone("refs/heads/old"), gone("refs/tags/v0")]
    );
    assert_eq!(
        place.mirror().resolve(&name("refs/tags/v0")).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_rewritten_branch_is_followed() {
    let place = Place::mirrored().await;
    place.work(&["commit", "-q", "--amend", "-m", "rewritten"]);
    let new = place.work(&["rev-parse", "HEAD"]);
    place.mirror().fetch().await.unwrap();
    let tip = place
        .mirror()
        .resolve(&name("refs/heads/main"))
        .await
        .unwrap();
    assert_eq!(tip.unwrap().as_str(), new);
}

#[tokio::test]
async fn a_moved_tag_is_reported_each_time_and_never_followed_while_branches_are() {
    let place = Place::new();
    let first = place.commit("a.txt", "1");
    place.work(&["tag", "v1"]);
    place.work(&["tag", "-a", "-m", "x", "v1-annotated"]);
    place.mirror().ensure(&place.origin()).await.unwrap();
    let second = place.commit("a.txt", "2");
    place.work(&["tag", "-f", "v1"]);
    place.work(&["tag", "-f", "-a", "-m", "x", "v1-annotated"]);
    for changes in [1, 0] {
        let fetched = place.mirror().fetch().await.unwrap();
        assert_eq!(fetched.changed.len(), changes, "the branch only");
        let moved: Vec<_> = fetched
            .moved_tags
            .iter()
            .map(|tag| (tag.name.as_str(), &tag.here, tag.there.as_str()))
            .collect();
        let expected = [
            ("refs/tags/v1", &first, second.as_str()),
            ("refs/tags/v1-annotated", &first, second.as_str()),
        ];
        assert_eq!(moved, expected);
    }
    let resolve = async |text| place.mirror().resolve(&name(text)).await.unwrap();
    assert_eq!(resolve("refs/tags/v1").await, Some(first));
    assert_eq!(resolve("refs/heads/main").await, Some(second));
}

#[tokio::test]
async fn a_tag_and_a_branch_of_the_same_name_are_two_things() {
    let place = Place::new();
    let first = place.commit("a.txt", "1");
    place.work(&["tag", "release"]);
    place.work(&["branch", "release"]);
    place.mirror().ensure(&place.origin()).await.unwrap();
    place.work(&["checkout", "-q", "refs/heads/release"]);
    let second = place.commit("a.txt", "2");
    place.work(&["update-ref", "refs/heads/release", second.as_str()]);
    place.mirror().fetch().await.unwrap();
    let resolve = async |text| place.mirror().resolve(&name(text)).await.unwrap();
    assert_eq!(resolve("refs/tags/release").await, Some(first));
    assert_eq!(resolve("refs/heads/release").await, Some(second));
}

#[tokio::test]
async fn a_branch_that_is_called_like_a_full_tag_is_not_that_tag() {
    let place = Place::new();
    place.work(&["update-ref", "refs/heads/refs/tags/v9", "HEAD"]);
    place.mirror().ensure(&place.origin()).await.unwrap();
    assert_eq!(
        place.mirror().resolve(&name("refs/tags/v9")).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_ref_with_a_name_that_is_refused_is_said_and_left_out() {
    let place = Place::mirrored().await;
    place.work(&["branch", "a;b"]);
    let fetched = place.mirror().fetch().await.unwrap();
    assert_eq!(fetched.unusable, ["refs/heads/a;b"]);
    assert_eq!(place.mirror().refs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_clone_that_fails_says_why_and_leaves_nothing() {
    let place = Place::new();
    let origin = place.path("nowhere").display().to_string().parse().unwrap();
    let error = place.mirror().ensure(&origin).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    let left = fs::read_dir(place.path("mirrors/group")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["shop.git.lock"]);
}

#[tokio::test]
async fn an_address_that_leads_to_another_protocol_is_refused_by_git() {
    let place = Place::new();
    let home = place.path("home");
    fs::create_dir(&home).unwrap();
    let instead = format!(
        "[url \"{}\"]\n insteadOf = https://git.example.org/\n",
        place.path("").display()
    );
    fs::write(home.join(".gitconfig"), instead).unwrap();
    let git = place.git.clone().with_home(&home);
    let mirror = Mirror::at(place.path("m.git"), &git);
    let origin = "https://git.example.org/origin".parse().unwrap();
    let error = mirror.ensure(&origin).await.unwrap_err();
    assert!(
        error.to_string().contains("transport 'file' not allowed"),
        "{error}"
    );
}

#[tokio::test]
async fn an_origin_of_another_user_on_this_machine_is_mirrored() {
    let place = Place::new();
    let git = place.wrapped("export GIT_TEST_ASSUME_DIFFERENT_OWNER=1\nexec $REAL \"$@\"");
    let mirror = Mirror::at(place.path("m.git"), &git);
    mirror.ensure(&place.origin()).await.unwrap();
    place.commit("a.txt", "2");
    assert_eq!(mirror.fetch().await.unwrap().changed.len(), 1);
}

#[tokio::test]
async fn a_git_that_is_too_old_is_one_sentence() {
    let place = Place::new();
    assert!(place.git.version().await.unwrap() >= GitVersion::OLDEST);
    let error = place
        .wrapped("echo git version 2.25.1")
        .version()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "git 2.25.1 is too old: 2.30.0 or newer is needed"
    );
}

#[tokio::test]
async fn a_mirror_that_is_not_there_is_named() {
    let place = Place::new();
    // Inside somebody's work tree, whose repository must not be taken for the mirror.
    let mirror = Mirror::at(place.path("origin/missing.git"), &place.git);
    let error = mirror.refs().await.unwrap_err();
    assert!(
        matches!(&error, GitError::NoMirror { folder } if folder == mirror.folder()),
        "{error}"
    );
    assert!(mirror.fetch().await.is_err());
    let id = "1111111111111111111111111111111111111111".parse().unwrap();
    assert!(
        mirror
            .export(&id, Path::new("/nonexistent/x"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn commits_between_two_are_listed_newest_first() {
    let place = Place::new();
    let first = place.commit("a.txt", "1");
    let second = place.commit("a.txt", "2");
    let third = place.commit("a.txt", "3");
    let mirror = place.mirror();
    mirror.ensure(&place.origin()).await.unwrap();
    let commits = mirror.commits(Some(&first), &third, 10).await.unwrap();
    let ids: Vec<_> = commits.iter().map(|commit| &commit.id).collect();
    assert_eq!(ids, [&third, &second]);
    assert_eq!(
        (commits[0].author.as_str(), commits[0].title.as_str()),
        ("A", "a change")
    );
    assert_eq!(mirror.commits(None, &third, 1).await.unwrap().len(), 1);
    assert!(mirror.is_ancestor(&first, &third).await.unwrap());
    assert!(!mirror.is_ancestor(&third, &first).await.unwrap());
}

#[tokio::test]
async fn a_sha256_repository_is_mirrored_and_packed() {
    let place = Place::new();
    fs::remove_dir_all(place.path("origin")).unwrap();
    place.say(
        &place.path(""),
        &[
            "init",
            "-q",
            "-b",
            "main",
            "--object-format=sha256",
            "origin",
        ],
    );
    let first = place.commit("a.txt", "1");
    assert_eq!(first.as_str().len(), 64);
    let mirror = place.mirror();
    mirror.ensure(&place.origin()).await.unwrap();
    assert_eq!(
        mirror.resolve(&name("refs/heads/main")).await.unwrap(),
        Some(first.clone())
    );
    mirror.maintain().await.unwrap();
    let exported = mirror.export(&first, &place.path("tree")).await.unwrap();
    assert_eq!((exported.files, exported.bytes), (1, 1));
}
