#![doc = include_str!("../README.md")]

pub mod client;
pub mod codec;
pub mod dialect;
pub mod frame;
mod secret;

pub use client::{
    Client, Connect, ConnectError, Deliveries, Delivery, Driver, Ended, Expires, Limits, Message,
    Receipt, SendError, Subscription, connect,
};
pub use codec::{Codec, DecodeError, EncodeError, FrameLimits, Item, encode, encode_parts};
pub use dialect::{Dialect, UnknownDialect};
pub use frame::{Command, Frame, Headers};
pub use secret::Secret;
