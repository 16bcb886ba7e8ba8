//! The environment of a campaign: three real servers in network namespaces, each with a small disk of its own; a link
//! from each process to each server; the register; and the processes. The arena starts the processes, gives them orders
//! and samples them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use testkit::{Authority, Certificate, Ensemble, Line, Program, RawClient, ScratchFolder, Stream};

use crate::cast::{elections, Language, Part, BALLAST, COMMAND, QUEUE, REGISTER, ROOT};
use crate::clock;
use crate::link::Link;
use crate::machine::Machine;
use crate::register::Register;
use crate::rng::Rng;

pub const SERVERS: usize = 3;
pub const SESSION_TIMEOUT_MS: u64 = 3_000;
pub const TICK_MS: u32 = 500;
const DISK_MB: u32 = 64;
/// A server complains of a flush that takes longer. Every slow-disk fault is slower than this, and every disk in memory
/// is faster.
const SLOW_FLUSH_MS: u32 = 18;
/// A text in a server's log about its disk, and its name in the history.
const COMPLAINTS: [(&str, &str); 2] =
    [("No space left on device", "no-space"), ("fsync-ing the write ahead log", "slow-flush")];
const SOON: Duration = Duration::from_secs(30);

pub struct Arena {
    pub ensemble: Ensemble,
    pub parts: Vec<Part>,
    /// By part, then by server.
    pub links: Vec<Vec<Link>>,
    seats: Vec<Mutex<Seat>>,
    run: Mutex<File>,
    names: Mutex<Vec<String>>,
    machine: Machine,
    register: Register,
    authority: Arc<Authority>,
    /// That of the processes that speak TLS.
    certificate: Certificate,
    program: PathBuf,
    library: PathBuf,
    /// The `election` program, and the command that it runs.
    election: PathBuf,
    command: PathBuf,
    /// The folder in which the history is written.
    folder: PathBuf,
    _scratch: ScratchFolder,
}

/// The present process of a part.
#[derive(Default)]
struct Seat {
    program: Option<Program>,
    name: String,
    count: usize,
    /// The campaign has killed the process or told it to close.
    killed: bool,
}

impl Seat {
    fn is_of(&self, lane: &str) -> bool {
        self.name.split('-').next() == Some(lane)
    }
}

impl Arena {
    /// Starts the servers for these elections, and no processes yet. The history goes to `folder`, which is made anew.
    pub fn new(seed: u64, parts: Vec<Part>, of: &[(i32, String)], folder: &Path) -> Arena {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).unwrap_or_else(|error| panic!("no folder {}: {error}", folder.display()));
        let scratch = ScratchFolder::new("campaign");
        let library = library();
        let program = compile(scratch.path(), &library);
        let command = compile_command(scratch.path());
        let slow_disk = compile_slow_disk(scratch.path());
        let authority = Arc::new(Authority::new());
        let certificate = authority.issue("candidate", "DNS:candidate");
        let ensemble = Ensemble::builder(SERVERS)
            .tls(&authority)
            .tick_ms(TICK_MS)
            .force_sync(true)
            .disk_mb(DISK_MB)
            .java_arg(&format!("-Dzookeeper.fsync.warningthresholdms={SLOW_FLUSH_MS}"))
            .environment("LD_PRELOAD", &slow_disk.display().to_string())
            .environment("SLOW_DISK", "{server}/slow-disk")
            .network(true)
            .start();
        let mut rng = Rng::new(seed);
        let clients = ensemble.network().clients();
        let links = parts
            .iter()
            .map(|part| {
                let server = |i| if part.has_tls { ensemble.tls_addr(i) } else { ensemble.addr(i) };
                (0..SERVERS).map(|i| Link::start(server(i), clients, rng.next())).collect()
            })
            .collect();
        let run = OpenOptions::new().create(true).append(true).open(folder.join("run")).expect("a history");
        let arena = Arena {
            seats: parts.iter().map(|_| Mutex::default()).collect(),
            parts,
            links,
            run: Mutex::new(run),
            names: Mutex::default(),
            machine: Machine::watch(folder),
            register: Register::start(scratch.path(), &folder.join("register")),
            authority,
            certificate,
            program,
            election: built("election"),
            command,
            library,
            folder: folder.to_owned(),
            _scratch: scratch,
            ensemble,
        };
        arena.note(&format!("seed {seed}"));
        arena.note(&format!("timeout_ms {SESSION_TIMEOUT_MS}"));
        arena.note(&format!("tick_ms {TICK_MS}"));
        arena.note(&format!("servers {SERVERS}"));
        arena.note(&format!("clock {} {}", clock::now(), clock::time_of_day()));
        for (recipe, path) in of {
            arena.note(&format!("election {recipe} {path}"));
        }
        arena.make_targets();
        arena
    }

    /// Writes a line of the section `run`.
    pub fn note(&self, line: &str) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(run, "{line}").expect("the history can be written");
    }

    fn seat(&self, part: usize) -> MutexGuard<'_, Seat> {
        self.seats[part].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the next process of a part, unless one runs.
    pub fn start(&self, part: usize) {
        let mut seat = self.seat(part);
        if seat.program.is_some() {
            return;
        }
        let it = &self.parts[part];
        seat.count += 1;
        seat.killed = false;
        seat.name = format!("{}-{}", it.lane, seat.count);
        let hosts: Vec<String> = self.links[part].iter().map(Link::host).collect();
        let mut command = match it.language {
            Language::C => Command::new(&self.program),
            Language::Python => {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                let mut command = Command::new("python3");
                command.arg(root.join("tests/campaign/candidate.py")).env("PYTHONPATH", root.join("python"));
                command.arg(&self.library);
                command
            }
            Language::Command => self.election_run(&seat.name, &hosts.join(","), it.has_tls),
        };
        let language = match it.language {
            Language::C => "C",
            Language::Python => "Python",
            Language::Command => "Command",
        };
        let with = if it.has_tls { " tls" } else { "" };
        let process = |name: &str| format!("process {} {name} {language} {}{with}", clock::now(), it.lane);
        if it.language == Language::Command {
            self.note(&process(&seat.name));
            self.names.lock().unwrap_or_else(PoisonError::into_inner).push(seat.name.clone());
            seat.program = Some(Program::spawn(command));
            return;
        }
        command.arg(hosts.join(",")).arg(&seat.name).arg(&self.folder).arg(self.register.path());
        command.arg(format!("timeout_ms={SESSION_TIMEOUT_MS}"));
        if it.dispatches {
            command.arg("dispatch=manual");
        }
        if it.has_tls {
            command.arg(format!("tls={}", self.certificate.with_ca(&self.authority.ca())));
        }
        if let Some(plant) = it.plant {
            command.arg(format!("plant={plant}"));
        }
        command.args(it.stands.iter().map(|(recipe, path)| format!("stand={recipe}:{path}")));
        command.args(it.watches.iter().map(|(recipe, path)| format!("watch={recipe}:{path}")));
        self.note(&process(&seat.name));
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(seat.name.clone());
        seat.program = Some(Program::spawn(command));
    }

    /// `election run` of the command. It writes its beliefs to the same file as the other candidates.
    fn election_run(&self, name: &str, hosts: &str, has_tls: bool) -> Command {
        let stands = format!("stand {} {COMMAND}\n", clock::now());
        fs::write(self.folder.join(format!("{name}.events")), stands).expect("the history can be written");
        let mut run = Command::new(&self.election);
        run.args(["run", "--quiet", "--restart", "--restart-delay", "10ms", "--path", COMMAND, "--value", name]);
        run.args(["--hosts", hosts, "--session-timeout", &format!("{SESSION_TIMEOUT_MS}ms")]);
        if has_tls {
            run.arg("--tls-ca").arg(self.authority.ca()).arg("--tls-cert").arg(&self.certificate.certificate);
            run.arg("--tls-key").arg(&self.certificate.key);
        }
        run.arg("--").arg(&self.command).arg(self.folder.join(format!("{name}.beliefs")));
        run
    }

    /// The part whose command runs, with the ids of its guard and of its command.
    pub fn running_command(&self) -> Option<(usize, [i32; 2])> {
        (0..self.parts.len()).find_map(|part| Some((part, self.command_of(part)?)))
    }

    /// The guard and the command of a part, while the command runs.
    fn command_of(&self, part: usize) -> Option<[i32; 2]> {
        let guard = self.guard_of(part)?;
        Some([guard, child(guard)?])
    }

    fn guard_of(&self, part: usize) -> Option<i32> {
        let is_command = self.parts[part].language == Language::Command;
        is_command.then(|| child(self.seat(part).program.as_ref()?.pid() as i32)).flatten()
    }

    pub fn runs_command(&self, part: usize) -> bool {
        self.command_of(part).is_some()
    }

    /// Sends a signal to the command of a part. Returns whether the part had a command.
    pub fn strike_command(&self, part: usize, signal: i32) -> bool {
        self.command_of(part).is_some_and(|[_, command]| send(command, signal))
    }

    pub fn strike_guard(&self, part: usize, signal: i32) -> bool {
        self.guard_of(part).is_some_and(|guard| send(guard, signal))
    }

    /// Ends the process of a part with SIGKILL.
    pub fn kill(&self, part: usize) {
        let mut seat = self.seat(part);
        if let Some(program) = &seat.program {
            // If the process ended by itself, the history says so.
            let killed = program.is_running();
            program.kill9();
            seat.killed = killed;
        }
        self.bury(&mut seat);
    }

    /// Tells the process of a part to close and to end.
    pub fn tell(&self, part: usize, order: &str) {
        if let Some(program) = &self.seat(part).program {
            match self.parts[part].language {
                Language::Command => program.terminate(),
                // A process that has just ended does not read the order.
                _ => drop(program.write_line(order)),
            }
        }
    }

    /// Stops the process of a part (SIGSTOP), or lets it continue.
    pub fn freeze(&self, part: usize, is_to_stop: bool) {
        if let Some(program) = &self.seat(part).program {
            match is_to_stop {
                true => program.freeze(),
                false => program.thaw(),
            }
        }
    }

    /// Whether the process of a part has ended. Its end is then recorded.
    pub fn has_ended(&self, part: usize) -> bool {
        let mut seat = self.seat(part);
        let runs = seat.program.as_ref().is_some_and(|program| program.is_running());
        if !runs {
            self.bury(&mut seat);
        }
        !runs
    }

    fn bury(&self, seat: &mut Seat) {
        let Some(program) = seat.program.take() else { return };
        let Some(status) = program.wait(SOON) else { panic!("{} does not end", seat.name) };
        let how = if seat.killed { "killed".to_owned() } else { how_of(status) };
        self.note(&format!("exit {} {} {how}", clock::now(), seat.name));
        // The command reports broken connections, as it should. It must not report a panic.
        let is_command = self.parts.iter().any(|it| it.language == Language::Command && seat.is_of(&it.lane));
        let is_wrong = |text: &str| !is_command || text.contains("panicked");
        let is_said = |line: &&Line| line.stream == Stream::Err && is_wrong(&line.text);
        for line in program.lines().iter().filter(is_said) {
            self.note(&format!("said {} {}", seat.name, line.text));
        }
    }

    /// Records when the machine stood still. Returns how long it stood still since the last call, in nanoseconds.
    pub fn note_stalls(&self) -> i64 {
        let stalls = self.machine.take_stalls();
        stalls.iter().for_each(|(from, to)| self.note(&format!("stall {from} {to}")));
        stalls.iter().map(|(from, to)| to - from).sum()
    }

    /// Samples each process in /proc, and the machine.
    pub fn sample(&self) -> i64 {
        let stood_still = self.note_stalls();
        for part in 0..self.parts.len() {
            let seat = self.seat(part);
            let Some(program) = &seat.program else { continue };
            if let Some(sample) = sample(program.pid()) {
                self.note(&format!("sample {} {} {sample}", clock::now(), seat.name));
            }
        }
        stood_still
    }

    /// A connection of the campaign itself to a server that answers. Its session is that of an operator.
    pub fn operator(&self) -> Option<RawClient> {
        let clients = self.ensemble.network().clients();
        let connect = |i: usize| clients.run(|| RawClient::connect(&self.ensemble.host(i), 10_000)).ok();
        let client = (0..SERVERS).filter(|&i| self.ensemble.is_serving(i)).find_map(connect)?;
        self.note(&format!("operator {}", client.session().id));
        Some(client)
    }

    fn make_targets(&self) {
        let mut operator = self.operator().expect("servers that have just started");
        let mut make = |path: &str| assert_eq!(operator.create(path, b"", 0).expect("an answer").err, 0, "{path}");
        make(BALLAST);
        make(REGISTER);
        for (_, path) in elections() {
            make(&format!("{REGISTER}/{}", path.rsplit('/').next().expect("a name")));
        }
        operator.close_session().expect("an answer");
    }

    /// Records which znodes of elections still exist.
    pub fn note_what_is_left(&self) {
        let mut operator = self.operator().expect("servers that serve");
        let queues = elections().into_iter().filter(|(recipe, _)| *recipe == QUEUE);
        let queues: Vec<String> = queues.map(|(_, path)| path).collect();
        for name in operator.children(ROOT).expect("an answer") {
            let path = format!("{ROOT}/{name}");
            if queues.contains(&path) {
                // The path of a queue is a parent: it stays, or ZooKeeper deletes it.
                for child in operator.children(&path).expect("an answer") {
                    self.note(&format!("left {path}/{child}"));
                }
            } else {
                self.note(&format!("left {path}"));
            }
        }
        operator.close_session().expect("an answer");
    }

    /// How many bytes a server's log has so far.
    pub fn said(&self, server: usize) -> u64 {
        fs::metadata(self.log_of(server)).map_or(0, |metadata| metadata.len())
    }

    /// Whether a server has made this complaint since its log had `said` bytes.
    pub fn complains(&self, server: usize, complaint: &str, said: u64) -> bool {
        let Some((text, _)) = COMPLAINTS.iter().find(|(_, name)| *name == complaint) else { return false };
        let mut since = Vec::new();
        let read = File::open(self.log_of(server)).and_then(|mut log| {
            log.seek(SeekFrom::Start(said))?;
            log.read_to_end(&mut since)
        });
        read.is_ok() && String::from_utf8_lossy(&since).contains(text)
    }

    fn log_of(&self, server: usize) -> PathBuf {
        self.ensemble.server_folder(server).join("server.log")
    }

    /// Records the complaints of the servers about their disks.
    pub fn note_complaints(&self) {
        for i in 0..SERVERS {
            let log = fs::read(self.log_of(i)).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            for (text, name) in COMPLAINTS {
                self.note(&format!("complaint {} {name} {}", i + 1, log.matches(text).count()));
            }
        }
    }

    /// Waits until every server serves. A server that does not serve in time is started anew. If it does not serve then
    /// either, it is recorded as absent, as long as enough servers are left.
    pub fn wait_servers(&self) {
        self.ensemble.start_all();
        for i in 0..SERVERS {
            if !testkit::wait_until(SOON, || self.ensemble.is_serving(i)) {
                self.ensemble.kill9(i);
                self.ensemble.start_server(i);
            }
        }
        testkit::wait_until(SOON, || (0..SERVERS).all(|i| self.ensemble.is_serving(i)));
        let absent: Vec<usize> = (0..SERVERS).filter(|i| !self.ensemble.is_serving(*i)).collect();
        absent.iter().for_each(|i| self.note(&format!("absent {}", i + 1)));
        assert!(2 * absent.len() < SERVERS, "{} of {SERVERS} servers do not come back", absent.len());
    }

    /// A session that owns a znode of this part's process. It is for TLS: no link can read the session there.
    pub fn session_of_znode(&self, part: usize) -> Option<i64> {
        let name = self.seat(part).name.clone();
        let mut operator = self.operator()?;
        let mut znodes = Vec::new();
        for (recipe, path) in &self.parts[part].stands {
            match *recipe {
                QUEUE => znodes.extend(operator.children(path).ok()?.iter().map(|child| format!("{path}/{child}"))),
                _ => znodes.push(path.clone()),
            }
        }
        let mut owners = znodes.iter().filter_map(|path| {
            let znode = operator.get(path).ok()??;
            (znode.value == name.as_bytes() && znode.owner != 0).then_some(znode.owner)
        });
        let owner = owners.next();
        // The answer is there, whatever happens to the operator.
        let _ = operator.close_session();
        owner
    }

    /// The part that is master at a path, or that was master last.
    pub fn master(&self, path: &str) -> Option<usize> {
        if path == COMMAND {
            return self.running_command().map(|(part, _)| part);
        }
        let name = self.register.writer(path)?;
        let lane = name.split('-').next()?;
        self.parts.iter().position(|part| part.lane == lane)
    }

    pub fn data_folders(&self) -> Vec<PathBuf> {
        (0..SERVERS).map(|i| self.ensemble.data_folder(i)).collect()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn names(&self) -> Vec<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The only child of a process that has one.
fn child(pid: i32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn send(pid: i32, signal: i32) -> bool {
    // SAFETY: kill takes two numbers and touches no memory of this process.
    unsafe { libc::kill(pid, signal) == 0 }
}

fn how_of(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// Resident KiB, descriptors, threads, CPU ms.
fn sample(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<i64>().ok()
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<i64>().ok()? + fields.get(12)?.parse::<i64>().ok()?;
    // SAFETY: sysconf takes a number and touches no memory of this process.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(format!("{} {descriptors} {} {}", field("VmRSS:")?, field("Threads:")?, ticks * 1000 / per_second))
}

/// The shared library of the build that this program belongs to.
fn library() -> PathBuf {
    built("libelection.so")
}

fn built(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    let examples = program.parent().and_then(Path::parent).expect("it is in the target folder");
    let built = examples.join(name);
    assert!(built.exists(), "{} is missing: run `make build` first", built.display());
    built
}

fn compile_command(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let command = folder.join("command");
    let mut gcc = gcc(root);
    gcc.arg("-std=c99").arg(root.join("tests/campaign/command.c")).arg("-o").arg(&command);
    run(gcc);
    command
}

fn compile(folder: &Path, library: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["libelection.so", "libelection.so.0"] {
        std::os::unix::fs::symlink(library, folder.join(name)).expect("a scratch folder takes links");
    }
    let program = folder.join("candidate");
    let mut gcc = gcc(root);
    gcc.arg("-std=c99").arg("-I").arg(root.join("include")).arg(root.join("tests/campaign/candidate.c"));
    gcc.arg("-o").arg(&program).arg("-L").arg(folder).arg("-lelection");
    gcc.arg(format!("-Wl,-rpath,{}", folder.display()));
    run(gcc);
    program
}

fn compile_slow_disk(folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let object = folder.join("slow_disk.so");
    let mut gcc = gcc(root);
    gcc.args(["-shared", "-fPIC"]).arg(root.join("tests/campaign/slow_disk.c")).arg("-o").arg(&object).arg("-ldl");
    run(gcc);
    object
}

fn gcc(root: &Path) -> Command {
    let mut gcc = Command::new("gcc");
    gcc.current_dir(root).args(["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-pthread"]);
    gcc
}

fn run(mut command: Command) {
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
        }
        Err(error) => panic!("{command:?} cannot be run: {error}: run `make setup`"),
    }
}
