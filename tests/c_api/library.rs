//! The library under test, and a workshop in which programs are linked with it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use testkit::ScratchFolder;

use crate::tools::{self, root};

/// The folder of the release build. It is built when the first test asks for it, in the target folder of the test
/// itself, whichever way cargo was told of that one.
fn release() -> &'static Path {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    RELEASE.get_or_init(|| {
        // Cargo puts the folder for the scratch files of integration tests directly into the target folder.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp is in the target folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--release", "--locked", "--package", "election", "--lib", "--target-dir"])
            .arg(target);
        cargo.current_dir(root());
        tools::run_command(cargo);
        target.join("release")
    })
}

pub fn shared() -> PathBuf {
    release().join("libelection.so")
}

pub fn archive() -> PathBuf {
    release().join("libelection.a")
}

/// How a program finds the library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Shared,
    Static,
}

/// A folder with the shared library as it is when installed, and the programs that are linked with it. It goes with its
/// owner.
pub struct Workshop {
    folder: ScratchFolder,
}

impl Workshop {
    pub fn new() -> Workshop {
        let folder = ScratchFolder::new("border");
        for name in ["libelection.so", "libelection.so.0"] {
            symlink(shared(), folder.path().join(name)).expect("the scratch folder takes links");
        }
        Workshop { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a source file.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the scratch folder takes files");
        path
    }

    /// Compiles `sources` with all warnings as errors, links them with the library and returns the program.
    #[track_caller]
    pub fn build(&self, compiler: &str, standard: &str, sources: &[PathBuf], link: Link) -> PathBuf {
        self.build_with(compiler, standard, sources, link, &[])
    }

    /// The same, with more for the compiler.
    #[track_caller]
    pub fn build_with(
        &self,
        compiler: &str,
        standard: &str,
        sources: &[PathBuf],
        link: Link,
        flags: &[&str],
    ) -> PathBuf {
        let stem = sources[0].file_stem().expect("a source file has a name").to_string_lossy();
        let how = match link {
            Link::Shared => "shared",
            Link::Static => "static",
        };
        let program = self.path(&format!("{stem}-{compiler}-{standard}-{how}"));
        let mut command = Command::new(compiler);
        command.arg(format!("-std={standard}"));
        command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-pthread"]).args(flags).arg("-I");
        command.arg(root().join("include")).args(sources).arg("-o").arg(&program);
        match link {
            Link::Shared => {
                let folder = self.folder.path().display();
                command.args([format!("-L{folder}"), "-lelection".into(), format!("-Wl,-rpath,{folder}")]);
            }
            Link::Static => {
                command.arg(archive()).args(system_libraries());
            }
        }
        tools::run_command(command);
        program
    }
}

/// What a program that holds the library itself must be linked with besides, as rustc tells it: `-lgcc_s -lc ...`.
fn system_libraries() -> Vec<String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let folder = ScratchFolder::new("native-static-libs");
    let source = folder.path().join("empty.rs");
    std::fs::write(&source, "").expect("the scratch folder takes files");
    let output = Command::new(&rustc)
        .args(["--crate-type=staticlib", "--print=native-static-libs", "--out-dir"])
        .arg(folder.path())
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("{rustc} cannot be run: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    let libraries = said.lines().find_map(|line| Some(line.split_once("native-static-libs: ")?.1.to_owned()));
    let libraries = libraries.unwrap_or_else(|| panic!("{rustc} names no native-static-libs:\n{said}"));
    libraries.split_whitespace().map(str::to_owned).collect()
}

/// What AddressSanitizer watches, what tells libFuzzer of the way that an input takes, in rustc's words; and failing
/// arithmetic is a panic. Not optimized: that takes a minute, and makes neither of them see more.
const INSTRUMENTED: [&str; 12] = [
    "-Copt-level=0",
    "-Cdebuginfo=line-tables-only",
    "-Zsanitizer=address",
    "-Cunsafe-allow-abi-mismatch=sanitizer",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
    "-Clink-arg=-Wl,-z,undefs",
];

/// The folder of the shared library with this crate compiled for AddressSanitizer and libFuzzer, whose runtimes are to be in
/// the program, and everything else as it is in the release build.
pub fn instrumented() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instrumented");
        std::fs::create_dir_all(&folder).expect("the target folder takes folders");
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let mut compile = Command::new(rustc);
        compile.args(["--crate-name=election", "--crate-type=cdylib", "--edition=2021", "--cap-lints=allow"]);
        compile.args(["src/lib.rs", "-Clink-arg=-Wl,-soname,libelection.so.0"]).args(INSTRUMENTED);
        compile.arg("-L").arg(format!("dependency={}", release().join("deps").display()));
        for (dependency, rlib) in dependencies() {
            compile.arg("--extern").arg(format!("{dependency}={rlib}"));
        }
        compile.arg("-o").arg(folder.join("libelection.so")).current_dir(root());
        compile.env("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION")).env("RUSTC_BOOTSTRAP", "1");
        tools::run_command(compile);
        let soname = folder.join("libelection.so.0");
        let _ = std::fs::remove_file(&soname);
        symlink("libelection.so", soname).expect("the target folder takes links");
        folder
    })
}

/// The libraries that the release build was made of, by crate.
fn dependencies() -> Vec<(String, String)> {
    let mut cargo = Command::new(env!("CARGO"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp is in the target folder");
    cargo.args(["build", "--release", "--locked", "--package", "election", "--lib", "--message-format=json"]);
    cargo.arg("--target-dir").arg(target).current_dir(root());
    let messages = tools::run_command(cargo);
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml is there");
    let direct = manifest.split_once("\n[dependencies]\n").expect("there are dependencies").1;
    let direct = direct.split("\n[").next().unwrap_or_default();
    // Neither a comment nor what the command alone needs.
    let of_library = direct.lines().filter(|line| !line.starts_with('#') && !line.contains("optional = true"));
    // A build dependency may be the same crate with other features.
    let rlib_of = |name: &str, features: &[&str]| {
        let its = format!("\"name\":\"{name}\",");
        let has = |line: &str| features.iter().all(|feature| line.contains(&format!("\"{feature}\"")));
        let message = messages.lines().find(|line| line.contains(&its) && line.contains(".rlib\"") && has(line));
        let file = message.and_then(|line| line.split('"').find(|word| word.ends_with(".rlib")));
        file.unwrap_or_else(|| panic!("cargo tells of no library {name}")).to_owned()
    };
    let dependency = |line: &str| {
        let (name, rest) = line.split_once([' ', '.', '='])?;
        let features = rest.split_once("features = [").map_or("", |(_, listed)| listed);
        let features: Vec<&str> = features.split('"').skip(1).step_by(2).collect();
        let name = name.replace('-', "_");
        Some((name.clone(), rlib_of(&name, &features)))
    };
    of_library.filter_map(dependency).collect()
}
