//! Facts of this host: those of the settings, and those that a command such as `facter --json` tells, again and again.

use std::{collections::BTreeMap, time::Duration};

use chassis::causes;
use command::{Limits, Program};
use events::Facts;
use serde_json::Value;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{settings::Settings, tell::Presence};

/// The command ends within this.
const LIMIT: Duration = Duration::from_secs(30);
/// The most that it may write.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Says the facts at once and whenever the command tells others, until the stop.
pub async fn keep(
    world: &World,
    settings: &Settings,
    presence: &Presence,
    stop: &CancellationToken,
) {
    presence.facts(settings.facts.clone());
    let Some((program, args)) = settings.facts_command.split_first() else {
        return;
    };
    let program = Program::new(program).args(args.iter().cloned());
    let mut trouble = None;
    loop {
        let told = tokio::select! {
            told = ask(world, &program) => told,
            () = stop.cancelled() => return,
        };
        let all = told.and_then(|told| {
            settings
                .facts
                .over(&told)
                .map_err(|error| error.to_string())
        });
        match all {
            Ok(facts) => {
                trouble = None;
                presence.facts(facts);
            }
            // Those that it told before stay. Once, not each time.
            Err(why) if trouble.as_ref() != Some(&why) => {
                tracing::warn!(command = %program, why, "facts are not known anew");
                trouble = Some(why);
            }
            Err(_) => {}
        }
        tokio::select! {
            () = sleep(Duration::from_secs(settings.facts_s)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What the command tells.
///
/// # Errors
/// One sentence: how it failed, or why what it wrote is no facts.
pub async fn ask(world: &World, program: &Program) -> Result<Facts, String> {
    let limits = Limits {
        output_bytes: OUTPUT_BYTES,
        ..Limits::of(LIMIT)
    };
    let ran = world.processes.run(program, limits).await;
    let ran = ran.map_err(|error| causes(&error))?;
    if !ran.success() {
        return Err(format!("{}: {}", ran.ending(), ran.last_line()));
    }
    read(&ran.stdout)
}

/// Facts from what a command wrote: one flat object.
///
/// # Errors
/// One sentence.
pub fn read(text: &[u8]) -> Result<Facts, String> {
    if text.len() >= OUTPUT_BYTES {
        return Err(format!("it wrote more than {OUTPUT_BYTES} bytes"));
    }
    let values: BTreeMap<String, Value> = serde_json::from_slice(text)
        .map_err(|error| format!("what it wrote is no JSON object: {error}"))?;
    Facts::try_from(values).map_err(|error| error.to_string())
}
