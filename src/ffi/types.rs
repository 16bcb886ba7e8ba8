//! What the header begins with: limits, handles, numbers, what callbacks are shown, and their types.

use std::ffi::{c_char, c_int, c_void};

use crate::handle::{Options, Verifier};

/// The longest path that an election may have, in bytes, together with the chroot of the connect string.
pub const ELECTION_PATH_MAX: usize = 4096;

/// The longest value that a candidate may have, in bytes: a request with it still fits what a server takes by
/// default (`jute.maxbuffer`, 1,048,575 bytes).
pub const ELECTION_VALUE_MAX: usize = 1_000_000;

/// A timeout that never comes, for the functions that take it. It is no small negative number, so that a program that
/// subtracts times and falls below 0 does not wait for ever.
pub const ELECTION_FOREVER: c_int = 2_147_483_647;

/// One session with ZooKeeper, and the elections on it. A handle is a number in the clothes of a pointer: the
/// library never follows it, so one that is closed or was never opened is told by ELECTION_BAD_HANDLE.
pub struct election_t {
    _opaque: (),
}

/// A mastership during which election_lead runs a function. A leadership is a number like a handle: one that is over is
/// told by election_should_stop, which says yes, and by ELECTION_BAD_LEADERSHIP.
pub struct election_leadership_t {
    _opaque: (),
}

/// What election_open is told beyond the hosts. Opaque; it belongs to one thread at a time.
pub struct election_options_t {
    pub(super) options: Options,
}

/// What functions return and events carry. 0 is success, everything else is negative. Where an error is
/// ZooKeeper's own its number is ZooKeeper's (ELECTION_NODEEXISTS is ZNODEEXISTS), so that a `switch (rc)`
/// written for zookeeper.h goes on working; the library's own are below -1000. An event may also carry a
/// number of ZooKeeper's that is not named here; election_strerror knows those, too.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_rc_t {
    /// Done; in an event: master, or a master is there.
    ELECTION_OK = 0,
    /// The connection to ZooKeeper is broken, or could not be made.
    ELECTION_CONNECTIONLOSS = -4,
    /// The server does not know this kind of request.
    ELECTION_UNIMPLEMENTED = -6,
    /// What was waited for did not come in the time given.
    ELECTION_OPERATIONTIMEOUT = -7,
    /// The server found a request malformed.
    ELECTION_BADARGUMENTS = -8,
    /// There is no znode at the path.
    ELECTION_NONODE = -101,
    /// ZooKeeper's access control lists do not allow it.
    ELECTION_NOAUTH = -102,
    /// The znode has another version.
    ELECTION_BADVERSION = -103,
    /// An ephemeral znode stands where a parent of the path should be.
    ELECTION_NOCHILDRENFOREPHEMERALS = -108,
    /// Another contender's znode stands at the path: slave.
    ELECTION_NODEEXISTS = -110,
    /// The znode has children.
    ELECTION_NOTEMPTY = -111,
    /// The session is over; a new one is opened by itself.
    ELECTION_SESSIONEXPIRED = -112,
    /// The server refused the access control list of a znode.
    ELECTION_INVALIDACL = -114,
    /// The server refused the credentials.
    ELECTION_AUTHFAILED = -115,
    /// The handle is being closed.
    ELECTION_CLOSING = -116,
    /// A quota on the path is used up.
    ELECTION_QUOTAEXCEEDED = -125,
    /// The server is overloaded and turned the request away.
    ELECTION_THROTTLEDOP = -127,
    /// The handle is NULL, closed, or never was one.
    ELECTION_BAD_HANDLE = -1001,
    /// The hosts are NULL, empty, malformed, or not UTF-8.
    ELECTION_BAD_HOSTS = -1002,
    /// The options are NULL where options are needed.
    ELECTION_BAD_OPTIONS = -1003,
    /// A time is out of range.
    ELECTION_BAD_TIMEOUT = -1004,
    /// The path is NULL, not absolute, malformed, the root, too long, or not UTF-8.
    ELECTION_BAD_PATH = -1005,
    /// The value is NULL though its length is not 0, or longer than ELECTION_VALUE_MAX.
    ELECTION_BAD_VALUE = -1006,
    /// A function pointer is NULL where a function is needed.
    ELECTION_BAD_CALLBACK = -1007,
    /// The place for the result is NULL.
    ELECTION_BAD_RESULT = -1008,
    /// The recipe is none of election_recipe_t.
    ELECTION_BAD_RECIPE = -1009,
    /// This handle stands for, or watches, that path already.
    ELECTION_ALREADY = -1010,
    /// This handle does not stand for, or does not watch, that path.
    ELECTION_NOT_THERE = -1011,
    /// That cannot be done inside a callback of the same handle.
    ELECTION_IN_CALLBACK = -1012,
    /// A znode that is not ephemeral stands at the path: nobody can become master until it is deleted.
    ELECTION_NOT_EPHEMERAL = -1013,
    /// The candidate resigned.
    ELECTION_RESIGNED = -1014,
    /// The system has no thread or descriptor left.
    ELECTION_NO_RESOURCES = -1015,
    /// The library failed; a bug, please report it.
    ELECTION_INTERNAL = -1016,
    /// The lease ran out: for too long no server proved that the session lives.
    ELECTION_LEASE_EXPIRED = -1017,
    /// Elected, but the grace delay is not over.
    ELECTION_GRACE = -1018,
    /// Somebody stands at the path whom this recipe does not count, or who does not count us.
    ELECTION_FOREIGN_CONTENDER = -1019,
    /// Not master, or no longer: nothing was written.
    ELECTION_NOT_MASTER = -1020,
    /// The token is smaller than one that was seen before: an old master's.
    ELECTION_STALE_TOKEN = -1021,
    /// The lease mode is none of election_lease_mode_t.
    ELECTION_BAD_LEASE_MODE = -1022,
    /// The handle, or the library's thread, belongs to the process that this one was forked from.
    ELECTION_FORKED = -1023,
    /// The handle has a thread of its own for callbacks.
    ELECTION_NOT_MANUAL = -1024,
    /// The role is none of election_role_t.
    ELECTION_BAD_ROLE = -1025,
    /// The way to dispatch is none of election_dispatch_t.
    ELECTION_BAD_DISPATCH = -1026,
    /// The verifier is NULL.
    ELECTION_BAD_VERIFIER = -1027,
    /// The number of members is negative.
    ELECTION_BAD_COUNT = -1028,
    /// The size of the struct is not set, or none that it can have.
    ELECTION_BAD_SIZE = -1032,
    /// The format is none of election_dump_format_t.
    ELECTION_BAD_FORMAT = -1033,
    /// The level is none of election_log_level_t.
    ELECTION_BAD_LEVEL = -1034,
    /// The credential is NULL where it may not be, not UTF-8 in its scheme, too long, or one too many.
    ELECTION_BAD_AUTH = -1036,
    /// The access control list is none of election_acl_t, or the entry is malformed, too long, or one too many.
    ELECTION_BAD_ACL = -1037,
    /// A signal handler ran on the thread that waited, or election_interrupt was called.
    ELECTION_INTERRUPTED = -1040,
    /// The mastership ended before the function of election_lead returned.
    ELECTION_LEADERSHIP_LOST = -1041,
    /// The leadership is NULL, over, or never was one.
    ELECTION_BAD_LEADERSHIP = -1042,
    /// The server does not know the request that makes a candidate's znode (create2): it is older than ZooKeeper 3.5.
    ELECTION_SERVER_TOO_OLD = -1063,
    /// The connection ends whenever a candidate's znode is to be made: the server, or what stands before it, does not
    /// know the request (create2). ClickHouse Keeper is known for that.
    ELECTION_CREATE_NOT_ANSWERED = -1064,
}

/// What a candidate knows of itself. The numbers are those of the `status` that programs keep by hand.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_role_t {
    /// Nobody can tell at the moment: behave as a slave.
    ELECTION_UNKNOWN = -1,
    /// Another contender is master.
    ELECTION_SLAVE = 0,
    /// This candidate is master.
    ELECTION_MASTER = 1,
}

/// Why a candidate has its role.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_reason_t {
    /// MASTER: our znode stands at the path.
    ELECTION_REASON_ELECTED = 0,
    /// SLAVE: another contender's znode stands at the path. Told again when that znode or its value changes.
    ELECTION_REASON_FOLLOWING = 1,
    /// UNKNOWN: the connection is broken or could not be made. It is tried for ever; the role is told when it
    /// is back. A master is not told of a break that is over before its lease ends: it stays master.
    ELECTION_REASON_SUSPENDED = 2,
    /// UNKNOWN: the session is over, and our znode with it. The place is contended for in a new session.
    ELECTION_REASON_EXPIRED = 3,
    /// UNKNOWN: somebody deleted our znode. The place is contended for anew.
    ELECTION_REASON_DELETED = 4,
    /// UNKNOWN: ZooKeeper refused a request for now, `rc` says why: ELECTION_QUOTAEXCEEDED, ELECTION_THROTTLEDOP and
    /// the like. It is asked again every few seconds.
    ELECTION_REASON_REFUSED = 5,
    /// UNKNOWN: a znode that is not ephemeral stands at the path. It is watched until it goes.
    ELECTION_REASON_BLOCKED = 6,
    /// UNKNOWN: election_resign was called. The last event of this candidate.
    ELECTION_REASON_RESIGNED = 7,
    /// UNKNOWN: election_close was called. The last event of this candidate.
    ELECTION_REASON_CLOSED = 8,
    /// UNKNOWN: the library failed. The last event of this candidate.
    ELECTION_REASON_FAILED = 9,
    /// UNKNOWN: the lease ran out before a server could prove that the session lives. That mastership is over
    /// for good; the place is contended for anew.
    ELECTION_REASON_LEASE_EXPIRED = 10,
    /// UNKNOWN: elected, but the grace delay is not over. MASTER follows, if nothing comes between.
    ELECTION_REASON_GRACE = 11,
    /// UNKNOWN: in the queue stands a contender of another recipe, who would be master besides ours. Nobody
    /// here becomes master until it has gone.
    ELECTION_REASON_FOREIGN_CONTENDER = 12,
    /// UNKNOWN: ZooKeeper refused a request or the credentials and would do so again, `rc` says why: ELECTION_NOAUTH,
    /// ELECTION_INVALIDACL, ELECTION_NOCHILDRENFOREPHEMERALS, ELECTION_BADARGUMENTS, ELECTION_SERVER_TOO_OLD, and
    /// for all of a handle ELECTION_AUTHFAILED. The last event of this candidate; what stands of it is deleted.
    /// Once somebody has changed something, go_to_election may be called for the path again.
    ELECTION_REASON_DENIED = 13,
}

/// How the candidates of an election find out who is master. All members of one election use the same.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_recipe_t {
    /// One ephemeral znode at the path: whoever creates it is master. Shared with hand-rolled programs.
    ELECTION_RECIPE_NODE = 0,
    /// Ephemeral sequential children of the path, the lowest leads, each wakes only the next: for many
    /// candidates. Named as Apache Curator's LeaderLatch names them, `_c_<uuid>-latch-SEQ`.
    ELECTION_RECIPE_QUEUE = 1,
    /// The same, named as Curator's LeaderSelector and InterProcessMutex do, `_c_<uuid>-lock-SEQ`. Shared with Go's
    /// zk.Lock, too.
    ELECTION_RECIPE_QUEUE_CURATOR_LOCK = 2,
    /// The same, named as kazoo's Election and Lock do, `<32 hex>__lock__SEQ`.
    ELECTION_RECIPE_QUEUE_KAZOO = 3,
    /// The same, named as ZooKeeper's LeaderElectionSupport does, `n_SEQ`.
    ELECTION_RECIPE_QUEUE_LEADER_ELECTION_SUPPORT = 4,
    /// The same, named `w-SEQ`.
    ELECTION_RECIPE_QUEUE_W = 5,
    /// The same, named `x-<32 hex>-SEQ`; every child whose name ends in a number counts. Shared with ZooKeeper's WriteLock
    /// and its zoo_lock in C, Go's zk.Lock, the LeaderLatch of the Rust crate zookeeper: they count all of them, too.
    ELECTION_RECIPE_QUEUE_WRITE_LOCK = 6,
}

/// What the lease of a master rests on.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_lease_mode_t {
    /// A transaction that changes nothing, committed eight times in a session timeout, one for all elections
    /// that the handle leads. Never two masters.
    ELECTION_LEASE_COMMITTED = 0,
    /// Any answer of the server and its leader; costs no writes. WEAKER: when that leader is cut off from the other
    /// servers but not from the master, there may be two masters until it notices (its syncLimit times its
    /// tickTime, 10 s by default).
    ELECTION_LEASE_ANSWERED = 1,
}

/// Who runs the callbacks of a handle.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_dispatch_t {
    /// A thread of the handle's own.
    ELECTION_DISPATCH_THREAD = 0,
    /// The program, when it calls election_dispatch: for one thread with poll, epoll, libuv, GLib, asyncio.
    ELECTION_DISPATCH_MANUAL = 1,
}

/// Whether enough are in, as election_watch_members was told. It rings once each time.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_alarm_t {
    /// Nothing to ring for: as before, or nobody can tell.
    ELECTION_ALARM_NONE = 0,
    /// Fewer than enough are in, from now on; also told with the first news, if it is so then.
    ELECTION_ALARM_TOO_FEW = 1,
    /// Enough are in again.
    ELECTION_ALARM_ENOUGH = 2,
}

/// Who may do what with the znodes that we make.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_acl_t {
    /// Everybody everything, as hand-rolled programs make theirs (ZOO_OPEN_ACL_UNSAFE).
    ELECTION_ACL_OPEN = 0,
    /// Whoever has a credential of ours everything, nobody else anything (ZOO_CREATOR_ALL_ACL). Without
    /// credentials the servers refuse it: ELECTION_INVALIDACL.
    ELECTION_ACL_CREATOR = 1,
    /// The same, and everybody may read: others can watch the master, and not take part.
    ELECTION_ACL_CREATOR_WORLD_READ = 2,
}

/// What an entry of an access control list allows; the numbers are ZooKeeper's (ZOO_PERM_READ and so on).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_perm_t {
    /// Read the value, and list the children.
    ELECTION_PERM_READ = 1,
    /// Change the value.
    ELECTION_PERM_WRITE = 2,
    /// Make a child.
    ELECTION_PERM_CREATE = 4,
    /// Delete a child.
    ELECTION_PERM_DELETE = 8,
    /// Change the access control list.
    ELECTION_PERM_ADMIN = 16,
    /// All of these.
    ELECTION_PERM_ALL = 31,
}

/// Refuses the tokens of old masters, on the side that is written to.
pub struct election_verifier_t {
    pub(super) verifier: Verifier,
}

/// What a candidate is told, whenever its role changes. It and what it points to live until the callback
/// returns. Later versions may add fields at the end; `size` says how much is there.
#[repr(C)]
pub struct election_event_t {
    /// The size of this struct in bytes, as the library knows it.
    pub size: usize,
    /// The path, as go_to_election was given it.
    pub path: *const c_char,
    /// What this candidate is now.
    pub role: election_role_t,
    /// Why.
    pub reason: election_reason_t,
    /// What a hand-rolled zoo_acreate completion switches on: ELECTION_OK for a master, ELECTION_NODEEXISTS for
    /// a slave, else why nobody can tell.
    pub rc: c_int,
    /// The value of the master, our own when that is us; empty, never NULL, when nobody knows it, as a slave in a
    /// queue does not. A 0 byte that `value_len` does not count follows it, so that text can be printed with %s.
    pub value: *const c_char,
    /// The length of the value in bytes.
    pub value_len: usize,
    /// The master's token (the czxid of its znode): larger for each later master at this path. 0 when nobody
    /// knows it.
    pub token: i64,
}

/// What an observer is told, whenever the master or its value changes. It and what it points to live until the
/// callback returns. Later versions may add fields at the end; `size` says how much is there.
#[repr(C)]
pub struct election_master_t {
    /// The size of this struct in bytes, as the library knows it.
    pub size: usize,
    /// The path, as watch_master or election_get_master was given it.
    pub path: *const c_char,
    /// ELECTION_OK: there is a master. ELECTION_NONODE: there is none. ELECTION_NOT_EPHEMERAL: a znode stands
    /// there that is no contender's. Else why nobody can tell. The last one is ELECTION_CLOSING, ELECTION_INTERNAL, or
    /// what ZooKeeper would say again: ELECTION_AUTHFAILED, ELECTION_NOAUTH, ELECTION_BADARGUMENTS,
    /// ELECTION_UNIMPLEMENTED.
    pub rc: c_int,
    /// The value of the znode; empty, never NULL, when there is none. A 0 byte that `value_len` does not count
    /// follows it.
    pub value: *const c_char,
    /// The length of the value in bytes.
    pub value_len: usize,
    /// The master's token (the czxid of its znode): larger for each later master at this path. 0 when there is
    /// no znode.
    pub token: i64,
    /// The master's session; 0 unless `rc` is ELECTION_OK.
    pub session_id: i64,
    /// When the znode was created: milliseconds since 1970 on the clock of the ZooKeeper leader. 0 when there is
    /// no znode.
    pub since_ms: i64,
}

/// One who stands at a path. It and what it points to live until the callback returns. Later versions may add
/// fields at the end; `size` says how much is there.
#[repr(C)]
pub struct election_member_t {
    /// The size of this struct in bytes, as the library knows it.
    pub size: usize,
    /// The name of its znode.
    pub name: *const c_char,
    /// Its value. A 0 byte that `value_len` does not count follows it.
    pub value: *const c_char,
    /// The length of the value in bytes.
    pub value_len: usize,
    /// Its token when it is, or will be, master (the czxid of its znode).
    pub token: i64,
    /// Its session; 0 when the znode is not ephemeral.
    pub session_id: i64,
    /// Since when it stands: milliseconds since 1970 on the clock of the ZooKeeper leader.
    pub since_ms: i64,
}

/// What a watcher of the members is told, whenever one comes, goes, or changes its value. It and what it points to
/// live until the callback returns. Later versions may add fields at the end; `size` says how much is there.
#[repr(C)]
pub struct election_members_t {
    /// The size of this struct in bytes, as the library knows it.
    pub size: usize,
    /// The path, as election_watch_members was given it.
    pub path: *const c_char,
    /// ELECTION_OK: these are in. Else why nobody can tell, and then none is listed. The last one is
    /// ELECTION_CLOSING, ELECTION_INTERNAL, or what ZooKeeper would say again, as for election_master_t.
    pub rc: c_int,
    /// Who is in: the master first, then the others in the order in which they will be master. Never NULL; a NULL that
    /// `count` does not count follows the last.
    pub members: *const *const election_member_t,
    /// How many are in.
    pub count: usize,
    /// Whether this news crosses the line between enough and too few. Unknown is not few: when nobody can tell there is
    /// no alarm, and afterwards there is one only if the line was crossed meanwhile.
    pub alarm: election_alarm_t,
}

/// Does the work of a master; its number is handed to the caller of election_lead. Runs on the thread that called
/// election_lead.
pub type election_lead_fn =
    Option<unsafe extern "C" fn(leadership: *const election_leadership_t, ctx: *mut c_void) -> c_int>;

/// Hears the role of a candidate. Runs on the handle's callback thread, or inside election_dispatch.
pub type election_role_fn = Option<unsafe extern "C" fn(event: *const election_event_t, ctx: *mut c_void)>;

/// Hears who is master. Runs on the handle's callback thread, or inside election_dispatch; for election_get_master on
/// the thread that asked.
pub type election_master_fn = Option<unsafe extern "C" fn(master: *const election_master_t, ctx: *mut c_void)>;

/// Hears who is in. Runs on the handle's callback thread, or inside election_dispatch.
pub type election_members_fn = Option<unsafe extern "C" fn(members: *const election_members_t, ctx: *mut c_void)>;

/// Is shown a member. Runs on the thread that asked.
pub type election_member_fn = Option<unsafe extern "C" fn(member: *const election_member_t, ctx: *mut c_void)>;

/// Frees a ctx. Runs exactly once, where the callbacks run, after the last callback that gets the ctx.
pub type election_free_fn = Option<unsafe extern "C" fn(ctx: *mut c_void)>;
