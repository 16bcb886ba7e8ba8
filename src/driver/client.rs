//! The interface to the ZooKeeper client library (`zookeeper-client`): it connects, sends requests and reports the
//! state of the connection. No other file uses a name of that crate.
//!
//! Properties of that crate that matter here, each of which we observed:
//!
//! - One `Client` is one session, and reconnects to a server by itself. We never resume a session with a second
//!   `Client`: the request numbers of the second one start again, and the server mixes them up.
//! - The client sends a request when the request's function is called. A request made while the client is disconnected
//!   is held back until the client is connected. So the order is kept, and every request is answered in the end.
//! - Every error that is not a server's own answer means that the outcome is unknown.
//! - The client presents its credentials on each new connection, before anything else. If a server refuses them, the
//!   client reports `AuthFailed` and cannot be used any more.
//! - One-shot watches survive a new connection (SetWatches). We use no other watches.

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
use crate::logic::{rc, Op, Reply, SessionId, Stat, Value, WatchEvent, Write, Znode};

/// A session with ZooKeeper. Dropping the last clone closes the session at once, or as soon as the client reaches a
/// server.
#[derive(Clone)]
pub struct Client {
    /// Rooted at the chroot.
    chrooted: zookeeper_client::Client,
    /// Rooted at `/`, so that parents above the chroot can be created too. Its paths need the chroot as a prefix.
    root: zookeeper_client::Client,
    chroot: String,
    /// The access control list of the znodes that we create.
    acl: Arc<[Acl]>,
    unknown: Arc<UnknownRequests>,
    task_guard: Arc<TaskGuard>,
}

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Connected,
    Suspended,
    /// This client cannot be used any more: the session is over, or we have lost it.
    Over,
    /// This client cannot be used any more: the server refused the credentials.
    Denied,
}

/// Reports the states of the connection. It may skip states, but never the latest one.
pub struct States {
    watcher: StateWatcher,
    /// Resolves when the client's task has ended, also if the task failed and reported no last state.
    ended: Ended,
}

/// An armed watch.
pub struct Watch(OneshotWatcher);

/// Tries each server once, in random order. It looks up the host names anew.
///
/// `session_timeout` is the timeout that we request. A server that does not answer is given up after a fifth of it,
/// which leaves time for two silent servers in a row. Fails with ZooKeeper's error number.
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

/// How long a dropped client may take to close its session. If the client is gone for that long, the session expires by
/// itself.
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

/// A session that this client has given up. It may still exist on the servers, with all its znodes.
pub struct OrphanSession(SessionInfo);

/// Closes a session that was given up, if it still exists. So a process that waits for the session's znodes to
/// disappear need not wait until the session expires. We resume the session only to close it, so the server mixes up no
/// requests.
pub async fn close_orphan(hosts: &Hosts, access: &Access, orphan: OrphanSession, session_timeout: Duration) {
    let connector = connector(access, session_timeout).with_session(orphan.0);
    // Dropping the client closes the session. If the connection fails, the session has expired or will expire.
    drop(with_task_guard(patience(session_timeout) / 5, connector.connect(&hosts.to_string())).await);
}

impl Client {
    pub fn orphan(&self) -> OrphanSession {
        OrphanSession(self.root.session().clone())
    }

    pub fn session_id(&self) -> SessionId {
        SessionId(self.root.session_id().0)
    }

    /// The session timeout that the server granted.
    pub fn session_timeout(&self) -> Duration {
        self.root.session_timeout()
    }

    pub fn states(&self) -> States {
        States { watcher: self.root.state_watcher(), ended: self.task_guard.ended() }
    }

    pub fn is_connected(&self) -> bool {
        state(self.root.state()) == State::Connected
    }

    /// Whether a server has reported that the session is over.
    pub fn is_over(&self) -> bool {
        state(self.root.state()) == State::Over
    }

    /// Gives the session up. The client stops at once and uses no more resources. `close_orphan` closes the session.
    pub fn abandon(&self) {
        self.task_guard.cut();
    }

    /// Whether the resumed session owns `own`, a znode of ours. If a server answers with another session id, the client
    /// silently accepts it, and each proof would still find the znode until the znode's session expires. Servers before
    /// 3.6 do not know this request and close the connection; from then on we assume that they resumed our session. The
    /// first poll sends the request.
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

    /// Performs a request. The first poll sends it.
    pub async fn carry_out(self, op: Op) -> (Reply, Option<Watch>) {
        let outcome = match op {
            Op::Create { path, value } => self.create(&path, &value).await,
            Op::CreateSequential { prefix, value } => self.create_sequential(&prefix, &value).await,
            Op::MakeParents { path } => self.make_parents(&path).await,
            Op::Read { path, sync, watch } => self.read(&path, sync, watch).await,
            Op::Exists { path } => self.exists(&path).await,
            Op::List { path, sync, watch } => self.list(&path, sync, watch).await,
            Op::Prove { paths } => self.prove(&paths).await,
            Op::Stat { path } => self.stat(&path).await,
            Op::Write { own, write } => self.write(&own, &write).await,
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

    /// Whether the servers end each connection on which we send a create.
    pub fn drops_creates(&self) -> bool {
        self.unknown.drops_creates()
    }

    /// Creates the parents as containers if the server supports them, so that the server deletes them when they are
    /// unused.
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
            // The server closes the connection; the next attempt creates persistent parents.
            Err(Error::Unimplemented) => self.unknown.no_containers(),
            made => return made.map(|()| (Reply::Done, None)),
        }
        Ok((Reply::Unknown, None))
    }

    fn making(&self, mode: CreateMode) -> CreateOptions<'_> {
        mode.with_acls(Acls::new(&self.acl))
    }

    async fn read(&self, path: &str, sync: bool, watch: bool) -> Outcome {
        // Both requests are sent before the first answer, and the server performs them in this order.
        let caught_up = self.catch_up(sync);
        let (value, stat, watch) = if watch {
            let read = self.chrooted.get_and_watch_data(path);
            caught_up.await?;
            let (value, stat, watcher) = read.await?;
            (value, stat, Some(Watch(watcher)))
        } else {
            let read = self.chrooted.get_data(path);
            caught_up.await?;
            let (value, stat) = read.await?;
            (value, stat, None)
        };
        let znode = Znode { value: Value::from(value), stat: stat_of(&stat) };
        Ok((Reply::Read(znode), watch))
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

    /// If `sync` is set, sends a transaction that changes nothing. A read after its answer is at least as new as the
    /// transaction. ZooKeeper's own `sync` is not enough: a leader that the other servers have deposed answers it too.
    /// The result of the transaction's check does not matter.
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
        match transaction.commit().await {
            Ok(_) => Ok((Reply::Done, None)),
            Err(error) if has_moved(&error) => {
                self.end_connection_of_moved_session(&paths[0]).await;
                Ok((Reply::Unknown, None))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// If the session has moved to another server, a server before 3.6 answers a transaction with that error, and leaves
    /// the connection open: no proof would ever be committed. The server closes the connection after any other write of
    /// such a session, and the client then resumes the session. This write changes nothing, because `own` is ephemeral
    /// and has no children.
    async fn end_connection_of_moved_session(&self, own: &str) {
        let _closed_or_no_such_znode = self.chrooted.delete(&format!("{own}/none"), None).await;
    }

    async fn exists(&self, path: &str) -> Outcome {
        let (stat, watcher) = self.chrooted.check_and_watch_stat(path).await?;
        Ok((Reply::Exists(stat.is_some()), Some(Watch(watcher))))
    }

    async fn stat(&self, path: &str) -> Outcome {
        let stat = self.chrooted.check_stat(path).await?.ok_or(Error::NoNode)?;
        Ok((Reply::Stat(stat_of(&stat)), None))
    }

    /// Writes in one transaction with the check that `own` exists.
    async fn write(&self, own: &str, write: &Write) -> Outcome {
        let mut transaction = self.chrooted.new_multi_writer();
        let persistent = self.making(CreateMode::Persistent);
        transaction.add_check_version(own, -1)?;
        match write {
            Write::Create { path, value } => transaction.add_create(path, value, &persistent)?,
            Write::Set { path, value, version } => transaction.add_set_data(path, value, *version)?,
            Write::Delete { path, version } => transaction.add_delete(path, *version)?,
        }
        let reply = match transaction.commit().await {
            Ok(_) => Reply::Done,
            Err(error) if has_moved(&error) => {
                self.end_connection_of_moved_session(own).await;
                Reply::Unknown
            }
            Err(MultiWriteError::OperationFailed { index: 0, .. }) => Reply::NotMaster,
            // Our znode was deleted with the session.
            Err(MultiWriteError::RequestFailed { source: Error::SessionExpired }) => Reply::NotMaster,
            Err(MultiWriteError::OperationFailed { source, .. } | MultiWriteError::RequestFailed { source }) => {
                reply_of(source)
            }
        };
        Ok((reply, None))
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

    /// Waits until the client reports that it cannot be used any more.
    pub async fn over(mut self) {
        let is_over = |state| matches!(state, State::Over | State::Denied);
        if !is_over(state(self.watcher.state())) {
            while !is_over(state(self.watcher.changed().await)) {}
        }
    }
}

impl Watch {
    /// Waits for the event of the watch. `None`: the session is over, and no event can follow.
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

/// Whether the server has carried nothing out because another server has the session.
fn has_moved(error: &MultiWriteError) -> bool {
    matches!(error, MultiWriteError::OperationFailed { source: Error::SessionMoved, .. })
}

/// A server's own answer is definite; any other error leaves the outcome unknown. The numbers are those of
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
