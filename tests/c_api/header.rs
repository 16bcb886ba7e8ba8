//! The header as text: what it declares, that any compiler takes it, and that it is the one that the sources make.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::library::{Link, Workshop};
use crate::tools::{self, root, source};

const C_STANDARDS: [&str; 3] = ["c99", "c11", "c17"];
const CPP_STANDARDS: [&str; 3] = ["c++11", "c++17", "c++20"];

/// The functions that have two names, with and without the prefix `election_`.
pub const BARE_NAMES: [&str; 2] = ["go_to_election", "watch_master"];

/// What the header declares. The header is made by cbindgen, so its layout is regular enough to be read line by line.
pub struct Header {
    pub text: String,
    /// The text without comments.
    code: String,
}

impl Header {
    pub fn read() -> Header {
        let text = std::fs::read_to_string(root().join("include/election.h")).expect("the header is there");
        let code = without_comments(&text);
        Header { text, code }
    }

    /// The names of all functions.
    pub fn functions(&self) -> BTreeSet<String> {
        let after_types = self.code.split_once("extern \"C\" {").expect("C++ is provided for").1;
        let declarations = after_types.split(';').filter_map(|declaration| declaration.split_once('('));
        let names: BTreeSet<String> = declarations.map(|(before, _)| last_word(before)).collect();
        assert!(names.contains("go_to_election") && names.contains("election_close"), "{names:?}");
        names
    }

    /// The names of all functions, without the prefix where there is a name without it: each function once.
    pub fn functions_once(&self) -> BTreeSet<String> {
        let mut names = self.functions();
        for bare in BARE_NAMES {
            assert!(names.contains(bare) && names.remove(&format!("election_{bare}")), "{bare}: {names:?}");
        }
        names
    }

    /// The public structs with their fields.
    pub fn structs(&self) -> Vec<(String, Vec<String>)> {
        self.bodies("struct")
            .map(|(name, body)| (name, body.split(';').map(last_word).filter(|field| !field.is_empty()).collect()))
            .collect()
    }

    /// Those functions that return an int.
    pub fn functions_returning_int(&self) -> Vec<String> {
        let is_int = |name: &String| self.code.contains(&format!("\nint {name}("));
        self.functions().into_iter().filter(is_int).collect()
    }

    /// The names of all enums.
    pub fn enums(&self) -> Vec<String> {
        self.bodies("enum").map(|(name, _)| name).collect()
    }

    /// The enums with the names of their constants.
    pub fn enums_with_constants(&self) -> Vec<(String, Vec<String>)> {
        let name = |constant: &str| constant.split('=').next().unwrap_or_default().trim().to_owned();
        let constants = |body: &str| body.split(',').map(name).filter(|name| !name.is_empty()).collect();
        self.bodies("enum").map(|(name, body)| (name, constants(body))).collect()
    }

    /// The names of all enum constants.
    pub fn constants(&self) -> Vec<String> {
        self.enums_with_constants().into_iter().flat_map(|(_, constants)| constants).collect()
    }

    /// The names of the types that have a body, and what is in it. An opaque struct has none.
    fn bodies<'a>(&'a self, kind: &str) -> impl Iterator<Item = (String, &'a str)> {
        let pieces: Vec<&str> = self.code.split(&format!("typedef {kind} ")).skip(1).collect();
        pieces.into_iter().filter_map(|piece| {
            let (name, rest) = piece.split_once('{')?;
            let (body, _) = rest.split_once('}')?;
            (!name.contains(';')).then(|| (name.trim().to_owned(), body))
        })
    }

    /// The names of all macros that are numbers.
    pub fn defines_of_numbers(&self) -> Vec<String> {
        let defines = self.code.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
        let numbers = defines.filter(|(_, value)| value.trim().parse::<i64>().is_ok());
        numbers.map(|(name, _)| name.to_owned()).collect()
    }

    /// The value of a `#define`.
    pub fn define(&self, name: &str) -> &str {
        let value = self.code.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name));
        value.unwrap_or_else(|| panic!("the header does not define {name}")).trim()
    }
}

fn last_word(text: &str) -> String {
    text.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
}

pub fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("a comment ends").1;
    }
    code.push_str(rest);
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn any_compiler_takes_it_alone_and_twice_in_one_program() {
    let workshop = Workshop::new();
    let alone = "#include \"election.h\"\n#include \"election.h\"\n";
    let one = "const char *version_of_the_other(void);\n\
        #include <stdio.h>\n\
        int main(void) {\n\
            printf(\"%s %s %s\\n\", ELECTION_VERSION, election_version(), version_of_the_other());\n\
            return election_close(NULL) != ELECTION_BAD_HANDLE;\n\
        }\n";
    let other = "const char *version_of_the_other(void);\n\
        const char *version_of_the_other(void) { return election_version(); }\n";
    let compile = |compiler: &str, standards: &[&str], ending: &str| {
        let sources = [
            workshop.write(&format!("one.{ending}"), &format!("{alone}{one}")),
            workshop.write(&format!("other.{ending}"), &format!("{alone}{other}")),
        ];
        for standard in standards {
            let program = workshop.build(compiler, standard, &sources, Link::Shared);
            let versions = tools::run_command(Command::new(program));
            let version = env!("CARGO_PKG_VERSION");
            assert_eq!(versions, format!("{version} {version} {version}\n"), "{compiler} -std={standard}");
        }
    };
    compile("gcc", &C_STANDARDS, "c");
    compile("g++", &CPP_STANDARDS, "cpp");
    compile("clang", &C_STANDARDS, "c");
    compile("clang++", &CPP_STANDARDS, "cpp");
}

/// The first thing that anybody copies.
#[test]
fn the_program_in_its_preface_compiles() {
    let text = Header::read().text;
    let preface = text.split_once("*/").expect("the preface is a comment").0;
    let example =
        preface.lines().filter_map(|line| line.strip_prefix(" *     ")).filter(|line| line.trim() != "...");
    let example: Vec<&str> = example.collect();
    let end_of_callback = example.iter().position(|line| *line == "}").expect("the callback ends at the margin");
    let (callback, body) = example.split_at(end_of_callback + 1);
    let workshop = Workshop::new();
    let program = workshop.write(
        "preface.c",
        &format!(
            "#include <stdio.h>\n#include \"election.h\"\nvoid do_a_piece_of_work(void);\n\
             void do_a_piece_of_work(void) {{}}\n{}\nint main(void) {{\n{}\nreturn rc;\n}}\n",
            callback.join("\n").replace("void *ctx) {", "void *ctx) { (void)ctx;"),
            body.join("\n"),
        ),
    );
    workshop.build("gcc", "c99", &[program], Link::Shared);
}

/// A program of the seeds, in C++, may keep its functions while it moves over: they are overloads.
#[test]
fn the_seeds_functions_overload_it_in_cpp() {
    let workshop = Workshop::new();
    let program = workshop.write(
        "seed.cpp",
        "#include \"election.h\"\n\
         struct zhandle_t;\n\
         void go_to_election(zhandle_t *, int, int, const char *, void *) {}\n\
         void watch_master(zhandle_t *, const char *) {}\n\
         int main() {\n\
             go_to_election(nullptr, 0, 0, \"\", nullptr);\n\
             watch_master(nullptr, \"\");\n\
             int stood = go_to_election(nullptr, \"/master\", \"\", 0, nullptr, nullptr, nullptr);\n\
             return stood == ELECTION_BAD_HANDLE ? 0 : 1;\n\
         }\n",
    );
    tools::run_command(Command::new(workshop.build("g++", "c++17", &[program], Link::Shared)));
}

/// `build.rs` writes the header whenever its sources change, so what is in the working tree is right by the time that
/// this runs. What can be wrong is the commit: sources that were committed without the header that they make.
#[test]
fn it_is_committed_with_the_sources_that_make_it() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root()).output();
        output.unwrap_or_else(|error| panic!("git cannot be run (apt-get install git): {error}"))
    };
    let is_ci = std::env::var_os("CI").is_some();
    let head = git(&["rev-parse", "--verify", "HEAD"]);
    if !head.status.success() {
        let why = String::from_utf8_lossy(&head.stderr);
        assert!(!is_ci, "CI tests a commit, and git finds none: {why}");
        tools::not_tested(&format!("whether the header is committed with its sources; git finds no commit: {why}"));
        return;
    }
    let changed = |paths: &[&str]| {
        let output = git(&[&["status", "--porcelain", "--"], paths].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git status: {said}");
        !output.stdout.is_empty()
    };
    if changed(&["src/ffi", "build.rs", "Cargo.toml", "Cargo.lock"]) {
        assert!(!is_ci, "CI tests what is committed, and its sources differ from the commit");
        return; // Work under way, and the header with it.
    }
    assert!(
        !changed(&["include/election.h"]),
        "the committed include/election.h is not what src/ffi makes: commit it as `cargo build` wrote it"
    );
}

#[test]
fn its_version_is_the_package_s() {
    assert_eq!(Header::read().define("ELECTION_VERSION"), concat!('"', env!("CARGO_PKG_VERSION"), '"'));
}

#[test]
fn every_function_is_explained_in_words_that_exist() {
    let header = Header::read();
    let lines: Vec<&str> = header.text.lines().collect();
    for function in header.functions() {
        let declared = |line: &&str| !line.starts_with([' ', '/', '*']) && line.contains(&format!("{function}("));
        let at = lines.iter().position(declared).unwrap_or_else(|| panic!("{function} is declared"));
        assert!(lines[at - 1].ends_with("*/"), "{function} has no comment before it");
    }

    let constants = header.constants();
    let is_known =
        |word: &str| constants.iter().any(|name| name == word) || header.code.contains(&format!("#define {word} "));
    let words = header.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.filter(|word| word.starts_with("ELECTION_")) {
        // These two a program defines, or nobody.
        let is_defined_by_nobody = ["ELECTION_H", "ELECTION_NO_BARE_NAMES"].contains(&word);
        assert!(is_known(word) || is_defined_by_nobody, "the header speaks of {word}, which it does not define");
    }
    for rust in ["# Safety", "# Errors", "[`", "`]", "crate::", "::"] {
        assert!(!header.text.contains(rust), "{rust:?} means nothing to a reader of C");
    }
}

#[test]
fn python_uses_each_function() {
    let files = std::fs::read_dir(root().join("python/election")).expect("the module is there");
    let modules = files.map(|file| file.expect("it can be read").path());
    let read = |module: PathBuf| match std::fs::read_to_string(&module).expect("a module has text") {
        // What comes after the list of functions.
        text if module.ends_with("_library.py") => {
            text.split_once("\ndef load(").expect("it is there").1.to_owned()
        }
        text => text,
    };
    let is_module = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "py");
    let binding: String = modules.filter(is_module).map(read).collect();
    // A callback in them would run inside C on the program's thread, where what a signal handler of Python's raises is lost:
    // the module has a queue of its own.
    let unused = ["election_fd", "election_dispatch"];
    for function in Header::read().functions_once().into_iter().filter(|name| !unused.contains(&name.as_str())) {
        let is_called = binding.contains(&format!(".{function}("));
        let is_used = match function.strip_prefix("election_options_set_") {
            Some(option) => is_called || binding.contains(&format!("\"{option}\": ")),
            None => is_called || binding.contains(&format!("\"{function}\"")),
        };
        assert!(is_used, "the Python module does not use {function}");
    }
}

/// What programs that cannot include it have written down of it.
#[test]
fn python_has_the_same_numbers_functions_and_structs() {
    tools::demand("python3");
    let header = Header::read();
    let has = |definition: &str| header.code.contains(definition);
    let python = std::fs::read_to_string(source("life.py")).expect("life.py is there");
    for (prefix, names) in [
        ("ELECTION_", "OK, CONNECTIONLOSS, NONODE, NODEEXISTS, CLOSING"),
        ("ELECTION_", "BAD_HANDLE, BAD_PATH, BAD_CALLBACK"),
        ("ELECTION_", "UNKNOWN, SLAVE, MASTER"),
        ("ELECTION_REASON_", "ELECTED, FOLLOWING, RESIGNED, CLOSED"),
    ] {
        let values = python.lines().find_map(|line| line.strip_prefix(names)?.strip_prefix(" = "));
        let values = values.unwrap_or_else(|| panic!("life.py has a line for {names}"));
        for (name, value) in names.split(", ").zip(values.split(", ")) {
            let definition = format!("{prefix}{name} = {value},");
            assert!(has(&definition), "life.py says {definition}");
        }
    }

    // The binding that people copy: all of it, and nothing that is not there.
    let tell = "import election as e
from election import _library
for kind, prefix in [(e.Role, ''), (e.Reason, 'REASON_'), (e.Rc, ''), (e.Recipe, 'RECIPE_'),
                     (e.LeaseMode, 'LEASE_'), (e.Dispatch, 'DISPATCH_'), (e.Alarm, 'ALARM_'), (e.LogLevel, 'LOG_'),
                     (e.ConnectionState, ''), (e.DumpFormat, 'DUMP_'), (e.Acl, 'ACL_'), (e.Perm, 'PERM_')]:
    for name, number in kind.__members__.items():
        print('number', f'ELECTION_{prefix}{name}', int(number))
for name, (_, arguments) in _library._FUNCTIONS.items():
    print('function', name, len(arguments))
for name in ['election_event_t', 'election_master_t', 'election_member_t', 'election_members_t', 'election_log_t',
             'election_connection_t', 'election_counters_t']:
    print('struct', name, *[field for field, _ in getattr(_library, name)._fields_])
";
    let mut command = Command::new("python3");
    command.args(["-B", "-W", "error", "-X", "dev", "-c", tell]).current_dir(root().join("python"));
    let told = tools::run_command(command);
    let mut numbers = BTreeSet::new();
    let mut functions = BTreeSet::new();
    let mut structs = Vec::new();
    for line in told.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["number", name, value] => {
                assert!(has(&format!("{name} = {value},")), "the Python module says {name} = {value}");
                numbers.insert(name.to_owned());
            }
            ["function", name, arguments] => {
                let text = header.code.split_once(&format!("{name}(")).unwrap_or_else(|| panic!("no {name}")).1;
                let parameters = text.split_once(");").expect("a declaration ends").0;
                let count = if parameters == "void" { 0 } else { parameters.split(',').count() };
                assert_eq!(arguments, count.to_string(), "arguments of {name}");
                functions.insert(name.to_owned());
            }
            ["struct", name, ref fields @ ..] => {
                structs.push((name.to_owned(), fields.iter().map(|field| field.to_string()).collect::<Vec<_>>()));
            }
            _ => panic!("{line}"),
        }
    }
    assert_eq!(numbers, header.constants().into_iter().collect());
    assert_eq!(functions, header.functions_once());
    let mut of_header = header.structs();
    of_header.sort();
    structs.sort();
    assert_eq!(structs, of_header);
}
