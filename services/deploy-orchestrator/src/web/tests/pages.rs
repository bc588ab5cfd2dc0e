//! The facts on each page.

use axum::{body::Body, http::Request};
use futures_util::StreamExt;
use tower::ServiceExt;

use super::{
    Site,
    values::{at, canned},
};
use crate::api::DeployState;

#[tokio::test]
async fn home_shows_each_host_with_its_version_and_what_stands_out() {
    let got = Site::new(canned()).await.get("/").await;
    assert_eq!(got.status, 200);
    got.shows("2 projects: 1 under deploy, 1 with mixed versions, 2 with trouble on a server.")
        .shows("2026.11.0 on db1, db3; 2026.10.9 on db2; nothing on db4")
        .shows("v2 on all 3 servers")
        .shows("agent not heard since 2026-11-21 05:43:20 UTC")
        .shows("stuck: the journal is damaged at line 41")
        .shows("wave 2 of 2: web2 is at refresh");
    assert_eq!(got.body.matches("differs from most").count(), 2);
}

#[tokio::test]
async fn home_names_the_deploy_that_is_under_way_with_a_link() {
    let site = Site::new(canned()).await;
    let id = site.canned.lock().unwrap().deploys[0].id;
    site.get("/")
        .await
        .shows(&format!("<a href=\"/deploys/{id}\">deploy v4</a>"));
}

#[tokio::test]
async fn a_project_offers_tags_and_all_servers_checked() {
    let site = Site::new(canned()).await;
    let got = site.get("/projects/shop").await;
    let at = |text: &str| got.body.find(text).expect("it is there");
    assert!(at("value=\"v4\"") < at("value=\"v3\""), "newest first");
    got.shows("not yet on web3")
        .shows("runs on all")
        .shows("name=\"on\" value=\"web2\" id=\"on-web2\" checked>")
        .shows("<label for=\"on-web2\">");
    // One is under way: Deploy waits, Roll back does not.
    got.shows("value=\"deploy\" disabled")
        .hides("value=\"rollback\" formnovalidate disabled");
    site.canned.lock().unwrap().status.projects[1].deploy = None;
    site.get("/projects/shop")
        .await
        .hides("value=\"deploy\" disabled");
}

#[tokio::test]
async fn an_unknown_project_says_which_exist() {
    let site = Site::new(canned()).await;
    let got = site.get("/projects/nope").await;
    assert_eq!(got.status, 404);
    got.shows("there is no project &#34;nope&#34;")
        .shows(">billing</li>")
        .shows(">shop</li>");
    assert_eq!(site.get("/projects/No%20Pe").await.status, 400);
}

#[tokio::test]
async fn a_failed_deploy_says_what_a_person_needs_at_three_in_the_morning() {
    let site = Site::new(canned()).await;
    let id = site.canned.lock().unwrap().deploys[1].id;
    let got = site.get(&format!("/deploys/{id}")).await;
    got.shows("wave 1 of 2: web1 failed its check; the other hosts were not touched")
        .shows(
            "check: exit 1, 3 tries: GET /health 500 &#34;no such table&#34;; back on v2 after 2 s",
        )
        .shows("1 put back, 2 untouched")
        .shows("exit 1, 3 tries")
        .shows("sqlite: no such table: orders")
        .shows("… 1000 bytes are not here …")
        .shows("deploykit deploy shop v2")
        .hides("hx-sse:connect")
        .hides(">Abort</button>");
}

#[tokio::test]
async fn a_deploy_under_way_can_be_followed_and_stopped() {
    let site = Site::new(canned()).await;
    let id = site.canned.lock().unwrap().deploys[0].id;
    let got = site.get(&format!("/deploys/{id}")).await;
    got.shows(&format!("hx-sse:connect=\"/deploys/{id}/live\""))
        .shows("<p class=\"verdict\" id=\"summary\" role=\"status\" aria-live=\"polite\">")
        .shows("<noscript><meta http-equiv=\"refresh\"")
        .shows(">Pause</button>")
        .shows(">Abort</button>")
        .hides(">Resume</button>");
    assert_eq!(got.body.matches("aria-live=\"polite\"").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_live_deploy_sends_each_change_and_ends_after_the_last() {
    let site = Site::new(canned()).await;
    let id = site.canned.lock().unwrap().deploys[0].id;
    let request = Request::get(format!("/deploys/{id}/live"))
        .body(Body::empty())
        .unwrap();
    let response = site.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut events = response.into_body().into_data_stream();
    let mut next = async || {
        let bytes = events.next().await.expect("there is one more").unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let first = next().await;
    assert!(
        first.contains("1 live, 1 activating, 1 unreachable"),
        "{first}"
    );
    assert!(!first.contains("<html"), "{first}");
    {
        let mut canned = site.canned.lock().unwrap();
        canned.deploys[0].state = DeployState::Succeeded;
        canned.deploys[0].ended = Some(at(620));
    }
    site.changed.send_modify(|version| *version += 1);
    let second = next().await;
    assert!(second.contains("succeeded"), "{second}");
    assert_eq!(next().await, "event: end\ndata: -\n\n");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn hostile_text_stays_text() {
    const HOSTILE: &str = "</pre><script>alert(1)</script><b a='\" onclick=x>";
    let mut canned = canned();
    canned.output[1].text = HOSTILE.to_owned();
    canned.deploys[1].reason = Some(HOSTILE.to_owned());
    canned.deploys[1].by = vec![HOSTILE.to_owned()];
    canned.deploys[1].next = vec![HOSTILE.to_owned()];
    canned.deploys[1].waves[0].hosts[0].detail = Some(HOSTILE.to_owned());
    canned.deploys[1].waves[0].hosts[0].steps[0].detail = Some(HOSTILE.to_owned());
    canned.status.projects[0].hosts[2].stuck = Some(HOSTILE.to_owned());
    canned.status.projects[1].deploy.as_mut().unwrap().reason = Some(HOSTILE.to_owned());
    canned.hosts[0].trouble = Some(HOSTILE.to_owned());
    canned.hosts[0].version = Some(HOSTILE.to_owned());
    let id = canned.deploys[1].id;
    let site = Site::new(canned).await;
    let output = format!("/deploys/{id}/output?host=web1&step=check");
    for path in [
        "/",
        "/projects/shop",
        "/hosts",
        "/history",
        &format!("/deploys/{id}"),
        &output,
    ] {
        let got = site.get(path).await;
        assert_eq!(got.status, 200, "{path}");
        got.shows("&#60;script&#62;")
            .hides("<script>")
            .hides("<b a=");
    }
    let form = "action=rollback&on=web1&reason=%3Cscript%3E%22";
    let got = site.post("/projects/shop/plan", form).await;
    got.shows("value=\"&#60;script&#62;&#34;\"")
        .hides("<script>");
    let got = site
        .post(
            "/projects/shop/plan",
            "action=deploy&on=web1&revision=%3Cscript%3E",
        )
        .await;
    assert_eq!(got.status, 404);
    got.shows("&#60;script&#62;").hides("<script>");
    site.get("/%3Cscript%3E").await.hides("<script>");
}

#[tokio::test]
async fn the_output_of_a_running_step_is_asked_for_again() {
    let site = Site::new(canned()).await;
    let id = site.canned.lock().unwrap().deploys[0].id;
    let got = site
        .get(&format!("/deploys/{id}/output?host=web2&step=refresh"))
        .await;
    got.shows("hx-trigger=\"every 2s\"")
        .shows("It has said nothing yet");
    let got = site
        .get(&format!("/deploys/{id}/output?host=web1&step=check"))
        .await;
    got.hides("hx-trigger").shows("no such table: orders");
    for wrong in ["host=-x&step=check", "host=web1&step=explode", ""] {
        assert_eq!(
            site.get(&format!("/deploys/{id}/output?{wrong}"))
                .await
                .status,
            400
        );
    }
}

#[tokio::test]
async fn servers_say_who_is_new_silent_or_double() {
    Site::new(canned())
        .await
        .get("/hosts")
        .await
        .shows("4 servers, 3 heard, 1 new")
        .shows("deploykit hosts admit web4")
        .shows("not heard")
        .shows("two agents answer under this name");
}

#[tokio::test]
async fn history_is_of_all_projects_or_of_one() {
    let site = Site::new(canned()).await;
    site.get("/history")
        .await
        .shows("deploy v4")
        .shows("deploy v2")
        .shows("3 deploys, newest first");
    site.get("/history?project=billing")
        .await
        .shows("No deploys yet")
        .hides("deploy v2");
    assert_eq!(site.get("/history?project=;rm").await.status, 400);
}

#[tokio::test]
async fn no_state_is_told_by_colour_alone() {
    let site = Site::new(canned()).await;
    let ids: Vec<_> = site
        .canned
        .lock()
        .unwrap()
        .deploys
        .iter()
        .map(|d| d.id)
        .collect();
    for path in [
        "/".to_owned(),
        "/hosts".to_owned(),
        "/history".to_owned(),
        format!("/deploys/{}", ids[1]),
    ] {
        let got = site.get(&path).await;
        for badge in got.body.split("<span class=\"badge ").skip(1) {
            let (_, rest) = badge.split_once("</span>").expect("a symbol for eyes");
            let word = rest.split('<').next().unwrap().trim();
            assert!(!word.is_empty(), "{path}: a badge without a word: {badge}");
        }
    }
}
