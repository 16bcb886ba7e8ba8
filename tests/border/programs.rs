//! The programs of this folder, on a real ZooKeeper. One that holds its promises ends with 0 and has said nothing;
//! whatever the library prints is therefore a failure, too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use scratch::{Ensemble, Program};

use crate::library::{self, Link, Workshop};
use crate::tools::{self, source};

/// Longer than the programs give themselves.
const LONGEST: Duration = Duration::from_secs(300);

/// Long, so that a busy machine is not cut off from the server: the client gives a silent one up after 2/5 of it.
const SESSION_TIMEOUT_MS: &str = "6000";

/// Under valgrind threads run one at a time and each takes twenty times as long.
const SLOW_SESSION_TIMEOUT_MS: &str = "9000";

/// One server for all tests that run at the same time; it goes with the last of them. Each has paths of its own.
fn zookeeper() -> Arc<Ensemble> {
    static SHARED: Mutex<Weak<Ensemble>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Ensemble::start(1));
        *shared = Arc::downgrade(&started);
        started
    })
}

/// Runs a program that must succeed without a word.
#[track_caller]
fn succeed(command: Command) {
    let program = Program::spawn(command);
    let status = program.wait(LONGEST);
    let is_silent = program.lines().is_empty();
    assert!(status.is_some_and(|status| status.success()) && is_silent, "{}", program.transcript());
}

fn gcc(workshop: &Workshop, name: &str, link: Link) -> PathBuf {
    workshop.build("gcc", "c99", &[source(name)], link)
}

/// Memory that is read before it is written, after it is freed, or never freed. What the library has for the whole
/// process (its I/O thread and what that holds) is reachable at the end, and no loss.
fn valgrind(program: &Path) -> Command {
    tools::demand("valgrind");
    let mut command = Command::new("valgrind");
    command.args([
        "--quiet",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
    ]);
    command.args(["--error-exitcode=99", "--fair-sched=yes"]).arg(program);
    command
}

#[test]
fn bad_input() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let mut program = Command::new(gcc(&workshop, "bad_input.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/bad-input"]);
    succeed(program);
}

#[test]
fn bad_input_under_valgrind() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let mut program = valgrind(&gcc(&workshop, "bad_input.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/bad-input-valgrind"]);
    succeed(program);
}

#[test]
fn connect_timeout() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let mut program = Command::new(gcc(&workshop, "connect_timeout.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/connect-timeout"]);
    succeed(program);
}

#[test]
fn life_in_c() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let mut program = Command::new(gcc(&workshop, "life.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/life", SESSION_TIMEOUT_MS]);
    succeed(program);
}

#[test]
fn life_in_c_linked_statically() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let program = gcc(&workshop, "life.c", Link::Static);
    let dynamic = tools::run("readelf", ["-d".as_ref(), program.as_os_str()]);
    assert!(!dynamic.contains("libelection"), "the library is in the program itself:\n{dynamic}");
    let mut program = Command::new(program);
    program.args([&zookeeper.hosts(), "/life-static", SESSION_TIMEOUT_MS]);
    succeed(program);
}

#[test]
fn life_in_c_under_valgrind() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let mut program = valgrind(&gcc(&workshop, "life.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/life-valgrind", SLOW_SESSION_TIMEOUT_MS]);
    succeed(program);
}

#[test]
fn callbacks() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let mut program = Command::new(gcc(&workshop, "callbacks.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/callbacks", SESSION_TIMEOUT_MS]);
    succeed(program);
}

#[test]
fn callbacks_under_valgrind() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let mut program = valgrind(&gcc(&workshop, "callbacks.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/callbacks-valgrind", SLOW_SESSION_TIMEOUT_MS, "instrumented"]);
    succeed(program);
}

#[test]
fn life_in_cpp() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let program = workshop.build("g++", "c++17", &[source("life.cpp")], Link::Shared);
    let dynamic = tools::run("readelf", ["-d".as_ref(), program.as_os_str()]);
    assert!(dynamic.contains("[libelection.so.0]"), "a program asks for the library by its soname:\n{dynamic}");
    let mut program = Command::new(program);
    program.args([&zookeeper.hosts(), "/life-cpp", SESSION_TIMEOUT_MS]);
    succeed(program);
}

#[test]
fn life_in_python() {
    tools::demand("python3");
    let zookeeper = zookeeper();
    let mut program = Command::new("python3");
    // No __pycache__ beside the sources.
    program.arg("-B").arg(source("life.py")).arg(library::shared());
    program.args([&zookeeper.hosts(), "/life-python", SESSION_TIMEOUT_MS]);
    succeed(program);
}

#[test]
fn own_names() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    // The program's symbols in the dynamic table: the strongest claim on a name that there is.
    let mut program = Command::new(gcc(&workshop, "own_names.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/own-names"]);
    succeed(program);
}
