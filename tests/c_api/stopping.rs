//! How programs stop: on SIGTERM and SIGINT, as the only one of their group and while they wait behind a master, with
//! success, and so that the next one is master long before a session could have timed out. The programs are those of
//! docs/stopping.md, and the examples.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::{Ensemble, Program};

use crate::documents::{at_scratch_server, snippets};
use crate::library::{Link, Workshop};
use crate::place::zookeeper;
use crate::tools::root;

/// Far more than it takes.
const LONGEST: Duration = Duration::from_secs(60);

/// The programs here have session timeouts of 10 s or more.
const BEFORE_ANY_SESSION_TIMES_OUT: Duration = Duration::from_secs(5);

/// A program, how it is called, and what it says when it waits behind a master and when it is one.
struct Subject {
    program: PathBuf,
    arguments: Vec<String>,
    waits: &'static str,
    is_master: &'static str,
    /// Runs for as long as somebody has it.
    _zookeeper: Arc<Ensemble>,
}

impl Subject {
    fn start(&self) -> Program {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        Program::spawn(command)
    }

    #[track_caller]
    fn stops(&self, program: &Program, signal: libc::c_int) {
        let asked = Instant::now();
        program.signal(signal);
        let status = program.wait(LONGEST);
        let transcript = program.transcript();
        assert_eq!(status.and_then(|status| status.code()), Some(0), "signal {signal}: {status:?}\n{transcript}");
        assert!(asked.elapsed() < BEFORE_ANY_SESSION_TIMES_OUT, "{:?}\n{transcript}", asked.elapsed());
    }

    #[track_caller]
    fn stops_cleanly(&self) {
        for signal in [libc::SIGTERM, libc::SIGINT] {
            let master = self.start();
            master.expect_text(LONGEST, self.is_master);
            let waiting = self.start();
            waiting.expect_text(LONGEST, self.waits);
            self.stops(&waiting, signal);
            let next = self.start();
            next.expect_text(LONGEST, self.waits);
            self.stops(&master, signal);
            next.expect_text(BEFORE_ANY_SESSION_TIMES_OUT, self.is_master);
            // Now it is the only one.
            self.stops(&next, signal);
        }
    }
}

fn of_document(workshop: &Workshop, language: &str, compiler: &str, standard: &str) -> Subject {
    let mut of_language = snippets(language).into_iter();
    let (name, code) =
        of_language.find(|(name, _)| name.starts_with("stopping-")).expect("docs/stopping.md has one");
    let zookeeper = zookeeper();
    let code = at_scratch_server(&code, &zookeeper.hosts(), &format!("{name}-stops"));
    let source = workshop.write(&format!("{name}.{language}"), &code);
    let program = workshop.build(compiler, standard, &[source], Link::Shared);
    Subject { program, arguments: Vec::new(), waits: "waits", is_master: "master", _zookeeper: zookeeper }
}

#[test]
fn the_daemon_in_c() {
    of_document(&Workshop::new(), "c", "gcc", "c99").stops_cleanly();
}

#[test]
fn the_daemon_in_cpp() {
    of_document(&Workshop::new(), "cpp", "g++", "c++17").stops_cleanly();
}

/// An example with ten seconds of session timeout, at a path of its own.
fn example(
    workshop: &Workshop,
    name: &str,
    arguments: &[&str],
    waits: &'static str,
    is_master: &'static str,
) -> Subject {
    let source = root().join("c_examples").join(name);
    let program = match source.extension().is_some_and(|extension| extension == "cpp") {
        true => workshop.build("g++", "c++17", &[source], Link::Shared),
        false => workshop.build("gcc", "c99", &[source], Link::Shared),
    };
    let zookeeper = zookeeper();
    let mut all = vec!["--hosts".to_owned(), zookeeper.hosts(), "--timeout".to_owned(), "10000".to_owned()];
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    Subject { program, arguments: all, waits, is_master, _zookeeper: zookeeper }
}

#[test]
fn the_examples() {
    let workshop = Workshop::new();
    let (slave, master) = ("role=SLAVE", "role=MASTER");
    let stay = ["--path", "/stops-election", "--stay", "10.0.0.1"];
    example(&workshop, "election.cpp", &stay, slave, master).stops_cleanly();
    let standby = ["--path", "/stops-standby", "--grace", "1", "10.0.0.1"];
    example(&workshop, "standby.cpp", &standby, slave, "worker piece=2").stops_cleanly();
    // A command that is running is ended, too.
    let job = ["--path", "/stops-job", "--every", "1", "--", "sleep", "600"];
    example(&workshop, "job.c", &job, slave, "job start").stops_cleanly();
    let members = ["/stops-members", "one"];
    example(&workshop, "members.c", &members, "one:following", "members=1 ").stops_cleanly();
}

/// One that only looks on holds no place.
#[test]
fn the_observer() {
    let workshop = Workshop::new();
    let watch = example(&workshop, "watch.c", &["/stops-watch"], "", "");
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let program = watch.start();
        program.wait_for(LONGEST, |_| true).expect("it says who is master");
        watch.stops(&program, signal);
    }
}
