//! Diagnostics: the log of the process, and of a handle its connection, its counters and a description.

use std::sync::{mpsc, Arc};
use std::time::Duration;

use super::callbacks::Listener;
use super::{Dispatch, Error, Handle, Options};
use crate::driver::log::{self, LogLevel, LogRecord};
use crate::driver::{self, CandidateStatus, Command, Connection, Counters};
use crate::logic::{Report, Time};

/// How long a description waits for the handle's task.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a description is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: indented lines. What is in it, and how it looks, may change with every version.
    Text,
    /// For programs: one JSON object. Later versions may add names; those that there are keep their meaning.
    Json,
}

/// Sets what the log of this process tells, and to whom; it is off until then. `listener` hears each record of this
/// level and those before it, of all handles, in order and one at a time, on a thread of the log's own. It may block:
/// records that find 1,000 others waiting are dropped, and how many is told. A new call takes the place of the former
/// one, whose listener hears what was said until then and is dropped before this returns (inside the listener: after).
/// The log ends with the process that set it; a child sets its own.
///
/// # Errors
/// [`Error::NoResources`] when no thread can be started: nothing has changed then.
pub fn set_log(level: LogLevel, listener: impl FnMut(&LogRecord) + Send + 'static) -> Result<(), Error> {
    listen_to_log(level, || Box::new(listener))
}

/// As `set_log`; the listener is made when nothing can fail any more.
pub(crate) fn listen_to_log(level: LogLevel, listener: impl FnOnce() -> log::Listener) -> Result<(), Error> {
    log::set(level, listener).map_err(|_| Error::NoResources)
}

impl Handle {
    /// The number of this handle in this process, as the log has it.
    pub fn id(&self) -> u64 {
        self.diagnostics.place.handle()
    }

    /// Why there is no connection to ZooKeeper: for each server its host, its address and the cause, in a sentence. While
    /// there is a connection: why there was none the last time; `None` if there always was. Never waits.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::BadHandle`].
    pub fn connect_failure(&self) -> Result<Option<Arc<str>>, Error> {
        drop(self.changes()?);
        Ok(self.diagnostics.last_failure())
    }

    /// Watches the connection: `on_connection` hears at once how it stands, and then of each change, in order with the
    /// other callbacks of this handle, until it is closed. One for each handle.
    ///
    /// # Errors
    /// [`Error::Already`] when this handle is watched; [`Error::Internal`] when the library has failed. Nothing has happened
    /// then.
    pub fn watch_connection(&self, on_connection: impl FnMut(&Connection) + Send + 'static) -> Result<(), Error> {
        self.observe_connection(|| Box::new(on_connection))
    }

    /// As `watch_connection`; the listener is made when nothing can fail any more.
    pub(crate) fn observe_connection(
        &self,
        on_connection: impl FnOnce() -> Box<dyn FnMut(&Connection) + Send>,
    ) -> Result<(), Error> {
        let mut changes = self.changes()?;
        if changes.connection_watch.is_some() {
            return Err(Error::Already);
        }
        let id = self.new_subscription();
        self.callbacks.add(id, || Ok(Listener::Connection(on_connection())))?;
        changes.connection_watch = Some(id);
        self.command(Command::WatchConnection { id });
        Ok(())
    }

    /// Watches the connection no longer.
    ///
    /// # Errors
    /// [`Error::NotThere`].
    pub fn unwatch_connection(&self) -> Result<(), Error> {
        let mut changes = self.changes()?;
        let id = changes.connection_watch.take().ok_or(Error::NotThere)?;
        self.command(Command::UnwatchConnection { id });
        Ok(())
    }

    /// What this handle has done so far. Never waits.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::BadHandle`].
    pub fn counters(&self) -> Result<Counters, Error> {
        drop(self.changes()?);
        Ok(self.diagnostics.tally.read())
    }

    /// What this handle is, believes, and did last. Waits for the handle's task, which knows most of it, for a second at
    /// most; what that does not tell is left out, and `task` says so. ARCHITECTURE.md has the names.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::BadHandle`].
    pub fn dump(&self, format: Format) -> Result<String, Error> {
        self.check_process()?;
        let (description, told) = mpsc::sync_channel(1);
        let changes = self.changes()?;
        let asked = self.session.command(Command::Describe { description });
        drop(changes);
        let (task, told) = match asked.map(|()| told.recv_timeout(PATIENCE)) {
            Ok(Ok(told)) => ("answered", told),
            Ok(Err(mpsc::RecvTimeoutError::Timeout)) => ("busy", Report::Nothing),
            Ok(Err(mpsc::RecvTimeoutError::Disconnected)) | Err(()) => ("ended", Report::Nothing),
        };
        let reports = self.describe(task, told);
        Ok(match format {
            Format::Text => reports.text(),
            Format::Json => reports.json(),
        })
    }

    fn describe(&self, task: &str, told: Report) -> Report {
        let now = driver::now();
        let mut masterships = Vec::new();
        self.statuses.for_each(|path, (_, status)| masterships.push(describe_status(path, status)));
        masterships.sort_by(|a, b| a.0.cmp(&b.0));
        Report::from([
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("handle", self.id().into()),
            ("pid", std::process::id().into()),
            ("hosts", self.opened_with.hosts.as_str().into()),
            ("open_for_ms", Report::ms_between(self.opened_with.at.0, now.0)),
            ("now_boottime_ms", boottime_ms(now)),
            ("now_unix_ms", log::wall_clock_ms().into()),
            ("options", self.opened_with.options.clone()),
            ("connection", self.diagnostics.connection().describe()),
            ("last_failure", self.diagnostics.describe_last_failure()),
            ("task", task.into()),
            ("masterships", Report::List(masterships.into_iter().map(|(_, status)| status).collect())),
            ("session", told),
            ("counters", self.diagnostics.tally.read().describe()),
            ("history", self.diagnostics.history()),
        ])
    }
}

/// What `is_master` would say.
fn describe_status(path: &Arc<str>, status: &CandidateStatus) -> (Arc<str>, Report) {
    let mastership = status.mastership();
    let reports = Report::from([
        ("path", path.into()),
        ("is_master", mastership.is_some().into()),
        ("token", mastership.map(|mastership| mastership.token).into()),
        ("lease_left_ms", mastership.map(|mastership| mastership.left.as_millis()).into()),
    ]);
    (path.clone(), reports)
}

fn boottime_ms(now: Time) -> Report {
    (now.0 / 1_000_000).into()
}

impl Options {
    pub(super) fn describe(&self) -> Report {
        let dispatch = match self.dispatch {
            Dispatch::Thread => "thread",
            Dispatch::Manual => "manual",
        };
        let reports = Report::from([
            ("session_timeout_ms", self.session_timeout.as_millis().into()),
            ("connect_timeout_ms", self.connect_timeout.map(|timeout| timeout.as_millis()).into()),
            ("dispatch", dispatch.into()),
        ]);
        match self.elections.describe() {
            Report::Named(more) => {
                more.into_iter().fold(reports, |reports, (name, report)| reports.with(name, report))
            }
            _ => reports,
        }
    }
}
