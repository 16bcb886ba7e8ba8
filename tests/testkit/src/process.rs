//! A child process that cannot outlive its owner, and a program whose every line is kept with the moment at which it
//! was read.
//!
//! Three things end a child: its guard's `Drop`; the death of this process, for which the child asks the kernel
//! (`PR_SET_PDEATHSIG`); and the child itself. The kernel sends that signal when the *thread* that spawned the child
//! ends, not the process, and each test has a thread of its own. So one thread that lives as long as the process spawns
//! every child. A guard may therefore be kept in a static, moved to another thread and outlive the test that made it.
//!
//! A guard knows one process, by its own id. It does not track the processes that this process starts in turn: run
//! programs directly, not through a shell that stays in between.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A panic while a lock is held must not hide the first panic behind a second one, and must not keep `Drop` from
/// cleaning up.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Guard of a child process: dropping it kills (SIGKILL) and reaps the child.
#[derive(Debug)]
pub struct Process {
    child: Mutex<Child>,
    pid: u32,
    is_frozen: AtomicBool,
}

impl Process {
    /// Starts `command`. Its standard streams are those that the command sets.
    pub fn try_spawn(command: Command) -> io::Result<Process> {
        let child = spawn_on_the_lasting_thread(command)?;
        let pid = child.id();
        Ok(Process { child: Mutex::new(child), pid, is_frozen: AtomicBool::new(false) })
    }

    /// Like `try_spawn`, but panics with the command if it cannot start.
    pub fn spawn(command: Command) -> Process {
        let what = format!("{command:?}");
        Process::try_spawn(command).unwrap_or_else(|error| panic!("cannot start {what}: {error}"))
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal, unless the process has ended. Returns whether it was sent.
    pub fn signal(&self, signal: libc::c_int) -> bool {
        // Held while the signal is sent: no thread can reap the process meanwhile, so its id cannot belong to another
        // process.
        let mut child = lock(&self.child);
        if !matches!(child.try_wait(), Ok(None)) {
            return false;
        }
        // SAFETY: kill takes two numbers and touches no memory of this process.
        unsafe { libc::kill(self.pid as libc::pid_t, signal) == 0 }
    }

    /// Stops every thread of the process (SIGSTOP) and returns when they have stopped.
    pub fn freeze(&self) {
        if !self.signal(libc::SIGSTOP) {
            return;
        }
        self.is_frozen.store(true, Ordering::SeqCst);
        // WNOWAIT leaves the event in place, so this neither reaps the process nor hides its end from `wait`. SAFETY:
        // all-zero bytes are a valid siginfo_t, and waitid writes only to `info`.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let what = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT;
            while libc::waitid(libc::P_PID, self.pid, &mut info, what) != 0
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
        }
    }

    /// Lets a frozen process continue (SIGCONT).
    pub fn thaw(&self) {
        self.is_frozen.store(false, Ordering::SeqCst);
        self.signal(libc::SIGCONT);
    }

    /// Whether the last call was `freeze`, not `thaw`.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen.load(Ordering::SeqCst)
    }

    /// Ends the process with SIGKILL and reaps it.
    pub fn kill9(&self) {
        self.is_frozen.store(false, Ordering::SeqCst);
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Asks the process to end (SIGTERM). Does not wait for it.
    pub fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Waits for the end of the process. Returns `None` if it still runs after `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<ExitStatus> {
        let mut status = None;
        crate::wait_until(timeout, || {
            status = self.exit_status();
            status.is_some()
        });
        status
    }

    /// How the process ended; `None` while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        lock(&self.child).try_wait().unwrap_or(None)
    }

    /// Whether the process has not ended; a frozen process runs.
    pub fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL needs no SIGCONT before it: it ends a stopped process as well.
        self.kill9();
    }
}

type SpawnOrder = (Command, Sender<io::Result<Child>>);

fn spawn_on_the_lasting_thread(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Sender<SpawnOrder>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, incoming) = mpsc::channel::<SpawnOrder>();
        std::thread::Builder::new()
            .name("scratch-spawner".into())
            .spawn(move || {
                for (command, answer) in incoming {
                    let _ = answer.send(spawn_bound_to_this_thread(command));
                }
            })
            .expect("a thread to start programs from");
        orders
    });
    let (answer, result) = mpsc::channel();
    orders.send((command, answer)).expect("the spawning thread lives as long as the process");
    result.recv().expect("the spawning thread answers every order")
}

fn spawn_bound_to_this_thread(mut command: Command) -> io::Result<Child> {
    let parent = std::process::id();
    // SAFETY: between fork and exec the closure makes only system calls that are safe after a signal, and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // A shell has the programs that it runs in the background ignore SIGINT and SIGQUIT.
            // Children inherit that, and programs that are to be interrupted would not be.
            for signal in [libc::SIGINT, libc::SIGQUIT] {
                libc::signal(signal, libc::SIG_DFL);
            }
            // The parent may have died before the call above. Then no signal will ever come.
            if libc::getppid() as u32 != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
    command.spawn()
}

/// The stream of a program's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// One line that a program wrote, without its line end, and when it was read.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Instant,
    pub stream: Stream,
    pub text: String,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<Line>,
    /// The first line that no `wait_for` has passed yet.
    cursor: usize,
    open_streams: usize,
}

/// The state that the program's reader threads and its user share.
#[derive(Debug, Default)]
struct Record {
    said: Mutex<Said>,
    news: Condvar,
}

/// A `Process` with its standard streams: a test can write to it and read its lines.
#[derive(Debug)]
pub struct Program {
    process: Process,
    name: String,
    stdin: Mutex<Option<ChildStdin>>,
    record: Arc<Record>,
}

impl Deref for Program {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Program {
    /// Starts `command` with pipes for all three standard streams.
    pub fn spawn(command: Command) -> Program {
        Program::spawn_with_hook(command, |_| {})
    }

    /// Like `spawn`, and also sends each line, with `tag`, to `sender`, so that one receiver gets the lines of many
    /// programs.
    pub fn spawn_tagged<T>(command: Command, tag: T, sender: Sender<(T, Line)>) -> Program
    where
        T: Clone + Send + 'static,
    {
        Program::spawn_with_hook(command, move |line| {
            let _ = sender.send((tag.clone(), line.clone()));
        })
    }

    fn spawn_with_hook<F>(mut command: Command, hook: F) -> Program
    where
        F: Fn(&Line) + Clone + Send + 'static,
    {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = Process::spawn(command);
        let (stdin, stdout, stderr) = {
            let mut child = lock(&process.child);
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        };
        let record = Arc::new(Record::default());
        lock(&record.said).open_streams = 2;
        listen(stdout.expect("piped"), Stream::Out, &record, hook.clone());
        listen(stderr.expect("piped"), Stream::Err, &record, hook);
        Program { process, name, stdin: Mutex::new(stdin), record }
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        lock(&self.record.said).lines.clone()
    }

    /// Waits for a line that no earlier `wait_for` has passed. The next search begins after it. Returns `None` if no
    /// line matches before `timeout` or before the program's last line. Then no line counts as passed.
    pub fn wait_for(&self, timeout: Duration, mut is_it: impl FnMut(&Line) -> bool) -> Option<Line> {
        let deadline = Instant::now() + timeout;
        let mut said = lock(&self.record.said);
        let mut seen = said.cursor;
        loop {
            while seen < said.lines.len() {
                let line = &said.lines[seen];
                seen += 1;
                if is_it(line) {
                    let line = line.clone();
                    said.cursor = seen;
                    return Some(line);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || said.open_streams == 0 {
                return None;
            }
            said = self.record.news.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// `wait_for` with a line that contains `text`.
    pub fn wait_for_text(&self, timeout: Duration, text: &str) -> Option<Line> {
        self.wait_for(timeout, |line| line.text.contains(text))
    }

    /// Like `wait_for_text`, but panics with all lines of the program if the line does not come.
    #[track_caller]
    pub fn expect_text(&self, timeout: Duration, text: &str) -> Line {
        match self.wait_for_text(timeout, text) {
            Some(line) => line,
            None => panic!("no line with \"{text}\" within {timeout:?}\n{}", self.transcript()),
        }
    }

    /// All lines as text, for the message of a failure.
    pub fn transcript(&self) -> String {
        let state = match self.exit_status() {
            Some(status) => format!("ended, {status}"),
            None => "still runs".to_owned(),
        };
        let mut text = format!("{} (pid {}, {state}) said:\n", self.name, self.pid());
        for line in self.lines() {
            let mark = match line.stream {
                Stream::Out => "out",
                Stream::Err => "err",
            };
            text.push_str(&format!("  {mark}| {}\n", line.text));
        }
        text
    }

    /// Waits for the end of the program and of its output. Returns `None` if it still runs after `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<ExitStatus> {
        let status = self.process.wait(timeout)?;
        // Bounded: a child of the program may keep its streams open for any time.
        crate::wait_until(Duration::from_secs(1), || lock(&self.record.said).open_streams == 0);
        Some(status)
    }

    /// Writes `text` and a line end to the program's standard input.
    pub fn write_line(&self, text: &str) -> io::Result<()> {
        match lock(&self.stdin).as_mut() {
            Some(stdin) => {
                stdin.write_all(format!("{text}\n").as_bytes())?;
                stdin.flush()
            }
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Ends the program's standard input.
    pub fn close_stdin(&self) {
        lock(&self.stdin).take();
    }
}

/// The thread ends with its stream. It is not joined: a child of the program could keep the stream open for ever.
fn listen<R, F>(stream: R, which: Stream, record: &Arc<Record>, hook: F)
where
    R: Read + Send + 'static,
    F: Fn(&Line) + Send + 'static,
{
    let record = Arc::clone(record);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while matches!(stream.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
            let at = Instant::now();
            let text = String::from_utf8_lossy(&bytes);
            let line = Line { at, stream: which, text: text.trim_end_matches(['\n', '\r']).to_owned() };
            bytes.clear();
            hook(&line);
            lock(&record.said).lines.push(line);
            record.news.notify_all();
        }
        lock(&record.said).open_streams -= 1;
        record.news.notify_all();
    });
}
