//! The layers hold: `ffi -> handle -> driver -> zk -> logic`, and the logic and the session (`zk`) are pure. The command is a
//! program like any other: it knows what `lib.rs` exports to everybody.
//!
//! Sources are read as text, without comments, literals and their own tests. Every path in them, however it was written
//! (`use` trees, `super::`, in an expression), becomes a full one and is held against the rules of its layer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a pure layer may use of the standard library: nothing that has a clock, a thread, a lock, a file or chance in it.
const PURE_STD: [&str; 7] = ["cmp", "collections", "fmt", "mem", "ops", "str", "sync::Arc"];

/// And what the session may use besides: the address of a server is a value like any other, and secrets are overwritten.
const PURE_STD_OF_ZK: [&str; 2] = ["net::SocketAddr", "hint::black_box"];

/// What must not be named in a pure layer, in whatever way it got there. The maps are those that are not ordered.
const IMPURE: [&str; 20] = [
    "unsafe",
    "async",
    "await",
    "extern",
    "Mutex",
    "RwLock",
    "Cell",
    "RefCell",
    "OnceCell",
    "HashMap",
    "HashSet",
    "Instant",
    "SystemTime",
    "println",
    "eprintln",
    "print",
    "eprint",
    "dbg",
    "thread_local",
    "rand",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Logic,
    /// The ZooKeeper session, in bytes and events.
    Zk,
    Driver,
    Handle,
    Ffi,
    /// The command `election`, a crate of its own.
    Command,
    /// `lib.rs`, which names them all.
    Root,
}

impl Layer {
    fn of(modules: &[String]) -> Layer {
        match modules.first().map(String::as_str) {
            Some("logic") => Layer::Logic,
            Some("zk") => Layer::Zk,
            Some("driver") => Layer::Driver,
            Some("handle") => Layer::Handle,
            Some("ffi") => Layer::Ffi,
            Some("command") => Layer::Command,
            None => Layer::Root,
            Some(other) => panic!("src/{other} belongs to no layer that this test knows"),
        }
    }

    /// The modules of ours that it may import; its own is always allowed.
    fn may_import(self) -> &'static [&'static str] {
        match self {
            Layer::Logic => &["logic"],
            Layer::Zk => &["logic", "zk"],
            Layer::Driver => &["logic", "zk", "driver"],
            Layer::Handle => &["logic", "driver", "handle"],
            Layer::Ffi => &["logic", "handle", "ffi"],
            Layer::Command => &[],
            Layer::Root => &["logic", "zk", "driver", "handle", "ffi"],
        }
    }

    fn is_pure(self) -> bool {
        matches!(self, Layer::Logic | Layer::Zk)
    }
}

/// What one file does that its layer may not, with line numbers. `file` is relative to `src`.
fn violations(file: &str, text: &str, crates: &BTreeSet<String>) -> Vec<String> {
    let modules = modules_of(file);
    let layer = Layer::of(&modules);
    let code = without_tests(&without_comments_and_literals(text));
    let mut found = Vec::new();
    for (line, path) in paths(&code) {
        if let Some(why) = why_not(layer, &modules, &path, crates) {
            found.push(format!("src/{file}:{line}: {why}: {}", path.join("::")));
        }
    }
    if layer.is_pure() {
        for (line, word) in words(&code).filter(|(_, word)| IMPURE.contains(word)) {
            found.push(format!("src/{file}:{line}: not in a pure layer: {word}"));
        }
    }
    found
}

fn why_not(layer: Layer, modules: &[String], path: &[String], crates: &BTreeSet<String>) -> Option<&'static str> {
    let first = path[0].as_str();
    if first == "rustix" && layer != Layer::Driver {
        return Some("sockets belong to the driver");
    }
    if layer == Layer::Command {
        // `crate` is the command itself there.
        let hidden = ["ffi", "handle", "driver", "zk", "logic", "testing"];
        let is_hidden = path.get(1).is_some_and(|module| hidden.contains(&module.as_str()));
        return (first == "election" && is_hidden).then_some("the command uses what lib.rs exports at its root");
    }
    let of_ours = match first {
        "crate" => path.get(1),
        "super" => {
            let ups = path.iter().take_while(|segment| *segment == "super").count();
            match modules.len().checked_sub(ups) {
                Some(0) => path.get(ups),
                Some(_) => None, // inside its own layer
                None => return Some("there is nothing above the root"),
            }
        }
        _ => None,
    };
    if let Some(module) = of_ours {
        let is_layer = ["logic", "zk", "driver", "handle", "ffi"].contains(&module.as_str());
        // Other names at the root are re-exports of a layer that the file should name itself.
        let is_allowed =
            if is_layer { layer.may_import().contains(&module.as_str()) } else { layer == Layer::Root };
        return (!is_allowed).then_some("imports go ffi -> handle -> driver -> zk -> core");
    }
    if !layer.is_pure() {
        return None;
    }
    match first {
        "std" | "core" | "alloc" => {
            let rest = path[1..].join("::");
            let is_pure = PURE_STD.iter().any(|pure| rest == *pure || rest.starts_with(&format!("{pure}::")));
            let is_of_zk = layer == Layer::Zk && PURE_STD_OF_ZK.contains(&&*rest);
            (!is_pure && !is_of_zk).then_some("a pure layer does without")
        }
        other if crates.contains(other) => Some("a pure layer uses no crate"),
        _ => None,
    }
}

/// The module path of a file: `logic/node.rs` is `logic::node`, `logic/mod.rs` and `handle.rs` are themselves.
fn modules_of(file: &str) -> Vec<String> {
    let mut modules: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if modules.last().is_some_and(|last| last == "mod" || last == "lib") {
        modules.pop();
    }
    modules
}

/// Blanks out comments, strings and characters. Lines stay where they are.
fn without_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_blank(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        }
        for blank in &chars[at..end.max(at)] {
            code.push(if *blank == '\n' { '\n' } else { ' ' });
        }
        at = end.max(at);
    }
    code
}

/// Where the comment or literal that starts here ends; here, when none starts.
fn end_of_blank(chars: &[char], at: usize) -> usize {
    let is = |at: usize, text: &str| text.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let past = |from: usize, text: &str| {
        (from..chars.len()).find(|at| is(*at, text)).map_or(chars.len(), |at| at + text.chars().count())
    };
    let follows_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if is(at, "//") => (at..chars.len()).find(|at| chars[*at] == '\n').unwrap_or(chars.len()),
        '/' if is(at, "/*") => {
            let (mut depth, mut end) = (1, at + 2);
            while depth > 0 && end < chars.len() {
                let step = if is(end, "/*") {
                    1
                } else if is(end, "*/") {
                    -1
                } else {
                    0
                };
                depth += step;
                end += if step == 0 { 1 } else { 2 };
            }
            end
        }
        '"' => end_of_quoted(chars, at, '"'),
        'r' if !follows_word || chars[at - 1] == 'b' || chars[at - 1] == 'c' => {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            match chars.get(at + 1 + hashes) {
                Some('"') => past(at + 2 + hashes, &format!("\"{}", "#".repeat(hashes))),
                _ => at,
            }
        }
        // A lifetime has no quote after its name.
        '\'' if chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'') => {
            end_of_quoted(chars, at, '\'')
        }
        _ => at,
    }
}

fn end_of_quoted(chars: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

/// Blanks out `#[cfg(test)]` modules: tests may do what they like.
fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    while let Some(start) = code.find("#[cfg(test)]") {
        let (mut depth, mut end) = (0, start);
        for (at, byte) in code.bytes().enumerate().skip(start) {
            end = at + 1;
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            // Either a body ends, or the item has none: `mod tests;`, `use ...;`.
            if depth == 0 && matches!(byte, b'}' | b';') {
                break;
            }
        }
        let blank: String = code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(start..end, &blank);
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = code.lines().enumerate();
    lines.flat_map(|(i, line)| line.split(|c| !is_word(c)).map(move |word| (i + 1, word)))
}

/// Every path of two segments and more, with its line; `use a::{b, c::d}` is `a::b` and `a::c::d`. A `use` of one name
/// counts, too.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut before = "";
    while at < code.len() {
        let rest = &code[at..];
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if len == 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let mut paths = Vec::new();
        let end = at + read_tree(rest, &[], &mut paths);
        let is_use = before == "use";
        found.extend(
            paths.into_iter().filter(|path| is_use || path.len() > 1).map(|path| (line_of(code, at), path)),
        );
        before = &rest[..len];
        at = end;
    }
    found
}

/// Reads `a::b`, or `a::{b, c}`, at the beginning of `code`; returns where it ends.
fn read_tree(code: &str, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        at += blanks(&code[at..]);
        let rest = &code[at..];
        if let Some(inner) = rest.strip_prefix('{') {
            at += 1;
            let mut inner = inner;
            while !inner.is_empty() && !inner.starts_with('}') {
                let step = match inner.chars().next() {
                    Some(c) if is_word(c) || c == '{' => read_tree(inner, &path, found),
                    Some(c) => c.len_utf8(),
                    None => 0,
                };
                // `a as b`: the new name is no path.
                let step = step + skip_rename(&inner[step..]);
                inner = &inner[step..];
                at += step;
            }
            return (at + 1).min(code.len());
        }
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if len == 0 {
            // `a::*`, `a::<B>`: what was read so far.
            found.push(path);
            return at;
        }
        path.push(rest[..len].to_owned());
        at += len;
        let after = blanks(&code[at..]);
        match code[at + after..].strip_prefix("::") {
            Some(_) => at += after + 2,
            None => {
                found.push(path);
                return at;
            }
        }
    }
}

fn skip_rename(code: &str) -> usize {
    let start = blanks(code);
    match code[start..].strip_prefix("as ") {
        Some(name) => start + 3 + name.find(|c| !is_word(c)).unwrap_or(name.len()),
        None => 0,
    }
}

fn blanks(code: &str) -> usize {
    code.len() - code.trim_start().len()
}

/// The crates that Cargo.toml names, as Rust names them.
fn crates() -> BTreeSet<String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let manifest = manifest.expect("Cargo.toml is there");
    let mut is_dependency = false;
    let mut crates = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_dependency = line.ends_with("dependencies]");
        } else if let (true, Some((name, _))) = (is_dependency, line.split_once(['=', '.'])) {
            crates.insert(name.trim().replace('-', "_"));
        }
    }
    assert!(crates.contains("rustix") && crates.contains("libc"), "{crates:?}");
    crates
}

fn read_sources(folder: &Path, name: &str, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        let name = format!("{name}{}", path.file_name().expect("an entry has a name").to_string_lossy());
        if path.is_dir() {
            read_sources(&path, &format!("{name}/"), sources);
        } else if name.ends_with(".rs") {
            sources.push((name, fs::read_to_string(&path).expect("a source file can be read")));
        }
    }
}

#[test]
fn the_layers_hold() {
    let mut sources = Vec::new();
    read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    sources.sort();
    for layer in [Layer::Logic, Layer::Zk, Layer::Driver, Layer::Handle, Layer::Ffi, Layer::Command] {
        assert!(sources.iter().any(|(file, _)| Layer::of(&modules_of(file)) == layer), "no file in {layer:?}");
    }
    let crates = crates();
    let found: Vec<String> = sources.iter().flat_map(|(file, text)| violations(file, text, &crates)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Every rule sees its breach, however it is written, on the right line.
#[test]
fn breaches_are_seen() {
    for (file, text, line, breach) in [
        ("logic/node.rs", "use std::time::Duration;", 1, "std::time::Duration"),
        ("logic/node.rs", "\n\nuse std::{collections::BTreeMap, thread};", 3, "std::thread"),
        ("logic/node.rs", "use std::sync::{Arc, Mutex};", 1, "std::sync::Mutex"),
        ("logic/node.rs", "use std::sync;", 1, "std::sync"),
        ("logic/node.rs", "fn f() {\n    std::fs::read(p);\n}", 2, "std::fs::read"),
        ("logic/node.rs", "use core::time::Duration;", 1, "core::time::Duration"),
        ("logic/node.rs", "use std as pure; ", 1, "std"),
        ("logic/node.rs", "use std::collections::{BTreeMap,\n HashMap};", 2, "HashMap"),
        ("logic/node.rs", "fn f() { println!(\"{x}\") }", 1, "println"),
        ("logic/node.rs", "fn f() { unsafe { g() } }", 1, "unsafe"),
        ("logic/node.rs", "async fn f() {}", 1, "async"),
        ("logic/node.rs", "use libc::c_int;", 1, "libc::c_int"),
        ("logic/node.rs", "fn f() { rustix::net::f() }", 1, "rustix::net::f"),
        ("logic/node.rs", "use crate::driver::Note;", 1, "crate::driver::Note"),
        ("logic/node.rs", "use crate::{logic::Time, driver};", 1, "crate::driver"),
        ("logic/node.rs", "use crate::Handle;", 1, "crate::Handle"),
        ("logic/node.rs", "use super::super::handle::Error;", 1, "super::super::handle::Error"),
        ("logic/mod.rs", "use super::handle::Error;", 1, "super::handle::Error"),
        ("logic/mod.rs", "/* /* nested */ */ use super::ffi;", 1, "super::ffi"),
        ("logic/node.rs", "use std::net::SocketAddr;", 1, "std::net::SocketAddr"),
        ("logic/node.rs", "use crate::zk::Session;", 1, "crate::zk::Session"),
        ("zk/session.rs", "use std::time::Instant;", 1, "std::time::Instant"),
        ("zk/session.rs", "use std::net::{SocketAddr, TcpStream};", 1, "std::net::TcpStream"),
        ("zk/session.rs", "use crate::driver::clock;", 1, "crate::driver::clock"),
        ("zk/session.rs", "fn f() { unsafe { g() } }", 1, "unsafe"),
        ("zk/session.rs", "use libc::c_int;", 1, "libc::c_int"),
        ("command/run.rs", "use election::zk::Session;", 1, "election::zk::Session"),
        ("driver/session.rs", "use crate::handle::Error;", 1, "crate::handle::Error"),
        ("driver/mod.rs", "fn f() { crate::ffi::election_open() }", 1, "crate::ffi::election_open"),
        ("driver/mod.rs", "use super::{core, handle as h};", 1, "super::handle"),
        ("handle.rs", "use crate::ffi;", 1, "crate::ffi"),
        ("handle/options.rs", "use super::super::ffi::answer;", 1, "super::super::ffi::answer"),
        ("handle.rs", "use rustix as system;", 1, "rustix"),
        ("ffi.rs", "fn f(flags: rustix::net::SocketFlags) {}", 1, "rustix::net::SocketFlags"),
        ("ffi/border.rs", "use crate::driver::Note;", 1, "crate::driver::Note"),
        ("lib.rs", "pub use rustix::io::Errno;", 1, "rustix::io::Errno"),
        ("command/run.rs", "use election::handle::Handle;", 1, "election::handle::Handle"),
        ("command/run.rs", "use election::{Handle, testing::failpoint};", 1, "election::testing::failpoint"),
        ("command/run.rs", "fn f() { election::ffi::election_open() }", 1, "election::ffi::election_open"),
        ("command/run.rs", "use rustix::io::Errno;", 1, "rustix::io::Errno"),
    ] {
        let found = violations(file, text, &crates());
        let start = format!("src/{file}:{line}: ");
        let is_seen = |found: &String| found.starts_with(&start) && found.ends_with(&format!(": {breach}"));
        assert!(found.iter().any(is_seen), "{breach} is not seen in {file}: {text}\n{found:?}");
    }
}

/// And what is allowed is left in peace.
#[test]
fn what_is_allowed_is_allowed() {
    for (file, text) in [
        ("logic/node.rs", "use std::collections::{BTreeMap, VecDeque};\nuse std::sync::Arc;\nuse std::fmt;"),
        ("logic/node.rs", "use super::types::{rc, Time};\nuse crate::logic::Event;"),
        ("logic/node.rs", "fn f() { std::mem::take(&mut x); Self::handle(1); rc::OK }"),
        (
            "logic/node.rs",
            "// std::time, unsafe\n/// `crate::driver`\nfn f<'a>(x: &'a str) { g(\"unsafe \\\" async\", '\"') }",
        ),
        ("logic/node.rs", "fn f() { g(r#\"println \" unsafe\"#) } /* Mutex */"),
        (
            "logic/node.rs",
            "#[cfg(test)]\nmod tests {\n    use std::time::Instant;\n    fn f() { if x { println!() } }\n}",
        ),
        ("logic/mod.rs", "mod node;\npub use node::Node;"),
        ("zk/session.rs", "use super::jute::Reader;\nuse crate::logic::Time;\nuse std::net::SocketAddr;"),
        (
            "driver/session.rs",
            "use crate::logic::Time;\nuse crate::zk::Session;\nuse super::clock;\nuse std::time::Duration;",
        ),
        ("driver/io/wake.rs", "use rustix::net::{recv, send};"),
        ("handle.rs", "use crate::driver::{self, hosts};\nmod callbacks;"),
        ("handle/options.rs", "use super::Error;"),
        ("ffi.rs", "use crate::handle::Handle;\nmod border;"),
        ("ffi/border.rs", "use super::election_t;\nuse crate::logic::Event;"),
        ("lib.rs", "pub mod logic;\nmod driver;\npub use crate::handle::Handle;"),
        (
            "command/run.rs",
            "use election::{Handle, Options};\nuse crate::guard::Guard;\nfn f() { election::set_log() }",
        ),
    ] {
        assert_eq!(violations(file, text, &crates()), Vec::<String>::new(), "{file}: {text}");
    }
}
