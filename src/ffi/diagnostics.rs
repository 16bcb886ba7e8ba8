//! Diagnostics: the log, the connection, the counters, and the dump of a handle.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::mem::{offset_of, size_of};

use super::border::{self, answer, guard, Callback};
use super::types::*;
use crate::handle::{listen_to_log, Connection, ConnectionState, Counters, Error, Format, LogLevel, LogRecord};

/// How important a record of the log is. Each level includes those before it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_log_level_t {
    /// No records.
    ELECTION_LOG_OFF = 0,
    /// A candidate or a whole handle has ended: ZooKeeper refuses it for good, or the library failed.
    ELECTION_LOG_ERROR = 1,
    /// A problem: no connection and its cause, a lease that has ended and its arithmetic, a refusal.
    ELECTION_LOG_WARN = 2,
    /// Normal events: connections, roles.
    ELECTION_LOG_INFO = 3,
    /// Each request and each answer, and the log of the ZooKeeper client.
    ELECTION_LOG_DEBUG = 4,
}

/// One record of the log. The record and everything it points to live until the callback returns. Later
/// versions may add fields at the end; `size` says how much is there.
#[repr(C)]
pub struct election_log_t {
    /// The size of this struct in bytes, as the library knows it.
    pub size: usize,
    /// How important it is.
    pub level: election_log_level_t,
    /// One line without a line end: UTF-8, with control characters escaped. It contains paths and host names,
    /// but no credentials and no values of znodes.
    pub message: *const c_char,
    /// The path of the election that the record is about; NULL for none.
    pub path: *const c_char,
    /// The handle that the record is about, which may be closed by now; NULL for none.
    pub handle: *mut election_t,
    /// The session of that handle at that time; 0 for none.
    pub session_id: i64,
    /// The time: milliseconds since 1970 on the system's clock.
    pub at_ms: i64,
}

/// The state of the connection of a handle.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_connection_state_t {
    /// There is no session. The library looks for a server. `rc` and `cause` say what is wrong, if anything is.
    ELECTION_CONNECTING = 0,
    /// There is a session, and a connection to a server.
    ELECTION_CONNECTED = 1,
    /// The connection is broken. The session may live on, and a master stays master while its lease lasts.
    ELECTION_SUSPENDED = 2,
    /// The session is over, and all its znodes are gone. ELECTION_CONNECTING follows at once.
    ELECTION_EXPIRED = 3,
    /// The last state: the handle is closed (ELECTION_CLOSING), its credentials were refused
    /// (ELECTION_AUTHFAILED), or the library failed (ELECTION_INTERNAL).
    ELECTION_CLOSED = 4,
}

/// The event of a watcher of the connection: its state or the cause has changed. The event and everything it
/// points to live until the callback returns. Later versions may add fields at the end; `size` says how much is
/// there.
#[repr(C)]
pub struct election_connection_t {
    /// The size of this struct in bytes, as the library knows it.
    pub size: usize,
    /// The state.
    pub state: election_connection_state_t,
    /// ELECTION_OK if nothing is wrong; else the error.
    pub rc: c_int,
    /// The session; 0 while there is none. With ELECTION_EXPIRED, the session that is over.
    pub session_id: i64,
    /// The session timeout that the server granted, in milliseconds; 0 while there is no session.
    pub session_timeout_ms: i64,
    /// Why there is no connection, as a sentence: for each server its host, its address and the cause. NULL
    /// while nothing is wrong, or nobody knows the cause yet. The event is repeated, with the same state, when
    /// the cause changes.
    pub cause: *const c_char,
}

/// What a handle has done since it was opened. Later versions may add fields at the end.
#[repr(C)]
pub struct election_counters_t {
    /// Set it to `sizeof(election_counters_t)` before the call.
    pub size: usize,
    /// Connections on which a session was opened or resumed.
    pub connections: u64,
    /// Rounds through all servers in which none of them gave a session.
    pub connect_failures: u64,
    /// Connections that broke while the session lived.
    pub suspensions: u64,
    /// Sessions that were opened.
    pub sessions_opened: u64,
    /// Sessions that were over before the handle was closed.
    pub sessions_expired: u64,
    /// Sessions that held nothing and were replaced after a second without a connection.
    pub sessions_renewed: u64,
    /// Requests of every kind: answered, unknown, or without an answer so far.
    pub requests_sent: u64,
    /// Requests that a server answered, with success or with an error.
    pub requests_answered: u64,
    /// Requests whose answer never came.
    pub requests_unknown: u64,
    /// Requests that create znodes, parents included.
    pub creates: u64,
    /// Requests that delete znodes.
    pub deletes: u64,
    /// Requests that set the value of our znode.
    pub sets: u64,
    /// Reads, questions and lists.
    pub reads: u64,
    /// Requests from which the lease may count (`sync`). They need no quorum.
    pub touches: u64,
    /// Proofs of the lease that were sent.
    pub proofs_sent: u64,
    /// Proofs of the lease that a quorum committed.
    pub proofs_committed: u64,
    /// How long the last answered proof took, from sending to its answer, in microseconds.
    pub proof_last_us: u64,
    /// The longest time that a proof took, in microseconds.
    pub proof_longest_us: u64,
    /// Fenced writes.
    pub fenced_writes: u64,
    /// Watches that fired.
    pub watches_fired: u64,
    /// Masterships that began.
    pub masterships_begun: u64,
    /// Masterships that ended.
    pub masterships_ended: u64,
    /// Masterships that ended because their lease did.
    pub leases_expired: u64,
    /// Callbacks that ran.
    pub callbacks_run: u64,
    /// How long the longest callback took, in microseconds.
    pub callback_longest_us: u64,
}

/// How election_dump writes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum election_dump_format_t {
    /// For people: indented lines, which may change with every version.
    ELECTION_DUMP_TEXT = 0,
    /// For programs: one JSON object. Later versions may add names; those that there are keep their meaning.
    ELECTION_DUMP_JSON = 1,
}

/// Receives each record of the log. Runs on the log's own thread.
pub type election_log_fn = Option<unsafe extern "C" fn(record: *const election_log_t, ctx: *mut c_void)>;

/// Receives each event of the connection. Runs on the callback thread of the handle, or inside
/// election_dispatch.
pub type election_connection_fn =
    Option<unsafe extern "C" fn(connection: *const election_connection_t, ctx: *mut c_void)>;

/// Set the log of this process, as zoo_set_debug_level and zoo_set_log_callback do. `log_fn` receives each
/// record of `level`, a number of election_log_level_t, and of the levels before it, from all handles. The log
/// is off until the first call. ELECTION_LOG_OFF turns it off; `log_fn` may then be NULL. `ctx` is passed to
/// `log_fn`; `free_ctx` may be NULL.
///
/// `log_fn` runs on the log's own thread, one record at a time, in order, with the signal mask of the thread
/// that called election_set_log. It may block; that delays only the log. If 1,000 records wait, a new one is
/// dropped, and the next record says how many were. `log_fn` may call everything but election_close
/// (ELECTION_IN_CALLBACK).
///
/// A new call replaces the former one: the former `log_fn` receives the records that wait, then its free_ctx
/// runs, then this returns. (Inside `log_fn` it returns at once, and free_ctx runs after `log_fn` has
/// returned.) So set ELECTION_LOG_OFF before anything that `log_fn` uses goes away, at the latest at the end of
/// main. A child of this process has no log until it sets its own, and free_ctx does not run there.
///
/// Returns ELECTION_OK. Otherwise nothing has happened and `ctx` is still yours: ELECTION_BAD_LEVEL;
/// ELECTION_BAD_CALLBACK if `log_fn` is NULL and the level is not ELECTION_LOG_OFF; ELECTION_NO_RESOURCES.
#[no_mangle]
pub unsafe extern "C" fn election_set_log(
    level: c_int,
    log_fn: election_log_fn,
    ctx: *mut c_void,
    free_ctx: election_free_fn,
) -> c_int {
    answer(|| {
        let level = log_level(level).ok_or(Error::BadLevel)?;
        if level != LogLevel::Off && log_fn.is_none() {
            return Err(Error::BadCallback);
        }
        border::check_memory()?;
        listen_to_log(level, || {
            let callback = Callback::new(log_fn, ctx, free_ctx);
            Box::new(move |record| callback.call(|log_fn, ctx| show_record(record, |c| unsafe { log_fn(c, ctx) })))
        })
    })
}

/// Watch the connection of a handle to ZooKeeper. `on_connection` receives an event at once, and then one for
/// each change, in order with the other callbacks of the handle. An election does not need this: its own events
/// say what a break means for it. `ctx` is passed to `on_connection`; `free_ctx` may be NULL.
///
/// Returns ELECTION_OK, at once. Otherwise nothing has happened and `ctx` is still yours: ELECTION_BAD_HANDLE;
/// ELECTION_BAD_CALLBACK if `on_connection` is NULL; ELECTION_ALREADY if the connection of the handle is
/// watched.
#[no_mangle]
pub unsafe extern "C" fn election_watch_connection(
    handle: *mut election_t,
    on_connection: election_connection_fn,
    ctx: *mut c_void,
    free_ctx: election_free_fn,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        if on_connection.is_none() {
            return Err(Error::BadCallback);
        }
        election.observe_connection(|| {
            let callback = Callback::new(on_connection, ctx, free_ctx);
            Box::new(move |connection| {
                // Only text from a server could contain a 0 byte, and that text is escaped.
                let cause = connection.cause.as_deref().map(|cause| CString::new(cause).unwrap_or_default());
                let c = c_connection(connection, cause.as_deref());
                callback.call(|connection_fn, ctx| unsafe { connection_fn(&c, ctx) });
            })
        })
    })
}

/// Stop watching the connection. A callback that runs or waits may still come, and then free_ctx;
/// election_wait_finished waits for both.
///
/// Returns ELECTION_OK, at once. Otherwise nothing has happened: ELECTION_BAD_HANDLE, ELECTION_NOT_THERE.
#[no_mangle]
pub unsafe extern "C" fn election_unwatch_connection(handle: *mut election_t) -> c_int {
    answer(|| border::find(handle)?.unwatch_connection())
}

/// Get a sentence on why a handle has no connection to ZooKeeper: for each server its host, its address and the
/// cause, for example "connection refused by zk1:2181 (10.0.0.7); no such host zk9". While there is a
/// connection, the sentence is about the last time without one; it is empty if there was no such time. The
/// library looks for the cause after a third of a second without a connection, and again every few seconds. The
/// call never waits.
///
/// Writes as much as fits into `text`, which has `size` bytes, and a 0 byte. 1,024 bytes are enough for most.
///
/// Returns ELECTION_OK. Otherwise nothing is written: ELECTION_BAD_HANDLE, ELECTION_BAD_RESULT;
/// ELECTION_BAD_SIZE if `size` is 0.
#[no_mangle]
pub unsafe extern "C" fn election_connect_failure(
    handle: *mut election_t,
    text: *mut c_char,
    size: usize,
) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        if text.is_null() {
            return Err(Error::BadResult);
        }
        if size == 0 {
            return Err(Error::BadSize);
        }
        let failure = election.connect_failure()?;
        let failure = failure.as_deref().unwrap_or_default();
        let end = (0..size.min(failure.len() + 1)).rev().find(|end| failure.is_char_boundary(*end)).unwrap_or(0);
        // SAFETY: the caller says that `text` has `size` bytes, and `end` is less than that.
        unsafe {
            std::ptr::copy_nonoverlapping(failure.as_ptr(), text.cast(), end);
            text.add(end).write(0);
        }
        Ok(())
    })
}

/// Get the counters of a handle. Each number only rises, except the last and the longest times. The call never
/// waits.
///
/// `counters->size` says how large the caller's struct is. A program that was built with an older header gets
/// the fields that it knows. A program that was built with a newer header than the library gets 0 in the fields
/// that the library does not know, and `size` says how much is known.
///
/// Returns ELECTION_OK. Otherwise nothing is written: ELECTION_BAD_HANDLE, ELECTION_BAD_RESULT;
/// ELECTION_BAD_SIZE if `size` is smaller than the first version of the struct, or larger than 4,096.
#[no_mangle]
pub unsafe extern "C" fn election_counters(handle: *mut election_t, counters: *mut election_counters_t) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        if counters.is_null() {
            return Err(Error::BadResult);
        }
        let size = unsafe { (*counters).size };
        if !(COUNTERS_FIRST..=COUNTERS_LONGEST).contains(&size) {
            return Err(Error::BadSize);
        }
        let mut known = c_counters(&election.counters()?);
        let written = size.min(known.size);
        known.size = written;
        // SAFETY: the caller says that `counters` has `size` bytes. `written` is at most that, and at most the size of
        // `known`.
        unsafe {
            std::ptr::copy_nonoverlapping((&raw const known).cast::<u8>(), counters.cast::<u8>(), written);
            counters.cast::<u8>().add(written).write_bytes(0, size - written);
        }
        Ok(())
    })
}

/// Describe a handle: its options, connection and session; each candidate and observer with the state of its
/// state machine; the lease with its arithmetic; the requests without an answer; the counters; and the last 64
/// transitions with their times, tokens and reasons. `format` is a number of election_dump_format_t. A dump
/// contains no credentials. Of a value it contains the first 256 bytes.
///
/// Only the I/O thread knows most of this, so the call waits for it, for one second at most. Then it describes
/// what it can. May be called inside a callback.
///
/// Returns ELECTION_OK, and `*dump` is a string; free it with election_dump_free. Otherwise `*dump` is not
/// written: ELECTION_BAD_HANDLE, ELECTION_BAD_FORMAT, ELECTION_BAD_RESULT.
#[no_mangle]
pub unsafe extern "C" fn election_dump(handle: *mut election_t, format: c_int, dump: *mut *mut c_char) -> c_int {
    answer(|| {
        let election = border::find(handle)?;
        let format = dump_format(format).ok_or(Error::BadFormat)?;
        if dump.is_null() {
            return Err(Error::BadResult);
        }
        // Both formats escape 0 bytes.
        let text = CString::new(election.dump(format)?).map_err(|_| Error::Internal)?;
        unsafe { dump.write(text.into_raw()) };
        Ok(())
    })
}

/// Free the string of election_dump. NULL is allowed.
#[no_mangle]
pub unsafe extern "C" fn election_dump_free(dump: *mut c_char) {
    guard((), || {
        if !dump.is_null() {
            drop(unsafe { CString::from_raw(dump) });
        }
    })
}

/// The size of election_counters_t when it first was.
const COUNTERS_FIRST: usize = offset_of!(election_counters_t, callback_longest_us) + size_of::<u64>();

/// More than it will ever be: what is in the place of a size that nobody has set is likely to be more.
const COUNTERS_LONGEST: usize = 4096;

fn log_level(number: c_int) -> Option<LogLevel> {
    [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug]
        .into_iter()
        .find(|level| c_log_level(*level) as c_int == number)
}

fn c_log_level(level: LogLevel) -> election_log_level_t {
    match level {
        LogLevel::Off => election_log_level_t::ELECTION_LOG_OFF,
        LogLevel::Error => election_log_level_t::ELECTION_LOG_ERROR,
        LogLevel::Warn => election_log_level_t::ELECTION_LOG_WARN,
        LogLevel::Info => election_log_level_t::ELECTION_LOG_INFO,
        LogLevel::Debug => election_log_level_t::ELECTION_LOG_DEBUG,
    }
}

fn dump_format(number: c_int) -> Option<Format> {
    let formats = [
        (election_dump_format_t::ELECTION_DUMP_TEXT, Format::Text),
        (election_dump_format_t::ELECTION_DUMP_JSON, Format::Json),
    ];
    formats.into_iter().find(|(c, _)| *c as c_int == number).map(|(_, format)| format)
}

fn show_record(record: &LogRecord, show: impl FnOnce(*const election_log_t)) {
    // None of these texts contains a 0 byte: control characters are escaped, and a path contains none.
    let c_string = |text: &str| CString::new(text).unwrap_or_default();
    let message = c_string(&record.message);
    let path = record.path.as_deref().map(c_string);
    let c = election_log_t {
        size: size_of::<election_log_t>(),
        level: c_log_level(record.level),
        message: message.as_ptr(),
        path: path.as_ref().map_or(std::ptr::null(), |path| path.as_ptr()),
        handle: border::handle_of(record.handle),
        session_id: record.session_id,
        at_ms: record.at_ms,
    };
    show(&c);
}

fn c_connection(connection: &Connection, cause: Option<&CStr>) -> election_connection_t {
    election_connection_t {
        size: size_of::<election_connection_t>(),
        state: match connection.state {
            ConnectionState::Connecting => election_connection_state_t::ELECTION_CONNECTING,
            ConnectionState::Connected => election_connection_state_t::ELECTION_CONNECTED,
            ConnectionState::Suspended => election_connection_state_t::ELECTION_SUSPENDED,
            ConnectionState::Expired => election_connection_state_t::ELECTION_EXPIRED,
            ConnectionState::Closed => election_connection_state_t::ELECTION_CLOSED,
        },
        rc: connection.rc,
        session_id: connection.session_id,
        session_timeout_ms: connection.session_timeout.as_millis() as i64,
        cause: cause.map_or(std::ptr::null(), CStr::as_ptr),
    }
}

fn c_counters(counters: &Counters) -> election_counters_t {
    election_counters_t {
        size: size_of::<election_counters_t>(),
        connections: counters.connections,
        connect_failures: counters.connect_failures,
        suspensions: counters.suspensions,
        sessions_opened: counters.sessions_opened,
        sessions_expired: counters.sessions_expired,
        sessions_renewed: counters.sessions_renewed,
        requests_sent: counters.requests_sent,
        requests_answered: counters.requests_answered,
        requests_unknown: counters.requests_unknown,
        creates: counters.creates,
        deletes: counters.deletes,
        sets: counters.sets,
        reads: counters.reads,
        touches: counters.touches,
        proofs_sent: counters.proofs_sent,
        proofs_committed: counters.proofs_committed,
        proof_last_us: counters.proof_last_us,
        proof_longest_us: counters.proof_longest_us,
        fenced_writes: counters.fenced_writes,
        watches_fired: counters.watches_fired,
        masterships_begun: counters.masterships_begun,
        masterships_ended: counters.masterships_ended,
        leases_expired: counters.leases_expired,
        callbacks_run: counters.callbacks_run,
        callback_longest_us: counters.callback_longest_us,
    }
}
