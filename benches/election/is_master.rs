//! One call of `election_is_master`: the price that a program pays if it asks before each piece of work.

use std::ffi::{c_void, CStr, CString};
use std::hint::black_box;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use election::testing::ffi::{
    election_close, election_event_t, election_is_master, election_open, election_reason_t, election_resign,
    election_t, go_to_election,
};

use crate::machine;
use crate::member::Inbox;
use crate::report::Report;
use crate::samples::Samples;
use crate::{Result, PATIENCE};

/// As long as a typical path.
const PATH: &CStr = c"/services/billing/master";
const MANY_PATHS: usize = 10_000;
const BUSY_PATHS: usize = 100;

/// A sample is the mean over this many calls. They take far longer than a reading of the clock, and far less time than
/// a time slice.
const CALLS: u32 = 1_000;
const WARM_UP: usize = 200;
const SAMPLES: usize = 2_000;

pub fn measure(hosts: &[String], report: &mut Report) -> Result<()> {
    report.row("one clock_gettime(CLOCK_BOOTTIME), for scale", &samples(clock_is_read)?);

    let inbox = Inbox::new();
    let election = Inbox::open(hosts)?;
    let path = PATH.to_str()?;
    inbox.stand(&election, path, 0)?;
    inbox.wait_for_master()?;
    row("Rust", &samples(|| election.is_master(black_box(path)))?, report);
    election.close()?;

    let handle = CHandle::open(hosts)?;
    handle.stand(PATH)?;
    handle.wait_until_master(PATH)?;
    row("C ABI", &samples(|| handle.is_master(PATH))?, report);

    let busy = Busy::start(&handle)?;
    let (asked, share) = machine::cpu_share_of_thread("election-io", || samples(|| handle.is_master(PATH)))?;
    let changes = busy.stop(&handle)?;
    row(&format!("C ABI, while {BUSY_PATHS} others come and go"), &asked?, report);
    report.note(&format!(
        "  ({changes} roles were told meanwhile; the I/O thread took {:.0} % of a core)",
        share * 100.0
    ));

    let paths = (0..MANY_PATHS).map(|i| path_of("many", i)).collect::<Result<Vec<_>>>()?;
    paths.iter().try_for_each(|path| handle.stand(path))?;
    paths.iter().try_for_each(|path| handle.wait_until_master(path))?;
    row(&format!("C ABI, one of {MANY_PATHS} paths"), &samples(|| handle.is_master(PATH))?, report);
    let mut turns = paths.iter().cycle();
    let in_turns = samples(|| turns.next().is_some_and(|path| handle.is_master(path)))?;
    row(&format!("C ABI, {MANY_PATHS} paths in turns"), &in_turns, report);
    handle.close()
}

/// A row, and an aim of that row.
pub fn row(how: &str, samples: &Samples, report: &mut Report) {
    let what = format!("election_is_master, {how}");
    report.row(&what, samples);
    report.aim(&what, samples.median(), 100.0, |ns| format!("{ns:.0} ns"));
}

/// Times a question whose answer is yes.
fn samples(mut is_so: impl FnMut() -> bool) -> Result<Samples> {
    let mut samples = Samples::default();
    for i in 0..WARM_UP + SAMPLES {
        let began = Instant::now();
        let yes = (0..CALLS).filter(|_| is_so()).count();
        let took = began.elapsed();
        if yes != CALLS as usize {
            return Err(format!("{yes} of {CALLS} calls said yes").into());
        }
        if i >= WARM_UP {
            samples.add(took / CALLS);
        }
    }
    Ok(samples)
}

fn clock_is_read() -> bool {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of this function.
    black_box(unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) }) == 0
}

fn path_of(kind: &str, i: usize) -> Result<CString> {
    Ok(CString::new(format!("/services/{kind}/master-{i}"))?)
}

/// A handle of the C API.
#[derive(Clone, Copy)]
struct CHandle(*mut election_t);

impl CHandle {
    fn open(hosts: &[String]) -> Result<CHandle> {
        let hosts = CString::new(hosts.join(","))?;
        let mut handle = null_mut();
        // SAFETY: the string ends with a 0 byte, and the handle is written to a variable of this function.
        expect_ok(unsafe { election_open(hosts.as_ptr(), null(), &mut handle) })?;
        Ok(CHandle(handle))
    }

    fn stand(self, path: &CStr) -> Result<()> {
        // SAFETY: the path ends with a 0 byte; no value, no callback.
        expect_ok(unsafe { go_to_election(self.0, path.as_ptr(), null(), 0, None, null_mut(), None) })
    }

    fn is_master(self, path: &CStr) -> bool {
        // SAFETY: the path ends with a 0 byte.
        (unsafe { election_is_master(black_box(self.0), black_box(path.as_ptr())) }) == 1
    }

    fn wait_until_master(self, path: &CStr) -> Result<()> {
        let is_so = testkit::wait_until(PATIENCE, || self.is_master(path));
        is_so.then_some(()).ok_or_else(|| format!("not within {PATIENCE:?}: master at {path:?}").into())
    }

    fn close(self) -> Result<()> {
        // SAFETY: a handle is a number, and the call takes no memory of the caller.
        expect_ok(unsafe { election_close(self.0) })
    }
}

fn expect_ok(rc: i32) -> Result<()> {
    match rc {
        0 => Ok(()),
        rc => Err(format!("a call of the C API returned {rc}").into()),
    }
}

/// Other candidates on the same handle. Each resigns as soon as it is master, and stands again.
struct Busy(&'static Churn);

struct Churn {
    handle: CHandle,
    is_over: AtomicBool,
    told: AtomicUsize,
}

impl Busy {
    fn start(handle: &CHandle) -> Result<Busy> {
        // Callbacks may come until the handle is closed, so the benchmark never frees this.
        let churn = Box::leak(Box::new(Churn { handle: *handle, is_over: false.into(), told: 0.into() }));
        let ctx: *mut c_void = std::ptr::from_mut(churn).cast();
        for i in 0..BUSY_PATHS {
            let path = path_of("busy", i)?;
            // SAFETY: the path ends with a 0 byte; `turn` gets the context that it expects.
            expect_ok(unsafe { go_to_election(handle.0, path.as_ptr(), null(), 0, Some(turn), ctx, None) })?;
        }
        let busy = Busy(churn);
        let is_busy = testkit::wait_until(PATIENCE, || busy.told() > 10 * BUSY_PATHS);
        is_busy.then_some(busy).ok_or_else(|| "candidates that resign and stand again do not".into())
    }

    fn told(&self) -> usize {
        self.0.told.load(Ordering::Relaxed)
    }

    /// Lets all of them come to rest as masters. Returns how many roles were reported since the start.
    fn stop(self, handle: &CHandle) -> Result<usize> {
        let told = self.told();
        self.0.is_over.store(true, Ordering::Relaxed);
        (0..BUSY_PATHS).try_for_each(|i| handle.wait_until_master(&path_of("busy", i)?))?;
        Ok(told)
    }
}

unsafe extern "C" fn turn(event: *const election_event_t, ctx: *mut c_void) {
    // SAFETY: the library promises a valid event, and this program a valid context.
    let (event, churn) = unsafe { (&*event, &*ctx.cast::<Churn>()) };
    churn.told.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the path of the event ends with a 0 byte.
    unsafe {
        match event.reason {
            election_reason_t::ELECTION_REASON_ELECTED if !churn.is_over.load(Ordering::Relaxed) => {
                election_resign(churn.handle.0, event.path);
            }
            election_reason_t::ELECTION_REASON_RESIGNED => {
                go_to_election(churn.handle.0, event.path, null(), 0, Some(turn), ctx, None);
            }
            _ => {}
        }
    }
}
