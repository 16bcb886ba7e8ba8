//! The safe Rust API: a handle, the elections on it, and the thread that runs its callbacks.

mod callbacks;
mod close;
mod detail;
mod diagnostics;
mod error;
mod lead;
mod map;
mod observe;
mod options;
mod verifier;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use crate::driver::fork::Process;
use crate::driver::log::{self, LogContext};
use crate::driver::{
    self, guid, hosts, CandidateStatus, Command, Denied, Diagnostics, EventSink, Inbox, LeaseEnd, Notification,
    OnItsWay, ProgramLoop, ReplyTo, Session, Settings, Unready, Waited, Waits, Wake,
};
use crate::logic::{rc, Call, Event, Outcome, Report, Role, SubscriptionId, Time, Value, Write};

pub(crate) use crate::driver::failpoint::failpoint;
pub(crate) use crate::driver::fork::{is_child, kin, Kin};
pub use crate::driver::log::{LogLevel, LogRecord};
pub(crate) use crate::driver::thread::{enter, outside};
use crate::driver::thread::{SignalMask, Thread};
pub(crate) use crate::driver::{interrupt, Interrupted};
pub use crate::driver::{Connection, ConnectionState, Counters, Mastership};
use callbacks::{Callbacks, Listener};
use close::{Ending, Wait};
pub(crate) use detail::take_detail;
pub(crate) use diagnostics::listen_to_log;
pub use diagnostics::{set_log, Format};
pub use error::{explain, Error};
pub use lead::Leadership;
pub(crate) use map::Map;
pub use options::{Acl, Dispatch, Options, ACL_ENTRY_MAX, ACL_MAX, AUTHS_MAX, AUTH_MAX};
pub use verifier::Verifier;

/// The longest path in bytes. The chroot of the connect string counts, too.
pub const PATH_MAX: usize = 4096;

/// How long the session's task may take to close: more than it waits for a server.
const LONGEST_CLOSE: Duration = Duration::from_secs(4);

/// The longest value, in bytes.
pub const VALUE_MAX: usize = 1_000_000;

/// One session with ZooKeeper and the elections on it. Any thread may call its methods, also inside a callback. The
/// exceptions are [`close`](Handle::close) and the other methods that return [`Error::InCallback`]. Dropping a handle
/// closes it.
pub struct Handle {
    process: Process,
    parts: ManuallyDrop<Parts>,
}

/// What a handle consists of. A child of the process that opened the handle drops none of it: a part may wait for a lock
/// that no thread of the child holds, and the program's listeners belong to the parent.
#[doc(hidden)]
pub struct Parts {
    session: Session,
    diagnostics: Arc<Diagnostics>,
    /// The hosts and the options of [`open`](Handle::open), for diagnostics.
    opened_with: OpenedWith,
    lease_end: Arc<LeaseEnd>,
    denied: Arc<Denied>,
    chroot_len: usize,
    callbacks: Arc<Callbacks>,
    callback_thread: Mutex<Option<Thread>>,
    ending: Ending,
    /// Ends the callbacks when the session's task does not close in time.
    inbox: Arc<Inbox>,
    next_subscription: AtomicU64,
    /// The calls of this handle wait here.
    waits: Arc<Waits>,
    /// The paths where this handle stands. `is_master` reads this without waiting. It changes only under the lock of
    /// `changes`.
    statuses: Map<Arc<str>, (SubscriptionId, Arc<CandidateStatus>)>,
    changes: Mutex<Changes>,
    /// Signalled when a call that leads has returned. A close waits for the last one.
    lead_ended: Condvar,
}

/// The state that the methods change, one at a time. So the driver receives the changes in the order in which they took
/// effect.
#[derive(Default)]
struct Changes {
    watches: BTreeMap<Arc<str>, SubscriptionId>,
    watches_of_members: BTreeMap<Arc<str>, SubscriptionId>,
    connection_watch: Option<SubscriptionId>,
    /// The threads that are in a call that leads.
    leaders: Vec<ThreadId>,
    /// A close waits until `leaders` is empty.
    closing: bool,
    /// The number of the last mark in the inbox. When the listeners have received everything before a mark, the call
    /// that waits for the mark returns.
    last_mark: u64,
    closed: bool,
}

#[derive(Debug)]
struct OpenedWith {
    hosts: String,
    options: Report,
    at: Time,
}

/// Checks that `path` can be the path of an election. No handle is needed. If the hosts of a handle have a chroot, the
/// longest path of the handle is shorter by the length of the chroot.
///
/// # Errors
/// [`Error::BadPath`].
pub fn check_path(path: &str) -> Result<(), Error> {
    check_path_in(path, 0)
}

/// Checks a path for a handle whose chroot has this length.
fn check_path_in(path: &str, chroot_len: usize) -> Result<(), Error> {
    if chroot_len + path.len() > PATH_MAX {
        let len = path.len();
        let fault = format!("a path of {len} bytes, in a chroot of {chroot_len}, is longer than {PATH_MAX}");
        return Err(Error::BadPath.because(fault));
    }
    match hosts::path_fault(path) {
        None => Ok(()),
        Some(fault) => Err(Error::BadPath.because(format!("the path {} {fault}", hosts::shown(path)))),
    }
}

impl Handle {
    /// Opens a session with the servers of a connect string, `host:port,host:port,.../chroot`.
    ///
    /// Waits for the first connection only if the options set a connect timeout. Otherwise the library connects in the
    /// background, and tries for ever.
    ///
    /// # Errors
    /// [`Error::BadHosts`]; [`Error::BadTls`] if a file for TLS is missing or malformed, or its password is wrong, and
    /// [`Error::detail`] says which; [`Error::BadSasl`] if parameters of SASL are missing or the password file cannot be
    /// used; [`Error::Timeout`] if there was no connection within the connect timeout;
    /// [`Error::Interrupted`] if a signal handler ran on this thread before there was one; [`Error::ZooKeeper`] if the
    /// servers refused the credentials within the connect timeout; [`Error::NoResources`] if the system has no thread
    /// or descriptor left; [`Error::Forked`]; [`Error::Internal`] if the library has failed, also while this waits.
    pub fn open(hosts: &str, options: &Options) -> Result<Handle, Error> {
        let opened_with = OpenedWith { hosts: hosts.to_string(), options: options.describe(), at: driver::now() };
        let hosts = hosts::parse(hosts).map_err(|fault| Error::BadHosts.because(fault))?;
        if hosts.chroot.len() >= PATH_MAX {
            let len = hosts.chroot.len();
            return Err(Error::BadHosts.because(format!("the chroot has {len} bytes: too many for any path in it")));
        }
        let chroot_len = hosts.chroot.len();
        let tls = options.tls().map(Arc::new);
        if let Some(tls) = &tls {
            driver::tls::check(tls).map_err(|fault| Error::BadTls.because(fault))?;
        }
        let sasl = options.sasl()?.map(Arc::new);
        if let Some(sasl) = &sasl {
            driver::sasl::check(sasl).map_err(|fault| Error::BadSasl.because(fault))?;
        }
        let process = Process::current().map_err(|error| match error.kind() {
            ErrorKind::Unsupported => Error::Forked,
            _ => Error::NoResources,
        })?;
        if !process.claims() {
            return Err(Error::Forked);
        }
        let wake = (options.dispatch != Dispatch::Thread).then(|| Arc::new(Wake::default()));
        let program_loop = match (options.dispatch, &wake) {
            (Dispatch::Loop, Some(wake)) => {
                Some(Arc::new(ProgramLoop::new(wake.clone()).map_err(|_| Error::NoResources)?))
            }
            (_, Some(wake)) => wake.open().map(|_| None).map_err(|_| Error::NoResources)?,
            (_, None) => None,
        };
        let reactor = match &program_loop {
            Some(program_loop) => program_loop.shared().clone(),
            None => driver::start().map_err(|error| match error.kind() {
                ErrorKind::BrokenPipe => Error::Internal,
                _ => Error::NoResources,
            })?,
        };
        static HANDLES: AtomicU64 = AtomicU64::new(1);
        let id = HANDLES.fetch_add(1, Ordering::Relaxed);
        let diagnostics = Arc::new(Diagnostics::new(LogContext::new(id)));
        let waits = Arc::new(Waits::new(id, process, program_loop));
        let (inbox, reader) = Inbox::new();
        let (connected, first_connection) = ReplyTo::new(&waits);
        let access = Arc::new(options.access.clone());
        let (session_timeout, frame_limit) = (options.session_timeout, options.frame_limit);
        let elections = options.elections;
        let settings = Settings { hosts, access, tls, sasl, session_timeout, frame_limit, elections };
        let lease_end = Arc::new(LeaseEnd::default());
        let denied = Arc::new(Denied::default());
        let callbacks = Arc::new(Callbacks::new(reader, wake.clone(), waits.clone(), diagnostics.clone()));
        let callback_thread = match options.dispatch {
            Dispatch::Manual | Dispatch::Loop => None,
            Dispatch::Thread => {
                let callbacks = callbacks.clone();
                let mask = SignalMask::of_this_thread();
                let thread = driver::thread::spawn(c"election-cb", move || callbacks.serve(&mask));
                Some(thread.map_err(|_| Error::NoResources)?)
            }
        };
        let events = EventSink::new(
            inbox.clone(),
            wake,
            waits.clone(),
            lease_end.clone(),
            denied.clone(),
            diagnostics.clone(),
        );
        log::say(LogLevel::Info, &diagnostics.place, None, format_args!("opened for {}", opened_with.hosts));
        let session = driver::open(&reactor, settings, events, connected, diagnostics.clone(), waits.clone());
        let parts = Parts {
            session,
            diagnostics,
            opened_with,
            lease_end,
            denied,
            chroot_len,
            callbacks,
            callback_thread: Mutex::new(callback_thread),
            ending: Ending::default(),
            inbox,
            next_subscription: AtomicU64::new(1),
            waits,
            statuses: Map::new(),
            changes: Mutex::default(),
            lead_ended: Condvar::new(),
        };
        let election = Handle { process, parts: ManuallyDrop::new(parts) };
        match options.connect_timeout {
            Some(timeout) => {
                match election.waits.answer(&first_connection, timeout).map_err(|error| {
                    election.late(error, &format!("no connection in {} ms", timeout.as_millis()))
                })? {
                    Some(Ok(())) => Ok(election),
                    // Dropping the handle closes it.
                    Some(Err(rc)) => Err(election.explained(Error::ZooKeeper(rc), "no session")),
                    None => Err(Error::Internal),
                }
            }
            None => Ok(election),
        }
    }

    /// Stands as a candidate for master at `path`. The others can read `value`. `on_role` receives each change of the
    /// role, on the handle's callback thread. Returns at once.
    ///
    /// # Errors
    /// Nothing has happened: [`Error::BadPath`], [`Error::BadValue`]; [`Error::Already`] if this handle stands at
    /// `path`; [`Error::ZooKeeper`] if the servers have refused the handle's credentials.
    pub fn go_to_election(
        &self,
        path: &str,
        value: &[u8],
        on_role: impl FnMut(&Event) + Send + 'static,
    ) -> Result<(), Error> {
        self.stand(path, value, || Box::new(on_role))
    }

    /// The same as `go_to_election`, but the listener is made only when nothing else can fail.
    pub(crate) fn stand(
        &self,
        path: &str,
        value: &[u8],
        on_role: impl FnOnce() -> Box<dyn FnMut(&Event) + Send>,
    ) -> Result<(), Error> {
        let path = self.check_path(path)?;
        let status = CandidateStatus::new(self.lease_end.clone(), self.waits.clone());
        self.stand_as(path, value, Arc::new(status), on_role, |_| Ok(())).map(drop)
    }

    /// The same as `stand`. `change` runs last before the call takes effect, and can still refuse it.
    fn stand_as(
        &self,
        path: Arc<str>,
        value: &[u8],
        status: Arc<CandidateStatus>,
        on_role: impl FnOnce() -> Box<dyn FnMut(&Event) + Send>,
        change: impl FnOnce(&mut Changes) -> Result<(), Error>,
    ) -> Result<SubscriptionId, Error> {
        let value = check_value(value)?;
        let guid = guid::new().map_err(|_| Error::NoResources)?;
        let mut changes = self.admitted()?;
        if self.statuses.get(&path).is_some_and(|(former, _)| !self.denied.take(former)) {
            return Err(Error::Already);
        }
        let id = self.new_subscription();
        self.callbacks.add(id, || {
            change(&mut changes)?;
            Ok(Listener::Role(status.clone(), on_role()))
        })?;
        self.statuses.insert(path.clone(), (id, status.clone()));
        let once = status.has_function();
        self.command(Command::Stand { id, path, value, guid, once, status: OnItsWay::new(status) });
        drop(changes);
        Ok(id)
    }

    /// Changes the value with which this handle stands at `path`. The present znode gets it, and so does each later
    /// one, for example after an expired session. The others get an event. This candidate gets none, unless it becomes
    /// master again. Returns at once. If the value is set again before ZooKeeper has it, the last one counts.
    ///
    /// # Errors
    /// [`Error::BadPath`], [`Error::BadValue`], [`Error::NotThere`].
    pub fn set_value(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        let path = self.check_path(path)?;
        let value = check_value(value)?;
        let _changes = self.changes()?;
        let Some((id, _)) = self.statuses.get(&path) else { return Err(Error::NotThere) };
        if self.denied.has(id) {
            return Err(Error::NotThere);
        }
        self.command(Command::SetValue(id, value));
        Ok(())
    }

    /// Stops standing at `path`. From now on `is_master` returns false. The last event of the candidate says that it
    /// resigned, and the library deletes its znode. The handle may stand at `path` again at any time. If
    /// [`lead`](Handle::lead) stands at `path`, its function is asked to stop, and the candidate resigns when the
    /// function has returned.
    ///
    /// # Errors
    /// [`Error::BadPath`], [`Error::NotThere`].
    pub fn resign(&self, path: &str) -> Result<(), Error> {
        let path = self.check_path(path)?;
        let _changes = self.changes()?;
        let Some((id, status)) = self.statuses.get(&path) else { return Err(Error::NotThere) };
        // If a function leads there, the candidate resigns when the function has returned.
        if !self.denied.has(id) && status.ask_to_stop(rc::RESIGNED) {
            return Ok(());
        }
        self.statuses.remove(&path);
        if self.denied.take(id) {
            return Err(Error::NotThere);
        }
        self.command(Command::Leave(id));
        Ok(())
    }

    /// Returns whether this handle is master at `path` now. It reads the clock at the time of the call and compares it
    /// with the lease. It never waits and takes no lock.
    pub fn is_master(&self, path: &str) -> bool {
        self.lease(path).is_some()
    }

    /// Returns the token and the time that the lease has left, if [`is_master`](Handle::is_master) returns true.
    pub fn lease(&self, path: &str) -> Option<Mastership> {
        if !self.process.is_this() {
            return None;
        }
        self.statuses.with(path, |(_, status)| status.mastership()).flatten()
    }

    /// Creates a persistent znode if this handle is still master at `election`. The check and the write are one
    /// transaction.
    ///
    /// # Errors
    /// See [`fenced_delete`](Handle::fenced_delete).
    pub fn fenced_create(&self, election: &str, path: &str, value: &[u8], timeout: Duration) -> Result<(), Error> {
        let (path, value) = (self.check_path(path)?, check_value(value)?);
        self.fenced(election, Write::Create { path, value }, timeout)
    }

    /// Sets the value of a znode if this handle is still master at `election`. The check and the write are one
    /// transaction.
    ///
    /// # Errors
    /// See [`fenced_delete`](Handle::fenced_delete).
    pub fn fenced_set(
        &self,
        election: &str,
        path: &str,
        value: &[u8],
        version: Option<i32>,
        timeout: Duration,
    ) -> Result<(), Error> {
        let (path, value) = (self.check_path(path)?, check_value(value)?);
        self.fenced(election, Write::Set { path, value, version }, timeout)
    }

    /// Deletes a znode if this handle is still master at `election`. The check and the write are one transaction.
    ///
    /// # Errors
    /// Nothing was written: [`Error::NotMaster`] if this handle is not master at `election`; [`Error::ZooKeeper`] if
    /// ZooKeeper refused the write itself; [`Error::BadPath`], [`Error::BadValue`]. The outcome is unknown:
    /// [`Error::ConnectionLoss`], [`Error::Timeout`], [`Error::Interrupted`].
    pub fn fenced_delete(
        &self,
        election: &str,
        path: &str,
        version: Option<i32>,
        timeout: Duration,
    ) -> Result<(), Error> {
        let path = self.check_path(path)?;
        self.fenced(election, Write::Delete { path, version }, timeout)
    }

    /// Waits until the candidate at `path` has this role. The call may return before the listener has received the
    /// role.
    ///
    /// # Errors
    /// [`Error::BadPath`]; [`Error::NotThere`], also if the candidate leaves in the meantime; [`Error::ZooKeeper`] if
    /// ZooKeeper has refused the candidate for good; [`Error::Timeout`] if the role did not come in time;
    /// [`Error::Interrupted`].
    pub fn wait(&self, path: &str, role: Role, timeout: Duration) -> Result<(), Error> {
        let path = self.check_path(path)?;
        drop(self.changes()?);
        let (_, status) = self.statuses.get(&path).ok_or(Error::NotThere)?;
        match status.wait(role, timeout) {
            Waited::Came => Ok(()),
            Waited::Left(_) => Err(Error::NotThere),
            Waited::Denied(rc) => Err(Error::ZooKeeper(rc)),
            Waited::TooLong => Err(self.explained(Error::Timeout, "the role did not come in time")),
            Waited::Interrupted => Err(Error::Interrupted),
        }
    }

    /// Returns a descriptor that is readable while [`dispatch`](Handle::dispatch) has something to do. It belongs to the
    /// handle: wait on it, but do not read or close it. It is the same until the handle is closed. If the program has
    /// closed it all the same, this returns another one after the next `dispatch`.
    ///
    /// # Errors
    /// [`Error::NotManual`] unless the handle was opened with [`Dispatch::Manual`] or [`Dispatch::Loop`];
    /// [`Error::NoResources`] if the process has no descriptor left for it.
    pub fn fd(&self) -> Result<RawFd, Error> {
        let _changes = self.changes()?;
        let wake = self.callbacks.wake().ok_or(Error::NotManual)?;
        match self.waits.program_loop() {
            Some(program_loop) => program_loop.fd().ok_or(Error::NoResources),
            None => wake.fd().map_err(|_| Error::NoResources),
        }
    }

    /// Runs the callbacks that wait, on this thread. With [`Dispatch::Loop`], does the work of the session that is due
    /// before that. If no callback waits, waits for one, up to `timeout`. Returns how many events and ends of events
    /// were passed on; 0 at once while another thread dispatches.
    ///
    /// # Errors
    /// [`Error::NotManual`] unless the handle was opened with [`Dispatch::Manual`] or [`Dispatch::Loop`];
    /// [`Error::InCallback`]; [`Error::Interrupted`] if no callback was waiting.
    pub fn dispatch(&self, timeout: Duration) -> Result<usize, Error> {
        {
            // A close that comes in between takes the wake-up away.
            let _changes = self.changes()?;
            self.callbacks.wake().ok_or(Error::NotManual)?;
        }
        if self.callbacks.is_current_thread() {
            return Err(Error::InCallback);
        }
        self.callbacks.dispatch(timeout).ok_or(Error::Interrupted)
    }

    fn fenced(&self, election: &str, write: Write, timeout: Duration) -> Result<(), Error> {
        let path = self.check_path(election)?;
        match self.call(Call::Write { path, write }, timeout)? {
            Some(Outcome::Written) => Ok(()),
            Some(Outcome::NotMaster) => Err(Error::NotMaster),
            Some(Outcome::Refused(rc)) => Err(Error::ZooKeeper(rc)),
            _ => Err(self.explained(Error::ConnectionLoss, "nobody knows whether it was written")),
        }
    }

    /// Passes a question or a write to the session's task and waits for the outcome. `None`: there will be none.
    fn call(&self, call: Call, timeout: Duration) -> Result<Option<Outcome>, Error> {
        let (outcome, answered) = ReplyTo::new(&self.waits);
        let changes = self.admitted()?;
        self.command(Command::Call { call, outcome });
        drop(changes);
        self.waits.answer(&answered, timeout).map_err(|error| self.late(error, "no answer in time"))
    }

    /// Resigns everywhere, ends the session, and waits until the last callback has run. It waits for a callback that is
    /// running, for a function of [`lead`](Handle::lead), which is asked to stop, and up to 2 s for the server to
    /// confirm the end of the session. If a server floods the library's own thread so that the thread cannot close the
    /// session, every listener gets a failure after 4 s. If another thread closes the handle at the same time, this
    /// call waits for that one and returns its result.
    ///
    /// # Errors
    /// Nothing has happened: [`Error::InCallback`] inside a callback of this handle, in a function of
    /// [`lead`](Handle::lead) on it, or in the log's listener; [`Error::Deadlock`] inside a callback of another handle,
    /// if one of this handle's callbacks waits for that callback; [`Error::BadHandle`] if the handle is closed;
    /// [`Error::Forked`] in a child of the process that opened the handle: the parent's handle is not touched. The
    /// handle is closed all the same: [`Error::ConnectionLoss`] if no server confirmed the end of the session.
    pub fn close(&self) -> Result<(), Error> {
        // This check comes first. In a child, a lock may be held for ever, and this thread may be one that was in a
        // callback.
        self.check_process()?;
        let _wait = Wait::to_close(&self.callbacks)?;
        let ending = match self.changes() {
            // This thread leads, so it would wait for itself.
            Ok(changes) if changes.leaders.contains(&std::thread::current().id()) => return Err(Error::InCallback),
            Ok(mut changes) if !changes.closing => {
                let ending = self.ending.to_come();
                // A candidate that leads resigns when its function has returned.
                changes.closing = true;
                self.statuses.for_each(|_, (_, status)| {
                    status.ask_to_stop(rc::CLOSING);
                });
                let no_leader = self.lead_ended.wait_while(changes, |changes| !changes.leaders.is_empty());
                let mut changes = no_leader.unwrap_or_else(PoisonError::into_inner);
                // Both happen under one lock: if a call finds the handle closed, the handle is master nowhere.
                changes.closed = true;
                self.statuses.clear();
                ending
            }
            Err(error) if error != Error::BadHandle || self.ending.has_come() => return Err(error),
            // Another thread closes the handle. This thread does not hold the lock while it waits.
            others => {
                drop(others);
                return self.ending.wait();
            }
        };
        self.waits.end();
        let (closed, confirmation) = ReplyTo::new(&self.waits);
        self.session.close(closed);
        let confirmed = self.waits.finish(&confirmation, LONGEST_CLOSE);
        match self.waits.program_loop() {
            Some(program_loop) => program_loop.end(&self.waits),
            None if confirmed.is_err() => {
                self.inbox.put(Notification::End);
                if let Some(wake) = self.callbacks.wake() {
                    wake.signal();
                }
            }
            None => {}
        }
        let thread = self.callback_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            // The thread ends when the session's task has dropped its `EventSink`.
            Some(thread) => thread.join(),
            None => self.callbacks.finish(),
        }
        let is_confirmed = matches!(confirmed, Ok(Some(true)));
        ending.answer(is_confirmed.then_some(()).ok_or(Error::ConnectionLoss))
    }

    /// This check comes before anything else: in a child, no code may wait for a lock, not even for one of malloc's.
    fn check_process(&self) -> Result<(), Error> {
        self.process.is_here().then_some(()).ok_or(Error::Forked)
    }

    /// Interrupts the handle: each call that waits returns [`Error::Interrupted`]. The interrupt lasts until
    /// [`clear_interrupt`](Handle::clear_interrupt). Until then, [`wait`](Handle::wait), [`lead`](Handle::lead) before
    /// it is master, and [`dispatch`](Handle::dispatch) do not wait. A function that leads is asked to stop. Questions
    /// and fenced writes that begin later are carried out, so that a program can save its state. A signal handler may
    /// call this.
    pub fn interrupt(&self) {
        self.waits.interrupt();
    }

    /// Returns whether the handle was interrupted and the interrupt has not been cleared.
    pub fn is_interrupted(&self) -> bool {
        self.waits.is_interrupted()
    }

    /// Clears an interrupt: from now on calls wait again.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::BadHandle`].
    pub fn clear_interrupt(&self) -> Result<(), Error> {
        drop(self.changes()?);
        self.waits.clear_interrupt();
        Ok(())
    }

    fn check_path(&self, path: &str) -> Result<Arc<str>, Error> {
        self.check_process()?;
        check_path_in(path, self.chroot_len)?;
        Ok(path.into())
    }

    /// Returns a timeout with this sentence, or an interruption without a sentence.
    fn late(&self, unready: Unready, sentence: &str) -> Error {
        match unready {
            Unready::TooLong => self.explained(Error::Timeout, sentence),
            Unready::Interrupted => Error::Interrupted,
        }
    }

    /// Adds to an error that a missing connection causes: the sentence, and why there is no connection.
    fn explained(&self, error: Error, sentence: &str) -> Error {
        match self.diagnostics.connection().cause {
            Some(cause) => error.because(format!("{sentence}: {cause}")),
            None => error.because(sentence),
        }
    }

    fn changes(&self) -> Result<std::sync::MutexGuard<'_, Changes>, Error> {
        self.check_process()?;
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        failpoint!("change");
        if changes.closed {
            return Err(Error::BadHandle);
        }
        Ok(changes)
    }

    /// The same as `changes`, for a call that needs a session.
    fn admitted(&self) -> Result<std::sync::MutexGuard<'_, Changes>, Error> {
        let changes = self.changes()?;
        match self.denied.session() {
            Some(rc) => Err(Error::ZooKeeper(rc)),
            // The session's task has ended: no listener would get an event.
            None if self.session.is_over() => Err(Error::Internal),
            None => Ok(changes),
        }
    }

    fn new_subscription(&self) -> SubscriptionId {
        SubscriptionId(self.next_subscription.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a command. The session's task takes commands until it is closed. If the task has failed, every listener
    /// has been told, so the error is ignored.
    fn command(&self, command: Command) {
        let _ = self.session.command(command);
    }
}

fn check_value(value: &[u8]) -> Result<Value, Error> {
    match value.len() {
        0..=VALUE_MAX => Ok(value.into()),
        len => Err(Error::BadValue.because(format!("a value of {len} bytes is longer than {VALUE_MAX}"))),
    }
}

#[doc(hidden)]
impl Deref for Handle {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Inside its own callback, a handle cannot wait for that callback. The session then closes by itself.
        let _ = self.close();
        if self.process.is_here() {
            // SAFETY: nothing uses the parts after this.
            unsafe { ManuallyDrop::drop(&mut self.parts) };
        }
    }
}
