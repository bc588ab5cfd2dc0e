//! What a push on the bus leads to.

use chassis::{Handler, Start, Verdict};
use events::{Envelope, message::Pushed};

use crate::{
    Settings,
    board::{Board, Known},
    book::Book,
    follow::Followed,
    plan::{Plan, Wanted, plan},
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
            if let Err(why) = self.want(wanted).await {
                return Verdict::Again(why);
            }
        }
        Verdict::Done
    }
}

impl Hearing<'_> {
    /// Writes it down, unless it is known. Then the message may be acknowledged.
    async fn want(&self, wanted: Wanted) -> Result<(), String> {
        let Self { start, book, board } = self;
        let (id, job, commit) = (wanted.id.clone(), wanted.job.clone(), wanted.commit.clone());
        match board.known(&id) {
            Known::New => {}
            known => {
                tracing::info!(%job, %commit, id, ?known, "announced again: it is built once");
                return Ok(());
            }
        }
        let limit = start.settings.waiting;
        if board.waiting() >= limit {
            return Err(format!("{limit} builds wait already (waiting)"));
        }
        let followed = Followed::new(wanted, start.world.clock.now());
        let written = book.write(&start.world, &followed).await;
        written.map_err(|error| format!("cannot write to the state folder: {error}"))?;
        tracing::info!(%job, %commit, id, "is to be built");
        board.add(followed);
        start.status.says(board.line());
        Ok(())
    }
}
