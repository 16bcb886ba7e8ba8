//! The clock that all processes of a campaign share.

/// CLOCK_BOOTTIME in nanoseconds.
pub fn now() -> i64 {
    read(libc::CLOCK_BOOTTIME)
}

/// The time of day in nanoseconds since 1970. The servers stamp their transactions with it.
pub fn time_of_day() -> i64 {
    read(libc::CLOCK_REALTIME)
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of this function.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
