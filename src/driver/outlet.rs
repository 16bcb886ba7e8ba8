//! Where a session's results come out: what `is_master` reads at any time, and the notes for the callbacks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::Arc;

use crate::core::{rc, Event, Master, PartyId, Reason, Role, Stat, Value};

/// A candidate's place, as those who ask see it: never waits, takes no lock.
#[derive(Debug, Default)]
pub struct Seat {
    /// The token of our mastership; 0 when we are not master. A czxid is never 0: the root has that one.
    token: AtomicI64,
}

impl Seat {
    pub fn is_master(&self) -> bool {
        self.token.load(Ordering::Acquire) != 0
    }

    fn publish(&self, event: &Event) {
        let token = if event.role == Role::Master { event.token } else { 0 };
        self.token.store(token, Ordering::Release);
    }
}

/// What the callback thread is told.
#[derive(Debug)]
pub enum Note {
    Role(PartyId, Event),
    Master(PartyId, Master),
    /// Nothing more will be told to this party.
    Dismiss(PartyId),
    /// Nothing more will be told to anybody.
    End,
}

/// A session's way out. Whoever has not been dismissed when it is dropped hears that the library failed.
#[derive(Debug)]
pub struct Outlet {
    notes: Sender<Note>,
    /// Who is there to be told; candidates with their seat.
    parties: BTreeMap<PartyId, Option<Arc<Seat>>>,
}

impl Outlet {
    pub fn new(notes: Sender<Note>) -> Outlet {
        Outlet { notes, parties: BTreeMap::new() }
    }

    pub fn add_candidate(&mut self, id: PartyId, seat: Arc<Seat>) {
        self.parties.insert(id, Some(seat));
    }

    pub fn add_observer(&mut self, id: PartyId) {
        self.parties.insert(id, None);
    }

    /// The seat is published first: whoever hears of a role finds `is_master` to agree.
    pub fn role(&mut self, id: PartyId, event: Event) {
        if let Some(Some(seat)) = self.parties.get(&id) {
            seat.publish(&event);
        }
        self.note(Note::Role(id, event));
    }

    pub fn master(&mut self, id: PartyId, master: Master) {
        self.note(Note::Master(id, master));
    }

    pub fn dismiss(&mut self, id: PartyId) {
        self.parties.remove(&id);
        self.note(Note::Dismiss(id));
    }

    fn note(&self, note: Note) {
        // The callback thread is there for as long as the handle; afterwards nobody listens.
        let _ = self.notes.send(note);
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        for (id, seat) in std::mem::take(&mut self.parties) {
            if seat.is_some() {
                let (role, reason, rc) = (Role::Unknown, Reason::Failed, rc::INTERNAL);
                let event = Event { role, reason, rc, value: Value::from([]), token: 0 };
                seat.iter().for_each(|seat| seat.publish(&event));
                self.note(Note::Role(id, event));
            } else {
                let master = Master { rc: rc::INTERNAL, value: Value::from([]), stat: Stat::default() };
                self.note(Note::Master(id, master));
            }
            self.note(Note::Dismiss(id));
        }
        self.note(Note::End);
    }
}
