//! A session and its server on a table: the test reads what the session sends, frame by frame, and writes the answers by
//! hand.

use std::sync::Arc;

use election::testing::logic::{Op, Reply, RequestId, Time, WatchEvent};
use election::testing::zk::{Cause, Event, Session, Settings};

/// The id and the timeout that the server grants unless a test says otherwise.
pub const ID: i64 = 0x1_0000_0000_0007;
pub const T_MS: i32 = 10_000;

pub const OK: i32 = 0;

/// A request that the session has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub xid: i32,
    pub opcode: i32,
    pub content: Vec<u8>,
}

pub struct Peer {
    pub session: Session,
    pub now: Time,
    /// What the session has sent and the test has not read.
    unread: Vec<u8>,
    zxid: i64,
}

impl Peer {
    pub fn new(settings: Settings) -> Peer {
        Peer { session: Session::new(settings), now: Time(0).plus_ms(1_000), unread: Vec::new(), zxid: 100 }
    }

    /// One whose session stands.
    pub fn up() -> Peer {
        let mut peer = Peer::new(settings());
        peer.connects();
        peer
    }

    /// A connection on which the session is made or resumed.
    pub fn connects(&mut self) {
        self.session.handle_connected(self.now);
        self.transmits();
        self.next_frame();
        self.welcomes(ID, T_MS);
        self.unread.clear();
        let events = self.events();
        assert!(matches!(events.last(), Some(Event::Connected { .. })), "{events:?}");
    }

    /// One on which the session is resumed, whatever is sent on it.
    pub fn connects_again(&mut self) {
        self.events();
        self.connects();
    }

    pub fn welcomes(&mut self, id: i64, timeout_ms: i32) {
        self.sends(&connected(timeout_ms, id, Some(false)));
    }

    pub fn later(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// The socket takes everything.
    pub fn transmits(&mut self) {
        while self.transmits_some(usize::MAX) > 0 {}
    }

    /// The socket takes at most `most` bytes. Returns how many.
    pub fn transmits_some(&mut self, most: usize) -> usize {
        let bytes = self.session.poll_transmit(self.now);
        let count = bytes.len().min(most);
        self.unread.extend_from_slice(&bytes[..count]);
        self.session.handle_transmitted(count);
        count
    }

    /// The next whole frame that the session has sent, with its length.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        let (len, rest) = self.unread.split_first_chunk()?;
        let len = u32::from_be_bytes(*len) as usize;
        rest.get(..len)?;
        Some(self.unread.drain(..4 + len).collect())
    }

    /// The requests that the session sends now.
    pub fn requests(&mut self) -> Vec<Sent> {
        self.transmits();
        let mut sent = Vec::new();
        while let Some(frame) = self.next_frame() {
            let number = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
            sent.push(Sent { xid: number(4), opcode: number(8), content: frame[12..].to_vec() });
        }
        assert_eq!(self.unread, [], "half a frame");
        sent
    }

    /// The one request that the session sends now.
    #[track_caller]
    pub fn request(&mut self) -> Sent {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    pub fn submits(&mut self, request: u64, op: Op) {
        self.session.submit(RequestId(request), op);
    }

    /// These bytes arrive.
    pub fn sends(&mut self, bytes: &[u8]) {
        self.session.handle_bytes(self.now, bytes);
    }

    /// An answer, with the next zxid.
    pub fn answers(&mut self, xid: i32, error: i32, content: &[u8]) {
        self.zxid += 1;
        let answer = answer(xid, self.zxid, error, content);
        self.sends(&answer);
    }

    pub fn tells(&mut self, event: i32, path: &str) {
        self.sends(&notification(event, path));
    }

    pub fn breaks(&mut self) {
        self.session.handle_disconnected();
        self.unread.clear();
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// The replies among the events, which are nothing else.
    #[track_caller]
    pub fn replies(&mut self) -> Vec<(u64, Reply)> {
        let reply = |event| match event {
            Event::Reply { request, reply, .. } => (request.0, reply),
            event => panic!("{event:?}"),
        };
        self.events().into_iter().map(reply).collect()
    }

    /// The session has let go of the connection for this cause.
    #[track_caller]
    pub fn hangs_up(&mut self, cause: Cause) {
        let events = self.events();
        assert!(events.contains(&Event::HangUp(cause.clone())), "{cause:?}: {events:?}");
        assert_eq!(self.session.poll_transmit(self.now), []);
        self.unread.clear();
    }

    /// Calls `handle_timeout` at each moment that the session asks for until `ms` have passed.
    pub fn passes(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        while let Some(then) = self.session.poll_timeout().filter(|then| *then <= end) {
            self.now = then.max(self.now);
            self.session.handle_timeout(self.now);
            self.transmits();
        }
        self.now = end;
    }
}

pub fn settings() -> Settings {
    Settings { session_timeout_ms: T_MS as u32, ..Settings::default() }
}

pub fn path(path: &str) -> Arc<str> {
    path.into()
}

pub fn read(of: &str) -> Op {
    Op::Read { path: path(of), sync: false, watch: true }
}

pub fn watched(request: u64, event: WatchEvent) -> Event {
    Event::Watch(RequestId(request), event)
}

/// A request without an answer, of which a byte was sent at this moment, or none.
pub fn unanswered(request: u64, sent_at: Option<Time>) -> Event {
    let reply = sent_at.map_or(Reply::NotSent, |_| Reply::Unknown);
    Event::Reply { request: RequestId(request), reply, sent_at }
}

/// A record, written field by field.
#[derive(Clone, Default)]
pub struct Record(pub Vec<u8>);

impl Record {
    pub fn new() -> Record {
        Record::default()
    }

    pub fn bool(mut self, value: bool) -> Record {
        self.0.push(value.into());
        self
    }

    pub fn int(mut self, value: i32) -> Record {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn long(mut self, value: i64) -> Record {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn text(self, text: &str) -> Record {
        self.buffer(text.as_bytes())
    }

    pub fn buffer(mut self, bytes: &[u8]) -> Record {
        self = self.int(bytes.len() as i32);
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn texts(mut self, texts: &[&str]) -> Record {
        self = self.int(texts.len() as i32);
        texts.iter().fold(self, |record, text| record.text(text))
    }

    /// A `Stat` of which only these fields matter.
    pub fn stat(self, czxid: i64, version: i32, owner: i64) -> Record {
        let record = self.long(czxid).long(czxid).long(1).long(2);
        record.int(version).int(0).int(0).long(owner).int(0).int(0).long(czxid)
    }

    pub fn multi(self, kind: i32, is_end: bool, error: i32) -> Record {
        self.int(kind).bool(is_end).int(error)
    }

    pub fn frame(self) -> Vec<u8> {
        Record::new().buffer(&self.0).0
    }
}

pub fn connected(timeout_ms: i32, id: i64, is_read_only: Option<bool>) -> Vec<u8> {
    let record = Record::new().int(0).int(timeout_ms).long(id).buffer(&[if id == 0 { 0 } else { 9 }; 16]);
    is_read_only.into_iter().fold(record, Record::bool).frame()
}

pub fn answer(xid: i32, zxid: i64, error: i32, content: &[u8]) -> Vec<u8> {
    let mut record = Record::new().int(xid).long(zxid).int(error);
    record.0.extend_from_slice(content);
    record.frame()
}

pub fn notification(event: i32, path: &str) -> Vec<u8> {
    Record::new().int(-1).long(-1).int(0).int(event).int(3).text(path).frame()
}
