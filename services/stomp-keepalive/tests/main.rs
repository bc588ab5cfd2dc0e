//! What `stomp-keepalive` promises.

mod on_the_bus;
mod process;
mod rounds;
mod settings;
