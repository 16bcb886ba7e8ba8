//! Handles, candidates and observers of the library under test, and everything that they hear, in order and with the
//! moment at which they heard it. What is heard next must be what the test says: an event too many fails it, too.

use crate::ground::{LONG_MS, SOON};
use election::{
    Alarm, Dialect, Error, Event, Handle, Master, Mastership, Member, Members, Options, Reason, Recipe, Role,
};
use std::fmt::Debug;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What one callback has heard.
pub struct Ear<T> {
    news: Receiver<Heard<T>>,
    taken: Mutex<Vec<Heard<T>>>,
}

#[derive(Clone, Debug)]
pub struct Heard<T> {
    pub at: Instant,
    pub news: T,
}

impl<T: Clone + Debug + Send + 'static> Ear<T> {
    /// An ear, and the callback that it listens to.
    pub fn new() -> (Ear<T>, impl FnMut(&T) + Send + 'static) {
        let (tell, news) = channel();
        let callback = move |news: &T| {
            let _ = tell.send(Heard { at: Instant::now(), news: news.clone() });
        };
        (Ear { news, taken: Mutex::default() }, callback)
    }

    /// What is heard next.
    #[track_caller]
    pub fn next(&self) -> Heard<T> {
        match self.news.recv_timeout(SOON) {
            Ok(heard) => {
                self.taken.lock().unwrap().push(heard.clone());
                heard
            }
            Err(why) => panic!("nothing more is heard ({why}), after {}", self.history()),
        }
    }

    /// What has been heard so far does not matter.
    pub fn forget_what_came(&self) {
        let mut taken = self.taken.lock().unwrap();
        taken.extend(self.news.try_iter());
    }

    /// Nothing is heard for so long.
    #[track_caller]
    pub fn hears_nothing_for(&self, duration: Duration) {
        if let Ok(heard) = self.news.recv_timeout(duration) {
            panic!("heard {:?}, after {}", heard.news, self.history());
        }
    }

    /// Nothing has been heard that the test has not taken, and the callback is gone.
    #[track_caller]
    pub fn hears_no_more(&self) {
        match self.news.recv_timeout(SOON) {
            Err(RecvTimeoutError::Disconnected) => {}
            Ok(heard) => panic!("heard {:?}, after {}", heard.news, self.history()),
            Err(RecvTimeoutError::Timeout) => panic!("the callback is kept, after {}", self.history()),
        }
    }

    fn history(&self) -> String {
        let taken = self.taken.lock().unwrap();
        let lines: Vec<String> = taken.iter().map(|heard| format!("\n  {:?}", heard.news)).collect();
        if lines.is_empty() {
            "nothing".to_owned()
        } else {
            lines.concat()
        }
    }
}

/// A handle of the library; closed when its last user is dropped.
#[derive(Clone)]
pub struct TestHandle(Arc<Handle>);

impl Deref for TestHandle {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl TestHandle {
    /// Opens a handle with a long session, and waits until it is connected.
    #[track_caller]
    pub fn open(hosts: &str) -> TestHandle {
        TestHandle::open_for(hosts, LONG_MS)
    }

    #[track_caller]
    pub fn open_for(hosts: &str, session_timeout_ms: u64) -> TestHandle {
        match TestHandle::try_open(hosts, session_timeout_ms, SOON) {
            Ok(handle) => handle,
            Err(error) => panic!("no connection to {hosts}: {error}"),
        }
    }

    /// A `connect_timeout` of zero is not to wait.
    pub fn try_open(hosts: &str, session_timeout_ms: u64, connect_timeout: Duration) -> Result<TestHandle, Error> {
        let mut options = options(session_timeout_ms);
        options.set_connect_timeout(connect_timeout)?;
        Ok(TestHandle(Arc::new(Handle::open(hosts, &options)?)))
    }

    /// Opens a handle with what `options` says.
    #[track_caller]
    pub fn open_with(hosts: &str, options: &Options) -> TestHandle {
        match Handle::open(hosts, options) {
            Ok(election) => TestHandle(Arc::new(election)),
            Err(error) => panic!("no connection to {hosts}: {error}"),
        }
    }

    /// Opens a handle whose elections are queues.
    #[track_caller]
    pub fn open_in_queue(hosts: &str, session_timeout_ms: u64, dialect: Dialect) -> TestHandle {
        let mut options = options(session_timeout_ms);
        options.set_recipe(Recipe::Queue(dialect));
        TestHandle::open_with(hosts, &options)
    }

    /// For callbacks of the handle's own, which must not keep it open.
    pub fn weak(&self) -> Weak<Handle> {
        Arc::downgrade(&self.0)
    }

    #[track_caller]
    pub fn stand(&self, path: &str, value: impl AsRef<[u8]>) -> Candidate {
        let (ear, callback) = Ear::new();
        if let Err(error) = self.go_to_election(path, value.as_ref(), callback) {
            panic!("cannot stand at {path}: {error}");
        }
        Candidate { handle: self.clone(), path: path.to_owned(), value: value.as_ref().to_vec(), ear }
    }

    #[track_caller]
    pub fn observe(&self, path: &str) -> Observer {
        let (ear, callback) = Ear::new();
        if let Err(error) = self.watch_master(path, callback) {
            panic!("cannot watch {path}: {error}");
        }
        Observer { _handle: self.clone(), ear }
    }

    #[track_caller]
    pub fn count(&self, path: &str, enough: usize) -> Roll {
        let (ear, callback) = Ear::new();
        if let Err(error) = self.watch_members(path, enough, callback) {
            panic!("cannot watch the members of {path}: {error}");
        }
        Roll { _handle: self.clone(), ear }
    }
}

/// To wait for the first connection, with this session timeout.
pub fn options(session_timeout_ms: u64) -> Options {
    let mut options = Options::default();
    options.set_session_timeout(Duration::from_millis(session_timeout_ms)).expect("a session timeout");
    options.set_connect_timeout(SOON).expect("a connect timeout");
    options
}

/// One call of `go_to_election`.
pub struct Candidate {
    pub handle: TestHandle,
    pub path: String,
    pub value: Vec<u8>,
    pub ear: Ear<Event>,
}

impl Candidate {
    /// Stands at `path` with a handle of its own.
    #[track_caller]
    pub fn stand(hosts: &str, path: &str, value: impl AsRef<[u8]>) -> Candidate {
        TestHandle::open(hosts).stand(path, value)
    }

    #[track_caller]
    pub fn stand_for(hosts: &str, session_timeout_ms: u64, path: &str, value: impl AsRef<[u8]>) -> Candidate {
        TestHandle::open_for(hosts, session_timeout_ms).stand(path, value)
    }

    pub fn is_master(&self) -> bool {
        self.handle.is_master(&self.path)
    }

    pub fn lease(&self) -> Option<Mastership> {
        self.handle.lease(&self.path)
    }

    /// Asks whether it is master, every millisecond, from now on.
    pub fn interrogate(&self) -> Interrogation {
        Interrogation::begin(self.handle.clone(), self.path.clone())
    }

    #[track_caller]
    pub fn resign(&self) {
        if let Err(error) = self.handle.resign(&self.path) {
            panic!("cannot resign from {}: {error}", self.path);
        }
    }

    /// It hears that it is master, next; with which token. In a queue it may have become the one next to another master
    /// before: then it hears who that is.
    #[track_caller]
    pub fn becomes_master(&self) -> i64 {
        loop {
            let event = self.ear.next().news;
            let knows_another = event.role == Role::Slave && event.reason == Reason::Following && event.token != 0;
            if !knows_another {
                return self.check_master(&event);
            }
        }
    }

    #[track_caller]
    pub fn check_master(&self, event: &Event) -> i64 {
        let what = (event.role, event.reason, event.rc);
        let history = || self.ear.history();
        assert_eq!(what, (Role::Master, Reason::Elected, 0), "{event:?}, after {}", history());
        assert!(*event.value == *self.value, "a master's value is its own");
        assert!(event.token > 0, "{event:?}");
        event.token
    }

    /// It hears that another is master, next; with which token.
    #[track_caller]
    pub fn becomes_slave_of(&self, value: impl AsRef<[u8]>) -> i64 {
        self.check_slave(&self.ear.next().news, value)
    }

    #[track_caller]
    pub fn check_slave(&self, event: &Event, value: impl AsRef<[u8]>) -> i64 {
        let what = (event.role, event.reason, event.rc);
        let history = || self.ear.history();
        assert_eq!(what, (Role::Slave, Reason::Following, -110), "{event:?}, after {}", history());
        assert!(*event.value == *value.as_ref(), "{event:?}");
        assert!(event.token > 0, "{event:?}");
        event.token
    }

    /// It hears that nobody can tell, next; when it heard so.
    #[track_caller]
    pub fn becomes_unknown(&self, reason: Reason, rc: i32) -> Instant {
        let heard = self.ear.next();
        self.check_unknown(&heard.news, reason, rc);
        heard.at
    }

    #[track_caller]
    fn check_unknown(&self, event: &Event, reason: Reason, rc: i32) {
        let what = (event.role, event.reason, event.rc);
        assert_eq!(what, (Role::Unknown, reason, rc), "{event:?}, after {}", self.ear.history());
        assert!(event.value.is_empty() && event.token == 0, "{event:?}");
    }

    /// The connection breaks. Whoever leads, and still has its lease, is not told.
    #[track_caller]
    pub fn is_suspended(&self) -> Instant {
        self.becomes_unknown(Reason::Suspended, -4)
    }

    /// Its lease runs out.
    #[track_caller]
    pub fn lapses(&self) -> Instant {
        self.becomes_unknown(Reason::LeaseExpired, -1017)
    }

    /// What it hears next, but for that it cannot know, for these reasons, however often.
    #[track_caller]
    pub fn next_but_for(&self, reasons: &[Reason]) -> Event {
        loop {
            let event = self.ear.next().news;
            if event.role != Role::Unknown || !reasons.contains(&event.reason) {
                return event;
            }
        }
    }

    /// In a queue, it hears that another is master, next. Who that is the queue does not tell.
    #[track_caller]
    pub fn queues(&self) {
        let event = self.ear.next().news;
        let what = (event.role, event.reason, event.rc);
        assert_eq!(what, (Role::Slave, Reason::Following, -110), "{event:?}, after {}", self.ear.history());
        // The one next to the master knows it.
        assert_eq!(event.value.is_empty(), event.token == 0, "{event:?}");
    }

    /// The session is over, and a new one stands: what it hears first in that. Before that it hears that the session has
    /// expired. How often that the connection is broken is a matter of luck, as are whether the watch of its own znode was
    /// faster than the end of the connection, and whether a master's lease ran out before.
    #[track_caller]
    pub fn expires(&self) -> Event {
        let mut has_expired = false;
        loop {
            let event = self.ear.next().news;
            match (event.role, event.reason) {
                (Role::Unknown, Reason::Suspended) => self.check_unknown(&event, Reason::Suspended, -4),
                (Role::Unknown, Reason::LeaseExpired) if !has_expired => {
                    self.check_unknown(&event, Reason::LeaseExpired, -1017)
                }
                (Role::Unknown, Reason::Deleted) if !has_expired => {
                    self.check_unknown(&event, Reason::Deleted, -101)
                }
                (Role::Unknown, Reason::Expired) => {
                    self.check_unknown(&event, Reason::Expired, -112);
                    has_expired = true;
                }
                _ => {
                    assert!(has_expired, "no word of an expired session before {event:?}: {}", self.ear.history());
                    return event;
                }
            }
        }
    }

    /// It hears that ZooKeeper refused it for good, and nothing more, ever; when it heard so.
    #[track_caller]
    pub fn is_denied(&self, rc: i32) -> Instant {
        let heard_at = self.becomes_unknown(Reason::Denied, rc);
        self.ear.hears_no_more();
        heard_at
    }

    /// It hears that it has resigned, and nothing more, ever.
    #[track_caller]
    pub fn has_resigned(&self) {
        self.becomes_unknown(Reason::Resigned, -1014);
        self.ear.hears_no_more();
    }

    /// It hears that its handle was closed, and nothing more, ever.
    #[track_caller]
    pub fn is_closed(&self) {
        self.check_closed(&self.ear.next().news);
    }

    #[track_caller]
    pub fn check_closed(&self, event: &Event) {
        self.check_unknown(event, Reason::Closed, -116);
        self.ear.hears_no_more();
    }
}

/// One call of `watch_master`.
pub struct Observer {
    /// Kept open.
    _handle: TestHandle,
    pub ear: Ear<Master>,
}

impl Observer {
    /// Watches `path` with a handle of its own.
    #[track_caller]
    pub fn watch(hosts: &str, path: &str) -> Observer {
        TestHandle::open(hosts).observe(path)
    }

    /// It hears that there is a master, next; of its znode.
    #[track_caller]
    pub fn sees(&self, value: impl AsRef<[u8]>) -> election::testing::logic::Stat {
        let master = self.ear.next().news;
        assert_eq!(master.rc, 0, "{master:?}, after {}", self.ear.history());
        assert!(*master.value == *value.as_ref(), "{master:?}, after {}", self.ear.history());
        master.stat
    }

    /// It hears that what stands at the path is no contender's, next; of that znode.
    #[track_caller]
    pub fn sees_in_the_way(&self, value: impl AsRef<[u8]>) -> election::testing::logic::Stat {
        let master = self.ear.next().news;
        assert_eq!(master.rc, -1013, "{master:?}, after {}", self.ear.history());
        assert!(*master.value == *value.as_ref(), "{master:?}, after {}", self.ear.history());
        master.stat
    }

    /// It hears that there is no master, or that nobody can tell, next.
    #[track_caller]
    pub fn sees_nobody(&self, rc: i32) {
        let master = self.ear.next().news;
        self.check_nobody(&master, rc);
    }

    /// It hears that ZooKeeper refused it for good, and nothing more, ever.
    #[track_caller]
    pub fn is_denied(&self, rc: i32) {
        self.sees_nobody(rc);
        self.ear.hears_no_more();
    }

    /// As `sees`, where the moment without a master, which may be too short to be seen, comes first.
    #[track_caller]
    pub fn sees_next(&self, value: impl AsRef<[u8]>) -> election::testing::logic::Stat {
        let mut master = self.ear.next().news;
        if master.rc != 0 {
            self.check_nobody(&master, -101);
            master = self.ear.next().news;
        }
        assert_eq!(master.rc, 0, "{master:?}, after {}", self.ear.history());
        assert!(*master.value == *value.as_ref(), "{master:?}, after {}", self.ear.history());
        master.stat
    }

    /// The session expires: what it hears first in the next one, the master's znode or why there is none.
    #[track_caller]
    pub fn expires(&self) -> Result<election::testing::logic::Stat, i32> {
        let mut has_expired = false;
        loop {
            let master = self.ear.next().news;
            match master.rc {
                -4 => self.check_nobody(&master, -4),
                -112 => {
                    self.check_nobody(&master, -112);
                    has_expired = true;
                }
                rc => {
                    assert!(has_expired, "no word of an expired session before {master:?}: {}", self.ear.history());
                    return if rc == 0 { Ok(master.stat) } else { Err(rc) };
                }
            }
        }
    }

    #[track_caller]
    fn check_nobody(&self, master: &Master, rc: i32) {
        assert_eq!(master.rc, rc, "{master:?}, after {}", self.ear.history());
        assert!(master.value.is_empty() && master.stat == election::testing::logic::Stat::default(), "{master:?}");
    }
}

/// One call of `watch_members`.
pub struct Roll {
    /// Kept open.
    _handle: TestHandle,
    pub ear: Ear<Members>,
}

impl Roll {
    /// It hears that these are in, in this order, next.
    #[track_caller]
    pub fn sees(&self, values: &[&str]) -> Arc<[Member]> {
        self.check(self.ear.next().news, values, Alarm::None)
    }

    /// It hears that these are in, next, and that they are too few, or enough again.
    #[track_caller]
    pub fn rings(&self, alarm: Alarm, values: &[&str]) -> Arc<[Member]> {
        self.check(self.ear.next().news, values, alarm)
    }

    #[track_caller]
    fn check(&self, news: Members, values: &[&str], alarm: Alarm) -> Arc<[Member]> {
        let said: Vec<_> = news.members.iter().map(|member| &*member.znode.value).collect();
        let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
        let history = || self.ear.history();
        assert_eq!((news.rc, said, news.alarm), (0, values, alarm), "after {}", history());
        news.members
    }

    /// It hears that nobody can tell, next.
    #[track_caller]
    pub fn cannot_tell(&self, rc: i32) {
        let news = self.ear.next().news;
        let history = || self.ear.history();
        assert_eq!((news.rc, news.members.len(), news.alarm), (rc, 0, Alarm::None), "after {}", history());
    }

    /// The session expires: it hears so, how often that the connection is broken is a matter of luck.
    #[track_caller]
    pub fn expires(&self) {
        loop {
            let news = self.ear.next().news;
            assert_eq!((news.members.len(), news.alarm), (0, Alarm::None), "after {}", self.ear.history());
            match news.rc {
                -4 => {}
                -112 => return,
                _ => panic!("{news:?}, after {}", self.ear.history()),
            }
        }
    }
}

/// Somebody who asks whether a candidate is master, every millisecond. Moments are those before each question: an answer is
/// about that moment or a later one.
pub struct Interrogation {
    is_over: Arc<AtomicBool>,
    clerk: Option<JoinHandle<Answers>>,
}

/// What was answered, in brief.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub yes: usize,
    pub no: usize,
    pub last_yes: Option<Instant>,
    pub first_no: Option<Instant>,
    /// The tokens with which it was master, each once for each time that it came to be.
    pub tokens: Vec<i64>,
    pub longest_left: Duration,
    pub shortest_left: Option<Duration>,
}

impl Interrogation {
    fn begin(handle: TestHandle, path: String) -> Interrogation {
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let clerk = std::thread::spawn(move || {
            let mut answers = Answers::default();
            while !until.load(Ordering::SeqCst) {
                let asked_at = Instant::now();
                let mastership = handle.lease(&path);
                answers.note(asked_at, mastership);
                std::thread::sleep(Duration::from_millis(1));
            }
            answers
        });
        Interrogation { is_over, clerk: Some(clerk) }
    }

    /// Asks no more.
    pub fn end(mut self) -> Answers {
        self.is_over.store(true, Ordering::SeqCst);
        self.clerk.take().expect("it ends once").join().expect("nothing fails in there")
    }
}

impl Drop for Interrogation {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

impl Answers {
    fn note(&mut self, asked_at: Instant, mastership: Option<Mastership>) {
        match mastership {
            Some(Mastership { token, left }) => {
                self.yes += 1;
                self.last_yes = Some(asked_at);
                if self.tokens.last() != Some(&token) {
                    self.tokens.push(token);
                }
                self.longest_left = self.longest_left.max(left);
                self.shortest_left = Some(self.shortest_left.map_or(left, |least| least.min(left)));
            }
            None => {
                self.no += 1;
                self.first_no.get_or_insert(asked_at);
            }
        }
    }

    /// It was master all the time, with this token.
    #[track_caller]
    pub fn are_always_yes(&self, token: i64) {
        assert!(self.no == 0 && self.yes > 0 && self.tokens == [token], "{self:?}");
    }

    /// It was master with this token, and never after that moment.
    #[track_caller]
    pub fn are_no_after(&self, moment: Instant, token: i64) {
        assert_eq!(self.tokens, [token], "{self:?}");
        let last_yes = self.last_yes.expect("it was master");
        assert!(last_yes < moment, "it was master {:?} too long: {self:?}", last_yes - moment);
    }
}
