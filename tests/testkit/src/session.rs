//! A client of a few lines that speaks ZooKeeper's protocol by hand. It can make a znode, read one, and take a session
//! away from its owner.

use crate::frame::{put_buffer, put_i32, put_i64, read_frame, write_frame, Rest};
use crate::opcode;
use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const NO_NODE: i32 = -101;
const ALL_PERMISSIONS: i32 = 31;
/// The `xid` of the messages that the server sends unasked.
const UNASKED: i32 = -1;

/// The session that a server granted to a client. A program that knows these values can take the session over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: i64,
    pub password: Vec<u8>,
    pub timeout_ms: i32,
}

impl Session {
    /// Reads a ConnectResponse, a frame without its length. A refused session, expired or with a wrong password, has the id
    /// 0 and a timeout of 0.
    pub fn of_connect_response(frame: &[u8]) -> Option<Session> {
        let mut rest = Rest(frame);
        let _protocol_version = rest.take_i32()?;
        let timeout_ms = rest.take_i32()?;
        let id = rest.take_i64()?;
        let password = rest.take_buffer()?.to_vec();
        (id != 0 && timeout_ms > 0).then_some(Session { id, password, timeout_ms })
    }
}

/// A server's answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub xid: i32,
    pub zxid: i64,
    /// 0, or ZooKeeper's error code, such as -101 for no node.
    pub err: i32,
    pub body: Vec<u8>,
}

/// A znode as a server showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Znode {
    pub value: Vec<u8>,
    pub czxid: i64,
    pub version: i32,
    /// The session that owns it, or 0.
    pub owner: i64,
}

impl Znode {
    fn of_reply(body: &[u8]) -> Option<Znode> {
        let mut rest = Rest(body);
        let value = rest.take_buffer()?.to_vec();
        let czxid = rest.take_i64()?;
        let (_mzxid, _ctime, _mtime) = (rest.take_i64()?, rest.take_i64()?, rest.take_i64()?);
        let version = rest.take_i32()?;
        let (_cversion, _aversion) = (rest.take_i32()?, rest.take_i32()?);
        let owner = rest.take_i64()?;
        Some(Znode { value, czxid, version, owner })
    }
}

/// A connection with a session. It sends no pings by itself. Dropping it closes the connection, not the session.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    session: Session,
    last_xid: i32,
}

impl RawClient {
    /// Connects to one server, `ip:port`, and makes a session.
    pub fn connect(host: &str, timeout_ms: i32) -> io::Result<RawClient> {
        RawClient::greet(host, timeout_ms, 0, &[0; 16])
    }

    /// Connects to one server and takes a session over. Returns `PermissionDenied` if the server says that the session
    /// has expired, or that the password is wrong.
    pub fn resume(host: &str, session: &Session) -> io::Result<RawClient> {
        RawClient::greet(host, session.timeout_ms, session.id, &session.password)
    }

    fn greet(host: &str, timeout_ms: i32, id: i64, password: &[u8]) -> io::Result<RawClient> {
        let addr = host.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&addr, ANSWER_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut request = Vec::new();
        put_i32(&mut request, 0); // protocol version
        put_i64(&mut request, 0); // last zxid seen
        put_i32(&mut request, timeout_ms);
        put_i64(&mut request, id);
        put_buffer(&mut request, password);
        request.push(0); // not read-only
        write_frame(&mut stream, &request)?;
        let response = read_frame(&mut stream)?.ok_or(ErrorKind::UnexpectedEof)?;
        let session = Session::of_connect_response(&response).ok_or(ErrorKind::PermissionDenied)?;
        Ok(RawClient { stream, session, last_xid: 0 })
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Sends a request and returns its `xid`.
    pub fn send(&mut self, opcode: i32, body: &[u8]) -> io::Result<i32> {
        self.last_xid += 1;
        let mut frame = Vec::new();
        put_i32(&mut frame, self.last_xid);
        put_i32(&mut frame, opcode);
        frame.extend_from_slice(body);
        write_frame(&mut self.stream, &frame)?;
        Ok(self.last_xid)
    }

    /// The next reply. Returns `UnexpectedEof` if the connection ends first.
    pub fn receive(&mut self) -> io::Result<Reply> {
        loop {
            let frame = read_frame(&mut self.stream)?.ok_or(ErrorKind::UnexpectedEof)?;
            let mut rest = Rest(&frame);
            let mut header = || Some((rest.take_i32()?, rest.take_i64()?, rest.take_i32()?));
            let (xid, zxid, err) = header().ok_or(ErrorKind::InvalidData)?;
            if xid != UNASKED {
                let body = rest.0.to_vec();
                return Ok(Reply { xid, zxid, err, body });
            }
        }
    }

    /// Sends a request and waits for its reply.
    pub fn request(&mut self, opcode: i32, body: &[u8]) -> io::Result<Reply> {
        let xid = self.send(opcode, body)?;
        let reply = self.receive()?;
        match reply.xid == xid {
            true => Ok(reply),
            false => Err(ErrorKind::InvalidData.into()),
        }
    }

    /// Makes a znode that is open to all; `flags` are 1 for ephemeral, 2 for sequence, or both. A refusal is in the reply.
    pub fn create(&mut self, path: &str, data: &[u8], flags: i32) -> io::Result<Reply> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        put_buffer(&mut body, data);
        put_i32(&mut body, 1);
        put_i32(&mut body, ALL_PERMISSIONS);
        put_buffer(&mut body, b"world");
        put_buffer(&mut body, b"anyone");
        put_i32(&mut body, flags);
        self.request(opcode::CREATE, &body)
    }

    /// Whether a znode exists, in this server's copy.
    pub fn exists(&mut self, path: &str) -> io::Result<bool> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        body.push(0); // no watch
        match self.request(opcode::EXISTS, &body)?.err {
            0 => Ok(true),
            NO_NODE => Ok(false),
            err => Err(io::Error::other(format!("exists: error {err}"))),
        }
    }

    /// Reads a znode, from this server's copy. Returns `None` if the znode is not there.
    pub fn get(&mut self, path: &str) -> io::Result<Option<Znode>> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        body.push(0); // no watch
        let reply = self.request(opcode::GET_DATA, &body)?;
        match reply.err {
            0 => Znode::of_reply(&reply.body).map(Some).ok_or_else(|| ErrorKind::InvalidData.into()),
            NO_NODE => Ok(None),
            err => Err(io::Error::other(format!("get: error {err}"))),
        }
    }

    /// The names of a znode's children, sorted. Empty if the znode does not exist.
    pub fn children(&mut self, path: &str) -> io::Result<Vec<String>> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        body.push(0); // no watch
        let reply = self.request(opcode::GET_CHILDREN, &body)?;
        let mut rest = Rest(&reply.body);
        match reply.err {
            0 => {
                let count = rest.take_i32().ok_or(ErrorKind::InvalidData)?;
                let name = |_| rest.take_buffer().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                let names: Option<Vec<String>> = (0..count).map(name).collect();
                let mut names = names.ok_or(ErrorKind::InvalidData)?;
                names.sort();
                Ok(names)
            }
            NO_NODE => Ok(Vec::new()),
            err => Err(io::Error::other(format!("children: error {err}"))),
        }
    }

    /// Sets the value of a znode, whatever its version. A refusal is in the reply.
    pub fn set(&mut self, path: &str, data: &[u8]) -> io::Result<Reply> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        put_buffer(&mut body, data);
        put_i32(&mut body, -1);
        self.request(opcode::SET_DATA, &body)
    }

    /// Deletes a znode, whatever its version. A refusal is in the reply.
    pub fn delete(&mut self, path: &str) -> io::Result<Reply> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        put_i32(&mut body, -1);
        self.request(opcode::DELETE, &body)
    }

    /// Ends the session and waits until the ensemble has agreed.
    pub fn close_session(mut self) -> io::Result<()> {
        match self.request(opcode::CLOSE_SESSION, &[])?.err {
            0 => Ok(()),
            err => Err(io::Error::other(format!("close session: error {err}"))),
        }
    }
}

/// The password of a session, which ZooKeeper makes from its id (`ZooKeeperServer.generatePasswd`): sixteen bytes of a
/// `java.util.Random` with the seed `id ^ 0xB3415C00`.
pub fn session_password(session_id: i64) -> Vec<u8> {
    const MASK: u64 = (1 << 48) - 1;
    let mut state = (session_id as u64 ^ 0xB341_5C00 ^ 0x5_DEEC_E66D) & MASK;
    let mut word = || {
        state = state.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & MASK;
        ((state >> 16) as u32).to_le_bytes()
    };
    (0..4).flat_map(|_| word()).collect()
}

/// Expires a session of another client for real: takes it over with its id and password and closes it. Its owner finds
/// it expired, its ephemeral znodes are deleted, and the caller need not wait for a timeout. Returns whether the server
/// at `host` did so.
///
/// Curator's old `KillSession` did the same.
pub fn expire_session(host: &str, session_id: i64, password: &[u8]) -> bool {
    RawClient::greet(host, 10_000, session_id, password).and_then(RawClient::close_session).is_ok()
}
