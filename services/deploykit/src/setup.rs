//! `deploykit setup`: the keys and settings that a first real installation needs.
//!
//! What exists is kept, so it can be run again. It ends with a look by `doctor`.

mod bus;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chassis::Settings as _;
use world::World;

use bus::{Bus, path};

use crate::{
    cli,
    doctor::{self, Verdict},
    failure::Failure,
    home::{Folders, Home},
    person,
    screen::{BOLD, paint, say},
    table::Table,
    trust::{Made, Trust, keep_or_write},
};

/// Makes what is missing, says where it is, and has it looked at.
///
/// # Errors
/// When a file cannot be written, or something is wrong with what is there.
pub async fn run(args: &cli::Setup, folders: &Folders, world: &World) -> Result<(), Failure> {
    let name = args.name.clone().unwrap_or_else(person);
    check_name(&name)?;
    check_broker(&args.broker)?;
    let folder = std::path::absolute(args.dir.as_ref().unwrap_or(&folders.config))?;
    let trust = Trust::at(&folder, args.key.as_deref());
    let bus = Bus::of(args, world)?;
    let made = make(&folder, &trust, &name, &bus, world).map_err(|failure| {
        Failure::Failed(format!("cannot set up {}: {failure}", folder.display()))
    })?;
    tell(&made);
    say(format!("\n{}", paint(BOLD, "What goes where:")));
    say("  docs/installing.md says which of these files each machine needs.");
    if folder != Path::new("/etc/deploykit") {
        say(format!(
            "  These settings name files in {}: for an installation, --dir /etc/deploykit.",
            folder.display()
        ));
    }
    say("");
    // Setting up the broker may come next.
    doctor::look_and_tell(&folder, folders, false, Verdict::Note, world).await
}

fn make(
    folder: &Path,
    trust: &Trust,
    name: &str,
    bus: &Bus,
    world: &World,
) -> Result<Vec<Made>, Failure> {
    world.disk.create_folders(folder, 0o755)?;
    let mut made = trust.ensure(name, false, world)?;
    made.extend(write_settings(folder, trust, bus, world)?);
    let home = Home {
        socket: PathBuf::from("/run/deploykit/orchestrator.sock"),
        key_file: std::path::absolute(&trust.operator_key)?,
        broker: Some(bus.broker.clone()),
        environments: BTreeMap::new(),
        groups: BTreeMap::new(),
    };
    let path = folder.join("deploykit.toml");
    let new = world.disk.look(&path)?.is_none();
    if new {
        home.write(folder, &*world.disk)?;
    }
    let what = "settings of this command line";
    made.push(Made { path, what, new });
    Ok(made)
}

/// `HOST:PORT`, before anything is written.
fn check_broker(broker: &str) -> Result<(), Failure> {
    let port = broker.rsplit_once(':').and_then(|(host, port)| {
        let good = !host.is_empty() && !host.contains(char::is_whitespace);
        good.then(|| port.parse::<u16>().ok()).flatten()
    });
    match port {
        Some(port) if port > 0 => Ok(()),
        _ => Err(Failure::Settings(format!(
            "--broker {broker:?} is not HOST:PORT, such as mq.example.org:61613"
        ))),
    }
}

/// A principal is one word of an `allowed_signers` line.
fn check_name(name: &str) -> Result<(), Failure> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '+');
    if !name.is_empty() && name.chars().all(inner) {
        return Ok(());
    }
    Err(Failure::Settings(format!(
        "{name:?} cannot be a name in allowed_signers: use letters, digits and @ . _ - + (give --name)"
    )))
}

fn tell(made: &[Made]) {
    let mut table = Table::new();
    for file in made {
        let new = if file.new { "made" } else { "kept" };
        table.row([
            new.to_owned(),
            file.path.display().to_string(),
            file.what.to_owned(),
        ]);
    }
    table.lines().into_iter().for_each(say);
}

/// For each service the file as shipped, and a drop-in as `/etc/deploykit/<service>.d/10-setup.toml`.
fn write_settings(
    folder: &Path,
    trust: &Trust,
    bus: &Bus,
    world: &World,
) -> Result<Vec<Made>, Failure> {
    let mut made = Vec::new();
    for (service, shipped, text) in drop_ins(trust, bus) {
        world
            .disk
            .create_folders(&folder.join(format!("{service}.d")), 0o755)?;
        let main = folder.join(format!("{service}.toml"));
        let drop_in = folder.join(format!("{service}.d/10-setup.toml"));
        made.push(keep_or_write(
            &main,
            shipped,
            0o644,
            "settings, as shipped",
            &*world.disk,
        )?);
        made.push(keep_or_write(
            &drop_in,
            &text,
            0o644,
            "settings, of this installation",
            &*world.disk,
        )?);
    }
    Ok(made)
}

/// The services, their settings as shipped, and what `setup` adds.
fn drop_ins(trust: &Trust, bus: &Bus) -> Vec<(&'static str, &'static str, String)> {
    let bus = |service| bus.section(service, trust);
    let checks = format!(
        "allowed_signers = {}\npolicy = {}\n",
        path(&trust.allowed_signers()),
        path(&trust.policy())
    );
    let keys = format!(
        "orchestrator_key_file = {}\nweb_key_file = {}\n",
        path(&trust.orchestrator_key()),
        path(&trust.web_key())
    );
    let source = format!(
        "\n[sources.github]\nkind = \"github\"\nsecret_file = {}\n",
        path(&trust.webhook_secret())
    );
    vec![
        (
            "deploy-orchestrator",
            deploy_orchestrator::Settings::SHIPPED,
            format!("{keys}{checks}{}", bus("deploy-orchestrator")),
        ),
        (
            "deploy-agent",
            deploy_agent::Settings::SHIPPED,
            format!("{checks}{}", bus("deploy-agent")),
        ),
        (
            "github-stomp",
            github_stomp::Settings::SHIPPED,
            format!("{}{source}", bus("github-stomp")),
        ),
        ("stomp-git", stomp_git::Settings::SHIPPED, bus("stomp-git")),
        (
            "stomp-repo",
            stomp_repo::Settings::SHIPPED,
            bus("stomp-repo"),
        ),
        (
            "stomp-keepalive",
            stomp_keepalive::Settings::SHIPPED,
            bus("stomp-keepalive"),
        ),
    ]
}
