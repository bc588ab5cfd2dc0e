//! What holds with every Jenkins, the double included. Each test has a job of its own.

use jenkins::{Build, Found, Item, Jenkins, Outcome, Trouble};
use testkit::{LONG, until};
use world::World;

use crate::place::{Kind, Site};

const COMMIT: &str = "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";

fn parameters(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// Follows a queue item to the end of its build.
async fn followed(jenkins: &Jenkins, job: &str, item: u64) -> Build {
    let job = job.parse().unwrap();
    let started = || async {
        match jenkins.item(item).await.unwrap() {
            Item::Started(number) => Some(number),
            Item::Waiting { .. } => None,
            Item::Cancelled => panic!("nobody cancelled it"),
        }
    };
    let number = until("it starts", LONG, started).await;
    let ended = || async {
        let build = jenkins.build(&job, number).await.unwrap();
        build.outcome.is_some().then_some(build)
    };
    until("it ends", LONG, ended).await
}

#[tokio::test]
async fn a_trigger_becomes_a_queue_item_a_build_and_a_result() {
    let site = Site::named().await;
    site.job("deploykit-contract", Kind::Parameters).await;
    let jenkins = site.client();
    let id = World::real().new_id().to_string();
    let told = parameters(&[
        ("DEPLOYKIT_ID", &id),
        ("DEPLOYKIT_COMMIT", COMMIT),
        ("NOBODY_DEFINED_THIS", "x & y=z"),
    ]);
    let job = "deploykit-contract".parse().unwrap();
    let item = jenkins.trigger(&job, &told).await.unwrap();
    let build = followed(&jenkins, "deploykit-contract", item).await;

    assert_eq!(build.outcome, Some(Outcome::Success));
    assert_eq!(build.queue_item, Some(item));
    assert_eq!(build.parameters["DEPLOYKIT_COMMIT"], COMMIT);
    assert!(!build.parameters.contains_key("NOBODY_DEFINED_THIS"));
    assert!(build.commits.is_empty(), "it checks nothing out");
    assert!(build.scheduled_ms > 1_700_000_000_000, "{build:?}");
    let found = jenkins.find(&job, ("DEPLOYKIT_ID", &id), None).await;
    assert_eq!(found, Ok(Some(Found::Build(build.number))));
    let found = jenkins
        .find(&job, ("DEPLOYKIT_ID", "another"), Some(item))
        .await;
    assert_eq!(found, Ok(None), "the id goes before the number");
}

#[tokio::test]
async fn a_job_without_parameters_is_triggered_without_and_found_by_its_item() {
    let site = Site::named().await;
    site.job("deploykit-contract-plain", Kind::Plain).await;
    let jenkins = site.client();
    let job = "deploykit-contract-plain".parse().unwrap();
    let told = parameters(&[("DEPLOYKIT_COMMIT", COMMIT)]);
    let item = jenkins.trigger(&job, &told).await.unwrap();
    let build = followed(&jenkins, "deploykit-contract-plain", item).await;
    assert!(build.parameters.is_empty(), "{build:?}");
    let found = jenkins.find(&job, ("DEPLOYKIT_ID", "x"), Some(item)).await;
    assert_eq!(found, Ok(Some(Found::Build(build.number))));
}

#[tokio::test]
async fn what_is_not_there_is_missing_and_what_is_disabled_is_said_to_be() {
    let site = Site::named().await;
    site.job("deploykit-contract-off", Kind::Disabled).await;
    let jenkins = site.client();
    let nowhere = "deploykit-nowhere/at all".parse().unwrap();
    assert_eq!(jenkins.trigger(&nowhere, &[]).await, Err(Trouble::Missing));
    assert_eq!(jenkins.build(&nowhere, 1).await, Err(Trouble::Missing));
    assert_eq!(jenkins.item(4_000_000).await, Err(Trouble::Missing));
    let off = "deploykit-contract-off".parse().unwrap();
    let told = parameters(&[("DEPLOYKIT_ID", "x")]);
    assert_eq!(jenkins.trigger(&off, &told).await, Err(Trouble::Disabled));
}

#[tokio::test]
async fn a_wrong_token_is_told_as_one() {
    let site = Site::named().await;
    let mut access = site.access();
    access.token_file = site.folder.write("wrong", "not-the-token");
    let jenkins = Jenkins::new(access, World::real()).unwrap();
    assert_eq!(jenkins.item(1).await, Err(Trouble::Login));
}
