//! Candidates whose callbacks record when they ran.

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;

use election::{Event, Handle, Options, Role};

use crate::raw;
use crate::{Result, PATIENCE};

/// One report to a candidate, and when its callback ran.
pub struct Told {
    pub who: usize,
    pub at: Instant,
    pub event: Event,
}

/// One inbox for the callbacks of many candidates.
pub struct Inbox {
    sender: Sender<Told>,
    receiver: Receiver<Told>,
}

impl Inbox {
    pub fn new() -> Inbox {
        let (sender, receiver) = mpsc::channel();
        Inbox { sender, receiver }
    }

    /// Opens a session with the default options.
    pub fn open(hosts: &[String]) -> Result<Handle> {
        Inbox::open_with(hosts, &Options::default())
    }

    pub fn open_with(hosts: &[String], options: &Options) -> Result<Handle> {
        Ok(Handle::open(&hosts.join(","), options)?)
    }

    pub fn stand(&self, election: &Handle, path: &str, who: usize) -> Result<()> {
        let sender = self.sender.clone();
        election.go_to_election(path, raw::VALUE, move |event| {
            let at = Instant::now();
            // The benchmark may be over and no longer listen.
            let _ = sender.send(Told { who, at, event: event.clone() });
        })?;
        Ok(())
    }

    /// Waits until a candidate gets a report for which `is_it` is true. Other reports meanwhile are skipped.
    pub fn wait_for(&self, what: &str, mut is_it: impl FnMut(&Told) -> bool) -> Result<Told> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(told) if is_it(&told) => return Ok(told),
                Ok(_) => {}
                Err(_) => return Err(format!("not within {PATIENCE:?}: {what}").into()),
            }
        }
    }

    pub fn wait_for_master(&self) -> Result<Told> {
        self.wait_for("somebody is master", |told| told.event.role == Role::Master)
    }
}
