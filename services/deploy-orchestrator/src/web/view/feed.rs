//! What happened, newest first.

use askama::Template;
use events::message::Level;

use super::words::{Badge, When};
use crate::feed::{FeedLine, FeedView};

/// What is shown when only trouble is asked for; its end belongs to it.
pub(crate) const TROUBLE: [Level; 3] = [Level::Over, Level::Problem, Level::Alarm];

/// What the page was asked for.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) host: String,
    pub(crate) project: String,
    pub(crate) trouble: bool,
}

#[derive(Debug, Template)]
#[template(path = "feed.html")]
pub(crate) struct Page {
    chosen: Chosen,
    /// Where the page follows.
    live: String,
    view: Lines,
}

/// The part that follows what happens.
#[derive(Debug, Template)]
#[template(path = "feed-live.html")]
pub(crate) struct Live {
    view: Lines,
}

#[derive(Debug)]
struct Lines {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    id: u64,
    when: When,
    component: String,
    badge: Option<Badge>,
    line: String,
}

pub(crate) fn page(chosen: Chosen, view: &FeedView) -> Page {
    let trouble = if chosen.trouble { "yes" } else { "" };
    Page {
        // Names of hosts and projects need no escaping; what is no name was refused.
        live: format!(
            "/feed/live?host={}&project={}&trouble={trouble}",
            chosen.host, chosen.project
        ),
        chosen,
        view: lines(view),
    }
}

pub(crate) fn live(view: &FeedView) -> Live {
    Live { view: lines(view) }
}

fn lines(view: &FeedView) -> Lines {
    Lines {
        rows: view.lines.iter().rev().map(row).collect(),
    }
}

fn row(line: &FeedLine) -> Row {
    Row {
        id: line.id,
        when: line.time.into(),
        component: line.component.to_string(),
        badge: badge(line.level),
        line: line.line.to_string(),
    }
}

fn badge(level: Level) -> Option<Badge> {
    let badge = |tone, symbol, word| Badge { tone, symbol, word };
    match level {
        Level::Info => None,
        Level::Over => Some(badge("good", "✓", "over")),
        Level::Problem => Some(badge("warn", "⚠", "problem")),
        Level::Alarm => Some(badge("bad", "‼", "alarm")),
    }
}
