//! A dialogue with a real server of each release, frame by frame, as `golden/VERSION.txt` has it:
//!
//! | line | meaning |
//! | --- | --- |
//! | `# title` | what the session is asked to do next |
//! | `> hex` | a frame that the session sends |
//! | `< hex` | a frame that the server sends |
//! | `x` | the server closes the connection |
//! | `= event` | what the session makes of that |
//!
//! `make test` needs no server for it: it plays the server's frames to a session, which must send the same frames, byte
//! by byte, and tell the same events. To record all dialogues anew, with the servers that `tests/versions/fetch.py`
//! fetches:
//!
//!     RECORD=1 cargo test --test zk golden

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use election::testing::logic::{rc, Op, Reply, RequestId, Time, WatchEvent, Write};
use election::testing::zk::{Credential, Event, Session, Settings};
use testkit::{Ensemble, RawClient, Release};

use crate::peer::path;

const VERSIONS: [&str; 6] = ["3.4.14", "3.5.9", "3.6.3", "3.7.2", "3.8.0", "3.9.5"];

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

fn file(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/zk/golden/{version}.txt"))
}

#[test]
fn the_dialogues_are_as_recorded() {
    for version in VERSIONS {
        if std::env::var_os("RECORD").is_some() {
            record(version);
        }
        let text = std::fs::read_to_string(file(version)).expect("each release has its dialogue");
        let lines = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let mut play = Play::new(Tape::Recorded { version, lines });
        play.everything();
        let Tape::Recorded { lines, .. } = play.tape else { unreachable!("it was one") };
        assert_eq!(lines, Vec::<String>::new(), "{version}: the dialogue goes on");
    }
}

fn record(version: &str) {
    let release = Some(Release::of_distribution()).filter(|release| release.to_string() == version);
    let release = release.unwrap_or_else(|| Release::fetched(version));
    let ensemble = Ensemble::builder(1).release(release).start();
    let mut play = Play::new(Tape::Live { host: ensemble.host(0), stream: None, lines: String::new() });
    play.everything();
    let Tape::Live { lines, .. } = play.tape else { unreachable!("it was one") };
    std::fs::create_dir_all(file(version).parent().expect("a folder")).expect("the folder can be made");
    std::fs::write(file(version), lines).expect("the dialogue can be written");
}

/// More watches than one SetWatches may have: a real server takes them in chunks, and all of them are armed.
#[test]
fn a_real_server_sets_many_watches_again() {
    const COUNT: u64 = 4_000;
    let ensemble = Ensemble::start(1);
    let mut play = Play::new(Tape::Live { host: ensemble.host(0), stream: None, lines: String::new() });
    play.connect();
    let name = |number| format!("/{}-{number:06}", "a-long-name".repeat(8));
    for number in 1..=COUNT {
        play.session.submit(RequestId(number), Op::Exists { path: path(&name(number)) });
    }
    let is_last = |event: &Event| matches!(event, Event::Reply { request: RequestId(COUNT), .. });
    play.until(is_last);
    play.session.handle_disconnected();
    play.connect();
    play.tape.elsewhere(|client| {
        for number in [1, COUNT / 2, COUNT] {
            assert_eq!(client.create(&name(number), b"", 0).expect("an answer").err, 0);
        }
    });
    for number in [1, COUNT / 2, COUNT] {
        let created = Event::Watch(RequestId(number), WatchEvent::Created);
        play.until(|event| *event == created);
    }
    assert_eq!(play.does(Op::Touch), Reply::Done);
    let Tape::Live { lines, .. } = play.tape else { unreachable!("it was one") };
    let chunks = lines.lines().filter(|line| line.get(10..26) == Some("fffffff800000065")).count();
    assert_eq!(chunks, COUNT as usize * 99 / (128 << 10) + 1);
}

/// A server, or what one has said.
enum Tape {
    Live { host: String, stream: Option<TcpStream>, lines: String },
    Recorded { version: &'static str, lines: VecDeque<String> },
}

impl Tape {
    /// A line that comes from us.
    #[track_caller]
    fn ours(&mut self, line: String) {
        match self {
            Tape::Live { lines, .. } => writeln!(lines, "{line}").expect("a string takes it"),
            Tape::Recorded { version, lines } => assert_eq!(lines.pop_front(), Some(line), "{version}"),
        }
    }

    fn connect(&mut self) {
        if let Tape::Live { host, stream, .. } = self {
            let connected = TcpStream::connect(&*host).expect("the server serves");
            connected.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("the time is not zero");
            *stream = Some(connected);
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        if let Tape::Live { stream: Some(stream), .. } = self {
            // A server that closes the connection may have closed it before this.
            let _ = stream.write_all(bytes);
        }
        let mut rest = bytes;
        while let Some((len, _)) = rest.split_first_chunk() {
            let (frame, after) = rest.split_at(4 + u32::from_be_bytes(*len) as usize);
            self.ours(format!("> {}", hex(frame)));
            rest = after;
        }
    }

    /// The next frame of the server, with its length; `None` when it closes the connection.
    fn receive(&mut self) -> Option<Vec<u8>> {
        match self {
            Tape::Live { stream, lines, .. } => {
                let frame = stream.as_mut().and_then(read_frame);
                writeln!(lines, "{}", frame.as_ref().map_or("x".into(), |frame| format!("< {}", hex(frame))))
                    .expect("a string takes it");
                frame
            }
            Tape::Recorded { version, lines } => match lines.pop_front().as_deref() {
                Some("x") => None,
                Some(line) => Some(bytes(line.strip_prefix("< ").unwrap_or_else(|| panic!("{version}: {line}")))),
                None => panic!("{version}: the dialogue ends"),
            },
        }
    }

    /// What another client does meanwhile.
    fn elsewhere(&mut self, act: impl FnOnce(&mut RawClient)) {
        if let Tape::Live { host, .. } = self {
            let mut client = RawClient::connect(host, 10_000).expect("the server serves");
            act(&mut client);
            client.close_session().expect("the server answers");
        }
    }
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    match stream.read_exact(&mut frame) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the server says nothing"),
        read => read.ok()?,
    }
    let len = u32::from_be_bytes(frame[..].try_into().expect("four bytes"));
    frame.resize(4 + len as usize, 0);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16).expect("a digit")).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// What the session does with the server.
struct Play {
    tape: Tape,
    session: Session,
    now: Time,
    last_request: u64,
    is_connected: bool,
}

impl Play {
    fn new(tape: Tape) -> Play {
        Play { tape, session: Session::new(settings("")), now: Time(0), last_request: 0, is_connected: false }
    }

    fn title(&mut self, title: &str) {
        self.tape.ours(format!("# {title}"));
    }

    fn connect(&mut self) {
        self.connect_until(|event| matches!(event, Event::Connected { .. }));
    }

    fn connect_until(&mut self, is_it: impl Fn(&Event) -> bool) {
        self.title("connect");
        self.tape.connect();
        self.is_connected = true;
        self.session.handle_connected(self.now);
        self.until(is_it);
    }

    /// Sends and receives until the session tells such an event.
    fn until(&mut self, is_it: impl Fn(&Event) -> bool) -> Event {
        loop {
            let sent = self.session.poll_transmit(self.now).to_vec();
            self.session.handle_transmitted(sent.len());
            self.tape.send(&sent);
            let mut found = None;
            while let Some(event) = self.session.poll_event() {
                self.tape.ours(format!("= {event:?}"));
                found = found.or(Some(event).filter(|event| is_it(event)));
            }
            if let Some(found) = found {
                return found;
            }
            match self.tape.receive() {
                Some(frame) => self.session.handle_bytes(self.now, &frame),
                None => {
                    self.is_connected = false;
                    self.session.handle_disconnected();
                }
            }
        }
    }

    /// Does this, on another connection if the server closes this one.
    fn does(&mut self, op: Op) -> Reply {
        for _ in 0..4 {
            if !self.is_connected {
                self.connect();
            }
            self.title(&format!("{op:?}"));
            self.last_request += 1;
            let request = RequestId(self.last_request);
            self.session.submit(request, op.clone());
            let is_it = |event: &Event| matches!(event, Event::Reply { request: of, .. } if *of == request);
            let Event::Reply { reply, .. } = self.until(is_it) else { unreachable!("it was one") };
            if reply.is_answer() {
                return reply;
            }
            // The server does not know the request, has said so, and hangs up.
            while self.is_connected {
                assert_eq!(self.tape.receive(), None);
                self.is_connected = false;
                self.session.handle_disconnected();
            }
        }
        panic!("the server does not answer {op:?}");
    }

    fn watch(&mut self, event: WatchEvent) {
        self.until(|other| matches!(other, Event::Watch(_, other) if *other == event));
    }

    fn everything(&mut self) {
        self.operations();
        self.writes();
        self.a_reconnect();
        self.credentials();
        self.ends();
    }

    fn operations(&mut self) {
        self.connect();
        let done = Reply::Done;
        let value = |text: &str| text.as_bytes().into();
        assert_eq!(self.does(Op::MakeParents { path: path("/a/b/c") }), done);
        assert_eq!(self.does(Op::MakeParents { path: path("/a/b/c") }), done);
        let create = || Op::Create { path: path("/a/m"), value: value("10.0.0.7") };
        let Reply::Created(created) = self.does(create()) else { panic!() };
        assert_eq!((created.ephemeral_owner, created.version), (self.session.id().0, 0));
        assert!(created.czxid > 0 && created.ctime_ms > 0);
        assert_eq!(self.does(create()), Reply::Refused(rc::NODE_EXISTS));
        let sequential = Op::CreateSequential { prefix: path("/a/b/n_"), value: value("é") };
        let Reply::CreatedAs(name, stat) = self.does(sequential) else { panic!() };
        assert_eq!((&*name, stat.ephemeral_owner), ("/a/b/n_0000000000", self.session.id().0));
        let read = |of: &str, sync, watch| Op::Read { path: path(of), sync, watch };
        let Reply::Read(znode) = self.does(read("/a/m", false, true)) else { panic!() };
        assert_eq!((&*znode.value, znode.stat), (&b"10.0.0.7"[..], created));
        assert_eq!(self.does(read("/a/m", true, false)), Reply::Read(znode));
        assert_eq!(self.does(read("/none", true, true)), Reply::Refused(rc::NO_NODE));
        assert_eq!(self.does(Op::Exists { path: path("/none") }), Reply::Exists(false));
        assert_eq!(self.does(Op::Exists { path: path("/a") }), Reply::Exists(true));
        assert!(matches!(self.does(Op::Stat { path: path("/a/b") }), Reply::Stat(_)));
        let list = |sync, watch| Op::List { path: path("/a/b"), sync, watch };
        assert_eq!(self.does(list(false, true)), Reply::Listed(vec![path("n_0000000000")]));
        assert_eq!(self.does(list(true, false)), Reply::Listed(vec![path("n_0000000000")]));
        let set = |version| Op::SetValue { path: path("/a/m"), value: value("10.0.0.8"), version };
        assert_eq!(self.does(set(1)), Reply::Refused(rc::BAD_VERSION));
        assert_eq!(self.does(set(0)), done);
        let prove = |of: [&str; 2]| Op::Prove { paths: of.map(path).to_vec() };
        assert_eq!(self.does(prove(["/a/m", "/a/b"])), done);
        assert_eq!(self.does(prove(["/a/m", "/none"])), Reply::Refused(rc::NO_NODE));
        assert_eq!(self.does(prove(["/none", "/a/m"])), Reply::Refused(rc::NO_NODE));
        assert_eq!(self.does(Op::Touch), done);
        let delete = || Op::Delete { path: path("/a/b/n_0000000000"), version: -1 };
        assert_eq!(self.does(delete()), done);
        assert_eq!(self.does(delete()), Reply::Refused(rc::NO_NODE));
        self.title("a ping");
        self.now = self.now.plus_ms(2_000);
        self.session.handle_timeout(self.now);
        assert!(matches!(self.does(read("/a/m", false, true)), Reply::Read(_)));
        self.title("the watch is not needed any more");
        self.session.unwatch(RequestId(self.last_request));
        assert_eq!(self.does(Op::Touch), done);
    }

    fn writes(&mut self) {
        let write = |own: &str, write| Op::Write { own: path(own), write };
        let (target, value) = (|| path("/a/target"), b"x"[..].into());
        let create = |own: &str| write(own, Write::Create { path: target(), value: b"x"[..].into() });
        assert_eq!(self.does(create("/none")), Reply::NotMaster);
        assert_eq!(self.does(create("/a/m")), Reply::Done);
        assert_eq!(self.does(create("/a/m")), Reply::Refused(rc::NODE_EXISTS));
        let set = Write::Set { path: target(), value, version: Some(0) };
        assert_eq!(self.does(write("/a/m", set)), Reply::Done);
        let delete = |version| Write::Delete { path: target(), version };
        assert_eq!(self.does(write("/a/m", delete(Some(7)))), Reply::Refused(rc::BAD_VERSION));
        assert_eq!(self.does(write("/a/m", delete(None))), Reply::Done);
    }

    /// Two watches are set again on the next connection. One of them has fired meanwhile.
    fn a_reconnect(&mut self) {
        let read = |of: &str| Op::Read { path: path(of), sync: false, watch: true };
        assert!(matches!(self.does(read("/a/m")), Reply::Read(_)));
        assert!(matches!(self.does(read("/a/b")), Reply::Read(_)));
        self.title("the connection breaks, and the value of /a/m is changed");
        self.is_connected = false;
        self.session.handle_disconnected();
        self.tape.elsewhere(|client| assert_eq!(client.set("/a/m", b"y").expect("an answer").err, 0));
        self.connect();
        self.watch(WatchEvent::Changed);
        self.title("/none is created");
        self.tape.elsewhere(|client| assert_eq!(client.create("/none", b"", 0).expect("an answer").err, 0));
        self.watch(WatchEvent::Created);
        self.title("/none and /a/b are deleted");
        self.tape.elsewhere(|client| {
            assert_eq!(client.delete("/none").expect("an answer").err, 0);
            assert_eq!(client.delete("/a/b").expect("an answer").err, 0);
        });
        self.watch(WatchEvent::Deleted);
        assert_eq!(self.does(Op::Touch), Reply::Done);
    }

    fn starts_anew(&mut self, settings: Settings) {
        self.session = Session::new(settings);
        self.is_connected = false;
    }

    /// Good ones, below a chroot that has to be made; then some that no server takes.
    fn credentials(&mut self) {
        self.title("close");
        self.session.close();
        self.until(|event| *event == Event::Closed);
        let credential =
            |scheme: &str| vec![Credential { scheme: scheme.to_owned(), auth: b"user:password".to_vec() }];
        self.starts_anew(Settings { credentials: credential("digest"), ..settings("/app/one") });
        let create = || Op::Create { path: path("/m"), value: b""[..].into() };
        assert_eq!(self.does(create()), Reply::Refused(rc::NO_NODE));
        assert_eq!(self.does(Op::MakeParents { path: path("/m") }), Reply::Done);
        assert!(matches!(self.does(create()), Reply::Created(_)));
        let prefix = path("/n_");
        let Reply::CreatedAs(name, _) = self.does(Op::CreateSequential { prefix, value: b""[..].into() }) else {
            panic!()
        };
        assert_eq!(&*name, "/n_0000000001");
        assert!(matches!(self.does(Op::Read { path: path("/m"), sync: false, watch: true }), Reply::Read(_)));
        assert_eq!(self.does(Op::Delete { path: path("/m"), version: 0 }), Reply::Done);
        assert_eq!(self.does(Op::Touch), Reply::Done);
        self.starts_anew(Settings { credentials: credential("nonsense"), ..settings("") });
        self.connect_until(|event| *event == Event::Denied(rc::AUTH_FAILED));
    }

    /// A session that was left is closed by another one, and is over for a third.
    fn ends(&mut self) {
        self.starts_anew(settings(""));
        self.connect();
        assert_eq!(self.does(Op::Touch), Reply::Done);
        self.title("the session is left, closed, and closed again");
        self.session.leave();
        let orphan = self.session.take_orphan().expect("it was left");
        for _ in 0..2 {
            self.session = Session::to_close(settings(""), orphan.clone(), self.now);
            self.connect_until(|event| *event == Event::Closed);
        }
    }
}

fn settings(chroot: &str) -> Settings {
    Settings { session_timeout_ms: 10_000, chroot: chroot.to_owned(), ..Settings::default() }
}
