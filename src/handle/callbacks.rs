//! The callbacks of one handle: who listens, and the thread that tells them, one at a time and in order. No lock
//! is held while a listener runs.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

use crate::core::{Event, Master, PartyId};
use crate::driver::Note;

pub enum Listener {
    Role(Box<dyn FnMut(&Event) + Send>),
    Master(Box<dyn FnMut(&Master) + Send>),
}

#[derive(Default)]
pub struct Callbacks {
    listeners: Mutex<BTreeMap<PartyId, Listener>>,
    thread: OnceLock<ThreadId>,
}

impl Callbacks {
    /// Makes a listener and lets it listen.
    pub fn add(&self, id: PartyId, listener: impl FnOnce() -> Listener) {
        self.put(id, listener());
    }

    /// Whether this is the thread that runs the callbacks.
    pub fn is_current_thread(&self) -> bool {
        self.thread.get() == Some(&thread::current().id())
    }

    /// Runs the callbacks until the session has nothing more to say.
    pub fn serve(&self, inbox: Receiver<Note>) {
        self.thread.get_or_init(|| thread::current().id());
        for note in inbox {
            match note {
                Note::Role(id, event) => self.tell(id, |listener| match listener {
                    Listener::Role(on_role) => on_role(&event),
                    Listener::Master(_) => {}
                }),
                Note::Master(id, master) => self.tell(id, |listener| match listener {
                    Listener::Master(on_master) => on_master(&master),
                    Listener::Role(_) => {}
                }),
                Note::Dismiss(id) => drop(self.take(id)),
                Note::End => break,
            }
        }
        // Whoever still listens came too late to be told anything.
        while let Some((_, listener)) = self.lock().pop_first() {
            drop(listener);
        }
    }

    fn tell(&self, id: PartyId, call: impl FnOnce(&mut Listener)) {
        if let Some(mut listener) = self.take(id) {
            call(&mut listener);
            self.put(id, listener);
        }
    }

    fn take(&self, id: PartyId) -> Option<Listener> {
        self.lock().remove(&id)
    }

    fn put(&self, id: PartyId, listener: Listener) {
        self.lock().insert(id, listener);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PartyId, Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
