//! What is told to people only: releases and merge requests.

use events::RepoName;
pub use events::message::Said as News;

use super::{
    Said,
    words::{Called, Title},
};

/// A release of a forge: a page about a tag.
pub(super) struct Release {
    pub(super) repository: RepoName,
    pub(super) act: &'static str,
    pub(super) tag: Called,
    pub(super) title: Title,
    pub(super) by: Called,
}

/// A merge request, which some forges call a pull request.
pub(super) struct MergeRequest {
    pub(super) repository: RepoName,
    pub(super) act: &'static str,
    pub(super) number: u64,
    pub(super) title: Title,
    pub(super) from: Called,
    pub(super) into: Called,
    pub(super) by: Called,
}

impl From<Release> for Said {
    /// `acme/shop release v1.2 published by ann: Spring`
    fn from(release: Release) -> Self {
        let Release {
            repository,
            act,
            tag: Called(tag),
            title: Title(title),
            by: Called(by),
        } = release;
        let text = format!("{repository} release {tag} {act}{}", signed(&by, &title));
        let news = News::new("release", text)
            .with("repository", repository)
            .with("act", act)
            .with("tag", tag)
            .with("title", title)
            .with("by", by);
        Self::News(news)
    }
}

impl From<MergeRequest> for Said {
    /// `acme/shop merge request 12 (fix-door into main) merged by ann: Mend the door`
    fn from(request: MergeRequest) -> Self {
        let MergeRequest {
            repository,
            act,
            number,
            title: Title(title),
            from: Called(from),
            into: Called(into),
            by: Called(by),
        } = request;
        let end = signed(&by, &title);
        let text = format!("{repository} merge request {number} ({from} into {into}) {act}{end}");
        let news = News::new("merge-request", text)
            .with("repository", repository)
            .with("act", act)
            .with("number", number)
            .with("title", title)
            .with("from", from)
            .with("into", into)
            .with("by", by);
        Self::News(news)
    }
}

fn signed(by: &str, title: &str) -> String {
    let by = match by {
        "" => String::new(),
        by => format!(" by {by}"),
    };
    match title {
        "" => by,
        title => format!("{by}: {title}"),
    }
}
