//! Processes end with their guard or with the process that made them, and every line of a program is kept.

use std::io::BufRead;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;
use testkit::{eventually, Line, Process, Program, ScratchFolder, Stream};

const SOON: Duration = Duration::from_secs(20);
const A_MOMENT: Duration = Duration::from_millis(50);

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn sleep() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}

/// The letter by which the kernel names the state of a process; `None` when it is gone.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn a_process_can_be_interrupted_when_the_tests_run_in_the_background() {
    // SAFETY: no other test of this program sends these signals to it.
    let formers = [libc::SIGINT, libc::SIGQUIT].map(|signal| unsafe { libc::signal(signal, libc::SIG_IGN) });
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        let process = Process::spawn(sleep());
        assert!(process.signal(signal));
        let status = process.wait(SOON).expect("the signal ends it");
        assert_eq!(status.signal(), Some(signal));
    }
    for (signal, former) in [libc::SIGINT, libc::SIGQUIT].into_iter().zip(formers) {
        // SAFETY: as above.
        unsafe { libc::signal(signal, former) };
    }
}

#[test]
fn a_process_freezes_thaws_and_goes_with_its_guard() {
    let process = Process::spawn(sleep());
    let pid = process.pid();
    assert_eq!(process.wait(A_MOMENT), None);
    process.freeze();
    assert_eq!((state(pid), process.is_running()), (Some('T'), true));
    process.thaw();
    eventually(SOON, "it goes on", || state(pid) == Some('S'));
    process.freeze();
    drop(process);
    assert_eq!(state(pid), None);

    let process = Process::spawn(sleep());
    process.terminate();
    assert!(process.wait(SOON).is_some());
    assert!(!process.signal(libc::SIGTERM), "it has ended");
}

#[test]
fn a_process_outlives_the_thread_that_made_it() {
    let process = std::thread::spawn(|| Process::spawn(sleep())).join().unwrap();
    assert_eq!(process.wait(A_MOMENT), None);
}

#[test]
fn a_program_is_spoken_to_and_listened_to() {
    let program = Program::spawn(sh("echo one; echo two >&2; read word; echo got $word; cat; printf last"));
    assert_eq!(program.expect_text(SOON, "one").stream, Stream::Out);
    program.write_line("a word").unwrap();
    program.expect_text(SOON, "got a word");
    assert!(program.wait_for_text(A_MOMENT, "one").is_none(), "passed");
    program.close_stdin();
    assert!(program.write_line("too late").is_err());
    assert!(program.wait(SOON).unwrap().success());
    assert_eq!(program.expect_text(Duration::ZERO, "last").text, "last");
    let err = |line: &&Line| line.stream == Stream::Err;
    let lines = program.lines();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines.iter().find(err).unwrap().text, "two");
    // A program that has ended is not waited for.
    assert!(program.wait_for_text(Duration::from_secs(1000), "never").is_none());
}

#[test]
fn one_receiver_hears_many_programs() {
    let (sender, receiver) = mpsc::channel();
    let _programs: Vec<Program> =
        (0..3).map(|tag| Program::spawn_tagged(sh("echo here; exec sleep 1000"), tag, sender.clone())).collect();
    let mut tags: Vec<i32> = (0..3).map(|_| receiver.recv_timeout(SOON).unwrap().0).collect();
    tags.sort();
    assert_eq!(tags, [0, 1, 2]);
}

#[test]
#[should_panic(expected = "out| what it said")]
fn a_line_that_does_not_come_is_a_panic_with_those_that_did() {
    Program::spawn(sh("echo what it said")).expect_text(SOON, "something else");
}

/// Tells this very test, run once more in a process of its own, to be the one that is killed.
const TO_BE_KILLED: &str = "SCRATCH_TO_BE_KILLED";

#[test]
fn what_a_killed_process_leaves_is_ended_and_swept() {
    if std::env::var_os(TO_BE_KILLED).is_some() {
        return be_killed();
    }
    let mut myself = Command::new(std::env::current_exe().unwrap());
    myself.args(["what_a_killed_process", "--nocapture"]).env(TO_BE_KILLED, "1");
    let to_be_killed = Program::spawn(myself);
    let line = to_be_killed.expect_text(SOON, "LEAVES ").text;
    let mut words = line.split("LEAVES ").nth(1).unwrap().split(' ');
    let pid: u32 = words.next().unwrap().parse().unwrap();
    let folder = Path::new(words.next().unwrap());
    assert!(state(pid).is_some() && folder.exists());
    to_be_killed.kill9();
    eventually(SOON, "the kernel ends the child", || {
        // Nobody may be there to reap an orphan.
        matches!(state(pid), None | Some('Z'))
    });
    let next = ScratchFolder::new("next");
    eventually(SOON, "this sweep, or another's, removes the folder", || !folder.exists());
    assert!(next.path().exists());
}

fn be_killed() {
    let child = Process::spawn(sleep());
    let folder = ScratchFolder::new("killed");
    println!("LEAVES {} {}", child.pid(), folder.path().display());
    // Until it is killed; or, if nobody does that, until whoever started it is gone.
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}
