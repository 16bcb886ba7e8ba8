//! What clients, servers and servers among themselves say, and everything that can happen at a moment.

use std::rc::Rc;
use std::sync::Arc;

use election::testing::logic::{Op, Reply, RequestId, SessionId, WatchEvent};

use crate::clock::Ns;
use crate::tree::Change;

pub type ConnId = usize;

/// The three lists in which a server keeps watches, as SetWatches names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchKind {
    /// Left by a read of a znode that is there.
    Data,
    /// Left by `exists` where no znode is.
    Exist,
    Child,
}

/// A write of a program's that is to be carried out only while its znode stands.
#[derive(Clone, Debug)]
pub struct Fenced {
    pub own: Arc<str>,
    /// For which election, and with which token.
    pub path: usize,
    pub token: i64,
}

#[derive(Clone, Debug)]
pub enum ClientMsg {
    Connect {
        session: i64,
        last_zxid: i64,
        timeout: Ns,
    },
    SetWatches {
        last_zxid: i64,
        watches: Vec<(WatchKind, Arc<str>)>,
    },
    Request(RequestId, Op),
    Fenced(Fenced),
    Sync(RequestId),
    /// A transaction that changes nothing, and whose answer is wanted only for what is asked after it.
    CatchUp,
    Ping,
    CloseSession,
    /// The client has closed the connection.
    Fin,
}

#[derive(Clone, Debug)]
pub enum ServerMsg {
    /// The session is open; `None`: it has expired.
    Welcome {
        session: Option<SessionId>,
        timeout: Ns,
    },
    Reply {
        request: RequestId,
        reply: Reply,
        zxid: i64,
    },
    Pong {
        zxid: i64,
    },
    WatchEvent {
        kind: WatchKind,
        path: Arc<str>,
        news: WatchEvent,
    },
    Closed,
    Fin,
}

/// A transaction in the log.
#[derive(Debug)]
pub struct Txn {
    pub zxid: i64,
    pub ctime_ms: i64,
    /// The connection that is to get the answer.
    pub origin: Option<ConnId>,
    pub verdict: Verdict,
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug)]
pub enum Verdict {
    Reply(Reply),
    Opened {
        session: i64,
    },
    Closed,
    /// The session has moved or expired: not carried out, and the connection ends without an answer.
    Hangup,
}

/// What a server asks its leader.
#[derive(Clone, Debug)]
pub enum Ask {
    Open { conn: ConnId, session: i64, timeout: Ns },
    Write { conn: ConnId, session: i64, op: Op },
    Fenced { conn: ConnId, session: i64, write: Fenced },
    Close { conn: ConnId, session: i64 },
    Revalidate { conn: ConnId, session: i64, timeout: Ns },
    Sync { conn: ConnId },
}

#[derive(Clone, Debug)]
pub enum PeerMsg {
    Propose(Rc<Txn>),
    Ack(usize),
    Apply(Apply),
    Ping,
    /// With the sessions that were touched since the last one.
    PingReply(Vec<(i64, Ns)>),
    Ask(Ask),
    Revalidated {
        conn: ConnId,
        valid: bool,
    },
    Goodbye,
}

/// What a follower does in the order in which its leader says so.
#[derive(Clone, Copy, Debug)]
pub enum Apply {
    /// So many transactions of the log are committed.
    Commit(usize),
    Synced(ConnId),
}

#[derive(Clone, Debug)]
pub enum Happening {
    ToServer(ConnId, ClientMsg),
    ToClient(ConnId, ServerMsg),
    /// From, to, and the number of the connection between them.
    ToPeer(usize, usize, u32, PeerMsg),
    /// A follower has come to this in its work; with the number of its connection to the leader.
    Applies(usize, u32, Apply),
    /// A leader comes to this in its work; with the number of its reign and who asks.
    Prepares(usize, u32, usize, Ask),
    /// A server hands on what a client asked for.
    Forwards(usize, u32, Ask),
    /// A leader pings its followers; with the number of its reign.
    LeaderBeat(usize, u32),
    /// The end of a bucket of sessions.
    ExpiryBeat(usize, u32),
    /// A leader comes to this session of a bucket that was due.
    Closes(usize, u32, i64),
    /// A follower looks whether it has heard of its leader.
    FollowerBeat(usize, u32),
    Election,
    /// A process's client has something to do; with its life and the number of the timer.
    ClientTimer(usize, u32),
    CoreTimer(usize, u32),
    /// A process looks at the answers that are there.
    Tell(usize),
    /// The program writes something where it believes to be master; with its life.
    Write(usize, u32),
    Wake(usize, u32),
    Restart(usize, u32),
    /// A resigned candidate stands again.
    StandAgain(usize, u32, usize),
    Fault,
    Ambush(usize),
    /// A server stops until then.
    Freeze(usize, Ns),
    /// The end of a fault.
    Mend(Mend),
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
    /// A visitor that stands at this path leaves.
    Leaves(Arc<str>),
}
