//! What is done on a host while it crashes: its repository, where it begins, and the orders that come.

use std::collections::BTreeMap;

use crash::sim::Image;
use events::{
    HostName,
    message::{Ordered, Phase},
};
use orders::Grant;
use testkit::{Origin, Trust};
use uuid::Uuid;

use crate::host::Host;

/// The only host.
pub(crate) const HOST: &str = "web1";

/// The versions: the check of `v3` fails, the start of `v4` does not end.
const VERSIONS: [&str; 5] = ["v0", "v1", "v2", "v3", "v4"];

/// The scripts of a release, and the order in which they run.
const SCRIPTS: [&str; 6] = [
    "build",
    "pre-deploy",
    "stop",
    "start",
    "check",
    "post-deploy",
];

/// What a deploy is to do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    /// The first release of a host.
    FirstDeploy,
    /// Another release; an old one is pruned after it.
    Deploy,
    /// A release whose check fails, so that the one before is put back.
    PutBack,
    /// Back to the release before.
    Rollback,
    /// Back, while a deploy is starting its release.
    Preempt,
}

/// Whether an order has been sent: the next one waits for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// The one before has its final report.
    Final,
    /// The start of `v4` runs, or the one before has its final report.
    Starting,
}

/// One order of a scene.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) id: Uuid,
    pub(crate) ordered: Ordered,
    pub(crate) when: Until,
}

impl Scene {
    /// The versions that were deployed before, oldest first.
    pub(crate) fn before(self) -> &'static [&'static str] {
        match self {
            Self::FirstDeploy => &[],
            Self::Deploy | Self::PutBack | Self::Rollback | Self::Preempt => &["v0", "v1"],
        }
    }

    /// What is deployed; `None`: only a rollback.
    pub(crate) fn deploys(self) -> Option<&'static str> {
        match self {
            Self::FirstDeploy | Self::Deploy => Some("v2"),
            Self::PutBack => Some("v3"),
            Self::Preempt => Some("v4"),
            Self::Rollback => None,
        }
    }

    /// What is live at the end, if no script was interrupted.
    pub(crate) fn ends_on(self) -> Option<&'static str> {
        match self {
            Self::FirstDeploy | Self::Deploy => Some("v2"),
            Self::PutBack | Self::Preempt => Some("v1"),
            Self::Rollback => Some("v0"),
        }
    }
}

/// A repository with all versions, and the keys of those who deploy them.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) origin: Origin,
    pub(crate) trust: Trust,
    /// What each version consists of.
    pub(crate) trees: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let origin = Origin::new();
        let mut trees = BTreeMap::new();
        for tag in VERSIONS {
            let tree = tree(tag);
            let files: Vec<(&str, &str)> = tree
                .iter()
                .map(|(path, text)| (path.as_str(), text.as_str()))
                .collect();
            origin.commit(&files).tag(tag);
            trees.insert(tag, tree);
        }
        Self {
            origin,
            trust: Trust::default(),
            trees,
        }
    }

    /// The orders of a deploy, or of a rollback; `sequence` is the last one so far.
    pub(crate) fn orders(&self, scene: Scene, mut sequence: u64) -> Vec<Sent> {
        let mut sent = Vec::new();
        if let Some(tag) = scene.deploys() {
            let grant = self.grant(Some(tag));
            for phase in [Phase::Prepare, Phase::Activate] {
                sequence += 1;
                sent.push(self.order(&grant, phase, sequence, Until::Final));
            }
        }
        if matches!(scene, Scene::Rollback | Scene::Preempt) {
            let grant = self.grant(None);
            sequence += 1;
            sent.push(self.order(&grant, Phase::Rollback, sequence, Until::Starting));
        }
        sent
    }

    /// The orders that bring a host to where a scene begins.
    pub(crate) fn orders_before(&self, scene: Scene) -> Vec<Sent> {
        let mut sequence = 0;
        let mut sent = Vec::new();
        for tag in scene.before() {
            let grant = self.grant(Some(tag));
            for phase in [Phase::Prepare, Phase::Activate] {
                sequence += 1;
                sent.push(self.order(&grant, phase, sequence, Until::Final));
            }
        }
        sent
    }

    /// The disk of a host where a scene begins, and the orders that come then.
    pub(crate) async fn begin(&self, scene: Scene) -> (Image, Vec<Sent>) {
        let (host, before) = (Host::new(self), self.orders_before(scene));
        if !before.is_empty() {
            host.play(&before).await;
        }
        let sequence = before.len() as u64;
        (host.image(), self.orders(scene, sequence))
    }

    fn grant(&self, tag: Option<&str>) -> Grant {
        let commit = tag.map(|tag| self.origin.commit_of(tag));
        let version = tag.zip(commit.as_ref());
        self.trust.grant(version, &targets())
    }

    fn order(&self, grant: &Grant, phase: Phase, sequence: u64, when: Until) -> Sent {
        let targets = targets();
        let (id, ordered) = self
            .trust
            .order(grant, phase, &targets[0], &targets, sequence);
        Sent { id, ordered, when }
    }
}

fn targets() -> Vec<HostName> {
    vec![HOST.parse().expect("a host")]
}

/// Each script says in the ledger when it begins and when it ends; the ledger is no part of the disk that crashes.
fn tree(tag: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([
        ("name".to_owned(), format!("{tag}\n")),
        ("lib/code".to_owned(), format!("code of {tag}\n").repeat(20)),
    ]);
    for script in SCRIPTS {
        let body = match (tag, script) {
            (_, "build") => "echo built > built",
            ("v3", "check") => "echo bad >> \"$LEDGER\"; exit 1",
            // waits to be ended by an order, at most 60 s
            ("v4", "start") => "for i in $(seq 3000); do sleep 0.02; done",
            _ => "true",
        };
        let text = format!(
            "#!/bin/sh\nLEDGER=\"$DEPLOYKIT_BASE/../../ledger\"\n\
             says() {{ echo \"$1 $DEPLOYKIT_ORDER $DEPLOYKIT_STEP\" >> \"$LEDGER\"; }}\n\
             says begin\n{body}\nsays end\n"
        );
        files.insert(format!(".deploy/{script}"), text);
    }
    files
}
