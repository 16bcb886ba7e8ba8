//! A candidate in a process of its own: this very test program, run once more, where one test turns into the candidate. It
//! prints what it hears, and answers `cpu` on its standard input with the processor time that its process has used, and `token`
//! with the token of the mastership that it has, or 0.

use crate::ground::SOON;
use election::{Dialect, Handle, Options, Recipe};
use std::io::BufRead;
use std::process::Command;
use std::time::Duration;
use testkit::{Process, Program};

const VARIABLE: &str = "ELECTION_TEST_CANDIDATE";

/// Turns into the candidate if this process was started to be one. To be called first by the test named to `spawn`.
pub fn is_candidate() -> bool {
    let Ok(told) = std::env::var(VARIABLE) else { return false };
    let words: Vec<&str> = told.split(' ').collect();
    let [hosts, path, value, session_timeout_ms, recipe] = words[..] else { panic!("{told}") };
    let mut options = Options::default();
    options.set_session_timeout(Duration::from_millis(session_timeout_ms.parse().unwrap())).unwrap();
    if recipe == "queue" {
        options.set_recipe(Recipe::Queue(Dialect::default()));
    }
    let election = Handle::open(hosts, &options).unwrap();
    let say = |event: &election::Event| println!("HEARD {:?} {:?} {}", event.role, event.reason, event.token);
    election.go_to_election(path, value.as_bytes(), say).unwrap();
    // Until it is told otherwise, or whoever started it is gone.
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.as_str() {
            "cpu" => println!("CPU {}", cpu_used().as_micros()),
            "token" => println!("TOKEN {}", election.lease(path).map_or(0, |mastership| mastership.token)),
            line => panic!("{line}"),
        }
    }
    true
}

pub fn cpu_used() -> Duration {
    // SAFETY: all-zero bytes are a valid rusage, and getrusage writes to nothing else.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// A candidate in a process of its own.
pub struct Child(Program);

impl Child {
    /// Runs the test `name` as the candidate; `prefix` is a command that runs the rest of its arguments, or empty.
    pub fn spawn(prefix: &[&str], name: &str, hosts: &str, path: &str, session_timeout_ms: u64) -> Child {
        Child::spawn_with(prefix, name, &format!("{hosts} {path} child {session_timeout_ms} node"))
    }

    /// The same in a queue.
    pub fn spawn_in_queue(name: &str, hosts: &str, path: &str, session_timeout_ms: u64) -> Child {
        Child::spawn_with(&[], name, &format!("{hosts} {path} child {session_timeout_ms} queue"))
    }

    fn spawn_with(prefix: &[&str], name: &str, told: &str) -> Child {
        let program = std::env::current_exe().expect("this program");
        let mut command = match prefix {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args([name, "--exact", "--nocapture"]);
        command.env(VARIABLE, told);
        Child(Program::spawn(command))
    }

    /// Waits until it is master; with which token.
    #[track_caller]
    pub fn becomes_master(&self) -> i64 {
        self.hears("HEARD Master Elected").parse().expect("a token")
    }

    /// Waits until it hears of this, whatever it heard before; with which token.
    #[track_caller]
    pub fn hears(&self, what: &str) -> String {
        let line = self.0.expect_text(SOON, what);
        line.text.rsplit_once(' ').expect("several words").1.to_owned()
    }

    /// The token of the mastership that it has; 0 when it has none.
    #[track_caller]
    pub fn token(&self) -> i64 {
        self.0.write_line("token").expect("it listens");
        self.hears("TOKEN ").parse().expect("a token")
    }

    pub fn process(&self) -> &Process {
        &self.0
    }

    #[track_caller]
    pub fn cpu_used(&self) -> Duration {
        self.0.write_line("cpu").expect("it listens");
        Duration::from_micros(self.hears("CPU ").parse().expect("microseconds"))
    }
}
