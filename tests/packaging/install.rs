//! What is put where, and that it goes again without a trace.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::ScratchFolder;

use crate::tools::{self, make, output, root, run, version};

/// Every file with what is in it, every link with where it leads, every folder.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File { mode: u32, len: usize, text: Option<String> },
    Link(PathBuf),
    Folder,
}

type Tree = BTreeMap<PathBuf, Entry>;

fn tree(folder: &Path) -> Tree {
    let mut found = Tree::new();
    walk(folder, folder, &mut found);
    found
}

fn walk(top: &Path, folder: &Path, found: &mut Tree) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        let metadata = fs::symlink_metadata(&path).expect("the entry is there");
        let entry = if metadata.is_dir() {
            walk(top, &path, found);
            Entry::Folder
        } else if metadata.is_symlink() {
            Entry::Link(fs::read_link(&path).expect("a link leads somewhere"))
        } else {
            let bytes = fs::read(&path).expect("the file can be read");
            let mode = metadata.permissions().mode() & 0o777;
            Entry::File { mode, len: bytes.len(), text: String::from_utf8(bytes).ok() }
        };
        found.insert(path.strip_prefix(top).expect("below the top").to_owned(), entry);
    }
}

fn link(target: &str) -> Option<Entry> {
    Some(Entry::Link(target.into()))
}

#[track_caller]
fn has_file(tree: &Tree, path: &str, mode: u32) {
    match tree.get(Path::new(path)) {
        Some(Entry::File { mode: is, len, .. }) if *is == mode && *len > 0 => {}
        other => panic!("{path}: {other:?}"),
    }
}

fn variable(name: &str, value: &Path) -> String {
    format!("{name}={}", value.display())
}

#[test]
fn everything_is_where_the_gnu_coding_standards_have_it() {
    let folder = ScratchFolder::new("packaging");
    let prefix = folder.path().join("prefix");
    run(make(["install".into(), variable("PREFIX", &prefix)]));
    let tree = tree(&prefix);

    let library = format!("libelection.so.{}", version());
    has_file(&tree, &format!("lib/{library}"), 0o755);
    assert_eq!(tree.get(Path::new("lib/libelection.so.0")).cloned(), link(&library));
    assert_eq!(tree.get(Path::new("lib/libelection.so")).cloned(), link("libelection.so.0"));
    let headers = fs::read_dir(root().join("include")).expect("include is there");
    for header in headers.map(|entry| entry.expect("include can be read").file_name().into_string()) {
        let header = header.expect("a header has a plain name");
        if header.ends_with(".h") || header.ends_with(".hpp") {
            has_file(&tree, &format!("include/{header}"), 0o644);
        }
    }
    for path in [
        "lib/libelection.a",
        "lib/pkgconfig/election.pc",
        "lib/cmake/election/electionConfig.cmake",
        "lib/cmake/election/electionConfigVersion.cmake",
        "share/man/man3/go_to_election.3",
        "share/man/man7/election.7",
        "share/man/man1/election.1",
        "share/man/man1/election-run.1",
        "share/bash-completion/completions/election",
        "share/zsh/site-functions/_election",
        "share/fish/vendor_completions.d/election.fish",
        "share/libelection/election/__init__.py",
        "share/doc/libelection/README.md",
        "share/doc/libelection/LICENSE",
        "share/doc/libelection/copyright",
        "share/doc/libelection/libelection.cdx.json",
        "share/doc/libelection/tsan.supp",
        "share/doc/libelection/examples/election.cpp",
    ] {
        has_file(&tree, path, 0o644);
    }

    // With types for the checkers of others, and the library of this installation.
    assert!(tree.contains_key(Path::new("share/libelection/election/py.typed")));
    let target = prefix.join("lib/libelection.so.0");
    let link_to_library = tree.get(Path::new("share/libelection/election/libelection.so.0")).cloned();
    assert_eq!(link_to_library, link(&target.display().to_string()));

    let dynamic = tools::call("readelf", ["-d".as_ref(), prefix.join("lib").join(&library).as_os_str()]);
    assert!(dynamic.contains("soname: [libelection.so.0]"), "{dynamic}");
    assert!(!dynamic.contains("RUNPATH") && !dynamic.contains("RPATH"), "{dynamic}");

    for (path, entry) in &tree {
        let Entry::File { text: Some(text), .. } = entry else { continue };
        let is_made = path.starts_with("lib");
        let unfilled = text.match_indices('@').find(|(at, _)| {
            let word: String = text[at + 1..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            !word.is_empty() && text[at + 1 + word.len()..].starts_with('@')
        });
        assert!(!is_made || unfilled.is_none(), "{path:?} has a place that nothing was put into:\n{text}");
    }
}

/// Folders and names by either way of writing them.
#[test]
fn each_folder_can_be_told() {
    let folder = ScratchFolder::new("packaging");
    let at = |name: &str| folder.path().join(name);
    run(make([
        "install".into(),
        variable("prefix", &at("p")),
        variable("exec_prefix", &at("p/e")),
        variable("INCLUDEDIR", &at("headers")),
        variable("mandir", &at("pages")),
        variable("DOCDIR", &at("documents")),
        variable("pythondir", &at("python")),
    ]));
    for path in ["p/e/lib/libelection.so", "headers/election.h", "pages/man3/go_to_election.3"] {
        assert!(at(path).exists(), "{path}");
    }
    assert!(at("documents/README.md").exists() && at("python/election/__init__.py").exists());
    let pc = fs::read_to_string(at("p/e/lib/pkgconfig/election.pc")).expect("the .pc file is there");
    for line in ["exec_prefix=${prefix}/e", "libdir=${exec_prefix}/lib", &variable("includedir", &at("headers"))] {
        assert!(pc.lines().any(|is| is == line), "{line} in\n{pc}");
    }
}

#[test]
fn staged_below_destdir_nothing_names_the_stage() {
    let folder = ScratchFolder::new("packaging");
    // With a blank: it is in no file.
    let stage = folder.path().join("stage of mine");
    let before = tree(folder.path());
    let arguments =
        |target: &str| [target.into(), variable("DESTDIR", &stage), "prefix=/opt/for-nobody".to_owned()];
    run(make(arguments("install")));
    assert!(!Path::new("/opt/for-nobody").exists(), "installed past the stage");
    let staged = tree(&stage);
    has_file(&staged, "opt/for-nobody/include/election.h", 0o644);
    let is_ours = |path: &&PathBuf| path.starts_with("opt/for-nobody") || **path == Path::new("opt");
    assert_eq!(staged.keys().find(|path| !is_ours(path)), None);
    for (path, entry) in &staged {
        if let Entry::File { text: Some(text), .. } = entry {
            assert!(!text.contains("stage of mine"), "{path:?} names the stage");
        }
    }
    run(make(arguments("uninstall")));
    assert_eq!(tree(&stage), Tree::new());
    fs::remove_dir(&stage).expect("nothing is left in it");
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn uninstalled_all_is_as_it_was() {
    let folder = ScratchFolder::new("packaging");
    let prefix = folder.path().join("prefix");
    // What others have: files, links, and folders that are empty, in some that we use as well.
    for path in ["lib/cmake/other", "share/man/man3", "include", "share/doc"] {
        fs::create_dir_all(prefix.join(path)).expect("a folder of somebody else");
    }
    for path in ["lib/libother.so.1", "share/man/man3/election.3", "lib/cmake/other/otherConfig.cmake"] {
        fs::write(prefix.join(path), path).expect("a file of somebody else");
    }
    symlink("libother.so.1", prefix.join("lib/libelection_other.so")).expect("a link of somebody else");
    let before = tree(&prefix);

    let install = || run(make(["install".into(), variable("PREFIX", &prefix)]));
    let uninstall = || make(["uninstall".into(), variable("PREFIX", &prefix)]);
    install();
    let installed = tree(&prefix);
    assert!(before.iter().all(|(path, entry)| installed.get(path) == Some(entry)), "others' files were touched");
    run(uninstall());
    assert_eq!(tree(&prefix), before);

    // Again, twice over, the second time with the libraries elsewhere; and somebody puts a file among ours.
    install();
    run(make(["install".into(), variable("PREFIX", &prefix), variable("LIBDIR", &prefix.join("lib64"))]));
    assert!(!prefix.join("lib/libelection.a").exists(), "the first one's files are gone");
    let foreign = prefix.join("lib64/cmake/election/mine.cmake");
    fs::write(&foreign, "# mine").expect("a file of somebody else");
    run(uninstall());
    assert_eq!(fs::read_to_string(&foreign).ok().as_deref(), Some("# mine"));
    fs::remove_dir_all(prefix.join("lib64")).expect("the foreign file's folders stand");
    assert_eq!(tree(&prefix), before);

    // Nothing is there to remove.
    let again = output(uninstall());
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && said.contains("nothing to remove"), "{said}");
    assert_eq!(tree(&prefix), before);
}

/// An install that cannot be carried through can be taken back all the same.
#[test]
fn uninstalled_after_half_an_install_all_is_as_it_was() {
    let folder = ScratchFolder::new("packaging");
    let prefix = folder.path().join("prefix");
    fs::create_dir_all(prefix.join("share")).expect("a scratch folder takes folders");
    // Where a folder should be.
    fs::write(prefix.join("share/man"), "a file").expect("a scratch folder takes files");
    let before = tree(&prefix);
    let install = output(make(["install".into(), variable("PREFIX", &prefix)]));
    assert!(!install.status.success(), "a file stands where the man pages go");
    assert!(prefix.join("lib/libelection.so.0").exists(), "it had begun");
    run(make(["uninstall".into(), variable("PREFIX", &prefix)]));
    assert_eq!(tree(&prefix), before);
}

/// As with `sudo make install`: root has no cargo, and what `make` has built is installed.
#[test]
fn without_cargo_what_is_built_is_installed() {
    let folder = ScratchFolder::new("packaging");
    let prefix = folder.path().join("prefix");
    run(make(["build"]));
    let install = |target: &Path| {
        let mut install = make(["install".into(), variable("PREFIX", &prefix)]);
        install.env("CARGO", "/nonexistent/cargo").env("CARGO_TARGET_DIR", target);
        install
    };
    let nothing = output(install(folder.path()));
    let said = String::from_utf8_lossy(&nothing.stderr);
    assert!(!nothing.status.success() && said.contains("run `make` first"), "{said}");
    assert!(!prefix.exists(), "nothing is half installed");
    run(install(tools::target()));
    assert!(prefix.join("lib/libelection.so").exists());
}

#[test]
fn a_relative_prefix_is_refused() {
    let refused = output(make(["install", "PREFIX=target/nowhere"]));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("target/nowhere is no absolute path"), "{said}");
    assert!(!root().join("target/nowhere").exists());
}

#[test]
fn what_is_installed_has_no_debugging_information_unless_it_is_asked_for() {
    let folder = ScratchFolder::new("packaging");
    let prefix = folder.path().join("prefix");
    let install = |more: &[&str]| {
        let mut install = make(["install".into(), variable("PREFIX", &prefix)]);
        install.args(more);
        run(install);
    };
    let library = prefix.join("lib/libelection.so");
    let has_debugging_information = |file: &Path| {
        let sections = tools::call("readelf", ["-S".as_ref(), "-W".as_ref(), file.as_os_str()]);
        assert!(sections.contains(".text"), "{file:?}");
        sections.contains(".debug_info")
    };
    let exported = |library: &Path| {
        let symbols = tools::call("nm", ["-D".as_ref(), "--defined-only".as_ref(), library.as_os_str()]);
        let names = symbols.lines().filter_map(|line| line.split_whitespace().last().map(str::to_owned));
        names.collect::<Vec<_>>()
    };
    install(&["STRIP=true"]);
    assert!(has_debugging_information(&library));
    install(&[]);
    assert_eq!(exported(&library), exported(&tools::target().join("release/libelection.so")));
    for stripped in [&library, &prefix.join("lib/libelection.a")] {
        assert!(!has_debugging_information(stripped), "{stripped:?}");
    }
}

/// Messages of the crates name their sources, which lie in a folder of whoever has built the library.
#[test]
fn no_file_names_a_folder_of_the_machine_that_built_it() {
    let installed = tools::Installed::new();
    let home = std::env::var("HOME").expect("there is a home");
    let cargo_home = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let naming = |text: &str| {
        let mut grep = Command::new("grep");
        grep.args(["-r", "-l", "-a", "-F", "-e", text]).arg(installed.prefix());
        String::from_utf8(output(grep).stdout).expect("the names are plain")
    };
    for folder in [&cargo_home, &root().display().to_string()] {
        assert_eq!(naming(folder), "", "these name {folder}");
    }
    // What is told of a source is the same as before.
    let sources = naming("/registry/src/");
    assert!(sources.contains("libelection.a") && sources.contains("libelection.so."), "{sources}");
}

/// The list of what is installed goes with a copy of the folders, and names the files of the original.
#[test]
fn a_copy_is_not_uninstalled_in_place_of_the_original() {
    let folder = ScratchFolder::new("packaging");
    let (prefix, copy) = (folder.path().join("prefix"), folder.path().join("copy"));
    run(make(["install".into(), variable("PREFIX", &prefix)]));
    let original = tree(&prefix);
    tools::call("cp", ["-a".as_ref(), prefix.as_os_str(), copy.as_os_str()]);
    let refused = output(make(["uninstall".into(), variable("PREFIX", &copy)]));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("is a copy"), "{said}");
    assert_eq!(tree(&prefix), original);
    assert_eq!(tree(&copy), original);
    // An install over the copy is one of its own.
    run(make(["install".into(), variable("PREFIX", &copy)]));
    run(make(["uninstall".into(), variable("PREFIX", &copy)]));
    assert!(!copy.join("lib/libelection.so.0").exists());
    assert_eq!(tree(&prefix), original);
}

/// What a shell would run if it read the name.
const COMMAND: &str = "it's \"$$(touch planted)\" `touch planted`; touch planted \\ #";

#[test]
fn a_folder_with_blanks_and_quotes_is_a_folder() {
    let folder = ScratchFolder::new("packaging");
    let scratch = folder.path().join(COMMAND.replace("$$", "$"));
    fs::create_dir(&scratch).expect("a scratch folder takes folders");
    let stage = folder.path().join(format!("stage {COMMAND}"));
    let prefix = Path::new("/opt/for nobody's use");
    let arguments = |target: &str| [target.into(), variable("DESTDIR", &stage), variable("prefix", prefix)];
    let call = |target: &str| {
        let mut make = make(arguments(target));
        make.env("TMPDIR", &scratch);
        run(make);
    };
    call("install");
    let staged = folder.path().join(format!("stage {COMMAND}").replace("$$", "$"));
    let installed = tree(&staged);
    for path in ["include/election.h", "share/man/man3/go_to_election.3", "share/doc/libelection/README.md"] {
        has_file(&installed, &format!("opt/for nobody's use/{path}"), 0o644);
    }
    let aliased = installed.get(Path::new("opt/for nobody's use/share/man/man3/election_options_free.3"));
    assert_eq!(aliased.cloned(), link("election_options_new.3"));
    assert!(!root().join("planted").exists(), "a name was run as a command");

    call("uninstall");
    assert_eq!(tree(&staged), Tree::new());
    assert_eq!(tree(&scratch), Tree::new(), "the scratch files are gone");
    assert!(!root().join("planted").exists(), "a name was run as a command");
}

/// pkg-config hands the folders on in one piece, for a shell that reads them once more.
#[test]
fn a_program_is_linked_with_a_library_in_a_folder_with_blanks_and_quotes() {
    let folder = ScratchFolder::new("packaging");
    let prefix = folder.path().join("a prefix that's mine");
    run(make(["install".into(), variable("PREFIX", &prefix)]));
    let mut compile = Command::new("sh");
    compile.args(["-e", "-c", "eval \"cc \\\"\\$1\\\" -o program $(pkg-config --cflags --libs election)\"", "sh"]);
    compile.arg(crate::consumers::consumer("program.c")).current_dir(folder.path());
    compile.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    run(compile);
    assert!(crate::consumers::dynamic(&folder.path().join("program")).contains("[libelection.so.0]"));
}

#[test]
fn a_folder_that_no_file_can_name_is_refused() {
    for (name, why) in [("a\"b", "has one of"), ("a$$b", "has one of"), ("a\nb", "line break")] {
        let folder = ScratchFolder::new("packaging");
        let before = tree(folder.path());
        let refused = output(make(["install".into(), variable("PREFIX", &folder.path().join(name))]));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(why), "{name}: {said}");
        assert_eq!(tree(folder.path()), before);
    }
}

/// `make demo` hands the hosts on without a shell that reads them.
#[test]
fn hosts_are_no_command() {
    let hosts = format!("HOSTS={COMMAND}");
    let said = run(make(["-n", "demo", &hosts]));
    assert!(said.contains("--hosts \"$HOSTS\"") && !said.contains("touch planted"), "{said}");
}

/// The examples that are installed are built where the installed library is all there is.
#[test]
fn the_examples_build_with_pkg_config() {
    let installed = tools::Installed::new();
    let examples = installed.prefix().join("share/doc/libelection/examples");
    let copy = installed.beside("examples");
    tools::call("cp", ["-r".as_ref(), examples.as_os_str(), copy.as_os_str()]);
    let mut make = make(["all".to_owned()]);
    make.current_dir(&copy).env("PKG_CONFIG_PATH", installed.prefix().join("lib/pkgconfig"));
    run(make);
    for program in ["election", "standby", "watch", "members", "job"] {
        let mut help = Command::new(copy.join("build").join(program));
        help.arg("--help").env("LD_LIBRARY_PATH", installed.prefix().join("lib"));
        assert!(run(help).contains("usage: "), "{program}");
    }
}

/// `make demo` and the examples use what cargo has built, wherever cargo was told to put it.
#[test]
fn make_asks_cargo_where_it_builds() {
    let folder = ScratchFolder::new("packaging");
    let (elsewhere, home) = (folder.path().join("elsewhere"), folder.path().join("home"));
    fs::create_dir(&home).expect("a scratch folder takes folders");
    let config = format!("[build]\ntarget-dir = {:?}\n", elsewhere.display().to_string());
    fs::write(home.join("config.toml"), config).expect("a scratch folder takes files");
    for (variable, value) in
        [("CARGO_TARGET_DIR", &elsewhere), ("CARGO_BUILD_TARGET_DIR", &elsewhere), ("CARGO_HOME", &home)]
    {
        let said = |arguments: &[&str]| {
            let mut make = make(arguments);
            make.env_remove("CARGO_TARGET_DIR").env(variable, value);
            run(make)
        };
        let release = elsewhere.join("release").display().to_string();
        let demo = said(&["-n", "-B", "demo", "HOSTS=127.0.0.1:2181"]);
        assert!(demo.contains(&format!("{release}/examples/demo")), "{variable}: {demo}");
        for examples in [demo, said(&["-n", "-B", "-C", "c_examples"])] {
            assert!(examples.contains(&format!("-L{release} ")), "{variable}: {examples}");
        }
    }
}
