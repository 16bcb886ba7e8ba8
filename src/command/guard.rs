//! The guard: a small process between `election` and COMMAND. It ends COMMAND in time if `election` hangs, is stopped
//! or is killed.
//!
//! `election` forks the guard before it starts a second thread. The guard is the parent of COMMAND and of the hooks.
//! It has one thread. It has no connection to ZooKeeper and waits for no file. It knows three things:
//!
//! - the end of the lease: `election` repeatedly writes it into memory that both processes share;
//! - the time: the guard has a timer on the clock of the lease;
//! - whether `election` is alive: a socket connects both, and it closes when `election` dies.
//!
//! In each of these cases COMMAND dies before the lease ends:
//!
//! - The lease is not extended, also because `election` is stopped (SIGSTOP) or hangs: the guard has its own timer.
//! - `election` is killed: the socket closes, and the guard kills COMMAND and all its descendants.
//! - The guard is killed: the kernel kills COMMAND (parent-death signal). The descendants of the guard become
//!   children of `election`, which kills them.
//! - The guard is stopped: `election` kills the processes that the guard started.
//!
//! The guard is a subreaper: if the parent of a descendant of COMMAND ends, the descendant becomes a child of the
//! guard. So the guard finds all descendants, also those in other process groups and sessions, and it knows when the
//! last one has ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::mman::{mmap_anonymous, MapFlags, ProtFlags};
use nix::sys::prctl;
use nix::sys::signal::{killpg, sigprocmask, SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{recv, send, socketpair, AddressFamily, MsgFlags, SockFlag, SockType};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::{fork, getppid, setpgid, ForkResult, Pid};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::processes;

/// How long the guard waits after SIGKILL before it checks again whether the processes are dead.
const KILL_AGAIN: Duration = Duration::from_millis(10);
/// The system's error number if the guard does not start a job because the job has no lease.
pub const TOO_LATE: i32 = libc::ETIME;
/// The longest message.
const MESSAGE_MAX: usize = 64 * 1024;

/// A job that runs under the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Job {
    /// The hook before COMMAND.
    OnMaster,
    Command,
    /// The hook after COMMAND. It runs without a lease.
    OnSlave,
}

impl Job {
    /// Whether the job must be dead before the lease ends.
    pub fn is_guarded(self) -> bool {
        self != Job::OnSlave
    }
}

/// An order of `election` to the guard.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Start this job, with these variables added to its environment. The guard kills it when the time-out is over.
    Start { job: Job, variables: Vec<(String, String)>, timeout: Option<Duration> },
    /// Send the job the stop signal, and kill it when the stop time-out is over.
    Stop,
    /// Kill the job at once.
    Kill,
}

/// A report of the guard to `election`.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    Started {
        pid: i32,
    },
    /// The guard could not start the job. `errno` is the system's error number.
    CannotStart {
        errno: i32,
    },
    /// The job and all its descendants have ended.
    Ended {
        status: i32,
        cause: Cause,
        killed: bool,
    },
}

/// Why a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    ByItself,
    /// `election` ordered the end of the job.
    Told,
    /// The lease ended, or was about to end.
    Lease,
    /// The job ran longer than its time-out.
    Timeout,
}

/// The memory that `election` and the guard share. The times are those of [`clock`], in nanoseconds.
#[repr(C)]
#[derive(Debug)]
struct Shared {
    /// The end of the lease, or 0 if the candidate has no lease.
    lease_end: AtomicU64,
    /// How long before the end of the lease COMMAND gets the stop signal.
    stop_before: AtomicU64,
    /// How long before the end of the lease COMMAND is killed.
    kill_before: AtomicU64,
}

impl Shared {
    fn new() -> io::Result<&'static Shared> {
        let len = std::mem::size_of::<Shared>().try_into().map_err(io::Error::other)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel picks an address at which nothing is mapped. The page stays mapped until the process ends.
        let page = unsafe { mmap_anonymous(None, len, access, MapFlags::MAP_SHARED)? };
        // SAFETY: the page is zeroed, and three zero atomics are valid. It is aligned as pages are. It is never
        // unmapped.
        Ok(unsafe { page.cast::<Shared>().as_ref() })
    }

    fn stop_at(&self) -> u64 {
        self.lease_end.load(Ordering::SeqCst).saturating_sub(self.stop_before.load(Ordering::SeqCst))
    }

    fn kill_at(&self) -> u64 {
        self.lease_end.load(Ordering::SeqCst).saturating_sub(self.kill_before.load(Ordering::SeqCst))
    }
}

/// The program of a job, and its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    pub program: OsString,
    pub arguments: Vec<OsString>,
}

/// The jobs that the guard may start, and how it starts and stops them.
#[derive(Debug)]
pub struct Plan {
    pub jobs: BTreeMap<Job, Program>,
    /// Variables that the guard adds to the environment of each job.
    pub variables: Vec<(&'static str, OsString)>,
    /// Variables that the guard removes from the environment of each job.
    pub hidden_variables: Vec<&'static str>,
    pub stop_signal: Signal,
    pub stop_timeout: Duration,
    /// The signal mask of the jobs.
    pub signals: SigSet,
}

/// The guard, on the side of `election`.
#[derive(Debug)]
pub struct Guard {
    pub pid: Pid,
    socket: OwnedFd,
    shared: &'static Shared,
}

impl Guard {
    /// Starts the guard. This process must have one thread. It must block the signals that it wants to receive later.
    pub fn start(plan: Plan) -> io::Result<Guard> {
        let shared = Shared::new()?;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        // SAFETY: this process has one thread, so the child may call any function.
        match unsafe { fork()? } {
            ForkResult::Parent { child } => Ok(Guard { pid: child, socket: ours, shared }),
            ForkResult::Child => {
                drop(ours);
                let failed = Inside::new(plan, theirs, shared).and_then(|mut guard| guard.serve());
                // SAFETY: _exit takes a number. It does not run the exit functions that `election` has registered.
                unsafe { libc::_exit(i32::from(failed.is_err())) }
            }
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sets how long before the end of the lease COMMAND gets the stop signal, and how long before it is killed.
    pub fn set_margins(&self, stop_before: Duration, kill_before: Duration) {
        self.shared.stop_before.store(clock::nanoseconds(stop_before), Ordering::SeqCst);
        self.shared.kill_before.store(clock::nanoseconds(kill_before), Ordering::SeqCst);
    }

    /// Sets the end of the lease, on [`clock`]. 0 means that the lease is over.
    pub fn set_lease_end(&self, lease_end: u64) {
        self.shared.lease_end.store(lease_end, Ordering::SeqCst);
    }

    /// The time at which COMMAND gets the stop signal.
    pub fn stop_at(&self) -> u64 {
        self.shared.stop_at()
    }

    /// The time at which COMMAND is killed.
    pub fn kill_at(&self) -> u64 {
        self.shared.kill_at()
    }

    /// Sends the guard an order, and ignores an error. `election` detects a dead or stopped guard by other means.
    pub fn order(&self, order: &Order) {
        let _ = put(self.socket.as_fd(), order);
    }

    /// Waits until the running job has ended, or the guard has ended.
    pub fn wait_until_idle(&self) {
        loop {
            match self.report() {
                Ok(Some(Report::Ended { .. } | Report::CannotStart { .. })) | Err(_) => return,
                Ok(Some(Report::Started { .. })) => {}
                Ok(None) => {
                    let _ = poll(&mut [PollFd::new(self.fd(), PollFlags::POLLIN)], PollTimeout::NONE);
                }
            }
        }
    }

    /// The next report, or `None` if none has arrived yet.
    pub fn report(&self) -> io::Result<Option<Report>> {
        take(self.socket.as_fd())
    }
}

fn put(socket: BorrowedFd, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    send(socket.as_raw_fd(), &text, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// The next message, if one has arrived. It is an error if the other process has closed the socket.
fn take<T: for<'a> Deserialize<'a>>(socket: BorrowedFd) -> io::Result<Option<T>> {
    let mut text = vec![0; MESSAGE_MAX];
    match recv(socket.as_raw_fd(), &mut text, MsgFlags::MSG_DONTWAIT) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(len) => Ok(Some(serde_json::from_slice(&text[..len])?)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The guard, in its own process.
struct Inside {
    plan: Plan,
    socket: OwnedFd,
    shared: &'static Shared,
    children: SignalFd,
    timer: TimerFd,
    running: Option<Running>,
}

struct Running {
    job: Job,
    leader: Pid,
    /// The status of the leader if it has ended. Its descendants may still be alive.
    status: Option<i32>,
    /// Why the guard ends the job, if it does.
    cause: Option<Cause>,
    /// The time at which the guard kills the job if it still runs, with or without a lease.
    kill_at: u64,
    /// The time at which the time-out of the job is over. The guard then kills it, too.
    times_out_at: u64,
    killed: bool,
}

impl Inside {
    fn new(plan: Plan, socket: OwnedFd, shared: &'static Shared) -> io::Result<Inside> {
        // The guard leaves the process group of `election`. A shell, or a user with `kill -9 -PGID`, signals that group
        // to reach `election`.
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        prctl::set_name(c"election-guard")?;
        prctl::set_child_subreaper(true)?;
        SigSet::all().thread_set_mask()?;
        let mut sigchld = SigSet::empty();
        sigchld.add(Signal::SIGCHLD);
        let children = SignalFd::with_flags(&sigchld, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        Ok(Inside { plan, socket, shared, children, timer, running: None })
    }

    /// Returns when `election` and all processes that the guard started have ended.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let is_idle = self.running.is_none();
            match take(self.socket.as_fd()) {
                Ok(Some(order)) => self.obey(order),
                Ok(None) => self.wait(true)?,
                Err(_) if is_idle => return Ok(()),
                // `election` is dead, or it sent an invalid message.
                Err(_) => {
                    self.kill();
                    // The job may be dead already. Then nothing would end the wait.
                    if self.running.is_some() {
                        self.wait(false)?;
                    }
                }
            }
            self.reap();
            self.keep_time();
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Start { job, variables, timeout } => {
                let report = match self.start(job, variables, timeout) {
                    Ok(pid) => Report::Started { pid },
                    Err(error) => Report::CannotStart { errno: error.raw_os_error().unwrap_or(libc::EIO) },
                };
                let _ = put(self.socket.as_fd(), &report);
            }
            Order::Stop => self.end(Cause::Told),
            Order::Kill => {
                let is_over = clock::now() >= self.shared.kill_at();
                let cause = if is_over { Cause::Lease } else { Cause::Told };
                if let Some(running) = &mut self.running {
                    running.cause.get_or_insert(cause);
                }
                self.kill();
            }
        }
    }

    fn start(&mut self, job: Job, variables: Vec<(String, String)>, timeout: Option<Duration>) -> io::Result<i32> {
        let program = self.plan.jobs.get(&job).ok_or(io::ErrorKind::NotFound)?;
        let (shared, signals, guard) = (self.shared, self.plan.signals, Pid::this());
        let mut command = Command::new(&program.program);
        command.args(&program.arguments).process_group(0);
        for name in &self.plan.hidden_variables {
            command.env_remove(name);
        }
        command.envs(self.plan.variables.iter().map(|(name, value)| (name, value))).envs(variables);
        if job != Job::Command {
            command.stdin(Stdio::null());
        }
        // SAFETY: the closure makes system calls only. The guard has one thread, so the closure could do more.
        unsafe {
            command.pre_exec(move || {
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                let is_late = job.is_guarded() && clock::now() >= shared.kill_at();
                if getppid() != guard || is_late {
                    return Err(io::Error::from_raw_os_error(TOO_LATE));
                }
                sigprocmask(SigmaskHow::SIG_SETMASK, Some(&signals), None)?;
                Ok(())
            });
        }
        let leader = Pid::from_raw(command.spawn()?.id() as i32);
        let times_out_at = timeout.map_or(u64::MAX, clock::after);
        let kill_at = u64::MAX;
        self.running =
            Some(Running { job, leader, status: None, cause: None, kill_at, times_out_at, killed: false });
        Ok(leader.as_raw())
    }

    /// Begins to end the running job: it gets the stop signal now, and SIGKILL when the stop time-out is over.
    fn end(&mut self, cause: Cause) {
        let Some(running) = self.running.as_mut().filter(|running| running.cause.is_none()) else { return };
        running.cause = Some(cause);
        running.kill_at = clock::after(self.plan.stop_timeout);
        for signal in [self.plan.stop_signal, Signal::SIGCONT] {
            match running.status {
                None => drop(killpg(running.leader, signal)),
                // The leader has been reaped, so its number may now belong to another group.
                Some(_) => processes::signal_descendants(Pid::this(), signal),
            }
        }
    }

    fn kill(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.killed = true;
        if running.status.is_none() {
            let _ = killpg(running.leader, Signal::SIGKILL);
            self.reap();
        }
        // These are the descendants in other groups, and those that were started meanwhile.
        if self.running.is_some() {
            processes::signal_descendants(Pid::this(), Signal::SIGKILL);
        }
    }

    /// Ends or kills the running job if it is time to.
    fn keep_time(&mut self) {
        let now = clock::now();
        let Some(running) = &self.running else { return };
        let is_guarded = running.job.is_guarded();
        if is_guarded && now >= self.shared.stop_at() {
            self.end(Cause::Lease);
        } else if now >= running.times_out_at {
            self.end(Cause::Timeout);
        }
        let Some(running) = &self.running else { return };
        if now >= running.kill_at.min(running.times_out_at) || (is_guarded && now >= self.shared.kill_at()) {
            self.kill();
        }
    }

    /// The next time at which [`keep_time`](Inside::keep_time) has something to do.
    fn next_time(&self) -> Option<u64> {
        let running = self.running.as_ref()?;
        if running.killed {
            return Some(clock::after(KILL_AGAIN));
        }
        let mut at = running.kill_at.min(running.times_out_at);
        if running.job.is_guarded() {
            at = at.min(self.shared.kill_at());
            if running.cause.is_none() {
                at = at.min(self.shared.stop_at());
            }
        }
        (at < u64::MAX).then_some(at)
    }

    /// Waits for an order, for the end of a child, or until something is due. If `listens` is false, `election` sends
    /// no more orders, and this does not wait for one.
    fn wait(&mut self, listens: bool) -> io::Result<()> {
        match self.next_time() {
            // Zero would disarm the timer. If the time has passed, the timer expires at once.
            Some(at) => {
                let at = TimeSpec::from_duration(Duration::from_nanos(at.max(1)));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.unset()?,
        }
        let mut sources = vec![
            PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.timer.as_fd(), PollFlags::POLLIN),
        ];
        if listens {
            sources.push(PollFd::new(self.socket.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut sources, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reaps the children that have ended. When a job and all its descendants have ended, it reports the end of the
    /// job.
    fn reap(&mut self) {
        while matches!(self.children.read_signal(), Ok(Some(_))) {}
        loop {
            match wait_for_any() {
                Ok(Some((pid, status))) => {
                    let is_over = clock::now() >= self.shared.kill_at();
                    if let Some(running) = self.running.as_mut().filter(|running| running.leader == pid) {
                        running.status = Some(status);
                        // `election` kills the job, too, if the guard is late.
                        let is_killed = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
                        if running.cause.is_none() && is_killed && is_over && running.job.is_guarded() {
                            running.cause = Some(Cause::Lease);
                            running.killed = true;
                        }
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    if let Some(Running { status, cause, killed, .. }) = self.running.take() {
                        let (status, cause) = (status.unwrap_or(0), cause.unwrap_or(Cause::ByItself));
                        let _ = put(self.socket.as_fd(), &Report::Ended { status, cause, killed });
                    }
                    break;
                }
            }
        }
        // The descendants that the leader leaves behind must not run when the next master's COMMAND runs.
        if self.running.as_ref().is_some_and(|running| running.status.is_some()) {
            self.end(Cause::ByItself);
        }
    }
}

/// A child that has ended, with its status as wait(2) gives it. It is an error if this process has no children.
pub fn wait_for_any() -> io::Result<Option<(Pid, i32)>> {
    let mut status = 0;
    // SAFETY: waitpid writes to `status` only.
    match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some((Pid::from_raw(pid), status))),
        _ => Err(io::Error::last_os_error()),
    }
}
