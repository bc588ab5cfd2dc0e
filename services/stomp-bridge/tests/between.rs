//! The service as `main` wires it, between a member of our bus and an older daemon.

use std::time::Duration;

use chassis::Failure;
use events::{
    Topic,
    message::{
        BuildResult, Built, CiFailed, CiSucceeded, DeadLetter, Level, PackageUpdate,
        PackagesUpdated, Pushed, SvnCommitted,
    },
};
use stomp_bridge::SOURCE;
use testkit::{Fault, Way};

use crate::rig::{BEFORE, Broker, COMMIT, Rig, line, old_push, push};

#[tokio::test]
async fn on_the_embedded_broker_messages_are_carried_both_ways() {
    both_ways(Rig::new(Broker::embedded().await).await).await;
}

#[tokio::test]
async fn on_rabbitmq_messages_are_carried_both_ways() {
    both_ways(Rig::new(Broker::rabbitmq().await).await).await;
}

#[tokio::test]
async fn on_activemq_messages_are_carried_both_ways() {
    both_ways(Rig::new(Broker::activemq().await).await).await;
}

#[tokio::test]
async fn on_the_embedded_broker_two_bridges_play_no_ping_pong_and_killed_ones_go_on() {
    killed(Rig::new(Broker::embedded().await).await).await;
}

#[tokio::test]
async fn what_is_not_confirmed_is_said_once_it_can_be() {
    let mut rig = Rig::new(Broker::embedded().await).await;
    let mut feed = rig.feed().await;
    let network = rig.start_bridge_through_a_proxy("hub1", 1).await;
    rig.carries("hub1").await;
    network.set(Fault::BlackHole(Some(Way::ToBroker)));
    rig.member.bus.publish(&push("held", "x")).await.unwrap();
    // waits for publish_limit_s, after which the bridge gives the first try up
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.count("[held]"), 0);
    network.set(Fault::Pass);
    let about = "held refs/heads/main";
    let problem = line(&mut feed, "problem", about).await;
    assert_eq!(problem.level(), Level::Problem);
    let cause = problem.record["cause"].as_str().unwrap();
    assert!(
        cause.starts_with("no broker confirmed it within 1 s"),
        "{cause}"
    );
    let again = line(&mut feed, "again", about).await;
    assert_eq!(
        (again.level(), &again.record["failures"]),
        (Level::Over, &1.into())
    );
    rig.until_heard("[held]").await;
    rig.stop_bridges().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_broker_that_is_mute() {
    let mut rig = Rig::new(Broker::embedded().await).await;
    let network = rig.start_bridge_through_a_proxy("hub1", 600).await;
    rig.carries("hub1").await;
    network.set(Fault::BlackHole(Some(Way::ToBroker)));
    rig.member.bus.publish(&push("held", "x")).await.unwrap();
    // waits for the delivery, after which the bridge is at it
    tokio::time::sleep(Duration::from_millis(500)).await;
    rig.stop_bridges().await;
    network.strike(Fault::Drop);
    assert_eq!(rig.count("[held]"), 0);
    rig.start_bridge("hub1", "");
    rig.until_heard("[held]").await;
    rig.stop_bridges().await;
}

#[tokio::test]
async fn a_topic_of_ours_is_no_older_one() {
    let mut rig = Rig::new(Broker::embedded().await).await;
    rig.start_bridge("hub1", "[bus.topics]\nprefix = 'future'\n");
    let ended = rig.ended().await.unwrap_err();
    let said = ended.to_string();
    assert!(
        said.starts_with("topics.commits is \"future.git.commits\", which is"),
        "{said}"
    );
    assert!(matches!(ended, Failure::Settings(_)));
}

#[tokio::test]
async fn on_rabbitmq_what_cannot_be_said_is_kept_through_a_kill() {
    let mut rig = Rig::new(Broker::rabbitmq().await).await;
    kept_until_it_is_said(&mut rig).await;
    killed(rig).await;
}

#[tokio::test]
async fn on_activemq_what_cannot_be_said_is_kept_through_a_kill() {
    let mut rig = Rig::new(Broker::activemq().await).await;
    kept_until_it_is_said(&mut rig).await;
    killed(rig).await;
}

/// The other two brokers refuse such a header.
#[tokio::test]
async fn on_rabbitmq_what_is_too_large_to_read_becomes_a_dead_letter() {
    let mut rig = Rig::new(Broker::rabbitmq().await).await;
    let mut dead = rig.ear(Topic::Dead("stomp-bridge".to_owned())).await;
    rig.start_bridge("hub1", "");
    rig.carries("hub1").await;
    let subject = "x".repeat(70_000);
    rig.old_says("future.git.commits", &subject, "");
    let letter: DeadLetter = dead.hear(|_| true).await;
    let cause = "it was not read: header block is longer than 65536 bytes";
    assert_eq!(letter.cause, cause);
    rig.stop_bridges().await;
}

async fn both_ways(mut rig: Rig) {
    let mut pushes = rig.ear(Topic::GitCommits).await;
    let mut revisions = rig.ear(Topic::SvnCommits).await;
    let mut dead = rig.ear(Topic::Dead("stomp-bridge".to_owned())).await;
    let mut feed = rig.feed().await;
    rig.start_bridge("hub1", "");
    rig.carries("hub1").await;
    let hostile = push("shop", "repo: other\nrepo: third");
    rig.member.bus.publish(&hostile).await.unwrap();
    let heard = rig.until_heard("[shop]").await;
    let body = format!(
        "repo: shop\\noldrev: {BEFORE}\\nnewrev: {COMMIT}\\nrefname: refs/heads/main\\n commit {COMMIT}\\nAuthor: Ann\\n\\n    repo; other repo; third\\n"
    );
    assert_eq!(
        heard,
        format!("/topic/future.git.commits|[shop] refs/heads/main {COMMIT}|hub1|{body}")
    );
    let said = line(&mut feed, "carried", "shop refs/heads/main").await;
    assert_eq!(
        (said.record["way"].as_str(), said.line.to_string().as_str()),
        (
            Some("to"),
            "hub1: shop refs/heads/main carried to older daemons"
        )
    );

    told_of_builds_and_packages(&rig).await;

    // What another bridge said is known to whom it was said for, and to those it came from.
    let marked = old_push("marked");
    rig.old_says_marked("hub9", "future.git.commits", "[marked] x y", &marked);
    let mut envelope = rig.member.bus.seal(&push("bridged", "x")).unwrap();
    envelope.source = format!("{SOURCE}hub9");
    let topic = Topic::GitCommits;
    let said = rig.member.bus.publish_envelope(&topic, true, &envelope);
    said.await.unwrap();
    rig.old_says("future.git.commits", "[spog] x y", &old_push("spog"));
    let spog = |it: &Pushed| {
        let repository = it.repository.as_str();
        assert_ne!(repository, "marked");
        repository == "spog"
    };
    let heard = pushes.hear(spog).await;
    let ids = (heard.before.unwrap(), heard.after.unwrap());
    assert_eq!((ids.0.as_str(), ids.1.as_str()), (BEFORE, COMMIT));
    let revision = "repo: legacy\nrevname: 7\n Author: jhr\n";
    rig.old_says("future.git.commits", "[legacy] 7 ", revision);
    let heard: SvnCommitted = revisions.hear(|_| true).await;
    assert_eq!((heard.repository.as_str(), heard.revision), ("legacy", 7));
    rig.old_says("future.git.commits", "", "\n");
    rig.old_says("future.git.commits", "", "repo: ../../etc\n");
    let letter: DeadLetter = dead.hear(|_| true).await;
    let said = "\"../../etc\" is not a repository";
    assert!(letter.cause.contains(said), "{}", letter.cause);

    // What the daemon says it hears itself; the bridge brings nothing of it back.
    let end = push("end", "x");
    rig.member.bus.publish(&end).await.unwrap();
    rig.until_heard("[end]").await;
    let counts = ["[bridged]", "[spog]", "[legacy]"].map(|part| rig.count(part));
    assert_eq!(counts, [0, 1, 1]);
    rig.stop_bridges().await;
}

async fn told_of_builds_and_packages(rig: &Rig) {
    let build = Built {
        repository: "shop".parse().unwrap(),
        name: None,
        commit: COMMIT.parse().unwrap(),
        project: None,
        job: "backend/shop".parse().unwrap(),
        number: 7,
        url: None,
    };
    let bus = &rig.member.bus;
    let good = CiSucceeded {
        build: build.clone(),
    };
    bus.publish(&good).await.unwrap();
    let heard = rig.until_heard("/topic/future.jenkins.success|").await;
    let rest = format!("job 7 - [backend/shop] origin/HEAD {COMMIT}|hub1|repo: shop\\n");
    assert!(heard.contains(&format!("|Complete {rest}")), "{heard}");
    let result = BuildResult::Unstable;
    bus.publish(&CiFailed { build, result }).await.unwrap();
    let heard = rig.until_heard("/topic/future.jenkins.cake|").await;
    assert!(heard.contains(&format!("|Fail {rest}")), "{heard}");
    let package = PackageUpdate {
        name: "shop".parse().unwrap(),
        version: "1.2".parse().unwrap(),
        before: None,
        architectures: vec!["all".parse().unwrap()],
        source: None,
    };
    let updated = PackagesUpdated {
        repository: "acme".parse().unwrap(),
        suite: "bookworm".parse().unwrap(),
        component: "main".parse().unwrap(),
        packages: vec![package],
        packages_total: 1,
    };
    bus.publish(&updated).await.unwrap();
    let heard = rig.until_heard("/topic/future.package.updates|").await;
    let said = "|Package update: [shop_1.2_all.deb]|hub1|package: shop_1.2_all.deb\\n";
    assert!(heard.ends_with(said), "{heard}");
}

/// Two bridges; what is said while both are killed is carried once they are there again.
async fn killed(mut rig: Rig) {
    let mut pushes = rig.ear(Topic::GitCommits).await;
    let hosts = ["hub1", "hub2"];
    for host in hosts {
        rig.start_bridge(host, "");
        rig.carries(host).await;
    }
    let from = |repository: &'static str| move |it: &Pushed| it.repository.as_str() == repository;
    rig.old_says("future.git.commits", "[ping] x y", &old_push("ping"));
    pushes.hear(from("ping")).await;
    rig.member.bus.publish(&push("pong", "x")).await.unwrap();
    rig.until_heard("[pong]").await;

    rig.kill_bridges();
    rig.member.bus.publish(&push("later", "x")).await.unwrap();
    rig.old_says("future.git.commits", "[missed] x y", &old_push("missed"));
    rig.until_heard("[missed]").await;
    for host in hosts {
        rig.start_bridge(host, "");
    }
    rig.until_heard("[later]").await;
    pushes.hear(from("missed")).await;

    rig.member.bus.publish(&push("end", "x")).await.unwrap();
    rig.until_heard("[end]").await;
    rig.stop_bridges().await;
    // Each bridge may say a thing once, and what it was killed with once more.
    for (part, most) in [
        ("[ping]", 1),
        ("[pong]", 4),
        ("[later]", 2),
        ("[missed]", 1),
    ] {
        let count = rig.count(part);
        let heard = rig.heard();
        assert!(
            (1..=most).contains(&count),
            "{part} was heard {count} times: {heard:#?}"
        );
    }
}

/// The bridge has no right to say it, and is killed, or stopped, with it in hand: nothing was acknowledged.
async fn kept_until_it_is_said(rig: &mut Rig) {
    let mut feed = rig.feed().await;
    // Its subscriptions are there from now on, with nothing in them.
    rig.start_bridge("hub1", "");
    rig.carries("hub1").await;
    rig.member.bus.publish(&push("last", "x")).await.unwrap();
    rig.until_heard("[last]").await;
    rig.stop_bridges().await;

    let wrong = "[carry]\ncommits = 'to-old'\n[topics]\ncommits = 'past.git.commits'\n";
    rig.start_bridge("hub1", wrong);
    rig.member.bus.publish(&push("kept", "x")).await.unwrap();
    line(&mut feed, "problem", "kept refs/heads/main").await;
    rig.kill_bridges();
    let wrong =
        "[carry]\ncommits = 'from-old'\n[bus.topics.rename]\n'git.commits' = 'acme.pushes'\n";
    rig.start_bridge("hub1", wrong);
    rig.old_says("future.git.commits", "[held] x y", &old_push("held"));
    line(&mut feed, "problem", "held refs/heads/main").await;
    rig.stop_bridges().await;

    let mut pushes = rig.ear(Topic::GitCommits).await;
    rig.start_bridge("hub1", "");
    rig.until_heard("[kept]").await;
    let held = |it: &Pushed| it.repository.as_str() == "held";
    pushes.hear(held).await;
    rig.stop_bridges().await;
}
