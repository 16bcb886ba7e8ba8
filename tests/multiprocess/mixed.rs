//! One queue with members of other implementations: their znodes count, ours count for them, and whoever does not fit is
//! reported before anybody of ours becomes master.

use std::time::{Duration, Instant};

use election::{Dialect, Reason, Recipe};
use testkit::{eventually, Ensemble, RawClient};

use crate::candidate::{first_in_queue, options, Candidate};
use crate::{witness, SOON, WITNESS_TIMEOUT_MS};

const EPHEMERAL_SEQUENTIAL: i32 = 3;
const NAMES: [(Dialect, &str); 6] = [
    (Dialect::CuratorLatch, "_c_6ad4a3b1-0c5c-4f6c-9d3a-1f6c2ab5d001-latch-"),
    (Dialect::CuratorLock, "_c_6ad4a3b1-0c5c-4f6c-9d3a-1f6c2ab5d001-lock-"),
    (Dialect::Kazoo, "6ad4a3b10c5c4f6c9d3a1f6c2ab5d001__lock__"),
    (Dialect::LeaderElectionSupport, "n_"),
    (Dialect::Seed, "w-"),
    (Dialect::WriteLock, "x-6ad4a3b10c5c4f6c9d3a1f6c2ab5d001-"),
];

/// Has somebody else join the queue by hand.
fn join(client: &mut RawClient, path: &str, name: &str) {
    let reply = client.create(&format!("{path}/{name}"), b"other", EPHEMERAL_SEQUENTIAL).expect("an answer");
    assert_eq!(reply.err, 0);
}

fn is_theirs(names: &[String], name: &str) -> Vec<bool> {
    let mut names = names.to_vec();
    names.sort_by_key(|name| name[name.len() - 10..].to_owned());
    names.iter().map(|found| found.starts_with(name)).collect()
}

#[test]
fn others_of_the_same_dialect_and_ours_are_one_queue() {
    let ensemble = Ensemble::builder(1).max_session_timeout_ms(WITNESS_TIMEOUT_MS).start();
    let mut watcher = witness(&ensemble, 0);
    for (dialect, name) in NAMES {
        let path = format!("/one-queue-{dialect:?}");
        assert_eq!(watcher.create(&path, b"", 0).expect("an answer").err, 0);
        let options = options(20_000, Recipe::Queue(dialect));
        let mut former = witness(&ensemble, 0);
        join(&mut former, &path, name);
        let ours = Candidate::stand(&ensemble.hosts(), &path, "ours", &options);
        ours.wait_reason(Reason::Following);
        let mut latter = witness(&ensemble, 0);
        join(&mut latter, &path, name);
        let names = watcher.children(&path).expect("an answer");
        let has_guid = !matches!(dialect, Dialect::LeaderElectionSupport | Dialect::Seed);
        if has_guid {
            assert_eq!(is_theirs(&names, &name[..20]), [true, false, true], "{names:?}");
        }
        let mark = name.rsplit(|c: char| c.is_ascii_hexdigit()).next().expect("a mark");
        let mark = if has_guid { mark } else { name };
        for found in &names {
            let (before, number) = found.split_at(found.len() - 10);
            assert!(before.ends_with(mark) && number.parse::<i32>().is_ok(), "{found} is not named so");
            assert_eq!(before.len(), name.len(), "{found} is named as the others are");
        }
        assert!(!ours.is_master());
        former.close_session().expect("an answer");
        ours.wait_master();
        // The one behind sees ours before itself, and itself first when ours has gone.
        let value = |watcher: &mut RawClient| {
            let first = first_in_queue(watcher, &path);
            watcher.get(&format!("{path}/{first}")).expect("an answer").expect("a znode").value
        };
        assert_eq!(value(&mut watcher), b"ours");
        ours.handle.close().expect("the server is there");
        assert_eq!(value(&mut watcher), b"other");
        latter.close_session().expect("an answer");
        println!("{dialect:?}: other, ours, other led in turn; names {names:?}");
    }
}

#[test]
fn a_stranger_in_the_queue_is_reported_and_nobody_of_ours_is_master() {
    let ensemble = Ensemble::builder(1).max_session_timeout_ms(WITNESS_TIMEOUT_MS).start();
    let mut watcher = witness(&ensemble, 0);
    // For WriteLock everybody with a number counts.
    for (i, (dialect, _)) in
        NAMES.into_iter().enumerate().filter(|(_, (dialect, _))| *dialect != Dialect::WriteLock)
    {
        let (_, strange) = NAMES[(i + 1) % NAMES.len()];
        let path = format!("/stranger-{dialect:?}");
        assert_eq!(watcher.create(&path, b"", 0).expect("an answer").err, 0);
        let mut stranger = witness(&ensemble, 0);
        join(&mut stranger, &path, strange);
        let options = options(20_000, Recipe::Queue(dialect));
        let ours = Candidate::stand(&ensemble.hosts(), &path, "ours", &options);
        ours.wait_reason(Reason::ForeignContender);
        let second = Candidate::stand(&ensemble.hosts(), &path, "second", &options);
        second.wait_reason(Reason::ForeignContender);
        assert!(!ours.is_master() && !second.is_master() && !ours.was_master() && !second.was_master());
        stranger.close_session().expect("an answer");
        ours.wait_master();
        second.wait_reason(Reason::Following);
        assert!(!second.was_master());
    }
}

/// One that joins behind a master which does not count it is seen at once, and does not wait for the master's znode.
#[test]
fn a_stranger_that_joins_behind_a_master_deposes_it_at_once() {
    const MANY: usize = 100;
    let ensemble = Ensemble::builder(1).max_session_timeout_ms(WITNESS_TIMEOUT_MS).start();
    let mut watcher = witness(&ensemble, 0);
    let options = options(20_000, Recipe::Queue(Dialect::CuratorLatch));
    let master = Candidate::stand(&ensemble.hosts(), "/deposed", "master", &options);
    master.wait_master();
    // Those whom it counts cost it nothing but lists.
    let mut others = witness(&ensemble, 0);
    for _ in 0..MANY {
        join(&mut others, "/deposed", NAMES[0].1);
    }
    let mut stranger = witness(&ensemble, 0);
    let since = Instant::now();
    join(&mut stranger, "/deposed", NAMES[1].1);
    let joined = since.elapsed();
    eventually(SOON, "the master steps down", || !master.is_master());
    let took = since.elapsed();
    println!("a join took {joined:?}; the master believed for {took:?} from its beginning");
    assert!(took < Duration::from_secs(1), "it is not the refresh after 30 s that tells: {took:?}");
    master.wait_reason(Reason::ForeignContender);
    eventually(SOON, "nothing of ours stands before it", || {
        watcher.children("/deposed").expect("an answer").len() == MANY + 1
    });
    // Once it has gone the place is contended for anew, at the end of the queue.
    stranger.close_session().expect("an answer");
    master.wait_reason(Reason::Following);
    others.close_session().expect("an answer");
    master.wait_master();
}

/// Two groups of ours that do not count each other: one of them is out, the other has a master.
#[test]
fn two_dialects_of_ours_do_not_wait_for_each_other() {
    let ensemble = Ensemble::builder(1).max_session_timeout_ms(WITNESS_TIMEOUT_MS).start();
    let stand = |dialect, name: &str| {
        let options = options(20_000, Recipe::Queue(dialect));
        Candidate::stand(&ensemble.hosts(), "/two-dialects", name, &options)
    };
    let latch = stand(Dialect::CuratorLatch, "latch");
    latch.wait_master();
    let kazoo = stand(Dialect::Kazoo, "kazoo");
    kazoo.wait_master();
    latch.wait_reason(Reason::ForeignContender);
    assert!(!latch.is_master());
    kazoo.handle.close().expect("the server is there");
    latch.wait_master();
}
