//! What `github-stomp` promises.

mod hooks;
mod settings;
mod signature;
mod translate;
