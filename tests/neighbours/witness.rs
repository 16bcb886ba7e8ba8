//! Looks at the queue all the time, and writes down which znode stood there from when to when.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use testkit::RawClient;

use crate::believer::now;

const PAUSE: Duration = Duration::from_millis(4);
const TIMEOUT_MS: i32 = 20_000;

/// A znode in the queue. Stamps are nanoseconds on CLOCK_MONOTONIC.
#[derive(Clone, Debug)]
pub struct Life {
    pub name: String,
    pub number: i64,
    /// The session that it belongs to, and its value; not known if it went too soon.
    pub owner: i64,
    pub value: String,
    /// It did not stand before this,
    pub absent_until: i64,
    /// stood from here
    pub seen_from: i64,
    /// to here,
    pub seen_until: i64,
    /// and not any more after this.
    pub gone: Option<i64>,
}

impl Life {
    /// Whether it stood, for certain, between these two.
    pub fn certainly(&self, from: i64, to: i64) -> bool {
        self.seen_from <= from && to <= self.seen_until
    }

    /// Whether it may have stood at some time between these two.
    pub fn possibly(&self, from: i64, to: i64) -> bool {
        self.absent_until <= to && self.gone.is_none_or(|gone| from <= gone)
    }
}

pub struct Witness {
    lives: Arc<Mutex<Vec<Life>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn lock(lives: &Mutex<Vec<Life>>) -> MutexGuard<'_, Vec<Life>> {
    lives.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness {
    /// Watches the children of `path`, which is there.
    pub fn start(host: &str, path: &str) -> Witness {
        let children = {
            let path = path.to_owned();
            move |client: &mut RawClient| client.children(&path)
        };
        let path = path.to_owned();
        Witness::watch(host, children, move |name| format!("{path}/{name}"))
    }

    /// Watches the znode at `path` itself: each that is created there has its czxid for a number.
    pub fn start_node(host: &str, path: &str) -> Witness {
        let znode = {
            let path = path.to_owned();
            move |client: &mut RawClient| {
                Ok(client.get(&path)?.map(|znode| format!("{:010}", znode.czxid)).into_iter().collect())
            }
        };
        let path = path.to_owned();
        Witness::watch(host, znode, move |_| path.clone())
    }

    fn watch(
        host: &str,
        list: impl Fn(&mut RawClient) -> io::Result<Vec<String>> + Send + 'static,
        path: impl Fn(&str) -> String + Send + 'static,
    ) -> Witness {
        let mut client = RawClient::connect(host, TIMEOUT_MS).expect("a session");
        let lives = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (seen, over) = (Arc::clone(&lives), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let mut before_last = now();
            while !over.load(Ordering::Relaxed) {
                let before = now();
                let names: HashSet<String> = list(&mut client).expect("the server answers").into_iter().collect();
                look(&mut client, &path, &seen, names, [before_last, before, now()]);
                before_last = before;
                std::thread::sleep(PAUSE);
            }
            client.close_session().expect("the server answers");
        });
        Witness { lives, is_over, thread: Some(thread) }
    }

    /// Everybody who ever stood there.
    pub fn lives(&self) -> Vec<Life> {
        lock(&self.lives).clone()
    }

    /// Those who stood there when it looked last, in order.
    pub fn queue(&self) -> Vec<Life> {
        let mut queue: Vec<Life> = lock(&self.lives).iter().filter(|life| life.gone.is_none()).cloned().collect();
        queue.sort_by_key(|life| life.number);
        queue
    }

    /// Looks no more, and tells all.
    pub fn finish(mut self) -> Vec<Life> {
        self.end().expect("it looked all the time");
        self.lives()
    }

    fn end(&mut self) -> std::thread::Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn look(
    client: &mut RawClient,
    path: &impl Fn(&str) -> String,
    lives: &Mutex<Vec<Life>>,
    mut names: HashSet<String>,
    [before_last, before, after]: [i64; 3],
) {
    for life in lock(lives).iter_mut().filter(|life| life.gone.is_none()) {
        match names.remove(&life.name) {
            true => life.seen_until = before,
            false => life.gone = Some(after),
        }
    }
    for name in names {
        let Some(number) = number(&name) else { continue };
        let znode = client.get(&path(&name)).expect("the server answers");
        let (owner, value) = znode
            .map_or((0, String::new()), |znode| (znode.owner, String::from_utf8_lossy(&znode.value).into_owned()));
        let life = Life {
            name,
            number,
            owner,
            value,
            absent_until: before_last,
            seen_from: after,
            seen_until: before,
            gone: None,
        };
        lock(lives).push(life);
    }
}

fn number(name: &str) -> Option<i64> {
    name.get(name.len().checked_sub(10)?..)?.parse().ok()
}
