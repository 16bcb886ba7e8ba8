//! Leading in one call: a function runs while this handle is master, and the handle resigns when the function has
//! returned.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::close::Lead;
use super::{Error, Handle};
use crate::driver::fork::Process;
use crate::driver::log;
use crate::driver::{CandidateStatus, Command, Heeds, Mastership, Waited, Waits, Woken};
use crate::logic::{rc, Role, SubscriptionId};

/// A function should stop when the time left of the lease is shorter than the session timeout divided by this. If
/// nothing disturbs a master, its lease has more than a third of the session timeout left.
const NOTICE: u32 = 8;

/// A mastership during which a function runs. The function asks this whether it should stop.
pub struct Leadership {
    process: Process,
    status: Arc<CandidateStatus>,
    waits: Arc<Waits>,
    token: i64,
    /// How long before the end of the lease the function should stop.
    notice: Duration,
    /// Once true, it stays true.
    is_over: AtomicBool,
    interrupts: u64,
}

impl Leadership {
    /// Returns the token of the mastership, to be sent along with each write.
    pub fn token(&self) -> i64 {
        self.token
    }

    /// Returns whether the function should stop its work and return. Reasons to stop are: the lease is about to end, or
    /// has ended; the handle was interrupted, or is being closed; another call resigned at the path. Once it should
    /// stop, that stays so. Never waits. With [`Dispatch::Loop`](super::Dispatch::Loop), does the work of the session that is
    /// due, so that a function that asks often keeps the lease.
    pub fn should_stop(&self) -> bool {
        if self.process.is_this() {
            self.waits.turn();
        }
        self.is_to_stop()
    }

    fn is_to_stop(&self) -> bool {
        if !self.is_over.load(Ordering::Relaxed) && self.time_left().is_none() {
            self.is_over.store(true, Ordering::Relaxed);
        }
        self.is_over.load(Ordering::Relaxed)
    }

    /// Waits until the function should stop.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the time is over and there is no reason to stop; [`Error::Interrupted`] if a signal
    /// handler ran on this thread and there is no reason to stop.
    pub fn wait_stop(&self, timeout: Duration) -> Result<(), Error> {
        let wait = self.waits.begin(Heeds::None);
        let until = Instant::now().checked_add(timeout);
        loop {
            let seen = wait.changes();
            let lease = match self.time_left() {
                Some(left) if !self.is_to_stop() => left,
                _ => {
                    self.is_over.store(true, Ordering::Relaxed);
                    return Ok(());
                }
            };
            let left = until.map_or(lease, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(Error::Timeout);
            }
            if wait.sleep(seen, left.min(lease)) == Woken::Signal {
                // The handler may have interrupted the handle.
                return self.is_to_stop().then_some(()).ok_or(Error::Interrupted);
            }
        }
    }

    /// Whether the function runs in this process, and not in the one that this was forked from.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.process.is_this()
    }

    /// Returns whether the mastership has ended.
    pub fn is_lost(&self) -> bool {
        self.mastership().is_none()
    }

    fn mastership(&self) -> Option<Mastership> {
        if !self.process.is_this() {
            return None;
        }
        self.status.mastership().filter(|mastership| mastership.token == self.token)
    }

    /// The time until the function should stop, if nothing else happens. `None` if it should stop now.
    fn time_left(&self) -> Option<Duration> {
        let left = self.mastership()?.left.checked_sub(self.notice)?;
        let is_asked = self.status.stop().is_some() || self.waits.interrupts() != self.interrupts;
        (!is_asked && !left.is_zero()).then_some(left)
    }
}

impl Handle {
    /// Stands at `path` with `value`, waits for mastership, calls `function` on this thread while master, and resigns
    /// when the function has returned. Returns what the function returned. The function must call
    /// [`Leadership::should_stop`] often, or wait by [`Leadership::wait_stop`], and return when it should stop. If the
    /// mastership ends earlier, the handle does not stand at `path` again until this is called again.
    ///
    /// # Errors
    /// The function was not called: [`Error::Interrupted`]; [`Error::ZooKeeper`] if ZooKeeper has refused the candidate
    /// for good, or if the handle is being closed; [`Error::Resigned`] if another call resigned at the path;
    /// [`Error::InCallback`] in a callback of this handle; and the errors of
    /// [`go_to_election`](Handle::go_to_election).
    pub fn lead<T>(
        &self,
        path: &str,
        value: &[u8],
        function: impl FnOnce(&Arc<Leadership>) -> T,
    ) -> Result<T, Error> {
        self.lead_within(path, value, Duration::MAX, function)
    }

    /// The same as [`lead`](Handle::lead), but waits for mastership no longer than `timeout`.
    ///
    /// # Errors
    /// [`Error::Timeout`], and the errors of [`lead`](Handle::lead).
    pub fn lead_within<T>(
        &self,
        path: &str,
        value: &[u8],
        timeout: Duration,
        function: impl FnOnce(&Arc<Leadership>) -> T,
    ) -> Result<T, Error> {
        self.lead_until_lost(path, value, timeout, function).map(|(returned, _)| returned)
    }

    /// The same as `lead_within`. Also returns whether the mastership had ended before the function returned.
    pub(crate) fn lead_until_lost<T>(
        &self,
        path: &str,
        value: &[u8],
        timeout: Duration,
        function: impl FnOnce(&Arc<Leadership>) -> T,
    ) -> Result<(T, bool), Error> {
        if !self.process.is_this() {
            return Err(Error::Forked);
        }
        if self.callbacks.is_current_thread() || log::is_listening() {
            return Err(Error::InCallback);
        }
        let path = self.check_path(path)?;
        let until = Instant::now().checked_add(timeout);
        let interrupts = self.waits.interrupts();
        loop {
            let standing = Standing::begin(self, &path, value)?;
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            // A mastership may be lost before this thread sees it, for example if the process was stopped for so long.
            if !standing.becomes_master(left)? {
                continue;
            }
            let Some(leadership) = standing.leadership(interrupts) else { continue };
            let leadership = Arc::new(leadership);
            let returned = function(&leadership);
            let is_lost = leadership.is_lost();
            leadership.is_over.store(true, Ordering::Relaxed);
            return Ok((returned, is_lost));
        }
    }
}

/// A candidate that stands while one call runs.
struct Standing<'a> {
    handle: &'a Handle,
    path: Arc<str>,
    id: SubscriptionId,
    status: Arc<CandidateStatus>,
    /// A close waits for this thread.
    _lead: Lead,
}

impl<'a> Standing<'a> {
    fn begin(handle: &'a Handle, path: &Arc<str>, value: &[u8]) -> Result<Standing<'a>, Error> {
        if handle.waits.is_interrupted() {
            return Err(Error::Interrupted);
        }
        let status = CandidateStatus::new(handle.lease_end.clone(), handle.waits.clone()).with_function();
        let status = Arc::new(status);
        let lead = Lead::begin(&handle.callbacks);
        let id = handle.stand_as(
            path.clone(),
            value,
            status.clone(),
            || Box::new(|_| {}),
            |changes| {
                if changes.closing {
                    return Err(Error::BadHandle);
                }
                changes.leaders.push(thread::current().id());
                Ok(())
            },
        )?;
        Ok(Standing { handle, path: path.clone(), id, status, _lead: lead })
    }

    /// Returns false if the candidate was master and no longer is.
    fn becomes_master(&self, timeout: Duration) -> Result<bool, Error> {
        match self.status.wait(Role::Master, timeout) {
            Waited::Came => Ok(true),
            Waited::Denied(rc) => Err(Error::ZooKeeper(rc)),
            Waited::Left(rc::INTERNAL) => Err(Error::Internal),
            Waited::Left(rc::RESIGNED) if self.status.stop().is_none() => Ok(false),
            Waited::Left(rc::RESIGNED) => Err(Error::Resigned),
            Waited::Left(rc) => Err(Error::ZooKeeper(rc)),
            Waited::TooLong => Err(Error::Timeout),
            Waited::Interrupted => Err(Error::Interrupted),
        }
    }

    fn leadership(&self, interrupts: u64) -> Option<Leadership> {
        let session_timeout = self.handle.diagnostics.connection().session_timeout;
        let leadership = Leadership {
            process: self.handle.process,
            status: self.status.clone(),
            waits: self.handle.waits.clone(),
            token: self.status.mastership()?.token,
            notice: session_timeout / NOTICE,
            is_over: AtomicBool::new(false),
            interrupts,
        };
        (!leadership.is_lost()).then_some(leadership)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        if !self.handle.process.is_this() {
            return;
        }
        let mut changes = self.handle.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let this = thread::current().id();
        if let Some(at) = changes.leaders.iter().position(|thread| *thread == this) {
            changes.leaders.swap_remove(at);
        }
        if self.handle.statuses.with(&self.path, |(id, _)| *id == self.id) == Some(true) {
            self.handle.statuses.remove(&self.path);
            if !self.handle.denied.take(self.id) {
                self.handle.command(Command::Leave(self.id));
            }
        }
        drop(changes);
        self.handle.lead_ended.notify_all();
    }
}
