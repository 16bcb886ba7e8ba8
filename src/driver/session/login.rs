//! Runs the mechanism of SASL for the connections of one session, on a thread of its own: a file system, or a server that
//! hands out tickets, may be slow, and must cost no other session its lease.
//!
//! The first message is worked out while the server opens the session. The thread ends with the exchange. There is one at
//! the most: while it still works for a connection that is gone, the next connection waits for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::driver::io::reactor::TaskWaker;
use crate::driver::sasl::{self, Mechanism, SaslFault, SaslSettings};
use crate::driver::thread;

/// Makes a mechanism for a server.
type Start = fn(&SaslSettings, &str) -> Result<Box<dyn Mechanism>, SaslFault>;

/// The logins of one session, one at a time.
pub struct Login {
    settings: Arc<SaslSettings>,
    start: Start,
    waker: TaskWaker,
    worker: Option<Worker>,
    /// The number of the present connection.
    connection: u64,
    /// For the worker, when it has done what it does.
    next: Option<Job>,
    /// The server's first message is an empty one, and the mechanism needs none.
    is_first: bool,
    /// The server waits for our next message.
    is_awaited: bool,
    said: Option<Said>,
}

/// Our next message, and whether we have nothing more to say after it.
pub type Said = Result<(Vec<u8>, bool), SaslFault>;

/// A step for a connection.
struct Job {
    connection: u64,
    what: What,
}

enum What {
    /// The first message to a server, which the connect string names so.
    Start(String),
    Step(Vec<u8>),
}

impl Login {
    pub fn new(settings: Arc<SaslSettings>, waker: TaskWaker) -> Login {
        Login::by(sasl::start, settings, waker)
    }

    fn by(start: Start, settings: Arc<SaslSettings>, waker: TaskWaker) -> Login {
        Login {
            settings,
            start,
            waker,
            worker: None,
            connection: 0,
            next: None,
            is_first: true,
            is_awaited: false,
            said: None,
        }
    }

    /// A connection to this server stands.
    pub fn begin(&mut self, host: String) {
        self.stop();
        self.give(What::Start(host));
    }

    /// The server's message. The first one is empty.
    pub fn challenge(&mut self, token: Vec<u8>) {
        self.is_awaited = true;
        if !std::mem::take(&mut self.is_first) {
            self.give(What::Step(token));
        }
    }

    /// The connection is gone.
    pub fn stop(&mut self) {
        self.connection += 1;
        (self.next, self.said, self.is_first, self.is_awaited) = (None, None, true, false);
        self.rest();
    }

    /// What to say now.
    pub fn poll(&mut self) -> Option<Said> {
        self.take_done();
        if !self.is_awaited {
            return None;
        }
        let said = self.said.take()?;
        self.is_awaited = false;
        if !matches!(said, Ok((_, false))) {
            self.rest();
        }
        Some(said)
    }

    /// Lets the thread end, if it has nothing to do.
    fn rest(&mut self) {
        if self.worker.as_ref().is_some_and(|worker| !worker.is_busy) {
            self.worker = None;
        }
    }

    fn take_done(&mut self) {
        let Some(worker) = self.worker.as_mut().filter(|worker| worker.is_busy) else { return };
        let (done, has_ended) = {
            let mut desk = worker.desk.lock();
            (desk.done.take(), desk.has_ended)
        };
        match done {
            Some((connection, said)) => {
                worker.is_busy = false;
                if connection == self.connection {
                    self.said = Some(said);
                }
            }
            None if has_ended => {
                self.worker = None;
                if self.next.is_none() {
                    self.unable("its thread has failed".to_owned());
                }
            }
            None => return,
        }
        match self.next.take() {
            Some(job) => self.give(job.what),
            // Nobody waits for the thread.
            None if self.said.is_none() => self.rest(),
            None => {}
        }
    }

    fn give(&mut self, what: What) {
        let job = Job { connection: self.connection, what };
        if self.worker.is_none() {
            self.worker = self.start_worker();
        }
        match &mut self.worker {
            Some(worker) if worker.is_busy => self.next = Some(job),
            Some(worker) => worker.take(job),
            None => {}
        }
    }

    fn start_worker(&mut self) -> Option<Worker> {
        let desk = Arc::new(SharedDesk::default());
        let (settings, start) = (self.settings.clone(), self.start);
        let work = Work { desk: desk.clone(), waker: self.waker.clone() };
        match thread::spawn(c"election-sasl", move || serve(&settings, start, &work)) {
            Ok(_) => Some(Worker { desk, is_busy: false }),
            Err(error) => {
                self.unable(format!("no thread for it: {error}"));
                None
            }
        }
    }

    fn unable(&mut self, why: String) {
        self.said = Some(Err(SaslFault::Credentials(why)));
    }
}

/// The session's side of the thread. The thread ends when this is dropped.
struct Worker {
    desk: Arc<SharedDesk>,
    is_busy: bool,
}

impl Worker {
    fn take(&mut self, job: Job) {
        self.is_busy = true;
        self.desk.lock().job = Some(job);
        self.desk.changed.notify_one();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.desk.lock().is_left = true;
        self.desk.changed.notify_one();
    }
}

/// The thread's side.
struct Work {
    desk: Arc<SharedDesk>,
    waker: TaskWaker,
}

impl Work {
    /// Waits for the next job. `None` if there is none any more.
    fn next(&self) -> Option<Job> {
        let desk = self.desk.lock();
        let waits = |desk: &mut Desk| desk.job.is_none() && !desk.is_left;
        let mut desk = self.desk.changed.wait_while(desk, waits).unwrap_or_else(PoisonError::into_inner);
        desk.job.take().filter(|_| !desk.is_left)
    }

    fn done(&self, connection: u64, said: Said) {
        self.desk.lock().done = Some((connection, said));
        self.waker.wake();
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.desk.lock().has_ended = true;
        self.waker.wake();
    }
}

/// What lies between both sides.
#[derive(Default)]
struct SharedDesk {
    desk: Mutex<Desk>,
    changed: Condvar,
}

#[derive(Default)]
struct Desk {
    job: Option<Job>,
    done: Option<(u64, Said)>,
    /// The session needs the thread no more.
    is_left: bool,
    /// The thread has ended, or failed.
    has_ended: bool,
}

impl SharedDesk {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does the jobs until there are no more.
fn serve(settings: &SaslSettings, start: Start, work: &Work) {
    let mut mechanism: Option<Box<dyn Mechanism>> = None;
    while let Some(Job { connection, what }) = work.next() {
        let challenge = match what {
            What::Step(challenge) => challenge,
            What::Start(host) => match start(settings, &host) {
                Ok(started) => {
                    mechanism = Some(started);
                    Vec::new()
                }
                Err(fault) => {
                    mechanism = None;
                    work.done(connection, Err(fault));
                    continue;
                }
            },
        };
        let Some(mechanism) = &mut mechanism else { return };
        let said = mechanism.step(&challenge);
        work.done(connection, said.map(|token| (token, mechanism.is_complete())));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::driver::io::reactor::{Happening, Io, Next, Reactor, Task};
    use crate::driver::sasl::SaslParameters;

    /// How many mechanisms exist.
    static ALIVE: AtomicUsize = AtomicUsize::new(0);

    /// Says the host's name, then `done` to whatever comes. The hosts "slow" and "fails" are as they are called.
    struct Echo {
        host: String,
        is_complete: bool,
    }

    fn start(_: &SaslSettings, host: &str) -> Result<Box<dyn Mechanism>, SaslFault> {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Echo { host: host.to_owned(), is_complete: false }))
    }

    impl Drop for Echo {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Mechanism for Echo {
        fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFault> {
            match (&*self.host, challenge) {
                ("slow", _) => std::thread::sleep(Duration::from_millis(300)),
                ("fails", _) => panic!("on purpose"),
                (_, b"") => {}
                _ => {
                    self.is_complete = true;
                    return Ok(b"done".to_vec());
                }
            }
            Ok(self.host.clone().into())
        }

        fn is_complete(&self) -> bool {
            self.is_complete
        }
    }

    struct Nothing;

    impl Task for Nothing {
        fn handle(&mut self, _: &mut Io, _: Happening) {}

        fn turn(&mut self, _: &mut Io) -> Next {
            Next::Wait(None)
        }
    }

    /// A login, with the waker of a task that does nothing.
    fn login() -> Login {
        let reactor = Reactor::new().unwrap();
        let (tell, told) = channel();
        reactor.shared().start_task(|waker| {
            tell.send(waker).unwrap();
            Box::new(Nothing)
        });
        let mut parameters = SaslParameters::default();
        for (name, value) in [("mechanism", "DIGEST-MD5"), ("user", "me"), ("password_file", "/none")] {
            parameters.set(name, value).unwrap();
        }
        let settings = parameters.settings().unwrap().unwrap();
        Login::by(start, Arc::new(settings), told.recv().unwrap())
    }

    #[track_caller]
    fn says(login: &mut Login) -> Said {
        let since = Instant::now();
        loop {
            match login.poll() {
                Some(said) => return said,
                None => assert!(since.elapsed() < Duration::from_secs(20), "nothing is said"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn said(token: &str, is_last: bool) -> Said {
        Ok((token.into(), is_last))
    }

    /// The mechanism belongs to one connection, whatever became of the one before. All of it in one test, which counts.
    #[test]
    fn a_mechanism_serves_one_connection() {
        let mut login = login();
        login.begin("first".to_owned());
        std::thread::sleep(Duration::from_millis(20));
        assert!(login.poll().is_none(), "the server has said nothing");
        login.challenge(Vec::new());
        assert_eq!(says(&mut login), said("first", false));
        login.challenge(b"x".to_vec());
        assert_eq!(says(&mut login), said("done", true));
        assert!(login.worker.is_none(), "the thread ends with the exchange");

        // It still works for the first of these when the others come, and works for the last one then.
        for host in ["slow", "second", "third"] {
            login.begin(host.to_owned());
        }
        assert!(ALIVE.load(Ordering::SeqCst) <= 2, "the former one may be about to go");
        login.challenge(Vec::new());
        assert_eq!(says(&mut login), said("third", false));
        login.challenge(b"x".to_vec());
        login.stop();
        login.begin("fourth".to_owned());
        login.challenge(Vec::new());
        assert_eq!(says(&mut login), said("fourth", false), "what was said before is forgotten");

        login.begin("fails".to_owned());
        login.challenge(Vec::new());
        assert_eq!(says(&mut login), Err(SaslFault::Credentials("its thread has failed".to_owned())));
        login.begin("fifth".to_owned());
        login.challenge(Vec::new());
        assert_eq!(says(&mut login), said("fifth", false));
        drop(login);
        let since = Instant::now();
        while ALIVE.load(Ordering::SeqCst) > 0 {
            assert!(since.elapsed() < Duration::from_secs(20), "a thread stays");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
