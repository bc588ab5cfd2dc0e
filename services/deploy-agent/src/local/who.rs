//! Whose hand it was, and who may ask.

use world::{User, World};

use super::Note;
use crate::machine::AtHost;

/// Longer texts of a person are cut.
const CHARACTERS: usize = 400;

/// True for those who may ask on an agent's socket: root, and the agent's own user.
#[must_use]
pub fn may_ask(uid: u32, agent: u32) -> bool {
    uid == 0 || uid == agent
}

/// Who asks, as it goes into the journal.
pub async fn at_host(world: &World, uid: u32, note: Note) -> AtHost {
    let user = User::of(world, uid).await;
    AtHost {
        uid,
        login: user.map(|user| user.name().to_string()),
        says: note.says.as_deref().and_then(plain),
        reason: note.reason.as_deref().and_then(plain),
    }
}

/// One bounded line.
fn plain(text: &str) -> Option<String> {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(visible).take(CHARACTERS).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
