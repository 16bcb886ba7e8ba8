//! Why a connection or a session ended, one value for each kind of end. As text it is the rest of a sentence about the
//! server.

use std::fmt;

use super::jute::Malformed;

/// The bytes of an answer that is no answer of a ZooKeeper server, as far as an error repeats them.
const SHOWN: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server owed us an answer for too long.
    Silence,
    /// The server began a frame of this length, which is over the limit.
    FrameTooLong { len: u32, limit: usize },
    /// The length of a frame is not that of its message.
    WrongLength,
    /// A frame has something in it that no server writes.
    Malformed,
    /// The server answered a request that is not the oldest one without an answer, or that was never sent.
    OutOfOrder,
    /// The server resumed another session than ours.
    AnotherSession(i64),
    /// The server has no quorum, and opens sessions that can only read.
    ReadOnly,
    /// The server knows no transactions of several operations, so it is older than ZooKeeper 3.4.
    TooOld,
    /// The server granted a session timeout, in milliseconds, with which nobody can work.
    Timeout(i32),
    /// The server opened no session.
    NoSession,
    /// The server speaks HTTP.
    Http,
    /// The server speaks TLS.
    Tls,
    /// The server speaks neither ZooKeeper's protocol nor one of these; this is the beginning of its answer.
    NotZooKeeper(Vec<u8>),
    /// The server says that the session has expired.
    Expired,
    /// No server was reached for so long that the session must have expired.
    GivenUp,
    /// The server refused the credentials, with this error.
    Denied(i32),
    /// The server refused our SASL message, with this error. `is_first` says whether it was the first one.
    SaslRefused { error: i32, is_first: bool },
    /// SASL was not over in time, and it was our turn.
    SaslTakesLong,
    /// The server says that another server serves the session now.
    Moved,
    /// The session was left for another one.
    Left,
}

impl Cause {
    /// The cause for the first bytes of a connection if they do not begin a frame that answers a ConnectRequest.
    pub fn of_first_bytes(bytes: &[u8]) -> Cause {
        match bytes {
            [b'H', b'T', b'T', b'P', ..] => Cause::Http,
            // A record of TLS: an alert, or a handshake.
            [0x15 | 0x16, 3, ..] => Cause::Tls,
            _ => Cause::NotZooKeeper(bytes[..bytes.len().min(SHOWN)].to_vec()),
        }
    }
}

impl From<Malformed> for Cause {
    fn from(malformed: Malformed) -> Cause {
        match malformed {
            Malformed::TooShort | Malformed::TooLong => Cause::WrongLength,
            Malformed::Count | Malformed::Text | Malformed::Field => Cause::Malformed,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Silence => f.write_str("did not answer in time"),
            Cause::FrameTooLong { len, limit } => {
                write!(f, "sent a frame of {len} bytes, which is over the limit of {limit}")
            }
            Cause::WrongLength => f.write_str("sent a frame whose length is not that of its message"),
            Cause::Malformed => f.write_str("sent a frame that makes no sense"),
            Cause::OutOfOrder => f.write_str("answered out of order"),
            Cause::AnotherSession(id) => write!(f, "resumed another session, 0x{id:x}"),
            Cause::ReadOnly => f.write_str("is read-only: it has no quorum"),
            Cause::TooOld => f.write_str("is older than ZooKeeper 3.4"),
            Cause::Timeout(ms) => write!(f, "granted a session timeout of {ms} ms"),
            Cause::NoSession => f.write_str("opened no session"),
            Cause::Http => f.write_str("is no ZooKeeper: it speaks HTTP"),
            Cause::Tls => f.write_str("speaks TLS"),
            Cause::NotZooKeeper(bytes) => write!(f, "is no ZooKeeper: it says \"{}\"", bytes.escape_ascii()),
            Cause::Expired => f.write_str("says that the session has expired"),
            Cause::GivenUp => f.write_str("was not reached for so long that the session must have expired"),
            Cause::Denied(rc) => write!(f, "refused the credentials ({rc})"),
            Cause::SaslRefused { error, .. } => write!(f, "refused SASL ({error})"),
            Cause::SaslTakesLong => f.write_str("waited too long for our part of SASL"),
            Cause::Moved => f.write_str("says that another server serves the session"),
            Cause::Left => f.write_str("was left"),
        }
    }
}
