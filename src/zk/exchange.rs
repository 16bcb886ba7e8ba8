//! An operation of the core as requests on the wire, and their answers as one reply.
//!
//! Most operations are one request. These are more:
//!
//! | operation | requests |
//! | --- | --- |
//! | a read or a list with `sync` | a multi that changes nothing, then the read, in one write |
//! | a create, where `create2` is not known | `create`, then `exists` for the `Stat`, in one write if the name is known |
//! | the parents of a path | the nearest parent; if its own parent is missing, all of them from the top, in one write |
//!
//! A server that does not know a request answers UNIMPLEMENTED and closes the connection, or closes it without an
//! answer. [`Known`] remembers that, so that it costs a few connections and not one each time.

use std::sync::Arc;

use super::cause::Cause;
use super::jute::Reader;
use super::messages::{Create, CreateMode, Operation, ReplyHeader, Request, WatchKind};
use super::settings::{AclEntry, Settings};
use super::watches::Object;
use crate::logic::{rc, Op, Reply, RequestId, Value, Write, Znode};

pub const SESSION_MOVED: i32 = -118;

/// The servers do not know a request if they closed this many connections at one and never answered one. Fewer may be
/// chance: servers that lose their leader close all connections.
const ENDED_AT: u8 = 3;

/// Whether the servers of a session know a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// No server has answered one yet; so many connections were closed at one.
    Untested(u8),
    Yes,
    No,
}

impl Support {
    fn answered(&mut self, error: i32) {
        match (error, *self) {
            (rc::UNIMPLEMENTED, _) => *self = Support::No,
            (_, Support::Untested(_)) => *self = Support::Yes,
            _ => {}
        }
    }

    fn ended(&mut self) {
        if let Support::Untested(times) = self {
            *self = if *times + 1 >= ENDED_AT { Support::No } else { Support::Untested(*times + 1) };
        }
    }
}

/// A request that a server may not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    Create2,
    CreateContainer,
    RemoveWatches,
}

/// Which requests the servers of this session know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Since ZooKeeper 3.5.0.
    pub create2: Support,
    /// Since ZooKeeper 3.5.1.
    pub create_container: Support,
    /// Since ZooKeeper 3.5.0.
    pub remove_watches: Support,
}

impl Known {
    fn of(&mut self, feature: Feature) -> &mut Support {
        match feature {
            Feature::Create2 => &mut self.create2,
            Feature::CreateContainer => &mut self.create_container,
            Feature::RemoveWatches => &mut self.remove_watches,
        }
    }

    /// A server has answered such a request.
    pub fn answered(&mut self, feature: Feature, error: i32) {
        self.of(feature).answered(error);
        self.conclude();
    }

    /// A server closed the connection while such a request had no answer.
    pub fn ended(&mut self, feature: Feature) {
        self.of(feature).ended();
        self.conclude();
    }

    /// A server that does not know the first of them knows none of those that came later. Two came with the same release,
    /// so the one also tells of the other: each connection that ends for this delays the next attempt.
    fn conclude(&mut self) {
        let is_old = self.remove_watches == Support::No && self.create2 != Support::Yes;
        if self.create2 == Support::No || is_old {
            *self = Known { create2: Support::No, create_container: Support::No, remove_watches: Support::No };
        }
    }
}

impl Default for Known {
    fn default() -> Known {
        let untested = Support::Untested(0);
        Known { create2: untested, create_container: untested, remove_watches: untested }
    }
}

/// How far an operation of several steps has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    First,
    /// `MakeParents`: the nearest parent cannot be made before the others.
    AllParents,
    /// A create that the server has carried out as this path, and whose `Stat` is missing.
    Find(Arc<str>),
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// To nothing yet, or to nothing any more.
    Wait,
    /// To the reply of the operation, and to a watch of this kind.
    Reply(Reply, Option<WatchKind>),
    /// To further requests: [`Exchange::write`] again.
    Again,
}

/// One operation under way.
#[derive(Debug)]
pub struct Exchange {
    pub request: RequestId,
    op: Op,
    step: Step,
    /// Whether a create goes as `create2`, and parents as containers.
    is_new: bool,
    has_replied: bool,
    /// `MakeParents`: why the first parent that could not be made could not.
    refused: Option<i32>,
}

impl Exchange {
    pub fn new(request: RequestId, op: Op) -> Exchange {
        Exchange { request, op, step: Step::First, is_new: true, has_replied: false, refused: None }
    }

    pub fn has_replied(&self) -> bool {
        self.has_replied
    }

    /// Where the answer may leave a watch.
    pub fn watched(&self) -> Option<(&Arc<str>, Object)> {
        match &self.op {
            Op::Read { path, .. } | Op::Exists { path } if self.op.leaves_watch() => Some((path, Object::Znode)),
            Op::List { path, .. } if self.op.leaves_watch() => Some((path, Object::Children)),
            _ => None,
        }
    }

    #[cfg(feature = "testing")]
    pub fn is_create(&self) -> bool {
        matches!(self.op, Op::Create { .. } | Op::CreateSequential { .. })
    }

    /// The value, which is needed until it is written.
    fn value(&mut self) -> Option<&mut Value> {
        match &mut self.op {
            Op::Create { value, .. } | Op::CreateSequential { value, .. } | Op::SetValue { value, .. } => {
                Some(value)
            }
            Op::Write { write: Write::Create { value, .. } | Write::Set { value, .. }, .. } => Some(value),
            _ => None,
        }
    }

    /// How many bytes of a value wait with this.
    pub fn value_len(&mut self) -> usize {
        self.value().map_or(0, |value| value.len())
    }

    pub fn forget_value(&mut self) {
        if let Some(value) = self.value() {
            *value = Value::default();
        }
    }

    /// Writes the requests of this step, each with the root of its paths. There may be none: then the operation is
    /// done.
    pub fn write(&mut self, settings: &Settings, known: &Known, put: &mut dyn FnMut(&Request, &str)) {
        let root = settings.chroot.as_str();
        let put_catch_up = |sync: bool, put: &mut dyn FnMut(&Request, &str)| {
            if sync {
                put(&Request::Multi(&[Operation::Check { path: "/" }]), root);
            }
        };
        if let Step::Find(path) = &self.step {
            return put(&Request::Exists { path, watch: false }, root);
        }
        match &self.op {
            Op::Create { path, value } => {
                self.is_new = known.create2 != Support::No;
                let create = create(path, value, &settings.acl, CreateMode::Ephemeral);
                if self.is_new {
                    put(&Request::Create2(create), root);
                } else {
                    put(&Request::Create(create), root);
                    put(&Request::Exists { path, watch: false }, root);
                }
            }
            Op::CreateSequential { prefix, value } => {
                self.is_new = known.create2 != Support::No;
                let create = create(prefix, value, &settings.acl, CreateMode::EphemeralSequential);
                put(&if self.is_new { Request::Create2(create) } else { Request::Create(create) }, root);
            }
            Op::MakeParents { path } => {
                self.is_new = known.create_container != Support::No;
                let path = format!("{root}{path}");
                let mut parents =
                    path.match_indices('/').map(|(at, _)| &path[..at]).filter(|parent| !parent.is_empty());
                let mut make = |parent| match self.is_new {
                    true => put(&Request::Create2(create(parent, &[], &settings.acl, CreateMode::Container)), ""),
                    false => put(&Request::Create(create(parent, &[], &settings.acl, CreateMode::Persistent)), ""),
                };
                match self.step {
                    Step::AllParents => parents.for_each(make),
                    _ => drop(parents.next_back().map(&mut make)),
                }
            }
            Op::Read { path, sync, watch } => {
                put_catch_up(*sync, put);
                put(&Request::GetData { path, watch: *watch }, root);
            }
            Op::List { path, sync, watch } => {
                put_catch_up(*sync, put);
                put(&Request::GetChildren { path, watch: *watch }, root);
            }
            Op::Exists { path } => put(&Request::Exists { path, watch: true }, root),
            Op::Stat { path } => put(&Request::Exists { path, watch: false }, root),
            Op::SetValue { path, value, version } => {
                put(&Request::SetData { path, value, version: *version }, root);
            }
            Op::Delete { path, version } => put(&Request::Delete { path, version: *version }, root),
            Op::Prove { paths } => {
                let checks: Vec<Operation> = paths.iter().map(|path| Operation::Check { path }).collect();
                put(&Request::Multi(&checks), root);
            }
            Op::Write { own, write } => {
                let write = match write {
                    Write::Create { path, value } => {
                        Operation::Create(create(path, value, &settings.acl, CreateMode::Persistent))
                    }
                    Write::Set { path, value, version } => {
                        Operation::SetData { path, value, version: version.unwrap_or(-1) }
                    }
                    Write::Delete { path, version } => Operation::Delete { path, version: version.unwrap_or(-1) },
                };
                put(&Request::Multi(&[Operation::Check { path: own }, write]), root);
            }
            Op::Touch => put(&Request::Sync { path: "/" }, root),
        }
    }

    /// The answer to one request of this step; `is_last` if none follows.
    pub fn handle(
        &mut self,
        is_last: bool,
        header: &ReplyHeader,
        content: Reader,
        settings: &Settings,
        session: i64,
        known: &mut Known,
    ) -> Result<Progress, Cause> {
        if let Some(feature) = self.feature() {
            known.answered(feature, header.error);
        }
        if self.has_replied {
            return Ok(Progress::Wait);
        }
        let progress = self.progress(is_last, header, content, settings, session)?;
        self.has_replied = matches!(progress, Progress::Reply(..));
        Ok(progress)
    }

    /// The request of this step that a server may not know.
    pub fn feature(&self) -> Option<Feature> {
        match (&self.op, &self.step) {
            _ if !self.is_new => None,
            (Op::Create { .. } | Op::CreateSequential { .. }, Step::First) => Some(Feature::Create2),
            (Op::MakeParents { .. }, _) => Some(Feature::CreateContainer),
            _ => None,
        }
    }

    fn progress(
        &mut self,
        is_last: bool,
        header: &ReplyHeader,
        content: Reader,
        settings: &Settings,
        session: i64,
    ) -> Result<Progress, Cause> {
        let reply = match (&self.op, &self.step, header.error) {
            (_, _, rc::SESSION_EXPIRED) => return Err(Cause::Expired),
            (_, _, SESSION_MOVED) => return Err(Cause::Moved),
            (Op::Create { .. } | Op::CreateSequential { .. } | Op::MakeParents { .. }, _, rc::UNIMPLEMENTED)
                if self.is_new =>
            {
                // It was not carried out, and the server closes the connection. The core asks again on the next one.
                Reply::Unknown
            }
            (Op::Exists { .. }, _, rc::NO_NODE) => {
                return Ok(Progress::Reply(Reply::Exists(false), Some(WatchKind::Exist)));
            }
            // The znode was made, and is gone.
            (Op::Create { .. }, _, rc::NO_NODE) if is_last && !self.is_new => Reply::Unknown,
            (Op::CreateSequential { .. }, Step::Find(_), rc::NO_NODE) => Reply::Unknown,
            (Op::MakeParents { .. }, Step::First, rc::NO_NODE) => {
                self.step = Step::AllParents;
                return Ok(Progress::Again);
            }
            // The last parent tells whether there are all; if not, the first one that is missing tells why.
            (Op::MakeParents { .. }, _, error) if error != rc::OK => match (is_last, error) {
                (true, rc::NODE_EXISTS) => Reply::Done,
                (true, error) => Reply::Refused(self.refused.unwrap_or(error)),
                (false, rc::NODE_EXISTS) => return Ok(Progress::Wait),
                (false, error) => {
                    self.refused.get_or_insert(error);
                    return Ok(Progress::Wait);
                }
            },
            (Op::MakeParents { .. }, _, _) if !is_last => return Ok(Progress::Wait),
            (Op::Prove { .. } | Op::Write { .. }, _, rc::UNIMPLEMENTED) => return Err(Cause::TooOld),
            (Op::Read { .. } | Op::List { .. }, _, rc::UNIMPLEMENTED) if !is_last => return Err(Cause::TooOld),
            (_, _, rc::OK) => return self.success(is_last, content, settings, session),
            (_, _, error) => Reply::Refused(error),
        };
        Ok(Progress::Reply(reply, None))
    }

    fn success(
        &mut self,
        is_last: bool,
        mut content: Reader,
        settings: &Settings,
        session: i64,
    ) -> Result<Progress, Cause> {
        let mut watch = None;
        let reply = match (&self.op, &self.step) {
            (Op::CreateSequential { prefix, .. }, Step::Find(path)) => {
                let stat = content.stat()?;
                debug_assert!(path.starts_with(&**prefix));
                if stat.ephemeral_owner == session {
                    Reply::CreatedAs(path.clone(), stat)
                } else {
                    Reply::Unknown
                }
            }
            (Op::Create { .. }, _) if self.is_new => {
                content.text()?;
                Reply::Created(content.stat()?)
            }
            (Op::Create { .. }, _) if !is_last => {
                content.text()?;
                content.finish()?;
                return Ok(Progress::Wait);
            }
            (Op::Create { .. }, _) => {
                let stat = content.stat()?;
                // Another znode stands there if ours is gone already.
                if stat.ephemeral_owner == session {
                    Reply::Created(stat)
                } else {
                    Reply::Unknown
                }
            }
            (Op::CreateSequential { prefix, .. }, _) => {
                let made = content.text()?.strip_prefix(&*settings.chroot).ok_or(Cause::Malformed)?;
                if !made.starts_with(&**prefix) {
                    return Err(Cause::Malformed);
                }
                let made: Arc<str> = made.into();
                if !self.is_new {
                    content.finish()?;
                    self.step = Step::Find(made);
                    return Ok(Progress::Again);
                }
                Reply::CreatedAs(made, content.stat()?)
            }
            (Op::MakeParents { .. }, _) => {
                content.text()?;
                if self.is_new {
                    content.stat()?;
                }
                Reply::Done
            }
            (Op::Read { sync: true, .. } | Op::List { sync: true, .. }, _) if !is_last => {
                multi(&mut content)?;
                content.finish()?;
                return Ok(Progress::Wait);
            }
            (Op::Read { watch: leaves_watch, .. }, _) => {
                watch = leaves_watch.then_some(WatchKind::Data);
                let value = content.buffer()?.into();
                Reply::Read(Znode { value, stat: content.stat()? })
            }
            (Op::List { watch: leaves_watch, .. }, _) => {
                watch = leaves_watch.then_some(WatchKind::Child);
                let count = content.count(5)?; // no name is empty
                let mut names = Vec::with_capacity(count);
                for _ in 0..count {
                    names.push(content.text()?.into());
                }
                Reply::Listed(names)
            }
            (Op::Exists { .. }, _) => {
                watch = Some(WatchKind::Data);
                content.stat()?;
                Reply::Exists(true)
            }
            (Op::Stat { .. }, _) => Reply::Stat(content.stat()?),
            (Op::SetValue { .. }, _) => {
                content.stat()?;
                Reply::Done
            }
            (Op::Delete { .. }, _) => Reply::Done,
            (Op::Prove { .. }, _) => match multi(&mut content)? {
                None => Reply::Done,
                Some((_, error)) => Reply::Refused(error),
            },
            (Op::Write { .. }, _) => match multi(&mut content)? {
                None => Reply::Done,
                Some((0, rc::NO_NODE)) => Reply::NotMaster,
                Some((_, error)) => Reply::Refused(error),
            },
            (Op::Touch, _) => {
                content.text()?;
                Reply::Done
            }
        };
        content.finish()?;
        Ok(Progress::Reply(reply, watch))
    }
}

/// Reads the answer to a multi: the operation that failed, and its error. The leader asks for each operation whether the
/// session is alive and its requests come from the right server, and tells it as that operation's error
/// (`PrepRequestProcessor.pRequest2Txn`).
fn multi(content: &mut Reader) -> Result<Option<(usize, i32)>, Cause> {
    match content.multi()? {
        Some((_, rc::SESSION_EXPIRED)) => Err(Cause::Expired),
        Some((_, SESSION_MOVED)) => Err(Cause::Moved),
        failed => Ok(failed),
    }
}

fn create<'a>(path: &'a str, value: &'a [u8], acl: &'a [AclEntry], mode: CreateMode) -> Create<'a> {
    Create { path, value, acl, mode }
}
