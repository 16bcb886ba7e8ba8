//! The border to the ZooKeeper client library (`zookeeper-client`): connect, ask, hear of the connection.
//! Nothing of that crate's is named elsewhere.
//!
//! What to mind about it, each of which was seen:
//!
//! - One `Client` is one session, and finds its way back to a server by itself. Resuming a session with a second
//!   `Client` is not done: its request numbers start again and the server mixes them up.
//! - It sends a request when the request's function is called, and holds one that comes while it is
//!   disconnected back until it is connected: no order is lost, and every request is answered in the end.
//! - Every error that is not a server's own answer means "nobody knows".
//! - It presents its credentials on each new connection, before anything else; a server that refuses them is told by
//!   `AuthFailed`, and then this client is of no more use.
//! - One-shot watches survive a new connection (SetWatches); only those are used.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::{pin_mut, select_biased, FutureExt};
use zookeeper_client::{
    Acl, Acls, AuthId, Connector, CreateMode, CreateOptions, CreateSequence, Error, EventType, MultiWriteError,
    OneshotWatcher, Permission, SessionInfo, SessionState, StateWatcher,
};

use super::access::{Access, Credential, Permit};
use super::hosts::Hosts;
use super::server_health::LONGEST_SILENCE;
use super::task_guard::{with_task_guard, Ended, TaskGuard};
use super::unknown_requests::UnknownRequests;
use crate::logic::{rc, Dialect, Master, Member, Op, Recipe, Reply, SessionId, Stat, Value, WatchEvent, Znode};

/// A session with ZooKeeper. When the last clone is dropped, the session is closed: at once, or as soon as a
/// server can be reached.
#[derive(Clone)]
pub struct Client {
    /// Rooted at the chroot.
    chrooted: zookeeper_client::Client,
    /// Rooted at the root, with the chroot that is to be put before paths: parents above it can be made.
    root: zookeeper_client::Client,
    chroot: String,
    /// Of the znodes that are made.
    acl: Arc<[Acl]>,
    unknown: Arc<UnknownRequests>,
    task_guard: Arc<TaskGuard>,
}

/// What the connection has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Connected,
    Suspended,
    /// This client is of no more use; the session is over, or lost to us.
    Over,
    /// This client is of no more use: the server refused the credentials.
    Denied,
}

/// A write of the caller's that is to be carried out only while our znode stands.
#[derive(Clone, Debug)]
pub enum Write {
    Create { path: Arc<str>, value: Value },
    Set { path: Arc<str>, value: Value, version: Option<i32> },
    Delete { path: Arc<str>, version: Option<i32> },
}

/// How such a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// Our znode does not stand: nothing was written.
    NotMaster,
    /// The server refused the write itself, with this number of ZooKeeper's: nothing was written.
    Refused(i32),
    /// Nobody knows whether it was carried out.
    Unknown,
}

/// Tells of the connection's states; some may be skipped, the latest never is.
pub struct States {
    watcher: StateWatcher,
    /// Without a last word, when the client's task has failed.
    ended: Ended,
}

/// A watch that is armed.
pub struct Watch(OneshotWatcher);

/// Tries each server once, in random order, with names looked up anew.
///
/// `session_timeout` is what is asked for; a server that does not answer is given up after a fifth of it, so
/// that there is time for two silent servers in a row. Fails with ZooKeeper's number for why.
pub async fn connect(hosts: &Hosts, access: &Access, session_timeout: Duration) -> Result<(Client, States), i32> {
    let cluster = hosts.to_string();
    let connecting = connector(access, session_timeout).connect(&cluster);
    let (connected, task_guard) = with_task_guard(patience(session_timeout), connecting).await;
    let root = connected.map_err(|error| match error {
        Error::AuthFailed => rc::AUTH_FAILED,
        _ => rc::CONNECTION_LOSS,
    })?;
    let chrooted = match hosts.chroot.as_str() {
        "" => root.clone(),
        chroot => root.clone().chroot(chroot).map_err(|_| rc::BAD_ARGUMENTS)?,
    };
    let (chroot, task_guard) = (hosts.chroot.clone(), Arc::new(task_guard));
    let client = Client { chrooted, root, chroot, acl: acl_of(access), unknown: Arc::default(), task_guard };
    let states = client.states();
    Ok((client, states))
}

/// How long a client that was dropped may take to close its session. Without it for that long, the session expires.
fn patience(session_timeout: Duration) -> Duration {
    session_timeout.min(LONGEST_SILENCE)
}

fn connector(access: &Access, session_timeout: Duration) -> Connector {
    let connector = zookeeper_client::Client::connector()
        .with_session_timeout(session_timeout)
        .with_connection_timeout((session_timeout / 5).min(LONGEST_SILENCE))
        .with_fail_eagerly();
    let present =
        |connector: Connector, credential: &Credential| connector.with_auth(&credential.scheme, &credential.auth);
    access.credentials.iter().fold(connector, present)
}

fn acl_of(access: &Access) -> Arc<[Acl]> {
    if access.acl.is_empty() {
        return Arc::from(&*Acls::anyone_all());
    }
    let bits = [Permission::READ, Permission::WRITE, Permission::CREATE, Permission::DELETE, Permission::ADMIN];
    let permission = |sum: i32| {
        let granted = bits.into_iter().enumerate().filter(|(bit, _)| sum & (1 << bit) != 0);
        granted.fold(Permission::NONE, |all, (_, permission)| all | permission)
    };
    let entry = |permit: &Permit| {
        let Permit { permissions, scheme, id } = permit;
        Acl::new(permission(*permissions), AuthId::new(scheme, id))
    };
    access.acl.iter().map(entry).collect()
}

/// A session that this client gave up, and that may live on at the servers, with all its znodes.
pub struct OrphanSession(SessionInfo);

/// Closes a session that was given up, if it still lives: whoever waits for its znodes to go need not wait until it
/// expires. It is resumed for that alone, so nothing can be mixed up.
pub async fn close_orphan(hosts: &Hosts, access: &Access, orphan: OrphanSession, session_timeout: Duration) {
    let connector = connector(access, session_timeout).with_session(orphan.0);
    // Dropping the client closes the session. On failure it has expired, or it will.
    drop(with_task_guard(patience(session_timeout) / 5, connector.connect(&hosts.to_string())).await);
}

impl Client {
    pub fn orphan(&self) -> OrphanSession {
        OrphanSession(self.root.session().clone())
    }

    pub fn session_id(&self) -> SessionId {
        SessionId(self.root.session_id().0)
    }

    /// The session timeout as the server has it.
    pub fn session_timeout(&self) -> Duration {
        self.root.session_timeout()
    }

    pub fn states(&self) -> States {
        States { watcher: self.root.state_watcher(), ended: self.task_guard.ended() }
    }

    pub fn is_connected(&self) -> bool {
        state(self.root.state()) == State::Connected
    }

    /// Whether a server has said that the session is.
    pub fn is_over(&self) -> bool {
        state(self.root.state()) == State::Over
    }

    /// The session is given up: the client leaves off at once, and keeps nothing busy. `close_orphan` closes the session.
    pub fn abandon(&self) {
        self.task_guard.cut();
    }

    /// Whether the session that was resumed is the one that owns `own`, a znode of ours. The client takes another id that a
    /// server answers with over in silence, and each proof would still find the znode, until its session expires. Servers
    /// before 3.6 cannot tell, close the connection, and are believed from then on. The first poll asks.
    pub async fn still_owns(self, own: Arc<str>) -> bool {
        if !self.unknown.has_get_ephemerals() {
            return true;
        }
        self.unknown.asks_get_ephemerals();
        let (held, found) = (self.chrooted.list_ephemerals(&own), self.chrooted.check_stat(&own));
        let (held, found) = (held.await, found.await);
        match &held {
            Err(Error::Unimplemented) => self.unknown.no_get_ephemerals(),
            Err(error) if reply_of(error.clone()) == Reply::Unknown => {}
            _ => self.unknown.answered_get_ephemerals(),
        }
        match (held, found) {
            (Ok(held), Ok(Some(stat))) if stat.ephemeral_owner == self.session_id().0 => {
                held.iter().any(|path| **path == *own)
            }
            _ => true,
        }
    }

    /// Carries out a request. The first poll sends it.
    pub async fn carry_out(self, op: Op) -> (Reply, Option<Watch>) {
        let outcome = match op {
            Op::Create { path, value } => self.create(&path, &value).await,
            Op::CreateSequential { prefix, value } => self.create_sequential(&prefix, &value).await,
            Op::MakeParents { path } => self.make_parents(&path).await,
            Op::Read { path, sync } => self.read(&path, sync).await,
            Op::Exists { path } => self.exists(&path).await,
            Op::List { path, sync, watch } => self.list(&path, sync, watch).await,
            Op::Prove { paths } => self.prove(&paths).await,
            Op::Stat { path } => self.stat(&path).await,
            Op::Touch => self.chrooted.sync("/").await.map(|()| (Reply::Done, None)),
            Op::SetValue { path, value, version } => {
                let set = self.chrooted.set_data(&path, &value, Some(version)).await;
                set.map(|_| (Reply::Done, None))
            }
            Op::Delete { path, version } => {
                let version = (version >= 0).then_some(version);
                let deleted = self.chrooted.delete(&path, version).await;
                deleted.map(|()| (Reply::Done, None))
            }
        };
        outcome.unwrap_or_else(|error| (reply_of(error), None))
    }

    async fn create(&self, path: &str, value: &[u8]) -> Outcome {
        let options = self.making(CreateMode::Ephemeral);
        let made = self.chrooted.create(path, value, &options).await;
        self.created(made, |stat, _| Reply::Created(stat_of(&stat)))
    }

    async fn create_sequential(&self, prefix: &str, value: &[u8]) -> Outcome {
        let options = self.making(CreateMode::EphemeralSequential);
        let made = self.chrooted.create(prefix, value, &options).await;
        self.created(made, |stat, number| Reply::CreatedAs(format!("{prefix}{number}").into(), stat_of(&stat)))
    }

    fn created(
        &self,
        made: Result<(zookeeper_client::Stat, CreateSequence), Error>,
        reply: impl FnOnce(zookeeper_client::Stat, CreateSequence) -> Reply,
    ) -> Outcome {
        let reply = match made {
            Ok((stat, number)) => reply(stat, number),
            Err(Error::Unimplemented) => Reply::Refused(rc::SERVER_TOO_OLD),
            Err(error) => reply_of(error),
        };
        self.unknown.create_ended(reply != Reply::Unknown);
        Ok((reply, None))
    }

    /// Whether the servers end each connection on which a create is sent.
    pub fn drops_creates(&self) -> bool {
        self.unknown.drops_creates()
    }

    /// Parents are containers where the server has them, so that they go when nobody needs them any more.
    async fn make_parents(&self, path: &str) -> Outcome {
        let path = format!("{}{path}", self.chroot);
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if parent.is_empty() {
            return Ok((Reply::Done, None));
        }
        let mode = match self.unknown.has_containers() {
            true => CreateMode::Container,
            false => CreateMode::Persistent,
        };
        match self.root.mkdir(parent, &self.making(mode)).await {
            // The connection is being closed: the next attempt makes a persistent one.
            Err(Error::Unimplemented) => self.unknown.no_containers(),
            made => return made.map(|()| (Reply::Done, None)),
        }
        Ok((Reply::Unknown, None))
    }

    fn making(&self, mode: CreateMode) -> CreateOptions<'_> {
        mode.with_acls(Acls::new(&self.acl))
    }

    async fn read(&self, path: &str, sync: bool) -> Outcome {
        // Both are sent before either is answered, and are carried out in this order.
        let caught_up = self.catch_up(sync);
        let read = self.chrooted.get_and_watch_data(path);
        caught_up.await?;
        let (value, stat, watcher) = read.await?;
        let znode = Znode { value: Value::from(value), stat: stat_of(&stat) };
        Ok((Reply::Read(znode), Some(Watch(watcher))))
    }

    async fn list(&self, path: &str, sync: bool, watch: bool) -> Outcome {
        let caught_up = self.catch_up(sync);
        let (names, watch) = if watch {
            let listed = self.chrooted.list_and_watch_children(path);
            caught_up.await?;
            let (names, watcher) = listed.await?;
            (names, Some(Watch(watcher)))
        } else {
            let listed = self.chrooted.list_children(path);
            caught_up.await?;
            (listed.await?, None)
        };
        Ok((Reply::Listed(names.into_iter().map(Into::into).collect()), watch))
    }

    /// Sends, if `sync`, a transaction that changes nothing: what is read after its answer is as new as that. ZooKeeper's own
    /// `sync` would not do: a leader that the others have deposed answers it, too. Whether what it checks is there does
    /// not matter.
    fn catch_up(&self, sync: bool) -> impl Future<Output = Result<(), Error>> + '_ {
        let committed = sync.then(|| {
            let mut transaction = self.chrooted.new_multi_writer();
            transaction.add_check_version("/", -1).map(|()| transaction.commit())
        });
        async {
            match committed {
                None => Ok(()),
                Some(Err(error)) => Err(error),
                Some(Ok(committed)) => match committed.await {
                    Ok(_) | Err(MultiWriteError::OperationFailed { .. }) => Ok(()),
                    Err(MultiWriteError::RequestFailed { source }) => Err(source),
                },
            }
        }
    }

    async fn prove(&self, paths: &[Arc<str>]) -> Outcome {
        let mut transaction = self.chrooted.new_multi_writer();
        for path in paths {
            transaction.add_check_version(path, -1)?;
        }
        transaction.commit().await?;
        Ok((Reply::Done, None))
    }

    async fn exists(&self, path: &str) -> Outcome {
        let (stat, watcher) = self.chrooted.check_and_watch_stat(path).await?;
        Ok((Reply::Exists(stat.is_some()), Some(Watch(watcher))))
    }

    async fn stat(&self, path: &str) -> Outcome {
        let stat = self.chrooted.check_stat(path).await?.ok_or(Error::NoNode)?;
        Ok((Reply::Stat(stat_of(&stat)), None))
    }
}

impl Client {
    /// Who stands at `path` at this moment, the master first. Fails with ZooKeeper's number for why.
    pub async fn members(self, path: Arc<str>, recipe: Recipe) -> Result<Vec<Member>, i32> {
        let listed = match recipe {
            Recipe::Node => Ok(vec![path.clone()]),
            Recipe::Queue(dialect) => self.chrooted.list_children(&path).await.map(|names| {
                let names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
                dialect.in_order(&names).into_iter().map(|name| format!("{path}/{name}").into()).collect()
            }),
        };
        let paths = match listed {
            Err(Error::NoNode) => Vec::new(),
            listed => listed.map_err(number_of)?,
        };
        // All are asked for before the first answer is waited for.
        let reads: Vec<_> = paths.iter().map(|path| (path, self.chrooted.get_data(path))).collect();
        let mut members = Vec::new();
        for (path, read) in reads {
            match read.await {
                Ok((value, stat)) => {
                    let name = path.rsplit('/').next().unwrap_or_default().into();
                    let znode = Znode { value: value.into(), stat: stat_of(&stat) };
                    members.push(Member { name, znode });
                }
                Err(Error::NoNode) => {} // left since the list was made
                Err(error) => return Err(number_of(error)),
            }
        }
        if let Recipe::Queue(dialect) = recipe {
            dialect.settle_ties(&mut members, |member| &member.name, |member| member.znode.stat.czxid);
        }
        Ok(members)
    }

    /// Who is master at `path` at this moment. Fails with ZooKeeper's number for why nobody can tell.
    pub async fn master(self, path: Arc<str>, recipe: Recipe) -> Result<Master, i32> {
        loop {
            let first = match recipe {
                Recipe::Node => Some((path.clone(), None)),
                Recipe::Queue(dialect) => self.first_in_queue(&path, dialect).await.map_err(number_of)?,
            };
            let Some((first, czxid)) = first else { break };
            match self.chrooted.get_data(&first).await {
                Ok((value, stat)) if czxid.is_none_or(|czxid| czxid == stat.czxid) => {
                    let stat = stat_of(&stat);
                    let rc = if stat.is_ephemeral() { rc::OK } else { rc::NOT_EPHEMERAL };
                    return Ok(Master { rc, value: value.into(), stat });
                }
                Err(Error::NoNode) if recipe == Recipe::Node => break,
                // Gone since the list was made, and another one may have its name: who is first now?
                Ok(_) | Err(Error::NoNode) => {}
                Err(error) => return Err(number_of(error)),
            }
        }
        Ok(Master { rc: rc::NO_NODE, value: Value::from([]), stat: Stat::default() })
    }

    /// The znode of the first in a queue. Where the numbers do not tell, the oldest is, and then with its czxid.
    async fn first_in_queue(&self, path: &str, dialect: Dialect) -> Result<Option<(Arc<str>, Option<i64>)>, Error> {
        loop {
            let names = match self.chrooted.list_children(path).await {
                Err(Error::NoNode) => return Ok(None),
                listed => listed?,
            };
            let names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
            let leading = dialect.leading(&names).into_iter();
            let mut leading: Vec<Arc<str>> = leading.map(|name| format!("{path}/{name}").into()).collect();
            if leading.len() < 2 {
                return Ok(leading.pop().map(|first| (first, None)));
            }
            let asked: Vec<_> = leading.iter().map(|path| self.chrooted.check_stat(path)).collect();
            let mut oldest = None;
            for (asked, path) in asked.into_iter().zip(&leading) {
                let this = asked.await?.map(|stat| (stat.czxid, path.clone()));
                oldest = oldest.into_iter().chain(this).min();
            }
            if let Some((czxid, path)) = oldest {
                return Ok(Some((path, Some(czxid))));
            }
        }
    }

    /// Writes, in one transaction with the check that `own` stands.
    pub async fn write_fenced(self, own: Arc<str>, write: Write) -> Written {
        let mut transaction = self.chrooted.new_multi_writer();
        let persistent = self.making(CreateMode::Persistent);
        let added = transaction.add_check_version(&own, -1).and_then(|()| match &write {
            Write::Create { path, value } => transaction.add_create(path, value, &persistent),
            Write::Set { path, value, version } => transaction.add_set_data(path, value, *version),
            Write::Delete { path, version } => transaction.add_delete(path, *version),
        });
        if added.is_err() {
            return Written::Refused(rc::BAD_ARGUMENTS);
        }
        match transaction.commit().await {
            Ok(_) => Written::Done,
            Err(MultiWriteError::OperationFailed { index: 0, .. }) => Written::NotMaster,
            // Our znode went with the session.
            Err(MultiWriteError::RequestFailed { source: Error::SessionExpired }) => Written::NotMaster,
            Err(MultiWriteError::OperationFailed { source, .. } | MultiWriteError::RequestFailed { source }) => {
                match reply_of(source) {
                    Reply::Refused(rc) => Written::Refused(rc),
                    _ => Written::Unknown,
                }
            }
        }
    }
}

type Outcome = Result<(Reply, Option<Watch>), Error>;

impl States {
    /// Waits for the next state.
    pub async fn changed(&mut self) -> State {
        let (said, ended) = (self.watcher.changed().fuse(), self.ended.clone());
        pin_mut!(said, ended);
        select_biased! {
            said = said => state(said),
            _ = ended => State::Over,
        }
    }

    /// Waits until there is no connection.
    pub async fn broken(mut self) {
        if state(self.watcher.state()) == State::Connected {
            while self.changed().await == State::Connected {}
        }
    }

    /// Waits until the client says that it is of no more use.
    pub async fn over(mut self) {
        let is_over = |state| matches!(state, State::Over | State::Denied);
        if !is_over(state(self.watcher.state())) {
            while !is_over(state(self.watcher.changed().await)) {}
        }
    }
}

impl Watch {
    /// Waits for what the watch sees. `None`: nothing any more, the session is over.
    pub fn fired(self) -> impl Future<Output = Option<WatchEvent>> {
        let changed = self.0.changed();
        async {
            match changed.await.event_type {
                EventType::NodeCreated => Some(WatchEvent::Created),
                EventType::NodeDeleted => Some(WatchEvent::Deleted),
                EventType::NodeDataChanged | EventType::NodeChildrenChanged => Some(WatchEvent::Changed),
                EventType::Session => None,
            }
        }
    }
}

fn state(state: SessionState) -> State {
    match state {
        SessionState::SyncConnected => State::Connected,
        // We never ask for a read-only session.
        SessionState::Disconnected | SessionState::ConnectedReadOnly => State::Suspended,
        SessionState::Expired | SessionState::Closed => State::Over,
        SessionState::AuthFailed => State::Denied,
    }
}

fn stat_of(stat: &zookeeper_client::Stat) -> Stat {
    Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime_ms: stat.ctime,
        version: stat.version,
        ephemeral_owner: stat.ephemeral_owner,
    }
}

fn number_of(error: Error) -> i32 {
    match reply_of(error) {
        Reply::Refused(rc) => rc,
        _ => rc::CONNECTION_LOSS,
    }
}

/// A server's own answer is definite; anything else leaves the outcome unknown. The numbers are those of
/// `KeeperException.Code` in ZooKeeper's source.
fn reply_of(error: Error) -> Reply {
    Reply::Refused(match error {
        Error::NoNode => rc::NO_NODE,
        Error::NodeExists => rc::NODE_EXISTS,
        Error::BadVersion => rc::BAD_VERSION,
        Error::MarshallingError => rc::MARSHALLING_ERROR,
        Error::Unimplemented => rc::UNIMPLEMENTED,
        Error::BadArguments(_) => rc::BAD_ARGUMENTS,
        Error::NoAuth => rc::NO_AUTH,
        Error::NoChildrenForEphemerals => rc::NO_CHILDREN_FOR_EPHEMERALS,
        Error::NotEmpty => -111,
        Error::InvalidAcl => rc::INVALID_ACL,
        Error::NotReadOnly => -119,
        Error::QuotaExceeded => -125,
        Error::Throttled => -127,
        Error::UnexpectedErrorCode(code) => code,
        _ => return Reply::Unknown,
    })
}
