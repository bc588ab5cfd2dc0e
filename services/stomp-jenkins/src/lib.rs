#![doc = include_str!("../README.md")]

mod board;
mod book;
pub mod follow;
mod hear;
pub mod plan;
pub mod settings;
mod work;

use std::sync::Arc;

use anyhow::Context;
use chassis::{Failure, Listen, Start, consume, outbox::Outbox};
use events::Topic;
use jenkins::Jenkins;

use board::Board;
use book::Book;
pub use settings::Settings;

/// Hears of pushes, has them built, and follows the builds until the stop.
///
/// # Errors
/// When the settings name a file that cannot be used, or the state folder cannot be used or is another process's.
pub async fn serve(start: Start<Settings>) -> Result<(), Failure> {
    let Start {
        service,
        host,
        settings,
        bus,
        world,
        stop,
        status,
    } = &start;
    let jenkins = Jenkins::new(settings.jenkins.clone(), world.clone());
    let jenkins = jenkins.map_err(Failure::Settings)?;
    let book = Book::open(world, &settings.state).await?;
    let folder = settings.outbox_folder();
    let (outbox, keeper) = Outbox::open(bus, world, &settings.outbox, &folder)
        .await
        .context("the outbox")?;
    let known = book.read(world, settings.remembered()).await?;
    let board = Arc::new(Board::new(known));
    // Durable: nobody else would tell of a push again.
    let subscription = bus.names().subscription(service, host);
    let inbox = bus.listen(Listen::durable(Topic::GitCommits, subscription));
    let inbox = inbox.await;
    status.ready();
    status.says(board.line());
    let mut hearing = hear::Hearing {
        start: &start,
        book: &book,
        board: &board,
    };
    let work = work::Work {
        start: &start,
        jenkins: &jenkins,
        book: &book,
        board: &board,
        outbox: &outbox,
    };
    let (heard, (), ()) = tokio::join!(
        consume(&mut hearing, inbox, bus, stop),
        work.run(),
        keeper.run(stop),
    );
    heard
}
