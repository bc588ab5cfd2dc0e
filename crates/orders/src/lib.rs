#![doc = include_str!("../README.md")]

mod admit;
mod allowed_signers;
mod document;
mod key;
mod keyring;
mod pattern;
mod policy;
mod refusal;
mod signing;

pub use admit::{Admitted, Marks, admit, authentic};
pub use allowed_signers::AllowedSignersError;
pub use document::{Action, Document, Grant, MAX_CLEARS, Order, targets_digest};
pub use key::{Key, KeyError};
pub use keyring::{Keyring, Signer, Verified, VerifyError};
pub use pattern::PatternList;
pub use policy::{Allow, NotAllowed, Only, Policy, PolicyError};
pub use refusal::Refusal;
pub use signing::{
    EnvelopeError, MAX_SIGNATURES, SignError, add_armored, add_signature, armored, payload_digest,
    pre_authentication_encoding, sign, to_be_signed, unsigned,
};
