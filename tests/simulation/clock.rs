//! True time is the time of the world. Each process and each server reads a clock of its own, which runs at a rate of
//! its own and never stands still. A slewed clock runs fast and slow in turns.

/// True time, and durations, in nanoseconds.
pub type Ns = u64;

pub const MS: Ns = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What the clock gains at first, in parts per million.
    pub ppm: i64,
    /// After this time the clock loses as much, and so on, in turns. 0: never.
    pub slewed_every: Ns,
    pub offset: u64,
}

impl Clock {
    pub fn read(&self, now: Ns) -> u64 {
        let gains_for = match now.checked_div(self.slewed_every) {
            None => now,
            // Two turns cancel each other out.
            Some(turns) if turns % 2 == 0 => now % self.slewed_every,
            Some(_) => self.slewed_every - now % self.slewed_every,
        };
        let gained = (gains_for as i64 * self.ppm).div_euclid(1_000_000);
        (self.offset as i64 + now as i64 + gained) as u64
    }

    /// The first moment of true time at which the clock shows `reading` or more.
    pub fn when(&self, reading: u64) -> Ns {
        let mut at = reading.saturating_sub(self.offset);
        loop {
            let missing = reading as i64 - self.read(at) as i64;
            if missing.abs() < 2 {
                break;
            }
            at = (at as i64 + missing).max(0) as u64;
            if at == 0 && missing < 0 {
                break;
            }
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

#[test]
fn a_clock_is_read_and_set_by() {
    for clock in [
        Clock { ppm: 5_000, slewed_every: 0, offset: 1_000 },
        Clock { ppm: -50_000, slewed_every: 700_001, offset: 5 },
        Clock { ppm: 50_000, slewed_every: 1_000_000, offset: 77 },
    ] {
        for now in (0..10_000_000).step_by(4_999) {
            let at = clock.when(clock.read(now));
            assert!(
                at <= now && clock.read(at) == clock.read(now) && (at == 0 || clock.read(at - 1) < clock.read(now))
            );
        }
    }
}
