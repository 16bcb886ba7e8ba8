//! How `election` ends after an error: with one line that names the error and its place, and with an exit status.

use std::fmt::Display;

/// The user's input is wrong. `election` has done nothing.
pub const USAGE: u8 = 2;
/// The state is unknown: `election` has no connection, or the servers refuse to answer.
pub const UNKNOWN: u8 = 3;
/// The candidate did not become master in time. timeout(1) uses the same number.
pub const TIMED_OUT: u8 = 124;
/// `election` itself failed. timeout(1) and env(1) use the same number.
pub const FAILED: u8 = 125;
/// COMMAND cannot be executed, or COMMAND does not exist. Shells use the same numbers.
pub const CANNOT_EXECUTE: u8 = 126;
pub const NOT_FOUND: u8 = 127;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: u8,
    pub text: String,
}

impl Failure {
    pub fn new(status: u8, text: impl Display) -> Failure {
        Failure { status, text: text.to_string() }
    }

    pub fn usage(text: impl Display) -> Failure {
        Failure::new(USAGE, text)
    }

    pub fn unknown(text: impl Display) -> Failure {
        Failure::new(UNKNOWN, text)
    }

    pub fn failed(text: impl Display) -> Failure {
        Failure::new(FAILED, text)
    }
}

pub type Result<T> = std::result::Result<T, Failure>;
