//! The plan of a campaign: which fault comes when. The seed draws it before the campaign begins, so that the same seed
//! gives the same plan. The target of a fault is drawn from a seed of its own when the fault comes, because the fault
//! may be aimed at the master of that moment.

use std::time::Duration;

use crate::fault::{Fault, Phase};
use crate::rng::Rng;

const PHASE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    pub at: Duration,
    pub fault: Fault,
    /// The seed for the values that are drawn when the fault comes.
    pub seed: u64,
}

/// `pace` stretches the pauses between two strikes: 1 gives the most strikes.
pub fn draw(seed: u64, length: Duration, pace: u32) -> Vec<Strike> {
    // Other numbers than those of the cast.
    let mut rng = Rng::new(!seed);
    let mut strikes = Vec::new();
    let (mut at, mut phase, mut next_phase) = (Duration::ZERO, Phase::All, PHASE);
    while at < length {
        if at >= next_phase {
            phase = Phase::draw(&mut rng);
            next_phase += PHASE;
        }
        strikes.push(Strike { at, fault: Fault::draw(&mut rng, phase), seed: rng.next() });
        // At times many at once, at times nothing for a while.
        let pause_ms = if rng.chance(300) { rng.between(0, 150) } else { rng.between(300, 1_500) };
        at += Duration::from_millis(pause_ms) * pace;
    }
    strikes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fault::ALL;

    const MINUTE: Duration = Duration::from_secs(60);

    fn kinds(strikes: &[Strike]) -> BTreeSet<&'static str> {
        strikes.iter().map(|strike| strike.fault.name()).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_plan() {
        assert_eq!(draw(1, MINUTE, 1), draw(1, MINUTE, 1));
        assert_ne!(draw(1, MINUTE, 1), draw(2, MINUTE, 1));
        let last = draw(1, MINUTE, 1).last().map(|strike| strike.at).expect("a plan has strikes");
        assert!(last < MINUTE && last > MINUTE - Duration::from_secs(2), "{last:?}");
    }

    #[test]
    fn the_minute_of_make_test_has_faults_of_every_kind() {
        let makefile = include_str!("../../Makefile");
        let (_, seed) = makefile.split_once(" run --seconds 60 --seed ").expect("`make test` says its seed");
        let seed = seed.lines().next().and_then(|seed| seed.parse().ok()).expect("a number");
        assert_eq!(kinds(&draw(seed, MINUTE, 1)).len(), ALL.len());
    }
}
