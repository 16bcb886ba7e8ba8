//! The crate as it is published, and its documentation.

use std::fs;
use std::process::Command;

use crate::tools::{root, run, target};

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).current_dir(root()).env("CARGO_TARGET_DIR", target());
    cargo
}

#[test]
fn it_has_what_a_build_needs_and_no_tests() {
    let list = run(cargo(&["package", "--list", "--allow-dirty", "--offline"]));
    let files: Vec<&str> = list.lines().collect();
    for file in [
        "src/lib.rs",
        "build.rs",
        "include/election.h",
        "include/election.hpp",
        "README.md",
        "LICENSE",
        "Cargo.lock",
    ] {
        assert!(files.contains(&file), "{file} in {list}");
    }
    assert!(!files.iter().any(|file| file.starts_with("tests/") || file.starts_with("benches/")), "{list}");
    run(cargo(&["package", "--no-verify", "--allow-dirty", "--offline", "--quiet"]));
}

/// Built from the package alone, as `cargo publish --dry-run` does.
#[test]
#[ignore = "a build from the beginning: `make test-long` runs it"]
fn it_builds_from_its_package() {
    run(cargo(&["package", "--allow-dirty", "--offline", "--quiet"]));
}

#[test]
fn its_documentation_begins_with_a_program_and_shows_no_internals() {
    let folder = target().join("doc/election");
    let _ = fs::remove_dir_all(&folder);
    let mut doc = cargo(&["doc", "--no-deps", "--package", "election", "--lib", "--locked", "--offline"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    run(doc);
    let page = fs::read_to_string(folder.join("index.html")).expect("there is a first page");
    assert!(page.contains("go_to_election") && page.contains("Handle"), "the first page has a program");
    for internal in ["ffi", "handle", "logic", "driver", "testing"] {
        assert!(!folder.join(internal).join("index.html").exists(), "{internal} is documented");
    }
}
