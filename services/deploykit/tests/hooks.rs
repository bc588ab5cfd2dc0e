//! The hooks as they are shipped, with real reprepro, Subversion and apt; what they leave in the spool is delivered over a real broker.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, chown},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use chassis::settings::parse;
use deploykit::announce;
use events::{
    Payload, Topic,
    message::{CiFailed, CiSucceeded, PackagesRefreshed, PackagesUpdated, Pushed, SvnCommitted},
};
use stomp_repo::refresh::Part;
use testkit::{AptHost, AptRepository, Ear, Folder, Member, Mirror, Running, TestBroker};
use tokio::task::JoinSet;
use world::World;

use crate::machine::{program, says};

const PROGRAM: &str = env!("CARGO_BIN_EXE_deploykit");

/// A spool, and what is needed to see what comes out of it.
struct Hub {
    folder: Folder,
    broker: TestBroker,
    member: Member,
    _delivers: Running,
}

impl Hub {
    async fn new() -> Self {
        let folder = Folder::new();
        let broker = TestBroker::start().await;
        let member = Member::connect("test", broker.common("hub")).await;
        let text = format!("[outbox]\nfolder = {:?}\n", folder.join("spool"));
        let (_, settings) = parse::<announce::Deliver>(&text, "test").unwrap();
        let common = broker.common("apt1");
        let _delivers =
            Running::start("announce", common, settings, World::real(), announce::serve);
        Self {
            folder,
            broker,
            member,
            _delivers,
        }
    }

    fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    fn settings(&self, at: &Path, repository: &str) {
        settings(&self.spool(), at, repository);
    }

    async fn ear(&self, topic: Topic) -> Ear {
        self.member.listen(topic).await
    }
}

async fn heard<P: Payload + std::fmt::Debug>(ear: &mut Ear) -> P {
    ear.hear(|_: &P| true).await
}

/// A hook as it is shipped, where it can be run.
fn hook(name: &str, to: &Path) {
    fs::write(to, announce::hook(name).unwrap()).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The settings file of a hook: a word and a value a line.
fn settings(spool: &Path, at: &Path, repository: &str) {
    let spool = spool.display();
    let text = format!("repository {repository}\nspool {spool}\ncommand {PROGRAM}\n");
    fs::write(at, text).unwrap();
}

/// A repository whose hooks, which are in this folder, announce it as `acme`.
pub(crate) fn announced_by(folder: &Folder, spool: &Path) -> AptRepository {
    let repository = AptRepository::new();
    let (log, end) = (folder.join("reprepro-log"), folder.join("reprepro-end"));
    hook("reprepro-log", &log);
    hook("reprepro-end", &end);
    repository.hooks(&log, &end);
    settings(spool, &repository.path().join("conf/deploykit"), "acme");
    repository
}

/// The root part of `stomp-repo` for this apt, at this socket.
pub(crate) fn root_part(apt: &AptHost, socket: &Path) -> JoinSet<()> {
    let listener = UnixListener::bind(socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::UnixListener::from_std(listener).unwrap();
    let part = Part {
        list: apt.list(),
        apt_config: Some(apt.config()),
        limit_s: 60,
    };
    let mut root = JoinSet::new();
    root.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            part.serve(&mut stream, &World::real()).await;
        }
    });
    root
}

#[tokio::test]
async fn a_package_that_is_uploaded_is_the_candidate_of_a_host_at_the_end() {
    let hub = Hub::new().await;
    let repository = announced_by(&hub.folder, &hub.spool());
    repository.upload("shop", "1.0");
    let mirror = Mirror::start().await;
    mirror.sync(&repository.path());
    let apt = AptHost::new();
    apt.add_source("acme.sources", &mirror.url(), &repository);
    apt.install("shop", "1.0");
    let socket = hub.folder.join("refresh.sock");
    let _root = root_part(&apt, &socket);
    let text = format!(
        "socket = {socket:?}\napt_config = {:?}\nsplay_s = 0\nretry_s = 1\n\
         [sources.\"acme.sources\"]\nrepositories = [\"acme\"]\n",
        apt.config()
    );
    let (_, settings) = parse::<stomp_repo::Settings>(&text, "test").unwrap();
    let mut updated = hub.ear(Topic::PackagesUpdated).await;
    let mut refreshed = hub.ear(Topic::PackagesRefreshed).await;
    let common = hub.broker.common("web1");
    let service = Running::start(
        "stomp-repo",
        common,
        settings,
        World::real(),
        stomp_repo::serve,
    );

    repository.upload("shop", "1:0.9~rc1");
    mirror.sync(&repository.path());
    let wanted = |message: &PackagesUpdated| message.packages[0].version.as_str() == "1:0.9~rc1";
    let message = updated.hear(wanted).await;
    assert_eq!(
        (message.repository.as_str(), message.suite.as_str()),
        ("acme", "bookworm")
    );
    let package = &message.packages[0];
    assert_eq!(package.before.as_ref().unwrap().as_str(), "1.0");
    assert_eq!(package.source.as_ref().unwrap().as_str(), "shop-src");
    assert_eq!(
        package.architectures.len(),
        2,
        "`all` is in both indices: {package:?}"
    );

    let message = heard::<PackagesRefreshed>(&mut refreshed).await;
    let candidate = &message.packages[0];
    assert_eq!(
        (message.host.as_str(), candidate.name.as_str()),
        ("web1", "shop")
    );
    assert_eq!(candidate.after.as_ref().unwrap().as_str(), "1:0.9~rc1");
    assert_eq!(candidate.before.as_ref().unwrap().as_str(), "1.0");
    assert_eq!(apt.candidate("shop"), "1:0.9~rc1");
    service.stop().await.unwrap();
}

#[tokio::test]
async fn reprepro_ends_as_without_the_hooks_and_its_notes_are_gone() {
    let hub = Hub::new().await;
    let mut ear = hub.ear(Topic::PackagesUpdated).await;
    let repository = announced_by(&hub.folder, &hub.spool());
    let noted =
        || fs::read_dir(repository.path().join("logs/deploykit")).map_or(0, Iterator::count);
    let shop = repository.deb("shop", "1.0").display().to_string();
    let tool = repository.deb("tool", "2").display().to_string();
    assert_eq!(
        repository.reprepro(&[
            "--component",
            "main",
            "includedeb",
            "bookworm",
            &shop,
            &tool
        ]),
        ""
    );
    let names = |message: PackagesUpdated| -> Vec<String> {
        message
            .packages
            .into_iter()
            .map(|package| package.name.into())
            .collect()
    };
    assert_eq!(
        names(heard(&mut ear).await),
        ["shop", "tool"],
        "one message for one run"
    );
    assert_eq!(noted(), 0);
    // Nothing new, something gone, something wrong: no message, and the exit code that it is without hooks.
    assert_eq!(
        repository
            .try_reprepro(&["--component", "main", "includedeb", "bookworm", &shop])
            .status
            .code(),
        Some(0)
    );
    repository.reprepro(&["remove", "bookworm", "tool"]);
    let failed = repository.try_reprepro(&["includedeb", "nosuch", &shop]);
    assert_eq!(failed.status.code(), Some(249), "{}", says(&failed));
    // A program that is not there, and one that fails: one line, and the upload stands.
    let settings = repository.path().join("conf/deploykit");
    fs::write(&settings, "command /nowhere/deploykit\n").unwrap();
    let next = repository.deb("shop", "1.1").display().to_string();
    let said = repository.reprepro(&["--component", "main", "includedeb", "bookworm", &next]);
    assert_eq!(
        said,
        "deploykit: the packages are fine but were not announced: there is no program /nowhere/deploykit\n"
    );
    hub.settings(&settings, "no such name");
    repository.upload("shop", "1.2");
    hub.settings(&settings, "acme");
    repository.upload("shop", "1.3");
    let message = heard::<PackagesUpdated>(&mut ear).await;
    assert_eq!(message.packages[0].version.as_str(), "1.3");
    assert_eq!(noted(), 0);
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", says(&output));
    output
}

#[tokio::test]
async fn an_annotated_tag_is_announced_with_its_commit_and_a_ref_that_is_no_text_spoils_no_other() {
    let hub = Hub::new().await;
    let mut ear = hub.ear(Topic::GitCommits).await;
    let (bare, work) = (hub.folder.join("shop.git"), hub.folder.join("work"));
    let git = |folder: &Path, args: &[&str]| {
        let mut command = program("git", hub.folder.path());
        let output = run(command.arg("-C").arg(folder).args(args));
        says(&output).trim().to_owned()
    };
    let spool = hub.spool().display().to_string();
    for (folder, bare_or_not) in [(&bare, "--bare"), (&work, "--initial-branch=main")] {
        fs::create_dir(folder).unwrap();
        git(folder, &["init", "-q", bare_or_not]);
    }
    hook("post-receive", &bare.join("hooks/post-receive"));
    git(&bare, &["config", "deploykit.command", PROGRAM]);
    git(&bare, &["config", "deploykit.spool", &spool]);
    git(&work, &["commit", "-q", "--allow-empty", "-m", "one"]);
    git(&work, &["tag", "light"]);
    git(&work, &["tag", "-m", "two", "heavy"]);
    let (commit, tag) = (
        git(&work, &["rev-parse", "HEAD"]),
        git(&work, &["rev-parse", "heavy"]),
    );
    let refs = ["main", "refs/tags/light", "refs/tags/heavy"];
    let mut push = program("git", hub.folder.path());
    push.arg("-C").arg(&work).args(["push", "-q"]).arg(&bare);
    let odd = OsStr::from_bytes(b"HEAD:refs/heads/Gr\xfc\xdfe");
    let said = says(&run(push.args(refs).arg(odd)));
    assert!(
        said.contains("a ref of shop is not announced:") && said.contains("is not UTF-8"),
        "{said}"
    );
    let mut told = BTreeMap::new();
    while told.len() < 3 {
        let Pushed {
            name,
            after,
            commit,
            ..
        } = heard(&mut ear).await;
        told.insert(name.to_string(), (after, commit));
    }
    let id = |text: &str| Some(text.parse().unwrap());
    let expected = [
        ("refs/heads/main", (id(&commit), None)),
        ("refs/tags/heavy", (id(&tag), id(&commit))),
        ("refs/tags/light", (id(&commit), None)),
    ];
    assert_eq!(
        told,
        expected.map(|(name, of)| (name.to_owned(), of)).into()
    );
}

#[tokio::test]
async fn a_commit_to_subversion_is_announced() {
    let hub = Hub::new().await;
    let mut ear = hub.ear(Topic::SvnCommits).await;
    let repository = hub.folder.join("legacy");
    let home = hub.folder.path();
    run(program("svnadmin", home).arg("create").arg(&repository));
    hook("svn-post-commit", &repository.join("hooks/post-commit"));
    hub.settings(&repository.join("conf/deploykit"), "legacy");
    let url = format!("file://{}", repository.display());
    let svn = |args: &[&str]| {
        let mut command = program("svn", home);
        command
            .env("LC_ALL", "C.UTF-8")
            .args(["--username", "ann", "--non-interactive", "-q"])
            .args(args);
        run(&mut command)
    };
    let message = "Grüße\n\nrepo: other\nU   trunk/evil";
    svn(&[
        "mkdir",
        "--parents",
        "-m",
        message,
        &format!("{url}/shop/trunk/ü b"),
        &format!("{url}/shop/tags"),
    ]);
    let commit = heard::<SvnCommitted>(&mut ear).await;
    assert_eq!((commit.repository.as_str(), commit.revision), ("legacy", 1));
    assert_eq!(
        (commit.author.as_deref(), commit.title.as_str()),
        (Some("ann"), "Grüße")
    );
    assert_eq!(commit.paths_total, 4);
    assert!(
        commit
            .paths
            .iter()
            .any(|it| it.path.as_str() == "shop/trunk/ü b/"),
        "{commit:?}"
    );
    svn(&[
        "cp",
        "-m",
        "v1",
        &format!("{url}/shop/trunk"),
        &format!("{url}/shop/tags/v1"),
    ]);
    let commit = heard::<SvnCommitted>(&mut ear).await;
    assert_eq!(
        (commit.revision, commit.branches[0].as_str()),
        (2, "shop/tags/v1")
    );
    // Whatever is wrong here, the commit is done.
    fs::write(
        repository.join("conf/deploykit"),
        "command /nowhere/deploykit\n",
    )
    .unwrap();
    svn(&["mkdir", "-m", "x", &format!("{url}/x")]);
    let hook = run(program(repository.join("hooks/post-commit"), home)
        .arg(&repository)
        .arg("3"));
    assert!(
        says(&hook).contains(
            "the commit is fine but was not announced: there is no program /nowhere/deploykit"
        ),
        "{}",
        says(&hook)
    );
    hub.settings(&repository.join("conf/deploykit"), "legacy");
    let hook = run(program(repository.join("hooks/post-commit"), home)
        .arg(&repository)
        .arg("99"));
    assert!(
        says(&hook).contains("r99 of \"legacy\": line 1 of the input"),
        "{}",
        says(&hook)
    );
    svn(&["mkdir", "-m", "y", &format!("{url}/y")]);
    assert_eq!(heard::<SvnCommitted>(&mut ear).await.revision, 4);
}

#[test]
fn a_commit_to_subversion_is_not_held_up_by_an_svnlook_that_hangs() {
    let folder = Folder::new();
    fs::create_dir(folder.join("conf")).unwrap();
    settings(
        &folder.join("spool"),
        &folder.join("conf/deploykit"),
        "legacy",
    );
    let look = folder.write("svnlook", "#!/bin/sh\nexec sleep 90\n");
    fs::set_permissions(look, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:/usr", folder.path().display());
    let text = announce::hook("svn-post-commit").unwrap();
    let text = text.replacen("PATH=/usr", &path, 1);
    let hook = folder.write("hook", &text.replace("timeout 10", "timeout 1"));
    let began = Instant::now();
    let hook = run(program("sh", folder.path())
        .arg(hook)
        .arg(folder.path())
        .arg("1"));
    assert!(began.elapsed() < Duration::from_secs(60));
    let said = says(&hook);
    assert!(
        said.contains("was not announced") && !said.contains("there is no program"),
        "{said}"
    );
}

#[test]
fn what_root_leaves_in_a_spool_made_as_the_readme_says_is_of_the_spools_group() {
    let folder = Folder::new();
    let spool = folder.join("spool");
    fs::create_dir(&spool).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&spool, None, Some(4242)).unwrap();
    }
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o2770)).unwrap();
    let mut step = program(PROGRAM, folder.path());
    step.args(["announce", "build", "started", "--repository", "shop"]);
    step.args(["--job", "shop", "--number", "7", "--commit"]);
    step.arg("1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910");
    assert_eq!(says(&run(step.arg("--spool").arg(&spool))), "");
    let group = fs::metadata(&spool).unwrap().gid();
    let messages = fs::read_dir(&spool).unwrap().map(|it| it.unwrap());
    let messages = messages.filter(|it| it.file_name().to_string_lossy().ends_with(".json"));
    let found: Vec<_> = messages.map(|it| it.metadata().unwrap()).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].gid(), found[0].mode() & 0o777), (group, 0o640));
}

#[tokio::test]
async fn a_host_without_stomp_repo_says_what_apt_would_install_after_an_update() {
    let hub = Hub::new().await;
    let mut ear = hub.ear(Topic::PackagesRefreshed).await;
    let repository = AptRepository::new();
    repository.upload("shop", "1.1");
    let apt = AptHost::new();
    let file = format!("file:{}", repository.path().display());
    apt.add_source("acme.sources", &file, &repository);
    apt.install("shop", "1.0");
    let line = announce::hook("apt.conf").unwrap();
    let line = line.lines().find(|line| line.starts_with("APT::")).unwrap();
    let ours = format!(
        "{PROGRAM} announce refreshed --spool {} --apt-config {}",
        hub.spool().display(),
        apt.config().display()
    );
    apt.set(&line.replace("deploykit announce refreshed", &ours));
    let _said = apt.run("apt-get", &["update", "-q"]);
    let message = heard::<PackagesRefreshed>(&mut ear).await;
    let [shop] = &message.packages[..] else {
        panic!("{message:?}");
    };
    assert_eq!(
        (message.source, shop.name.as_str()),
        (None, "shop"),
        "shop-worker is not known here"
    );
    assert_eq!(shop.after.as_ref().unwrap().as_str(), "1.1");
    assert_eq!(
        (shop.installed.as_ref().unwrap().as_str(), &shop.before),
        ("1.0", &None)
    );
    // What is wrong with the announcing is no matter of apt's.
    apt.set(&line.replace("deploykit announce refreshed", "/nowhere/deploykit"));
    let _said = apt.run("apt-get", &["update", "-q"]);
}

#[tokio::test]
async fn a_build_says_how_it_went() {
    let hub = Hub::new().await;
    let mut good = hub.ear(Topic::CiSucceeded).await;
    let mut bad = hub.ear(Topic::CiFailed).await;
    let spool = hub.spool().display().to_string();
    let says_so = |args: &[&str]| {
        let mut command = program(PROGRAM, hub.folder.path());
        command.args(["announce", "build"]).args(args);
        command.args([
            "--repository",
            "shop",
            "--job",
            "backend/shop",
            "--number",
            "7",
            "--spool",
            &spool,
        ]);
        says(&run(&mut command))
    };
    let commit = "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";
    assert_eq!(
        says_so(&[
            "succeeded",
            "--commit",
            commit,
            "--ref",
            "refs/heads/main",
            "--url",
            ""
        ]),
        ""
    );
    let built = heard::<CiSucceeded>(&mut good).await.build;
    assert_eq!(
        (built.commit.as_str(), built.number, built.url),
        (commit, 7, None)
    );
    assert_eq!(built.name.unwrap().as_str(), "refs/heads/main");
    let wrong = says_so(&["started", "--commit", "HEAD; id"]);
    assert!(
        wrong.contains(
            "not announced: that a build started: --commit: \"HEAD; id\" is not a commit id"
        ),
        "{wrong}"
    );
    assert_eq!(
        says_so(&["failed", "--commit", commit, "--result", "unstable"]),
        ""
    );
    let failed = heard::<CiFailed>(&mut bad).await;
    assert_eq!(serde_json::to_value(failed.result).unwrap(), "unstable");
}
