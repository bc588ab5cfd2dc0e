//! Checks that need no script, against servers of all kinds.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use deploy_agent::{
    checks::Check,
    machine::{End, Outcome},
    manifest::{Manifest, Terms},
    redact::Redactor,
    settings::Project,
    steps::{Work, act},
};
use events::{
    CommitId,
    message::{Phase, State, Step},
};
use testkit::Certificates;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    agent::label,
    laying_out::{site, work},
    rig::Rig,
};

const GOOD: &str = "HTTP/1.1 200 OK\r\nX-Revision: 1111111111\r\n";

/// Answers each connection with a head and a body, the last ones for ever; gives its address and how many came.
fn serve(answers: &[(&'static str, &str)]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one").to_string();
    let came = Arc::new(AtomicUsize::new(0));
    let (counted, answers) = (
        Arc::clone(&came),
        answers
            .iter()
            .map(|(head, body)| format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
            .collect::<Vec<_>>(),
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let request = BufReader::new(stream.try_clone().expect("cloned"));
            let asked: Vec<String> = request
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            if !asked.is_empty() {
                let at = counted.fetch_add(1, Ordering::SeqCst);
                let answer = answers.get(at).or(answers.last()).expect("an answer");
                let _gone = stream.write_all(answer.as_bytes());
            }
        }
    });
    (address, came)
}

fn check(text: &str) -> Result<Check, String> {
    let host: Project = toml::from_str(&format!(
        "repository = 'shop'\nenvironment = 'prod'\n[[check]]\n{text}"
    ))
    .map_err(|error| error.message().to_owned())?;
    let terms = Terms::of(&host, &Manifest::default())?;
    Ok(terms.check[0].clone())
}

/// Does the step `check` of a release of the commit 1111…, which has no script.
async fn outcome(checks: &[&str], end: &CancellationToken) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let commit: CommitId = "1".repeat(40).parse().expect("a commit");
    let mut site = site(folder.path(), World::real(), Path::new("/nowhere"));
    let checks = checks.iter().map(|text| check(text).expect("settings"));
    site.settings.check = Some(checks.collect());
    site.redactor = Arc::new(Redactor::new(["hunter2secret"]));
    fs::create_dir_all(site.layout.release("one")).expect("made");
    let work = Work {
        step: Step::Check,
        revision: Some(commit.clone()),
        ..work(&commit)
    };
    let done = timeout(
        Duration::from_secs(30),
        act(Arc::new(site), work, end.clone()),
    );
    done.await.expect("it ends")
}

async fn said(checks: &[&str]) -> Result<(), String> {
    let outcome = outcome(checks, &CancellationToken::new()).await;
    match outcome.end {
        End::Ok => Ok(()),
        End::Failed => {
            assert!(outcome.settled, "its tries are its own");
            Err(outcome.detail.expect("a reason"))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_good_by_its_status_its_body_and_its_headers() {
    let (ok, _) = serve(&[(GOOD, "all is well\nrevision 1111111111\n")]);
    for more in [
        "",
        "body = 'well'",
        "headers = { x-revision = '1111' }",
        "status = 200",
    ] {
        let check = format!("http = 'http://{ok}/health'\n{more}");
        assert_eq!(said(&[&check]).await, Ok(()), "{more}");
    }
    let http = format!("http://{ok}/health");
    for (more, why) in [
        (
            "status = 204",
            "status 200, not 204: revision 1111111111 (1 try in ",
        ),
        (
            "body = '{revision}'",
            "its body has no \"1111111111111111111111111111111111111111\": revision 1111111111 (1 try in ",
        ),
        (
            "headers = { x-revision = '{revision}' }",
            "its header x-revision has no \"1111111111111111111111111111111111111111\": 1111111111 (1 try in ",
        ),
        (
            "headers = { x-other = '' }",
            "its header x-other has no \"\":  (1 try in ",
        ),
    ] {
        let check = format!("http = '{http}'\ntries = 1\n{more}");
        let error = said(&[&check]).await.expect_err(more);
        assert!(error.starts_with(&format!("{http}: {why}")), "{error}");
    }
}

#[tokio::test]
async fn a_check_is_tried_again_until_it_is_good_or_its_tries_are_used_up() {
    let bad = ("HTTP/1.1 503 Busy\r\n", "warming up, hunter2secret");
    let (late, came) = serve(&[bad, bad, (GOOD, "well")]);
    let check = format!("http = 'http://{late}/'\npause_s = 0");
    assert_eq!(said(&[&check]).await, Ok(()));
    assert_eq!(came.load(Ordering::SeqCst), 3);
    let (never, came) = serve(&[bad]);
    let check = format!("http = 'http://{never}/'\npause_s = 0\ntries = 4");
    let error = said(&[&check]).await.expect_err("never good");
    assert!(
        error.contains("status 503, not 200: warming up, [secret] (4 tries in "),
        "{error}"
    );
    assert_eq!(came.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_no_longer_than_the_deadline() {
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = mute.local_addr().expect("it has one");
    let check = format!(
        "http = 'http://{address}/'\npause_s = 0\nlimit_s = 1\ndeadline_s = 2\ntries = 100"
    );
    let error = said(&[&check]).await.expect_err("nothing came");
    assert!(
        error.contains("nothing within") && error.contains("tries in 2"),
        "{error}"
    );
}

#[tokio::test]
async fn a_port_takes_a_connection_or_not() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let open = listener.local_addr().expect("it has one");
    let check = format!("tcp = '{open}'\npause_s = 0\ntries = 2");
    assert_eq!(said(&[&check]).await, Ok(()));
    drop(listener);
    let error = said(&[&check]).await.expect_err("nobody is there");
    assert!(
        error.starts_with(&format!("{open}: ")) && error.contains("refused"),
        "{error}"
    );
}

/// A web server behind TLS, with this certificate; ended when dropped.
struct Behind {
    server: Child,
    address: String,
}

impl Behind {
    fn tls(certificates: &Certificates, name: &str) -> Self {
        let mut server = Command::new("openssl")
            .args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert"])
            .arg(certificates.certificate(name))
            .arg("-key")
            .arg(certificates.key(name))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl runs");
        let said = BufReader::new(server.stdout.take().expect("piped")).lines();
        let mut said = said.map(|line| line.expect("read"));
        let address = said.find_map(|line| Some(line.strip_prefix("ACCEPT ")?.to_owned()));
        Self {
            server,
            address: address.expect("it says where it listens"),
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.server.kill().expect("killed");
        self.server.wait().expect("reaped");
    }
}

#[tokio::test]
async fn an_address_may_be_asked_of_another_place_and_by_tls() {
    let certificates = Certificates::make().await;
    let name = Certificates::SERVER;
    let server = Behind::tls(&certificates, name);
    let authority = certificates.authority().display().to_string();
    let check = |host: &str, more: &str| {
        let at = &server.address;
        format!("http = 'https://{host}/'\nconnect = '{at}'\ntries = 1\n{more}")
    };
    let believed = format!("ca_file = '{authority}'\nbody = 's_server'");
    assert_eq!(said(&[&check(name, &believed)]).await, Ok(()));
    for (host, more) in [(name, ""), ("other.example.org", believed.as_str())] {
        let error = said(&[&check(host, more)]).await.expect_err(host);
        assert!(error.contains("TLS: invalid peer certificate"), "{error}");
    }
}

#[tokio::test]
async fn all_checks_have_to_be_good_and_an_order_ends_them() {
    let (ok, _) = serve(&[(GOOD, "well")]);
    let good = format!("http = 'http://{ok}/'");
    let bad = "tcp = '127.0.0.1:1'\ntries = 1";
    assert!(said(&[&good, bad]).await.is_err());
    let none = outcome(&[], &CancellationToken::new()).await;
    assert_eq!(none.end, End::Skipped);
    let slow = "tcp = '127.0.0.1:1'\ntries = 100\npause_s = 60\ndeadline_s = 600";
    let end = CancellationToken::new();
    end.cancel();
    assert_eq!(outcome(&[slow], &end).await.end, End::Ended);
}

#[test]
fn checks_that_cannot_be_meant_are_refused() {
    for (text, why) in [
        ("tries = 1", "it has either http or tcp"),
        (
            "http = 'http://x/'\ntcp = 'x:1'",
            "it has either http or tcp",
        ),
        ("http = 'ftp://x/'", "must begin with https:// or http://"),
        ("http = 'http://ann:pw@x/'", "must have no login"),
        ("tcp = 'x'", "is no HOST:PORT"),
        ("tcp = 'x:0'", "is no HOST:PORT"),
        (
            "tcp = 'x:1'\nbody = 'x'",
            "all that can be asked of it is a connection",
        ),
        ("http = 'http://x/'\nconnect = 'y'", "check.connect"),
        ("http = 'http://x/'\nstatus = 99", "99 is no status"),
        ("http = 'http://x/'\ntries = 0", "check.tries: 0"),
        ("http = 'http://x/'\nlimit_s = 0", "check.limit_s: 0"),
        ("http = 'http://x/'\ndeadline_s = 0", "check.deadline_s: 0"),
        (
            "http = 'http://x/'\ntries = 4294967295",
            "check.tries: 4294967295 is too large: at most 1000",
        ),
        ("http = 'http://x/'\npause_s = 3601", "check.pause_s: 3601"),
        ("http = 'http://x/'\nlimit_s = 3601", "check.limit_s: 3601"),
        (
            "http = 'http://x/'\ndeadline_s = 9223372036854775807",
            "check.deadline_s: 9223372036854775807 is too large: at most 3600",
        ),
        ("http = 'http://x/'\nbody = '{x}'", "between { and }"),
        ("http = 'http://x/'\nproxy = 'y'", "proxy"),
    ] {
        let error = check(text).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
    let own = "[[check]]\nhttp = 'https://x/'\nca_file = '/etc/shadow'";
    let error = Manifest::parse(own.as_bytes(), "deploy.toml").expect_err("the host's");
    assert!(error.contains("check.ca_file"), "{error}");
    let own = "[[check]]\ntcp = 'x:1'\npause_s = 0";
    let error = Manifest::parse(own.as_bytes(), "deploy.toml").expect_err("it spins");
    assert!(error.contains("check.pause_s: 0"), "{error}");
}

#[tokio::test]
async fn a_release_that_does_not_serve_its_revision_is_put_back() {
    let (server, came) = serve(&[(GOOD, "this is v1")]);
    let mut rig = Rig::start().await;
    rig.settings = format!(
        "[[projects.shop.check]]\nhttp = 'http://{server}/'\nbody = 'is {{tag}}'\ntries = 2\npause_s = 0\n"
    );
    let (v1, v2) = (rig.version("v1", &[]), rig.version("v2", &[]));
    rig.run_agent().await;
    assert_eq!(rig.deploy("v1", &v1).await.state, State::Live);
    rig.ran();
    let grant = rig.grant(Some(("v2", &v2)));
    rig.carry_out(&grant, Phase::Prepare).await;
    let report = rig.carry_out(&grant, Phase::Activate).await;
    assert!(
        matches!(&report.state, State::PutBack { reason }
            if reason.contains("its body has no \"is v2\": this is v1 (2 tries in ")),
        "{report:#?}"
    );
    assert_eq!(label(&report), Some("v1"));
    assert_eq!(came.load(Ordering::SeqCst), 4, "v1, v2 twice, v1 again");
    assert!(
        !rig.ran().contains("check v2"),
        "its script is not asked then"
    );
}
