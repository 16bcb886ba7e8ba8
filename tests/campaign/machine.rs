//! Whether the machine kept up. As many threads as there are cores do what a candidate does: they sleep for a millisecond, look
//! at the clock and write a line in place. When one of them, which has nothing to do with the library, was late, what came late
//! elsewhere proves nothing. They are bound to no core, as the candidates are not: on a core that is busy with somebody else's
//! work a bound one waits longer than they.

use std::fs::{self, File};
use std::num::NonZero;
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
        let watch = |number| {
            let path = folder.join(format!("nap-{number}"));
            let file = File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            // It is written to as long as it is open, and nobody reads it.
            fs::remove_file(path).expect("it was just made");
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || nap(&file, &shared))
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..cores).map(watch).collect();
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
