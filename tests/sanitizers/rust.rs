//! The library itself compiled for AddressSanitizer, with the runtime that comes with rustc: this crate is, the crates that
//! it uses and Rust's standard library are not. For ThreadSanitizer the standard library would have to be, whose locks and
//! queues it cannot see otherwise; that takes its sources (`-Zbuild-std`), which a stable toolchain comes without.

use std::process::Command;

use testkit::Program;

use crate::library::{instrumented, Workshop};
use crate::place::zookeeper;
use crate::programs::LONGEST;
use crate::tools::{self, root, source};

use super::SESSION_TIMEOUT_MS;

/// Its runtime must be in the program, since the library is loaded by it.
fn build(workshop: &Workshop, name: &str) -> Command {
    let folder = instrumented().display();
    let sysroot = tools::run("rustc", ["--print", "target-libdir"]);
    let runtime = format!("{}/librustc-stable_rt.asan.a", sysroot.trim());
    let program = workshop.path("program");
    let mut compile = Command::new("clang");
    compile.args(["-std=c99", "-g", "-O1", "-pthread", "-rdynamic", "-I"]).arg(root().join("include"));
    compile.arg(source(name)).arg("-o").arg(&program);
    compile.args(["-Wl,--whole-archive", &runtime, "-Wl,--no-whole-archive", "-ldl", "-lm", "-lrt"]);
    compile.arg(format!("-L{folder}")).arg(format!("-Wl,-rpath,{folder}")).arg("-lelection");
    tools::run_command(compile);
    Command::new(program)
}

#[track_caller]
fn live(name: &str, more: &[&str], ways: &[&str]) {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let mut command = build(&workshop, name);
    command.env("ASAN_OPTIONS", "detect_leaks=1");
    let stem = name.rsplit('/').next().unwrap_or(name);
    command.args([&zookeeper.hosts(), &format!("/rust-{stem}-{}", ways.len())]).args(more).args(ways);
    let program = Program::spawn(command);
    let status = program.wait(LONGEST);
    let is_silent = program.lines().is_empty();
    assert!(status.is_some_and(|status| status.success()) && is_silent, "{}", program.transcript());
}

#[test]
fn life() {
    live("life.c", &[SESSION_TIMEOUT_MS], &[]);
}

#[test]
fn dispatch() {
    live("dispatch.c", &[SESSION_TIMEOUT_MS], &["manual", "instrumented"]);
    live("dispatch.c", &[SESSION_TIMEOUT_MS], &["loop", "instrumented"]);
}

#[test]
fn members_and_fence_in_a_loop() {
    live("members.c", &[SESSION_TIMEOUT_MS], &["manual", "instrumented"]);
    live("fence.c", &[SESSION_TIMEOUT_MS], &["manual", "instrumented"]);
}

#[test]
fn bad_input() {
    live("bad_input.c", &[], &[]);
}

/// This build is one without the cargo feature `tls`.
#[test]
fn without_tls() {
    let program = root().join("tests/sanitizers/without_tls.c");
    live(&program.to_string_lossy(), &[], &[]);
}

/// A value that is said to be longer than it is: the library copies it, and the sanitizer sees that it reads too far.
#[test]
fn it_is_on() {
    let workshop = Workshop::new();
    let file = workshop.write(
        "too_long.c",
        "#include \"election.h\"\n#include <stdlib.h>\nint main(void) {\n\
             election_t *handle;\n\
             char *value = malloc(8);\n\
             if (value == NULL || election_open(\"127.0.0.1:1\", NULL, &handle) != ELECTION_OK) return 0;\n\
             go_to_election(handle, \"/path\", value, 64, NULL, NULL, NULL);\n\
             return election_close(handle);\n}\n",
    );
    let name = file.to_string_lossy().into_owned();
    let program = Program::spawn(build(&workshop, &name));
    let status = program.wait(LONGEST);
    let transcript = program.transcript();
    assert!(status.is_some_and(|status| !status.success()), "{transcript}");
    assert!(transcript.contains("heap-buffer-overflow") && transcript.contains("src/"), "{transcript}");
}
