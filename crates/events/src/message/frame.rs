//! Lists that are cut so that their message fits a frame.

use serde::Serialize;

use crate::MAX_FRAME_BYTES;

/// What the main list of a message may take up; the rest of a frame is for the envelope and the other fields.
pub(super) const LIST_BYTES: usize = MAX_FRAME_BYTES - 16 * 1024;

/// Keeps as many from the beginning as fit into this many bytes.
pub(super) fn cut<T: Serialize>(list: &mut Vec<T>, room: usize) {
    let mut bytes = 0;
    let fits = list.iter().take_while(|item| {
        let text = serde_json::to_vec(item).expect("it is plain JSON");
        bytes += text.len() + 1;
        bytes <= room
    });
    let fits = fits.count();
    list.truncate(fits);
}
