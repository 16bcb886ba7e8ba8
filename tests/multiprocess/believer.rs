//! A candidate process, `believer.c`: started, spoken to, and its log read.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use testkit::{eventually, wait_until, Namespace, Program, ScratchFolder};

use crate::{library, SOON};

/// The numbers of `election.h` that these tests use.
pub const SLAVE: i32 = 0;
pub const UNKNOWN: i32 = -1;
pub const NOT_MASTER: i32 = -1020;
pub const RECIPE_NODE: i32 = 0;
pub const RECIPE_QUEUE: i32 = 1;

/// CLOCK_MONOTONIC in nanoseconds, as the believers stamp their lines.
pub fn now() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

pub fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

/// A line of the log. Stamps are nanoseconds on CLOCK_MONOTONIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Yes {
        before: i64,
        after: i64,
        boot: i64,
        token: i64,
        left: i64,
    },
    No {
        before: i64,
        after: i64,
    },
    Woke,
    Question {
        before: i64,
        after: i64,
        yes: bool,
    },
    Callback {
        at: i64,
        role: i32,
        reason: i32,
    },
    Fenced {
        before: i64,
        rc: i32,
    },
    Closed {
        at: i64,
    },
    /// Of other implementations alone: the session that it has from now on.
    Session {
        id: i64,
    },
}

impl Line {
    fn parse(text: &str) -> Line {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |i: usize| -> i64 {
            words.get(i).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("not a line: {text}"))
        };
        match words[0] {
            "Y" => Line::Yes {
                before: number(1),
                after: number(2),
                boot: number(3),
                token: number(4),
                left: number(5),
            },
            "N" => Line::No { before: number(1), after: number(2) },
            "W" => Line::Woke,
            "Q" => Line::Question { before: number(1), after: number(2), yes: number(3) != 0 },
            "C" => Line::Callback { at: number(1), role: number(2) as i32, reason: number(3) as i32 },
            "F" => Line::Fenced { before: number(1), rc: number(3) as i32 },
            "E" => Line::Closed { at: number(1) },
            "S" => Line::Session { id: number(1) },
            _ => panic!("not a line: {text}"),
        }
    }
}

/// The programs of one test, and their logs.
pub struct Believers {
    folder: ScratchFolder,
    program: PathBuf,
}

/// A running candidate. Dropping it kills it.
pub struct Believer {
    pub name: String,
    program: Program,
    log: Mutex<Log>,
}

struct Log {
    file: File,
    /// Read, and not a whole line yet.
    rest: String,
    lines: Vec<Line>,
}

impl Believers {
    pub fn new() -> Believers {
        let folder = ScratchFolder::new("believers");
        let program = library::build_believer(&folder);
        Believers { folder, program }
    }

    /// Starts a candidate of this name, which is its value as well.
    pub fn start(&self, hosts: &str, path: &str, name: &str, options: &[&str]) -> Believer {
        self.start_in(None, hosts, path, name, options)
    }

    pub fn start_in(
        &self,
        namespace: Option<&Namespace>,
        hosts: &str,
        path: &str,
        name: &str,
        options: &[&str],
    ) -> Believer {
        self.start_program(name, name, |log| {
            let mut command = Command::new(self.program());
            command.args([hosts, path, name]).arg(log).args(options);
            if let Some(namespace) = namespace {
                namespace.enter(&mut command);
            }
            command
        })
    }

    /// Starts a program that writes such a log; `make` is told where.
    pub fn start_program(&self, name: &str, log_name: &str, make: impl FnOnce(&Path) -> Command) -> Believer {
        let log = self.folder.path().join(format!("{log_name}.log"));
        File::create(&log).expect("the scratch folder takes files");
        let file = File::open(&log).expect("a file that was just made");
        let program = Program::spawn(make(&log));
        let log = Mutex::new(Log { file, rest: String::new(), lines: Vec::new() });
        Believer { name: name.to_owned(), program, log }
    }

    /// `believer.c`, built.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

impl Believer {
    pub fn process(&self) -> &Program {
        &self.program
    }

    pub fn tell(&self, order: &str) {
        self.program.write_line(order).expect("a believer listens");
    }

    /// Everything that it has written.
    pub fn lines(&self) -> Vec<Line> {
        self.with_lines(<[Line]>::to_vec)
    }

    pub fn with_lines<T>(&self, look: impl FnOnce(&[Line]) -> T) -> T {
        let mut log = self.log.lock().expect("nobody panics while it is held");
        let log = &mut *log;
        let mut bytes = Vec::new();
        log.file.read_to_end(&mut bytes).expect("a log can be read");
        log.rest.push_str(std::str::from_utf8(&bytes).expect("a log is text"));
        while let Some(end) = log.rest.find('\n') {
            log.lines.push(Line::parse(&log.rest[..end]));
            log.rest.drain(..=end);
        }
        look(&log.lines)
    }

    /// Waits until it has written such a line, `from` lines or later from the start, and returns it.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, from: usize, pick: impl Fn(&Line) -> Option<T>) -> T {
        let mut found = None;
        wait_until(SOON, || {
            assert!(self.program.is_running(), "{}", self.program.transcript());
            found = self.with_lines(|lines| lines[from.min(lines.len())..].iter().find_map(&pick));
            found.is_some()
        });
        found.unwrap_or_else(|| {
            let lines = self.lines();
            panic!(
                "{} does not come to this: {what}; its last lines: {:#?}",
                self.name,
                &lines[lines.len().saturating_sub(12)..]
            )
        })
    }

    /// How many lines there are.
    pub fn mark(&self) -> usize {
        self.with_lines(<[Line]>::len)
    }

    /// Waits until it believes to be master, after that mark, and returns the token.
    #[track_caller]
    pub fn wait_master(&self, mark: usize) -> i64 {
        self.wait("master", mark, |line| match line {
            Line::Yes { token, .. } => Some(*token),
            _ => None,
        })
    }

    #[track_caller]
    pub fn wait_role(&self, mark: usize, role: i32) {
        self.wait("a role", mark, |line| match line {
            Line::Callback { role: told, .. } if *told == role => Some(()),
            _ => None,
        });
    }

    /// Waits until the role that it was told last is this one.
    #[track_caller]
    pub fn wait_last_role(&self, role: i32) {
        let is_it = || {
            let told = |line: &Line| match line {
                Line::Callback { role, .. } => Some(*role),
                _ => None,
            };
            self.with_lines(|lines| lines.iter().rev().find_map(told)) == Some(role)
        };
        eventually(SOON, &format!("{} has the role {role}", self.name), is_it);
    }

    /// What a fenced write came to; the first after that mark.
    #[track_caller]
    pub fn wait_fenced(&self, mark: usize) -> i32 {
        self.wait("a fenced write", mark, |line| match line {
            Line::Fenced { rc, .. } => Some(*rc),
            _ => None,
        })
    }
}
