//! The shared library as the linker sees it: it exports the functions of the header and nothing else, and each of them
//! catches panics.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::header::Header;
use crate::library;
use crate::tools::{self, root};

/// The version that each function has. It is the soname, so it changes with the ABI.
const VERSION: &str = "libelection.so.0";

/// The names that the shared library exports.
pub fn exported() -> BTreeSet<String> {
    exported_with_versions().into_keys().collect()
}

/// The names that the shared library exports, each with its version.
fn exported_with_versions() -> BTreeMap<String, String> {
    let library = library::shared();
    let options = ["--dyn-syms", "--wide"].map(AsRef::as_ref);
    let symbols = tools::run("readelf", options.into_iter().chain([library.as_os_str()]));
    let symbols = symbols.lines().filter_map(|line| {
        // 80: 00000000000e2e40 16 FUNC GLOBAL DEFAULT 14 name@@version
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_defined = columns.len() >= 8 && columns[4] == "GLOBAL" && columns[6] != "UND";
        // The linker puts the name of the version itself into the table, too.
        let name = columns.get(7).filter(|name| is_defined && **name != VERSION)?;
        let (name, version) = name.split_once("@@").unwrap_or((name, ""));
        Some((name.to_owned(), version.to_owned()))
    });
    symbols.collect()
}

#[test]
fn each_exported_function_has_the_version_of_the_abi() {
    let exported = exported_with_versions();
    assert!(exported.len() > 40, "{exported:?}");
    for (function, version) in exported {
        assert_eq!(version, VERSION, "{function}");
    }
}

#[test]
fn it_exports_the_functions_of_the_header_and_nothing_else() {
    assert_eq!(exported(), Header::read().functions());
}

#[test]
fn it_is_asked_for_by_its_soname_and_stays_loaded() {
    let library = library::shared();
    let dynamic = tools::run("readelf", ["-d".as_ref(), "-W".as_ref(), library.as_os_str()]);
    let has = |what: &str, value: &str| dynamic.lines().any(|line| line.contains(what) && line.contains(value));
    assert!(has("(SONAME)", "[libelection.so.0]"), "{dynamic}");
    assert!(has("(FLAGS_1)", "NODELETE"), "{dynamic}");
    assert!(!has("(TEXTREL)", ""), "{dynamic}");
    assert!(!has("(RPATH)", "") && !has("(RUNPATH)", ""), "{dynamic}");

    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    for line in needed {
        let is_of_the_system =
            ["libc.so", "libgcc_s.so", "libm.so", "ld-linux", "libpthread.so", "libdl.so", "librt.so"]
                .iter()
                .any(|name| line.contains(name));
        assert!(is_of_the_system, "the library needs more than the system: {line}");
    }
}

/// What the linker was told by `-Bsymbolic-functions`: a call from the library to a function of its own is not left to
/// the dynamic linker, which would take a program's function of the same name.
#[test]
fn its_own_calls_are_bound() {
    let library = library::shared();
    let relocations = tools::run("readelf", ["-r".as_ref(), "-W".as_ref(), library.as_os_str()]);
    assert!(relocations.contains("R_"), "there are relocations to look at");
    let functions = Header::read().functions();
    for line in relocations.lines() {
        let left_open =
            line.split_whitespace().find(|word| functions.contains(word.split('@').next().unwrap_or(word)));
        assert_eq!(left_open, None, "a program's own function would be called: {line}");
    }
}

#[test]
fn each_exported_function_is_guarded() {
    let mut bodies = BTreeMap::new();
    read_bodies(&root().join("src"), &mut bodies);
    assert_eq!(bodies.keys().cloned().collect::<BTreeSet<_>>(), Header::read().functions());
    // Nothing in these can panic: two return static strings, and one is made for signal handlers.
    let unguarded: BTreeSet<&str> = ["election_version", "election_strerror", "election_interrupt"].into();
    for (function, body) in &bodies {
        // To be nothing but a call of another function of the header is to be guarded by that one.
        let other = body.strip_prefix("unsafe { ").and_then(|call| call.split_once('('));
        if other
            .is_some_and(|(other, rest)| bodies.contains_key(other) && rest.ends_with(") }") && other != function)
        {
            continue;
        }
        let is_guarded = ["guard(", "answer(", "answer_with("].iter().any(|guard| body.starts_with(guard))
            && body.ends_with(')');
        assert!(
            is_guarded || unguarded.contains(function.as_str()),
            "{function} lets a panic cross the border:\n{body}"
        );
    }
}

/// Panics on request, rules that can be broken, and bare sessions are for the tests of this package. The release
/// build has nothing of them.
#[test]
fn no_test_gear_is_in_the_library() {
    let of_tests = ["a panic was asked for", "panic_at", "CountFromSending", "TestClient", "test_client"];
    for file in [library::shared(), library::archive()] {
        let bytes = std::fs::read(&file).expect("it can be read");
        let text = String::from_utf8_lossy(&bytes);
        let has = |wanted: &str| text.contains(wanted);
        let file = file.display();
        assert!(has("the lease that ran out"), "{file}: this test sees texts");
        assert!(has("election_fenced_set"), "{file}: and symbols");
        for gear in of_tests {
            assert!(!has(gear), "{gear} in {file}");
        }
    }
}

/// All `#[no_mangle]` functions with their bodies, as rustfmt lays them out.
fn read_bodies(folder: &Path, bodies: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            read_bodies(&path, bodies);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file can be read");
        for item in text.split("#[no_mangle]\n").skip(1) {
            let (head, rest) = item.split_once("{\n").expect("a function has a body");
            let (body, _) = rest.split_once("\n}\n").expect("a body ends");
            let name = head.split_once("extern \"C\" fn ").expect("what C sees is a C function").1;
            let name = name.split('(').next().unwrap_or_default();
            bodies.insert(name.to_owned(), body.trim().to_owned());
        }
    }
}
