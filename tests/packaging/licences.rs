//! The licences of what is linked in, and the bill of materials: made from Cargo.lock, and complete.

use std::collections::BTreeSet;
use std::process::Command;

use crate::tools::{root, run};

/// What cargo itself says is linked in, by name and version.
fn linked() -> BTreeSet<(String, String)> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args([
        "tree",
        "--locked",
        "--offline",
        "--package",
        "election",
        "--features",
        "command",
        "--prefix",
        "none",
    ]);
    tree.args(["--edges", "normal,no-proc-macro", "--target", "x86_64-unknown-linux-gnu", "--format", "{p}"]);
    let said = run({
        tree.current_dir(root());
        tree
    });
    let crates = said.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" v")?;
        let version = rest.split(' ').next().unwrap_or_default();
        (name != "election").then(|| (name.to_owned(), version.to_owned()))
    });
    crates.collect()
}

#[test]
fn they_are_those_of_the_lock_file() {
    let mut check = Command::new("python3");
    check.args(["-B", "src/packaging/third_party.py", "--check"]).current_dir(root()).env("CARGO", env!("CARGO"));
    run(check);
}

#[test]
fn each_crate_that_is_linked_in_is_named() {
    let read = |name: &str| std::fs::read_to_string(root().join("src/packaging").join(name)).expect("it is there");
    let (copyright, bill) = (read("copyright"), read("libelection.cdx.json"));
    let linked = linked();
    assert!(linked.len() > 60, "{linked:?}");
    for (name, version) in &linked {
        let stanza = copyright.split("\n\n").find(|stanza| stanza.contains(&format!("Files: {name}-{version}/*")));
        let stanza = stanza.unwrap_or_else(|| panic!("no licence of {name} {version}"));
        assert!(stanza.contains("\nCopyright: ") && stanza.contains("\nLicense: "), "{stanza}");
        assert!(
            bill.contains(&format!("\"purl\": \"pkg:cargo/{name}@{version}\"")),
            "{name} {version} in the bill"
        );
    }
    assert_eq!(
        copyright.matches("\nFiles: ").count(),
        linked.len() + 2,
        "those, ours, and Rust's standard library"
    );
    // MIT asks for its notice, the others for their text.
    for licence in ["MIT", "Apache-2.0", "ISC", "BSD-3-Clause"] {
        assert!(copyright.contains(&format!("\n\nLicense: {licence}\n ")), "{licence}");
    }
}
