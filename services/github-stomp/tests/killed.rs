//! The program, killed, and under a load of large bodies.
#![expect(
    clippy::disallowed_methods,
    reason = "the program is run as its users run it, not as a program of ours"
)]

use std::process::{Child, Command};

use chassis::Secret;
use events::{Topic, message::Pushed};
use github_stomp::signature::sign;
use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Folder, LONG, Member, TestBroker, until};
use world::World;

const SECRET: &str = "sesame";

/// The program while it runs; dropped, it is killed with `kill -9`.
struct Program(Child);

impl Program {
    /// SIGTERM, as systemd stops a service; waits for its end.
    async fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("it runs");
        let ended = until("it ends", LONG, || {
            std::future::ready(self.0.try_wait().expect("it is ours"))
        });
        let ended = ended.await;
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("it is reaped");
    }
}

async fn start(folder: &Folder, url: &str) -> Program {
    let child = Command::new(env!("CARGO_BIN_EXE_github-stomp"))
        .arg("--config")
        .arg(folder.join("settings.toml"))
        .stderr(std::fs::File::create(folder.join("log")).expect("it can be made"))
        .spawn()
        .expect("it starts");
    let program = Program(child);
    until("it answers", LONG, || async {
        Client::new()
            .get(format!("{url}/healthz"))
            .send()
            .await
            .ok()
    })
    .await;
    program
}

/// Settings for a program with these keys of its own, and where it answers.
async fn settled(folder: &Folder, broker: &TestBroker, own: &str) -> String {
    folder.write("secret", SECRET);
    let free = World::real().net.listen("127.0.0.1:0").await.unwrap();
    let address = free.local_address().unwrap();
    drop(free);
    let settings = format!(
        "host = 'hub1'\nlisten = '{address}'\ndata = '{}'\n{own}\n[outbox]\nfolder = '{}'\n\
         [sources.hub]\nkind = 'github'\nsecret_file = '{}'\n\
         [bus]\nbrokers = ['{}']\nbackoff_limit_s = 1\nlogin = 'guest'\npasscode_file = '{}'\n",
        folder.join("data").display(),
        folder.join("outbox").display(),
        folder.join("secret").display(),
        broker.address(),
        broker.passcode_file().display(),
    );
    folder.write("settings.toml", &settings);
    format!("http://{address}")
}

#[tokio::test]
async fn what_was_answered_with_202_arrives_though_the_program_was_killed() {
    let mut broker = TestBroker::start().await;
    let folder = Folder::new();
    let url = settled(&folder, &broker, "").await;
    broker.stop().await;

    let program = start(&folder, &url).await;
    for number in 1..=5 {
        let body = include_str!("data/recorded/github/push.json")
            .replace("heads/master", &format!("heads/b{number}"));
        let answer = Client::new()
            .post(format!("{url}/hook/hub"))
            .header("x-github-event", "push")
            .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
            .header(
                "x-hub-signature-256",
                sign(&Secret::new(SECRET), body.as_bytes()),
            )
            .body(body);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
    }
    // SIGKILL, at once after the last answer.
    drop(program);
    broker.start_again().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let _again = start(&folder, &url).await;
    for number in 1..=5 {
        let pushed = commits.hear(|_: &Pushed| true).await;
        assert_eq!(pushed.name.as_str(), format!("refs/heads/b{number}"));
    }
}

#[tokio::test]
async fn a_stranger_cannot_flood_the_log() {
    let broker = TestBroker::start().await;
    let folder = Folder::new();
    let secret = folder.join("secret");
    let server = format!(
        "[sources.server]\nkind = 'bitbucket-server'\nsecret_file = '{}'",
        secret.display()
    );
    let url = settled(&folder, &broker, &server).await;
    let program = start(&folder, &url).await;
    let post = async |path: &str, header: (&str, &str), body: &'static str| {
        let request = Client::new().post(format!("{url}/hook/{path}"));
        let request = request.header(header.0, header.1).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let began = tokio::time::Instant::now();
    for _ in 0..50 {
        assert_eq!(post("hub", ("x-github-event", "push"), "{}").await, 401);
        // What need not be signed, and is no JSON.
        let ping = ("x-event-key", "diagnostics:ping");
        assert_eq!(post("server", ping, "{").await, 400);
        assert_eq!(post("nowhere", ping, "{").await, 404);
    }
    // Of each of three sources the first, one for each minute that has passed, and at the stop the rest.
    let most = 3 * (2 + began.elapsed().as_secs() as usize / 60);
    program.stop().await;
    let log = folder.read("log");
    let lines = log.lines().filter(|line| line.contains("refused"));
    let lines: Vec<&str> = lines.collect();
    assert!((6..=most).contains(&lines.len()), "{log}");
    let first = "there is no x-hub-signature-256 header";
    assert!(lines[0].contains(first), "{log}");
    let count = |line: &&str| -> u32 {
        let count = line.split("count=").nth(1);
        let digits = count.and_then(|it| it.split(' ').next());
        digits.map_or(1, |digits| digits.parse().unwrap())
    };
    let all: u32 = lines.iter().map(count).sum();
    assert_eq!(all, 150, "{log}");
}

/// The most memory that it ever had, in kB.
fn peak(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap()
}

#[tokio::test]
async fn many_large_bodies_at_once_take_no_more_memory_than_there_is_room_for() {
    const MIB: usize = 1 << 20;
    let broker = TestBroker::start().await;
    let folder = Folder::new();
    // Room for one of them.
    let url = settled(&folder, &broker, "bodies_mib = 36").await;
    let program = start(&folder, &url).await;
    let idle = peak(&program);
    let push = include_str!("data/recorded/github/push.json");
    let json = format!("{push}{}", " ".repeat(24 * MIB - push.len()));
    let escaped: String = push.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let form = format!(
        "payload={escaped}{}",
        "+".repeat(24 * MIB - 3 * push.len() - 8)
    );
    let mut clients = tokio::task::JoinSet::new();
    for (kind, body) in [("json", json), ("x-www-form-urlencoded", form)] {
        let signature = sign(&Secret::new(SECRET), body.as_bytes());
        let body = bytes::Bytes::from(body);
        for _ in 0..4 {
            let request = Client::new()
                .post(format!("{url}/hook/hub"))
                .header("content-type", format!("application/{kind}"))
                .header("x-github-event", "push")
                .header("x-hub-signature-256", &signature)
                .body(body.clone());
            clients.spawn(async { request.send().await.unwrap().status().as_u16() });
        }
    }
    let answers = clients.join_all().await;
    // Who found no room in time is told to come again.
    assert!(answers.contains(&202), "{answers:?}");
    let known = |answer: &u16| [202, 503].contains(answer);
    assert!(answers.iter().all(known), "{answers:?}");
    let more = (peak(&program) - idle) / 1024;
    assert!(more < 72, "{more} MiB for eight bodies of 24 MiB");
}
