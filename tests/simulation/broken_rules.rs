//! Shows that the simulation finds errors: if any rule of the core is broken, the simulation finds a violation.
//! broken_rules.txt lists the seed that finds it and the violation. `BLESS=1` writes the file anew, and with
//! `RULE=Distance` only the line of this rule.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

use crate::campaign::quietly;
use crate::number;
use crate::plan::Broken;
use crate::run::run;

/// As many seeds as `make test` plays.
const SEEDS: u64 = 20_000;

fn table() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "simulation", "broken_rules.txt"].iter().collect()
}

fn line(rule: Broken, seed: u64, property: &str) -> String {
    format!("{:<24} {seed:>6}  {property}\n", rule.name())
}

/// The first seed that finds the broken rule, and nothing if it is kept.
fn catch(rule: Broken, seeds: u64) -> Option<(u64, &'static str)> {
    let (next, found) = (AtomicU64::new(number("FIRST").unwrap_or(0)), Mutex::new(None));
    let look = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let lower = found.lock().expect("no run panics").is_some_and(|(found, _)| found < seed);
        if seed >= seeds || lower {
            return;
        }
        let violation = run(seed, Some(rule), false).violation;
        if let Some(violation) = violation.filter(|_| run(seed, None, false).violation.is_none()) {
            let mut found = found.lock().expect("no run panics");
            *found = Some((seed, violation.property)).into_iter().chain(*found).min();
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(|| quietly(look)))));
    found.into_inner().expect("no run panics")
}

fn wanted(rule: Broken) -> bool {
    std::env::var("RULE").map_or(true, |name| name == rule.name())
}

#[test]
fn every_broken_rule_is_found() {
    let expected = std::fs::read_to_string(table()).unwrap_or_default();
    let mut found = String::from("# rule, the first seed that finds it broken, and what is violated then\n");
    let mut missed = Vec::new();
    quietly(|| {
        for rule in Broken::all() {
            let mut words =
                expected.lines().find_map(|line| line.strip_prefix(&format!("{} ", rule.name()))).unwrap_or("");
            words = words.trim();
            let seed = words.split_whitespace().next().and_then(|seed| seed.parse().ok());
            let caught = match seed {
                _ if number("BLESS").is_some() && wanted(rule) => catch(rule, number("SEEDS").unwrap_or(SEEDS)),
                Some(seed) => run(seed, Some(rule), false).violation.map(|violation| (seed, violation.property)),
                None => None,
            };
            match caught {
                Some((seed, property)) => {
                    let line = line(rule, seed, property);
                    print!("{line}");
                    found.push_str(&line);
                }
                None => {
                    println!("{} is not found", rule.name());
                    missed.push(rule.name());
                }
            }
        }
    });
    if number("BLESS").is_some() {
        for rule in &missed {
            let _ = writeln!(found, "{rule} is not found");
        }
        std::fs::write(table(), &found).expect("the table can be written");
    }
    assert!(missed.is_empty(), "broken and not found: {missed:?}");
    assert_eq!(expected, found, "BLESS=1 cargo test --release --test simulation every_broken writes it anew");
}
