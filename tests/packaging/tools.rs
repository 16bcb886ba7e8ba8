//! The tools of the machine, `make` first of all: a missing one is a failure that says what to install.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::ScratchFolder;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The target folder of the test itself, whichever way cargo was told of that one.
pub fn target() -> &'static Path {
    // Cargo puts the folder for the scratch files of integration tests directly into the target folder.
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp is in the target folder")
}

pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[track_caller]
pub fn output(mut command: Command) -> Output {
    let tool = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => panic!("{tool} is not installed: run `make setup`"),
        Err(error) => panic!("{command:?} cannot be run: {error}"),
    }
}

/// Runs a command to its end and returns what it printed. Panics with everything it said when it fails.
#[track_caller]
pub fn run(command: Command) -> String {
    let what = format!("{command:?}");
    let output = output(command);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}: {}\n{out}{}", output.status, String::from_utf8_lossy(&output.stderr));
    out
}

#[track_caller]
pub fn call<S: AsRef<OsStr>>(tool: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(tool);
    command.args(arguments);
    run(command)
}

/// `make` with a target and variables, in the project's folder.
pub fn make<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut make = Command::new("make");
    make.arg("--no-print-directory").args(arguments).current_dir(root());
    make.env("CARGO", env!("CARGO")).env("CARGO_TARGET_DIR", target());
    // Of the `make test` that this may be part of.
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PREFIX", "DESTDIR"] {
        make.env_remove(variable);
    }
    make
}

/// The library, installed in a folder that goes with its owner.
pub struct Installed {
    folder: ScratchFolder,
}

impl Installed {
    pub fn new() -> Installed {
        let folder = ScratchFolder::new("packaging");
        let installed = Installed { folder };
        run(make(["install".to_owned(), format!("PREFIX={}", installed.prefix().display())]));
        installed
    }

    pub fn prefix(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    /// A path beside the installed tree.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
