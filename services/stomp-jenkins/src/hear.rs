//! What a push on the bus leads to.

use std::time::Duration;

use chassis::{Handler, Start, Verdict};
use events::{Envelope, message::Pushed};

use crate::{
    Settings,
    board::{Board, Known},
    book::Book,
    follow::Followed,
    plan::{Plan, Wanted, plan},
    work::paused,
};

/// Listens to pushes.
pub(crate) struct Hearing<'a> {
    pub(crate) start: &'a Start<Settings>,
    pub(crate) book: &'a Book,
    pub(crate) board: &'a Board,
}

impl Handler for Hearing<'_> {
    async fn handle(&mut self, envelope: &Envelope) -> Verdict {
        let pushed = match envelope.open::<Pushed>() {
            Ok(pushed) => pushed,
            Err(error) => return error.into(),
        };
        let builds = match plan(&pushed, &self.start.settings) {
            Plan::Build(builds) => builds,
            Plan::Skip(why) => {
                let (repository, name) = (&pushed.repository, &pushed.name);
                tracing::debug!(%repository, r#ref = %name, %why, "nothing to build");
                return Verdict::Done;
            }
        };
        for wanted in builds {
            if !self.want(wanted).await {
                return Verdict::Again("the service stops".to_owned());
            }
        }
        Verdict::Done
    }
}

impl Hearing<'_> {
    /// Writes it down, unless it is known. Then the message may be acknowledged. While there is no room it waits, for a push that is put
    /// aside would never be built; false at the stop.
    async fn want(&self, wanted: Wanted) -> bool {
        let Self { start, board, .. } = self;
        let (id, job, commit) = (wanted.id.clone(), wanted.job.clone(), wanted.commit.clone());
        match board.known(&id) {
            Known::New => {}
            known => {
                tracing::info!(%job, %commit, id, ?known, "announced again: it is built once");
                return true;
            }
        }
        let followed = Followed::new(wanted, start.world.clock.now());
        let longest = Duration::from_millis(start.settings.poll_longest_ms);
        while let Err(why) = self.write(&followed).await {
            tracing::error!(%job, %commit, id, "a push waits: {why}; tried again");
            if !paused(start, longest).await {
                return false;
            }
        }
        tracing::info!(%job, %commit, id, "is to be built");
        board.add(followed);
        start.status.says(board.line());
        true
    }

    async fn write(&self, followed: &Followed) -> Result<(), String> {
        let Self { start, book, board } = self;
        let limit = start.settings.waiting;
        if board.waiting() >= limit {
            return Err(format!("{limit} builds wait already (waiting)"));
        }
        let written = book.write(&start.world, followed).await;
        written.map_err(|error| format!("cannot write to the state folder: {error}"))
    }
}
