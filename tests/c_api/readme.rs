//! The README's snippets are compiled and run as they stand there; only the host is the scratch server's.

use std::path::Path;
use std::process::Command;

use testkit::Program;

use crate::library::{self, Link, Workshop};
use crate::place::zookeeper;
use crate::programs::LONGEST;
use crate::tools::{self, root};

/// What stands in the snippets for the caller's ZooKeeper.
const HOST: &str = "127.0.0.1:2181";

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("README.md is there")
}

/// The code blocks that are marked with this language.
fn snippets(language: &str) -> Vec<String> {
    let text = readme();
    let mut blocks = text.split("\n```");
    blocks.next();
    // Every other piece is a block, after the line that opens it; the others are what stands between two.
    let of_language =
        |block: &str| block.strip_prefix(language)?.strip_prefix('\n').map(|code| format!("{code}\n"));
    let found: Vec<String> = blocks.step_by(2).filter_map(of_language).collect();
    assert!(!found.is_empty(), "README.md has a block marked {language}");
    found
}

/// The snippet with the scratch server, and an election of its own by a chroot.
fn at_scratch_server(snippet: &str, hosts: &str, name: &str) -> String {
    assert!(snippet.contains(HOST), "a snippet that connects to {HOST}:\n{snippet}");
    snippet.replace(HOST, &format!("{hosts}/readme-{name}"))
}

/// A snippet becomes master, says so and ends by itself, without a word of complaint.
#[track_caller]
fn becomes_master(mut command: Command) {
    // Where the system's folders would be.
    command.env("ELECTION_LIB", library::shared()).env("PYTHONPATH", root().join("python"));
    let program = Program::spawn(command);
    let status = program.wait(LONGEST);
    let transcript = program.transcript();
    assert!(status.is_some_and(|status| status.success()), "{transcript}");
    assert!(transcript.to_lowercase().contains("master") || transcript.contains("piece 10 of"), "{transcript}");
    assert!(!transcript.contains("err|"), "{transcript}");
}

fn compile_and_run(language: &str, compiler: &str, standard: &str) {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    for (i, snippet) in snippets(language).iter().enumerate() {
        let name = format!("{language}-{i}");
        let code = at_scratch_server(snippet, &zookeeper.hosts(), &name);
        let source = workshop.write(&format!("{name}.{language}"), &code);
        becomes_master(Command::new(workshop.build(compiler, standard, &[source], Link::Shared)));
    }
}

#[test]
fn c() {
    compile_and_run("c", "gcc", "c99");
}

#[test]
fn cpp() {
    compile_and_run("cpp", "g++", "c++17");
}

/// The commands that it gives for linking with what is not installed, as they stand there; tests/packaging has the others.
#[test]
fn link_commands() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let text = readme();
    let commands: Vec<&str> = text
        .split(['`', '\n'])
        .map(str::trim)
        .filter(|piece| piece.starts_with("cc program.c ") && piece.contains("target/release"))
        .collect();
    assert_eq!(commands.len(), 2, "one for the shared library, one for the static: {commands:?}");
    for (i, command) in commands.into_iter().enumerate() {
        let code = at_scratch_server(&snippets("c")[0], &zookeeper.hosts(), &format!("link-{i}"));
        workshop.write("program.c", &code);
        let release = library::shared().parent().map(Path::to_path_buf).unwrap_or_default();
        let words = command.split(' ').map(|word| match word {
            "-Iinclude" => format!("-I{}", root().join("include").display()),
            "-Ltarget/release" => format!("-L{}", release.display()),
            _ => word.replace("target/release", &release.display().to_string()),
        });
        let words: Vec<String> = words.collect();
        let mut compile = Command::new(&words[0]);
        compile.args(&words[1..]).current_dir(workshop.path("."));
        tools::run_command(compile);
        let mut program = Command::new(workshop.path("a.out"));
        program.env("LD_LIBRARY_PATH", workshop.path("."));
        becomes_master(program);
    }
}

#[test]
fn python() {
    tools::demand("python3");
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    for (i, snippet) in snippets("python").iter().enumerate() {
        let code = at_scratch_server(snippet, &zookeeper.hosts(), &format!("python-{i}"));
        let mut python = Command::new("python3");
        // Without -X dev, with which asyncio tells of what takes long, as it may on a busy machine.
        python.args(["-B", "-u", "-W", "error"]).arg(workshop.write("snippet.py", &code));
        becomes_master(python);
    }
}

#[test]
fn rust() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let release = library::shared().parent().map(Path::to_path_buf).unwrap_or_default();
    for (i, snippet) in snippets("rust").iter().enumerate() {
        let name = format!("rust-{i}");
        let source = workshop.write(&format!("{name}.rs"), &at_scratch_server(snippet, &zookeeper.hosts(), &name));
        let program = workshop.path(&name);
        let mut compile = Command::new(&rustc);
        compile.args(["--edition=2021", "-D", "warnings", "--extern"]);
        compile.arg(format!("election={}", release.join("libelection.rlib").display()));
        compile.arg("-L").arg(format!("dependency={}", release.join("deps").display()));
        compile.arg(&source).arg("-o").arg(&program);
        tools::run_command(compile);
        becomes_master(Command::new(program));
    }
}
