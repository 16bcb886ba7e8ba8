//! How `election` ends when something is wrong: one line that says what and where, and an exit status.

use std::fmt::Display;

/// Something is wrong with what the user wrote: nothing has been done.
pub const USAGE: u8 = 2;
/// Nobody can tell: there is no connection, or the servers refuse to answer.
pub const UNKNOWN: u8 = 3;
/// Mastership did not come in time; the number of timeout(1).
pub const TIMED_OUT: u8 = 124;
/// `election` itself failed; the number of timeout(1) and env(1).
pub const FAILED: u8 = 125;
/// COMMAND cannot be executed, and COMMAND does not exist; the numbers of the shells.
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
