//! What the tests stand on: a server that they share, and the command as cargo has built it.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use testkit::{wait_until, Ensemble, Program};

/// For what must come, however slow the machine is.
pub const SOON: Duration = Duration::from_secs(20);
/// How long something may take that waits for no time-out.
pub const AT_ONCE: Duration = Duration::from_millis(1_500);
/// A session timeout for tests that do not wait for it, and one for those that do.
pub const LONG: &str = "10s";
pub const SHORT: &str = "2s";
pub const SHORT_TIME: Duration = Duration::from_secs(2);

static ONE: Mutex<Option<Arc<Ensemble>>> = Mutex::new(None);

/// One server, for all tests that do it no harm.
pub fn server() -> Arc<Ensemble> {
    let mut slot = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let ensemble = slot.get_or_insert_with(|| {
        // Statics are not dropped, and the server's folder is to go with this process.
        // SAFETY: `end_server` takes nothing and unwinds nowhere.
        unsafe { libc::atexit(end_server) };
        Arc::new(Ensemble::start(1))
    });
    Arc::clone(ensemble)
}

extern "C" fn end_server() {
    drop(ONE.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// The command, with nothing of the environment that it would heed.
pub fn election<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_election"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ELECTION_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// `election run` of a shell script at a path. `$$` in it is the process that the guard has started.
pub fn run(hosts: &str, path: &str, options: &[&str], script: &str) -> Program {
    Program::spawn(run_command(hosts, path, options, script))
}

pub fn run_command(hosts: &str, path: &str, options: &[&str], script: &str) -> Command {
    let mut command = election(["run", "--hosts", hosts, "--path", path]);
    command.args(options).args(["--", "sh", "-c", script]);
    command
}

/// A script that says `started PID` and runs until it is stopped.
pub const WORK: &str = "echo started $$; exec sleep 1000";

/// Waits for the line `WORD NUMBER` and returns the number.
#[track_caller]
pub fn number(program: &Program, word: &str) -> i32 {
    let line = program.wait_for(SOON, |line| line.text.split(' ').next() == Some(word));
    let line = line.unwrap_or_else(|| panic!("no line with {word}\n{}", program.transcript()));
    line.text.split(' ').nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Whether a process lives: one that is dead and not yet reaped does not.
pub fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !"ZX".contains(state))
}

#[track_caller]
pub fn dies(pid: i32, timeout: Duration, who: &str) {
    assert!(wait_until(timeout, || !lives(pid)), "{who}, process {pid}, lives after {timeout:?}");
}

pub fn signal(pid: i32, signal: i32) {
    // SAFETY: kill takes two numbers.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "process {pid} cannot be signalled");
}

/// The guard of an `election run`.
#[track_caller]
pub fn guard_of(program: &Program) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", program.pid()));
    let children = children.expect("the kernel lists children");
    let is_guard = |pid: &&str| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "election-guard")
    };
    let guard = children.split_whitespace().find(is_guard).expect("there is a guard");
    guard.parse().expect("a number")
}

/// Runs the command to its end: exit status, output, what it said on stderr.
pub fn ended(mut command: Command) -> (i32, String, String) {
    let output = command.output().expect("the command is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}
