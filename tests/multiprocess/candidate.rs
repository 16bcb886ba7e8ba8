//! A candidate in this process, through the Rust API: what it heard, and when.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use election::{Event, Handle, Options, Reason, Recipe, Role};
use testkit::{eventually, wait_until, RawClient};

use crate::SOON;

pub struct Candidate {
    pub handle: Handle,
    path: String,
    heard: Arc<Mutex<Vec<(Instant, Event)>>>,
}

pub fn options(session_timeout_ms: u64, recipe: Recipe) -> Options {
    let mut options = Options::default();
    options.set_session_timeout(Duration::from_millis(session_timeout_ms)).expect("a time in range");
    options.set_recipe(recipe);
    options
}

/// The child of `path` with the lowest number: whoever made it leads.
pub fn first_in_queue(witness: &mut RawClient, path: &str) -> String {
    let names = witness.children(path).expect("an answer");
    names.into_iter().min_by_key(|name| name[name.len() - 10..].to_owned()).expect("somebody in the queue")
}

impl Candidate {
    /// Opens a handle and stands at `path`.
    pub fn stand(hosts: &str, path: &str, value: &str, options: &Options) -> Candidate {
        let handle = Handle::open(hosts, options).expect("a handle");
        let candidate = Candidate { handle, path: path.to_owned(), heard: Arc::default() };
        let heard = Arc::clone(&candidate.heard);
        candidate
            .handle
            .go_to_election(path, value.as_bytes(), move |event| {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), event.clone()));
            })
            .expect("a place at the path");
        candidate
    }

    pub fn heard(&self) -> Vec<(Instant, Event)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it was told last.
    pub fn reason(&self) -> Option<Reason> {
        self.heard().last().map(|(_, event)| event.reason)
    }

    pub fn is_master(&self) -> bool {
        self.handle.is_master(&self.path)
    }

    /// Waits until it may believe, and returns the token.
    #[track_caller]
    pub fn wait_master(&self) -> i64 {
        let mut token = None;
        wait_until(SOON, || {
            token = self.handle.lease(&self.path).map(|mastership| mastership.token);
            token.is_some()
        });
        token.unwrap_or_else(|| panic!("not master: {:?}", self.heard()))
    }

    #[track_caller]
    pub fn wait_reason(&self, reason: Reason) {
        eventually(SOON, &format!("{reason:?}"), || self.reason() == Some(reason));
    }

    /// Whether it ever was told to be master.
    pub fn was_master(&self) -> bool {
        self.heard().iter().any(|(_, event)| event.role == Role::Master)
    }
}
