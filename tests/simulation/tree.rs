//! The znodes and sessions that result from the log of transactions. Each server has a copy of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use election::testing::logic::{rc, Op, Reply, Stat, Value, Write, Znode};

use crate::clock::Ns;
use crate::plan::Plan;

#[derive(Clone, Debug)]
pub struct Node {
    pub value: Value,
    pub stat: Stat,
    /// The transaction that last added or removed a child.
    pub pzxid: i64,
    /// Numbers the next sequential child: how many children have ever been made, as a signed 32-bit number.
    pub counter: i32,
    pub children: u32,
    pub container: bool,
}

/// One step of a transaction.
#[derive(Clone, Debug)]
pub enum Change {
    Create {
        path: Arc<str>,
        value: Value,
        owner: i64,
        container: bool,
    },
    Delete {
        path: Arc<str>,
    },
    Set {
        path: Arc<str>,
        value: Value,
    },
    /// A fenced write of a program, at another place.
    Fenced {
        path: usize,
        token: i64,
    },
    Number {
        path: Arc<str>,
        counter: i32,
    },
    OpenSession {
        session: i64,
        timeout: Ns,
    },
    CloseSession {
        session: i64,
    },
}

#[derive(Clone, Debug)]
pub struct Tree {
    pub nodes: BTreeMap<Arc<str>, Node>,
    pub sessions: BTreeMap<i64, Ns>,
    /// The last transaction.
    pub zxid: i64,
    /// Counters stay at their largest number, as those of servers since 3.6 do. Otherwise they wrap.
    pub counters_end: bool,
}

pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

impl Tree {
    pub fn new() -> Tree {
        let root = Node {
            value: Value::from([]),
            stat: Stat::default(),
            pzxid: 0,
            counter: 0,
            children: 0,
            container: false,
        };
        Tree {
            nodes: BTreeMap::from([("/".into(), root)]),
            sessions: BTreeMap::new(),
            zxid: 0,
            counters_end: false,
        }
    }

    pub fn apply(&mut self, zxid: i64, ctime_ms: i64, change: &Change) {
        self.zxid = zxid;
        match change {
            Change::Create { path, value, owner, container } => {
                let stat = Stat { czxid: zxid, mzxid: zxid, ctime_ms, version: 0, ephemeral_owner: *owner };
                let (value, container) = (value.clone(), *container);
                let node = Node { value, stat, pzxid: zxid, counter: 0, children: 0, container };
                self.nodes.insert(path.clone(), node);
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
                node.stat.version = node.stat.version.wrapping_add(1);
            }
            Change::Number { path, counter } => {
                self.nodes.get_mut(path).expect("checked by prepare").counter = *counter;
            }
            Change::Fenced { .. } => {}
            Change::OpenSession { session, timeout } => {
                self.sessions.insert(*session, *timeout);
            }
            Change::CloseSession { session } => {
                self.sessions.remove(session);
            }
        }
    }

    /// The reply and the changes of a write of this session, as the transaction `zxid`.
    pub fn prepare(&self, zxid: i64, ctime_ms: i64, session: i64, op: &Op) -> (Reply, Vec<Change>) {
        let create = |path: Arc<str>, value: &Value| -> Result<(Stat, Vec<Change>), i32> {
            if self.nodes.contains_key(&path) {
                return Err(rc::NODE_EXISTS);
            }
            match self.nodes.get(parent(&path)) {
                None => return Err(rc::NO_NODE),
                Some(above) if above.stat.is_ephemeral() => return Err(-108),
                Some(_) => {}
            }
            let stat = Stat { czxid: zxid, mzxid: zxid, ctime_ms, version: 0, ephemeral_owner: session };
            Ok((stat, vec![Change::Create { path, value: value.clone(), owner: session, container: false }]))
        };
        let outcome = match op {
            Op::Create { path, value } => {
                create(path.clone(), value).map(|(stat, changes)| (Reply::Created(stat), changes))
            }
            Op::CreateSequential { prefix, value } => {
                let counter = self.nodes.get(parent(prefix)).map_or(0, |above| above.counter);
                let path: Arc<str> = format!("{prefix}{counter:010}").into();
                create(path.clone(), value).map(|(stat, changes)| (Reply::CreatedAs(path, stat), changes))
            }
            // One of several transactions: the parent of the path.
            Op::MakeParents { path } => match self.nodes.get(parent(path)) {
                Some(_) => Ok((Reply::Done, Vec::new())),
                None => create(parent(path).into(), &Value::from([])).map(|_| {
                    let (path, value) = (parent(path).into(), Value::from([]));
                    (Reply::Done, vec![Change::Create { path, value, owner: 0, container: true }])
                }),
            },
            Op::SetValue { path, value, version } => match self.nodes.get(path) {
                None => Err(rc::NO_NODE),
                Some(node) if *version != -1 && node.stat.version != *version => Err(rc::BAD_VERSION),
                Some(_) => Ok((Reply::Done, vec![Change::Set { path: path.clone(), value: value.clone() }])),
            },
            Op::Delete { path, version } => match self.nodes.get(path) {
                None => Err(rc::NO_NODE),
                Some(node) if *version != -1 && node.stat.version != *version => Err(rc::BAD_VERSION),
                Some(node) if node.children > 0 => Err(-111),
                Some(_) => Ok((Reply::Done, vec![Change::Delete { path: path.clone() }])),
            },
            Op::Prove { paths } if paths.iter().all(|path| self.nodes.contains_key(path)) => {
                Ok((Reply::Done, Vec::new()))
            }
            Op::Prove { .. } => Err(rc::NO_NODE),
            Op::Write { own, .. } if !self.nodes.contains_key(own) => Ok((Reply::NotMaster, Vec::new())),
            Op::Write { write, .. } => Ok((Reply::Done, vec![fenced(write)])),
            _ => unreachable!("not a write: {op:?}"),
        };
        outcome.unwrap_or_else(|rc| (Reply::Refused(rc), Vec::new()))
    }

    /// The answer to a read.
    pub fn read(&self, op: &Op) -> Reply {
        match op {
            Op::Read { path, .. } => match self.nodes.get(path) {
                Some(node) => Reply::Read(Znode { value: node.value.clone(), stat: node.stat }),
                None => Reply::Refused(rc::NO_NODE),
            },
            Op::Exists { path } => Reply::Exists(self.nodes.contains_key(path)),
            Op::Stat { path } => match self.nodes.get(path) {
                Some(node) => Reply::Stat(node.stat),
                None => Reply::Refused(rc::NO_NODE),
            },
            Op::List { path, .. } if self.nodes.contains_key(path) => {
                let names = self.children(path).map(|child| child[path.len() + 1..].into());
                Reply::Listed(names.collect())
            }
            Op::List { .. } => Reply::Refused(rc::NO_NODE),
            _ => unreachable!("not a read: {op:?}"),
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

/// A write of a program: a master writes its token.
fn fenced(write: &Write) -> Change {
    let Write::Set { path, value, .. } = write else { unreachable!("no program writes {write:?}") };
    let path = Plan::written_at(path).expect("where programs write");
    Change::Fenced { path, token: i64::from_be_bytes(value[..].try_into().expect("a token")) }
}

pub fn is_write(op: &Op) -> bool {
    !matches!(op, Op::Read { .. } | Op::Exists { .. } | Op::List { .. } | Op::Stat { .. })
}
