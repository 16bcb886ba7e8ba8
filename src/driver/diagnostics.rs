//! The information that a handle provides about itself at any time, even if its task is busy: counters, the state of
//! the connection, and the last transitions. The task writes it; any thread reads it. No thread waits longer than a
//! copy takes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock;
use super::counters::Tally;
use super::log::{wall_clock_ms, LogContext};
use crate::logic::{rc, Report, Time};

/// The number of transitions that are kept.
const KEPT: usize = 64;

/// The state of a handle's connection to ZooKeeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// No session exists; the library tries the servers.
    Connecting,
    Connected,
    /// The connection broke; the session may still exist.
    Suspended,
    /// The session is over. `Connecting` follows.
    Expired,
    /// The handle is closed, or its credentials were refused. The last state.
    Closed,
}

impl ConnectionState {
    pub fn name(self) -> &'static str {
        match self {
            ConnectionState::Connecting => "connecting",
            ConnectionState::Connected => "connected",
            ConnectionState::Suspended => "suspended",
            ConnectionState::Expired => "expired",
            ConnectionState::Closed => "closed",
        }
    }
}

/// The connection of a handle, reported whenever its state changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub state: ConnectionState,
    /// The reason: 0 if nothing is wrong, else ZooKeeper's number.
    pub rc: i32,
    /// The session; 0 while none exists.
    pub session_id: i64,
    /// The session timeout that the server granted; zero while no session exists.
    pub session_timeout: Duration,
    /// Why the connection is missing: host, address and cause, as a sentence. `None` while nothing is wrong or the
    /// cause is unknown.
    pub cause: Option<Arc<str>>,
}

impl Connection {
    pub const fn without_session(state: ConnectionState, rc: i32) -> Connection {
        Connection { state, rc, session_id: 0, session_timeout: Duration::ZERO, cause: None }
    }

    pub fn describe(&self) -> Report {
        Report::from([
            ("state", self.state.name().into()),
            ("rc", self.rc.into()),
            ("session_id", Report::session(self.session_id)),
            ("session_timeout_ms", self.session_timeout.as_millis().into()),
            ("cause", self.cause.as_ref().into()),
        ])
    }
}

/// A change of a state.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The thing that changed: `connection`, `candidate`, `observer` or `members`.
    pub of: &'static str,
    pub path: Option<Arc<str>>,
    /// The new state: the state of the connection, the role of the candidate; for an observer `master`, `no_master`, or
    /// `unknown`.
    pub now: &'static str,
    pub reason: Option<&'static str>,
    pub rc: i32,
    /// The czxid of the master's znode; 0 while it is unknown.
    pub token: i64,
    pub session_id: i64,
    /// For a connection: why it is missing.
    pub cause: Option<Arc<str>>,
}

#[derive(Debug)]
pub struct Diagnostics {
    pub place: Arc<LogContext>,
    pub tally: Tally,
    connection: Mutex<Connection>,
    /// The cause of the last outage, and when it was found.
    last_failure: Mutex<Option<(Time, Arc<str>)>>,
    history: Mutex<VecDeque<(Time, i64, Transition)>>,
}

impl Diagnostics {
    pub fn new(place: LogContext) -> Diagnostics {
        Diagnostics {
            place: Arc::new(place),
            tally: Tally::default(),
            connection: Mutex::new(Connection::without_session(ConnectionState::Connecting, rc::OK)),
            last_failure: Mutex::default(),
            history: Mutex::default(),
        }
    }

    pub fn connection(&self) -> Connection {
        lock(&self.connection).clone()
    }

    pub fn set_connection(&self, connection: Connection) {
        if let Some(cause) = &connection.cause {
            *lock(&self.last_failure) = Some((clock::now(), cause.clone()));
        }
        *lock(&self.connection) = connection;
    }

    /// The cause of the present outage; while the handle is connected, the cause of the last one.
    pub fn last_failure(&self) -> Option<Arc<str>> {
        lock(&self.last_failure).as_ref().map(|(_, cause)| cause.clone())
    }

    pub fn describe_last_failure(&self) -> Report {
        match &*lock(&self.last_failure) {
            None => Report::Nothing,
            Some((at, cause)) => {
                let ago = Report::ms_between(at.0, clock::now().0);
                Report::from([("ago_ms", ago), ("cause", cause.into())])
            }
        }
    }

    pub fn happened(&self, transition: Transition) {
        let mut history = lock(&self.history);
        if history.len() == KEPT {
            history.pop_front();
        }
        history.push_back((clock::now(), wall_clock_ms(), transition));
    }

    /// Returns the last transitions, the oldest first.
    pub fn history(&self) -> Report {
        let now = clock::now();
        let describe = |(at, at_ms, transition): &(Time, i64, Transition)| {
            Report::from([
                ("ago_ms", Report::ms_between(at.0, now.0)),
                ("boottime_ms", (at.0 / 1_000_000).into()),
                ("unix_ms", (*at_ms).into()),
                ("of", transition.of.into()),
                ("path", transition.path.as_ref().into()),
                ("now", transition.now.into()),
                ("reason", transition.reason.into()),
                ("rc", transition.rc.into()),
                ("token", transition.token.into()),
                ("session_id", Report::session(transition.session_id)),
                ("cause", transition.cause.as_ref().into()),
            ])
        };
        Report::List(lock(&self.history).iter().map(describe).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
