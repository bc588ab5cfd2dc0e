//! `deploy.toml`: what a revision says, and what the host says above it.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use deploy_agent::{
    layout::Layout,
    machine::{End, Outcome},
    manifest::{Manifest, Terms},
    scripts::Script,
    settings::Project,
    steps::{Site, Work, act},
};
use events::{CommitId, message::Step};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use world::{RealDisk, World};

use crate::laying_out::{commit, repository, site, work};

fn host(more: &str) -> Project {
    toml::from_str(&format!(
        "repository = 'shop'\nenvironment = 'prod'\n{more}"
    ))
    .expect("settings")
}

fn said(text: &str) -> Manifest {
    Manifest::parse(text.as_bytes(), "deploy.toml").expect("it is understood")
}

#[test]
fn the_host_s_settings_go_above_the_revision_s_key_by_key() {
    let revision = said("scripts = 'ops'\nshared = ['log']\nscript_limit_s = 60\n");
    let terms = |host_says: &str| Terms::of(&host(host_says), &revision).expect("terms");
    let own = terms("");
    assert_eq!((own.scripts.as_str(), own.script_limit_s), ("ops", 60));
    assert_eq!(own.shared, ["log"]);
    assert_eq!(own.script_grace_s, 10, "the default");
    let above = terms("shared = []\nscript_limit_s = 5\nscript_grace_s = 1");
    assert_eq!((above.scripts.as_str(), above.script_limit_s), ("ops", 5));
    assert!(above.shared.is_empty(), "an empty list is one too");
    assert_eq!(above.script_grace_s, 1);
    let revision =
        said("script.build.file = 'a'\nscript.start.file = 'a'\nscript.start.limit_s = 5");
    let terms = Terms::of(&host("script.start.file = 'b'"), &revision).expect("terms");
    let manner = |script| terms.script[&script].clone();
    assert_eq!(manner(Script::Build).file.as_deref(), Some("a"));
    let start = manner(Script::Start);
    assert_eq!((start.file.as_deref(), start.limit_s), (Some("b"), Some(5)));
    // The host's own script is not led to another file, nor given other arguments, by a revision.
    let host = host("check = []\n[script.start]\nfrom = 'host'\nroot = true");
    let revision = said(
        "script.start.file = 'evil'\nscript.start.args = ['x']\n[[check]]\ntcp = 'localhost:1'",
    );
    let terms = Terms::of(&host, &revision).expect("terms");
    let start = &terms.script[&Script::Start];
    assert!(
        start.root && start.file.is_none() && start.args.is_empty(),
        "{start:?}"
    );
    assert!(terms.check.is_empty(), "an empty list is one too");
}

#[test]
fn a_revision_gives_a_script_no_longer_than_its_host_does() {
    let revision = said("script.build.limit_s = 900\nscript.start.limit_s = 5");
    for (host_says, build) in [
        ("", 900),
        ("script_limit_s = 60", 60),
        ("script_limit_s = 60\nscript.build.limit_s = 300", 300),
    ] {
        let terms = Terms::of(&host(host_says), &revision).expect("terms");
        assert_eq!(terms.script[&Script::Build].limit_s, Some(build));
        assert_eq!(terms.script[&Script::Start].limit_s, Some(5));
    }
}

#[test]
fn a_revision_chooses_an_owner_only_where_the_host_lets_it() {
    let owner = |host_says: &str, revision: &str| {
        let terms = Terms::of(&host(host_says), &said(revision))?;
        Ok::<_, String>(terms.owner.map(String::from))
    };
    let shop = Some("shop".to_owned());
    assert_eq!(owner("", ""), Ok(None));
    assert_eq!(owner("owner = 'shop'", "owner = 'root'"), Ok(shop.clone()));
    let two = "owners = ['jobs', 'shop']";
    assert_eq!(owner(two, "owner = 'shop'"), Ok(shop));
    assert_eq!(owner(two, ""), Ok(None));
    for host_says in ["", two] {
        let wrong = owner(host_says, "owner = 'root'").expect_err("not allowed");
        assert!(
            wrong.starts_with("owner: this host lets no revision choose root"),
            "{wrong}"
        );
    }
}

#[test]
fn what_is_not_understood_is_refused_with_file_line_and_key() {
    for (text, wanted) in [
        (
            "shared = []\ncolour = 1\n",
            "deploy.toml:2: key `colour`: unknown field `colour`",
        ),
        (
            "script_limit_s = 'long'",
            "deploy.toml:1: key `script_limit_s`: invalid type",
        ),
        (
            "shared = 'log'",
            "deploy.toml:1: key `shared`: invalid type",
        ),
        ("\n\n=", "deploy.toml:3: "),
        ("keep = 9", "deploy.toml:1: key `keep`: unknown field"),
        (
            "script.start.from = 'host'",
            "deploy.toml: script.start.from: that a script is the host's is for the host to say",
        ),
    ] {
        let wrong = Manifest::parse(text.as_bytes(), "deploy.toml").expect_err(text);
        assert!(wrong.starts_with(wanted), "{wrong}");
    }
    assert!(Manifest::parse(b"shared = ['\xff']", "deploy.toml").is_err());
    for (text, key) in [
        ("shared = ['../x']", "shared: "),
        ("shared = ['a', 'a/b']", "shared: "),
        ("shared = ['.deploy']", "shared: "),
        ("scripts = 'ops/deploy'\nshared = ['ops']", "shared: "),
        ("scripts = '/etc'", "scripts: "),
        ("script_limit_s = 0", "script_limit_s: "),
        (
            "script_limit_s = 9223372036854775807",
            "script_limit_s: 9223372036854775807 is too large: at most 86400",
        ),
        ("script_grace_s = 3601", "script_grace_s: 3601 is too large"),
        (
            "script.build.limit_s = 86401",
            "script.build.limit_s: 86401 is too large",
        ),
        ("script.build.file = '../x'", "script.build.file: "),
    ] {
        let wrong = Terms::of(&host(""), &said(text)).expect_err(text);
        assert!(wrong.starts_with(key), "{wrong}");
    }
    let many = said(&"[[check]]\ntcp = 'x:1'\n".repeat(21));
    let wrong = Terms::of(&host(""), &many).expect_err("too many");
    assert!(wrong.starts_with("check: 21 "), "{wrong}");
    // The host's folder of scripts may be what the revision wants to share.
    let wrong = Terms::of(&host("scripts = 'ops'"), &said("shared = ['ops/log']"));
    assert!(wrong.expect_err("both").starts_with("shared: "));
}

pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) site: Arc<Site>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// With these settings of the project.
    pub(crate) fn with(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let origin = folder.path().join("origin");
        fs::create_dir_all(&origin).expect("made");
        repository(&origin);
        let mut site = site(&folder.path().join("base"), World::real(), &origin);
        let more = host(&format!("origin = '{}'\n{settings}", origin.display()));
        site.settings = more;
        site.layout.make(&RealDisk).expect("folders");
        Self {
            site: Arc::new(site),
            folder,
        }
    }

    /// Commits these files beside those that are there.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> CommitId {
        let origin = self.folder.path().join("origin");
        for (path, text) in files {
            fs::write(origin.join(path), text).expect("written");
        }
        commit(&origin)
    }

    pub(crate) async fn prepare(&self, commit: &CommitId, release: &str) -> Outcome {
        for step in [Step::Objects, Step::Layout, Step::Shared] {
            let work = Work {
                step,
                release: Some(release.to_owned()),
                ..work(commit)
            };
            let outcome = act(Arc::clone(&self.site), work, CancellationToken::new()).await;
            if step == Step::Shared || outcome.end != End::Ok {
                return outcome;
            }
        }
        unreachable!("the last step returns")
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.site.layout
    }

    fn terms(&self, release: &str) -> Result<Terms, String> {
        Terms::of_release(&RealDisk, self.layout(), &self.site.settings, release).expect("read")
    }

    pub(crate) fn in_release(&self, release: &str, path: &str) -> PathBuf {
        self.layout().release(release).join(path)
    }
}

#[tokio::test]
async fn a_release_goes_by_the_file_of_its_own_commit() {
    let place = Place::new();
    let first = place.commit(&[("deploy.toml", "shared = ['data']\nscripts = 'ops'\n")]);
    assert_eq!(place.prepare(&first, "one").await.end, End::Ok);
    let second = place.commit(&[("deploy.toml", "shared = ['uploads']\n")]);
    assert_eq!(place.prepare(&second, "two").await.end, End::Ok);
    for (release, shared, not) in [("one", "data", "uploads"), ("two", "uploads", "data")] {
        assert!(place.in_release(release, shared).is_symlink(), "{release}");
        assert!(!place.in_release(release, not).exists(), "{release}");
    }
    // What somebody changes in the folder later, a build say, changes nothing.
    fs::write(place.in_release("one", "deploy.toml"), "scripts = 'evil'").expect("written");
    assert_eq!(place.terms("one").expect("terms").scripts, "ops");
    assert_eq!(place.terms("two").expect("terms").scripts, ".deploy");
    assert_eq!(refresh(&place, "one"), Some(false));
    fs::create_dir_all(place.in_release("one", "ops")).expect("made");
    fs::write(place.in_release("one", "ops/refresh"), "").expect("written");
    assert_eq!(refresh(&place, "one"), Some(true));
}

/// Whether a release that is on the disk has a refresh.
fn refresh(place: &Place, release: &str) -> Option<bool> {
    let (site, plans) = (&place.site, BTreeMap::new());
    let ground = site
        .scripts
        .ground(&RealDisk, &site.layout, &site.settings, &plans);
    Some(ground.expect("read").get(release)?.refresh)
}

#[tokio::test]
async fn a_revision_whose_file_is_not_understood_is_not_laid_out() {
    let place = Place::new();
    let commit = place.commit(&[("deploy.toml", "shared = []\ncolour = 'red'\n")]);
    let outcome = place.prepare(&commit, "one").await;
    assert_eq!(outcome.end, End::Failed);
    let reason = outcome.detail.expect("a reason");
    let wanted = format!("deploy.toml of {}:2: key `colour`: unknown", commit.short());
    assert!(reason.starts_with(&wanted), "{reason}");
    let left = fs::read_dir(place.layout().releases()).expect("read");
    assert_eq!(left.count(), 0);
    let origin = place.folder.path().join("origin");
    fs::remove_file(origin.join("deploy.toml")).expect("removed");
    std::os::unix::fs::symlink("name", origin.join("deploy.toml")).expect("made");
    let outcome = place.prepare(&place.commit(&[]), "one").await;
    let reason = outcome.detail.expect("a reason");
    assert_eq!(
        reason,
        "the tree has \"deploy.toml\": it is no regular file"
    );
}

#[tokio::test]
async fn a_release_without_the_file_or_from_before_goes_by_the_host_alone() {
    let place = Place::new();
    let commit = place.commit(&[("other", "x")]);
    assert_eq!(place.prepare(&commit, "one").await.end, End::Ok);
    let host = Terms::of(&place.site.settings, &Manifest::default());
    assert_eq!(place.terms("one"), host);
    fs::remove_file(place.layout().manifest("one")).expect("it is kept, empty");
    assert_eq!(place.terms("one"), host);
    fs::write(place.layout().manifest("one"), "later = 1").expect("written");
    let wrong = place.terms("one").expect_err("written by a later agent");
    assert!(
        wrong.contains("laid-out/one.toml:1: key `later`"),
        "{wrong}"
    );
}
