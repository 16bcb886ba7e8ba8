//! Tests in programs of their own: what the program uses is what the test uses, and what ends the program ends one test.

use std::process::{Command, ExitStatus};
use std::time::Duration;
use testkit::Program;

/// Set in a program that a test has started: what it was told.
const TOLD: &str = "HOSTILE_TEST_IS_TOLD";

pub const LONGEST: Duration = Duration::from_secs(90);

/// What this program was told, if it is a test's own.
pub fn told() -> Option<String> {
    std::env::var(TOLD).ok()
}

/// Carries `test` out once more, in a program of its own that is told `what`: what became of it, and what it said.
pub fn carry_out(test: &str, what: &str, longest: Duration) -> (Option<ExitStatus>, String) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([test, "--exact", "--include-ignored", "--nocapture"]).env(TOLD, what);
    let program = Program::spawn(command);
    let status = program.wait(longest);
    let said = program.transcript();
    assert!(said.contains("running 1 test"), "there is no test {test}: {said}");
    (status, said)
}

/// Carries `body` out, which is all of `test`, in a program of its own.
pub fn alone(test: &str, longest: Duration, body: impl FnOnce()) {
    if told().is_some() {
        return body();
    }
    let (status, said) = carry_out(test, "", longest);
    println!("{said}");
    assert!(status.is_some_and(|status| status.success()), "{test}: {status:?}");
}
