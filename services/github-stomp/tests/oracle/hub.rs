//! GitHub's bodies, and Gitea's, which are like them.

use events::TagName;
use serde_json::{Value, json};

use super::{
    Push, REFS, Shape, bare, first, has, known, listed, newest, release, request, sides, text,
};

const HUB: Shape = "/repository o  /repository/full_name s  /repository/clone_url s?  \
            /repository/ssh_url s?  /repository/html_url s?";
const PUSH: Shape = "/head_commit o?  /head_commit/id s  /pusher o?  /pusher/name s?  /pusher/login s?  \
            /forced b?  /total_commits n?";
const PUSHER: &[&str] = &["/pusher/name", "/pusher/login"];
const SENDER: Shape = "/sender o?  /sender/login s?";

fn hub(value: &Value) -> Option<(String, bool)> {
    known(
        value,
        "/repository/full_name",
        &[
            "/repository/clone_url",
            "/repository/ssh_url",
            "/repository/html_url",
        ],
    )
}

fn total(value: &Value) -> Option<usize> {
    let said = value["total_commits"].as_u64();
    said.map(|said| usize::try_from(said).unwrap())
}

pub(super) fn github(event: &str, value: &Value) -> Option<Value> {
    match event {
        "push" => {}
        "release" | "pull_request" => return news_of_hub(event, value),
        "ping" => return Some(json!("ping")),
        _ => return Some(json!("unhandled")),
    }
    has(value, HUB)?;
    has(value, REFS)?;
    has(value, PUSH)?;
    let (commits, paths) = listed(value)?;
    let [before, after] = sides(value, "/before", "/after")?;
    let whole =
        !before.is_null() && value["forced"] != true && !commits.is_empty() && commits.len() < 2048;
    let push = Push {
        repository: &hub(value)?.0,
        name: text(value, "/ref"),
        commit: first(value, &["/head_commit/id"]),
        pusher: first(value, PUSHER),
        commits: newest(&commits, &after)?,
        total: commits.len().max(total(value).unwrap_or_default()),
        paths: paths.filter(|_| whole),
        before,
        after,
    };
    Some(json!([push.value()?]))
}

fn news_of_hub(event: &str, value: &Value) -> Option<Value> {
    has(value, HUB)?;
    has(value, SENDER)?;
    has(value, "/action s")?;
    let by = text(value, "/sender/login");
    if event == "release" {
        has(value, "/release o  /release/tag_name s  /release/name s?")?;
        let act = text(value, "/action");
        return match act {
            "published" | "unpublished" | "deleted" => release(
                &hub(value)?.0,
                act,
                text(value, "/release/tag_name"),
                text(value, "/release/name"),
                by,
            ),
            _ => Some(json!("unhandled")),
        };
    }
    has(
        value,
        "/number n  /pull_request o  /pull_request/title s  /pull_request/merged b?  \
            /pull_request/head o  /pull_request/head/ref s  /pull_request/base o  \
            /pull_request/base/ref s",
    )?;
    let act = match (text(value, "/action"), &value["pull_request"]["merged"]) {
        ("closed", Value::Bool(true)) => "merged",
        (act @ ("opened" | "reopened" | "closed"), _) => act,
        _ => return Some(json!("unhandled")),
    };
    request(
        &hub(value)?.0,
        act,
        &value["number"],
        [
            "/pull_request/title",
            "/pull_request/head/ref",
            "/pull_request/base/ref",
        ]
        .map(|path| text(value, path)),
        by,
    )
}

pub(super) fn gitea(event: &str, value: &Value) -> Option<Value> {
    match event {
        "push" => {}
        "release" | "pull_request" => return news_of_hub(event, value),
        "delete" => {
            has(value, HUB)?;
            has(value, SENDER)?;
            has(value, "/ref s  /ref_type s")?;
            if text(value, "/ref_type") != "branch" {
                return Some(json!("unhandled"));
            }
            text(value, "/ref").parse::<TagName>().ok()?;
            let name = format!("refs/heads/{}", text(value, "/ref"));
            let by = first(value, &["/sender/login"]);
            let push = bare(&hub(value)?.0, &name, Value::Null, Value::Null, by);
            return Some(json!([push?]));
        }
        _ => return Some(json!("unhandled")),
    }
    has(value, HUB)?;
    has(value, REFS)?;
    has(value, PUSH)?;
    let (commits, paths) = listed(value)?;
    let said = total(value);
    let [before, after] = sides(value, "/before", "/after")?;
    let (repository, force) = hub(value)?;
    let whole = !force && !before.is_null() && said == Some(commits.len()) && !commits.is_empty();
    let push = Push {
        repository: &repository,
        name: text(value, "/ref"),
        commit: first(value, &["/head_commit/id"]),
        pusher: first(value, PUSHER),
        commits: newest(&commits, &after)?,
        total: commits.len().max(said.unwrap_or_default()),
        paths: paths.filter(|_| whole),
        before,
        after,
    };
    Some(json!([push.value()?]))
}
