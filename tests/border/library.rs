//! The library under test, and a workshop in which programs are linked with it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use scratch::ScratchFolder;

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
