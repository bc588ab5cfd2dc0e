//! GitLab's bodies.

use serde_json::{Value, json};

use super::{
    Push, REFS, Shape, all, bare, first, has, known, list, listed, newest, release, request, sides,
    text,
};

const PROJECT: Shape = "/project o  /project/path_with_namespace s  /project/git_http_url s?  \
            /project/git_ssh_url s?  /project/web_url s?";

pub(super) fn gitlab(value: &Value) -> Option<Value> {
    has(value, "/object_kind s?  /event_name s?")?;
    let what = first(value, &["/object_kind", "/event_name"]);
    let read = match what.unwrap_or_default() {
        "push" | "tag_push" => push,
        "repository_update" => update,
        "release" => released,
        "merge_request" => merge_request,
        _ => return Some(json!("unhandled")),
    };
    has(value, PROJECT)?;
    read(value)
}

fn project(value: &Value) -> Option<(String, bool)> {
    let urls = [
        "/project/git_http_url",
        "/project/git_ssh_url",
        "/project/web_url",
    ];
    known(value, "/project/path_with_namespace", &urls)
}

fn push(value: &Value) -> Option<Value> {
    has(value, REFS)?;
    has(
        value,
        "/user_username s?  /user_name s?  /total_commits_count n?  /checkout_sha s?",
    )?;
    let (commits, paths) = listed(value)?;
    let said = value["total_commits_count"].as_u64().unwrap_or_default();
    let total = commits.len().max(usize::try_from(said).unwrap());
    let [before, after] = sides(value, "/before", "/after")?;
    let (repository, force) = project(value)?;
    let whole = !force && !before.is_null() && total == commits.len() && total > 0;
    let push = Push {
        repository: &repository,
        name: text(value, "/ref"),
        commit: first(value, &["/checkout_sha"]),
        pusher: first(value, &["/user_username", "/user_name"]),
        commits: newest(&commits, &after)?,
        total,
        paths: paths.filter(|_| whole),
        before,
        after,
    };
    Some(json!([push.value()?]))
}

fn update(value: &Value) -> Option<Value> {
    has(value, "/changes a  /user_name s?")?;
    let changes = list(value, "/changes");
    for change in changes {
        has(change, "/ref s  /before s  /after s")?;
    }
    let (repository, _) = project(value)?;
    let by = first(value, &["/user_name"]);
    let pushes = changes.iter().map(|change| {
        let [before, after] = sides(change, "/before", "/after")?;
        bare(&repository, text(change, "/ref"), before, after, by)
    });
    pushes.collect::<Option<Vec<Value>>>().map(all)
}

fn released(value: &Value) -> Option<Value> {
    has(value, "/action s  /tag s  /name s?")?;
    let act = match text(value, "/action") {
        "create" => "published",
        "delete" => "deleted",
        _ => return Some(json!("unhandled")),
    };
    let (tag, title) = (text(value, "/tag"), text(value, "/name"));
    release(&project(value)?.0, act, tag, title, "")
}

fn merge_request(value: &Value) -> Option<Value> {
    has(
        value,
        "/object_attributes o  /user o?  /user/username s?  /user/name s?",
    )?;
    let of = &value["object_attributes"];
    has(
        of,
        "/iid n  /title s  /action s?  /source_branch s  /target_branch s",
    )?;
    let acts = [
        ("open", "opened"),
        ("reopen", "reopened"),
        ("close", "closed"),
        ("merge", "merged"),
    ];
    let Some((_, act)) = acts.iter().find(|(act, _)| of["action"] == *act) else {
        return Some(json!("unhandled"));
    };
    let by = first(value, &["/user/username", "/user/name"]).unwrap_or_default();
    let words = ["/title", "/source_branch", "/target_branch"].map(|path| text(of, path));
    request(&project(value)?.0, act, &of["iid"], words, by)
}
