//! How long the machine keeps a thread of this program waiting that wants nothing but to nap.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Once;
use std::time::{Duration, Instant};

const NAP: Duration = Duration::from_millis(1);

/// Naps are a little too long on any machine.
const USUAL: Duration = Duration::from_millis(2);

static STALLED_US: AtomicU64 = AtomicU64::new(0);

/// For how long in all, since the first call.
pub fn so_far() -> Duration {
    static NAPS: Once = Once::new();
    NAPS.call_once(|| drop(std::thread::spawn(nap)));
    Duration::from_micros(STALLED_US.load(Ordering::Relaxed))
}

fn nap() {
    loop {
        let since = Instant::now();
        std::thread::sleep(NAP);
        if let Some(stalled) = since.elapsed().checked_sub(NAP + USUAL) {
            STALLED_US.fetch_add(stalled.as_micros() as u64, Ordering::Relaxed);
        }
    }
}
