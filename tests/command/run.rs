//! `election run`, in the ordinary course.

use std::os::unix::process::ExitStatusExt;

use testkit::wait_until;

use crate::ground::{dies, election, lives, number, run, run_command, server, signal, AT_ONCE, LONG, SOON, WORK};

#[test]
fn one_runs_and_the_next_one_follows_when_it_is_stopped() {
    let server = server();
    let options = ["--session-timeout", LONG];
    let script =
        "trap 'echo stopping; sleep 0.2; echo stopped; exit 7' TERM; echo started $$; while :; do sleep 0.05; done";
    let ann = run(&server.hosts(), "/run/next", &options, script);
    let of_ann = number(&ann, "started");
    let bob = run(&server.hosts(), "/run/next", &options, WORK);
    bob.expect_text(SOON, "waiting for mastership at /run/next");
    assert!(!bob.lines().iter().any(|line| line.text.starts_with("started")), "{}", bob.transcript());

    ann.terminate();
    let of_bob = bob.expect_text(SOON, "started");
    let stopped = ann.expect_text(SOON, "stopped");
    assert!(stopped.at < of_bob.at, "bob began before ann had stopped");
    assert!(!lives(of_ann));
    assert_eq!(ann.wait(SOON).and_then(|status| status.code()), Some(7), "{}", ann.transcript());
}

#[test]
fn the_command_knows_where_it_stands() {
    let server = server();
    let script =
        "echo \"env $ELECTION_PATH|$ELECTION_VALUE|$ELECTION_HOSTS|$ELECTION_TOKEN|$ELECTION_AUTH|$NOTIFY_SOCKET\"";
    let mut command = run_command(&server.hosts(), "/run/environment", &["--value", "10.0.0.7"], script);
    command.env("ELECTION_AUTH", "digest jobs:secret").env("NOTIFY_SOCKET", "/nobody");
    let program = testkit::Program::spawn(command);
    let line = program.expect_text(SOON, "env ");
    let words: Vec<&str> = line.text.trim_start_matches("env ").split('|').collect();
    assert_eq!(words[..3], ["/run/environment", "10.0.0.7", &server.hosts()]);
    assert!(words[3].parse::<i64>().is_ok_and(|token| token > 0), "{words:?}");
    assert_eq!(words[4..], ["", ""]);
    assert!(program.wait(SOON).is_some_and(|status| status.success()), "{}", program.transcript());
}

#[test]
fn what_waits_ends_at_once() {
    let server = server();
    let master = run(&server.hosts(), "/run/waits", &[], WORK);
    number(&master, "started");
    for (number, recipe) in [(libc::SIGTERM, "node"), (libc::SIGINT, "queue"), (libc::SIGHUP, "node")] {
        let waiting = run(&server.hosts(), "/run/waits", &["--recipe", recipe], "echo never");
        if recipe == "node" {
            waiting.expect_text(SOON, "waiting for mastership");
        } else {
            waiting.expect_text(SOON, "waiting to hear");
        }
        waiting.signal(number);
        let status = waiting.wait(AT_ONCE).unwrap_or_else(|| panic!("{}", waiting.transcript()));
        assert_eq!(status.signal(), Some(number), "{}", waiting.transcript());
        assert!(!waiting.lines().iter().any(|line| line.text == "never"));
    }
}

#[test]
fn where_no_server_is_it_ends_at_once_too() {
    let waiting = run("127.0.0.1:1", "/run/nowhere", &[], "echo never");
    waiting.expect_text(SOON, "waiting to hear from ZooKeeper");
    waiting.terminate();
    let status = waiting.wait(AT_ONCE).unwrap_or_else(|| panic!("{}", waiting.transcript()));
    assert_eq!(status.signal(), Some(libc::SIGTERM));
}

#[test]
fn it_ends_as_the_command_does() {
    let server = server();
    for (script, code, signal) in
        [("exit 0", Some(0), None), ("exit 42", Some(42), None), ("kill -USR1 $$", None, Some(libc::SIGUSR1))]
    {
        let program = run(&server.hosts(), "/run/status", &[], script);
        let status = program.wait(SOON).unwrap_or_else(|| panic!("{}", program.transcript()));
        assert_eq!((status.code(), status.signal()), (code, signal), "{script}\n{}", program.transcript());
    }
    // And its place is free.
    let next = run(&server.hosts(), "/run/status", &[], "exit 0");
    assert!(next.wait(AT_ONCE).is_some_and(|status| status.success()), "{}", next.transcript());
}

#[test]
fn it_stands_again_with_restart() {
    let server = server();
    let options = ["--restart", "--restart-delay", "100ms"];
    let program = run(&server.hosts(), "/run/restart", &options, "echo \"token $ELECTION_TOKEN\"; exit 3");
    let tokens: Vec<i32> = (0..3).map(|_| number(&program, "token")).collect();
    assert!(tokens[0] < tokens[1] && tokens[1] < tokens[2], "{tokens:?}");
    program.terminate();
    assert!(program.wait(SOON).is_some(), "{}", program.transcript());
}

/// What COMMAND leaves behind is ended before the place is given up.
#[test]
fn nothing_of_the_command_is_left() {
    let server = server();
    let script = "(trap '' TERM; exec sleep 1000) & echo left $!; \
        setsid sh -c 'echo far $$; exec sleep 1000' & \
        until [ -e /proc/$!/root ]; do :; done; sleep 0.2; exit 5";
    let options = ["--stop-timeout", "300ms"];
    let program = run(&server.hosts(), "/run/left", &options, script);
    let (left, far) = (number(&program, "left"), number(&program, "far"));
    assert_eq!(program.wait(SOON).and_then(|status| status.code()), Some(5), "{}", program.transcript());
    assert!(!lives(left) && !lives(far), "left {left} and far {far}");
}

#[test]
fn a_command_that_does_not_stop_is_killed() {
    let server = server();
    let script = "trap '' TERM; echo started $$; while :; do sleep 1; done";
    let program = run(&server.hosts(), "/run/stubborn", &["--stop-timeout", "300ms"], script);
    let pid = number(&program, "started");
    program.terminate();
    dies(pid, SOON, "COMMAND");
    let status = program.wait(SOON).expect("it ends");
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{}", program.transcript());
}

#[test]
fn the_stop_signal_is_the_one_that_was_asked_for() {
    let server = server();
    let script = "trap 'echo got usr1; exit 4' USR1; echo started $$; while :; do sleep 0.05; done";
    let program = run(&server.hosts(), "/run/signal", &["--stop-signal", "SIGUSR1"], script);
    number(&program, "started");
    program.signal(libc::SIGINT);
    program.expect_text(SOON, "got usr1");
    assert_eq!(program.wait(SOON).and_then(|status| status.code()), Some(4), "{}", program.transcript());
}

#[test]
fn it_gives_up_after_the_wait_timeout() {
    let server = server();
    let master = run(&server.hosts(), "/run/give-up", &[], WORK);
    number(&master, "started");
    let waiting = run(&server.hosts(), "/run/give-up", &["--wait-timeout", "300ms"], "echo never");
    assert_eq!(waiting.wait(SOON).and_then(|status| status.code()), Some(124), "{}", waiting.transcript());
    waiting.expect_text(SOON, "not master within 300ms");
    // Once it is master, it may take what time it needs.
    master.terminate();
    assert!(master.wait(SOON).is_some());
    let next = run(&server.hosts(), "/run/give-up", &["--wait-timeout", "3s"], "sleep 3.5; echo done");
    next.expect_text(SOON, "done");
}

#[test]
fn the_options_may_be_in_the_environment() {
    let server = server();
    let mut command = election(["run", "--", "sh", "-c", "echo at $ELECTION_PATH"]);
    command.env("ELECTION_HOSTS", server.hosts()).env("ELECTION_PATH", "/run/by-environment");
    command.env("ELECTION_QUIET", "true");
    let program = testkit::Program::spawn(command);
    program.expect_text(SOON, "at /run/by-environment");
    assert!(program.wait(SOON).is_some_and(|status| status.success()));
    assert_eq!(program.lines().len(), 1, "{}", program.transcript());
}

/// A terminal's or a supervisor's kill of the whole group of `election` spares the guard, so that it does its work.
#[test]
fn the_group_of_election_can_be_killed() {
    let server = server();
    let mut command = run_command(&server.hosts(), "/run/group", &[], WORK);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let program = testkit::Program::spawn(command);
    let pid = number(&program, "started");
    let guard = crate::ground::guard_of(&program);
    signal(-(program.pid() as i32), libc::SIGKILL);
    dies(pid, AT_ONCE, "COMMAND");
    dies(guard, AT_ONCE, "the guard");
    assert!(wait_until(AT_ONCE, || program.exit_status().is_some()));
}
