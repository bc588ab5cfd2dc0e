//! What the wire promises: the codec byte by byte, the client against a scripted broker.

mod alive;
mod any_bytes;
mod client;
mod codec;
mod corpus;
mod dialect;
mod handshake;
mod hostile;
mod property;
mod script;
mod secrets;
