//! `deploykit doctor`: what is missing or wrong on this machine, and what to do about it.

mod services;

use std::path::Path;

use serde::Serialize;
use world::World;

use crate::{
    cli,
    client::Client,
    failure::Failure,
    home::{Folders, Home},
    screen::{BAD, DIM, GOOD, paint, say, say_json},
    trust::{Trust, read_key},
};

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Fine.
    Ok,
    /// Not there (yet), which may be meant so.
    Note,
    /// Must be mended.
    Wrong,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, or what to do.
    pub detail: String,
}

impl Finding {
    fn of(what: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            verdict,
            detail: detail.into(),
        }
    }
}

/// Looks at everything and tells.
///
/// # Errors
/// [`Failure::Told`] when something is wrong.
pub async fn run(args: &cli::Doctor, folders: &Folders, world: &World) -> Result<(), Failure> {
    let default = [Path::new("/etc/deploykit"), &folders.config]
        .into_iter()
        .find(|folder| {
            let has_keys = folder.join("allowed_signers").exists();
            has_keys || !services::present(folder, world).is_empty()
        });
    let folder = args.dir.as_deref().or(default).unwrap_or(&folders.config);
    look_and_tell(folder, folders, args.json, Verdict::Wrong, world).await
}

/// See [`run`]; a broker that is not there is this verdict.
///
/// # Errors
/// [`Failure::Told`] when something is wrong.
pub async fn look_and_tell(
    folder: &Path,
    folders: &Folders,
    json: bool,
    away: Verdict,
    world: &World,
) -> Result<(), Failure> {
    let findings = look(folder, folders, away, world).await;
    if json {
        say_json(&findings);
    } else {
        findings.iter().for_each(tell);
    }
    let wrong = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Wrong)
        .count();
    if wrong == 0 {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

fn tell(finding: &Finding) {
    let mark = match finding.verdict {
        Verdict::Ok => paint(GOOD, "✓"),
        Verdict::Note => paint(DIM, "·"),
        Verdict::Wrong => paint(BAD, "✗"),
    };
    say(format!("{mark} {:<28} {}", finding.what, finding.detail));
}

async fn look(folder: &Path, folders: &Folders, away: Verdict, world: &World) -> Vec<Finding> {
    let mut findings = vec![git_version(world).await];
    findings.extend(keys(folder, world));
    let present = services::present(folder, world);
    let alone = present.is_empty();
    findings.extend(services::look(present, away, world).await);
    let home = Home::find(None, folders, &*world.disk)
        .or_else(|_| Home::find(Some(folder), folders, &*world.disk));
    if let Ok(home) = home {
        if alone {
            findings.push(broker(&home, away, world).await);
        }
        findings.push(orchestrator(&home).await);
    }
    findings
}

async fn git_version(world: &World) -> Finding {
    match git::Git::new(world).version().await {
        Ok(version) => Finding::of("git", Verdict::Ok, version.to_string()),
        Err(error) => Finding::of("git", Verdict::Wrong, chassis::causes(&error)),
    }
}

fn keys(folder: &Path, world: &World) -> Vec<Finding> {
    let trust = Trust::at(folder, None);
    if !trust.allowed_signers().exists() {
        return vec![Finding::of(
            "keys",
            Verdict::Note,
            format!(
                "none in {}: deploykit setup makes them",
                trust.folder.display()
            ),
        )];
    }
    let home = Home::find(
        Some(folder),
        &Folders {
            config: folder.into(),
            data: folder.into(),
        },
        &*world.disk,
    );
    let operator = home.map_or(trust.operator_key.clone(), |home| home.key_file);
    let mut findings = Vec::new();
    for (what, path) in [
        ("your key", operator),
        ("orchestrator's key", trust.orchestrator_key()),
        ("web page's key", trust.web_key()),
    ] {
        findings.push(key(what, &path, world));
    }
    findings.push(parsed(
        "allowed_signers",
        &trust.allowed_signers(),
        world,
        |text| {
            orders::Keyring::parse(text)
                .map(drop)
                .map_err(|e| e.to_string())
        },
    ));
    findings.push(parsed("policy", &trust.policy(), world, |text| {
        orders::Policy::parse(text)
            .map(drop)
            .map_err(|e| e.to_string())
    }));
    findings
}

fn key(what: &str, path: &Path, world: &World) -> Finding {
    if let Err(error) = read_key(path, &*world.disk) {
        return Finding::of(what, Verdict::Wrong, error.to_string());
    }
    match world.disk.look(path) {
        Ok(Some(entry)) if entry.mode & 0o077 != 0 => Finding::of(
            what,
            Verdict::Wrong,
            format!("others may read it: chmod 600 {}", path.display()),
        ),
        _ => Finding::of(what, Verdict::Ok, path.display().to_string()),
    }
}

fn parsed(
    what: &str,
    path: &Path,
    world: &World,
    parse: impl FnOnce(&str) -> Result<(), String>,
) -> Finding {
    let text = world
        .disk
        .read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match text
        .map_err(|error| error.to_string())
        .and_then(|text| parse(&text))
    {
        Ok(()) => Finding::of(what, Verdict::Ok, path.display().to_string()),
        Err(error) => Finding::of(what, Verdict::Wrong, format!("{}: {error}", path.display())),
    }
}

/// Where no service has settings: the broker that the command line knows of.
async fn broker(home: &Home, away: Verdict, world: &World) -> Finding {
    let Some(address) = &home.broker else {
        return Finding::of("broker", Verdict::Note, "no settings name one");
    };
    match world.net.connect(address).await {
        Ok(_) => Finding::of("broker", Verdict::Ok, format!("{address} answers")),
        Err(error) => Finding::of("broker", away, format!("{address}: {error}")),
    }
}

async fn orchestrator(home: &Home) -> Finding {
    let answer = match Client::new(home) {
        Ok(client) => {
            client
                .get::<deploy_orchestrator::api::Status>("/api/v1/status")
                .await
        }
        Err(error) => Err(error),
    };
    match answer {
        Ok(status) => Finding::of(
            "orchestrator",
            Verdict::Ok,
            format!(
                "{} projects, at {}",
                status.projects.len(),
                home.socket.display()
            ),
        ),
        Err(error) => Finding::of("orchestrator", Verdict::Note, error.to_string()),
    }
}
