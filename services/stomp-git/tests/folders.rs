//! Checkouts with real git on a real disk: whole, atomic, nobody else's, and whole again after a crash anywhere.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use events::RepoName;
use git::{Git, Mirror};
use stomp_git::{
    Settings,
    checkouts::{CheckedOut, Checkouts, check_out},
};
use testkit::{Faulty, Folder, Origin};
use world::World;

/// An origin, and a host with its mirror.
struct Site {
    origin: Origin,
    base: Folder,
    repository: RepoName,
    checkouts: Checkouts,
}

impl Site {
    /// `mode` and what belongs to it; `FOLDER` is a place on the host.
    fn new(mode: &str) -> Self {
        let (origin, base) = (Origin::new(), Folder::new());
        let text = format!("keep_s = 1\n[repositories.shop]\norigin = \"/srv/shop\"\n{mode}")
            .replace("FOLDER", &base.path().display().to_string());
        let (_, settings) = chassis::settings::parse::<Settings>(&text, "test").unwrap();
        let (repository, asked) = settings.repositories.into_iter().next().unwrap();
        let checkouts = Checkouts {
            keep_s: 0,
            ..Checkouts::of(&asked, settings.keep_s).unwrap()
        };
        Self {
            origin,
            base,
            repository,
            checkouts,
        }
    }

    fn branches() -> Self {
        Self::new("mode = \"branches\"\nfolder = \"FOLDER/env\"")
    }

    fn mirror(&self, world: &World) -> Mirror {
        Mirror::at(self.base.join("shop.git"), &Git::new(world))
    }

    async fn fetch(&self) {
        let mirror = self.mirror(&World::real());
        mirror
            .ensure(&self.origin.url().parse().unwrap())
            .await
            .unwrap();
        mirror.fetch().await.unwrap();
    }

    async fn check_out_in(&self, world: &World) -> CheckedOut {
        check_out(
            &self.mirror(world),
            world,
            &self.repository,
            &self.checkouts,
        )
        .await
    }

    /// Fetches and checks out; what was switched.
    async fn look(&self) -> Vec<String> {
        self.fetch().await;
        let done = self.check_out_in(&World::real()).await;
        assert_eq!(done.troubles, [], "all is well");
        done.switched
            .into_iter()
            .map(|folder| folder.name)
            .collect()
    }

    /// What keeps it from being as it should be.
    async fn troubles(&self) -> Vec<String> {
        self.fetch().await;
        let done = self.check_out_in(&World::real()).await;
        done.troubles
            .into_iter()
            .map(|trouble| trouble.text)
            .collect()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    fn trees(&self, name: &str) -> Vec<String> {
        self.base.names(format!("env/.stomp-git/trees/{name}"))
    }
}

#[tokio::test]
async fn each_branch_is_a_whole_folder_that_follows_and_goes_with_it() {
    let site = Site::branches();
    site.origin.commit(&[("a.txt", "1"), ("sub/b.txt", "1")]);
    site.origin.branch("feature/x").commit(&[("c.txt", "1")]);
    assert_eq!(site.look().await, ["feature_x", "main"]);
    assert_eq!(site.base.names("env/feature_x"), ["a.txt", "c.txt", "sub"]);
    assert_eq!(site.look().await, [""; 0], "nothing to do");

    // Deleted upstream is gone, new is there, and the old tree is still whole for who reads it.
    let old = fs::canonicalize(site.at("env/main")).unwrap();
    site.origin
        .branch("main")
        .delete("a.txt")
        .commit(&[("sub/b.txt", "2")]);
    assert_eq!(site.look().await, ["main"]);
    assert_eq!(site.base.names("env/main"), ["sub"]);
    assert_eq!(site.base.read("env/main/sub/b.txt"), "2");
    assert!(old.join("a.txt").exists());
    site.look().await;
    assert!(!old.exists(), "its grace is over");
    assert_eq!(site.trees("main").len(), 1);

    site.origin.forget("feature/x");
    assert_eq!(site.look().await, ["feature_x"]);
    assert!(!site.base.has("env/feature_x"));
    site.look().await;
    site.look().await;
    assert_eq!(site.base.names("env/.stomp-git/trees"), ["main"]);
}

#[tokio::test]
async fn a_rewritten_branch_is_followed_and_a_tree_that_comes_back_is_taken_up_again() {
    let site = Site::branches();
    site.origin
        .commit(&[("a.txt", "1")])
        .commit(&[("a.txt", "2")]);
    site.look().await;
    let second = fs::canonicalize(site.at("env/main")).unwrap();
    site.origin.rewind();
    assert_eq!(site.look().await, ["main"]);
    assert_eq!(site.base.read("env/main/a.txt"), "1");
    let kept = Checkouts {
        keep_s: 1000,
        ..site.checkouts.clone()
    };
    let site = Site {
        checkouts: kept,
        ..site
    };
    assert!(second.exists());
    site.origin.commit(&[("a.txt", "2")]);
    assert_eq!(site.look().await, ["main"]);
    assert_eq!(fs::canonicalize(site.at("env/main")).unwrap(), second);
    let mut names = site.trees("main");
    names.retain(|name| name.ends_with(".old"));
    assert_eq!(names.len(), 1, "only the other tree is old");
}

#[tokio::test]
async fn one_branch_is_the_folder_itself() {
    let site = Site::new("mode = \"branch\"\nbranch = \"main\"\nfolder = \"FOLDER/www/site\"");
    site.origin.commit(&[("index.html", "1")]);
    site.origin.branch("topic").commit(&[("index.html", "x")]);
    assert_eq!(site.look().await, ["site"]);
    assert_eq!(site.base.read("www/site/index.html"), "1");
    assert_eq!(site.base.names("www"), [".site.stomp-git", "site"]);
    // The whole can be moved: the link is relative.
    fs::rename(site.at("www"), site.at("moved")).unwrap();
    assert_eq!(site.base.read("moved/site/index.html"), "1");
}

#[tokio::test]
async fn the_newest_tags_are_folders_and_older_ones_go() {
    let site = Site::new(
        "mode = \"tags\"\nfolder = \"FOLDER/rel\"\nat_most = 2\nfollow = [\"refs/tags/v*\"]",
    );
    site.origin
        .commit(&[("a.txt", "1")])
        .tag("v1")
        .tag("nightly");
    site.look().await;
    assert_eq!(site.base.names("rel"), [".stomp-git", "v1"]);
    // Commits of the same time: names decide, so that v1 is the one to stay.
    site.origin
        .commit(&[("a.txt", "2")])
        .tag("v2")
        .commit(&[])
        .tag("v3");
    site.look().await;
    assert_eq!(site.base.names("rel"), [".stomp-git", "v1", "v2"]);
    assert_eq!(site.base.read("rel/v2/a.txt"), "2");
}

#[tokio::test]
async fn what_stomp_git_did_not_make_is_neither_replaced_nor_removed() {
    let site = Site::branches();
    site.origin.commit(&[("a.txt", "1")]);
    for name in ["folder", "empty", "file", "link", "dangling"] {
        site.origin.branch(name).commit(&[(name, "x")]);
    }
    site.base.write("env/folder/precious", "p");
    fs::create_dir(site.at("env/empty")).unwrap();
    site.base.write("env/file", "p");
    site.base.write("env/unrelated/precious", "p");
    site.base.write("env/.stomp-git/stray", "p");
    symlink("folder", site.at("env/link")).unwrap();
    symlink(".stomp-git/trees/other/x", site.at("env/dangling")).unwrap();
    let troubles = site.troubles().await;
    for name in ["folder", "empty", "file", "link", "dangling"] {
        let said = format!("env/{name} was not made by stomp-git and stays: move it away");
        assert!(
            troubles.iter().any(|trouble| trouble.contains(&said)),
            "{troubles:?}"
        );
    }
    assert_eq!(site.base.read("env/folder/precious"), "p");
    assert_eq!(site.base.read("env/unrelated/precious"), "p");
    assert_eq!(site.base.read("env/file"), "p");
    assert_eq!(site.base.names("env/empty"), [""; 0]);
    assert_eq!(site.base.read("env/main/a.txt"), "1", "the others go on");
    // Branches that go do not take them along.
    for name in ["folder", "empty", "file", "link", "dangling"] {
        site.origin.branch("main").forget(name);
    }
    assert_eq!(site.look().await, [""; 0]);
    assert_eq!(site.base.read("env/folder/precious"), "p");
    assert!(site.base.has("env/link") && site.base.has("env/dangling"));
}

#[tokio::test]
async fn a_store_of_another_repository_or_of_nobody_is_left_alone() {
    let site = Site::branches();
    site.origin.commit(&[("a.txt", "1")]);
    site.base.write("env/.stomp-git/owner", "other\n");
    site.base.write("env/.stomp-git/trees/main/x.gone", "p");
    let [trouble] = &site.troubles().await[..] else {
        panic!("one trouble")
    };
    assert!(trouble.contains("is for \"other\""), "{trouble}");
    fs::remove_file(site.at("env/.stomp-git/owner")).unwrap();
    let [trouble] = &site.troubles().await[..] else {
        panic!("one trouble")
    };
    assert!(trouble.contains("was not made by stomp-git"), "{trouble}");
    assert!(site.base.has("env/.stomp-git/trees/main/x.gone"));
    assert!(!site.base.has("env/main"));
}

#[tokio::test]
async fn a_tree_that_is_refused_leaves_the_folder_as_it_was_and_the_others_go_on() {
    let site = Site::branches();
    site.origin
        .commit(&[("a.txt", "1")])
        .branch("other")
        .commit(&[]);
    site.look().await;
    site.origin.link("escape", "/etc/passwd").commit(&[]);
    site.origin.branch("main").commit(&[("a.txt", "2")]);
    site.fetch().await;
    let done = site.check_out_in(&World::real()).await;
    let [trouble] = &done.troubles[..] else {
        panic!("{done:?}")
    };
    assert!(
        trouble.text.contains("env/other stays as it is") && trouble.text.contains("/etc/passwd")
    );
    assert!(!trouble.passes, "a second try does not help");
    assert_eq!(site.base.names("env/other"), ["a.txt"]);
    assert_eq!(site.base.read("env/main/a.txt"), "2");
}

#[tokio::test]
async fn two_at_once_take_turns() {
    let site = Site::branches();
    site.origin.commit(&[("a.txt", "1")]);
    site.look().await;
    let disk = World::real().disk;
    let held = disk.lock(&site.at("env/.stomp-git/lock")).unwrap();
    let [trouble] = &site.troubles().await[..] else {
        panic!("one trouble")
    };
    assert!(trouble.contains("in use by another stomp-git"), "{trouble}");
    drop(held);
    assert_eq!(site.look().await, [""; 0]);
}

/// A tree of this origin is whole: both files say the same.
fn whole(folder: &Path) -> Option<String> {
    // The link is followed once, as a reader does who wants one state.
    let folder = fs::canonicalize(folder).ok()?;
    let one = fs::read_to_string(folder.join("a.txt")).ok()?;
    let two = fs::read_to_string(folder.join("z/b.txt")).ok()?;
    (one == two).then_some(one)
}

#[tokio::test]
async fn a_reader_never_finds_the_folder_missing_or_half() {
    let site = Site::branches();
    site.origin.commit(&[("a.txt", "0"), ("z/b.txt", "0")]);
    let site = Site {
        checkouts: Checkouts {
            keep_s: 1000,
            ..site.checkouts.clone()
        },
        ..site
    };
    site.look().await;
    let (end, link) = (Arc::new(AtomicBool::new(false)), site.at("env/main"));
    let ended = Arc::clone(&end);
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while !ended.load(Ordering::SeqCst) {
            seen.push(whole(&link));
        }
        seen
    });
    for number in 1..6 {
        let text = number.to_string();
        site.origin.commit(&[("a.txt", &text), ("z/b.txt", &text)]);
        site.look().await;
    }
    end.store(true, Ordering::SeqCst);
    let seen = reader.join().unwrap();
    assert!(
        seen.len() > 100 && seen.iter().all(Option::is_some),
        "{seen:?}"
    );
}

/// A disk whose process dies at the call of this number: from then on nothing is done any more.
fn dying(after: usize) -> (World, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut world = World::real();
    world.disk = Arc::new(Faulty::new(move |_, _| {
        let now = counted.fetch_add(1, Ordering::SeqCst);
        let dead = std::io::Error::other("the process is dead");
        if now < after { Ok(()) } else { Err(dead) }
    }));
    (world, calls)
}

#[tokio::test]
async fn killed_at_any_step_the_folder_is_whole_and_the_next_look_mends_the_rest() {
    let site = Site::branches();
    site.origin.commit(&[("a.txt", "1"), ("z/b.txt", "1")]);
    let (main, first) = ("refs/heads/main", site.origin.commit_of("main"));
    site.look().await;
    site.origin.commit(&[("a.txt", "2"), ("z/b.txt", "2")]);
    let second = site.origin.commit_of("main");
    site.origin.branch("gone").commit(&[]);
    site.look().await;
    let mirror = site.at("shop.git");
    let real = World::real();
    for step in 0.. {
        // Back to the first commit, with the branch `gone`, and no tree but those of these two.
        let set = |refs: &[(&str, Option<&str>)]| site.origin.set(&mirror, refs);
        set(&[
            (main, Some(first.as_str())),
            ("refs/heads/gone", Some(first.as_str())),
        ]);
        for _ in 0..2 {
            assert_eq!(site.check_out_in(&real).await.troubles, [], "step {step}");
        }
        assert_eq!(whole(&site.at("env/main")), Some("1".to_owned()));
        set(&[(main, Some(second.as_str())), ("refs/heads/gone", None)]);
        let (world, calls) = dying(step);
        drop(site.check_out_in(&world).await);
        let seen = whole(&site.at("env/main"));
        assert!(seen.is_some(), "step {step}: half or missing");
        if calls.load(Ordering::SeqCst) <= step {
            break; // It did not come to die.
        }
        assert_eq!(site.check_out_in(&real).await.troubles, [], "step {step}");
        assert_eq!(
            whole(&site.at("env/main")),
            Some("2".to_owned()),
            "step {step}"
        );
        assert!(!site.base.has("env/gone"), "step {step}");
        let left = site.base.names("env/.stomp-git");
        assert_eq!(left, ["lock", "owner", "trees"], "step {step}");
        let mut trees = site.trees("main");
        trees.retain(|name| !name.ends_with(".old"));
        assert!(
            trees.iter().all(|name| name.len() == 40),
            "step {step}: {trees:?}"
        );
    }
}
