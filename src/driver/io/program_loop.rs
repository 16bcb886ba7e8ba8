//! The reactor of a handle in loop mode. No thread serves it: the calls of the program do. A call that waits, or that
//! dispatches callbacks, runs rounds of the reactor on its own thread. If several threads wait, one of them runs the
//! rounds, and the others sleep until it has news for them or leaves.
//!
//! Between the calls the program waits on one descriptor. It is an epoll instance, and readable when a call has something
//! to do: if the reactor's own instance is readable (a socket, or another thread's wake-up), if a deadline has come, or
//! while callbacks wait. So it stays the same whatever happens to the connection.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{
    timerfd_create, timerfd_settime, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};

use super::descriptor::Descriptor;
use super::poller::Poller;
use super::reactor::{Reactor, Shared};
use super::wake::Wake;
use crate::driver::thread;
use crate::driver::waits::{Waits, Woken};
use crate::logic::Time;

pub struct ProgramLoop {
    shared: Arc<Shared>,
    /// `None` after the end.
    inner: Mutex<Option<Inner>>,
    /// What the program waits on; -1 if the process has no descriptor left for it.
    fd: AtomicI32,
    is_ending: AtomicBool,
}

struct Inner {
    /// `None` after a failure. Then the descriptors still tell that callbacks wait.
    reactor: Option<Reactor>,
    outer: Option<Outer>,
    /// Signalled while callbacks wait.
    callbacks: Arc<Wake>,
}

/// The descriptors that the program waits on.
struct Outer {
    epoll: Descriptor,
    timer: Descriptor,
    /// The time that the timer is set to.
    set_to: Option<Time>,
    /// The reactor's descriptors, which are in the instance.
    poller: Arc<Poller>,
}

impl ProgramLoop {
    /// Opens the descriptors. `callbacks` is signalled while callbacks wait.
    pub fn new(callbacks: Arc<Wake>) -> io::Result<ProgramLoop> {
        let reactor = Reactor::new()?;
        let shared = reactor.shared();
        let poller = reactor.poller().ok_or(io::ErrorKind::NotFound)?;
        let outer = Outer::new(poller.clone(), &callbacks)?;
        let fd = AtomicI32::new(outer.fd());
        let inner = Mutex::new(Some(Inner { reactor: Some(reactor), outer: Some(outer), callbacks }));
        Ok(ProgramLoop { shared, inner, fd, is_ending: AtomicBool::new(false) })
    }

    /// Where tasks are started.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The descriptor that the program waits on.
    pub fn fd(&self) -> Option<RawFd> {
        Some(self.fd.load(Ordering::Acquire)).filter(|fd| *fd >= 0)
    }

    /// Runs a round, which waits for at most `longest`, and not at all if something has happened on the handle since it had
    /// `seen` so many changes. Returns `None` at once if another thread runs a round, and after the end.
    pub fn turn(&self, waits: &Waits, longest: Duration, seen: Option<u32>) -> Option<Woken> {
        if self.is_ending.load(Ordering::Acquire) {
            return None;
        }
        match self.inner.try_lock() {
            Ok(inner) => self.round(inner, waits, longest, seen),
            Err(TryLockError::Poisoned(poisoned)) => self.round(poisoned.into_inner(), waits, longest, seen),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The same, but waits until the thread that runs a round has finished it.
    pub fn turn_next(&self, waits: &Waits, longest: Duration) -> Option<Woken> {
        self.round(self.lock(), waits, longest, None)
    }

    fn round(
        &self,
        mut guard: MutexGuard<'_, Option<Inner>>,
        waits: &Waits,
        longest: Duration,
        seen: Option<u32>,
    ) -> Option<Woken> {
        let Inner { reactor, outer, callbacks } = guard.as_mut()?;
        let its = reactor.as_mut()?;
        let round = thread::quietly(|| {
            let polling = waits.begin_poll(self.shared.wake());
            let has_changed = seen.is_some_and(|seen| waits.changes() != seen);
            let longest = if has_changed { Duration::ZERO } else { longest };
            let is_interrupted = its.round_of_program(longest, || drop(polling));
            self.prepare_wait(its, outer, callbacks);
            is_interrupted
        });
        // If something fails that no task is to blame for, the tasks end, as in `Reactor::serve`.
        if let Some(failed) = reactor.take_if(|_| round.is_err()) {
            failed.drop_tasks();
        }
        drop(guard);
        waits.pass_turn(seen.is_some());
        Some(if round.ok()? { Woken::Signal } else { Woken::Change })
    }

    /// Sees to it that the program's descriptor becomes readable when the next round is due.
    fn prepare_wait(&self, reactor: &Reactor, outer: &mut Option<Outer>, callbacks: &Wake) {
        let poller = reactor.poller();
        if !outer.as_ref().is_some_and(|outer| poller.is_some_and(|poller| Arc::ptr_eq(poller, &outer.poller))) {
            *outer = None;
            *outer = poller.and_then(|poller| Outer::new(poller.clone(), callbacks).ok());
            self.fd.store(outer.as_ref().map_or(-1, Outer::fd), Ordering::Release);
        }
        match (reactor.next_deadline(), outer) {
            (Some(Time(0)), _) => self.shared.wake().signal(),
            (at, Some(outer)) => outer.set_timer(at),
            (_, None) => {}
        }
    }

    /// Drops the tasks. Waits until a thread that runs a round has finished it.
    pub fn end(&self, waits: &Waits) {
        self.is_ending.store(true, Ordering::Release);
        waits.wake();
        let ended = self.lock().take();
        waits.forget_poll();
        self.fd.store(-1, Ordering::Release);
        if let Some(reactor) = ended.and_then(|inner| inner.reactor) {
            reactor.drop_tasks();
        }
        self.shared.wake().close();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Inner>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outer {
    fn new(poller: Arc<Poller>, callbacks: &Wake) -> io::Result<Outer> {
        let pair = callbacks.pair_or_new()?;
        let epoll = Descriptor::new(epoll::create(CreateFlags::CLOEXEC)?)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = Descriptor::new(timerfd_create(TimerfdClockId::Boottime, flags)?)?;
        for fd in [poller.epoll()?, timer.get()?, pair.receiver.get()?] {
            epoll::add(epoll.get()?, fd, EventData::new_u64(0), EventFlags::IN)?;
        }
        Ok(Outer { epoll, timer, set_to: None, poller })
    }

    fn fd(&self) -> RawFd {
        self.epoll.get().map_or(-1, |epoll| epoll.as_raw_fd())
    }

    fn set_timer(&mut self, at: Option<Time>) {
        // If the descriptors are lost, the next round finds it out.
        if at == self.set_to || self.poller.epoll().is_err() {
            return;
        }
        let (seconds, nanoseconds) = at.map_or((0, 0), |Time(at)| (at / 1_000_000_000, at % 1_000_000_000));
        let it_value = Timespec { tv_sec: seconds as i64, tv_nsec: nanoseconds as _ };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = Itimerspec { it_interval, it_value };
        let set = self.timer.get().map(|timer| timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &setting));
        if let Ok(Ok(_)) = set {
            self.set_to = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, Receiver, TryRecvError::Disconnected};
    use std::time::Instant;

    use super::super::reactor::{Happening, Io, Next, Task, TaskWaker};
    use super::*;
    use crate::driver::clock;
    use crate::driver::fork::Process;

    const LONG: Duration = Duration::from_secs(10);

    /// Says when it has a turn. It wants another one 30 ms after the first.
    struct Turns(std::sync::mpsc::Sender<()>, usize);

    impl Task for Turns {
        fn handle(&mut self, _: &mut Io, _: Happening) {}

        fn turn(&mut self, _: &mut Io) -> Next {
            self.0.send(()).unwrap();
            self.1 += 1;
            Next::Wait((self.1 == 1).then(|| clock::now().plus_ms(30)))
        }
    }

    struct Program {
        turned: Arc<ProgramLoop>,
        waits: Waits,
        callbacks: Arc<Wake>,
    }

    fn program() -> Program {
        let callbacks = Arc::new(Wake::default());
        let turned = Arc::new(ProgramLoop::new(callbacks.clone()).unwrap());
        // A number that no other test has.
        let waits = Waits::new(1 << 39, Process::current().unwrap(), Some(turned.clone()));
        Program { turned, waits, callbacks }
    }

    impl Program {
        fn start_task(&self) -> (TaskWaker, Receiver<()>) {
            let (turns, turned) = channel();
            let mut waker = None;
            self.turned.shared().start_task(|its| {
                waker = Some(its);
                Box::new(Turns(turns, 0))
            });
            (waker.unwrap(), turned)
        }

        fn is_readable(&self, timeout: Duration) -> bool {
            let mut waiting = libc::pollfd { fd: self.turned.fd().unwrap(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one element of ours.
            unsafe { libc::poll(&mut waiting, 1, timeout.as_millis() as i32) == 1 }
        }
    }

    #[test]
    fn the_descriptor_says_when_a_turn_is_due() {
        let program = program();
        assert!(!program.is_readable(Duration::ZERO));
        let (waker, turned) = program.start_task();
        assert!(program.is_readable(Duration::ZERO), "there is a new task");
        let began = Instant::now();
        program.waits.turn();
        turned.try_recv().unwrap();
        assert!(!program.is_readable(Duration::ZERO));
        assert!(program.is_readable(LONG) && began.elapsed() >= Duration::from_millis(30), "its deadline has come");
        program.waits.turn();
        turned.try_recv().unwrap();
        assert!(!program.is_readable(Duration::from_millis(50)));
        waker.wake();
        assert!(program.is_readable(Duration::ZERO), "another thread woke it");
        program.waits.turn();
        turned.try_recv().unwrap();
        assert!(!program.is_readable(Duration::ZERO));
    }

    #[test]
    fn callbacks_that_wait_are_told_by_the_descriptor_and_hinder_no_call_that_waits() {
        let program = program();
        program.callbacks.signal();
        let began = Instant::now();
        program.turned.turn(&program.waits, Duration::from_millis(30), None);
        assert!(began.elapsed() >= Duration::from_millis(30));
        assert!(program.is_readable(Duration::ZERO));
        program.callbacks.clear();
        assert!(!program.is_readable(Duration::ZERO));
    }

    #[test]
    fn whatever_happens_on_the_handle_ends_a_wait() {
        let program = program();
        let seen = program.waits.changes();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let began = Instant::now();
                program.turned.turn(&program.waits, LONG, Some(seen));
                began.elapsed()
            });
            std::thread::sleep(Duration::from_millis(50));
            program.waits.wake();
            assert!(waits.join().unwrap() < Duration::from_millis(900));
        });
        // It had happened before.
        let began = Instant::now();
        program.turned.turn(&program.waits, LONG, Some(seen));
        assert!(began.elapsed() < Duration::from_millis(900));
    }

    #[test]
    fn the_end_drops_the_tasks_though_another_thread_waits() {
        let program = program();
        let (_waker, turned) = program.start_task();
        let seen = program.waits.changes();
        std::thread::scope(|scope| {
            scope.spawn(|| program.turned.turn(&program.waits, LONG, Some(seen)));
            turned.recv_timeout(LONG).unwrap();
            program.turned.end(&program.waits);
            // It may have had its second turn before.
            while let Ok(()) = turned.try_recv() {}
            assert_eq!(turned.try_recv(), Err(Disconnected));
        });
        assert_eq!(program.turned.turn(&program.waits, LONG, None), None);
        assert_eq!(program.turned.fd(), None);
        assert!(program.turned.shared().has_failed(), "no task can start any more");
    }
}
