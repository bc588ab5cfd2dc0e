//! Requests and what is made of them.

use std::collections::BTreeSet;

use deploy_orchestrator::{
    Project, Settings,
    api::{Action, Plan, PlanRequest, ProjectHost},
    ci::Said,
    deploy::{About, Deploy},
    known::Known,
    plan::{self, Context},
    refused::{Kind, Refused},
    views::Scene,
};
use events::{
    HostName, RefName,
    message::{BuildResult, Built, Fetched, Held, Phase, Present, ProjectState, RefTip, Signed},
};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::support::{Story, at, commit, host, hosts, running};

pub(crate) struct Fleet {
    pub(crate) settings: Settings,
    known: Known,
    running: Vec<Deploy>,
    /// What is said of the grant that is checked.
    untested: bool,
    /// What web3 says of a rollback that a person made there.
    pub(crate) held: Option<Held>,
}

fn tip(name: &str, word: &str, committed_s: i64) -> RefTip {
    RefTip {
        name: name.parse::<RefName>().expect("a ref"),
        commit: commit(word),
        committed_s,
    }
}

/// Three hosts with v1 live and v0 before it; their mirrors hold v1, v2 and main.
pub(crate) fn fleet() -> Fleet {
    let mut project = Project::new(
        "shop".parse().expect("a repository"),
        "prod".parse().expect("an environment"),
    );
    project.hosts = hosts("web1 web2 web3").into_iter().collect();
    project.aliases = BTreeSet::from(["group/shop".parse().expect("a repository")]);
    let mut settings = Settings::default();
    settings
        .projects
        .insert("shop".parse().expect("a project"), project);
    settings.groups.insert(
        "front".parse().expect("a group"),
        hosts("web1 web2").into_iter().collect(),
    );
    let mut fleet = Fleet {
        settings,
        known: Known::default(),
        running: Vec::new(),
        untested: false,
        held: None,
    };
    for name in ["web1", "web2", "web3"] {
        fleet.present(name, true);
        fleet.fetched(
            name,
            &[
                ("refs/tags/v1", "v1", 100),
                ("refs/tags/v2", "v2", 200),
                ("refs/heads/main", "main", 300),
            ],
        );
    }
    fleet
}

impl Fleet {
    /// A host as the status shows it.
    pub(crate) fn shown(&self, name: &str) -> ProjectHost {
        let scene = Scene {
            settings: &self.settings,
            known: &self.known,
            now: at(0),
        };
        scene.project_host(&"shop".parse().expect("a project"), &host(name))
    }

    pub(crate) fn present(&mut self, name: &str, previous: bool) {
        self.says(name, previous, None);
    }

    /// Its last deploy failed, and putting it back failed too.
    pub(crate) fn breaks(&mut self, name: &str, deploy: Uuid) {
        self.says(name, true, Some(deploy));
    }

    fn says(&mut self, name: &str, previous: bool, broken: Option<Uuid>) {
        let state = ProjectState {
            project: "shop".parse().expect("a project"),
            live: Some(running("v1")),
            previous: previous.then(|| running("v0")),
            busy: None,
            stuck: broken.map(|_| "start: exit 1".to_owned()),
            broken,
            held: self.held.clone().filter(|_| name == "web3"),
            prepared: Vec::new(),
        };
        let present = Present {
            host: host(name),
            instance: Uuid::from_u128(1),
            version: "0.1.0".to_owned(),
            groups: Vec::new(),
            facts: events::Facts::default(),
            projects: vec![state],
        };
        self.known
            .present(present, at(0), at(0), SignedDuration::from_secs(90));
    }

    fn fetched(&mut self, name: &str, refs: &[(&str, &str, i64)]) {
        let refs: Vec<RefTip> = refs
            .iter()
            .map(|(name, word, time)| tip(name, word, *time))
            .collect();
        let refs_total = refs.len();
        let repository = "group/shop".parse().expect("a repository");
        self.known.fetched(
            Fetched {
                host: host(name),
                repository,
                refs,
                refs_total,
            },
            &self.settings,
        );
    }

    fn busy_with(&mut self, action: Action) {
        let mut story = Story::deploy("web1 web2 | web3");
        story.begin();
        let about = About {
            id: Uuid::from_u128(0xfeed),
            project: "shop".parse().expect("a project"),
            environment: "prod".parse().expect("an environment"),
            action,
            commit: None,
            tag: Some("v2".parse().expect("a tag")),
            undoes: None,
            broke_glass: None,
            reason: None,
            untested: false,
            by: vec!["ann".to_owned()],
            created: at(0),
            targets: hosts("web1"),
            grant: Signed {
                payload_type: String::new(),
                payload: String::new(),
                signatures: Vec::new(),
            },
            digest: String::new(),
        };
        let rollout = story.rollout;
        self.running.push(Deploy { about, rollout });
    }

    pub(crate) fn plan(&self, request: &PlanRequest) -> Result<Plan, Refused> {
        let running: Vec<&Deploy> = self.running.iter().collect();
        let scene = Scene {
            settings: &self.settings,
            known: &self.known,
            now: at(10),
        };
        plan::plan(
            request,
            &Context {
                scene,
                running: &running,
                new_id: Uuid::from_u128(5),
            },
        )
    }

    pub(crate) fn check(
        &self,
        grant: &orders::Grant,
        targets: &[HostName],
        seconds: i64,
    ) -> Result<(), Refused> {
        let running: Vec<&Deploy> = self.running.iter().collect();
        let scene = Scene {
            settings: &self.settings,
            known: &self.known,
            now: at(seconds),
        };
        plan::check(
            grant,
            targets,
            self.untested,
            &Context {
                scene,
                running: &running,
                new_id: grant.id,
            },
        )
    }

    fn refused(&self, request: &PlanRequest) -> (Kind, String, Vec<String>) {
        let refused = self.plan(request).expect_err("this cannot be planned");
        (refused.kind, refused.body.error, refused.body.exists)
    }
}

pub(crate) fn deploy(revision: &str) -> PlanRequest {
    PlanRequest {
        project: "shop".parse().expect("a project"),
        action: Action::Deploy,
        revision: Some(revision.to_owned()),
        on: None,
        untested: false,
        clear: false,
        reason: None,
    }
}

pub(crate) fn rollback() -> PlanRequest {
    PlanRequest {
        action: Action::Rollback,
        revision: None,
        ..deploy("")
    }
}

pub(crate) fn on(request: PlanRequest, names: &[&str]) -> PlanRequest {
    PlanRequest {
        on: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..request
    }
}

#[test]
fn a_tag_becomes_a_grant_for_its_commit_on_all_hosts() {
    let plan = fleet().plan(&deploy("v2")).expect("it can be planned");
    assert_eq!(plan.grant.commit, Some(commit("v2")));
    assert_eq!(plan.grant.tag.as_ref().map(|tag| tag.as_str()), Some("v2"));
    assert_eq!(plan.grant.targets, orders::targets_digest(&plan.targets));
    assert_eq!(plan.waves, [hosts("web1"), hosts("web2 web3")]);
    assert_eq!(plan.now[0].live, Some(running("v1")));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[test]
fn branches_and_unique_beginnings_of_commit_ids_are_revisions_too() {
    let fleet = fleet();
    let id = commit("v2").as_str().to_owned();
    let table = [
        ("main", "main", Some("main")),
        ("refs/heads/main", "main", Some("main")),
        (&id[..7], "v2", None),
        (id.as_str(), "v2", None),
        (&id.to_uppercase()[..9], "v2", None),
    ];
    for (revision, word, branch) in table {
        let plan = fleet.plan(&deploy(revision)).expect(revision);
        assert_eq!(plan.grant.commit, Some(commit(word)), "{revision}");
        assert_eq!(plan.grant.tag, None, "{revision} is no tag");
        let found = plan.grant.branch.as_ref().map(|branch| branch.as_str());
        assert_eq!(found, branch, "{revision}");
    }
}

#[test]
fn an_unknown_revision_is_named_with_what_exists() {
    let fleet = fleet();
    for revision in ["v9", "7632", "deadbeef"] {
        let (kind, error, exists) = fleet.refused(&deploy(revision));
        assert_eq!(kind, Kind::Unknown);
        assert_eq!(
            error,
            format!("{revision:?} is neither a tag, a branch nor a commit of shop that a host has")
        );
        assert_eq!(exists, ["v2", "v1", "main"]);
    }
}

#[test]
fn hostile_revisions_are_refused_when_parsed() {
    for revision in ["; rm -rf", "../x", "-x", "", "a b", "$(id)", "v1\n"] {
        let (kind, error, _) = fleet().refused(&deploy(revision));
        assert_eq!(kind, Kind::NotUnderstood, "{revision:?}: {error}");
        assert!(error.contains("tag or branch name"), "{error}");
    }
}

#[test]
fn a_tag_on_which_hosts_disagree_is_refused() {
    let mut fleet = fleet();
    fleet.fetched("web3", &[("refs/tags/v2", "other", 250)]);
    let (kind, error, _) = fleet.refused(&deploy("v2"));
    assert_eq!(kind, Kind::Impossible);
    let (one, other) = (commit("other"), commit("v2"));
    assert_eq!(
        error,
        format!(
            "tag v2 was moved: it is {} on web3, {} on web1, web2",
            one.short(),
            other.short()
        )
    );
}

#[test]
fn a_name_that_is_a_tag_and_another_branch_is_refused() {
    let mut fleet = fleet();
    fleet.fetched(
        "web1",
        &[
            ("refs/tags/main", "v1", 100),
            ("refs/heads/main", "main", 300),
        ],
    );
    let (kind, error, _) = fleet.refused(&deploy("main"));
    assert_eq!(kind, Kind::Impossible);
    assert!(error.starts_with("\"main\" is both a tag ("), "{error}");
    for (revision, word, tag) in [
        ("refs/tags/main", "v1", Some("main")),
        ("refs/heads/main", "main", None),
    ] {
        let plan = fleet.plan(&deploy(revision)).expect(revision);
        assert_eq!(plan.grant.commit, Some(commit(word)), "{revision}");
        let found = plan.grant.tag.as_ref().map(|tag| tag.as_str());
        assert_eq!(found, tag, "{revision}");
    }
}

#[test]
fn a_revision_that_some_hosts_lack_is_planned_with_a_note() {
    let mut fleet = fleet();
    fleet.fetched("web3", &[("refs/tags/v1", "v1", 100)]);
    let plan = fleet.plan(&deploy("v2")).expect("it can be planned");
    assert_eq!(
        plan.warnings,
        ["v2 has not reached web3 yet; they fetch it while they prepare"]
    );
    let plan = fleet
        .plan(&on(deploy("v2"), &["web1"]))
        .expect("it can be planned");
    assert!(plan.warnings.is_empty());
}

#[test]
fn hosts_and_groups_can_be_chosen() {
    let fleet = fleet();
    let plan = fleet
        .plan(&on(deploy("v2"), &["front"]))
        .expect("it can be planned");
    assert_eq!(plan.targets, hosts("web1 web2"));
    let (kind, error, exists) = fleet.refused(&on(deploy("v2"), &["web9"]));
    assert_eq!(
        (kind, error.as_str()),
        (
            Kind::Unknown,
            "\"web9\" is neither a host nor a group of this project"
        )
    );
    assert_eq!(exists, ["web1", "web2", "web3", "front"]);
    let (kind, ..) = fleet.refused(&on(deploy("v2"), &[]));
    assert_eq!(kind, Kind::NotUnderstood);
}

#[test]
fn an_unknown_project_is_named_with_those_that_exist() {
    let request = PlanRequest {
        project: "shopp".parse().expect("a project"),
        ..deploy("v1")
    };
    let (kind, error, exists) = fleet().refused(&request);
    assert_eq!(
        (kind, error.as_str()),
        (Kind::Unknown, "there is no project \"shopp\" here")
    );
    assert_eq!(exists, ["shop"]);
}

#[test]
fn a_deploy_needs_a_revision_and_a_rollback_takes_none() {
    let fleet = fleet();
    assert_eq!(
        fleet
            .refused(&PlanRequest {
                revision: None,
                ..deploy("")
            })
            .0,
        Kind::NotUnderstood
    );
    assert_eq!(
        fleet
            .refused(&PlanRequest {
                action: Action::Rollback,
                ..deploy("v1")
            })
            .0,
        Kind::NotUnderstood
    );
}

#[test]
fn a_rollback_goes_to_all_hosts_at_once() {
    let plan = fleet().plan(&rollback()).expect("it can be planned");
    assert_eq!(plan.waves, [hosts("web1 web2 web3")]);
    assert_eq!((plan.grant.commit, plan.grant.tag), (None, None));
}

#[test]
fn a_rollback_leaves_out_hosts_without_a_release_before_and_is_refused_without_any() {
    let mut fleet = fleet();
    fleet.present("web2", false);
    let plan = fleet.plan(&rollback()).expect("it can be planned");
    assert_eq!(plan.targets, hosts("web1 web3"));
    assert_eq!(
        plan.warnings,
        ["left out, since there is no release before: web2"]
    );
    let (kind, error, _) = fleet.refused(&on(rollback(), &["web2"]));
    assert_eq!(kind, Kind::Impossible);
    assert_eq!(
        error,
        "nothing to roll back: shop has no release before on web2; one that a rollback left is bad until it is deployed again"
    );
}

#[test]
fn a_busy_project_says_who_holds_it_and_since_when() {
    let mut fleet = fleet();
    fleet.busy_with(Action::Deploy);
    let refused = fleet.plan(&deploy("v1")).expect_err("it is busy");
    assert_eq!(refused.kind, Kind::Busy);
    assert_eq!(
        refused.body.error,
        "shop is busy since 08:00:00Z with shop v2, asked for by ann"
    );
    assert_eq!(
        refused.body.next.as_deref(),
        Some("deploykit show 0000feed")
    );
}

#[test]
fn a_rollback_waits_for_no_deploy_but_for_another_rollback() {
    let mut fleet = fleet();
    fleet.busy_with(Action::Deploy);
    let plan = fleet
        .plan(&rollback())
        .expect("a deploy does not stand in its way");
    assert_eq!(
        plan.warnings,
        [
            "this takes over from shop v2, which is under way, and undoes it; it is not live anywhere yet, so all are left \
          on what they have"
        ]
    );
    fleet.busy_with(Action::Rollback);
    assert_eq!(fleet.refused(&rollback()).0, Kind::Busy);
}

#[test]
fn a_rollback_while_a_deploy_is_under_way_undoes_that_one_and_says_so() {
    let mut fleet = fleet();
    fleet.busy_with(Action::Deploy);
    let mut story = Story::deploy("web1 web2 | web3");
    story.begin();
    story.all_prepared("web1 web2 web3");
    story.live("web1");
    story.accepts("web2", Phase::Activate);
    fleet.running[0].rollout = story.rollout;
    let plan = fleet.plan(&rollback()).expect("it can be planned");
    assert_eq!(plan.targets, hosts("web1 web2 web3"));
    assert_eq!(
        plan.warnings,
        [
            "this takes over from shop v2, which is under way, and undoes it on web1, web2; left on what they have, since \
          it is not live there: web3"
        ]
    );
    // Nobody comes to v0, which is the release before the one that is live so far.
    let becomes: Vec<_> = plan.now.iter().map(|host| host.previous.clone()).collect();
    assert_eq!(becomes, vec![Some(running("v1")); 3]);
}

#[test]
fn a_host_that_nobody_admitted_gets_nothing() {
    let mut fleet = fleet();
    let project: events::ProjectName = "shop".parse().expect("a project");
    let shop = fleet
        .settings
        .projects
        .get_mut(&project)
        .expect("it is there");
    shop.groups.insert("new".parse().expect("a group"));
    fleet
        .settings
        .groups
        .insert("new".parse().expect("a group"), BTreeSet::new());
    let present = Present {
        host: host("web4"),
        instance: Uuid::from_u128(4),
        version: "0.1.0".to_owned(),
        groups: vec!["new".parse().expect("a group")],
        facts: events::Facts::default(),
        projects: Vec::new(),
    };
    fleet
        .known
        .present(present, at(0), at(0), SignedDuration::from_secs(90));
    let plan = fleet.plan(&deploy("v2")).expect("the others can");
    assert_eq!(plan.targets, hosts("web1 web2 web3"));
    assert_eq!(
        plan.warnings,
        ["left out, since nobody admitted them yet: web4 (`deploykit hosts admit HOST`)"]
    );
    let refused = fleet
        .plan(&on(deploy("v2"), &["web4"]))
        .expect_err("it was named");
    assert_eq!(
        refused.body.next.as_deref(),
        Some("deploykit hosts admit web4")
    );
    fleet
        .known
        .hosts
        .get_mut(&host("web4"))
        .expect("it was heard")
        .admitted = true;
    let plan = fleet.plan(&deploy("v2")).expect("all can");
    assert_eq!(plan.targets, hosts("web1 web2 web3 web4"));
}

#[test]
fn hosts_that_were_not_heard_are_noted() {
    let mut fleet = fleet();
    fleet.known.hosts.remove(&host("web2"));
    fleet
        .known
        .hosts
        .get_mut(&host("web3"))
        .expect("it was heard")
        .seen = Some(at(-500));
    let plan = fleet.plan(&deploy("v1")).expect("it can be planned");
    assert_eq!(
        plan.warnings,
        ["agent never heard: web2", "agent not heard lately: web3"]
    );
}

#[test]
fn a_grant_is_checked_against_what_is_known_when_it_is_used() {
    let mut fleet = fleet();
    let plan = fleet.plan(&deploy("v2")).expect("it can be planned");
    assert_eq!(fleet.check(&plan.grant, &plan.targets, 20), Ok(()));
    let kind = |result: Result<(), Refused>| result.expect_err("it is refused").kind;
    assert_eq!(
        kind(fleet.check(&plan.grant, &hosts("web1"), 20)),
        Kind::NotUnderstood,
        "other targets"
    );
    assert_eq!(
        kind(fleet.check(&plan.grant, &[], 20)),
        Kind::NotUnderstood,
        "no targets"
    );
    assert_eq!(
        kind(fleet.check(&plan.grant, &plan.targets, 9)),
        Kind::Impossible,
        "too early"
    );
    assert_eq!(
        kind(fleet.check(&plan.grant, &plan.targets, 14_410)),
        Kind::Impossible,
        "too late"
    );
    let staging = orders::Grant {
        environment: "staging".parse().expect("an environment"),
        ..plan.grant.clone()
    };
    assert_eq!(
        kind(fleet.check(&staging, &plan.targets, 20)),
        Kind::Impossible,
        "another environment"
    );
    for name in ["web1", "web2", "web3"] {
        fleet.fetched(name, &[("refs/tags/v2", "moved", 400)]);
    }
    let moved = fleet
        .check(&plan.grant, &plan.targets, 20)
        .expect_err("the tag was moved");
    assert!(
        moved
            .body
            .error
            .starts_with("tag v2 was moved since the grant was signed"),
        "{moved}"
    );
    fleet.busy_with(Action::Deploy);
    let plan = fleet.plan(&rollback()).expect("it can be planned");
    assert_eq!(fleet.check(&plan.grant, &plan.targets, 20), Ok(()));
}

/// What CI said of the commit of this word.
fn built(fleet: &mut Fleet, word: &str, number: u64, said: Said) {
    let build = Built {
        repository: "shop".parse().expect("a repository"),
        name: None,
        commit: commit(word),
        project: None,
        job: "backend/shop".parse().expect("a job"),
        number,
        url: Some("https://ci.example.org/42/".parse().expect("an address")),
    };
    let ci = &mut fleet.known.ci;
    let jobs = fleet.settings.ci_jobs(&build.repository);
    ci.heard(&build.repository, &build, said, at(1), jobs);
}

/// The same fleet, deploying only what CI has found good: v1 is, v2 is not.
fn gated() -> Fleet {
    let mut fleet = fleet();
    for project in fleet.settings.projects.values_mut() {
        project.requires_ci = true;
    }
    built(&mut fleet, "v1", 41, Said::Succeeded);
    built(&mut fleet, "v2", 42, Said::Failed(BuildResult::Unstable));
    fleet
}

#[test]
fn a_commit_that_is_not_good_is_refused_with_the_reason_and_what_to_do() {
    let mut fleet = gated();
    fleet.plan(&deploy("v1")).expect("v1 is good");
    let id = commit("v2");
    let refused = fleet.plan(&deploy("v2")).expect_err("v2 is bad");
    assert_eq!(refused.kind, Kind::Impossible);
    assert_eq!(
        refused.to_string(),
        format!(
            "shop v2 is not to be deployed: CI found {} bad: backend/shop #42 tests failed (https://ci.example.org/42/)",
            id.short()
        )
    );
    assert_eq!(
        refused.body.next.as_deref(),
        Some(
            "deploykit ci shop v2; to go past CI: deploykit deploy shop v2 --untested --reason TEXT"
        )
    );
    let unknown = fleet.refused(&deploy("main")).1;
    assert!(unknown.contains("CI has said nothing of"), "{unknown}");
    // The commit counts, by whatever name it is asked for.
    let by_id = fleet.refused(&deploy(id.as_str())).1;
    assert!(by_id.contains("#42 tests failed"), "{by_id}");
    built(&mut fleet, "main", 43, Said::Started);
    let building = fleet.refused(&deploy("main")).1;
    assert!(building.contains("#43 has not ended"), "{building}");
    built(&mut fleet, "v2", 44, Said::Succeeded);
    fleet.plan(&deploy("v2")).expect("built again, it is good");
}

#[test]
fn a_project_that_does_not_ask_for_ci_deploys_what_ci_found_bad() {
    let mut fleet = fleet();
    built(&mut fleet, "v2", 42, Said::Failed(BuildResult::Failure));
    fleet.plan(&deploy("v2")).expect("nobody asks CI");
}

#[test]
fn a_deploy_past_ci_needs_a_reason_and_says_so_loudly() {
    let fleet = gated();
    let untested = |reason: Option<&str>| PlanRequest {
        untested: true,
        reason: reason.map(str::to_owned),
        ..deploy("v2")
    };
    for reason in [None, Some("  ")] {
        let (kind, error, _) = fleet.refused(&untested(reason));
        assert_eq!(kind, Kind::NotUnderstood);
        assert!(error.contains("needs a reason"), "{error}");
    }
    let plan = fleet.plan(&untested(Some("CI is down"))).expect("allowed");
    assert!(plan.untested);
    let warning = plan.warnings.join("\n");
    assert!(
        warning.contains("goes out UNTESTED: shop v2 is not"),
        "{warning}"
    );
}

#[test]
fn a_grant_that_comes_back_is_held_against_what_ci_says_by_then() {
    let mut fleet = gated();
    let plan = fleet.plan(&deploy("v1")).expect("v1 is good");
    fleet
        .check(&plan.grant, &plan.targets, 11)
        .expect("it still is");
    built(&mut fleet, "v1", 50, Said::Failed(BuildResult::Failure));
    let refused = fleet.check(&plan.grant, &plan.targets, 11);
    let refused = refused.expect_err("it is not any more").to_string();
    assert!(refused.contains("#50 failed"), "{refused}");
    fleet.untested = true;
    let without_reason = fleet.check(&plan.grant, &plan.targets, 11);
    without_reason.expect_err("a reason is needed here too");
    let mut grant = plan.grant;
    grant.reason = Some("CI is down".to_owned());
    fleet
        .check(&grant, &plan.targets, 11)
        .expect("past CI, with a reason");
}

#[test]
fn a_rollback_is_never_held_up_by_ci() {
    let mut fleet = gated();
    for word in ["v0", "v1"] {
        built(&mut fleet, word, 60, Said::Failed(BuildResult::Failure));
    }
    let plan = fleet.plan(&rollback()).expect("a rollback asks nobody");
    fleet
        .check(&plan.grant, &plan.targets, 11)
        .expect("nor later");
}
