//! The log. The process has one log, as with `zoo_set_log_callback`. It is off until the program sets it.
//!
//! A thread that logs puts its record into a queue. The log's own thread, `election-log`, passes the record to the
//! listener. So a listener that blocks delays neither a session nor a callback. If the queue is full, the record is
//! dropped and counted. While the log is off, logging costs one relaxed load.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::fork::PerProcess;
use super::thread::{quietly, spawn, SignalMask, Thread};

/// The maximum number of records that wait for the listener.
const QUEUE: usize = 1_000;

/// The severity of a record. Each level includes the levels before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LogLevel {
    /// Nothing is logged.
    Off,
    /// A candidate or a handle has ended: ZooKeeper refuses it permanently, or the library failed.
    Error,
    /// Something prevents candidates from doing their work: a broken connection, an expired lease, a refusal.
    Warn,
    /// Normal operation: connections, roles.
    Info,
    /// Each request and each answer.
    Debug,
}

/// One record of the log.
#[derive(Clone, Debug)]
pub struct LogRecord {
    pub level: LogLevel,
    /// One line.
    pub message: String,
    /// The handle's number in this process; 0 for none.
    pub handle: u64,
    /// The handle's session at that moment; 0 for none.
    pub session_id: i64,
    /// The election that the record concerns.
    pub path: Option<Arc<str>>,
    /// When the record was made, in milliseconds since 1970 on the system's clock.
    pub at_ms: i64,
}

/// The subject of a record: a handle, and its session at the moment.
#[derive(Debug)]
pub struct LogContext {
    handle: u64,
    session: AtomicI64,
}

impl LogContext {
    pub fn new(handle: u64) -> LogContext {
        LogContext { handle, session: AtomicI64::new(0) }
    }

    pub fn handle(&self) -> u64 {
        self.handle
    }

    pub fn set_session(&self, session: i64) {
        self.session.store(session, Ordering::Relaxed);
    }
}

pub type Listener = Box<dyn FnMut(&LogRecord) + Send>;

static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Off as u8);

/// The log of this process.
static LOGGER: PerProcess<Mutex<Option<Logger>>> = PerProcess::new();

struct Logger {
    level: LogLevel,
    queue: QueueEnd,
    thread: Thread,
}

/// What waits for the thread of the log. It is no channel of the standard library: a thread that waits for one takes the
/// lock that `thread` tells of.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The thread waits for it, and takes it before any record.
    listener: Option<Listener>,
    records: VecDeque<LogRecord>,
    /// How many records were dropped and not told of.
    dropped: u64,
    /// Nothing more comes.
    is_over: bool,
    /// The listener must get no more records.
    is_muted: bool,
}

/// The side on which records come in. Nothing more comes when it is dropped.
struct QueueEnd(Arc<Queue>);

thread_local! {
    static IS_LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// Sets the level and the listener. `listen` makes the listener at a point where nothing can fail any more. The former
/// listener gets all earlier records first. When this function returns, the former listener has been dropped and is
/// never called again. The exception: if the former listener itself makes this call, its present call is still running.
pub fn set(level: LogLevel, listen: impl FnOnce() -> Listener) -> io::Result<()> {
    let current = LOGGER.get()?;
    let logger = match level {
        LogLevel::Off => {
            drop(listen());
            None
        }
        level => Some(Logger::start(level, listen)?),
    };
    let former = {
        let mut current = lock(current);
        LEVEL.store(level as u8, Ordering::Relaxed);
        std::mem::replace(&mut *current, logger)
    };
    if let Some(former) = former {
        former.end();
    }
    Ok(())
}

/// Whether the log includes this level.
#[inline]
pub fn is_on(level: LogLevel) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Whether this thread runs the listener.
pub fn is_listening() -> bool {
    IS_LISTENING.get()
}

/// Logs a message about a handle.
#[inline]
pub fn say(level: LogLevel, place: &LogContext, path: Option<&Arc<str>>, message: fmt::Arguments) {
    if is_on(level) {
        pass_on(level, place, path, message);
    }
}

#[cold]
fn pass_on(level: LogLevel, place: &LogContext, path: Option<&Arc<str>>, message: fmt::Arguments) {
    let Some(logger) = LOGGER.peek() else { return };
    let record = LogRecord {
        level,
        message: one_line(message),
        handle: place.handle(),
        session_id: place.session.load(Ordering::Relaxed),
        path: path.cloned(),
        at_ms: wall_clock_ms(),
    };
    let logger = lock(logger);
    if let Some(logger) = logger.as_ref().filter(|logger| level <= logger.level) {
        logger.queue.put(record);
    }
}

impl Logger {
    fn start(level: LogLevel, listen: impl FnOnce() -> Listener) -> io::Result<Logger> {
        let queue = QueueEnd(Arc::default());
        let mask = SignalMask::of_this_thread();
        let thread = {
            let queue = queue.0.clone();
            spawn(c"election-log", move || queue.serve(&mask))?
        };
        let listener = listen();
        queue.change(|waiting| waiting.listener = Some(listener));
        Ok(Logger { level, queue, thread })
    }

    /// Passes the last records to the listener, and drops it.
    fn end(self) {
        let Logger { queue, thread, .. } = self;
        let is_this = thread.is_current();
        queue.change(|waiting| waiting.is_muted = is_this);
        drop(queue);
        if !is_this {
            thread.join();
        }
    }
}

impl QueueEnd {
    fn put(&self, record: LogRecord) {
        self.change(|waiting| match waiting.records.len() {
            0..QUEUE => waiting.records.push_back(record),
            _ => waiting.dropped += 1,
        });
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut lock(&self.0.waiting));
        self.0.came.notify_one();
    }
}

impl Drop for QueueEnd {
    fn drop(&mut self) {
        self.change(|waiting| waiting.is_over = true);
    }
}

impl Queue {
    /// Runs the listener with `mask`, the signal mask of the thread that set the log.
    fn serve(&self, mask: &SignalMask) {
        let Some(mut listener) = self.next(|waiting| waiting.listener.take()) else { return };
        IS_LISTENING.set(true);
        while let Some(record) = self.next(Waiting::take) {
            // If the listener of a Rust program panics, the panic is ignored.
            let _ = quietly(|| mask.during(|| listener(&record)));
        }
        let _ = quietly(|| mask.during(|| drop(listener)));
    }

    /// Waits until `take` returns something; `None` if nothing more comes.
    fn next<T>(&self, mut take: impl FnMut(&mut Waiting) -> Option<T>) -> Option<T> {
        let mut waiting = lock(&self.waiting);
        loop {
            match take(&mut waiting) {
                None if waiting.is_over => return None,
                None => waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                taken => return taken,
            }
        }
    }
}

impl Waiting {
    /// The next record. Before the first one after a gap, a record that tells of the gap.
    fn take(&mut self) -> Option<LogRecord> {
        if self.is_muted {
            self.records.clear();
        }
        if self.records.is_empty() || self.dropped == 0 {
            return self.records.pop_front();
        }
        let lost = std::mem::take(&mut self.dropped);
        let message = format!("{lost} records of the log were dropped, because nobody took them");
        let (level, at_ms) = (LogLevel::Warn, wall_clock_ms());
        Some(LogRecord { level, message, handle: 0, session_id: 0, path: None, at_ms })
    }
}

fn one_line(message: fmt::Arguments) -> String {
    let message = message.to_string();
    match message.chars().any(char::is_control) {
        true => message.chars().flat_map(escape_control).collect(),
        false => message,
    }
}

fn escape_control(c: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if c.is_control() { (None, Some(c.escape_default())) } else { (Some(c), None) };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

/// Milliseconds since 1970 on the system's clock.
pub fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line() {
        assert_eq!(one_line(format_args!("a\nb\u{0}\u{4e3b} \"c\"")), "a\\nb\\u{0}\u{4e3b} \"c\"");
    }
}
