//! The I/O thread: one for the process, started by the first handle, never ended. It runs the reactor that the
//! ZooKeeper client is built on and every task of every session, first woken, first run.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;

use async_executor::Executor;
use futures::FutureExt;
use once_cell::sync::{Lazy, OnceCell};

use super::thread;

static TASKS: Lazy<Executor<'static>> = Lazy::new(Executor::new);
static THREAD: OnceCell<()> = OnceCell::new();

/// Runs `task` on the I/O thread. Fails when that thread cannot be started.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    THREAD.get_or_try_init(|| thread::spawn("election-io", serve).map(drop))?;
    detach(task);
    Ok(())
}

fn serve() {
    let _scope = spawns_core::enter(&Spawner);
    async_io::block_on(TASKS.run(std::future::pending::<()>()));
}

/// A task that panics ends alone; the thread goes on for the others.
fn detach(task: impl Future<Output = ()> + Send + 'static) {
    TASKS.spawn(AssertUnwindSafe(task).catch_unwind()).detach();
}

/// Where the ZooKeeper client starts the task that serves its connection.
struct Spawner;

impl spawns_core::Spawn for Spawner {
    fn spawn(&self, task: spawns_core::Task) {
        detach(Box::into_pin(task.future));
    }
}
