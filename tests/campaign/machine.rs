//! Whether the machine kept up. As many threads as there are cores do the work of a candidate: they sleep for a
//! millisecond, look at the clock and write a line in place. These threads do not use the library. If one of them was
//! late, delays elsewhere prove nothing. They are bound to no core, as the candidates are not: a bound thread waits
//! longer than the candidates if another program keeps its core busy.

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
/// The shortest stall that is noted, about a fiftieth of a session timeout. The checker decides how much is too much.
const STALL: i64 = 50_000_000;

pub struct Machine {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// The times at which a thread that wanted to run did not run.
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
            // The thread writes to it while it is open, and no process reads it.
            fs::remove_file(path).expect("it was just made");
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || nap(&file, &shared))
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..cores).map(watch).collect();
        Machine { shared, threads }
    }

    /// The stalls since the last call.
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
        // The text does not matter. The time that the write takes matters.
        let _ = file.write_all_at(format!("{now}\n").as_bytes(), 0);
    }
}
