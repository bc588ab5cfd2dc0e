//! A user of this machine: looked up, and programs started as them.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use command::{Limits, Program, RunError};
use serde::{Deserialize, Serialize};

use crate::World;

/// The login name of a user of this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl TryFrom<String> for UserName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if first && text.len() <= 32 && text.chars().all(plain) {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} is not the name of a user: letters, digits and . _ -, a letter or _ first, at most 32"
        ))
    }
}

/// The number of the user that this process acts as.
#[must_use]
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Why a user is not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// No list of this system has the name.
    #[error("there is no user {0} on this machine: make it, or name another")]
    Unknown(UserName),
    /// The system's lists cannot be asked.
    #[error("cannot ask for the user {name}")]
    Ask {
        /// Who was asked for.
        name: UserName,
        /// Why.
        source: RunError,
    },
}

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: UserName,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl User {
    /// For the list of users to answer, and for a folder to be made.
    pub const LIMIT: Duration = Duration::from_secs(10);

    /// Looks a user up, in whatever lists this system has.
    ///
    /// # Errors
    /// See [`UserError`].
    pub async fn find(world: &World, name: &UserName) -> Result<Self, UserError> {
        let getent = Program::new("getent").args(["passwd", name.as_str()]);
        let found = world.processes.run(&getent, Limits::of(Self::LIMIT)).await;
        let found = found.map_err(|source| UserError::Ask {
            name: name.clone(),
            source,
        })?;
        let line = String::from_utf8_lossy(&found.stdout);
        Self::of_line(name, &line).ok_or_else(|| UserError::Unknown(name.clone()))
    }

    /// The user of that number, if the system's lists have one.
    pub async fn of(world: &World, uid: u32) -> Option<Self> {
        let getent = Program::new("getent").args(["passwd".to_owned(), uid.to_string()]);
        let found = world.processes.run(&getent, Limits::of(Self::LIMIT)).await;
        let line = String::from_utf8_lossy(&found.ok()?.stdout).into_owned();
        let login = line.split(':').next()?.to_owned();
        let user = Self::of_line(&UserName::try_from(login).ok()?, &line)?;
        (user.uid == uid).then_some(user)
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

    /// The login name.
    #[must_use]
    pub fn name(&self) -> &UserName {
        &self.name
    }

    /// The number.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The number of the group that the user is in first.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The home folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// False for the user of this process.
    #[must_use]
    pub fn is_another(&self) -> bool {
        self.uid != own_uid()
    }

    /// A program started as this user: its groups and no others, and no way back.
    #[must_use]
    pub fn program(&self, program: &Path) -> Program {
        Program::new("setpriv")
            .arg(format!("--reuid={}", self.uid))
            .arg(format!("--regid={}", self.gid))
            .args(["--init-groups", "--inh-caps=-all", "--no-new-privs", "--"])
            .arg(program.display().to_string())
            .env("HOME", self.home.display().to_string())
            .folder("/")
    }

    /// Makes a folder that is this user's.
    #[must_use]
    pub fn make_folder(&self, folder: &Path) -> Program {
        Program::new("install")
            .arg("--directory")
            .arg(format!("--owner={}", self.uid))
            .arg(format!("--group={}", self.gid))
            .args(["--mode=0755", "--"])
            .arg(folder.display().to_string())
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
                .arg("errand")
                .to_string(),
            "setpriv --reuid=33 --regid=34 --init-groups --inh-caps=-all --no-new-privs -- /usr/bin/stomp-git errand"
        );
    }
}
