//! Whether the machine kept up. A thread on each core does what a candidate does: it sleeps for a millisecond, looks at the
//! clock and writes a line in place. A candidate can have been no faster than it, whatever the library does; so when it was
//! late, what came late elsewhere proves nothing.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;

const NAP: Duration = Duration::from_millis(1);
/// What is noted: a fiftieth of a session timeout or so; how much of it is too much is for the checker to say.
const STALL: i64 = 50_000_000;

pub struct Machine {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// From when to when a thread that wanted to run did not.
    stalls: Mutex<Vec<(i64, i64)>>,
}

impl Shared {
    fn stalls(&self) -> MutexGuard<'_, Vec<(i64, i64)>> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    /// Watches until it is dropped, and writes its lines into this folder meanwhile.
    pub fn watch(folder: &Path) -> Machine {
        let shared = Arc::<Shared>::default();
        let watch = |core| {
            let path = folder.join(format!("core-{core}"));
            let file = File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            // It is written to as long as it is open, and nobody reads it.
            fs::remove_file(path).expect("it was just made");
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                stay_on(core);
                nap(&file, &shared);
            })
        };
        let threads = cores().into_iter().map(watch).collect();
        Machine { shared, threads }
    }

    /// The stalls since this was asked last.
    pub fn take_stalls(&self) -> Vec<(i64, i64)> {
        std::mem::take(&mut self.shared.stalls())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn nap(file: &File, shared: &Shared) {
    let mut last = clock::now();
    while !shared.is_over.load(Ordering::SeqCst) {
        std::thread::sleep(NAP);
        let now = clock::now();
        if now - last >= STALL {
            shared.stalls().push((last, now));
        }
        last = now;
        // What it says is nothing to anybody; that it takes its time is the point.
        let _ = file.write_all_at(format!("{now}\n").as_bytes(), 0);
    }
}

/// The cores that this process may use.
fn cores() -> Vec<usize> {
    // SAFETY: a set of cores is plain bits, and the kernel writes into one of our own.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let rc = libc::sched_getaffinity(0, std::mem::size_of_val(&set), &mut set);
        assert_eq!(rc, 0, "no cores: {}", std::io::Error::last_os_error());
        set
    };
    // SAFETY: the numbers are below the size of the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect()
}

fn stay_on(core: usize) {
    // SAFETY: the kernel reads a set of our own; a thread that may not be bound naps all the same.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set);
    }
}
