//! The callbacks of one handle: who listens, and how they are told, one at a time and in order: by a thread of
//! the handle's own, or by the program when it calls `dispatch`. No lock is held while a listener runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::core::{Event, Master, Members, PartyId};
use crate::driver::thread::quietly;
use crate::driver::{
    failed_connection, failed_master, failed_members, rehearsal, Bell, Connection, Count, Inside, Note, Seat,
};

pub enum Listener {
    Role(Arc<Seat>, Box<dyn FnMut(&Event) + Send>),
    Master(Box<dyn FnMut(&Master) + Send>),
    Members(Box<dyn FnMut(&Members) + Send>),
    Connection(Box<dyn FnMut(&Connection) + Send>),
}

pub struct Callbacks {
    listeners: Mutex<BTreeMap<PartyId, Listener>>,
    /// Taken out by whoever tells the listeners, while it does.
    inbox: Mutex<Option<Receiver<Note>>>,
    put_back: Condvar,
    /// The last note was fetched: there is nothing to wait for any more.
    is_over: AtomicBool,
    /// The thread that tells the listeners at this moment.
    teller: Mutex<Option<ThreadId>>,
    /// Rung for each note, when the program dispatches. Given back at the end: the handle itself may be kept for longer
    /// by those who looked for it.
    bell: Mutex<Option<Arc<Bell>>>,
    inside: Arc<Inside>,
}

impl Callbacks {
    pub fn new(inbox: Receiver<Note>, bell: Option<Arc<Bell>>, inside: Arc<Inside>) -> Callbacks {
        Callbacks {
            listeners: Mutex::default(),
            inbox: Mutex::new(Some(inbox)),
            put_back: Condvar::new(),
            is_over: AtomicBool::new(false),
            teller: Mutex::default(),
            bell: Mutex::new(bell),
            inside,
        }
    }

    /// Makes a listener and lets it listen.
    pub fn add(&self, id: PartyId, listener: impl FnOnce() -> Listener) {
        self.put(id, listener());
    }

    /// Whether this thread is inside a callback.
    pub fn is_current_thread(&self) -> bool {
        *lock(&self.teller) == Some(thread::current().id())
    }

    /// The descriptor to wait at, when the program dispatches.
    pub fn bell(&self) -> Option<Arc<Bell>> {
        lock(&self.bell).clone()
    }

    /// Tells the listeners until the session has nothing more to say. With a bell, `dispatch` is called instead.
    pub fn serve(&self) {
        let Some(inbox) = lock(&self.inbox).take() else { return };
        *lock(&self.teller) = Some(thread::current().id());
        for note in &inbox {
            if !self.pass_on(note) {
                break;
            }
        }
        self.dismiss_all();
        *lock(&self.teller) = None;
    }

    /// Tells the listeners what there is to tell, having waited for it up to `timeout`. The number of notes that
    /// were passed on; 0 at once when another thread is at it, when the session has ended, and when a signal comes.
    pub fn dispatch(&self, timeout: Duration) -> usize {
        let Some(inbox) = self.take_inbox(lock(&self.inbox)) else { return 0 };
        rehearsal::pass("dispatch");
        let until = Instant::now() + timeout;
        let bell = self.bell();
        let mut told = self.drain(&inbox);
        // The bell may still ring for a note that was fetched before it was rung.
        while let (0, Some(bell)) = (told, &bell) {
            let left = until.saturating_duration_since(Instant::now());
            if self.is_over.load(Ordering::Relaxed) || left.is_zero() || !bell.wait(left) {
                break;
            }
            told = self.drain(&inbox);
        }
        told
    }

    /// Tells the listeners the last there is to tell, after the session has ended: waits for a thread that is
    /// dispatching.
    pub fn finish(&self) {
        let there = self.put_back.wait_while(lock(&self.inbox), |inbox| inbox.is_none());
        let taken = self.take_inbox(there.unwrap_or_else(PoisonError::into_inner));
        if let Some(inbox) = taken {
            self.drain(&inbox);
        }
        drop(lock(&self.bell).take());
    }

    fn take_inbox(&self, mut inbox: MutexGuard<'_, Option<Receiver<Note>>>) -> Option<TakenInbox<'_>> {
        inbox.take().map(|inbox| TakenInbox { callbacks: self, inbox: Some(inbox) })
    }

    fn drain(&self, inbox: &TakenInbox<'_>) -> usize {
        // Silenced first: a note that comes later rings again.
        if let Some(bell) = self.bell() {
            bell.silence();
        }
        *lock(&self.teller) = Some(thread::current().id());
        let mut told = 0;
        while let Some(note) = inbox.next() {
            told += 1;
            // Read by whoever takes the inbox next, under its lock.
            self.is_over.fetch_or(matches!(note, Note::End), Ordering::Relaxed);
            if !self.pass_on(note) {
                self.dismiss_all();
            }
        }
        *lock(&self.teller) = None;
        told
    }

    /// False after the last note. A panic in it costs that note, and nobody any other.
    fn pass_on(&self, note: Note) -> bool {
        quietly(|| self.try_to_pass_on(note)).unwrap_or(true)
    }

    fn try_to_pass_on(&self, note: Note) -> bool {
        rehearsal::pass("note");
        match note {
            Note::Role(id, event) => self.tell(id, |listener| {
                if let Listener::Role(_, on_role) = listener {
                    on_role(&event);
                }
            }),
            Note::Master(id, master) => self.tell(id, |listener| {
                if let Listener::Master(on_master) = listener {
                    on_master(&master);
                }
            }),
            Note::Members(id, members) => self.tell(id, |listener| {
                if let Listener::Members(on_members) = listener {
                    on_members(&members);
                }
            }),
            Note::Connection(id, connection) => self.tell(id, |listener| {
                if let Listener::Connection(on_connection) = listener {
                    on_connection(&connection);
                }
            }),
            Note::Dismiss(id) => drop(self.take(id)),
            Note::End => return false,
        }
        true
    }

    /// The session knew nothing of whoever still listens: it failed before it heard of them.
    fn dismiss_all(&self) {
        while let Some((_, mut listener)) = { lock(&self.listeners).pop_first() } {
            let _ = quietly(|| match &mut listener {
                Listener::Role(seat, on_role) => on_role(&seat.fail()),
                Listener::Master(on_master) => on_master(&failed_master()),
                Listener::Members(on_members) => on_members(&failed_members()),
                Listener::Connection(on_connection) => on_connection(&failed_connection()),
            });
            let _ = quietly(|| drop(listener));
        }
    }

    fn tell(&self, id: PartyId, call: impl FnOnce(&mut Listener)) {
        if let Some(mut listener) = self.take(id) {
            // A panic in a listener of a Rust program is its own affair; the others are told all the same.
            // Nor must a clock that fails cost anybody a listener.
            let began = quietly(Instant::now);
            let _ = quietly(|| call(&mut listener));
            self.put(id, listener);
            self.inside.tally.one(Count::CallbacksRun);
            if let Ok(began) = began {
                self.inside.tally.longest(Count::CallbackLongestUs, began.elapsed());
            }
        }
    }

    fn take(&self, id: PartyId) -> Option<Listener> {
        lock(&self.listeners).remove(&id)
    }

    fn put(&self, id: PartyId, listener: Listener) {
        lock(&self.listeners).insert(id, listener);
    }
}

/// The inbox in the hands of a thread that tells the listeners; put back when that is over, after a panic, too.
struct TakenInbox<'a> {
    callbacks: &'a Callbacks,
    inbox: Option<Receiver<Note>>,
}

impl TakenInbox<'_> {
    fn next(&self) -> Option<Note> {
        self.inbox.as_ref()?.try_recv().ok()
    }
}

impl Drop for TakenInbox<'_> {
    fn drop(&mut self) {
        *lock(&self.callbacks.inbox) = self.inbox.take();
        self.callbacks.put_back.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::driver::log::Place;

    /// Whoever was about to dispatch when the handle was closed.
    #[test]
    fn nobody_waits_after_the_end() {
        let (notes, inbox) = mpsc::channel();
        let bell = Arc::new(Bell::new().expect("a descriptor"));
        let callbacks = Callbacks::new(inbox, Some(bell), Arc::new(Inside::new(Place::new(1))));
        notes.send(Note::End).expect("it is received");
        assert_eq!(callbacks.dispatch(Duration::ZERO), 1);
        let from = Instant::now();
        assert_eq!(callbacks.dispatch(Duration::from_secs(30)), 0);
        assert!(from.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_bell_that_rings_for_nothing_ends_no_wait() {
        let (_notes, inbox) = mpsc::channel();
        let bell = Arc::new(Bell::new().expect("a descriptor"));
        let inside = Arc::new(Inside::new(Place::new(1)));
        let callbacks = Callbacks::new(inbox, Some(bell.clone()), inside);
        let ringer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(10));
            bell.ring();
        });
        let from = Instant::now();
        assert_eq!(callbacks.dispatch(Duration::from_millis(50)), 0);
        assert!(from.elapsed() >= Duration::from_millis(50));
        assert!(ringer.join().is_ok());
    }
}
