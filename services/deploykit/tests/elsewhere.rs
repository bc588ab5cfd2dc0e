//! The demo on a broker that is not its own.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Output, Stdio},
};

use stomp::{Delivery, Message, Subscription};
use testkit::{ActiveMq, BrokerProcess, Certificates, Folder, RabbitMq, SOON};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    demo::{demo, verified},
    doctor::doctor,
    machine::{program, says, signal, until},
};

/// Who has it runs a broker. One broker is load enough, and plain `cargo test` runs the tests of a binary side by side.
static BROKER: Mutex<()> = Mutex::const_new(());

async fn alone() -> MutexGuard<'static, ()> {
    BROKER.lock().await
}

/// What `--broker` needs, in a folder that goes with it.
fn passcode(home: &Path) -> String {
    let file = home.join("passcode");
    fs::write(&file, BrokerProcess::PASSCODE).unwrap();
    file.display().to_string()
}

/// The first words of the demo's topics, as it said.
fn prefix(output: &Output) -> String {
    let said = says(output);
    let begin = said
        .find("topics deploykit-demo-")
        .unwrap_or_else(|| panic!("{said}"));
    let word = said[begin..].split_whitespace().nth(1).unwrap();
    word.trim_end_matches(".*").to_owned()
}

/// The durable subscriptions that a demo makes: topic and name.
fn durable(prefix: &str) -> Vec<(String, String)> {
    let one = |topic: &str, holder: &str| {
        (
            format!("/topic/{prefix}.deploy.{topic}"),
            format!("{prefix}.{holder}"),
        )
    };
    vec![
        one("reports", "deploy-orchestrator.hub"),
        one("orders.web1", "deploy-agent.web1"),
        one("orders.web2", "deploy-agent.web2"),
        one("orders.web3", "deploy-agent.web3"),
    ]
}

/// True if the broker had kept nothing under this name: what was published before it is taken up again does not come.
async fn forgotten(broker: &BrokerProcess, topic: &str, name: &str) -> bool {
    let stream = World::real().net.connect(&broker.address()).await.unwrap();
    let connected = stomp::connect(stream, broker.introduction(name)).await;
    let (client, driver) = connected.unwrap();
    let publish = async |text: &str| {
        let message = Message {
            destination: topic.to_owned(),
            headers: Vec::new(),
            body: text.to_owned().into(),
            persistent: true,
            confirm: true,
            expires: None,
        };
        client.send(message).await.unwrap();
    };
    let asking = async {
        publish("before").await;
        let subscription = Subscription {
            destination: topic.to_owned(),
            durable: Some(name.to_owned()),
            prefetch: 1,
        };
        let mut deliveries = client.subscribe(subscription).await.unwrap();
        publish("after").await;
        let first: Delivery = deliveries.next().await.unwrap();
        client.remove(deliveries).await.unwrap();
        first.body == "after"
    };
    let asked = async {
        tokio::select! {
            forgotten = asking => forgotten,
            ended = driver.run(CancellationToken::new()) => panic!("{ended}"),
        }
    };
    timeout(SOON, asked).await.expect("the broker answers soon")
}

async fn nothing_is_left(broker: &BrokerProcess, prefix: &str) {
    for (topic, name) in durable(prefix) {
        assert!(forgotten(broker, &topic, &name).await, "{name} is left");
    }
}

#[tokio::test]
async fn the_demo_runs_on_activemq_and_leaves_nothing_there() {
    let _alone = alone().await;
    let broker = ActiveMq::start().await;
    let home = Folder::new();
    let passcode = passcode(home.path());
    let login = [
        "--login",
        BrokerProcess::LOGIN,
        "--passcode-file",
        &passcode,
    ];
    let address = broker.address();
    let args = [&["--broker", &address][..], &login].concat();
    let (output, left) = demo(&[], home.path(), &args);
    verified(&output, &left, home.path());
    assert!(says(&output).contains("ActiveMQ/"), "{}", says(&output));
    nothing_is_left(&broker, &prefix(&output)).await;
}

#[tokio::test]
async fn the_demo_runs_on_rabbitmq_over_tls_and_leaves_nothing_there() {
    let _alone = alone().await;
    let broker = RabbitMq::start().await;
    let before = RabbitMq::queues(&broker).await;
    let (home, certificates) = (Folder::new(), broker.certificates());
    let passcode = passcode(home.path());
    // The broker asks for a certificate first; who it is says the login.
    let user = certificates.certificate("stomp-keepalive");
    let key = certificates.key("stomp-keepalive");
    let bus = format!(
        "[bus]\nbrokers = [{:?}]\nlogin = {:?}\npasscode_file = {passcode:?}\ntls = true\ntls_ca_file = {:?}\n\
         tls_certificate_file = {user:?}\ntls_key_file = {key:?}\ntls_server_name = {:?}\n",
        broker.tls_address(),
        BrokerProcess::LOGIN,
        certificates.authority(),
        Certificates::SERVER,
    );
    let file = home.write("bus.toml", &bus).display().to_string();
    let (output, left) = demo(&[], home.path(), &["--bus-settings", &file]);
    verified(&output, &left, home.path());
    assert!(says(&output).contains("RabbitMQ/"), "{}", says(&output));
    assert_eq!(RabbitMq::queues(&broker).await, before);
    nothing_is_left(&broker, &prefix(&output)).await;
    let address = broker.address();
    let by_flags = [
        "--broker",
        &address,
        "--login",
        BrokerProcess::LOGIN,
        "--passcode-file",
        &passcode,
    ];
    interrupted(home.path(), &by_flags);
    setup_and_doctor(&broker, home.path());
    assert_eq!(RabbitMq::queues(&broker).await, before);
}

/// A demo that is stopped in the middle: when it begins its story, all of its services are subscribed.
fn interrupted(home: &Path, args: &[&str]) {
    let mut child = program(env!("CARGO_BIN_EXE_deploykit"), home)
        .args(["demo", "--exit"])
        .args(args)
        .env("TMPDIR", home)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("\n1. ") {
        assert_ne!(said.read_line(&mut text).unwrap(), 0, "it ended: {text}");
    }
    signal(child.id(), "INT");
    said.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}{}", says(&output));
}

#[tokio::test]
async fn a_broker_that_says_no_or_is_not_there_is_told() {
    let _alone = alone().await;
    let broker = testkit::TestBroker::start().await;
    let home = Folder::new();
    let (passcode, address) = (passcode(home.path()), broker.address());
    let nobody = until("a free port", || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
        Some(listener.local_addr().ok()?.to_string())
    });
    let wrong_file = home
        .write("bus.toml", "every_s = 3\n")
        .display()
        .to_string();
    let cases: [(i32, &[&str], &[&str]); 4] = [
        (
            78,
            &[
                "--broker",
                &address,
                "--login",
                "ann",
                "--passcode-file",
                &passcode,
            ],
            &[&address, "refused", "--passcode-file"],
        ),
        (
            78,
            &[
                "--broker",
                &address,
                "--login",
                "ann",
                "--passcode-file",
                "/no/such/file",
            ],
            &["/no/such/file", "--passcode-file"],
        ),
        (
            69,
            &["--broker", &nobody],
            &[&nobody, "Connection refused", "61613"],
        ),
        (
            78,
            &["--bus-settings", &wrong_file],
            &[&wrong_file, "every_s", "[bus]"],
        ),
    ];
    for (code, args, named) in cases {
        let mut demo = program(env!("CARGO_BIN_EXE_deploykit"), home.path());
        demo.args(["demo", "--exit"])
            .args(args)
            .env("TMPDIR", home.path());
        // The broker runs in this thread too.
        let output = tokio::process::Command::from(demo).output().await.unwrap();
        let said = says(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        for text in named {
            assert!(said.contains(text), "{text} is not in: {said}");
        }
        assert!(!said.contains(BrokerProcess::PASSCODE), "{said}");
    }
}

/// What `setup` writes for this broker is what services connect with, as `doctor` says.
fn setup_and_doctor(broker: &BrokerProcess, home: &Path) {
    let (etc, certificates) = (home.join("etc"), broker.certificates());
    let authority = certificates.authority();
    let folder = authority.parent().unwrap();
    let output = program(env!("CARGO_BIN_EXE_deploykit"), home)
        .args(["setup", "--dir"])
        .arg(&etc)
        .args(["--broker", &broker.tls_address(), "--tls-ca"])
        .arg(&authority)
        .arg("--tls-certificates")
        .arg(folder)
        .args(["--tls-server-name", Certificates::SERVER])
        .output()
        .unwrap();
    assert!(
        says(&output).contains("stomp-keepalive.d"),
        "{}",
        says(&output)
    );
    let (findings, code) = doctor(&etc);
    assert_eq!(code, Some(1), "{findings:#?}");
    for service in ["deploy-orchestrator", "github-stomp", "stomp-keepalive"] {
        let (verdict, detail) = &findings[&format!("{service}'s broker")];
        assert_eq!(verdict, "ok", "{detail}");
        let by = format!(
            "the certificate {}",
            certificates.certificate(service).display()
        );
        assert!(
            detail.contains("RabbitMQ/") && detail.contains(&by),
            "{detail}"
        );
    }
    // Its certificate is for one server, and has the name of that server.
    let (verdict, detail) = &findings["stomp-git's broker"];
    assert_eq!(verdict, "wrong", "{detail}");
    let file = folder.join("stomp-git.pem").display().to_string();
    assert!(detail.contains(&file), "{detail}");
}
