//! The program itself: killed in the middle of a fetch, as root for another user, and `status` without a service.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use command::{Limits, Output, Program, Running};
use events::{Topic, message::Fetched};
use testkit::{Ear, Folder, Member, Origin, SOON, TestBroker, until};
use world::World;

/// The user `nobody` of Debian.
const NOBODY: u32 = 65534;

/// A machine with the program, where other users may look.
struct Machine {
    base: Folder,
    broker: TestBroker,
    program: PathBuf,
}

impl Machine {
    async fn new() -> Self {
        let base = Folder::new();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = base.join("stomp-git");
        fs::copy(env!("CARGO_BIN_EXE_stomp-git"), &program).unwrap();
        Self {
            base,
            broker: TestBroker::start().await,
            program,
        }
    }

    /// Writes the settings: the repository `shop` with what belongs to it.
    fn settings(&self, repository: &str) {
        let (base, passcode) = (self.base.path(), self.broker.passcode_file());
        let text = format!(
            "host = \"web1\"\nbase = {:?}\nhome = {base:?}\nsplay_ms = 0\n[bus]\nbrokers = [{:?}]\nlogin = \"guest\"\n\
             passcode_file = {passcode:?}\n[repositories.shop]\n{repository}\n",
            base.join("data"),
            self.broker.address(),
        );
        self.base.write("stomp-git.toml", &text);
    }

    fn ask(&self, args: &[&str]) -> Program {
        Program::new(&self.program)
            .args(args.to_vec())
            .arg("--config")
            .arg(self.base.join("stomp-git.toml").display().to_string())
    }

    async fn run(&self, args: &[&str]) -> Output {
        let ran = World::real()
            .processes
            .run(&self.ask(args), Limits::of(SOON))
            .await;
        ran.unwrap()
    }

    async fn status(&self) -> (Option<i32>, String) {
        let output = self.run(&["status"]).await;
        (output.code, String::from_utf8(output.stdout).unwrap())
    }

    fn start(&self) -> Box<dyn Running> {
        let log = self.base.join("log");
        World::real().processes.start(&self.ask(&[]), &log).unwrap()
    }

    async fn ear(&self) -> (Member, Ear) {
        let member = Member::connect("test", self.broker.common("hub")).await;
        let ear = member.listen(Topic::GitFetched).await;
        (member, ear)
    }
}

async fn fetched(ear: &mut Ear, refs: usize) {
    ear.hear::<Fetched>(|fetched| fetched.refs.len() == refs)
        .await;
}

/// Ends every git of a mirror, as the power does, and waits until nobody has this file of it open.
async fn kill_gits(mirror: &Path, file: &Path) {
    let name = mirror.display().to_string();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&format!("--git-dir={name}")) {
            let pid = process.file_name().to_string_lossy().into_owned();
            let kill = Program::new("kill").args(["-9", &pid]);
            let _ended_already = World::real().processes.run(&kill, Limits::of(SOON)).await;
        }
    }
    let open = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let files = processes.filter_map(|process| fs::read_dir(process.path().join("fd")).ok());
        let mut links = files
            .flatten()
            .flatten()
            .map(|link| fs::read_link(link.path()));
        links.any(|target| target.is_ok_and(|target| target == file))
    };
    let closed = async || (!open()).then_some(());
    until("the half pack is nobody's", SOON, closed).await;
}

#[tokio::test]
async fn killed_in_the_middle_of_a_fetch_it_goes_on_at_the_next_start() {
    let (machine, origin) = (Machine::new().await, Origin::new());
    origin.commit(&[("a.txt", "1")]);
    // What git at the origin runs to send objects: without the file `ok` it stops after the first bytes.
    let base = machine.base.path().display();
    let script = format!(
        "#!/bin/sh\n[ -e '{base}/ok' ] && exec \"$@\"\n\"$@\" | head -c 100\nexec sleep 100\n"
    );
    let script = machine.base.write("send", &script);
    let settings = format!("[uploadpack]\n packObjectsHook = {}\n", script.display());
    machine.base.write(".gitconfig", &settings);
    machine.base.write("ok", "");
    machine.settings(&format!("origin = {:?}", origin.url()));
    let (_member, mut ear) = machine.ear().await;
    let mut service = machine.start();
    fetched(&mut ear, 1).await;
    service.end(SOON).await;

    fs::remove_file(machine.base.join("ok")).unwrap();
    origin.commit(&[("a.txt", "2")]).tag("v1");
    let service = machine.start();
    let mirror = machine.base.join("data/mirrors/shop.git");
    let packs = mirror.join("objects/pack");
    let half = || {
        let files = fs::read_dir(&packs).unwrap().flatten();
        let mut names = files.map(|file| file.path());
        names.find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("tmp_pack")
        })
    };
    let half = until("half a pack is there", SOON, async || half()).await;
    let pid = service.pid().to_string();
    let kill = Program::new("kill").args(["-9", &pid]);
    World::real()
        .processes
        .run(&kill, Limits::of(SOON))
        .await
        .unwrap();
    drop(service);
    kill_gits(&mirror, &half).await;
    let lock = mirror.join("refs/heads/main.lock");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    fs::write(&lock, "").unwrap();
    let minute_ago = SystemTime::now() - Duration::from_secs(60);
    for left in [&half, &lock] {
        let file = fs::File::options().write(true).open(left).unwrap();
        file.set_modified(minute_ago).unwrap();
    }
    machine.base.write("ok", "");
    let mut service = machine.start();
    fetched(&mut ear, 2).await;
    assert!(!half.exists() && !lock.exists(), "what was left is gone");
    service.end(SOON).await;
    let (code, said) = machine.status().await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn status_needs_no_service_and_tells_what_is_wrong() {
    let (machine, origin) = (Machine::new().await, Origin::new());
    let folder = machine.base.join("env").display().to_string();
    let text = format!(
        "origin = {:?}\nmode = \"branches\"\nfolder = {folder:?}",
        origin.url()
    );
    machine.settings(&text);
    let (code, said) = machine.status().await;
    let first = format!("shop: branches of {} in {folder}\n", origin.url());
    assert_eq!(
        (code, said),
        (Some(1), format!("{first}  not fetched yet\n"))
    );

    origin
        .commit(&[("a.txt", "1")])
        .tag("v1")
        .branch("feature/x")
        .commit(&[]);
    let (_member, mut ear) = machine.ear().await;
    let mut service = machine.start();
    fetched(&mut ear, 3).await;
    let good = async || machine.status().await.0.filter(|code| *code == 0);
    until("all is noted", SOON, good).await;
    service.end(SOON).await;
    let short = origin.commit_of("main").short().to_owned();
    let other = origin.commit_of("feature/x").short().to_owned();
    let (_, said) = machine.status().await;
    assert!(
        said.starts_with(&first) && said.contains(" ago: 2 branches, 1 tags\n"),
        "{said}"
    );
    assert!(
        said.ends_with(&format!("  feature_x at {other}\n  main at {short}\n")),
        "{said}"
    );

    origin.branch("main").commit(&[]).tag("v1").commit(&[]);
    machine.base.write("env/z/precious", "");
    origin.branch("z").commit(&[]);
    let mut service = machine.start();
    until("the moved tag is noted", SOON, async || {
        machine
            .status()
            .await
            .1
            .contains("refs/tags/v1 was moved")
            .then_some(())
    })
    .await;
    service.end(SOON).await;
    let output = machine.run(&["status", "--json"]).await;
    assert_eq!(output.code, Some(1));
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let shop = &all[0];
    assert_eq!(shop["repository"], "shop");
    assert_eq!(shop["mode"], "branches");
    assert_eq!(shop["failures"], 0);
    assert_eq!(shop["branches"], 3);
    assert_eq!(shop["folders"]["main"], origin.commit_of("main").as_str());
    assert_eq!(shop["told"]["moved_tags"][0]["name"], "refs/tags/v1");
    let trouble = shop["told"]["troubles"][0].as_str().unwrap();
    assert!(
        trouble.contains("env/z was not made by stomp-git"),
        "{trouble}"
    );
    let wrong = machine.run(&["status", "--yaml"]).await;
    assert_eq!(wrong.code, Some(2));
}

#[tokio::test]
async fn all_of_a_repository_is_its_users_where_root_serves_it_and_refused_elsewhere() {
    let (machine, origin) = (Machine::new().await, Origin::new());
    origin.commit(&[("a.txt", "1")]);
    let above = origin.path().parent().unwrap().to_owned();
    fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
    machine.base.write("www/.keep", "");
    let (www, folder) = (machine.base.join("www"), machine.base.join("www/site"));
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let user = if root { "nobody" } else { "root" };
    machine.settings(&format!(
        "origin = {:?}\nmode = \"branch\"\nbranch = \"main\"\nfolder = {folder:?}\nuser = {user:?}",
        origin.url()
    ));
    let checked = machine.run(&["--check"]).await;
    if !root {
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.code, Some(78));
        assert!(said.contains("only root may be another user"), "{said}");
        return;
    }
    assert_eq!(checked.code, Some(0), "{checked:?}");
    std::os::unix::fs::chown(&www, Some(NOBODY), None).unwrap();
    let (_member, mut ear) = machine.ear().await;
    let mut service = machine.start();
    fetched(&mut ear, 1).await;
    let there = async || fs::read_to_string(folder.join("a.txt")).ok();
    assert_eq!(until("the folder is there", SOON, there).await, "1");
    origin.commit(&[("a.txt", "2")]);
    service.end(SOON).await;
    let mirror = machine.base.join("data/users/nobody/mirrors/shop.git");
    for path in [
        &mirror,
        &mirror.join("HEAD"),
        &folder,
        &folder.join("a.txt"),
    ] {
        assert_eq!(
            fs::symlink_metadata(path).unwrap().uid(),
            NOBODY,
            "{path:?}"
        );
    }
    let noted = machine.base.join("data/stomp-git/shop.json");
    assert_eq!(
        fs::metadata(noted).unwrap().uid(),
        0,
        "what status reads is the service's own"
    );

    // Where the user may not write, root does not either.
    fs::remove_file(&folder).unwrap();
    std::os::unix::fs::chown(&www, Some(0), None).unwrap();
    let mut service = machine.start();
    until("the trouble is noted", SOON, async || {
        machine
            .status()
            .await
            .1
            .contains("site cannot be switched")
            .then_some(())
    })
    .await;
    assert!(!folder.exists());
    service.end(SOON).await;
}
