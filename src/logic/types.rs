//! The words that the core shares with whoever drives it: time, requests and replies, roles and news.

use std::sync::Arc;

/// A moment on the driver's clock, in nanoseconds since a moment of the driver's choosing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// This moment and `ms` milliseconds.
    pub fn plus_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }
}

/// ZooKeeper's name for a session; what an ephemeral znode has as its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

/// One request to ZooKeeper, and the one-shot watch that it may have left. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One call of `go_to_election`, `watch_master` or `election_watch_members`: who is to hear the news. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u64);

/// The bytes of a znode.
pub type Value = Arc<[u8]>;

/// A request to ZooKeeper. Requests are carried out in the order in which they were handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Create an ephemeral znode. Answered by `Created`.
    Create { path: Arc<str>, value: Value },
    /// Create an ephemeral sequential znode: the server puts ten digits behind `prefix`. Answered by
    /// `CreatedAs`.
    CreateSequential { prefix: Arc<str>, value: Value },
    /// Create what is missing above `path`. Answered by `Done`.
    MakeParents { path: Arc<str> },
    /// Read a znode and leave a watch on its data and its end. Answered by `Read`; a znode that is missing
    /// is `NONODE` and leaves no watch. With `sync`, what is read is as new as a transaction
    /// that is sent with it.
    Read { path: Arc<str>, sync: bool },
    /// Ask whether a znode is there and leave a watch on its birth, data and end. Answered by `Exists`.
    Exists { path: Arc<str> },
    /// Ask what ZooKeeper says of a znode, which it also tells those who may not read it, and leave no watch. Answered
    /// by `Stat`; a znode that is missing is `NONODE`.
    Stat { path: Arc<str> },
    /// List the names of a znode's children, in any order, and with `watch` leave a watch on the list and on
    /// the end of the znode. Answered by `Listed`. With `sync`, what is read is as new as a transaction
    /// that is sent with it.
    List { path: Arc<str>, sync: bool, watch: bool },
    /// Change a znode's value if its data version is this. Answered by `Done`.
    SetValue { path: Arc<str>, value: Value, version: i32 },
    /// Delete a znode if its data version is this. Answered by `Done`.
    Delete { path: Arc<str>, version: i32 },
    /// A transaction that changes nothing: check that all these znodes are there (`multi[check, check, ...]`).
    /// Answered by `Done` once a quorum has committed it; `NONODE` when one is missing.
    Prove { paths: Vec<Arc<str>> },
    /// Have the server ask its leader (`sync`), which costs no quorum. Answered by `Done`.
    Touch,
}

/// What ZooKeeper says of a znode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The transaction that created the znode.
    pub czxid: i64,
    /// The transaction that changed its data last.
    pub mzxid: i64,
    /// When it was created: milliseconds since 1970 on the clock of ZooKeeper's leader.
    pub ctime_ms: i64,
    /// How often its data has been changed.
    pub version: i32,
    /// The session it lives and dies with; 0 when it is not ephemeral.
    pub ephemeral_owner: i64,
}

impl Stat {
    /// Whether the znode belongs to a session. For containers and znodes with a time to live servers tell 0.
    pub fn is_ephemeral(&self) -> bool {
        self.ephemeral_owner != 0
    }
}

/// A znode as it was read.
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
    /// The server answered with this error: nothing was changed. A number of ZooKeeper's.
    Refused(i32),
    /// Nobody can tell whether it was carried out: the connection broke before the answer came.
    Unknown,
}

/// What a one-shot watch saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    Created,
    Changed,
    Deleted,
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a request, and answer it by `handle_reply`, once.
    Submit(RequestId, Op),
    /// Drop the watch that this request left.
    Unwatch(RequestId),
    /// The lease ends at this moment from now on, or does not hold. What the end of the former lease took away is told
    /// before, and what the new one allows is told after.
    Lease(Option<Time>),
    /// Tell a candidate its role.
    TellRole(SubscriptionId, Event),
    /// Tell an observer who is master.
    TellMaster(SubscriptionId, Master),
    /// Tell a watcher of the members who is in.
    TellMembers(SubscriptionId, Members),
    /// This subscription's news are over.
    Finished(SubscriptionId),
    /// Give the session up and open a new one: nothing in it is worth waiting for.
    Renew,
}

/// What a candidate knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nobody can tell at the moment; treat it as "not master".
    Unknown,
    /// Another contender is master.
    Slave,
    /// This candidate is master.
    Master,
}

/// Why a candidate has the role that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Our znode stands at the path.
    Elected,
    /// Another contender's znode stands at the path.
    Following,
    /// The connection to ZooKeeper is broken or was never made.
    Suspended,
    /// The session is over, and our znode with it.
    Expired,
    /// Somebody deleted our znode.
    Deleted,
    /// The lease ran out: for too long no server proved that the session lives. The place is contended for
    /// anew.
    LeaseExpired,
    /// Elected, but the grace delay is not over.
    Grace,
    /// Somebody stands at the path whom this recipe does not count, or who does not count us.
    ForeignContender,
    /// ZooKeeper refused a request for now.
    Refused,
    /// ZooKeeper refused a request or the credentials, and would again: the candidate has ended.
    Denied,
    /// A znode that is not ephemeral stands at the path: nobody can become master until it goes.
    Blocked,
    /// The candidate resigned.
    Resigned,
    /// The handle was closed.
    Closed,
    /// The library failed; nothing more will be heard.
    Failed,
}

impl Reason {
    /// Whether nothing more will be heard of this candidate.
    pub fn is_last(self) -> bool {
        matches!(self, Reason::Denied | Reason::Resigned | Reason::Closed | Reason::Failed)
    }
}

/// The role of a candidate, whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub role: Role,
    pub reason: Reason,
    /// What seed 000's `getResult` switches on: OK for a master, NODEEXISTS for a slave, else what went wrong.
    pub rc: i32,
    /// The master's value; empty while nobody knows it.
    pub value: Value,
    /// The czxid of the master's znode; 0 while nobody knows it.
    pub token: i64,
}

/// Who is master at a path, whenever it changes: what seed 000's `get_master` is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// OK: there is one. NONODE: there is none. NOT_EPHEMERAL: a znode stands there that is no contender's.
    /// Anything else: why nobody can tell.
    pub rc: i32,
    pub value: Value,
    pub stat: Stat,
}

/// One who stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name of the znode in the queue; that of the path itself in the node recipe.
    pub name: Arc<str>,
    pub znode: Znode,
}

/// Who is in at a path, whenever one comes, goes, or changes its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// OK: these are in. Anything else: why nobody can tell.
    pub rc: i32,
    /// The master first, in the order in which they will lead.
    pub members: Arc<[Member]>,
    pub alarm: Alarm,
}

/// Whether enough are in. Unknown is not few: it rings only when it is known who is in, and once each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// As before.
    None,
    /// Fewer than enough, from now on.
    TooFew,
    /// Enough again.
    Enough,
}

/// The numbers of ZooKeeper's own errors that the core knows, and ours where ZooKeeper has none.
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
    /// The server does not know `create2`: it is older than ZooKeeper 3.5.
    pub const SERVER_TOO_OLD: i32 = -1063;
    /// Each connection ends when a create is sent, and none was ever answered.
    pub const CREATE_NOT_ANSWERED: i32 = -1064;

    /// Whether ZooKeeper, asked the same again, would say the same until somebody has changed something: its access
    /// control lists, its configuration, what we ask. A quota, a server that is overloaded, or one that may only be
    /// read, passes.
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
                | SERVER_TOO_OLD
        )
    }
}
