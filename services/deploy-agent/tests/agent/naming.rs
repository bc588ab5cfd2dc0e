//! The grant says what is meant by the name that a person typed; the host looks whether it leads to the commit.

use events::message::{Phase, State};
use git::{Git, Mirror};

use crate::rig::Rig;

/// Each as the orchestrator could claim it: by tag or branch, of which commit, and what the host says to it.
#[tokio::test]
async fn a_name_that_does_not_lead_to_the_commit_is_refused() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    let v2 = rig.version("v2", &[]);
    rig.to_branch("side", &v1);
    let evil = rig.version("evil", &[]);
    rig.run_agent().await;
    let cases = [
        (Some("v2"), None, &v2, None),
        (None, Some("main"), &v2, None),
        (None, Some("main"), &v1, None),
        (None, Some("side"), &evil, None),
        (Some("v2"), None, &evil, Some("tag v2 leads to")),
        (
            Some("ghost"),
            None,
            &evil,
            Some("there is no refs/tags/ghost in the mirror, nor at its origin"),
        ),
        (
            None,
            Some("v2"),
            &evil,
            Some("there is no refs/heads/v2 in the mirror, nor at its origin"),
        ),
        (None, Some("main"), &evil, Some("branch main leads to")),
    ];
    // First the agent's own mirror, which has no names; then one that somebody keeps.
    for kept in [false, true] {
        if kept {
            let mirror = Mirror::at(
                rig.path("base/mirrors/shop.git"),
                &Git::new(&world::World::real()),
            );
            mirror.fetch().await.expect("it is fetched");
        }
        for (tag, branch, commit, refused) in cases {
            let mut grant = rig.grant(Some(("v1", commit)));
            grant.tag = tag.map(|tag| tag.parse().expect("a tag"));
            grant.branch = branch.map(|branch| branch.parse().expect("a branch"));
            let report = rig.carry_out(&grant, Phase::Prepare).await;
            match (&report.state, refused) {
                (State::Prepared { .. }, None) => {}
                (State::Failed { reason }, Some(why)) if reason.contains(why) => {}
                _ => panic!(
                    "{kept} {tag:?} {branch:?}: {:?}, not {refused:?}",
                    report.state
                ),
            }
        }
    }
}

/// Where nobody keeps the mirror, it has the commits of orders only.
#[tokio::test]
async fn a_commit_behind_a_branch_that_the_mirror_does_not_have_is_asked_for_by_its_id() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.version("v2", &[]);
    rig.run_agent().await;
    let mut grant = rig.grant(Some(("v1", &v1)));
    grant.tag = None;
    grant.branch = Some("main".parse().expect("a branch"));
    let report = rig.carry_out(&grant, Phase::Prepare).await;
    let State::Failed { reason } = report.state else {
        panic!("{report:#?}");
    };
    assert!(reason.ends_with("ask for the commit by its id"), "{reason}");
}
