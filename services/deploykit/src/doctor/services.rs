//! What each service on this machine needs: settings that can be used, a broker that lets it in, a spool that can be written.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::{BusSettings, Settings, bus::reach};
use futures_util::future::join_all;
use tokio::time::timeout;
use world::{Disk, Kind, World};

use super::{Finding, Verdict};
use crate::{announce, on};

/// A broker must answer within this time, TLS and login included.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where the services themselves look.
const INSTALLED: &str = "/etc/deploykit";

/// A service of which there are settings.
pub(super) struct Present {
    service: &'static str,
    files: String,
    needs: Result<Needs, String>,
}

struct Needs {
    bus: BusSettings,
    spool: Option<PathBuf>,
}

/// All services of which the folder has settings, each read by the service's own code.
pub(super) fn present(folder: &Path, world: &World) -> Vec<Present> {
    let at = (folder, &*world.disk);
    let found = [
        one::<deploy_orchestrator::Settings>("deploy-orchestrator", at, |_| None),
        one::<deploy_agent::Settings>("deploy-agent", at, |_| None),
        one::<github_stomp::Settings>("github-stomp", at, |own| {
            Some(own.outbox.folder_or(github_stomp::OUTBOX))
        }),
        one::<jenkins_helper::Settings>("jenkins-helper", at, |own| {
            Some(own.outbox.folder_or(jenkins_helper::settings::SPOOL))
        }),
        one::<announce::Deliver>(announce::NAME, at, |own| {
            Some(own.outbox.folder_or(announce::SPOOL))
        }),
        one::<on::OnSettings>("on", at, |_| None),
        one::<stomp_bridge::Settings>("stomp-bridge", at, |_| None),
        one::<stomp_git::Settings>("stomp-git", at, |_| None),
        one::<stomp_jenkins::Settings>("stomp-jenkins", at, |own| Some(own.outbox_folder())),
        one::<stomp_repo::Settings>("stomp-repo", at, |_| None),
        one::<stomp_keepalive::Settings>("stomp-keepalive", at, |_| None),
    ];
    found.into_iter().flatten().collect()
}

fn one<S: Settings>(
    service: &'static str,
    (folder, disk): (&Path, &dyn Disk),
    spool: impl FnOnce(&S) -> Option<PathBuf>,
) -> Option<Present> {
    let file = folder.join(format!("{service}.toml"));
    let drop_ins = folder.join(format!("{service}.d"));
    if ![&file, &drop_ins].iter().any(|path| path.exists()) {
        return None;
    }
    // Where services look by themselves, drop-ins alone will do.
    let config = (folder != Path::new(INSTALLED)).then_some(file.as_path());
    let loaded = chassis::settings::load::<S>(disk, service, config, &BTreeMap::new());
    Some(Present {
        service,
        files: format!("{} and {}", file.display(), drop_ins.display()),
        needs: match loaded {
            Ok((common, own)) => Ok(Needs {
                bus: common.bus,
                spool: spool(&own),
            }),
            Err(error) => Err(error.to_string()),
        },
    })
}

/// Looks at them, all at once. A broker that is not there is this verdict.
pub(super) async fn look(present: Vec<Present>, away: Verdict, world: &World) -> Vec<Finding> {
    let looked = present.into_iter().map(|it| async move {
        let Present {
            service,
            files,
            needs,
        } = it;
        match needs {
            Err(error) => vec![Finding::of(service, Verdict::Wrong, error)],
            Ok(needs) => {
                let mut findings = vec![Finding::of(service, Verdict::Ok, &files)];
                findings.push(broker(service, &files, &needs.bus, away, world).await);
                findings.extend(
                    needs
                        .spool
                        .map(|spool| writable(service, &spool, &*world.disk)),
                );
                findings
            }
        }
    });
    join_all(looked).await.into_iter().flatten().collect()
}

/// Logs in to each broker as the service would.
pub(super) async fn broker(
    service: &str,
    files: &str,
    bus: &BusSettings,
    away: Verdict,
    world: &World,
) -> Finding {
    let tries = bus.brokers.iter().map(|address| async move {
        let answer = timeout(CONNECT_LIMIT, log_in(bus, address, world)).await;
        answer.unwrap_or_else(|_| {
            let limit = CONNECT_LIMIT.as_secs();
            Err(Trouble::Away(format!("{address} does not answer within {limit} s: is it the right address, does a firewall drop it?")))
        })
    });
    let answers = join_all(tries).await;
    let one_is_there = answers.iter().any(Result::is_ok);
    let (mut verdict, mut details) = (Verdict::Ok, Vec::new());
    for answer in answers {
        match answer {
            Ok(detail) => details.push(detail),
            // With another broker at hand, one that is away is no trouble yet.
            Err(Trouble::Away(detail)) => {
                verdict = verdict.max(if one_is_there { Verdict::Note } else { away });
                details.push(detail);
            }
            Err(Trouble::NotLetIn(detail)) => {
                verdict = Verdict::Wrong;
                details.push(detail);
            }
        }
    }
    let mut detail = details.join("; ");
    if verdict == Verdict::Wrong {
        detail = format!("{detail} ([bus] in {files})");
    }
    Finding::of(format!("{service}'s broker"), verdict, detail)
}

/// Why there is no connection, with the next step.
enum Trouble {
    /// Nobody answers.
    Away(String),
    /// It answers, and something in the settings or at the broker has to be mended.
    NotLetIn(String),
}

/// Says which broker it is.
async fn log_in(bus: &BusSettings, address: &str, world: &World) -> Result<String, Trouble> {
    if let Err(error) = world.net.connect(address).await {
        return Err(Trouble::Away(format!(
            "{address}: {error}: does a broker run there? For a first try: deploykit broker"
        )));
    }
    match reach(bus, address, "deploykit-doctor", world).await {
        Ok(server) => Ok(format!("{address}: {server}, {} accepted", user(bus))),
        Err(error) => Err(Trouble::NotLetIn(format!(
            "{address}: {error}; tried with {}",
            user(bus)
        ))),
    }
}

/// As whom the service comes.
fn user(bus: &BusSettings) -> String {
    match (&bus.login, &bus.tls_certificate_file) {
        (Some(login), _) => format!("login {login:?}"),
        (None, Some(file)) => format!("the certificate {}", file.display()),
        (None, None) => "no login".to_owned(),
    }
}

/// Whether this user can write where messages wait for the broker.
fn writable(service: &str, spool: &Path, disk: &dyn Disk) -> Finding {
    let shown = spool.display();
    let probe = spool.join(format!(".doctor-{}", std::process::id()));
    let written = match disk.look(spool) {
        Ok(None) => {
            return Finding::of(
                format!("{service}'s spool"),
                Verdict::Note,
                format!("{shown} is not there yet: the service makes it, if it may"),
            );
        }
        Ok(Some(there)) if there.kind != Kind::Folder => Err("it is no folder".to_owned()),
        Ok(Some(_)) => disk
            .create(&probe, b"", 0o600)
            .and_then(|()| disk.remove_file(&probe))
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let (verdict, detail) = match written {
        Ok(()) => (
            Verdict::Ok,
            format!("{shown} can be written by who ran this"),
        ),
        Err(why) => (
            Verdict::Wrong,
            format!(
                "{shown}: {why}: it must be a folder that the user of {service} may write, or [outbox] folder must name another"
            ),
        ),
    };
    Finding::of(format!("{service}'s spool"), verdict, detail)
}
