//! Which requests a relay is to strike, and relays in front of several servers.

use crate::ground::SOON;
use std::io::ErrorKind;
use testkit::{eventually, expire_session, opcode, Ensemble, RawClient, Relay, Request, Session};

/// Whether a request is of this kind and about this znode. Kinds that differ in their answer only are one.
pub fn is(kind: i32, path: &str) -> impl Fn(&Request) -> bool + Clone + Send + Sync + 'static {
    let path = path.to_owned();
    move |request| {
        let of_kind = match kind {
            opcode::CREATE => matches!(request.opcode, opcode::CREATE | opcode::CREATE2),
            kind => request.opcode == kind,
        };
        of_kind && request.path.as_deref() == Some(path.as_str())
    }
}

/// Whether a request joins the queue at `path`: its znode's name is not known before.
pub fn joins(path: &str) -> impl Fn(&Request) -> bool + Clone + Send + Sync + 'static {
    let directory = format!("{path}/");
    move |request| {
        matches!(request.opcode, opcode::CREATE | opcode::CREATE2)
            && request.path.as_ref().is_some_and(|path| path.starts_with(&directory))
    }
}

/// What the proofs that have reached the relay check: the paths of each.
pub fn proofs(relay: &Relay) -> Vec<Vec<String>> {
    let requests = relay.requests();
    let multis = requests.iter().filter(|request| request.opcode == opcode::MULTI);
    multis.map(|multi| checked_by(&multi.body).expect("a multi of checks alone")).collect()
}

/// A multi is, for each operation, its kind, whether it is the end, and an error; then the operation. A check is a path and
/// the version that is expected, -1 for any.
fn checked_by(mut body: &[u8]) -> Option<Vec<String>> {
    fn take<const N: usize>(body: &mut &[u8]) -> Option<[u8; N]> {
        let (taken, rest) = body.split_first_chunk::<N>()?;
        *body = rest;
        Some(*taken)
    }
    let mut paths = Vec::new();
    loop {
        let (kind, is_end, _error) = (take::<4>(&mut body)?, take::<1>(&mut body)?, take::<4>(&mut body)?);
        if is_end == [1] {
            return body.is_empty().then_some(paths);
        }
        let len = u32::from_be_bytes(take::<4>(&mut body)?) as usize;
        let (path, rest) = body.split_at_checked(len)?;
        body = rest;
        let version = i32::from_be_bytes(take::<4>(&mut body)?);
        if i32::from_be_bytes(kind) != opcode::CHECK || version != -1 {
            return None;
        }
        paths.push(String::from_utf8(path.to_vec()).ok()?);
    }
}

/// How many such requests have reached the relay.
pub fn count(relay: &Relay, kind: i32, path: &str) -> usize {
    let is_it = is(kind, path);
    relay.requests().iter().filter(|request| is_it(request)).count()
}

/// Whether such a request leaves a watch. Its body is a path and one byte that says so.
pub fn leaves_watch(request: &Request) -> bool {
    matches!(request.opcode, opcode::EXISTS | opcode::GET_DATA | opcode::GET_CHILDREN | opcode::GET_CHILDREN2)
        && request.body.last() != Some(&0)
}

/// Waits until the relay holds a request.
#[track_caller]
pub fn wait_held(relay: &Relay) {
    eventually(SOON, "the relay holds a request", || relay.held() == 1);
}

/// Expires the session that went through the relay last, for real and from outside. Says which.
#[track_caller]
pub fn expire(ensemble: &Ensemble, relay: &Relay) -> Session {
    let session = expire_and_keep_out(ensemble, relay);
    relay.refuse(false);
    session
}

/// The same, and its owner does not get to know it until the relay no longer refuses it.
#[track_caller]
pub fn expire_and_keep_out(ensemble: &Ensemble, relay: &Relay) -> Session {
    relay.refuse(true);
    let session = relay.session().expect("a session");
    eventually(SOON, "the session is over", || {
        // An owner that is just about to come back takes it back once; nothing but that can come in between.
        expire_session(&ensemble.host(0), session.id, &session.password)
            || RawClient::resume(&ensemble.host(0), &session)
                .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    });
    session
}

/// One relay in front of each server, for one client.
pub struct Relays(pub Vec<Relay>);

impl Relays {
    pub fn before(ensemble: &Ensemble) -> Relays {
        Relays((0..ensemble.len()).map(|i| Relay::start(ensemble.addr(i))).collect())
    }

    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.0.iter().map(Relay::host).collect();
        hosts.join(",")
    }

    /// The server that the client is connected to.
    #[track_caller]
    pub fn current(&self) -> usize {
        let mut current = None;
        eventually(SOON, "the client is connected to one server", || {
            let open: Vec<usize> = (0..self.0.len()).filter(|&i| self.0[i].open_count() > 0).collect();
            current = open.first().copied();
            open.len() == 1
        });
        current.expect("the wait above has found one")
    }

    /// Breaks the client's connection, and keeps it off that server until `let_back`. Says which server.
    #[track_caller]
    pub fn drive_off(&self) -> usize {
        let current = self.current();
        self.0[current].refuse(true);
        self.0[current].cut_all();
        current
    }

    pub fn let_back(&self) {
        self.0.iter().for_each(|relay| relay.refuse(false));
    }

    /// No server is reachable until `let_back`.
    pub fn drive_off_all(&self) {
        self.0.iter().for_each(|relay| relay.refuse(true));
        self.0.iter().for_each(Relay::cut_all);
    }

    /// How many such requests have reached the servers.
    pub fn count(&self, kind: i32, path: &str) -> usize {
        self.0.iter().map(|relay| count(relay, kind, path)).sum()
    }
}

/// Whether the first such request on the last connection came right after a transaction.
pub fn catches_up_before(relay: &Relay, kind: i32, path: &str) -> bool {
    let (requests, asks) = (relay.requests(), is(kind, path));
    let last = requests.last().map_or(0, |request| request.connection_number);
    let on_last = |request: &Request| request.connection_number == last && asks(request);
    let first = requests.iter().position(on_last);
    first.is_some_and(|at| at > 0 && requests[at - 1].opcode == opcode::MULTI)
}
