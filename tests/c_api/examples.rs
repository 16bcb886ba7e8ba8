//! The examples that nothing else runs, as their first lines say they are run.

use std::process::Command;

use testkit::Program;

use crate::library::{Link, Workshop};
use crate::place::zookeeper;
use crate::programs::LONGEST;
use crate::tools::root;

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
