//! Each kind of forge over real HTTP: signed as it signs, and wrongly.

use std::net::SocketAddr;

use chassis::Common;
use events::{Payload, Topic, message::Pushed};
use github_stomp::{
    Settings,
    forge::{Kind, Said, read},
    signature::TIMESTAMP_TOLERANCE,
};
use reqwest::{Client, StatusCode};
use testkit::{Folder, Member, Running, TestBroker};
use world::World;

use crate::{
    bodies::{BODIES, Body, repositories, section},
    forged,
    hub::serve,
};

pub(crate) const KINDS: [(Kind, &str); 6] = [
    (Kind::Github, "github"),
    (Kind::Gitlab, "gitlab"),
    (Kind::Gitea, "gitea"),
    (Kind::Forgejo, "forgejo"),
    (Kind::Bitbucket, "bitbucket"),
    (Kind::BitbucketServer, "bitbucket-server"),
];

/// The secrets of every source: the one before, the one of today, and GitLab's that signs.
const OLD: &str = "the old one";
pub(crate) const NEW: &str = "the new one";
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The service with a source of each kind, named as the kind.
pub(crate) struct Sources {
    address: SocketAddr,
    client: Client,
    pub(crate) running: Running,
    pub(crate) folder: Folder,
}

impl Sources {
    pub(crate) async fn start(common: Common) -> Self {
        Self::start_with(common, 10_000).await
    }

    /// With an outbox of so many messages.
    async fn start_with(common: Common, messages: usize) -> Self {
        let folder = Folder::new();
        let secrets = [("old", OLD), ("new", NEW), ("signing", SIGNING)];
        let files = secrets.map(|(name, secret)| folder.write(name, secret));
        let files = files.map(|file| file.display().to_string());
        let sources = KINDS.map(|(kind, name)| {
            let files = match kind {
                Kind::Gitlab => &files[..],
                _ => &files[..2],
            };
            format!("[sources.{name}]\nkind = '{name}'\nsecret_files = {files:?}\n")
        });
        let text = format!("{}{}", sources.concat(), section());
        let room = |settings: &mut Settings| settings.outbox.messages = messages;
        let (address, running) = serve(World::real(), common, &folder, &text, room).await;
        Self {
            address,
            client: Client::new(),
            running,
            folder,
        }
    }

    /// Posts to the source of this kind.
    pub(crate) async fn post(
        &self,
        kind: Kind,
        headers: &[(&'static str, String)],
        body: &[u8],
    ) -> (StatusCode, String) {
        let (_, name) = KINDS.iter().find(|(one, _)| *one == kind).unwrap();
        let url = format!("http://{}/hook/{name}", self.address);
        let mut request = self.client.post(url).body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

pub(crate) fn now_s() -> i64 {
    World::real().clock.now().as_second()
}

fn first_push(kind: Kind) -> &'static Body {
    let body = BODIES.iter().find(|body| body.kind == kind);
    body.unwrap()
}

#[tokio::test]
async fn every_body_is_taken_from_its_forge_and_what_it_says_is_on_the_bus() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let sources = Sources::start(broker.common("hub1")).await;
    let known = repositories();
    let mut expected: Vec<Pushed> = Vec::new();
    let mut told = std::collections::BTreeSet::new();
    for body in BODIES {
        let bytes = body.text.as_bytes();
        let headers = forged::headers(body.kind, body.event, NEW, bytes, now_s());
        let (status, text) = sources.post(body.kind, &headers, bytes).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{}: {text}", body.name);
        let said = read(body.kind, body.event, bytes, known).unwrap();
        let begins = match said {
            Said::Pushed(pushes) => {
                let news = pushes
                    .iter()
                    .filter(|push| told.insert(push.dedupkey()))
                    .count();
                expected.extend(pushes);
                match news {
                    0 => "already announced",
                    _ => "taken",
                }
            }
            Said::News(_) => "told to the feed",
            Said::Ping => "pong",
            Said::Unhandled => "nobody handles",
        };
        assert!(text.starts_with(begins), "{}: {text}", body.name);
    }
    // The same push twice is one event, and some bodies tell of the same.
    let mut keys = std::collections::BTreeSet::new();
    expected.retain(|pushed| keys.insert(pushed.dedupkey()));
    keys.clear();
    let mut heard: Vec<Pushed> = Vec::new();
    while heard.len() < expected.len() {
        let pushed = commits.hear(|_: &Pushed| true).await;
        if keys.insert(pushed.dedupkey()) {
            heard.push(pushed);
        }
    }
    assert_eq!(heard, expected);
    sources.running.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_signed_as_the_forge_signs_is_answered_with_401() {
    let broker = TestBroker::start().await;
    let sources = Sources::start(broker.common("hub1")).await;
    for (kind, name) in KINDS {
        let Body { event, text, .. } = first_push(kind);
        let body = text.as_bytes();
        let sign = |secret: &str, body: &[u8]| forged::headers(kind, event, secret, body, now_s());
        let good = sign(NEW, body);
        let empty = good.iter().map(|(name, value)| match name {
            name if name.ends_with("-signature") || name.ends_with("-256") => {
                (*name, String::new())
            }
            name if name.ends_with("-token") => (*name, String::new()),
            name => (*name, value.clone()),
        });
        let digest_of_nothing = good.iter().map(|(name, value)| {
            let value = match value.starts_with("sha256=") {
                true => "sha256=".to_owned(),
                false => value.clone(),
            };
            let bare = matches!(
                *name,
                "x-gitea-signature" | "x-forgejo-signature" | "x-gitlab-token"
            );
            (*name, if bare { " ".to_owned() } else { value })
        });
        let mut wrong: Vec<Vec<(&'static str, String)>> = vec![
            Vec::new(),
            vec![good[0].clone()],
            empty.collect(),
            digest_of_nothing.collect(),
            sign("a third one", body),
        ];
        // One byte more than was signed; a token signs nothing.
        if kind != Kind::Gitlab {
            wrong.push(sign(NEW, &[body, b" "].concat()));
        }
        // As every other forge signs.
        let forgejo_is_gitea = |other| {
            (kind, other) == (Kind::Forgejo, Kind::Gitea)
                || (kind, other) == (Kind::Gitea, Kind::Forgejo)
        };
        let hub = [Kind::Bitbucket, Kind::BitbucketServer];
        let others = KINDS.iter().filter(|(other, _)| {
            let same = *other == kind || (hub.contains(other) && hub.contains(&kind));
            !same && !forgejo_is_gitea(*other)
        });
        wrong.extend(
            others
                .filter(|(other, _)| !((kind, *other) == (Kind::Github, Kind::Gitea)))
                .map(|(other, _)| forged::headers(*other, event, NEW, body, now_s())),
        );
        for headers in wrong {
            let (status, text) = sources.post(kind, &headers, body).await;
            assert_eq!(
                status,
                StatusCode::UNAUTHORIZED,
                "{name} {headers:?}: {text}"
            );
        }
        // Both secrets are good while they are changed.
        for secret in [OLD, NEW] {
            let (status, text) = sources.post(kind, &sign(secret, body), body).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{name}: {text}");
        }
    }
    sources.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_signed_hook_of_gitlab_is_good_for_five_minutes() {
    let broker = TestBroker::start().await;
    let sources = Sources::start(broker.common("hub1")).await;
    let Body { event, text, .. } = first_push(Kind::Gitlab);
    let body = text.as_bytes();
    let (now, tolerance_s) = (
        now_s(),
        i64::try_from(TIMESTAMP_TOLERANCE.as_secs()).unwrap(),
    );
    // A minute for this test to run in.
    let table = [
        (0, StatusCode::ACCEPTED),
        (60 - tolerance_s, StatusCode::ACCEPTED),
        (-1 - tolerance_s, StatusCode::UNAUTHORIZED),
        (60 + tolerance_s, StatusCode::UNAUTHORIZED),
    ];
    for (away, expected) in table {
        let headers = forged::headers(Kind::Gitlab, event, SIGNING, body, now + away);
        let (status, text) = sources.post(Kind::Gitlab, &headers, body).await;
        assert_eq!(status, expected, "{away}: {text}");
    }
    sources.running.stop().await.unwrap();
}

/// Every byte that a form does not carry as itself, escaped.
fn form(payload: &[u8]) -> Vec<u8> {
    let escaped = payload.iter().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    });
    format!("payload={}", escaped.collect::<String>()).into_bytes()
}

#[tokio::test]
async fn forms_are_signed_by_github_as_they_are_and_by_gitea_as_what_is_in_them() {
    let broker = TestBroker::start().await;
    let sources = Sources::start(broker.common("hub1")).await;
    for (kind, name) in KINDS {
        let Body { event, text, .. } = first_push(kind);
        let payload = text.as_bytes();
        let form = form(payload);
        let content = (
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        );
        for (signed, good) in [
            (&form[..], kind == Kind::Github),
            (payload, matches!(kind, Kind::Gitea | Kind::Forgejo)),
        ] {
            let mut headers = forged::headers(kind, event, NEW, signed, now_s());
            headers.push(content.clone());
            let (status, text) = sources.post(kind, &headers, &form).await;
            match good {
                true => assert_eq!(status, StatusCode::ACCEPTED, "{name}: {text}"),
                false => assert!(status.is_client_error(), "{name}: {status} {text}"),
            }
        }
    }
    sources.running.stop().await.unwrap();
}

#[tokio::test]
async fn the_connection_test_of_bitbucket_server_is_answered_though_it_is_not_signed() {
    let broker = TestBroker::start().await;
    let sources = Sources::start(broker.common("hub1")).await;
    let ping = [("x-event-key", "diagnostics:ping".to_owned())];
    let (status, text) = sources
        .post(Kind::BitbucketServer, &ping, br#"{"test":true}"#)
        .await;
    assert_eq!((status, text.as_str()), (StatusCode::ACCEPTED, "pong\n"));
    let (status, _) = sources
        .post(Kind::Bitbucket, &ping, br#"{"test":true}"#)
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    sources.running.stop().await.unwrap();
}

#[tokio::test]
async fn the_pushes_of_one_delivery_are_taken_all_or_none() {
    let mut broker = TestBroker::start().await;
    let sources = Sources::start_with(broker.common("hub1"), 3).await;
    broker.stop().await;
    let post = async |name: &str| {
        let body = BODIES.iter().find(|body| body.name == name).unwrap();
        let bytes = body.text.as_bytes();
        let headers = forged::headers(body.kind, body.event, NEW, bytes, now_s());
        sources.post(body.kind, &headers, bytes).await
    };
    // Four pushes, and room for three.
    let (status, text) = post("hand-made/bitbucket/push-several").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    let one = "hand-made/bitbucket-server/refs-changed-commits";
    let (status, text) = post(one).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    broker.start_again().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let (status, text) = post("hand-made/gitea/push-tag").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    // The first one may have gone out before the listener was there; none of the four comes before the last.
    let pushed = commits
        .hear(|pushed: &Pushed| pushed.repository.as_str() != "ACME/shop")
        .await;
    assert_eq!(pushed.repository.as_str(), "inn");
    sources.running.stop().await.unwrap();
}
