//! The library as it is installed, and a program that is linked with it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use testkit::ScratchFolder;

/// The shared library of the release build, in the target folder of the test itself; built when it is first asked for.
pub fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        // Cargo puts the folder for the scratch files of integration tests directly into the target folder.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp is in the target folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--release", "--locked", "--package", "election", "--lib", "--target-dir"])
            .arg(target);
        run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")));
        target.join("release/libelection.so")
    })
}

/// Compiles `believer.c` into `folder` and links it with the library.
pub fn build_believer(folder: &ScratchFolder) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["libelection.so", "libelection.so.0"] {
        symlink(shared(), folder.path().join(name)).expect("the scratch folder takes links");
    }
    let program = folder.path().join("believer");
    let here = folder.path().display();
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-std=c99",
        "-D_POSIX_C_SOURCE=200809L",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-O2",
        "-pthread",
    ]);
    gcc.arg("-I").arg(root.join("include")).arg(root.join("tests/multiprocess/believer.c"));
    gcc.arg("-o").arg(&program).args([format!("-L{here}"), "-lelection".into(), format!("-Wl,-rpath,{here}")]);
    run(&mut gcc);
    program
}

#[track_caller]
pub fn run(command: &mut Command) {
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
        }
        Err(error) => panic!("{command:?} cannot be run: {error}: run `make setup`"),
    }
}
