//! Where messages go, and how a site names that.

use std::collections::BTreeMap;

use events::{HostName, Names, Topic};

fn host() -> HostName {
    "web1.example.org".parse().expect("a host")
}

fn all() -> Vec<(Topic, &'static str)> {
    vec![
        (Topic::GitCommits, "git.commits"),
        (Topic::GitFetched, "git.fetched"),
        (Topic::SvnCommits, "svn.commits"),
        (Topic::PackagesUpdated, "packages.updated"),
        (Topic::PackagesRefreshed, "packages.refreshed"),
        (Topic::CiStarted, "ci.started"),
        (Topic::CiSucceeded, "ci.succeeded"),
        (Topic::CiFailed, "ci.failed"),
        (Topic::CiAsked, "ci.asked"),
        (Topic::CiAnswered, "ci.answered"),
        (Topic::AgentsPresence, "agents.presence"),
        (
            Topic::DeployOrders(host()),
            "deploy.orders.web1_example_org",
        ),
        (Topic::DeployReports, "deploy.reports"),
        (Topic::DeployOutput, "deploy.output"),
        (Topic::Keepalive, "keepalive"),
        (Topic::Events("stomp-git".to_owned()), "events.stomp-git"),
        (Topic::AllEvents, "events.*"),
        (Topic::Dead("stomp-git".to_owned()), "dead.stomp-git"),
    ]
}

fn renamed(pairs: &[(&str, &str)]) -> Names {
    let owned = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
    Names {
        rename: pairs.iter().map(owned).collect::<BTreeMap<_, _>>(),
        ..Names::default()
    }
}

#[test]
fn each_topic_has_its_name_below_the_prefix() {
    for (topic, dotted) in all() {
        assert_eq!(topic.dotted(), dotted);
        let destination = Names::default().destination(&topic);
        assert_eq!(destination, format!("/topic/deploykit.{dotted}"));
        assert!(Topic::STEMS.contains(&topic.stem()), "{dotted}");
    }
}

#[test]
fn a_topic_is_read_as_it_is_written_and_there_is_no_other() {
    for (topic, dotted) in all() {
        assert_eq!(dotted.parse::<Topic>().unwrap(), topic);
    }
    assert_eq!("events".parse::<Topic>().unwrap(), Topic::AllEvents);
    let read: Vec<_> = all().into_iter().map(|(topic, _)| topic.stem()).collect();
    let unread = Topic::STEMS.iter().find(|stem| !read.contains(stem));
    assert_eq!(unread, None, "a stem without a topic in this test");
    for wrong in [
        "",
        "git",
        "git.commits.x",
        "events.",
        "dead.*",
        "events.a.b",
        "deploy.orders.Web1",
        "dead",
    ] {
        let error = wrong.parse::<Topic>().unwrap_err().to_string();
        assert!(error.contains("is not a topic: "), "{error}");
    }
}

#[test]
fn a_renamed_topic_keeps_its_host_or_component() {
    let names = renamed(&[
        ("git.commits", "acme.pushes"),
        ("deploy.orders", "acme.do"),
        ("events", "feed"),
    ]);
    names.check().expect("these are fine");
    for (topic, destination) in [
        (Topic::GitCommits, "/topic/acme.pushes"),
        (
            Topic::DeployOrders(host()),
            "/topic/acme.do.web1_example_org",
        ),
        (
            Topic::Events("stomp-git".to_owned()),
            "/topic/feed.stomp-git",
        ),
        (Topic::AllEvents, "/topic/feed.*"),
        (Topic::GitFetched, "/topic/deploykit.git.fetched"),
    ] {
        assert_eq!(names.destination(&topic), destination);
    }
}

#[test]
fn a_subscription_is_named_by_prefix_service_and_host() {
    let names = Names::default();
    assert_eq!(
        names.subscription("deploy-agent", &host()),
        "deploykit.deploy-agent.web1_example_org"
    );
    assert_eq!(
        names.further_subscription("deploy-orchestrator", &host(), &Topic::CiFailed),
        "deploykit.deploy-orchestrator.web1_example_org-ci-failed"
    );
}

#[test]
fn names_that_a_broker_would_take_otherwise_are_refused() {
    for prefix in ["", "a b", "a..b", ".a", "a.", "a/b", "*", "a.>", "a:b", "ä"] {
        let names = Names {
            prefix: prefix.to_owned(),
            ..Names::default()
        };
        let error = names.check().expect_err(prefix);
        assert!(error.contains(&format!("{prefix:?}")), "{error}");
    }
    let error = renamed(&[("keepalive", "a/b")]).check();
    assert!(error.expect_err("a slash").contains("\"a/b\""));
}

#[test]
fn a_renaming_that_has_no_effect_is_refused() {
    let error = renamed(&[("git.comits", "pushes")])
        .check()
        .expect_err("mistyped");
    assert!(error.contains("\"git.comits\""), "{error}");
    assert!(
        error.contains("git.commits"),
        "it says what there is: {error}"
    );
}

#[test]
fn two_topics_under_one_name_are_refused() {
    for pairs in [
        &[("keepalive", "x"), ("events", "x")][..],
        &[("keepalive", "deploykit.dead")],
    ] {
        let error = renamed(pairs).check().expect_err("one name for two");
        assert!(error.contains("would both be"), "{error}");
    }
}
