//! The clock of the leases, CLOCK_BOOTTIME. It goes on while the machine is suspended.

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

/// The time at which `duration` from now has passed.
pub fn after(duration: Duration) -> u64 {
    now().saturating_add(nanoseconds(duration))
}
