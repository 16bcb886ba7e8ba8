//! The check: a shell command that runs repeatedly. Its exit status says whether this machine is fit to be master.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{killpg, sigprocmask, SigSet, SigmaskHow, Signal};
use nix::unistd::{getppid, Pid};

use crate::clock;
use crate::guard::Program;
use crate::servers::plain;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Fit,
    /// The check failed, with this exit status.
    Failed(ExitStatus),
    /// The check took too long and was killed.
    Hung,
    CannotStart(String),
}

#[derive(Debug)]
pub struct Check {
    pub program: Program,
    pub interval: Duration,
    pub timeout: Duration,
    /// Variables that `election` removes from the environment of the check.
    pub hidden_variables: Vec<&'static str>,
    /// The signal mask of the check.
    pub signals: SigSet,
    running: Option<Running>,
    next_at: u64,
}

#[derive(Debug)]
struct Running {
    pid: Pid,
    times_out_at: u64,
    hung: bool,
}

impl Check {
    pub fn new(
        program: Program,
        interval: Duration,
        timeout: Duration,
        hidden_variables: Vec<&'static str>,
        signals: SigSet,
    ) -> Check {
        Check { program, interval, timeout, hidden_variables, signals, running: None, next_at: 0 }
    }

    /// The next time at which [`keep_time`](Check::keep_time) has something to do.
    pub fn next_time(&self) -> u64 {
        match &self.running {
            Some(Running { hung: true, .. }) => u64::MAX,
            Some(running) => running.times_out_at,
            None => self.next_at,
        }
    }

    /// Starts the next check when it is due, and kills a check that takes too long.
    pub fn keep_time(&mut self) -> Option<Verdict> {
        if clock::now() < self.next_time() {
            return None;
        }
        match &mut self.running {
            Some(running) => {
                running.hung = true;
                let _ = killpg(running.pid, Signal::SIGKILL);
                None
            }
            None => match self.start() {
                Ok(pid) => {
                    let times_out_at = clock::after(self.timeout);
                    self.running = Some(Running { pid, times_out_at, hung: false });
                    None
                }
                Err(error) => {
                    self.next_at = clock::after(self.interval);
                    Some(Verdict::CannotStart(plain(&error)))
                }
            },
        }
    }

    /// Takes note that a child has ended. Returns the verdict if the child is the check.
    pub fn has_ended(&mut self, pid: Pid, status: ExitStatus) -> Option<Verdict> {
        let running = self.running.take_if(|running| running.pid == pid)?;
        self.next_at = clock::after(self.interval);
        Some(match (running.hung, status.success()) {
            (true, _) => Verdict::Hung,
            (false, true) => Verdict::Fit,
            (false, false) => Verdict::Failed(status),
        })
    }

    fn start(&self) -> io::Result<Pid> {
        let mut command = Command::new(&self.program.program);
        command.args(&self.program.arguments).process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        for name in &self.hidden_variables {
            command.env_remove(name);
        }
        let (signals, parent) = (self.signals, Pid::this());
        // SAFETY: the closure makes system calls only, and allocates nothing.
        unsafe {
            command.pre_exec(move || {
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                if getppid() != parent {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                sigprocmask(SigmaskHow::SIG_SETMASK, Some(&signals), None)?;
                Ok(())
            });
        }
        Ok(Pid::from_raw(command.spawn()?.id() as i32))
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = killpg(running.pid, Signal::SIGKILL);
        }
    }
}
