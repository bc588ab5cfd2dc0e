//! A broker that repeats, reorders, holds back, forges, misroutes and cuts off orders achieves nothing but delay.
//!
//! The test decides what the agent is brought, as a broker could, and in which order. What became live and which scripts ran is compared
//! with a model of a few lines, which knows nothing of signatures: only what was honestly ordered counts, each once, none after a newer one.

use std::{collections::BTreeSet, fmt::Write, fs};

use events::message::{Ordered, Phase};
use jiff::SignedDuration;
use orders::{Grant, Key};
use uuid::Uuid;

use crate::rig::{Rig, id_of};

/// The honest orders of one deploy, in the order in which they were signed.
const LETTERS: [Phase; 3] = [Phase::Prepare, Phase::Activate, Phase::Rollback];

/// One project on the host, to which some of its honest orders are brought in some order.
struct Case {
    project: String,
    letters: Vec<usize>,
    honest: Vec<Ordered>,
    model: Model,
}

/// What honest orders come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Model {
    newest: Option<usize>,
    prepared: bool,
    live: bool,
    ran: Vec<&'static str>,
}

impl Model {
    /// Brought another honest order: repeated or overtaken, it does nothing.
    fn brought(&mut self, letter: usize) {
        if self.newest.is_some_and(|newest| letter <= newest) {
            return;
        }
        self.newest = Some(letter);
        match LETTERS[letter] {
            Phase::Prepare => {
                self.prepared = true;
                self.ran.push("build v1");
            }
            Phase::Activate if self.prepared => {
                self.live = true;
                self.ran.extend(["start v1", "check v1"]);
            }
            Phase::Rollback if self.live => {
                self.live = false;
                self.ran.push("stop v1");
            }
            _ => {}
        }
    }
}

/// All sequences of at most `length` of the three letters.
fn sequences(length: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..length {
        let until = all.len();
        for at in from..until {
            for letter in 0..LETTERS.len() {
                let mut longer = all[at].clone();
                longer.push(letter);
                all.push(longer);
            }
        }
        from = until;
    }
    all
}

impl Rig {
    /// Everything that a broker could make of what it has seen, of an order to activate: none of it was ordered.
    fn forgeries(&mut self, grant: &Grant, phase: Phase) -> Vec<Ordered> {
        let stranger = Key::generate(&[9; 32], "stranger");
        let mut all = Vec::new();
        // A signature of somebody else; one of another document; none.
        let mut forged = self.order(grant, phase);
        forged.order.signatures.clear();
        orders::add_signature::<orders::Order>(&mut forged.order, &stranger).expect("signed");
        all.push(forged);
        let mut forged = self.order(grant, phase);
        forged.order.signatures = forged.grant.signatures.clone();
        all.push(forged);
        let mut forged = self.order(grant, phase);
        forged.order.signatures.clear();
        all.push(forged);
        // For another host, here; for another project, under this one's name; for another environment.
        let mut misrouted = self.order_to("web2", grant, phase);
        all.push(misrouted.clone());
        misrouted.host = "web1".parse().expect("a host");
        all.push(misrouted);
        let other = Grant {
            id: self.grant(None).id,
            project: "blog".parse().expect("a project"),
            ..grant.clone()
        };
        let mut misrouted = self.order(&other, phase);
        misrouted.project = grant.project.clone();
        all.push(misrouted);
        let staging = Grant {
            environment: "staging".parse().expect("an environment"),
            ..grant.clone()
        };
        all.push(self.order(&staging, phase));
        // The grant of another order; the list of hosts changed; the phase on the outside changed.
        let mut mixed = self.order(grant, phase);
        mixed.grant = self.order(&other, phase).grant;
        all.push(mixed);
        let mut widened = self.order(grant, phase);
        widened.targets.push("web3".parse().expect("a host"));
        all.push(widened);
        let mut turned = self.order(grant, phase);
        turned.phase = Phase::Abort;
        all.push(turned);
        all
    }

    /// Waits until a project has answered every order that was brought so far.
    async fn until_answered(&mut self, orders: &BTreeSet<Uuid>) {
        for order in orders {
            self.answer(*order).await;
        }
    }

    fn found(&self, project: &str) -> (Option<String>, Vec<String>) {
        let folder = self.path("base").join(project);
        let live = fs::read_to_string(folder.join("live/name")).ok();
        let ran = fs::read_to_string(folder.join("shared/ran")).unwrap_or_default();
        (live, ran.lines().map(str::to_owned).collect())
    }

    fn compare(&self, cases: &[Case], after: &str) {
        for case in cases {
            let expected = (
                case.model.live.then(|| "v1".to_owned()),
                case.model.ran.iter().map(|ran| (*ran).to_owned()).collect(),
            );
            let found = self.found(&case.project);
            assert_eq!(found, expected, "{after}: {:?}", case.letters);
        }
    }
}

/// The same numbers for the same seed.
fn shuffled<T>(things: &mut [T], seed: &mut u64) {
    for at in (1..things.len()).rev() {
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(*seed >> 33).expect("31 bits") % (at + 1);
        things.swap(at, other);
    }
}

/// So many projects on the host, all of one repository.
fn give_projects(rig: &mut Rig, count: usize) {
    let policy = fs::read_to_string(rig.path("policy.toml")).expect("read");
    let policy = policy.replace("project = 'shop'", "project = '*'");
    fs::write(rig.path("policy.toml"), policy).expect("written");
    let origin = rig.path("repository").display().to_string();
    for number in 0..count {
        write!(
            rig.settings,
            "[projects.p{number}]\nrepository = 'shop'\nenvironment = 'prod'\norigin = '{origin}'\ncheck_pause_s = 0\n"
        )
        .expect("text");
    }
}

#[tokio::test]
async fn a_hostile_broker_achieves_nothing_but_delay() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    let sequences = sequences(3);
    give_projects(&mut rig, sequences.len());
    rig.run_agent().await;
    let mut cases = Vec::new();
    for (number, letters) in sequences.into_iter().enumerate() {
        let project = format!("p{number}");
        let grant = Grant {
            project: project.parse().expect("a project"),
            ..rig.grant(Some(("v1", &v1)))
        };
        let honest = LETTERS.map(|phase| rig.order(&grant, phase)).to_vec();
        cases.push((
            grant,
            Case {
                project,
                letters,
                honest,
                model: Model::default(),
            },
        ));
    }
    let mut brought: Vec<Vec<u8>> = Vec::new();
    let mut answers = BTreeSet::new();
    for round in 0..3 {
        for (number, (grant, case)) in cases.iter_mut().enumerate() {
            let Some(&letter) = case.letters.get(round) else {
                continue;
            };
            let kind = LETTERS[(number + round) % LETTERS.len()];
            for forged in &rig.forgeries(grant, kind) {
                rig.send(forged).await;
                brought.push(rig.sealed(forged));
            }
            let honest = &case.honest[letter];
            let whole = rig.sealed(honest);
            for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
                rig.bring(whole[..cut].to_vec()).await;
            }
            rig.bring(whole.clone()).await;
            rig.bring(whole.clone()).await;
            brought.push(whole);
            case.model.brought(letter);
            answers.insert(id_of(honest));
        }
        rig.until_answered(&answers).await;
    }
    let (grants, cases): (Vec<Grant>, Vec<Case>) = cases.into_iter().unzip();
    rig.compare(&cases, "each order twice, among forgeries");
    // All of it again, in any order, to an agent that was killed.
    let mut seed = 7;
    for again in 0..2 {
        rig.kill();
        rig.run_agent().await;
        shuffled(&mut brought, &mut seed);
        for bytes in &brought {
            rig.bring(bytes.clone()).await;
        }
        // What comes last is answered last.
        let mut last = BTreeSet::new();
        for grant in &grants {
            let grant = Grant {
                id: rig.grant(None).id,
                ..grant.clone()
            };
            let ordered = rig.order(&grant, Phase::Abort);
            rig.send(&ordered).await;
            last.insert(id_of(&ordered));
        }
        rig.until_answered(&last).await;
        rig.compare(&cases, &format!("all again, shuffled, {again}"));
    }
    late_and_fresh(&mut rig, &grants, &cases).await;
}

async fn late_and_fresh(rig: &mut Rig, grants: &[Grant], cases: &[Case]) {
    // And what is late: honest, but of an hour ago.
    let hour_ago = grants[0].not_before - SignedDuration::from_hours(1);
    let late = rig.order_made("web1", &grants[0], Phase::Prepare, hour_ago);
    rig.send(&late).await;
    rig.answer(id_of(&late)).await;
    rig.compare(cases, "an hour late");
    // A new honest order is carried out, as ever.
    for (grant, case) in grants.iter().zip(cases).take(4) {
        let fresh = Grant {
            id: rig.grant(None).id,
            ..grant.clone()
        };
        rig.carry_out(&fresh, Phase::Prepare).await;
        rig.carry_out(&fresh, Phase::Activate).await;
        assert_eq!(rig.found(&case.project).0.as_deref(), Some("v1"));
    }
}
