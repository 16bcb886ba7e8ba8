//! The output of a session: the state that `is_master` reads at any time, and the notifications for the callbacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock;
use super::diagnostics::{Connection, ConnectionState, Diagnostics};
use super::inbox::{Inbox, Notification};
use super::io::wake::Wake;
use super::log::{self, LogLevel};
use super::waits::{Heeds, Unready, Waits};
use crate::logic::{rc, Alarm, Event, Master, Members, Reason, Role, Stat, SubscriptionId, Time, Value};

/// The end of the lease of the masters in a handle's present session, in nanoseconds on the driver's clock.
#[derive(Debug, Default)]
pub struct LeaseEnd(AtomicU64);

/// The status of a candidate. Reading the mastership never waits and takes no lock.
///
/// The token and the end of the lease are two words. A reader reads the token before and after the end of the lease. If
/// the token is the same, the session is the same too, because the session's task clears the token before it publishes
/// the lease of another session.
#[derive(Debug)]
pub struct CandidateStatus {
    /// The token of our mastership; 0 if we are not master. A czxid is never 0, because the root znode has that one.
    token: AtomicI64,
    lease_end: Arc<LeaseEnd>,
    /// The role, for threads that wait for one; and how the candidate ended, if this role is the last one. The lock is
    /// held only briefly.
    role: Mutex<(Role, Option<Waited>)>,
    waits: Arc<Waits>,
    /// A thread of the caller runs a function while the candidate is master.
    runs_function: bool,
    /// Not 0 if the caller's function must return: RESIGNED if the caller resigned the candidate, CLOSING if the caller
    /// closed the handle.
    stop: AtomicI32,
}

/// A status that is being handed to the session. If the session fails before it receives the status, the candidate
/// fails too.
pub struct OnItsWay(Option<Arc<CandidateStatus>>);

impl OnItsWay {
    pub fn new(status: Arc<CandidateStatus>) -> OnItsWay {
        OnItsWay(Some(status))
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if let Some(status) = self.0.take() {
            status.fail();
        }
    }
}

/// A valid mastership, and the time for which it stays valid if the lease is not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mastership {
    pub token: i64,
    pub left: Duration,
}

/// How a wait for a role ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Came,
    /// The candidate has left; this is the number of its last event.
    Left(i32),
    /// ZooKeeper refused the candidate permanently, with this number.
    Denied(i32),
    TooLong,
    Interrupted,
}

impl CandidateStatus {
    pub fn new(lease_end: Arc<LeaseEnd>, waits: Arc<Waits>) -> CandidateStatus {
        CandidateStatus {
            token: AtomicI64::new(0),
            lease_end,
            role: Mutex::new((Role::Unknown, None)),
            waits,
            runs_function: false,
            stop: AtomicI32::new(0),
        }
    }

    /// A thread of the caller runs a function while the candidate is master. We ask the function to stop before we give
    /// up the candidate's znode.
    pub fn with_function(self) -> CandidateStatus {
        CandidateStatus { runs_function: true, ..self }
    }

    /// Whether a thread of the caller runs a function while the candidate is master.
    pub fn has_function(&self) -> bool {
        self.runs_function
    }

    /// Asks the running function to stop, for this reason. Returns false if no function runs.
    pub fn ask_to_stop(&self, rc: i32) -> bool {
        if !self.runs_function {
            return false;
        }
        self.stop.store(rc, Ordering::Release);
        self.waits.wake();
        true
    }

    /// Why the function must stop; `None` if it may continue.
    pub fn stop(&self) -> Option<i32> {
        Some(self.stop.load(Ordering::Acquire)).filter(|rc| *rc != rc::OK)
    }

    /// Waits until the candidate has this role or its last role, or until the function is asked to stop.
    pub fn wait(&self, role: Role, timeout: Duration) -> Waited {
        let waited = self.waits.wait(Heeds::All, timeout, || {
            if let Some(rc) = self.stop() {
                return Some(Waited::Left(rc));
            }
            match *self.role.lock().unwrap_or_else(PoisonError::into_inner) {
                (now, _) if now == role => Some(Waited::Came),
                (_, end) => end,
            }
        });
        waited.unwrap_or_else(|unready| match unready {
            Unready::TooLong => Waited::TooLong,
            Unready::Interrupted => Waited::Interrupted,
        })
    }

    /// Decides by the clock at the moment of the call, and not by the last notification. So a process that was
    /// suspended gets "no" from its first call.
    pub fn mastership(&self) -> Option<Mastership> {
        let token = self.token.load(Ordering::Acquire);
        if token == 0 {
            return None;
        }
        let end = self.lease_end.0.load(Ordering::Acquire);
        let left = clock::until(Time(end));
        let still = self.token.load(Ordering::Acquire) == token;
        (still && !left.is_zero()).then_some(Mastership { token, left })
    }

    /// Publishes and returns the last role of a candidate whose session has failed.
    pub fn fail(&self) -> Event {
        let (role, reason, rc) = (Role::Unknown, Reason::Failed, rc::INTERNAL);
        let event = Event { role, reason, rc, value: Value::from([]), token: 0 };
        self.publish(&event);
        event
    }

    fn publish(&self, event: &Event) {
        let token = if event.role == Role::Master { event.token } else { 0 };
        self.token.store(token, Ordering::Release);
        let end = match event.reason {
            Reason::Denied => Some(Waited::Denied(event.rc)),
            reason => reason.is_last().then_some(Waited::Left(event.rc)),
        };
        *self.role.lock().unwrap_or_else(PoisonError::into_inner) = (event.role, end);
        self.waits.wake();
    }
}

/// The last notification of an observer whose session has failed.
pub fn failed_master() -> Master {
    Master { rc: rc::INTERNAL, value: Value::from([]), stat: Stat::default() }
}

/// The last notification of a watcher of members whose session has failed.
pub fn failed_members() -> Members {
    Members { rc: rc::INTERNAL, members: Arc::new([]), alarm: Alarm::None }
}

/// The last notification of a watcher of the connection whose session has failed.
pub fn failed_connection() -> Connection {
    Connection::without_session(ConnectionState::Closed, rc::INTERNAL)
}

/// What ZooKeeper has refused permanently. It is recorded here before the notification is sent.
#[derive(Debug, Default)]
pub struct Denied {
    /// ZooKeeper's number if it refused the credentials of the whole handle; else 0.
    session: AtomicI32,
    /// Candidates and observers that ended because of a refusal. The record is removed when the caller registers them
    /// anew or ends them.
    subscriptions: Mutex<BTreeSet<SubscriptionId>>,
}

impl Denied {
    pub fn session(&self) -> Option<i32> {
        Some(self.session.load(Ordering::Acquire)).filter(|rc| *rc != 0)
    }

    /// Whether this subscription has ended.
    pub fn has(&self, id: SubscriptionId) -> bool {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Like `has`, but also removes the record.
    pub fn take(&self, id: SubscriptionId) -> bool {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    fn add(&self, id: SubscriptionId) {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }
}

/// Sends the session's results. When it is dropped, each subscription that has not finished is notified that the
/// library failed.
#[derive(Debug)]
pub struct EventSink {
    inbox: Arc<Inbox>,
    /// Signalled for each notification if the program dispatches the callbacks itself.
    wake: Option<Arc<Wake>>,
    waits: Arc<Waits>,
    lease_end: Arc<LeaseEnd>,
    denied: Arc<Denied>,
    diagnostics: Arc<Diagnostics>,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// The subscription that watches the connection.
    watcher: Option<SubscriptionId>,
}

/// A receiver of notifications.
#[derive(Debug)]
enum Subscription {
    Candidate(Arc<CandidateStatus>),
    Observer,
    WatcherOfMembers,
}

impl EventSink {
    pub fn new(
        inbox: Arc<Inbox>,
        wake: Option<Arc<Wake>>,
        waits: Arc<Waits>,
        lease_end: Arc<LeaseEnd>,
        denied: Arc<Denied>,
        diagnostics: Arc<Diagnostics>,
    ) -> EventSink {
        EventSink {
            inbox,
            wake,
            waits,
            lease_end,
            denied,
            diagnostics,
            subscriptions: BTreeMap::new(),
            watcher: None,
        }
    }

    /// The servers refused the credentials, so no later call can succeed.
    pub fn denied(&self, rc: i32) {
        self.denied.session.store(rc, Ordering::Release);
    }

    /// Publishes the lease before the notifications that follow from it.
    pub fn lease(&mut self, end: Option<Time>) {
        self.lease_end.0.store(end.map_or(0, |end| end.0), Ordering::Release);
    }

    pub fn add_candidate(&mut self, id: SubscriptionId, mut status: OnItsWay) {
        if let Some(status) = status.0.take() {
            self.subscriptions.insert(id, Subscription::Candidate(status));
        }
    }

    pub fn add_observer(&mut self, id: SubscriptionId) {
        self.subscriptions.insert(id, Subscription::Observer);
    }

    pub fn add_watcher_of_members(&mut self, id: SubscriptionId) {
        self.subscriptions.insert(id, Subscription::WatcherOfMembers);
    }

    /// Publishes the status first, so that `is_master` agrees with the role in the notification.
    pub fn role(&mut self, id: SubscriptionId, event: Event) {
        if let Some(Subscription::Candidate(status)) = self.subscriptions.get(&id) {
            status.publish(&event);
        }
        if event.reason == Reason::Denied {
            self.denied.add(id);
        }
        self.note(Notification::Role(id, event));
    }

    pub fn master(&mut self, id: SubscriptionId, master: Master) {
        if rc::is_for_good(master.rc) {
            self.denied.add(id);
        }
        self.note(Notification::Master(id, master));
    }

    pub fn members(&mut self, id: SubscriptionId, members: Members) {
        if rc::is_for_good(members.rc) {
            self.denied.add(id);
        }
        self.note(Notification::Members(id, members));
    }

    /// Notifies this subscription of each change of the connection from now on, and of the present state at once.
    pub fn watch_connection(&mut self, id: SubscriptionId, connection: Connection) {
        self.watcher = Some(id);
        self.connection(connection);
    }

    pub fn unwatch_connection(&mut self, id: SubscriptionId) {
        if self.watcher == Some(id) {
            self.watcher = None;
            self.note(Notification::Finished(id));
        }
    }

    pub fn connection(&mut self, connection: Connection) {
        let is_last = connection.state == ConnectionState::Closed;
        if let Some(id) = self.watcher {
            self.note(Notification::Connection(id, connection));
        }
        if is_last {
            if let Some(id) = self.watcher.take() {
                self.note(Notification::Finished(id));
            }
        }
    }

    pub fn finish(&mut self, id: SubscriptionId) {
        self.subscriptions.remove(&id);
        self.note(Notification::Finished(id));
    }

    /// Sends a mark after all earlier notifications.
    pub fn mark(&self, mark: u64) {
        self.note(Notification::Mark(mark));
    }

    fn note(&self, note: Notification) {
        if self.inbox.put(note) {
            log::say(
                LogLevel::Warn,
                &self.diagnostics.place,
                None,
                format_args!("a callback takes long; events that are out of date by now are left out"),
            );
        }
        if let Some(wake) = &self.wake {
            wake.signal();
            self.waits.wake();
        }
    }
}

impl Drop for EventSink {
    fn drop(&mut self) {
        for (id, subscription) in std::mem::take(&mut self.subscriptions) {
            self.note(match subscription {
                Subscription::Candidate(status) => Notification::Role(id, status.fail()),
                Subscription::Observer => Notification::Master(id, failed_master()),
                Subscription::WatcherOfMembers => Notification::Members(id, failed_members()),
            });
            self.note(Notification::Finished(id));
        }
        self.connection(failed_connection());
        self.note(Notification::End);
    }
}
