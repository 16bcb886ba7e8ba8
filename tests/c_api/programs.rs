//! The programs of this folder, on a real ZooKeeper. One that holds its promises ends with 0 and has said nothing;
//! whatever the library prints is therefore a failure, too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::{Ensemble, Program};

use crate::header::Header;
use crate::library::{self, Link, Workshop};
use crate::place::{zookeeper, Place};
use crate::python;
use crate::tools::{self, source};

/// Longer than the programs give themselves.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Long, so that a busy machine is not cut off from the server: the client gives a silent one up after 2/5 of it.
const SESSION_TIMEOUT_MS: &str = "6000";

/// Under valgrind threads run one at a time and each takes twenty times as long.
const SLOW_SESSION_TIMEOUT_MS: &str = "9000";

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
fn valgrind(program: &Path, looks_for_leaks: bool) -> Command {
    tools::demand("valgrind");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=99", "--fair-sched=yes"]);
    match looks_for_leaks {
        true => {
            command.args(["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"])
        }
        false => command.arg("--leak-check=no"),
    };
    command.arg(program);
    command
}

/// What valgrind takes for lost there is none of ours.
const NOT_SEARCHED_FOR_LEAKS: [(&str, &str); 5] = [
    ("fork.c", "a child has the memory of threads that it has not"),
    ("prefork.c", "the same"),
    ("copies.c", "the same"),
    ("environment.c", "the C library's resolver keeps something for a thread that is not yet over"),
    ("connect_timeout.c", "the same"),
];

/// The ways of `check.h` in which a program is run: who runs its callbacks, and whether it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Callbacks on the library's thread.
    Thread,
    /// Callbacks in a loop of the program's own, with poll on election_fd.
    Manual,
    /// The same, and no thread of the library's.
    Loop,
    ThreadUnderValgrind,
    ManualUnderValgrind,
    LoopUnderValgrind,
}

impl Way {
    fn is_instrumented(self) -> bool {
        matches!(self, Way::ThreadUnderValgrind | Way::ManualUnderValgrind | Way::LoopUnderValgrind)
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Way::Thread => &[],
            Way::Manual => &["manual"],
            Way::Loop => &["loop"],
            Way::ThreadUnderValgrind => &["instrumented"],
            Way::ManualUnderValgrind => &["manual", "instrumented"],
            Way::LoopUnderValgrind => &["loop", "instrumented"],
        }
    }

    pub fn session_timeout_ms(self) -> &'static str {
        if self.is_instrumented() {
            SLOW_SESSION_TIMEOUT_MS
        } else {
            SESSION_TIMEOUT_MS
        }
    }

    /// A program, with a root of its own, in its place.
    pub fn command(self, program: &Path, place: &Place) -> Command {
        let root = format!("/{}-{self:?}", place.program());
        let looks_for_leaks = NOT_SEARCHED_FOR_LEAKS.iter().all(|(name, _)| *name != place.program());
        let mut command = match self.is_instrumented() {
            true => valgrind(program, looks_for_leaks),
            false => Command::new(program),
        };
        command.args(place.arguments(&root, self.session_timeout_ms())).args(self.arguments());
        command
    }
}

/// Runs a program of this folder.
#[track_caller]
fn live(name: &str, way: Way) {
    let workshop = Workshop::new();
    let place = Place::of(name, &workshop);
    succeed(way.command(&gcc(&workshop, name, Link::Shared), &place));
}

/// Runs a Python program of this folder; a warning is a failure.
#[track_caller]
fn python(name: &str) {
    let zookeeper = zookeeper();
    let mut program = python::command(&source(name));
    program.arg(library::shared()).args([&zookeeper.hosts(), &format!("/{name}"), SESSION_TIMEOUT_MS]);
    succeed(program);
}

/// What it is there to find is found.
#[test]
fn valgrind_is_on() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let planted = tools::root().join("tests/sanitizers/planted.c");
    let planted = workshop.build("gcc", "c99", &[planted], Link::Shared);
    for (mistake, report) in [
        ("overflow of the heap", "Invalid read of size 4"),
        ("use after free", "Invalid read of size 4"),
        ("leak", "definitely lost"),
    ] {
        let mut command = valgrind(&planted, true);
        command.args([&zookeeper.hosts(), "/planted", SLOW_SESSION_TIMEOUT_MS, mistake]);
        let program = Program::spawn(command);
        let status = program.wait(LONGEST);
        let transcript = program.transcript();
        assert_eq!(status.and_then(|status| status.code()), Some(99), "{mistake}: {transcript}");
        assert!(transcript.contains(report) && transcript.contains("make_mistake"), "{mistake}: {transcript}");
    }
}

#[test]
fn life_in_c_linked_statically() {
    let workshop = Workshop::new();
    let program = gcc(&workshop, "life.c", Link::Static);
    let dynamic = tools::run("readelf", ["-d".as_ref(), program.as_os_str()]);
    assert!(!dynamic.contains("libelection"), "the library is in the program itself:\n{dynamic}");
    succeed(Way::Thread.command(&program, &Place::of("life.c", &workshop)));
}

/// The constructor of a static object opens a handle and waits until it is master, and the destructor closes it.
#[test]
fn a_static_object_of_a_program() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let sources = [source("static_object.cpp")];
    for link in [Link::Shared, Link::Static] {
        let program = workshop.build_with("g++", "c++17", &sources, link, &["-DPROGRAM"]);
        for command in [Command::new(&program), valgrind(&program, false)] {
            succeed(by_name(command, &zookeeper, "/static-object"));
        }
    }
}

/// The C library puts the thread-local variables of a program on the stack of each thread.
#[test]
fn a_program_with_many_thread_local_variables() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let many = "thread_local char many[5 << 20];\nchar *thread_local_variables() { return many; }\n";
    let sources = [source("static_object.cpp"), workshop.write("many.cpp", many)];
    let program = workshop.build_with("g++", "c++17", &sources, Link::Shared, &["-DPROGRAM"]);
    succeed(by_name(Command::new(program), &zookeeper, "/thread-local"));
}

/// The server is named by a name.
fn by_name(mut command: Command, zookeeper: &Ensemble, root: &str) -> Command {
    command.env("HOSTS", zookeeper.hosts().replace("127.0.0.1", "localhost")).env("ROOT", root);
    command
}

/// The same in a plugin: the constructor runs in dlopen and the destructor in dlclose, which hold the loader's lock. The
/// threads of the library must not wait for it.
#[test]
fn a_static_object_of_a_plugin() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let sources = [source("static_object.cpp")];
    let plugin = workshop.build_with("g++", "c++17", &sources, Link::Shared, &["-shared", "-fPIC"]);
    let loader = workshop.path("load_plugin");
    let mut compiler = Command::new("g++");
    compiler.args(["-std=c++17", "-Wall", "-Wextra", "-Werror"]).arg(source("load_plugin.cpp"));
    compiler.arg("-o").arg(&loader).arg("-ldl");
    tools::run_command(compiler);
    for mut command in [Command::new(&loader), valgrind(&loader, false)] {
        command.arg(&plugin);
        succeed(by_name(command, &zookeeper, "/plugin"));
    }
}

/// A function that is new is called with bad input, inside callbacks, and by many threads at once. (Panics and fuzzing ask for it themselves.)
#[test]
fn each_function_is_in_each_sweep() {
    for program in ["bad_input.c", "in_callbacks.c", "stress.c"] {
        let text = std::fs::read_to_string(source(program)).expect("the program is there");
        for function in Header::read().functions_once() {
            let is_word = |word: &str| word == function;
            let is_there = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(is_word);
            assert!(is_there, "{program} does not call {function}");
        }
    }
}

/// The programs, in each way.
macro_rules! lives {
    ($($module:ident: $program:literal, $($test:ident: $way:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(#[test]
            fn $test() {
                live($program, Way::$way);
            })+
        })+
        const LIVES: &[(&str, Way)] = &[$($(($program, Way::$way)),+),+];
    };
}

lives! {
    bad_input: "bad_input.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    connect_timeout: "connect_timeout.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    life: "life.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind,
        loop_valgrind: LoopUnderValgrind;
    callbacks: "callbacks.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind,
        manual_valgrind: ManualUnderValgrind,
        loop_valgrind: LoopUnderValgrind;
    dispatch: "dispatch.c", itself: Manual, loop_mode: Loop, valgrind: ManualUnderValgrind,
        loop_valgrind: LoopUnderValgrind;
    program_loop: "program_loop.c", itself: Loop, valgrind: LoopUnderValgrind;
    wait: "wait.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ManualUnderValgrind;
    stop: "stop.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    lead: "lead.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ManualUnderValgrind,
        loop_valgrind: LoopUnderValgrind;
    members: "members.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ManualUnderValgrind;
    watch_members: "watch_members.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ManualUnderValgrind;
    fence: "fence.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ManualUnderValgrind;
    recipe: "recipe.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ManualUnderValgrind;
    access: "access.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ManualUnderValgrind;
    secrets: "secrets.c", thread: Thread, manual: Manual, loop_mode: Loop;
    lease: "lease.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    fork: "fork.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    prefork: "prefork.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    fork_storm: "fork_storm.c", thread: Thread, manual: Manual, loop_mode: Loop;
    children: "children.c", thread: Thread, manual: Manual, loop_mode: Loop;
    endings: "endings.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind,
        manual_valgrind: ManualUnderValgrind;
    signals: "signals.c", thread: Thread, manual: Manual, loop_mode: Loop;
    failing_system: "failing_system.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    environment: "environment.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    in_callbacks: "in_callbacks.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    close_race: "close_race.c", thread: Thread, manual: Manual, loop_mode: Loop, manual_valgrind: ManualUnderValgrind,
        loop_valgrind: LoopUnderValgrind;
    ends: "ends.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    stress: "stress.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind,
        manual_valgrind: ManualUnderValgrind,
        loop_valgrind: LoopUnderValgrind;
    inside: "diagnostics.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ManualUnderValgrind;
    frozen: "frozen.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    silent: "silent.c", thread: Thread, manual: Manual, loop_mode: Loop;
    swallowed: "swallowed.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    copies: "copies.c", thread: Thread, manual: Manual, loop_mode: Loop, valgrind: ThreadUnderValgrind;
    tls: "tls.c", thread: Thread, manual: Manual, loop_mode: Loop;
    own_names: "own_names.c", itself: Thread, valgrind: ThreadUnderValgrind;
}

/// Without valgrind in the table above, and why.
const NOT_UNDER_VALGRIND: [(&str, &str); 6] = [
    ("secrets.c", "it takes the place of malloc and free, as valgrind does"),
    ("silent.c", "it measures how long a hundred handles take to close at the same time"),
    ("fork_storm.c", "it does nothing that fork.c does not, but thousands of times"),
    ("children.c", "it makes children by system calls that valgrind does not know as forks"),
    ("tls.c", "valgrind takes what the ciphers in assembly write for undefined"),
    ("signals.c", "the signals and the faults would be valgrind's"),
];

/// The C programs of this folder.
pub fn sources() -> Vec<String> {
    let files = std::fs::read_dir(source("")).expect("the folder is there");
    let names = files.map(|file| file.expect("it can be read").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".c")).collect()
}

/// With callbacks on a thread, dispatched, and in loop mode, and under valgrind.
#[test]
fn each_program_is_run_in_each_way() {
    for program in sources() {
        let ways: Vec<Way> = LIVES.iter().filter(|(name, _)| *name == program).map(|(_, way)| *way).collect();
        let text = std::fs::read_to_string(source(&program)).expect("the program is there");
        // A program that is about one way names no other.
        let named = [("", Way::Thread), ("[manual|loop]", Way::Manual), ("[manual|loop]", Way::Loop)];
        let is_of_one_way = program == "program_loop.c" || program == "dispatch.c";
        for (argument, way) in named.into_iter().filter(|_| !is_of_one_way) {
            assert_eq!(ways.contains(&way), text.contains(argument), "{program}, {way:?}");
        }
        let is_excused = NOT_UNDER_VALGRIND.iter().any(|(name, _)| *name == program);
        assert_ne!(ways.iter().any(|way| way.is_instrumented()), is_excused, "{program}");
    }
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
