//! A person's consent to what is signed with their key.

use std::io::{BufRead, IsTerminal, Write, stdin, stdout};

use deploy_orchestrator::api::{Plan, PlanRequest};

use super::Session;
use crate::{cli::Ask, consent, failure::Failure};

impl Session<'_> {
    pub(super) fn consent(
        &self,
        request: &PlanRequest,
        plan: &Plan,
        ask: &Ask,
    ) -> Result<(), Failure> {
        let question = consent::agrees(request, plan, &self.home, self.world.clock.now());
        let question = question.map_err(|why| {
            Failure::Failed(format!(
                "not signed: the orchestrator's grant is not what was asked for: {why}"
            ))
        })?;
        match question {
            None => Ok(()),
            Some(_) if ask.yes => Ok(()),
            Some(question) if ask.json || !(stdin().is_terminal() && stdout().is_terminal()) => {
                Err(Failure::Failed(format!(
                    "not signed: {question} Nobody can be asked here: name the hosts, say --yes, or put the group into \
                     [groups] of deploykit.toml"
                )))
            }
            Some(question) => answered(&question),
        }
    }
}

fn answered(question: &str) -> Result<(), Failure> {
    let mut answer = String::new();
    let read = write!(stdout(), "{question} [y/N] ")
        .and_then(|()| stdout().flush())
        .and_then(|()| stdin().lock().read_line(&mut answer));
    read.map_err(|error| Failure::Failed(format!("not signed: no answer: {error}")))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Failed("not signed".to_owned())),
    }
}
