//! The I/O thread: one for the process, started by the first handle, never ended. It runs the reactor that the
//! ZooKeeper client is built on and every task of every session, first woken, first run.

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

/// Ends all tasks, when the reactor has failed.
struct Failure {
    is_to_come: Mutex<Option<oneshot::Sender<()>>>,
    came: Shared<oneshot::Receiver<()>>,
}

static FAILURE: Lazy<Failure> = Lazy::new(|| {
    let (sender, receiver) = oneshot::channel();
    Failure { is_to_come: Mutex::new(Some(sender)), came: receiver.shared() }
});

/// How many host names are looked up at the same time.
const LOOKUPS: NonZeroUsize = NonZeroUsize::new(500).unwrap();

/// For the tasks that come after the reactor has failed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Starts the I/O thread if there is none. Fails when that cannot be done, and in a child of a process that has tried:
/// it does not run there, and never will; and when it has failed.
pub fn start() -> io::Result<()> {
    // Asked first: a child would wait for ever for a thread of its parent's that was at it.
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

/// Runs `task` on the I/O thread, as soon as that has been started; for the handle of the task that asks for it.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    detach(log::here(), task);
}

/// The same for this handle.
pub fn spawn_for(place: Arc<LogContext>, task: impl Future<Output = ()> + Send + 'static) {
    detach(Some(place), task);
}

/// Panics when the system has no thread or descriptor left for the reactor. On a thread with signals blocked, as the
/// reactor's own inherits the mask; and before `block_on`, which on such a panic ends the process.
fn start_reactor() {
    // The number that it would take by itself, after a look at an environment variable.
    blocking::set_max_blocking_threads(LOOKUPS);
    let _ = Pin::new(&mut Timer::after(Duration::from_secs(1))).poll(&mut Context::from_waker(Waker::noop()));
}

fn serve() {
    let _scope = spawns_core::enter(&Spawner);
    let _ = thread::quietly(|| async_io::block_on(TASKS.run(std::future::pending::<()>())));
    // The reactor has failed, and whoever waits for it would wait for ever: all tasks are dropped, and those that come.
    drop(FAILURE.is_to_come.lock().unwrap_or_else(PoisonError::into_inner).take());
    loop {
        while TASKS.try_tick() {}
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// A task that panics ends alone; the thread goes on for the others.
fn detach(place: Option<Arc<LogContext>>, task: impl Future<Output = ()> + Send + 'static) {
    let failure = FAILURE.came.clone();
    let placed = async move {
        pin_mut!(task);
        poll_fn(|context| log::at(&place, || task.as_mut().poll(context))).await;
    };
    let task = AssertUnwindSafe(placed).catch_unwind();
    TASKS.spawn(async { drop(select(failure, std::pin::pin!(task)).await) }).detach();
}

/// Where the ZooKeeper client starts the task that serves its connection.
struct Spawner;

impl spawns_core::Spawn for Spawner {
    fn spawn(&self, task: spawns_core::Task) {
        spawn(task_guard::guarded(task_guard::cancel_token(), Box::into_pin(task.future)));
    }
}
