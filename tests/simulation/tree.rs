//! The znodes and sessions that result from the log of transactions. Each server has a copy of them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use election::testing::logic::{rc, Stat, Value};

use crate::clock::Ns;
use crate::messages::{Answer, Denial, Kind, Read, Write, Writes};

#[derive(Clone, Debug)]
pub struct Node {
    pub value: Value,
    pub stat: Stat,
    pub mtime_ms: i64,
    /// The transaction that last added or removed a child.
    pub pzxid: i64,
    /// Numbers the next sequential child: how many children have ever been made, as a signed 32-bit number.
    pub counter: i32,
    pub children: u32,
    pub container: bool,
}

/// All that ZooKeeper tells of a znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullStat {
    pub of_data: Stat,
    pub mtime_ms: i64,
    pub cversion: i32,
    pub data_length: i32,
    pub children: i32,
    pub pzxid: i64,
}

impl Node {
    fn new(value: Value, stat: Stat, container: bool) -> Node {
        let (pzxid, mtime_ms) = (stat.czxid, stat.ctime_ms);
        Node { value, stat, mtime_ms, pzxid, counter: 0, children: 0, container }
    }

    pub fn full_stat(&self) -> FullStat {
        FullStat {
            of_data: self.stat,
            mtime_ms: self.mtime_ms,
            // Creations and deletions of children (`DataNode.copyStat`).
            cversion: self.counter.wrapping_mul(2).wrapping_sub(self.children as i32),
            data_length: self.value.len() as i32,
            children: self.children as i32,
            pzxid: self.pzxid,
        }
    }
}

/// One step of a transaction.
#[derive(Clone, Debug)]
pub enum Change {
    Create { path: Arc<str>, value: Value, owner: i64, container: bool },
    Delete { path: Arc<str> },
    Set { path: Arc<str>, value: Value },
    Number { path: Arc<str>, counter: i32 },
    OpenSession { session: i64, timeout: Ns },
    CloseSession { session: i64 },
}

#[derive(Clone, Debug)]
pub struct Tree {
    pub nodes: BTreeMap<Arc<str>, Node>,
    pub sessions: BTreeMap<i64, Ns>,
    /// The last transaction.
    pub zxid: i64,
    /// Counters stay at their largest number, as those of servers since 3.6 do. Otherwise they wrap.
    pub counters_end: bool,
    /// A multi tells the stat of what it creates, if it was asked for, as since 3.7.2 and 3.9 (ZOOKEEPER-4026).
    pub multi_tells_stats: bool,
}

/// What access control lists forbid at the paths of elections, and below them.
#[derive(Clone, Debug, Default)]
pub struct Denials(pub Vec<(Arc<str>, Denial)>);

impl Denials {
    fn refuse(&self, denial: Denial, path: &str) -> Result<(), i32> {
        let is_here = |election: &str| path == election || parent(path) == election;
        let is_refused = self.0.iter().any(|(election, denied)| *denied == denial && is_here(election));
        if is_refused {
            Err(rc::NO_AUTH)
        } else {
            Ok(())
        }
    }
}

const NOT_EMPTY: i32 = -111;
const RUNTIME_INCONSISTENCY: i32 = -2;
const SESSION_MOVED: i32 = -118;

/// The answer to a write of a session that has moved or is over, if there is any: the server closes the connection
/// without one if the session has moved, but not where this is the result of one part of a multi.
pub fn refusal(writes: &Writes, is_moved: bool) -> Option<Answer> {
    let rc = if is_moved { SESSION_MOVED } else { rc::SESSION_EXPIRED };
    match writes {
        Writes::One(_) => (!is_moved).then_some(Answer::Refused(rc)),
        Writes::Multi(writes) => Some(failed_multi(writes.len(), 0, rc)),
    }
}

/// The writes before the refused one did no wrong; those after it were not tried.
fn failed_multi(len: usize, at: usize, rc: i32) -> Answer {
    let told = |other: usize| match other.cmp(&at) {
        Ordering::Less => 0,
        Ordering::Equal => rc,
        Ordering::Greater => RUNTIME_INCONSISTENCY,
    };
    Answer::Multi((0..len).map(|other| Answer::Refused(told(other))).collect())
}

pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

impl Tree {
    pub fn new() -> Tree {
        let root = Node::new(Value::from([]), Stat::default(), false);
        Tree {
            nodes: BTreeMap::from([("/".into(), root)]),
            sessions: BTreeMap::new(),
            zxid: 0,
            counters_end: false,
            multi_tells_stats: false,
        }
    }

    /// Makes a znode before all transactions. Returns whether there was none.
    pub fn make(&mut self, path: &str) -> bool {
        let is_new = !path.is_empty() && !self.nodes.contains_key(path);
        if is_new {
            let (path, value) = (path.into(), [].into());
            self.apply(0, 0, &Change::Create { path, value, owner: 0, container: false });
        }
        is_new
    }

    pub fn apply(&mut self, zxid: i64, ctime_ms: i64, change: &Change) {
        self.zxid = zxid;
        match change {
            Change::Create { path, value, owner, container } => {
                let stat = Stat { czxid: zxid, mzxid: zxid, ctime_ms, version: 0, ephemeral_owner: *owner };
                self.nodes.insert(path.clone(), Node::new(value.clone(), stat, *container));
                let above = self.nodes.get_mut(parent(path)).expect("checked by prepare");
                above.pzxid = zxid;
                above.counter = match self.counters_end {
                    true => above.counter.saturating_add(1),
                    false => above.counter.wrapping_add(1),
                };
                above.children += 1;
            }
            Change::Delete { path } => {
                self.nodes.remove(path);
                let above = self.nodes.get_mut(parent(path)).expect("a znode has a parent");
                above.pzxid = zxid;
                above.children -= 1;
            }
            Change::Set { path, value } => {
                let node = self.nodes.get_mut(path).expect("checked by prepare");
                node.value = value.clone();
                node.stat.mzxid = zxid;
                node.mtime_ms = ctime_ms;
                node.stat.version = node.stat.version.wrapping_add(1);
            }
            Change::Number { path, counter } => {
                self.nodes.get_mut(path).expect("checked by prepare").counter = *counter;
            }
            Change::OpenSession { session, timeout } => {
                self.sessions.insert(*session, *timeout);
            }
            Change::CloseSession { session } => {
                self.sessions.remove(session);
            }
        }
    }

    /// The answer to a request of this session, and its changes, as the transaction `zxid`.
    pub fn prepare(
        &self,
        zxid: i64,
        ctime_ms: i64,
        session: i64,
        writes: &Writes,
        denials: &Denials,
    ) -> (Answer, Vec<Change>) {
        let writes = match writes {
            Writes::One(write) => {
                let outcome = self.prepare_one(zxid, ctime_ms, session, write, denials);
                return match outcome {
                    Ok((answer, change)) => (answer, change.into_iter().collect()),
                    Err(rc) => (Answer::Refused(rc), Vec::new()),
                };
            }
            Writes::Multi(writes) => writes,
        };
        // Each write finds what those before it have changed.
        let mut ahead = None;
        let (mut answers, mut changes) = (Vec::new(), Vec::new());
        for (at, write) in writes.iter().enumerate() {
            match ahead.as_ref().unwrap_or(self).prepare_one(zxid, ctime_ms, session, write, denials) {
                Ok((answer, change)) => {
                    if let (Some(change), true) = (&change, at + 1 < writes.len()) {
                        ahead.get_or_insert_with(|| self.clone()).apply(zxid, ctime_ms, change);
                    }
                    answers.push(match answer {
                        Answer::Created(path, _) if !self.multi_tells_stats => Answer::Created(path, None),
                        answer => answer,
                    });
                    changes.extend(change);
                }
                Err(rc) => return (failed_multi(writes.len(), at, rc), Vec::new()),
            }
        }
        (Answer::Multi(answers), changes)
    }

    fn prepare_one(
        &self,
        zxid: i64,
        ctime_ms: i64,
        session: i64,
        write: &Write,
        denials: &Denials,
    ) -> Result<(Answer, Option<Change>), i32> {
        let found = |path: &Arc<str>, version: i32, denial: Denial| {
            let node = self.nodes.get(path).ok_or(rc::NO_NODE)?;
            denials.refuse(denial, path)?;
            if version == -1 || node.stat.version == version {
                Ok(node)
            } else {
                Err(rc::BAD_VERSION)
            }
        };
        match write {
            Write::Create { path, value, kind, sequential, with_stat } => {
                denials.refuse(Denial::Create, path)?;
                let above = self.nodes.get(parent(path));
                let path: Arc<str> = match (sequential, above) {
                    (true, Some(above)) => format!("{path}{:010}", above.counter).into(),
                    _ => path.clone(),
                };
                if self.nodes.contains_key(&path) {
                    return Err(rc::NODE_EXISTS);
                }
                match above {
                    None => return Err(rc::NO_NODE),
                    Some(above) if above.stat.is_ephemeral() => return Err(rc::NO_CHILDREN_FOR_EPHEMERALS),
                    Some(_) => {}
                }
                let owner = if *kind == Kind::Ephemeral { session } else { 0 };
                let stat = Stat { czxid: zxid, mzxid: zxid, ctime_ms, version: 0, ephemeral_owner: owner };
                let stat = Node::new(value.clone(), stat, false).full_stat();
                let answer = Answer::Created(path.clone(), with_stat.then_some(stat));
                let (value, container) = (value.clone(), *kind == Kind::Container);
                Ok((answer, Some(Change::Create { path, value, owner, container })))
            }
            Write::Set { path, value, version } => {
                let mut node = found(path, *version, Denial::Change)?.clone();
                node.value = value.clone();
                node.stat.mzxid = zxid;
                node.stat.version = node.stat.version.wrapping_add(1);
                node.mtime_ms = ctime_ms;
                let change = Change::Set { path: path.clone(), value: value.clone() };
                Ok((Answer::Stat(node.full_stat()), Some(change)))
            }
            Write::Delete { path, version } => match found(path, *version, Denial::Delete)? {
                node if node.children > 0 => Err(NOT_EMPTY),
                _ => Ok((Answer::Deleted, Some(Change::Delete { path: path.clone() }))),
            },
            Write::Check { path, version } => found(path, *version, Denial::Read).map(|_| (Answer::Done, None)),
        }
    }

    /// The answer to a read.
    pub fn read(&self, read: &Read, denials: &Denials) -> Answer {
        let (Read::Data { path, .. } | Read::Exists { path, .. } | Read::Children { path, .. }) = read;
        let Some(node) = self.nodes.get(path) else { return Answer::Refused(rc::NO_NODE) };
        match (read, denials.refuse(Denial::Read, path)) {
            (Read::Exists { .. }, _) | (_, Ok(())) => {}
            (_, Err(rc)) => return Answer::Refused(rc),
        }
        match read {
            Read::Data { .. } => Answer::Data(node.value.clone(), node.full_stat()),
            Read::Exists { .. } => Answer::Stat(node.full_stat()),
            Read::Children { .. } => {
                let names = self.children(path).map(|child| child[path.len() + 1..].into());
                Answer::Children(names.collect())
            }
        }
    }

    /// The paths of a znode's children. No caller asks for the root's.
    pub fn children<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        let from: Arc<str> = format!("{path}/").into();
        let below = from.clone();
        let all = self.nodes.range(from..).map(|(child, _)| child);
        let under = all.take_while(move |child| child.starts_with(&*below));
        under.filter(move |child| !child[path.len() + 1..].contains('/'))
    }

    /// A transaction was committed. As long as nothing else is proposed for the parent of a znode that it made or
    /// deleted, that parent's counter is that of the committed tree.
    pub fn recount(&mut self, committed: &Tree, change: &Change) {
        let (Change::Create { path, .. } | Change::Delete { path }) = change else { return };
        let (above, counted) = (self.nodes.get_mut(parent(path)), committed.nodes.get(parent(path)));
        if let (Some(above), Some(counted)) = (above, counted) {
            if above.pzxid <= committed.zxid {
                above.counter = counted.counter;
            }
        }
    }

    /// The changes that the end of a session makes.
    pub fn close_session(&self, session: i64) -> Vec<Change> {
        let own = self.nodes.iter().filter(|(_, node)| node.stat.ephemeral_owner == session);
        let deletes = own.map(|(path, _)| Change::Delete { path: path.clone() });
        deletes.chain([Change::CloseSession { session }]).collect()
    }

    /// Containers that have had children and now have none.
    pub fn spent_containers(&self) -> Vec<Arc<str>> {
        let spent = self.nodes.iter().filter(|(_, node)| node.container && node.children == 0 && node.counter != 0);
        spent.map(|(path, _)| path.clone()).collect()
    }

    pub fn ephemerals(&self) -> impl Iterator<Item = (&Arc<str>, &Node)> {
        self.nodes.iter().filter(|(_, node)| node.stat.is_ephemeral())
    }
}
