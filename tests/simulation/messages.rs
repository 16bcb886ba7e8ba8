//! The messages of clients and servers, the messages between servers, and every event that can happen at a moment.

use std::rc::Rc;
use std::sync::Arc;

use election::testing::logic::{Value, WatchEvent};

use crate::clock::Ns;
use crate::tree::{Change, FullStat};

pub type ConnId = usize;

/// The three lists in which a server keeps watches, as SetWatches names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchKind {
    /// Left by a read of a znode that exists.
    Data,
    /// Left by `exists` of a znode that does not exist.
    Exist,
    Child,
}

/// The number of a request on its session. The answer has the same number.
pub type Xid = i32;

/// How long a znode lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Persistent,
    Ephemeral,
    Container,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    Data { path: Arc<str>, watch: bool },
    Exists { path: Arc<str>, watch: bool },
    Children { path: Arc<str>, watch: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Create {
        path: Arc<str>,
        value: Value,
        kind: Kind,
        sequential: bool,
        /// The client wants the znode's stat as well (`create2`).
        with_stat: bool,
    },
    Set {
        path: Arc<str>,
        value: Value,
        version: i32,
    },
    Delete {
        path: Arc<str>,
        version: i32,
    },
    Check {
        path: Arc<str>,
        version: i32,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Ping,
    Auth { scheme: Arc<str>, auth: Vec<u8> },
    SetWatches { relative_zxid: i64, watches: Vec<(WatchKind, Arc<str>)> },
    RemoveWatches { path: Arc<str>, kinds: &'static [WatchKind] },
    Sync { path: Arc<str> },
    Read(Read),
    Write(Write),
    Multi(Vec<Write>),
    Close,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    pub session: i64,
    pub password: Vec<u8>,
    pub last_zxid: i64,
    pub timeout: Ns,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMsg {
    Connect(Connect),
    Request(Xid, Request),
}

/// A server's answer to a request. The error is one of ZooKeeper's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Deleted,
    Refused(i32),
    Synced(Arc<str>),
    Created(Arc<str>, Option<FullStat>),
    Data(Value, FullStat),
    Stat(FullStat),
    Children(Vec<Arc<str>>),
    Multi(Vec<Answer>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMsg {
    /// The session is open. If it has expired, its number is 0.
    Welcome {
        session: i64,
        password: Vec<u8>,
        timeout: Ns,
    },
    Answer {
        xid: Xid,
        answer: Answer,
        zxid: i64,
    },
    WatchEvent {
        kind: WatchKind,
        path: Arc<str>,
        news: WatchEvent,
    },
}

/// What travels on a connection between a client and a server.
#[derive(Clone, Debug)]
pub enum Packet {
    /// The client dials, and the server's machine accepts.
    Syn,
    SynAck,
    /// A part of the stream, cut anywhere.
    Bytes(Vec<u8>),
    /// The sender has closed the connection, or there is nobody.
    Fin,
}

/// A transaction in the log.
#[derive(Debug)]
pub struct Txn {
    pub zxid: i64,
    pub ctime_ms: i64,
    /// The request that asked for it: its session and its number there.
    pub origin: Option<Origin>,
    pub verdict: Verdict,
    pub changes: Vec<Change>,
}

/// A request, as the servers know it among themselves (`Request.sessionId` and `cxid`). Nothing else tells a server
/// whether a committed transaction is the answer to a request that waits there.
pub type Origin = (i64, Xid);

#[derive(Clone, Debug)]
pub enum Verdict {
    Answer(Answer),
    Opened,
    Closed,
    /// The session has moved: the server does not carry the request out, and the connection ends without an answer.
    Hangup,
}

/// A write, or several writes as one transaction.
#[derive(Clone, Debug)]
pub enum Writes {
    One(Write),
    Multi(Vec<Write>),
}

/// The requests of a server to its leader.
#[derive(Clone, Debug)]
pub enum Ask {
    Open { conn: ConnId, session: i64, timeout: Ns },
    Write { origin: Origin, writes: Writes },
    Close { origin: Origin },
    Revalidate { conn: ConnId, session: i64, timeout: Ns },
    Sync { origin: Origin },
}

#[derive(Clone, Debug)]
pub enum PeerMsg {
    Propose(Rc<Txn>),
    Ack(usize),
    Apply(Apply),
    Ping,
    /// With the sessions that were touched since the last reply.
    PingReply(Vec<(i64, Ns)>),
    Ask(Ask),
    /// The answer to `Ask::Revalidate`. The server sees the session in it, and not which connection it was about.
    Revalidated {
        session: i64,
        conn: ConnId,
        valid: bool,
    },
    Goodbye,
}

/// The steps that a follower does in the order of its leader's messages.
#[derive(Clone, Copy, Debug)]
pub enum Apply {
    /// This many transactions of the log are committed.
    Commit(usize),
    Synced(Origin),
}

#[derive(Clone, Debug)]
pub enum Happening {
    ToServer(ConnId, Packet),
    ToClient(ConnId, Packet),
    /// The sender, the receiver, and the number of the connection between them.
    ToPeer(usize, usize, u32, PeerMsg),
    /// A follower does this step of its work; with the number of its connection to the leader.
    Applies(usize, u32, Apply),
    /// A leader does this step of its work; with the number of its reign and the server that asks.
    Prepares(usize, u32, usize, Ask),
    /// A server forwards a client's request.
    Forwards(usize, u32, Ask),
    /// A leader pings its followers; with the number of its reign.
    LeaderBeat(usize, u32),
    /// The end of a bucket of sessions.
    ExpiryBeat(usize, u32),
    /// A leader reaches this session of a bucket that was due.
    Closes(usize, u32, i64),
    /// A follower checks whether it has heard of its leader.
    FollowerBeat(usize, u32),
    Election,
    /// A process's client has to act; with its life and the number of the timer.
    ClientTimer(usize, u32),
    CoreTimer(usize, u32),
    /// A process reads what has arrived on its connection.
    Reads(usize, ConnId),
    /// The socket of a process takes bytes again.
    Writable(usize, ConnId),
    /// The program writes something where it believes that it is master; with its life.
    Write(usize, u32),
    Wake(usize, u32),
    Restart(usize, u32),
    /// A resigned candidate stands again.
    StandAgain(usize, u32, usize),
    Fault,
    Ambush(usize),
    /// The next step of the session whose requests are late; with the number of the fault.
    Late(u32),
    /// A server stops until this time.
    Freeze(usize, Ns),
    /// The end of a fault.
    Mend(Mend),
}

/// What the servers refuse to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// An access control list forbids to create at a path, to read, change or delete there.
    Create,
    Read,
    Change,
    Delete,
    /// They know nobody's credentials.
    Credentials,
}

impl Denial {
    pub const ALL: [Denial; 5] =
        [Denial::Create, Denial::Read, Denial::Change, Denial::Delete, Denial::Credentials];
}

#[derive(Clone, Debug)]
pub enum Mend {
    ClientLink(usize, usize, [bool; 2]),
    ServerLink(usize, usize),
    Thaw(usize, u32),
    ServerUp(usize, u32),
    Network,
    Lag(usize),
    /// The sessions that have the same number end.
    Repeated,
    Unblock(usize),
    Denial(usize),
    /// Late requests go on, if they have not done so before; with the number of the fault.
    LateRequests(u32),
    /// An answer that is held arrives, if it has not done so before; with the number of the fault.
    LateAnswer(u32),
    /// A visitor that stands at this path leaves.
    Leaves(Arc<str>),
}
