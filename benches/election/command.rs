//! The command `election run`: the time from the SIGTERM to the candidate that runs its COMMAND until the COMMAND of
//! the next candidate has started. The library's own handover among as many candidates stands beside it. The cost of
//! one waiting candidate is also measured.
//!
//! COMMAND is a shell that prints a line when it has started and then becomes a sleep. SIGTERM ends the sleep at once,
//! so the time that it takes to stop is a negligible part of the figure.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::Program;

use crate::handover::Group;
use crate::machine;
use crate::report::Report;
use crate::samples::{time, Samples};
use crate::{Result, PATIENCE};

const PATH: &str = "/command";
const CANDIDATES: usize = 3;
const WARM_UP: usize = 3;
const SAMPLES: usize = 40;
const SETTLE: Duration = Duration::from_secs(2);
/// How much longer it may take than a handover of the library, in nanoseconds.
const MORE: f64 = 20e6;

pub fn measure(hosts: &[String], report: &mut Report) -> Result<()> {
    let election = build()?;
    let mut group = Group::start(hosts, CANDIDATES)?;
    let mut commands = Commands::start(&election, hosts)?;
    let (mut of_library, mut of_command) = (Samples::default(), Samples::default());
    for i in 0..WARM_UP + SAMPLES {
        let handover = group.hand_over()?;
        let took = commands.hand_over()?;
        if i >= WARM_UP {
            of_library.add(handover);
            of_command.add(took);
        }
    }
    group.close()?;
    report.row("handover of the library", &of_library);
    report.row("handover of the command", &of_command);
    let more = of_command.median() - of_library.median();
    let what = format!("handover of the command beyond the library's, {}", machine::servers(hosts.len()));
    report.aim(&what, more, MORE, time);

    let waiting = commands.waiting()?;
    sleep(SETTLE);
    let guard = guard_of(waiting.pid())?;
    let (memory, of_guard) = (machine::memory(waiting.pid())?, machine::memory(guard)?);
    let threads = machine::threads(waiting.pid())?;
    let mib = |kib: f64| format!("{:.2} MiB", kib / 1024.0);
    for (who, memory) in [("election run, waiting:", &memory), ("its guard:", &of_guard)] {
        let [rss, pss, anonymous] = [memory.resident_kib, memory.proportional_kib, memory.anonymous_kib].map(mib);
        report.note(&format!("{who:<44} VmRSS {rss}, Pss {pss}, anonymous {anonymous}"));
    }
    report.note(&format!("{:<44} {}: {}; and the guard's one", "threads:", threads.len(), threads.join(", ")));
    report.aim("waiting election run, resident memory (VmRSS)", memory.resident_kib, 8.0 * 1024.0, mib);
    let both = memory.proportional_kib + of_guard.proportional_kib;
    report.aim("waiting election run and its guard, memory (Pss)", both, 8.0 * 1024.0, mib);
    Ok(())
}

/// Several `election run` of one path.
struct Commands {
    election: PathBuf,
    hosts: String,
    /// The first is the program whose COMMAND runs.
    programs: Vec<Program>,
}

impl Commands {
    fn start(election: &Path, hosts: &[String]) -> Result<Commands> {
        let mut commands = Commands { election: election.to_owned(), hosts: hosts.join(","), programs: Vec::new() };
        commands.add();
        expect(&commands.programs[0], "started")?;
        for _ in 1..CANDIDATES {
            commands.add();
            commands.expect_last_waits()?;
        }
        Ok(commands)
    }

    fn add(&mut self) {
        let mut command = Command::new(&self.election);
        command.args(["run", "--hosts", &self.hosts, "--path", PATH, "--"]);
        command.args(["sh", "-c", "echo started; exec sleep 1000"]);
        self.programs.push(Program::spawn(command));
    }

    fn expect_last_waits(&self) -> Result<()> {
        let last = self.programs.last().ok_or("somebody was started")?;
        expect(last, "election: waiting for mastership")
    }

    /// Ends the program whose COMMAND runs. Returns the time until the COMMAND of another has started. Then starts a
    /// new program that waits.
    fn hand_over(&mut self) -> Result<Duration> {
        let former = self.programs.remove(0);
        let began = Instant::now();
        former.terminate();
        let deadline = began + PATIENCE;
        let (next, at) = loop {
            let started = |program: &Program| {
                let lines = program.lines();
                lines.iter().find(|line| line.text == "started").map(|line| line.at)
            };
            let found = self.programs.iter().enumerate().find_map(|(i, it)| Some((i, started(it)?)));
            match found {
                Some(found) => break found,
                None if Instant::now() > deadline => return Err("no COMMAND has started".into()),
                None => sleep(Duration::from_micros(200)),
            }
        };
        self.programs.swap(0, next);
        former.wait(PATIENCE).ok_or("the former one does not end")?;
        self.add();
        self.expect_last_waits()?;
        Ok(at - began)
    }

    fn waiting(&self) -> Result<&Program> {
        self.programs.last().ok_or_else(|| "somebody waits".into())
    }
}

fn expect(program: &Program, text: &str) -> Result<()> {
    match program.wait_for_text(PATIENCE, text) {
        Some(_) => Ok(()),
        None => Err(format!("not said: {text}\n{}", program.transcript()).into()),
    }
}

fn guard_of(pid: u32) -> Result<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().next().ok_or("election run has a guard")?.parse()?)
}

/// Builds the command where `make` builds it, because cargo has built the benchmark without it.
fn build() -> Result<PathBuf> {
    let executable = env::current_exe()?;
    let target = executable.ancestors().nth(3).ok_or("the benchmark is in target/release/deps")?.join("command");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--features", "command", "--bin", "election", "--quiet", "--manifest-path"]);
    let status = build.arg(manifest).arg("--target-dir").arg(&target).status()?;
    if !status.success() {
        return Err(format!("{build:?}: {status}").into());
    }
    Ok(target.join("release/election"))
}
