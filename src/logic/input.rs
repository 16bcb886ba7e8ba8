//! Everything that can happen to the elections of a session. `Elections::handle` is the only way into the core, and
//! takes one of these.

use std::sync::Arc;

use super::types::{Call, CallId, Reply, RequestId, SessionId, SubscriptionId, Time, Value, WatchEvent};

/// One event. Answers come in the order in which the server gave them. A watch event comes before the answers that the
/// server gave after it, and after the answer to the request that left the watch.
#[derive(Clone, Debug)]
pub enum Input {
    /// A new session is asked for on a connection that stands. Requests that the core submits now follow the
    /// ConnectRequest at once, and are carried out in that session if it comes to be. `Connected` follows, or the end of
    /// that connection: each of these requests is answered by `Reply::Unknown` or `Reply::NotSent`, and `NotOpened` or `Denied` comes after
    /// that.
    Opening,
    /// The connection of `Opening` has ended, and nobody knows whether a session was opened.
    NotOpened,
    /// The session is connected with the timeout that the server granted: a new session, or the same one again. This
    /// connection asked for it at `asked_at` or later: the clock was read before the first byte was handed to the socket.
    /// `asked_since` is that moment of the first connection that asked since the session last stood; it is earlier if
    /// others asked and had no answer.
    Connected { session: SessionId, timeout_ns: u64, asked_at: Time, asked_since: Time },
    /// The connection is broken, or could not be made. With ZooKeeper's number for the reason. Each request that was
    /// sent on it and has had no answer is answered by `Reply::Unknown` or `Reply::NotSent`, before this or after it.
    Suspended(i32),
    /// The session is over: its requests get no answer.
    Expired,
    /// The servers refused our credentials with this number of ZooKeeper's, and would refuse them again. Each
    /// subscription gets its last event, and so does each later one.
    Denied(i32),
    /// The one answer to a request.
    Reply(RequestId, Reply),
    /// The watch that this request left has reported an event, and is used up.
    WatchEvent(RequestId, WatchEvent),
    /// The moment that `poll_timeout` returned has arrived.
    Timeout,

    /// The program stands at `path` with `value`. At most one candidacy is active at a path at a time. The program may
    /// start a second one when the first has left; it begins when nothing of the first one remains. `guid` is a number
    /// that no other candidate anywhere has, and no other candidate has the few numbers after it. With `once`, the
    /// candidate leaves by itself when its mastership ends.
    Stand { id: SubscriptionId, path: Arc<str>, value: Value, guid: u128, once: bool },
    /// The candidate uses another value from now on. The existing znode gets the value, however long that takes. Each
    /// znode that is created later gets it, too.
    SetValue(SubscriptionId, Value),
    /// The program wants to know the master at `path`, and every change. One observer for each path.
    Observe { id: SubscriptionId, path: Arc<str> },
    /// The program wants to know the members at `path`, and every change, with an alarm when fewer than `enough`
    /// members are present (0 for no alarm). One such watcher for each path.
    WatchMembers { id: SubscriptionId, path: Arc<str>, enough: usize },
    /// The program ends a subscription. A candidate receives its last event at once. Its znode is deleted, however
    /// long that takes.
    Leave(SubscriptionId),
    /// The program asks a question, or writes. A question needs a connection. A write waits for the connection while we
    /// are master.
    Call(CallId, Call),
    /// The handle is closed, and the session with it: each subscription gets its last event, and each call
    /// its answer. No znode is deleted, because the end of the session deletes them.
    Close,
}
