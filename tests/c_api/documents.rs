//! The programs in README.md, in docs/ and in the manual's examples are compiled and run as they stand there; only the host is
//! the scratch server's. A block that is marked `c`, `cpp`, `python` or `rust` is a whole program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::{Ensemble, Line, Program};

use crate::library::{self, Link, Workshop};
use crate::place::{self, zookeeper, Secure};
use crate::programs::LONGEST;
use crate::tools::{self, root};

/// What stands in the snippets for the caller's ZooKeeper.
const HOST: &str = "127.0.0.1:2181";

/// What stands in those that speak TLS, with the files of docs/security.md.
const SECURE_HOST: &str = "zk1:2281";

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A program that has said nothing for this long may say it when it ends.
const SAYS_NOTHING: Duration = Duration::from_secs(15);

/// A program that has been master for this long waits for SIGTERM.
const ENDS_BY_ITSELF: Duration = Duration::from_secs(2);

/// README.md and the files of docs/, with their names.
fn documents() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(root().join("docs")).expect("docs is there");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.expect("docs can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    files.insert(0, root().join("README.md"));
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).expect("a document can be read");
        (file.file_stem().expect("a file has a name").to_string_lossy().into_owned(), text)
    };
    files.into_iter().map(read).collect()
}

/// The code blocks that are marked with this language: a name for each, and its text.
pub fn snippets(language: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (document, text) in documents() {
        let mut blocks = text.split("\n```");
        blocks.next();
        // Every other piece is a block, after the line that opens it; the others are what stands between two.
        let of_language =
            |block: &str| block.strip_prefix(language)?.strip_prefix('\n').map(|code| format!("{code}\n"));
        let of_document = blocks.step_by(2).filter_map(of_language).enumerate();
        found.extend(of_document.map(|(i, code)| (format!("{document}-{language}-{i}"), code)));
    }
    assert!(found.iter().any(|(name, _)| name.starts_with("README")), "README.md has a block marked {language}");
    found
}

/// The snippet with a scratch server, and an election of its own by a chroot. With the folder to run it in, if it speaks TLS.
fn at_server(snippet: &str, zookeeper: &Ensemble, name: &str) -> (String, Option<Arc<Secure>>) {
    if !snippet.contains(SECURE_HOST) {
        return (at_scratch_server(snippet, &zookeeper.hosts(), name), None);
    }
    let secure = place::secure();
    let host = format!("{}/{name}", secure.zookeeper.tls_host(0));
    (snippet.replace(SECURE_HOST, &host), Some(secure))
}

/// Where the files of the authority are.
fn run_in_folder_of(secure: Option<&Secure>, command: &mut Command) {
    if let Some(secure) = secure {
        command.current_dir(secure.authority.path(""));
    }
}

/// The snippet with the scratch server, and an election of its own by a chroot.
pub fn at_scratch_server(snippet: &str, hosts: &str, name: &str) -> String {
    assert!(snippet.contains(HOST), "a snippet that connects to {HOST}:\n{snippet}");
    snippet.replace(HOST, &format!("{hosts}/{name}"))
}

/// A program whose output comes line by line, though it goes to a pipe. What is linked statically does not heed this: its
/// output comes when it ends.
fn line_by_line(program: &Path) -> Command {
    let mut command = Command::new("stdbuf");
    command.arg("-oL").arg(program);
    command
}

/// A program becomes master, and ends by itself or when it is told to (SIGTERM), without a word of complaint.
#[track_caller]
fn becomes_master(mut command: Command) {
    // Where the system's folders would be.
    command.env("ELECTION_LIB", library::shared()).env("PYTHONPATH", root().join("python"));
    let program = Program::spawn(command);
    let has_said = || {
        let transcript = program.transcript();
        transcript.to_lowercase().contains("master") || transcript.contains("piece 10 of")
    };
    let began = Instant::now();
    let mut status = None;
    while status.is_none() && !has_said() && began.elapsed() < SAYS_NOTHING {
        status = program.wait(BETWEEN_LOOKS);
    }
    let status = status.or_else(|| program.wait(ENDS_BY_ITSELF)).or_else(|| {
        program.signal(libc::SIGTERM);
        program.wait(LONGEST)
    });
    let transcript = program.transcript();
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{transcript}");
    assert!(has_said(), "{transcript}");
    assert!(!transcript.contains("err|"), "{transcript}");
}

fn compile_and_run(language: &str, compiler: &str, standard: &str) {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    for (name, snippet) in snippets(language) {
        let (code, secure) = at_server(&snippet, &zookeeper, &name);
        let source = workshop.write(&format!("{name}.{language}"), &code);
        let mut program = line_by_line(&workshop.build(compiler, standard, &[source], Link::Shared));
        run_in_folder_of(secure.as_deref(), &mut program);
        becomes_master(program);
    }
}

/// The examples of the man pages.
#[test]
fn manual() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let folder = std::fs::read_dir(root().join("docs/examples")).expect("docs/examples is there");
    let examples: Vec<PathBuf> = folder.map(|entry| entry.expect("it can be read").path()).collect();
    assert!(examples.len() > 5, "{examples:?}");
    for example in examples {
        let name = example.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let code = std::fs::read_to_string(&example).expect("an example is text");
        let source = workshop.write(&format!("{name}.c"), &at_scratch_server(&code, &zookeeper.hosts(), &name));
        let program = Program::spawn(Command::new(workshop.build("gcc", "c99", &[source], Link::Shared)));
        let status = program.wait(LONGEST);
        assert!(status.is_some_and(|status| status.success()), "{name}: {status:?}\n{}", program.transcript());
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

/// The catalogue of errors has a row for each number of election_rc_t, and none besides.
#[test]
fn the_catalogue_of_errors_is_complete() {
    let header = std::fs::read_to_string(root().join("include/election.h")).expect("the header is there");
    let (_, numbers) = header.split_once("typedef enum election_rc_t {").expect("it has an enum of its numbers");
    let (numbers, _) = numbers.split_once("} election_rc_t;").expect("an enum ends");
    let constants = numbers.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
    let known: BTreeSet<String> = constants.map(|(name, number)| format!("`{name}` ({number})")).collect();
    assert!(known.len() > 50, "{known:?}");
    let page = std::fs::read_to_string(root().join("docs/troubleshooting.md")).expect("the page is there");
    let (_, rows) = page.split_once("## All numbers").expect("it has a catalogue");
    let told = rows.lines().filter_map(|row| row.strip_prefix("| ")?.split_once(" | ")).map(|(name, _)| name);
    let told: BTreeSet<String> = told.filter(|name| name.starts_with('`')).map(str::to_owned).collect();
    assert_eq!(told, known);
}

/// The first program says by itself that there is no ZooKeeper, within two seconds.
#[test]
fn the_first_program_without_a_zookeeper() {
    let workshop = Workshop::new();
    let source = workshop.write("first.c", &snippets("c")[0].1.replace(HOST, "127.0.0.1:1"));
    let mut command = Command::new(workshop.build("gcc", "c99", &[source], Link::Shared));
    command.env("LD_LIBRARY_PATH", workshop.path("."));
    let program = Program::spawn(command);
    let says_so = |line: &Line| line.text.contains("connection refused by 127.0.0.1:1");
    assert!(program.wait_for(Duration::from_secs(2), says_so).is_some(), "{}", program.transcript());
}

/// The commands that it gives for linking with what is not installed, as they stand there; tests/packaging has the others.
#[test]
fn link_commands() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let text: String = documents().into_iter().map(|(_, text)| text).collect();
    let commands: Vec<&str> = text
        .split(['`', '\n'])
        .map(str::trim)
        .filter(|piece| piece.starts_with("cc program.c ") && piece.contains("target/release"))
        .collect();
    assert_eq!(commands.len(), 2, "one for the shared library, one for the static: {commands:?}");
    for (i, command) in commands.into_iter().enumerate() {
        let code = at_scratch_server(&snippets("c")[0].1, &zookeeper.hosts(), &format!("link-{i}"));
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
        let mut program = line_by_line(&workshop.path("a.out"));
        program.env("LD_LIBRARY_PATH", workshop.path("."));
        becomes_master(program);
    }
}

#[test]
fn python() {
    tools::demand("python3");
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    for (name, snippet) in snippets("python") {
        let (code, secure) = at_server(&snippet, &zookeeper, &name);
        let mut python = Command::new("python3");
        // Without -X dev, with which asyncio tells of what takes long, as it may on a busy machine.
        python.args(["-B", "-u", "-W", "error"]).arg(workshop.write("snippet.py", &code));
        run_in_folder_of(secure.as_deref(), &mut python);
        becomes_master(python);
    }
}

#[test]
fn rust() {
    let (workshop, zookeeper) = (Workshop::new(), zookeeper());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let release = library::shared().parent().map(Path::to_path_buf).unwrap_or_default();
    for (name, snippet) in snippets("rust") {
        let (code, secure) = at_server(&snippet, &zookeeper, &name);
        let source = workshop.write(&format!("{name}.rs"), &code);
        let program = workshop.path(&name);
        let mut compile = Command::new(&rustc);
        compile.args(["--edition=2021", "-D", "warnings", "--extern"]);
        compile.arg(format!("election={}", release.join("libelection.rlib").display()));
        compile.arg("-L").arg(format!("dependency={}", release.join("deps").display()));
        compile.arg(&source).arg("-o").arg(&program);
        tools::run_command(compile);
        let mut program = Command::new(program);
        run_in_folder_of(secure.as_deref(), &mut program);
        becomes_master(program);
    }
}
