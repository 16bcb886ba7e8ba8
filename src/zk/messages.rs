//! ZooKeeper's messages, as far as we use them: what we send is written, what a server sends is read. The names and
//! numbers are those of `zookeeper.jute` and `ZooDefs.OpCode` in ZooKeeper's source.
//!
//! A request has the header (xid, opcode), an answer the header (xid, zxid, error); the ConnectRequest and its answer
//! have none. An answer with an error has no content.

use super::jute::{put_bool, put_buffer, put_count, put_frame, put_i32, put_i64, Malformed, Reader};
use super::settings::AclEntry;
use crate::logic::Stat;

pub mod opcode {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const REMOVE_WATCHES: i32 = 18;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const SASL: i32 = 102;
    pub const CLOSE: i32 = -11;
    /// In the answer to a multi: this operation failed, or the end.
    pub const ERROR: i32 = -1;
}

/// The xids of what does not stand in the order of the requests.
pub mod xid {
    pub const NOTIFICATION: i32 = -1;
    pub const PING: i32 = -2;
    pub const AUTH: i32 = -4;
    pub const SET_WATCHES: i32 = -8;
}

pub mod error {
    pub const AUTH_FAILED: i32 = -115;
    pub const SESSION_CLOSED_REQUIRES_SASL: i32 = -124;

    /// The answer to any request on a connection without the credentials that the server demands, and to a SASL message
    /// that the server refuses. The server then ends the connection (`AuthenticationHelper.enforceAuthentication`,
    /// `ZooKeeperServer.processSasl`).
    pub const IS_DENIAL: [i32; 2] = [AUTH_FAILED, SESSION_CLOSED_REQUIRES_SASL];
}

const ALL_PERMISSIONS: i32 = 31;

/// The length of a session's password.
pub const PASSWORD_LEN: usize = 16;

/// The ConnectRequest: `session` is 0 for a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    pub last_zxid: i64,
    pub timeout_ms: i32,
    pub session: i64,
    pub password: &'a [u8],
}

impl Connect<'_> {
    pub fn write(&self, out: &mut Vec<u8>) {
        put_frame(out, |out| {
            put_i32(out, 0); // the version of the protocol
            put_i64(out, self.last_zxid);
            put_i32(out, self.timeout_ms);
            put_i64(out, self.session);
            put_buffer(out, self.password);
            put_bool(out, false); // a session that can only read will not do
        });
    }
}

/// The answer to a ConnectRequest: `session` is 0 if there is no such session any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected<'a> {
    pub timeout_ms: i32,
    pub session: i64,
    pub password: &'a [u8],
    /// Servers before 3.4, and some that only look like ZooKeeper, do not say.
    pub is_read_only: Option<bool>,
}

impl<'a> Connected<'a> {
    pub fn read(frame: &'a [u8]) -> Result<Connected<'a>, Malformed> {
        let mut reader = Reader::new(frame);
        let _version = reader.i32()?;
        let (timeout_ms, session, password) = (reader.i32()?, reader.i64()?, reader.buffer()?);
        let is_read_only = if reader.is_empty() { None } else { Some(reader.bool()?) };
        reader.finish()?;
        Ok(Connected { timeout_ms, session, password, is_read_only })
    }
}

/// What a server remembers a watch by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchKind {
    /// On the data and the deletion of a znode.
    Data,
    /// On the creation of a znode.
    Exist,
    /// On the list of the children, and on the deletion of the znode.
    Child,
}

/// Of what sort the new znode is, and which request makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateMode {
    Persistent,
    Ephemeral,
    EphemeralSequential,
    Container,
}

impl CreateMode {
    fn flags(self) -> i32 {
        match self {
            CreateMode::Persistent => 0,
            CreateMode::Ephemeral => 1,
            CreateMode::EphemeralSequential => 3,
            CreateMode::Container => 4,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Create<'a> {
    pub path: &'a str,
    pub value: &'a [u8],
    /// Empty for one that is open to all.
    pub acl: &'a [AclEntry],
    pub mode: CreateMode,
}

/// One operation of a multi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    Check { path: &'a str },
    Create(Create<'a>),
    SetData { path: &'a str, value: &'a [u8], version: i32 },
    Delete { path: &'a str, version: i32 },
}

/// A request, with paths below a root. The version -1 is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    Auth {
        scheme: &'a str,
        auth: &'a [u8],
    },
    /// A message of ours in a SASL exchange (`GetSASLRequest`). The answer has the server's message, if it has one.
    Sasl {
        token: &'a [u8],
    },
    Ping,
    Close,
    /// The answer names the znode.
    Create(Create<'a>),
    /// The answer names the znode and has its `Stat`. Containers are made by a request of their own.
    Create2(Create<'a>),
    Delete {
        path: &'a str,
        version: i32,
    },
    Exists {
        path: &'a str,
        watch: bool,
    },
    GetData {
        path: &'a str,
        watch: bool,
    },
    SetData {
        path: &'a str,
        value: &'a [u8],
        version: i32,
    },
    GetChildren {
        path: &'a str,
        watch: bool,
    },
    Sync {
        path: &'a str,
    },
    Multi(&'a [Operation<'a>]),
    /// Watches that a session had on another connection. Those that a change after `zxid` fires are fired at once.
    SetWatches {
        zxid: i64,
        watches: &'a [(WatchKind, &'a str)],
    },
    RemoveWatches {
        kind: WatchKind,
        path: &'a str,
    },
}

impl Request<'_> {
    fn opcode(&self) -> i32 {
        match self {
            Request::Auth { .. } => opcode::AUTH,
            Request::Sasl { .. } => opcode::SASL,
            Request::Ping => opcode::PING,
            Request::Close => opcode::CLOSE,
            Request::Create(_) => opcode::CREATE,
            Request::Create2(Create { mode: CreateMode::Container, .. }) => opcode::CREATE_CONTAINER,
            Request::Create2(_) => opcode::CREATE2,
            Request::Delete { .. } => opcode::DELETE,
            Request::Exists { .. } => opcode::EXISTS,
            Request::GetData { .. } => opcode::GET_DATA,
            Request::SetData { .. } => opcode::SET_DATA,
            Request::GetChildren { .. } => opcode::GET_CHILDREN,
            Request::Sync { .. } => opcode::SYNC,
            Request::Multi(_) => opcode::MULTI,
            Request::SetWatches { .. } => opcode::SET_WATCHES,
            Request::RemoveWatches { .. } => opcode::REMOVE_WATCHES,
        }
    }

    /// Writes the request as one frame. `root` stands before each path; it is empty, or a path.
    pub fn write(&self, xid: i32, root: &str, out: &mut Vec<u8>) {
        put_frame(out, |out| {
            put_i32(out, xid);
            put_i32(out, self.opcode());
            self.write_content(root, out);
        });
    }

    fn write_content(&self, root: &str, out: &mut Vec<u8>) {
        match *self {
            Request::Auth { scheme, auth } => {
                put_i32(out, 0); // no type is defined
                put_buffer(out, scheme.as_bytes());
                put_buffer(out, auth);
            }
            Request::Sasl { token } => put_buffer(out, token),
            Request::Ping | Request::Close => {}
            Request::Create(create) | Request::Create2(create) => create.write(root, out),
            Request::Delete { path, version } => {
                put_path(out, root, path);
                put_i32(out, version);
            }
            Request::Exists { path, watch }
            | Request::GetData { path, watch }
            | Request::GetChildren { path, watch } => {
                put_path(out, root, path);
                put_bool(out, watch);
            }
            Request::SetData { path, value, version } => put_set_data(out, root, path, value, version),
            Request::Sync { path } => put_path(out, root, path),
            Request::Multi(operations) => {
                for operation in operations {
                    operation.write(root, out);
                }
                put_multi_header(out, opcode::ERROR, true);
            }
            Request::SetWatches { zxid, watches } => {
                put_i64(out, zxid);
                for kind in [WatchKind::Data, WatchKind::Exist, WatchKind::Child] {
                    let of_kind = || watches.iter().filter(move |(other, _)| *other == kind);
                    put_count(out, of_kind().count());
                    for (_, path) in of_kind() {
                        put_path(out, root, path);
                    }
                }
            }
            Request::RemoveWatches { kind, path } => {
                put_path(out, root, path);
                put_i32(out, if kind == WatchKind::Child { 1 } else { 2 });
            }
        }
    }
}

impl Create<'_> {
    fn write(&self, root: &str, out: &mut Vec<u8>) {
        put_path(out, root, self.path);
        put_buffer(out, self.value);
        put_count(out, self.acl.len().max(1));
        for entry in self.acl {
            put_acl_entry(out, entry.permissions, &entry.scheme, &entry.id);
        }
        if self.acl.is_empty() {
            put_acl_entry(out, ALL_PERMISSIONS, "world", "anyone");
        }
        put_i32(out, self.mode.flags());
    }
}

impl Operation<'_> {
    fn write(&self, root: &str, out: &mut Vec<u8>) {
        match *self {
            Operation::Check { path } => {
                put_multi_header(out, opcode::CHECK, false);
                put_path(out, root, path);
                put_i32(out, -1);
            }
            Operation::Create(create) => {
                put_multi_header(out, opcode::CREATE, false);
                create.write(root, out);
            }
            Operation::SetData { path, value, version } => {
                put_multi_header(out, opcode::SET_DATA, false);
                put_set_data(out, root, path, value, version);
            }
            Operation::Delete { path, version } => {
                put_multi_header(out, opcode::DELETE, false);
                put_path(out, root, path);
                put_i32(out, version);
            }
        }
    }
}

fn put_acl_entry(out: &mut Vec<u8>, permissions: i32, scheme: &str, id: &str) {
    put_i32(out, permissions);
    put_buffer(out, scheme.as_bytes());
    put_buffer(out, id.as_bytes());
}

fn put_multi_header(out: &mut Vec<u8>, opcode: i32, is_end: bool) {
    put_i32(out, opcode);
    put_bool(out, is_end);
    put_i32(out, -1);
}

fn put_set_data(out: &mut Vec<u8>, root: &str, path: &str, value: &[u8], version: i32) {
    put_path(out, root, path);
    put_buffer(out, value);
    put_i32(out, version);
}

/// A path below `root`. The path `/` is the root itself.
fn put_path(out: &mut Vec<u8>, root: &str, path: &str) {
    let path = if path == "/" && !root.is_empty() { "" } else { path };
    put_count(out, root.len() + path.len());
    out.extend_from_slice(root.as_bytes());
    out.extend_from_slice(path.as_bytes());
}

/// What each answer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    pub xid: i32,
    /// The last transaction that the server had applied.
    pub zxid: i64,
    /// 0, or one of ZooKeeper's errors, which are negative.
    pub error: i32,
}

impl ReplyHeader {
    pub fn read(reader: &mut Reader) -> Result<ReplyHeader, Malformed> {
        let (xid, zxid, error) = (reader.i32()?, reader.i64()?, reader.i32()?);
        if error > 0 {
            return Err(Malformed::Field);
        }
        Ok(ReplyHeader { xid, zxid, error })
    }
}

/// The event of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification<'a> {
    /// 1 created, 2 deleted, 3 data changed, 4 children changed. Others tell of the session or of watches that were
    /// removed.
    pub event: i32,
    pub path: &'a str,
}

impl<'a> Notification<'a> {
    pub fn read(mut reader: Reader<'a>) -> Result<Notification<'a>, Malformed> {
        let (event, _state, path) = (reader.i32()?, reader.i32()?, reader.text()?);
        reader.finish()?;
        Ok(Notification { event, path })
    }
}

impl<'a> Reader<'a> {
    pub fn stat(&mut self) -> Result<Stat, Malformed> {
        let (czxid, mzxid, ctime_ms, _mtime) = (self.i64()?, self.i64()?, self.i64()?, self.i64()?);
        let (version, _cversion, _aversion) = (self.i32()?, self.i32()?, self.i32()?);
        let (ephemeral_owner, _data_len, _children, _pzxid) = (self.i64()?, self.i32()?, self.i32()?, self.i64()?);
        Ok(Stat { czxid, mzxid, ctime_ms, version, ephemeral_owner })
    }

    /// The content of the answer to a multi: the operation that failed, from 0, and its error. The servers mark those
    /// before it with 0 and those after it with RUNTIMEINCONSISTENCY (-2), for none of them was carried out.
    pub fn multi(&mut self) -> Result<Option<(usize, i32)>, Malformed> {
        let mut failed = None;
        for index in 0.. {
            let (kind, is_end, _error) = (self.i32()?, self.bool()?, self.i32()?);
            if is_end {
                break;
            }
            match kind {
                opcode::CHECK | opcode::DELETE => {}
                opcode::CREATE => drop(self.text()?),
                opcode::CREATE2 => {
                    self.text()?;
                    self.stat()?;
                }
                opcode::SET_DATA => drop(self.stat()?),
                opcode::ERROR => match self.i32()? {
                    0 | -2 => {}
                    error if error > 0 => return Err(Malformed::Field),
                    error => drop(failed.get_or_insert((index, error))),
                },
                _ => return Err(Malformed::Field),
            }
        }
        Ok(failed)
    }
}
