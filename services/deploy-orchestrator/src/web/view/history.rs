//! Deploys, newest first.

use askama::Template;
use events::ProjectName;

use super::words::{self, Badge, When};
use crate::{api::DeployView, deploy::short};

#[derive(Debug, Template)]
#[template(path = "history.html")]
pub(crate) struct Page {
    /// The project that it is about, if not all.
    project: Option<String>,
    rows: Vec<Row>,
    /// True if there are more than are shown.
    cut: bool,
}

/// One deploy in a list.
#[derive(Debug)]
pub(crate) struct Row {
    pub(super) id: String,
    pub(super) short: String,
    pub(super) project: String,
    pub(super) title: String,
    pub(super) badge: Badge,
    pub(super) reason: Option<String>,
    pub(super) by: String,
    pub(super) servers: usize,
    pub(super) created: When,
    pub(super) took: Option<String>,
}

pub(crate) fn page(project: Option<&ProjectName>, deploys: &[DeployView], limit: usize) -> Page {
    Page {
        project: project.map(ToString::to_string),
        rows: deploys.iter().map(row).collect(),
        cut: deploys.len() >= limit,
    }
}

pub(crate) fn row(deploy: &DeployView) -> Row {
    Row {
        id: deploy.id.to_string(),
        short: short(deploy.id),
        project: deploy.project.to_string(),
        title: words::title(deploy),
        badge: deploy.state.into(),
        reason: deploy.reason.clone(),
        by: deploy.by.join(", "),
        servers: deploy.waves.iter().map(|wave| wave.hosts.len()).sum(),
        created: deploy.created.into(),
        took: deploy
            .ended
            .map(|ended| words::between(deploy.created, ended)),
    }
}
