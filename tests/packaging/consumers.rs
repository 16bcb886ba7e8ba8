//! Programs that find the installed library as their build system does, and run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use testkit::{Ensemble, Program};

use crate::tools::{self, output, root, run, version, Installed};

const LONGEST: Duration = Duration::from_secs(120);

/// One server for all tests that run at the same time; it goes with the last of them. Each program has a path of its own.
pub fn zookeeper() -> Arc<Ensemble> {
    static SHARED: Mutex<Weak<Ensemble>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Ensemble::start(1));
        *shared = Arc::downgrade(&started);
        started
    })
}

pub fn consumer(name: &str) -> PathBuf {
    root().join("tests/packaging/consumer").join(name)
}

/// Runs a program that becomes master and resigns.
#[track_caller]
pub fn becomes_master(mut command: Command, path: &str) {
    let zookeeper = zookeeper();
    command.args([&zookeeper.hosts(), path]).env_remove("ELECTION_LIB");
    let program = Program::spawn(command);
    let status = program.wait(LONGEST);
    let said: Vec<String> = program.lines().into_iter().map(|line| line.text).collect();
    let is_done = status.is_some_and(|status| status.success());
    assert!(is_done && said == ["master", "resigned"], "{}", program.transcript());
}

/// What the dynamic loader is told by a program: the libraries that it needs, and where to look for them.
pub fn dynamic(program: &Path) -> String {
    tools::call("readelf", ["-d".as_ref(), "-W".as_ref(), program.as_os_str()])
}

pub fn pkg_config(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(arguments).arg("election").env("PKG_CONFIG_PATH", folder);
    run(command).split_whitespace().map(str::to_owned).collect()
}

/// Compiles the program with what pkg-config says, and more.
#[track_caller]
pub fn compile(compiler: &str, installed: &Installed, name: &str, flags: &[String]) -> PathBuf {
    let source = consumer(if compiler == "g++" { "program.cpp" } else { "program.c" });
    let program = installed.beside(name);
    let mut command = Command::new(compiler);
    command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"]).arg(source).arg("-o").arg(&program).args(flags);
    run(command);
    program
}

/// Builds a CMake project that is told by a variable where to look.
pub fn compile_with_cmake(project: &Path, build: &Path, variable: &str, place: &Path, target: &str) {
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(project).arg("-B").arg(build);
    configure.arg(format!("-D{variable}={}", place.display()));
    run(configure);
    let mut compile = Command::new("cmake");
    compile.arg("--build").arg(build).args(["--target", target]);
    run(compile);
}

#[test]
fn by_pkg_config_shared() {
    let installed = Installed::new();
    let lib = installed.prefix().join("lib");
    let pc = lib.join("pkgconfig");
    assert_eq!(pkg_config(&pc, &["--modversion"]), [version()]);
    let flags = pkg_config(&pc, &["--cflags", "--libs"]);
    for compiler in ["gcc", "g++"] {
        let program = compile(compiler, &installed, &format!("pc-{compiler}"), &flags);
        let told = dynamic(&program);
        assert!(told.contains("[libelection.so.0]"), "{told}");
        assert!(!told.contains("PATH"), "where to look is the caller's affair: {told}");
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", &lib);
        becomes_master(command, &format!("/pc-{compiler}"));

        let rpath = [flags.clone(), vec![format!("-Wl,-rpath,{}", lib.display())]].concat();
        let program = compile(compiler, &installed, &format!("pc-rpath-{compiler}"), &rpath);
        let mut command = Command::new(program);
        command.env_remove("LD_LIBRARY_PATH");
        becomes_master(command, &format!("/pc-rpath-{compiler}"));
    }
}

#[test]
fn by_pkg_config_static() {
    let installed = Installed::new();
    let pc = installed.prefix().join("lib/pkgconfig");
    let flags = pkg_config(&pc, &["--static", "--cflags", "--libs"]);

    // The whole program, and libelection alone.
    for compiler in ["gcc", "g++"] {
        let whole = [flags.clone(), vec!["-static".to_owned()]].concat();
        let program = compile(compiler, &installed, &format!("static-{compiler}"), &whole);
        assert!(dynamic(&program).contains("There is no dynamic section"));
        becomes_master(Command::new(program), &format!("/static-{compiler}"));

        let archive =
            |flag: &String| if flag == "-lelection" { "-l:libelection.a".to_owned() } else { flag.clone() };
        let ours: Vec<String> = flags.iter().map(archive).collect();
        let program = compile(compiler, &installed, &format!("archive-{compiler}"), &ours);
        let told = dynamic(&program);
        assert!(told.contains("[libc.so.6]") && !told.contains("libelection"), "{told}");
        becomes_master(Command::new(program), &format!("/archive-{compiler}"));
    }
}

/// What rustc names for Rust's standard library alone, but for what the C compiler adds, is among the private libraries;
/// those who link the shared library are not troubled with them.
#[test]
fn the_private_libraries_are_those_of_rustc() {
    let installed = Installed::new();
    let pc = installed.prefix().join("lib/pkgconfig");
    let empty = installed.beside("empty.rs");
    std::fs::write(&empty, "").expect("a scratch folder takes files");
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--crate-type=staticlib", "--print=native-static-libs", "--out-dir"]);
    rustc.arg(installed.beside(".")).arg(&empty);
    let said = String::from_utf8_lossy(&output(rustc).stderr).into_owned();
    let (_, named) = said.split_once("native-static-libs: ").expect("rustc names them");
    let named = named.lines().next().unwrap_or_default().split_whitespace();
    let wanted: Vec<&str> = named.filter(|lib| !["-lc", "-lgcc_s"].contains(lib)).collect();
    assert!(wanted.contains(&"-lm"), "{said}");

    let private = pkg_config(&pc, &["--static", "--libs"]);
    assert!(wanted.iter().all(|lib| private.iter().any(|is| is == lib)), "{wanted:?} in {private:?}");
    let shared = pkg_config(&pc, &["--libs"]);
    assert!(!wanted.iter().any(|lib| shared.iter().any(|is| is == lib)), "{shared:?}");
}

/// The tree is moved after it was installed, and found all the same.
#[test]
fn by_find_package_in_a_tree_that_was_moved() {
    let installed = Installed::new();
    let moved = installed.beside("moved");
    std::fs::rename(installed.prefix(), &moved).expect("one folder");
    let build = installed.beside("build");

    compile_with_cmake(&consumer(""), &build, "CMAKE_PREFIX_PATH", &moved, "all");

    for language in ["c", "cpp"] {
        let shared = build.join(format!("shared-{language}"));
        let told = dynamic(&shared);
        assert!(told.contains("[libelection.so.0]"), "{told}");
        assert!(told.contains(&format!("[{}]", moved.join("lib").display())), "CMake's own rpath: {told}");
        becomes_master(Command::new(shared), &format!("/cmake-shared-{language}"));
        let in_it = build.join(format!("static-{language}"));
        assert!(!dynamic(&in_it).contains("libelection"));
        becomes_master(Command::new(in_it), &format!("/cmake-static-{language}"));
    }

    let flags = pkg_config(&moved.join("lib/pkgconfig"), &["--define-prefix", "--cflags", "--libs"]);
    assert!(flags.contains(&format!("-I{}", moved.join("include").display())), "{flags:?}");
}

/// Which versions a program may ask for, and what it is told when something is missing.
#[test]
fn find_package_knows_versions() {
    let installed = Installed::new();
    let project = installed.beside("project");
    std::fs::create_dir(&project).expect("a scratch folder takes folders");
    std::fs::write(
        project.join("CMakeLists.txt"),
        "cmake_minimum_required(VERSION 3.19)\nproject(versions NONE)\n\
         find_package(election ${WANTED} CONFIG)\n\
         message(STATUS \"found: ${election_FOUND} ${election_VERSION} ${election_NOT_FOUND_MESSAGE}\")\n",
    )
    .expect("a scratch folder takes files");
    let find = |wanted: &str| {
        let mut cmake = Command::new("cmake");
        cmake.arg("-S").arg(&project).arg("-B").arg(installed.beside("versions"));
        cmake.arg("--fresh").arg(format!("-DWANTED={wanted}"));
        cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", installed.prefix().display()));
        let output = output(cmake);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines().find_map(|line| line.strip_prefix("-- found: ").map(str::to_owned)).unwrap_or_else(|| {
            panic!("{said}{}", String::from_utf8_lossy(&output.stderr));
        })
    };
    assert_eq!(version().split('.').take(2).collect::<Vec<_>>(), ["0", "1"], "then the versions below are others");
    for right in ["", "0.1", "0.1.0", &format!("{};EXACT", version()), "0.0.9...0.2", "0.1.0...<0.2"] {
        assert!(
            find(right).starts_with(&format!("1 {}", version())),
            "find_package(election {right}): {}",
            find(right)
        );
    }
    for wrong in ["0.2", "1", "0.0.9", "0.1.999", "0.0.9;EXACT", "0.2...1.0", "0.0.1...<0.1.0"] {
        assert!(find(wrong).starts_with("0"), "find_package(election {wrong}): {}", find(wrong));
    }

    std::fs::remove_file(installed.prefix().join("lib/libelection.a")).expect("it was installed");
    let said = find("0.1");
    assert!(said.starts_with("0") && said.contains("libelection.a is missing"), "{said}");
}

/// The examples that are installed with it are built with what is installed.
#[test]
fn examples() {
    let installed = Installed::new();
    let prefix = installed.prefix();
    let examples = prefix.join("share/doc/libelection/examples");
    let mut make = tools::make(["-C".to_owned(), examples.display().to_string()]);
    make.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    run(make);
    let zookeeper = zookeeper();
    let mut command = Command::new(examples.join("build/election"));
    command.args(["--hosts", &zookeeper.hosts(), "--path", "/examples", "10.0.0.1"]);
    command.env("LD_LIBRARY_PATH", prefix.join("lib"));
    let program = Program::spawn(command);
    program.expect_text(LONGEST, "Become master");
    program.write_line("").expect("it reads");
    assert!(program.wait(LONGEST).is_some_and(|status| status.success()), "{}", program.transcript());
}

#[test]
fn by_python() {
    let installed = Installed::new();
    let lib = installed.prefix().join("lib");
    let program = "import sys, election
with election.Election(sys.argv[1]) as e:
    e.go_to_election(sys.argv[2], b'consumer')
    e.wait(sys.argv[2], election.Role.MASTER, 60)
    assert e.is_master(sys.argv[2])
    print('master')
    e.resign(sys.argv[2])
    assert not e.is_master(sys.argv[2])
    print('resigned')
with open('/proc/self/maps') as maps:
    mapped = {line.split()[-1] for line in maps if 'libelection' in line}
assert mapped == {PLACE}, mapped
";
    let library = lib.join(format!("libelection.so.{}", version()));
    let program = program.replace("PLACE", &format!("{:?}", library.display().to_string()));
    let mut python = Command::new("python3");
    python.args(["-B", "-u", "-W", "error", "-c", &program]);
    // The module knows where the library of the same installation is.
    python.env("PYTHONPATH", installed.prefix().join("share/libelection")).env_remove("LD_LIBRARY_PATH");
    becomes_master(python, "/python");
}
