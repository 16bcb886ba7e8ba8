//! The I/O thread. The process has one; the first handle starts it, and it never ends. It runs the reactor that the
//! ZooKeeper client is built on, and every task of every session. The task that is woken first runs first.

use std::future::{poll_fn, Future};
use std::io;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{mpsc, Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use async_executor::Executor;
use async_io::Timer;
use futures::channel::oneshot;
use futures::future::{select, Shared};
use futures::{pin_mut, FutureExt};
use once_cell::sync::{Lazy, OnceCell};

use super::fork::Process;
use super::log::{self, LogContext};
use super::task_guard;
use super::thread;

static TASKS: Lazy<Executor<'static>> = Lazy::new(Executor::new);
static THREAD: OnceCell<()> = OnceCell::new();

/// Ends all tasks when the reactor has failed.
struct Failure {
    is_to_come: Mutex<Option<oneshot::Sender<()>>>,
    came: Shared<oneshot::Receiver<()>>,
}

static FAILURE: Lazy<Failure> = Lazy::new(|| {
    let (sender, receiver) = oneshot::channel();
    Failure { is_to_come: Mutex::new(Some(sender)), came: receiver.shared() }
});

/// The maximum number of concurrent host name lookups.
const LOOKUPS: NonZeroUsize = NonZeroUsize::new(500).unwrap();

/// How often the thread drops new tasks after the reactor has failed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Starts the I/O thread if it does not run yet. Fails if the thread cannot be started or has failed. Also fails in a
/// child of a process that has called this function: the thread does not run in the child, and never will.
pub fn start() -> io::Result<()> {
    // This check comes first: if a thread of the parent was starting the I/O thread at the fork, the child would wait
    // for it forever.
    if !Process::current()?.claims() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    THREAD.get_or_try_init(|| {
        let (started, is_started) = mpsc::sync_channel(1);
        thread::spawn("election-io", move || {
            let is_there = thread::quietly(start_reactor).is_ok();
            let _ = started.send(is_there);
            if is_there {
                serve();
            }
        })?;
        match is_started.recv() {
            Ok(true) => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::WouldBlock)),
        }
    })?;
    let failure = FAILURE.is_to_come.lock().unwrap_or_else(PoisonError::into_inner);
    failure.as_ref().map(drop).ok_or(io::ErrorKind::BrokenPipe.into())
}

/// Runs `task` on the I/O thread as soon as the thread has started. The new task belongs to the handle of the calling
/// task.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    detach(log::here(), task);
}

/// Like `spawn`, but the task belongs to this handle.
pub fn spawn_for(place: Arc<LogContext>, task: impl Future<Output = ()> + Send + 'static) {
    detach(Some(place), task);
}

/// Panics if the system has no thread or descriptor left for the reactor. The caller's thread has its signals blocked,
/// because the reactor's own thread inherits the mask. This call comes before `block_on`, because this panic inside
/// `block_on` ends the process.
fn start_reactor() {
    // The `blocking` crate would choose the same number, but would read an environment variable first.
    blocking::set_max_blocking_threads(LOOKUPS);
    let _ = Pin::new(&mut Timer::after(Duration::from_secs(1))).poll(&mut Context::from_waker(Waker::noop()));
}

fn serve() {
    let _scope = spawns_core::enter(&Spawner);
    let _ = thread::quietly(|| async_io::block_on(TASKS.run(std::future::pending::<()>())));
    // The reactor has failed. A task that waits for it would wait forever, so all tasks are dropped, also those that
    // start later.
    drop(FAILURE.is_to_come.lock().unwrap_or_else(PoisonError::into_inner).take());
    loop {
        while TASKS.try_tick() {}
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// If a task panics, only that task ends; the thread continues to run the others.
fn detach(place: Option<Arc<LogContext>>, task: impl Future<Output = ()> + Send + 'static) {
    let failure = FAILURE.came.clone();
    let placed = async move {
        pin_mut!(task);
        poll_fn(|context| log::at(&place, || task.as_mut().poll(context))).await;
    };
    let task = AssertUnwindSafe(placed).catch_unwind();
    TASKS.spawn(async { drop(select(failure, std::pin::pin!(task)).await) }).detach();
}

/// The ZooKeeper client starts the task of its connection through this type.
struct Spawner;

impl spawns_core::Spawn for Spawner {
    fn spawn(&self, task: spawns_core::Task) {
        spawn(task_guard::guarded(task_guard::cancel_token(), Box::into_pin(task.future)));
    }
}
