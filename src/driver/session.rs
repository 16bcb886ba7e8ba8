//! One session as a task on the I/O thread. It passes commands of the handle, answers, states of the connection and
//! time to the core, and performs the core's actions. If the ZooKeeper session ends for any reason, the task opens a
//! new one. The core learns the number of the new session and continues.

mod connection;
mod round;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{mpsc, Arc};
use std::time::Duration;

use async_io::Timer;
use futures::channel::mpsc::{unbounded, UnboundedReceiver, UnboundedSender};
use futures::{pin_mut, select_biased, FutureExt, StreamExt};

use round::{round, Opened, Round};

use super::access::Access;
use super::client::{Client, OrphanSession, State, States};
use super::clock;
use super::connect_cause::ConnectFailure;
use super::diagnosis::Diagnosis;
use super::diagnostics::{self, Diagnostics};
use super::events::{EventSink, OnItsWay};
use super::failpoint::failpoint;
use super::hosts::Hosts;
use super::log::{self, LogLevel};
use super::requests::{Answer, Requests};
use super::runtime;
use super::server_health::ServerHealth;
use super::telemetry::Telemetry;
use super::waits::ReplyTo;
use crate::logic::{
    rc, Action, Call, CallId, Config, Elections, Input, Op, Outcome, Reply, Report, RequestId, SubscriptionId,
    Time, Value,
};

/// How long a close waits until the server confirms that the session is over.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct Settings {
    pub hosts: Hosts,
    pub access: Arc<Access>,
    pub session_timeout: Duration,
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
        description: mpsc::SyncSender<Report>,
    },
}

/// A request to end the session. The answer is whether a server confirmed the end.
type Close = mpsc::SyncSender<bool>;

/// The handle's side of a session. Dropping it also closes the session.
pub struct Session {
    commands: UnboundedSender<Command>,
    closes: UnboundedSender<Close>,
}

impl Session {
    /// Sends a command to the session's task. Returns `Err` if the task has failed.
    pub fn command(&self, command: Command) -> Result<(), ()> {
        self.commands.unbounded_send(command).map_err(drop)
    }

    /// Whether the session's task has failed or was closed.
    pub fn is_over(&self) -> bool {
        self.commands.is_closed()
    }

    /// Ends the session before all other pending work. `closed` receives whether a server confirmed the end. If the
    /// session's task has failed, `closed` is dropped without a value.
    pub fn close(&self, closed: mpsc::SyncSender<bool>) {
        let _ = self.closes.unbounded_send(closed);
    }
}

/// The result of the first attempt to open a session: a connection, or ZooKeeper's number for a refusal.
type Connected = ReplyTo<Result<(), i32>>;

/// Starts a session on the I/O thread, which must run already. `connected` gets one answer: when the session is
/// connected for the first time, or when it is refused permanently.
pub fn open(settings: Settings, events: EventSink, connected: Connected, diagnostics: Arc<Diagnostics>) -> Session {
    let (commands, receiver) = unbounded();
    let (closes, close) = unbounded();
    let mut diagnosis = Diagnosis::new(settings.hosts.clone());
    diagnosis.begin(clock::now());
    let task = Task {
        diagnosis,
        failed: None,
        cause: None,
        link: Link::Connecting(Box::pin(round(settings.clone(), Duration::ZERO))),
        elections: Elections::new(settings.elections),
        settings,
        orphan: None,
        has_left: false,
        round_wait: Duration::ZERO,
        server_health: ServerHealth::default(),
        resumed: None,
        requests: Requests::new(),
        calls: BTreeMap::new(),
        last_call: 0,
        commands: receiver,
        close,
        events,
        connected: Some(connected),
        telemetry: Telemetry::new(diagnostics.clone()),
    };
    runtime::spawn_for(diagnostics.place.clone(), task.run());
    Session { commands, closes }
}

type Question = Pin<Box<dyn Future<Output = bool> + Send>>;
enum Link {
    Connecting(Round),
    Open(Box<Connection>),
    /// The servers refuse our credentials, so the task waits for no server.
    Denied,
}

struct Connection {
    client: Client,
    states: States,
    /// The last state that the core was given: whether the connection is up.
    up: bool,
    timeout: Duration,
    asked_at: Time,
}

enum Happening {
    Answer(Answer),
    Connected(Box<Opened>),
    NotConnected(i32),
    /// Why the connection is missing.
    Diagnosed(ConnectFailure),
    State(State),
    /// Whether a resumed session is ours.
    Resumed(bool),
    Command(Command),
    /// The handle was closed, or dropped.
    Close(Option<Close>),
    Time,
}

struct Task {
    settings: Settings,
    link: Link,
    /// Finds out why the connection is missing.
    diagnosis: Diagnosis,
    /// A round through all servers has failed with this number. No subscription was notified yet, because the task
    /// waits for the diagnosis.
    failed: Option<i32>,
    /// The result of the last diagnosis of this outage.
    cause: Option<Arc<str>>,
    /// The former session, which we gave up. The servers may not know that yet.
    orphan: Option<OrphanSession>,
    /// True if no server has reported that the former session is over.
    has_left: bool,
    /// How long to wait before the next round.
    round_wait: Duration,
    server_health: ServerHealth,
    /// Resolves to whether the resumed session is ours.
    resumed: Option<Question>,
    requests: Requests,
    elections: Elections,
    /// The calls that wait for an answer.
    calls: BTreeMap<CallId, ReplyTo<Outcome>>,
    last_call: u64,
    // If the task fails, the fields are dropped in this order: first no more commands are accepted, then all
    // subscriptions are notified, then a close returns.
    commands: UnboundedReceiver<Command>,
    events: EventSink,
    close: UnboundedReceiver<Close>,
    connected: Option<Connected>,
    telemetry: Telemetry,
}

impl Task {
    async fn run(mut self) {
        failpoint!("session");
        loop {
            while let Some(action) = self.elections.poll_action() {
                self.carry_out(action);
            }
            match self.next().await {
                Happening::Close(closed) => {
                    let diagnostics = self.telemetry.diagnostics().clone();
                    let had_session = self.has_left || matches!(self.link, Link::Open(_));
                    let confirmed = self.close().await;
                    let how = match (had_session, confirmed) {
                        (false, _) => "it had no session",
                        (true, true) => "its session is over",
                        (true, false) => "no server confirmed the end of its session",
                    };
                    log::say(LogLevel::Info, &diagnostics.place, None, format_args!("closed; {how}"));
                    if let Some(closed) = closed {
                        let _ = closed.send(confirmed);
                    }
                    return;
                }
                Happening::Command(command) => self.command(command),
                Happening::Answer(answer) => self.answer(answer),
                Happening::Connected(opened) => self.up(*opened),
                Happening::NotConnected(rc::AUTH_FAILED) => self.denied(),
                Happening::NotConnected(rc) => self.not_connected(rc),
                Happening::Diagnosed(failure) => self.diagnosed(&failure),
                Happening::State(state) => self.state(state),
                Happening::Resumed(is_ours) => self.resumed(is_ours),
                Happening::Time => self.time(),
            }
        }
    }

    /// Answers come before changes of the connection: if a server answered before the connection broke, the core gets
    /// the answer before the break. The check whether a resumed session is ours comes before both, because the answers
    /// may belong to another session.
    async fn next(&mut self) -> Happening {
        let deadlines = [self.elections.poll_timeout(), self.server_health.deadline(self.settings.session_timeout)];
        let deadline = deadlines.into_iter().flatten().min();
        let time = async {
            match deadline {
                Some(then) => Timer::after(clock::until(then)).await,
                None => std::future::pending().await,
            };
            Happening::Time
        };
        let link = async {
            match &mut self.link {
                Link::Connecting(round) => match round.await {
                    Ok(opened) => Happening::Connected(Box::new(opened)),
                    Err(rc) => Happening::NotConnected(rc),
                },
                Link::Open(connection) => Happening::State(connection.states.changed().await),
                Link::Denied => std::future::pending().await,
            }
        };
        let resumed = async {
            let is_ours = match &mut self.resumed {
                Some(question) => question.await,
                None => std::future::pending().await,
            };
            Happening::Resumed(is_ours)
        };
        let diagnosed = self.diagnosis.next().map(Happening::Diagnosed);
        let (link, time, resumed, diagnosed) = (link.fuse(), time.fuse(), resumed.fuse(), diagnosed.fuse());
        pin_mut!(link, time, resumed, diagnosed);
        select_biased! {
            close = self.close.next().fuse() => Happening::Close(close),
            happening = resumed => happening,
            answer = self.requests.next_answer().fuse() => Happening::Answer(answer),
            happening = link => happening,
            command = self.commands.select_next_some() => Happening::Command(command),
            happening = diagnosed => happening,
            happening = time => happening,
        }
    }

    fn time(&mut self) {
        let now = clock::now();
        if self.server_health.deadline(self.settings.session_timeout).is_some_and(|deadline| deadline <= now) {
            self.state(State::Over);
        }
        self.elections.handle(now, Input::Timeout);
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
                let _ = description.send(self.describe(now));
            }
        }
    }

    fn describe(&self, now: Time) -> Report {
        let client = match &self.link {
            Link::Connecting(_) => "connecting",
            Link::Open(connection) if connection.client.is_connected() => "connected",
            Link::Open(_) => "not_connected",
            Link::Denied => "denied",
        };
        let reports = self.elections.describe(now).with("client", client);
        reports.with("next_round_wait_ms", self.round_wait.as_millis())
    }

    fn connection(&mut self, changed: Option<diagnostics::Connection>) {
        if let Some(connection) = changed {
            self.events.connection(connection);
        }
    }

    fn answer(&mut self, answer: Answer) {
        let now = clock::now();
        self.telemetry.answer(&answer);
        if !matches!(answer, Answer::Reply(_, Reply::Unknown)) {
            self.server_health.answered();
        }
        match answer {
            Answer::Reply(request, reply) => self.elections.handle(now, Input::Reply(request, reply)),
            Answer::WatchEvent(request, news) => self.elections.handle(now, Input::WatchEvent(request, news)),
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Submit(request, op) => self.submit(request, op),
            Action::Unwatch(request) => {
                self.telemetry.unwatched(request);
                self.requests.unwatch(request);
            }
            Action::Renew => {
                let changed = self.telemetry.renewed();
                self.end_session(clock::now());
                self.connection(changed);
            }
            told => self.tell(told),
        }
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
            Action::Submit(..) | Action::Unwatch(_) | Action::Renew => {}
        }
    }

    /// Passes requests to the client only while it is connected. Otherwise the client would keep them for later, and we
    /// could not withdraw them.
    fn submit(&mut self, request: RequestId, op: Op) {
        match &self.link {
            Link::Open(connection) if connection.client.is_connected() => {
                self.telemetry.sent(request, &op);
                self.server_health.asked(clock::now());
                self.requests.submit(connection.client.clone(), request, op);
            }
            _ => {
                self.state(State::Suspended);
                self.elections.handle(clock::now(), Input::Reply(request, Reply::Unknown));
            }
        }
    }

    /// Sends the last notifications, then ends the session. Returns whether a server confirmed the end.
    async fn close(mut self) -> bool {
        failpoint!("close");
        // Subscriptions whose commands are still queued are notified too.
        while let Ok(command) = self.commands.try_recv() {
            self.command(command);
            self.tell_all();
        }
        self.elections.handle(clock::now(), Input::Close);
        self.tell_all();
        let changed = self.telemetry.closed(rc::CLOSING);
        self.connection(changed);
        match self.link {
            // No session exists, or none that a server knows. But a session that we left may still exist.
            Link::Connecting(_) | Link::Denied => !self.has_left,
            Link::Open(connection) => {
                let Connection { client, states, up, .. } = *connection;
                // The session ends when the last clone of the client is dropped.
                drop(client);
                drop(self.requests);
                drop(self.resumed);
                if !up {
                    return false;
                }
                let over = states.over().fuse();
                let waited = FutureExt::fuse(Timer::after(CLOSE_WAIT));
                pin_mut!(over, waited);
                select_biased! {
                    () = over => true,
                    _ = waited => false,
                }
            }
        }
    }
}
