//! The table of docs/neighbours.md has a row for each neighbour that is tested, with its recipe, and no other. Its third column is
//! measured: the longest time that a member of theirs believed wrongly in a run with `BLESS=1`.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::neighbours::{Neighbour, ALL};
use crate::seeds;

const PAGE: &str = include_str!("../../docs/neighbours.md");

/// What stands where the time has no end.
const WITHOUT_END: &str = "no end";

fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    Some(row.split(" | ").collect())
}

fn rows(page: &str) -> Vec<Vec<&str>> {
    page.lines().filter_map(cells).skip(2).collect()
}

/// The line of a row with this time instead of a shorter one.
fn with_time(line: &str, name: &str, recipe: &str, ms: f64) -> String {
    match cells(line).as_deref() {
        Some([of, with, known, until]) if *of == name && with.trim_matches('`') == recipe => {
            let known_ms: f64 = known.strip_suffix(" ms").and_then(|known| known.parse().ok()).unwrap_or_default();
            format!("| {of} | {with} | {:.0} ms | {until} |", ms.ceil().max(known_ms))
        }
        _ => line.to_owned(),
    }
}

/// How long a member of theirs believed wrongly.
pub fn record(neighbour: &Neighbour, ms: f64) {
    static FILE: Mutex<()> = Mutex::new(());
    if std::env::var_os("BLESS").is_none() {
        return;
    }
    let _one_at_a_time = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/neighbours.md");
    let page = std::fs::read_to_string(&file).expect("the page");
    let lines = page.lines().map(|line| with_time(line, neighbour.name, neighbour.recipe.0, ms) + "\n");
    std::fs::write(&file, lines.collect::<String>()).expect("the page");
}

#[test]
fn the_table_says_what_is_tested() {
    let written: Vec<(&str, String)> =
        rows(PAGE).iter().map(|row| (row[0], row[1].trim_matches('`').to_owned())).collect();
    let mut tested: Vec<(&str, String)> =
        ALL.iter().map(|neighbour| (neighbour.name, neighbour.recipe.0.to_owned())).collect();
    tested.extend(seeds::ALL.iter().map(|seed| (seed.name, seeds::RECIPE.to_owned())));
    let mut sorted = written.clone();
    sorted.sort();
    tested.sort();
    assert_eq!(sorted, tested);
}

#[test]
fn each_time_in_the_table_is_measured() {
    for row in rows(PAGE) {
        let is_seed = seeds::ALL.iter().any(|seed| seed.name == row[0]);
        let is_time = row[2].strip_suffix(" ms").is_some_and(|ms| ms.parse::<u32>().is_ok());
        assert!(if is_seed { row[2] == WITHOUT_END } else { is_time }, "{row:?}");
    }
}

#[test]
fn a_longer_time_takes_the_place_of_a_shorter_one() {
    let line = "| Go's zk.Lock | `QUEUE_WRITE_LOCK` | 5 ms | soon |";
    let after = |ms| with_time(line, "Go's zk.Lock", "QUEUE_WRITE_LOCK", ms);
    assert_eq!(after(12.2), "| Go's zk.Lock | `QUEUE_WRITE_LOCK` | 13 ms | soon |");
    assert_eq!(after(4.0), line);
    assert_eq!(with_time(line, "Go's zk.Lock", "QUEUE_CURATOR_LOCK", 12.2), line);
}

#[test]
fn the_numbers_are_those_of_the_header() {
    let header = include_str!("../../include/election.h");
    for neighbour in ALL {
        let (name, number) = neighbour.recipe;
        assert!(header.contains(&format!(" ELECTION_RECIPE_{name} = {number},")), "{name}");
    }
}
