//! What a handle is opened with beyond the hosts.

use std::time::Duration;

use super::Error;
use crate::core::{Config, Grade, Recipe};

const LONGEST_MS: i64 = 3_600_000;
const SHORTEST_SESSION_MS: i64 = 100;

/// Options of [`Election::open`](super::Election::open).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(super) session_timeout: Duration,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) elections: Config,
    pub(super) dispatch: Dispatch,
}

/// Who runs the callbacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dispatch {
    /// A thread of the handle's own.
    #[default]
    Thread,
    /// The program, when it calls [`dispatch`](super::Election::dispatch).
    Manual,
}

impl Default for Options {
    /// A session timeout of 10,000 ms, no wait for the first connection, the node recipe, no grace delay, and a
    /// lease that rests on committed transactions.
    fn default() -> Self {
        Options {
            session_timeout: Duration::from_secs(10),
            connect_timeout: None,
            elections: Config::default(),
            dispatch: Dispatch::Thread,
        }
    }
}

impl Options {
    /// For how long ZooKeeper keeps the znode of a master it does not hear from: 100 to 3,600,000 ms. At least 1,000
    /// are asked for, and the server moves it into its own limits.
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

    /// How the candidates of an election find out who is master. All members of one election use the same.
    pub fn set_recipe(&mut self, recipe: Recipe) {
        self.elections.recipe = recipe;
    }

    /// Who runs the callbacks.
    pub fn set_dispatch(&mut self, dispatch: Dispatch) {
        self.dispatch = dispatch;
    }

    /// What the lease rests on.
    pub fn set_lease_grade(&mut self, grade: Grade) {
        self.elections.grade = grade;
    }

    /// For how long a new master waits before it is told, so that what the old one had begun can end: up to
    /// 3,600,000 ms.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_grace_ms(&mut self, grace_ms: i64) -> Result<(), Error> {
        self.elections.grace_ms = milliseconds(grace_ms, 0)?.as_millis() as u64;
        Ok(())
    }

    /// By how much a lease ends sooner than safety asks for: up to 3,600,000 ms. With as much as half a session
    /// timeout nobody becomes master.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_lease_margin_ms(&mut self, lease_margin_ms: i64) -> Result<(), Error> {
        self.elections.margin_ms = milliseconds(lease_margin_ms, 0)?.as_millis() as u64;
        Ok(())
    }

    /// The `tickTime` of the servers, so that leases can be longer: up to 3,600,000 ms; 0 for not known.
    ///
    /// # Errors
    /// [`Error::BadTimeout`].
    pub fn set_tick_ms(&mut self, tick_ms: i64) -> Result<(), Error> {
        let tick_ms = milliseconds(tick_ms, 0)?.as_millis() as u64;
        self.elections.tick_ms = (tick_ms > 0).then_some(tick_ms);
        Ok(())
    }
}

fn milliseconds(ms: i64, at_least: i64) -> Result<Duration, Error> {
    match ms {
        _ if ms < at_least || ms > LONGEST_MS => Err(Error::BadTimeout),
        _ => Ok(Duration::from_millis(ms.unsigned_abs())),
    }
}
