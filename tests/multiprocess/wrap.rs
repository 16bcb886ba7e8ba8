//! A queue whose counter overflows, on a real server. Two thousand million creates would take too long, so the number of children
//! that the path has ever had is written into the server's snapshot while it is stopped.
//!
//! ZooKeeper does not wrap since 3.6: `DataTree.createNode` keeps the larger of the old and the new count, so from 2147483647 on
//! every child gets that same number; but who is created while another create is under way gets a number that has wrapped
//! (`PrepRequestProcessor` counts on from what is not committed yet). No name tells who came first; the czxid does. ZooKeeper 3.5
//! wraps, and the numbers tell.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use election::testing::logic::{Op, RequestId, Value};
use election::{Dialect, Reason, Recipe};
use testkit::{eventually, Ensemble};

use crate::test_client::{Answer, TestClient};
use crate::{witness, SOON, WITNESS_TIMEOUT_MS};

use crate::candidate::{options, Candidate};

const PATH: &str = "/wrap";
const DATA: &[u8] = b"a value that is found again";

/// The newest snapshot of the one server.
fn snapshot(ensemble: &Ensemble) -> PathBuf {
    let folder = ensemble.folder().join("server-1/data/version-2");
    let entries = fs::read_dir(&folder).expect("a data folder").flatten().map(|entry| entry.path());
    let snapshots =
        entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snapshot.")));
    let zxid =
        |path: &PathBuf| i64::from_str_radix(path.extension().unwrap_or_default().to_str().unwrap_or("0"), 16).ok();
    snapshots.max_by_key(zxid).expect("a snapshot")
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// In a snapshot a znode is its path, its data, the number of its ACL (8 bytes) and its stat, which begins with czxid, mzxid, ctime,
/// mtime (8 bytes each), version and cversion (4 each). At the end: Adler-32 of all that was before (8 bytes) and "/".
fn set_child_count(snapshot: &mut [u8], cversion: i32) {
    let mut znode = Vec::new();
    for bytes in [PATH.as_bytes(), DATA] {
        znode.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        znode.extend_from_slice(bytes);
    }
    let found: Vec<usize> =
        (0..snapshot.len() - znode.len()).filter(|&at| snapshot[at..].starts_with(&znode)).collect();
    assert_eq!(found.len(), 1, "the znode is in the snapshot once");
    let at = found[0] + znode.len() + 8 + 4 * 8 + 4;
    snapshot[at..at + 4].copy_from_slice(&cversion.to_be_bytes());
    let end = snapshot.len() - 5 - 8;
    assert_eq!(snapshot[end + 8..], *b"\0\0\0\x01/", "the end of a snapshot");
    let sum = i64::from(adler32(&snapshot[..end]));
    snapshot[end..end + 8].copy_from_slice(&sum.to_be_bytes());
}

/// A server whose counter of the children of the path is at its last number but one.
fn worn_out() -> Ensemble {
    // A snapshot ends with the seal of the znodes alone: 3.6 adds a digest, and 3.9 the last zxid.
    let ensemble = Ensemble::builder(1)
        .max_session_timeout_ms(WITNESS_TIMEOUT_MS)
        .java_arg("-Dzookeeper.digest.enabled=false")
        .java_arg("-Dzookeeper.serializeLastProcessedZxid.enabled=false")
        .start();
    let mut watcher = witness(&ensemble, 0);
    assert_eq!(watcher.create(PATH, DATA, 0).expect("an answer").err, 0);
    drop(watcher);
    // The first restart writes a snapshot that has the znode.
    ensemble.restart(0);
    ensemble.stop(0);
    let file = snapshot(&ensemble);
    let mut bytes = fs::read(&file).expect("a snapshot");
    set_child_count(&mut bytes, i32::MAX - 1);
    fs::write(&file, bytes).expect("a snapshot can be written");
    ensemble.start_server(0);
    ensemble.wait_serving(0);
    ensemble
}

/// A crowd: so many contenders of one session, each created while the one before it is under way.
const CROWD: u64 = 100;

fn crowd(ensemble: &Ensemble) -> TestClient {
    let probe = TestClient::open(&ensemble.host(0), Duration::from_secs(10)).expect("a session");
    for number in 1..=CROWD {
        let prefix = format!("{PATH}/_c_00000000-0000-0000-0000-{number:012}-latch-").into();
        probe.submit(RequestId(number), Op::CreateSequential { prefix, value: Value::from(*b"crowd") });
    }
    for _ in 0..CROWD {
        assert!(matches!(probe.next(SOON), Some(Answer::Reply(..))), "each create is answered");
    }
    probe
}

#[test]
fn the_oldest_leads_when_the_counter_is_used_up() {
    let ensemble = worn_out();
    let options = options(10_000, Recipe::Queue(Dialect::CuratorLatch));
    let stand = |name: &str, follows: bool| {
        let candidate = Candidate::stand(&ensemble.hosts(), PATH, name, &options);
        candidate.wait_reason(if follows { Reason::Following } else { Reason::Elected });
        candidate
    };
    // The second has the last number there is; so have, since 3.6, all who come after it one by one.
    let queue = [("a", false), ("b", true), ("c", true), ("d", true)].map(|(name, follows)| stand(name, follows));
    let mut watcher = witness(&ensemble, 0);
    let mut ending_with = |end: &dyn Fn(&str) -> bool| {
        watcher.children(PATH).expect("an answer").iter().filter(|name| end(name)).count()
    };
    let with_the_last = if ensemble.release().since(3, 6) { 3 } else { 1 };
    assert_eq!(ending_with(&|name| name.ends_with("-latch-2147483647")), with_the_last);
    let crowd = crowd(&ensemble);
    assert!(ending_with(&|name| name.contains("-latch--2147483")) > 0, "numbers have wrapped for a moment");
    let last = stand("last", true);

    // Who watches the master from outside sees it, and what it is to be told the members in their order.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = election::Handle::open(&ensemble.hosts(), &options).expect("a handle");
    let sees = Arc::clone(&seen);
    observer
        .watch_master(PATH, move |master| {
            let mut seen = sees.lock().expect("nobody panics with it");
            seen.push(String::from_utf8_lossy(&master.value).into_owned());
        })
        .expect("an observer");
    let wait_seen = |name: &str| {
        eventually(SOON, &format!("the observer sees {name}"), || {
            seen.lock().expect("nobody panics with it").last().is_some_and(|last| last == name)
        });
    };

    let rolls = Arc::new(Mutex::new(None));
    let tells = Arc::clone(&rolls);
    observer
        .watch_members(PATH, 0, move |news| {
            let ages: Vec<_> = news.members.iter().map(|member| member.znode.stat.czxid).collect();
            *tells.lock().expect("nobody panics with it") = Some(ages);
        })
        .expect("a watcher of the members");

    let mut token = 0;
    for (at, (candidate, name)) in queue.iter().zip(["a", "b", "c", "d"]).enumerate() {
        let next = candidate.wait_master();
        assert!(next > token, "tokens rise");
        token = next;
        wait_seen(name);
        let masters = queue[at..].iter().chain([&last]).filter(|candidate| candidate.is_master()).count();
        assert_eq!(masters, 1, "{name} alone leads");
        let members = observer.members(PATH, SOON).expect("the members");
        let ages: Vec<_> = members.iter().map(|member| member.znode.stat.czxid).collect();
        assert_eq!(ages.len() as u64, 4 - at as u64 + CROWD + 1);
        assert!(ages.is_sorted(), "the master first, and then by age");
        assert_eq!(ages[0], token);
        assert_eq!(observer.master(PATH, SOON).expect("the master").stat.czxid, token);
        eventually(SOON, "the watcher of the members sees them so", || {
            rolls.lock().expect("nobody panics with it").as_deref() == Some(&ages)
        });
        candidate.handle.close().expect("the server is there");
    }
    wait_seen("crowd");
    assert!(!last.is_master() && !last.was_master(), "the crowd came before the last");
    drop(crowd);
    assert!(last.wait_master() > token, "who is left leads");
    wait_seen("last");
    assert!(queue
        .iter()
        .all(|candidate| candidate.heard().iter().all(|(_, event)| event.reason != Reason::ForeignContender)));
}
