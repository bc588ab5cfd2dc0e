//! What is said about a look: the message to other services, and lines for people. Pure.

use events::{
    CommitId, HostName, RefKind, RefName, RepoName,
    message::{Fetched, Level, RefTip, Said},
};
use git::{Change, MovedTag};

use crate::{checkouts::Switched, gate::Waits};

/// More changes than this at once are counted.
const CHANGES: usize = 20;

/// Where this is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) host: &'a HostName,
    pub(crate) repository: &'a RepoName,
}

impl Place<'_> {
    fn say(self, event: &'static str, text: &str) -> Said {
        let repository = self.repository;
        Said::new(event, format!("{repository} {text}")).with("repository", repository)
    }

    /// All that is in the mirror now, cut so that it fits a frame.
    pub(crate) fn fetched(self, refs: Vec<RefTip>) -> Fetched {
        let whole = Fetched {
            host: self.host.clone(),
            repository: self.repository.clone(),
            refs_total: refs.len(),
            refs,
        };
        whole.cut_to_frame()
    }

    pub(crate) fn cloned(self, refs: &[RefTip]) -> Said {
        let tags = refs
            .iter()
            .filter(|tip| matches!(tip.name.kind(), RefKind::Tag(_)))
            .count();
        let branches = refs.len() - tags;
        let text = format!("cloned: {branches} branches, {tags} tags");
        self.say("cloned", &text)
            .with("branches", branches)
            .with("tags", tags)
    }

    pub(crate) fn changed(self, changes: &[Change]) -> Vec<Said> {
        let (said, counted) = changes.split_at(changes.len().min(CHANGES));
        let mut lines: Vec<Said> = said.iter().map(|change| self.change(change)).collect();
        if !counted.is_empty() {
            let more = counted.len();
            let text = format!("and {more} more changes");
            lines.push(self.say("changed", &text).with("more", more));
        }
        lines
    }

    fn change(self, change: &Change) -> Said {
        let Change {
            name,
            before,
            after,
        } = change;
        let short = short(name);
        let text = match (before, after) {
            (Some(before), Some(after)) => format!("{short} {}..{}", before.short(), after.short()),
            (None, Some(after)) => format!("{short} new at {}", after.short()),
            (_, None) => format!("{short} gone"),
        };
        self.say("changed", &text)
            .with("ref", name)
            .with("before", before)
            .with("after", after)
    }

    pub(crate) fn moved(self, tag: &MovedTag) -> Said {
        let MovedTag { name, here, there } = tag;
        let elsewhere = there.parse::<CommitId>();
        let to = elsewhere.as_ref().map_or(there.as_str(), CommitId::short);
        let text = format!(
            "{} was moved to {to} at its origin and stays at {} here",
            short(name),
            here.short()
        );
        self.say("tag-moved", &text)
            .level(Level::Alarm)
            .with("ref", name)
            .with("here", here)
            .with("there", there)
    }

    pub(crate) fn waits(self, waits: &Waits) -> Said {
        let Waits { name, commit, .. } = waits;
        let text = format!(
            "{} waits at {}: {}",
            short(name),
            commit.short(),
            waits.why()
        );
        self.say("waits", &text)
            .level(Level::Problem)
            .with("ref", name)
            .with("commit", commit)
            .with("verdict", waits.verdict)
    }

    pub(crate) fn moved_back(self, tag: &MovedTag) -> Said {
        let text = format!("{} is as at its origin again", short(&tag.name));
        self.say("tag-moved-back", &text)
            .level(Level::Over)
            .with("ref", &tag.name)
    }

    pub(crate) fn switched(self, folder: &Switched) -> Said {
        let Switched {
            name,
            before,
            after,
        } = folder;
        let text = match (before, after) {
            (Some(before), Some(after)) => {
                format!("folder {name} {}..{}", before.short(), after.short())
            }
            (None, Some(after)) => format!("folder {name} at {}", after.short()),
            (_, None) => format!("folder {name} gone"),
        };
        self.say("switched", &text)
            .with("folder", name)
            .with("before", before)
            .with("after", after)
    }

    pub(crate) fn trouble(self, text: &str) -> Said {
        self.say("trouble", text)
            .level(Level::Problem)
            .with("cause", text)
    }

    pub(crate) fn trouble_over(self) -> Said {
        self.say("trouble-over", "has all its folders again")
            .level(Level::Over)
    }

    pub(crate) fn unusable(self, names: &[String]) -> Said {
        let first = names.first().map(String::as_str).unwrap_or_default();
        let text = match names.len() {
            1 => format!("has a ref that is left out for its name: {first:?}"),
            more => format!("has {more} refs that are left out for their names, such as {first:?}"),
        };
        let some: Vec<&String> = names.iter().take(CHANGES).collect();
        self.say("unusable", &text)
            .level(Level::Problem)
            .with("refs", some)
            .with("refs_total", names.len())
    }

    pub(crate) fn problem(self, cause: &str) -> Said {
        self.say("problem", &format!("cannot be fetched: {cause}"))
            .level(Level::Problem)
            .with("cause", cause)
    }

    pub(crate) fn again(self, failed: u32) -> Said {
        let text = format!("fetched again after {failed} failures");
        self.say("again", &text)
            .level(Level::Over)
            .with("failures", failed)
    }
}

/// `main`, `tag v1`, `refs/notes/x`
fn short(name: &RefName) -> String {
    match name.kind() {
        RefKind::Branch(branch) => branch.to_owned(),
        RefKind::Tag(tag) => format!("tag {tag}"),
        RefKind::Other(_) => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use events::message::Line;
    use serde_json::json;

    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn at<T>(say: impl FnOnce(Place<'_>) -> T) -> T {
        let host = "web1".parse().unwrap();
        let repository = "shop".parse().unwrap();
        let (host, repository) = (&host, &repository);
        say(Place { host, repository })
    }

    fn line(said: Said) -> Line {
        said.line("stomp-git".parse().unwrap(), &"web1".parse().unwrap())
    }

    fn change(name: &str, before: Option<&str>, after: Option<&str>) -> Change {
        Change {
            name: name.parse().unwrap(),
            before: before.map(|id| id.parse().unwrap()),
            after: after.map(|id| id.parse().unwrap()),
        }
    }

    #[test]
    fn a_change_is_one_line_with_the_host_first() {
        let changes = [
            change("refs/heads/main", Some(ONE), Some(TWO)),
            change("refs/tags/v2", None, Some(TWO)),
            change("refs/heads/old", Some(ONE), None),
        ];
        let said = at(|place| place.changed(&changes));
        let lines: Vec<Line> = said.into_iter().map(line).collect();
        let texts: Vec<&str> = lines.iter().map(|line| line.line.as_str()).collect();
        let expected = [
            "web1: shop main 1111111111..2222222222",
            "web1: shop tag v2 new at 2222222222",
            "web1: shop old gone",
        ];
        assert_eq!(texts, expected);
        let record = json!({
            "event": "changed", "level": "info", "repository": "shop",
            "ref": "refs/heads/main", "before": ONE, "after": TWO,
        });
        assert_eq!(lines[0].record, record);
    }

    #[test]
    fn many_changes_are_counted() {
        let changes = vec![change("refs/heads/main", None, Some(TWO)); 50];
        let said = at(|place| place.changed(&changes));
        assert_eq!(said.len(), 21);
        assert_eq!(said[20].text(), "shop and 30 more changes");
    }

    #[test]
    fn a_moved_tag_says_both_places() {
        let tag = MovedTag {
            name: "refs/tags/v1".parse().unwrap(),
            here: ONE.parse().unwrap(),
            there: TWO.to_owned(),
        };
        let said = at(|place| place.moved(&tag));
        assert_eq!(
            said.text(),
            "shop tag v1 was moved to 2222222222 at its origin and stays at 1111111111 here"
        );
    }

    #[test]
    fn a_list_of_refs_that_does_not_fit_loses_the_oldest_whatever_they_are() {
        let tip = |name: String, committed_s| RefTip {
            name: name.parse().unwrap(),
            commit: ONE.parse().unwrap(),
            committed_s,
        };
        let long = "x".repeat(200);
        let mut refs: Vec<RefTip> = (0..1000)
            .map(|number| tip(format!("refs/tags/{long}{number}"), number))
            .collect();
        refs.push(tip("refs/heads/main".to_owned(), 5000));
        let cut = at(|place| place.fetched(refs));
        assert!(cut.refs.len() < 900 && cut.refs_total == 1001);
        let names: Vec<&str> = cut.refs.iter().map(|tip| tip.name.as_str()).collect();
        assert!(names.contains(&"refs/heads/main"), "the newest of all");
    }

    #[test]
    fn a_folder_is_said_with_both_its_commits() {
        let folder = |before: Option<&str>, after: Option<&str>| Switched {
            name: "production".to_owned(),
            before: before.map(|id| id.parse().unwrap()),
            after: after.map(|id| id.parse().unwrap()),
        };
        let lines = [
            (
                folder(None, Some(ONE)),
                "shop folder production at 1111111111",
            ),
            (
                folder(Some(ONE), Some(TWO)),
                "shop folder production 1111111111..2222222222",
            ),
            (folder(Some(ONE), None), "shop folder production gone"),
        ];
        for (folder, line) in lines {
            let said = at(|place| place.switched(&folder));
            assert_eq!(said.text(), line);
            assert_eq!(said.fields()["folder"], "production");
        }
    }
}
