//! `deploy-agent status|history|rollback|clear|apply`: what a person types at the host, bus or no bus, agent or no agent.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use chassis::{Failure, causes};
use clap::{Args, Parser, Subcommand};
use command::Program;
use events::{
    Envelope, HostName, ProjectName,
    message::{JournalHead, Ordered, Reported, State},
};
use world::{World, own_uid};

use super::{
    Answer, Note, Request,
    alone::{Here, owner},
    asking::{ask, connect},
    socket::REQUEST_BYTES,
    words,
};
use crate::settings::Settings;

/// The commands: everything else is the service.
pub const NAMES: [&str; 6] = ["status", "history", "verify", "rollback", "clear", "apply"];

/// It did not come to what was asked for, or a project needs a person.
const FAILED: u8 = 1;
/// Not done: unknown, busy, nothing to go back to.
const REFUSED: u8 = 3;
/// An agent is there and cannot be asked, or the disk cannot be used.
const UNAVAILABLE: u8 = 69;
/// This user may not.
const NOT_PERMITTED: u8 = 77;

const EXAMPLES: &str = "\
Examples:
  deploy-agent status                      what is live here, and what needs a person
  deploy-agent history shop --limit 5      what was ordered, by whom, and how it ended
  deploy-agent verify                      whether the histories here are as they were written
  deploy-agent rollback shop --reason 'checkout is broken'
                                           back to the release before, now; no broker, no orchestrator
  deploy-agent clear shop                  end the hold of such a rollback; take deploys again after a broken one
  deploy-agent apply order.json            carry out a signed order that came by hand

With an agent they ask it, through its socket; root and the agent's own user may. Without one they do it themselves, under the
lock of the project's journal, as the user whose the folder is. What is done is in the journal and reported when there is a bus.

Exit codes:
  0  done
  1  it failed, or (status) a project needs a person, or (verify) a history was changed
  2  the command line was not understood
  3  refused, with the reason: unknown, busy, nothing to go back to, not rightly signed
  69 an agent is there and does not answer
  77 this user may not ask
  78 the settings must be mended";

/// What is typed.
#[derive(Debug, Parser)]
#[command(name = "deploy-agent", version, after_help = EXAMPLES, max_term_width = 100)]
struct Typed {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What is live here, what is under way, and what needs a person
    Status {
        /// Only this project
        project: Option<ProjectName>,
        #[command(flatten)]
        common: Common,
    },
    /// The newest orders, newest first; the journal has them all
    History {
        /// The project
        project: ProjectName,
        /// How many; the newest 64 are known
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Look whether histories are as they were written: edited, removed or reordered entries, and with --head a cut end
    Verify {
        /// Only this project
        project: Option<ProjectName>,
        /// Where its journal ended when that was last told, as `deploykit hosts --json` has it
        #[arg(long, value_name = "ENTRIES:HASH", requires = "project")]
        head: Option<JournalHead>,
        #[command(flatten)]
        common: Common,
    },
    /// Go back to the release before, now; everybody sees it, and that it was done here
    Rollback {
        /// The project
        project: ProjectName,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        common: Common,
    },
    /// End the hold of a rollback that was made here; take deploys again after a broken one
    Clear {
        /// The project
        project: ProjectName,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        common: Common,
    },
    /// Carry out a signed order that came by hand: a file with the message as it is on the bus
    Apply {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// For machines: the whole answer as JSON
    #[arg(long)]
    json: bool,
    /// Settings file [default: /etc/deploykit/deploy-agent.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Who asked, where this program has become the agent's user
    #[arg(long, hide = true, value_name = "UID")]
    asked_by: Option<u32>,
}

#[derive(Debug, Args)]
struct Why {
    /// Why, for the history
    #[arg(long)]
    reason: Option<String>,
}

impl Command {
    fn common(&self) -> &Common {
        match self {
            Self::Status { common, .. }
            | Self::History { common, .. }
            | Self::Verify { common, .. }
            | Self::Rollback { common, .. }
            | Self::Clear { common, .. }
            | Self::Apply { common, .. } => common,
        }
    }
}

/// Why it was not done.
pub(super) enum Trouble {
    Refused(String),
    NotPermitted(String),
    Unavailable(String),
    Settings(String),
}

/// Does what was typed; the first argument is the program's name.
pub async fn main(arguments: Vec<OsString>) -> ExitCode {
    let typed = match Typed::try_parse_from(&arguments) {
        Ok(typed) => typed,
        Err(error) => {
            let _closed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    chassis::start_logs("error");
    let json = typed.command.common().json;
    match run(typed.command, &arguments).await {
        Ok(good) => ExitCode::from(if good { 0 } else { FAILED }),
        Err(trouble) => {
            let (code, why) = match trouble {
                Trouble::Refused(why) => (REFUSED, why),
                Trouble::NotPermitted(why) => (NOT_PERMITTED, why),
                Trouble::Unavailable(why) => (UNAVAILABLE, why),
                Trouble::Settings(why) => (chassis::EXIT_SETTINGS, why),
            };
            if json {
                complain(&serde_json::json!({ "error": why, "exit": code }).to_string());
            } else {
                complain(&format!("deploy-agent: {why}"));
            }
            ExitCode::from(code)
        }
    }
}

/// True if all is well.
async fn run(command: Command, arguments: &[OsString]) -> Result<bool, Trouble> {
    let world = World::real();
    let variables = chassis::environment();
    let common = command.common();
    let config = common.config.as_deref();
    let name = env!("CARGO_PKG_NAME");
    let loaded = chassis::settings::load::<Settings>(&*world.disk, name, config, &variables);
    let (general, settings) = loaded.map_err(|wrong| Trouble::Settings(wrong.to_string()))?;
    let host = general.host_name();
    let host = host.map_err(|wrong| Trouble::Settings(format!("host: {wrong}")))?;
    let (json, asked_by) = (common.json, common.asked_by);
    let here = Here {
        host: &host,
        settings: &settings,
        world: &world,
        uid: asked_by.unwrap_or_else(own_uid),
    };
    if let Command::Verify { project, head, .. } = &command {
        let looked = here.verify(project.as_ref(), head.as_ref()).await;
        let projects = looked.map_err(Trouble::Refused)?;
        return show(&Answer::Verified { projects }, json, &host);
    }
    let request = request(command, &world, &variables).await?;
    let mut told = 0;
    let each = |report: &Reported| {
        if !json {
            let lines = words::steps(report, told);
            told += lines.len();
            lines.iter().for_each(|line| say(line));
        }
    };
    let answer = match connect(&settings).await? {
        Some(agent) => ask(agent, &request, each).await?,
        None => {
            let changes = !matches!(request, Request::Status { .. } | Request::History { .. });
            if changes && let Some(owner) = owner(&settings.base, &world) {
                return Err(become_owner(owner, &settings, arguments, &variables));
            }
            let answered = here.answer(request, each).await;
            answered.map_err(|failure| match failure {
                Failure::Settings(why) => Trouble::Settings(why),
                other => Trouble::Unavailable(other.to_string()),
            })?
        }
    };
    show(&answer, json, &host)
}

async fn request(
    command: Command,
    world: &World,
    variables: &BTreeMap<String, String>,
) -> Result<Request, Trouble> {
    let note = |why: Why| Note {
        reason: why.reason,
        says: variables.get("SUDO_USER").cloned(),
    };
    Ok(match command {
        Command::Status { project, .. } => Request::Status { project },
        Command::History { project, limit, .. } => Request::History { project, limit },
        Command::Rollback { project, why, .. } => Request::Rollback {
            project,
            note: note(why),
        },
        Command::Clear { project, why, .. } => Request::Clear {
            project,
            note: note(why),
        },
        Command::Verify { project, .. } => Request::Status { project },
        Command::Apply { file, .. } => Request::Apply {
            ordered: Box::new(order(&file, world).await?),
        },
    })
}

/// An order from a file: the message as it is on the bus, or its `data` alone.
async fn order(file: &Path, world: &World) -> Result<Ordered, Trouble> {
    let path = file.to_owned();
    let wrong = |why: String| Trouble::Refused(format!("{}: {why}", file.display()));
    let read = world
        .on_disk(move |disk| disk.read_at(&path, 0, REQUEST_BYTES as usize))
        .await;
    let bytes = read.map_err(|error| wrong(error.to_string()))?;
    if let Ok(envelope) = Envelope::parse(&bytes) {
        return envelope.open().map_err(|error| wrong(causes(&error)));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("it is no order as it is on the bus: {error}")))
}

/// Starts this program again as the user whose the folder is; only root can. Comes back only if that fails.
fn become_owner(
    (uid, gid): (u32, u32),
    settings: &Settings,
    arguments: &[OsString],
    variables: &BTreeMap<String, String>,
) -> Trouble {
    let base = settings.base.display();
    let own = own_uid();
    if own != 0 {
        return Trouble::NotPermitted(format!(
            "no agent is running, and {base} is another user's: ask as root, or as uid {uid}"
        ));
    }
    let executable = match std::env::current_exe() {
        Ok(path) => path,
        Err(error) => return Trouble::Unavailable(format!("this program's own path: {error}")),
    };
    let mut program = Program::new("setpriv")
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={gid}"))
        .args(["--init-groups", "--inh-caps=-all", "--"])
        .arg(executable.display().to_string());
    for argument in arguments.iter().skip(1) {
        program = program.arg(argument.to_string_lossy());
    }
    program = program.arg(format!("--asked-by={own}"));
    for (name, value) in variables {
        if name == "SUDO_USER" || name.starts_with("DEPLOYKIT_") {
            program = program.env(name, value);
        }
    }
    let error = program.replace_this_process();
    Trouble::Unavailable(format!("cannot become uid {uid}, whose {base} is: {error}"))
}

fn show(answer: &Answer, json: bool, host: &HostName) -> Result<bool, Trouble> {
    match answer {
        Answer::Refused { reason } => return Err(Trouble::Refused(format!("{host}: {reason}"))),
        Answer::Forbidden { reason } => return Err(Trouble::NotPermitted(reason.clone())),
        _ if json => match serde_json::to_string_pretty(answer) {
            Ok(text) => say(&text),
            Err(error) => return Err(Trouble::Unavailable(error.to_string())),
        },
        Answer::Status(status) => words::status(status).iter().for_each(|line| say(line)),
        Answer::History { entries } => words::history(entries).iter().for_each(|line| say(line)),
        Answer::Verified { projects } => {
            words::verified(projects).iter().for_each(|line| say(line));
        }
        Answer::Report { report } => say(&words::end(report)),
    }
    Ok(match answer {
        Answer::Status(status) => { status.projects.iter() }.all(|it| it.state.stuck.is_none()),
        Answer::Verified { projects } => projects.iter().all(|it| it.finding.is_none()),
        Answer::Report { report } => match &report.state {
            State::Refused { reason } => return Err(Trouble::Refused(format!("{host}: {reason}"))),
            State::Live | State::Cleared | State::Prepared { .. } => true,
            _ => false,
        },
        _ => true,
    })
}

fn say(line: &str) {
    // Nobody is there to be told that standard output is closed.
    let _closed = writeln!(std::io::stdout(), "{line}");
}

fn complain(line: &str) {
    let _closed = writeln!(std::io::stderr(), "{line}");
}
