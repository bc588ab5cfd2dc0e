//! Each thing that may go wrong, on demand of the double.

use jenkins::{Jenkins, Kind, Trouble};
use testkit::{Jenkins as Double, JenkinsFault as Fault, Job, SOON, Stop};
use tokio::time::timeout;
use world::World;

use crate::place::Site;

fn job() -> events::JobName {
    "backend/shop".parse().unwrap()
}

fn told() -> Vec<(String, String)> {
    vec![("DEPLOYKIT_ID".to_owned(), "1".to_owned())]
}

async fn shop() -> (Site, Double) {
    let (site, double) = Site::double().await;
    double.add(Job::new("backend/shop").takes(&["DEPLOYKIT_ID"]));
    (site, double)
}

/// A client that waits a second for an answer.
fn impatient(site: &Site) -> Jenkins {
    let mut access = site.access();
    access.request_limit_s = 1;
    Jenkins::new(access, World::real()).unwrap()
}

#[tokio::test]
async fn each_fault_is_its_trouble_and_says_what_it_is_good_for() {
    let (site, double) = shop().await;
    let jenkins = impatient(&site);
    let table = [
        (Fault::Status(500), "is not ready (500)", Kind::Passing),
        (Fault::NotReady(7), "is not ready (503)", Kind::Passing),
        (Fault::Status(429), "is not ready (429)", Kind::Passing),
        (
            Fault::Hang,
            "nothing within 1 s (request_limit_s)",
            Kind::Passing,
        ),
        (Fault::Cut, "gave no whole answer", Kind::Passing),
        (Fault::Status(403), "does not allow it (403)", Kind::Person),
        (Fault::Html, "answers with text/html", Kind::Person),
        (
            Fault::LoginRedirect,
            "answers with a redirect",
            Kind::Person,
        ),
        (
            Fault::Garbage,
            "answers with JSON that is not right",
            Kind::Person,
        ),
        (Fault::Status(418), "answers with status 418", Kind::Final),
        (
            Fault::Endless,
            "sends an answer that is too long",
            Kind::Final,
        ),
    ];
    for (fault, said, kind) in table {
        double.fail("GET ", 1, fault.clone());
        let trouble = jenkins.item(1).await.unwrap_err();
        let text = trouble.to_string();
        assert!(text.contains(said), "{fault:?}: {text}");
        assert_eq!(trouble.kind(), kind, "{fault:?}");
    }
    double.fail("GET ", 1, Fault::NotReady(7));
    let wait = jenkins.item(1).await.unwrap_err().wait();
    assert_eq!(wait.map(|it| it.as_secs()), Some(7));
}

#[tokio::test]
async fn a_trigger_whose_effect_is_not_known_says_so() {
    let (site, double) = shop().await;
    let jenkins = impatient(&site);
    for fault in [
        Fault::CutAfter,
        Fault::HangAfter,
        Fault::Cut,
        Fault::Status(502),
        Fault::Html,
    ] {
        double.fail("POST ", 1, fault.clone());
        let trouble = jenkins.trigger(&job(), &told()).await.unwrap_err();
        assert!(trouble.may_have_arrived(), "{fault:?}: {trouble}");
    }
    assert_eq!(
        double.builds("backend/shop").len(),
        1,
        "two acted; the second waits"
    );
    for fault in [
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(404),
        Fault::Status(409),
    ] {
        double.fail("POST ", 1, fault.clone());
        let trouble = jenkins.trigger(&job(), &told()).await.unwrap_err();
        assert!(!trouble.may_have_arrived(), "{fault:?}: {trouble}");
    }
}

#[tokio::test]
async fn nobody_there_has_heard_nothing() {
    let (site, mut double) = shop().await;
    let jenkins = site.client();
    double.stop(Stop::Killed).await;
    let trouble = jenkins.trigger(&job(), &told()).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Unreachable(_)), "{trouble}");
    assert!(!trouble.may_have_arrived() && trouble.kind() == Kind::Passing);
}

#[tokio::test]
async fn identical_triggers_that_wait_are_one_item() {
    let (site, double) = shop().await;
    let jenkins = site.client();
    double.executors(0);
    let first = jenkins.trigger(&job(), &told()).await.unwrap();
    assert_eq!(jenkins.trigger(&job(), &told()).await, Ok(first));
    let other = vec![("DEPLOYKIT_ID".to_owned(), "2".to_owned())];
    assert_ne!(jenkins.trigger(&job(), &other).await, Ok(first));
}

#[tokio::test]
async fn a_location_with_another_address_is_read_by_its_number() {
    let (site, double) = shop().await;
    let jenkins = site.client();
    for base in [
        "http://internal:8080/",
        "/jenkins/",
        "https://ci.example.org/a/b/",
    ] {
        double.names_itself(base);
        assert!(jenkins.trigger(&job(), &told()).await.is_ok(), "{base}");
    }
    double.names_itself("http://elsewhere/login?from=");
    double.fail("POST ", 1, Fault::LoginRedirect);
    let trouble = jenkins.trigger(&job(), &told()).await.unwrap_err();
    assert_eq!(trouble, Trouble::NotQueued(302));
}

#[tokio::test]
async fn newer_versions_refuse_parameters_with_400() {
    let (site, double) = shop().await;
    double.add(Job::new("plain"));
    double.refuses_parameters_with(400);
    let plain = "plain".parse().unwrap();
    assert!(site.client().trigger(&plain, &told()).await.is_ok());
    // A job that takes parameters and breaks all the same is not built without.
    double.fail("POST ", 1, Fault::Status(500));
    let trouble = site.client().trigger(&job(), &told()).await.unwrap_err();
    assert!(
        matches!(trouble, Trouble::NotReady { status: 500, .. }),
        "{trouble}"
    );
    let lines = double.requests();
    assert!(
        !lines.iter().any(|it| it.line.contains("shop/build?")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn with_a_password_a_crumb_is_fetched_once_and_again_after_a_restart() {
    let (site, mut double) = shop().await;
    let mut access = site.access();
    access.token_file = site.folder.write("password", Double::PASSWORD);
    let jenkins = Jenkins::new(access, World::real()).unwrap();
    let crumbs = |double: &Double| {
        let lines = double.requests();
        lines
            .iter()
            .filter(|it| it.line.contains("crumbIssuer"))
            .count()
    };
    for _ in 0..2 {
        jenkins.trigger(&job(), &told()).await.unwrap();
    }
    assert_eq!(crumbs(&double), 1);
    double.stop(Stop::Orderly).await;
    double.start_again().await;
    jenkins.trigger(&job(), &told()).await.unwrap();
    assert_eq!(crumbs(&double), 2);
}

#[tokio::test]
async fn a_token_needs_no_crumb_and_is_in_no_address_nor_text() {
    let (site, double) = shop().await;
    let jenkins = site.client();
    jenkins.trigger(&job(), &told()).await.unwrap();
    let seen = double.requests();
    assert!(!seen.iter().any(|it| it.line.contains("crumb")), "{seen:?}");
    assert!(
        !seen.iter().any(|it| it.line.contains("DEPLOYKIT")),
        "parameters are in the body: {seen:?}"
    );
    let mut shown = format!("{jenkins:?} {:?}", site.access());
    for fault in [
        Fault::Status(401),
        Fault::Status(403),
        Fault::Cut,
        Fault::Html,
    ] {
        double.fail("", 1, fault);
        let trouble = jenkins.trigger(&job(), &told()).await.unwrap_err();
        shown += &format!("{trouble} {trouble:?}");
    }
    assert!(!shown.contains(Double::TOKEN), "{shown}");
    for line in seen {
        assert!(!format!("{line:?}").contains(Double::TOKEN));
    }
}

#[tokio::test]
async fn a_changed_token_is_taken_up() {
    let (site, _double) = shop().await;
    let jenkins = site.client();
    site.folder.write("token", "an old one");
    assert_eq!(jenkins.item(1).await, Err(Trouble::Login));
    site.folder.write("token", Double::TOKEN);
    assert_eq!(jenkins.item(1).await, Err(Trouble::Missing));
    site.folder.write("token", "\n");
    let trouble = jenkins.item(1).await.unwrap_err();
    assert!(
        trouble.to_string().ends_with("token: it is empty"),
        "{trouble}"
    );
    assert_eq!(trouble.kind(), Kind::Person);
}

#[tokio::test]
async fn a_peer_that_says_nothing_at_all_is_given_up() {
    let listener = World::real().net.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().unwrap();
    let (site, _double) = shop().await;
    let mut access = site.access();
    access.url = format!("http://{address}/");
    access.request_limit_s = 1;
    let jenkins = Jenkins::new(access, World::real()).unwrap();
    let trouble = timeout(SOON, jenkins.item(1)).await.unwrap().unwrap_err();
    assert!(matches!(trouble, Trouble::Broken(_)), "{trouble}");
}

#[test]
fn wrong_settings_name_their_key_and_never_a_password() {
    let site = testkit::Folder::new();
    let access = |url: &str, user: &str| jenkins::Access {
        url: url.to_owned(),
        user: user.to_owned(),
        token_file: site.join("none"),
        ca_file: None,
        connect_limit_s: 10,
        request_limit_s: 30,
    };
    let table = [
        (
            "ci.example.org",
            "ann",
            "jenkins.url must begin with https:// or http://, such as",
        ),
        ("ftp://ci/", "ann", "jenkins.url must begin with"),
        (
            "https://ann:geheim@ci/",
            "ann",
            "jenkins.url must have no login",
        ),
        (
            "https://ci/?a=b",
            "ann",
            "jenkins.url must have no ? and no #",
        ),
        ("https://ci/", "a:b", "jenkins.user must be"),
        ("https://ci/", "", "jenkins.user must be"),
    ];
    for (url, user, said) in table {
        let wrong = access(url, user).check().unwrap_err();
        assert!(wrong.starts_with(said), "{url}: {wrong}");
        assert!(!wrong.contains("geheim"));
    }
    let wrong = Jenkins::new(access("http://ci/", "ann"), World::real()).unwrap_err();
    assert!(wrong.starts_with("jenkins.token_file "), "{wrong}");
}
