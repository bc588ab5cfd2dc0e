//! What an origin has, asked without a mirror.

use std::time::Duration;

use command::RunError;
use git::{GitError, Limits};

use crate::{
    limits::mute_server,
    place::{Place, limits},
    served::{WAYS, serve},
};

#[tokio::test]
async fn branches_and_tags_of_every_kind_of_origin_come_with_the_commits_they_lead_to() {
    for (way, protocol_2) in WAYS {
        let place = Place::new();
        let first = place.commit("a.txt", "1");
        place.work(&["tag", "v1"]);
        place.work(&["tag", "-a", "-m", "x", "v1-annotated"]);
        let nested = [
            "-c",
            "advice.nestedTag=false",
            "tag",
            "-a",
            "-m",
            "x",
            "v1-nested",
            "v1-annotated",
        ];
        place.work(&nested);
        place.work(&["branch", "a;b"]);
        place.work(&["update-ref", "refs/notes/commits", "HEAD"]);
        let (git, origin) = serve(&place, way, protocol_2);
        let tips = git.tips(&origin).await.unwrap();
        let found = tips
            .tips
            .iter()
            .map(|tip| (tip.name.as_str(), &tip.commit))
            .collect::<Vec<_>>();
        let named =
            |tip: &git::Tip| tip.object.as_str() == place.work(&["rev-parse", tip.name.as_str()]);
        assert!(tips.tips.iter().all(named), "{tips:?}");
        let expected = [
            ("refs/heads/main", &first),
            ("refs/tags/v1", &first),
            ("refs/tags/v1-annotated", &first),
            ("refs/tags/v1-nested", &first),
        ];
        assert_eq!(found, expected, "{way:?} {protocol_2}");
        assert_eq!(tips.unusable, ["refs/heads/a;b"]);
    }
}

#[tokio::test]
async fn an_origin_that_says_nothing_is_left_at_the_limit() {
    let place = Place::new();
    let (origin, _asked) = mute_server();
    let git = place.git.clone().with_limits(Limits {
        ask: Duration::from_millis(300),
        ..limits()
    });
    let error = git.tips(&origin).await.unwrap_err();
    assert!(
        matches!(error, GitError::Run(RunError::Limit { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_an_error_and_not_a_shorter_list() {
    let place = Place::new();
    let id = "1".repeat(40);
    let script = format!("yes '{id}\trefs/heads/main' | head -c 70000000");
    let error = place.wrapped(&script).tips(&place.origin()).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, GitError::TooMuch { most_bytes, .. } if *most_bytes == 64 << 20),
        "{error}"
    );
}

#[tokio::test]
async fn an_origin_that_is_not_there_says_why() {
    let place = Place::new();
    let nowhere = place.path("nowhere").display().to_string().parse().unwrap();
    let error = place.git.tips(&nowhere).await.unwrap_err();
    assert!(error.to_string().contains("does not"), "{error}");
}
