//! The table of docs/neighbours.md has a row for each neighbour that is tested, with its recipe, and no other.

use crate::neighbours::ALL;
use crate::seeds;

const PAGE: &str = include_str!("../../docs/neighbours.md");

#[test]
fn the_table_says_what_is_tested() {
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .skip(2)
        .collect();
    let written: Vec<(&str, String)> = rows.iter().map(|row| (row[0], row[1].replace('`', ""))).collect();
    let mut tested: Vec<(&str, String)> =
        ALL.iter().map(|neighbour| (neighbour.name, neighbour.recipe.0.to_owned())).collect();
    tested.push((seeds::ROW.0, seeds::ROW.1.to_owned()));
    let mut sorted = written.clone();
    sorted.sort();
    tested.sort();
    assert_eq!(sorted, tested);
}

#[test]
fn the_numbers_are_those_of_the_header() {
    let header = include_str!("../../include/election.h");
    for neighbour in ALL {
        let (name, number) = neighbour.recipe;
        assert!(header.contains(&format!(" ELECTION_RECIPE_{name} = {number},")), "{name}");
    }
}
