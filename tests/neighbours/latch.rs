//! A member by the LeaderLatch of the Rust crate `zookeeper`, in a process of its own: this very test program, run once more,
//! where one test turns into the member. It writes and is told what `theirs/Member.java` says, but for its session.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, Write};
use std::sync::mpsc::{channel, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zookeeper::recipes::leader::LeaderLatch;
use zookeeper::{ZkState, ZooKeeper};

use crate::believer::now;

pub const VARIABLE: &str = "NEIGHBOURS_MEMBER";

enum Order {
    Resign,
    Close,
    /// The crate goes on with a new session when the old one has expired, and its latch, whose znode has gone, is not told.
    Look,
    /// The client has ended; what belongs to it is of no use any more.
    Renew,
}

/// Turns into the member if this process was started to be one.
pub fn is_member() -> bool {
    let Ok(told) = std::env::var(VARIABLE) else { return false };
    let words: Vec<&str> = told.split(' ').collect();
    let [hosts, path, value, log, timeout_ms] = words[..] else { panic!("{told}") };
    let timeout = Duration::from_millis(timeout_ms.parse().expect("a number"));
    let log = OpenOptions::new().append(true).open(log).expect("a log");
    let (orders, inbox) = channel();
    let from_stdin = orders.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let order = if line == "resign" { Order::Resign } else { Order::Close };
            from_stdin.send(order).expect("it is listened to");
        }
        std::process::exit(0);
    });
    let latch: Arc<Mutex<Option<LeaderLatch>>> = Arc::default();
    let asked = Arc::clone(&latch);
    let asking = log.try_clone().expect("a log");
    std::thread::spawn(move || ask_for_ever(asking, &asked));
    let set = |new| *latch.lock().unwrap_or_else(PoisonError::into_inner) = new;
    let join = |zookeeper: &Arc<ZooKeeper>| {
        let new = LeaderLatch::new(Arc::clone(zookeeper), value.to_owned(), path.to_owned());
        set(Some(new.clone()));
        new.start().expect("it joins");
        new
    };
    let mut zookeeper = connect(hosts, timeout, &orders);
    let mut mine = join(&zookeeper);
    for order in inbox {
        match order {
            Order::Resign => {
                mine.stop().expect("it leaves");
                mine = join(&zookeeper);
            }
            Order::Look => {
                let znode = mine.path().expect("it has joined");
                if matches!(zookeeper.exists(&znode, false), Ok(None)) {
                    mine.stop().expect("it leaves");
                    mine = join(&zookeeper);
                }
            }
            Order::Renew => {
                set(None);
                // Dropped, it would close a session that is gone, and wait for an answer.
                std::mem::forget(std::mem::replace(&mut zookeeper, connect(hosts, timeout, &orders)));
                mine = join(&zookeeper);
            }
            Order::Close => {
                mine.stop().expect("it leaves");
                let _ = zookeeper.close();
                writeln!(&log, "E {} 0", now()).expect("a log");
                std::process::exit(0);
            }
        }
    }
    true
}

fn connect(hosts: &str, timeout: Duration, orders: &Sender<Order>) -> Arc<ZooKeeper> {
    let orders = Mutex::new(orders.clone());
    let zookeeper = ZooKeeper::connect(hosts, timeout, |_| {}).expect("a session");
    zookeeper.add_listener(move |state| {
        let order = match state {
            ZkState::Closed => Order::Renew,
            ZkState::Connected => Order::Look,
            _ => return,
        };
        let _ = orders.lock().unwrap_or_else(PoisonError::into_inner).send(order);
    });
    Arc::new(zookeeper)
}

fn ask_for_ever(log: File, latch: &Mutex<Option<LeaderLatch>>) {
    let mut believed = false;
    loop {
        let before = now();
        let believes =
            latch.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(LeaderLatch::has_leadership);
        let after = now();
        // In one write each.
        let line = match (believes, believed) {
            (true, _) => format!("Y {before} {after} {before} 0 0\n"),
            (false, true) => format!("N {before} {after}\n"),
            (false, false) => String::new(),
        };
        (&log).write_all(line.as_bytes()).expect("a log");
        believed = believes;
        std::thread::sleep(Duration::from_millis(1));
    }
}
