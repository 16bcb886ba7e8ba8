//! The clock: CLOCK_BOOTTIME, which continues while a laptop or virtual machine is suspended.

use std::time::Duration;

use crate::logic::Time;

pub fn now() -> Time {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer points to our own timespec; every Linux since 2.6.39 has this clock.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) };
    assert_eq!(failed, 0, "CLOCK_BOOTTIME can be read");
    Time(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// The time from now until `then`.
pub fn until(then: Time) -> Duration {
    Duration::from_nanos(then.0.saturating_sub(now().0))
}
