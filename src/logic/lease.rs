//! The lease: until when a master may believe, as long as nobody tells otherwise. One for each session.
//!
//! ZooKeeper's leader expires a session when it has not been renewed for the session timeout T, never sooner;
//! only then can another contender's create succeed. So a master may believe until T after a moment at which it
//! knows the leader to have renewed the session. What is known, and from where (ARCHITECTURE.md has the
//! derivation, with ZooKeeper's source files):
//!
//! - A *committed transaction* of ours that was sent at P shows that after P this server's leader had a quorum
//!   and the session lived. A ping, a read, even a sync shows nothing of the kind.
//! - An *answered request* that was sent at A has marked the session as alive at the server. The mark goes to the
//!   leader with the server's answer to the leader's next PING, on the connection that also carries our
//!   transactions.
//! - An *answer of the leader's*, to a request that was sent at E, shows that such a PING was there: E is at least D after
//!   the answer to A, so the leader, which was awake, had sent a PING in between, and on the same connection as its
//!   answer. When that answer came before P, the mark went to the leader before our transaction did. (That A is D
//!   before P is not enough: a leader that was stopped meanwhile has sent no PING.)
//! - One mark may be lost when it coincides with a PING, so of the requests that were answered before E - D the second
//!   newest counts.
//! - *Opening or resuming* the session on a server renews it at the leader itself, after it was asked for.
//!
//! All moments are those of sending, on a clock that a suspended machine does not stop.

use std::collections::VecDeque;

use super::config::{Config, LeaseMode, Rule};
use super::report::Report;
use super::types::Time;

/// Whose answer a request had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// That of the server we are connected to, which may have heard nothing of the others for long.
    Server,
    /// One that its leader had a part in, which may have heard nothing of the others for long.
    Leader,
    /// That of a transaction of ours which a quorum has committed.
    Quorum,
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    sent_at: Time,
    heard_at: Time,
    answer: Answer,
}

/// What the present end was counted from; for diagnostics.
#[derive(Clone, Copy, Debug)]
struct Basis {
    proof: Answered,
    anchor: Time,
    /// The anchor is the opening or resumption of the session, not a request.
    is_opening: bool,
}

#[derive(Debug)]
pub struct Lease {
    config: Config,
    /// T, in nanoseconds.
    timeout: u64,
    /// Requests that were sent before belong to an earlier connection.
    connected_at: Time,
    /// The session was opened or resumed by a request sent at this moment or later.
    opened: Option<Time>,
    /// The answered requests of this connection in order; older ones than can matter are dropped.
    answered: VecDeque<Answered>,
    end: Option<Time>,
    basis: Option<Basis>,
}

impl Lease {
    pub fn new(config: Config) -> Lease {
        let answered = VecDeque::new();
        Lease { config, timeout: 0, connected_at: Time(0), opened: None, answered, end: None, basis: None }
    }

    /// T, in nanoseconds; 0 while there was no session.
    pub fn timeout(&self) -> u64 {
        self.timeout
    }

    /// The moment at which belief ends; `None` while there is none.
    pub fn end(&self) -> Option<Time> {
        self.end
    }

    pub fn holds(&self, now: Time) -> bool {
        self.end.is_some_and(|end| now < end)
    }

    /// A new session was opened by a request sent at `asked_at` or later.
    pub fn opened(&mut self, now: Time, timeout_ns: u64, asked_at: Time) {
        self.end = None;
        self.basis = None;
        self.timeout = timeout_ns;
        self.connected_at = now;
        self.opened = Some(asked_at);
        self.answered.clear();
    }

    /// The session was resumed on a new connection. It was asked for after the last answer on the former one
    /// had come, and so after that request had been sent.
    pub fn resumed(&mut self, now: Time) {
        self.connected_at = now;
        self.opened = match self.config.keeps(Rule::OneConnection) {
            true => self.answered.back().map(|request| request.sent_at).or(self.opened),
            false => Some(now),
        };
        self.answered.clear();
    }

    /// The session is over.
    pub fn closed(&mut self) {
        self.end = None;
        self.basis = None;
        self.opened = None;
        self.answered.clear();
    }

    /// A request that was sent at `sent_at` was answered.
    pub fn answered(&mut self, now: Time, sent_at: Time, answer: Answer) {
        if sent_at < self.connected_at {
            return;
        }
        let counted = if self.config.keeps(Rule::CountFromSending) { sent_at } else { now };
        // An anchor that is as old as T gives no lease.
        let useless = self.answered.partition_point(|earlier| earlier.sent_at.0 + self.timeout <= now.0);
        self.answered.drain(..useless);
        let any_answer_proves =
            self.config.lease_mode == LeaseMode::Answered || !self.config.keeps(Rule::CommittedProof);
        let answered = Answered { sent_at: counted, heard_at: now, answer };
        if answer == Answer::Quorum || any_answer_proves {
            self.proved(answered);
        }
        self.answered.push_back(answered);
    }

    /// The answer to this request proves the lease.
    fn proved(&mut self, proof: Answered) {
        let of_leader = |earlier: &&Answered| earlier.answer >= Answer::Leader && earlier.heard_at <= proof.sent_at;
        let awake = match self.config.asks_leader() {
            true => self.answered.iter().rev().find(of_leader).map_or(Time(0), |answered| answered.sent_at),
            false => proof.sent_at,
        };
        let before = awake.0.saturating_sub(self.distance());
        let arrived = |earlier: &Answered| match self.config.keeps(Rule::HeardBefore) {
            true => earlier.heard_at.0 <= before,
            false => earlier.sent_at.0 <= before,
        };
        let renewed = self.answered.partition_point(arrived);
        let newest = usize::from(self.config.keeps(Rule::SecondNewest));
        let renewal = renewed.checked_sub(1 + newest).map(|at| self.answered[at].sent_at);
        let Some(anchor) = self.opened.max(renewal) else { return };
        // What lies before the second newest will never be the second newest.
        self.answered.drain(..renewed.saturating_sub(2));
        let margin = self.config.margin_ms.saturating_mul(1_000_000);
        let end = (anchor.0 + self.timeout - self.clock_rate()).saturating_sub(margin);
        if self.end < Some(Time(end)) {
            self.end = Some(Time(end));
            self.basis = Some(Basis { proof, anchor, is_opening: Some(anchor) != renewal });
        }
    }

    /// By how much two clocks may differ in a session timeout, in nanoseconds.
    fn clock_rate(&self) -> u64 {
        if self.config.keeps(Rule::ClockRate) {
            self.timeout / 100
        } else {
            0
        }
    }

    /// The arithmetic of the end: anchor + T - clock rate - margin, and why the lease does not hold if it does not.
    pub fn describe(&self, now: Time) -> Report {
        let ago = |then: Time| Report::ms_between(then.0, now.0);
        let why_not = match (self.end, self.opened) {
            (Some(end), _) if now < end => None,
            (Some(_), _) => Some("it ran out"),
            (None, None) => Some("no session"),
            (None, Some(_)) => Some("no proof was committed in this session"),
        };
        let basis = self.basis.as_ref();
        Report::from([
            ("holds", self.holds(now).into()),
            ("why_not", why_not.into()),
            ("left_ms", self.end.map(|end| Report::ms_between(now.0, end.0)).into()),
            ("session_timeout_ms", (self.timeout / 1_000_000).into()),
            ("clock_rate_ms", (self.clock_rate() / 1_000_000).into()),
            ("margin_ms", self.config.margin_ms.into()),
            ("distance_ms", (self.distance() / 1_000_000).into()),
            ("anchor", basis.map(|b| if b.is_opening { "session opened or resumed" } else { "request" }).into()),
            ("anchor_ago_ms", basis.map(|b| ago(b.anchor)).into()),
            ("proof_sent_ago_ms", basis.map(|b| ago(b.proof.sent_at)).into()),
            ("proof_answered_ago_ms", basis.map(|b| ago(b.proof.heard_at)).into()),
            ("last_answer_ago_ms", self.answered.back().map(|last| ago(last.heard_at)).into()),
        ])
    }

    /// D, in nanoseconds: more than the time between two PINGs, which is half a tick. T is at least two ticks, so a
    /// quarter of it will do; where the tick is known, half as much again as that time, if that is less.
    fn distance(&self) -> u64 {
        if !self.config.keeps(Rule::Distance) {
            return 0;
        }
        let quarter = self.timeout / 4;
        let ping = |tick_ms: u64| tick_ms * 1_000_000 / 2;
        self.config.tick_ms.map(ping).map_or(quarter, |ping| quarter.min(ping / 2 * 3).max(ping))
    }
}

#[cfg(test)]
mod tests {
    use super::Answer::*;
    use super::*;

    const T: u64 = 1_000;

    fn at(ms: u64) -> Time {
        Time(0).plus_ms(ms)
    }

    fn lease() -> Lease {
        let mut lease = Lease::new(Config::default());
        lease.opened(at(1_010), T * 1_000_000, at(1_000));
        lease
    }

    #[test]
    fn opening_is_an_anchor_but_no_proof() {
        let mut lease = lease();
        assert_eq!(lease.end(), None);
        lease.answered(at(1_030), at(1_020), Quorum);
        assert_eq!(lease.end(), Some(at(1_990)));
    }

    #[test]
    fn the_second_newest_of_those_before_the_distance_is_the_anchor() {
        let mut lease = lease();
        for sent in [1_100, 1_200, 1_300, 1_400, 1_500] {
            lease.answered(at(sent + 5), at(sent), Leader);
        }
        assert_eq!(lease.end(), None, "neither a read nor a sync proves anything");
        lease.answered(at(1_605), at(1_600), Quorum);
        assert_eq!(lease.end(), Some(at(1_100 + 990)), "1,200 is the newest before 1,500 - 250");
    }

    #[test]
    fn what_no_answer_of_the_leader_came_after_is_no_anchor() {
        let mut lease = lease();
        for sent in [1_100, 1_200, 1_300, 1_400, 1_500, 1_600] {
            let answer = if sent == 1_400 { Leader } else { Server };
            lease.answered(at(sent + 5), at(sent), answer);
        }
        lease.answered(at(1_705), at(1_700), Quorum);
        assert_eq!(lease.end(), Some(at(1_000 + 990)), "1,100 is the newest before 1,400 - 250, and may be lost");
        lease.answered(at(1_805), at(1_704), Quorum);
        assert_eq!(
            lease.end(),
            Some(at(1_000 + 990)),
            "what was heard after 1,704 says nothing of what came before"
        );
        lease.answered(at(1_905), at(1_900), Quorum);
        assert_eq!(lease.end(), Some(at(1_300 + 990)), "1,400 is the newest before 1,704 - 250");
    }

    #[test]
    fn what_was_sent_early_and_heard_late_is_no_anchor() {
        let mut lease = lease();
        lease.answered(at(1_105), at(1_100), Server);
        lease.answered(at(1_205), at(1_200), Server);
        for sent in [1_300, 1_400, 1_500, 1_600] {
            lease.answered(at(1_790), at(sent), Leader);
        }
        lease.answered(at(1_905), at(1_800), Quorum);
        assert_eq!(lease.end(), Some(at(1_100 + 990)), "of what was heard before 1,600 - 250");
    }

    #[test]
    fn an_earlier_connection_leaves_only_its_last_answer() {
        let mut lease = lease();
        lease.answered(at(1_105), at(1_100), Quorum);
        lease.answered(at(1_205), at(1_200), Leader);
        lease.resumed(at(1_500));
        lease.answered(at(1_505), at(1_450), Quorum);
        assert_eq!(lease.end(), Some(at(1_990)), "sent before the connection: not of it");
        lease.answered(at(1_605), at(1_600), Quorum);
        assert_eq!(lease.end(), Some(at(1_200 + 990)));
    }

    #[test]
    fn a_lease_never_shrinks_and_ends_with_its_session() {
        let mut lease = lease();
        lease.answered(at(1_105), at(1_100), Quorum);
        lease.answered(at(1_205), at(1_200), Quorum);
        assert_eq!(lease.end(), Some(at(1_990)));
        lease.closed();
        assert_eq!(lease.end(), None);
    }

    #[test]
    fn margin_and_tick_are_heeded() {
        let mut lease = Lease::new(Config { margin_ms: 100, tick_ms: Some(200), ..Config::default() });
        lease.opened(at(1_010), T * 1_000_000, at(1_000));
        for sent in [1_100, 1_200, 1_300, 1_400] {
            lease.answered(at(sent + 5), at(sent), Leader);
        }
        lease.answered(at(1_405), at(1_405), Quorum);
        assert_eq!(lease.end(), Some(at(1_100 + 890)));
    }
}
