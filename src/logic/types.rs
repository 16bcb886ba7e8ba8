//! The types that the core shares with its driver: time, requests and replies, roles and events.

use std::sync::Arc;

/// A moment on the driver's clock, in nanoseconds. The driver chooses the moment 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// This moment plus `ms` milliseconds.
    pub fn plus_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }
}

/// ZooKeeper's number for a session. An ephemeral znode has it as its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

/// One request to ZooKeeper, and the one-shot watch that the request may have left. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One call of `go_to_election`, `watch_master` or `election_watch_members`. It names the receiver of the events.
/// Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// One question or fenced write of the program. It names the receiver of the one answer. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// The bytes of a znode.
pub type Value = Arc<[u8]>;

/// A request to ZooKeeper. The driver carries requests out in the order in which the core hands them out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Create an ephemeral znode. Answered by `Created`.
    Create { path: Arc<str>, value: Value },
    /// Create an ephemeral sequential znode: the server appends ten digits to `prefix`. Answered by `CreatedAs`.
    CreateSequential { prefix: Arc<str>, value: Value },
    /// Create the missing parents of `path`. Answered by `Done`.
    MakeParents { path: Arc<str> },
    /// Read a znode. Answered by `Read`. With `watch`, leave a watch on its data and its deletion. If the znode is
    /// missing, the answer is `NONODE`, and no watch is left. With `sync`, the result is at least as new as a
    /// transaction that is sent with the read.
    Read { path: Arc<str>, sync: bool, watch: bool },
    /// Ask whether a znode exists and leave a watch on its creation, data and deletion. Answered by `Exists`.
    Exists { path: Arc<str> },
    /// Ask for the `Stat` of a znode and leave no watch. ZooKeeper also answers this to sessions that may not read
    /// the znode. Answered by `Stat`. If the znode is missing, the answer is `NONODE`.
    Stat { path: Arc<str> },
    /// List the names of a znode's children, in any order. With `watch`, leave a watch on the list and on the
    /// deletion of the znode. Answered by `Listed`. With `sync`, the result is at least as new as a transaction that
    /// is sent with the list request.
    List { path: Arc<str>, sync: bool, watch: bool },
    /// Change a znode's value if its data version is `version`. Answered by `Done`.
    SetValue { path: Arc<str>, value: Value, version: i32 },
    /// Delete a znode if its data version is `version`. Answered by `Done`.
    Delete { path: Arc<str>, version: i32 },
    /// A transaction that changes nothing: check that all these znodes exist (`multi[check, check, ...]`). Answered
    /// by `Done` once a quorum has committed it. If a znode is missing, the answer is `NONODE`.
    Prove { paths: Vec<Arc<str>> },
    /// A write of the program, in one transaction with the check that our znode `own` exists. Answered by `Done` once
    /// a quorum has committed it, or by `NotMaster`. If the server refuses the write itself, the answer is `Refused`.
    Write { own: Arc<str>, write: Write },
    /// Make the server ask its leader (`sync`). This costs no quorum. Answered by `Done`.
    Touch,
}

impl Op {
    /// Whether an answer that is no error leaves a watch.
    pub fn leaves_watch(&self) -> bool {
        matches!(self, Op::Read { watch: true, .. } | Op::Exists { .. } | Op::List { watch: true, .. })
    }
}

/// A write of the program. ZooKeeper applies it only if our znode exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Create a persistent znode.
    Create { path: Arc<str>, value: Value },
    /// Change a znode's value, if its data version is `version`.
    Set { path: Arc<str>, value: Value, version: Option<i32> },
    /// Delete a znode, if its data version is `version`.
    Delete { path: Arc<str>, version: Option<i32> },
}

/// ZooKeeper's metadata of a znode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The transaction that created the znode.
    pub czxid: i64,
    /// The transaction that changed its data last.
    pub mzxid: i64,
    /// The time of its creation: milliseconds since 1970 on the clock of ZooKeeper's leader.
    pub ctime_ms: i64,
    /// How often its data has been changed.
    pub version: i32,
    /// The session that the znode ends with; 0 when the znode is not ephemeral.
    pub ephemeral_owner: i64,
}

impl Stat {
    /// Whether the znode belongs to a session. For containers and znodes with a time to live, servers report 0.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral_owner != 0
    }
}

/// The content of a znode when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Znode {
    pub value: Value,
    pub stat: Stat,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Created(Stat),
    CreatedAs(Arc<str>, Stat),
    Read(Znode),
    Exists(bool),
    Stat(Stat),
    Listed(Vec<Arc<str>>),
    Done,
    /// Our znode, on which a write depends, does not exist: nothing was written.
    NotMaster,
    /// The server answered with this error, one of ZooKeeper's numbers: nothing was changed.
    Refused(i32),
    /// The outcome is unknown: the connection broke before the answer arrived.
    Unknown,
    /// The connection broke before a byte of the request was handed to the socket: it was certainly not carried out.
    NotSent,
}

impl Reply {
    /// Whether a server has answered.
    pub fn is_answer(&self) -> bool {
        !matches!(self, Reply::Unknown | Reply::NotSent)
    }

    /// Whether a server has answered, and not with a refusal.
    pub fn is_success(&self) -> bool {
        self.is_answer() && !matches!(self, Reply::Refused(_) | Reply::NotMaster)
    }
}

/// The event that a one-shot watch reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    Created,
    Changed,
    Deleted,
}

/// The next step for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a request, and answer it by `Input::Reply`, once.
    Submit(RequestId, Op),
    /// Drop the watch that this request left.
    Unwatch(RequestId),
    /// From now on the lease ends at this moment, or does not hold. The events about masterships that ended with the
    /// former lease are told before this action. The events that the new lease allows are told after it.
    Lease(Option<Time>),
    /// Tell a candidate its role.
    TellRole(SubscriptionId, Event),
    /// Tell an observer who is master.
    TellMaster(SubscriptionId, Master),
    /// Tell a watcher of the members which members are present.
    TellMembers(SubscriptionId, Members),
    /// This subscription gets no more events.
    Finished(SubscriptionId),
    /// Answer a question or a fenced write, once.
    Answer(CallId, Outcome),
    /// Give up the session and open a new one: nothing in the old one is worth a wait.
    Renew,
    /// From now on, so much hangs on the session.
    Pace(Pace),
}

/// How much hangs on the session: how soon a silent server is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// A lease: an answer is due within T/5.
    #[default]
    Lease,
    /// Nothing but the session itself: a ping every T/3, and its answer within as long again.
    Session,
}

/// What the program asks, or has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Who is master at `path` now? Answered by `Master`.
    Master { path: Arc<str> },
    /// Which members are at `path` now? Answered by `Members`.
    Members { path: Arc<str> },
    /// Write, if we are master at `path`. Answered by `Written`.
    Write { path: Arc<str>, write: Write },
}

/// How a question or a fenced write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Master(Master),
    /// The master first, then the others in the order in which they will lead.
    Members(Vec<Member>),
    Written,
    /// We are not master, so nothing was written.
    NotMaster,
    /// ZooKeeper refused the request with this number; nothing was written.
    Refused(i32),
    /// There was no connection, or it broke. A write may or may not have been carried out.
    Unknown,
}

/// The role of a candidate, as far as the candidate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The role is unknown at the moment; treat it as "not master".
    Unknown,
    /// Another contender is master.
    Slave,
    /// This candidate is master.
    Master,
}

/// Why a candidate has its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Our znode stands at the path.
    Elected,
    /// Another contender's znode stands at the path.
    Following,
    /// The connection to ZooKeeper is broken or was never made.
    Suspended,
    /// The session is over, and so is our znode.
    Expired,
    /// Another client deleted our znode.
    Deleted,
    /// The lease ran out: for too long, no server proved that the session lives. The candidate contends for the place
    /// anew.
    LeaseExpired,
    /// Elected, but the grace delay is not over.
    Grace,
    /// A contender that this recipe does not count, or that does not count us, has a znode at the path.
    ForeignContender,
    /// ZooKeeper refused a request for now.
    Refused,
    /// ZooKeeper refused a request or the credentials, and would refuse them again: the candidate has ended.
    Denied,
    /// A znode that is not ephemeral stands at the path: no candidate can become master until it is deleted.
    Blocked,
    /// The candidate resigned.
    Resigned,
    /// The handle was closed.
    Closed,
    /// The library failed; no more events follow.
    Failed,
}

impl Reason {
    /// Whether this is the candidate's last event.
    pub fn is_last(self) -> bool {
        matches!(self, Reason::Denied | Reason::Resigned | Reason::Closed | Reason::Failed)
    }
}

/// The role of a candidate. Sent at every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub role: Role,
    pub reason: Reason,
    /// The number that seed 000's `getResult` switches on: OK for a master, NODEEXISTS for a slave, else the error.
    pub rc: i32,
    /// The master's value; empty while it is unknown.
    pub value: Value,
    /// The czxid of the master's znode; 0 while it is unknown.
    pub token: i64,
}

/// The master at a path. Sent at every change. Seed 000's `get_master` receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// OK: a master exists. NONODE: no master exists. NOT_EPHEMERAL: the znode at the path belongs to no contender.
    /// Any other number: the reason why the master is unknown.
    pub rc: i32,
    pub value: Value,
    pub stat: Stat,
}

/// One member at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name of the znode in the queue; in the node recipe, the name of the path itself.
    pub name: Arc<str>,
    pub znode: Znode,
}

/// The members at a path. Sent when a member joins, leaves, or changes its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// OK: these members are present. Any other number: the reason why the members are unknown.
    pub rc: i32,
    /// The master first, then the others in the order in which they will lead.
    pub members: Arc<[Member]>,
    pub alarm: Alarm,
}

/// Whether enough members are present. Unknown members are not "too few": the alarm is raised only when the members
/// are known, and once each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// No change.
    None,
    /// Fewer members than enough, from now on.
    TooFew,
    /// Enough members again.
    Enough,
}

/// The numbers of ZooKeeper's own errors that the core knows, and our numbers for errors that ZooKeeper does not
/// have.
pub mod rc {
    pub const OK: i32 = 0;
    pub const CONNECTION_LOSS: i32 = -4;
    pub const MARSHALLING_ERROR: i32 = -5;
    pub const UNIMPLEMENTED: i32 = -6;
    pub const BAD_ARGUMENTS: i32 = -8;
    pub const NO_NODE: i32 = -101;
    pub const NO_AUTH: i32 = -102;
    pub const BAD_VERSION: i32 = -103;
    pub const NO_CHILDREN_FOR_EPHEMERALS: i32 = -108;
    pub const NODE_EXISTS: i32 = -110;
    pub const SESSION_EXPIRED: i32 = -112;
    pub const INVALID_ACL: i32 = -114;
    pub const AUTH_FAILED: i32 = -115;
    pub const CLOSING: i32 = -116;
    pub const EPHEMERAL_ON_LOCAL_SESSION: i32 = -120;
    pub const NOT_EPHEMERAL: i32 = -1013;
    pub const RESIGNED: i32 = -1014;
    pub const LEASE_EXPIRED: i32 = -1017;
    pub const GRACE: i32 = -1018;
    pub const FOREIGN_CONTENDER: i32 = -1019;
    pub const INTERNAL: i32 = -1016;

    /// Whether ZooKeeper would answer the same request in the same way until its access control lists, its
    /// configuration, or the request itself is changed. A full quota, an overloaded server, or a read-only server is
    /// a temporary condition.
    pub fn is_for_good(rc: i32) -> bool {
        matches!(
            rc,
            MARSHALLING_ERROR
                | UNIMPLEMENTED
                | BAD_ARGUMENTS
                | NO_AUTH
                | NO_CHILDREN_FOR_EPHEMERALS
                | INVALID_ACL
                | AUTH_FAILED
                | EPHEMERAL_ON_LOCAL_SESSION
        )
    }
}
