//! Who does errands: this process, or for files of another user a process of that user.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use chassis::causes;
use command::{Limits, Program};
use world::World;

use crate::{
    errand::{Errand, Outcome},
    settings::UserName,
};

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

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    name: UserName,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl Hands {
    /// Those of another user.
    ///
    /// # Errors
    /// One sentence: this process may not, or cannot start itself.
    pub(crate) fn of(world: &World, user: User) -> Result<Self, String> {
        let name = &user.name;
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
        let (name, ending, said) = (&user.name, output.ending(), output.last_line());
        Err(format!("stomp-git as {name}: {ending}: {said}"))
    })
}

impl User {
    /// For the list of users to answer, and for a folder to be made.
    pub(crate) const LIMIT: Duration = Duration::from_secs(10);

    /// Looks a user up, in whatever lists this system has.
    ///
    /// # Errors
    /// One sentence: there is none.
    pub(crate) async fn find(world: &World, name: &UserName) -> Result<Self, String> {
        let getent = Program::new("getent").args(["passwd", name.as_str()]);
        let found = world.processes.run(&getent, Limits::of(Self::LIMIT)).await;
        let found = found.map_err(|error| causes(&error))?;
        let line = String::from_utf8_lossy(&found.stdout);
        Self::of_line(name, &line).ok_or_else(|| {
            format!("there is no user {name} on this machine: make it, or name another")
        })
    }

    /// `name:x:uid:gid:comment:home:shell`
    fn of_line(name: &UserName, line: &str) -> Option<Self> {
        let mut fields = line.lines().next()?.split(':');
        let login = fields.next()?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        let home = PathBuf::from(fields.nth(1)?);
        (login == name.as_str()).then(|| Self {
            name: name.clone(),
            uid,
            gid,
            home,
        })
    }

    pub(crate) fn name(&self) -> &UserName {
        &self.name
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// False for the user of this process.
    pub(crate) fn is_another(&self) -> bool {
        self.uid != rustix::process::geteuid().as_raw()
    }

    /// A program started as this user: its groups and no others, and no way back.
    fn program(&self, program: &Path) -> Program {
        Program::new("setpriv")
            .arg(format!("--reuid={}", self.uid))
            .arg(format!("--regid={}", self.gid))
            .args(["--init-groups", "--inh-caps=-all", "--no-new-privs", "--"])
            .arg(program.display().to_string())
            .env("HOME", self.home.display().to_string())
            .folder("/")
    }

    /// Makes a folder that is this user's.
    pub(crate) fn make_folder(&self, folder: &Path) -> Program {
        Program::new("install")
            .arg("--directory")
            .arg(format!("--owner={}", self.uid))
            .arg(format!("--group={}", self.gid))
            .args(["--mode=0755", "--"])
            .arg(folder.display().to_string())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn a_user_is_read_from_the_system_s_line() {
        let line = "www-data:x:33:34:www-data:/var/www:/usr/sbin/nologin\n";
        let user = User::of_line(&name("www-data"), line).unwrap();
        assert_eq!((user.uid, user.gid), (33, 34));
        assert_eq!(user.home, Path::new("/var/www"));
        for (wanted, line) in [
            ("www", line),
            ("www-data", ""),
            ("www-data", "www-data:x:a:b:::"),
        ] {
            assert_eq!(User::of_line(&name(wanted), line), None, "{line}");
        }
    }

    #[test]
    fn a_process_of_another_user_has_that_users_groups_and_no_way_back() {
        let user = User::of_line(&name("www-data"), "www-data:x:33:34:w:/var/www:/bin/sh").unwrap();
        assert_eq!(
            user.program(Path::new("/usr/bin/stomp-git"))
                .arg(WORD)
                .to_string(),
            "setpriv --reuid=33 --regid=34 --init-groups --inh-caps=-all --no-new-privs -- /usr/bin/stomp-git errand"
        );
    }
}
