//! A freeze on a host, and the glass that is broken there: its journal, its reports and its line in the feed say so.

use std::fs;

use events::message::{Phase, State};

use crate::rig::{Rig, id_of};

const FREEZE: &str = "[[freeze]]\nproject = '*'\nenvironment = 'prod'\nfrom = '2000-01-01 00:00'\nto = '2100-01-01 00:00'\n\
                      time_zone = 'Europe/Berlin'\nreason = 'fair'\n";

#[tokio::test]
async fn a_frozen_host_takes_what_takes_back_and_says_when_its_glass_is_broken() {
    let mut rig = Rig::start().await;
    let (v1, v2) = (rig.version("v1", &[]), rig.version("v2", &[]));
    rig.run_agent().await;
    rig.deploy("v1", &v1).await;
    rig.deploy("v2", &v2).await;
    rig.ran();
    let policy = fs::read_to_string(rig.path("policy.toml")).expect("read");
    fs::write(rig.path("policy.toml"), format!("{policy}{FREEZE}")).expect("written");
    let mut grant = rig.grant(Some(("v1", &v1)));
    let ordered = rig.order(&grant, Phase::Prepare);
    rig.send(&ordered).await;
    let reason = "frozen until 2100-01-01 00:00 Europe/Berlin: fair".to_owned();
    let report = rig.answer(id_of(&ordered)).await;
    assert_eq!(report.state, State::Refused { reason });
    let back = rig.carry_out(&rig.grant(None), Phase::Rollback).await;
    assert_eq!((back.state, back.broke_glass), (State::Live, None));
    assert_eq!(rig.ran(), "stop v2, start v1, check v1");

    // The end of the freeze does not bring back what was refused, however often it is repeated.
    fs::write(rig.path("policy.toml"), &policy).expect("written");
    let count = rig.reports(id_of(&ordered)).len();
    rig.send(&ordered).await;
    rig.wait("the same answer", |rig| {
        (rig.reports(id_of(&ordered)).len() > count).then_some(())
    })
    .await;
    assert_eq!(rig.ran(), "");

    let glass = policy.replace("principals", "break_glass = true\nprincipals");
    fs::write(rig.path("policy.toml"), format!("{glass}{FREEZE}")).expect("written");
    grant = rig.grant(Some(("v2", &v2)));
    grant.reason = Some("till is down".to_owned());
    rig.carry_out(&grant, Phase::Prepare).await;
    let report = rig.carry_out(&grant, Phase::Activate).await;
    let past = report.broke_glass.expect("it is said");
    assert!(past.starts_with("frozen until 2100-01-01 "), "{past}");
    assert_eq!(report.state, State::Live);
    let journal = fs::read_to_string(rig.shop("journal/journal.jsonl")).expect("read");
    assert_eq!(journal.matches("\"broke_glass\":\"frozen until").count(), 2);
}
