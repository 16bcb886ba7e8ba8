//! The seeds' programs: builds `hand_rolled.cpp` against ZooKeeper's own C client, and runs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use testkit::Program;

/// Runs one seed's program. It ends with its guard.
pub fn run(seed: &str, hosts: &str, path: &str, value: &str, timeout_ms: u64) -> Program {
    let mut command = Command::new(built());
    command.args([seed, hosts, path, value]).arg(timeout_ms.to_string());
    Program::spawn(command)
}

fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/hand_rolled.cpp");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hand_rolled");
        // Under a name of its own first: another run of the tests may be using the program.
        let unfinished = program.with_extension(std::process::id().to_string());
        let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
        compiler.args(["-std=c++11", "-Wall", "-Wextra", "-Werror", "-DTHREADED"]);
        compiler.arg(source).arg("-o").arg(&unfinished).args(["-lzookeeper_mt", "-pthread"]);
        match compiler.output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!(
                "hand_rolled.cpp does not compile: are libzookeeper-mt-dev and a C++ compiler installed? `make setup`\n{}",
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) => panic!("no C++ compiler: run `make setup` ({error})"),
        }
        std::fs::rename(&unfinished, &program).expect("both are in one folder");
        program
    })
}
