//! The ABI: what a program that was compiled against an earlier header relies on when it meets a newer library. It is
//! written down in `abi.txt`, and taken here from the real things: the symbols that the library exports, the
//! declarations as a compiler reads them in the header, and sizes, offsets and numbers as a compiled program has them.
//!
//! `BLESS=1 cargo test --test c_api abi` accepts a change: it writes `abi.txt` anew. What was there before and is not any
//! more, or not the same, breaks programs: it takes a new soname (`build.rs`). What is new at the end does not.

use std::collections::BTreeMap;

use crate::header::Header;
use crate::layout::figures_of_c;
use crate::library;
use crate::symbols::exported;
use crate::tools::{self, root, source};

const FILE: &str = "abi.txt";

const PREFACE: &str = "\
# What programs rely on that were compiled against an earlier header: this library's ABI on Linux, x86_64.
# Made by a test from the library and the header: BLESS=1 cargo test --test c_api abi
# A line that changes or goes breaks those programs: that takes a new soname. New lines do not, nor a struct that has
# got more fields at its end, and with them a larger size.
";

/// The declarations of the header, as clang reads them.
struct Declarations {
    /// Functions and types of functions by name, with their C types.
    types: BTreeMap<String, String>,
    /// The fields of each struct, and the constants of each enum, with their C types.
    members: BTreeMap<String, Vec<(String, String)>>,
}

impl Declarations {
    fn read() -> Declarations {
        let tree = tools::run(
            "clang",
            "-std=c11 -fsyntax-only -xc -Xclang -ast-dump -fno-color-diagnostics include/election.h".split(' '),
        );
        let mut read = Declarations { types: BTreeMap::new(), members: BTreeMap::new() };
        let mut owner = String::new();
        for line in tree.lines() {
            let Some((kind, rest)) = line.trim_start_matches(['|', '`', '-', ' ']).split_once(' ') else {
                continue;
            };
            let (words, c_type) = match rest.split_once('\'') {
                // A name for another type is followed by that type: 'size_t':'unsigned long'.
                Some((words, types)) => (words, types.split('\'').next().unwrap_or_default()),
                None => (rest, ""),
            };
            let named = |words: &str| words.split_whitespace().last().unwrap_or_default().to_owned();
            match kind {
                "FunctionDecl" => drop(read.types.insert(named(words), c_type.to_owned())),
                "TypedefDecl" if c_type.contains('(') => drop(read.types.insert(named(words), c_type.to_owned())),
                "RecordDecl" => owner = named(words.trim_end_matches(" definition")),
                "EnumDecl" => owner = named(words),
                "FieldDecl" | "EnumConstantDecl" => {
                    let members = read.members.entry(owner.clone()).or_default();
                    members.push((named(words), c_type.to_owned()));
                }
                _ => {}
            }
        }
        read
    }
}

fn describe() -> String {
    let (header, declarations, figures) = (Header::read(), Declarations::read(), figures_of_c());
    let figure = |name: &str| *figures.get(name).unwrap_or_else(|| panic!("no figure for {name}"));
    let c_type = |name: &str| declarations.types.get(name).unwrap_or_else(|| panic!("{name} is not declared"));
    let members = |name: &str| declarations.members.get(name).unwrap_or_else(|| panic!("{name} has no body"));
    let mut lines = vec![PREFACE.to_owned(), format!("soname {}", soname())];

    for name in header.defines_of_numbers() {
        lines.push(format!("#define {name} {}", figure(&name)));
    }
    for name in header.enums() {
        lines.push(format!("\nenum {name}, {} bytes", figure(&format!("sizeof {name}"))));
        lines.extend(members(&name).iter().map(|(constant, _)| format!("    {constant} = {}", figure(constant))));
    }
    for (name, fields) in header.structs() {
        let (size, alignment) = (figure(&format!("sizeof {name}")), figure(&format!("alignof {name}")));
        lines.push(format!("\nstruct {name}, {size} bytes, aligned to {alignment}"));
        let members = members(&name);
        assert_eq!(members.iter().map(|(field, _)| field).collect::<Vec<_>>(), fields.iter().collect::<Vec<_>>());
        lines.extend(members.iter().map(|(field, c_type)| {
            let (offset, size) =
                (figure(&format!("offsetof {name}.{field}")), figure(&format!("sizeof {name}.{field}")));
            format!("    at {offset:2}, {size} bytes: {c_type} {field}")
        }));
    }
    lines.push(String::new());
    let functions = exported();
    let callbacks = declarations.types.keys().filter(|name| !functions.contains(*name));
    lines.extend(callbacks.map(|name| format!("callback {name}: {}", c_type(name))));
    lines.push(String::new());
    lines.extend(functions.iter().map(|name| format!("function {name}: {}", c_type(name))));
    lines.join("\n") + "\n"
}

fn soname() -> String {
    let dynamic = tools::run("readelf", ["-d".as_ref(), "-W".as_ref(), library::shared().as_os_str()]);
    let soname = dynamic.lines().find(|line| line.contains("(SONAME)"));
    let soname = soname.and_then(|line| line.split(['[', ']']).nth(1)).expect("the library has a soname");
    soname.to_owned()
}

#[test]
fn the_abi_is_the_one_that_is_written_down() {
    let now = describe();
    let file = source(FILE);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &now).expect("the file can be written");
        return;
    }
    let before = std::fs::read_to_string(&file).expect("abi.txt is there");
    if before == now {
        return;
    }
    let missing = |from: &str, sign: char, other: &str| -> String {
        let lines = from.lines().filter(|line| !other.lines().any(|another| another == *line));
        lines.map(|line| format!("{sign} {line}\n")).collect()
    };
    panic!(
        "the ABI has changed, see {} (a change of order shows no line):\n{}{}\n\
         BLESS=1 cargo test --test c_api abi accepts it. What goes or changes (-) takes a new soname.",
        file.strip_prefix(root()).unwrap_or(&file).display(),
        missing(&before, '-', &now),
        missing(&now, '+', &before),
    );
}
