//! One session as a task on the I/O thread: commands of the handle, answers, states of the connection and time
//! go into the core; its actions go out. Whatever ends the ZooKeeper session, a new one is opened: the core
//! learns of the new session's number and goes on.

mod asked;
mod connection;
mod round;

use std::future::Future;
use std::pin::Pin;
use std::sync::{mpsc, Arc};
use std::time::Duration;

use async_io::Timer;
use futures::channel::mpsc::{unbounded, UnboundedReceiver, UnboundedSender};
use futures::{pin_mut, select_biased, FutureExt, StreamExt};

use round::{round, Opened, Round};

use super::access::Access;
use super::client::{Client, OrphanSession, State, States, Write, Written};
use super::clock;
use super::connect_cause::ConnectFailure;
use super::counters::Count;
use super::diagnosis::Diagnosis;
use super::diagnostics::{self, Diagnostics};
use super::events::{EventSink, OnItsWay};
use super::failpoint;
use super::hosts::Hosts;
use super::log::{self, LogLevel};
use super::requests::{Answer, Requests};
use super::runtime;
use super::server_health::ServerHealth;
use super::telemetry::Telemetry;
use super::waits::ReplyTo;
use crate::logic::{
    rc, Action, Config, Elections, Master, Member, Op, Reply, Report, RequestId, SubscriptionId, Time, Value,
};

/// How long a close waits for the server's word that the session is over.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct Settings {
    pub hosts: Hosts,
    pub access: Arc<Access>,
    pub session_timeout: Duration,
    pub elections: Config,
}

/// What a handle asks of its session.
pub enum Command {
    Stand {
        id: SubscriptionId,
        path: Arc<str>,
        value: Value,
        guid: u128,
        status: OnItsWay,
    },
    SetValue {
        id: SubscriptionId,
        path: Arc<str>,
        value: Value,
    },
    Resign {
        id: SubscriptionId,
        path: Arc<str>,
    },
    Observe {
        id: SubscriptionId,
        path: Arc<str>,
    },
    Unobserve {
        id: SubscriptionId,
        path: Arc<str>,
    },
    WatchMembers {
        id: SubscriptionId,
        path: Arc<str>,
        enough: usize,
    },
    UnwatchMembers {
        id: SubscriptionId,
        path: Arc<str>,
    },
    /// Write in one transaction with the check that our mastership at `path` stands.
    Write {
        path: Arc<str>,
        write: Write,
        written: ReplyTo<Written>,
    },
    /// Tell of the connection, and how it stands.
    WatchConnection {
        id: SubscriptionId,
    },
    UnwatchConnection {
        id: SubscriptionId,
    },
    /// Leave a mark behind everything that follows from the commands before.
    Mark(u64),
    /// What are you at, and what do you believe?
    Describe {
        description: mpsc::SyncSender<Report>,
    },
    /// Who stands at `path`? Answered with ZooKeeper's number when nobody can tell.
    Members {
        path: Arc<str>,
        members: ReplyTo<Result<Vec<Member>, i32>>,
    },
    /// Who is master at `path`? Answered as `Members`.
    Master {
        path: Arc<str>,
        master: ReplyTo<Result<Master, i32>>,
    },
}

/// The end of the session is asked for. Answered by whether a server confirmed it.
type Close = mpsc::SyncSender<bool>;

/// The handle's end of a session. Dropping it closes the session, too.
pub struct Session {
    commands: UnboundedSender<Command>,
    closes: UnboundedSender<Close>,
}

impl Session {
    /// Hands a command to the session's task. `Err` when that has failed.
    pub fn command(&self, command: Command) -> Result<(), ()> {
        self.commands.unbounded_send(command).map_err(drop)
    }

    /// Whether the session's task has failed, or been closed.
    pub fn is_over(&self) -> bool {
        self.commands.is_closed()
    }

    /// Ends the session, whatever else waits to be done. `closed` is told whether a server confirmed it; dropped
    /// without a word when the session's task has failed.
    pub fn close(&self, closed: mpsc::SyncSender<bool>) {
        let _ = self.closes.unbounded_send(closed);
    }
}

/// What came of the first attempt to get a session: a connection, or ZooKeeper's number for a refusal.
type Connected = ReplyTo<Result<(), i32>>;

/// Starts a session, on the I/O thread that was started before. `connected` is told once, when it is connected for
/// the first time or refused for good.
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
    /// The servers refuse our credentials: there is nothing to wait for.
    Denied,
}

struct Connection {
    client: Client,
    states: States,
    /// What the core was told last.
    up: bool,
    timeout: Duration,
    asked_at: Time,
}

enum Happening {
    Answer(Answer),
    Connected(Box<Opened>),
    NotConnected(i32),
    /// Why there is no connection.
    Diagnosed(ConnectFailure),
    State(State),
    /// Whether a session that was resumed is ours.
    Resumed(bool),
    Command(Command),
    /// The handle was closed, or dropped.
    Close(Option<Close>),
    Time,
}

struct Task {
    settings: Settings,
    link: Link,
    /// Finds out why there is no connection.
    diagnosis: Diagnosis,
    /// A round through all servers has failed, with this number, and nobody was told yet: the diagnosis is waited for.
    failed: Option<i32>,
    /// What the last diagnosis of this outage has found.
    cause: Option<Arc<str>>,
    /// The session before, which we gave up: the servers may not know yet.
    orphan: Option<OrphanSession>,
    /// No server has said that that one is over.
    has_left: bool,
    /// How long to wait before the next round.
    round_wait: Duration,
    server_health: ServerHealth,
    /// Is it our session that was resumed?
    resumed: Option<Question>,
    requests: Requests,
    elections: Elections,
    // A task that fails is dropped in this order: nothing more is accepted, everybody hears of it, and a close returns.
    commands: UnboundedReceiver<Command>,
    events: EventSink,
    close: UnboundedReceiver<Close>,
    connected: Option<Connected>,
    telemetry: Telemetry,
}

impl Task {
    async fn run(mut self) {
        failpoint::pass("session");
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

    /// Answers come first: what a server said before the connection broke is heard before the break; but before all, whether
    /// they are answers to us.
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
        self.elections.handle_timeout(now);
    }

    fn command(&mut self, command: Command) {
        failpoint::pass("command");
        let now = clock::now();
        match command {
            Command::Stand { id, path, value, guid, status } => {
                self.telemetry.subscription(id, &path, "stands at");
                self.events.add_candidate(id, status);
                self.elections.stand(now, id, path, value, guid);
            }
            Command::SetValue { id, path, value } => self.elections.set_value(now, id, &path, value),
            Command::Resign { id, path } => self.elections.resign(now, id, &path),
            Command::Observe { id, path } => {
                self.telemetry.subscription(id, &path, "observes");
                self.events.add_observer(id);
                self.elections.observe(now, id, path);
            }
            Command::Unobserve { id, path } => self.elections.unobserve(now, id, &path),
            Command::WatchMembers { id, path, enough } => {
                self.telemetry.subscription(id, &path, "watches the members of");
                self.events.add_watcher_of_members(id);
                self.elections.watch_members(now, id, path, enough);
            }
            Command::UnwatchMembers { id, path } => self.elections.unwatch_members(now, id, &path),
            Command::Write { path, write, written } => self.write(path, write, written),
            Command::Members { path, members } => {
                let asked = self.telemetry.asks(Count::Reads, "members of", &path);
                self.ask(members, asked, |client, recipe| client.members(path, recipe));
            }
            Command::Master { path, master } => {
                let asked = self.telemetry.asks(Count::Reads, "master of", &path);
                self.ask(master, asked, |client, recipe| client.master(path, recipe));
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
            Answer::Reply(request, reply) => self.elections.handle_reply(now, request, reply),
            Answer::WatchEvent(request, news) => self.elections.handle_watch_event(now, request, news),
            Answer::InDoubt(path) => self.elections.write_in_doubt(now, path),
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
                if let Some(path) = self.events.role(id, event) {
                    self.elections.resign(clock::now(), id, &path);
                }
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
            Action::Submit(..) | Action::Unwatch(_) | Action::Renew => {}
        }
    }

    /// Requests are handed to the client only while it is connected: it would keep them for later, and nobody
    /// could take them back.
    fn submit(&mut self, request: RequestId, op: Op) {
        match &self.link {
            Link::Open(connection) if connection.client.is_connected() => {
                self.telemetry.sent(request, &op);
                self.server_health.asked(clock::now());
                self.requests.submit(connection.client.clone(), request, op);
            }
            _ => {
                self.state(State::Suspended);
                self.elections.handle_reply(clock::now(), request, Reply::Unknown);
            }
        }
    }

    /// The last news to everybody, then the end of the session. Whether a server confirmed that.
    async fn close(mut self) -> bool {
        failpoint::pass("close");
        // Whoever has just come is told as well.
        while let Ok(command) = self.commands.try_recv() {
            self.command(command);
            self.tell_all();
        }
        self.elections.close();
        self.tell_all();
        let changed = self.telemetry.closed(rc::CLOSING);
        self.connection(changed);
        match self.link {
            // There is no session, or none that anybody knows of; but one that was left may live on.
            Link::Connecting(_) | Link::Denied => !self.has_left,
            Link::Open(connection) => {
                let Connection { client, states, up, .. } = *connection;
                // The session ends when no clone of the client is left.
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
