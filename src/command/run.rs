//! `election run`: waits for mastership, and runs COMMAND while the mastership lasts.
//!
//! One thread runs one loop. The loop receives signals, the library's events, the guard's reports and the end of each
//! check. After each of these it takes the next step, and only [`Candidate::step`] decides on the step. A job that
//! needs the lease runs under the [`guard`](crate::guard), and the guard decides when the job must end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver};
use std::sync::Arc;
use std::time::Duration;

use election::{Connection, ConnectionState, Dispatch, Error, Event, LogLevel, Reason, Role};
use nix::errno::Errno;
use nix::poll::{ppoll, PollFd, PollFlags};
use nix::sys::prctl;
use nix::sys::signal::{kill, killpg, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use crate::check::{Check, Verdict};
use crate::failure::{Failure, Result, CANNOT_EXECUTE, NOT_FOUND, TIMED_OUT};
use crate::guard::{self, Cause, Guard, Job, Order, Plan, Report};
use crate::http::Face;
use crate::options::Run;
use crate::{clock, http, processes, program, servers, service};

/// The signals that ask `election` to stop.
const STOPS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
/// COMMAND is killed before the lease ends: earlier by 1/`KILL_BEFORE` of the session timeout, and by at least
/// `KILL_BEFORE_AT_LEAST`.
const KILL_BEFORE: u32 = 40;
const KILL_BEFORE_AT_LEAST: Duration = Duration::from_millis(50);
/// When the lease runs out, COMMAND has at most 1/`STOP_BEFORE` of the session timeout to stop by itself.
const STOP_BEFORE: u32 = 8;
/// How often `election` tells the guard the new end of the lease: every 1/`EXTEND` of the session timeout, within these
/// limits.
const EXTEND: u32 = 16;
const EXTEND_AT_LEAST: Duration = Duration::from_millis(20);
const EXTEND_AT_MOST: Duration = Duration::from_millis(500);
/// If the guard is this late to kill a job, the guard is stopped, and `election` kills the job.
const GUARD_KILLS: Duration = Duration::from_millis(20);
/// If the guard takes this long to report that a job is dead, `election` kills the guard.
const GUARD_ANSWERS: Duration = Duration::from_secs(2);
/// The longest value of a master that a hook gets.
const VALUE_MAX: usize = 4096;

/// How `election run` ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// It ends as COMMAND ended.
    Status(ExitStatus),
    /// It ends as if this signal had ended it.
    Signal(Signal),
}

pub fn run(options: &Run) -> Result<End> {
    let command = program::find(&options.command)?;
    servers::check_path(&options.at.path)?;
    let mut library = servers::options(&options.servers, options.at.recipe.recipe())?;
    library.set_dispatch(Dispatch::Manual);
    library.set_acl(options.lease.acl.acl());
    let lease = &options.lease;
    let session_timeout = lease.session.session_timeout;
    servers::set_time("--session-timeout", session_timeout, |time| library.set_session_timeout(time))?;
    servers::set_time("--grace", lease.grace, |time| library.set_grace(time))?;
    servers::set_time("--lease-margin", lease.lease_margin, |time| library.set_lease_margin(time))?;
    servers::set_time("--tick", lease.tick, |time| library.set_tick(time))?;

    let value = options.value.clone().unwrap_or_else(host_name);
    let mut jobs = BTreeMap::from([(Job::Command, command)]);
    for (job, hook) in [(Job::OnMaster, &options.on_master), (Job::OnSlave, &options.on_slave)] {
        jobs.extend(hook.as_ref().map(|hook| (job, program::shell(hook))));
    }
    let hooks: Vec<Job> = jobs.keys().copied().filter(|job| *job != Job::Command).collect();
    let hidden_variables: Vec<&str> =
        service::VARIABLES.into_iter().chain([servers::AUTH, servers::TLS_KEY_PASSWORD]).collect();
    let variables = vec![
        ("ELECTION_HOSTS", OsString::from(&options.servers.hosts)),
        ("ELECTION_PATH", OsString::from(&options.at.path)),
        ("ELECTION_VALUE", value.clone()),
    ];

    // This comes before the first thread, because a thread inherits the blocked signals, and because the guard is
    // forked from a process of one thread.
    let (signals, inherited) = block_signals().map_err(|error| Failure::failed(format!("signals: {error}")))?;
    prctl::set_child_subreaper(true).map_err(|error| Failure::failed(format!("subreaper: {error}")))?;
    let check = options.check.as_ref().map(|check| {
        let program = program::shell(check);
        Check::new(program, options.check_interval, options.check_timeout, hidden_variables.clone(), inherited)
    });
    let plan = Plan {
        jobs,
        variables,
        hidden_variables,
        stop_signal: options.stop_signal,
        stop_timeout: options.stop_timeout,
        signals: inherited,
    };
    let guard =
        Guard::start(plan).map_err(|error| Failure::failed(format!("the guard does not start: {error}")))?;
    let listener = options.listen.as_deref().map(http::bind).transpose()?;

    let _ = election::set_log(LogLevel::Warn, |record| eprintln!("election: {}", record.message));
    let handle = servers::open(&options.servers.hosts, &library)?;
    let face = Arc::new(Face::new(handle, &options.at.path));
    if let Some(listener) = listener {
        let address = listener.local_addr();
        http::serve(listener, face.clone())?;
        if let (Ok(address), false) = (address, options.quiet) {
            eprintln!("election: listening at {address}");
        }
    }
    let mut candidate = Candidate::new(options, value, hooks, face, guard, check, signals)?;
    let ended = candidate.serve();
    candidate.leave();
    ended
}

/// A report of the library. The reports arrive in the order in which the library made them.
enum News {
    /// An event of the candidacy with this number.
    Role(u64, Event),
    Connection(Connection),
}

struct Candidate<'a> {
    options: &'a Run,
    value: OsString,
    hooks: Vec<Job>,
    face: Arc<Face>,
    guard: Guard,
    check: Option<Check>,
    signals: SignalFd,
    tell: mpsc::Sender<News>,
    news: Receiver<News>,

    session_timeout: Duration,
    /// The last check succeeded, or `election` has no check.
    is_fit: bool,
    has_verdict: bool,
    /// This process is a candidate.
    stands: bool,
    /// This process does not stand before this time.
    stands_at: u64,
    gives_up_at: u64,
    /// The number of candidacies so far. The loop ignores the events of an earlier candidacy.
    candidacy: u64,
    /// The role, the token and the master of the last event.
    role: Role,
    token: i64,
    master: Option<String>,
    running: Option<Running>,
    /// The last role that the hooks were started for.
    announced: Option<Role>,
    /// `--on-slave` must still run, because this is no longer master.
    is_over: bool,
    /// It is set when a signal asks `election` to stop, or when COMMAND has ended by itself.
    end: Option<End>,
    watchdog: Option<(Duration, u64)>,
    is_ready: bool,
    said: String,
}

/// The job that runs under the guard.
struct Running {
    job: Job,
    token: i64,
    pid: Option<Pid>,
    /// The guard has got the order to stop the job.
    is_to_stop: bool,
    /// The time since which the job should be dead.
    overdue_since: Option<u64>,
}

impl<'a> Candidate<'a> {
    fn new(
        options: &'a Run,
        value: OsString,
        hooks: Vec<Job>,
        face: Arc<Face>,
        guard: Guard,
        check: Option<Check>,
        signals: SignalFd,
    ) -> Result<Candidate<'a>> {
        let (tell, news) = mpsc::channel();
        let sender = tell.clone();
        let watched =
            face.handle.watch_connection(move |connection| drop(sender.send(News::Connection(connection.clone()))));
        watched.map_err(Failure::failed)?;
        let candidate = Candidate {
            options,
            value,
            hooks,
            face,
            guard,
            is_fit: check.is_none(),
            has_verdict: check.is_none(),
            check,
            signals,
            tell,
            news,
            session_timeout: options.lease.session.session_timeout,
            stands: false,
            stands_at: 0,
            candidacy: 0,
            gives_up_at: options.wait_timeout.map_or(u64::MAX, clock::after),
            role: Role::Unknown,
            token: 0,
            master: None,
            running: None,
            announced: None,
            is_over: false,
            end: None,
            watchdog: service::watchdog_interval().map(|interval| (interval, 0)),
            is_ready: false,
            said: String::new(),
        };
        candidate.set_margins();
        Ok(candidate)
    }

    /// Runs the loop until `election` is to end and no job runs any more.
    fn serve(&mut self) -> Result<End> {
        loop {
            if let Some(end) = self.step()? {
                return Ok(end);
            }
            self.wait()?;
            self.hear_signals()?;
            self.face.handle.dispatch(Duration::ZERO).map_err(Failure::failed)?;
            while let Ok(news) = self.news.try_recv() {
                self.hear(news)?;
            }
            self.hear_guard()?;
            self.keep_time()?;
        }
    }

    // ---- Input ----------------------------------------------------------------------------------------------------

    fn wait(&self) -> Result<()> {
        let now = clock::now();
        let next = Duration::from_nanos(self.next_time().saturating_sub(now));
        let timeout = (self.next_time() < u64::MAX).then(|| TimeSpec::from_duration(next));
        let handle = self.face.handle.fd().map_err(Failure::failed)?;
        // SAFETY: the descriptor belongs to the handle, which is open as long as `self` lives.
        let handle = unsafe { BorrowedFd::borrow_raw(handle) };
        let mut sources =
            [self.signals.as_fd(), self.guard.fd(), handle].map(|source| PollFd::new(source, PollFlags::POLLIN));
        match ppoll(&mut sources, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(Failure::failed(format!("poll: {error}"))),
        }
    }

    /// The next time at which the loop has something to do even if no input arrives.
    fn next_time(&self) -> u64 {
        let mut at = u64::MAX;
        if let Some(check) = &self.check {
            at = at.min(check.next_time());
        }
        if let Some((_, next)) = self.watchdog {
            at = at.min(next);
        }
        if !self.stands {
            at = at.min(if self.is_fit { self.stands_at } else { u64::MAX });
        }
        if self.running.is_none() {
            at = at.min(self.gives_up_at);
        }
        let guarded = self.running.as_ref().filter(|running| running.job.is_guarded());
        // The second case is a master whose lease is too short to start a job.
        if guarded.is_some() || (self.running.is_none() && self.role == Role::Master) {
            let is_overdue = guarded.is_some_and(|running| running.overdue_since.is_some());
            let extend = (self.session_timeout / EXTEND).clamp(EXTEND_AT_LEAST, EXTEND_AT_MOST);
            let extend = if is_overdue { GUARD_KILLS } else { extend };
            at = at.min(clock::after(extend));
        }
        at
    }

    fn hear_signals(&mut self) -> Result<()> {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let Ok(signal) = Signal::try_from(info.ssi_signo as i32) else { continue };
            if STOPS.contains(&signal) && self.end.is_none() {
                service::stopping();
                self.say(format_args!("{signal}: stopping"));
                self.end = Some(End::Signal(signal));
            }
        }
        while let Ok(Some((pid, status))) = guard::wait_for_any() {
            if pid == self.guard.pid {
                return Err(self.without_guard());
            }
            let verdict = self.check.as_mut().and_then(|check| check.has_ended(pid, ExitStatus::from_raw(status)));
            if let Some(verdict) = verdict {
                self.hear_verdict(verdict)?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, news: News) -> Result<()> {
        match news {
            News::Connection(connection) => {
                if connection.state == ConnectionState::Connected {
                    self.session_timeout = connection.session_timeout;
                    self.set_margins();
                }
                self.face.set_connected(connection.state == ConnectionState::Connected);
            }
            News::Role(candidacy, _) if candidacy != self.candidacy || !self.stands => {}
            News::Role(_, event) => {
                match event.reason {
                    Reason::Denied | Reason::Failed => {
                        let error = Error::ZooKeeper(event.rc);
                        return Err(Failure::failed(format!("{}: {error}", self.options.at.path)));
                    }
                    Reason::Blocked => self
                        .say(format_args!("{}: a znode that is not ephemeral is in the way", self.options.at.path)),
                    Reason::ForeignContender => self.say(format_args!(
                        "{}: somebody stands there whom this recipe does not count",
                        self.options.at.path
                    )),
                    _ => {}
                }
                self.is_over |= event.role != Role::Master && self.announced == Some(Role::Master);
                self.role = event.role;
                self.token = event.token;
                self.master = String::from_utf8(event.value.to_vec()).ok().filter(|value| !value.is_empty());
            }
        }
        Ok(())
    }

    fn hear_guard(&mut self) -> Result<()> {
        loop {
            match self.guard.report() {
                Ok(Some(report)) => self.hear_report(report)?,
                Ok(None) => return Ok(()),
                Err(_) => return Err(self.without_guard()),
            }
        }
    }

    fn hear_report(&mut self, report: Report) -> Result<()> {
        match report {
            Report::Started { pid } => {
                if let Some(running) = &mut self.running {
                    running.pid = Some(Pid::from_raw(pid));
                    if running.job == Job::Command {
                        self.face.command_started();
                        self.said.clear();
                        let (path, token) = (&self.options.at.path, running.token);
                        self.say(format_args!("master at {path}, token {token}; COMMAND runs, pid {pid}"));
                    }
                }
            }
            Report::CannotStart { errno } => {
                let Some(running) = self.running.take() else { return Ok(()) };
                match (running.job, errno) {
                    (_, guard::TOO_LATE) => self.give_way(),
                    (Job::Command, _) => {
                        let status = if errno == libc::ENOENT { NOT_FOUND } else { CANNOT_EXECUTE };
                        let error = servers::plain(&std::io::Error::from_raw_os_error(errno));
                        let name = self.options.command[0].to_string_lossy();
                        return Err(Failure::new(status, format!("{name}: {error}")));
                    }
                    (job, _) => self.say(format_args!("{job:?}: it cannot be started")),
                }
            }
            Report::Ended { status, cause, killed } => {
                let Some(running) = self.running.take() else { return Ok(()) };
                self.hear_end(running, ExitStatus::from_raw(status), cause, killed);
            }
        }
        Ok(())
    }

    fn hear_end(&mut self, running: Running, status: ExitStatus, cause: Cause, killed: bool) {
        let name = match running.job {
            Job::Command => "COMMAND",
            Job::OnMaster => "--on-master",
            Job::OnSlave => "--on-slave",
        };
        match cause {
            Cause::Lease => {
                let how = if killed { "killed" } else { "stopped" };
                self.say(format_args!("the lease is running out or lost: {name} was {how}"));
            }
            Cause::Timeout => self.say(format_args!("{name} took too long and was killed")),
            _ if running.job != Job::Command && !status.success() => {
                self.say(format_args!("{name} failed: {status}"))
            }
            _ => {}
        }
        if running.job == Job::Command {
            self.gives_up_at = self.options.wait_timeout.map_or(u64::MAX, clock::after);
            self.face.command_ended();
        }
        match (running.job, cause) {
            // Another candidate, with a better connection, should become master.
            (_, Cause::Lease) => self.give_way(),
            (Job::Command, _) if self.end.is_some() => self.end = Some(End::Status(status)),
            (Job::Command, Cause::ByItself) => {
                self.say(format_args!("COMMAND ended by itself, {status}"));
                if self.options.restart {
                    self.stand_down();
                    self.stands_at = clock::after(self.options.restart_delay);
                } else {
                    self.end = Some(End::Status(status));
                }
            }
            _ => {}
        }
    }

    fn hear_verdict(&mut self, verdict: Verdict) -> Result<()> {
        let check = || format!("--check {:?}", self.options.check.clone().unwrap_or_default());
        let is_first = !std::mem::replace(&mut self.has_verdict, true);
        let was_fit = std::mem::replace(&mut self.is_fit, verdict == Verdict::Fit);
        let timeout = humantime::format_duration(self.options.check_timeout);
        let code = match &verdict {
            Verdict::Failed(status) => status.code(),
            _ => None,
        };
        match verdict {
            Verdict::Fit if was_fit || is_first => {}
            Verdict::Fit => self.say(format_args!("the check succeeds again")),
            // The command that the user gave cannot serve as a check.
            Verdict::Hung if is_first => {
                return Err(Failure::usage(format!("{}: it does not end within {timeout}", check())))
            }
            Verdict::Failed(_) if is_first && code == Some(i32::from(NOT_FOUND)) => {
                return Err(Failure::new(NOT_FOUND, format!("{}: there is no such command", check())))
            }
            Verdict::Failed(_) if is_first && code == Some(i32::from(CANNOT_EXECUTE)) => {
                return Err(Failure::new(CANNOT_EXECUTE, format!("{}: it is not executable", check())))
            }
            _ if !was_fit && !is_first => {}
            Verdict::Hung => self.say(format_args!("unfit: the check does not end within {timeout}")),
            Verdict::Failed(status) => self.say(format_args!("unfit: the check failed, {status}")),
            Verdict::CannotStart(why) => self.say(format_args!("unfit: the check cannot be started: {why}")),
        }
        Ok(())
    }

    fn keep_time(&mut self) -> Result<()> {
        let now = clock::now();
        if let Some(verdict) = self.check.as_mut().and_then(Check::keep_time) {
            self.hear_verdict(verdict)?;
        }
        if let Some((interval, next)) = &mut self.watchdog {
            if now >= *next {
                service::watchdog();
                *next = now.saturating_add(clock::nanoseconds(*interval));
            }
        }
        if self.running.is_none()
            && self.announced != Some(Role::Master)
            && self.end.is_none()
            && now >= self.gives_up_at
        {
            let timeout = humantime::format_duration(self.options.wait_timeout.unwrap_or_default());
            return Err(Failure::new(TIMED_OUT, format!("{}: not master within {timeout}", self.options.at.path)));
        }
        self.extend()
    }

    // ---- The lease ------------------------------------------------------------------------------------------------

    fn set_margins(&self) {
        let kill_before = (self.session_timeout / KILL_BEFORE).max(KILL_BEFORE_AT_LEAST);
        let to_stop = self.options.stop_timeout.min(self.session_timeout / STOP_BEFORE);
        self.guard.set_margins(kill_before + to_stop, kill_before);
    }

    /// The end of the lease of the mastership with this token.
    fn lease_end(&self, token: i64) -> Option<u64> {
        let now = clock::now();
        let mastership = self.face.handle.lease(&self.options.at.path)?;
        // The clock was read before the lease, so this end is not too late.
        (mastership.token == token).then(|| now.saturating_add(clock::nanoseconds(mastership.left)))
    }

    /// Tells the guard the end of the lease, and kills the processes that the guard should have killed.
    fn extend(&mut self) -> Result<()> {
        let Some((token, is_guarded)) = self.running.as_ref().map(|it| (it.token, it.job.is_guarded())) else {
            return Ok(());
        };
        if !is_guarded {
            return Ok(());
        }
        match self.lease_end(token) {
            Some(lease_end) => self.guard.set_lease_end(lease_end),
            None => {
                self.guard.set_lease_end(0);
                self.guard.order(&Order::Kill);
            }
        }
        let now = clock::now();
        let Some(running) = self.running.as_mut().filter(|_| now > self.guard.kill_at()) else { return Ok(()) };
        let overdue = Duration::from_nanos(now.saturating_sub(*running.overdue_since.get_or_insert(now)));
        if overdue >= GUARD_ANSWERS {
            let _ = kill(self.guard.pid, Signal::SIGKILL);
            return Err(self.without_guard());
        }
        if overdue >= GUARD_KILLS {
            if let Some(pid) = running.pid {
                let _ = killpg(pid, Signal::SIGKILL);
            }
            processes::signal_descendants(self.guard.pid, Signal::SIGKILL);
        }
        Ok(())
    }

    /// Handles the end of the guard. The guard's descendants become children of this process, which kills them.
    fn without_guard(&mut self) -> Failure {
        self.running = None;
        drop(self.check.take());
        loop {
            processes::signal_descendants(Pid::this(), Signal::SIGKILL);
            match guard::wait_for_any() {
                Ok(Some(_)) => {}
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Err(_) => break,
            }
        }
        Failure::failed("the guard of COMMAND was killed or stopped; COMMAND is dead, too")
    }

    // ---- Actions --------------------------------------------------------------------------------------------------

    /// Takes the next step. Returns the end if nothing is left to do before it.
    fn step(&mut self) -> Result<Option<End>> {
        let is_to_stand = self.is_fit && self.end.is_none();
        if let Some(running) = &mut self.running {
            if !is_to_stand && running.job.is_guarded() && !running.is_to_stop {
                running.is_to_stop = true;
                self.guard.order(&Order::Stop);
            }
            return Ok(None);
        }
        if !is_to_stand {
            self.stand_down();
        } else if !self.stands && clock::now() >= self.stands_at {
            self.stand()?;
        }
        if !self.is_ready && self.has_verdict {
            self.is_ready = true;
            service::ready();
        }
        if self.is_over || (self.role == Role::Slave && self.announced.is_none()) {
            self.is_over = false;
            self.announced = Some(Role::Slave);
            self.start(Job::OnSlave);
        } else if self.role == Role::Master && self.stands {
            self.be_master();
        }
        if self.running.is_none() {
            if let Some(end) = self.end {
                return Ok(Some(end));
            }
            if self.has_verdict {
                self.say_where_it_stands();
            }
        }
        Ok(None)
    }

    fn be_master(&mut self) {
        // A lease that is about to end is too short to start a job.
        let Some(lease_end) = self.lease_end(self.token) else { return };
        self.guard.set_lease_end(lease_end);
        if clock::now() >= self.guard.stop_at() {
            return;
        }
        let job = match self.announced {
            Some(Role::Master) => Job::Command,
            _ => Job::OnMaster,
        };
        self.announced = Some(Role::Master);
        if !self.start(job) && job == Job::OnMaster {
            self.start(Job::Command);
        }
    }

    /// Orders the guard to start a job. Returns false if the user gave no command for the job.
    fn start(&mut self, job: Job) -> bool {
        if job != Job::Command && !self.hooks.contains(&job) {
            return false;
        }
        let token = self.token;
        let role = if job == Job::OnSlave { "slave" } else { "master" };
        let mut variables = vec![("ELECTION_ROLE".to_owned(), role.to_owned())];
        match (job, &self.master) {
            (Job::OnSlave, Some(master)) if self.role == Role::Slave && fits(master) => {
                variables.push(("ELECTION_MASTER".to_owned(), master.clone()));
            }
            (Job::OnSlave, _) => {}
            _ => variables.push(("ELECTION_TOKEN".to_owned(), token.to_string())),
        }
        let timeout = (job != Job::Command).then_some(self.options.hook_timeout);
        self.guard.order(&Order::Start { job, variables, timeout });
        self.running = Some(Running { job, token, pid: None, is_to_stop: false, overdue_since: None });
        true
    }

    fn stand(&mut self) -> Result<()> {
        let tell = self.tell.clone();
        let value = std::os::unix::ffi::OsStrExt::as_bytes(self.value.as_os_str());
        let path = &self.options.at.path;
        self.candidacy += 1;
        let candidacy = self.candidacy;
        let on_role = move |event: &Event| drop(tell.send(News::Role(candidacy, event.clone())));
        self.face.handle.go_to_election(path, value, on_role).map_err(|error| match error {
            Error::BadPath => Failure::usage(format!("--path {path:?}: {error}")),
            Error::BadValue => Failure::usage(format!("--value: {error}")),
            _ => Failure::failed(format!("{path}: {error}")),
        })?;
        self.stands = true;
        Ok(())
    }

    /// Resigns. From then on, the loop ignores the events of this candidacy.
    fn stand_down(&mut self) {
        if std::mem::replace(&mut self.stands, false) {
            let _ = self.face.handle.resign(&self.options.at.path);
        }
        self.is_over |= self.announced == Some(Role::Master);
        self.role = Role::Unknown;
        self.master = None;
    }

    /// If this is still master, resigns in favour of a candidate with a better lease. The next step stands again.
    fn give_way(&mut self) {
        if self.face.handle.is_master(&self.options.at.path) {
            self.stand_down();
        }
    }

    /// Kills the check and the job that still run, and ends the session, so that the next candidate is master at once.
    fn leave(mut self) {
        drop(self.check.take());
        if self.running.is_some() {
            self.guard.order(&Order::Kill);
            self.guard.set_lease_end(0);
            self.guard.wait_until_idle();
        }
        if self.face.is_connected() {
            let _ = self.face.handle.close();
        } else {
            // No server would hear of the close. The session ends by itself.
            std::mem::forget(self.face.clone());
        }
    }

    // ---- Messages -------------------------------------------------------------------------------------------------

    fn say_where_it_stands(&mut self) {
        let path = &self.options.at.path;
        let text = match (self.stands, self.role, &self.master) {
            (false, ..) if !self.is_fit => format!("not standing at {path}: the check has not succeeded"),
            (false, ..) => {
                format!("not standing at {path} for {}", humantime::format_duration(self.options.restart_delay))
            }
            (true, Role::Slave, Some(master)) => format!("waiting for mastership at {path}; master is {master:?}"),
            (true, Role::Slave, None) => format!("waiting for mastership at {path}"),
            (true, Role::Master, _) => format!("master at {path}, with a lease too short to begin"),
            (true, Role::Unknown, _) => format!("waiting to hear from ZooKeeper about {path}"),
        };
        if text != self.said {
            self.say(format_args!("{text}"));
            self.said = text;
        }
    }

    fn say(&self, text: std::fmt::Arguments<'_>) {
        let text = text.to_string().replace('\n', " ");
        service::status(&text);
        if !self.options.quiet {
            eprintln!("election: {text}");
        }
    }
}

fn fits(value: &str) -> bool {
    !value.is_empty() && value.len() <= VALUE_MAX && !value.contains('\0')
}

fn host_name() -> OsString {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    OsString::from(name.trim())
}

/// Blocks the signals that the loop reads. If the starter of this process has it ignore a signal, as nohup(1) does,
/// the signal stays ignored.
fn block_signals() -> nix::Result<(SignalFd, SigSet)> {
    let mut heard = SigSet::empty();
    heard.add(Signal::SIGCHLD);
    STOPS.into_iter().filter(|signal| !is_ignored(*signal)).for_each(|signal| heard.add(signal));
    let inherited = SigSet::thread_get_mask()?;
    heard.thread_block()?;
    Ok((SignalFd::with_flags(&heard, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?, inherited))
}

fn is_ignored(signal: Signal) -> bool {
    // SAFETY: all-zero bytes are a valid sigaction, and the call writes to nothing else.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal as i32, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
