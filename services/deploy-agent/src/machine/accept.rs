//! What an order becomes on this host, or why it is not accepted.

use std::collections::BTreeMap;

use events::{
    CommitId,
    message::{Phase, Step},
};
use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use super::{
    record::{Asked, Task},
    report::Whose,
    state::{Known, State, Stuck},
};

/// A time, for people.
const SINCE: &str = "%Y-%m-%d %H:%M:%S UTC";

/// What is on the disk: each complete release.
pub type Ground = BTreeMap<String, OnDisk>;

/// A complete release on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnDisk {
    /// True if it has a `refresh` script.
    pub refresh: bool,
    /// Why its scripts cannot be run as they were when it was prepared.
    pub missing: Option<String>,
}

/// Decides about a verified order that was not seen before.
///
/// # Errors
/// The reason for a refusal, for people.
pub fn accept(
    state: &State,
    asked: &Asked,
    ground: &Ground,
    whose: &Whose,
    now: Timestamp,
) -> Result<Task, String> {
    if let Some(order) = same(state, asked) {
        return Ok(Task::Same { order });
    }
    match asked.phase {
        Phase::Prepare => {
            unspent(state, asked)?;
            unbroken(state, asked, whose)?;
            prepare(state, asked, ground, now)
        }
        Phase::Activate => {
            unspent(state, asked)?;
            unbroken(state, asked, whose)?;
            activate(state, asked, ground)
        }
        Phase::Rollback => rollback(state, asked, ground),
        Phase::Abort => Ok(Task::Abort),
        Phase::Clear => clear(state, asked, whose),
    }
}

/// The folder name of a release that is made now: names sort by time.
#[must_use]
pub fn release_name(commit: &CommitId, now: Timestamp) -> String {
    let time = now
        .to_zoned(TimeZone::UTC)
        .strftime("%Y%m%dT%H%M%S.%3fZ")
        .to_string();
    format!("{time}-{}", commit.short())
}

/// An order of the same deploy to the same end. An orchestrator that heard no answer until its order expired makes a new one,
/// and a second one must not restart what runs, nor go back once more.
fn same(state: &State, asked: &Asked) -> Option<Uuid> {
    let again = |known: &&Known| {
        let carried_out = known.task.is_some() && known.asked.phase == asked.phase;
        carried_out && known.asked.deploy == asked.deploy
    };
    let first = state.orders.iter().find(again)?;
    match asked.phase {
        // What is prepared may be gone since; preparing finds out.
        Phase::Prepare if first.verdict.is_some() => None,
        Phase::Abort => None,
        Phase::Prepare | Phase::Activate | Phase::Rollback | Phase::Clear => {
            Some(first.asked.order)
        }
    }
}

/// A deploy is made live once, and not after it was aborted or taken back, however long its grant lasts.
fn unspent(state: &State, asked: &Asked) -> Result<(), String> {
    let deploy = asked.deploy;
    if state.undone.contains(&deploy) {
        return Err(format!(
            "deploy {deploy} was aborted or rolled back here: ask for a new one"
        ));
    }
    if asked.phase == Phase::Activate && state.activated.contains(&deploy) {
        return Err(format!("deploy {deploy} was carried out here before"));
    }
    Ok(())
}

/// A broken host takes no deploy, unless its grant says that it clears just that.
fn unbroken(state: &State, asked: &Asked, whose: &Whose) -> Result<(), String> {
    match &state.stuck {
        Some(stuck) if !clears(asked, stuck) => {
            let Whose { host, project } = whose;
            let since = stuck.since.strftime(SINCE);
            Err(format!(
                "broken since {since}, by deploy {}: {}; look at it, then deploykit clear {project} --on {host}",
                stuck.deploy, stuck.reason
            ))
        }
        _ => Ok(()),
    }
}

/// A grant clears what it names, as far as that was there to be seen when it was made.
fn clears(asked: &Asked, stuck: &Stuck) -> bool {
    let seen = asked.seen_until.is_none_or(|until| stuck.since <= until);
    seen && asked.clears.contains(&stuck.deploy)
}

/// What is to be cleared is what is there: something newer nobody has looked at.
fn clear(state: &State, asked: &Asked, whose: &Whose) -> Result<Task, String> {
    free(state)?;
    unbroken(state, asked, whose)?;
    Ok(Task::Clear)
}

fn free(state: &State) -> Result<(), String> {
    match state.current() {
        Some(job) => Err(busy(job)),
        None => Ok(()),
    }
}

/// Who holds the project, and since when.
fn busy(job: &Known) -> String {
    let Asked {
        phase, deploy, by, ..
    } = &job.asked;
    let by = if by.is_empty() {
        "nobody named".to_owned()
    } else {
        by.join(", ")
    };
    let since = job.since.strftime(SINCE);
    format!("busy since {since} with the {phase} of deploy {deploy}, ordered by {by}")
}

fn commit(asked: &Asked) -> Result<&CommitId, String> {
    let missing = || {
        format!(
            "an order to {} names a commit, this one does not",
            asked.phase
        )
    };
    asked.commit.as_ref().ok_or_else(missing)
}

/// A preparation takes the place of those of other deploys: the orchestrator has left them, or it would not have ordered this one.
fn free_to_prepare(state: &State, asked: &Asked) -> Result<(), String> {
    let holds = |known: &&Known| match known.task {
        Some(Task::Prepare { .. }) => known.asked.deploy == asked.deploy,
        Some(Task::Abort | Task::Clear | Task::Same { .. }) => false,
        Some(Task::Activate { .. } | Task::Rollback { .. }) | None => true,
    };
    match state.unfinished().find(holds) {
        Some(job) => Err(busy(job)),
        None => Ok(()),
    }
}

fn prepare(state: &State, asked: &Asked, ground: &Ground, now: Timestamp) -> Result<Task, String> {
    free_to_prepare(state, asked)?;
    let commit = commit(asked)?;
    if let Some(release) = state.prepared(commit)
        && ground
            .get(release)
            .is_some_and(|there| there.missing.is_none())
    {
        let release = release.to_owned();
        return Ok(Task::Prepare {
            release,
            ready: true,
        });
    }
    let mut made = now;
    let mut release = release_name(commit, made);
    let taken = |release: &String| {
        let under_way = |known: &Known| matches!(&known.task, Some(Task::Prepare { release: own, .. }) if own == release);
        ground.contains_key(release)
            || state.discard.contains(release)
            || state.unfinished().any(under_way)
    };
    while taken(&release) {
        made += jiff::SignedDuration::from_millis(1);
        release = release_name(commit, made);
    }
    Ok(Task::Prepare {
        release,
        ready: false,
    })
}

fn activate(state: &State, asked: &Asked, ground: &Ground) -> Result<Task, String> {
    free(state)?;
    let commit = commit(asked)?;
    let prepared = state
        .prepared(commit)
        .and_then(|release| ground.get_key_value(release));
    let Some((release, there)) = prepared else {
        return Err(format!("{} is not prepared here", commit.short()));
    };
    if !state.was_prepared_for(asked.deploy) {
        // Whoever leaves the preparation out leaves out what is looked at there: whether the name leads to the commit.
        let (short, deploy) = (commit.short(), asked.deploy);
        return Err(format!(
            "{short} is prepared here, but not for deploy {deploy}"
        ));
    }
    let live = state.live.as_ref().map(|live| &live.release);
    for release in [Some(release), live].into_iter().flatten() {
        whole(release, ground)?;
    }
    Ok(Task::Activate {
        release: release.clone(),
        refresh: there.refresh && state.live.is_some(),
    })
}

/// Scripts that went since a release was prepared are found before anything runs.
fn whole(release: &str, ground: &Ground) -> Result<(), String> {
    match ground.get(release).and_then(|there| there.missing.as_ref()) {
        Some(missing) => Err(format!("{missing}: put it back")),
        None => Ok(()),
    }
}

fn rollback(state: &State, asked: &Asked, ground: &Ground) -> Result<Task, String> {
    // The order itself is forgotten, or it would be the same.
    if !asked.undo && state.rollbacks.contains(&asked.deploy) {
        let deploy = asked.deploy;
        return Err(format!("rollback {deploy} was carried out here before"));
    }
    let rollback = |known: &&Known| matches!(known.task, Some(Task::Rollback { .. }));
    if let Some(other) = state.unfinished().find(rollback) {
        return Err(busy(other));
    }
    // A preparation that is being given up holds up nobody, nor does what is over in a moment.
    let holds = |job: &&Known| match job.task {
        Some(Task::Prepare { .. }) => job.cut.is_none(),
        Some(Task::Abort | Task::Clear | Task::Same { .. }) => false,
        Some(Task::Activate { .. } | Task::Rollback { .. }) | None => true,
    };
    let under_way = state.unfinished().find(holds);
    let undone = asked.undone();
    // Only a preparation of another deploy is ended by a person's rollback that is about one deploy.
    let gives_way = |job: &Known| !asked.undo && matches!(job.task, Some(Task::Prepare { .. }));
    match (under_way, undone) {
        (Some(job), Some(undone)) if job.asked.deploy != undone && !gives_way(job) => {
            Err(busy(job))
        }
        (_, Some(undone)) => undo(state, undone, ground),
        // A deploy that is going live is what is rolled back, whether it has come to its switch or not.
        (Some(job), None) if matches!(job.task, Some(Task::Activate { .. })) => Ok(back_from(job)),
        _ => release_before(state, ground),
    }
}

fn back_from(activation: &Known) -> Task {
    let leaves = match &activation.task {
        Some(Task::Activate { release, .. }) => Some(release.clone()),
        _ => None,
    };
    let to = activation.before.as_ref().map(|past| past.release.clone());
    Task::Rollback { to, leaves }
}

/// Takes back what one deploy did here; nothing, if that is not what is live.
fn undo(state: &State, deploy: Uuid, ground: &Ground) -> Result<Task, String> {
    let live = state.live.as_ref().map(|live| live.release.clone());
    // The same release may have become live by another deploy since.
    let by_it = |known: &Known| {
        let made = state.made_live().map(|made| made.asked.order);
        made == Some(known.asked.order) && state.release_of(known, Step::Start) == live
    };
    match state.activation(deploy) {
        Some(known) if known.verdict.is_none() => Ok(back_from(known)),
        Some(known) if by_it(known) => {
            if let Some(past) = &known.before {
                there(&past.release, ground)?;
            }
            Ok(back_from(known))
        }
        _ => Ok(Task::Rollback {
            to: live,
            leaves: None,
        }),
    }
}

/// A release that is gone back to is there, with its scripts.
fn there(release: &str, ground: &Ground) -> Result<(), String> {
    if !ground.contains_key(release) {
        return Err(format!(
            "the release before, {release}, is no longer on this host"
        ));
    }
    whole(release, ground)
}

fn release_before(state: &State, ground: &Ground) -> Result<Task, String> {
    let Some(live) = state.live.as_ref().map(|live| live.release.clone()) else {
        return Err("nothing is live, so there is nothing to go back from".to_owned());
    };
    match state.previous() {
        Some(past) => {
            there(&past.release, ground)?;
            Ok(Task::Rollback {
                to: Some(past.release.clone()),
                leaves: Some(live),
            })
        }
        None => Err(format!(
            "there is nothing to go back to: no release before {live} was live and good"
        )),
    }
}
