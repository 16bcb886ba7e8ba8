//! How slow the machine and the ensemble are at the time: raw writes, one after the other, beside a test that measures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use testkit::RawClient;

use crate::ground::LONG_MS;

const EPHEMERAL: i32 = 1;
const PAUSE: Duration = Duration::from_millis(5);

pub struct Pace {
    is_over: Arc<AtomicBool>,
    writer: JoinHandle<Duration>,
}

impl Pace {
    /// Writes by way of one server, which the test leaves alone, from now on.
    pub fn watch(host: &str) -> Pace {
        let mut client = RawClient::connect(host, LONG_MS as i32).expect("the server takes clients");
        let path = format!("/pace-{:x}", client.session().id);
        assert_eq!(client.create(&path, b"", EPHEMERAL).map(|reply| reply.err).ok(), Some(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let writer = std::thread::spawn(move || {
            let mut slowest = Duration::ZERO;
            while !ends.load(Ordering::Relaxed) {
                let began = Instant::now();
                std::thread::sleep(PAUSE);
                assert_eq!(client.set(&path, b"").map(|reply| reply.err).ok(), Some(0));
                slowest = slowest.max(began.elapsed() - PAUSE);
            }
            slowest
        });
        Pace { is_over, writer }
    }

    /// How long one write has taken at most, and the thread that makes them to wake up.
    pub fn slowest(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        self.writer.join().expect("each write is answered")
    }
}
