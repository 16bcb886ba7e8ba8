//! One session of a handle, as a task of the I/O thread. It moves the bytes of a ZooKeeper session (`zk`), passes commands,
//! answers, states of the connection and time to the core, and performs the core's actions. If the ZooKeeper session ends
//! for any reason, the next connection opens a new one.
//!
//! Each turn is bounded: so many commands, one read, one write of what waits. What is left comes with the next turn,
//! after the turns of the other sessions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::diagnosis::Failure;
use super::dialer::{cause_of, Dialer};
use super::login::Login;
use super::mailbox::{Close, Closes, Commands, Mailbox};
use super::orphan::close_orphan;
use super::{earliest, zk_settings, Command, FirstConnection, Settings};
use crate::driver::access::Access;
use crate::driver::clock;
use crate::driver::connect_cause::CauseKind;
use crate::driver::diagnostics::{Connection, Diagnostics};
use crate::driver::events::EventSink;
use crate::driver::failpoint::failpoint;
use crate::driver::io::reactor::{Happening, Io, Next, Task, TaskWaker};
use crate::driver::io::stream::Stream;
use crate::driver::log::{self, LogLevel};
use crate::driver::sasl::{MechanismName, SaslSettings};
use crate::driver::telemetry::Telemetry;
use crate::driver::waits::ReplyTo;
use crate::logic::{rc, Action, CallId, Elections, Input, Op, Outcome, Reply, Report, RequestId, Time};
use crate::zk;

/// How long a close waits until the server confirms that the session is over.
const CLOSE_WAIT_MS: u64 = 2_000;

/// The most work of one turn: commands that are taken, bytes that are read, bytes that are written.
const COMMANDS: usize = 64;
const READ: usize = 16 << 10;
const WRITTEN: usize = 256 << 10;

pub struct SessionTask {
    settings: Settings,
    waker: TaskWaker,
    dialer: Dialer,
    /// `None` without SASL.
    login: Option<Login>,
    zk: zk::Session,
    link: Link,
    /// The session that stands, with or without a connection at the moment.
    has_session: bool,
    /// A new session is asked for on this connection, and the core's first requests go with that.
    is_opening: bool,
    /// True if no server has reported that the former session is over.
    has_left: bool,
    /// The former session, which we gave up. The servers may not know that yet.
    orphan: Option<zk::Orphan>,
    elections: Elections,
    /// The calls that wait for an answer.
    calls: BTreeMap<CallId, ReplyTo<Outcome>>,
    last_call: u64,
    /// Requests of the core that came after the end of the connection, before the core knew of it.
    unsent: Vec<RequestId>,
    closing: Option<Closing>,
    has_begun: bool,
    is_done: bool,
    // If the task fails, the fields are dropped in this order: first no more commands are accepted, then all
    // subscriptions are notified, then a close returns.
    commands: Commands,
    events: EventSink,
    closes: Closes,
    connected: Option<FirstConnection>,
    telemetry: Telemetry,
}

enum Link {
    /// The dialer looks for a server.
    Down,
    Open(Box<OpenLink>),
    /// The servers refuse our credentials, so the task dials none.
    Denied,
}

struct OpenLink {
    stream: Stream,
    address: SocketAddr,
    /// The session stands on this connection.
    is_up: bool,
    is_readable: bool,
}

/// The session is being closed.
struct Closing {
    answers: Vec<Close>,
    had_session: bool,
    until: Time,
}

impl SessionTask {
    pub fn new(
        settings: Settings,
        events: EventSink,
        connected: FirstConnection,
        diagnostics: Arc<Diagnostics>,
        mailbox: Arc<Mailbox>,
        waker: TaskWaker,
    ) -> SessionTask {
        SessionTask {
            dialer: Dialer::new(&settings.hosts, settings.session_timeout, settings.tls.clone(), waker.clone()),
            login: settings.sasl.clone().map(|sasl| Login::new(sasl, waker.clone())),
            zk: zk::Session::new(zk_settings(&settings, &settings.access)),
            elections: Elections::new(settings.elections),
            settings,
            waker,
            link: Link::Down,
            has_session: false,
            is_opening: false,
            has_left: false,
            orphan: None,
            unsent: Vec::new(),
            calls: BTreeMap::new(),
            last_call: 0,
            closing: None,
            has_begun: false,
            is_done: false,
            commands: Commands(mailbox.clone()),
            events,
            closes: Closes(mailbox),
            connected: Some(connected),
            telemetry: Telemetry::new(diagnostics),
        }
    }

    /// Takes some commands. Returns whether there are more.
    fn take_commands(&mut self) -> bool {
        for _ in 0..COMMANDS {
            match self.commands.0.take() {
                Some(command) => self.command(command),
                None => return false,
            }
            self.act();
        }
        !self.commands.0.is_empty()
    }

    fn command(&mut self, command: Command) {
        failpoint!("command");
        let now = clock::now();
        match command {
            Command::Stand { id, path, value, guid, once, status } => {
                self.telemetry.subscription(id, &path, "stands at");
                self.events.add_candidate(id, status);
                self.elections.handle(now, Input::Stand { id, path, value, guid, once });
            }
            Command::SetValue(id, value) => self.elections.handle(now, Input::SetValue(id, value)),
            Command::Observe { id, path } => {
                self.telemetry.subscription(id, &path, "observes");
                self.events.add_observer(id);
                self.elections.handle(now, Input::Observe { id, path });
            }
            Command::WatchMembers { id, path, enough } => {
                self.telemetry.subscription(id, &path, "watches the members of");
                self.events.add_watcher_of_members(id);
                self.elections.handle(now, Input::WatchMembers { id, path, enough });
            }
            Command::Leave(id) => self.elections.handle(now, Input::Leave(id)),
            Command::Call { call, outcome } => {
                self.last_call += 1;
                let id = CallId(self.last_call);
                self.calls.insert(id, outcome);
                self.elections.handle(now, Input::Call(id, call));
            }
            Command::WatchConnection { id } => {
                self.events.watch_connection(id, self.telemetry.diagnostics().connection());
            }
            Command::UnwatchConnection { id } => self.events.unwatch_connection(id),
            Command::Mark(mark) => self.events.mark(mark),
            Command::Describe { description } => {
                description.send(self.describe(now));
            }
        }
    }

    fn describe(&self, now: Time) -> Report {
        let client = match &self.link {
            Link::Down => "connecting",
            Link::Open(connection) if connection.is_up => "connected",
            Link::Open(_) => "not_connected",
            Link::Denied => "denied",
        };
        self.elections.describe(now).with("client", client).with("zookeeper", self.zk.describe(now))
    }

    /// Whether the session stands on a connection at this moment. The core may not know yet that it does not.
    fn is_up(&self) -> bool {
        matches!(self.link, Link::Open(_)) && self.zk.is_up()
    }

    /// Whether a server is looked for that opens the session.
    fn is_looking(&self) -> bool {
        match &self.link {
            Link::Down => true,
            Link::Open(link) => !link.is_up,
            Link::Denied => false,
        }
    }

    /// Performs the actions of the core, in their order. A session that is full delays none of them: while it is, no more
    /// commands are taken, and what the core has under way by itself is bounded by its subscriptions.
    fn act(&mut self) {
        while let Some(action) = self.elections.poll_action() {
            match action {
                Action::Submit(request, op) => self.submit(request, op),
                Action::Unwatch(request) => {
                    self.telemetry.unwatched(request);
                    self.zk.unwatch(request);
                }
                Action::Renew => self.renew(),
                Action::Pace(pace) => self.zk.set_pace(pace),
                told => self.tell(told),
            }
        }
    }

    /// Passes requests on only while the session stands, or is asked for. Otherwise they would be kept for later, and
    /// could not be withdrawn.
    fn submit(&mut self, request: RequestId, op: Op) {
        match &self.link {
            Link::Open(link) if link.is_up && self.zk.is_up() || self.is_opening && self.zk.is_connecting() => {
                self.telemetry.sent(request, &op);
                self.zk.submit(request, op);
            }
            // The session has let go of the connection, and the core learns of it in a moment.
            Link::Open(link) if link.is_up => self.unsent.push(request),
            _ => self.elections.handle(clock::now(), Input::Reply(request, Reply::NotSent)),
        }
    }

    fn renew(&mut self) {
        let changed = self.telemetry.renewed();
        self.leave_session();
        self.connection(changed);
    }

    fn leave_session(&mut self) {
        self.zk.leave();
        // The core has forgotten its requests.
        while self.zk.poll_event().is_some() {}
        self.unsent.clear();
        self.note_orphan();
        self.has_left |= self.has_session;
        self.has_session = false;
        drop(self.hang_up());
    }

    fn tell_all(&mut self) {
        while let Some(action) = self.elections.poll_action() {
            self.tell(action);
        }
    }

    fn tell(&mut self, action: Action) {
        match action {
            Action::Lease(end) => self.events.lease(end),
            Action::TellRole(id, event) => {
                self.telemetry.role(id, &event, || self.elections.describe_lease(clock::now()));
                self.events.role(id, event);
            }
            Action::TellMaster(id, master) => {
                self.telemetry.master(id, &master);
                self.events.master(id, master);
            }
            Action::TellMembers(id, members) => {
                self.telemetry.members(id, &members);
                self.events.members(id, members);
            }
            Action::Finished(id) => {
                self.telemetry.finish(id);
                self.events.finish(id);
            }
            Action::Answer(id, outcome) => {
                if let Some(call) = self.calls.remove(&id) {
                    call.send(outcome);
                }
            }
            Action::Submit(..) | Action::Unwatch(_) | Action::Renew | Action::Pace(_) => {}
        }
    }

    fn connection(&mut self, changed: Option<Connection>) {
        if let Some(connection) = changed {
            self.events.connection(connection);
        }
    }

    /// Reads once. If there is more, the kernel says so, or the next turn reads it.
    fn read(&mut self) {
        let Link::Open(connection) = &mut self.link else { return };
        if !std::mem::take(&mut connection.is_readable) {
            return;
        }
        let mut buffer = [0; READ];
        let read = connection.stream.read(&mut buffer);
        connection.is_readable = connection.stream.has_unread();
        match read {
            Ok(Some(bytes)) => self.zk.handle_bytes(clock::now(), bytes),
            Ok(None) => {}
            Err(error) => {
                // A server before ZooKeeper 3.6 refuses SASL like that.
                let is_cut = self.zk.awaits_sasl();
                self.broken(if is_cut { CauseKind::SaslCut } else { cause_of(&error) });
            }
        }
        self.take_events();
    }

    /// Writes what waits. Returns whether there is more that the socket might take.
    fn write(&mut self) -> bool {
        let mut total = 0;
        while total < WRITTEN {
            let Link::Open(connection) = &mut self.link else { return false };
            // The clock is read directly before the write: the lease counts from this moment.
            let bytes = self.zk.poll_transmit(clock::now());
            let length = bytes.len();
            if length == 0 {
                return self.expect_room(false);
            }
            match connection.stream.write(bytes) {
                Ok(taken) => {
                    self.zk.handle_transmitted(taken);
                    if taken < length {
                        return self.expect_room(true);
                    }
                    total += taken;
                }
                Err(error) => {
                    // The server may have said why before it ended the connection.
                    connection.is_readable = true;
                    self.read();
                    if let Link::Open(_) = self.link {
                        self.broken(cause_of(&error));
                        self.take_events();
                    }
                    return false;
                }
            }
        }
        true
    }

    fn expect_room(&mut self, has_more: bool) -> bool {
        if let Link::Open(connection) = &mut self.link {
            if let Err(error) = connection.stream.set_has_more(has_more) {
                self.broken(cause_of(&error));
                self.take_events();
            }
        }
        false
    }

    /// Passes on what the session has to say.
    fn take_events(&mut self) {
        while let Some(event) = self.zk.poll_event() {
            let now = clock::now();
            match event {
                zk::Event::Connected { .. } if self.closing.is_some() => self.is_opening = false,
                zk::Event::Connected { session, timeout_ns, asked_at, asked_since, .. } => {
                    self.is_opening = false;
                    self.session_stands(now, session.0, timeout_ns);
                    let connected = Input::Connected { session, timeout_ns, asked_at, asked_since };
                    self.elections.handle(now, connected);
                }
                zk::Event::Reply { request, reply, .. } => {
                    self.telemetry.reply(request, &reply);
                    self.elections.handle(now, Input::Reply(request, reply));
                }
                zk::Event::Watch(request, event) => {
                    self.telemetry.watch_event(request, event);
                    self.elections.handle(now, Input::WatchEvent(request, event));
                }
                zk::Event::HangUp(cause) => self.let_go(now, &cause),
                zk::Event::Expired(cause) => self.session_is_over(now, &cause),
                zk::Event::Denied(rc) => self.denied(now, rc),
                zk::Event::Challenge(token) => {
                    if let Some(login) = &mut self.login {
                        login.challenge(token);
                    }
                    self.log_in();
                }
                zk::Event::Answered => self.answer_open(Ok(())),
                zk::Event::Closed => self.closed(true),
            }
            self.act();
        }
        self.act();
    }

    /// A connection stands. Asks for the session on it, and for all that can be asked with it.
    fn begin(&mut self, now: Time, address: SocketAddr) {
        if let Some(login) = &mut self.login {
            login.begin(self.dialer.host_of(address));
        }
        let pipelines = self.login.is_none() && self.dialer.may_pipeline(address);
        self.zk.set_pipelining(pipelines);
        self.zk.handle_connected(now);
        if self.connected.is_some() {
            self.zk.ask_for_answer();
        }
        self.is_opening = pipelines && !self.has_session && self.closing.is_none();
        if self.is_opening {
            self.elections.handle(now, Input::Opening);
            self.act();
        }
    }

    /// Says what SASL says next, if it is our turn and the mechanism is ready.
    fn log_in(&mut self) {
        match self.login.as_mut().and_then(Login::poll) {
            Some(Ok((token, is_last))) => {
                self.zk.answer_challenge(clock::now(), &token, is_last);
                self.take_events();
            }
            Some(Err(fault)) => self.broken(CauseKind::of_sasl(fault)),
            None => {}
        }
    }

    fn session_stands(&mut self, now: Time, session: i64, timeout_ns: u64) {
        if let Link::Open(connection) = &mut self.link {
            connection.is_up = true;
            self.dialer.connected(now, connection.address);
        }
        self.has_session = true;
        self.has_left = false;
        let changed = self.telemetry.connected(session, Duration::from_nanos(timeout_ns));
        self.connection(changed);
        self.telemetry.outage_ends();
        self.close_orphan(&self.settings.access.clone());
    }

    fn answer_open(&mut self, answer: Result<(), i32>) {
        if let Some(connected) = self.connected.take() {
            connected.send(answer);
        }
    }

    fn note_orphan(&mut self) {
        if let Some(orphan) = self.zk.take_orphan() {
            self.orphan = Some(orphan);
        }
    }

    fn close_orphan(&mut self, access: &Access) {
        if let Some(orphan) = self.orphan.take() {
            close_orphan(&self.waker, &self.settings, access, orphan);
        }
    }

    /// The connection has ended, and the session did not let go of it.
    fn broken(&mut self, kind: CauseKind) {
        let now = clock::now();
        self.zk.handle_disconnected();
        // First the answers that the connection still owed.
        self.take_events();
        self.link_ended(now, Some(kind), None);
    }

    /// The session has let go of the connection.
    fn let_go(&mut self, now: Time, cause: &zk::Cause) {
        self.telemetry.says(
            LogLevel::Debug,
            None,
            format_args!("the session lets go of the connection: the server {cause}"),
        );
        let kind = match cause {
            zk::Cause::Silence => Some(CauseKind::Silent),
            zk::Cause::ReadOnly => Some(CauseKind::ReadOnly),
            zk::Cause::NoSession => Some(CauseKind::NotServing),
            zk::Cause::Http => Some(CauseKind::NotZooKeeper("HTTP".to_owned())),
            zk::Cause::Tls => Some(CauseKind::SpeaksTls),
            zk::Cause::NotZooKeeper(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                Some(CauseKind::NotZooKeeper(text.lines().next().unwrap_or_default().to_owned()))
            }
            zk::Cause::SaslTakesLong => match self.settings.sasl.as_deref() {
                Some(SaslSettings::Gssapi(_)) => Some(CauseKind::SaslUnable("the KDC does not answer".to_owned())),
                _ => Some(CauseKind::SaslTakesLong),
            },
            zk::Cause::SaslRefused { is_first, .. } => self.settings.sasl.as_deref().map(|sasl| match sasl {
                SaslSettings::Gssapi(_) => CauseKind::SaslRefusesTicket,
                SaslSettings::DigestMd5(_) if *is_first => CauseKind::SaslMechanism(MechanismName::DigestMd5),
                SaslSettings::DigestMd5(digest) => CauseKind::SaslRefused(digest.user.clone()),
            }),
            // `denied` follows, and it is no suspension.
            zk::Cause::Denied(_) => return,
            zk::Cause::Expired | zk::Cause::GivenUp | zk::Cause::Left => None,
            other => Some(CauseKind::Fault(other.to_string())),
        };
        let at_fault = kind.clone();
        self.link_ended(now, kind, at_fault);
    }

    /// `at_fault` is what the server did if a session stood on the connection.
    fn link_ended(&mut self, now: Time, kind: Option<CauseKind>, at_fault: Option<CauseKind>) {
        let Some(link) = self.hang_up() else { return };
        let OpenLink { address, is_up, .. } = *link;
        if let Some(sasl) = self.settings.sasl.as_ref().filter(|_| kind.as_ref().is_some_and(CauseKind::is_refusal))
        {
            sasl.refused();
        }
        if std::mem::take(&mut self.is_opening) {
            self.elections.handle(now, Input::NotOpened);
        }
        if let Some(has_pipelined) = self.zk.unanswered() {
            self.dialer.unanswered(address, has_pipelined);
        }
        // A session that a server has opened, and that has not stood.
        self.note_orphan();
        if is_up {
            self.dialer.broken(now, address);
            let cause = at_fault.and_then(|kind| self.dialer.explain(address, kind));
            let changed = self.telemetry.suspended(rc::CONNECTION_LOSS, cause);
            self.connection(changed);
            self.elections.handle(now, Input::Suspended(rc::CONNECTION_LOSS));
            for request in std::mem::take(&mut self.unsent) {
                self.elections.handle(now, Input::Reply(request, Reply::NotSent));
            }
        } else if let Some(kind) = kind {
            if kind.comes_after_connect() && !self.has_session {
                self.dialer.opened_in_vain(now);
            }
            self.dialer.attempt_failed(now, address, kind);
        }
        if self.closing.is_some() {
            self.closed(false);
        }
    }

    /// Closes the socket.
    fn hang_up(&mut self) -> Option<Box<OpenLink>> {
        if let Some(login) = &mut self.login {
            login.stop();
        }
        match std::mem::replace(&mut self.link, Link::Down) {
            Link::Open(connection) => Some(connection),
            other => {
                self.link = other;
                None
            }
        }
    }

    fn session_is_over(&mut self, now: Time, cause: &zk::Cause) {
        let changed = self.telemetry.expired();
        self.connection(changed);
        self.has_session = false;
        self.note_orphan();
        self.has_left |= !matches!(cause, zk::Cause::Expired);
        if let zk::Cause::AnotherSession(_) = cause {
            self.telemetry.says(LogLevel::Warn, None, format_args!("the server has resumed another session"));
        }
        let changed = self.telemetry.connecting(rc::SESSION_EXPIRED);
        self.connection(changed);
        self.elections.handle(now, Input::Expired);
    }

    /// The servers refuse our credentials and would refuse them again. The only work left is to close the session that
    /// the servers still keep.
    fn denied(&mut self, now: Time, rc: i32) {
        drop(self.hang_up());
        self.unsent.clear();
        self.is_opening = false;
        self.link = Link::Denied;
        self.dialer.stop();
        self.zk.leave();
        self.note_orphan();
        self.has_session = false;
        self.events.denied(rc::AUTH_FAILED);
        self.telemetry.outage_ends();
        let demands_more = rc == zk::DEMANDS_MORE;
        let changed = self.telemetry.denied(&self.settings.hosts, demands_more);
        self.connection(changed);
        self.elections.handle(now, Input::Denied(rc::AUTH_FAILED));
        // A connection without credentials cannot have them refused.
        self.close_orphan(&Access::default());
        self.answer_open(Err(rc::AUTH_FAILED));
        if self.closing.is_some() {
            self.closed(false);
        }
    }

    /// All servers were tried without success, or the look-ups take long: all subscriptions are notified of it, together
    /// with the cause. If it only takes long so far, the connection's event and the log have the cause.
    fn tell_failure(&mut self, now: Time) {
        let Some(failure) = self.dialer.take_failure(now) else { return };
        let (Failure::Failed(why) | Failure::Slow(why)) = &failure;
        let cause: Arc<str> = why.to_string().into();
        let has_failed = matches!(failure, Failure::Failed(_));
        // They may take us later, when a file or a server has changed. Who opens the handle need not wait for that.
        let is_refused = has_failed && why.causes.iter().all(|cause| cause.kind.is_refusal());
        if has_failed {
            self.telemetry.round_failed(rc::CONNECTION_LOSS);
        }
        self.telemetry.found_cause(&cause);
        let changed = self.telemetry.not_connected(cause);
        self.connection(changed);
        if has_failed {
            self.elections.handle(now, Input::Suspended(rc::CONNECTION_LOSS));
        }
        if is_refused {
            self.answer_open(Err(rc::AUTH_FAILED));
        }
        self.act();
    }

    /// The handle is closed: sends the last notifications, then ends the session.
    fn begin_close(&mut self, now: Time) {
        failpoint!("close");
        // Subscriptions whose commands are still queued are notified too.
        while let Some(command) = self.commands.0.take() {
            self.command(command);
            self.tell_all();
        }
        self.elections.handle(now, Input::Close);
        self.tell_all();
        let changed = self.telemetry.closed(rc::CLOSING);
        self.connection(changed);
        let answers = self.closes.0.take_closes();
        // What has followed a ConnectRequest may be carried out, so the session that it opens is closed, too.
        let is_opening = self.is_opening && self.zk.has_sent_requests();
        let had_session = self.has_left || self.has_session || is_opening;
        self.closing = Some(Closing { answers, had_session, until: now.plus_ms(CLOSE_WAIT_MS) });
        self.dialer.stop();
        if self.is_up() || is_opening {
            self.zk.close();
            self.take_events();
        } else {
            self.closed(!self.has_session && !self.has_left);
        }
    }

    /// Answers the calls that wait for the close, with whether a server confirmed the end of the session.
    fn closed(&mut self, is_confirmed: bool) {
        let Some(Closing { mut answers, had_session, .. }) = self.closing.take() else { return };
        let how = match (had_session, is_confirmed) {
            (false, _) => "it had no session",
            (true, true) => "its session is over",
            (true, false) => "no server confirmed the end of its session",
        };
        let diagnostics = self.telemetry.diagnostics();
        log::say(LogLevel::Info, &diagnostics.place, None, format_args!("closed; {how}"));
        self.is_done = true;
        if self.zk.id().0 != 0 && !is_confirmed {
            // It is closed as soon as a server can be reached.
            self.leave_session();
        }
        self.close_orphan(&self.settings.access.clone());
        answers.extend(self.closes.0.take_closes());
        for answer in answers {
            answer.send(is_confirmed);
        }
    }
}

impl Task for SessionTask {
    fn handle(&mut self, _: &mut Io, happening: Happening) {
        match happening {
            Happening::Ready(ready) => match &mut self.link {
                Link::Open(connection) if connection.stream.token() == ready.token => {
                    connection.is_readable |= ready.read;
                }
                Link::Down => {
                    let now = clock::now();
                    if let Some((address, stream)) = self.dialer.ready(now, ready.token) {
                        let open = OpenLink { stream, address, is_up: false, is_readable: false };
                        self.link = Link::Open(Box::new(open));
                        self.begin(now, address);
                    } else {
                        self.dialer.probe_ready(now, ready.token);
                    }
                }
                _ => self.dialer.probe_ready(clock::now(), ready.token),
            },
            Happening::LookedUp(answer) => self.dialer.looked_up(clock::now(), answer),
            Happening::DescriptorsLost => {
                self.dialer.stop();
                self.broken(CauseKind::System("this process has closed the descriptor".to_owned()));
            }
        }
    }

    fn turn(&mut self, io: &mut Io) -> Next {
        if !std::mem::replace(&mut self.has_begun, true) {
            failpoint!("session");
        }
        if self.closing.is_none() && self.commands.0.is_closed() {
            self.begin_close(clock::now());
        }
        self.read();
        self.log_in();
        // While the session is full, the commands wait.
        let mut has_more = self.closing.is_none() && self.zk.has_room() && self.take_commands();
        let now = clock::now();
        if self.zk.poll_timeout().is_some_and(|then| then <= now) {
            self.zk.handle_timeout(now);
            self.take_events();
        }
        if self.closing.is_none() && self.elections.poll_timeout().is_some_and(|then| then <= now) {
            self.elections.handle(now, Input::Timeout);
        }
        self.act();
        let was_full = !self.zk.has_room();
        has_more |= self.write();
        has_more |= was_full && self.zk.has_room();
        has_more |= matches!(&self.link, Link::Open(connection) if connection.is_readable);
        if let Some(closing) = self.closing.as_ref().filter(|closing| now < closing.until) {
            return if has_more { Next::Again } else { Next::Wait(Some(closing.until)) };
        }
        self.closed(false);
        if self.is_done {
            return Next::Done;
        }
        let mut dial_at = None;
        if self.is_looking() {
            dial_at = match &self.link {
                Link::Down => self.dialer.turn(io, now),
                _ => self.dialer.turn_while_waiting(io, now),
            };
            self.tell_failure(now);
        }
        match has_more {
            true => Next::Again,
            false => Next::Wait(earliest([self.elections.poll_timeout(), self.zk.poll_timeout(), dial_at])),
        }
    }
}
