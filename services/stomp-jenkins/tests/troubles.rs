//! Each thing that Jenkins may do wrong, through the whole service: what then becomes of the build.

use events::message::{Level, Line};
use testkit::{JenkinsFault as Fault, LONG, Stop, until};

use crate::rig::{JOB, Rig, commit};

#[tokio::test]
async fn what_passes_by_itself_is_waited_out_and_nothing_is_built_twice() {
    let mut rig = Rig::start().await;
    let faults = [
        Fault::Status(500),
        Fault::Status(502),
        Fault::NotReady(0),
        Fault::Hang,
        Fault::Cut,
        Fault::CutAfter,
        Fault::HangAfter,
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        for on in ["POST ", "/queue/item/", "/job/backend/job/shop/"] {
            rig.jenkins.fail(on, 1, fault.clone());
        }
        let commit = format!("{index}c").repeat(20);
        rig.push(&commit).await;
        let number = rig.builds(index + 1).await;
        rig.jenkins.finish(JOB, number, "SUCCESS");
        rig.hears_succeeded(&commit).await;
        assert_eq!(rig.jenkins.builds(JOB).len(), index + 1, "{fault:?}");
        rig.jenkins.heal();
    }
}

#[tokio::test]
async fn what_a_person_must_mend_is_told_once_and_goes_on_when_it_is_mended() {
    let mut rig = Rig::start().await;
    let table = [
        (
            "POST ",
            Fault::Status(401),
            "does not know the user or token (401)",
        ),
        ("POST ", Fault::Status(403), "does not allow it (403)"),
        ("POST ", Fault::Status(404), "(404)"),
        ("POST ", Fault::LoginRedirect, "gave no queue item (302)"),
        ("/queue/item/", Fault::Html, "answers with text/html"),
        (
            "/queue/item/",
            Fault::LoginRedirect,
            "answers with a redirect",
        ),
        ("tree=number", Fault::Garbage, "JSON that is not right"),
    ];
    for (index, (on, fault, said)) in table.into_iter().enumerate() {
        let commit = format!("{index}d").repeat(20);
        rig.jenkins.fail(on, 1_000_000, fault.clone());
        rig.push(&commit).await;
        let alarm = rig.hears_alarm("waits for a person").await;
        assert!(alarm.line.contains(said), "{fault:?}: {}", alarm.line);
        assert!(
            alarm.line.starts_with("hub1: shop refs/heads/main "),
            "{}",
            alarm.line
        );
        let left = rig.jenkins.faults_left();
        let tried = || async { (left - rig.jenkins.faults_left() >= 3).then_some(()) };
        until("it is tried again", LONG, tried).await;
        rig.jenkins.heal();
        let number = rig.builds(index + 1).await;
        rig.jenkins.finish(JOB, number, "SUCCESS");
        rig.hears_succeeded(&commit).await;
        assert_eq!(rig.jenkins.builds(JOB).len(), index + 1, "{fault:?}");
        let end = |it: &Line| {
            assert_ne!(it.level(), Level::Alarm, "{fault:?}: {}", it.line);
            it.line.contains("succeeded as")
        };
        rig.feed.hear(end).await;
    }
}

#[tokio::test]
async fn what_cannot_be_mended_is_given_up_with_an_alarm_and_built_when_announced_again() {
    let mut rig = Rig::start().await;
    for (index, (on, fault, said)) in [
        ("POST ", Fault::Status(409), "the job is disabled (409)"),
        ("POST ", Fault::Status(418), "answers with status 418"),
        ("/queue/item/", Fault::Endless, "an answer that is too long"),
    ]
    .into_iter()
    .enumerate()
    {
        let commit = format!("{index}e").repeat(20);
        rig.jenkins.fail(on, 1, fault.clone());
        rig.push(&commit).await;
        let alarm = rig.hears_alarm("was given up").await;
        assert!(alarm.line.contains(said), "{fault:?}: {}", alarm.line);
        for build in rig
            .jenkins
            .builds(JOB)
            .iter()
            .filter(|it| it.result.is_none())
        {
            rig.jenkins.finish(JOB, build.number, "ABORTED");
        }
        rig.builds_green(&commit).await;
    }
}

#[tokio::test]
async fn what_is_cancelled_in_the_queue_is_told_and_may_be_announced_again() {
    let mut rig = Rig::start().await;
    rig.jenkins.executors(0);
    rig.push(&commit('a')).await;
    let queued = || async { (rig.jenkins.waiting() == 1).then_some(()) };
    until("it is in the queue", LONG, queued).await;
    rig.jenkins.cancel_all();
    rig.hears_alarm("was taken out of Jenkins' queue").await;
    rig.jenkins.executors(2);
    rig.builds_green(&commit('a')).await;
}

#[tokio::test]
async fn a_jenkins_that_is_away_too_long_is_given_up_by_name_of_the_limit() {
    let mut rig = Rig::start_with("trigger_limit_s = 1").await;
    rig.jenkins.stop(Stop::Killed).await;
    rig.push(&commit('a')).await;
    let alarm = rig.hears_alarm("was given up (trigger_limit_s)").await;
    assert!(alarm.line.contains("cannot be reached"), "{}", alarm.line);
    rig.jenkins.start_again().await;
    rig.builds_green(&commit('a')).await;
}

#[tokio::test]
async fn a_build_that_is_deleted_while_it_is_followed_is_triggered_again_so_often() {
    let mut rig = Rig::start_with("again = 1").await;
    rig.push(&commit('a')).await;
    let number = rig.builds(1).await;
    rig.hears_started(&commit('a')).await;
    rig.jenkins.delete(JOB, number);
    rig.hears_started(&commit('a')).await;
    let number = rig.builds(1).await;
    assert_eq!(number, 2, "numbers are never used again");
    rig.jenkins.delete(JOB, number);
    rig.hears_alarm("vanished from Jenkins 2 times").await;
}
