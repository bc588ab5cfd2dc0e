//! What a message of one side is on the other. No I/O.

use events::{
    Envelope, OpenError, Payload,
    message::{CiFailed, CiSucceeded, PackageUpdate, PackagesUpdated, Pushed, SvnCommitted},
};

use crate::{
    builds::{self, Ended},
    commits::{self, Commit},
    memory::Told,
    packages,
    settings::Settings,
    text::{Text, Wrong, is_line_end},
};

/// What an older topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pushes and revisions.
    Commits,
    /// Ends of builds.
    Builds,
    /// Packages.
    Packages,
}

/// What older daemons are told.
#[derive(Debug, PartialEq, Eq)]
pub struct ForOld<'a> {
    /// On which of their topics.
    pub topic: &'a str,
    /// For knowing it again.
    pub told: Told,
    /// The words.
    pub text: Text,
}

/// What older daemons are told of a message of ours: one text, or one for each package.
///
/// # Errors
/// When it is none of the messages that are carried.
pub fn for_old<'a>(
    envelope: &Envelope,
    settings: &'a Settings,
) -> Result<Vec<ForOld<'a>>, OpenError> {
    let Settings {
        topics, old_names, ..
    } = settings;
    let one = |topic: &'a str, told: Told, text: Text| Ok(vec![ForOld { topic, told, text }]);
    if envelope.is::<SvnCommitted>() {
        let it: SvnCommitted = envelope.open()?;
        let text = commits::write_revision(&it, old_names);
        return one(&topics.commits, told(&it), text);
    }
    if envelope.is::<CiSucceeded>() {
        let it: CiSucceeded = envelope.open()?;
        let text = builds::write_good(&it, old_names);
        return one(&topics.succeeded, told(&it), text);
    }
    if envelope.is::<CiFailed>() {
        let it: CiFailed = envelope.open()?;
        let text = builds::write_bad(&it, old_names);
        return one(&topics.failed, told(&it), text);
    }
    if envelope.is::<PackagesUpdated>() {
        let it: PackagesUpdated = envelope.open()?;
        let package = |package| ForOld {
            topic: &topics.packages,
            told: told_package(&it, package),
            text: packages::write(package),
        };
        return Ok(it.packages.iter().map(package).collect());
    }
    let it: Pushed = envelope.open()?;
    let text = commits::write_push(&it, old_names);
    one(&topics.commits, told(&it), text)
}

/// What we are told by an older daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum FromOld {
    /// A ref moved.
    Push(Pushed),
    /// Subversion has a new revision.
    Revision(SvnCommitted),
    /// A build ended well.
    Good(CiSucceeded),
    /// A build ended otherwise.
    Bad(CiFailed),
    /// A package came.
    Package(PackagesUpdated),
}

/// What an older daemon's message is as one of ours; nothing for a lone line end.
///
/// # Errors
/// See [`Wrong`].
pub fn from_old(
    kind: Kind,
    subject: &str,
    body: &[u8],
    settings: &Settings,
) -> Result<Option<FromOld>, Wrong> {
    if is_line_end(body) {
        return Ok(None);
    }
    Ok(Some(match kind {
        Kind::Commits => match commits::read(body, &settings.old_names)? {
            Commit::Push(it) => FromOld::Push(it),
            Commit::Revision(it) => FromOld::Revision(it),
        },
        Kind::Builds => match builds::read(subject, body, &settings.jobs)? {
            Ended::Good(it) => FromOld::Good(it),
            Ended::Bad(it) => FromOld::Bad(it),
        },
        Kind::Packages => {
            let Some(place) = &settings.packages else {
                let why = "[packages] does not say where packages are";
                return Err(Wrong::NotCarried(why.to_owned()));
            };
            FromOld::Package(packages::read(body, place)?)
        }
    }))
}

impl FromOld {
    /// For knowing it again.
    #[must_use]
    pub fn told(&self) -> Told {
        match self {
            Self::Push(it) => told(it),
            Self::Revision(it) => told(it),
            Self::Good(it) => told(it),
            Self::Bad(it) => told(it),
            Self::Package(it) => match &it.packages[..] {
                [package] => told_package(it, package),
                _ => told(it),
            },
        }
    }
}

fn told<P: Payload>(payload: &P) -> Told {
    Told {
        about: payload.subject(),
        what: payload.dedupkey().unwrap_or_default(),
    }
}

fn told_package(updated: &PackagesUpdated, package: &PackageUpdate) -> Told {
    let (repository, suite) = (&updated.repository, &updated.suite);
    let (component, name) = (&updated.component, &package.name);
    Told {
        about: format!("{repository} {suite}/{component} {name}"),
        // The older form has no epoch.
        what: packages::file(package),
    }
}
