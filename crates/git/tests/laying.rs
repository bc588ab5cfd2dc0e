//! A tree laid out beside an earlier one.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use events::CommitId;
use git::{GitError, Laid, LaidOut, Laying, Limits, Mirror};
use world::{Disk, RealDisk};

use crate::{
    export::listed,
    place::{Place, limits},
};

async fn lay_out(place: &Place, commit: &CommitId, into: &str, laying: Laying) -> LaidOut {
    let mirror = place.mirror();
    let tree = mirror.tree(commit).await.unwrap();
    let into = place.path(into);
    let laid = mirror.lay_out(commit, tree, &into, laying);
    let laid = laid.await.unwrap();
    // What is touched from now on has a later time than what was laid out.
    let probe = place.path("probe");
    let newest = laid.laid.as_ref().unwrap().newest_ns();
    loop {
        fs::write(&probe, "").unwrap();
        if RealDisk.stamp(&probe).unwrap().unwrap().changed_ns > newest {
            return laid;
        }
    }
}

fn beside(place: &Place, earlier: &str, laid: &Laid) -> Laying {
    // As it is kept on a disk.
    let kept = serde_json::to_vec(laid).unwrap();
    Laying {
        earlier: Some((place.path(earlier), serde_json::from_slice(&kept).unwrap())),
        ..Laying::default()
    }
}

async fn mirrored(place: &Place) {
    place.mirror().ensure(&place.origin()).await.unwrap();
    place.mirror().fetch().await.unwrap();
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % most
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const PATHS: [&str; 14] = [
    "a",
    "b",
    "c.no",
    "d/a",
    "d/b",
    "d/c.no",
    "d/e/a",
    "d/e/b",
    "skip/a",
    "skip/b",
    "f",
    "f/g",
    "only/x.no",
    "h ü/*",
];

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Changes something in a work tree.
fn change(root: &Path, dice: &mut Dice) {
    let path = root.join(dice.one(&PATHS));
    let above = path.parent().unwrap();
    if !above.is_dir() {
        remove(above);
        fs::create_dir_all(above).unwrap();
    }
    remove(&path);
    match dice.below(6) {
        0 => {}
        1 => symlink("a", &path).unwrap(),
        dice => {
            fs::write(&path, format!("{dice}\r\n")).unwrap();
            let mode = if dice == 2 { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

/// Touches a file of a tree as a program that hides it would.
fn tamper(tree: &Path, dice: &mut Dice) {
    let path = tree.join(dice.one(&PATHS));
    let Ok(meta) = fs::symlink_metadata(&path) else {
        return;
    };
    match dice.below(4) {
        0 => remove(&path),
        1 if meta.is_file() => {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap()
        }
        2 if meta.is_file() => {
            let file = fs::File::options().write(true).open(&path).unwrap();
            fs::write(&path, "x".repeat(meta.len() as usize)).unwrap();
            file.set_modified(meta.modified().unwrap()).unwrap();
        }
        _ => {
            remove(&path);
            symlink("/etc/hostname", &path).unwrap();
        }
    }
}

#[tokio::test]
async fn the_result_is_that_of_a_full_export_whatever_was_changed_where() {
    for hard_links in [false, true] {
        let place = Place::new();
        let mut dice = Dice(if hard_links { 1 } else { 2 });
        let mut earlier: Option<(PathBuf, Laid)> = None;
        let mut taken_over = 0;
        for round in 0..25 {
            for _ in 0..3 {
                change(&place.path("origin"), &mut dice);
            }
            if round % 6 == 0 {
                let attributes = [
                    "*.no export-ignore\nskip export-ignore\n",
                    "* text eol=lf\n",
                    "",
                ];
                place.commit(".gitattributes", attributes[round / 6 % 3]);
            }
            let commit = place.commit_all();
            mirrored(&place).await;
            if let Some((tree, _)) = earlier.as_ref().filter(|_| !hard_links) {
                tamper(tree, &mut dice);
            }
            let [new, full] = ["new", "full"].map(|name| format!("{name}{round}"));
            let laying = Laying {
                hard_links,
                earlier: earlier.take(),
                ..Laying::default()
            };
            let laid = lay_out(&place, &commit, &new, laying).await;
            let exported = place
                .mirror()
                .export(&commit, &place.path(&full))
                .await
                .unwrap();
            assert_eq!(
                listed(&place.path(&new)),
                listed(&place.path(&full)),
                "round {round}"
            );
            assert_eq!(laid.exported, exported, "round {round}");
            taken_over += laid.taken_over;
            earlier = Some((place.path(&new), laid.laid.unwrap()));
        }
        assert!(taken_over > 50, "{taken_over}");
    }
}

/// Three files of which one changes.
async fn two_commits(place: &Place) -> [CommitId; 2] {
    place.commit("d/same", "same");
    place.commit("run", "x");
    let first = place.commit("d/other", "1");
    let second = place.commit("d/other", "2");
    mirrored(place).await;
    [first, second]
}

#[tokio::test]
async fn what_is_the_same_is_copied_or_given_a_second_name_and_nothing_else() {
    let place = Place::new();
    let [first, second] = two_commits(&place).await;
    let inode = |path: &str| fs::metadata(place.path(path)).unwrap().ino();
    for hard_links in [false, true] {
        let [one, two] = ["one", "two"].map(|name| format!("{name}{hard_links}"));
        let full = Laying {
            hard_links,
            ..Laying::default()
        };
        let laid = lay_out(&place, &first, &one, full).await;
        assert_eq!(laid.taken_over, 0);
        let laying = Laying {
            hard_links,
            ..beside(&place, &one, &laid.laid.unwrap())
        };
        let laid = lay_out(&place, &second, &two, laying).await;
        assert_eq!(laid.taken_over, 3, "a.txt, run, d/same");
        for path in ["a.txt", "d/same"] {
            let (before, after) = (format!("{one}/{path}"), format!("{two}/{path}"));
            assert_eq!(inode(&before) == inode(&after), hard_links, "{path}");
        }
        assert_ne!(
            inode(&format!("{one}/d/other")),
            inode(&format!("{two}/d/other"))
        );
        let text = fs::read_to_string(place.path(&two).join("d/other"));
        assert_eq!(text.unwrap(), "2");
    }
}

#[tokio::test]
async fn under_other_attributes_settings_or_owners_nothing_is_the_same() {
    let place = Place::new();
    let [first, second] = two_commits(&place).await;
    let laid = lay_out(&place, &first, "one", Laying::default()).await;
    let known = laid.laid.unwrap();
    let laying = Laying {
        hard_links: true,
        ..beside(&place, "one", &known)
    };
    assert_eq!(
        lay_out(&place, &second, "links", laying).await.taken_over,
        0
    );
    let info = place.mirror().folder().join("info");
    fs::create_dir_all(&info).unwrap();
    fs::write(info.join("attributes"), "* eol=crlf\n").unwrap();
    let laying = beside(&place, "one", &known);
    assert_eq!(lay_out(&place, &second, "info", laying).await.taken_over, 0);
    fs::remove_file(info.join("attributes")).unwrap();
    let third = place.commit(".gitattributes", "a.txt export-subst\n");
    let fourth = place.commit("b", "2");
    mirrored(&place).await;
    let laying = beside(&place, "one", &known);
    let laid = lay_out(&place, &third, "three", laying).await;
    assert_eq!(laid.taken_over, 0, "other attributes");
    let laying = beside(&place, "three", &laid.laid.unwrap());
    let laid = lay_out(&place, &fourth, "four", laying).await;
    assert_eq!(laid.taken_over, 0, "texts that depend on the commit");
}

#[tokio::test]
async fn the_limits_hold_for_what_is_taken_over_too() {
    let place = Place::new();
    let [first, second] = two_commits(&place).await;
    let laid = lay_out(&place, &first, "one", Laying::default()).await;
    let known = laid.laid.unwrap();
    let tree = place.mirror().tree(&second).await.unwrap();
    for commit in [&first, &second] {
        for (export_bytes, export_files) in [(9, 100), (100, 4)] {
            let git = place.git.clone().with_limits(Limits {
                export_bytes,
                export_files,
                ..limits()
            });
            let mirror = Mirror::at(place.mirror().folder(), &git);
            let laying = beside(&place, "one", &known);
            let into = place.path("two");
            let error = mirror.lay_out(commit, tree.clone(), &into, laying).await;
            let error = error.unwrap_err();
            assert!(matches!(error, GitError::Refused { .. }), "{error}");
            assert!(!into.exists());
        }
    }
}

#[tokio::test]
async fn all_of_a_tree_is_its_owner_s_and_its_top_is_closed() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test gives files away: run it as root"
    );
    let place = Place::new();
    let [first, second] = two_commits(&place).await;
    let owner = Some((65_534, 65_533));
    let full = Laying {
        owner,
        ..Laying::default()
    };
    let laid = lay_out(&place, &first, "one", full).await;
    let laying = Laying {
        owner,
        ..beside(&place, "one", &laid.laid.unwrap())
    };
    assert_eq!(lay_out(&place, &second, "two", laying).await.taken_over, 3);
    for tree in ["one", "two"] {
        let meta = fs::metadata(place.path(tree)).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o777), (0, 0o700), "{tree}");
        for path in ["d", "d/same", "d/other", "a.txt"] {
            let meta = fs::metadata(place.path(tree).join(path)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (65_534, 65_533), "{tree}/{path}");
        }
    }
}
