//! True time is that of the world. Each process and each server reads a clock of its own, which runs at a rate
//! of its own and never stands still.

/// True time, and durations: nanoseconds.
pub type Ns = u64;

pub const MS: Ns = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it gains in a million.
    pub ppm: i64,
    pub offset: u64,
}

impl Clock {
    pub fn read(&self, now: Ns) -> u64 {
        let gained = (now as i64 * self.ppm).div_euclid(1_000_000);
        (self.offset as i64 + now as i64 + gained) as u64
    }

    /// The first moment of true time at which it shows `reading` or more.
    pub fn when(&self, reading: u64) -> Ns {
        let elapsed = reading.saturating_sub(self.offset) as i64;
        let mut at = (elapsed - elapsed / 1_000_000 * self.ppm).max(0) as u64;
        for _ in 0..3 {
            let shown = self.read(at);
            at = (at as i64 + reading as i64 - shown as i64).max(0) as u64;
        }
        while at > 0 && self.read(at - 1) >= reading {
            at -= 1;
        }
        while self.read(at) < reading {
            at += 1;
        }
        at
    }
}
