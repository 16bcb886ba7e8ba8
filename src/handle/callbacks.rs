//! The callbacks of one handle: the listeners, and the code that calls them, one at a time and in order. A thread of
//! the handle calls them, or the program does, by `dispatch`. No lock is held while a listener runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::Error;
use crate::driver::failpoint::failpoint;
use crate::driver::thread::{quietly, SignalMask};
use crate::driver::{
    failed_connection, failed_master, failed_members, CandidateStatus, Connection, Count, Diagnostics, Heeds,
    Notification, Reader, Unready, Waits, Wake,
};
use crate::logic::{Event, Master, Members, SubscriptionId};

pub enum Listener {
    Role(Arc<CandidateStatus>, Box<dyn FnMut(&Event) + Send>),
    Master(Box<dyn FnMut(&Master) + Send>),
    Members(Box<dyn FnMut(&Members) + Send>),
    Connection(Box<dyn FnMut(&Connection) + Send>),
}

#[derive(Default)]
struct Listeners {
    by_id: BTreeMap<SubscriptionId, Listener>,
    /// Every listener gets its last event, and none can be added.
    are_closed: bool,
}

/// How much of the inbox the listeners have received.
#[derive(Default)]
struct Progress {
    /// The last mark that was passed in the inbox.
    mark: u64,
    /// Every listener has had its last event and is dropped.
    is_done: bool,
}

pub struct Callbacks {
    listeners: Mutex<Listeners>,
    progress: Mutex<Progress>,
    /// A thread takes the inbox out while it calls the listeners.
    inbox: Mutex<Option<Reader>>,
    put_back: Condvar,
    /// The last notification was taken out: nothing more comes.
    is_over: AtomicBool,
    /// The thread that calls the listeners now.
    reporter: Mutex<Option<ThreadId>>,
    /// Signalled for each notification if the program dispatches. Dropped at the end, because a caller that looked the
    /// handle up may keep the handle itself for longer.
    wake: Mutex<Option<Arc<Wake>>>,
    waits: Arc<Waits>,
    diagnostics: Arc<Diagnostics>,
}

impl Callbacks {
    pub fn new(
        inbox: Reader,
        wake: Option<Arc<Wake>>,
        waits: Arc<Waits>,
        diagnostics: Arc<Diagnostics>,
    ) -> Callbacks {
        Callbacks {
            listeners: Mutex::default(),
            progress: Mutex::default(),
            inbox: Mutex::new(Some(inbox)),
            put_back: Condvar::new(),
            is_over: AtomicBool::new(false),
            reporter: Mutex::default(),
            wake: Mutex::new(wake),
            waits,
            diagnostics,
        }
    }

    /// Makes a listener and adds it. An added listener gets the end of the session, whenever that comes. If all
    /// listeners have already had their last event, this fails and makes no listener.
    pub fn add(&self, id: SubscriptionId, listener: impl FnOnce() -> Result<Listener, Error>) -> Result<(), Error> {
        let mut listeners = lock(&self.listeners);
        if listeners.are_closed {
            return Err(Error::Internal);
        }
        listeners.by_id.insert(id, listener()?);
        Ok(())
    }

    /// The thread that calls the listeners now.
    pub fn reporter(&self) -> Option<ThreadId> {
        *lock(&self.reporter)
    }

    /// Whether this thread is inside a callback.
    pub fn is_current_thread(&self) -> bool {
        self.reporter() == Some(thread::current().id())
    }

    /// What tells a program that dispatches that callbacks wait.
    pub fn wake(&self) -> Option<Arc<Wake>> {
        lock(&self.wake).clone()
    }

    /// Calls the listeners, with `mask` as their signal mask, until the session has no more notifications. With a
    /// `Wake`, the program calls `dispatch` instead.
    pub fn serve(&self, mask: &SignalMask) {
        let Some(inbox) = lock(&self.inbox).take() else { return };
        *lock(&self.reporter) = Some(thread::current().id());
        loop {
            let note = inbox.next();
            if !mask.during(|| self.pass_on(note)) {
                break;
            }
        }
        mask.during(|| self.finish_all());
        *lock(&self.reporter) = None;
    }

    /// Calls the listeners with the notifications that wait. If none waits, waits for one, up to `timeout`. Returns how
    /// many notifications were passed on; 0 at once if another thread dispatches, and if the session has ended. Returns
    /// `None` if there was no notification and the wait was interrupted, or would have been.
    pub fn dispatch(&self, timeout: Duration) -> Option<usize> {
        let Some(inbox) = self.take_inbox(lock(&self.inbox)) else { return Some(0) };
        failpoint!("dispatch");
        self.waits.turn();
        let told = self.drain(&inbox);
        if told > 0 || timeout.is_zero() {
            return Some(told);
        }
        let told = self.waits.wait(Heeds::All, timeout, || {
            let told = self.drain(&inbox);
            (told > 0 || self.is_over.load(Ordering::Relaxed)).then_some(told)
        });
        match told {
            Ok(told) => Some(told),
            Err(Unready::TooLong) => Some(0),
            Err(Unready::Interrupted) => None,
        }
    }

    /// Waits until `mark` has been passed, and so everything that was in the inbox before it, or until every listener
    /// has had its last event. If the program dispatches, this calls the listeners meanwhile.
    pub fn wait_for(&self, mark: u64, timeout: Duration) -> Result<(), Unready> {
        let has_come = || {
            let progress = lock(&self.progress);
            (progress.mark >= mark || progress.is_done).then_some(())
        };
        self.waits.wait(Heeds::New, timeout, || {
            if has_come().is_none() && self.wake().is_some() {
                if let Some(inbox) = self.take_inbox(lock(&self.inbox)) {
                    self.drain(&inbox);
                }
            }
            has_come()
        })
    }

    /// Calls the listeners with the last notifications, after the session has ended. Waits for a thread that
    /// dispatches.
    pub fn finish(&self) {
        let there = self.put_back.wait_while(lock(&self.inbox), |inbox| inbox.is_none());
        let taken = self.take_inbox(there.unwrap_or_else(PoisonError::into_inner));
        if let Some(inbox) = taken {
            self.drain(&inbox);
        }
        drop(lock(&self.wake).take());
    }

    fn take_inbox(&self, mut inbox: MutexGuard<'_, Option<Reader>>) -> Option<TakenInbox<'_>> {
        inbox.take().map(|inbox| TakenInbox { callbacks: self, inbox: Some(inbox) })
    }

    fn drain(&self, inbox: &TakenInbox<'_>) -> usize {
        // Cleared first, so that a later notification signals it again.
        if let Some(wake) = self.wake() {
            wake.clear();
        }
        *lock(&self.reporter) = Some(thread::current().id());
        let mut told = 0;
        while let Some(note) = inbox.next() {
            told += 1;
            // The thread that takes the inbox next reads this, under the lock of the inbox.
            self.is_over.fetch_or(matches!(note, Notification::End), Ordering::Relaxed);
            if !self.pass_on(note) {
                self.finish_all();
            }
        }
        *lock(&self.reporter) = None;
        told
    }

    /// Returns false after the last notification. A panic in this loses only this notification.
    fn pass_on(&self, note: Notification) -> bool {
        quietly(|| self.try_to_pass_on(note)).unwrap_or(true)
    }

    fn try_to_pass_on(&self, note: Notification) -> bool {
        failpoint!("note");
        match note {
            Notification::Role(id, event) => self.tell(id, |listener| {
                if let Listener::Role(_, on_role) = listener {
                    on_role(&event);
                }
            }),
            Notification::Master(id, master) => self.tell(id, |listener| {
                if let Listener::Master(on_master) = listener {
                    on_master(&master);
                }
            }),
            Notification::Members(id, members) => self.tell(id, |listener| {
                if let Listener::Members(on_members) = listener {
                    on_members(&members);
                }
            }),
            Notification::Connection(id, connection) => self.tell(id, |listener| {
                if let Listener::Connection(on_connection) = listener {
                    on_connection(&connection);
                }
            }),
            Notification::Finished(id) => drop(self.take(id)),
            Notification::Mark(mark) => self.progress(|progress| progress.mark = mark),
            Notification::End => return false,
        }
        true
    }

    fn progress(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut lock(&self.progress));
        self.waits.wake();
    }

    /// Ends the listeners that are left. The session did not know them: it failed before it received their commands.
    fn finish_all(&self) {
        lock(&self.listeners).are_closed = true;
        while let Some((_, mut listener)) = { lock(&self.listeners).by_id.pop_first() } {
            let _ = quietly(|| match &mut listener {
                Listener::Role(status, on_role) => on_role(&status.fail()),
                Listener::Master(on_master) => on_master(&failed_master()),
                Listener::Members(on_members) => on_members(&failed_members()),
                Listener::Connection(on_connection) => on_connection(&failed_connection()),
            });
            let _ = quietly(|| drop(listener));
        }
        self.progress(|progress| progress.is_done = true);
    }

    fn tell(&self, id: SubscriptionId, call: impl FnOnce(&mut Listener)) {
        if let Some(mut listener) = self.take(id) {
            // If a listener of a Rust program panics, the other listeners still get their events. If the clock panics,
            // the listener must not be lost either.
            let began = quietly(Instant::now);
            let _ = quietly(|| call(&mut listener));
            self.put(id, listener);
            self.diagnostics.tally.one(Count::CallbacksRun);
            if let Ok(began) = began {
                self.diagnostics.tally.longest(Count::CallbackLongestUs, began.elapsed());
            }
        }
    }

    fn take(&self, id: SubscriptionId) -> Option<Listener> {
        lock(&self.listeners).by_id.remove(&id)
    }

    fn put(&self, id: SubscriptionId, listener: Listener) {
        lock(&self.listeners).by_id.insert(id, listener);
    }
}

/// The inbox while a thread calls the listeners. It is put back when the thread is done, also after a panic.
struct TakenInbox<'a> {
    callbacks: &'a Callbacks,
    inbox: Option<Reader>,
}

impl TakenInbox<'_> {
    fn next(&self) -> Option<Notification> {
        self.inbox.as_ref()?.try_next()
    }
}

impl Drop for TakenInbox<'_> {
    fn drop(&mut self) {
        *lock(&self.callbacks.inbox) = self.inbox.take();
        self.callbacks.put_back.notify_all();
        self.callbacks.waits.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::driver::fork::Process;
    use crate::driver::log::LogContext;
    use crate::driver::Inbox;

    fn callbacks(inbox: Reader) -> Callbacks {
        let waits = Arc::new(Waits::new(1, Process::current().expect("this process"), None));
        Callbacks::new(
            inbox,
            Some(Arc::new(Wake::default())),
            waits,
            Arc::new(Diagnostics::new(LogContext::new(1))),
        )
    }

    /// A thread was about to dispatch when the handle was closed.
    #[test]
    fn nobody_waits_after_the_end() {
        let (inbox, reader) = Inbox::new();
        let callbacks = callbacks(reader);
        inbox.put(Notification::End);
        assert_eq!(callbacks.dispatch(Duration::ZERO), Some(1));
        let from = Instant::now();
        assert_eq!(callbacks.dispatch(Duration::from_secs(30)), Some(0));
        assert!(from.elapsed() < Duration::from_secs(20));
    }

    /// Whether the listener came before the end or was refused because it came after: it is never one that hears nothing.
    #[test]
    fn a_listener_added_while_the_session_fails_hears_its_last_event_or_is_refused() {
        struct Dropped(mpsc::Sender<&'static str>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                let _ = self.0.send("dropped");
            }
        }
        let (mut heard_by, mut refused) = (0, 0);
        for round in 0..400_u64 {
            let (inbox, reader) = Inbox::new();
            let callbacks = callbacks(reader);
            let add = |id| {
                let (tell, told) = mpsc::channel();
                let (is_made, last) = (tell.clone(), Dropped(tell));
                let added = callbacks.add(SubscriptionId(id), || {
                    let _ = is_made.send("made");
                    Ok(Listener::Master(Box::new(move |_| last.0.send("told").unwrap_or_default())))
                });
                (added, told)
            };
            let go = std::sync::Barrier::new(2);
            let mut all = thread::scope(|scope| {
                scope.spawn(|| {
                    go.wait();
                    inbox.put(Notification::End);
                    // The one thread that the handle has, and the program that dispatches.
                    match round % 2 {
                        0 => callbacks.serve(&SignalMask::of_this_thread()),
                        _ => drop(callbacks.dispatch(Duration::ZERO)),
                    }
                });
                let early: Vec<_> = (0..round % 10).map(add).collect();
                go.wait();
                early.into_iter().chain((round % 10..20).map(add)).collect::<Vec<_>>()
            });
            all.push(add(20));
            for (added, told) in all {
                let heard: Vec<_> = told.try_iter().collect();
                match added {
                    Ok(()) => {
                        assert_eq!(heard, ["made", "told", "dropped"]);
                        heard_by += 1;
                    }
                    Err(error) => {
                        assert_eq!(error, Error::Internal);
                        assert_eq!(heard, ["dropped"], "no listener was made");
                        refused += 1;
                    }
                }
            }
        }
        assert!(heard_by > 0 && refused > 0, "both have been seen: {heard_by}, {refused}");
    }

    #[test]
    fn what_concerns_nobody_ends_no_wait() {
        let (_inbox, reader) = Inbox::new();
        let callbacks = callbacks(reader);
        let waits = callbacks.waits.clone();
        let ringer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(10));
            waits.wake();
        });
        let from = Instant::now();
        assert_eq!(callbacks.dispatch(Duration::from_millis(50)), Some(0));
        assert!(from.elapsed() >= Duration::from_millis(50));
        assert!(ringer.join().is_ok());
    }
}
