//! Which server next, and when.
//!
//! A round begins with a look-up of the names, and goes once through the addresses in an order drawn anew. Between two
//! rounds lies a pause, which grows to half a second and no further: a server that is back before a lease ends is found
//! before it ends. The pause is longer if a server has opened a session and then refused us, for it keeps that session.
//! While a look-up takes its time, the addresses that
//! were good before are tried.
//!
//! And whether requests may follow the ConnectRequest at once (`Session::set_pipelining`). If the answer to a
//! ConnectRequest is lost, what followed it may have been carried out in a session that we do not know, and a znode of
//! ours may stand until that session expires. So after such a loss nothing follows a ConnectRequest until a session has
//! stood. An outage costs a handle one such znode at the most. A server that ended the connection may also be one that
//! cannot be trusted with it, and is not asked that way again.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::settings::Rule;
use crate::logic::Time;

/// A connection that ends sooner counts as a failure of its server.
const SHORT_LIFE_MS: u64 = 200;

/// The pause after the first round, and the longest one.
const FIRST_PAUSE_MS: u64 = 25;
const LONGEST_PAUSE_MS: u64 = 500;

/// The pause after a round in which a server has opened a session for nothing.
const REFUSED_PAUSE_MS: u64 = 2_000;

/// This many addresses that were good are remembered.
const GOOD: usize = 8;

/// This many servers are remembered that are asked one thing at a time.
const ONE_AT_A_TIME: usize = 64;

/// The next thing to do for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Dial(SocketAddr),
    /// Look the names up, and pass the addresses to `set_addresses`.
    LookUp,
    WaitUntil(Time),
    /// Wait for the addresses.
    WaitForLookUp,
}

#[derive(Debug)]
pub struct Servers {
    random: u64,
    state: State,
    /// The addresses of this round that were not tried yet.
    round: VecDeque<SocketAddr>,
    /// Addresses with which a session stood, the last one first.
    good: Vec<SocketAddr>,
    /// The address that failed last.
    failed: Option<SocketAddr>,
    /// The present connection.
    connected: Option<(SocketAddr, Time)>,
    failed_rounds: u32,
    /// In this round a server has opened a session and refused us.
    has_refused: bool,
    /// No session has stood since something that followed a ConnectRequest had no answer.
    has_lost_answer: bool,
    /// The servers that ended a connection on which something had followed the ConnectRequest, and not the next one.
    one_at_a_time: BTreeSet<SocketAddr>,
    /// The rule that these pauses break, so that the simulation can show that it is needed.
    #[cfg(feature = "testing")]
    pub broken: Option<Rule>,
}

#[derive(Debug)]
enum State {
    /// A pause, and then the next round.
    Pause(Time),
    /// The names are being looked up. Meanwhile `round` has the good addresses.
    LookingUp,
    /// `round` has the addresses of this round.
    Round,
}

impl Servers {
    /// The same seed draws the same orders and pauses.
    pub fn new(seed: u64) -> Servers {
        Servers {
            random: seed,
            state: State::Pause(Time(0)),
            round: VecDeque::new(),
            good: Vec::new(),
            failed: None,
            connected: None,
            failed_rounds: 0,
            has_refused: false,
            has_lost_answer: false,
            one_at_a_time: BTreeSet::new(),
            #[cfg(feature = "testing")]
            broken: None,
        }
    }

    /// Whether requests may follow the ConnectRequest on a connection to this address at once.
    pub fn may_pipeline(&self, address: SocketAddr) -> bool {
        !self.has_lost_answer && !self.one_at_a_time.contains(&address)
    }

    /// The connection to this address has ended before the ConnectRequest was answered. `has_pipelined` says whether
    /// something had followed it.
    pub fn unanswered(&mut self, address: SocketAddr, has_pipelined: bool) {
        if !has_pipelined {
            // The server does so in any case.
            self.one_at_a_time.remove(&address);
            return;
        }
        self.has_lost_answer = true;
        if self.one_at_a_time.len() == ONE_AT_A_TIME {
            self.one_at_a_time.pop_first();
        }
        self.one_at_a_time.insert(address);
    }

    /// What the look-up has found: nothing, if it failed.
    pub fn set_addresses(&mut self, now: Time, mut addresses: Vec<SocketAddr>) {
        if !matches!(self.state, State::LookingUp) {
            return;
        }
        addresses.sort_unstable();
        addresses.dedup();
        for at in (1..addresses.len()).rev() {
            let other = self.draw(at as u64 + 1) as usize;
            addresses.swap(at, other);
        }
        // The one that has just failed is the last to be tried.
        if let Some(at) = addresses.iter().position(|address| Some(*address) == self.failed) {
            let failed = addresses.remove(at);
            addresses.push(failed);
        }
        self.round = addresses.into();
        self.state = State::Round;
        if self.round.is_empty() {
            self.pause(now);
        }
    }

    pub fn next(&mut self, now: Time) -> Next {
        match self.state {
            State::Pause(until) if now < until => Next::WaitUntil(until),
            State::Pause(_) => {
                self.round = self.good.iter().copied().collect();
                self.state = State::LookingUp;
                Next::LookUp
            }
            State::LookingUp => self.round.pop_front().map_or(Next::WaitForLookUp, Next::Dial),
            State::Round => match self.round.pop_front() {
                Some(address) => Next::Dial(address),
                None => {
                    self.pause(now);
                    self.next(now)
                }
            },
        }
    }

    /// The session stands on a connection to this address.
    pub fn connected(&mut self, now: Time, address: SocketAddr) {
        self.connected = Some((address, now));
        self.has_lost_answer = false;
        self.good.retain(|other| *other != address);
        self.good.insert(0, address);
        self.good.truncate(GOOD);
    }

    /// The attempt, or the connection, to this address has ended.
    pub fn failed(&mut self, now: Time, address: SocketAddr) {
        self.failed = Some(address);
        let Some((connected, since)) = self.connected else { return };
        if connected == address {
            self.connected = None;
            if now >= since.plus_ms(SHORT_LIFE_MS) {
                self.failed_rounds = 0;
                self.state = State::Pause(now);
            }
        }
    }

    /// A server has opened a session, and then refused us. It keeps that session until it expires.
    pub fn has_refused(&mut self, now: Time) {
        self.has_refused = true;
        if matches!(self.state, State::Pause(_)) {
            self.pause(now);
        }
    }

    /// A round has failed. Pauses are drawn, so that many clients do not come back at the same moment.
    fn pause(&mut self, now: Time) {
        let most = match std::mem::take(&mut self.has_refused) {
            true => REFUSED_PAUSE_MS,
            false => (FIRST_PAUSE_MS << self.failed_rounds.min(16)).min(self.longest_pause_ms()),
        };
        self.failed_rounds = self.failed_rounds.saturating_add(1);
        let pause = most / 2 + self.draw(most / 2 + 1);
        self.state = State::Pause(now.plus_ms(pause));
    }

    fn longest_pause_ms(&self) -> u64 {
        if self.keeps(Rule::PausesAreShort) {
            LONGEST_PAUSE_MS
        } else {
            u64::MAX
        }
    }

    #[cfg(feature = "testing")]
    fn keeps(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    #[cfg(not(feature = "testing"))]
    fn keeps(&self, _rule: Rule) -> bool {
        true
    }

    /// A number below `bound` (SplitMix64).
    fn draw(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
