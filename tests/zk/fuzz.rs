//! Whatever a server sends, in whatever pieces: the session does not panic, answers each request once, holds no more
//! than its bound, and makes the same of the same bytes however they are cut.
//!
//! A seed draws a life of a session: settings, requests, connections, pauses, and a server that answers well, badly or
//! with garbage. Each life is lived twice: once with what the server says in one piece, once cut. `FUZZ_SECONDS` says how
//! long to go on; the failure names the seed, and `SEED=...` lives that life alone.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use election::testing::logic::{Op, RequestId, Time, Write};
use election::testing::zk::{opcode, Cause, Credential, Event, Session, Settings};

use crate::peer::{answer, connected, notification, path, Record};

const SEEDS: u64 = 1_500;
const STEPS: u64 = 300;

#[test]
fn a_session_stands_whatever_comes() {
    if let Ok(seed) = std::env::var("SEED") {
        return drop(Life::of(seed.parse().expect("SEED is a number")).live());
    }
    let seconds =
        std::env::var("FUZZ_SECONDS").ok().map(|seconds| seconds.parse().expect("FUZZ_SECONDS is a number"));
    let (began, mut seed, mut seen) = (Instant::now(), 0, BTreeSet::new());
    while seconds.map_or(seed < SEEDS, |seconds| began.elapsed() < Duration::from_secs(seconds)) {
        let lived = std::panic::catch_unwind(|| Life::of(seed).live());
        seen.extend(lived.unwrap_or_else(|_| panic!("SEED={seed}")));
        seed += 1;
    }
    println!("{seed} lives");
    let missing: Vec<_> = ENDS.iter().filter(|end| !seen.contains(**end)).collect();
    assert!(missing.is_empty(), "no life came to {missing:?}");
}

/// What the lives must come to.
const ENDS: [&str; 26] = [
    "Connected",
    "Connected again",
    "SetWatches",
    "SetWatches refused",
    "Challenge",
    "Full of requests",
    "Full of bytes",
    "Reply",
    "Watch",
    "Closed",
    "Denied",
    "Expired",
    "HangUp(Silence",
    "HangUp(FrameTooLong",
    "HangUp(WrongLength",
    "HangUp(Malformed",
    "HangUp(OutOfOrder",
    "HangUp(AnotherSession",
    "HangUp(TooOld",
    "HangUp(NoSession",
    "HangUp(NotZooKeeper",
    "HangUp(Expired",
    "HangUp(GivenUp",
    "HangUp(Moved",
    "HangUp(SaslRefused",
    "HangUp(SaslTakesLong",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.below(256) as u8).collect()
    }
}

/// A request that the server has read: the connect request has the opcode 0.
struct Asked {
    xid: i32,
    opcode: i32,
    content: Vec<u8>,
}

struct Life {
    random: Random,
    frame_limit: usize,
    /// The same session twice: what arrives at the second one is cut.
    sessions: [Session; 2],
    now: Time,
    /// Whether there is a connection.
    is_on: bool,
    sent: Vec<u8>,
    is_first: bool,
    asked: VecDeque<Asked>,
    zxid: i64,
    last_request: u64,
    /// Those without a reply.
    open: BTreeSet<u64>,
    /// The session waits for our next message of SASL.
    is_challenged: bool,
    /// The kinds of events that came.
    seen: BTreeSet<String>,
    /// How well the server behaves: one answer in so many is bad.
    badness: u64,
}

impl Life {
    fn of(seed: u64) -> Life {
        let mut random = Random(seed);
        let credentials =
            (0..random.below(3)).map(|_| Credential { scheme: "digest".into(), auth: random.bytes(10) }).collect();
        let settings = Settings {
            session_timeout_ms: random.pick(&[0, 40, 1_000, 10_000, u32::MAX]),
            chroot: random.pick(&["", "/app", "/a"]).to_owned(),
            credentials,
            sasl: random.one_in(3),
            frame_limit: random.pick(&[100, 1_000, 4 << 20]),
            first_xid: random.pick(&[0, i32::MAX - 5, -7]),
            ..Settings::default()
        };
        Life {
            frame_limit: settings.frame_limit,
            sessions: [Session::new(settings.clone()), Session::new(settings)],
            now: Time(0).plus_ms(1_000),
            is_on: false,
            sent: Vec::new(),
            is_first: true,
            asked: VecDeque::new(),
            zxid: 1,
            last_request: 0,
            open: BTreeSet::new(),
            is_challenged: false,
            seen: BTreeSet::new(),
            badness: random.pick(&[5, 50, 1_000_000]),
            random,
        }
    }

    fn each(&mut self, act: impl Fn(&mut Session)) {
        self.sessions.iter_mut().for_each(act);
    }

    fn live(mut self) -> BTreeSet<String> {
        for _ in 0..STEPS {
            self.step();
            self.events();
        }
        self.each(Session::handle_disconnected);
        self.each(Session::close);
        self.events();
        assert!(self.open.is_empty(), "no reply to {:?}", self.open);
        self.seen
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..2 if !self.is_on => self.connects(),
            0..7 if self.is_challenged => self.proves(),
            0 if self.random.one_in(3) => {
                self.is_on = false;
                self.each(Session::handle_disconnected);
            }
            2..7 => self.submits(),
            14 if self.random.one_in(100) => self.fills(),
            7 => {
                let request = RequestId(self.random.below(self.last_request + 1));
                self.each(|session| session.unwatch(request));
            }
            8..12 => self.transmits(),
            12 => self.passes(),
            13 if self.random.one_in(30) => {
                self.open.clear();
                self.each(Session::leave);
            }
            _ if !self.is_on => self.connects(),
            _ => self.says(),
        }
    }

    fn connects(&mut self) {
        self.is_on = true;
        let now = self.now;
        self.each(|session| session.handle_connected(now));
        self.is_challenged = false;
        self.sent.clear();
        self.asked.clear();
        self.is_first = true;
    }

    fn proves(&mut self) {
        self.is_challenged = false;
        let (token, is_last, now) = (self.random.bytes(20), self.random.one_in(3), self.now);
        self.each(|session| session.answer_challenge(now, &token, is_last));
    }

    fn passes(&mut self) {
        let ms = self.random.pick(&[1, 100, 2_000, 20_000]);
        self.now = self.now.plus_ms(ms);
        let now = self.now;
        self.each(|session| session.handle_timeout(now));
    }

    fn submits(&mut self) {
        self.last_request += 1;
        self.open.insert(self.last_request);
        let request = RequestId(self.last_request);
        let path = path(self.random.pick(&["/a", "/b", "/a/b", "/q/w/e/r", "/ü"]));
        let (sync, watch) = (self.random.one_in(2), self.random.one_in(2));
        let value = self.random.bytes(100).into();
        let version = self.random.below(3) as i32 - 1;
        let op = match self.random.below(11) {
            0 => Op::Create { path, value },
            1 => Op::CreateSequential { prefix: path, value },
            2 => Op::MakeParents { path },
            3 => Op::Read { path, sync, watch },
            4 => Op::Exists { path },
            5 => Op::Stat { path },
            6 => Op::List { path, sync, watch },
            7 => Op::SetValue { path, value, version },
            8 => Op::Delete { path, version },
            9 => Op::Prove { paths: vec![path; self.random.below(3) as usize] },
            _ => Op::Write { own: path.clone(), write: Write::Set { path, value, version: None } },
        };
        self.each(|session| session.submit(request, op.clone()));
    }

    /// The core submits as long as it may, and then waits.
    fn fills(&mut self) {
        let len = self.random.pick(&[0, 0, 200_000]);
        let value = vec![7; len].into();
        while self.sessions[0].has_room() {
            self.last_request += 1;
            self.open.insert(self.last_request);
            let (request, value) = (RequestId(self.last_request), Arc::clone(&value));
            let op = match len {
                0 => Op::Touch,
                _ => Op::SetValue { path: path("/a"), value, version: -1 },
            };
            self.each(|session| session.submit(request, op.clone()));
        }
        self.seen.insert(if len == 0 { "Full of requests" } else { "Full of bytes" }.to_owned());
        assert!(self.open.len() <= 4_096 + STEPS as usize, "{} requests have no reply", self.open.len());
    }

    fn transmits(&mut self) {
        let most = self.random.pick(&[1, 20, usize::MAX]);
        let now = self.now;
        let [taken, same] = self.sessions.each_mut().map(|session| {
            let bytes = session.poll_transmit(now);
            let taken = bytes[..bytes.len().min(most)].to_vec();
            session.handle_transmitted(taken.len());
            assert!(session.bytes_not_sent() < (128 << 10) + 201_000);
            taken
        });
        assert_eq!(taken, same);
        self.sent.extend(taken);
        while let Some((len, rest)) = self.sent.split_first_chunk::<4>() {
            let len = u32::from_be_bytes(*len) as usize;
            let Some(frame) = rest.get(..len) else { break };
            let number = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
            self.asked.push_back(match std::mem::take(&mut self.is_first) {
                true => Asked { xid: 0, opcode: 0, content: frame.to_vec() },
                false => Asked { xid: number(0), opcode: number(4), content: frame[8..].to_vec() },
            });
            self.sent.drain(..4 + len);
            if self.asked.back().is_some_and(|asked| asked.opcode == opcode::SET_WATCHES) {
                self.seen.insert("SetWatches".to_owned());
            }
        }
    }

    /// The server says something, in one piece and in many.
    fn says(&mut self) {
        let mut bytes = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            bytes.extend(self.frame());
        }
        let now = self.now;
        self.sessions[0].handle_bytes(now, &bytes);
        while !bytes.is_empty() {
            let len = 1 + self.random.below(bytes.len() as u64) as usize;
            self.sessions[1].handle_bytes(now, &bytes[..len]);
            bytes.drain(..len);
        }
        for session in &self.sessions {
            assert!(session.bytes_not_read() <= self.frame_limit.max(256) + 4);
        }
    }

    fn frame(&mut self) -> Vec<u8> {
        let is_bad = self.random.one_in(self.badness);
        if is_bad && self.random.one_in(3) {
            return self.random.bytes(300);
        }
        let mut frame = match self.asked.pop_front() {
            _ if self.random.one_in(10) && !self.is_first => {
                let path = self.random.pick(&["/a", "/app/a", "/a/b", "/app/a/b", "", "/"]);
                notification(self.random.below(7) as i32, path)
            }
            None => return Vec::new(),
            Some(asked) => self.answer(&asked),
        };
        if is_bad {
            match self.random.below(4) {
                0 => frame.truncate(self.random.below(frame.len() as u64) as usize),
                1 => frame.extend(self.random.bytes(10)),
                _ => {
                    for _ in 0..1 + self.random.below(3) {
                        let at = self.random.below(frame.len() as u64) as usize;
                        frame[at] = self.random.pick(&[0, 1, 0x7f, 0x80, 0xfe, 0xff]);
                    }
                }
            }
        }
        frame
    }

    fn answer(&mut self, asked: &Asked) -> Vec<u8> {
        if asked.opcode == 0 {
            let ours = i64::from_be_bytes(asked.content[16..24].try_into().expect("eight bytes"));
            let id = match ours {
                _ if self.random.one_in(20) => self.random.pick(&[0, 5, -1]),
                0 => 1 + self.random.below(9) as i64,
                ours => ours,
            };
            return connected(self.random.pick(&[40, 1_000, 10_000]), id, self.random.pick(&[Some(false), None]));
        }
        let owner = self.sessions[0].id().0;
        self.zxid += 1;
        let error =
            if self.random.one_in(6) { self.random.pick(&[-101, -110, -6, -102, -112, -118, -4]) } else { 0 };
        if asked.opcode == opcode::SET_WATCHES && error != 0 {
            self.seen.insert("SetWatches refused".to_owned());
        }
        let of_path = asked.content.get(..4).map_or(0, |len| u32::from_be_bytes(len.try_into().expect("four")));
        let of_path = asked.content.get(4..4 + of_path as usize).unwrap_or_default();
        let name = String::from_utf8_lossy(of_path).into_owned();
        let stat = |record: Record| record.stat(7, 0, owner);
        let content = match asked.opcode {
            _ if error != 0 => Record::new(),
            opcode::CREATE => Record::new().text(&name),
            opcode::CREATE2 | opcode::CREATE_CONTAINER => stat(Record::new().text(&name)),
            opcode::EXISTS | opcode::SET_DATA => stat(Record::new()),
            opcode::GET_DATA => stat(Record::new().buffer(&self.random.bytes(50))),
            opcode::GET_CHILDREN => Record::new().texts(&["a", "", "ü"][..self.random.below(4) as usize]),
            opcode::SYNC => Record::new().text(&name),
            opcode::SASL => Record::new().buffer(&self.random.bytes(20)),
            opcode::MULTI => {
                let error = self.random.pick(&[0, 0, 0, 0, -2, -101, -118, -112]);
                let record = Record::new().multi(opcode::CHECK, false, 0);
                let record = if error == 0 { record } else { record.multi(-1, false, error).int(error) };
                record.multi(-1, true, -1)
            }
            _ => Record::new(),
        };
        answer(asked.xid, self.zxid, error, &content.0)
    }

    fn events(&mut self) {
        let event = |event| match event {
            // As much as had arrived.
            Event::HangUp(Cause::NotZooKeeper(_)) => Event::HangUp(Cause::NotZooKeeper(Vec::new())),
            event => event,
        };
        let [events, same] = self
            .sessions
            .each_mut()
            .map(|session| std::iter::from_fn(|| session.poll_event()).map(event).collect::<Vec<_>>());
        assert_eq!(events, same);
        for event in events {
            let told = format!("{event:?}");
            let end = told.find("HangUp(").map_or(0, |_| "HangUp(".len());
            let end = told[end..].find(|c: char| !c.is_alphabetic()).map_or(told.len(), |at| end + at);
            self.seen.insert(told[..end].to_owned());
            match event {
                Event::Connected { resumed: true, .. } => drop(self.seen.insert("Connected again".to_owned())),
                Event::HangUp(_) => self.is_on = false,
                Event::Challenge(_) => self.is_challenged = true,
                Event::Reply { request, sent_at, .. } => {
                    assert!(self.open.remove(&request.0), "a second reply to {request:?}");
                    assert!(sent_at.is_none_or(|sent_at| sent_at <= self.now));
                }
                Event::Watch(request, _) => assert!(!self.open.contains(&request.0), "a watch before the reply"),
                _ => {}
            }
        }
        let timeouts = self.sessions.each_ref().map(Session::poll_timeout);
        assert_eq!(timeouts[0], timeouts[1]);
    }
}
