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
 *   only on success. Nothing is ever printed, no signal handler installed, no environment variable read.
 * - It may be called from any thread, and from inside a callback, election_close excepted.
 * - Strings are UTF-8, end with a 0 byte and are copied; times are in milliseconds.
 *
 * What holds for every callback:
 *
 * - Callbacks of one handle run one at a time, in order, on a thread of the handle's own that has all signals
 *   blocked; no lock of the library is held. One that takes long delays the callbacks after it and nothing
 *   else; it must return normally (no longjmp, no C++ exception).
 * - After MASTER comes its end (SLAVE or UNKNOWN) before another MASTER at that path.
 * - free_ctx, if given, runs exactly once for each call that returned ELECTION_OK, after the last callback.
 *
 * Made by cbindgen from src/ffi.rs. Edit that file, not this one.
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
     * is back.
     */
    ELECTION_REASON_SUSPENDED = 2,
    /** UNKNOWN: the session is over, and our znode with it. The place is contended for in a new session. */
    ELECTION_REASON_EXPIRED = 3,
    /** UNKNOWN: somebody deleted our znode. The place is contended for anew. */
    ELECTION_REASON_DELETED = 4,
    /** UNKNOWN: ZooKeeper refused a request, `rc` says why. It is asked again every few seconds. */
    ELECTION_REASON_REFUSED = 5,
    /** UNKNOWN: a znode that is not ephemeral stands at the path. It is watched until it goes. */
    ELECTION_REASON_BLOCKED = 6,
    /** UNKNOWN: election_resign was called. The last event of this candidate. */
    ELECTION_REASON_RESIGNED = 7,
    /** UNKNOWN: election_close was called. The last event of this candidate. */
    ELECTION_REASON_CLOSED = 8,
    /** UNKNOWN: the library failed. The last event of this candidate. */
    ELECTION_REASON_FAILED = 9,
} election_reason_t;

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
    /** An ephemeral znode stands where a parent of the path should be. */
    ELECTION_NOCHILDRENFOREPHEMERALS = -108,
    /** Another contender's znode stands at the path: slave. */
    ELECTION_NODEEXISTS = -110,
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
} election_rc_t;

/** What election_open is told beyond the hosts. Opaque; it belongs to one thread at a time. */
typedef struct election_options_t election_options_t;

/**
 * One session with ZooKeeper, and the elections on it. A handle is a number in the clothes of a pointer: the
 * library never follows it, so one that is closed or was never opened is told by ELECTION_BAD_HANDLE.
 */
typedef struct election_t election_t;

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
     * The value of the master, our own when that is us; empty, never NULL, when nobody knows it. A 0 byte
     * that `value_len` does not count follows it, so that text can be printed with %s.
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

/** Hears the role of a candidate. Runs on the handle's callback thread. */
typedef void (*election_role_fn)(const election_event_t *event, void *ctx);

/** Frees a ctx. Runs exactly once, on the handle's callback thread, after the last callback that gets the ctx. */
typedef void (*election_free_fn)(void *ctx);

/**
 * What an observer is told, whenever the master or its value changes. It and what it points to live until the
 * callback returns. Later versions may add fields at the end; `size` says how much is there.
 */
typedef struct election_master_t {
    /** The size of this struct in bytes, as the library knows it. */
    size_t size;
    /** The path, as watch_master was given it. */
    const char *path;
    /**
     * ELECTION_OK: there is a master. ELECTION_NONODE: there is none. Else why nobody can tell;
     * ELECTION_CLOSING is the last one.
     */
    int rc;
    /**
     * The master's value; empty, never NULL, unless `rc` is ELECTION_OK. A 0 byte that `value_len` does not
     * count follows it.
     */
    const char *value;
    /** The length of the value in bytes. */
    size_t value_len;
    /**
     * The master's token (the czxid of its znode): larger for each later master at this path. 0 unless `rc`
     * is ELECTION_OK.
     */
    int64_t token;
    /** The master's session; 0 when `rc` is not ELECTION_OK, or when the znode is not ephemeral. */
    int64_t session_id;
    /**
     * Since when it is master: milliseconds since 1970 on the clock of the ZooKeeper leader. 0 unless `rc` is
     * ELECTION_OK.
     */
    int64_t since_ms;
} election_master_t;

/** Hears who is master. Runs on the handle's callback thread. */
typedef void (*election_master_fn)(const election_master_t *master, void *ctx);

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
 * Make options with the defaults: a session timeout of 10,000 ms, and no wait for the first connection.
 * Free them with election_options_free. NULL when there is no memory.
 */
election_options_t *election_options_new(void);

/** Free options. NULL is allowed. Handles that were opened with them are not affected. */
void election_options_free(election_options_t *options);

/**
 * Set the session timeout: for how long ZooKeeper keeps the znode of a master it does not hear from, and so
 * how long after the death of a master the next one comes. 100 to 3,600,000 ms; the server moves it into its
 * own limits (by default 2 to 20 of its ticks of 2 s).
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
 * Open a session with ZooKeeper. `hosts` is "host:port,host:port,.../chroot": the port may be left out (2181),
 * an IPv6 address stands in brackets, the chroot is optional and made when it is missing. The servers are
 * tried in random order, host names are looked up anew for each attempt. `options` may be NULL for the
 * defaults; they are copied.
 *
 * Without a connect timeout in the options this returns at once; a server that cannot be reached is then told
 * to the candidates and observers as ELECTION_CONNECTIONLOSS, and tried for ever.
 *
 * Returns ELECTION_OK, and `*handle` is to be closed with election_close. Else nothing was opened, and
 * `*handle` is untouched: ELECTION_BAD_HOSTS, ELECTION_BAD_RESULT; ELECTION_OPERATIONTIMEOUT when the connect
 * timeout passed without a connection; ELECTION_NO_RESOURCES.
 */
int election_open(const char *hosts,
                  const election_options_t *options,
                  election_t **handle);

/**
 * Close a handle: resign everywhere, end the session, and forget the handle. Every candidate and observer
 * hears of it, as its last event, before this returns; no callback runs afterwards. Waits for a callback that
 * is running, and up to 2 s for the server to confirm the end of the session.
 *
 * Returns ELECTION_OK; ELECTION_CONNECTIONLOSS when no server confirmed the end of the session: the handle is
 * closed all the same, a znode of ours may stand until the session expires. ELECTION_BAD_HANDLE, or
 * ELECTION_IN_CALLBACK when called from a callback of this handle: nothing happened.
 */
int election_close(election_t *handle);

/**
 * Stand as a candidate for master at `path`. The first to stand becomes master; when it resigns, closes, dies
 * or loses its session, another candidate does, by itself and for ever: call this once. On ZooKeeper it is
 * one ephemeral znode at `path` with `value`, made as hand-rolled programs make it, so both can take part in
 * one election. Parents are made when they are missing.
 *
 * `value`, `value_len` bytes that are copied, is what the others get to know of the master: its address, say.
 * It may be empty, and then `value` NULL. `on_role` hears each change of the role and may be NULL;
 * election_is_master answers all the same. `ctx` is handed to `on_role`; `free_ctx` may be NULL.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened, and `ctx` is still
 * yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_VALUE, ELECTION_ALREADY when this handle stands
 * for `path`.
 */
int go_to_election(election_t *handle,
                   const char *path,
                   const void *value,
                   size_t value_len,
                   election_role_fn on_role,
                   void *ctx,
                   election_free_fn free_ctx);

/**
 * Resign: stop standing at `path`. From here on election_is_master says no; the candidate hears that it
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
 * Ask whether this handle is master at `path` now. Never waits, takes no lock, and may be called from any
 * thread as often as one likes.
 *
 * Returns 1 for yes, and 0 for everything else: slave, unknown, not standing there, a bad handle or path.
 */
int election_is_master(const election_t *handle,
                       const char *path);

/**
 * Watch who is master at `path`, without standing. `on_master` hears at once who is, and then of each change:
 * another master, another value, none, cannot tell. Standing and watching at the same path are independent.
 * `ctx` is handed to `on_master`; `free_ctx` may be NULL.
 *
 * Returns ELECTION_OK, at once and without waiting for ZooKeeper. Else nothing happened, and `ctx` is still
 * yours: ELECTION_BAD_HANDLE, ELECTION_BAD_PATH, ELECTION_BAD_CALLBACK when `on_master` is NULL,
 * ELECTION_ALREADY when this handle watches `path`.
 */
int watch_master(election_t *handle,
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

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ELECTION_H */
