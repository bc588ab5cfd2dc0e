//! Which commits the annotated tags of a push lead to: git is asked once for all of them.

use std::time::Duration;

use chassis::environment;
use command::{Limits, Program};
use events::{RefKind, message::Pushed};
use world::World;

/// How long git may take; it takes some 2 ms.
const LIMIT: Duration = Duration::from_secs(2);

/// Tags of one push that git is asked about; what is not asked about is announced as the tag alone.
const MOST: usize = 10_000;

/// Fills in the commit of each annotated tag, as far as git says it in the folder that the hook runs in.
pub(super) async fn lead(pushes: &mut [Pushed], world: &World) {
    let is_tag = |it: &&mut Pushed| matches!(it.name.kind(), RefKind::Tag(_)) && it.after.is_some();
    let tags: Vec<&mut Pushed> = pushes.iter_mut().filter(is_tag).take(MOST).collect();
    if tags.is_empty() {
        return;
    }
    let objects = tags.iter().filter_map(|it| it.after.as_ref());
    let questions: String = objects.map(|it| format!("{it}^{{commit}}\n")).collect();
    let mut git = Program::new("git")
        .args(["cat-file", "--batch-check=%(objecttype) %(objectname)"])
        .stdin(questions);
    // Git has told the hook where the repository is.
    let of_git = |name: &str| name == "HOME" || name.starts_with("GIT_");
    for (name, value) in environment().into_iter().filter(|it| of_git(&it.0)) {
        git = git.env(name, value);
    }
    let Ok(output) = world.processes.run(&git, Limits::of(LIMIT)).await else {
        return;
    };
    let answers = String::from_utf8_lossy(&output.stdout);
    for (tag, answer) in tags.into_iter().zip(answers.lines()) {
        if let Some(commit) = answer.strip_prefix("commit ") {
            *tag = tag.clone().leading_to(commit.parse().ok());
        }
    }
}
