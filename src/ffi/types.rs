//! The start of the header: limits, handles, numbers, the structs that callbacks receive, and the types of callbacks.

use std::ffi::{c_char, c_int, c_void};

use crate::handle::{Options, Verifier};

/// The longest path that an election may have, in bytes, together with the chroot of the connect string.
pub const ELECTION_PATH_MAX: usize = 4096;

/// The longest value that a candidate may have, in bytes. A request with such a value fits the default limit of
/// a server (`jute.maxbuffer`, 1,048,575 bytes).
pub const ELECTION_VALUE_MAX: usize = 1_000_000;

/// A timeout that never ends, for the functions that take it. It is positive, so a program that subtracts times
/// and gets a negative number does not wait for ever.
pub const ELECTION_FOREVER: c_int = 2_147_483_647;

/// One session with ZooKeeper, and the elections on it. A handle is a number with the type of a pointer. The
/// library never dereferences it, so a handle that is closed, or was never opened, gets ELECTION_BAD_HANDLE.
pub struct election_t {
    _opaque: (),
}

/// A mastership during which election_lead runs a function. A leadership is a number, like a handle. When it is
/// over, election_should_stop says yes and the other functions return ELECTION_BAD_LEADERSHIP.
pub struct election_leadership_t {
    _opaque: (),
}

/// Options for election_open. Opaque. Only one thread at a time may use them.
pub struct election_options_t {
    pub(super) options: Options,
}

/// What functions return and events carry. 0 is success; every error is negative. ZooKeeper's own errors have
/// ZooKeeper's numbers (ELECTION_NODEEXISTS is ZNODEEXISTS), so a `switch (rc)` written for zookeeper.h still
/// works. The library's own errors are below -1000. An event may also carry a number of ZooKeeper's that is not
/// listed here; election_strerror knows those too.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_rc_t {
    /// Success. In an event: this candidate is master, or there is a master.
    ELECTION_OK = 0,
    /// The connection to ZooKeeper is broken, or could not be made.
    ELECTION_CONNECTIONLOSS = -4,
    /// The server does not know this kind of request.
    ELECTION_UNIMPLEMENTED = -6,
    /// What was waited for did not come in time.
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
    /// The handle belongs to the process that this one was forked from; or no handle can be opened in a child of this kind.
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
    /// The frame limit is out of range.
    ELECTION_BAD_FRAME_LIMIT = -1035,
    /// The credential is NULL where it may not be, not UTF-8 in its scheme, too long, or one too many.
    ELECTION_BAD_AUTH = -1036,
    /// The access control list is none of election_acl_t, or the entry is malformed, too long, or one too many.
    ELECTION_BAD_ACL = -1037,
    /// The TLS options, or a file that they name, cannot be used, or the library was built without TLS.
    ELECTION_BAD_TLS = -1038,
    /// A parameter of SASL is wrong or missing, its password file cannot be used, or the library was built
    /// without SASL.
    ELECTION_BAD_SASL = -1039,
    /// A signal handler ran on the thread that waited, or election_interrupt was called.
    ELECTION_INTERRUPTED = -1040,
    /// The mastership ended before the function of election_lead returned.
    ELECTION_LEADERSHIP_LOST = -1041,
    /// The leadership is NULL, over, or never was one.
    ELECTION_BAD_LEADERSHIP = -1042,
    /// This call would wait for callbacks that wait for the callback that makes it: nothing happened.
    ELECTION_DEADLOCK = -1045,
    /// This call is made by a signal handler that has interrupted a call of the library: nothing happened.
    ELECTION_IN_HANDLER = -1046,
}

/// What a candidate knows of itself. The numbers are those of the `status` variable in hand-rolled programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_role_t {
    /// Nobody can tell at the moment. Behave as a slave.
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
    /// MASTER: our znode is at the path.
    ELECTION_REASON_ELECTED = 0,
    /// SLAVE: another contender's znode is at the path. The event is repeated when that znode or its value
    /// changes.
    ELECTION_REASON_FOLLOWING = 1,
    /// UNKNOWN: the connection is broken, or could not be made. The library tries for ever, and reports the
    /// role when it is connected. A master does not hear of a break that ends before its lease does: it stays
    /// master.
    ELECTION_REASON_SUSPENDED = 2,
    /// UNKNOWN: the session is over, and our znode with it. The candidate stands again in a new session.
    ELECTION_REASON_EXPIRED = 3,
    /// UNKNOWN: somebody deleted our znode. The candidate stands again.
    ELECTION_REASON_DELETED = 4,
    /// UNKNOWN: ZooKeeper refused a request for now. `rc` says why, for example ELECTION_QUOTAEXCEEDED or
    /// ELECTION_THROTTLEDOP. The library asks again every few seconds.
    ELECTION_REASON_REFUSED = 5,
    /// UNKNOWN: a znode at the path is not ephemeral. The library watches it until it is deleted.
    ELECTION_REASON_BLOCKED = 6,
    /// UNKNOWN: election_resign was called. The last event of this candidate.
    ELECTION_REASON_RESIGNED = 7,
    /// UNKNOWN: election_close was called. The last event of this candidate.
    ELECTION_REASON_CLOSED = 8,
    /// UNKNOWN: the library failed. The last event of this candidate.
    ELECTION_REASON_FAILED = 9,
    /// UNKNOWN: the lease ended before a server could prove that the session lives. This mastership is over for
    /// good. The candidate stands again.
    ELECTION_REASON_LEASE_EXPIRED = 10,
    /// UNKNOWN: this candidate is elected, but the grace delay is not over. MASTER follows, unless something
    /// happens before.
    ELECTION_REASON_GRACE = 11,
    /// UNKNOWN: the queue contains a contender of another recipe, which could be master at the same time. No
    /// candidate of this recipe becomes master until that contender leaves.
    ELECTION_REASON_FOREIGN_CONTENDER = 12,
    /// UNKNOWN: ZooKeeper refused a request or the credentials, and would refuse them again. `rc` says why:
    /// ELECTION_NOAUTH, ELECTION_INVALIDACL, ELECTION_NOCHILDRENFOREPHEMERALS, ELECTION_BADARGUMENTS;
    /// for all elections of a handle, ELECTION_AUTHFAILED. This is the last event of
    /// the candidate, and its znode is deleted. When somebody has removed the cause, call go_to_election for
    /// the path again.
    ELECTION_REASON_DENIED = 13,
}

/// How the candidates of an election find out who is master. All members of one election must use the same
/// recipe.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_recipe_t {
    /// One ephemeral znode at the path: the candidate that creates it is master. Hand-rolled programs can take
    /// part.
    ELECTION_RECIPE_NODE = 0,
    /// Ephemeral sequential children of the path: the lowest leads, and each wakes only the next two. For many
    /// candidates. The names are those of Apache Curator's LeaderLatch, `_c_<uuid>-latch-SEQ`.
    ELECTION_RECIPE_QUEUE = 1,
    /// The same with the names of Curator's LeaderSelector and InterProcessMutex, `_c_<uuid>-lock-SEQ`. Go's
    /// zk.Lock can take part, too.
    ELECTION_RECIPE_QUEUE_CURATOR_LOCK = 2,
    /// The same with the names of kazoo's Election and Lock, `<32 hex>__lock__SEQ`.
    ELECTION_RECIPE_QUEUE_KAZOO = 3,
    /// The same with the names of ZooKeeper's LeaderElectionSupport, `n_SEQ`.
    ELECTION_RECIPE_QUEUE_LEADER_ELECTION_SUPPORT = 4,
    /// The same with the names `w-SEQ`.
    ELECTION_RECIPE_QUEUE_W = 5,
    /// The same with the names `x-<32 hex>-SEQ`. Every child counts whose name ends in a number. ZooKeeper's
    /// WriteLock, its zoo_lock in C, Go's zk.Lock and the LeaderLatch of the Rust crate zookeeper can take
    /// part: they count every such child, too.
    ELECTION_RECIPE_QUEUE_WRITE_LOCK = 6,
}

/// What proves the lease of a master.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_lease_mode_t {
    /// A committed transaction that changes nothing, eight times in a session timeout, one for all elections
    /// that the handle leads. There are never two masters.
    ELECTION_LEASE_COMMITTED = 0,
    /// Any answer of the server and its leader. This costs no writes, and it is WEAKER: if that leader is cut
    /// off from the other servers but not from the master, there may be two masters until it notices (syncLimit
    /// times tickTime, 10 s by default).
    ELECTION_LEASE_ANSWERED = 1,
}

/// Who runs the callbacks of a handle, and who does the work of its session.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_dispatch_t {
    /// A thread of the handle.
    ELECTION_DISPATCH_THREAD = 0,
    /// The program, when it calls election_dispatch. For one thread with poll, epoll, libuv, GLib or asyncio.
    ELECTION_DISPATCH_MANUAL = 1,
    /// The program, as with ELECTION_DISPATCH_MANUAL, and it does the work of the session as well: the handle uses no thread
    /// of the library, but short-lived ones that look a host name up, read the files for TLS, or do the work of
    /// SASL. See election_dispatch.
    ELECTION_DISPATCH_LOOP = 2,
}

/// Whether enough members stand, by the number given to election_watch_members. Each alarm is raised once.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_alarm_t {
    /// No alarm: nothing has changed, or nobody can tell.
    ELECTION_ALARM_NONE = 0,
    /// Fewer than enough stand from now on. The first event has it, too, if that is so then.
    ELECTION_ALARM_TOO_FEW = 1,
    /// Enough stand again.
    ELECTION_ALARM_ENOUGH = 2,
}

/// Who may do what with the znodes that the library creates.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_acl_t {
    /// Everybody may do everything, as in hand-rolled programs (ZOO_OPEN_ACL_UNSAFE).
    ELECTION_ACL_OPEN = 0,
    /// A client with a credential of this handle may do everything; nobody else may do anything
    /// (ZOO_CREATOR_ALL_ACL). Without credentials the servers refuse this list: ELECTION_INVALIDACL.
    ELECTION_ACL_CREATOR = 1,
    /// The same, and everybody may read: others can watch the master, but not take part.
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
    /// Create a child.
    ELECTION_PERM_CREATE = 4,
    /// Delete a child.
    ELECTION_PERM_DELETE = 8,
    /// Change the access control list.
    ELECTION_PERM_ADMIN = 16,
    /// All of these.
    ELECTION_PERM_ALL = 31,
}

/// Refuses the tokens of old masters, on the side that a master writes to.
pub struct election_verifier_t {
    pub(super) verifier: Verifier,
}

/// The event of a candidate: its role has changed. The event and everything it points to live until the
/// callback returns. Later versions may add fields at the end; `size` says how much is there.
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
    /// ELECTION_OK for a master, ELECTION_NODEEXISTS for a slave, else why nobody can tell: what the completion
    /// of a hand-rolled zoo_acreate switches on.
    pub rc: c_int,
    /// The value of the master, our own when that is us; empty, never NULL, when nobody knows it: in a queue
    /// only the slave next to the master knows it. A 0 byte that `value_len` does not count follows it, so that text can be printed with %s.
    pub value: *const c_char,
    /// The length of the value in bytes.
    pub value_len: usize,
    /// The token of the master (the czxid of its znode): larger for each later master at this path. 0 if nobody
    /// knows it.
    pub token: i64,
}

/// The event of an observer: the master or its value has changed. The event and everything it points to live
/// until the callback returns. Later versions may add fields at the end; `size` says how much is there.
#[repr(C)]
pub struct election_master_t {
    /// The size of this struct in bytes, as the library knows it.
    pub size: usize,
    /// The path, as watch_master or election_get_master was given it.
    pub path: *const c_char,
    /// ELECTION_OK: there is a master. ELECTION_NONODE: there is none. ELECTION_NOT_EPHEMERAL: the znode at the
    /// path belongs to no contender. Else why nobody can tell. The last event has ELECTION_CLOSING,
    /// ELECTION_INTERNAL, or a refusal that ZooKeeper would repeat: ELECTION_AUTHFAILED, ELECTION_NOAUTH,
    /// ELECTION_BADARGUMENTS, ELECTION_UNIMPLEMENTED.
    pub rc: c_int,
    /// The value of the znode. Empty, never NULL, if there is no znode. A 0 byte, which `value_len` does not
    /// count, follows.
    pub value: *const c_char,
    /// The length of the value in bytes.
    pub value_len: usize,
    /// The token of the master (the czxid of its znode): larger for each later master at this path. 0 if there
    /// is no znode.
    pub token: i64,
    /// The master's session; 0 unless `rc` is ELECTION_OK.
    pub session_id: i64,
    /// When the znode was created: milliseconds since 1970 on the clock of the ZooKeeper leader. 0 if there is
    /// no znode.
    pub since_ms: i64,
}

/// A candidate that stands at a path. The member and everything it points to live until the callback returns.
/// Later versions may add fields at the end; `size` says how much is there.
#[repr(C)]
pub struct election_member_t {
    /// The size of this struct in bytes, as the library knows it.
    pub size: usize,
    /// The name of its znode.
    pub name: *const c_char,
    /// Its value. A 0 byte, which `value_len` does not count, follows.
    pub value: *const c_char,
    /// The length of the value in bytes.
    pub value_len: usize,
    /// The token that it has, or will have, as master (the czxid of its znode).
    pub token: i64,
    /// Its session; 0 if the znode is not ephemeral.
    pub session_id: i64,
    /// When its znode was created: milliseconds since 1970 on the clock of the ZooKeeper leader.
    pub since_ms: i64,
}

/// The event of a watcher of members: a member has come, gone, or changed its value. The event and everything
/// it points to live until the callback returns. Later versions may add fields at the end; `size` says how much
/// is there.
#[repr(C)]
pub struct election_members_t {
    /// The size of this struct in bytes, as the library knows it.
    pub size: usize,
    /// The path, as election_watch_members was given it.
    pub path: *const c_char,
    /// ELECTION_OK: these members stand. Else why nobody can tell, and then the list is empty. The last event
    /// has ELECTION_CLOSING, ELECTION_INTERNAL, or a refusal that ZooKeeper would repeat, as for
    /// election_master_t.
    pub rc: c_int,
    /// The members: the master first, then the others in the order in which they will be master. Never NULL. A
    /// NULL, which `count` does not count, follows the last one.
    pub members: *const *const election_member_t,
    /// How many members stand.
    pub count: usize,
    /// Whether the number of members has crossed the limit. When nobody can tell there is no alarm; afterwards
    /// there is one only if the limit was crossed in the meantime.
    pub alarm: election_alarm_t,
}

/// Does the work of a master. election_lead hands the returned number to its caller. Runs on the thread that
/// called election_lead.
pub type election_lead_fn =
    Option<unsafe extern "C" fn(leadership: *const election_leadership_t, ctx: *mut c_void) -> c_int>;

/// Receives each event of a candidate. Runs on the callback thread of the handle, or inside election_dispatch.
pub type election_role_fn = Option<unsafe extern "C" fn(event: *const election_event_t, ctx: *mut c_void)>;

/// Receives each event of an observer. Runs on the callback thread of the handle, or inside election_dispatch;
/// for election_get_master, on the thread that called it.
pub type election_master_fn = Option<unsafe extern "C" fn(master: *const election_master_t, ctx: *mut c_void)>;

/// Receives each event of a watcher of members. Runs on the callback thread of the handle, or inside
/// election_dispatch.
pub type election_members_fn = Option<unsafe extern "C" fn(members: *const election_members_t, ctx: *mut c_void)>;

/// Receives one member. Runs on the thread that called election_members.
pub type election_member_fn = Option<unsafe extern "C" fn(member: *const election_member_t, ctx: *mut c_void)>;

/// Frees a ctx. Runs exactly once, after the last callback that gets the ctx, on the thread that runs the
/// callbacks.
pub type election_free_fn = Option<unsafe extern "C" fn(ctx: *mut c_void)>;
