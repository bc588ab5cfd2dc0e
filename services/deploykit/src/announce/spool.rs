//! The spool of a hook: its folder, and how much it may hold.

use std::path::PathBuf;

use chassis::{
    environment,
    outbox::{Limits, Waiting, drop_off},
    settings,
};
use world::World;

use super::{Deliver, NAME, SPOOL};
use crate::{cli::SpoolArgs, screen::complain};

/// Where a hook leaves its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    folder: PathBuf,
    limits: Limits,
}

impl Spool {
    /// As the settings of what delivers it say; the folder as typed, if it is. Settings that cannot be read are said, and the defaults taken:
    /// what is announced matters more.
    #[must_use]
    pub fn of(typed: &SpoolArgs, world: &World) -> Self {
        let settings =
            settings::load::<Deliver>(&*world.disk, NAME, typed.config.as_deref(), &environment());
        let outbox = match settings {
            Ok((_, settings)) => settings.outbox,
            Err(error) => {
                complain(format!(
                    "announced within the default limits, for the settings cannot be used: {error}"
                ));
                Deliver::default().outbox
            }
        };
        let limits = outbox.limits();
        let folder = typed.spool.clone().or(outbox.folder);
        Self {
            folder: folder.unwrap_or_else(|| SPOOL.into()),
            limits,
        }
    }

    /// Puts messages into it; they last from then on.
    ///
    /// # Errors
    /// The spool's.
    pub fn drop_in(&self, world: &World, messages: &[Waiting]) -> anyhow::Result<()> {
        drop_off(world, &self.folder, self.limits, messages)?;
        Ok(())
    }
}
