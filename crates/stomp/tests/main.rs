//! What the wire promises: the codec byte by byte, the client against a scripted broker.

mod alive;
mod client;
mod codec;
mod dialect;
mod handshake;
mod hostile;
mod property;
mod script;
mod secrets;
