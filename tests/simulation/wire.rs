//! ZooKeeper's protocol on the wire, from a server's point of view: bytes in, requests out; answers in, bytes out.
//!
//! This is the independent witness of the session's own codec, so it shares nothing with it. It is written from
//! `zookeeper.jute`, `FinalRequestProcessor` and `MultiResponse` in ZooKeeper's source, and its test compares it with
//! a real server, byte for byte.

use std::sync::Arc;

use testkit::frame::{put_buffer, put_i32, put_i64, Rest};
use testkit::opcode;

use crate::clock::MS;
use crate::messages::{Answer, ClientMsg, Connect, Kind, Read, Request, ServerMsg, WatchKind, Write, Xid};
use crate::tree::FullStat;

use election::testing::logic::WatchEvent;

const OF_PINGS: Xid = -2;
const OF_AUTH: Xid = -4;
const OF_WATCHES: Xid = -8;
const OF_EVENTS: Xid = -1;

const EPHEMERAL: i32 = 1;
const SEQUENTIAL: i32 = 2;
const CONTAINER: i32 = 4;

/// `OpCode.error`, the type of a failed part of a multi.
const ERROR: i32 = -1;
/// `KeeperState.SyncConnected`.
const SYNC_CONNECTED: i32 = 3;

/// The bytes that a server has read from a connection and not yet handled.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    is_connected: bool,
}

impl Inbox {
    pub fn take_in(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next request, if all of it has arrived. A server understands each request of a client of ours.
    pub fn next(&mut self) -> Option<ClientMsg> {
        let len = Rest(&self.bytes).take_i32()?;
        let end = 4 + usize::try_from(len).expect("a frame has a length");
        let frame = self.bytes.get(4..end)?;
        let message = match self.is_connected {
            true => request(frame),
            false => connect(frame),
        };
        let message = message.unwrap_or_else(|| panic!("no frame of ZooKeeper's: {frame:02x?}"));
        self.is_connected = true;
        self.bytes.drain(..end);
        Some(message)
    }
}

fn connect(frame: &[u8]) -> Option<ClientMsg> {
    let mut rest = Rest(frame);
    let (version, last_zxid, timeout_ms) = (rest.take_i32()?, rest.take_i64()?, rest.take_i32()?);
    let (session, password) = (rest.take_i64()?, rest.take_buffer()?.to_vec());
    let read_only = take_bool(&mut rest)?;
    let is_whole = rest.0.is_empty() && version == 0 && !read_only;
    let timeout = u64::try_from(timeout_ms).ok()? * MS;
    is_whole.then_some(ClientMsg::Connect(Connect { session, password, last_zxid, timeout }))
}

fn request(frame: &[u8]) -> Option<ClientMsg> {
    let mut rest = Rest(frame);
    let (xid, opcode) = (rest.take_i32()?, rest.take_i32()?);
    let request = match opcode {
        opcode::PING => Request::Ping,
        opcode::CLOSE_SESSION => Request::Close,
        opcode::AUTH => {
            let _type = rest.take_i32()?;
            Request::Auth { scheme: text(&mut rest)?, auth: rest.take_buffer()?.to_vec() }
        }
        opcode::SET_WATCHES => {
            let relative_zxid = rest.take_i64()?;
            let mut watches = Vec::new();
            for kind in [WatchKind::Data, WatchKind::Exist, WatchKind::Child] {
                for _ in 0..rest.take_i32()? {
                    watches.push((kind, text(&mut rest)?));
                }
            }
            Request::SetWatches { relative_zxid, watches }
        }
        opcode::REMOVE_WATCHES => {
            let path = text(&mut rest)?;
            let kinds: &[WatchKind] = match rest.take_i32()? {
                1 => &[WatchKind::Child],
                2 => &[WatchKind::Data, WatchKind::Exist],
                3 => &[WatchKind::Child, WatchKind::Data, WatchKind::Exist],
                _ => return None,
            };
            Request::RemoveWatches { path, kinds }
        }
        opcode::SYNC => Request::Sync { path: text(&mut rest)? },
        opcode::GET_DATA => Request::Read(Read::Data { path: text(&mut rest)?, watch: take_bool(&mut rest)? }),
        opcode::EXISTS => Request::Read(Read::Exists { path: text(&mut rest)?, watch: take_bool(&mut rest)? }),
        opcode::GET_CHILDREN => {
            Request::Read(Read::Children { path: text(&mut rest)?, watch: take_bool(&mut rest)? })
        }
        opcode::MULTI => {
            let mut writes = Vec::new();
            loop {
                let (opcode, done, err) = (rest.take_i32()?, take_bool(&mut rest)?, rest.take_i32()?);
                if err != -1 {
                    return None;
                }
                if done {
                    break;
                }
                writes.push(write(opcode, &mut rest)?);
            }
            Request::Multi(writes)
        }
        opcode => Request::Write(write(opcode, &mut rest)?),
    };
    let expected = match request {
        Request::Ping => xid == OF_PINGS,
        Request::Auth { .. } => xid == OF_AUTH,
        Request::SetWatches { .. } => xid == OF_WATCHES,
        _ => xid >= 0,
    };
    (expected && rest.0.is_empty()).then_some(ClientMsg::Request(xid, request))
}

fn write(opcode: i32, rest: &mut Rest) -> Option<Write> {
    let path = text(rest)?;
    Some(match opcode {
        opcode::CREATE | opcode::CREATE2 | opcode::CREATE_CONTAINER => {
            let value = rest.take_buffer()?.into();
            let entries = rest.take_i32()?;
            for _ in 0..entries {
                let _permissions = rest.take_i32()?;
                let (_scheme, _id) = (text(rest)?, text(rest)?);
            }
            let flags = rest.take_i32()?;
            let (kind, sequential) = match (opcode, flags) {
                (opcode::CREATE_CONTAINER, CONTAINER) => (Kind::Container, false),
                (opcode::CREATE | opcode::CREATE2, 0 | SEQUENTIAL) => (Kind::Persistent, flags != 0),
                (opcode::CREATE | opcode::CREATE2, EPHEMERAL) => (Kind::Ephemeral, false),
                (opcode::CREATE | opcode::CREATE2, 3) => (Kind::Ephemeral, true),
                _ => return None,
            };
            (entries > 0).then_some(())?;
            Write::Create { path, value, kind, sequential, with_stat: opcode != opcode::CREATE }
        }
        opcode::DELETE => Write::Delete { path, version: rest.take_i32()? },
        opcode::SET_DATA => Write::Set { path, value: rest.take_buffer()?.into(), version: rest.take_i32()? },
        opcode::CHECK => Write::Check { path, version: rest.take_i32()? },
        _ => return None,
    })
}

fn text(rest: &mut Rest) -> Option<Arc<str>> {
    std::str::from_utf8(rest.take_buffer()?).ok().map(Arc::from)
}

fn take_bool(rest: &mut Rest) -> Option<bool> {
    let (first, others) = rest.0.split_first()?;
    rest.0 = others;
    (*first < 2).then_some(*first == 1)
}

/// The bytes with which a client resumes a session.
pub fn connect_request(session: i64, password: &[u8], timeout_ms: i32) -> Vec<u8> {
    let mut frame = Vec::new();
    put_i32(&mut frame, 0);
    put_i64(&mut frame, 0); // the last transaction that it knows
    put_i32(&mut frame, timeout_ms);
    put_i64(&mut frame, session);
    put_buffer(&mut frame, password);
    frame.push(0);
    let mut bytes = Vec::new();
    put_buffer(&mut bytes, &frame);
    bytes
}

/// The bytes of a server's message.
pub fn bytes_of(message: &ServerMsg) -> Vec<u8> {
    let mut frame = Vec::new();
    match message {
        ServerMsg::Welcome { session, password, timeout } => {
            put_i32(&mut frame, 0);
            put_i32(&mut frame, (timeout / MS) as i32);
            put_i64(&mut frame, *session);
            put_buffer(&mut frame, password);
            frame.push(0);
        }
        ServerMsg::Answer { xid, answer, zxid } => {
            let err = if let Answer::Refused(rc) = answer { *rc } else { 0 };
            header(&mut frame, *xid, *zxid, err);
            body(&mut frame, answer);
        }
        ServerMsg::WatchEvent { kind, path, news } => {
            header(&mut frame, OF_EVENTS, -1, 0);
            put_i32(
                &mut frame,
                match (news, kind) {
                    (WatchEvent::Created, _) => 1,
                    (WatchEvent::Deleted, _) => 2,
                    (WatchEvent::Changed, WatchKind::Child) => 4,
                    (WatchEvent::Changed, _) => 3,
                },
            );
            put_i32(&mut frame, SYNC_CONNECTED);
            put_buffer(&mut frame, path.as_bytes());
        }
    }
    let mut bytes = Vec::with_capacity(4 + frame.len());
    put_buffer(&mut bytes, &frame);
    bytes
}

fn header(frame: &mut Vec<u8>, xid: Xid, zxid: i64, err: i32) {
    put_i32(frame, xid);
    put_i64(frame, zxid);
    put_i32(frame, err);
}

fn body(frame: &mut Vec<u8>, answer: &Answer) {
    match answer {
        Answer::Done | Answer::Refused(_) => {}
        Answer::Synced(path) => put_buffer(frame, path.as_bytes()),
        Answer::Created(path, stat) => {
            put_buffer(frame, path.as_bytes());
            stat.iter().for_each(|stat| put_stat(frame, stat));
        }
        Answer::Data(value, stat) => {
            put_buffer(frame, value);
            put_stat(frame, stat);
        }
        Answer::Stat(stat) => put_stat(frame, stat),
        Answer::Children(names) => {
            put_i32(frame, names.len() as i32);
            names.iter().for_each(|name| put_buffer(frame, name.as_bytes()));
        }
        Answer::Multi(answers) => {
            for answer in answers {
                let (opcode, err) = match answer {
                    Answer::Refused(rc) => (ERROR, *rc),
                    Answer::Created(_, None) => (opcode::CREATE, 0),
                    Answer::Created(_, Some(_)) => (opcode::CREATE2, 0),
                    Answer::Stat(_) => (opcode::SET_DATA, 0),
                    Answer::Deleted => (opcode::DELETE, 0),
                    Answer::Done => (opcode::CHECK, 0),
                    _ => unreachable!("no part of a multi: {answer:?}"),
                };
                multi_header(frame, opcode, false, err);
                match answer {
                    Answer::Refused(rc) => put_i32(frame, *rc),
                    answer => body(frame, answer),
                }
            }
            multi_header(frame, -1, true, -1);
        }
        Answer::Deleted => {}
    }
}

fn multi_header(frame: &mut Vec<u8>, opcode: i32, done: bool, err: i32) {
    put_i32(frame, opcode);
    frame.push(u8::from(done));
    put_i32(frame, err);
}

fn put_stat(frame: &mut Vec<u8>, stat: &FullStat) {
    put_i64(frame, stat.of_data.czxid);
    put_i64(frame, stat.of_data.mzxid);
    put_i64(frame, stat.of_data.ctime_ms);
    put_i64(frame, stat.mtime_ms);
    put_i32(frame, stat.of_data.version);
    put_i32(frame, stat.cversion);
    put_i32(frame, 0); // the version of its access control list
    put_i64(frame, stat.of_data.ephemeral_owner);
    put_i32(frame, stat.data_length);
    put_i32(frame, stat.children);
    put_i64(frame, stat.pzxid);
}

/// A real server and this codec, with a tree of its own, are given the same requests. They answer with the same bytes,
/// except for times.
#[cfg(test)]
mod test {
    use std::io::Write as _;
    use std::net::TcpStream;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::messages::Writes;
    use crate::tree::{Denials, Tree};
    use testkit::frame::{read_frame, write_frame};
    use testkit::{Ensemble, Session};

    const TIME: i64 = 0x0123_4567_89ab_cdef;

    /// A request's frame: its number, its type, and its fields.
    fn frame(xid: Xid, opcode: i32, fields: &[&[u8]]) -> Vec<u8> {
        let mut frame = Vec::new();
        put_i32(&mut frame, xid);
        put_i32(&mut frame, opcode);
        fields.iter().for_each(|field| frame.extend_from_slice(field));
        frame
    }

    fn string(text: &str) -> Vec<u8> {
        let mut field = Vec::new();
        put_buffer(&mut field, text.as_bytes());
        field
    }

    fn strings(texts: &[&str]) -> Vec<u8> {
        let mut field = number(texts.len() as i32);
        texts.iter().for_each(|text| field.extend(string(text)));
        field
    }

    fn number(value: i32) -> Vec<u8> {
        value.to_be_bytes().to_vec()
    }

    fn create(path: &str, value: &str, flags: i32) -> Vec<u8> {
        let acl = [number(1), number(31), string("world"), string("anyone")].concat();
        [string(path), string(value), acl, number(flags)].concat()
    }

    fn set(path: &str, value: &str, version: i32) -> Vec<u8> {
        [string(path), string(value), number(version)].concat()
    }

    fn versioned(path: &str, version: i32) -> Vec<u8> {
        [string(path), number(version)].concat()
    }

    fn read(path: &str, watch: bool) -> Vec<u8> {
        [string(path), vec![u8::from(watch)]].concat()
    }

    fn multi(parts: &[(i32, Vec<u8>)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (opcode, part) in parts {
            multi_header(&mut body, *opcode, false, -1);
            body.extend_from_slice(part);
        }
        multi_header(&mut body, -1, true, -1);
        body
    }

    /// Puts one time in the place of all times of these days.
    fn without_times(frame: &[u8]) -> Vec<u8> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as i64;
        let mut frame = frame.to_vec();
        for at in 0..frame.len().saturating_sub(7) {
            let field = i64::from_be_bytes(frame[at..at + 8].try_into().expect("eight bytes"));
            if (field - now).abs() < 86_400_000 {
                frame[at..at + 8].copy_from_slice(&TIME.to_be_bytes());
            }
        }
        frame
    }

    fn steps() -> Vec<(Vec<u8>, Vec<ServerMsg>)> {
        use opcode::*;
        let event = |kind, path: &str, news| ServerMsg::WatchEvent { kind, path: path.into(), news };
        let mut xid = 0;
        let mut asks = |opcode, body: Vec<u8>| {
            xid += 1;
            frame(xid, opcode, &[&body])
        };
        let relative = i64::MAX.to_be_bytes();
        let set_watches = [&strings(&["/a"])[..], &strings(&["/none"]), &strings(&["/a/b"])].concat();
        vec![
            (frame(OF_AUTH, AUTH, &[&number(0), &string("digest"), &string("me:secret")]), vec![]),
            (frame(OF_PINGS, PING, &[]), vec![]),
            (asks(EXISTS, read("/a", true)), vec![]),
            (asks(CREATE, create("/a", "", 0)), vec![event(WatchKind::Exist, "/a", WatchEvent::Created)]),
            (asks(CREATE2, create("/a/own", "value", 1)), vec![]),
            (asks(CREATE2, create("/a/own", "value", 1)), vec![]),
            (asks(CREATE2, create("/a/n-", "one", 3)), vec![]),
            (asks(CREATE, create("/a/n-", "two", 3)), vec![]),
            (asks(CREATE2, create("/a/own/child", "", 0)), vec![]),
            (asks(CREATE2, create("/none/child", "", 0)), vec![]),
            (asks(CREATE_CONTAINER, create("/a/b", "", 4)), vec![]),
            (asks(GET_DATA, read("/a/own", true)), vec![]),
            (asks(GET_DATA, read("/a/b", false)), vec![]),
            (asks(GET_DATA, read("/none", true)), vec![]),
            (asks(GET_CHILDREN, read("/a/b", true)), vec![]),
            (asks(GET_CHILDREN, read("/none", true)), vec![]),
            (
                asks(SET_DATA, set("/a/own", "other", 0)),
                vec![event(WatchKind::Data, "/a/own", WatchEvent::Changed)],
            ),
            (asks(SET_DATA, set("/a/own", "third", 0)), vec![]),
            (asks(EXISTS, read("/a/own", true)), vec![]),
            (asks(EXISTS, read("/a", false)), vec![]),
            (asks(MULTI, multi(&[(CHECK, versioned("/a/own", -1)), (CHECK, versioned("/a", 0))])), vec![]),
            (
                asks(
                    MULTI,
                    multi(&[
                        (CHECK, versioned("/a/own", -1)),
                        (CHECK, versioned("/none", -1)),
                        (SET_DATA, set("/a", "x", -1)),
                    ]),
                ),
                vec![],
            ),
            (
                asks(
                    MULTI,
                    multi(&[
                        (CHECK, versioned("/a/own", 1)),
                        (CREATE2, create("/a/c", "", 0)),
                        (CREATE, create("/a/c/d", "", 1)),
                        (SET_DATA, set("/a/c", "x", 0)),
                        (DELETE, versioned("/a/own", -1)),
                    ]),
                ),
                vec![event(WatchKind::Data, "/a/own", WatchEvent::Deleted)],
            ),
            (asks(EXISTS, read("/a/c", false)), vec![]),
            (asks(DELETE, versioned("/a/c", -1)), vec![]),
            (asks(DELETE, versioned("/a/c/d", 7)), vec![]),
            (asks(DELETE, versioned("/a/c/d", 0)), vec![]),
            (asks(SYNC, string("/")), vec![]),
            (frame(OF_WATCHES, SET_WATCHES, &[&relative, &set_watches]), vec![]),
            (asks(SET_DATA, set("/a", "", -1)), vec![event(WatchKind::Data, "/a", WatchEvent::Changed)]),
            (asks(EXISTS, read("/a", false)), vec![]),
            (asks(CLOSE_SESSION, vec![]), vec![]),
        ]
    }

    /// What the simulated server answers.
    fn answer(tree: &mut Tree, session: i64, request: Request) -> Answer {
        let writes = match request {
            Request::Sync { path } => return Answer::Synced(path),
            Request::Read(read) => return tree.read(&read, &Denials::default()),
            Request::Write(write) => Writes::One(write),
            Request::Multi(writes) => Writes::Multi(writes),
            Request::Close => {
                tree.zxid += 1;
                return Answer::Done;
            }
            _ => return Answer::Done,
        };
        let zxid = tree.zxid + 1;
        let (answer, changes) = tree.prepare(zxid, TIME, session, &writes, &Denials::default());
        changes.iter().for_each(|change| tree.apply(zxid, TIME, change));
        tree.zxid = zxid;
        answer
    }

    #[test]
    fn a_real_server_answers_with_the_same_bytes() {
        let ensemble = Ensemble::start(1);
        let mut server = TcpStream::connect(ensemble.host(0)).expect("a server");
        server.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut inbox = Inbox::default();
        let connect = frame(0, 0, &[&[0; 4], &number(10_000), &[0; 8], &number(16), &[0; 16], &[0]]);
        // The first eight bytes are the version and half of the last zxid seen.
        write_frame(&mut server, &connect).expect("an open connection");
        inbox.take_in(&[&number(connect.len() as i32)[..], &connect].concat());
        let Some(ClientMsg::Connect(Connect { session: 0, timeout, .. })) = inbox.next() else { panic!() };
        let welcome = read_frame(&mut server).expect("an open connection").expect("an answer");
        let Session { id: session, password, .. } = Session::of_connect_response(&welcome).expect("a session");
        assert_eq!(bytes_of(&ServerMsg::Welcome { session, password, timeout })[4..], welcome);
        // The transactions of the real server have numbers of their own.
        let (mut tree, mut first) = (Tree::new(), None);
        for (request, events) in steps() {
            write_frame(&mut server, &request).expect("an open connection");
            inbox.take_in(&[&number(request.len() as i32)[..], &request].concat());
            let Some(ClientMsg::Request(xid, asked)) = inbox.next() else { panic!("{request:02x?}") };
            let mut told = || read_frame(&mut server).expect("an open connection").expect("an answer");
            for event in events {
                let mut told = told();
                // Since 3.9 an event comes with the transaction that it is of.
                told[4..12].copy_from_slice(&(-1_i64).to_be_bytes());
                assert_eq!(bytes_of(&event)[4..], told, "{asked:?}");
            }
            let told = without_times(&told());
            let seen = i64::from_be_bytes(told[4..12].try_into().expect("eight bytes"));
            if xid != OF_AUTH && first.is_none() {
                first = Some(seen);
                tree.zxid = seen;
            }
            let mut stats = Tree { multi_tells_stats: true, ..tree.clone() };
            let (answer, with_stats) =
                (answer(&mut tree, session, asked.clone()), answer(&mut stats, session, asked.clone()));
            // Credentials are answered at once, by the thread that reads them.
            let zxid = if xid == OF_AUTH { 0 } else { tree.zxid };
            let bytes_of = |answer| bytes_of(&ServerMsg::Answer { xid, answer, zxid })[4..].to_vec();
            if matches!(asked, Request::Multi(_)) && bytes_of(with_stats.clone()) == told {
                continue;
            }
            assert_eq!(bytes_of(answer), told, "{asked:?}");
        }
        server.flush().expect("an open connection");
        assert_eq!(read_frame(&mut server).expect("a clean end"), None);
    }
}
