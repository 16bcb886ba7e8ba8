//! The reactor: it waits for what the tasks of its sessions wait for, and gives each its turn.
//!
//! The process has one reactor with a thread, the I/O thread. The first handle that wants it starts it, and it never ends. A
//! handle in loop mode has a reactor of its own without a thread: see `program_loop`.
//!
//! Each session is a task. A task that has something to do gets a turn, in which it does a bounded amount of work. If it
//! has more to do, it goes to the end of the queue. So a session with much work delays each other one by one turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::deadlines::Deadlines;
use super::lookup::{LookedUp, Lookups};
use super::poller::{Poller, Ready};
use super::wake::Wake;
use crate::driver::clock;
use crate::driver::fork::PerProcess;
use crate::driver::thread;
use crate::logic::Time;

/// The longest wait. If the program has closed our descriptors, nothing can wake the reactor, and it notices at the end of
/// the present wait.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The pause between two attempts to open descriptors if the process has none left.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// The work of one session.
pub trait Task: Send {
    /// Takes note of something. The task's turn follows.
    fn handle(&mut self, io: &mut Io, happening: Happening);

    /// Does a bounded amount of work, and never waits.
    fn turn(&mut self, io: &mut Io) -> Next;
}

#[derive(Clone, Copy, Debug)]
pub enum Happening<'a> {
    /// A socket of this task is ready.
    Ready(Ready),
    LookedUp(&'a LookedUp),
    /// The descriptors of all sockets are lost.
    DescriptorsLost,
}

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another turn when something happens, at the latest at this time.
    Wait(Option<Time>),
    /// Another turn after those of the other tasks.
    Again,
    /// The task has ended.
    Done,
}

/// What a task may use in its turn.
pub struct Io<'a> {
    /// The number of this task; it owns the task's sockets.
    pub task: u32,
    poller: Option<&'a Arc<Poller>>,
    lookups: &'a mut Lookups,
}

impl Io<'_> {
    /// Fails if the process has no descriptor left.
    pub fn poller(&self) -> io::Result<&Arc<Poller>> {
        self.poller.ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))
    }

    /// Asks for the addresses of a host. The answer is a `Happening`.
    pub fn look_up(&mut self, host: &Arc<str>) {
        self.lookups.ask(self.task, host);
    }
}

/// The side of the reactor that other threads see.
#[derive(Debug, Default)]
pub struct Shared {
    wake: Arc<Wake>,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    last_task: u32,
    new: Vec<(u32, Box<dyn Task>)>,
    /// The tasks that another thread has woken.
    woken: BTreeSet<u32>,
    /// The reactor has failed or was ended. No task can run any more.
    has_failed: bool,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("woken", &self.woken).field("has_failed", &self.has_failed).finish()
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn has_failed(&self) -> bool {
        self.inbox().has_failed
    }

    pub fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }

    /// Starts a task. `make` gets what wakes the task. If the reactor has failed, the task is dropped.
    pub fn start_task(self: &Arc<Shared>, make: impl FnOnce(TaskWaker) -> Box<dyn Task>) {
        let mut inbox = self.inbox();
        inbox.last_task += 1;
        let number = inbox.last_task;
        drop(inbox);
        let task = make(TaskWaker { shared: self.clone(), task: number });
        let mut inbox = self.inbox();
        if inbox.has_failed {
            drop(inbox);
            let _ = thread::quietly(|| drop(task));
            return;
        }
        inbox.new.push((number, task));
        drop(inbox);
        self.wake.signal();
    }
}

/// Gives a task a turn, and starts further tasks. Any thread may use it.
#[derive(Clone, Debug)]
pub struct TaskWaker {
    shared: Arc<Shared>,
    task: u32,
}

impl TaskWaker {
    /// Wakes nobody.
    #[cfg(test)]
    pub fn of_nobody() -> TaskWaker {
        let shared = Arc::new(Shared::default());
        shared.inbox().has_failed = true;
        TaskWaker { shared, task: 0 }
    }

    pub fn wake(&self) {
        if self.shared.inbox().woken.insert(self.task) {
            self.shared.wake.signal();
        }
    }

    pub fn start_task(&self, make: impl FnOnce(TaskWaker) -> Box<dyn Task>) {
        self.shared.start_task(make);
    }
}

/// The thread of this process, once it runs.
static THREAD: PerProcess<Mutex<Option<Arc<Shared>>>> = PerProcess::new();

/// Starts the I/O thread of this process if it does not run yet. Fails if the thread cannot be started or has failed. A
/// child of a process with such a thread starts one of its own.
pub fn start() -> io::Result<Arc<Shared>> {
    let mut thread = THREAD.get()?.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = match &*thread {
        Some(shared) => shared.clone(),
        None => {
            let reactor = Reactor::new()?;
            let shared = reactor.shared();
            thread::spawn(c"election-io", move || reactor.serve())?;
            thread.insert(shared).clone()
        }
    };
    match shared.has_failed() {
        false => Ok(shared),
        true => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

pub struct Reactor {
    shared: Arc<Shared>,
    poller: Option<Arc<Poller>>,
    lookups: Lookups,
    tasks: BTreeMap<u32, Entry>,
    deadlines: Deadlines<u32>,
    /// The tasks whose turn it is, in order.
    queue: VecDeque<u32>,
    ready: Vec<Ready>,
}

struct Entry {
    task: Box<dyn Task>,
    is_queued: bool,
}

impl Reactor {
    pub fn new() -> io::Result<Reactor> {
        let shared = Arc::new(Shared::default());
        let poller = Poller::new(shared.wake.clone())?;
        let lookups = Lookups::new(shared.wake.clone());
        Ok(Reactor {
            shared,
            poller: Some(poller),
            lookups,
            tasks: BTreeMap::new(),
            deadlines: Deadlines::default(),
            queue: VecDeque::new(),
            ready: Vec::new(),
        })
    }

    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// The descriptors of this reactor; `None` if the process has none left.
    pub fn poller(&self) -> Option<&Arc<Poller>> {
        self.poller.as_ref()
    }

    /// When the next round is due, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Time> {
        match self.queue.is_empty() {
            true => self.deadlines.first(),
            false => Some(Time(0)),
        }
    }

    /// Serves the tasks until something fails that no task is to blame for, for example the clock.
    pub fn serve(mut self) {
        let _ = thread::quietly(|| loop {
            self.round(LONGEST_WAIT);
        });
        self.drop_tasks();
    }

    /// Drops all tasks, also those that start later.
    pub fn drop_tasks(mut self) {
        let new = {
            let mut inbox = self.shared.inbox();
            inbox.has_failed = true;
            std::mem::take(&mut inbox.new)
        };
        let tasks = std::mem::take(&mut self.tasks).into_values().map(|entry| entry.task);
        for task in tasks.chain(new.into_iter().map(|(_, task)| task)) {
            let _ = thread::quietly(|| drop(task));
        }
    }

    /// Waits, for at most `longest`, and gives each task that has something to do one turn.
    fn round(&mut self, longest: Duration) {
        self.wait(self.timeout(longest));
        self.work();
    }

    /// The same on a thread of the program. Calls `waited` when the wait has ended. Returns whether a signal handler has
    /// ended it.
    pub fn round_of_program(&mut self, longest: Duration, waited: impl FnOnce()) -> bool {
        let timeout = self.timeout(longest);
        let is_interrupted = match &self.poller {
            _ if timeout.is_zero() => false,
            Some(poller) => poller.sleep(timeout).unwrap_or(false),
            None => {
                std::thread::sleep(timeout.min(BETWEEN_ATTEMPTS));
                false
            }
        };
        waited();
        self.wait(Duration::ZERO);
        self.work();
        is_interrupted
    }

    fn timeout(&self, longest: Duration) -> Duration {
        self.next_deadline().map_or(longest, |at| clock::until(at).min(longest)).min(LONGEST_WAIT)
    }

    fn work(&mut self) {
        self.take_inbox();
        for Ready { token, read, write } in std::mem::take(&mut self.ready) {
            self.tell(token.owner, Happening::Ready(Ready { token, read, write }));
        }
        while let Some(answer) = self.lookups.next() {
            for asker in &answer.askers {
                self.tell(*asker, Happening::LookedUp(&answer));
            }
        }
        let now = clock::now();
        while let Some(task) = self.deadlines.pop_due(now) {
            self.enqueue(task);
        }
        for _ in 0..self.queue.len() {
            if let Some(task) = self.queue.pop_front() {
                if let Some(entry) = self.tasks.get_mut(&task) {
                    entry.is_queued = false;
                    self.turn(task);
                }
            }
        }
    }

    fn wait(&mut self, timeout: Duration) {
        let waited = match &self.poller {
            Some(poller) => poller.wait(timeout, &mut self.ready),
            None => Err(io::Error::from_raw_os_error(libc::EBADF)),
        };
        match waited {
            Ok(true) => self.shared.wake.clear(),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.open_again(timeout),
        }
    }

    /// The descriptors are lost. Each task learns of it once. If the process has no descriptor left, the tasks go on
    /// without any, and the next round tries again.
    fn open_again(&mut self, timeout: Duration) {
        if self.poller.take().is_some() {
            for task in self.tasks.keys().copied().collect::<Vec<u32>>() {
                self.tell(task, Happening::DescriptorsLost);
            }
        }
        match Poller::new(self.shared.wake.clone()) {
            Ok(poller) => self.poller = Some(poller),
            Err(_) => std::thread::sleep(timeout.min(BETWEEN_ATTEMPTS)),
        }
    }

    fn take_inbox(&mut self) {
        let (new, woken) = {
            let mut inbox = self.shared.inbox();
            (std::mem::take(&mut inbox.new), std::mem::take(&mut inbox.woken))
        };
        for (number, task) in new {
            self.tasks.insert(number, Entry { task, is_queued: false });
            self.enqueue(number);
        }
        for task in woken {
            self.enqueue(task);
        }
    }

    fn enqueue(&mut self, task: u32) {
        if let Some(entry) = self.tasks.get_mut(&task).filter(|entry| !entry.is_queued) {
            entry.is_queued = true;
            self.queue.push_back(task);
        }
    }

    fn tell(&mut self, task: u32, happening: Happening) {
        self.run(task, |task, io| task.handle(io, happening));
        self.enqueue(task);
    }

    fn turn(&mut self, task: u32) {
        match self.run(task, |task, io| task.turn(io)) {
            Some(Next::Wait(at)) => self.deadlines.set(task, at),
            Some(Next::Again) => {
                self.deadlines.set(task, None);
                self.enqueue(task);
            }
            Some(Next::Done) => self.end(task),
            None => {}
        }
    }

    /// If the task panics, it ends. The others go on.
    fn run<T>(&mut self, number: u32, run: impl FnOnce(&mut dyn Task, &mut Io) -> T) -> Option<T> {
        let entry = self.tasks.get_mut(&number)?;
        let mut io = Io { task: number, poller: self.poller.as_ref(), lookups: &mut self.lookups };
        match thread::quietly(|| run(entry.task.as_mut(), &mut io)) {
            Ok(result) => Some(result),
            Err(thread::Panicked) => {
                self.end(number);
                None
            }
        }
    }

    fn end(&mut self, number: u32) {
        self.deadlines.set(number, None);
        self.lookups.forget(number);
        let entry = self.tasks.remove(&number);
        let _ = thread::quietly(|| drop(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::super::dial::Race;
    use super::super::stream::Stream;
    use super::*;
    use std::net::{SocketAddr, TcpListener};
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::sync::mpsc::{sync_channel, RecvTimeoutError::Disconnected, SyncSender};

    const LONG: Duration = Duration::from_secs(10);

    fn start() -> Arc<Shared> {
        let reactor = Reactor::new().unwrap();
        let shared = reactor.shared();
        thread::spawn(c"election-io", move || reactor.serve()).unwrap();
        shared
    }

    /// Runs a closure in each turn.
    struct Turns<F>(F);

    impl<F: FnMut(&mut Io) -> Next + Send> Task for Turns<F> {
        fn handle(&mut self, _: &mut Io, _: Happening) {}

        fn turn(&mut self, io: &mut Io) -> Next {
            (self.0)(io)
        }
    }

    fn start_turns(shared: &Arc<Shared>, turn: impl FnMut(&mut Io) -> Next + Send + 'static) -> TaskWaker {
        let mut waker = None;
        shared.start_task(|its| {
            waker = Some(its);
            Box::new(Turns(turn))
        });
        waker.unwrap()
    }

    /// A task that takes a turn whenever it is woken, and says so.
    fn start_counter(shared: &Arc<Shared>) -> (TaskWaker, std::sync::mpsc::Receiver<()>) {
        let (turns, turned) = sync_channel(1_000);
        let waker = start_turns(shared, move |_| {
            let _ = turns.send(());
            Next::Wait(None)
        });
        turned.recv_timeout(LONG).unwrap();
        (waker, turned)
    }

    /// Turns are counted, not time, so a busy machine makes no difference. Of the busy task's turns, the one for which it
    /// is queued may come first, and one more if the wake-up comes just before that.
    #[test]
    fn a_task_that_always_has_work_delays_the_others_by_a_turn() {
        let shared = start();
        let turns = Arc::new(AtomicU64::new(0));
        let (turn, turned) = sync_channel(1_000);
        let seen = turns.clone();
        let waker = start_turns(&shared, move |_| {
            let _ = turn.send(seen.load(SeqCst));
            Next::Wait(None)
        });
        turned.recv_timeout(LONG).unwrap();
        let busy = turns.clone();
        start_turns(&shared, move |_| {
            busy.fetch_add(1, SeqCst);
            Next::Again
        });
        for _ in 0..100 {
            waker.wake();
            let since = turns.load(SeqCst);
            let before_its_turn = turned.recv_timeout(LONG).unwrap().saturating_sub(since);
            assert!(before_its_turn <= 2, "{before_its_turn}");
        }
        assert!(turns.load(SeqCst) > 0);
    }

    #[test]
    fn a_deadline_gives_a_turn_and_no_turn_comes_before() {
        let shared = start();
        let (turns, turned) = sync_channel(10);
        let mut until = None;
        start_turns(&shared, move |_| {
            let now = clock::now();
            turns.send(until.map(|until| now >= until)).unwrap();
            match until {
                Some(_) => Next::Done,
                None => {
                    until = Some(now.plus_ms(30));
                    Next::Wait(until)
                }
            }
        });
        assert_eq!(turned.recv_timeout(LONG), Ok(None));
        assert_eq!(turned.recv_timeout(LONG), Ok(Some(true)));
        assert_eq!(turned.recv_timeout(LONG), Err(Disconnected), "the task has ended, and its closure was dropped");
    }

    #[test]
    fn a_task_that_panics_ends_alone() {
        let shared = start();
        let (waker, turned) = start_counter(&shared);
        let (held, dropped) = sync_channel::<()>(1);
        start_turns(&shared, move |_| {
            let _held = &held;
            panic!("on purpose");
        });
        assert_eq!(dropped.recv_timeout(LONG), Err(Disconnected));
        waker.wake();
        turned.recv_timeout(LONG).unwrap();
        assert!(!shared.has_failed());
    }

    /// Connects to a server, and again whenever the connection is lost.
    struct Reconnects {
        server: SocketAddr,
        race: Race,
        stream: Option<Stream>,
        lost: SyncSender<()>,
    }

    impl Task for Reconnects {
        fn handle(&mut self, _: &mut Io, happening: Happening) {
            match happening {
                Happening::Ready(ready) => {
                    if let Some(ended) = self.race.ready(ready.token) {
                        self.stream = Some(ended.outcome.unwrap());
                    }
                }
                Happening::DescriptorsLost => {
                    self.stream = None;
                    self.race.stop();
                    self.lost.send(()).unwrap();
                }
                Happening::LookedUp(_) => {}
            }
        }

        fn turn(&mut self, io: &mut Io) -> Next {
            if self.stream.is_none() && !self.race.is_under_way() {
                self.race.start(io.poller().unwrap(), io.task, clock::now(), self.server, LONG).unwrap();
            }
            Next::Wait(None)
        }
    }

    #[test]
    fn a_thread_whose_descriptors_are_lost_opens_others() {
        let shared = start();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let (lost, is_lost) = sync_channel(1);
        let server_addr = server.local_addr().unwrap();
        shared.start_task(|_| {
            Box::new(Reconnects { server: server_addr, race: Race::default(), stream: None, lost })
        });
        let (waker, turned) = start_counter(&shared);
        let _first = server.accept().unwrap();
        let _theirs = shared.wake.take_away();
        is_lost.recv_timeout(LONG).unwrap();
        let _second = server.accept().unwrap();
        waker.wake();
        turned.recv_timeout(LONG).unwrap();
    }

    #[test]
    fn no_task_is_lost_when_the_thread_fails() {
        let shared = Arc::new(Shared::default());
        shared.inbox().has_failed = true;
        let (held, dropped) = sync_channel::<()>(1);
        shared.start_task(|_| {
            Box::new(Turns(move |_: &mut Io| {
                let _held = &held;
                Next::Done
            }))
        });
        assert_eq!(dropped.recv_timeout(LONG), Err(Disconnected));
        assert!(shared.has_failed());
    }
}
