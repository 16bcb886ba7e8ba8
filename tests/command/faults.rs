//! `election run` when it, its guard or its command is killed or stopped, or its link is cut: COMMAND and all that it started
//! are dead before the next candidate's COMMAND starts.

use std::time::Duration;

use testkit::{Program, Relay};

use crate::ground::{dies, guard_of, number, run, server, signal, AT_ONCE, SHORT, SHORT_TIME, SOON};

/// A command with a child in its group and one in a session of its own, none of which stops when it is asked to.
const FAMILY: &str = "trap '' TERM; sleep 1000 & echo near $!; \
    setsid sh -c 'trap \"\" TERM; echo far $$; exec sleep 1000' & \
    echo started $$; while :; do sleep 0.05; done";

struct Family {
    program: Program,
    pids: [i32; 3],
}

impl Family {
    fn start(hosts: &str, path: &str, options: &[&str]) -> Family {
        let program = run(hosts, path, &[&["--session-timeout", SHORT], options].concat(), FAMILY);
        // In whichever order they come.
        let mut pids = [0; 3];
        for _ in 0..3 {
            let line = program.wait_for(SOON, |line| {
                ["near ", "far ", "started "].iter().any(|word| line.text.starts_with(word))
            });
            let line = line.unwrap_or_else(|| panic!("{}", program.transcript())).text;
            let place =
                ["started", "near", "far"].iter().position(|word| line.starts_with(word)).expect("one of these");
            pids[place] = line.split(' ').nth(1).and_then(|pid| pid.parse().ok()).expect("a number");
        }
        Family { program, pids }
    }

    #[track_caller]
    fn dies(&self, timeout: Duration) {
        for (pid, who) in self.pids.into_iter().zip(["COMMAND", "its child", "its child in another session"]) {
            dies(pid, timeout, who);
        }
    }

    /// The next candidate, whose COMMAND looks first whether anything of this family lives.
    fn next(&self, hosts: &str, path: &str) -> Program {
        let [a, b, c] = self.pids;
        let script = format!(
            "for pid in {a} {b} {c}; do case $(cut -d' ' -f3 /proc/$pid/stat 2>/dev/null) in ''|Z|X) ;; *) echo both $pid;; esac; done; \
             echo alone $$; exec sleep 1000"
        );
        run(hosts, path, &["--session-timeout", SHORT], &script)
    }
}

#[track_caller]
fn runs_alone(next: &Program) {
    number(next, "alone");
    assert!(!next.lines().iter().any(|line| line.text.starts_with("both")), "{}", next.transcript());
}

#[test]
fn killed_it_takes_the_command_along() {
    let server = server();
    let family = Family::start(&server.hosts(), "/faults/killed", &[]);
    let guard = guard_of(&family.program);
    family.program.kill9();
    family.dies(AT_ONCE);
    dies(guard, AT_ONCE, "the guard");
    runs_alone(&family.next(&server.hosts(), "/faults/killed"));
}

#[test]
fn without_its_guard_it_ends_with_the_command() {
    let server = server();
    let family = Family::start(&server.hosts(), "/faults/guard", &[]);
    signal(guard_of(&family.program), libc::SIGKILL);
    family.dies(AT_ONCE);
    let status = family.program.wait(SOON).and_then(|status| status.code());
    assert_eq!(status, Some(125), "{}", family.program.transcript());
    family.program.expect_text(SOON, "the guard of COMMAND was killed or stopped");
    runs_alone(&family.next(&server.hosts(), "/faults/guard"));
}

/// The parent-death signal reaches COMMAND. Its descendants are nobody's then: the manual says so.
#[test]
fn killed_together_with_its_guard_it_takes_the_command_along() {
    let server = server();
    let family = Family::start(&server.hosts(), "/faults/both", &[]);
    let guard = guard_of(&family.program);
    // Neither can do anything when the other one dies.
    signal(guard, libc::SIGSTOP);
    family.program.freeze();
    signal(guard, libc::SIGKILL);
    family.program.kill9();
    dies(family.pids[0], AT_ONCE, "COMMAND");
    family.pids[1..].iter().for_each(|pid| signal(*pid, libc::SIGKILL));
}

#[test]
fn stopped_it_loses_the_command_before_the_lease_ends() {
    let server = server();
    let family = Family::start(&server.hosts(), "/faults/stopped", &[]);
    let next = family.next(&server.hosts(), "/faults/stopped");
    next.expect_text(SOON, "waiting for mastership");
    family.program.freeze();
    // A lease lasts less than the session timeout.
    family.dies(SHORT_TIME);
    runs_alone(&next);
    family.program.thaw();
    family.program.expect_text(SOON, "COMMAND was killed");
    family.program.expect_text(SOON, "waiting for mastership");
}

#[test]
fn with_its_guard_stopped_and_its_link_cut_it_kills_the_command_itself() {
    let server = server();
    let relay = Relay::start(server.addr(0));
    let family = Family::start(&relay.host(), "/faults/alone", &[]);
    let next = family.next(&server.hosts(), "/faults/alone");
    next.expect_text(SOON, "waiting for mastership");
    let guard = guard_of(&family.program);
    signal(guard, libc::SIGSTOP);
    relay.blackhole(true);
    family.dies(SHORT_TIME);
    runs_alone(&next);
    let status = family.program.wait(SOON).and_then(|status| status.code());
    assert_eq!(status, Some(125), "{}", family.program.transcript());
    dies(guard, AT_ONCE, "the guard");
}

#[test]
fn cut_off_it_stops_the_command_before_the_lease_ends() {
    let server = server();
    let relay = Relay::start(server.addr(0));
    let family = Family::start(&relay.host(), "/faults/cut", &[]);
    let next = family.next(&server.hosts(), "/faults/cut");
    next.expect_text(SOON, "waiting for mastership");
    relay.blackhole(true);
    family.dies(SHORT_TIME);
    runs_alone(&next);
    relay.blackhole(false);
    family.program.expect_text(SOON, "COMMAND was killed");
    family.program.expect_text(SOON, "waiting for mastership");
    next.terminate();
    number(&family.program, "started");
}

/// When the lease runs out COMMAND hears of it early enough to stop by itself.
#[test]
fn cut_off_it_asks_the_command_to_stop_first() {
    let server = server();
    let relay = Relay::start(server.addr(0));
    let script = "trap 'echo stopped; exit 0' TERM; echo started $$; while :; do sleep 0.02; done";
    let program = run(&relay.host(), "/faults/asked", &["--session-timeout", SHORT], script);
    number(&program, "started");
    relay.blackhole(true);
    program.expect_text(SOON, "stopped");
    program.expect_text(SOON, "COMMAND was stopped");
}

/// A stopped COMMAND does not hear the stop signal, and dies all the same.
#[test]
fn a_stopped_command_is_killed_too() {
    let server = server();
    let family = Family::start(&server.hosts(), "/faults/frozen", &["--stop-timeout", "200ms"]);
    family.pids.iter().for_each(|pid| signal(*pid, libc::SIGSTOP));
    family.program.terminate();
    family.dies(SOON);
    runs_alone(&family.next(&server.hosts(), "/faults/frozen"));
}

/// An operator deletes the znode: another one is master at once, so COMMAND has no time to stop by itself.
#[test]
fn deposed_it_kills_the_command_at_once() {
    let server = server();
    let family = Family::start(&server.hosts(), "/faults/deposed", &[]);
    let mut operator = testkit::RawClient::connect(&server.host(0), 10_000).expect("a session");
    assert_eq!(operator.delete("/faults/deposed").expect("an answer").err, 0);
    family.dies(AT_ONCE);
    family.program.expect_text(SOON, "COMMAND was killed");
    operator.close_session().expect("an answer");
}
