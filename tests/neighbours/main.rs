//! Groups that ours share with other implementations of an election or a lock, as when a group is moved to this library one
//! process at a time: three processes of theirs, as they are released, and two of ours, on a real server.
//!
//! - [`neighbours`]: who they are, and how to start one;
//! - [`group`]: twenty strikes, drawn from a seed, and what must hold after each;
//! - [`seeds`]: the same at a znode without a queue, with the programs of seeds 000, 003 and 004;
//! - [`witness`]: what stood in the queue, and when; [`judge`]: whether who believed was first then;
//! - [`table`]: what the documentation says of all this.
//!
//! `NEIGHBOURS_SEED=N` repeats the strikes of a run. `BLESS=1` writes a longer time than that of the table into it. The members' programs are in `theirs/`.

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../multiprocess/believer.rs"]
mod believer;
mod group;
#[path = "../integration/hand_rolled.rs"]
mod hand_rolled;
mod judge;
mod latch;
#[path = "../multiprocess/library.rs"]
mod library;
mod neighbours;
mod seeds;
mod table;
mod witness;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{Ensemble, Program};

/// For what must come, however slow the machine is.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn leader_election_support() {
    group::strike(&neighbours::LEADER_ELECTION_SUPPORT);
}

#[test]
fn write_lock() {
    group::strike(&neighbours::WRITE_LOCK);
}

#[test]
fn kazoo_election() {
    group::strike(&neighbours::KAZOO_ELECTION);
}

/// The other way round: ours in the place of kazoo's.
#[test]
fn kazoos_own_tests_pass_on_our_python_module() {
    let ensemble = Ensemble::builder(1).start();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path =
        [root.join("python"), neighbours::kazoo_from_pypi()].map(|path| path.display().to_string()).join(":");
    let mut python = Command::new("python3");
    python.arg("-B").arg(root.join("tests/neighbours/kazoo_tests.py")).arg(ensemble.hosts());
    python.env("PYTHONPATH", path).env("ELECTION_LIB", library::shared());
    let program = Program::spawn(python);
    let status = program.wait(Duration::from_secs(100));
    assert!(status.is_some_and(|status| status.success()), "{}", program.transcript());
    println!("{}", program.transcript());
}

/// Its processes are this program, which runs this test alone.
#[test]
fn crate_latch() {
    if !latch::is_member() {
        group::strike(&neighbours::CRATE_LATCH);
    }
}

#[test]
#[ignore = "a minute: make test-long"]
fn seed_002() {
    group::strike(&neighbours::SEED_002);
}

#[test]
#[ignore = "a minute: make test-long"]
fn kazoo_lock() {
    group::strike(&neighbours::KAZOO_LOCK);
}

#[test]
#[ignore = "a minute: make test-long"]
fn leader_latch() {
    group::strike(&neighbours::LEADER_LATCH);
}

#[test]
#[ignore = "a minute: make test-long"]
fn leader_selector() {
    group::strike(&neighbours::LEADER_SELECTOR);
}

#[test]
#[ignore = "a minute: make test-long"]
fn inter_process_mutex() {
    group::strike(&neighbours::INTER_PROCESS_MUTEX);
}

#[test]
#[ignore = "a minute: make test-long"]
fn go_lock() {
    group::strike(&neighbours::GO_LOCK);
}

#[test]
#[ignore = "a minute: make test-long"]
fn go_lock_among_numbers() {
    group::strike(&neighbours::GO_LOCK_AMONG_NUMBERS);
}
