/* election.h - master election on Apache ZooKeeper.
 *
 * At most one candidate for a path is master; when it leaves, another takes over. The shortest program:
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
 * Every function here has these rules, unless it says otherwise:
 *
 * - It returns an int: ELECTION_OK (0), or a negative number of election_rc_t, and then nothing has happened. Arguments are
 *   checked first; the error code names the bad one. A result is written only on success.
 * - The library prints nothing, never exits and installs no signal handler. It reads no environment variable.
 * - Any thread may call it, also inside a callback. A handle cannot be closed inside its own callback.
 * - Strings are UTF-8, end with a 0 byte and are copied. Times are in milliseconds.
 * - A call that waits can be ended. It returns ELECTION_INTERRUPTED if a signal handler runs on its thread while it waits, with
 *   SA_RESTART or without, or if election_interrupt is called.
 * - A signal handler may call election_interrupt, election_version and election_strerror, and nothing else. If a handler has
 *   interrupted a function of this library on its thread, every other function returns ELECTION_IN_HANDLER, "not master", NULL
 *   or 0, and does nothing. If the handler has interrupted something else, for example malloc, the call may never return.
 * - In a child of the process that opened a handle, every function that takes the handle returns ELECTION_FORKED, or "not
 *   master", at once, and does nothing. That holds for each child: of fork, _Fork, clone and clone3. In a child that fork did not
 *   make, every other function returns ELECTION_FORKED, NULL or 0, too, because malloc may never return there. A child of
 *   vfork, or of clone with CLONE_VM, shares its parent's memory: there election_is_master and election_lease answer for the parent.
 * - If there is no memory left, Rust's runtime says so on stderr and ends the process (SIGABRT).
 *
 * Every callback has these rules:
 *
 * - Callbacks of one handle run one at a time, in order, on a thread of the handle (with a stack of 2 MiB), or where the program
 *   calls election_dispatch. The library holds no lock meanwhile. A callback that takes long delays only the callbacks after
 *   it. It must return normally (no longjmp, no C++ exception).
 * - After MASTER comes SLAVE or UNKNOWN before another MASTER at that path.
 * - If callbacks take so long that more than 16 events of one call wait, or 4 MiB of values, the library leaves out events that a
 *   later one makes out of date, the oldest first. The latest event always comes. The event after a MASTER, and an alarm about
 *   members, are left out only together with that MASTER, and with the opposite alarm. The log says so at ELECTION_LOG_WARN.
 * - free_ctx, if given, runs exactly once for each call that returned ELECTION_OK, after the last callback.
 * - While callbacks and free_ctx run on the thread of the handle, it has the signal mask of the thread that opened the handle. So a
 *   child process that a callback starts can be ended by the same signals as one that the opening thread starts. At all
 *   other times that thread blocks all signals but SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGSYS, which no thread of the
 *   library ever blocks: a fault in a callback reaches the program's handler. A program that takes a signal by sigwait or signalfd
 *   must block it before it opens a handle, as before it starts any thread.
 *
 * How to stop: a service handles SIGTERM. It stops its work first, and then resigns or closes the handle; election_lead works in
 * this order. The next master comes within milliseconds. If the process dies of SIGTERM instead, as on `systemctl stop` without a
 * handler, nobody is master until its session times out: 10 seconds by default.
 *
 * Two functions have names without a prefix: go_to_election and watch_master. A program with a function of its own of such a
 * name defines ELECTION_NO_BARE_NAMES before it includes this header, and calls election_go_to_election and
 * election_watch_master, which are the same functions.
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
 * The longest value that a candidate may have, in bytes. A request with such a value fits the default limit of
 * a server (`jute.maxbuffer`, 1,048,575 bytes).
 */
#define ELECTION_VALUE_MAX 1000000

/**
 * A timeout that never ends, for the functions that take it. It is positive, so a program that subtracts times
 * and gets a negative number does not wait for ever.
 */
#define ELECTION_FOREVER 2147483647

/** What a candidate knows of itself. The numbers are those of the `status` variable in hand-rolled programs. */
typedef enum election_role_t {
    /** Nobody can tell at the moment. Behave as a slave. */
    ELECTION_UNKNOWN = -1,
    /** Another contender is master. */
    ELECTION_SLAVE = 0,
    /** This candidate is master. */
    ELECTION_MASTER = 1,
} election_role_t;

/** Why a candidate has its role. */
typedef enum election_reason_t {
    /** MASTER: our znode is at the path. */
    ELECTION_REASON_ELECTED = 0,
    /**
     * SLAVE: another contender's znode is at the path. The event is repeated when that znode or its value
     * changes.
     */
    ELECTION_REASON_FOLLOWING = 1,
    /**
     * UNKNOWN: the connection is broken, or could not be made. The library tries for ever, and reports the
     * role when it is connected. A master does not hear of a break that ends before its lease does: it stays
     * master.
     */
    ELECTION_REASON_SUSPENDED = 2,
    /** UNKNOWN: the session is over, and our znode with it. The candidate stands again in a new session. */
    ELECTION_REASON_EXPIRED = 3,
    /** UNKNOWN: somebody deleted our znode. The candidate stands again. */
    ELECTION_REASON_DELETED = 4,
    /**
     * UNKNOWN: ZooKeeper refused a request for now. `rc` says why, for example ELECTION_QUOTAEXCEEDED or
     * ELECTION_THROTTLEDOP. The library asks again every few seconds.
     */
    ELECTION_REASON_REFUSED = 5,
    /** UNKNOWN: a znode at the path is not ephemeral. The library watches it until it is deleted. */
    ELECTION_REASON_BLOCKED = 6,
    /** UNKNOWN: election_resign was called. The last event of this candidate. */
    ELECTION_REASON_RESIGNED = 7,
    /** UNKNOWN: election_close was called. The last event of this candidate. */
    ELECTION_REASON_CLOSED = 8,
    /** UNKNOWN: the library failed. The last event of this candidate. */
    ELECTION_REASON_FAILED = 9,
    /**
     * UNKNOWN: the lease ended before a server could prove that the session lives. This mastership is over for
     * good. The candidate stands again.
     */
    ELECTION_REASON_LEASE_EXPIRED = 10,
    /**
     * UNKNOWN: this candidate is elected, but the grace delay is not over. MASTER follows, unless something
     * happens before.
     */
    ELECTION_REASON_GRACE = 11,
    /**
     * UNKNOWN: the queue contains a contender of another recipe, which could be master at the same time. No
     * candidate of this recipe becomes master until that contender leaves.
     */
    ELECTION_REASON_FOREIGN_CONTENDER = 12,
    /**
     * UNKNOWN: ZooKeeper refused a request or the credentials, and would refuse them again. `rc` says why:
     * ELECTION_NOAUTH, ELECTION_INVALIDACL, ELECTION_NOCHILDRENFOREPHEMERALS, ELECTION_BADARGUMENTS;
     * for all elections of a handle, ELECTION_AUTHFAILED. This is the last event of
     * the candidate, and its znode is deleted. When somebody has removed the cause, call go_to_election for
     * the path again.
     */
    ELECTION_REASON_DENIED = 13,
} election_reason_t;

/** Whether enough members stand, by the number given to election_watch_members. Each alarm is raised once. */
typedef enum election_alarm_t {
    /** No alarm: nothing has changed, or nobody can tell. */
    ELECTION_ALARM_NONE = 0,
    /** Fewer than enough stand from now on. The first event has it, too, if that is so then. */
    ELECTION_ALARM_TOO_FEW = 1,
    /** Enough stand again. */
    ELECTION_ALARM_ENOUGH = 2,
} election_alarm_t;

/** How important a record of the log is. Each level includes those before it. */
typedef enum election_log_level_t {
    /** No records. */
    ELECTION_LOG_OFF = 0,
    /** A candidate or a whole handle has ended: ZooKeeper refuses it for good, or the library failed. */
    ELECTION_LOG_ERROR = 1,
    /** A problem: no connection and its cause, a lease that has ended and its arithmetic, a refusal. */
    ELECTION_LOG_WARN = 2,
    /** Normal events: connections, roles. */
    ELECTION_LOG_INFO = 3,
    /** Each request and each answer, and the log of the ZooKeeper client. */
    ELECTION_LOG_DEBUG = 4,
} election_log_level_t;

/** The state of the connection of a handle. */
typedef enum election_connection_state_t {
    /** There is no session. The library looks for a server. `rc` and `cause` say what is wrong, if anything is. */
    ELECTION_CONNECTING = 0,
    /** There is a session, and a connection to a server. */
    ELECTION_CONNECTED = 1,
    /** The connection is broken. The session may live on, and a master stays master while its lease lasts. */
    ELECTION_SUSPENDED = 2,
    /** The session is over, and all its znodes are gone. ELECTION_CONNECTING follows at once. */
    ELECTION_EXPIRED = 3,
    /**
     * The last state: the handle is closed (ELECTION_CLOSING), its credentials were refused
     * (ELECTION_AUTHFAILED), or the library failed (ELECTION_INTERNAL).
     */
    ELECTION_CLOSED = 4,
} election_connection_state_t;

/**
 * What functions return and events carry. 0 is success; every error is negative. ZooKeeper's own errors have
 * ZooKeeper's numbers (ELECTION_NODEEXISTS is ZNODEEXISTS), so a `switch (rc)` written for zookeeper.h still
 * works. The library's own errors are below -1000. An event may also carry a number of ZooKeeper's that is not
 * listed here; election_strerror knows those too.
 */
typedef enum election_rc_t {
    /** Success. In an event: this candidate is master, or there is a master. */
    ELECTION_OK = 0,
    /** The connection to ZooKeeper is broken, or could not be made. */
    ELECTION_CONNECTIONLOSS = -4,
    /** The server does not know this kind of request. */
    ELECTION_UNIMPLEMENTED = -6,
    /** What was waited for did not come in time. */
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
    /** The handle belongs to the process that this one was forked from; or no handle can be opened in a child of this kind. */
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
    /** The frame limit is out of range. */
    ELECTION_BAD_FRAME_LIMIT = -1035,
    /** The credential is NULL where it may not be, not UTF-8 in its scheme, too long, or one too many. */
    ELECTION_BAD_AUTH = -1036,
    /** The access control list is none of election_acl_t, or the entry is malformed, too long, or one too many. */
    ELECTION_BAD_ACL = -1037,
    /** The TLS options, or a file that they name, cannot be used, or the library was built without TLS. */
    ELECTION_BAD_TLS = -1038,
    /**
     * A parameter of SASL is wrong or missing, its password file cannot be used, or the library was built
     * without SASL.
     */
    ELECTION_BAD_SASL = -1039,
    /** A signal handler ran on the thread that waited, or election_interrupt was called. */
    ELECTION_INTERRUPTED = -1040,
    /** The mastership ended before the function of election_lead returned. */
    ELECTION_LEADERSHIP_LOST = -1041,
    /** The leadership is NULL, over, or never was one. */
    ELECTION_BAD_LEADERSHIP = -1042,
    /** This call would wait for callbacks that wait for the callback that makes it: nothing happened. */
    ELECTION_DEADLOCK = -1045,
    /** This call is made by a signal handler that has interrupted a call of the library: nothing happened. */
    ELECTION_IN_HANDLER = -1046,
} election_rc_t;

/**
 * How the candidates of an election find out who is master. All members of one election must use the same
 * recipe.
 */
typedef enum election_recipe_t {
    /**
     * One ephemeral znode at the path: the candidate that creates it is master. Hand-rolled programs can take
     * part.
     */
    ELECTION_RECIPE_NODE = 0,
    /**
     * Ephemeral sequential children of the path: the lowest leads, and each wakes only the next two. For many
     * candidates. The names are those of Apache Curator's LeaderLatch, `_c_<uuid>-latch-SEQ`.
     */
    ELECTION_RECIPE_QUEUE = 1,
    /**
     * The same with the names of Curator's LeaderSelector and InterProcessMutex, `_c_<uuid>-lock-SEQ`. Go's
     * zk.Lock can take part, too.
     */
    ELECTION_RECIPE_QUEUE_CURATOR_LOCK = 2,
    /** The same with the names of kazoo's Election and Lock, `<32 hex>__lock__SEQ`. */
    ELECTION_RECIPE_QUEUE_KAZOO = 3,
    /** The same with the names of ZooKeeper's LeaderElectionSupport, `n_SEQ`. */
    ELECTION_RECIPE_QUEUE_LEADER_ELECTION_SUPPORT = 4,
    /** The same with the names `w-SEQ`. */
    ELECTION_RECIPE_QUEUE_W = 5,
    /**
     * The same with the names `x-<32 hex>-SEQ`. Every child counts whose name ends in a number. ZooKeeper's
     * WriteLock, its zoo_lock in C, Go's zk.Lock and the LeaderLatch of the Rust crate zookeeper can take
     * part: they count every such child, too.
     */
    ELECTION_RECIPE_QUEUE_WRITE_LOCK = 6,
} election_recipe_t;

/** What proves the lease of a master. */
typedef enum election_lease_mode_t {
    /**
     * A committed transaction that changes nothing, eight times in a session timeout, one for all elections
     * that the handle leads. There are never two masters.
     */
    ELECTION_LEASE_COMMITTED = 0,
    /**
     * Any answer of the server and its leader. This costs no writes, and it is WEAKER: if that leader is cut
     * off from the other servers but not from the master, there may be two masters until it notices (syncLimit
     * times tickTime, 10 s by default).
     */
    ELECTION_LEASE_ANSWERED = 1,
} election_lease_mode_t;

/** Who runs the callbacks of a handle, and who does the work of its session. */
typedef enum election_dispatch_t {
    /** A thread of the handle. */
    ELECTION_DISPATCH_THREAD = 0,
    /** The program, when it calls election_dispatch. For one thread with poll, epoll, libuv, GLib or asyncio. */
    ELECTION_DISPATCH_MANUAL = 1,
    /**
     * The program, as with ELECTION_DISPATCH_MANUAL, and it does the work of the session as well: the handle uses no thread
     * of the library, but short-lived ones that look a host name up, read the files for TLS, or do the work of
     * SASL. See election_dispatch.
     */
    ELECTION_DISPATCH_LOOP = 2,
} election_dispatch_t;

/** Who may do what with the znodes that the library creates. */
typedef enum election_acl_t {
    /** Everybody may do everything, as in hand-rolled programs (ZOO_OPEN_ACL_UNSAFE). */
    ELECTION_ACL_OPEN = 0,
    /**
     * A client with a credential of this handle may do everything; nobody else may do anything
     * (ZOO_CREATOR_ALL_ACL). Without credentials the servers refuse this list: ELECTION_INVALIDACL.
     */
    ELECTION_ACL_CREATOR = 1,
    /** The same, and everybody may read: others can watch the master, but not take part. */
    ELECTION_ACL_CREATOR_WORLD_READ = 2,
} election_acl_t;

/** What an entry of an access control list allows; the numbers are ZooKeeper's (ZOO_PERM_READ and so on). */
typedef enum election_perm_t {
    /** Read the value, and list the children. */
    ELECTION_PERM_READ = 1,
    /** Change the value. */
    ELECTION_PERM_WRITE = 2,
    /** Create a child. */
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
 * A mastership during which election_lead runs a function. A leadership is a number, like a handle. When it is
 * over, election_should_stop says yes and the other functions return ELECTION_BAD_LEADERSHIP.
 */
typedef struct election_leadership_t election_leadership_t;

/** Options for election_open. Opaque. Only one thread at a time may use them. */
typedef struct election_options_t election_options_t;

/**
 * One session with ZooKeeper, and the elections on it. A handle is a number with the type of a pointer. The
 * library never dereferences it, so a handle that is closed, or was never opened, gets ELECTION_BAD_HANDLE.
 */
typedef struct election_t election_t;

/** Refuses the tokens of old masters, on the side that a master writes to. */
typedef struct election_verifier_t election_verifier_t;

/**
 * The event of a candidate: its role has changed. The event and everything it points to live until the
 * callback returns. Later versions may add fields at the end; `size` says how much is there.
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
     * ELECTION_OK for a master, ELECTION_NODEEXISTS for a slave, else why nobody can tell: what the completion
     * of a hand-rolled zoo_acreate switches on.
     */
    int rc;
    /**
     * The value of the master, our own when that is us; empty, never NULL, when nobody knows it: in a queue
     * only the slave next to the master knows it. A 0 byte that `value_len` does not count follows it, so that text can be printed with %s.
     */
    const char *value;
    /** The length of the value in bytes. */
    size_t value_len;
    /**
     * The token of the master (the czxid of its znode): larger for each later master at this path. 0 if nobody
     * knows it.
     */
    int64_t token;
} election_event_t;

/** Receives each event of a candidate. Runs on the callback thread of the handle, or inside election_dispatch. */
typedef void (*election_role_fn)(const election_event_t *event, void *ctx);

/**
 * Frees a ctx. Runs exactly once, after the last callback that gets the ctx, on the thread that runs the
 * callbacks.
 */
typedef void (*election_free_fn)(void *ctx);

/**
 * Does the work of a master. election_lead hands the returned number to its caller. Runs on the thread that
 * called election_lead.
 */
typedef int (*election_lead_fn)(const election_leadership_t *leadership, void *ctx);

/**
 * The event of an observer: the master or its value has changed. The event and everything it points to live
 * until the callback returns. Later versions may add fields at the end; `size` says how much is there.
 */
typedef struct election_master_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** The path, as watch_master or election_get_master was given it. */
    const char *path;
    /**
     * ELECTION_OK: there is a master. ELECTION_NONODE: there is none. ELECTION_NOT_EPHEMERAL: the znode at the
     * path belongs to no contender. Else why nobody can tell. The last event has ELECTION_CLOSING,
     * ELECTION_INTERNAL, or a refusal that ZooKeeper would repeat: ELECTION_AUTHFAILED, ELECTION_NOAUTH,
     * ELECTION_BADARGUMENTS, ELECTION_UNIMPLEMENTED.
     */
    int rc;
    /**
     * The value of the znode. Empty, never NULL, if there is no znode. A 0 byte, which `value_len` does not
     * count, follows.
     */
    const char *value;
    /** The length of the value in bytes. */
    size_t value_len;
    /**
     * The token of the master (the czxid of its znode): larger for each later master at this path. 0 if there
     * is no znode.
     */
    int64_t token;
    /** The master's session; 0 unless `rc` is ELECTION_OK. */
    int64_t session_id;
    /**
     * When the znode was created: milliseconds since 1970 on the clock of the ZooKeeper leader. 0 if there is
     * no znode.
     */
    int64_t since_ms;
} election_master_t;

/**
 * Receives each event of an observer. Runs on the callback thread of the handle, or inside election_dispatch;
 * for election_get_master, on the thread that called it.
 */
typedef void (*election_master_fn)(const election_master_t *master, void *ctx);

/**
 * A candidate that stands at a path. The member and everything it points to live until the callback returns.
 * Later versions may add fields at the end; `size` says how much is there.
 */
typedef struct election_member_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** The name of its znode. */
    const char *name;
    /** Its value. A 0 byte, which `value_len` does not count, follows. */
    const char *value;
    /** The length of the value in bytes. */
    size_t value_len;
    /** The token that it has, or will have, as master (the czxid of its znode). */
    int64_t token;
    /** Its session; 0 if the znode is not ephemeral. */
    int64_t session_id;
    /** When its znode was created: milliseconds since 1970 on the clock of the ZooKeeper leader. */
    int64_t since_ms;
} election_member_t;

/**
 * The event of a watcher of members: a member has come, gone, or changed its value. The event and everything
 * it points to live until the callback returns. Later versions may add fields at the end; `size` says how much
 * is there.
 */
typedef struct election_members_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** The path, as election_watch_members was given it. */
    const char *path;
    /**
     * ELECTION_OK: these members stand. Else why nobody can tell, and then the list is empty. The last event
     * has ELECTION_CLOSING, ELECTION_INTERNAL, or a refusal that ZooKeeper would repeat, as for
     * election_master_t.
     */
    int rc;
    /**
     * The members: the master first, then the others in the order in which they will be master. Never NULL. A
     * NULL, which `count` does not count, follows the last one.
     */
    const election_member_t *const *members;
    /** How many members stand. */
    size_t count;
    /**
     * Whether the number of members has crossed the limit. When nobody can tell there is no alarm; afterwards
     * there is one only if the limit was crossed in the meantime.
     */
    election_alarm_t alarm;
} election_members_t;

/**
 * Receives each event of a watcher of members. Runs on the callback thread of the handle, or inside
 * election_dispatch.
 */
typedef void (*election_members_fn)(const election_members_t *members, void *ctx);

/** Receives one member. Runs on the thread that called election_members. */
typedef void (*election_member_fn)(const election_member_t *member, void *ctx);

/**
 * One record of the log. The record and everything it points to live until the callback returns. Later
 * versions may add fields at the end; `size` says how much is there.
 */
typedef struct election_log_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** How important it is. */
    election_log_level_t level;
    /**
     * One line without a line end: UTF-8, with control characters escaped. It contains paths and host names,
     * but no credentials and no values of znodes.
     */
    const char *message;
    /** The path of the election that the record is about; NULL for none. */
    const char *path;
    /** The handle that the record is about, which may be closed by now; NULL for none. */
    election_t *handle;
    /** The session of that handle at that time; 0 for none. */
    int64_t session_id;
    /** The time: milliseconds since 1970 on the system's clock. */
    int64_t at_ms;
} election_log_t;

/** Receives each record of the log. Runs on the log's own thread. */
typedef void (*election_log_fn)(const election_log_t *record, void *ctx);

/**
 * The event of a watcher of the connection: its state or the cause has changed. The event and everything it
 * points to live until the callback returns. Later versions may add fields at the end; `size` says how much is
 * there.
 */
typedef struct election_connection_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** The state. */
    election_connection_state_t state;
    /** ELECTION_OK if nothing is wrong; else the error. */
    int rc;
    /** The session; 0 while there is none. With ELECTION_EXPIRED, the session that is over. */
    int64_t session_id;
    /** The session timeout that the server granted, in milliseconds; 0 while there is no session. */
    int64_t session_timeout_ms;
    /**
     * Why there is no connection, as a sentence: for each server its host, its address and the cause. NULL
     * while nothing is wrong, or nobody knows the cause yet. The event is repeated, with the same state, when
     * the cause changes.
     */
    const char *cause;
} election_connection_t;

/**
 * Receives each event of the connection. Runs on the callback thread of the handle, or inside
 * election_dispatch.
 */
typedef void (*election_connection_fn)(const election_connection_t *connection, void *ctx);

/** What a handle has done since it was opened. Later versions may add fields at the end. */
typedef struct election_counters_t {
    /** Set it to `sizeof(election_counters_t)` before the call. */
    size_t size;
    /** Connections on which a session was opened or resumed. */
    uint64_t connections;
    /** Rounds through all servers in which none of them gave a session. */
    uint64_t connect_failures;
    /** Connections that broke while the session lived. */
    uint64_t suspensions;
    /** Sessions that were opened. */
    uint64_t sessions_opened;
    /** Sessions that were over before the handle was closed. */
    uint64_t sessions_expired;
    /** Sessions that held nothing and were replaced after a second without a connection. */
    uint64_t sessions_renewed;
    /** Requests of every kind: answered, unknown, or without an answer so far. */
    uint64_t requests_sent;
    /** Requests that a server answered, with success or with an error. */
    uint64_t requests_answered;
    /** Requests whose answer never came. */
    uint64_t requests_unknown;
    /** Requests that create znodes, parents included. */
    uint64_t creates;
    /** Requests that delete znodes. */
    uint64_t deletes;
    /** Requests that set the value of our znode. */
    uint64_t sets;
    /** Reads, questions and lists. */
    uint64_t reads;
    /** Requests from which the lease may count (`sync`). They need no quorum. */
    uint64_t touches;
    /** Proofs of the lease that were sent. */
    uint64_t proofs_sent;
    /** Proofs of the lease that a quorum committed. */
    uint64_t proofs_committed;
    /** How long the last answered proof took, from sending to its answer, in microseconds. */
    uint64_t proof_last_us;
    /** The longest time that a proof took, in microseconds. */
    uint64_t proof_longest_us;
    /** Fenced writes. */
    uint64_t fenced_writes;
    /** Watches that fired. */
    uint64_t watches_fired;
    /** Masterships that began. */
    uint64_t masterships_begun;
    /** Masterships that ended. */
    uint64_t masterships_ended;
    /** Masterships that ended because their lease did. */
    uint64_t leases_expired;
    /** Callbacks that ran. */
    uint64_t callbacks_run;
    /** How long the longest callback took, in microseconds. */
    uint64_t callback_longest_us;
} election_counters_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Get the version of the library that the program runs with. ELECTION_VERSION is the version of the header.
 * Static storage.
 */
const char *election_version(void);

/**
 * Get a sentence for a number of election_rc_t, or for any other number of ZooKeeper's. Never NULL. Static
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
 * Open a session with ZooKeeper. `hosts` is "host:port,host:port,.../chroot". The port may be left out (2181).
 * An IPv6 address with a port stands in brackets; it may have a scope id, %eth0. Blanks around commas, and a
 * comma or a newline at the end, are allowed. The chroot is optional, and created if it is missing. The
 * library refuses a string that ZooKeeper's C client would read in another way; election_explain says which
 * part. It tries the servers in random order, and looks host names up again for each attempt. `options` may be
 * NULL for the defaults; they are copied.
 *
 * Without a connect timeout in the options this returns at once. If no server can be reached, the candidates
 * and observers get ELECTION_CONNECTIONLOSS, election_connect_failure says why, and the library tries for
 * ever.
 *
 * Returns ELECTION_OK; close `*handle` with election_close. Otherwise nothing is open and `*handle` is not
 * written: ELECTION_BAD_HOSTS, ELECTION_BAD_RESULT; ELECTION_BAD_TLS if a file for TLS is missing or malformed,
 * or its password is wrong; ELECTION_BAD_SASL if parameters of SASL are missing or the password file cannot be
 * used; ELECTION_OPERATIONTIMEOUT if there was no connection
 * within the connect timeout; ELECTION_INTERRUPTED if a signal handler ran on this thread before there was
 * one; ELECTION_AUTHFAILED, at once, if the servers refused the credentials; ELECTION_NO_RESOURCES;
 * ELECTION_INTERNAL, also if the library fails while this waits. A child that fork made may open handles of its
 * own, whatever its parent had opened. ELECTION_FORKED in any other child of a process with handles: one that
 * shares its parent's memory (vfork), or that was made by _Fork or clone.
 */
int election_open(const char *hosts,
                  const election_options_t *options,
                  election_t **handle);

/**
 * Close a handle: resign everywhere, end the session, and forget the handle. Every candidate and observer gets
 * its last event before this returns; no callback runs afterwards. The function of an election_lead hears that
 * it should stop, and this waits until it has returned. It also waits for a running callback, and up to 2 s
 * for the server to confirm the end of the session. If another thread closes the handle at the same time,
 * this waits for that call and returns its answer.
 *
 * Returns ELECTION_OK; ELECTION_CONNECTIONLOSS if no server confirmed the end of the session: the handle is
 * closed all the same, and a znode of ours may stand until the session expires. Otherwise nothing has
 * happened: ELECTION_BAD_HANDLE; ELECTION_IN_CALLBACK in a callback of this handle, in a function of
 * election_lead on it, and in the function of the log; ELECTION_DEADLOCK if this is called in a callback, or a
 * function of election_lead, of another handle, which closes that handle and for which one of this handle
 * waits; ELECTION_FORKED in a child of the process that opened the handle; ELECTION_IN_HANDLER.
 */
int election_close(election_t *handle);

/**
 * Wait until everything that has ended on this handle has finished, but no longer than `timeout_ms` (1 to
 * 3,600,000). For each candidate that has resigned, and for each ended watch, the last callback has then
 * returned and free_ctx has run. Use it after election_resign or an election_unwatch_ function, before `ctx`
 * goes away. With ELECTION_DISPATCH_MANUAL and ELECTION_DISPATCH_LOOP this runs the callbacks that wait. It asks ZooKeeper nothing.
 *
 * Returns ELECTION_OK; ELECTION_OPERATIONTIMEOUT if a callback takes longer. Otherwise it has not waited:
 * ELECTION_BAD_HANDLE, ELECTION_BAD_TIMEOUT; ELECTION_IN_CALLBACK in a callback of this handle, whose end it
 * would wait for, and in the function of the log: give the work to free_ctx instead; ELECTION_DEADLOCK as
 * election_close.
 */
int election_wait_finished(election_t *handle,
                           int timeout_ms);

/**
 * Create options with the defaults: a session timeout of 10,000 ms; no connect timeout; ELECTION_RECIPE_NODE;
 * no grace delay; ELECTION_LEASE_COMMITTED; no lease margin; tick unknown; ELECTION_DISPATCH_THREAD; no
 * credentials; ELECTION_ACL_OPEN; no TLS; a frame limit of 4,194,304 bytes; no SASL. Free them with
 * election_options_free.
 */
election_options_t *election_options_new(void);

/** Free options. NULL is allowed. A handle that was opened with them keeps its own copy. */
void election_options_free(election_options_t *options);

/**
 * Set the session timeout: how long ZooKeeper keeps the znode of a master that it does not hear from, and so
 * how soon after the death of a master the next one comes. The range is 100 to 3,600,000 ms. The library asks
 * for at least 1,000 ms. The server moves the timeout into its own limits (2 to 20 ticks unless set; a tick is
 * 2 s by default). All servers of the ensemble must have the same limits.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_session_timeout_ms(election_options_t *options,
                                            int session_timeout_ms);

/**
 * Set how long election_open waits for the first connection, up to 3,600,000 ms. With 0, the default, it does
 * not wait: the library connects in the background.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_connect_timeout_ms(election_options_t *options,
                                            int connect_timeout_ms);

/**
 * Set the recipe of the elections on a handle: a number of election_recipe_t.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_RECIPE.
 */
int election_options_set_recipe(election_options_t *options, int recipe);

/**
 * Set who runs the callbacks: a number of election_dispatch_t.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_DISPATCH.
 */
int election_options_set_dispatch(election_options_t *options, int dispatch);

/**
 * Set how long an elected candidate waits before it becomes MASTER, so that work which the old master had
 * begun can end. During the delay its reason is ELECTION_REASON_GRACE. The range is 0, the default, to
 * 3,600,000 ms.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_grace_ms(election_options_t *options,
                                  int grace_ms);

/**
 * Set what proves the lease: a number of election_lease_mode_t.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_LEASE_MODE.
 */
int election_options_set_lease_mode(election_options_t *options, int lease_mode);

/**
 * Set by how much a lease ends sooner than safety asks for. The range is 0, the default, to 3,600,000 ms. With
 * more than about half of the session timeout no candidate becomes master.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_lease_margin_ms(election_options_t *options,
                                         int lease_margin_ms);

/**
 * Set the `tickTime` of the servers. It makes leases longer if it is much smaller than half of the session
 * timeout. A number that is too small makes leases unsafe. The range is 0, the default, for unknown, to
 * 3,600,000 ms.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TIMEOUT.
 */
int election_options_set_tick_ms(election_options_t *options,
                                 int tick_ms);

/**
 * Set how long a message of a server may be, in bytes. The range is 1,048,576 to 1,073,741,824; the default is
 * 4,194,304. A list of children is one message: the default holds the names of about 70,000 candidates of a queue.
 * If a server sends a longer message, the handle leaves the server, tells election_connect_failure and the log, and
 * tries the next one. While the handle reads a message, it needs a few times as much memory.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_FRAME_LIMIT.
 */
int election_options_set_frame_limit_bytes(election_options_t *options,
                                           int frame_limit_bytes);

/**
 * Add a credential, which the handle presents to the servers. `scheme` says what the `auth_len` bytes at
 * `auth` are: for "digest", "user:password". The library presents it on each new connection, before anything
 * else. The credential appears in no message of the library. It crosses the network as it is. A handle has up
 * to 16 credentials; scheme and bytes together have up to 65,536 bytes. The library overwrites its copies when
 * the options are freed and the handle is closed; the copies of the ZooKeeper client are freed by then, but
 * not overwritten.
 *
 * A server refuses the handle for good if it does not know the scheme, or requires a credential that was not
 * presented. Then election_open with a connect timeout returns ELECTION_AUTHFAILED, every candidate and
 * observer gets ELECTION_AUTHFAILED in its last event, and every call that needs a session returns it. A wrong
 * password for "digest" is different: each password makes another user, and a request that this user may not
 * make gets ELECTION_NOAUTH.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_AUTH if the scheme is NULL, empty or not UTF-8, if
 * `auth` is NULL and its length is not 0, if it is too long, or if there are too many.
 */
int election_options_add_auth(election_options_t *options,
                              const char *scheme,
                              const void *auth,
                              size_t auth_len);

/**
 * Set who may do what with the znodes that the library creates: a number of election_acl_t. It applies to the
 * znodes of candidates, to missing parents, to a missing chroot, and to znodes of election_fenced_create.
 * Existing znodes keep their lists. Entries of earlier calls of election_options_add_acl are removed.
 *
 * What ZooKeeper requires:
 *
 * - of a candidate: CREATE, and DELETE to resign, on the parent of its znode (in a queue, on `path`); READ on
 *   its own znode and on the master's (in a queue, on `path` and on its own);
 * - of an observer, and of election_members: READ on the master's znode (in a queue, on `path` and on the
 *   znodes in it).
 *
 * A client with DELETE on the parent can depose a master. Put elections below a znode of your own.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_ACL.
 */
int election_options_set_acl(election_options_t *options,
                             int acl);

/**
 * Add an entry to the list of election_options_set_acl: the clients that `scheme` and `id` name may do what
 * `permissions` says, the sum of ELECTION_PERM_READ and so on. ("world", "anyone") is everybody. ("digest",
 * "user:base64 of the SHA-1 of user:password") is a user. ("ip", "10.0.0.0/8") is a network. ("auth", "") is
 * each credential of this handle. The first entry replaces ELECTION_ACL_OPEN. A list has up to 16 entries;
 * `scheme` and `id` together have up to 1,024 bytes.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_ACL if `permissions` is 0 or has other bits, if
 * `scheme` or `id` is NULL, not UTF-8 or too long, if `scheme` is empty, or if there are too many entries. If
 * the servers refuse `scheme` or `id`, the candidates get ELECTION_INVALIDACL.
 */
int election_options_add_acl(election_options_t *options,
                             int permissions,
                             const char *scheme,
                             const char *id);

/**
 * Encrypt the connections of a handle by TLS 1.2 or 1.3. `files` is "ca,cert,key,password", the string of
 * zookeeper_init_ssl; each part may be empty or missing, and "" is enough for servers with a certificate of a
 * public authority. All files are PEM:
 *
 * - `ca`: the certificates of the authorities that are trusted; without it, those of the system;
 * - `cert`: our certificate, then those of its intermediate authorities, for servers that demand one;
 * - `key`: the key of that certificate, in PKCS#8, PKCS#1 or SEC1; without it, the key is in `cert`;
 * - `password`: opens an encrypted PKCS#8 key; it may have commas in it.
 *
 * The port in the connect string is then the server's `secureClientPort`. The library verifies that the
 * server's certificate comes from a trusted authority, has not expired, and is for the host that the connect
 * string names, by its subjectAltName. election_open looks at the files, and election_explain says what is
 * wrong with them. They are read anew for each new connection, on a thread of their own: a rotated certificate
 * needs no restart. If they cannot be used later on, election_connect_failure says so, and the library tries
 * again. The password and the key are overwritten when they are no longer used, and are in no core file; but the
 * TLS implementation keeps an RSA key without that care.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_TLS if `files` is NULL, not UTF-8, longer than
 * 16,384 bytes, or has a key without a certificate. So it does in a library that was built without TLS; there,
 * election_open refuses the options, too.
 */
int election_options_set_tls(election_options_t *options,
                             const char *files);

/**
 * Set whether a server's certificate must be for the host that the connect string names: 1, the default, or 0.
 * With 0, whoever has a certificate of a trusted authority can pose as any server. The rest of
 * the verification stays. Without election_options_set_tls this has no effect.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS, ELECTION_BAD_TLS.
 */
int election_options_set_tls_verify_host(election_options_t *options,
                                         int verify_host);

/**
 * Set a parameter of SASL, by which a client proves to the servers who it is. The names are those of
 * zoo_sasl_params_t and zoo_sasl_make_basic_callbacks:
 *
 * - "mechanism": "DIGEST-MD5", or "GSSAPI" for Kerberos. Without a mechanism there is no SASL. It must be the one of
 *   the servers' JAAS file;
 * - "user": who we are; for GSSAPI, the principal; without it, that of the ticket, or of the first key;
 * - "password_file", for DIGEST-MD5: the name of a file with the password in its first line, in UTF-8, up to 1,023 bytes;
 * - "realm", for DIGEST-MD5: which one to take if the servers offer several; without it, the first one;
 * - "keytab", for GSSAPI: the name of a file with keys, by which the library gets its tickets. They stay in memory;
 * - "ccache", for GSSAPI: the cache that has a ticket; without it and a keytab, the default cache;
 * - "service" and "host": the names that the servers go by; without them, "zookeeper" and "zk-sasl-md5", for GSSAPI
 *   the host in the connect string.
 *
 * An empty value takes a parameter back. On each new connection, nothing is asked before the end of SASL. The
 * password does not cross the network, but what follows is not protected: use election_options_set_tls for that.
 * Access control lists name such a client by the scheme "sasl" (election_options_add_acl).
 *
 * election_open looks at all parameters and at the file, and election_explain says what is wrong with them. The file
 * is read anew for each new connection, on a thread of its own: a changed password or ticket needs no restart. For
 * GSSAPI, election_open loads MIT's libgssapi_krb5.so.2. If a server
 * refuses us, the library tries the others, and all of them again after one or two seconds;
 * election_connect_failure says why. election_open with a connect timeout does not wait for that, and returns
 * ELECTION_AUTHFAILED. The library overwrites the password as soon as the exchange is over.
 *
 * Returns ELECTION_OK, ELECTION_BAD_OPTIONS; ELECTION_BAD_SASL if there is no such parameter or mechanism, if
 * `name` or `value` is NULL or not UTF-8, or if `value` is longer than 4,096 bytes or has a control character in
 * it.
 */
int election_options_set_sasl(election_options_t *options,
                              const char *name,
                              const char *value);

#ifndef ELECTION_NO_BARE_NAMES
/**
 * Stand as a candidate for master at `path`. The first candidate becomes master. When it resigns, closes, dies
 * or loses its session, another candidate becomes master. This goes on for ever, so call it once. On ZooKeeper
 * a candidate is one ephemeral znode with `value`: at `path` itself, as hand-rolled programs create it, so
 * that both can take part in one election; in a queue, below `path`. Missing parents are created.
 *
 * `value` is what the others learn of the master, for example its address: `value_len` bytes, which are
 * copied. If it is empty, `value` may be NULL. `on_role` receives each change of the role. It may be NULL;
 * election_is_master answers all the same. `ctx` is passed to `on_role`; `free_ctx` may be NULL.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened and `ctx` is
 * still yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE; ELECTION_ALREADY if this handle
 * stands at `path`; ELECTION_AUTHFAILED if the servers have refused the credentials of the handle.
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
 * Stand as a candidate for master at `path`. This is go_to_election, for programs that have a function of
 * their own with that name.
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
 * Change the value with which this handle stands at `path`: `value_len` bytes, which are copied. The present
 * znode gets it, and each later one, for example after an expired session. If the value is set again before
 * ZooKeeper has it, the last one counts. Observers and watchers of members get an event; with
 * ELECTION_RECIPE_NODE slaves do, too. The candidate itself gets none; its next ELECTION_MASTER event has the
 * new value. The mastership and its token do not change.
 *
 * If it cannot be done now, because the connection is broken or ZooKeeper refuses, the library does it later.
 * With ELECTION_RECIPE_NODE the library may change another contender's znode: one that was created at `path`
 * after somebody deleted ours, if its data version is the same and the library has not heard of it yet.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened:
 * ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE, ELECTION_NOT_THERE.
 */
int election_set_value(election_t *handle,
                       const char *path,
                       const void *value,
                       size_t value_len);

/**
 * Resign: stop standing at `path`. From now on election_is_master says no. The candidate gets its last event,
 * and the library deletes its znode, so that the next master comes at once. If no server can be reached, the
 * znode is deleted when one can, or when the session expires. If election_lead stands at `path`, its function
 * hears that it should stop, and election_lead resigns when the function has returned. go_to_election may be
 * called for the same path again at any time. The last event may come after this call has returned;
 * election_wait_finished waits for it.
 *
 * With ELECTION_RECIPE_NODE, if the connection breaks before ZooKeeper has answered the deletion, the session of
 * the handle ends, and its other masterships end too: they have the reason ELECTION_REASON_EXPIRED. The deletion
 * may otherwise be carried out late, and delete the next master's znode.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened:
 * ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_NOT_THERE.
 */
int election_resign(election_t *handle,
                    const char *path);

/**
 * Ask whether this handle is master at `path` now. The call compares the clock (CLOCK_BOOTTIME) with the end
 * of the lease, so a process that was stopped for longer gets no at its first call. It never waits, takes no
 * lock, and may be called from any thread as often as you like.
 *
 * Returns 1 for yes, and 0 for everything else: slave, unknown, not a candidate there, a bad handle or path.
 */
int election_is_master(const election_t *handle,
                       const char *path);

/**
 * Ask whether this handle is master at `path` now, and for how long. On yes, `*token` is the token, to be sent
 * along with each write, and `*left_ns` is how many nanoseconds from now the lease lasts if nothing more is
 * heard. Either may be NULL. Both are written only on yes.
 *
 * The process may be stopped for any time between the answer and what it does next. If that could do harm, let
 * the other side check the token, or use a fenced write.
 *
 * Returns 1 for yes, and 0 for everything else, as election_is_master.
 */
int election_lease(const election_t *handle,
                   const char *path,
                   int64_t *token,
                   int64_t *left_ns);

/**
 * Wait until the candidate at `path` has this role, a number of election_role_t, but no longer than
 * `timeout_ms` (1 to 3,600,000, or ELECTION_FOREVER). For programs without callbacks. May be called inside a
 * callback.
 *
 * Returns ELECTION_OK; ELECTION_OPERATIONTIMEOUT if the role did not come in time; ELECTION_NOT_THERE, also if
 * the candidate resigns or the handle is closed in the meantime; the `rc` of the candidate's last event if
 * that was ELECTION_REASON_DENIED, for example ELECTION_NOAUTH; ELECTION_INTERRUPTED. ELECTION_BAD_HANDLE,
 * ELECTION_BAD_PATH, ELECTION_BAD_ROLE, ELECTION_BAD_TIMEOUT.
 */
int election_wait(election_t *handle,
                  const char *path,
                  int role,
                  int timeout_ms);

/**
 * Lead: stand at `path` with `value`, as go_to_election does, wait for mastership, call `function` on the calling thread
 * while master, and resign when `function` has returned. This is the simplest way to write a daemon: a handler of SIGTERM calls
 * election_interrupt, and the program calls election_lead again while it returns ELECTION_LEADERSHIP_LOST.
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
 * Ask whether the function of election_lead should stop its work and return. Never waits, and may be called from any thread.
 * Once it should stop, that stays so. With ELECTION_DISPATCH_LOOP this does the work of the session that is due: a function
 * that neither asks nor waits by election_wait_stop for a quarter of the session timeout may lose the lease.
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
 * Watch who is master at `path`, without standing. `on_master` receives an event at once, and then one for
 * each change: another master, another value, no master, nobody can tell. A master that comes and goes within
 * a round trip may go unseen. In a new session, a server that lags behind may report an older master first;
 * the larger token is the newer one. Standing and watching at the same path are independent. `ctx` is passed
 * to `on_master`; `free_ctx` may be NULL.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened and `ctx` is
 * still yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH; ELECTION_BAD_CALLBACK if `on_master` is NULL;
 * ELECTION_ALREADY if this handle watches `path`.
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
 * Watch who is master at `path`. This is watch_master, for programs that have a function of their own with
 * that name.
 *
 * Returns as watch_master.
 */
int election_watch_master(election_t *handle,
                          const char *path,
                          election_master_fn on_master,
                          void *ctx,
                          election_free_fn free_ctx);

/**
 * Stop watching at `path`. A callback that runs or waits may still come, and then free_ctx;
 * election_wait_finished waits for both.
 *
 * Returns ELECTION_OK, at once. Otherwise nothing has happened: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
 * ELECTION_NOT_THERE.
 */
int election_unwatch_master(election_t *handle,
                            const char *path);

/**
 * Watch who stands at `path`, in order and with values, without standing. With ELECTION_RECIPE_NODE that is
 * the master alone; in a queue it is every candidate. `on_members` receives an event at once, and then one for
 * each change: a member comes, goes, or changes its value. Changes that come together may be reported
 * together. If fewer than `enough` stand, and when enough stand again, the event has an alarm; `enough` 0
 * means no alarm. A znode that belongs to no session (`session_id` 0) is listed, but does not count. `ctx` is
 * passed to `on_members`; `free_ctx` may be NULL.
 *
 * It costs ZooKeeper one watch for each member, and one more. Each change costs a read; a member that comes or
 * goes costs a list as well. A program that needs only the master calls watch_master.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Otherwise nothing has happened and `ctx` is
 * still yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH; ELECTION_BAD_COUNT if `enough` is negative;
 * ELECTION_BAD_CALLBACK if `on_members` is NULL; ELECTION_ALREADY if this handle watches the members at
 * `path`.
 */
int election_watch_members(election_t *handle,
                           const char *path,
                           int enough,
                           election_members_fn on_members,
                           void *ctx,
                           election_free_fn free_ctx);

/**
 * Stop watching the members at `path`. A callback that runs or waits may still come, and then free_ctx;
 * election_wait_finished waits for both.
 *
 * Returns ELECTION_OK, at once. Otherwise nothing has happened: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
 * ELECTION_NOT_THERE.
 */
int election_unwatch_members(election_t *handle,
                             const char *path);

/**
 * Ask once who is master at `path`. On success `on_master` has been called once, on the calling thread, with
 * the event that watch_master would report; its `rc` is ELECTION_NONODE if there is no master. The call waits
 * for the answer, up to `timeout_ms` (1 to 3,600,000). May be called inside a callback. A program that asks
 * often uses watch_master instead.
 *
 * Returns ELECTION_OK. Otherwise `on_master` was not called: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
 * ELECTION_BAD_CALLBACK, ELECTION_BAD_TIMEOUT; ELECTION_CONNECTIONLOSS if there is no connection or it broke;
 * ELECTION_OPERATIONTIMEOUT; ELECTION_INTERRUPTED; ELECTION_NOAUTH and other numbers of ZooKeeper's if it
 * refused.
 */
int election_get_master(election_t *handle,
                        const char *path,
                        election_master_fn on_master,
                        void *ctx,
                        int timeout_ms);

/**
 * Ask once who stands at `path`. `on_member` is called for each member, the master first, on the calling
 * thread, before this returns. With ELECTION_RECIPE_NODE there is one member at most. The call waits for the
 * answer, up to `timeout_ms` (1 to 3,600,000). May be called inside a callback.
 *
 * Returns ELECTION_OK. Otherwise `on_member` was not called: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH,
 * ELECTION_BAD_CALLBACK, ELECTION_BAD_TIMEOUT; ELECTION_CONNECTIONLOSS if there is no connection or it broke;
 * ELECTION_OPERATIONTIMEOUT; ELECTION_INTERRUPTED; ELECTION_NOAUTH and other numbers of ZooKeeper's if it
 * refused.
 */
int election_members(election_t *handle,
                     const char *path,
                     election_member_fn on_member,
                     void *ctx,
                     int timeout_ms);

/**
 * Get a descriptor that is readable while election_dispatch has something to do, for poll, epoll or an event
 * loop. It may be readable without a callback; then election_dispatch returns 0. The descriptor belongs to the
 * handle: do not read, write or close it, and forget it before election_close. It stays the same over
 * reconnects. If the program has closed it all the same, call election_dispatch, and then this for another one.
 *
 * Returns the descriptor, 0 or larger; ELECTION_BAD_HANDLE; ELECTION_NOT_MANUAL unless the handle was opened
 * with ELECTION_DISPATCH_MANUAL or ELECTION_DISPATCH_LOOP; ELECTION_NO_RESOURCES if the descriptors were closed
 * and the process can open no others.
 */
int election_fd(election_t *handle);

/**
 * Run the callbacks that wait, on the calling thread. If none waits, wait for one, up to `timeout_ms`: 0, not
 * to wait, to 3,600,000, or ELECTION_FOREVER. election_close runs the last callbacks by itself.
 *
 * With ELECTION_DISPATCH_LOOP this first does what is due for the session: it reads and writes the socket, and
 * takes decisions. No thread of the library does that. So:
 *
 * - Call this whenever election_fd is readable. While the program makes no call, the library sends and hears
 *   nothing. A master that stays away loses its lease; election_is_master then returns 0, because it decides by
 *   the clock. A master that comes back within an eighth of the session timeout loses nothing.
 * - A callback that blocks delays the session as well.
 * - A call that waits (election_wait, election_lead, election_members, a fenced write, election_close and so on)
 *   does the work itself meanwhile. It runs no callback, but for election_wait_finished and election_close. It
 *   may be made in a callback and from any thread, as with the other ways. election_should_stop does what is
 *   due, too.
 * - Any thread may call any function. If several wait, one of them does the work for all.
 * - When election_close has returned, nothing of the handle is left. If no server confirmed the end of the
 *   session, nobody tries again later: the session expires.
 *
 * Returns how many events and ends of events were passed on, 0 or more; 0 at once while another thread
 * dispatches. ELECTION_INTERRUPTED if no callback was waiting; ELECTION_BAD_HANDLE, ELECTION_BAD_TIMEOUT,
 * ELECTION_IN_CALLBACK; ELECTION_NOT_MANUAL unless the handle was opened with ELECTION_DISPATCH_MANUAL or
 * ELECTION_DISPATCH_LOOP.
 */
int election_dispatch(election_t *handle,
                      int timeout_ms);

/**
 * Create a persistent znode at `target` if our znode at `path` exists, both in one transaction: a write to
 * ZooKeeper that an old master cannot make. `path` is the path of the election. Parents of `target` are not
 * created. Before the grace delay is over nothing is written. The call waits for the answer, up to
 * `timeout_ms` (1 to 3,600,000). May be called inside a callback.
 *
 * With ELECTION_RECIPE_NODE, another contender's znode counts as ours if it was created at `path` after
 * somebody deleted ours and the library has not heard of it yet. In a queue it does not.
 *
 * A write with unknown outcome may still be applied later, but never after another contender has become
 * master. For this, with ELECTION_RECIPE_NODE, the handle opens a new session after such a mastership. It
 * keeps the session while it leads at other paths. If a late write may do harm, use one handle for each
 * election, or a queue.
 *
 * Returns ELECTION_OK. Otherwise nothing was written: ELECTION_NOT_MASTER if this handle is not master at
 * `path`; ELECTION_NODEEXISTS, ELECTION_NONODE (no parent) and other numbers of ZooKeeper's if it refused the
 * write; ELECTION_BAD_HANDLE, ELECTION_BAD_PATH (for either), ELECTION_BAD_VALUE, ELECTION_BAD_TIMEOUT. The
 * outcome is unknown: ELECTION_CONNECTIONLOSS, ELECTION_OPERATIONTIMEOUT, ELECTION_INTERRUPTED.
 */
int election_fenced_create(election_t *handle,
                           const char *path,
                           const char *target,
                           const void *value,
                           size_t value_len,
                           int timeout_ms);

/**
 * Set the value of the znode at `target` if our znode at `path` exists, both in one transaction. `version` is
 * the data version that the znode at `target` must have, or -1 for any. The rest is as for
 * election_fenced_create.
 *
 * Returns as election_fenced_create; ELECTION_NONODE if there is no znode at `target`, ELECTION_BADVERSION if
 * it has another version.
 */
int election_fenced_set(election_t *handle,
                        const char *path,
                        const char *target,
                        const void *value,
                        size_t value_len,
                        int version,
                        int timeout_ms);

/**
 * Delete the znode at `target` if our znode at `path` exists, both in one transaction. `version` is the data
 * version that the znode at `target` must have, or -1 for any. The rest is as for election_fenced_create.
 *
 * Returns as election_fenced_create; ELECTION_NONODE if there is no znode at `target`, ELECTION_BADVERSION if
 * it has another version, ELECTION_NOTEMPTY if it has children.
 */
int election_fenced_delete(election_t *handle,
                           const char *path,
                           const char *target,
                           int version,
                           int timeout_ms);

/**
 * Create a verifier of tokens, for the side that a master writes to: a storage node, a device, a payment gate.
 * Use one for each election. It starts from `highest`: the highest token that was seen before and stored, or
 * 0. Any number of threads may use it at the same time. Free it with election_verifier_free.
 */
election_verifier_t *election_verifier_new(int64_t highest);

/** Free a verifier. NULL is allowed. No other call on it may be running. */
void election_verifier_free(election_verifier_t *verifier);

/**
 * Decide whether a write with `token` may be taken, and remember the token if so.
 *
 * Returns ELECTION_OK; ELECTION_STALE_TOKEN if a larger token was seen or `token` is not positive: refuse the
 * write, because it comes from an old master. ELECTION_BAD_VERIFIER if `verifier` is NULL.
 */
int election_verifier_admit(const election_verifier_t *verifier,
                            int64_t token);

/** Get the highest token that a verifier has seen, to be stored with what was written. 0 if `verifier` is NULL. */
int64_t election_verifier_highest(const election_verifier_t *verifier);

/**
 * Set the log of this process, as zoo_set_debug_level and zoo_set_log_callback do. `log_fn` receives each
 * record of `level`, a number of election_log_level_t, and of the levels before it, from all handles. The log
 * is off until the first call. ELECTION_LOG_OFF turns it off; `log_fn` may then be NULL. `ctx` is passed to
 * `log_fn`; `free_ctx` may be NULL.
 *
 * `log_fn` runs on the log's own thread, one record at a time, in order, with the signal mask of the thread
 * that called election_set_log. It may block; that delays only the log. If 1,000 records wait, a new one is
 * dropped, and the next record says how many were. `log_fn` may call everything but election_close
 * (ELECTION_IN_CALLBACK).
 *
 * A new call replaces the former one: the former `log_fn` receives the records that wait, then its free_ctx
 * runs, then this returns. (Inside `log_fn` it returns at once, and free_ctx runs after `log_fn` has
 * returned.) So set ELECTION_LOG_OFF before anything that `log_fn` uses goes away, at the latest at the end of
 * main. A child of this process has no log until it sets its own, and free_ctx does not run there.
 *
 * Returns ELECTION_OK. Otherwise nothing has happened and `ctx` is still yours: ELECTION_BAD_LEVEL;
 * ELECTION_BAD_CALLBACK if `log_fn` is NULL and the level is not ELECTION_LOG_OFF; ELECTION_NO_RESOURCES.
 */
int election_set_log(int level,
                     election_log_fn log_fn,
                     void *ctx,
                     election_free_fn free_ctx);

/**
 * Watch the connection of a handle to ZooKeeper. `on_connection` receives an event at once, and then one for
 * each change, in order with the other callbacks of the handle. An election does not need this: its own events
 * say what a break means for it. `ctx` is passed to `on_connection`; `free_ctx` may be NULL.
 *
 * Returns ELECTION_OK, at once. Otherwise nothing has happened and `ctx` is still yours: ELECTION_BAD_HANDLE;
 * ELECTION_BAD_CALLBACK if `on_connection` is NULL; ELECTION_ALREADY if the connection of the handle is
 * watched.
 */
int election_watch_connection(election_t *handle,
                              election_connection_fn on_connection,
                              void *ctx,
                              election_free_fn free_ctx);

/**
 * Stop watching the connection. A callback that runs or waits may still come, and then free_ctx;
 * election_wait_finished waits for both.
 *
 * Returns ELECTION_OK, at once. Otherwise nothing has happened: ELECTION_BAD_HANDLE, ELECTION_NOT_THERE.
 */
int election_unwatch_connection(election_t *handle);

/**
 * Get a sentence on why a handle has no connection to ZooKeeper: for each server its host, its address and the
 * cause, for example "connection refused by zk1:2181 (10.0.0.7); no such host zk9". While there is a
 * connection, the sentence is about the last time without one; it is empty if there was no such time. The
 * library looks for the cause after a third of a second without a connection, and again every few seconds. The
 * call never waits.
 *
 * Writes as much as fits into `text`, which has `size` bytes, and a 0 byte. 1,024 bytes are enough for most.
 *
 * Returns ELECTION_OK. Otherwise nothing is written: ELECTION_BAD_HANDLE, ELECTION_BAD_RESULT;
 * ELECTION_BAD_SIZE if `size` is 0.
 */
int election_connect_failure(election_t *handle,
                             char *text,
                             size_t size);

/**
 * Get the counters of a handle. Each number only rises, except the last and the longest times. The call never
 * waits.
 *
 * `counters->size` says how large the caller's struct is. A program that was built with an older header gets
 * the fields that it knows. A program that was built with a newer header than the library gets 0 in the fields
 * that the library does not know, and `size` says how much is known.
 *
 * Returns ELECTION_OK. Otherwise nothing is written: ELECTION_BAD_HANDLE, ELECTION_BAD_RESULT;
 * ELECTION_BAD_SIZE if `size` is smaller than the first version of the struct, or larger than 4,096.
 */
int election_counters(election_t *handle,
                      election_counters_t *counters);

/**
 * Describe a handle: its options, connection and session; each candidate and observer with the state of its
 * state machine; the lease with its arithmetic; the requests without an answer; the counters; and the last 64
 * transitions with their times, tokens and reasons. `format` is a number of election_dump_format_t. A dump
 * contains no credentials. Of a value it contains the first 256 bytes.
 *
 * Only the I/O thread knows most of this, so the call waits for it, for one second at most. Then it describes
 * what it can. May be called inside a callback.
 *
 * Returns ELECTION_OK, and `*dump` is a string; free it with election_dump_free. Otherwise `*dump` is not
 * written: ELECTION_BAD_HANDLE, ELECTION_BAD_FORMAT, ELECTION_BAD_RESULT.
 */
int election_dump(election_t *handle,
                  int format,
                  char **dump);

/** Free the string of election_dump. NULL is allowed. */
void election_dump_free(char *dump);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ELECTION_H */
