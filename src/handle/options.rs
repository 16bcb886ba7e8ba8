//! What a handle is opened with beyond the hosts.

use std::time::Duration;

use super::Error;

const LONGEST_MS: i64 = 3_600_000;
const SHORTEST_SESSION_MS: i64 = 100;

/// Options of [`Election::open`](super::Election::open).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(super) session_timeout: Duration,
    pub(super) connect_timeout: Option<Duration>,
}

impl Default for Options {
    /// A session timeout of 10,000 ms, and no wait for the first connection.
    fn default() -> Self {
        Options { session_timeout: Duration::from_secs(10), connect_timeout: None }
    }
}

impl Options {
    /// For how long ZooKeeper keeps the znode of a master it does not hear from: 100 to 3,600,000 ms. The server
    /// moves it into its own limits.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_session_timeout_ms(&mut self, session_timeout_ms: i64) -> Result<(), Error> {
        self.session_timeout = milliseconds(session_timeout_ms, SHORTEST_SESSION_MS)?;
        Ok(())
    }

    /// For how long to wait for the first connection: up to 3,600,000 ms; 0 is not to wait.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_connect_timeout_ms(&mut self, connect_timeout_ms: i64) -> Result<(), Error> {
        let timeout = milliseconds(connect_timeout_ms, 0)?;
        self.connect_timeout = (!timeout.is_zero()).then_some(timeout);
        Ok(())
    }
}

fn milliseconds(ms: i64, at_least: i64) -> Result<Duration, Error> {
    match ms {
        _ if ms < at_least || ms > LONGEST_MS => Err(Error::BadTimeout),
        _ => Ok(Duration::from_millis(ms.unsigned_abs())),
    }
}
