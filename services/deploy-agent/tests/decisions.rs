//! Whole sequences of decisions: scripted outcomes in, steps and verdict out, as text.

mod clearing;
mod deploys;
mod holding;
mod host;
mod interrupted;
mod keeping;
mod leaving;
mod undoing;
