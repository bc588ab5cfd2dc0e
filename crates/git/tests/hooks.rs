//! The scripts in `hooks/`, called by real git, around a command that writes down what it is told.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::place::{Place, program};

const ZERO: &str = "0000000000000000000000000000000000000000";

struct Hooked {
    place: Place,
    told: PathBuf,
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Hooked {
    /// `repository` has the hook, and a command that exits with `code`.
    fn new(repository: &str, hook: &str, code: u8) -> Self {
        let place = Place::new();
        place.work(&["clone", "-q", "--bare", ".", "../shop.git"]);
        let told = place.path("told");
        let command = place.path("command");
        let text = format!(
            "#!/bin/sh\n{{ echo \"$USER: $*\"; cat; }} >> '{}'\nexit {code}\n",
            told.display()
        );
        script(&command, &text);
        let set =
            |name: &str, value: &str| place.say(&place.path(repository), &["config", name, value]);
        set("deploykit.command", &command.display().to_string());
        set("deploykit.spool", "/the/spool");
        let hooks = place
            .path(&place.say(
                &place.path(repository),
                &["rev-parse", "--absolute-git-dir"],
            ))
            .join("hooks");
        fs::create_dir_all(&hooks).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../hooks")
            .join(hook);
        fs::copy(source, hooks.join(hook)).unwrap();
        Self { place, told }
    }

    /// Runs git in the work tree as `anna`; hooks get the same environment.
    fn git(&self, args: &[&str], more: &[(&str, &str)]) -> Output {
        let output = Command::new(program())
            .args(args)
            .current_dir(self.place.path("origin"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "A")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "a@example.org")))
            .env("USER", "anna")
            .envs(more.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        output
    }

    fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(&self.told).unwrap_or_default();
        told.lines().map(str::to_owned).collect()
    }
}

const PUSH: [&str; 4] = ["push", "-q", "../shop.git", "refs/heads/main"];

#[test]
fn a_push_of_several_refs_is_announced_at_once() {
    let hooked = Hooked::new("shop.git", "post-receive", 0);
    let old = hooked.place.work(&["rev-parse", "HEAD"]);
    let new = hooked.place.commit("a.txt", "2");
    hooked.place.work(&["tag", "v1"]);
    hooked.git(&[&PUSH[..], &["refs/tags/v1"]].concat(), &[]);
    let expected = [
        "anna: announce git --repository shop --spool /the/spool".to_owned(),
        format!("{old} {new} refs/heads/main"),
        format!("{ZERO} {new} refs/tags/v1"),
    ];
    assert_eq!(hooked.told(), expected);
}

#[test]
fn a_forge_says_which_repository_and_who() {
    let hooked = Hooked::new("shop.git", "post-receive", 0);
    hooked.place.commit("a.txt", "2");
    hooked.git(&PUSH, &[("GL_REPO", "group/shop"), ("GL_USER", "ben")]);
    assert_eq!(
        hooked.told()[0],
        "ben: announce git --repository group/shop --spool /the/spool"
    );

    let hooked = Hooked::new("shop.git", "post-receive", 0);
    hooked.place.say(
        &hooked.place.path("shop.git"),
        &["config", "deploykit.repository", "the-shop"],
    );
    hooked.place.commit("a.txt", "2");
    hooked.git(&PUSH, &[("GL_REPO", "group/shop")]);
    assert_eq!(
        hooked.told()[0],
        "anna: announce git --repository the-shop --spool /the/spool"
    );
}

#[test]
fn a_push_goes_through_with_one_line_when_the_command_fails_or_is_missing() {
    for missing in [false, true] {
        let hooked = Hooked::new("shop.git", "post-receive", 1);
        if missing {
            fs::remove_file(hooked.place.path("command")).unwrap();
        }
        let new = hooked.place.commit("a.txt", "2");
        let output = hooked.git(&PUSH, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("deploykit"))
            .collect();
        assert_eq!(lines.len(), 1, "{said}");
        assert!(
            lines[0].contains("the push is fine but was not announced"),
            "{said}"
        );
        let there = hooked
            .place
            .say(&hooked.place.path("shop.git"), &["rev-parse", "main"]);
        assert_eq!(there, new.as_str());
    }
}

#[test]
fn a_commit_is_announced_with_where_its_branch_was() {
    let hooked = Hooked::new("origin", "post-commit", 0);
    let old = hooked.place.work(&["rev-parse", "HEAD"]);
    hooked.git(
        &[
            "commit",
            "-q",
            "--amend",
            "--allow-empty",
            "-m",
            "rewritten",
        ],
        &[],
    );
    let new = hooked.place.work(&["rev-parse", "HEAD"]);
    let expected = [
        "anna: announce git --repository origin --spool /the/spool".to_owned(),
        format!("{old} {new} refs/heads/main"),
    ];
    assert_eq!(hooked.told(), expected);

    hooked.git(&["checkout", "-q", "--orphan", "fresh"], &[]);
    hooked.git(&["commit", "-q", "-m", "first"], &[]);
    let first = hooked.place.work(&["rev-parse", "HEAD"]);
    assert_eq!(hooked.told()[3], format!("{ZERO} {first} refs/heads/fresh"));

    hooked.git(&["checkout", "-q", "--detach"], &[]);
    hooked.git(&["commit", "-q", "--allow-empty", "-m", "detached"], &[]);
    assert_eq!(hooked.told().len(), 4, "nothing to announce");
}
