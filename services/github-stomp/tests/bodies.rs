//! All bodies that the tests have, and the settings they are read with.

use std::sync::LazyLock;

use github_stomp::{
    Settings,
    forge::{Kind, Repositories},
};

/// A body that a forge posts.
pub(crate) struct Body {
    pub(crate) kind: Kind,
    pub(crate) event: &'static str,
    /// Its file.
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

macro_rules! bodies {
    ($($kind:ident $event:literal $name:literal)*) => {
        &[$(Body {
            kind: Kind::$kind,
            event: $event,
            name: $name,
            text: include_str!(concat!("data/", $name, ".json")),
        }),*]
    };
}

pub(crate) const BODIES: &[Body] = bodies! {
    Github "push" "recorded/github/push"
    Github "create" "recorded/github/create"
    Github "delete" "recorded/github/delete"
    Github "ping" "recorded/github/ping"
    Github "push" "hand-made/github/push-three-commits"
    Github "push" "hand-made/github/push-forced"
    Github "push" "hand-made/github/push-tag"
    Github "push" "hand-made/github/push-branch-deleted"
    Github "release" "hand-made/github/release"
    Github "pull_request" "hand-made/github/pull-request"
    Gitlab "Push Hook" "recorded/gitlab/push-event"
    Gitlab "Tag Push Hook" "recorded/gitlab/tag-event"
    Gitlab "Push Hook" "hand-made/gitlab/push"
    Gitlab "Push Hook" "hand-made/gitlab/push-branch-deleted"
    Gitlab "Tag Push Hook" "hand-made/gitlab/tag-deleted"
    Gitlab "Tag Push Hook" "hand-made/gitlab/tag-annotated"
    Gitlab "System Hook" "hand-made/gitlab/system-push"
    Gitlab "System Hook" "hand-made/gitlab/system-repository-update"
    Gitlab "Release Hook" "hand-made/gitlab/release"
    Gitlab "Merge Request Hook" "hand-made/gitlab/merge-request"
    Gitea "push" "recorded/gitea/push-event"
    Gitea "push" "hand-made/gitea/push-two-commits"
    Gitea "push" "hand-made/gitea/push-tag"
    Forgejo "push" "hand-made/gitea/push-tag-deleted"
    Forgejo "delete" "hand-made/gitea/delete-branch"
    Gitea "release" "hand-made/gitea/release"
    Forgejo "pull_request" "hand-made/gitea/pull-request"
    Bitbucket "repo:push" "recorded/bitbucket/repo-push"
    Bitbucket "repo:push" "hand-made/bitbucket/push-several"
    Bitbucket "pullrequest:created" "hand-made/bitbucket/pullrequest"
    BitbucketServer "repo:refs_changed" "recorded/bitbucket-server/repo-refs-changed"
    BitbucketServer "repo:refs_changed" "hand-made/bitbucket-server/refs-changed-commits"
    BitbucketServer "repo:refs_changed" "hand-made/bitbucket-server/refs-changed-several"
    BitbucketServer "pr:merged" "hand-made/bitbucket-server/pr-merged"
    BitbucketServer "diagnostics:ping" "hand-made/bitbucket-server/diagnostics-ping"
};

/// What the settings say of repositories: our name, what forges call it, and whether its branches may be rewritten.
pub(crate) const REPOSITORIES: &[(&str, &[&str], bool)] = &[
    ("notes", &["~gopher/webhook-test"], true),
    (
        "diaspora",
        &["git@example.com:mike/diaspora.git", "acme/web/shop"],
        false,
    ),
    ("inn", &["https://git.example.org/acme/shop.git"], false),
];

/// The section of a settings file that says so.
pub(crate) fn section() -> String {
    let one = |(name, aliases, force): &(&str, &[&str], bool)| {
        format!("[repositories.{name}]\naliases = {aliases:?}\nforce_pushes = {force}\n")
    };
    REPOSITORIES.iter().map(one).collect()
}

/// As the service has it.
pub(crate) fn repositories() -> &'static Repositories {
    static READ: LazyLock<Repositories> = LazyLock::new(|| {
        let source = "[sources.x]\nkind = 'github'\nsecret_file = '/x'\n";
        let text = format!("{source}{}", section());
        let (_, settings) = chassis::settings::parse::<Settings>(&text, "x").unwrap();
        Repositories::new(&settings.repositories)
    });
    &READ
}
