//! The programs of this folder, on a real ZooKeeper. One that holds its promises ends with 0 and has said nothing;
//! whatever the library prints is therefore a failure, too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use scratch::{Ensemble, Program, Relay, ScratchFolder, Verdict};

use crate::header::Header;
use crate::library::{self, Link, Workshop};
use crate::tools::{self, source};

/// Longer than the programs give themselves.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Long, so that a busy machine is not cut off from the server: the client gives a silent one up after 2/5 of it.
const SESSION_TIMEOUT_MS: &str = "6000";

/// Under valgrind threads run one at a time and each takes twenty times as long.
const SLOW_SESSION_TIMEOUT_MS: &str = "9000";

/// One server for all tests that run at the same time; it goes with the last of them. Each has paths of its own.
pub fn zookeeper() -> Arc<Ensemble> {
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
pub fn succeed(command: Command) {
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
    valgrind_with(&["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"], program)
}

fn valgrind_with(options: &[&str], program: &Path) -> Command {
    tools::demand("valgrind");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=99", "--fair-sched=yes"]).args(options).arg(program);
    command
}

/// The ways of `check.h` in which a program is run: who runs its callbacks, and whether it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Callbacks on the library's thread.
    Thread,
    /// Callbacks in a loop of the program's own, with poll on election_fd.
    Manual,
    ThreadUnderValgrind,
    ManualUnderValgrind,
}

impl Way {
    fn is_instrumented(self) -> bool {
        matches!(self, Way::ThreadUnderValgrind | Way::ManualUnderValgrind)
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Way::Thread => &[],
            Way::Manual => &["manual"],
            Way::ThreadUnderValgrind => &["instrumented"],
            Way::ManualUnderValgrind => &["manual", "instrumented"],
        }
    }

    pub fn session_timeout_ms(self) -> &'static str {
        if self.is_instrumented() {
            SLOW_SESSION_TIMEOUT_MS
        } else {
            SESSION_TIMEOUT_MS
        }
    }

    /// A program with the arguments that it is given, and a root of its own.
    pub fn command(self, program: &Path, zookeeper: &Ensemble, more: &[&str]) -> Command {
        let stem = program.file_stem().expect("a program has a name").to_string_lossy();
        let root = format!("/{stem}-{self:?}");
        let mut command = if self.is_instrumented() { valgrind(program) } else { Command::new(program) };
        command.arg(zookeeper.hosts()).arg(root).args(more).args(self.arguments());
        command
    }
}

/// Runs a program that takes the hosts and a root.
#[track_caller]
fn call(name: &str, way: Way) {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    succeed(way.command(&gcc(&workshop, name, Link::Shared), &zookeeper, &[]));
}

/// Runs a program that takes a session timeout besides.
#[track_caller]
fn live(name: &str, way: Way, link: Link) {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    succeed(way.command(&gcc(&workshop, name, link), &zookeeper, &[way.session_timeout_ms()]));
}

/// Runs a Python program of this folder; a warning is a failure.
#[track_caller]
fn python(name: &str) {
    tools::demand("python3");
    let zookeeper = zookeeper();
    let mut program = Command::new("python3");
    // No __pycache__ beside the sources.
    program.args(["-B", "-W", "error", "-X", "dev"]).arg(source(name)).arg(library::shared());
    program.args([&zookeeper.hosts(), &format!("/{name}"), SESSION_TIMEOUT_MS]);
    succeed(program);
}

#[test]
fn bad_input() {
    call("bad_input.c", Way::Thread);
}

#[test]
fn bad_input_in_a_loop() {
    call("bad_input.c", Way::Manual);
}

#[test]
fn bad_input_under_valgrind() {
    call("bad_input.c", Way::ThreadUnderValgrind);
}

#[test]
fn connect_timeout() {
    call("connect_timeout.c", Way::Thread);
}

#[test]
fn connect_timeout_in_a_loop() {
    call("connect_timeout.c", Way::Manual);
}

#[test]
fn life_in_c_linked_statically() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let program = gcc(&workshop, "life.c", Link::Static);
    let dynamic = tools::run("readelf", ["-d".as_ref(), program.as_os_str()]);
    assert!(!dynamic.contains("libelection"), "the library is in the program itself:\n{dynamic}");
    succeed(Way::Thread.command(&program, &zookeeper, &[SESSION_TIMEOUT_MS]));
}

/// A child has the memory of threads that it has not: lost, and no leak.
#[test]
fn fork_under_valgrind() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let mut program = valgrind_with(&["--leak-check=no"], &gcc(&workshop, "fork.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/fork-valgrind", SLOW_SESSION_TIMEOUT_MS, "instrumented"]);
    succeed(program);
}

/// A server of its own, which the program stops and lets go on.
#[test]
fn frozen() {
    let (workshop, zookeeper) = (Workshop::new(), Ensemble::start(1));
    let server = zookeeper.pid(0).expect("the server runs").to_string();
    let program = gcc(&workshop, "frozen.c", Link::Shared);
    for way in [Way::Thread, Way::Manual] {
        succeed(way.command(&program, &zookeeper, &[SESSION_TIMEOUT_MS, &server]));
    }
}

/// A function that is new is called with bad input, inside callbacks, and by many threads at once. (Panics and fuzzing ask for it themselves.)
#[test]
fn each_function_is_in_each_sweep() {
    for program in ["bad_input.c", "in_callbacks.c", "stress.c"] {
        let text = std::fs::read_to_string(source(program)).expect("the program is there");
        for function in Header::read().functions() {
            let is_word = |word: &str| word == function;
            let is_there = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(is_word);
            assert!(is_there, "{program} does not call {function}");
        }
    }
}

/// Two copies of the library: the file under another name, so that the linker takes it for another library.
#[test]
fn copies() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let copy = workshop.path("libanother.so");
    std::fs::copy(library::shared(), &copy).expect("the scratch folder takes files");
    let program = gcc(&workshop, "copies.c", Link::Shared);
    for way in [Way::Thread, Way::Manual] {
        succeed(way.command(&program, &zookeeper, &[SESSION_TIMEOUT_MS, &copy.to_string_lossy()]));
    }
}

/// A server that takes connections and never says a word.
#[test]
fn swallowed() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let relay = Relay::start(zookeeper.addr(0));
    relay.blackhole(true);
    let program = gcc(&workshop, "swallowed.c", Link::Shared);
    for way in [Way::Thread, Way::Manual] {
        succeed(way.command(&program, &zookeeper, &[SESSION_TIMEOUT_MS, &relay.host()]));
    }
}

/// A relay that passes on every request until it is asked for a path that ends so; then none any more.
fn relay_that_falls_silent(zookeeper: &Ensemble) -> Relay {
    let relay = Relay::start(zookeeper.addr(0));
    let is_silent = AtomicBool::new(false);
    relay.set_rule(move |request| {
        let is_asked = request.path.as_ref().is_some_and(|path| path.ends_with("/be-silent"));
        match is_silent.fetch_or(is_asked, Ordering::SeqCst) || is_asked {
            true => Verdict::Hold,
            false => Verdict::Forward,
        }
    });
    relay
}

#[test]
fn silent() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let program = gcc(&workshop, "silent.c", Link::Shared);
    for way in [Way::Thread, Way::Manual] {
        let relays = [(); 3].map(|()| relay_that_falls_silent(&zookeeper));
        let hosts = relays.each_ref().map(Relay::host);
        succeed(way.command(&program, &zookeeper, &[SESSION_TIMEOUT_MS, &hosts[0], &hosts[1], &hosts[2]]));
    }
}

/// The programs that live through elections, in each way.
macro_rules! lives {
    ($($module:ident: $program:literal, $($test:ident: $way:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(#[test]
            fn $test() {
                live($program, Way::$way, Link::Shared);
            })+
        })+
    };
}

lives! {
    life: "life.c", thread: Thread, manual: Manual, valgrind: ThreadUnderValgrind;
    callbacks: "callbacks.c", thread: Thread, manual: Manual, valgrind: ThreadUnderValgrind,
        manual_valgrind: ManualUnderValgrind;
    dispatch: "dispatch.c", itself: Thread, valgrind: ThreadUnderValgrind;
    wait: "wait.c", thread: Thread, manual: Manual, valgrind: ManualUnderValgrind;
    members: "members.c", thread: Thread, manual: Manual, valgrind: ManualUnderValgrind;
    watch_members: "watch_members.c", thread: Thread, manual: Manual, valgrind: ManualUnderValgrind;
    fence: "fence.c", thread: Thread, manual: Manual, valgrind: ManualUnderValgrind;
    recipe: "recipe.c", thread: Thread, manual: Manual, valgrind: ManualUnderValgrind;
    access: "access.c", thread: Thread, manual: Manual, valgrind: ManualUnderValgrind;
    lease: "lease.c", thread: Thread, manual: Manual, valgrind: ThreadUnderValgrind;
    fork: "fork.c", thread: Thread, manual: Manual;
    fork_storm: "fork_storm.c", thread: Thread, manual: Manual;
    failing_system: "failing_system.c", thread: Thread, manual: Manual;
    environment: "environment.c", thread: Thread, manual: Manual;
    secrets: "secrets.c", thread: Thread, manual: Manual;
    in_callbacks: "in_callbacks.c", thread: Thread, manual: Manual, valgrind: ThreadUnderValgrind;
    close_race: "close_race.c", thread: Thread, manual: Manual, manual_valgrind: ManualUnderValgrind;
    ends: "ends.c", thread: Thread, manual: Manual, valgrind: ThreadUnderValgrind;
    stress: "stress.c", thread: Thread, manual: Manual, valgrind: ThreadUnderValgrind,
        manual_valgrind: ManualUnderValgrind;
    inside: "inside.c", thread: Thread, manual: Manual, valgrind: ManualUnderValgrind;
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
    python("life.py");
}

#[test]
fn module_in_python() {
    python("module.py");
}

#[test]
fn types_of_python() {
    tools::demand("mypy");
    let cache = ScratchFolder::new("mypy");
    let mut mypy = Command::new("mypy");
    // The oldest Python that it is for.
    mypy.args(["--strict", "--python-version=3.9", "--cache-dir"]).arg(cache.path());
    mypy.arg(tools::root().join("c_examples/election.py"));
    tools::run_command(mypy);
}

#[test]
fn access_in_python() {
    python("access.py");
}

#[test]
fn asyncio() {
    python("aio.py");
}

#[test]
fn inside_in_python() {
    python("inside.py");
}

#[test]
fn fork_in_python() {
    python("fork.py");
}

#[test]
fn own_names() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    // The program's symbols in the dynamic table: the strongest claim on a name that there is.
    let mut program = Command::new(gcc(&workshop, "own_names.c", Link::Shared));
    program.args([&zookeeper.hosts(), "/own-names"]);
    succeed(program);
}
