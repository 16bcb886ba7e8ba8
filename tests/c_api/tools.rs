//! The tools of the machine: a missing one is a failure that says what to install, never a test that is skipped.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of this folder.
pub fn source(name: &str) -> PathBuf {
    root().join("tests/c_api").join(name)
}

/// What to install for a tool.
fn package(tool: &str) -> &str {
    match tool {
        "nm" | "readelf" => "binutils",
        "clang++" => "clang",
        _ => tool,
    }
}

/// Says what was not tested, past the test harness, which keeps what `eprintln!` prints in a test that passes.
pub fn not_tested(what: &str) {
    let _ = writeln!(std::io::stderr(), "\nNOT TESTED: {what}");
}

pub fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok()
}

#[track_caller]
pub fn demand(tool: &str) {
    assert!(is_there(tool), "{tool} is not installed: run `make setup`, or `apt-get install {}`", package(tool));
}

/// Runs a tool to its end and returns what it printed. Panics with everything it said when it fails.
#[track_caller]
pub fn run<S: AsRef<OsStr>>(tool: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(tool);
    command.args(arguments).current_dir(root());
    run_command(command)
}

#[track_caller]
pub fn run_command(mut command: Command) -> String {
    let tool = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) => {
            let out = String::from_utf8_lossy(&output.stdout).into_owned();
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
            out
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("{tool} is not installed: run `make setup`, or `apt-get install {}`", package(&tool))
        }
        Err(error) => panic!("{command:?} cannot be run: {error}"),
    }
}
