/* election.h - master election on Apache ZooKeeper.
 *
 * Of the programs that stand at a path, one is master; when it goes, another one is. The shortest program:
 *
 *     static void on_role(const election_event_t *event, void *ctx) {
 *         puts(event->role == ELECTION_MASTER ? "master" : "not master");
 *     }
 *
 *     election_t *handle;
 *     int rc = election_open("127.0.0.1:2181", NULL, &handle);
 *     if (rc == ELECTION_OK)
 *         rc = go_to_election(handle, "/master", "10.0.0.7", 8, on_role, NULL, NULL);
 *     ...
 *     while (election_is_master(handle, "/master"))
 *         do_a_piece_of_work();
 *     ...
 *     election_close(handle);
 *
 * What holds for every function here, unless it says otherwise:
 *
 * - It returns an int: ELECTION_OK (0), or a negative number of election_rc_t, and then nothing has happened.
 *   A bad argument is told before anything else is done, by a number that says which one; a result is written
 *   only on success. Nothing is ever printed, no signal handler installed. No environment variable is read but
 *   one that Rust's runtime looks for, RUST_MIN_STACK, to no effect on threads that run code of the program's.
 * - It may be called from any thread, and from inside a callback; a handle cannot be closed in its own.
 * - In a child of the process that opened the handle it returns ELECTION_FORKED, or "not master", and does nothing.
 * - Strings are UTF-8, end with a 0 byte and are copied; times are in milliseconds.
 * - The exception to all this: when there is no memory left, Rust's runtime says so on stderr and ends the process
 *   (SIGABRT). No function returns NULL or a number because of that.
 *
 * What holds for every callback:
 *
 * - Callbacks of one handle run one at a time, in order, on a thread of the handle's own (all signals
 *   blocked, a stack of 2 MiB), or where the program calls election_dispatch; no lock of the library is held. One that takes long
 *   delays the callbacks after it and nothing else; it must return normally (no longjmp, no C++ exception).
 * - After MASTER comes its end (SLAVE or UNKNOWN) before another MASTER at that path.
 * - free_ctx, if given, runs exactly once for each call that returned ELECTION_OK, after the last callback.
 *
 * Two functions have names without a prefix, go_to_election and watch_master. If a program has a function of its own by
 * one of these names, it defines ELECTION_NO_BARE_NAMES before it includes this header, and calls
 * election_go_to_election and election_watch_master, which are the same functions.
 *
 * Made by cbindgen from src/ffi. Edit the files there, not this one.
 */

#ifndef ELECTION_H
#define ELECTION_H

#include <stddef.h>
#include <stdint.h>

/** The version of the library that this header belongs to. */
#define ELECTION_VERSION "0.1.0"

/** The longest path that an election may have, in bytes, together with the chroot of the connect string. */
#define ELECTION_PATH_MAX 4096

/**
 * The longest value that a candidate may have, in bytes: a request with it still fits what a server takes by
 * default (`jute.maxbuffer`, 1,048,575 bytes).
 */
#define ELECTION_VALUE_MAX 1000000

/**
 * A timeout that never comes, for the functions that take it. It is no small negative number, so that a program that
 * subtracts times and falls below 0 does not wait for ever.
 */
#define ELECTION_FOREVER 2147483647

/** What a candidate knows of itself. The numbers are those of the `status` that programs keep by hand. */
typedef enum election_role_t {
    /** Nobody can tell at the moment: behave as a slave. */
    ELECTION_UNKNOWN = -1,
    /** Another contender is master. */
    ELECTION_SLAVE = 0,
    /** This candidate is master. */
    ELECTION_MASTER = 1,
} election_role_t;

/** Why a candidate has its role. */
typedef enum election_reason_t {
    /** MASTER: our znode stands at the path. */
    ELECTION_REASON_ELECTED = 0,
    /** SLAVE: another contender's znode stands at the path. Told again when that znode or its value changes. */
    ELECTION_REASON_FOLLOWING = 1,
    /**
     * UNKNOWN: the connection is broken or could not be made. It is tried for ever; the role is told when it
     * is back. A master is not told of a break that is over before its lease ends: it stays master.
     */
    ELECTION_REASON_SUSPENDED = 2,
    /** UNKNOWN: the session is over, and our znode with it. The place is contended for in a new session. */
    ELECTION_REASON_EXPIRED = 3,
    /** UNKNOWN: somebody deleted our znode. The place is contended for anew. */
    ELECTION_REASON_DELETED = 4,
    /**
     * UNKNOWN: ZooKeeper refused a request for now, `rc` says why: ELECTION_QUOTAEXCEEDED, ELECTION_THROTTLEDOP and
     * the like. It is asked again every few seconds.
     */
    ELECTION_REASON_REFUSED = 5,
    /** UNKNOWN: a znode that is not ephemeral stands at the path. It is watched until it goes. */
    ELECTION_REASON_BLOCKED = 6,
    /** UNKNOWN: election_resign was called. The last event of this candidate. */
    ELECTION_REASON_RESIGNED = 7,
    /** UNKNOWN: election_close was called. The last event of this candidate. */
    ELECTION_REASON_CLOSED = 8,
    /** UNKNOWN: the library failed. The last event of this candidate. */
    ELECTION_REASON_FAILED = 9,
    /**
     * UNKNOWN: the lease ran out before a server could prove that the session lives. That mastership is over
     * for good; the place is contended for anew.
     */
    ELECTION_REASON_LEASE_EXPIRED = 10,
    /** UNKNOWN: elected, but the grace delay is not over. MASTER follows, if nothing comes between. */
    ELECTION_REASON_GRACE = 11,
    /**
     * UNKNOWN: in the queue stands a contender of another recipe, who would be master besides ours. Nobody
     * here becomes master until it has gone.
     */
    ELECTION_REASON_FOREIGN_CONTENDER = 12,
    /**
     * UNKNOWN: ZooKeeper refused a request or the credentials and would do so again, `rc` says why: ELECTION_NOAUTH,
     * ELECTION_INVALIDACL, ELECTION_NOCHILDRENFOREPHEMERALS, ELECTION_BADARGUMENTS, ELECTION_SERVER_TOO_OLD, and
     * for all of a handle ELECTION_AUTHFAILED. The last event of this candidate; what stands of it is deleted.
     * Once somebody has changed something, go_to_election may be called for the path again.
     */
    ELECTION_REASON_DENIED = 13,
} election_reason_t;

/** Whether enough are in, as election_watch_members was told. It rings once each time. */
typedef enum election_alarm_t {
    /** Nothing to ring for: as before, or nobody can tell. */
    ELECTION_ALARM_NONE = 0,
    /** Fewer than enough are in, from now on; also told with the first news, if it is so then. */
    ELECTION_ALARM_TOO_FEW = 1,
    /** Enough are in again. */
    ELECTION_ALARM_ENOUGH = 2,
} election_alarm_t;

/** How much a record of the log matters. Each level includes those before it. */
typedef enum election_log_level_t {
    /** Nothing is told. */
    ELECTION_LOG_OFF = 0,
    /** A candidate or a whole handle is at its end: ZooKeeper refuses it for good, or the library failed. */
    ELECTION_LOG_ERROR = 1,
    /**
     * Something keeps candidates from what they are there for: a broken connection, a lease that ran out (with its
     * arithmetic), a refusal.
     */
    ELECTION_LOG_WARN = 2,
    /** What happens in the ordinary course: connections, roles. */
    ELECTION_LOG_INFO = 3,
    /** Each request and each answer, and what the ZooKeeper client underneath says. */
    ELECTION_LOG_DEBUG = 4,
} election_log_level_t;

/** How the connection of a handle stands. */
typedef enum election_connection_state_t {
    /** There is no session; a server is being looked for. `rc` says what went wrong, if anything has. */
    ELECTION_CONNECTING = 0,
    /** There is a session, and a connection to a server. */
    ELECTION_CONNECTED = 1,
    /** The connection broke; the session may live on, and masters stay masters while their lease holds. */
    ELECTION_SUSPENDED = 2,
    /** The session is over, and every znode of it. ELECTION_CONNECTING follows at once. */
    ELECTION_EXPIRED = 3,
    /**
     * The handle is closed (ELECTION_CLOSING), its credentials were refused (ELECTION_AUTHFAILED), or the library failed
     * (ELECTION_INTERNAL). The last state.
     */
    ELECTION_CLOSED = 4,
} election_connection_state_t;

/**
 * What functions return and events carry. 0 is success, everything else is negative. Where an error is
 * ZooKeeper's own its number is ZooKeeper's (ELECTION_NODEEXISTS is ZNODEEXISTS), so that a `switch (rc)`
 * written for zookeeper.h goes on working; the library's own are below -1000. An event may also carry a
 * number of ZooKeeper's that is not named here; election_strerror knows those, too.
 */
typedef enum election_rc_t {
    /** Done; in an event: master, or a master is there. */
    ELECTION_OK = 0,
    /** The connection to ZooKeeper is broken, or could not be made. */
    ELECTION_CONNECTIONLOSS = -4,
    /** The server does not know this kind of request. */
    ELECTION_UNIMPLEMENTED = -6,
    /** What was waited for did not come in the time given. */
    ELECTION_OPERATIONTIMEOUT = -7,
    /** The server found a request malformed. */
    ELECTION_BADARGUMENTS = -8,
    /** There is no znode at the path. */
    ELECTION_NONODE = -101,
    /** ZooKeeper's access control lists do not allow it. */
    ELECTION_NOAUTH = -102,
    /** The znode has another version. */
    ELECTION_BADVERSION = -103,
    /** An ephemeral znode stands where a parent of the path should be. */
    ELECTION_NOCHILDRENFOREPHEMERALS = -108,
    /** Another contender's znode stands at the path: slave. */
    ELECTION_NODEEXISTS = -110,
    /** The znode has children. */
    ELECTION_NOTEMPTY = -111,
    /** The session is over; a new one is opened by itself. */
    ELECTION_SESSIONEXPIRED = -112,
    /** The server refused the access control list of a znode. */
    ELECTION_INVALIDACL = -114,
    /** The server refused the credentials. */
    ELECTION_AUTHFAILED = -115,
    /** The handle is being closed. */
    ELECTION_CLOSING = -116,
    /** A quota on the path is used up. */
    ELECTION_QUOTAEXCEEDED = -125,
    /** The server is overloaded and turned the request away. */
    ELECTION_THROTTLEDOP = -127,
    /** The handle is NULL, closed, or never was one. */
    ELECTION_BAD_HANDLE = -1001,
    /** The hosts are NULL, empty, malformed, or not UTF-8. */
    ELECTION_BAD_HOSTS = -1002,
    /** The options are NULL where options are needed. */
    ELECTION_BAD_OPTIONS = -1003,
    /** A time is out of range. */
    ELECTION_BAD_TIMEOUT = -1004,
    /** The path is NULL, not absolute, malformed, the root, too long, or not UTF-8. */
    ELECTION_BAD_PATH = -1005,
    /** The value is NULL though its length is not 0, or longer than ELECTION_VALUE_MAX. */
    ELECTION_BAD_VALUE = -1006,
    /** A function pointer is NULL where a function is needed. */
    ELECTION_BAD_CALLBACK = -1007,
    /** The place for the result is NULL. */
    ELECTION_BAD_RESULT = -1008,
    /** The recipe is none of election_recipe_t. */
    ELECTION_BAD_RECIPE = -1009,
    /** This handle stands for, or watches, that path already. */
    ELECTION_ALREADY = -1010,
    /** This handle does not stand for, or does not watch, that path. */
    ELECTION_NOT_THERE = -1011,
    /** That cannot be done inside a callback of the same handle. */
    ELECTION_IN_CALLBACK = -1012,
    /** A znode that is not ephemeral stands at the path: nobody can become master until it is deleted. */
    ELECTION_NOT_EPHEMERAL = -1013,
    /** The candidate resigned. */
    ELECTION_RESIGNED = -1014,
    /** The system has no thread or descriptor left. */
    ELECTION_NO_RESOURCES = -1015,
    /** The library failed; a bug, please report it. */
    ELECTION_INTERNAL = -1016,
    /** The lease ran out: for too long no server proved that the session lives. */
    ELECTION_LEASE_EXPIRED = -1017,
    /** Elected, but the grace delay is not over. */
    ELECTION_GRACE = -1018,
    /** Somebody stands at the path whom this recipe does not count, or who does not count us. */
    ELECTION_FOREIGN_CONTENDER = -1019,
    /** Not master, or no longer: nothing was written. */
    ELECTION_NOT_MASTER = -1020,
    /** The token is smaller than one that was seen before: an old master's. */
    ELECTION_STALE_TOKEN = -1021,
    /** The lease mode is none of election_lease_mode_t. */
    ELECTION_BAD_LEASE_MODE = -1022,
    /** The handle, or the library's thread, belongs to the process that this one was forked from. */
    ELECTION_FORKED = -1023,
    /** The handle has a thread of its own for callbacks. */
    ELECTION_NOT_MANUAL = -1024,
    /** The role is none of election_role_t. */
    ELECTION_BAD_ROLE = -1025,
    /** The way to dispatch is none of election_dispatch_t. */
    ELECTION_BAD_DISPATCH = -1026,
    /** The verifier is NULL. */
    ELECTION_BAD_VERIFIER = -1027,
    /** The number of members is negative. */
    ELECTION_BAD_COUNT = -1028,
    /** The size of the struct is not set, or none that it can have. */
    ELECTION_BAD_SIZE = -1032,
    /** The format is none of election_dump_format_t. */
    ELECTION_BAD_FORMAT = -1033,
    /** The level is none of election_log_level_t. */
    ELECTION_BAD_LEVEL = -1034,
    /** The credential is NULL where it may not be, not UTF-8 in its scheme, too long, or one too many. */
    ELECTION_BAD_AUTH = -1036,
    /** The access control list is none of election_acl_t, or the entry is malformed, too long, or one too many. */
    ELECTION_BAD_ACL = -1037,
    /** A signal handler ran on the thread that waited, or election_interrupt was called. */
    ELECTION_INTERRUPTED = -1040,
    /** The mastership ended before the function of election_lead returned. */
    ELECTION_LEADERSHIP_LOST = -1041,
    /** The leadership is NULL, over, or never was one. */
    ELECTION_BAD_LEADERSHIP = -1042,
    /** The server does not know the request that makes a candidate's znode (create2): it is older than ZooKeeper 3.5. */
    ELECTION_SERVER_TOO_OLD = -1063,
    /**
     * The connection ends whenever a candidate's znode is to be made: the server, or what stands before it, does not
     * know the request (create2). ClickHouse Keeper is known for that.
     */
    ELECTION_CREATE_NOT_ANSWERED = -1064,
} election_rc_t;

/** How the candidates of an election find out who is master. All members of one election use the same. */
typedef enum election_recipe_t {
    /** One ephemeral znode at the path: whoever creates it is master. Shared with hand-rolled programs. */
    ELECTION_RECIPE_NODE = 0,
    /**
     * Ephemeral sequential children of the path, the lowest leads, each wakes only the next: for many
     * candidates. Named as Apache Curator's LeaderLatch names them, `_c_<uuid>-latch-SEQ`.
     */
    ELECTION_RECIPE_QUEUE = 1,
    /**
     * The same, named as Curator's LeaderSelector and InterProcessMutex do, `_c_<uuid>-lock-SEQ`. Shared with Go's
     * zk.Lock, too.
     */
    ELECTION_RECIPE_QUEUE_CURATOR_LOCK = 2,
    /** The same, named as kazoo's Election and Lock do, `<32 hex>__lock__SEQ`. */
    ELECTION_RECIPE_QUEUE_KAZOO = 3,
    /** The same, named as ZooKeeper's LeaderElectionSupport does, `n_SEQ`. */
    ELECTION_RECIPE_QUEUE_LEADER_ELECTION_SUPPORT = 4,
    /** The same, named `w-SEQ`. */
    ELECTION_RECIPE_QUEUE_W = 5,
    /**
     * The same, named `x-<32 hex>-SEQ`; every child whose name ends in a number counts. Shared with ZooKeeper's WriteLock
     * and its zoo_lock in C, Go's zk.Lock, the LeaderLatch of the Rust crate zookeeper: they count all of them, too.
     */
    ELECTION_RECIPE_QUEUE_WRITE_LOCK = 6,
} election_recipe_t;

/** What the lease of a master rests on. */
typedef enum election_lease_mode_t {
    /**
     * A transaction that changes nothing, committed eight times in a session timeout, one for all elections
     * that the handle leads. Never two masters.
     */
    ELECTION_LEASE_COMMITTED = 0,
    /**
     * Any answer of the server and its leader; costs no writes. WEAKER: when that leader is cut off from the other
     * servers but not from the master, there may be two masters until it notices (its syncLimit times its
     * tickTime, 10 s by default).
     */
    ELECTION_LEASE_ANSWERED = 1,
} election_lease_mode_t;

/** Who runs the callbacks of a handle. */
typedef enum election_dispatch_t {
    /** A thread of the handle's own. */
    ELECTION_DISPATCH_THREAD = 0,
    /** The program, when it calls election_dispatch: for one thread with poll, epoll, libuv, GLib, asyncio. */
    ELECTION_DISPATCH_MANUAL = 1,
} election_dispatch_t;

/** Who may do what with the znodes that we make. */
typedef enum election_acl_t {
    /** Everybody everything, as hand-rolled programs make theirs (ZOO_OPEN_ACL_UNSAFE). */
    ELECTION_ACL_OPEN = 0,
    /**
     * Whoever has a credential of ours everything, nobody else anything (ZOO_CREATOR_ALL_ACL). Without
     * credentials the servers refuse it: ELECTION_INVALIDACL.
     */
    ELECTION_ACL_CREATOR = 1,
    /** The same, and everybody may read: others can watch the master, and not take part. */
    ELECTION_ACL_CREATOR_WORLD_READ = 2,
} election_acl_t;

/** What an entry of an access control list allows; the numbers are ZooKeeper's (ZOO_PERM_READ and so on). */
typedef enum election_perm_t {
    /** Read the value, and list the children. */
    ELECTION_PERM_READ = 1,
    /** Change the value. */
    ELECTION_PERM_WRITE = 2,
    /** Make a child. */
    ELECTION_PERM_CREATE = 4,
    /** Delete a child. */
    ELECTION_PERM_DELETE = 8,
    /** Change the access control list. */
    ELECTION_PERM_ADMIN = 16,
    /** All of these. */
    ELECTION_PERM_ALL = 31,
} election_perm_t;

/** How election_dump writes. */
typedef enum election_dump_format_t {
    /** For people: indented lines, which may change with every version. */
    ELECTION_DUMP_TEXT = 0,
    /** For programs: one JSON object. Later versions may add names; those that there are keep their meaning. */
    ELECTION_DUMP_JSON = 1,
} election_dump_format_t;

/**
 * A mastership during which election_lead runs a function. A leadership is a number like a handle: one that is over is
 * told by election_should_stop, which says yes, and by ELECTION_BAD_LEADERSHIP.
 */
typedef struct election_leadership_t election_leadership_t;

/** What election_open is told beyond the hosts. Opaque; it belongs to one thread at a time. */
typedef struct election_options_t election_options_t;

/**
 * One session with ZooKeeper, and the elections on it. A handle is a number in the clothes of a pointer: the
 * library never follows it, so one that is closed or was never opened is told by ELECTION_BAD_HANDLE.
 */
typedef struct election_t election_t;

/** Refuses the tokens of old masters, on the side that is written to. */
typedef struct election_verifier_t election_verifier_t;

/**
 * What a candidate is told, whenever its role changes. It and what it points to live until the callback
 * returns. Later versions may add fields at the end; `size` says how much is there.
 */
typedef struct election_event_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** The path, as go_to_election was given it. */
    const char *path;
    /** What this candidate is now. */
    election_role_t role;
    /** Why. */
    election_reason_t reason;
    /**
     * What a hand-rolled zoo_acreate completion switches on: ELECTION_OK for a master, ELECTION_NODEEXISTS for
     * a slave, else why nobody can tell.
     */
    int rc;
    /**
     * The value of the master, our own when that is us; empty, never NULL, when nobody knows it, as a slave in a
     * queue does not. A 0 byte that `value_len` does not count follows it, so that text can be printed with %s.
     */
    const char *value;
    /** The length of the value in bytes. */
    size_t value_len;
    /**
     * The master's token (the czxid of its znode): larger for each later master at this path. 0 when nobody
     * knows it.
     */
    int64_t token;
} election_event_t;

/** Hears the role of a candidate. Runs on the handle's callback thread, or inside election_dispatch. */
typedef void (*election_role_fn)(const election_event_t *event, void *ctx);

/** Frees a ctx. Runs exactly once, where the callbacks run, after the last callback that gets the ctx. */
typedef void (*election_free_fn)(void *ctx);

/**
 * Does the work of a master; its number is handed to the caller of election_lead. Runs on the thread that called
 * election_lead.
 */
typedef int (*election_lead_fn)(const election_leadership_t *leadership, void *ctx);

/**
 * What an observer is told, whenever the master or its value changes. It and what it points to live until the
 * callback returns. Later versions may add fields at the end; `size` says how much is there.
 */
typedef struct election_master_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** The path, as watch_master or election_get_master was given it. */
    const char *path;
    /**
     * ELECTION_OK: there is a master. ELECTION_NONODE: there is none. ELECTION_NOT_EPHEMERAL: a znode stands
     * there that is no contender's. Else why nobody can tell. The last one is ELECTION_CLOSING, ELECTION_INTERNAL, or
     * what ZooKeeper would say again: ELECTION_AUTHFAILED, ELECTION_NOAUTH, ELECTION_BADARGUMENTS,
     * ELECTION_UNIMPLEMENTED.
     */
    int rc;
    /**
     * The value of the znode; empty, never NULL, when there is none. A 0 byte that `value_len` does not count
     * follows it.
     */
    const char *value;
    /** The length of the value in bytes. */
    size_t value_len;
    /**
     * The master's token (the czxid of its znode): larger for each later master at this path. 0 when there is
     * no znode.
     */
    int64_t token;
    /** The master's session; 0 unless `rc` is ELECTION_OK. */
    int64_t session_id;
    /**
     * When the znode was created: milliseconds since 1970 on the clock of the ZooKeeper leader. 0 when there is
     * no znode.
     */
    int64_t since_ms;
} election_master_t;

/**
 * Hears who is master. Runs on the handle's callback thread, or inside election_dispatch; for election_get_master on
 * the thread that asked.
 */
typedef void (*election_master_fn)(const election_master_t *master, void *ctx);

/**
 * One who stands at a path. It and what it points to live until the callback returns. Later versions may add
 * fields at the end; `size` says how much is there.
 */
typedef struct election_member_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** The name of its znode. */
    const char *name;
    /** Its value. A 0 byte that `value_len` does not count follows it. */
    const char *value;
    /** The length of the value in bytes. */
    size_t value_len;
    /** Its token when it is, or will be, master (the czxid of its znode). */
    int64_t token;
    /** Its session; 0 when the znode is not ephemeral. */
    int64_t session_id;
    /** Since when it stands: milliseconds since 1970 on the clock of the ZooKeeper leader. */
    int64_t since_ms;
} election_member_t;

/**
 * What a watcher of the members is told, whenever one comes, goes, or changes its value. It and what it points to
 * live until the callback returns. Later versions may add fields at the end; `size` says how much is there.
 */
typedef struct election_members_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** The path, as election_watch_members was given it. */
    const char *path;
    /**
     * ELECTION_OK: these are in. Else why nobody can tell, and then none is listed. The last one is
     * ELECTION_CLOSING, ELECTION_INTERNAL, or what ZooKeeper would say again, as for election_master_t.
     */
    int rc;
    /**
     * Who is in: the master first, then the others in the order in which they will be master. Never NULL; a NULL that
     * `count` does not count follows the last.
     */
    const election_member_t *const *members;
    /** How many are in. */
    size_t count;
    /**
     * Whether this news crosses the line between enough and too few. Unknown is not few: when nobody can tell there is
     * no alarm, and afterwards there is one only if the line was crossed meanwhile.
     */
    election_alarm_t alarm;
} election_members_t;

/** Hears who is in. Runs on the handle's callback thread, or inside election_dispatch. */
typedef void (*election_members_fn)(const election_members_t *members, void *ctx);

/** Is shown a member. Runs on the thread that asked. */
typedef void (*election_member_fn)(const election_member_t *member, void *ctx);

/**
 * One record of the log. It and what it points to live until the callback returns. Later versions may add fields at
 * the end; `size` says how much is there.
 */
typedef struct election_log_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** How much it matters. */
    election_log_level_t level;
    /**
     * One line without its end: UTF-8, control characters escaped. It never holds credentials, nor what is in a
     * znode; paths and host names it does.
     */
    const char *message;
    /** Who says it: "election", or "zookeeper-client". */
    const char *origin;
    /** The path of the election that it is about; NULL for none. */
    const char *path;
    /** The handle that it is about, which may be closed by now; NULL for none. */
    election_t *handle;
    /** The session of that handle when it was said; 0 for none. */
    int64_t session_id;
    /** When it was said: milliseconds since 1970 on the system's clock. */
    int64_t at_ms;
} election_log_t;

/** Hears a record of the log. Runs on the log's own thread. */
typedef void (*election_log_fn)(const election_log_t *record, void *ctx);

/**
 * What a watcher of the connection is told, whenever its state changes. It lives until the callback returns. Later
 * versions may add fields at the end; `size` says how much is there.
 */
typedef struct election_connection_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** How the connection stands. */
    election_connection_state_t state;
    /** Why: ELECTION_OK when nothing is wrong, else what is. */
    int rc;
    /** The session; 0 while there is none. With ELECTION_EXPIRED, the one that is over. */
    int64_t session_id;
    /** The session timeout as the server granted it, in milliseconds; 0 while there is no session. */
    int64_t session_timeout_ms;
    /**
     * Why there is no connection: for each server its host, its address and the cause, in a sentence. NULL while nothing
     * is wrong, or nobody knows yet. Told again whenever the cause changes, with the same state.
     */
    const char *cause;
} election_connection_t;

/** Hears how the connection stands. Runs on the handle's callback thread, or inside election_dispatch. */
typedef void (*election_connection_fn)(const election_connection_t *connection, void *ctx);

/** What a handle has done since it was opened. Later versions may add fields at the end. */
typedef struct election_counters_t {
    /** To be set to `sizeof(election_counters_t)` before the call. */
    size_t size;
    /** Connections that were made: a session was opened or resumed on them. */
    uint64_t connections;
    /** Rounds through all servers in which none let us open a session. */
    uint64_t connect_failures;
    /** Connections that broke while the session lived. */
    uint64_t suspensions;
    /** Sessions that were opened. */
    uint64_t sessions_opened;
    /** Sessions that were over before the handle was closed. */
    uint64_t sessions_expired;
    /** Sessions that held nothing and were given up, after a second without connection, for a fresh one. */
    uint64_t sessions_renewed;
    /** Requests of every kind: answered, unknown, or still under way. */
    uint64_t requests_sent;
    /** Requests that a server answered, be it with an error. */
    uint64_t requests_answered;
    /** Requests whose answer never came, or was not waited for any more. */
    uint64_t requests_unknown;
    /** Requests that create znodes, parents included. */
    uint64_t creates;
    /** Requests that delete znodes. */
    uint64_t deletes;
    /** Requests that set the value of our znode. */
    uint64_t sets;
    /** Reads, questions and lists. */
    uint64_t reads;
    /** Requests that only give the lease something to count from (`sync`): no quorum is asked. */
    uint64_t touches;
    /** Proofs of the lease that were sent. */
    uint64_t proofs_sent;
    /** Proofs of the lease that a quorum committed. */
    uint64_t proofs_committed;
    /** From the sending of the last proof that was answered to its answer, in microseconds. */
    uint64_t proof_last_us;
    /** The longest such time. */
    uint64_t proof_longest_us;
    /** Writes under the fence of a mastership. */
    uint64_t fenced_writes;
    /** Watches that saw something. */
    uint64_t watches_fired;
    /** Masterships that were told. */
    uint64_t masterships_begun;
    /** Masterships whose end was told. */
    uint64_t masterships_ended;
    /** Of these, those whose lease ran out. */
    uint64_t leases_expired;
    /** Callbacks that were run. */
    uint64_t callbacks_run;
    /** How long the longest callback took, in microseconds. */
    uint64_t callback_longest_us;
} election_counters_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/** Get the version of the library at hand, as ELECTION_VERSION was when the header was made. Static storage. */
const char *election_version(void);

/**
 * Get a sentence for a number of election_rc_t, or for any other number of ZooKeeper's. Never NULL; static
 * storage.
 */
const char *election_strerror(int rc);

/**
 * Get a sentence for the number that a function of this library has just returned on this thread. It says more than
 * election_strerror where there is more to say: which part of an argument is bad and what is wrong with it, or which
 * server cannot be reached and why. For any other number it is what election_strerror says. Never NULL; valid until this
 * thread calls the library again.
 */
const char *election_explain(int rc);

/**
 * Open a session with ZooKeeper. `hosts` is "host:port,host:port,.../chroot". The port may be left out (2181). An
 * IPv6 address that has a port stands in brackets; it may have a scope id, %eth0. Blanks around commas, and a comma
 * or a newline at the end, do no harm. The chroot is optional, and made when it is missing. What ZooKeeper's client in C
 * would read in another way is refused, and election_explain says which part. The servers are tried in random order,
 * host names are looked up anew for each attempt. `options` may be NULL for the defaults; they are copied.
 *
 * Without a connect timeout in the options this returns at once; a server that cannot be reached is then told
 * to the candidates and observers as ELECTION_CONNECTIONLOSS, and tried for ever. election_connect_failure says why.
 *
 * Returns ELECTION_OK, and `*handle` is to be closed with election_close. Else nothing was opened, and
 * `*handle` is untouched: ELECTION_BAD_HOSTS, ELECTION_BAD_RESULT; ELECTION_OPERATIONTIMEOUT when the connect
 * timeout passed without a connection; ELECTION_INTERRUPTED when a signal handler ran on this thread before there was a
 * connection; ELECTION_AUTHFAILED, at once, when the servers refused the credentials;
 * ELECTION_NO_RESOURCES; ELECTION_INTERNAL, also when the library fails while this waits; ELECTION_FORKED in a child
 * of a process that had opened a handle before the fork, or was at it in another thread. (A process that forks first
 * and opens later is fine.)
 */
int election_open(const char *hosts,
                  const election_options_t *options,
                  election_t **handle);

/**
 * Close a handle: resign everywhere, end the session, and forget the handle. Every candidate and observer
 * hears of it, as its last event, before this returns; no callback runs afterwards. A function of election_lead hears
 * that it should stop, and this waits until it has returned. Waits for a callback that
 * is running, and up to 2 s for the server to confirm the end of the session; 4 s when a hostile server keeps the
 * library's thread so busy that it cannot even ask.
 *
 * Returns ELECTION_OK; ELECTION_CONNECTIONLOSS when no server confirmed the end of the session: the handle is
 * closed all the same, a znode of ours may stand until the session expires; ELECTION_FORKED in a child of the
 * process that opened the handle: it is forgotten here, and the parent's is not touched. ELECTION_BAD_HANDLE, or
 * ELECTION_IN_CALLBACK when called from a callback of this handle, or from the function of election_lead: nothing
 * happened.
 */
int election_close(election_t *handle);

/**
 * Make options with the defaults: a session timeout of 10,000 ms, no wait for the first connection, the recipe
 * ELECTION_RECIPE_NODE, no grace delay, ELECTION_LEASE_COMMITTED, no extra margin, tick not known, a thread for
 * callbacks, no credentials, ELECTION_ACL_OPEN. Free them with election_options_free.
 */
election_options_t *election_options_new(void);

/** Free options. NULL is allowed. Handles that were opened with them are not affected. */
void election_options_free(election_options_t *options);

/**
 * Set the session timeout: for how long ZooKeeper keeps the znode of a master it does not hear from, and so
 * how long after the death of a master the next one comes. 100 to 3,600,000 ms; at least 1,000 are asked for, and
 * the server moves it into its own limits (by default 2 to 20 of its ticks of 2 s), which have to be the same on all
 * servers of the ensemble.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_session_timeout_ms(election_options_t *options,
                                            int session_timeout_ms);

/**
 * Set for how long election_open waits for the first connection. 0: it does not wait, the connection is made
 * in the background; up to 3,600,000 ms.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_connect_timeout_ms(election_options_t *options,
                                            int connect_timeout_ms);

/**
 * Set the recipe of the elections on a handle, a number of election_recipe_t.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_RECIPE.
 */
int election_options_set_recipe(election_options_t *options, int recipe);

/**
 * Set who runs the callbacks, a number of election_dispatch_t.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_DISPATCH.
 */
int election_options_set_dispatch(election_options_t *options, int dispatch);

/**
 * Set for how long a new master waits before it is told, so that what the old one had begun can end. In the
 * meantime its reason is ELECTION_REASON_GRACE. 0, the default, to 3,600,000 ms.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_grace_ms(election_options_t *options,
                                  int grace_ms);

/**
 * Set what the lease rests on, a number of election_lease_mode_t.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_LEASE_MODE.
 */
int election_options_set_lease_mode(election_options_t *options, int lease_mode);

/**
 * Set by how much a lease ends sooner than safety asks for. 0, the default, to 3,600,000 ms; from about half of
 * the session timeout on nobody becomes master.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_lease_margin_ms(election_options_t *options,
                                         int lease_margin_ms);

/**
 * Tell the `tickTime` of the servers, which makes leases longer where it is much less than half of the session
 * timeout. A number that is too small makes leases unsafe. 0, the default, is not known; to 3,600,000 ms.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_tick_ms(election_options_t *options,
                                 int tick_ms);

/**
 * Present a credential to the servers. `scheme` says what the `auth_len` bytes at `auth` are: for "digest",
 * "user:password". It is presented on every new connection, before anything else, for as long as the handle is
 * open, and shows in no message of the library's; over the network it goes as it is. May be called again for
 * more, up to 16; scheme and bytes together up to 65,536 bytes. What was copied of it is overwritten when the options
 * are freed and the handle is closed; what the ZooKeeper client had copied is freed by then, and not overwritten.
 *
 * A server that knows no such scheme, or requires a credential that was not presented, refuses the handle for good:
 * election_open with a connect timeout returns ELECTION_AUTHFAILED; every candidate and observer hears
 * ELECTION_AUTHFAILED as its last event, and what needs a session returns it from then on. A wrong password
 * is no such case with "digest", where each password makes another user: what that one may not do is refused by
 * ELECTION_NOAUTH.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_AUTH when the scheme is NULL, empty or not UTF-8, `auth`
 * is NULL though its length is not 0, it is too long or one too many.
 */
int election_options_add_auth(election_options_t *options,
                              const char *scheme,
                              const void *auth,
                              size_t auth_len);

/**
 * Set who may do what with the znodes that we make, a number of election_acl_t: the candidates' own, missing
 * parents and a missing chroot, and what election_fenced_create makes. Znodes that exist keep theirs. What
 * election_options_add_acl had added is gone.
 *
 * What ZooKeeper asks for: of a candidate, on the znode above its own (in a queue that is `path`) CREATE, and
 * DELETE to resign; READ on its own and the master's znode, in a queue on `path` and its own. Of an observer,
 * and for election_members, READ on the master's znode, in a queue on `path` and the znodes in it. Whoever has
 * DELETE on the znode above can depose a master: keep elections below a znode that is yours.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_ACL.
 */
int election_options_set_acl(election_options_t *options,
                             int acl);

/**
 * Add an entry to what election_options_set_acl set: those whom `scheme` and `id` name may do what `permissions`
 * says, the sum of ELECTION_PERM_READ and so on. ("world", "anyone") is everybody, ("digest",
 * "user:base64 of the SHA-1 of user:password") a user, ("ip", "10.0.0.0/8") a network, ("auth", "") each credential
 * of this handle's. To ELECTION_ACL_OPEN nothing can be added: the entry takes its place. Up to 16 entries in all;
 * `scheme` and `id` together up to 1,024 bytes.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_ACL when `permissions` is 0 or has other bits than these,
 * `scheme` or `id` is NULL or not UTF-8, `scheme` is empty, they are too long, or it is one too many. What the
 * servers think of `scheme` and `id` the candidates hear: ELECTION_INVALIDACL.
 */
int election_options_add_acl(election_options_t *options,
                             int permissions,
                             const char *scheme,
                             const char *id);

#ifndef ELECTION_NO_BARE_NAMES
/**
 * Stand as a candidate for master at `path`. The first to stand becomes master; when it resigns, closes, dies
 * or loses its session, another candidate does, by itself and for ever: call this once. On ZooKeeper it is
 * one ephemeral znode with `value`: at `path` itself, made as hand-rolled programs make it, so both can take part
 * in one election; in a queue below `path`. Parents are made when they are missing.
 *
 * `value`, `value_len` bytes that are copied, is what the others get to know of the master: its address, say.
 * It may be empty, and then `value` NULL. `on_role` hears each change of the role and may be NULL;
 * election_is_master answers all the same. `ctx` is handed to `on_role`; `free_ctx` may be NULL.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened, and `ctx` is still
 * yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE, ELECTION_ALREADY when this handle stands
 * for `path`, ELECTION_AUTHFAILED when the servers have refused the handle's credentials.
 *
 * A program that has a go_to_election of its own calls election_go_to_election, which is the same.
 */
int go_to_election(election_t *handle,
                   const char *path,
                   const void *value,
                   size_t value_len,
                   election_role_fn on_role,
                   void *ctx,
                   election_free_fn free_ctx);
#endif

/**
 * Stand as a candidate for master at `path`: the same function as go_to_election, for programs that have a
 * go_to_election of their own.
 *
 * Returns as go_to_election.
 */
int election_go_to_election(election_t *handle,
                            const char *path,
                            const void *value,
                            size_t value_len,
                            election_role_fn on_role,
                            void *ctx,
                            election_free_fn free_ctx);

/**
 * Change the value with which this handle stands at `path`: `value_len` bytes that are copied. The znode that stands
 * gets it, and so does each that is made later, after an expired session, say; should the value be set again before
 * ZooKeeper has it, the last one counts. Observers and watchers of the members are told of it, and slaves too with
 * ELECTION_RECIPE_NODE. The candidate itself is not: its next ELECTION_MASTER carries it. The mastership and its token
 * stay as they are.
 *
 * What cannot be done now (a broken connection; ZooKeeper refuses) is done later, by itself. As with election_resign
 * and ELECTION_RECIPE_NODE, a znode that another contender has created at `path` after somebody deleted ours may be
 * taken for ours until we have heard of it: its value is then changed if its data version is the same.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened: ELECTION_BAD_HANDLE,
 * ELECTION_BAD_PATH, ELECTION_BAD_VALUE, ELECTION_NOT_THERE.
 */
int election_set_value(election_t *handle,
                       const char *path,
                       const void *value,
                       size_t value_len);

/**
 * Resign: stop standing at `path`. (Where election_lead stands, its function hears that it should stop, and election_lead
 * resigns when the function has returned.) From here on election_is_master says no; the candidate hears that it
 * resigned, as its last event, and its znode is deleted, so that the next master comes at once. With servers
 * out of reach that happens when they are back, or when the session expires. go_to_election may be called for
 * the same path again at any time.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened: ELECTION_BAD_HANDLE,
 * ELECTION_BAD_PATH, ELECTION_NOT_THERE.
 */
int election_resign(election_t *handle,
                    const char *path);

/**
 * Ask whether this handle is master at `path` now. The clock (CLOCK_BOOTTIME) is compared with the lease at the
 * time of the call: a process that was stopped for longer hears no at its first call. Never waits, takes no
 * lock, and may be called from any thread as often as one likes.
 *
 * Returns 1 for yes, and 0 for everything else: slave, unknown, not standing there, a bad handle or path.
 */
int election_is_master(const election_t *handle,
                       const char *path);

/**
 * As election_is_master, with what to know of the mastership: `*token`, to be sent along with each write; and
 * `*left_ns`, for how many nanoseconds from now the lease holds if nothing else is heard. Either may be NULL;
 * both are written only when the answer is 1.
 *
 * Between the answer and what is done with it the process may be stopped for any time: where that must not do
 * harm, let the other side check the token, or use a fenced write.
 */
int election_lease(const election_t *handle,
                   const char *path,
                   int64_t *token,
                   int64_t *left_ns);

/**
 * Wait until the candidate at `path` has this role, a number of election_role_t, but no longer than `timeout_ms`
 * (1 to 3,600,000, or ELECTION_FOREVER). For programs that want no callbacks; in a callback, too.
 *
 * Returns ELECTION_OK; ELECTION_OPERATIONTIMEOUT when the role did not come in time; ELECTION_NOT_THERE, also when
 * the candidate resigns, or the handle is closed, meanwhile; the `rc` of its last event when that was
 * ELECTION_REASON_DENIED, such as ELECTION_NOAUTH; ELECTION_INTERRUPTED. ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
 * ELECTION_BAD_ROLE, ELECTION_BAD_TIMEOUT.
 */
int election_wait(election_t *handle,
                  const char *path,
                  int role,
                  int timeout_ms);

/**
 * Lead: stand at `path` with `value`, as go_to_election does, wait for mastership, call `function` on the calling thread
 * while master, and resign when `function` has returned. This is the simplest way to write a daemon:
 *
 *     static election_t *handle;
 *
 *     static void on_signal(int number)
 *     {
 *         election_interrupt(handle);
 *     }
 *
 *     static int work(const election_leadership_t *leadership, void *ctx)
 *     {
 *         while (election_wait_stop(leadership, 1000) == ELECTION_OPERATIONTIMEOUT)
 *             do_a_piece_of_work();
 *         return 0;
 *     }
 *     ...
 *     do
 *         rc = election_lead(handle, "/master", "10.0.0.7", 8, work, NULL, ELECTION_FOREVER, NULL);
 *     while (rc == ELECTION_LEADERSHIP_LOST);
 *     election_close(handle);
 *
 * `function` must ask election_should_stop often, or wait by election_wait_stop, and return when it should stop. Reasons
 * to stop are: the lease is about to end, or has ended; election_interrupt; election_resign at `path`; election_close.
 * While `function` runs nobody else is master, unless the lease has ended: only then the place is not kept until
 * `function` returns. A mastership that ends is not taken up again by itself: call this again.
 *
 * `timeout_ms` (1 to 3,600,000, or ELECTION_FOREVER) limits the wait for mastership, not `function`. `ctx` is handed to
 * `function`. What `function` returns is written to `*result`, which may be NULL. `function` must return normally (no
 * longjmp, no C++ exception). It may call every function of this header but election_close.
 *
 * Returns ELECTION_OK when `function` has returned and the mastership had lasted until then, and
 * ELECTION_LEADERSHIP_LOST when `function` has returned and the mastership had ended before. Else `function` was not
 * called and this handle does not stand at `path`: ELECTION_OPERATIONTIMEOUT; ELECTION_INTERRUPTED; ELECTION_RESIGNED by
 * an election_resign, ELECTION_CLOSING by an election_close, in another thread; ELECTION_NOAUTH and other numbers of
 * ZooKeeper's when it refused the candidate for good. ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE,
 * ELECTION_BAD_CALLBACK, ELECTION_BAD_TIMEOUT; ELECTION_ALREADY when this handle stands at `path`;
 * ELECTION_IN_CALLBACK in a callback of this handle; ELECTION_INTERNAL.
 */
int election_lead(election_t *handle,
                  const char *path,
                  const void *value,
                  size_t value_len,
                  election_lead_fn function,
                  void *ctx,
                  int timeout_ms,
                  int *result);

/**
 * Ask whether the function of election_lead should stop its work and return. Never waits, takes no lock, and may be called
 * from any thread. Once it should stop, that stays so.
 *
 * The function hears it when the lease has less than an eighth of the session timeout left, which never happens
 * while ZooKeeper answers. The lease margin of the options comes on top: who needs longer to stop sets it.
 *
 * Returns 0 to go on, and 1 to stop, also when the leadership is over, NULL, or never was one.
 */
int election_should_stop(const election_leadership_t *leadership);

/**
 * Wait until the function of election_lead should stop, but no longer than `timeout_ms` (1 to 3,600,000, or
 * ELECTION_FOREVER): a pause between two pieces of work that ends early when it must. From any thread.
 *
 * Returns ELECTION_OK when the function should stop; ELECTION_OPERATIONTIMEOUT when it may go on; ELECTION_INTERRUPTED
 * when a signal handler ran on this thread and there is no other reason to stop. ELECTION_BAD_LEADERSHIP when the
 * leadership is over, NULL, or never was one; ELECTION_BAD_TIMEOUT.
 */
int election_wait_stop(const election_leadership_t *leadership,
                       int timeout_ms);

/**
 * Get the token of the mastership, as election_lease has it: to be sent along with each write.
 *
 * Returns the token; 0 when the leadership is over, NULL, or never was one.
 */
int64_t election_leadership_token(const election_leadership_t *leadership);

/**
 * Interrupt a handle: every call that waits on it, in whatever thread, returns ELECTION_INTERRUPTED at once, and a
 * function of election_lead hears that it should stop. May be called in a signal handler, and from any thread. A program
 * stops by this: its handler of SIGTERM calls it, its work ends, and then it closes the handle.
 *
 * The interrupt stays until election_clear_interrupt, so that one that comes just before a call is not lost: meanwhile
 * election_wait and election_lead return ELECTION_INTERRUPTED at once, and election_dispatch does not wait. A question or a
 * fenced write that begins later (election_members, election_get_master, election_fenced_create and so on) is carried out,
 * so that a program can save its state before it closes the handle. election_close is not ended by this, nor is
 * election_dump, which waits a second at most. election_fd does not become readable: a program with a loop of
 * its own wakes that itself.
 *
 * A signal handler ends the calls that wait on the thread that it runs on, and only while they wait, even if it does not
 * call this: also when it was installed with SA_RESTART. A handler that runs just before the call waits does not.
 *
 * Returns ELECTION_OK. Else nothing happened: ELECTION_BAD_HANDLE, ELECTION_FORKED.
 */
int election_interrupt(election_t *handle);

/**
 * Clear an interrupt: from here on calls wait again. A function of election_lead that should stop should stop still.
 *
 * Returns ELECTION_OK, also when there was no interrupt. Else nothing happened: ELECTION_BAD_HANDLE, ELECTION_FORKED.
 */
int election_clear_interrupt(election_t *handle);

#ifndef ELECTION_NO_BARE_NAMES
/**
 * Watch who is master at `path`, without standing. `on_master` hears at once who is, and then of each change:
 * another master, another value, none, cannot tell. A master that comes and goes within a round trip may go unseen, and
 * in a new session, on a server that lags behind the others, an older one may be told of first: the larger token is
 * the newer one. Standing and watching at the same path are independent. `ctx` is handed to `on_master`; `free_ctx`
 * may be NULL.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened, and `ctx` is still
 * yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_CALLBACK when `on_master` is NULL,
 * ELECTION_ALREADY when this handle watches `path`.
 *
 * A program that has a watch_master of its own calls election_watch_master, which is the same.
 */
int watch_master(election_t *handle,
                 const char *path,
                 election_master_fn on_master,
                 void *ctx,
                 election_free_fn free_ctx);
#endif

/**
 * Watch who is master at `path`, without standing: the same function as watch_master, for programs that have a
 * watch_master of their own.
 *
 * Returns as watch_master.
 */
int election_watch_master(election_t *handle,
                          const char *path,
                          election_master_fn on_master,
                          void *ctx,
                          election_free_fn free_ctx);

/**
 * Stop watching at `path`. A callback that is running or waiting to run may still come; free_ctx runs after it.
 *
 * Returns ELECTION_OK, at once. Else nothing happened: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
 * ELECTION_NOT_THERE.
 */
int election_unwatch_master(election_t *handle,
                            const char *path);

/**
 * Watch who is in at `path`, in order and with values, without standing: with ELECTION_RECIPE_NODE that is the master
 * alone, in a queue everybody who stands. `on_members` hears at once who is in, and then of each change: one comes,
 * goes, or changes its value; what comes together may be told together. When fewer than `enough` are in, and when
 * enough are in again, that news carries an alarm; 0 for no alarm. A znode that belongs to no session (`session_id`
 * 0) is listed, and does not count as one that is in. `ctx` is handed to `on_members`; `free_ctx` may be NULL.
 *
 * Costs ZooKeeper a watch for each member, and one more; each change costs a read, each that comes or goes a list
 * besides. The watches of one handle do not survive a reconnect when their paths are more than 128 KiB in all: some
 * 1,500 members. Programs that need only the master watch_master.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened, and `ctx` is still
 * yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_COUNT when `enough` is negative, ELECTION_BAD_CALLBACK
 * when `on_members` is NULL, ELECTION_ALREADY when this handle watches the members at `path`.
 */
int election_watch_members(election_t *handle,
                           const char *path,
                           int enough,
                           election_members_fn on_members,
                           void *ctx,
                           election_free_fn free_ctx);

/**
 * Stop watching the members at `path`. A callback that is running or waiting to run may still come; free_ctx runs
 * after it.
 *
 * Returns ELECTION_OK, at once. Else nothing happened: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
 * ELECTION_NOT_THERE.
 */
int election_unwatch_members(election_t *handle,
                             const char *path);

/**
 * Ask who is master at `path` at this moment, once: ELECTION_OK comes after one call of `on_master`, on the calling
 * thread, with what watch_master would tell, `rc` ELECTION_NONODE when there is none. Waits for the answer, up to
 * `timeout_ms` (1 to 3,600,000); in a callback, too. To ask often, watch_master instead.
 *
 * Returns ELECTION_OK. Else `on_master` was not called: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
 * ELECTION_BAD_CALLBACK, ELECTION_BAD_TIMEOUT; ELECTION_CONNECTIONLOSS when there is no connection, or none yet, or
 * it broke, ELECTION_OPERATIONTIMEOUT, ELECTION_INTERRUPTED; ELECTION_NOAUTH and other numbers of ZooKeeper's when it refused.
 */
int election_get_master(election_t *handle,
                        const char *path,
                        election_master_fn on_master,
                        void *ctx,
                        int timeout_ms);

/**
 * Ask who stands at `path` at this moment. `on_member` is called for each, the master first, on the calling
 * thread, before this returns; with ELECTION_RECIPE_NODE there is one at most. Waits for the answer, up to
 * `timeout_ms` (1 to 3,600,000); in a callback, too.
 *
 * Returns ELECTION_OK. Else nobody was told of: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_CALLBACK,
 * ELECTION_BAD_TIMEOUT; ELECTION_CONNECTIONLOSS when there is no connection, or none yet, or it broke,
 * ELECTION_OPERATIONTIMEOUT, ELECTION_INTERRUPTED; ELECTION_NOAUTH and other numbers of ZooKeeper's when it refused.
 */
int election_members(election_t *handle,
                     const char *path,
                     election_member_fn on_member,
                     void *ctx,
                     int timeout_ms);

/**
 * Get the descriptor that is readable while callbacks wait to be dispatched (and at times for nothing: then
 * election_dispatch returns 0), to be given to poll, epoll or an event loop. It is the handle's: do not read,
 * write or close it; forget it before election_close.
 *
 * Returns the descriptor, 0 or larger; ELECTION_BAD_HANDLE, or ELECTION_NOT_MANUAL unless the handle was opened
 * with ELECTION_DISPATCH_MANUAL.
 */
int election_fd(election_t *handle);

/**
 * Run the callbacks that wait to be run, on the calling thread. If there are none, wait for one, up to
 * `timeout_ms`: 0, not to wait, to 3,600,000, or ELECTION_FOREVER. election_close runs the last ones by itself.
 *
 * Returns how many events and ends of events were passed on, 0 or more; 0 at once while another thread
 * dispatches. ELECTION_INTERRUPTED when no callback waited to be run. ELECTION_BAD_HANDLE, ELECTION_BAD_TIMEOUT, ELECTION_IN_CALLBACK, or
 * ELECTION_NOT_MANUAL unless the handle was opened with ELECTION_DISPATCH_MANUAL.
 */
int election_dispatch(election_t *handle,
                      int timeout_ms);

/**
 * Create a persistent znode at `target` if, in one transaction with that, our znode at `path` still stands: a
 * write to ZooKeeper that an old master cannot do. `path` is that of the election; parents of `target` are not
 * made. Waits for the answer, up to `timeout_ms` (1 to 3,600,000); in a callback, too.
 *
 * With ELECTION_RECIPE_NODE, a znode that another contender has created at `path` after somebody deleted ours
 * counts as ours until we have heard of it; in a queue it does not. A write of which nobody knows may be carried out
 * late, but not after another contender has become master: with ELECTION_RECIPE_NODE, where all masters' znodes have
 * one name, the handle then opens a new session when this mastership has ended. While it leads at other paths it
 * keeps the session: use a handle for each election, or a queue, where a late write may do harm.
 * Before the grace delay is over nothing is written, either.
 *
 * Returns ELECTION_OK. Else nothing was written: ELECTION_NOT_MASTER when the mastership does not stand;
 * ELECTION_NODEEXISTS, ELECTION_NONODE (no parent) and other numbers of ZooKeeper's when it refused the write;
 * ELECTION_BAD_HANDLE, ELECTION_BAD_PATH (either), ELECTION_BAD_VALUE, ELECTION_BAD_TIMEOUT. Nobody knows
 * whether it was written: ELECTION_CONNECTIONLOSS, ELECTION_OPERATIONTIMEOUT, ELECTION_INTERRUPTED.
 */
int election_fenced_create(election_t *handle,
                           const char *path,
                           const char *target,
                           const void *value,
                           size_t value_len,
                           int timeout_ms);

/**
 * Set the value of the znode at `target` if, in one transaction with that, our znode at `path` still stands.
 * `version` is the data version that it must have, or -1 for any. See election_fenced_create.
 *
 * Returns as election_fenced_create; ELECTION_NONODE when there is no znode at `target`, ELECTION_BADVERSION
 * when it has another version.
 */
int election_fenced_set(election_t *handle,
                        const char *path,
                        const char *target,
                        const void *value,
                        size_t value_len,
                        int version,
                        int timeout_ms);

/**
 * Delete the znode at `target` if, in one transaction with that, our znode at `path` still stands. `version` is
 * the data version that it must have, or -1 for any. See election_fenced_create.
 *
 * Returns as election_fenced_create; ELECTION_NONODE when there is no znode at `target`, ELECTION_BADVERSION
 * when it has another version, ELECTION_NOTEMPTY when it has children.
 */
int election_fenced_delete(election_t *handle,
                           const char *path,
                           const char *target,
                           int version,
                           int timeout_ms);

/**
 * Make a verifier of tokens, for the side that a master writes to: a storage node, a device, a payment gate.
 * One for each election. It starts from `highest`, the highest token that was seen before and stored, or 0.
 * Free it with election_verifier_free. It may be used by many threads.
 */
election_verifier_t *election_verifier_new(int64_t highest);

/** Free a verifier. NULL is allowed. No other call on it may be under way. */
void election_verifier_free(election_verifier_t *verifier);

/**
 * Decide whether a write that carries `token` may be taken, and remember the token if so.
 *
 * Returns ELECTION_OK; ELECTION_STALE_TOKEN when a larger one was seen or `token` is not positive: refuse the
 * write, it is an old master's. ELECTION_BAD_VERIFIER when `verifier` is NULL.
 */
int election_verifier_admit(const election_verifier_t *verifier,
                            int64_t token);

/** Get the highest token that a verifier has seen, to be stored with what was written; 0 when `verifier` is NULL. */
int64_t election_verifier_highest(const election_verifier_t *verifier);

/**
 * Set the log of this process, as zoo_set_debug_level and zoo_set_log_callback do: `log_fn` hears each record of
 * `level`, a number of election_log_level_t, and those before it, of all handles. It is off until then, and off again
 * with ELECTION_LOG_OFF, when `log_fn` may be NULL. `ctx` is handed to `log_fn`; `free_ctx` may be NULL.
 *
 * `log_fn` runs on a thread of the log's own that has all signals blocked, one record at a time, in order. It may
 * block: that delays nothing but the log; a record that finds 1,000 others waiting is dropped, and the next one says
 * how many were. It may call everything but election_close (ELECTION_IN_CALLBACK).
 *
 * A new call takes the place of the former one: that `log_fn` first hears what was said until then, then its free_ctx
 * runs, then this returns (inside `log_fn` it returns at once, and free_ctx runs after `log_fn` has returned). So set
 * ELECTION_LOG_OFF before what `log_fn` uses goes away, at the latest at the end of main. A child of this process has
 * no log until it sets its own, and its parent's free_ctx does not run there.
 *
 * Returns ELECTION_OK. Else nothing happened, and `ctx` is still yours: ELECTION_BAD_LEVEL, ELECTION_BAD_CALLBACK when
 * `log_fn` is NULL though the level is not ELECTION_LOG_OFF, ELECTION_NO_RESOURCES.
 */
int election_set_log(int level,
                     election_log_fn log_fn,
                     void *ctx,
                     election_free_fn free_ctx);

/**
 * Watch the connection of a handle to ZooKeeper. `on_connection` hears at once how it stands, and then of each change,
 * in order with the other callbacks of the handle. Elections need none of this: their events say what follows for
 * them. `ctx` is handed to `on_connection`; `free_ctx` may be NULL.
 *
 * Returns ELECTION_OK, at once. Else nothing happened, and `ctx` is still yours: ELECTION_BAD_HANDLE,
 * ELECTION_BAD_CALLBACK when `on_connection` is NULL, ELECTION_ALREADY when the handle's connection is watched.
 */
int election_watch_connection(election_t *handle,
                              election_connection_fn on_connection,
                              void *ctx,
                              election_free_fn free_ctx);

/**
 * Stop watching the connection. A callback that is running or waiting to run may still come; free_ctx runs after it.
 *
 * Returns ELECTION_OK, at once. Else nothing happened: ELECTION_BAD_HANDLE, ELECTION_NOT_THERE.
 */
int election_unwatch_connection(election_t *handle);

/**
 * Get a sentence on why a handle has no connection to ZooKeeper: for each server its host, its address and the cause, such
 * as "connection refused by zk1:2181 (10.0.0.7); no such host zk9". While there is a connection it says why there was none
 * the last time; if there always was one it is empty. The cause is looked for when there has been no connection for a third
 * of a second, and again every few seconds. Never waits.
 *
 * Writes as much as fits into `text`, which has `size` bytes, and a 0 byte. 1,024 bytes are enough for most.
 *
 * Returns ELECTION_OK. Else nothing is written: ELECTION_BAD_HANDLE, ELECTION_BAD_RESULT, ELECTION_BAD_SIZE when `size`
 * is 0.
 */
int election_connect_failure(election_t *handle,
                             char *text,
                             size_t size);

/**
 * Get the counters of a handle: each only rises, but the last and the longest times. Never waits.
 *
 * `counters->size` says how large the caller's struct is. A program that was built with an older header gets the
 * fields that it knows; one that was built with a newer header than the library gets 0 in the fields that the library
 * does not know, and `size` says how much is known.
 *
 * Returns ELECTION_OK. Else nothing is written: ELECTION_BAD_HANDLE, ELECTION_BAD_RESULT, ELECTION_BAD_SIZE when `size`
 * is less than that of the first version of the struct, or more than 4,096.
 */
int election_counters(election_t *handle,
                      election_counters_t *counters);

/**
 * Describe a handle: what it is, believes and did last; its options, connection and session, each candidate and
 * observer with the state of its machine, the lease with its arithmetic, the requests under way, the counters, and the
 * last 64 transitions with their times, tokens (zxids) and reasons. `format` is a number of election_dump_format_t. It
 * holds no credentials; of values of znodes it shows the first 256 bytes.
 *
 * Waits for the handle's own task, which knows most of it, for a second at most; whatever that is at, there is an
 * answer. May be called inside a callback.
 *
 * Returns ELECTION_OK, and `*dump` is a string that is to be freed with election_dump_free. Else `*dump` is untouched:
 * ELECTION_BAD_HANDLE, ELECTION_BAD_FORMAT, ELECTION_BAD_RESULT.
 */
int election_dump(election_t *handle,
                  int format,
                  char **dump);

/** Free what election_dump has written. NULL is allowed. */
void election_dump_free(char *dump);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ELECTION_H */
