//! The clock of the leases, CLOCK_BOOTTIME: a machine that is suspended does not stop it.

use std::time::Duration;

use nix::time::{clock_gettime, ClockId};

/// Nanoseconds since the machine was started.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
    now.map_or(u64::MAX, nanoseconds)
}

pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time when this has passed from now on.
pub fn after(duration: Duration) -> u64 {
    now().saturating_add(nanoseconds(duration))
}
