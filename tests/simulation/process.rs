//! A process: the core, driven as the real driver drives it, and the acts of the program that uses it.

use election::testing::logic::{
    self, Action, Call, CallId, Elections, Reply, RequestId, Role, SessionId, SubscriptionId, Time, Value,
    WatchEvent, Write,
};

use crate::client::Client;
use crate::clock::{Clock, Ns};
use crate::messages::Happening;
use crate::plan::{Fault, Plan};
use crate::say;
use crate::world::World;

/// Fewer members than this are too few.
pub const ENOUGH: usize = 2;

pub struct Process {
    pub clock: Clock,
    pub core: Elections,
    pub client: Client,
    pub alive: bool,
    pub life: u32,
    pub paused: bool,
    pub pause: u32,
    /// When a link of the process was last mended, or when the process continued after a pause.
    pub mended_at: Ns,
    /// When its held-back requests last went on to their server.
    pub released_at: Ns,
    pub parked: Vec<Happening>,
    /// Every server refuses its connections.
    pub is_refused: bool,
    /// The candidates and the observers at each path.
    pub candidates: Vec<Option<SubscriptionId>>,
    pub observers: Vec<Option<SubscriptionId>>,
    pub watchers: Vec<Option<SubscriptionId>>,
    /// The value that the program wants its znode at each path to have.
    pub values: Vec<Value>,
    /// The inputs of the core, if a test listens in the core's place.
    pub heard: Option<Vec<Input>>,
    /// The values that `election_is_master` reads: the end of the lease, and the token at each path.
    pub lease_end: Option<Time>,
    pub tokens: Vec<Option<i64>>,
    /// It handles the event of a watch, and has a lease: who begins to believe now was elected by that event.
    pub takes_over: bool,
    /// The session that the core was last told of.
    session: Option<SessionId>,
    timer: (u32, Ns),
    /// The requests since the beginning of this second.
    requests: (u64, u64),
}

/// The inputs of the core.
pub enum Input {
    Opening,
    NotOpened,
    Connected {
        session: SessionId,
        timeout: Ns,
        asked_at: u64,
        asked_since: u64,
    },
    Suspended(i32),
    Expired,
    /// The servers refuse the credentials.
    Denied(i32),
    Reply(RequestId, Reply),
    WatchEvent(RequestId, WatchEvent),
    Timeout,
    Stand(usize),
    Resign(usize),
    SetValue(usize),
    Observe(usize),
    Unobserve(usize),
    WatchMembers(usize),
    UnwatchMembers(usize),
    Write(usize),
    Close,
}

impl Process {
    pub fn new(clock: Clock, plan: &Plan, seed: u64) -> Process {
        Process {
            clock,
            core: Elections::new(plan.config),
            client: Client::new(plan, seed),
            alive: false,
            life: 0,
            paused: false,
            pause: 0,
            mended_at: 0,
            released_at: 0,
            parked: Vec::new(),
            is_refused: false,
            candidates: vec![None; plan.paths.len()],
            observers: vec![None; plan.paths.len()],
            watchers: vec![None; plan.paths.len()],
            values: vec![Value::from([]); plan.paths.len()],
            heard: None,
            lease_end: None,
            tokens: vec![None; plan.paths.len()],
            takes_over: false,
            session: None,
            timer: (0, 0),
            requests: (0, 0),
        }
    }
}

impl World {
    pub fn local(&self, process: usize) -> u64 {
        self.processes[process].clock.read(self.now)
    }

    pub fn start_process(&mut self, process: usize, life: u32) {
        let it = &mut self.processes[process];
        if it.alive || it.life != life {
            return;
        }
        it.alive = true;
        it.core = Elections::new(self.plan.config);
        it.lease_end = None;
        it.tokens.fill(None);
        say!(self, "process {process} starts");
        self.client_restarts(process);
        if self.plan.writes {
            self.plan_in(0, Happening::Write(process, life));
        }
        let paths = self.plan.paths.len();
        let first = self.rng.below(paths as u64) as usize;
        // Some processes only watch. The first process always stands.
        let stands = process == 0 || self.rng.chance(900);
        for path in 0..paths {
            if stands && (path == first || self.rng.chance(700)) {
                self.drive(process, Input::Stand(path));
            }
            if self.rng.chance(if stands { 200 } else { 700 }) {
                self.drive(process, Input::Observe(path));
            }
            if self.rng.chance(300) {
                self.drive(process, Input::WatchMembers(path));
            }
        }
    }

    pub fn kill_process(&mut self, process: usize) {
        say!(self, "process {process} is killed");
        self.client_dies(process);
        self.checker.forget_process(process);
        let it = &mut self.processes[process];
        it.alive = false;
        it.paused = false;
        it.life += 1;
        it.parked.clear();
        it.candidates.fill(None);
        it.observers.fill(None);
        it.watchers.fill(None);
        it.timer = (0, 0);
    }

    pub fn stand_again(&mut self, process: usize, life: u32, path: usize) {
        let it = &self.processes[process];
        let may = self.faults_on || self.plan.faults.contains(&Fault::Denial);
        if may && it.alive && it.life == life && it.candidates[path].is_none() {
            self.drive(process, Input::Stand(path));
        }
    }

    /// The program writes wherever it believes that it is master.
    pub fn write(&mut self, process: usize, life: u32) {
        let it = &self.processes[process];
        if !it.alive || it.life != life || !self.faults_on {
            return;
        }
        for path in (0..self.plan.paths.len()).filter(|_| !it.paused).collect::<Vec<_>>() {
            if self.token_of(process, path).is_some() {
                self.drive(process, Input::Write(path));
            }
        }
        let soon = self.rng.below(self.plan.timeout);
        self.plan_in(soon, Happening::Write(process, life));
    }

    /// A program that was cut off writes what it has to write as soon as it is connected again.
    pub fn writes_again(&mut self, process: usize) {
        for path in 0..self.plan.paths.len() {
            if self.plan.writes && self.faults_on && self.token_of(process, path).is_some() {
                self.drive(process, Input::Write(path));
            }
        }
    }

    pub fn wake(&mut self, process: usize, pause: u32) {
        let it = &mut self.processes[process];
        if it.paused && it.pause == pause {
            it.paused = false;
            it.mended_at = self.now;
            say!(self, "process {process} goes on");
            // The program asks first.
            self.check_before(process);
            let parked = std::mem::take(&mut self.processes[process].parked);
            self.go_on(process);
            self.unpark(parked);
        }
    }

    pub fn core_timer(&mut self, process: usize, timer: u32) {
        if self.processes[process].timer.0 != timer {
            return;
        }
        self.processes[process].timer = (0, 0);
        let due = self.processes[process].core.poll_timeout().is_some_and(|at| at.0 <= self.local(process));
        match due {
            true => self.drive(process, Input::Timeout),
            false => self.plan_core_timer(process),
        }
    }

    fn plan_core_timer(&mut self, process: usize) {
        let it = &self.processes[process];
        let Some(deadline) = it.core.poll_timeout() else { return };
        let (timer, planned) = it.timer;
        let due = it.clock.when(deadline.0).max(self.now);
        if timer == 0 || due < planned.saturating_sub(self.plan.jitter) {
            let at = due + self.rng.below(self.plan.jitter + 1);
            let timer = self.next_serial();
            self.processes[process].timer = (timer, at);
            self.plan_at(at, Happening::CoreTimer(process, timer));
        }
    }

    /// Passes an input to the core, and carries out the core's commands.
    pub fn drive(&mut self, process: usize, input: Input) {
        if let Some(heard) = &mut self.processes[process].heard {
            return heard.push(input);
        }
        if !self.processes[process].alive {
            return;
        }
        self.check_before(process);
        let now = Time(self.local(process));
        let guid = u128::from(self.rng.next()) << 64 | u128::from(self.rng.next());
        let id = SubscriptionId(u64::from(self.next_serial()));
        let has_no_grace = self.plan.config.grace_ms == 0;
        let it = &mut self.processes[process];
        let has_lease = it.lease_end.is_some_and(|end| now < end);
        it.takes_over = matches!(input, Input::WatchEvent(..)) && has_lease && has_no_grace;
        let core = &mut it.core;
        match input {
            Input::Opening => core.handle(now, logic::Input::Opening),
            Input::NotOpened => {
                say!(self, "process {process} does not know whether its session was opened");
                self.processes[process].core.handle(now, logic::Input::NotOpened);
            }
            Input::Connected { session, timeout, asked_at, asked_since } => {
                if it.session.replace(session) != Some(session) {
                    self.checker.begins_session(process);
                }
                let (timeout_ns, asked_at, asked_since) = (timeout, Time(asked_at), Time(asked_since));
                core.handle(now, logic::Input::Connected { session, timeout_ns, asked_at, asked_since });
            }
            Input::Suspended(rc) => {
                say!(self, "process {process} is suspended");
                self.processes[process].core.handle(now, logic::Input::Suspended(rc));
            }
            Input::Expired => {
                say!(self, "process {process} has lost its session");
                self.processes[process].core.handle(now, logic::Input::Expired);
            }
            Input::Denied(rc) => core.handle(now, logic::Input::Denied(rc)),
            Input::Reply(request, reply) => {
                say!(self, "process {process}, answer {}: {reply:?}", request.0);
                self.processes[process].core.handle(now, logic::Input::Reply(request, reply));
            }
            Input::WatchEvent(request, news) => {
                say!(self, "process {process}, watch {}: {news:?}", request.0);
                self.processes[process].core.handle(now, logic::Input::WatchEvent(request, news));
            }
            Input::Timeout => core.handle(now, logic::Input::Timeout),
            Input::Stand(path) => {
                it.candidates[path] = Some(id);
                self.checker.stands(id, process, path);
                let value = Value::from(format!("process {process}, {}", id.0).as_bytes());
                it.values[path] = value.clone();
                let (path, once) = (self.plan.name(path), false);
                let stand = logic::Input::Stand { id, path, value, guid, once };
                self.processes[process].core.handle(now, stand);
            }
            Input::Resign(path) => {
                if let Some(id) = it.candidates[path].take() {
                    core.handle(now, logic::Input::Leave(id));
                    say!(self, "process {process} resigns at {}", self.plan.paths[path]);
                }
            }
            Input::SetValue(path) => {
                if let Some(candidate) = it.candidates[path] {
                    let value = Value::from(format!("process {process}, then {}", id.0).as_bytes());
                    it.values[path] = value.clone();
                    core.handle(now, logic::Input::SetValue(candidate, value));
                }
            }
            Input::WatchMembers(path) => {
                it.watchers[path] = Some(id);
                self.checker.watches_members(id, process, path);
                let path = self.plan.name(path);
                core.handle(now, logic::Input::WatchMembers { id, path, enough: ENOUGH });
            }
            Input::UnwatchMembers(path) => {
                if let Some(id) = it.watchers[path].take() {
                    core.handle(now, logic::Input::Leave(id));
                }
            }
            Input::Observe(path) => {
                it.observers[path] = Some(id);
                self.checker.observes(id, process, path);
                core.handle(now, logic::Input::Observe { id, path: self.plan.name(path) });
            }
            Input::Unobserve(path) => {
                if let Some(id) = it.observers[path].take() {
                    core.handle(now, logic::Input::Leave(id));
                }
            }
            // The value tells the checker the token, and which write it is.
            Input::Write(path) => {
                let token = it.tokens[path].unwrap_or(0);
                let value = Value::from([token.to_be_bytes(), id.0.to_be_bytes()].concat());
                let write = Write::Set { path: self.plan.written(path), value, version: None };
                let call = Call::Write { path: self.plan.name(path), write };
                core.handle(now, logic::Input::Call(CallId(id.0), call));
            }
            Input::Close => core.handle(now, logic::Input::Close),
        }
        while let Some(action) = self.processes[process].core.poll_action() {
            self.carry_out(process, now, action);
            self.check_between(process);
        }
        self.check_after(process);
        self.plan_core_timer(process);
        self.go_on(process);
    }

    fn carry_out(&mut self, process: usize, now: Time, action: Action) {
        if self.trace.is_some() && !matches!(action, Action::Unwatch(_)) {
            say!(self, "process {process} -> {action:?}");
        }
        match action {
            Action::Submit(request, op) => {
                self.stats.requests += 1;
                self.count_request(process);
                let it = &mut self.processes[process];
                if it.client.takes_requests() {
                    self.client_sends(process, request, op);
                } else {
                    if it.client.session != 0 {
                        it.core.handle(now, logic::Input::Suspended(logic::rc::CONNECTION_LOSS));
                    }
                    it.core.handle(now, logic::Input::Reply(request, Reply::NotSent));
                }
            }
            Action::Unwatch(request) => self.processes[process].client.unwatch(request),
            Action::Lease(end) => self.processes[process].lease_end = end,
            Action::TellRole(id, event) => {
                if let Some(path) = self.checker.told_role(id, &event) {
                    let token = (event.role == Role::Master).then_some(event.token);
                    let it = &mut self.processes[process];
                    it.tokens[path] = token;
                    if token.is_some() && it.lease_end.is_none_or(|end| end <= now) {
                        let detail = format!("process {process} hears {event:?}");
                        self.checker.violated("no master without a lease", detail);
                    }
                }
            }
            Action::TellMaster(id, master) => self.checker.told_master(id, &master),
            Action::TellMembers(id, members) => self.checker.told_members(id, members),
            Action::Finished(id) => {
                self.checker.dismissed(id);
                self.ended_by_itself(process, id);
            }
            Action::Answer(CallId(write), outcome) => self.checker.told_written(write, &outcome),
            Action::Pace(pace) => self.processes[process].client.zk.set_pace(pace),
            Action::Renew => {
                say!(self, "process {process} leaves its session for a new one");
                self.client_restarts(process);
            }
        }
    }

    /// A subscription has ended that the program did not end: it was refused. The program tries again later.
    fn ended_by_itself(&mut self, process: usize, id: SubscriptionId) {
        let it = &mut self.processes[process];
        for path in 0..self.plan.paths.len() {
            if it.candidates[path] == Some(id) {
                it.candidates[path] = None;
                let life = it.life;
                let soon = self.rng.below(self.plan.timeout);
                return self.plan_in(soon, Happening::StandAgain(process, life, path));
            }
            for subscription in [&mut it.observers[path], &mut it.watchers[path]] {
                subscription.take_if(|subscription| *subscription == id);
            }
        }
    }

    /// No loop may spin: this many requests in a second are enough for every process.
    fn count_request(&mut self, process: usize) {
        let per_timeout = 1_000_000_000 / self.plan.timeout + 1;
        let limit = (100 + 20 * per_timeout) * (1 + self.plan.paths.len() as u64);
        let second = self.now / 1_000_000_000;
        let requests = &mut self.processes[process].requests;
        *requests = if requests.0 == second { (second, requests.1 + 1) } else { (second, 1) };
        // Two clients with one session disconnect each other again and again, and the world ends it in the end.
        if requests.1 > limit && self.repeated.is_empty() {
            self.checker.violated("spin", format!("process {process} sent {limit} requests in a second"));
        }
    }
}
