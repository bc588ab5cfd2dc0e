//! What the signed documents promise.

#![expect(
    clippy::disallowed_methods,
    reason = "files and ssh-keygen of a test are its own"
)]

mod admission;
mod allowed_signers;
mod dsse;
mod freezes;
mod given;
mod keys;
mod openssh;
mod page;
mod policy;
mod timely;
