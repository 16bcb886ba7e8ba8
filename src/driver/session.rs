//! A session of a handle, as the handle sees it: it takes commands, and its end can be awaited. A [`task`] of the I/O
//! thread does the work.

mod addresses;
mod diagnosis;
mod dialer;
mod handshake;
mod login;
mod mailbox;
mod orphan;
mod probe;
mod task;

use std::sync::Arc;
use std::time::Duration;

use self::mailbox::Mailbox;
use self::task::SessionTask;
use super::access::Access;
use super::diagnostics::Diagnostics;
use super::events::{EventSink, OnItsWay};
use super::hosts::Hosts;
use super::io::reactor::Shared;
use super::sasl::SaslSettings;
use super::tls::TlsSettings;
use super::waits::{ReplyTo, Waits};
use crate::logic::{Call, Config, Outcome, Report, SubscriptionId, Time, Value};
use crate::zk;

/// In loop mode, a command waits for room in the mailbox by turns of at most this length.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The shortest session timeout that we request, because a server has a fifth of it to answer.
const SHORTEST_ASKED: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub struct Settings {
    pub hosts: Hosts,
    pub access: Arc<Access>,
    /// `None` if connections are not encrypted.
    pub tls: Option<Arc<TlsSettings>>,
    /// `None` without SASL.
    pub sasl: Option<Arc<SaslSettings>>,
    pub session_timeout: Duration,
    /// The longest message of a server, in bytes.
    pub frame_limit: usize,
    pub elections: Config,
}

/// A command of a handle to its session.
pub enum Command {
    Stand {
        id: SubscriptionId,
        path: Arc<str>,
        value: Value,
        guid: u128,
        /// The candidate leaves when its mastership ends.
        once: bool,
        status: OnItsWay,
    },
    SetValue(SubscriptionId, Value),
    Observe {
        id: SubscriptionId,
        path: Arc<str>,
    },
    WatchMembers {
        id: SubscriptionId,
        path: Arc<str>,
        enough: usize,
    },
    /// End a candidacy, or stop observing or watching the members.
    Leave(SubscriptionId),
    /// Ask a question, or write if we are master.
    Call {
        call: Call,
        outcome: ReplyTo<Outcome>,
    },
    /// Notify of each change of the connection, and of its present state.
    WatchConnection {
        id: SubscriptionId,
    },
    UnwatchConnection {
        id: SubscriptionId,
    },
    /// Send a mark after all results of the commands before.
    Mark(u64),
    /// Describe the state of the task and of the core.
    Describe {
        description: ReplyTo<Report>,
    },
}

/// The handle's side of a session. Dropping it also closes the session.
pub struct Session {
    mailbox: Arc<Mailbox>,
    waits: Arc<Waits>,
}

impl Session {
    /// Sends a command to the session's task. Returns `Err` if the task has failed.
    pub fn command(&self, command: Command) -> Result<(), ()> {
        let Some(program_loop) = self.waits.program_loop() else { return self.mailbox.put(command) };
        // Nobody else may take commands while this waits for room.
        let mut refused = self.mailbox.try_put(command)?;
        while let Some(command) = refused {
            program_loop.turn_next(&self.waits, BETWEEN_LOOKS);
            refused = self.mailbox.try_put(command)?;
        }
        Ok(())
    }

    /// Whether the session's task has failed or was closed.
    pub fn is_over(&self) -> bool {
        self.mailbox.is_over()
    }

    /// Ends the session before all other pending work. `closed` receives whether a server confirmed the end. If the
    /// session's task has failed, `closed` is dropped without a value.
    pub fn close(&self, closed: ReplyTo<bool>) {
        self.mailbox.close(Some(closed));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.mailbox.close(None);
    }
}

/// The result of the first attempt to open a session: a connection, or ZooKeeper's number for a refusal.
type FirstConnection = ReplyTo<Result<(), i32>>;

/// Starts a session on a reactor. `connected` gets one answer: when the session is connected for the first time, or when
/// it is refused permanently.
pub fn open(
    reactor: &Arc<Shared>,
    settings: Settings,
    events: EventSink,
    connected: FirstConnection,
    diagnostics: Arc<Diagnostics>,
    waits: Arc<Waits>,
) -> Session {
    let mut opened = None;
    reactor.start_task(|waker| {
        let mailbox = Arc::new(Mailbox::new(waker.clone()));
        opened = Some(mailbox.clone());
        Box::new(SessionTask::new(settings, events, connected, diagnostics, mailbox, waker))
    });
    Session { mailbox: opened.expect("the task was made"), waits }
}

/// The settings of a ZooKeeper session.
fn zk_settings(settings: &Settings, access: &Access) -> zk::Settings {
    let asked = settings.session_timeout.max(SHORTEST_ASKED).as_millis();
    let credential = |credential: &super::Credential| zk::Credential {
        scheme: credential.scheme.clone(),
        auth: credential.auth.clone(),
    };
    let entry = |permit: &super::Permit| zk::AclEntry {
        permissions: permit.permissions,
        scheme: permit.scheme.clone(),
        id: permit.id.clone(),
    };
    zk::Settings {
        session_timeout_ms: u32::try_from(asked).unwrap_or(u32::MAX),
        chroot: settings.hosts.chroot.clone(),
        credentials: access.credentials.iter().map(credential).collect(),
        sasl: settings.sasl.is_some(),
        acl: access.acl.iter().map(entry).collect(),
        frame_limit: settings.frame_limit,
        first_xid: fastrand::i32(..),
        #[cfg(feature = "testing")]
        broken: None,
    }
}

/// The earliest of these times.
fn earliest<const N: usize>(times: [Option<Time>; N]) -> Option<Time> {
    let earlier = |first: Option<Time>, time: Time| first.map_or(Some(time), |first| Some(first.min(time)));
    times.iter().fold(None, |first, time| time.map_or(first, |time| earlier(first, time)))
}
