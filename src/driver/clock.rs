//! The clock: CLOCK_BOOTTIME, which a suspended laptop or virtual machine does not stop.

use std::time::Duration;

use crate::logic::Time;

pub fn now() -> Time {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own; every Linux since 2.6.39 has this clock.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) };
    assert_eq!(failed, 0, "CLOCK_BOOTTIME can be read");
    Time(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// How long it is from now until then.
pub fn until(then: Time) -> Duration {
    Duration::from_nanos(then.0.saturating_sub(now().0))
}
