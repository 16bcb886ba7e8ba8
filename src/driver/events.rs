//! Where a session's results come out: what `is_master` reads at any time, and the notifications for the callbacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clock;
use super::diagnostics::{Connection, ConnectionState};
use super::waits::{Heeds, Unready, Waits};
use super::wake_fd::WakeFd;
use crate::logic::{rc, Alarm, Event, Master, Members, Reason, Role, Stat, SubscriptionId, Time, Value};

/// Until when the masters of a handle's present session may believe: nanoseconds on the driver's clock.
#[derive(Debug, Default)]
pub struct LeaseEnd(AtomicU64);

/// A candidate's place, as those who ask see it: never waits, takes no lock.
///
/// The token and the end of the lease are two words. Whoever asks reads the token before and after the end: as
/// long as it stays, the session stays, because it is taken away before the lease of another session is
/// published.
#[derive(Debug)]
pub struct CandidateStatus {
    /// The token of our mastership; 0 when we are not master. A czxid is never 0: the root has that one.
    token: AtomicI64,
    lease_end: Arc<LeaseEnd>,
    /// The role, for those who wait for one, and what came of the candidate when it is the last. Locked for moments
    /// only.
    role: Mutex<(Role, Option<Waited>)>,
    waits: Arc<Waits>,
    /// Where the candidate stands, if it is to leave with the end of its mastership, and does not stand anew.
    leaves: Option<Arc<str>>,
    /// Not 0 when its function is to return: RESIGNED when the candidate was asked to resign, CLOSING when the handle was
    /// asked to close.
    stop: AtomicI32,
}

/// A status on its way to the session. When that fails before it gets there, so does the candidate.
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

/// A mastership that may be believed in, and for how long if nothing else is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mastership {
    pub token: i64,
    pub left: Duration,
}

/// How a wait for a role ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Came,
    /// The candidate has left, and this was the number of its last event.
    Left(i32),
    /// ZooKeeper refused it for good, with this number.
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
            leaves: None,
            stop: AtomicI32::new(0),
        }
    }

    /// The candidate leaves `path` as soon as its mastership ends. Until then somebody runs a function, and is asked to
    /// stop before the place is given up.
    pub fn leaving(self, path: Arc<str>) -> CandidateStatus {
        CandidateStatus { leaves: Some(path), ..self }
    }

    /// Asks whoever runs a function to stop, for this reason; false when nobody does.
    pub fn ask_to_stop(&self, rc: i32) -> bool {
        if self.leaves.is_none() {
            return false;
        }
        self.stop.store(rc, Ordering::Release);
        self.waits.wake();
        true
    }

    /// Why the function should stop.
    pub fn stop(&self) -> Option<i32> {
        Some(self.stop.load(Ordering::Acquire)).filter(|rc| *rc != rc::OK)
    }

    /// Waits until the role is this one, or the last; or until somebody asks to stop.
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

    /// Decides now, on the clock, and not by what was heard last: a process that was stopped hears "no" at its
    /// first question.
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

    /// The last role of a candidate whose session has failed.
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

/// The last that an observer hears whose session has failed.
pub fn failed_master() -> Master {
    Master { rc: rc::INTERNAL, value: Value::from([]), stat: Stat::default() }
}

/// The last that a watcher of members hears whose session has failed.
pub fn failed_members() -> Members {
    Members { rc: rc::INTERNAL, members: Arc::new([]), alarm: Alarm::None }
}

/// The last that a watcher of the connection hears whose session has failed.
pub fn failed_connection() -> Connection {
    Connection::without_session(ConnectionState::Closed, rc::INTERNAL)
}

/// What ZooKeeper has refused for good. Whoever hears of it finds it here.
#[derive(Debug, Default)]
pub struct Denied {
    /// ZooKeeper's number when it was the credentials of the whole handle; else 0.
    session: AtomicI32,
    /// Candidates and observers that have ended by it, until their places are taken anew.
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

    /// The same, and it is forgotten.
    pub fn take(&self, id: SubscriptionId) -> bool {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    fn add(&self, id: SubscriptionId) {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }
}

/// What the listeners are told.
#[derive(Debug)]
pub enum Notification {
    Role(SubscriptionId, Event),
    Master(SubscriptionId, Master),
    Members(SubscriptionId, Members),
    Connection(SubscriptionId, Connection),
    /// Nothing more will be told to this subscription.
    Finished(SubscriptionId),
    /// Tells those who wait for it that all before has been told.
    Mark(u64),
    /// Nothing more will be told to anybody.
    End,
}

/// A session's way out. Whoever has not been dismissed when it is dropped hears that the library failed.
#[derive(Debug)]
pub struct EventSink {
    notifications: Sender<Notification>,
    /// Rung for each note, when the program dispatches.
    wake_fd: Option<Arc<WakeFd>>,
    waits: Arc<Waits>,
    lease_end: Arc<LeaseEnd>,
    denied: Arc<Denied>,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// Who is told of the connection.
    watcher: Option<SubscriptionId>,
}

/// Who is there to be told.
#[derive(Debug)]
enum Subscription {
    Candidate(Arc<CandidateStatus>),
    Observer,
    WatcherOfMembers,
}

impl EventSink {
    pub fn new(
        notifications: Sender<Notification>,
        wake_fd: Option<Arc<WakeFd>>,
        waits: Arc<Waits>,
        lease_end: Arc<LeaseEnd>,
        denied: Arc<Denied>,
    ) -> EventSink {
        EventSink {
            notifications,
            wake_fd,
            waits,
            lease_end,
            denied,
            subscriptions: BTreeMap::new(),
            watcher: None,
        }
    }

    /// The servers refused the credentials: no verb has a chance any more.
    pub fn denied(&self, rc: i32) {
        self.denied.session.store(rc, Ordering::Release);
    }

    /// Published before what follows from it is told.
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

    /// The status is published first: whoever hears of a role finds `is_master` to agree. The path, when the candidate is
    /// to resign now.
    pub fn role(&mut self, id: SubscriptionId, event: Event) -> Option<Arc<str>> {
        let mut leaves = None;
        if let Some(Subscription::Candidate(status)) = self.subscriptions.get(&id) {
            let was_master = status.token.load(Ordering::Acquire) != 0;
            status.publish(&event);
            if was_master && event.role != Role::Master && !event.reason.is_last() {
                leaves = status.leaves.clone();
            }
        }
        if event.reason == Reason::Denied {
            self.denied.add(id);
        }
        self.note(Notification::Role(id, event));
        leaves
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

    /// From now on this subscription is told of the connection, and at once how it stands.
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

    /// Leaves a mark behind all that was told so far.
    pub fn mark(&self, mark: u64) {
        self.note(Notification::Mark(mark));
    }

    fn note(&self, note: Notification) {
        // Whoever tells the listeners is there for as long as the handle; afterwards nobody listens.
        let _ = self.notifications.send(note);
        if let Some(wake_fd) = &self.wake_fd {
            wake_fd.signal();
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
