//! Who does errands: this process, or for files of another user a process of that user.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use chassis::causes;
use command::Limits;
use world::{User, World};

use crate::errand::{Errand, Outcome};

/// The word that makes this program do one errand. For itself only.
pub const WORD: &str = "errand";

/// What an errand may answer: a repository with 100,000 refs has some 20 MB of them.
const ANSWER_BYTES: usize = 64 << 20;
/// What an errand is, with all refs of an origin where it has them.
const ERRAND_BYTES: u64 = 64 << 20;
/// Does errands.
#[derive(Debug, Clone)]
pub(crate) enum Hands {
    /// In this process.
    Own(World),
    /// By this program, started as another user.
    Of(World, User, PathBuf),
}

impl Hands {
    /// Those of another user.
    ///
    /// # Errors
    /// One sentence: this process may not, or cannot start itself.
    pub(crate) fn of(world: &World, user: User) -> Result<Self, String> {
        let name = user.name();
        if rustix::process::geteuid().as_raw() != 0 {
            return Err(format!(
                "only root may be {name}: start stomp-git as root, or as {name}"
            ));
        }
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        if program.file_name().is_none_or(|file| file != "stomp-git") {
            return Err(format!(
                "to be {name}, stomp-git has to be a process of its own, and this is {}",
                program.display()
            ));
        }
        Ok(Self::Of(world.clone(), user, program))
    }

    pub(crate) async fn run(&self, errand: &Errand) -> Result<Outcome, String> {
        match self {
            Self::Own(world) => errand.run(world).await,
            Self::Of(world, user, program) => by(world, user, program, errand).await,
        }
    }
}

async fn by(
    world: &World,
    user: &User,
    program: &Path,
    errand: &Errand,
) -> Result<Outcome, String> {
    let text = serde_json::to_vec(errand).map_err(|error| error.to_string())?;
    let program = user.program(program).arg(WORD).stdin(text);
    let limits = errand.site.limits;
    let limits = Limits {
        output_bytes: ANSWER_BYTES,
        // The errand ends by its own limits; this is for one that does not.
        ..Limits::of(limits.lock + 2 * limits.fetch + limits.export)
    };
    let ran = world.processes.run(&program, limits).await;
    let output = ran.map_err(|error| causes(&error))?;
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        let (name, ending, said) = (user.name(), output.ending(), output.last_line());
        Err(format!("stomp-git as {name}: {ending}: {said}"))
    })
}

/// `stomp-git errand`: reads an errand, does it, writes its outcome. Programs that it starts stay in its process group,
/// so that whoever ends it ends them.
pub async fn main() -> ExitCode {
    let mut text = Vec::new();
    let read = std::io::stdin().take(ERRAND_BYTES).read_to_end(&mut text);
    let errand = match read.map(|_| serde_json::from_slice::<Errand>(&text)) {
        Ok(Ok(errand)) => errand,
        Ok(Err(_)) | Err(_) => {
            chassis::start_logs("info");
            tracing::error!(
                "`stomp-git {WORD}` is for stomp-git itself, which says what to do on its standard input"
            );
            return ExitCode::from(2);
        }
    };
    let mut world = World::real();
    world.processes = Arc::new(command::RealBeside);
    let outcome = errand.run(&world).await;
    let written = serde_json::to_writer(std::io::stdout(), &outcome);
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
