//! `deploykit webhooks` against a running github-stomp, as the built program.

use std::process::Output;

use chassis::{Secret, settings::parse};
use github_stomp::{Settings, settings, signature::sign};
use serde_json::Value;
use testkit::{Folder, LONG, Running, TestBroker, until};
use world::World;

const PUSH: &str = include_str!("../../github-stomp/tests/data/recorded/github/push.json");

async fn asked(socket: &std::path::Path, args: &[&str]) -> Output {
    let program = tokio::process::Command::new(env!("CARGO_BIN_EXE_deploykit"))
        .args(["webhooks", "--socket"])
        .arg(socket)
        .args(args)
        .env_clear()
        .output();
    program.await.unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn deliveries_are_listed_shown_and_replayed() {
    let broker = TestBroker::start().await;
    let folder = Folder::new();
    let secret = folder.write("secret", "sesame");
    let source = format!(
        "[sources.hub]\nkind = 'github'\nsecret_file = '{}'\n",
        secret.display()
    );
    let (_, mut own) = parse::<Settings>(&source, "test").unwrap();
    own.outbox.folder = Some(folder.join("outbox"));
    own.data = folder.join("data");
    let socket = settings::socket(&own.data);
    let world = World::real();
    let listener = world.net.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().unwrap();

    let running = Running::start("github-stomp", broker.common("hub1"), own, world, |start| {
        github_stomp::serve_on(start, listener)
    });
    let empty = until("it answers", LONG, || async {
        let output = asked(&socket, &["list"]).await;
        output.status.success().then_some(output)
    });
    assert_eq!(text(&empty.await), "no delivery is kept\n");
    let post = async |body: &'static str, signature: String| {
        let request = reqwest::Client::new()
            .post(format!("http://{address}/hook/hub"))
            .header("x-github-event", "push")
            .header("x-hub-signature-256", signature);
        request.body(body).send().await.unwrap().status().as_u16()
    };
    let right = sign(&Secret::new("sesame"), PUSH.as_bytes());
    assert_eq!(post(PUSH, right).await, 202);
    assert_eq!(post("{}", sign(&Secret::new("sesame"), b"")).await, 401);

    let listed = until("both are listed", LONG, || async {
        let output = asked(&socket, &["list"]).await;
        (text(&output).lines().count() == 3).then(|| text(&output))
    });
    let listed = listed.await;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("TIME"), "{listed}");
    assert!(
        lines[1].contains("401     refused    the signature is not this body's"),
        "{listed}"
    );
    assert!(
        lines[2].ends_with("binkkatal/sample_app refs/heads/master 737d38c599..fd489864e7"),
        "{listed}"
    );

    let json = asked(&socket, &["list", "--outcome", "announced", "--json"]).await;
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    let id = json[0]["id"].as_str().unwrap();
    assert_eq!(
        (json.as_array().unwrap().len(), &json[0]["answer"]),
        (1, &202.into())
    );
    let shown = text(&asked(&socket, &["show", id]).await);
    assert!(
        shown.contains(&format!("body       {} bytes, kept", PUSH.len())),
        "{shown}"
    );
    assert_eq!(text(&asked(&socket, &["show", id, "--body"]).await), PUSH);
    let replayed = asked(&socket, &["replay", id]).await;
    assert!(
        text(&replayed).starts_with("taken as "),
        "{}",
        text(&replayed)
    );
    assert_eq!(replayed.status.code(), Some(0));

    let unknown = id.replace('0', "1");
    let gone = asked(&socket, &["show", &unknown]).await;
    assert_eq!(gone.status.code(), Some(3));
    assert!(
        text(&gone).contains(&format!("there is no delivery {unknown}")),
        "{}",
        text(&gone)
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_wrong_question_and_a_service_that_is_not_there_are_said() {
    let folder = Folder::new();
    let socket = folder.join("no.sock");
    let nobody = asked(&socket, &["list"]).await;
    assert_eq!(nobody.status.code(), Some(69), "{}", text(&nobody));
    assert!(
        text(&nobody).contains("github-stomp does not answer at "),
        "{}",
        text(&nobody)
    );
    for wrong in [
        &["show", "x"][..],
        &["list", "--outcome", "eaten"],
        &["list", "--most", "0"],
    ] {
        assert_eq!(
            asked(&socket, wrong).await.status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
}
