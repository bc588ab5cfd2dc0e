//! Forms: what is sent in, and what is shown before anything is done.

use super::{Site, values::canned};
use crate::{
    app::Control,
    refused::{Kind, Refused},
};

#[tokio::test]
async fn no_server_checked_is_an_error_and_never_all() {
    let site = Site::new(canned()).await;
    for path in ["/projects/shop/plan", "/projects/shop/deploys"] {
        let got = site.post(path, "action=deploy&revision=v3").await;
        assert_eq!(got.status, 400);
        got.shows("no server is checked; that never means all of them")
            .shows("<a href=\"/projects/shop\">");
    }
    assert!(site.canned.lock().unwrap().started.is_empty());
}

#[tokio::test]
async fn a_deploy_without_a_tag_is_an_error() {
    let got = Site::new(canned())
        .await
        .post("/projects/shop/plan", "action=deploy&on=web1")
        .await;
    assert_eq!(got.status, 400);
    got.shows("no tag is chosen");
}

#[tokio::test]
async fn an_unknown_tag_says_which_exist() {
    let form = "action=deploy&revision=v9&on=web1";
    let got = Site::new(canned())
        .await
        .post("/projects/shop/plan", form)
        .await;
    assert_eq!(got.status, 404);
    got.shows("no server has the tag &#34;v9&#34;")
        .shows(">v3</li>");
}

#[tokio::test]
async fn the_confirm_page_shows_count_waves_and_change() {
    let site = Site::new(canned()).await;
    let form = "action=deploy&revision=v3&on=web1&on=web3&reason=basket";
    let got = site.post("/projects/shop/plan", form).await;
    assert_eq!(got.status, 200);
    got.shows("<h1 tabindex=\"-1\" autofocus>Deploy v3 to 2 servers? ")
        .shows("2 of 2 change, in 2 waves.")
        .shows("Wave 1 of 2")
        .shows("Wave 2 of 2")
        .shows("<th scope=\"row\">web3</th>")
        .shows("Reason: basket")
        .hides("web2");
    assert!(
        site.canned.lock().unwrap().started.is_empty(),
        "a look starts nothing"
    );
}

#[tokio::test]
async fn the_confirm_page_of_a_rollback_says_where_each_server_goes() {
    let site = Site::new(canned()).await;
    site.canned.lock().unwrap().status.projects[1].hosts[1].previous = None;
    let got = site
        .post("/projects/shop/plan", "action=rollback&on=web1&on=web2")
        .await;
    got.shows("Roll back shop on 2 servers?")
        .shows("1 of 2 change")
        .shows(">v1</span>")
        .shows("no earlier release to go back to");
}

#[tokio::test]
async fn a_yes_starts_the_plan_that_was_shown() {
    let site = Site::new(canned()).await;
    let form = "action=deploy&revision=v3&on=web1&on=web2&reason=basket";
    let seen = site.post("/projects/shop/plan", form).await.field("seen");
    let got = site
        .post("/projects/shop/deploys", &format!("{form}&seen={seen}"))
        .await;
    let canned = site.canned.lock().unwrap();
    assert_eq!(got.status, 303);
    assert_eq!(
        got.headers["location"],
        format!("/deploys/{}", canned.deploys[0].id)
    );
    let started = &canned.started[0];
    assert_eq!(started.targets.len(), 2);
    assert_eq!(started.grant.reason.as_deref(), Some("basket"));
}

#[tokio::test]
async fn a_plan_that_changed_since_is_asked_again() {
    let site = Site::new(canned()).await;
    let form = "action=rollback&on=web1&on=web2";
    let seen = site.post("/projects/shop/plan", form).await.field("seen");
    site.canned.lock().unwrap().status.projects[1].hosts[0].live =
        Some(super::values::release("v3", 0));
    let answer = format!("{form}&seen={seen}");
    let got = site.post("/projects/shop/deploys", &answer).await;
    assert_eq!(got.status, 409);
    got.shows("no longer what you said yes to");
    assert!(site.canned.lock().unwrap().started.is_empty());
    let seen = got.field("seen");
    let got = site
        .post("/projects/shop/deploys", &format!("{form}&seen={seen}"))
        .await;
    assert_eq!(got.status, 303);
}

#[tokio::test]
async fn buttons_of_a_deploy_do_what_they_say() {
    let site = Site::new(canned()).await;
    let id = site.canned.lock().unwrap().deploys[0].id.to_string();
    for (word, control) in [
        ("pause", Control::Pause),
        ("resume", Control::Resume),
        ("abort", Control::Abort),
    ] {
        let got = site.post(&format!("/deploys/{id}/{word}"), "").await;
        assert_eq!(
            (
                got.status.as_u16(),
                got.headers["location"].to_str().unwrap()
            ),
            (303, format!("/deploys/{id}").as_str())
        );
        assert_eq!(
            site.canned.lock().unwrap().controlled.pop(),
            Some((id.clone(), control))
        );
    }
    assert_eq!(
        site.post(&format!("/deploys/{id}/explode"), "")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn an_error_is_a_page_with_the_words_of_the_api() {
    let refused = Refused::new(Kind::Busy, "shop is busy <b>")
        .exists(["one", "two"])
        .next("look at /deploys/01-ab or at //evil.example");
    let (status, page) = super::super::view::error::page(&refused);
    assert_eq!(status, 409);
    for part in [
        "shop is busy &#60;b&#62;",
        ">one</li>",
        "<a href=\"/deploys/01-ab\">/deploys/01-ab</a> or at //evil.example",
    ] {
        assert!(page.0.contains(part), "{part}: {}", page.0);
    }
}
