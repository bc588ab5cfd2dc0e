//! A freeze, and the key that goes past it: heard by everybody.

use std::fs;

use deploy_orchestrator::api::{DeployState, DeployView};
use events::{Topic, message::Line};
use serde_json::{Value, json};
use testkit::{Member, Trust};

use crate::fleet::{Fleet, parsed};

const FREEZE: &str = "\n[[freeze]]\nproject = \"shop\"\nenvironment = \"*\"\nfrom = \"2000-01-01 00:00\"\nto = \"2100-01-01 00:00\"\n\
                      time_zone = \"Europe/Berlin\"\nreason = \"fair\"\n";

fn refused((status, body): (u16, Value)) -> String {
    assert_eq!(status, 403, "{body}");
    body["error"].as_str().expect("a sentence").to_owned()
}

#[tokio::test]
async fn a_freeze_holds_up_a_deploy_and_no_rollback_and_broken_glass_is_heard() {
    let fleet = Fleet::of(&["web1"]).await;
    let tail = Member::connect("tail", fleet.broker.common("hub2")).await;
    let mut lines = tail
        .listen(Topic::Events("deploy-orchestrator".to_owned()))
        .await;
    let policy = fleet.trust.policy_text();
    fs::write(&fleet.settings.policy, format!("{policy}{FREEZE}")).expect("written");
    let v2 =
        json!({"project": "shop", "action": "deploy", "revision": "v2", "reason": "till is down"});
    let error = refused(fleet.request(v2.clone(), &fleet.trust.operator).await);
    assert_eq!(
        error,
        "shop in prod is frozen until 2100-01-01 00:00 Europe/Berlin: fair"
    );
    let back = json!({"project": "shop", "action": "rollback"});
    let back = fleet.deploy(back).await;
    let back = fleet.watch_to_the_end(back.id).await;
    assert_eq!(
        (back.state, back.broke_glass),
        (DeployState::Succeeded, None)
    );

    let allow = format!("principals = [\"{}\"]\n", Trust::OPERATOR);
    let glass = policy.replace(&allow, &format!("{allow}break_glass = true\n"));
    assert_ne!(glass, policy);
    fs::write(&fleet.settings.policy, format!("{glass}{FREEZE}")).expect("written");
    let silent = json!({"project": "shop", "action": "deploy", "revision": "v2"});
    let error = refused(fleet.request(silent, &fleet.trust.operator).await);
    assert!(error.ends_with("sign a grant that gives one"), "{error}");
    let begun = fleet.deploy(v2).await;
    let line: Line = lines
        .hear(|line: &Line| line.record["event"] == "broke-glass")
        .await;
    assert_eq!(line.record["level"], "alarm");
    let said = "shop v2 GLASS BROKEN by ann@example.org: till is down; it goes past: frozen until 2100-01-01 00:00 Europe/Berlin: fair";
    assert!(line.line.as_str().contains(said), "{}", line.line);
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(ended.state, DeployState::Succeeded);
    let (_, history) = fleet.get("/api/v1/deploys").await.expect("it answers");
    let history: Vec<DeployView> = parsed(history);
    let past = history[0].broke_glass.as_deref().expect("it is kept");
    assert!(past.starts_with("frozen until "), "{past}");
    let (status, page) = fleet.browse("GET", "/history", "localhost").await;
    assert!(
        status == 200 && page.contains("GLASS BROKEN"),
        "{status} {page}"
    );
    fleet.stop().await;
}
