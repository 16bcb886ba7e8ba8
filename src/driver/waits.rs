//! How the calls of a handle wait. A wait ends when the awaited event happens, when a signal handler has run on the
//! waiting thread, or when the handle is interrupted. A signal handler may make the interrupt.
//!
//! A handle has one slot with a word. The word changes whenever something happens that a call of the handle may wait
//! for. The calls sleep on that word with futex(2), always with a timeout: the kernel never restarts such a sleep after
//! a signal handler has run, with or without SA_RESTART. A condition variable or a channel of the standard library
//! would continue to sleep.
//!
//! In loop mode there is no thread of ours that could wake a call. Then a call does not sleep; it runs rounds of the handle's
//! reactor (see `program_loop`), and waits for descriptors there. If several calls wait, one of them does so and the others
//! sleep. Whatever changes the word also writes a byte to the socket that ends the wait for descriptors.
//!
//! An interrupt searches the list of slots for its handle. It takes no lock, allocates no memory and uses no
//! thread-local storage. A signal handler may interrupt any code of this file at any place. Slots are never freed, but
//! they are reused. The word that an interrupt changes also names the owner of the slot, so an interrupt never reaches
//! another handle.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fork::Process;
use super::io::program_loop::ProgramLoop;
use super::io::wake::Wake;

/// The slots of the open and the closed handles.
static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());

/// The kernel would restart a sleep without a timeout after a signal handler with SA_RESTART.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

struct Slot {
    /// The owner of the slot, and its interrupts: see `State`.
    state: AtomicU64,
    /// The process in which the slot was taken.
    process: AtomicU64,
    /// Changes when something happens.
    changes: AtomicU32,
    /// The number of calls that sleep or are about to sleep.
    sleepers: AtomicU32,
    /// The number of calls that wait for descriptors, and the socket that ends such a wait: -1 for none, and its inode.
    pollers: AtomicU32,
    waker: AtomicI32,
    waker_inode: AtomicU64,
    /// The number of threads that use `waker` at this moment.
    waker_users: AtomicU32,
    next: *const Slot,
}

/// The number of the handle (40 bits; 0 for none), the count of its interrupts (23 bits), and whether the last
/// interrupt has not been cleared yet (1 bit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64);

impl State {
    const COUNT: u64 = 0x00ff_fffe;

    fn of(handle: u64) -> State {
        State(handle << 24)
    }

    fn is_of(self, handle: u64) -> bool {
        self.0 >> 24 == handle
    }

    fn interrupted(self) -> State {
        State(self.0 & !State::COUNT | (self.0 + 2) & State::COUNT | 1)
    }

    fn cleared(self) -> State {
        State(self.0 & !1)
    }

    fn is_interrupted(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The result of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    Done,
    /// No open handle has this number.
    NoHandle,
    /// The handle belongs to the process that this one was forked from.
    Forked,
}

/// Interrupts the handle with this number. Async-signal-safe.
pub fn interrupt(handle: u64) -> Interrupted {
    let is_its = |slot: &&Slot| handle != 0 && State(slot.state.load(SeqCst)).is_of(handle);
    let Some(slot) = slots().find(is_its) else {
        return Interrupted::NoHandle;
    };
    if !Process::has_number(slot.process.load(SeqCst)) {
        return Interrupted::Forked;
    }
    match slot.change(handle, State::interrupted) {
        true => {
            slot.wake();
            Interrupted::Done
        }
        false => Interrupted::NoHandle,
    }
}

fn slots() -> impl Iterator<Item = &'static Slot> {
    // SAFETY: a slot is never freed, and is complete before it is in the list.
    let first = unsafe { SLOTS.load(SeqCst).as_ref() };
    std::iter::successors(first, |slot| unsafe { slot.next.as_ref() })
}

impl Slot {
    /// Takes a slot for this handle.
    fn take(handle: u64, process: Process) -> &'static Slot {
        for slot in slots() {
            // 1: the slot is taken, but no interrupt finds it.
            if slot.state.compare_exchange(0, 1, SeqCst, SeqCst).is_ok() {
                slot.process.store(process.number(), SeqCst);
                slot.state.store(State::of(handle).0, SeqCst);
                return slot;
            }
        }
        let slot = Box::leak(Box::new(Slot {
            state: AtomicU64::new(State::of(handle).0),
            process: AtomicU64::new(process.number()),
            changes: AtomicU32::new(0),
            sleepers: AtomicU32::new(0),
            pollers: AtomicU32::new(0),
            waker: AtomicI32::new(-1),
            waker_inode: AtomicU64::new(0),
            waker_users: AtomicU32::new(0),
            next: SLOTS.load(SeqCst),
        }));
        while let Err(first) = SLOTS.compare_exchange(slot.next.cast_mut(), slot, SeqCst, SeqCst) {
            slot.next = first;
        }
        slot
    }

    /// Changes the state if the slot belongs to this handle. Returns whether it does.
    fn change(&self, handle: u64, change: impl Fn(State) -> State) -> bool {
        let change = |state| State(state).is_of(handle).then(|| change(State(state)).0);
        self.state.fetch_update(SeqCst, SeqCst, change).is_ok()
    }

    /// Async-signal-safe.
    fn wake(&self) {
        self.changes.fetch_add(1, SeqCst);
        let (has_sleepers, has_pollers) = (self.sleepers.load(SeqCst) > 0, self.pollers.load(SeqCst) > 0);
        if !has_sleepers && !has_pollers {
            return;
        }
        // SAFETY: errno belongs to the interrupted code and is restored; the word lives forever.
        unsafe {
            let errno = libc::__errno_location();
            let former = *errno;
            if has_sleepers {
                let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
                libc::syscall(libc::SYS_futex, self.changes.as_ptr(), wake, i32::MAX);
            }
            if has_pollers {
                self.end_poll();
            }
            *errno = former;
        }
    }

    /// Async-signal-safe. The number may belong to a file of the program by now (see `descriptor`).
    fn end_poll(&self) {
        self.waker_users.fetch_add(1, SeqCst);
        let fd = self.waker.load(SeqCst);
        let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: fstat writes the struct if it succeeds; one byte of ours is sent.
        unsafe {
            if fd >= 0
                && libc::fstat(fd, stat.as_mut_ptr()) == 0
                && stat.assume_init().st_ino == self.waker_inode.load(SeqCst)
            {
                // send(2) of the C library is a cancellation point.
                let (flags, none) = (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT, std::ptr::null::<libc::sockaddr>());
                libc::syscall(libc::SYS_sendto, fd, [1u8].as_ptr(), 1usize, flags, none, 0);
            }
        }
        self.waker_users.fetch_sub(1, SeqCst);
    }

    /// When this returns, no thread uses the former socket any more.
    fn set_waker(&self, fd: i32, inode: u64) {
        if self.waker.load(SeqCst) == fd && self.waker_inode.load(SeqCst) == inode {
            return;
        }
        self.waker.store(-1, SeqCst);
        while self.waker_users.load(SeqCst) > 0 {
            std::thread::yield_now();
        }
        self.waker_inode.store(inode, SeqCst);
        self.waker.store(fd, SeqCst);
    }
}

unsafe impl Sync for Slot {}

/// The waiting calls of one handle.
pub struct Waits {
    handle: u64,
    slot: &'static Slot,
    /// In loop mode, the calls that wait run this.
    program_loop: Option<Arc<ProgramLoop>>,
}

/// Why a wait ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    TooLong,
    /// A signal handler ran on this thread, or the handle was interrupted.
    Interrupted,
}

/// Which interrupts end a call's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heeds {
    /// Interrupts before the call that have not been cleared, and interrupts during the wait.
    All,
    /// Interrupts during the wait.
    New,
    /// None; nor does a signal handler end the wait.
    None,
}

impl Waits {
    pub fn new(handle: u64, process: Process, program_loop: Option<Arc<ProgramLoop>>) -> Waits {
        Waits { handle, slot: Slot::take(handle, process), program_loop }
    }

    /// The loop of the program, in loop mode.
    pub fn program_loop(&self) -> Option<&ProgramLoop> {
        self.program_loop.as_deref()
    }

    /// In loop mode, does what is due, and does not wait. Does nothing while another thread does it.
    pub fn turn(&self) {
        if let Some(program_loop) = &self.program_loop {
            program_loop.turn(self, Duration::ZERO, None);
        }
    }

    /// Wakes each call, which checks whether its event has happened.
    pub fn wake(&self) {
        self.slot.wake();
    }

    /// Changes when something happens.
    pub fn changes(&self) -> u32 {
        self.slot.changes.load(SeqCst)
    }

    /// A call is about to wait for descriptors. `wake` ends that wait, and so does whatever changes from now on.
    pub fn begin_poll(&self, wake: &Wake) -> Poll<'_> {
        if let Some(pair) = wake.pair() {
            let (fd, inode) = pair.sender.number_and_inode();
            self.slot.set_waker(fd, inode);
        }
        self.slot.pollers.fetch_add(1, SeqCst);
        Poll(self.slot)
    }

    /// The descriptors of `begin_poll` are about to be closed.
    pub fn forget_poll(&self) {
        self.slot.set_waker(-1, 0);
    }

    /// This thread has run a round. If other calls wait, one of them may run the next. `is_waiting`: this is a call that waits,
    /// too.
    pub fn pass_turn(&self, is_waiting: bool) {
        if self.slot.sleepers.load(SeqCst) > u32::from(is_waiting) {
            self.slot.wake();
        }
    }

    /// Async-signal-safe, like the function of this name.
    pub fn interrupt(&self) {
        interrupt(self.handle);
    }

    /// Clears the interrupt; later calls wait again.
    pub fn clear_interrupt(&self) {
        self.slot.change(self.handle, State::cleared);
    }

    /// Whether there is an interrupt that has not been cleared.
    pub fn is_interrupted(&self) -> bool {
        let state = self.state();
        state.is_of(self.handle) && state.is_interrupted()
    }

    /// Changes with each interrupt.
    pub fn interrupts(&self) -> u64 {
        let state = self.state();
        if state.is_of(self.handle) {
            state.0 & State::COUNT
        } else {
            0
        }
    }

    /// From now on no thread can interrupt the handle.
    pub fn end(&self) {
        if self.slot.change(self.handle, |_| State(1)) {
            self.wake();
        }
    }

    pub fn begin(&self, heeds: Heeds) -> Wait<'_> {
        self.slot.sleepers.fetch_add(1, SeqCst);
        Wait { waits: self, heeds, began: self.state() }
    }

    /// Waits until `look` returns a result.
    pub fn wait<T>(
        &self,
        heeds: Heeds,
        timeout: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, Unready> {
        let wait = self.begin(heeds);
        // If the end is beyond the range of the clock, wait without limit.
        let until = Instant::now().checked_add(timeout);
        let mut woken = Woken::Change;
        loop {
            let seen = wait.changes();
            if heeds == Heeds::All && wait.is_interrupted() {
                return Err(Unready::Interrupted);
            }
            if let Some(found) = look() {
                return Ok(found);
            }
            if (woken == Woken::Signal && heeds != Heeds::None) || wait.is_interrupted() {
                return Err(Unready::Interrupted);
            }
            let left = until.map_or(LONGEST_SLEEP, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(Unready::TooLong);
            }
            woken = wait.sleep(seen, left);
        }
    }

    /// Waits for the one answer on this channel; `None` if the answer will never arrive.
    pub fn answer<T>(&self, answer: &Receiver<T>, timeout: Duration) -> Result<Option<T>, Unready> {
        self.wait(Heeds::New, timeout, || received(answer))
    }

    /// The same as `answer`, for a call that nothing interrupts.
    pub fn finish<T>(&self, answer: &Receiver<T>, timeout: Duration) -> Result<Option<T>, Unready> {
        self.wait(Heeds::None, timeout, || received(answer))
    }

    fn state(&self) -> State {
        State(self.slot.state.load(SeqCst))
    }
}

/// `None` if the answer may still arrive; `Some(None)` if it never will.
fn received<T>(answer: &Receiver<T>) -> Option<Option<T>> {
    match answer.try_recv() {
        Ok(answer) => Some(Some(answer)),
        Err(TryRecvError::Disconnected) => Some(None),
        Err(TryRecvError::Empty) => None,
    }
}

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waits").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.end();
        self.forget_poll();
        self.slot.state.store(0, SeqCst);
    }
}

/// A call that waits for descriptors.
pub struct Poll<'a>(&'a Slot);

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.0.pollers.fetch_sub(1, SeqCst);
    }
}

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    Change,
    Time,
    Signal,
}

/// A call that waits.
pub struct Wait<'a> {
    waits: &'a Waits,
    heeds: Heeds,
    began: State,
}

impl Wait<'_> {
    /// Read this before you check for the event: if something has happened since, a sleep ends at once.
    pub fn changes(&self) -> u32 {
        self.waits.changes()
    }

    pub fn is_interrupted(&self) -> bool {
        let now = self.waits.state();
        // A handle that has been closed in the meantime has no interrupts.
        let is_open = now.is_of(self.waits.handle);
        let is_new = is_open && (self.began.0 ^ now.0) & State::COUNT != 0;
        match self.heeds {
            Heeds::All => is_new || is_open && now.is_interrupted(),
            Heeds::New => is_new,
            Heeds::None => false,
        }
    }

    pub fn sleep(&self, seen: u32, timeout: Duration) -> Woken {
        let timeout = timeout.min(LONGEST_SLEEP);
        let program_loop = self.waits.program_loop();
        if let Some(woken) = program_loop.and_then(|turned| turned.turn(self.waits, timeout, Some(seen))) {
            return woken;
        }
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos() as libc::c_long,
        };
        let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        let word = self.waits.slot.changes.as_ptr();
        // SAFETY: the word lives forever, and the timeout lives as long as the call.
        let slept = unsafe { libc::syscall(libc::SYS_futex, word, wait, seen, &raw const timeout) };
        match slept {
            0 => Woken::Change,
            _ => match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => Woken::Signal,
                Some(libc::ETIMEDOUT) => Woken::Time,
                _ => Woken::Change,
            },
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.waits.slot.sleepers.fetch_sub(1, SeqCst);
    }
}

/// Takes the one answer to a question of a call that waits. If it is dropped without an answer, the call learns that
/// none will arrive.
pub struct ReplyTo<T> {
    // The fields are dropped in this order, so the woken call sees the answer or the closed channel.
    to: SyncSender<T>,
    _wake: WakeWhenDropped,
}

struct WakeWhenDropped(Arc<Waits>);

impl<T> ReplyTo<T> {
    pub fn new(waits: &Arc<Waits>) -> (ReplyTo<T>, Receiver<T>) {
        let (to, answer) = mpsc::sync_channel(1);
        (ReplyTo { to, _wake: WakeWhenDropped(waits.clone()) }, answer)
    }

    /// The send fails if the call no longer waits; that is ignored.
    pub fn send(self, answer: T) {
        let _ = self.to.send(answer);
    }
}

impl Drop for WakeWhenDropped {
    fn drop(&mut self) {
        self.0.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Uses numbers that no handle of this test program has.
    fn waits() -> Arc<Waits> {
        static HANDLES: AtomicU64 = AtomicU64::new(1 << 30);
        let process = Process::current().expect("this process");
        Arc::new(Waits::new(HANDLES.fetch_add(1, SeqCst), process, None))
    }

    fn wait_in_vain(waits: &Waits, heeds: Heeds, timeout: Duration) -> Unready {
        waits.wait(heeds, timeout, || None::<()>).expect_err("nothing comes")
    }

    #[test]
    fn an_interrupt_stays_until_it_is_cleared() {
        let waits = waits();
        assert_eq!(interrupt(waits.handle), Interrupted::Done);
        assert_eq!(wait_in_vain(&waits, Heeds::All, LONG), Unready::Interrupted);
        assert_eq!(wait_in_vain(&waits, Heeds::All, LONG), Unready::Interrupted);
        waits.clear_interrupt();
        assert_eq!(wait_in_vain(&waits, Heeds::All, Duration::from_millis(5)), Unready::TooLong);
    }

    #[test]
    fn a_question_heeds_only_the_interrupts_that_come_while_it_waits() {
        let waits = waits();
        waits.interrupt();
        assert_eq!(wait_in_vain(&waits, Heeds::New, Duration::from_millis(5)), Unready::TooLong);
        let mut looks = 0;
        let again = waits.wait(Heeds::New, LONG, || {
            looks += 1;
            waits.interrupt();
            None::<()>
        });
        assert_eq!((again, looks), (Err(Unready::Interrupted), 1));
    }

    #[test]
    fn an_interrupt_that_is_cleared_at_once_ends_what_waits() {
        let waits = waits();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_in_vain(&waits, Heeds::All, LONG));
            while waits.slot.sleepers.load(SeqCst) == 0 {
                thread::yield_now();
            }
            waits.interrupt();
            waits.clear_interrupt();
            assert_eq!(waiting.join().expect("it does not panic"), Unready::Interrupted);
        });
    }

    #[test]
    fn an_answer_wakes_and_so_does_its_absence() {
        let waits = waits();
        let (reply, answer) = ReplyTo::new(&waits);
        let answering = thread::spawn(move || reply.send(7));
        assert_eq!(waits.answer(&answer, LONG), Ok(Some(7)));
        let (reply, answer) = ReplyTo::<u32>::new(&waits);
        let leaving = thread::spawn(move || drop(reply));
        assert_eq!(waits.answer(&answer, LONG), Ok(None));
        for thread in [answering, leaving] {
            thread.join().expect("it does not panic");
        }
    }

    #[test]
    fn a_handle_that_is_closed_has_no_interrupts_and_its_slot_is_used_again() {
        let (former, gone) = (waits(), AtomicUsize::new(0));
        former.end();
        assert_eq!(interrupt(former.handle), Interrupted::NoHandle);
        assert_eq!(interrupt(0), Interrupted::NoHandle);
        // Other tests take slots at the same time. In the end, fewer slots exist than handles were made.
        for _ in 0..1000 {
            let next = waits();
            gone.fetch_add(usize::from(std::ptr::eq(next.slot, former.slot)), SeqCst);
            assert_eq!(interrupt(next.handle), Interrupted::Done);
            assert_eq!(wait_in_vain(&former, Heeds::All, Duration::ZERO), Unready::TooLong);
        }
        assert!(slots().count() < 100);
    }
}
