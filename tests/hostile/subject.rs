//! The program under test: a candidate with an observer on one handle, or an observer alone, and what they cost.

use crate::lies::To;
use crate::stalls;
use election::{Dialect, Handle, Options, Recipe};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::{eventually, wait_until, RawClient};

/// What a verb is told to wait, and what it may take beyond that, and beyond what the machine keeps everybody waiting.
const VERB: Duration = Duration::from_millis(100);
const SLACK: Duration = Duration::from_millis(900);
const BACK: Duration = Duration::from_secs(20);

pub struct Subject {
    election: Handle,
    server: String,
    path: String,
    heard: Arc<AtomicUsize>,
    /// Whom an observer watches: it knows no liar.
    master: Option<Handle>,
}

impl Subject {
    /// `host` is whom it talks to, `server` the honest one behind it.
    pub fn start(to: To, host: &str, server: &str, path: &str) -> Subject {
        let mut options = Options::default();
        options.set_session_timeout(Duration::from_secs(2)).unwrap();
        if to == To::Queue {
            options.set_recipe(Recipe::Queue(Dialect::default()));
        }
        Subject::with_options(to, host, server, path, &options)
    }

    pub fn with_options(to: To, host: &str, server: &str, path: &str, options: &Options) -> Subject {
        let election = Handle::open(host, options).unwrap();
        let mut master = None;
        if to == To::Observer {
            let other = Handle::open(server, options).unwrap();
            other.go_to_election(path, b"watched", |_| {}).unwrap();
            master = Some(other);
        } else {
            election.go_to_election(path, b"subject", |_| {}).unwrap();
        }
        let heard = Arc::new(AtomicUsize::new(0));
        let hears = Arc::clone(&heard);
        let count = move |_: &election::Master| {
            hears.fetch_add(1, Ordering::SeqCst);
        };
        election.watch_master(path, count).unwrap();
        Subject { election, server: server.to_string(), path: path.to_string(), heard, master }
    }

    /// How long it took until it was what it is to be: elected, or told of the master.
    pub fn is_settled(&self) -> Duration {
        let since = Instant::now();
        if self.master.is_none() {
            let is_elected = wait_until(BACK, || self.election.is_master(&self.path));
            assert!(is_elected, "{} not within {BACK:?}\n{}", self.path, self.dump());
        }
        assert!(wait_until(BACK, || self.heard.load(Ordering::SeqCst) > 0), "the observer heard nothing");
        since.elapsed()
    }

    /// Settled, and not by a lease of before: the server answers, and an observer hears of what comes.
    pub fn is_served(&self) -> Duration {
        self.is_served_within(BACK)
    }

    pub fn is_served_within(&self, time: Duration) -> Duration {
        let since = Instant::now();
        let answers = wait_until(time, || self.election.master(&self.path, VERB).is_ok());
        assert!(answers, "no answer within {time:?}\n{}", self.dump());
        self.is_settled();
        if let Some(master) = &self.master {
            let before = self.heard.load(Ordering::SeqCst);
            master.resign(&self.path).unwrap();
            master.go_to_election(&self.path, b"watched again", |_| {}).unwrap();
            let hears = wait_until(time, || self.heard.load(Ordering::SeqCst) > before);
            assert!(hears, "no news within {time:?}\n{}", self.dump());
        }
        since.elapsed()
    }

    pub fn counters(&self) -> election::Counters {
        self.election.counters().unwrap()
    }

    /// The causes in the events of the connection, from now on.
    pub fn hears_causes(&self) -> Arc<Mutex<Vec<String>>> {
        let causes = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&causes);
        let on_connection = move |connection: &election::Connection| {
            hears.lock().unwrap().extend(connection.cause.as_deref().map(str::to_owned));
        };
        self.election.watch_connection(on_connection).unwrap();
        causes
    }

    pub fn token(&self) -> Option<i64> {
        self.election.lease(&self.path).map(|mastership| mastership.token)
    }

    pub fn stops_believing(&self) {
        eventually(BACK, "the lease ends", || !self.election.is_master(&self.path));
    }

    fn dump(&self) -> String {
        self.election.dump(election::Format::Text).unwrap_or_default()
    }

    /// Each verb that waits, in bounded time.
    pub fn answers_once(&self) {
        let timed = |name: &str, verb: &dyn Fn()| {
            let (since, stalled) = (Instant::now(), stalls::so_far());
            verb();
            let took = since.elapsed();
            if took > VERB + SLACK {
                // Whoever measures has waited, too.
                std::thread::sleep(VERB);
                let stalled = stalls::so_far() - stalled;
                assert!(
                    took < VERB + SLACK + stalled,
                    "{name} took {took:?}, and the machine stood still for {stalled:?}"
                );
            }
        };
        timed("master", &|| drop(self.election.master(&self.path, VERB)));
        timed("members", &|| drop(self.election.members(&self.path, VERB)));
        timed("fenced_set", &|| {
            let _ = self.election.fenced_set(&self.path, &self.path, b"v", None, VERB);
        });
        timed("wait", &|| {
            let _ = self.election.wait(&self.path, election::Role::Slave, VERB);
        });
        timed("counters", &|| {
            let _ = self.election.counters();
        });
    }

    /// Meanwhile no belief is false: what the server itself does not have is not believed afterwards.
    pub fn answers_for(&self, time: Duration) {
        let mut raw = RawClient::connect(&self.server, 10_000).expect("the server itself is honest");
        let end = Instant::now() + time;
        while Instant::now() < end {
            if let Some(token) = self.token().filter(|token| !has(&mut raw, &self.path, *token)) {
                assert_ne!(self.token(), Some(token), "master on a lie");
            }
            self.answers_once();
            std::thread::sleep(VERB / 2);
        }
        let _ = raw.close_session();
    }

    /// Whatever the server does.
    pub fn close(self) {
        let since = Instant::now();
        let _ = self.election.close();
        assert!(since.elapsed() < Duration::from_secs(5), "close took {:?}", since.elapsed());
    }
}

/// Whether a znode with this czxid stands at the path, or below it in a queue.
fn has(raw: &mut RawClient, path: &str, czxid: i64) -> bool {
    let names = raw.children(path).expect("the server itself answers").into_iter();
    let paths = names.map(|name| format!("{path}/{name}")).chain([path.to_string()]);
    let mut found = paths.map(|path| raw.get(&path).expect("the server itself answers"));
    found.any(|znode| znode.is_some_and(|znode| znode.czxid == czxid))
}

/// What the process uses: memory, and the CPU time of the library's I/O thread.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub resident_kib: i64,
    cpu_ms: i64,
    pub descriptors: i64,
    pub threads: i64,
}

impl Load {
    pub fn now() -> Load {
        // SAFETY: gives back to the system what is free; touches nothing that is in use.
        unsafe { libc::malloc_trim(0) };
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let ours = tasks.filter(|task| {
            let name = std::fs::read_to_string(task.path().join("comm"));
            name.is_ok_and(|name| name.trim_end() == "election-io")
        });
        let nanos = |task: std::fs::DirEntry| -> i64 {
            let times = std::fs::read_to_string(task.path().join("schedstat")).unwrap();
            times.split_whitespace().next().unwrap().parse().unwrap()
        };
        let cpu_ms = ours.map(nanos).sum::<i64>() / 1_000_000;
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count() as i64;
        Load { resident_kib: of("VmRSS:"), cpu_ms, descriptors, threads: of("Threads:") }
    }

    pub fn since(&self, before: &Load) -> Load {
        Load {
            resident_kib: self.resident_kib - before.resident_kib,
            cpu_ms: self.cpu_ms - before.cpu_ms,
            descriptors: self.descriptors - before.descriptors,
            threads: self.threads - before.threads,
        }
    }

    pub fn without_cpu_of(self, other: &Load) -> Load {
        Load { cpu_ms: self.cpu_ms - other.cpu_ms, ..self }
    }

    /// What is more than a twentieth of a core for each of `handles`, or than 20 MiB.
    pub fn excess(&self, time: Duration, handles: u32) -> Option<String> {
        let cpu_limit = (time * handles / 20).as_millis() as i64;
        (self.cpu_ms > cpu_limit || self.resident_kib > 20 << 10).then(|| self.to_string())
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load { resident_kib, cpu_ms, descriptors, threads } = self;
        write!(f, "{cpu_ms} ms of CPU, {resident_kib} KiB, {descriptors} descriptors, {threads} threads more")
    }
}
