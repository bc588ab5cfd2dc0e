//! The routes of what happened: the newest lines of the feed, all or those of one host, project or level.

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use events::HostName;
use futures_util::stream;
use serde::Deserialize;

use super::{Answer, Problem, Site, live as follow, view};
use crate::{
    feed::{FeedView, Wanted},
    refused::{Kind, Refused},
};

/// Lines on the page.
const SHOWN: usize = 200;

/// What is chosen on the page; nothing chosen is all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    host: String,
    project: String,
    trouble: String,
}

impl Chosen {
    fn wanted(&self) -> Answer<Wanted> {
        let mut wanted = Wanted::default();
        let wrong = |error| Problem(Refused::new(Kind::NotUnderstood, error));
        if !self.host.is_empty() {
            let host: HostName = self.host.parse().map_err(wrong)?;
            wanted.hosts.push(host.as_str().parse().map_err(wrong)?);
        }
        if !self.project.is_empty() {
            wanted.projects.insert(self.project.parse().map_err(wrong)?);
        }
        if !self.trouble.is_empty() {
            wanted.levels = view::feed::TROUBLE.into();
        }
        Ok(wanted)
    }

    fn shown(&self) -> view::feed::Chosen {
        view::feed::Chosen {
            host: self.host.clone(),
            project: self.project.clone(),
            trouble: !self.trouble.is_empty(),
        }
    }
}

async fn newest(site: &Site, wanted: &Wanted) -> Result<FeedView, Refused> {
    Ok(site.feed.newest(wanted, SHOWN).await?)
}

/// `GET /feed`
pub(super) async fn page(
    State(site): State<Site>,
    Query(chosen): Query<Chosen>,
) -> Answer<Response> {
    let view = newest(&site, &chosen.wanted()?).await?;
    Ok(view::html(&view::feed::page(chosen.shown(), &view)).into_response())
}

/// `GET /feed/live`
pub(super) async fn live(
    State(site): State<Site>,
    Query(chosen): Query<Chosen>,
) -> Answer<Response> {
    let wanted = chosen.wanted()?;
    let seats = site.seats.clone();
    let mut changes = site.feed.changes();
    changes.mark_changed();
    let events = stream::unfold(
        (site, wanted, changes),
        |(site, wanted, mut changes)| async {
            changes.changed().await.ok()?;
            // A burst of lines is one event.
            tokio::time::sleep(follow::COALESCE).await;
            changes.borrow_and_update();
            let view = newest(&site, &wanted).await.ok()?;
            let html = view::html(&view::feed::live(&view)).0;
            Some((follow::change(&html), (site, wanted, changes)))
        },
    );
    Ok(follow::follow(&seats, events)?)
}
