//! The man pages: one for each function and type of the header, that man and apropos take without a word.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{self, output, root, Installed};

fn pages(installed: &Installed, section: &str) -> Vec<PathBuf> {
    let folder = installed.prefix().join("share/man").join(section);
    let entries = std::fs::read_dir(folder).expect("the section is there");
    entries.map(|entry| entry.expect("the section can be read").path()).collect()
}

fn name(page: &Path) -> String {
    page.file_stem().expect("a page has a name").to_string_lossy().into_owned()
}

/// Read in a way of its own: what cbindgen puts in the margin.
fn functions_and_types() -> BTreeSet<String> {
    let header = std::fs::read_to_string(root().join("include/election.h")).expect("the header is there");
    let mut names = BTreeSet::new();
    for line in header.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '}')) {
        let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        let words: Vec<&str> = words.collect();
        if line.starts_with("typedef ") {
            let word = words.iter().find(|word| word.starts_with("election_"));
            names.insert(word.unwrap_or_else(|| panic!("a type in {line}")).to_string());
        } else if let Some((before, _)) = line.split_once('(') {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            names.insert(before.rsplit(|c| !is_word(c)).next().unwrap_or_default().to_owned());
        }
    }
    assert!(names.contains("go_to_election") && names.contains("election_rc_t"), "{names:?}");
    names
}

#[test]
fn each_function_and_type_has_a_page() {
    let installed = Installed::new();
    let there: BTreeSet<String> = pages(&installed, "man3").iter().map(|page| name(page)).collect();
    assert_eq!(there, functions_and_types());
    assert_eq!(pages(&installed, "man7").iter().map(|page| name(page)).collect::<Vec<_>>(), ["election"]);
}

#[test]
fn man_and_mandoc_have_nothing_to_say() {
    let installed = Installed::new();
    let all = [pages(&installed, "man3"), pages(&installed, "man7")].concat();

    let mut mandoc = Command::new("mandoc");
    mandoc.args(["-T", "lint"]).args(&all);
    let said = output(mandoc);
    assert!(said.status.success() && said.stdout.is_empty(), "{}", String::from_utf8_lossy(&said.stdout));

    let mut man = Command::new("man");
    man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).args(&all);
    let said = output(man);
    let complaint = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && complaint.is_empty() && !said.stdout.is_empty(), "{complaint}");

    // What apropos and whatis will list: name - description.
    for page in &all {
        let listed = tools::call("lexgrog", [page]);
        assert!(listed.contains(&format!("\"{} - ", name(page))), "{listed}");
    }
}

/// Every page of the library shows a program that uses what the page is about. tests/c_api compiles and runs them all.
#[test]
fn each_page_has_an_example() {
    let installed = Installed::new();
    for page in pages(&installed, "man3") {
        let text = std::fs::read_to_string(&page).expect("a page is text");
        assert!(text.contains("\n.SH EXAMPLES\n") && text.contains("int main(void)"), "{}", page.display());
    }
}

/// The NAME of a page is a whole sentence of the header, not the part of one before its colon.
#[test]
fn no_summary_is_cut() {
    let installed = Installed::new();
    let header = std::fs::read_to_string(root().join("include/election.h")).expect("the header is there");
    let words = |text: &str| {
        let text = text.replace('`', "").replace(['*', '/'], " ");
        text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
    };
    let header = words(&header);
    for page in pages(&installed, "man3") {
        let text = std::fs::read_to_string(&page).expect("a page is text").replace("\\-", "-");
        let (_, rest) = text.split_once(".SH NAME\n").expect("a page has a NAME");
        let (name, _) = rest.split_once(".SH LIBRARY").expect("a page has a LIBRARY");
        let (_, summary) = name.split_once(" - ").expect("a NAME has a summary");
        let summary = words(summary);
        let at = header.find(&summary).unwrap_or_else(|| panic!("{}: {summary}", page.display()));
        let after = header[at + summary.len()..].trim_start();
        assert!(!after.starts_with(':') && !summary.ends_with(':'), "{}: {summary}", page.display());
    }
}

/// What a page says is what the header says: all of each comment, and nothing besides.
#[test]
fn they_say_what_the_header_says() {
    let installed = Installed::new();
    let shown = |page: &str| {
        let page = installed.prefix().join("share/man").join(page);
        let text = tools::call(
            "mandoc",
            ["-T".as_ref(), "ascii".as_ref(), "-O".as_ref(), "width=1000".as_ref(), page.as_os_str()],
        );
        // Bold and underlined as a typewriter makes them.
        let mut plain = String::new();
        for c in text.chars() {
            if c == '\u{8}' {
                plain.pop();
            } else {
                plain.push(c);
            }
        }
        plain.replace("(3)", "").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let header = std::fs::read_to_string(root().join("include/election.h")).expect("the header is there");
    let lines: Vec<&str> = header.lines().collect();
    let mut compared = 0;
    for function in functions_and_types().into_iter().filter(|name| !name.ends_with("_t") && !name.ends_with("_fn"))
    {
        let declared = |line: &&str| {
            line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains(&format!("{function}("))
        };
        let at = lines.iter().position(declared).expect("it is declared");
        let begin = lines[..at].iter().rposition(|line| line.starts_with("/**")).expect("it has a comment");
        let page = shown(&format!("man3/{function}.3"));
        for line in &lines[begin..at] {
            let text = line.trim_end_matches("*/").trim_start_matches("/**").trim_start_matches(" *");
            let text = text.trim().strip_prefix("- ").unwrap_or(text).replace('`', "");
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(page.contains(&text), "{function}: {text:?} is missing in\n{page}");
            compared += 1;
        }
        for line in
            lines[at..].iter().take(1 + lines[at..].iter().position(|line| line.ends_with(");")).expect("it ends"))
        {
            assert!(page.contains(line.trim()), "{function}: {line:?} is missing in\n{page}");
        }
    }
    assert!(compared > 100, "{compared} lines of comments");

    // A number is explained where a function returns it, a field with its struct.
    assert!(shown("man3/election_wait.3").contains("ERRORS ELECTION_OPERATIONTIMEOUT What was waited for"));
    assert!(shown("man3/election_event_t.3").contains("int64_t token The token of the master"));
    assert!(shown("man3/election_rc_t.3").contains("ELECTION_NODEEXISTS = -110 Another contender's"));
    assert!(shown("man7/election.7").contains("The shortest program: static void on_role("));
}
