//! How the session's task and the core handle each change of the connection: opened, broken, resumed, refused or given
//! up.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::round::{next_wait, round, Opened};
use super::{Connection, Link, Question, Task};
use crate::driver::access::Access;
use crate::driver::client::{close_orphan, State};
use crate::driver::clock;
use crate::driver::connect_cause::ConnectFailure;
use crate::driver::log::{self, LogLevel};
use crate::driver::requests::Requests;
use crate::driver::runtime;
use crate::logic::{rc, Input, Time};

impl Task {
    pub(super) fn up(&mut self, opened: Opened) {
        let Opened { client, states, asked_at } = opened;
        let session = client.session_id();
        let timeout = client.session_timeout();
        self.settings.session_timeout = timeout;
        self.server_health.connected(clock::now());
        self.link = Link::Open(Box::new(Connection { client, states, up: true, timeout, asked_at }));
        let changed = self.telemetry.connected(session.0, timeout);
        self.connection(changed);
        let timeout_ns = timeout.as_nanos() as u64;
        self.elections.handle(clock::now(), Input::Connected { session, timeout_ns, asked_at });
        self.has_left = false;
        self.outage_ends();
        // If the servers drop us repeatedly, we do not reconnect for the orphan session.
        if let Some(orphan) = self.orphan.take().filter(|_| !self.server_health.is_lost()) {
            let hosts = self.settings.hosts.clone();
            let access = self.settings.access.clone();
            runtime::spawn(async move { close_orphan(&hosts, &access, orphan, timeout).await });
        }
        if let Some(connected) = self.connected.take() {
            connected.send(Ok(()));
        }
    }

    pub(super) fn state(&mut self, state: State) {
        let now = clock::now();
        let Link::Open(connection) = &mut self.link else { return };
        match state {
            State::Connected => {
                // The break between two connections may have been too short to be reported.
                let was_up = std::mem::replace(&mut connection.up, true);
                let (session, timeout) = (connection.client.session_id(), connection.timeout);
                let asked_at = connection.asked_at;
                if was_up {
                    self.suspended(now);
                    if self.server_health.is_lost() {
                        return self.state(State::Over);
                    }
                }
                self.server_health.connected(now);
                self.outage_ends();
                self.ask_whose_it_is();
                let changed = self.telemetry.connected(session.0, timeout);
                self.connection(changed);
                let timeout_ns = timeout.as_nanos() as u64;
                self.elections.handle(now, Input::Connected { session, timeout_ns, asked_at });
            }
            State::Suspended => {
                connection.up = false;
                self.suspended(now);
                if self.server_health.is_lost() {
                    self.state(State::Over);
                }
            }
            State::Over => {
                connection.client.abandon();
                let changed = self.telemetry.expired();
                self.connection(changed);
                self.end_session(now);
                let changed = self.telemetry.connecting(rc::SESSION_EXPIRED);
                self.connection(changed);
                self.elections.handle(now, Input::Expired);
            }
            State::Denied => {
                self.orphan = Some(connection.client.orphan());
                self.denied();
            }
        }
    }

    /// The outage has ended, so its cause is cleared.
    fn outage_ends(&mut self) {
        self.diagnosis.end();
        self.telemetry.outage_ends();
        (self.failed, self.cause) = (None, None);
    }

    /// A round through all servers has failed. All subscriptions are notified of it together with the cause.
    pub(super) fn not_connected(&mut self, rc: i32) {
        self.reconnect();
        self.telemetry.round_failed(rc);
        self.failed = Some(rc);
        match self.cause.clone() {
            Some(cause) => self.tell_cause(cause),
            None => self.diagnosis.hurry(clock::now()),
        }
    }

    pub(super) fn diagnosed(&mut self, failure: &ConnectFailure) {
        // A server is reachable, so the next attempt connects to it: nothing has failed yet.
        if failure.any_serves() && self.failed.is_none() && self.cause.is_none() {
            return;
        }
        let cause: Arc<str> = failure.to_string().into();
        self.telemetry.found_cause(&cause);
        self.cause = Some(cause.clone());
        self.tell_cause(cause);
    }

    fn tell_cause(&mut self, cause: Arc<str>) {
        let failed = self.failed.take();
        let changed = self.telemetry.not_connected(cause);
        self.connection(changed);
        if let Some(rc) = failed {
            self.elections.handle(clock::now(), Input::Suspended(rc));
        }
    }

    /// Checks, before any other request, that a resumed session is ours.
    fn ask_whose_it_is(&mut self) {
        let Link::Open(connection) = &self.link else { return };
        let Some(own) = self.elections.elected_znode() else { return };
        let is_ours = AssertUnwindSafe(connection.client.clone().still_owns(own)).catch_unwind();
        let mut question: Question = Box::pin(is_ours.map(|is_ours| is_ours.unwrap_or(false)));
        if question.as_mut().now_or_never().is_none() {
            self.resumed = Some(question);
        }
    }

    pub(super) fn resumed(&mut self, is_ours: bool) {
        self.resumed = None;
        if !is_ours {
            let diagnostics = self.telemetry.diagnostics();
            log::say(
                LogLevel::Warn,
                &diagnostics.place,
                None,
                format_args!("the server has resumed another session"),
            );
            self.state(State::Over);
        }
    }

    /// The servers refuse our credentials and would refuse them again. The only work left is to close the session that
    /// the servers still keep.
    pub(super) fn denied(&mut self) {
        self.broken(clock::now());
        self.link = Link::Denied;
        self.requests = Requests::new();
        self.events.denied(rc::AUTH_FAILED);
        self.outage_ends();
        let changed = self.telemetry.denied(&self.settings.hosts);
        self.connection(changed);
        self.elections.handle(clock::now(), Input::Denied(rc::AUTH_FAILED));
        if let Some(orphan) = self.orphan.take() {
            let (hosts, timeout) = (self.settings.hosts.clone(), self.settings.session_timeout);
            // A connection without credentials cannot have them refused.
            runtime::spawn(async move { close_orphan(&hosts, &Access::default(), orphan, timeout).await });
        }
        if let Some(connected) = self.connected.take() {
            connected.send(Err(rc::AUTH_FAILED));
        }
    }

    fn broken(&mut self, now: Time) {
        self.resumed = None;
        self.diagnosis.begin(now);
        if self.server_health.broken(now) {
            self.round_wait = Duration::ZERO;
        }
    }

    fn suspended(&mut self, now: Time) {
        self.broken(now);
        let rc = match &self.link {
            Link::Open(connection) if connection.client.drops_creates() => rc::CREATE_NOT_ANSWERED,
            _ => rc::CONNECTION_LOSS,
        };
        let changed = self.telemetry.suspended(rc);
        self.connection(changed);
        self.elections.handle(now, Input::Suspended(rc));
    }

    /// Leaves this session and starts a new one.
    pub(super) fn end_session(&mut self, now: Time) {
        self.broken(now);
        if let Link::Open(connection) = &self.link {
            self.orphan = Some(connection.client.orphan());
            self.has_left = !connection.client.is_over();
        }
        self.reconnect();
        self.requests = Requests::new();
    }

    /// Replaces the link with the next round through the servers.
    pub(super) fn reconnect(&mut self) {
        self.link = Link::Connecting(Box::pin(round(self.settings.clone(), self.round_wait)));
        self.round_wait = next_wait(self.round_wait);
    }
}
