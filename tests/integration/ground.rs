//! What the tests stand on: servers that several tests share, and the patience that all of them have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testkit::{Ensemble, Release};

/// For what must come, however slow the machine is.
pub const SOON: Duration = Duration::from_secs(20);

/// How long something may take that waits for no timeout and no second try: what is slower than this waited for one. Less
/// than the second for which seed 000 sleeps.
pub const AT_ONCE: Duration = Duration::from_millis(800);

/// For what must not come, and would come at once if it did.
pub const A_MOMENT: Duration = Duration::from_millis(300);

/// A session timeout for tests that do not wait for it: a machine that stutters does not break a connection.
pub const LONG_MS: u64 = 10_000;

/// A session timeout for tests that wait for it.
pub const SHORT_MS: u64 = 2_000;

/// Whether the servers are of this release or a later one; a test that needs one says so where it cannot run.
pub fn since(major: u32, minor: u32, what: &str) -> bool {
    let release = Release::in_use();
    let is_since = release.since(major, minor);
    if !is_since {
        println!("NOT RUN on ZooKeeper {release}: {what} came with {major}.{minor}");
    }
    is_since
}

/// The memory of this process.
pub fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// The process has one log. A test that listens to it holds this.
pub fn the_log() -> MutexGuard<'static, ()> {
    static LOG: Mutex<()> = Mutex::new(());
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

static ONE: Mutex<Option<Arc<Ensemble>>> = Mutex::new(None);
static THREE: Mutex<Option<Arc<Ensemble>>> = Mutex::new(None);

/// One server, for all tests that do it no harm. It deletes empty containers soon, and knows znodes with a time to live.
pub fn one_server() -> Arc<Ensemble> {
    shared(&ONE, || {
        Ensemble::builder(1)
            .java_arg("-Dznode.container.checkIntervalMs=200")
            .java_arg("-Dzookeeper.extendedTypesEnabled=true")
            .start()
    })
}

/// Three servers, for all tests that do them no harm.
pub fn three_servers() -> Arc<Ensemble> {
    shared(&THREE, || Ensemble::start(3))
}

fn shared(slot: &Mutex<Option<Arc<Ensemble>>>, start: impl FnOnce() -> Ensemble) -> Arc<Ensemble> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    let ensemble = slot.get_or_insert_with(|| {
        // Statics are not dropped, and the servers' folders are to go with this process.
        // SAFETY: `end_shared` takes nothing and unwinds nowhere.
        unsafe { libc::atexit(end_shared) };
        Arc::new(start())
    });
    Arc::clone(ensemble)
}

extern "C" fn end_shared() {
    for slot in [&ONE, &THREE] {
        drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
