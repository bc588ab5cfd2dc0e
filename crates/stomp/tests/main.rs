//! What the wire promises: the codec byte by byte, the client against a scripted broker.

mod client;
mod codec;
mod dialect;
mod property;
mod script;
