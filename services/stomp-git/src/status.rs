//! `stomp-git status`: how it stands with each repository, from the settings and what is on the disk. Needs neither the bus nor
//! the service, and no right but to read.

use std::{collections::BTreeMap, ffi::OsString, fmt::Write, path::PathBuf, process::ExitCode};

use chassis::settings::load;
use clap::Parser;
use events::{CommitId, RepoName};
use git::Origin;
use serde::Serialize;
use world::{Disk, World};

use crate::{
    checkouts::{Checkouts, Ground},
    kept::Kept,
    settings::{Mode, Settings},
};

/// The arguments of `stomp-git status`.
#[derive(Debug, Parser)]
#[command(
    name = "stomp-git status",
    about = "How it stands with each repository of this host. Exits with 1 if something is wrong with one",
    after_help = "Example:\n  stomp-git status --json | jq '.[] | select(.failures > 0)'"
)]
struct Asked {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    /// Settings file [default: /etc/deploykit/stomp-git.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its name.
    pub repository: RepoName,
    /// What is kept of it.
    pub mode: Mode,
    /// Where it comes from.
    pub origin: Origin,
    /// What was noted at the last look.
    #[serde(flatten)]
    pub kept: Kept,
    /// Where its folders are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Its folders and what they hold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub folders: BTreeMap<String, CommitId>,
}

impl Standing {
    /// True if nobody has to do anything.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let told = &self.kept.told;
        let looked = self.kept.fetched_s.is_some() && self.kept.failures == 0;
        looked && told.moved_tags.is_empty() && told.troubles.is_empty()
    }
}

/// Runs it with these arguments; the first is its name.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is for a person or a program that asked"
)]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let asked = match Asked::try_parse_from(args) {
        Ok(asked) => asked,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let world = World::real();
    let variable = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let variables = std::env::vars_os().filter_map(variable).collect();
    let loaded = load::<Settings>(
        &*world.disk,
        "stomp-git",
        asked.config.as_deref(),
        &variables,
    );
    let settings = match loaded {
        Ok((_, settings)) => settings,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(chassis::EXIT_SETTINGS);
        }
    };
    let standings = match standings(&settings, &*world.disk) {
        Ok(standings) => standings,
        Err(error) => {
            eprintln!("{error}: ask as root, or as the user of stomp-git");
            return ExitCode::FAILURE;
        }
    };
    if asked.json {
        let json = serde_json::to_string_pretty(&standings);
        println!("{}", json.expect("a standing is plain JSON"));
    } else {
        print!("{}", shown(&standings, world.clock.now().as_second()));
    }
    match standings.iter().all(Standing::is_good) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// How it stands with each repository of the settings.
///
/// # Errors
/// One sentence that names the path.
pub fn standings(settings: &Settings, disk: &dyn Disk) -> Result<Vec<Standing>, String> {
    let one = |(name, repository): (&RepoName, &crate::settings::Repository)| {
        let file = crate::kept::file(&settings.base, name);
        let kept = Kept::read(disk, &settings.base, name);
        let kept = kept.map_err(|error| format!("{}: {error}", file.display()))?;
        let checkouts = Checkouts::of(repository, settings.keep_s);
        let mut folders = BTreeMap::new();
        if let Some(checkouts) = &checkouts {
            let links = checkouts.place.links();
            let ground = Ground::read(disk, &checkouts.place);
            let ground = ground.map_err(|error| format!("{}: {error}", links.display()))?;
            let ours = ground.ours().into_iter();
            folders.extend(ours.map(|(name, commit)| (name.to_owned(), commit.clone())));
        }
        Ok(Standing {
            repository: name.clone(),
            mode: repository.mode,
            origin: repository.origin.clone(),
            kept,
            folder: repository.folder.clone(),
            folders,
        })
    };
    settings.repositories.iter().map(one).collect()
}

/// As text for a person.
#[must_use]
pub fn shown(standings: &[Standing], now_s: i64) -> String {
    let mut text = String::new();
    for standing in standings {
        // A text takes everything.
        let _always = show(&mut text, standing, now_s);
    }
    if standings.is_empty() {
        text.push_str("no [repositories.NAME] is set\n");
    }
    text
}

fn show(text: &mut String, standing: &Standing, now_s: i64) -> std::fmt::Result {
    let Standing {
        repository,
        mode,
        origin,
        kept,
        folder,
        folders,
    } = standing;
    write!(text, "{repository}: {mode} of {origin}")?;
    match folder {
        Some(folder) => writeln!(text, " in {}", folder.display())?,
        None => writeln!(text)?,
    }
    match kept.fetched_s {
        Some(then) => writeln!(
            text,
            "  fetched {} ago: {} branches, {} tags",
            age(now_s - then),
            kept.branches,
            kept.tags
        )?,
        None => writeln!(text, "  not fetched yet")?,
    }
    if let Some(cause) = kept.told.cause.as_ref().filter(|_| kept.failures > 0) {
        let tried = kept.tried_s.map_or_else(String::new, |then| {
            format!(", the last {} ago", age(now_s - then))
        });
        writeln!(
            text,
            "  {} tries have failed{tried}: {cause}",
            kept.failures
        )?;
    }
    for (name, commit) in folders {
        writeln!(text, "  {name} at {}", commit.short())?;
    }
    for waits in &kept.told.waiting {
        let (name, commit) = (&waits.name, waits.commit.short());
        writeln!(text, "  {name} waits at {commit}: {}", waits.why())?;
    }
    for trouble in &kept.told.troubles {
        writeln!(text, "  trouble: {trouble}")?;
    }
    for tag in &kept.told.moved_tags {
        let (name, here) = (&tag.name, tag.here.short());
        writeln!(text, "  {name} was moved at its origin and stays at {here}")?;
    }
    Ok(())
}

/// `12 s`, `5 min`, `3 h`, `2 days`
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
