//! Who was master, from when to when, as the programs themselves said: what the demo's last line is computed from.

use std::collections::BTreeSet;
use std::time::Duration;

/// A time since the demo began.
pub type Moment = Duration;

#[derive(Debug)]
struct Reign {
    who: usize,
    token: i64,
    from: Moment,
    to: Option<Moment>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    reigns: Vec<Reign>,
}

impl Ledger {
    pub fn begin(&mut self, who: usize, token: i64, at: Moment) {
        self.end(who, at);
        self.reigns.push(Reign { who, token, from: at, to: None });
    }

    /// Ends the reign of `who`, if there is one.
    pub fn end(&mut self, who: usize, at: Moment) {
        if let Some(reign) = self.reigns.iter_mut().find(|reign| reign.who == who && reign.to.is_none()) {
            reign.to = Some(at);
        }
    }

    /// How many masterships there were. One that was suspended and went on, with the same znode and so with the same token,
    /// counts once.
    pub fn masterships(&self) -> usize {
        self.reigns.iter().map(|reign| reign.token).collect::<BTreeSet<_>>().len()
    }

    /// For how long, at most, two programs were master at once; zero when that never was.
    pub fn longest_overlap(&self) -> Duration {
        let overlap = |a: &Reign, b: &Reign| {
            let from = a.from.max(b.from);
            let to = a.to.unwrap_or(Duration::MAX).min(b.to.unwrap_or(Duration::MAX));
            to.saturating_sub(from)
        };
        let of_one = |(i, a): (usize, &Reign)| {
            let others = self.reigns[i + 1..].iter().filter(|b| b.who != a.who);
            others.map(|b| overlap(a, b)).max().unwrap_or_default()
        };
        self.reigns.iter().enumerate().map(of_one).max().unwrap_or_default()
    }

    /// Whether each new mastership had a larger token than all before it.
    pub fn tokens_rise(&self) -> bool {
        let mut by_start: Vec<&Reign> = self.reigns.iter().collect();
        by_start.sort_by_key(|reign| reign.from);
        by_start.windows(2).all(|pair| {
            let goes_on = pair[0].who == pair[1].who && pair[0].token == pair[1].token;
            goes_on || pair[0].token < pair[1].token
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_suspended_mastership_counts_once() {
        let mut ledger = Ledger::default();
        ledger.begin(0, 7, ms(10));
        ledger.end(0, ms(20));
        ledger.begin(0, 7, ms(30));
        ledger.end(0, ms(40));
        ledger.begin(1, 9, ms(40));
        assert_eq!(ledger.masterships(), 2);
        assert_eq!(ledger.longest_overlap(), Duration::ZERO);
        assert!(ledger.tokens_rise());
    }

    #[test]
    fn two_at_once_are_seen_whoever_began() {
        let mut ledger = Ledger::default();
        ledger.begin(0, 7, ms(10));
        ledger.begin(1, 8, ms(15));
        ledger.end(0, ms(18));
        assert_eq!(ledger.longest_overlap(), ms(3));
        ledger.end(1, ms(50));
        ledger.begin(0, 9, ms(46));
        ledger.end(0, ms(60));
        assert_eq!(ledger.longest_overlap(), ms(4));
    }

    #[test]
    fn two_that_never_end_overlap() {
        let mut ledger = Ledger::default();
        ledger.begin(0, 7, ms(10));
        ledger.begin(1, 8, ms(15));
        assert!(ledger.longest_overlap() > ms(1_000_000));
    }

    #[test]
    fn a_token_that_falls_or_changes_hands_is_seen() {
        for token in [6, 7] {
            let mut ledger = Ledger::default();
            ledger.begin(0, 7, ms(10));
            ledger.end(0, ms(20));
            ledger.begin(1, token, ms(30));
            assert!(!ledger.tokens_rise());
        }
    }
}
