//! With a broker and a Jenkins: from the push to the verdict, through restarts of all three.

use std::time::Duration;

use events::message::BuildResult;
use testkit::{Jenkins, Job, LONG, Stop, until};

use crate::rig::{JOB, Rig, commit, job};

#[tokio::test]
async fn a_push_is_built_with_its_commit_and_its_success_told() {
    let mut rig = Rig::start().await;
    let green = commit('a');
    rig.push(&green).await;
    let number = rig.builds(1).await;
    let started = rig.hears_started(&green).await;
    assert_eq!((started.job.as_str(), started.number), (JOB, number));
    assert_eq!(started.repository.as_str(), "shop");
    assert_eq!(started.name.unwrap().as_str(), "refs/heads/main");
    assert_eq!(
        started.url.unwrap().as_str(),
        format!("{}job/backend/job/shop/1/", rig.jenkins.url())
    );
    let taken = &rig.jenkins.builds(JOB)[0].parameters;
    assert_eq!(taken["DEPLOYKIT_COMMIT"], green);
    assert_eq!(taken["DEPLOYKIT_REF"], "refs/heads/main");
    rig.jenkins.finish(JOB, number, "SUCCESS");
    assert_eq!(rig.hears_succeeded(&green).await.number, number);
    let seen = rig.jenkins.requests();
    assert!(
        seen.iter()
            .all(|it| !it.line.contains(Jenkins::TOKEN) && !it.line.contains(&green))
    );
    rig.service.take().unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_red_build_is_told_with_its_result() {
    let mut rig = Rig::start().await;
    for (digit, word, result) in [
        ('a', "FAILURE", BuildResult::Failure),
        ('b', "UNSTABLE", BuildResult::Unstable),
        ('c', "ABORTED", BuildResult::Aborted),
    ] {
        let count = rig.jenkins.builds(JOB).len() + 1;
        rig.push(&commit(digit)).await;
        let number = rig.builds(count).await;
        rig.jenkins.finish(JOB, number, word);
        assert_eq!(rig.hears_failed(&commit(digit)).await.result, result);
    }
}

#[tokio::test]
async fn the_same_commit_is_built_once_while_it_waits_runs_and_has_its_verdict() {
    let mut rig = Rig::start().await;
    rig.jenkins.executors(0);
    let green = commit('a');
    rig.push(&green).await;
    rig.push(&green).await;
    let queued = || async { (rig.jenkins.waiting() == 1).then_some(()) };
    until("it is in the queue", LONG, queued).await;
    rig.jenkins.executors(2);
    let number = rig.builds(1).await;
    rig.push(&green).await;
    rig.jenkins.finish(JOB, number, "SUCCESS");
    rig.hears_succeeded(&green).await;
    rig.push(&green).await;
    rig.kill_service();
    rig.start_service();
    rig.push(&green).await;
    // A later push went the same way, so the doubles before it have been judged.
    rig.builds_green(&commit('b')).await;
    assert_eq!(rig.jenkins.builds(JOB).len(), 2, "one each");
}

#[tokio::test]
async fn a_commit_without_a_verdict_is_built_again_when_it_is_announced_again() {
    let mut rig = Rig::start().await;
    let red = commit('a');
    rig.push(&red).await;
    let number = rig.builds(1).await;
    rig.jenkins.finish(JOB, number, "ABORTED");
    rig.hears_failed(&red).await;
    rig.builds_green(&red).await;
}

#[tokio::test]
async fn the_build_of_a_round_before_is_not_taken_for_this_rounds() {
    let mut rig = Rig::start().await;
    rig.push(&commit('a')).await;
    let number = rig.builds(1).await;
    rig.jenkins.finish(JOB, number, "ABORTED");
    rig.hears_failed(&commit('a')).await;
    rig.jenkins
        .fail("POST ", 1, testkit::JenkinsFault::NotReady(0));
    rig.builds_green(&commit('a')).await;
    assert_eq!(rig.jenkins.faults_left(), 0);
    rig.push(&commit('b')).await;
    let number = rig.builds(3).await;
    rig.jenkins.finish(JOB, number, "FAILURE");
    let next: events::message::CiFailed = rig.failed.hear(|_| true).await;
    assert_eq!(
        next.build.commit.as_str(),
        commit('b'),
        "the aborted build was told once"
    );
}

#[tokio::test]
async fn jenkins_restarts_while_it_waits_and_while_it_is_built() {
    let mut rig = Rig::start().await;
    rig.jenkins.add(job().pipeline());
    let (first, second) = (commit('a'), commit('b'));
    rig.push(&first).await;
    rig.builds(1).await;
    rig.push(&second).await;
    let queued = || async { (rig.jenkins.waiting() == 1).then_some(()) };
    until("the second waits", LONG, queued).await;
    rig.jenkins.stop(Stop::Orderly).await;
    rig.jenkins.start_again().await;
    rig.jenkins.finish(JOB, 1, "SUCCESS");
    rig.hears_succeeded(&first).await;
    rig.builds(2).await;
    rig.jenkins.finish(JOB, 2, "SUCCESS");
    rig.hears_succeeded(&second).await;
    assert_eq!(rig.jenkins.builds(JOB).len(), 2, "nothing was built twice");
}

#[tokio::test]
async fn a_jenkins_that_was_killed_and_lost_queue_and_build_builds_both_again() {
    let mut rig = Rig::start().await;
    let (first, second) = (commit('a'), commit('b'));
    rig.push(&first).await;
    rig.builds(1).await;
    rig.push(&second).await;
    let queued = || async { (rig.jenkins.waiting() == 1).then_some(()) };
    until("the second waits", LONG, queued).await;
    rig.jenkins.stop(Stop::Killed).await;
    rig.jenkins.add(job().ends(Duration::ZERO, "SUCCESS"));
    rig.jenkins.start_again().await;
    rig.hears_all_succeeded(vec![first, second]).await;
}

#[tokio::test]
async fn a_build_that_runs_at_an_orderly_restart_is_aborted_and_told_so() {
    let mut rig = Rig::start().await;
    rig.push(&commit('a')).await;
    rig.builds(1).await;
    rig.jenkins.stop(Stop::Orderly).await;
    rig.jenkins.start_again().await;
    let failed = rig.hears_failed(&commit('a')).await;
    assert_eq!(failed.result, BuildResult::Aborted);
}

#[tokio::test]
async fn the_service_is_killed_at_each_stage_and_goes_on() {
    let mut rig = Rig::start().await;
    // In the queue.
    rig.jenkins.executors(0);
    rig.push(&commit('a')).await;
    let queued = || async { (rig.jenkins.waiting() == 1).then_some(()) };
    until("it is in the queue", LONG, queued).await;
    rig.kill_service();
    rig.jenkins.executors(2);
    rig.start_service();
    let number = rig.builds(1).await;
    // While it is built; it ends, and its queue item is forgotten, before the service is back.
    rig.hears_started(&commit('a')).await;
    rig.kill_service();
    rig.jenkins.forgets_after(Duration::ZERO);
    rig.jenkins.finish(JOB, number, "SUCCESS");
    // A push meanwhile is kept by the broker.
    rig.push(&commit('b')).await;
    rig.start_service();
    rig.hears_succeeded(&commit('a')).await;
    rig.builds(2).await;
    rig.jenkins.finish(JOB, 2, "SUCCESS");
    rig.hears_succeeded(&commit('b')).await;
    assert_eq!(rig.jenkins.builds(JOB).len(), 2, "nothing was built twice");
}

#[tokio::test]
async fn the_service_is_killed_between_the_trigger_and_its_answer() {
    let mut rig = Rig::start().await;
    rig.jenkins
        .fail("POST ", 1, testkit::JenkinsFault::HangAfter);
    rig.push(&commit('a')).await;
    rig.builds(1).await;
    rig.kill_service();
    rig.start_service();
    rig.hears_started(&commit('a')).await;
    rig.jenkins.finish(JOB, 1, "SUCCESS");
    rig.hears_succeeded(&commit('a')).await;
    assert_eq!(
        rig.jenkins.builds(JOB).len(),
        1,
        "it was found, not built twice"
    );
}

#[tokio::test]
async fn the_broker_is_away_when_the_verdict_comes() {
    let mut rig = Rig::start().await;
    rig.push(&commit('a')).await;
    let number = rig.builds(1).await;
    rig.hears_started(&commit('a')).await;
    rig.broker.stop().await;
    rig.jenkins.finish(JOB, number, "SUCCESS");
    let waits = || async {
        let names = rig.folder.names("state/outbox");
        names.iter().any(|it| it.ends_with(".json")).then_some(())
    };
    until("the verdict is in the outbox", LONG, waits).await;
    rig.broker.start_again().await;
    let again = testkit::Member::connect("listener", rig.broker.common("hub3")).await;
    let mut ear = again.listen(events::Topic::CiSucceeded).await;
    let either = async {
        tokio::select! {
            heard = ear.hear(|_: &events::message::CiSucceeded| true) => heard.build,
            heard = rig.succeeded.hear(|_: &events::message::CiSucceeded| true) => heard.build,
        }
    };
    assert_eq!(either.await.commit.as_str(), commit('a'));
}

#[tokio::test]
async fn many_builds_are_followed_so_many_at_once_and_all_come_to_their_end() {
    let mut rig = Rig::start_with("at_once = 3\nrequests_at_once = 2").await;
    rig.jenkins.add(job().ends(Duration::ZERO, "SUCCESS"));
    let commits: Vec<String> = (16..46)
        .map(|number| format!("{number:x}").repeat(20))
        .collect();
    for commit in &commits {
        rig.push(commit).await;
    }
    rig.hears_all_succeeded(commits).await;
}

#[tokio::test]
async fn two_processes_on_one_state_folder_are_one_too_many() {
    let rig = Rig::start().await;
    let common = rig.broker.common("hub4");
    let second = testkit::Running::start(
        "stomp-jenkins",
        common,
        rig.settings(),
        world::World::real(),
        stomp_jenkins::serve,
    );
    let wrong = second.stop().await.unwrap_err().to_string();
    assert!(
        wrong.contains("another stomp-jenkins uses the state folder"),
        "{wrong}"
    );
}

#[tokio::test]
async fn a_job_that_takes_no_parameters_is_judged_by_what_it_checked_out() {
    let mut rig = Rig::start().await;
    let (asked, built) = (commit('a'), commit('b'));
    rig.jenkins.add(
        Job::new(JOB)
            .checks_out(&asked)
            .ends(Duration::ZERO, "SUCCESS"),
    );
    rig.push(&asked).await;
    rig.hears_succeeded(&asked).await;
    rig.push(&built).await;
    let alarm = rig.hears_alarm("was not built").await;
    assert!(
        alarm.line.contains("checked out aaaaaaaaaa"),
        "{}",
        alarm.line
    );
}
