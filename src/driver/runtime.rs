//! The I/O thread: one for the process, started by the first handle, never ended. It runs the reactor that the
//! ZooKeeper client is built on and every task of every session, first woken, first run.

use std::future::{poll_fn, Future};
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_executor::Executor;
use futures::{pin_mut, FutureExt};
use once_cell::sync::{Lazy, OnceCell};

use super::fork::Process;
use super::log::{self, Place};
use super::thread;

static TASKS: Lazy<Executor<'static>> = Lazy::new(Executor::new);
static THREAD: OnceCell<Process> = OnceCell::new();

/// Starts the I/O thread if there is none. Fails when that cannot be done, and in a child of a process in which
/// it runs: it does not run there, and never will.
pub fn start() -> io::Result<()> {
    let process = THREAD.get_or_try_init(|| {
        thread::spawn("election-io", serve)?;
        Process::current()
    })?;
    match process.is_this() {
        true => Ok(()),
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Runs `task` on the I/O thread, as soon as that has been started; for the handle of the task that asks for it.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    detach(log::here(), task);
}

/// The same for this handle.
pub fn spawn_for(place: Arc<Place>, task: impl Future<Output = ()> + Send + 'static) {
    detach(Some(place), task);
}

fn serve() {
    let _scope = spawns_core::enter(&Spawner);
    async_io::block_on(TASKS.run(std::future::pending::<()>()));
}

/// A task that panics ends alone; the thread goes on for the others.
fn detach(place: Option<Arc<Place>>, task: impl Future<Output = ()> + Send + 'static) {
    let placed = async move {
        pin_mut!(task);
        poll_fn(|context| log::at(&place, || task.as_mut().poll(context))).await;
    };
    TASKS.spawn(AssertUnwindSafe(placed).catch_unwind()).detach();
}

/// Where the ZooKeeper client starts the task that serves its connection.
struct Spawner;

impl spawns_core::Spawn for Spawner {
    fn spawn(&self, task: spawns_core::Task) {
        spawn(Box::into_pin(task.future));
    }
}
