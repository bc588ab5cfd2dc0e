#![doc = include_str!("../README.md")]

mod admit;
mod allowed_signers;
mod document;
mod freeze;
mod key;
mod keyring;
mod not_allowed;
mod pattern;
mod policy;
mod refusal;
mod signing;
mod standing;

pub use admit::{Admitted, Marks, admit, authentic};
pub use allowed_signers::AllowedSignersError;
pub use document::{Action, Document, Grant, MAX_CLEARS, Order, copy_digest, targets_digest};
pub use freeze::{Edge, Freeze, Frozen, Zone};
pub use key::{Key, KeyError};
pub use keyring::{Keyring, Signer, Verified, VerifyError};
pub use not_allowed::NotAllowed;
pub use pattern::PatternList;
pub use policy::{Allow, Only, Policy, PolicyError};
pub use refusal::Refusal;
pub use signing::{
    EnvelopeError, MAX_SIGNATURES, SignError, add_armored, add_signature, armored, payload_digest,
    pre_authentication_encoding, sign, to_be_signed, unsigned,
};
pub use standing::Standing;
