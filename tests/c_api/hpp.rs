//! `include/election.hpp`: it is written by hand, so it is held against `election.h` here; compilers take it in each
//! standard, with exceptions and without; and its programs run in both ways to get callbacks.

use std::collections::BTreeSet;
use std::process::Command;

use crate::header::{without_comments, Header, BARE_NAMES};
use crate::library::{Link, Workshop};
use crate::place::Place;
use crate::programs::{succeed, Way};
use crate::tools::{self, root, source};

/// `c++2b` is the name that compilers of this decade agree on for C++23.
const STANDARDS: [&str; 3] = ["c++17", "c++20", "c++2b"];

/// More than a user is likely to turn on.
const WARNINGS: [&str; 7] = [
    "-Wshadow",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wold-style-cast",
    "-Woverloaded-virtual",
    "-Wnon-virtual-dtor",
    "-Wnull-dereference",
];

/// The enums whose numbers the header has names for.
const NAMED: [&str; 4] = ["role", "reason", "connection_state", "log_level"];

fn text() -> String {
    std::fs::read_to_string(root().join("include/election.hpp")).expect("the header is there")
}

/// The name in election.hpp of a number of election.h: `reason::elected` of ELECTION_REASON_ELECTED.
fn cpp_name(of_enum: &str, constant: &str) -> String {
    let name =
        of_enum.strip_prefix("election_").and_then(|name| name.strip_suffix("_t")).expect("the enums' names");
    let prefix = match name {
        "role" | "rc" | "connection_state" => "ELECTION_".to_owned(),
        "log_level" => "ELECTION_LOG_".to_owned(),
        "dump_format" => "ELECTION_DUMP_".to_owned(),
        "lease_mode" => "ELECTION_LEASE_".to_owned(),
        _ => format!("ELECTION_{}_", name.to_uppercase()),
    };
    let constant = constant.strip_prefix(&prefix).unwrap_or_else(|| panic!("{constant} begins with {prefix}"));
    match constant.to_lowercase().as_str() {
        "delete" => format!("{name}::del"), // the other is a word of the language
        constant => format!("{name}::{constant}"),
    }
}

/// A program that does not compile when a number of election.h is missing or another one, or the name of one of
/// [`NAMED`] is.
fn numbers() -> String {
    let mut lines = Vec::new();
    for (of_enum, constants) in Header::read().enums_with_constants() {
        for constant in constants {
            let name = cpp_name(&of_enum, &constant);
            lines.push(format!("static_assert(static_cast<int>(election::{name}) == {constant});"));
            if NAMED.iter().any(|named| name.starts_with(&format!("{named}::"))) {
                let text = name.split("::").last().unwrap_or_default().to_uppercase();
                lines.push(format!("static_assert(name(election::{name}) == \"{text}\");"));
            }
        }
    }
    assert!(lines.len() > 70, "{lines:?}");
    lines.push("static_assert(name(static_cast<election::reason>(99)) == \"?\");".to_owned());
    format!("#include \"election.hpp\"\n{}\n", lines.join("\n"))
}

#[test]
fn gcc_takes_it_alone_and_twice_in_one_program() {
    compile_in_each_standard("g++");
}

#[test]
fn clang_takes_it_alone_and_twice_in_one_program() {
    compile_in_each_standard("clang++");
}

#[track_caller]
fn compile_in_each_standard(compiler: &str) {
    tools::demand(compiler);
    let workshop = Workshop::new();
    let one = workshop.write(
        "one.cpp",
        "#include \"election.hpp\"\n#include \"election.hpp\"\n\
         const std::error_category &category_of_the_other();\n\
         int main() {\n\
             election::handle handle;\n\
             std::error_code ec;\n\
             handle.go_to_election(\"/master\", \"\", [](const election::event &) {}, ec);\n\
             bool is_refused = ec == election::rc::bad_handle && ec.category() == category_of_the_other();\n\
         #ifdef __cpp_exceptions\n\
             try { handle.close(); is_refused = false; } catch (const std::system_error &) {}\n\
         #endif\n\
         #if __cplusplus >= 202002L\n\
             using namespace std::chrono_literals;\n\
             is_refused = is_refused && !election::handle(\"\", {.session_timeout = 5s, .grace = 2s}, ec);\n\
         #endif\n\
             return is_refused ? 0 : 1;\n\
         }\n",
    );
    let other = workshop.write(
        "other.cpp",
        &format!(
            "{}const std::error_category &category_of_the_other();\n\
             const std::error_category &category_of_the_other() {{ return election::category(); }}\n",
            numbers()
        ),
    );
    let sources = [one, other];
    let compile = |standard: &str, more: &[&str]| {
        let flags = [&WARNINGS, more].concat();
        let program = workshop.build_with(compiler, standard, &sources, Link::Shared, &flags);
        tools::run_command(Command::new(program));
    };
    for standard in STANDARDS {
        compile(standard, &[]);
    }
    compile("c++17", &["-fno-exceptions", "-O2"]);
}

#[test]
fn a_number_that_is_wrong_would_be_seen() {
    let workshop = Workshop::new();
    let right = numbers();
    for (was, is) in [
        (
            "election::reason::elected) == ELECTION_REASON_ELECTED",
            "election::reason::elected) == ELECTION_REASON_CLOSED",
        ),
        ("election::rc::not_there", "election::rc::not_here"),
        ("== \"SLAVE\"", "== \"MASTER\""),
    ] {
        let wrong = right.replace(was, is);
        assert_ne!(wrong, right, "{was}");
        let source = workshop.write("wrong.cpp", &wrong);
        let mut compile = Command::new("g++");
        compile.args(["-std=c++17", "-fsyntax-only", "-I"]).arg(root().join("include")).arg(source);
        assert!(!compile.output().expect("g++ runs").status.success(), "{is}");
    }
}

/// Everything of election.h can be reached through it, and each function that can fail has a form that throws.
#[test]
fn it_uses_each_function_and_field() {
    let code = without_comments(&text());
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let header = Header::read();
    for function in header.functions() {
        // The other name of the same function, which a program may have taken for a function of its own.
        if BARE_NAMES.contains(&function.as_str()) {
            assert!(!code.contains(&format!("::{function}(")), "election.hpp calls {function}");
            continue;
        }
        assert!(words.contains(function.as_str()), "election.hpp does not use {function}");
    }
    for (name, fields) in header.structs() {
        if code.contains(&format!(" = {name};")) {
            continue; // handed on as it is
        }
        let (_, body) = code.split_once(&format!("from_c(const {name} &c)")).unwrap_or_else(|| panic!("no {name}"));
        let (body, _) = body.split_once("\n}").expect("a body ends");
        for field in fields.iter().filter(|field| *field != "size") {
            let is_used = body.match_indices(&format!("c.{field}")).any(|(at, found)| {
                !body[at + found.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
            });
            assert!(is_used, "election.hpp does not hand on {name}.{field}");
        }
    }
    // These return a number that is no error, an answer where all that is not "go on" is "stop", or are called in
    // signal handlers.
    let cannot_fail = [
        "election_is_master",
        "election_lease",
        "election_verifier_admit",
        "election_should_stop",
        "election_wait_stop",
        "election_interrupt",
    ];
    let functions = header.functions_returning_int().into_iter();
    for function in functions.filter(|function| !BARE_NAMES.contains(&function.as_str())) {
        let is_setter = function.starts_with("election_options_");
        let throws = code.contains(&format!("or_throw(\"{function}\""));
        assert!(throws != (is_setter || cannot_fail.contains(&function.as_str())), "{function} throws: {throws}");
    }
}

#[test]
fn it_leaves_no_macro_but_its_guard() {
    let workshop = Workshop::new();
    let macros = |includes: &str| -> BTreeSet<String> {
        let source = workshop.write("macros.cpp", includes);
        let mut preprocess = Command::new("g++");
        preprocess.args(["-std=c++17", "-dM", "-E", "-I"]).arg(root().join("include")).arg(source);
        let text = tools::run_command(preprocess);
        text.lines().map(|line| line.split([' ', '(']).nth(1).unwrap_or_default().to_owned()).collect()
    };
    let text = text();
    let others = text.lines().filter(|line| line.starts_with("#include")).collect::<Vec<_>>().join("\n");
    let without =
        macros(&others.replace("\"election.h\"", &format!("\"{}/include/election.h\"", root().display())));
    let with = macros("#include \"election.hpp\"\n");
    assert_eq!(with.difference(&without).collect::<Vec<_>>(), ["ELECTION_HPP"]);
    assert!(!text.contains("using namespace"));
}

/// The first thing that anybody copies.
#[test]
fn the_program_in_its_preface_compiles() {
    let text = text();
    let preface = text.split_once("*/").expect("the preface is a comment").0;
    let example =
        preface.lines().filter_map(|line| line.strip_prefix(" *     ")).filter(|line| line.trim() != "...");
    let example: Vec<&str> = example.collect();
    assert!(example.len() > 4, "{example:?}");
    let workshop = Workshop::new();
    let program = workshop.write(
        "preface.cpp",
        &format!(
            "#include <iostream>\n#include \"election.hpp\"\nvoid do_a_piece_of_work();\n\
             void do_a_piece_of_work() {{}}\nint main() {{\n{}\n}}\n",
            example.join("\n")
        ),
    );
    workshop.build("g++", "c++17", &[program], Link::Shared);
}

/// A guard without a name ends at once, which nobody means.
#[test]
fn a_guard_that_nobody_keeps_is_a_warning() {
    let workshop = Workshop::new();
    let compile = |compiler: &str, line: &str| {
        let program = workshop.write(
            "guard.cpp",
            &format!(
                "#include \"election.hpp\"\nvoid stand(election::handle &handle, std::error_code &ec);\n\
                 void stand(election::handle &handle, std::error_code &ec) {{\nec.clear();\n{line}\n}}\n"
            ),
        );
        let mut compile = Command::new(compiler);
        compile
            .args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
            .arg(root().join("include"));
        compile.arg(program).output().expect("the compiler runs")
    };
    for compiler in ["g++", "clang++"] {
        for guard in [
            "election::candidacy(handle, \"/master\", \"\", nullptr, ec);",
            "election::watch::master(handle, \"/master\", nullptr, ec);",
            "election::watch::members(handle, \"/master\", 1, nullptr, ec);",
            "election::watch::connection(handle, nullptr, ec);",
            "handle.is_master(\"/master\");",
        ] {
            let dropped = compile(compiler, guard);
            let said = String::from_utf8_lossy(&dropped.stderr);
            assert!(!dropped.status.success() && said.contains("nodiscard"), "{compiler}: {guard}: {said}");
            let kept = compile(compiler, &format!("auto kept = {guard} static_cast<void>(kept);"));
            assert!(kept.status.success(), "{compiler}: {guard}: {}", String::from_utf8_lossy(&kept.stderr));
        }
    }
}

/// One definition of each name: the classes that have throwing forms are others without exceptions.
#[test]
fn files_with_and_without_exceptions_make_one_program() {
    for compiler in ["g++", "clang++"] {
        let workshop = Workshop::new();
        let closes = |name: &str, body: &str| {
            let text = format!("#include \"election.hpp\"\nint {name}();\nint {name}() {{\n{body}\n}}\n");
            workshop.write(&format!("{name}.cpp"), &text)
        };
        let throws = closes(
            "throws",
            "try { election::handle().close(); } catch (const election::error &error) {\n\
             return error.code() == election::rc::bad_handle ? 0 : 1; }\nreturn 2;",
        );
        let returns = closes(
            "returns",
            "std::error_code ec;\nelection::handle().close(ec);\nreturn ec == election::rc::bad_handle ? 0 : 4;",
        );
        let main = workshop
            .write("main.cpp", "int throws();\nint returns();\nint main() { return returns() + throws(); }\n");
        let object = |source: std::path::PathBuf, flags: &[&str]| {
            let object = source.with_extension("o");
            let mut compile = Command::new(compiler);
            compile.args(["-std=c++17", "-c", "-I"]).arg(root().join("include")).args(flags).arg(&source);
            tools::run_command({
                compile.arg("-o").arg(&object);
                compile
            });
            object
        };
        // In both orders: the linker keeps the first definition of a name.
        let (throws, returns) = (object(throws, &[]), object(returns, &["-fno-exceptions"]));
        for order in [[&throws, &returns], [&returns, &throws]] {
            let objects = [main.clone(), order[0].clone(), order[1].clone()];
            tools::run_command(Command::new(workshop.build(compiler, "c++17", &objects, Link::Shared)));
        }
        let names = |object: &std::path::Path| tools::run("nm", ["-C".as_ref(), object.as_os_str()]);
        assert!(names(&throws).contains("election::with_exceptions::handle::"), "{}", names(&throws));
        assert!(names(&returns).contains("election::without_exceptions::handle::"), "{}", names(&returns));
        assert!(!names(&returns).contains("election::with_exceptions::"), "{}", names(&returns));
    }
}

/// Runs a program on election.hpp.
#[track_caller]
fn live(name: &str, compiler: &str, standard: &str, flags: &[&str], way: Way) {
    let workshop = Workshop::new();
    let flags = [&WARNINGS, flags].concat();
    let program = workshop.build_with(compiler, standard, &[source(name)], Link::Shared, &flags);
    succeed(way.command(&program, &Place::of(name, &workshop)));
}

macro_rules! lives {
    ($($test:ident: $program:literal, $compiler:literal, $standard:literal, $flags:expr, $way:ident;)+) => {
        $(#[test]
        fn $test() {
            live($program, $compiler, $standard, &$flags, Way::$way);
        })+
    };
}

lives! {
    life: "life_hpp.cpp", "g++", "c++17", [], Thread;
    life_in_a_loop: "life_hpp.cpp", "clang++", "c++17", ["-O2"], Manual;
    life_in_loop_mode: "life_hpp.cpp", "g++", "c++17", ["-O2"], Loop;
    life_under_valgrind: "life_hpp.cpp", "g++", "c++17", [], ThreadUnderValgrind;
    life_in_a_loop_under_valgrind: "life_hpp.cpp", "g++", "c++17", [], ManualUnderValgrind;
    life_in_cpp20: "life_hpp.cpp", "g++", "c++20", [], Thread;
    life_in_cpp23: "life_hpp.cpp", "clang++", "c++2b", [], Manual;
    life_without_exceptions: "life_hpp.cpp", "g++", "c++17", ["-fno-exceptions"], Thread;
    own_names: "own_names_hpp.cpp", "g++", "c++17", [], Thread;
    throw: "throw_hpp.cpp", "g++", "c++17", [], Thread;
    throw_in_a_loop: "throw_hpp.cpp", "clang++", "c++17", [], Manual;
}
