//! A ZooKeeper session of the library (`zk::Session`) on a real socket, which carries out the requests of a test, and no
//! others. It stays on one server until the test moves it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{spawn, JoinHandle};
use std::time::{Duration, Instant};

use election::testing::logic::{Op, Reply, RequestId, SessionId, Time, WatchEvent};
use election::testing::zk::{Event, Session, Settings};

/// The longest time between two looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// A request that is not answered for this long is followed by one of our own. A follower of 3.8.0 may overlook a request
/// until another one comes (ZOOKEEPER-4537).
const OVERLOOKED: Duration = Duration::from_millis(500);
const OUR_OWN: RequestId = RequestId(u64::MAX);

/// What a request returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Reply(RequestId, Reply),
    WatchEvent(RequestId, WatchEvent),
}

/// Dropping it closes the session.
pub struct TestClient {
    session: SessionId,
    session_timeout: Duration,
    inner: Arc<Mutex<Inner>>,
    /// The session that stands on a new connection; `None` if the connection has ended.
    opened: Receiver<Option<SessionId>>,
    answers: Receiver<Answer>,
    reader: Option<JoinHandle<()>>,
}

struct Inner {
    zk: Session,
    stream: Option<TcpStream>,
    /// The server's first frame on this connection, with its length, as far as it has arrived.
    welcome: Vec<u8>,
    began: Instant,
    opened: Sender<Option<SessionId>>,
    answered: Sender<Answer>,
    without_answer: usize,
    asked_at: Instant,
}

#[allow(dead_code)] // Not each test asks for all of it.
impl TestClient {
    /// Opens a session on the server at this address. Returns `None` if that fails.
    pub fn open(host: &str, session_timeout: Duration) -> Option<TestClient> {
        let session_timeout_ms = session_timeout.as_millis() as u32;
        let zk = Session::new(Settings { session_timeout_ms, ..Settings::default() });
        let (told, opened) = channel();
        let (answered, answers) = channel();
        let (stream, welcome, began) = (None, Vec::new(), Instant::now());
        let (without_answer, asked_at) = (0, began);
        let inner = Inner { zk, stream, welcome, began, opened: told, answered, without_answer, asked_at };
        let inner = Arc::new(Mutex::new(inner));
        let session = SessionId(0);
        let mut client = TestClient { session, session_timeout, inner, opened, answers, reader: None };
        client.connect(host).then_some(client)
    }

    /// Goes on on a connection to this server. If the session is over, it becomes another one. Returns whether a session
    /// stands.
    pub fn resume(&mut self, host: &str) -> bool {
        self.disconnect();
        self.connect(host) || self.connect(host)
    }

    /// Returns whether the session stands on the new connection.
    fn connect(&mut self, host: &str) -> bool {
        let Ok(stream) = TcpStream::connect(host) else { return false };
        stream.set_nodelay(true).expect("an open socket");
        stream.set_read_timeout(Some(TICK)).expect("an open socket");
        let reads = stream.try_clone().expect("a descriptor");
        let mut inner = self.inner();
        (inner.stream, inner.welcome) = (Some(stream), Vec::new());
        let now = inner.now();
        inner.zk.handle_connected(now);
        inner.go_on();
        drop(inner);
        self.reader = Some(spawn({
            let inner = self.inner.clone();
            move || read(reads, &inner)
        }));
        let session = self.opened.recv_timeout(self.session_timeout).ok().flatten();
        self.session = session.unwrap_or(self.session);
        session.is_some()
    }

    /// Ends the connection.
    pub fn disconnect(&mut self) {
        self.inner().ends();
        if let Some(reader) = self.reader.take() {
            // If it has panicked, the test has failed.
            let _ = reader.join();
        }
        while self.opened.try_recv().is_ok() {}
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics with it")
    }

    pub fn session(&self) -> SessionId {
        self.session
    }

    /// What somebody needs to take the session over.
    pub fn identity(&self) -> testkit::Session {
        let inner = self.inner();
        testkit::Session::of_connect_response(&inner.welcome[4..]).expect("a session stood on the last connection")
    }

    /// Sends a request after the requests that were submitted before. Without a connection its outcome is unknown.
    pub fn submit(&self, request: RequestId, op: Op) {
        let mut inner = self.inner();
        match inner.stream.is_some() {
            true => inner.submit(request, op),
            false => drop(inner.answered.send(Answer::Reply(request, Reply::Unknown))),
        }
        inner.go_on();
    }

    /// Returns the next answer or watch event; `None` if neither arrives in time.
    pub fn next(&self, timeout: Duration) -> Option<Answer> {
        self.answers.recv_timeout(timeout).ok()
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        let mut inner = self.inner();
        inner.zk.close();
        inner.go_on();
        drop(inner);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn read(mut stream: TcpStream, inner: &Mutex<Inner>) {
    let mut buffer = [0; 16 << 10];
    loop {
        let read = stream.read(&mut buffer);
        let mut inner = inner.lock().expect("nobody panics with it");
        if inner.stream.is_none() {
            return;
        }
        let now = inner.now();
        match read {
            Ok(0) => inner.ends(),
            Ok(length) => inner.hears(now, &buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => inner.ends(),
        }
        inner.zk.handle_timeout(now);
        if inner.without_answer > 0 && inner.asked_at.elapsed() > OVERLOOKED && inner.stream.is_some() {
            inner.submit(OUR_OWN, Op::Exists { path: "/".into() });
        }
        inner.go_on();
    }
}

impl Inner {
    fn now(&self) -> Time {
        Time(self.began.elapsed().as_nanos() as u64)
    }

    fn submit(&mut self, request: RequestId, op: Op) {
        self.without_answer += 1;
        self.asked_at = Instant::now();
        self.zk.submit(request, op);
    }

    fn hears(&mut self, now: Time, bytes: &[u8]) {
        const WELCOME: usize = 4 + 37;
        let missing = WELCOME.saturating_sub(self.welcome.len());
        self.welcome.extend(bytes.iter().take(missing));
        self.zk.handle_bytes(now, bytes);
    }

    /// The connection has ended.
    fn ends(&mut self) {
        if let Some(stream) = self.stream.take() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
            self.zk.handle_disconnected();
            self.go_on();
            let _ = self.opened.send(None);
        }
    }

    /// Passes on what the session has to say, and writes what it has to send.
    fn go_on(&mut self) {
        loop {
            while let Some(event) = self.zk.poll_event() {
                // Nobody may be left to hear it.
                match event {
                    Event::Connected { session, .. } => drop(self.opened.send(Some(session))),
                    Event::Reply { request, reply, .. } => {
                        self.without_answer -= 1;
                        if request != OUR_OWN {
                            drop(self.answered.send(Answer::Reply(request, reply)));
                        }
                    }
                    Event::Watch(request, event) => drop(self.answered.send(Answer::WatchEvent(request, event))),
                    Event::Answered | Event::Challenge(_) => {}
                    Event::HangUp(_) | Event::Expired(_) | Event::Denied(_) | Event::Closed => self.ends(),
                }
            }
            let now = self.now();
            let Some(mut stream) = self.stream.as_ref() else { return };
            let bytes = self.zk.poll_transmit(now);
            let length = bytes.len();
            if length == 0 {
                return;
            }
            match stream.write_all(bytes) {
                Ok(()) => self.zk.handle_transmitted(length),
                Err(_) => self.ends(),
            }
        }
    }
}
