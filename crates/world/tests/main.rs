//! What the seams to the operating system promise.

#![expect(
    clippy::disallowed_methods,
    reason = "what is on the disk is looked at from outside"
)]

mod disk;
mod ids;
mod lock;
mod net;
