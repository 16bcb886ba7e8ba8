//! The end of a handle, and the threads that wait for callbacks. Threads that close a handle at the same time share one
//! result. No threads wait in a circle.
//!
//! A thread that waits for a handle's callbacks waits for the thread that runs them. A close also waits for the threads
//! that run a function that leads. If one of these threads waits for something that the first thread runs, both wait
//! for ever. So each wait is recorded before it begins, and a wait that would close a circle is refused.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::callbacks::Callbacks;
use super::{Error, Handle};
use crate::driver::fork::PerProcess;
use crate::driver::{log, Command};

/// The result of a close, for the threads that wait for it.
#[derive(Default)]
pub struct Ending {
    answer: Mutex<Option<Result<(), Error>>>,
    came: Condvar,
}

impl Ending {
    /// The thread that closes the handle holds this. If it is dropped without a result, because of a panic, the other
    /// threads get a failure.
    pub fn to_come(&self) -> ToCome<'_> {
        ToCome(self)
    }

    pub fn has_come(&self) -> bool {
        lock(&self.answer).is_some()
    }

    /// Waits for the thread that closes the handle.
    pub fn wait(&self) -> Result<(), Error> {
        let answer = self.came.wait_while(lock(&self.answer), |answer| answer.is_none());
        answer.unwrap_or_else(PoisonError::into_inner).unwrap_or(Err(Error::Internal))
    }

    fn wait_for(&self, timeout: Duration) -> Result<(), Error> {
        let waited = self.came.wait_timeout_while(lock(&self.answer), timeout, |answer| answer.is_none());
        match waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            true => Err(Error::Timeout),
            false => Ok(()),
        }
    }

    fn answer(&self, answer: Result<(), Error>) {
        lock(&self.answer).get_or_insert(answer);
        self.came.notify_all();
    }
}

pub struct ToCome<'a>(&'a Ending);

impl ToCome<'_> {
    pub fn answer(self, answer: Result<(), Error>) -> Result<(), Error> {
        self.0.answer(answer);
        answer
    }
}

impl Drop for ToCome<'_> {
    fn drop(&mut self) {
        self.0.answer(Err(Error::Internal));
    }
}

/// The waits of all threads. Locked for moments only.
static CIRCLE: PerProcess<Mutex<Circle>> = PerProcess::new();

#[derive(Default)]
struct Circle {
    /// If a thread has several waits, it is in the last one.
    waits: Vec<Waiting>,
    /// Threads that run functions that lead.
    leads: Vec<(ThreadId, Arc<Callbacks>)>,
}

struct Waiting {
    thread: ThreadId,
    /// The thread waits for the callbacks of this handle.
    callbacks: Arc<Callbacks>,
    /// The thread also waits for functions that lead.
    has_leads: bool,
}

impl Circle {
    /// The threads that such a wait waits for.
    fn runners(&self, callbacks: &Arc<Callbacks>, has_leads: bool) -> Vec<ThreadId> {
        let leads = self.leads.iter().filter(|(_, of)| has_leads && Arc::ptr_eq(of, callbacks));
        callbacks.reporter().into_iter().chain(leads.map(|(thread, _)| *thread)).collect()
    }

    /// Whether one of these threads waits for `this`, directly or through any number of other threads. This ends,
    /// because there is no circle so far.
    fn leads_to(&self, threads: &[ThreadId], this: ThreadId) -> bool {
        threads.iter().any(|thread| match self.waits.iter().rfind(|waiting| waiting.thread == *thread) {
            Some(Waiting { callbacks, has_leads, .. }) => {
                let next = self.runners(callbacks, *has_leads);
                next.contains(&this) || self.leads_to(&next, this)
            }
            None => false,
        })
    }
}

/// A wait of this thread for the callbacks of a handle. A close also waits for the functions that lead on it.
pub struct Wait(());

impl Wait {
    /// Begins a wait for callbacks and for functions that lead.
    pub fn to_close(callbacks: &Arc<Callbacks>) -> Result<Wait, Error> {
        Wait::begin(callbacks, true)
    }

    /// # Errors
    /// [`Error::InCallback`] if this thread would wait for itself, or is in the log's listener, which must not be
    /// delayed for so long; [`Error::Deadlock`] if the thread that this would wait for waits for something that this
    /// thread runs.
    fn begin(callbacks: &Arc<Callbacks>, has_leads: bool) -> Result<Wait, Error> {
        let this = thread::current().id();
        let mut circle = circle();
        let runners = circle.runners(callbacks, has_leads);
        if runners.contains(&this) || log::is_listening() {
            return Err(Error::InCallback);
        }
        if circle.leads_to(&runners, this) {
            return Err(Error::Deadlock);
        }
        circle.waits.push(Waiting { thread: this, callbacks: callbacks.clone(), has_leads });
        Ok(Wait(()))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let this = thread::current().id();
        let mut circle = circle();
        let at = circle.waits.iter().rposition(|waiting| waiting.thread == this);
        let ended = at.map(|at| circle.waits.remove(at));
        drop(circle);
        drop(ended);
    }
}

/// Exists while this thread runs a function that leads.
pub struct Lead(());

impl Lead {
    pub fn begin(callbacks: &Arc<Callbacks>) -> Lead {
        circle().leads.push((thread::current().id(), callbacks.clone()));
        Lead(())
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let this = thread::current().id();
        let mut circle = circle();
        let at = circle.leads.iter().rposition(|(thread, _)| *thread == this);
        let ended = at.map(|at| circle.leads.remove(at));
        drop(circle);
        drop(ended);
    }
}

impl Handle {
    /// Waits until everything that has ended on this handle has finished. For each candidate that has resigned, and for
    /// each ended watch, the last callback has then returned and its listener has been dropped. If the program
    /// dispatches the callbacks, this runs the callbacks that wait.
    ///
    /// # Errors
    /// [`Error::InCallback`] inside a callback of this handle, or in the log's listener; [`Error::Deadlock`] inside a
    /// callback of another handle, if one of this handle's callbacks waits for that callback; [`Error::Timeout`];
    /// [`Error::Interrupted`]; [`Error::BadHandle`] if the handle is closed.
    pub fn wait_finished(&self, timeout: Duration) -> Result<(), Error> {
        self.check_process()?;
        let _wait = Wait::begin(&self.callbacks, false)?;
        let mark = match self.changes() {
            Ok(mut changes) => {
                changes.last_mark += 1;
                self.command(Command::Mark(changes.last_mark));
                changes.last_mark
            }
            // Another thread closes the handle. That close waits for the same callbacks, and for more.
            Err(Error::BadHandle) if !self.ending.has_come() => return self.ending.wait_for(timeout),
            Err(error) => return Err(error),
        };
        Ok(self.callbacks.wait_for(mark, timeout)?)
    }
}

/// The waits of this process. The process has a handle, so it can be told from others.
fn circle() -> MutexGuard<'static, Circle> {
    lock(CIRCLE.get().expect("this process"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
