//! Records what a session's task does: counters, transitions and log records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::clock;
use super::counters::Count;
use super::diagnostics::{Connection, ConnectionState, Diagnostics, Transition};
use super::hosts::Hosts;
use super::log::{self, LogLevel};
use super::thread::quietly;
use crate::logic::{
    rc, Alarm, Event, Master, Members, Op, Reason, Reply, Report, RequestId, Role, SubscriptionId, Time, WatchEvent,
};

pub struct Telemetry {
    diagnostics: Arc<Diagnostics>,
    /// The path of each subscription, and whether its last notification said that it is master.
    subscriptions: BTreeMap<SubscriptionId, (Arc<str>, bool)>,
    /// The requests without an answer.
    sent: BTreeMap<RequestId, Sent>,
    /// The present outage, as the log last reported it.
    outage: Option<Outage>,
}

/// The connection is missing, and the log has reported the cause.
struct Outage {
    since: Time,
    cause: Arc<str>,
    repeat_at: Time,
    distance_ms: u64,
}

/// While the cause stays the same, the log repeats it. The interval doubles each time, up to the longest one.
const FIRST_REPEAT_MS: u64 = 10_000;
const LONGEST_REPEAT_MS: u64 = 600_000;

struct Sent {
    at: Time,
    is_proof: bool,
}

impl Telemetry {
    pub fn new(diagnostics: Arc<Diagnostics>) -> Telemetry {
        Telemetry { diagnostics, subscriptions: BTreeMap::new(), sent: BTreeMap::new(), outage: None }
    }

    pub fn diagnostics(&self) -> &Arc<Diagnostics> {
        &self.diagnostics
    }

    pub fn says(&self, level: LogLevel, path: Option<&Arc<str>>, message: std::fmt::Arguments) {
        log::say(level, &self.diagnostics.place, path, message);
    }

    /// A session was opened, or resumed.
    pub fn connected(&mut self, session_id: i64, session_timeout: Duration) -> Option<Connection> {
        let former = self.diagnostics.connection();
        let connection =
            Connection { state: ConnectionState::Connected, rc: rc::OK, session_id, session_timeout, cause: None };
        let is_new = former.session_id != session_id;
        self.diagnostics.place.set_session(session_id);
        let changed = self.connection(connection);
        if changed.is_some() {
            self.count(Count::Connections);
            let what = if is_new { "opened" } else { "resumed" };
            if is_new {
                self.count(Count::SessionsOpened);
            }
            let ms = session_timeout.as_millis();
            self.says(
                LogLevel::Info,
                None,
                format_args!("connected: session 0x{session_id:x} {what}, its timeout {ms} ms"),
            );
        }
        changed
    }

    /// The connection broke. Reported once per break. `cause` is what the server did, if it was the library that ended the
    /// connection.
    pub fn suspended(&mut self, rc: i32, cause: Option<Arc<str>>) -> Option<Connection> {
        let former = self.diagnostics.connection();
        if former.state != ConnectionState::Connected {
            return None;
        }
        self.count(Count::Suspensions);
        self.says(
            LogLevel::Warn,
            None,
            format_args!(
                "the connection broke (rc {rc}){}; session 0x{:x} may live on",
                cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default(),
                former.session_id
            ),
        );
        self.connection(Connection { state: ConnectionState::Suspended, rc, cause, ..former })
    }

    /// The session is over.
    pub fn expired(&mut self) -> Option<Connection> {
        let former = self.diagnostics.connection();
        self.count(Count::SessionsExpired);
        self.says(
            LogLevel::Warn,
            None,
            format_args!("session 0x{:x} is over; a new one will be opened", former.session_id),
        );
        self.connection(Connection { state: ConnectionState::Expired, rc: rc::SESSION_EXPIRED, ..former })
    }

    /// The session was given up, because nothing depended on it.
    pub fn renewed(&mut self) -> Option<Connection> {
        let former = self.diagnostics.connection();
        self.count(Count::SessionsRenewed);
        self.says(
            LogLevel::Info,
            None,
            format_args!("session 0x{:x} holds nothing and is given up for a fresh one", former.session_id),
        );
        self.connecting(former.rc)
    }

    /// No session exists.
    pub fn connecting(&mut self, rc: i32) -> Option<Connection> {
        let unknown = self.sent.len() as u64;
        self.diagnostics.tally.add(Count::RequestsUnknown, unknown);
        self.sent.clear();
        self.diagnostics.place.set_session(0);
        let cause = self.diagnostics.connection().cause;
        self.connection(Connection { cause, ..Connection::without_session(ConnectionState::Connecting, rc) })
    }

    /// A round through all servers has failed.
    pub fn round_failed(&mut self, rc: i32) {
        self.count(Count::ConnectFailures);
        self.says(LogLevel::Debug, None, format_args!("no server opened a session (rc {rc}); they are tried on"));
    }

    /// Records why the connection is missing. A state with a session keeps its own number.
    pub fn not_connected(&mut self, cause: Arc<str>) -> Option<Connection> {
        let former = self.diagnostics.connection();
        let rc = match former.state {
            ConnectionState::Connecting => rc::CONNECTION_LOSS,
            ConnectionState::Suspended => former.rc,
            ConnectionState::Connected | ConnectionState::Expired | ConnectionState::Closed => return None,
        };
        self.connection(Connection { rc, cause: Some(cause), ..former })
    }

    /// Logs a new cause at once, and repeats an unchanged cause at growing intervals.
    pub fn found_cause(&mut self, cause: &Arc<str>) {
        let now = clock::now();
        let is_new = self.outage.as_ref().is_none_or(|outage| outage.cause != *cause);
        let since = self.outage.as_ref().map_or(now, |outage| outage.since);
        if let Some(outage) = self.outage.as_mut().filter(|_| !is_new) {
            if now < outage.repeat_at {
                return self.says(LogLevel::Debug, None, format_args!("still not connected: {cause}"));
            }
            outage.distance_ms = (outage.distance_ms * 2).min(LONGEST_REPEAT_MS);
            outage.repeat_at = now.plus_ms(outage.distance_ms);
            let seconds = now.0.saturating_sub(since.0) / 1_000_000_000;
            let message = format_args!("not connected for {seconds} s: {cause}; it is tried on");
            return self.says(LogLevel::Warn, None, message);
        }
        let (repeat_at, distance_ms) = (now.plus_ms(FIRST_REPEAT_MS), FIRST_REPEAT_MS);
        self.outage = Some(Outage { since, cause: cause.clone(), repeat_at, distance_ms });
        self.says(LogLevel::Warn, None, format_args!("not connected: {cause}; it is tried on"));
    }

    pub fn outage_ends(&mut self) {
        self.outage = None;
    }

    /// The servers refuse the credentials and would refuse them again, or demand others than there are.
    pub fn denied(&mut self, servers: &Hosts, demands_more: bool) -> Option<Connection> {
        let why = if demands_more { ", which demand SASL or another credential than there is" } else { "" };
        self.says(
            LogLevel::Error,
            None,
            format_args!(
                "authentication refused by {servers}{why} (rc {}); this handle is of no more use",
                rc::AUTH_FAILED
            ),
        );
        let cause = Some(format!("authentication refused by {servers}{why}").into());
        self.connection(Connection { cause, ..self.closing(rc::AUTH_FAILED)? })
    }

    /// The handle is closed, its credentials were refused, or the task has failed.
    pub fn closed(&mut self, rc: i32) -> Option<Connection> {
        self.connection(self.closing(rc)?)
    }

    fn closing(&self, rc: i32) -> Option<Connection> {
        let former = self.diagnostics.connection();
        let is_open = former.state != ConnectionState::Closed;
        is_open.then_some(Connection { state: ConnectionState::Closed, rc, cause: None, ..former })
    }

    /// Records the connection. Returns it if it has changed.
    fn connection(&mut self, connection: Connection) -> Option<Connection> {
        if self.diagnostics.connection() == connection {
            return None;
        }
        self.diagnostics.set_connection(connection.clone());
        self.diagnostics.happened(Transition {
            of: "connection",
            path: None,
            now: connection.state.name(),
            reason: None,
            rc: connection.rc,
            token: 0,
            session_id: connection.session_id,
            cause: connection.cause.clone(),
        });
        Some(connection)
    }

    /// A subscription to `path` begins.
    pub fn subscription(&mut self, id: SubscriptionId, path: &Arc<str>, what: &str) {
        self.subscriptions.insert(id, (path.clone(), false));
        self.says(LogLevel::Info, Some(path), format_args!("{what} {path}"));
    }

    /// A candidate is notified of its role. `lease` describes the lease; it is called only if the lease has expired.
    pub fn role(&mut self, id: SubscriptionId, event: &Event, lease: impl FnOnce() -> Report) {
        let Some((path, was_master)) = self.subscriptions.get_mut(&id) else { return };
        let is_master = event.role == Role::Master;
        let was_master = std::mem::replace(was_master, is_master);
        let path = path.clone();
        match (was_master, is_master) {
            (false, true) => self.count(Count::MastershipsBegun),
            (true, false) => self.count(Count::MastershipsEnded),
            _ => {}
        }
        let (role, reason, rc, token) = (event.role.name(), event.reason.name(), event.rc, event.token);
        let level = match event.reason {
            Reason::Elected | Reason::Following | Reason::Grace | Reason::Resigned | Reason::Closed => {
                LogLevel::Info
            }
            Reason::Suspended | Reason::Expired | Reason::Deleted | Reason::LeaseExpired => LogLevel::Warn,
            Reason::Refused | Reason::Blocked | Reason::ForeignContender => LogLevel::Warn,
            Reason::Denied | Reason::Failed => LogLevel::Error,
        };
        self.says(level, Some(&path), format_args!("{path}: {role}, {reason} (rc {rc}, token {token})"));
        if event.reason == Reason::LeaseExpired {
            self.count(Count::LeasesExpired);
            if log::is_on(level) {
                self.says(level, Some(&path), format_args!("{path}: the lease that ran out: {}", lease().json()));
            }
        }
        self.happened("candidate", path, role, Some(reason), rc, token);
    }

    /// An observer is notified of the master.
    pub fn master(&mut self, id: SubscriptionId, master: &Master) {
        let Some((path, _)) = self.subscriptions.get(&id) else { return };
        let path = path.clone();
        let now = match master.rc {
            rc::OK => "master",
            rc::NO_NODE => "no_master",
            _ => "unknown",
        };
        let (rc, token) = (master.rc, master.stat.czxid);
        self.says(LogLevel::Info, Some(&path), format_args!("{path} observed: {now} (rc {rc}, token {token})"));
        self.happened("observer", path, now, None, rc, token);
    }

    /// A watcher of the members is notified of the members.
    pub fn members(&mut self, id: SubscriptionId, members: &Members) {
        let Some((path, _)) = self.subscriptions.get(&id) else { return };
        let path = path.clone();
        let now = match (members.rc, members.alarm) {
            (rc::OK, Alarm::TooFew) => "too_few",
            (rc::OK, Alarm::Enough) => "enough",
            (rc::OK, Alarm::None) => "members",
            _ => "unknown",
        };
        let (rc, count) = (members.rc, members.members.len());
        let level = if now == "too_few" { LogLevel::Warn } else { LogLevel::Info };
        self.says(level, Some(&path), format_args!("{path} watched: {now}, {count} are in (rc {rc})"));
        self.happened("members", path, now, None, rc, 0);
    }

    pub fn finish(&mut self, id: SubscriptionId) {
        self.subscriptions.remove(&id);
    }

    fn happened(
        &self,
        of: &'static str,
        path: Arc<str>,
        now: &'static str,
        reason: Option<&'static str>,
        rc: i32,
        token: i64,
    ) {
        let session_id = self.diagnostics.connection().session_id;
        self.diagnostics.happened(Transition {
            of,
            path: Some(path),
            now,
            reason,
            rc,
            token,
            session_id,
            cause: None,
        });
    }

    pub fn sent(&mut self, request: RequestId, op: &Op) {
        let is_proof = matches!(op, Op::Prove { .. });
        self.count(Count::RequestsSent);
        self.count(match op {
            Op::Create { .. } | Op::CreateSequential { .. } | Op::MakeParents { .. } => Count::Creates,
            Op::Read { .. } | Op::Exists { .. } | Op::Stat { .. } | Op::List { .. } => Count::Reads,
            Op::Delete { .. } => Count::Deletes,
            Op::SetValue { .. } => Count::Sets,
            Op::Write { .. } => Count::FencedWrites,
            Op::Prove { .. } => Count::ProofsSent,
            Op::Touch => Count::Touches,
        });
        self.sent.insert(request, Sent { at: clock::now(), is_proof });
        self.says(LogLevel::Debug, None, format_args!("request {}: {} {}", request.0, op.name(), op.path()));
    }

    /// The core no longer waits for the answer.
    pub fn unwatched(&mut self, request: RequestId) {
        if self.sent.remove(&request).is_some() {
            self.count(Count::RequestsUnknown);
        }
    }

    pub fn watch_event(&mut self, request: RequestId, event: WatchEvent) {
        self.count(Count::WatchesFired);
        self.says(LogLevel::Debug, None, format_args!("watch of request {}: {event:?}", request.0));
    }

    pub fn reply(&mut self, request: RequestId, reply: &Reply) {
        let Some(sent) = self.sent.remove(&request) else { return };
        let took = Duration::from_nanos(clock::now().0.saturating_sub(sent.at.0));
        let tally = &self.diagnostics.tally;
        match reply {
            Reply::Unknown | Reply::NotSent => tally.one(Count::RequestsUnknown),
            _ => tally.one(Count::RequestsAnswered),
        }
        if sent.is_proof && reply.is_answer() {
            tally.last(Count::ProofLastUs, took);
            tally.longest(Count::ProofLongestUs, took);
        }
        if sent.is_proof && *reply == Reply::Done {
            tally.one(Count::ProofsCommitted);
        }
        // The log never contains the value of a znode.
        let (outcome, number) = match reply {
            Reply::Created(stat) | Reply::CreatedAs(_, stat) => ("created, czxid", stat.czxid),
            Reply::Read(znode) => ("read, czxid", znode.stat.czxid),
            Reply::Stat(stat) => ("there, czxid", stat.czxid),
            Reply::Exists(there) => ("exists:", i64::from(*there)),
            Reply::Listed(names) => ("children:", names.len() as i64),
            Reply::Done => ("done, rc", rc::OK.into()),
            Reply::NotMaster => ("not written, our znode is missing: rc", rc::NO_NODE.into()),
            Reply::Refused(rc) => ("refused, rc", (*rc).into()),
            Reply::Unknown => ("nobody knows, rc", rc::CONNECTION_LOSS.into()),
            Reply::NotSent => ("not sent, rc", rc::CONNECTION_LOSS.into()),
        };
        let (request, us) = (request.0, took.as_micros());
        self.says(
            LogLevel::Debug,
            None,
            format_args!("answer to request {request} after {us} us: {outcome} {number}"),
        );
    }

    fn count(&self, count: Count) {
        self.diagnostics.tally.one(count);
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if self.diagnostics.connection().state != ConnectionState::Closed {
            // The task may have failed because the clock fails, and these calls read the clock. A panic in this drop
            // would end the process.
            let _ = quietly(|| {
                self.says(
                    LogLevel::Error,
                    None,
                    format_args!("the session's task failed; a bug, please report it"),
                );
            });
            let _ = quietly(|| self.closed(rc::INTERNAL));
        }
    }
}
