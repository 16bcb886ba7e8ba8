//! The cost of a candidate while nothing happens, and while no server runs. The candidate is a minimal C program on
//! libelection.so, as a user's service would be.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::{Ensemble, Program, ScratchFolder};

use crate::is_master;
use crate::machine::{self, Memory};
use crate::report::Report;
use crate::samples::Samples;
use crate::{Result, PATIENCE};

const SETTLE: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(10);

pub fn measure(ensemble: &Ensemble, report: &mut Report) -> Result<()> {
    let folder = ScratchFolder::new("idle");
    let program = build(folder.path())?;
    let mut command = Command::new(program);
    command.arg(ensemble.hosts()).env("LD_LIBRARY_PATH", folder.path());
    let program = Program::spawn(command);
    expect(&program, "ready")?;
    let before = machine::memory(program.pid())?;
    program.write_line("open")?;
    expect(&program, "role 1")?;

    // Memory and threads are to be those of a candidate at rest. Nothing reports when it is at rest.
    sleep(SETTLE);
    let after = machine::memory(program.pid())?;
    let threads = machine::threads(program.pid())?;
    report.note(&show("before election_open, the library loaded:", &before));
    report.note(&show(&format!("master, {} s later:", SETTLE.as_secs()), &after));
    report.note(&format!("{:<44} {}: {}", "threads:", threads.len(), threads.join(", ")));
    report.aim("idle candidate, resident memory (VmRSS)", after.resident_kib, 8.0 * 1024.0, mib);
    report.aim("idle candidate, threads", threads.len() as f64, 3.0, |count| format!("{count:.0}"));

    let idle = cpu_share(&program)?;
    report.note(&format!("{:<44} {}", "CPU, idle:", percent(idle)));

    is_master::row("C program on the .so", &ask(&program)?, report);

    ensemble.stop_all();
    expect(&program, "role -1")?;
    let down = cpu_share(&program)?;
    let began = Instant::now();
    ensemble.start_all();
    ensemble.wait_all_serving();
    let serving = began.elapsed();
    expect(&program, "role 1")?;
    report.note(&format!("{:<44} {}", "CPU, all servers down:", percent(down)));
    report.aim("idle candidate, CPU while all servers are down", down, 0.01, percent);
    report.note(&format!(
        "{:<44} {:.2} s after the servers were started again; they took {:.2} s",
        "master again, by itself:",
        began.elapsed().as_secs_f64(),
        serving.as_secs_f64(),
    ));
    program.close_stdin();
    match program.wait(PATIENCE) {
        Some(status) if status.success() => Ok(()),
        _ => Err(format!("the C program does not end well\n{}", program.transcript()).into()),
    }
}

/// Two candidates at rest at the same time, one of which speaks TLS.
pub fn compare(plain: &str, encrypted: &str, files: &str, report: &mut Report) -> Result<()> {
    let folder = ScratchFolder::new("idle");
    let program = build(folder.path())?;
    let start = |hosts: &str, files: Option<&str>| {
        let mut command = Command::new(&program);
        command.arg(hosts).args(files).env("LD_LIBRARY_PATH", folder.path());
        let program = Program::spawn(command);
        expect(&program, "ready")?;
        program.write_line("open")?;
        expect(&program, "role 1")?;
        Result::Ok(program)
    };
    let programs = [("plain", start(plain, None)?), ("over TLS", start(encrypted, Some(files))?)];
    sleep(SETTLE);
    for (what, program) in &programs {
        report.note(&show(
            &format!("{what}, master, {} s later:", SETTLE.as_secs()),
            &machine::memory(program.pid())?,
        ));
        let threads = machine::threads(program.pid())?;
        report.note(&format!("{:<44} {}: {}", format!("{what}, threads:"), threads.len(), threads.join(", ")));
    }
    for (what, program) in &programs {
        report.note(&format!("{:<44} {}", format!("{what}, CPU, idle:"), percent(cpu_share(program)?)));
    }
    for (_, program) in &programs {
        program.close_stdin();
        program.wait(PATIENCE).filter(|status| status.success()).ok_or("the C program does not end well")?;
    }
    Ok(())
}

fn mib(kib: f64) -> String {
    format!("{:.2} MiB", kib / 1024.0)
}

fn percent(share: f64) -> String {
    format!("{:.3} % of a core", share * 100.0)
}

fn show(when: &str, memory: &Memory) -> String {
    let [rss, pss, anonymous] = [memory.resident_kib, memory.proportional_kib, memory.anonymous_kib].map(mib);
    format!("{when:<44} VmRSS {rss}, Pss {pss}, anonymous {anonymous}")
}

/// The share of a core that the program uses over some time.
fn cpu_share(program: &Program) -> Result<f64> {
    let (began, before) = (Instant::now(), machine::cpu_time(program.pid())?);
    sleep(WATCHED);
    let used = machine::cpu_time(program.pid())? - before;
    Ok(used.as_secs_f64() / began.elapsed().as_secs_f64())
}

/// Makes the program time its own calls of election_is_master.
fn ask(program: &Program) -> Result<Samples> {
    program.write_line("ask")?;
    expect(program, "asked")?;
    let mut samples = Samples::default();
    for line in program.lines() {
        if let Some(ns) = line.text.strip_prefix("ns ") {
            samples.add(ns.parse::<f64>()?);
        }
    }
    match samples.len() {
        0 => Err("the C program timed nothing".into()),
        _ => Ok(samples),
    }
}

fn expect(program: &Program, text: &str) -> Result<()> {
    match program.wait_for(PATIENCE, |line| line.text == text) {
        Some(_) => Ok(()),
        None => Err(format!("the C program did not say \"{text}\"\n{}", program.transcript()).into()),
    }
}

/// Builds the library, if needed, and the program. The program finds the library in `folder`.
fn build(folder: &Path) -> Result<std::path::PathBuf> {
    // Cargo has built the library for the benchmark itself, but does not put the .so of that build in its place.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = root.join("Cargo.toml");
    run(Command::new(cargo).args(["build", "--release", "--lib", "--quiet", "--manifest-path"]).arg(manifest))?;
    let executable = env::current_exe()?;
    let release = executable.ancestors().nth(2).ok_or("the benchmark is in target/release/deps")?;
    let library = release.join("libelection.so").canonicalize()?;
    // The name that programs look for.
    symlink(&library, folder.join("libelection.so.0"))?;

    let program = folder.join("idle");
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
    cc.arg("-I").arg(root.join("include")).arg(root.join("benches/election/idle.c")).arg(library);
    run(cc.arg("-o").arg(&program))?;
    fs::metadata(&program)?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}").into()),
        Err(error) => Err(format!("{command:?}: {error}").into()),
    }
}
