//! The messages of clients and servers, the messages between servers, and every event that can happen at a moment.

use std::rc::Rc;
use std::sync::Arc;

use election::testing::logic::{Op, Reply, RequestId, SessionId, WatchEvent};

use crate::clock::Ns;
use crate::tree::Change;

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
    Sync(RequestId),
    /// A transaction that changes nothing. The client wants its answer only for the requests after it.
    CatchUp,
    Ping,
    CloseSession,
    /// The client has closed the connection.
    Fin,
}

#[derive(Clone, Debug)]
pub enum ServerMsg {
    /// The session is open. `None`: it has expired.
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
    /// The connection that gets the answer.
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
    /// The session has moved or expired: the server does not carry the request out, and the connection ends without an
    /// answer.
    Hangup,
}

/// The requests of a server to its leader.
#[derive(Clone, Debug)]
pub enum Ask {
    Open { conn: ConnId, session: i64, timeout: Ns },
    Write { conn: ConnId, session: i64, op: Op },
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
    /// With the sessions that were touched since the last reply.
    PingReply(Vec<(i64, Ns)>),
    Ask(Ask),
    Revalidated {
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
    Synced(ConnId),
}

#[derive(Clone, Debug)]
pub enum Happening {
    ToServer(ConnId, ClientMsg),
    ToClient(ConnId, ServerMsg),
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
    /// A process reads the answers that have arrived.
    Tell(usize),
    /// The program writes something where it believes that it is master; with its life.
    Write(usize, u32),
    Wake(usize, u32),
    Restart(usize, u32),
    /// A resigned candidate stands again.
    StandAgain(usize, u32, usize),
    Fault,
    Ambush(usize),
    /// A server stops until this time.
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
