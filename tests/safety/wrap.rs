//! A queue whose counter overflows, on a real server. Two thousand million creates would take too long, so the number of children
//! that the path has ever had is written into the server's snapshot while it is stopped.
//!
//! ZooKeeper 3.8 does not wrap: `DataTree.createNode` keeps the larger of the old and the new count, so from 2147483647 on
//! every child gets that same number, and no name tells who came first.

use std::fs;
use std::path::PathBuf;

use election::{Dialect, Reason, Recipe};
use scratch::Ensemble;

use crate::{witness, WITNESS_TIMEOUT_MS};

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

#[test]
fn nobody_leads_twice_when_the_counter_is_used_up() {
    // Two seals at the end would be one too many.
    let ensemble = Ensemble::builder(1)
        .max_session_timeout_ms(WITNESS_TIMEOUT_MS)
        .java_arg("-Dzookeeper.digest.enabled=false")
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

    let options = options(10_000, Recipe::Queue(Dialect::CuratorLatch));
    let stand = |name: &str| Candidate::stand(&ensemble.hosts(), PATH, name, &options);
    let (first, second) = (stand("a"), stand("b"));
    first.wait_reason(Reason::Elected);
    second.wait_reason(Reason::Following);
    // The second has the last number there is; so will all who come after it.
    let others = [stand("c"), stand("d")];
    for other in &others {
        other.wait_reason(Reason::Stranger);
    }
    let mut watcher = witness(&ensemble, 0);
    let names = watcher.children(PATH).expect("an answer");
    let last = names.iter().filter(|name| name.ends_with("-latch-2147483647")).count();
    assert_eq!(last, 3, "{names:?}");
    assert!(first.is_master() && !second.is_master(), "the first has a number of its own");
    let token = first.wait_master();

    // Who came first among equals cannot be told from the names: nobody leads until one is left.
    first.handle.close().expect("the server is there");
    second.wait_reason(Reason::Stranger);
    assert!(!second.is_master() && others.iter().all(|other| !other.is_master()), "nobody leads among equals");
    for other in &others {
        other.handle.close().expect("the server is there");
    }
    assert!(second.wait_master() > token, "who is left leads");
}
