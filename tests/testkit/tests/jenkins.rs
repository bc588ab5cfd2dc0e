//! The double of Jenkins is driven by two clients that are none of ours: Debian's python3-jenkins, and npm's `jenkins`. What
//! they do with a real one they do with this one.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use testkit::{Jenkins, Job, LONG, Stop, until};

/// Debian's own, for which the package is made; another `python3` on PATH would not have it.
const PYTHON: &str = "/usr/bin/python3";

/// How long a foreign client, or npm, may take, seconds.
const LIMIT: &str = "120";

fn referees() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/referees")
}

async fn double() -> Jenkins {
    let jenkins = Jenkins::start().await;
    jenkins.add(Job::new("backend/shop").takes(&["DEPLOYKIT_ID"]));
    jenkins.add(Job::new("plain"));
    jenkins
}

/// Runs a program beside this test's own work and says what it wrote, if it ended well.
async fn run(program: &str, folder: &Path, args: &[&OsStr]) -> String {
    let mut command = Command::new("timeout");
    command
        .arg(LIMIT)
        .arg(program)
        .args(args)
        .current_dir(folder);
    let shown = format!("{command:?}");
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output = ended.await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success(),
        "{shown}: {}\n{text}",
        output.status
    );
    text
}

#[tokio::test]
async fn python_jenkins_is_content_with_token_and_with_password_and_crumb() {
    let script = referees().join("python_jenkins.py");
    for secret in [Jenkins::TOKEN, Jenkins::PASSWORD] {
        let jenkins = double().await;
        let args = [
            script.as_os_str(),
            jenkins.url().as_ref(),
            Jenkins::USER.as_ref(),
            secret.as_ref(),
        ]
        .map(OsStr::to_owned);
        let args: Vec<&OsStr> = args.iter().map(|it| it.as_os_str()).collect();
        let text = run(PYTHON, &referees(), &args).await;
        assert!(text.contains("python-jenkins is content"), "{text}");
        let seen = jenkins.requests();
        let with_crumb = seen.iter().any(|it| it.line.contains("crumbIssuer"));
        assert!(with_crumb, "it always asks for one");
    }
}

#[tokio::test]
async fn the_client_of_npm_is_content_with_token_and_with_password_and_crumb() {
    let folder = node_modules().await;
    for (secret, kind) in [(Jenkins::TOKEN, "token"), (Jenkins::PASSWORD, "password")] {
        let jenkins = double().await;
        let url = jenkins.url();
        let args = ["drive.js", &url, Jenkins::USER, secret, kind].map(OsStr::new);
        let text = run("node", &folder, &args).await;
        assert!(text.contains("npm's jenkins is content"), "{text}");
        let seen = jenkins.requests();
        let with_crumb = seen.iter().any(|it| it.line.contains("crumbIssuer"));
        assert_eq!(with_crumb, kind == "password");
    }
}

/// A folder with the client and what it needs, exactly as the lock file says, by `npm ci`. Kept below the target folder.
async fn node_modules() -> PathBuf {
    let from = referees().join("node");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-referee");
    fs::create_dir_all(&folder).unwrap();
    let same = |name: &str| fs::read(folder.join(name)).ok() == fs::read(from.join(name)).ok();
    let done = folder.join("done");
    if !same("package-lock.json") || !done.exists() {
        let _ = fs::remove_file(&done);
        for name in ["package.json", "package-lock.json"] {
            fs::copy(from.join(name), folder.join(name)).unwrap();
        }
        let args = [
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefer-offline",
        ];
        run("npm", &folder, &args.map(OsStr::new)).await;
        fs::write(done, "").unwrap();
    }
    fs::copy(from.join("drive.js"), folder.join("drive.js")).unwrap();
    folder
}

#[tokio::test]
async fn an_item_is_forgotten_some_time_after_it_left_the_queue() {
    let jenkins = double().await;
    jenkins.forgets_after(Duration::from_millis(50));
    let text = ask(&jenkins, "POST", "job/plain/build").await;
    assert!(text.starts_with("201 "), "{text}");
    let gone = || async {
        let text = ask(&jenkins, "GET", "queue/item/1/api/json").await;
        text.starts_with("404 ").then_some(())
    };
    until("it is forgotten", LONG, gone).await;
    assert_eq!(jenkins.builds("plain").len(), 1);
}

#[tokio::test]
async fn a_restart_keeps_the_queue_and_pipelines_and_a_kill_only_pipelines() {
    for (stop, waiting, freestyle) in [
        (Stop::Orderly, 1, vec![Some("ABORTED".to_owned())]),
        (Stop::Killed, 0, vec![]),
    ] {
        let mut jenkins = double().await;
        jenkins.add(Job::new("flow").pipeline());
        ask(&jenkins, "POST", "job/plain/build").await;
        ask(&jenkins, "POST", "job/flow/build").await;
        ask(&jenkins, "POST", "job/plain/build").await;
        assert_eq!(jenkins.waiting(), 1, "one build of a job at a time");
        jenkins.executors(0);
        jenkins.stop(stop).await;
        jenkins.start_again().await;
        let results = |job: &str| {
            jenkins
                .builds(job)
                .into_iter()
                .map(|it| it.result)
                .collect::<Vec<_>>()
        };
        assert_eq!((jenkins.waiting(), results("plain")), (waiting, freestyle));
        assert_eq!(results("flow"), [None]);
        let item = ask(&jenkins, "GET", "queue/item/1/api/json").await;
        assert!(
            item.starts_with("404 "),
            "what left the queue is forgotten: {item}"
        );
    }
}

/// Status, head and body of the answer to a request written by hand.
async fn ask(jenkins: &Jenkins, method: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let url = jenkins.url();
    let authority = url.split('/').nth(2).unwrap();
    let mut stream = world::World::real().net.connect(authority).await.unwrap();
    let request = format!(
        "{method} /jenkins/{path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Basic YW5uOjExYzBmZmVlLXRva2Vu\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.strip_prefix("HTTP/1.1 ").unwrap().to_owned()
}
