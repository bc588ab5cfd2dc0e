//! Bitbucket's bodies, the cloud's and the server's.

use events::{CommitId, TagName};
use serde_json::{Value, json};

use super::{Push, act, all, cut, first, has, list, newest, repository, request, sides, text};

type Commits = Vec<(String, String, String)>;

/// The event of pushes, and what the others tell of a merge request.
const CLOUD: &[(&str, &str)] = &[
    ("repo:push", PUSHED),
    ("pullrequest:created", "opened"),
    ("pullrequest:fulfilled", "merged"),
    ("pullrequest:rejected", "declined"),
];
const SERVER: &[(&str, &str)] = &[
    ("diagnostics:ping", PING),
    ("repo:refs_changed", PUSHED),
    ("pr:opened", "opened"),
    ("pr:merged", "merged"),
    ("pr:declined", "declined"),
    ("pr:deleted", "deleted"),
];
const PUSHED: &str = "pushed";
const PING: &str = "ping";

pub(super) fn cloud(event: &str, value: &Value) -> Option<Value> {
    let Some(act) = act(event, CLOUD) else {
        return Some(json!("unhandled"));
    };
    has(
        value,
        "/actor o?  /actor/nickname s?  /actor/display_name s?",
    )?;
    has(
        value,
        "/repository o  /repository/full_name s  /repository/links o?  /repository/links/html o?",
    )?;
    has(value, "/repository/links/html/href s")?;
    match act {
        PUSHED => cloud_changes(value)?,
        _ => cloud_request(value)?,
    }
    let full_name = text(value, "/repository/full_name");
    let ssh = format!("git@bitbucket.org:{full_name}");
    let page = first(value, &["/repository/links/html/href"]);
    let urls: Vec<&str> = page.into_iter().chain([&*ssh]).collect();
    let (name, _) = repository(full_name, &urls)?;
    let by = first(value, &["/actor/nickname", "/actor/display_name"]);
    if act == PUSHED {
        let changes = list(value, "/push/changes").iter();
        let pushes = changes.map(|change| cloud_push(change, &name, by));
        let pushes = pushes.collect::<Option<Vec<Value>>>()?;
        return Some(all(pushes
            .into_iter()
            .filter(|push| !push.is_null())
            .collect()));
    }
    let words = ["/title", "/source/branch/name", "/destination/branch/name"];
    asked(&name, act, &value["pullrequest"], words, by)
}

fn asked(name: &str, act: &str, of: &Value, words: [&str; 3], by: Option<&str>) -> Option<Value> {
    let words = words.map(|path| text(of, path));
    request(name, act, &of["id"], words, by.unwrap_or_default())
}

fn cloud_request(value: &Value) -> Option<()> {
    has(value, "/pullrequest o")?;
    let of = &value["pullrequest"];
    has(
        of,
        "/id n  /title s  /source o  /source/branch o  /source/branch/name s",
    )?;
    has(
        of,
        "/destination o  /destination/branch o  /destination/branch/name s",
    )
}

fn cloud_changes(value: &Value) -> Option<()> {
    has(value, "/push o  /push/changes a")?;
    for change in list(value, "/push/changes") {
        has(
            change,
            "/old o?  /old/type s  /old/name s  /old/target o  /old/target/hash s",
        )?;
        has(
            change,
            "/new o?  /new/type s  /new/name s  /new/target o  /new/target/hash s",
        )?;
        has(change, "/commits a?  /truncated b?")?;
        for commit in list(change, "/commits") {
            has(
                commit,
                "/hash s  /message s?  /author o?  /author/raw s?  /author/display_name s?",
            )?;
            has(
                commit,
                "/author/user o?  /author/user/nickname s?  /author/user/display_name s?",
            )?;
        }
    }
    Some(())
}

/// Null for what is neither a branch nor a tag.
fn cloud_push(change: &Value, repository: &str, by: Option<&str>) -> Option<Value> {
    let at = |tip: &str| match &change[tip] {
        Value::Null => Some(Value::Null),
        tip => {
            let hash = text(tip, "/target/hash");
            hash.parse::<CommitId>().ok().map(|_| json!(hash))
        }
    };
    let (before, after) = (at("old")?, at("new")?);
    let tips = ["new", "old"].map(|tip| &change[tip]);
    let tip = tips.into_iter().find(|tip| !tip.is_null())?;
    let name = text(tip, "/name");
    name.parse::<TagName>().ok()?;
    let folder = match text(tip, "/type") {
        "branch" | "named_branch" => "heads",
        "tag" | "annotated_tag" => "tags",
        _ => return Some(Value::Null),
    };
    let author = |commit: &Value| {
        let named = first(
            commit,
            &["/author/user/display_name", "/author/display_name"],
        );
        let raw = cut(text(commit, "/author/raw"), 100);
        let raw = raw.find('<').map_or(&*raw, |at| &raw[..at]);
        named.unwrap_or(raw.trim()).to_owned()
    };
    let commits = list(change, "/commits").iter();
    let commits: Commits = commits
        .map(|commit| {
            (
                text(commit, "/hash").to_owned(),
                author(commit),
                text(commit, "/message").to_owned(),
            )
        })
        .collect();
    let push = Push {
        repository,
        name: &format!("refs/{folder}/{name}"),
        commit: None,
        pusher: by,
        commits: newest(&commits, &after)?,
        total: commits.len() * usize::from(change["truncated"] != true),
        paths: None,
        before,
        after,
    };
    push.value()
}

pub(super) fn server(event: &str, value: &Value) -> Option<Value> {
    let act = match act(event, SERVER) {
        Some(PING) => return Some(json!("ping")),
        Some(act) => act,
        None => return Some(json!("unhandled")),
    };
    has(value, "/actor o?  /actor/name s?")?;
    let by = first(value, &["/actor/name"]);
    if act == PUSHED {
        return server_pushes(value, by);
    }
    has(value, "/pullRequest o")?;
    let of = &value["pullRequest"];
    has(
        of,
        "/id n  /title s  /fromRef o  /fromRef/displayId s  /toRef o  /toRef/displayId s",
    )?;
    let name = server_repository(&of["toRef"])?;
    let words = ["/title", "/fromRef/displayId", "/toRef/displayId"];
    asked(&name, act, of, words, by)
}

fn server_repository(holder: &Value) -> Option<String> {
    has(holder, "/repository o")?;
    let of = &holder["repository"];
    has(
        of,
        "/slug s  /project o  /project/key s  /links o?  /links/clone a?  /links/self a?",
    )?;
    let lists = ["/links/clone", "/links/self"].map(|path| list(of, path));
    for link in lists.concat() {
        has(&link, "/href s")?;
    }
    if lists.iter().any(|links| links.len() > 16) {
        return None;
    }
    let links = lists.iter().flat_map(|links| links.iter());
    let urls: Vec<&str> = links.map(|link| text(link, "/href")).collect();
    let full_name = format!("{}/{}", text(of, "/project/key"), text(of, "/slug"));
    Some(repository(&full_name, &urls)?.0)
}

fn server_pushes(value: &Value, by: Option<&str>) -> Option<Value> {
    has(value, "/changes a  /commits a?")?;
    let changes = list(value, "/changes");
    for change in changes {
        has(change, "/ref o  /ref/id s  /fromHash s  /toHash s")?;
    }
    for commit in list(value, "/commits") {
        has(commit, "/id s  /message s?  /author o?  /author/name s?")?;
    }
    let commits = list(value, "/commits").iter();
    let mut commits: Commits = commits
        .map(|commit| {
            ["/id", "/author/name", "/message"]
                .map(|path| text(commit, path).to_owned())
                .into()
        })
        .collect();
    if changes.len() != 1 {
        commits.clear();
    }
    let name = server_repository(value)?;
    let pushes = changes.iter().map(|change| {
        let [before, after] = sides(change, "/fromHash", "/toHash")?;
        let push = Push {
            repository: &name,
            name: text(change, "/ref/id"),
            commit: None,
            pusher: by,
            commits: newest(&commits, &after)?,
            total: 0,
            paths: None,
            before,
            after,
        };
        push.value()
    });
    pushes.collect::<Option<Vec<Value>>>().map(all)
}
