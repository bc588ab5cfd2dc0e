//! `deploykit doctor`: what is missing or wrong on this machine, and what to do about it.

use std::{path::Path, time::Duration};

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

/// The broker must accept a connection within this time.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
        .find(|folder| folder.join("allowed_signers").exists());
    let folder = args.dir.as_deref().or(default).unwrap_or(&folders.config);
    look_and_tell(folder, folders, args.json, world).await
}

/// See [`run`].
///
/// # Errors
/// [`Failure::Told`] when something is wrong.
pub async fn look_and_tell(
    folder: &Path,
    folders: &Folders,
    json: bool,
    world: &World,
) -> Result<(), Failure> {
    let findings = look(folder, folders, world).await;
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
    say(format!("{mark} {:<22} {}", finding.what, finding.detail));
}

async fn look(folder: &Path, folders: &Folders, world: &World) -> Vec<Finding> {
    let mut findings = vec![git_version(world).await];
    findings.extend(keys(folder, world));
    findings.extend(settings(folder, world));
    let home = Home::find(None, folders, &*world.disk)
        .or_else(|_| Home::find(Some(folder), folders, &*world.disk));
    if let Ok(home) = home {
        findings.push(broker(folder, &home, world).await);
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

/// Each service's settings, read by the service's own code.
fn settings(folder: &Path, world: &World) -> Vec<Finding> {
    fn one<S: chassis::Settings>(
        service: &'static str,
        folder: &Path,
        world: &World,
    ) -> Option<Finding> {
        let file = folder.join(format!("{service}.toml"));
        let drop_ins = folder.join(format!("{service}.d"));
        if !file.exists() {
            return None;
        }
        Some(
            match chassis::settings::load::<S>(
                &*world.disk,
                service,
                Some(&file),
                &std::collections::BTreeMap::new(),
            ) {
                Ok(_) => Finding::of(
                    service,
                    Verdict::Ok,
                    format!("{} and {}", file.display(), drop_ins.display()),
                ),
                Err(error) => Finding::of(service, Verdict::Wrong, error.to_string()),
            },
        )
    }
    [
        one::<deploy_orchestrator::Settings>("deploy-orchestrator", folder, world),
        one::<deploy_agent::Settings>("deploy-agent", folder, world),
        one::<github_stomp::Settings>("github-stomp", folder, world),
        one::<stomp_git::Settings>("stomp-git", folder, world),
        one::<stomp_repo::Settings>("stomp-repo", folder, world),
        one::<stomp_keepalive::Settings>("stomp-keepalive", folder, world),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Logs in as the orchestrator would; without its settings, only looks whether anybody is there.
async fn broker(folder: &Path, home: &Home, world: &World) -> Finding {
    let settings = folder.join("deploy-orchestrator.toml");
    let environment = std::collections::BTreeMap::new();
    let loaded = chassis::settings::load::<deploy_orchestrator::Settings>(
        &*world.disk,
        "deploy-orchestrator",
        Some(&settings),
        &environment,
    );
    let bus = loaded.map(|(common, _)| common.bus).unwrap_or_default();
    let Some(address) = bus.brokers.first().or(home.broker.as_ref()) else {
        return Finding::of("broker", Verdict::Note, "no settings name one");
    };
    match tokio::time::timeout(CONNECT_LIMIT, log_in(&bus, address, world)).await {
        Ok(Ok(server)) => Finding::of("broker", Verdict::Ok, format!("{address}: {server}")),
        Ok(Err(error)) => Finding::of("broker", Verdict::Note, format!("{address}: {error}")),
        Err(_) => Finding::of(
            "broker",
            Verdict::Note,
            format!(
                "{address} does not answer within {} s",
                CONNECT_LIMIT.as_secs()
            ),
        ),
    }
}

/// Says which broker it is.
async fn log_in(
    bus: &chassis::BusSettings,
    address: &str,
    world: &World,
) -> Result<String, String> {
    match chassis::bus::reach(bus, address, "deploykit-doctor", world).await {
        Ok(server) => Ok(format!("{server}, login accepted")),
        Err(error) if error.starts_with("Connection refused") => {
            Err(format!("{error}: for a first try, deploykit broker"))
        }
        Err(error) => Err(error),
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
