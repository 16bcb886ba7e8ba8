//! The fuzz targets of `target.c`, with clang's libFuzzer and this crate compiled so that it sees which way each input
//! takes, and AddressSanitizer what becomes of memory. Every test first runs the inputs in `corpus/FUNCTION`, then a few
//! hundred new ones, or for `FUZZ_SECONDS` (`make test-long`: a minute for each function). What is found is printed as
//! base64: decode it into the corpus, and it is run for ever.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::library::{instrumented, Workshop};
use crate::tools::{self, root};

fn build(workshop: &Workshop, more: &[&str]) -> PathBuf {
    let program = workshop.path("target");
    let mut compile = Command::new("clang");
    compile.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-fsanitize=fuzzer,address,undefined"]);
    compile.args(["-fno-sanitize-recover=undefined", "-rdynamic", "-Iinclude"]).args(more);
    compile.arg("tests/fuzz/target.c").arg("-o").arg(&program);
    compile.arg(format!("-L{}", instrumented().display())).arg("-lelection");
    compile.arg(format!("-Wl,-rpath,{}", instrumented().display())).current_dir(root());
    tools::run_command(compile);
    program
}

/// How long each function is tried, in libFuzzer's words.
fn length() -> String {
    match std::env::var("FUZZ_SECONDS") {
        Ok(seconds) => format!("-max_total_time={}", seconds.parse::<u32>().expect("FUZZ_SECONDS is a number")),
        Err(_) => "-runs=500".to_owned(),
    }
}

fn functions_with_targets(program: &Path) -> BTreeSet<String> {
    let mut list = Command::new(program);
    list.arg("--list");
    tools::run_command(list).lines().map(str::to_owned).collect()
}

/// Each in turn: the threads of the library want a core, too.
#[test]
fn each_function_stands_whatever_comes() {
    let workshop = Workshop::new();
    let program = build(&workshop, &[]);
    let found = workshop.path("found");
    std::fs::create_dir_all(&found).expect("the scratch folder takes folders");
    for function in functions_with_targets(&program) {
        let corpus = root().join("tests/fuzz/corpus").join(&function);
        let inputs = std::fs::read_dir(&corpus).map_or(0, |entries| entries.count());
        assert!(inputs > 0, "tests/fuzz/corpus/{function} has an input to start from");
        let mut fuzz = Command::new(&program);
        fuzz.arg(format!("--function={function}")).arg(length());
        fuzz.args(["-timeout=20", "-print_final_stats=1", "-max_len=8192", "-len_control=20"]);
        fuzz.arg(format!("-artifact_prefix={}/", found.display()));
        // The first folder takes what is new.
        fuzz.arg(&found).arg(&corpus);
        let output = fuzz.output().expect("what was just built can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{function}:\n{said}");
        let executed = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units: "));
        let executed: usize = executed.and_then(|count| count.trim().parse().ok()).expect("libFuzzer counts");
        assert!(executed > inputs, "{function}: {executed} runs");
        for entry in std::fs::read_dir(&found).expect("the folder is there") {
            std::fs::remove_file(entry.expect("the folder can be read").path()).expect("ours");
        }
    }
}

/// What is said of go_to_election with a mistake planted in its target.
#[track_caller]
fn find(mistake: &str) -> String {
    let workshop = Workshop::new();
    let mut fuzz = Command::new(build(&workshop, &[mistake]));
    fuzz.args(["--function=go_to_election", "-seed=1", "-runs=2000000", "-max_total_time=120", "-max_len=64"]);
    fuzz.arg(format!("-artifact_prefix={}/", workshop.path(".").display()));
    let output = fuzz.output().expect("what was just built can be run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

/// The library is seen from inside, and what only its answers lead to is found.
#[test]
fn a_planted_mistake_is_found() {
    let said = find("-DPLANTED");
    assert!(said.contains("go_to_election: does not hold"), "{said}");
    assert!(said.contains("Loaded 2 modules"), "the program and the library: {said}");
}

/// AddressSanitizer watches what the library itself reads.
#[test]
fn a_value_that_is_said_to_be_longer_than_it_is_is_found() {
    let said = find("-DTOO_LONG=64");
    assert!(said.contains("heap-buffer-overflow") && said.contains("in go_to_election"), "{said}");
}

/// These take nothing but handles and what the library made.
const WITHOUT_INPUT: [&str; 12] = [
    "election_clear_interrupt",
    "election_close",
    "election_dump_free",
    "election_fd",
    "election_leadership_token",
    "election_options_free",
    "election_options_new",
    "election_unwatch_connection",
    "election_verifier_free",
    "election_verifier_highest",
    "election_version",
    "election_watch_connection",
];

#[test]
fn each_function_has_a_target() {
    let workshop = Workshop::new();
    let mut known = functions_with_targets(&build(&workshop, &[]));
    known.extend(WITHOUT_INPUT.map(str::to_owned));
    assert_eq!(known, crate::header::Header::read().functions());
}
