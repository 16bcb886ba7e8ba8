//! Diagnostics: the log of the process; the connection, the counters and the description of a handle.

use std::sync::Arc;
use std::time::Duration;

use super::callbacks::Listener;
use super::{Dispatch, Error, Handle, Options};
use crate::driver::log::{self, LogLevel, LogRecord};
use crate::driver::{self, CandidateStatus, Command, Connection, Counters, ReplyTo};
use crate::logic::{Report, Time};

/// How long a description waits for the handle's task.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a description is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: indented lines. The content and the layout may change with every version.
    Text,
    /// For programs: one JSON object. Later versions may add names. The existing names keep their meaning.
    Json,
}

/// Sets the log of this process, which is off until the first call. `listener` receives each record of `level` and of
/// the levels before it, from all handles, in order and one at a time, on the log's own thread. It may block. If 1,000
/// records wait, a new one is dropped, and the next record says how many were. A new call replaces the former listener.
/// The former listener receives the records that wait, and is dropped before this returns. (Inside the listener, it is
/// dropped after this has returned.) The log ends with the process that set it; a child sets its own.
///
/// # Errors
/// [`Error::NoResources`] if no thread can be started. Nothing has changed then.
pub fn set_log(level: LogLevel, listener: impl FnMut(&LogRecord) + Send + 'static) -> Result<(), Error> {
    listen_to_log(level, || Box::new(listener))
}

/// The same as `set_log`, but the listener is made only when nothing else can fail.
pub(crate) fn listen_to_log(level: LogLevel, listener: impl FnOnce() -> log::Listener) -> Result<(), Error> {
    log::set(level, listener).map_err(|_| Error::NoResources)
}

impl Handle {
    /// Returns the number of this handle in this process. The log uses the same number.
    pub fn id(&self) -> u64 {
        self.diagnostics.place.handle()
    }

    /// Returns a sentence on why there is no connection to ZooKeeper: for each server its host, its address and the
    /// cause. While there is a connection, the sentence is about the last time without one. Returns `None` if there was
    /// no such time. Never waits.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::BadHandle`].
    pub fn connect_failure(&self) -> Result<Option<Arc<str>>, Error> {
        drop(self.changes()?);
        Ok(self.diagnostics.last_failure())
    }

    /// Watches the connection. `on_connection` receives its state at once, and then each change, in order with the
    /// other callbacks of this handle, until the handle is closed. A handle has at most one such watch.
    ///
    /// # Errors
    /// Nothing has happened: [`Error::Already`] if the connection of this handle is watched; [`Error::Internal`] if the
    /// library has failed.
    pub fn watch_connection(&self, on_connection: impl FnMut(&Connection) + Send + 'static) -> Result<(), Error> {
        self.observe_connection(|| Box::new(on_connection))
    }

    /// The same as `watch_connection`, but the listener is made only when nothing else can fail.
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

    /// Stops watching the connection.
    ///
    /// # Errors
    /// [`Error::NotThere`].
    pub fn unwatch_connection(&self) -> Result<(), Error> {
        let mut changes = self.changes()?;
        let id = changes.connection_watch.take().ok_or(Error::NotThere)?;
        self.command(Command::UnwatchConnection { id });
        Ok(())
    }

    /// Returns what this handle has done since it was opened. Never waits.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::BadHandle`].
    pub fn counters(&self) -> Result<Counters, Error> {
        drop(self.changes()?);
        Ok(self.diagnostics.tally.read())
    }

    /// Describes this handle: its options, its state, and its last transitions. Only the handle's task knows most of
    /// this, so the call waits for the task, for one second at most. If the task does not answer, its part is left out
    /// and `task` says so. ARCHITECTURE.md explains the names.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::BadHandle`].
    pub fn dump(&self, format: Format) -> Result<String, Error> {
        self.check_process()?;
        let (description, told) = ReplyTo::new(&self.waits);
        let changes = self.changes()?;
        let asked = self.session.command(Command::Describe { description });
        drop(changes);
        let (task, told) = match asked.map(|()| self.waits.finish(&told, PATIENCE)) {
            Ok(Ok(Some(told))) => ("answered", told),
            Ok(Err(_)) => ("busy", Report::Nothing),
            Ok(Ok(None)) | Err(()) => ("ended", Report::Nothing),
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

/// Describes the answer of `is_master` for one path.
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
            Dispatch::Loop => "loop",
        };
        let reports = Report::from([
            ("session_timeout_ms", self.session_timeout.as_millis().into()),
            ("connect_timeout_ms", self.connect_timeout.map(|timeout| timeout.as_millis()).into()),
            ("dispatch", dispatch.into()),
            ("frame_limit_bytes", self.frame_limit.into()),
            ("tls", self.tls().map_or(Report::Nothing, |tls| tls.describe())),
            ("sasl", self.sasl.describe()),
        ]);
        match self.elections.describe() {
            Report::Named(more) => {
                more.into_iter().fold(reports, |reports, (name, report)| reports.with(name, report))
            }
            _ => reports,
        }
    }
}
