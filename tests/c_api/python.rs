//! The Python module: the programs of tests/python, on a real ZooKeeper, and its types.

use std::path::Path;
use std::process::Command;

use testkit::ScratchFolder;

use crate::library;
use crate::place::zookeeper;
use crate::programs::succeed;
use crate::tools::{self, root};

/// Seconds. Long, so that a busy machine is not cut off from the server.
const SESSION_TIMEOUT: &str = "6";

/// Python, to which a warning is a failure, with the module and the library of this tree.
pub fn command(program: &Path) -> Command {
    tools::demand("python3");
    let mut command = Command::new("python3");
    // No __pycache__ beside the sources.
    command.args(["-B", "-W", "error", "-X", "dev"]).arg(program);
    command.env("PYTHONPATH", root().join("python")).env("ELECTION_LIB", library::shared());
    command
}

/// Runs a program of tests/python that must succeed without a word.
#[track_caller]
fn live(name: &str) {
    let zookeeper = zookeeper();
    let mut program = command(&root().join("tests/python").join(name));
    program.args([&zookeeper.hosts(), &format!("/{name}"), SESSION_TIMEOUT]);
    succeed(program);
}

#[test]
fn types() {
    tools::demand("mypy");
    let cache = ScratchFolder::new("mypy");
    let mut mypy = Command::new("mypy");
    // The oldest Python that it is for.
    mypy.args(["--strict", "--python-version=3.9", "--cache-dir"]).arg(cache.path());
    mypy.arg(root().join("python/election")).arg(root().join("c_examples/stand.py"));
    mypy.arg(root().join("c_examples/loop_asyncio.py"));
    tools::run_command(mypy);
}

#[test]
fn loading() {
    let mut program = command(&root().join("tests/python/loading.py"));
    program.arg(library::shared());
    succeed(program);
}

#[test]
fn module() {
    live("module.py");
}

#[test]
fn access() {
    live("access.py");
}

#[test]
fn asyncio() {
    live("aio.py");
}

#[test]
fn diagnostics() {
    live("diagnostics.py");
}

#[test]
fn fork() {
    live("fork.py");
}

#[test]
fn leading() {
    live("leading.py");
}

#[test]
fn interrupts() {
    live("interrupts.py");
}
