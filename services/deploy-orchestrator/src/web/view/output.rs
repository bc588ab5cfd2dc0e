//! What a step's script said on one host.

use askama::Template;
use events::{
    HostName,
    message::{Step, StepState},
};

use super::{
    deploy::{self, Piece},
    words,
};
use crate::api::{DeployView, OutputView};

#[derive(Debug, Template)]
#[template(path = "output.html")]
pub(crate) struct Page {
    id: String,
    title: String,
    project: String,
    host: String,
    step: String,
    /// True if more may come: the page asks again.
    running: bool,
    pieces: Vec<Piece>,
}

pub(crate) fn page(
    deploy: &DeployView,
    host: &HostName,
    step: Step,
    output: &[OutputView],
) -> Page {
    Page {
        id: deploy.id.to_string(),
        title: words::title(deploy),
        project: deploy.project.to_string(),
        host: host.to_string(),
        step: step.to_string(),
        running: is_running(deploy, host, step),
        pieces: deploy::pieces(output),
    }
}

fn is_running(deploy: &DeployView, host: &HostName, step: Step) -> bool {
    let hosts = deploy.waves.iter().flat_map(|wave| &wave.hosts);
    let mut steps = hosts
        .filter(|progress| progress.host == *host)
        .flat_map(|progress| &progress.steps);
    steps.any(|report| report.step == step && report.state == StepState::Running)
}
