//! The independent witness: the crate `zookeeper`, which shares no line with the client that the library runs on. It sets
//! up, meddles, and reads back what the library wrote.
//!
//! It is connected to one server that its test leaves alone: it does not survive the loss of it (DEPENDENCIES.md).

use crate::ground::SOON;
use std::sync::{mpsc, Arc};
use std::time::Duration;
use testkit::wait_until;
use zookeeper::{Acl, CreateMode, Permission, ZkError, ZooKeeper};

/// A znode as the witness read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Znode {
    pub value: Vec<u8>,
    pub czxid: i64,
    pub version: i32,
    /// The session that owns it, or 0: containers and znodes with a time to live look like persistent ones from outside.
    pub owner: i64,
}

pub struct Witness {
    zookeeper: Arc<ZooKeeper>,
}

impl Witness {
    /// Connects to one server, `ip:port`.
    pub fn new(host: &str) -> Witness {
        // A first request right after the connection was seen to get no answer, for ever: such a witness is let go, and
        // not dropped, as that would wait as well.
        for _ in 0..5 {
            let timeout = Duration::from_secs(10);
            let zookeeper = Arc::new(ZooKeeper::connect(host, timeout, |_| {}).expect("the witness can connect"));
            let (answered, answer) = mpsc::channel();
            let asked = zookeeper.clone();
            std::thread::spawn(move || answered.send(asked.exists("/", false).is_ok()));
            if answer.recv_timeout(Duration::from_secs(3)) == Ok(true) {
                return Witness { zookeeper };
            }
            std::mem::forget(zookeeper);
        }
        panic!("the witness gets no answer from {host}");
    }

    pub fn create(&self, path: &str, value: &[u8], mode: CreateMode) {
        self.create_with(path, value, mode, Acl::open_unsafe());
    }

    pub fn create_with(&self, path: &str, value: &[u8], mode: CreateMode, acl: &[Acl]) {
        let created = self.zookeeper.create(path, value.to_vec(), acl.to_vec(), mode);
        created.unwrap_or_else(|error| panic!("the witness cannot create {path}: {error:?}"));
    }

    pub fn read(&self, path: &str) -> Option<Znode> {
        match self.zookeeper.get_data(path, false) {
            Ok((value, stat)) => {
                let (czxid, version, owner) = (stat.czxid, stat.version, stat.ephemeral_owner);
                Some(Znode { value, czxid, version, owner })
            }
            Err(ZkError::NoNode) => None,
            Err(error) => panic!("the witness cannot read {path}: {error:?}"),
        }
    }

    /// The names of its children; those that end with a sequence number in the order of that.
    #[track_caller]
    pub fn children(&self, path: &str) -> Vec<String> {
        match self.zookeeper.get_children(path, false) {
            Ok(mut names) => {
                names.sort_by_key(|name| name[name.len().saturating_sub(10)..].to_owned());
                names
            }
            Err(ZkError::NoNode) => Vec::new(),
            Err(error) => panic!("the witness cannot list {path}: {error:?}"),
        }
    }

    pub fn set(&self, path: &str, value: &[u8]) {
        let set = self.zookeeper.set_data(path, value.to_vec(), None);
        set.unwrap_or_else(|error| panic!("the witness cannot set {path}: {error:?}"));
    }

    pub fn delete(&self, path: &str) {
        let deleted = self.zookeeper.delete(path, None);
        deleted.unwrap_or_else(|error| panic!("the witness cannot delete {path}: {error:?}"));
    }

    pub fn acl(&self, path: &str) -> Vec<Acl> {
        self.zookeeper.get_acl(path).unwrap_or_else(|error| panic!("the ACL of {path}: {error:?}")).0
    }

    pub fn set_acl(&self, path: &str, acl: &[Acl]) {
        let set = self.zookeeper.set_acl(path, acl.to_vec(), None);
        set.unwrap_or_else(|error| panic!("the witness cannot set the ACL of {path}: {error:?}"));
    }

    #[track_caller]
    pub fn wait_for(&self, path: &str, is_it: impl Fn(&Znode) -> bool) -> Znode {
        let mut seen = None;
        let found = wait_until(SOON, || {
            seen = self.read(path);
            seen.as_ref().is_some_and(&is_it)
        });
        match seen {
            Some(znode) if found => znode,
            seen => panic!("{path} is not what it should become: {seen:?}"),
        }
    }

    #[track_caller]
    pub fn wait_gone(&self, path: &str) {
        assert!(wait_until(SOON, || self.read(path).is_none()), "{path} is still there: {:?}", self.read(path));
    }
}

/// Open to all, but for what `permissions` leave out.
pub fn acl(permissions: Permission) -> Vec<Acl> {
    vec![Acl::new(permissions, "world", "anyone")]
}
