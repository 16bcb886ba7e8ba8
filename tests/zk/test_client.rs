//! A ZooKeeper session of the library (`zk::Session`) on a real socket, which carries out the requests of a test, and no
//! others. It stays on one server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex};
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
    inner: Arc<Mutex<Inner>>,
    answers: Receiver<Answer>,
    reader: Option<JoinHandle<()>>,
}

struct Inner {
    zk: Session,
    stream: TcpStream,
    began: Instant,
    opened: Sender<SessionId>,
    answered: Sender<Answer>,
    without_answer: usize,
    asked_at: Instant,
    is_over: bool,
}

impl TestClient {
    /// Opens a session on the server at this address. Returns `None` if that fails.
    pub fn open(host: &str, session_timeout: Duration) -> Option<TestClient> {
        let stream = TcpStream::connect(host).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(TICK)).ok()?;
        let session_timeout_ms = session_timeout.as_millis() as u32;
        let zk = Session::new(Settings { session_timeout_ms, ..Settings::default() });
        let (opened, is_opened) = channel();
        let (answered, answers) = channel();
        let reads = stream.try_clone().ok()?;
        let began = Instant::now();
        let mut inner =
            Inner { zk, stream, began, opened, answered, without_answer: 0, asked_at: began, is_over: false };
        inner.zk.handle_connected(inner.now());
        inner.go_on();
        let inner = Arc::new(Mutex::new(inner));
        let reader = spawn({
            let inner = inner.clone();
            move || read(reads, &inner)
        });
        let mut client = TestClient { session: SessionId(0), inner, answers, reader: Some(reader) };
        client.session = is_opened.recv_timeout(session_timeout).ok()?;
        Some(client)
    }

    #[allow(dead_code)] // Not each test asks.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Sends a request after the requests that were submitted before.
    pub fn submit(&self, request: RequestId, op: Op) {
        let mut inner = self.inner.lock().expect("nobody panics with it");
        inner.submit(request, op);
        inner.go_on();
    }

    /// Returns the next answer or watch event; `None` if neither arrives in time.
    pub fn next(&self, timeout: Duration) -> Option<Answer> {
        self.answers.recv_timeout(timeout).ok()
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        {
            let mut inner = self.inner.lock().expect("nobody panics with it");
            inner.zk.close();
            inner.go_on();
        }
        if let Some(reader) = self.reader.take() {
            // If it has panicked, the test has failed.
            let _ = reader.join();
        }
    }
}

fn read(mut stream: TcpStream, inner: &Mutex<Inner>) {
    let mut buffer = [0; 16 << 10];
    loop {
        let read = stream.read(&mut buffer);
        let mut inner = inner.lock().expect("nobody panics with it");
        let now = inner.now();
        match read {
            Ok(0) => inner.zk.handle_disconnected(),
            Ok(length) => inner.zk.handle_bytes(now, &buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => inner.zk.handle_disconnected(),
        }
        inner.zk.handle_timeout(now);
        if inner.without_answer > 0 && inner.asked_at.elapsed() > OVERLOOKED {
            inner.submit(OUR_OWN, Op::Exists { path: "/".into() });
        }
        inner.go_on();
        if inner.is_over {
            let _ = inner.stream.shutdown(Shutdown::Both);
            return;
        }
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

    /// Passes on what the session has to say, and writes what it has to send.
    fn go_on(&mut self) {
        loop {
            while let Some(event) = self.zk.poll_event() {
                match event {
                    Event::Connected { session, .. } => drop(self.opened.send(session)),
                    Event::Answered => {}
                    Event::Reply { request, reply, .. } => {
                        self.without_answer -= 1;
                        if request != OUR_OWN {
                            drop(self.answered.send(Answer::Reply(request, reply)));
                        }
                    }
                    Event::Watch(request, event) => drop(self.answered.send(Answer::WatchEvent(request, event))),
                    Event::HangUp(_) | Event::Expired(_) | Event::Denied(_) | Event::Closed => self.is_over = true,
                }
            }
            let now = self.now();
            let bytes = self.zk.poll_transmit(now);
            let length = bytes.len();
            if length == 0 {
                return;
            }
            match self.stream.write_all(bytes) {
                Ok(()) => self.zk.handle_transmitted(length),
                Err(_) => self.zk.handle_disconnected(),
            }
        }
    }
}
