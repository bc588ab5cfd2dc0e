//! A look at a gated mirror: what the origin has, what CI has found of it, and then exactly what is good.

use events::message::Verdict;
use git::Ensured;

use crate::{
    errand::{Looked, Outcome, Task},
    fetcher::Fetcher,
    gate::{Plan, Verdicts, plan, questions},
    lines::Place,
    work::Told,
};

/// Refs that wait and are remembered as such; the others are counted in the log.
const WAITING: usize = 100;

impl Fetcher {
    /// Brings what is good, and says what is bad. With no answer nothing new comes.
    pub(crate) async fn behind_the_gate(
        &self,
        place: Place<'_>,
        told: &mut Told,
    ) -> Result<Outcome, String> {
        let repository = place.repository;
        let looked = match self.run(repository, Task::Look).await? {
            Outcome::Looked(looked) => looked,
            other => return Err(format!("{other:?} is no answer")),
        };
        let Looked {
            ensured,
            there,
            here,
        } = looked;
        let open = |known: &Verdicts| questions(&there, &here, known);
        let verdicts = self.asking.verdicts(repository, open).await?;
        let Plan {
            admitted,
            mut waiting,
        } = plan(&there, &here, &verdicts);
        let outcome = self.run(repository, Task::FetchExactly { there, admitted });
        let mut outcome = outcome.await?;
        if let Outcome::Fetched(brought) = &mut outcome
            && ensured == Ensured::Cloned
        {
            brought.ensured = ensured;
            brought.fetched.changed.clear();
        }
        if waiting.len() > WAITING {
            tracing::info!(%repository, refs = waiting.len(), "many refs wait for CI; the first {WAITING} are named");
            // What is bad needs a person, what is unknown may be years old.
            waiting.sort_by_key(|waits| waits.verdict != Verdict::Bad);
            waiting.truncate(WAITING);
        }
        for waits in &waiting {
            if told.waiting.contains(waits) {
                continue;
            }
            let (name, commit, why) = (&waits.name, &waits.commit, waits.why());
            tracing::info!(%repository, %name, %commit, "waits: {why}");
            // What CI has not come to yet is no news.
            if waits.verdict == Verdict::Bad {
                self.bus.say(place.waits(waits));
            }
        }
        told.waiting = waiting;
        Ok(outcome)
    }
}
