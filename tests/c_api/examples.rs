//! The examples that nothing else runs, as their first lines say they are run.

use std::process::Command;

use testkit::{eventually, Program};

use crate::library::{Link, Workshop};
use crate::place::zookeeper;
use crate::programs::LONGEST;
use crate::python;
use crate::tools::{self, root};

/// Three programs of one thread stand at a path. The first ends well, the second is killed.
fn stand_in_a_loop(path: &str, run: impl Fn() -> Command) {
    let zookeeper = zookeeper();
    let start = |value: &str| {
        let mut command = run();
        command.args([&zookeeper.hosts(), path, value]);
        Program::spawn(command)
    };
    let one = start("one");
    one.expect_text(LONGEST, "role=MASTER");
    let others = [start("two"), start("three")];
    for other in &others {
        other.expect_text(LONGEST, "role=SLAVE");
    }
    let threads = format!("/proc/{}/task", one.pid());
    let count = || std::fs::read_dir(&threads).expect("it runs").count();
    eventually(LONGEST, "it has one thread", || count() == 1);
    one.terminate();
    assert_eq!(one.wait(LONGEST).and_then(|status| status.code()), Some(0), "{}", one.transcript());
    let is_master = |program: &Program| program.transcript().contains("role=MASTER");
    eventually(LONGEST, "another one is master", || others.iter().any(is_master));
    let (next, last) = match is_master(&others[0]) {
        true => (&others[0], &others[1]),
        false => (&others[1], &others[0]),
    };
    next.kill9();
    last.expect_text(LONGEST, "role=MASTER");
    last.terminate();
    assert_eq!(last.wait(LONGEST).and_then(|status| status.code()), Some(0), "{}", last.transcript());
}

#[test]
fn a_loop_of_epoll() {
    let workshop = Workshop::new();
    let program = workshop.build("gcc", "c99", &[root().join("c_examples/loop_epoll.c")], Link::Shared);
    stand_in_a_loop("/loop-epoll", || Command::new(&program));
}

#[test]
fn a_loop_of_libuv() {
    tools::demand("pkg-config");
    let workshop = Workshop::new();
    let flags = tools::run("pkg-config", ["--cflags".as_ref(), "--libs".as_ref(), std::ffi::OsStr::new("libuv")]);
    // They stand before the source here.
    let flags: Vec<&str> = std::iter::once("-Wl,--no-as-needed").chain(flags.split_whitespace()).collect();
    let source = root().join("c_examples/loop_uv.c");
    let program = workshop.build_with("gcc", "c99", &[source], Link::Shared, &flags);
    stand_in_a_loop("/loop-uv", || Command::new(&program));
}

#[test]
fn a_loop_of_asyncio() {
    stand_in_a_loop("/loop-asyncio", || python::command(&root().join("c_examples/loop_asyncio.py")));
}

#[test]
fn members_see_each_other() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let members = workshop.build("gcc", "c99", &[root().join("c_examples/members.c")], Link::Shared);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&members);
        command.args(["--hosts", &zookeeper.hosts(), "--enough", "2"]).args(arguments);
        Program::spawn(command)
    };
    let look = run(&["--look", "/cluster"]);
    look.expect_text(LONGEST, " members=0 alarm=TOO_FEW");
    let one = run(&["/cluster", "one"]);
    look.expect_text(LONGEST, " members=1 w-0000000000=one:leading");
    let two = run(&["/cluster", "two 2"]);
    look.expect_text(LONGEST, " members=2 alarm=ENOUGH w-0000000000=one:leading w-0000000001=two\\x202");
    one.expect_text(LONGEST, " members=2 w-0000000000=one:leading w-0000000001=two\\x202:following");
    one.kill9();
    look.expect_text(LONGEST, " members=1 alarm=TOO_FEW w-0000000001=two\\x202:following");
    two.expect_text(LONGEST, " members=1 w-0000000001=two\\x202:leading");
    for program in [two, look] {
        program.terminate();
        assert_eq!(program.wait(LONGEST).and_then(|status| status.code()), Some(0), "{}", program.transcript());
    }
}
