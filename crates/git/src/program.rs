//! What is said to git, as values. Nothing here runs anything.

use std::path::Path;

use command::Program;
use events::{CommitId, RefName};

use crate::{Git, Origin, SshFiles, Transport};

/// Branches follow their origin; tags are only ever added or removed, so that a moved one is refused by git.
const REFSPECS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"];

/// Asks nobody, believes only the host keys that are known, and leaves a host that is silent.
const SSH: &str = "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oUpdateHostKeys=no -oConnectTimeout=10 \
    -oServerAliveInterval=15 -oServerAliveCountMax=3";

/// Set in a mirror that only takes what its keeper admits.
const GATE: &str = "deploykit.gate";

/// An origin on this machine may belong to another user. The settings name it, so it is trusted; git only looks at
/// settings of the program itself for this, not at those of the one that started it.
const UPLOAD_PACK: &str = "--upload-pack=git -c 'safe.directory=*' upload-pack";

/// Refs with what they lead to; see `answer::refs`. NUL cannot be in any of the fields.
const REF_FORMAT: &str = "--format=%(refname)%00%(objectname)%00%(objecttype)%00%(committerdate:unix)%00%(*objectname)%00%(*objecttype)%00%(*committerdate:unix)";

fn git(git: &Git) -> Program {
    Program::new(&git.program)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "/bin/false")
}

/// Git on a mirror, with nobody's settings but the mirror's own. The mirror is named, never searched for in the
/// folders above.
fn local(caller: &Git, mirror: &Path) -> Program {
    git(caller)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .arg(format!("--git-dir={}", mirror.display()))
}

/// What git gives to a shell. [`SshFiles`] holds paths that stand for themselves there.
fn ssh(files: &SshFiles) -> String {
    let mut line = SSH.to_owned();
    if let Some(known) = files.known_hosts() {
        line += &format!(" -oGlobalKnownHostsFile=/dev/null -oUserKnownHostsFile={known}");
    }
    if let Some(key) = files.key() {
        line += &format!(" -oIdentitiesOnly=yes -oIdentityFile={key}");
    }
    line
}

/// Git with what it needs to talk to an origin, and only to that kind of origin.
fn remote(caller: &Git, transport: Transport) -> Program {
    let mut program = git(caller).env("GIT_SSH_COMMAND", ssh(&caller.ssh));
    if let Some(home) = &caller.home {
        program = program.env("HOME", home.display().to_string());
    }
    let mut settings = vec![
        "gc.auto=0",
        "maintenance.auto=false",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=30",
        "core.hooksPath=/dev/null",
        // A ref lasts only after its objects do; and a pack arrives whole or not at all, so that a commit that is
        // there has its whole tree there too.
        "core.fsync=committed,reference",
        "fetch.unpackLimit=1",
        "protocol.allow=never",
    ];
    settings.extend(match transport {
        Transport::Https => &["protocol.https.allow=always"][..],
        Transport::Http => &["protocol.http.allow=always", "protocol.https.allow=always"],
        Transport::Ssh => &["protocol.ssh.allow=always"],
        Transport::File => &["protocol.file.allow=always"],
    });
    for setting in settings {
        program = program.arg("-c").arg(setting);
    }
    program
}

fn upload_pack(program: Program, transport: Transport) -> Program {
    match transport {
        Transport::File => program.arg(UPLOAD_PACK),
        Transport::Https | Transport::Http | Transport::Ssh => program,
    }
}

pub(crate) fn version(caller: &Git) -> Program {
    git(caller).arg("version")
}

/// A new mirror at `folder`. `--no-local`: the objects are sent and checked, not linked.
pub(crate) fn clone(caller: &Git, origin: &Origin, folder: &Path) -> Program {
    let program = remote(caller, origin.transport()).args([
        "clone",
        "--quiet",
        "--bare",
        "--no-local",
        "--template=",
        "--origin=origin",
    ]);
    upload_pack(program, origin.transport())
        .arg("--")
        .arg(origin.as_str())
        .arg(folder.display().to_string())
}

pub(crate) fn fetch(caller: &Git, mirror: &Path, transport: Transport) -> Program {
    let program = remote(caller, transport)
        .arg(format!("--git-dir={}", mirror.display()))
        .args([
            "fetch",
            "--quiet",
            "--prune",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
        ]);
    upload_pack(program, transport).arg("origin").args(REFSPECS)
}

/// Nothing but these objects and what they need: no refs, no tags that follow along.
pub(crate) fn fetch_objects<'a>(
    caller: &Git,
    mirror: &Path,
    transport: Transport,
    objects: impl Iterator<Item = &'a str>,
) -> Program {
    let program = remote(caller, transport)
        .arg(format!("--git-dir={}", mirror.display()))
        .args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--refmap=",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--stdin",
        ]);
    upload_pack(program, transport)
        .arg("origin")
        .stdin(lines(objects))
}

/// What becomes of a ref. `before` is what it must still be.
pub(crate) enum RefUpdate<'a> {
    Set {
        name: &'a RefName,
        before: Option<&'a str>,
        after: &'a str,
    },
    Gone {
        name: &'a RefName,
        before: &'a str,
    },
}

impl<'a> RefUpdate<'a> {
    /// The object that it needs.
    pub(crate) fn after(&self) -> Option<&'a str> {
        match self {
            Self::Set { after, .. } => Some(after),
            Self::Gone { .. } => None,
        }
    }
}

/// All of these, or none.
pub(crate) fn update_refs(caller: &Git, mirror: &Path, updates: &[RefUpdate<'_>]) -> Program {
    let line = |update: &RefUpdate<'_>| match update {
        RefUpdate::Set {
            name,
            before: Some(before),
            after,
        } => format!("update {name} {after} {before}"),
        RefUpdate::Set {
            name,
            before: None,
            after,
        } => format!("create {name} {after}"),
        RefUpdate::Gone { name, before } => format!("delete {name} {before}"),
    };
    local(caller, mirror)
        .args(["-c", "core.fsync=committed,reference"])
        .args(["update-ref", "--no-deref", "--stdin"])
        .stdin(lines(updates.iter().map(line)))
}

fn lines(lines: impl Iterator<Item = impl AsRef<str>>) -> Vec<u8> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    text.into_bytes()
}

/// A new mirror at `folder` with nothing in it, for ids like this one.
pub(crate) fn init(caller: &Git, like: &CommitId, folder: &Path) -> Program {
    let format = match like.as_str().len() {
        64 => "--object-format=sha256",
        _ => "--object-format=sha1",
    };
    git(caller)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(["init", "--quiet", "--bare", "--template="])
        .args([format, "--initial-branch=main", "--"])
        .arg(folder.display().to_string())
}

pub(crate) fn set_gate(caller: &Git, mirror: &Path, gated: bool) -> Program {
    let program = local(caller, mirror).args(["config", "--local"]);
    if gated {
        program.args([GATE, "ci"])
    } else {
        program.args(["--unset-all", GATE])
    }
}

/// The branches and tags of an origin. No mirror is needed, and none that the service happens to be in is looked at.
pub(crate) fn tips(caller: &Git, origin: &Origin) -> Program {
    let program = remote(caller, origin.transport()).args([
        "--git-dir=/dev/null",
        "ls-remote",
        "--quiet",
        "--heads",
        "--tags",
    ]);
    upload_pack(program, origin.transport())
        .arg("--")
        .arg(origin.as_str())
}

/// The branches and tags of a mirror's origin, to find those tags that have moved.
pub(crate) fn tips_of_origin(caller: &Git, mirror: &Path, transport: Transport) -> Program {
    let program = remote(caller, transport)
        .arg(format!("--git-dir={}", mirror.display()))
        .args(["ls-remote", "--quiet", "--heads", "--tags"]);
    upload_pack(program, transport).arg("origin")
}

/// Its origin and whether it is gated; see `answer::settings`.
pub(crate) fn settings(caller: &Git, mirror: &Path) -> Program {
    local(caller, mirror)
        .args(["config", "--local", "--null", "--get-regexp"])
        .arg(r"^(remote\.origin\.url|deploykit\.gate)$")
}

pub(crate) fn set_origin(caller: &Git, mirror: &Path, origin: &Origin) -> Program {
    local(caller, mirror)
        .args(["config", "--local", "remote.origin.url"])
        .arg(origin.as_str())
}

/// `patterns`: full refs or the folders they are in.
pub(crate) fn refs(caller: &Git, mirror: &Path, patterns: &[&str]) -> Program {
    local(caller, mirror)
        .args(["for-each-ref", REF_FORMAT])
        .args(patterns.iter().copied())
}

/// The commit behind an object and its time; for tags of tags, which older gits peel once only.
pub(crate) fn peel(caller: &Git, mirror: &Path, object: &str) -> Program {
    local(caller, mirror)
        .args(["log", "--no-walk", "--format=%H %ct"])
        .arg(object)
}

/// The commit behind each of these objects, one a line; for one that leads to no commit, something else.
pub(crate) fn commits_behind<'a>(
    caller: &Git,
    mirror: &Path,
    objects: impl Iterator<Item = &'a str>,
) -> Program {
    local(caller, mirror)
        .args(["cat-file", "--batch-check=%(objectname)"])
        .stdin(lines(objects.map(|object| format!("{object}^{{commit}}"))))
}

pub(crate) fn has(caller: &Git, mirror: &Path, commit: &CommitId) -> Program {
    local(caller, mirror)
        .args(["rev-parse", "--quiet", "--verify"])
        .arg(format!("{commit}^{{commit}}"))
}

pub(crate) fn is_ancestor(caller: &Git, mirror: &Path, old: &CommitId, new: &CommitId) -> Program {
    local(caller, mirror)
        .args(["merge-base", "--is-ancestor"])
        .args([old.as_str(), new.as_str()])
}

/// What is in `new` and not in `old`, newest first.
pub(crate) fn commits(
    caller: &Git,
    mirror: &Path,
    old: Option<&CommitId>,
    new: &CommitId,
    limit: usize,
) -> Program {
    let program = local(caller, mirror)
        .args(["log", "-z", "--format=%H%x1f%an%x1f%s"])
        .arg(format!("--max-count={limit}"))
        .arg(new.as_str());
    match old {
        Some(old) => program.arg(format!("^{old}")),
        None => program,
    }
}

/// All of a commit's tree, or only these paths of it.
pub(crate) fn archive(caller: &Git, mirror: &Path, commit: &CommitId, paths: &[&str]) -> Program {
    let program = local(caller, mirror)
        .args(["archive", "--format=tar"])
        .arg(commit.as_str());
    match paths {
        [] => program,
        paths => program
            .env("GIT_LITERAL_PATHSPECS", "1")
            .arg("--")
            .args(paths.iter().copied()),
    }
}

/// All that is in the tree of a commit, folders too, with sizes; see `tree::entries`.
pub(crate) fn tree(caller: &Git, mirror: &Path, commit: &CommitId) -> Program {
    local(caller, mirror)
        .args(["ls-tree", "-r", "-t", "-l", "-z", "--full-tree"])
        .arg(commit.as_str())
}

/// What has a name at the root of a tree. No name is a pattern here.
pub(crate) fn at_root(caller: &Git, mirror: &Path, commit: &CommitId, name: &str) -> Program {
    local(caller, mirror)
        .args(["ls-tree", "-l", "-z", "--full-tree"])
        .args([commit.as_str(), "--", name])
}

/// What is in a file of a tree. `object` is git's own answer.
pub(crate) fn blob(caller: &Git, mirror: &Path, object: &str) -> Program {
    local(caller, mirror).args(["cat-file", "blob", object])
}

/// The upkeep of a mirror, in this order: refs in one file, packs together where there are many, the graph of commits
/// that makes walking history fast. One thread and bounded memory, since a server has better to do.
pub(crate) fn upkeep(caller: &Git, mirror: &Path) -> [Program; 3] {
    let settings = [
        "gc.autoDetach=false",
        "core.hooksPath=/dev/null",
        "core.fsync=committed,reference",
        "pack.threads=1",
        "pack.windowMemory=64m",
    ];
    [
        &["pack-refs", "--all", "--prune"][..],
        &["gc", "--auto", "--quiet"],
        &["commit-graph", "write", "--reachable", "--split"],
    ]
    .map(|args| {
        let settings = settings.iter().flat_map(|setting| ["-c", setting]);
        local(caller, mirror)
            .args(settings)
            .args(args.iter().copied())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Git {
        Git::new(&world::World::real()).with_home("/var/lib/deploykit")
    }

    const MIRROR: &str = "/srv/mirrors/shop.git";

    const NETWORK: &str = "git -c gc.auto=0 -c maintenance.auto=false -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=30 \
        -c core.hooksPath=/dev/null -c core.fsync=committed,reference -c fetch.unpackLimit=1 -c protocol.allow=never";

    #[test]
    fn a_fetch_over_https_allows_only_https_and_forces_branches_only() {
        let program = fetch(&caller(), Path::new(MIRROR), Transport::Https);
        let expected = format!(
            "{NETWORK} -c protocol.https.allow=always --git-dir=/srv/mirrors/shop.git fetch --quiet --prune --no-tags \
             --no-recurse-submodules --no-write-fetch-head --no-auto-maintenance origin \
             \"+refs/heads/*:refs/heads/*\" \"refs/tags/*:refs/tags/*\""
        );
        assert_eq!(program.to_string(), expected);
    }

    #[test]
    fn a_clone_of_a_folder_allows_only_files_and_trusts_that_folder() {
        let origin: Origin = "/srv/git/shop.git".parse().unwrap();
        let program = clone(&caller(), &origin, Path::new("/srv/mirrors/shop.git.new"));
        let expected = format!(
            "{NETWORK} -c protocol.file.allow=always clone --quiet --bare --no-local --template= --origin=origin \
             \"--upload-pack=git -c 'safe.directory=*' upload-pack\" -- /srv/git/shop.git /srv/mirrors/shop.git.new"
        );
        assert_eq!(program.to_string(), expected);
    }

    #[test]
    fn a_fetch_never_asks_and_sees_only_the_home_that_was_given() {
        let program = fetch(&caller(), Path::new(MIRROR), Transport::Ssh);
        let mut same = Program::new("git")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "/bin/false")
            .env(
                "GIT_SSH_COMMAND",
                "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oUpdateHostKeys=no -oConnectTimeout=10 \
                 -oServerAliveInterval=15 -oServerAliveCountMax=3",
            )
            .env("HOME", "/var/lib/deploykit");
        for word in NETWORK.split(' ').skip(1) {
            same = same.arg(word);
        }
        same = same.args(["-c", "protocol.ssh.allow=always"]);
        same = same.arg(format!("--git-dir={MIRROR}")).args([
            "fetch",
            "--quiet",
            "--prune",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "origin",
        ]);
        assert_eq!(program, same.args(REFSPECS));
    }

    #[test]
    fn a_key_and_known_hosts_of_its_own_are_the_only_ones() {
        let files = SshFiles::new(
            Some("/etc/deploykit/keys/shop"),
            Some("/etc/deploykit/known_hosts"),
        );
        let line = ssh(&files.unwrap());
        let expected = " -oGlobalKnownHostsFile=/dev/null -oUserKnownHostsFile=/etc/deploykit/known_hosts -oIdentitiesOnly=yes \
                        -oIdentityFile=/etc/deploykit/keys/shop";
        assert_eq!(line, format!("{SSH}{expected}"));
    }

    #[test]
    fn a_question_to_the_mirror_reads_nobodys_settings() {
        let id: CommitId = "0123456789012345678901234567890123456789".parse().unwrap();
        let program = has(&caller(), Path::new(MIRROR), &id);
        let same = Program::new("git")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "/bin/false")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args([
                "--git-dir=/srv/mirrors/shop.git",
                "rev-parse",
                "--quiet",
                "--verify",
            ])
            .arg("0123456789012345678901234567890123456789^{commit}");
        assert_eq!(program, same);
    }

    #[test]
    fn an_export_names_the_commit_and_nothing_else() {
        let id: CommitId = "0123456789012345678901234567890123456789".parse().unwrap();
        assert_eq!(
            archive(&caller(), Path::new(MIRROR), &id, &[]).to_string(),
            "git --git-dir=/srv/mirrors/shop.git archive --format=tar 0123456789012345678901234567890123456789"
        );
    }
}
