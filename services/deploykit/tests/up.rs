//! `deploykit up` and the commands that ask it, on a person's own repository.

use std::fs;

use crate::machine::{Machine, processes_with, signal, until};

const GOOD: (&str, &str) = (".deploy/check", "#!/bin/sh\necho fine\n");
const BAD: (&str, &str) = (
    ".deploy/check",
    "#!/bin/sh\necho 'GET /health 500 \"no such table\"'\nexit 1\n",
);
/// Waits for a person's leave, which the test gives.
const SLOW: (&str, &str) = (
    ".deploy/pre-deploy",
    "#!/bin/sh\ntouch \"$DEPLOYKIT_SHARED/waiting\"\nwhile [ ! -e \"$DEPLOYKIT_SHARED/go\" ]; do sleep 0.05; done # waits for the test\n",
);

fn with_releases() -> Machine {
    let machine = Machine::new();
    machine.release("v1", &[("index.html", "one\n"), GOOD]);
    machine.release("v2", &[("index.html", "two\n")]);
    machine.release("v3", &[("index.html", "three\n"), BAD]);
    machine
}

#[test]
fn a_person_deploys_and_rolls_back() {
    let machine = with_releases();
    let up = machine.up();
    for tag in ["v1", "v2", "v3"] {
        machine.has_everywhere(tag);
    }
    assert_eq!(machine.runs(), ["nothing"; 3]);
    machine.ends_with(0, &["deploy", "shop", "v1", "--dry-run"]);
    assert_eq!(machine.runs(), ["nothing"; 3]);
    machine.ends_with(0, &["deploy", "shop", "v1"]);
    assert_eq!(machine.runs(), ["v1"; 3]);
    machine.ends_with(0, &["deploy", "shop", "v2", "--on", "web2"]);
    assert_eq!(machine.runs(), ["v1", "v2", "v1"]);
    machine.ends_with(0, &["deploy", "shop", "v2"]);
    machine.ends_with(
        0,
        &["rollback", "shop", "--on", "web1", "--reason", "a try"],
    );
    assert_eq!(machine.runs(), ["v1", "v2", "v2"]);

    let history = machine.json(&["history", "--json"]);
    assert_eq!(history.as_array().unwrap().len(), 4);
    let id = history[0]["id"].as_str().unwrap();
    assert_eq!(machine.json(&["show", id, "--json"])["action"], "rollback");
    assert!(machine.ends_with(0, &["hosts"]).contains("web3"));
    assert!(
        machine
            .ends_with(
                0,
                &["logs", history[1]["id"].as_str().unwrap(), "--host", "web1"]
            )
            .contains("fine")
    );
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_bad_release_is_put_back_and_says_what_to_do() {
    let machine = with_releases();
    let up = machine.up();
    machine.has_everywhere("v3");
    machine.ends_with(0, &["deploy", "shop", "v2"]);
    let said = machine.ends_with(1, &["deploy", "shop", "v3"]);
    for expected in [
        "wave 1",
        "web1",
        "check: exit 1, 3 tries: GET /health 500 \"no such table\"; back on v2",
        "web2, web3",
        "(v2)",
        "next: ",
    ] {
        assert!(said.contains(expected), "{expected} is not in: {said}");
    }
    assert_eq!(machine.runs(), ["v2"; 3]);
    let next = said.lines().find_map(|line| line.strip_prefix("next: "));
    let next: Vec<&str> = next.unwrap().split(' ').skip(1).collect();
    assert!(
        machine.ends_with(0, &next).contains("no such table"),
        "the command it names works"
    );
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn unknown_names_are_refused_with_what_exists() {
    let machine = with_releases();
    let up = machine.up();
    machine.has_everywhere("v1");
    let said = machine.ends_with(3, &["deploy", "shop", "v9"]);
    assert!(said.contains("v9") && said.contains("v2"), "{said}");
    let said = machine.ends_with(3, &["deploy", "toys", "v1"]);
    assert!(said.contains("toys") && said.contains("shop"), "{said}");
    let said = machine.ends_with(3, &["deploy", "shop", "v1", "--on", "web7"]);
    assert!(said.contains("web7") && said.contains("web2"), "{said}");
    machine.ends_with(3, &["deploy", "shop", "; rm -rf"]);
    machine.ends_with(3, &["show", "../x"]);
    machine.ends_with(3, &["rollback", "shop"]);
    assert_eq!(machine.runs(), ["nothing"; 3]);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn what_is_in_use_is_said_in_one_sentence() {
    let machine = with_releases();
    let up = machine.up_with(&["--hosts", "1"]);
    let repository = machine.repository().display().to_string();
    let args = |data: &str, listen: &str| {
        [
            "up",
            "--repo",
            &repository,
            "--data",
            data,
            "--listen",
            listen,
            "--webhooks",
            "127.0.0.1:0",
            "--broker",
            "127.0.0.1:0",
        ]
        .map(str::to_owned)
    };
    let same_folder = args(&machine.data().display().to_string(), "127.0.0.1:0");
    let said = machine.ends_with(1, &same_folder.each_ref().map(String::as_str));
    assert!(
        said.contains("in use") && said.lines().count() == 1,
        "{said}"
    );
    let same_port = args(
        &machine.home().join("other").display().to_string(),
        &up.address("page"),
    );
    let said = machine.ends_with(1, &same_port.each_ref().map(String::as_str));
    assert!(
        said.contains(&up.address("page")) && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn the_data_survives_a_restart() {
    let machine = with_releases();
    let up = machine.up();
    machine.has_everywhere("v2");
    machine.ends_with(0, &["deploy", "shop", "v1"]);
    machine.ends_with(0, &["deploy", "shop", "v2"]);
    assert_eq!(up.stop(), Some(0));
    assert_eq!(
        processes_with(&machine.home().display().to_string()),
        [0; 0],
        "still running"
    );
    let up = machine.up();
    until("the agents are heard again", || {
        (machine.runs() == ["v2"; 3]).then_some(())
    });
    machine.ends_with(0, &["rollback", "shop"]);
    assert_eq!(machine.runs(), ["v1"; 3]);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn an_agent_killed_in_the_middle_goes_on() {
    let machine = with_releases();
    machine.release("v4", &[GOOD, SLOW]);
    let up = machine.up_with(&["--hosts", "1"]);
    machine.has_everywhere("v4");
    machine.ends_with(0, &["deploy", "shop", "v1"]);
    let deploy = machine.start(&["deploy", "shop", "v4"]);
    let shared = machine.data().join("hosts/web1/shop/shared");
    until("the script waits", || {
        shared.join("waiting").exists().then_some(())
    });
    let agents = processes_with(
        &machine
            .data()
            .join("etc/web1/deploy-agent.toml")
            .display()
            .to_string(),
    );
    let [agent] = agents[..] else {
        panic!("one agent, not {agents:?}")
    };
    signal(agent, "KILL");
    until("another agent has come", || {
        let now = processes_with(
            &machine
                .data()
                .join("etc/web1/deploy-agent.toml")
                .display()
                .to_string(),
        );
        (now.len() == 1 && now[0] != agent).then_some(())
    });
    fs::write(shared.join("go"), "").unwrap();
    let output = deploy.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        crate::machine::says(&output)
    );
    assert_eq!(machine.runs(), ["v4"]);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_pipeline_killed_in_the_middle_goes_on() {
    let machine = with_releases();
    let last = machine.release("v4", &[GOOD, SLOW]);
    let up = machine.up_with(&["--hosts", "2"]);
    machine.has_everywhere("v4");
    machine.ends_with(0, &["deploy", "shop", "v1"]);
    let mut deploy = machine.start(&["deploy", "shop", "v4"]);
    let shared = |host: &str| machine.data().join("hosts").join(host).join("shop/shared");
    until("the script waits", || {
        shared("web1").join("waiting").exists().then_some(())
    });
    up.kill();
    assert_eq!(
        deploy.wait().unwrap().code(),
        Some(69),
        "the person is told that the orchestrator is gone"
    );
    for host in ["web1", "web2"] {
        fs::create_dir_all(shared(host)).unwrap();
        fs::write(shared(host).join("go"), "").unwrap();
    }
    let up = machine.up_with(&["--hosts", "2"]);
    until("the deploy ends", || {
        (machine.json(&["history", "--json"])[0]["state"] == "succeeded").then_some(())
    });
    for host in ["web1", "web2"] {
        assert_eq!(machine.live(host).as_deref(), Some(&last[..10]));
    }
    assert_eq!(up.stop(), Some(0));
}
