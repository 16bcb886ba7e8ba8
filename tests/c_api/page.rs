//! The page `c_examples/from_zoo_acreate.md`: its two columns are programs, compiled as they stand there and run in one
//! election; only the host is the scratch server's. What it quotes of election.cpp stands there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::Program;

use crate::library::{Link, Workshop};
use crate::place::zookeeper;
use crate::tools::{self, root};

const HOST: &str = "\"127.0.0.1:2181\"";
const LONG: Duration = Duration::from_secs(60);

fn page() -> String {
    std::fs::read_to_string(root().join("c_examples/from_zoo_acreate.md")).expect("the page is there")
}

/// The code blocks of a piece of the page.
fn blocks(text: &str) -> Vec<String> {
    let blocks = text.split("```cpp\n").skip(1);
    blocks.map(|block| block.split_once("```").expect("a block ends").0.to_owned()).collect()
}

/// The rows of the tables: from which line of the blog to which, the original, ours.
fn rows(page: &str) -> Vec<(usize, usize, String, String)> {
    let rows = page.split("<table>").skip(1);
    rows.map(|row| {
        let (row, _) = row.split_once("</table>").expect("a table ends");
        let numbers =
            row.split_once(": lines ").and_then(|(_, rest)| rest.split_once("</th>")).expect("line numbers").0;
        let (from, to) = numbers.split_once(" to ").expect("a range of lines");
        let number = |text: &str| text.parse::<usize>().expect("a line number");
        let cells: Vec<&str> = row.split("<td>").skip(1).collect();
        assert_eq!(cells.len(), 2, "{row}");
        (number(from), number(to), blocks(cells[0]).concat(), blocks(cells[1]).concat())
    })
    .collect()
}

fn column(of: impl Fn(&(usize, usize, String, String)) -> &String, hosts: &str) -> String {
    let code: Vec<String> = rows(&page()).iter().map(|row| of(row).clone()).collect();
    let code = code.join("\n");
    assert!(code.contains(HOST), "a program that connects to {HOST}:\n{code}");
    code.replace(HOST, &format!("\"{hosts}\""))
}

/// As the blog compiles it.
fn compile_original(workshop: &Workshop, source: &Path) -> PathBuf {
    let program = workshop.path("before");
    let mut compile = Command::new("g++");
    compile.arg(source).arg("-o").arg(&program).args(["-lzookeeper_mt", "-std=c++11"]);
    // Where Debian has what the client's own headers include.
    compile.arg("-I/usr/include/zookeeper");
    tools::run_command(compile);
    program
}

fn candidate(program: &Path, ip: &str) -> Program {
    let mut command = Command::new(program);
    command.arg(ip);
    Program::spawn(command)
}

/// The original as slave. On a busy machine its second of sleep is too short, as the page says: then it has set no watch,
/// and the next one is tried.
fn original_slave(program: &Path, ip: &str) -> Program {
    for _ in 0..20 {
        let original = candidate(program, ip);
        original.expect_text(LONG, "Become slave, keep watch");
        if original.wait_for_text(Duration::from_secs(3), "get master ip :192.168.100.102").is_some() {
            return original;
        }
        end(&original);
    }
    panic!("twenty times it came too late to its own answer");
}

/// Ends it as its user does, with Enter.
#[track_caller]
fn end(program: &Program) {
    program.write_line("").expect("it reads");
    let status = program.wait(LONG);
    assert!(status.is_some_and(|status| status.success()), "{}", program.transcript());
}

#[test]
fn the_columns_are_whole_programs_and_take_part_in_one_election() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let before = workshop.write("before.cpp", &column(|row| &row.2, &zookeeper.hosts()));
    let after = workshop.write("after.cpp", &column(|row| &row.3, &zookeeper.hosts()));
    let before = compile_original(&workshop, &before);
    let after = workshop.build("g++", "c++11", &[after], Link::Shared);

    let original = candidate(&before, "192.168.100.101");
    original.expect_text(LONG, "Become master");
    let ours = candidate(&after, "192.168.100.102");
    ours.expect_text(LONG, "Become slave, keep watch");
    ours.expect_text(LONG, "get master ip :192.168.100.101");
    end(&original);
    ours.expect_text(LONG, "Become master");

    let original = original_slave(&before, "192.168.100.103");
    end(&ours);
    original.expect_text(LONG, "Become master");
    end(&original);
}

/// The page shows all of the blog's program, in its order.
#[test]
fn no_line_is_left_out() {
    let mut next = 15;
    for (from, to, original, _) in rows(&page()) {
        // An empty line may stand between two pieces.
        assert!(from == next || from == next + 1, "line {next} is missing");
        assert_eq!(original.lines().count(), to + 1 - from, "lines {from} to {to}");
        next = to + 1;
    }
    assert_eq!(next, 113);
}

#[test]
fn its_quotations_are_exact_and_its_words_exist() {
    let page = page();
    let (_, after_columns) = page.split_once("\n## election.cpp\n").expect("the chapter is there");
    let quotations = blocks(after_columns);
    let source = std::fs::read_to_string(root().join("c_examples/election.cpp")).expect("election.cpp is there");
    assert!(quotations.len() >= 4, "{} quotations", quotations.len());
    for quotation in quotations {
        assert!(source.contains(&quotation), "election.cpp has not:\n{quotation}");
    }

    let header = std::fs::read_to_string(root().join("include/election.h")).expect("the header is there");
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in page.split(|c| !is_word(c)) {
        let is_of_header = word.starts_with("ELECTION_") || (word.starts_with("election_") && word.len() > 9);
        let is_there = header.split(|c| !is_word(c)).any(|known| known == word);
        assert!(!is_of_header || is_there, "the header has no {word}");
    }
    for link in page.split("](").skip(1) {
        let file = link.split([')', '#']).next().unwrap_or_default();
        assert!(root().join("c_examples").join(file).exists(), "the page leads to {file}");
    }
}
