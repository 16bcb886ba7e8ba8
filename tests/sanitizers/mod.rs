//! The programs of `tests/c_api` under clang's sanitizers, with the library as it is installed: what C and C++ programs
//! do with it, and what it does with their memory through the C library (allocation, copying, strings), is watched. Each
//! sanitizer finds mistakes planted in a callback, so it was on.
//!
//! ThreadSanitizer sees what the program itself does, and the locks that it takes; what happens inside the library, which
//! is not compiled for it, is left out (`ignore_noninstrumented_modules`), or every message between threads of the library
//! would be a race. What the header promises of the order between threads `handover.cpp` tells it, for the programs in C++;
//! those in C hold locks of their own. `rust.rs` has the library itself compiled for a sanitizer.

mod rust;

use std::path::PathBuf;
use std::process::Command;

use testkit::Program;

use crate::library::{Link, Workshop};
use crate::place::{zookeeper, Place};
use crate::programs::{sources, LONGEST};
use crate::tools::{root, source};

/// The client gives a silent server up after 2/5 of it.
const SESSION_TIMEOUT_MS: &str = "9000";

/// The functions that `handover.cpp` stands in for.
const HANDED_OVER: [&str; 8] = [
    "-Wl,--wrap=go_to_election",
    "-Wl,--wrap=election_go_to_election",
    "-Wl,--wrap=watch_master",
    "-Wl,--wrap=election_watch_master",
    "-Wl,--wrap=election_watch_members",
    "-Wl,--wrap=election_watch_connection",
    "-Wl,--wrap=election_wait_finished",
    "-Wl,--wrap=election_close",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitizer {
    /// AddressSanitizer with LeakSanitizer, and UndefinedBehaviorSanitizer.
    AddressAndUndefined,
    Thread,
}

impl Sanitizer {
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Sanitizer::AddressAndUndefined => &["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
            Sanitizer::Thread => &["-fsanitize=thread"],
        }
    }

    fn watch(self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        match self {
            Sanitizer::AddressAndUndefined => {
                command.env("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1");
                command.env("UBSAN_OPTIONS", "print_stacktrace=1");
            }
            Sanitizer::Thread => drop(command.env("TSAN_OPTIONS", "ignore_noninstrumented_modules=1")),
        }
        command
    }
}

fn compile(workshop: &Workshop, file: PathBuf, sanitizer: Sanitizer) -> PathBuf {
    let (compiler, standard) = match file.extension().is_some_and(|extension| extension == "cpp") {
        true => ("clang++", "c++17"),
        false => ("clang", "c99"),
    };
    let mut flags = sanitizer.flags().to_vec();
    let mut files = vec![file];
    if compiler == "clang++" && sanitizer == Sanitizer::Thread {
        files.push(root().join("tests/sanitizers/handover.cpp"));
        flags.extend(HANDED_OVER);
    }
    workshop.build_with(compiler, standard, &files, Link::Shared, &flags)
}

/// A program that lives through elections must end without a word, of its own, of the library or of the sanitizer.
#[track_caller]
fn live(name: &str, sanitizer: Sanitizer, ways: &[&str]) {
    let workshop = Workshop::new();
    let place = Place::of(name, &workshop);
    let mut command = sanitizer.watch(compile(&workshop, source(name), sanitizer));
    let root = format!("/{name}-{sanitizer:?}-{}", ways.join("-"));
    command.args(place.arguments(&root, SESSION_TIMEOUT_MS)).args(ways);
    let program = Program::spawn(command);
    let status = program.wait(LONGEST);
    let is_silent = program.lines().is_empty();
    assert!(status.is_some_and(|status| status.success()) && is_silent, "{}", program.transcript());
}

/// The same set-up with a mistake in it must fail, and say which.
#[track_caller]
fn find(mistake: &str, sanitizer: Sanitizer, report: &str) {
    find_in("planted.c", mistake, sanitizer, report);
}

#[track_caller]
fn find_in(name: &str, mistake: &str, sanitizer: Sanitizer, report: &str) {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let program = compile(&workshop, root().join("tests/sanitizers").join(name), sanitizer);
    for way in [&[][..], &["manual"]] {
        let mut command = sanitizer.watch(program.clone());
        let path = format!("/{name}-{}-{}", mistake.replace(' ', "-"), way.len());
        command.args([&zookeeper.hosts(), &path, SESSION_TIMEOUT_MS, mistake]).args(way);
        let program = Program::spawn(command);
        let status = program.wait(LONGEST);
        let transcript = program.transcript();
        assert!(status.is_some_and(|status| !status.success()), "{mistake}: {transcript}");
        assert!(transcript.contains(report), "{mistake}: {transcript}");
        assert!(transcript.contains("make_mistake"), "{mistake}: {transcript}");
    }
}

macro_rules! lives {
    ($($module:ident: $program:literal, $($test:ident: $sanitizer:ident $ways:expr),+;)+) => {
        $(mod $module {
            use super::*;
            $(#[test]
            fn $test() {
                live($program, Sanitizer::$sanitizer, &$ways);
            })+
        })+
        const LIVES: &[(&str, Sanitizer)] = &[$($(($program, Sanitizer::$sanitizer)),+),+];
    };
}

lives! {
    life: "life.c", address: AddressAndUndefined [], address_manual: AddressAndUndefined ["manual"],
        address_loop: AddressAndUndefined ["loop"], thread: Thread ["instrumented"],
        thread_manual: Thread ["manual", "instrumented"], thread_loop: Thread ["loop", "instrumented"];
    callbacks: "callbacks.c", address: AddressAndUndefined ["instrumented"], thread: Thread ["manual", "instrumented"];
    dispatch: "dispatch.c", address: AddressAndUndefined ["manual"], address_loop: AddressAndUndefined ["loop"],
        thread: Thread ["manual", "instrumented"], thread_loop: Thread ["loop", "instrumented"];
    program_loop: "program_loop.c", address: AddressAndUndefined ["loop", "instrumented"],
        thread: Thread ["loop", "instrumented"];
    wait: "wait.c", address: AddressAndUndefined ["manual"], thread: Thread ["instrumented"];
    members: "members.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    watch_members: "watch_members.c", address: AddressAndUndefined ["manual"], thread: Thread ["instrumented"];
    fence: "fence.c", address: AddressAndUndefined ["manual"], thread: Thread ["instrumented"];
    recipe: "recipe.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    lease: "lease.c", address: AddressAndUndefined ["manual"], thread: Thread ["instrumented"];
    access: "access.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    inside: "diagnostics.c", address: AddressAndUndefined ["manual", "instrumented"], thread: Thread ["instrumented"];
    ends: "ends.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    in_callbacks: "in_callbacks.c", address: AddressAndUndefined ["manual"], thread: Thread ["instrumented"];
    endings: "endings.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    close_race: "close_race.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    stress: "stress.c", address: AddressAndUndefined ["manual"], thread: Thread ["instrumented"],
        thread_manual: Thread ["manual", "instrumented"], thread_loop: Thread ["loop", "instrumented"];
    bad_input: "bad_input.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    connect_timeout: "connect_timeout.c", address: AddressAndUndefined ["manual"], thread: Thread ["instrumented"];
    silent: "silent.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    swallowed: "swallowed.c", address: AddressAndUndefined ["manual"], thread: Thread ["instrumented"];
    frozen: "frozen.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    copies: "copies.c", address: AddressAndUndefined ["manual"], thread: Thread ["instrumented"];
    tls: "tls.c", address: AddressAndUndefined ["loop"], thread: Thread ["instrumented"];
    own_names: "own_names.c", address: AddressAndUndefined [], thread: Thread [];
    environment: "environment.c", address: AddressAndUndefined ["instrumented"], thread: Thread ["instrumented"];
    fork: "fork.c", thread: Thread ["loop", "instrumented"];
    callbacks_in_loop_mode: "callbacks.c", address: AddressAndUndefined ["loop", "instrumented"];
    close_race_in_loop_mode: "close_race.c", address: AddressAndUndefined ["loop"];
    lead: "lead.c", address: AddressAndUndefined [], thread: Thread ["manual", "instrumented"];
    stop: "stop.c", address: AddressAndUndefined ["manual"];
    life_in_cpp: "life.cpp", address: AddressAndUndefined [], thread: Thread [];
    life_hpp: "life_hpp.cpp", address: AddressAndUndefined [], thread: Thread ["instrumented"], thread_manual: Thread ["manual", "instrumented"];
}

/// What is not in the table above, and why.
const NOT_RUN: [(&str, Sanitizer, &str); 14] = [
    ("secrets.c", Sanitizer::AddressAndUndefined, "it takes the place of malloc and free, as the sanitizer does"),
    ("secrets.c", Sanitizer::Thread, "the same"),
    (
        "failing_system.c",
        Sanitizer::AddressAndUndefined,
        "it takes the place of pthread_create, as the sanitizer does",
    ),
    ("failing_system.c", Sanitizer::Thread, "the same"),
    (
        "fork.c",
        Sanitizer::AddressAndUndefined,
        "clang 14's runtime may be forked while another thread allocates in it",
    ),
    ("fork_storm.c", Sanitizer::AddressAndUndefined, "the same"),
    ("prefork.c", Sanitizer::AddressAndUndefined, "the same"),
    ("children.c", Sanitizer::AddressAndUndefined, "the runtime knows no child but that of fork"),
    ("children.c", Sanitizer::Thread, "the same"),
    ("signals.c", Sanitizer::AddressAndUndefined, "the faults and the signals would be the sanitizer's"),
    ("signals.c", Sanitizer::Thread, "the same"),
    ("stop.c", Sanitizer::Thread, "the runtime puts signal handlers off"),
    ("fork_storm.c", Sanitizer::Thread, "the runtime allows no thread in a child of a process with threads"),
    ("prefork.c", Sanitizer::Thread, "the same"),
];

#[test]
fn each_program_is_run_under_each_sanitizer() {
    for program in sources() {
        for sanitizer in [Sanitizer::AddressAndUndefined, Sanitizer::Thread] {
            let is_run = LIVES.contains(&(program.as_str(), sanitizer));
            let is_excused = NOT_RUN.iter().any(|&(name, what, _)| (name, what) == (&program, sanitizer));
            assert_ne!(is_run, is_excused, "{program}, {sanitizer:?}");
        }
    }
}

#[test]
fn the_address_sanitizer_is_on() {
    find("overflow of the heap", Sanitizer::AddressAndUndefined, "heap-buffer-overflow");
    find("use after free", Sanitizer::AddressAndUndefined, "heap-use-after-free");
    find("leak", Sanitizer::AddressAndUndefined, "detected memory leaks");
}

#[test]
fn the_undefined_behavior_sanitizer_is_on() {
    find("signed overflow", Sanitizer::AddressAndUndefined, "signed integer overflow");
}

#[test]
fn the_thread_sanitizer_is_on() {
    find("race", Sanitizer::Thread, "data race");
}

/// What a user of the library is told in the file that is installed: with it a program is silent, and its own mistakes are
/// found; without it the library is taken for a program full of races.
#[test]
fn the_suppressions_leave_out_the_library_and_nothing_else() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let suppressions = root().join("src/packaging/tsan.supp").display().to_string();
    let run = |file: PathBuf, more: &[&str], options: &str| {
        let name = file.file_stem().expect("a program has a name").to_string_lossy().into_owned();
        let program = compile(&workshop, file, Sanitizer::Thread);
        let path = format!("/suppressed-{name}-{}", options.is_empty());
        let mut command = Command::new(program);
        command.args([&zookeeper.hosts(), &path, SESSION_TIMEOUT_MS]).args(more).env("TSAN_OPTIONS", options);
        let program = Program::spawn(command);
        let status = program.wait(LONGEST);
        (status.is_some_and(|status| status.success()), program.transcript())
    };
    let options = format!("suppressions={suppressions} ignore_noninstrumented_modules=1");
    let (is_well, said) = run(source("life.c"), &["instrumented"], &options);
    assert!(is_well && !said.contains("ThreadSanitizer"), "{said}");
    let planted = root().join("tests/sanitizers/planted.c");
    let (is_well, said) = run(planted, &["race"], &options);
    assert!(!is_well && said.contains("data race") && said.contains("make_mistake"), "{said}");
    let (_, said) = run(source("life.c"), &["instrumented"], "");
    assert!(said.contains("ThreadSanitizer"), "the file is of use: {said}");
}

/// In programs in C++ too, which are told of an order by `handover.cpp`.
#[test]
fn they_are_on_in_cpp() {
    find_in("planted.cpp", "use after free", Sanitizer::AddressAndUndefined, "heap-use-after-free");
    find_in("planted.cpp", "race", Sanitizer::Thread, "data race");
}
