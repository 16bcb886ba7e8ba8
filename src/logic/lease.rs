//! The lease: until when a master may believe, as long as nobody tells otherwise. One for each session.
//!
//! ZooKeeper's leader *touches* our session, which moves its expiry to T after that. It *takes* a session that is due, and
//! *closes* it later; only then can another contender's create succeed. So a master may believe until T after an *anchor*: a
//! moment after which the leader has touched the session, and had not taken it. ARCHITECTURE.md has the proof. In short:
//!
//! - A *proof* is a transaction of ours that is committed. Sent at P, it shows that after P this server's leader had a
//!   quorum, and the session lived. A ping, a read, even a sync shows nothing of the kind.
//! - An answered request has left a *mark* at the server. The mark goes to the leader with the server's answer to the
//!   leader's next PING. One mark may be lost when it coincides with that, two in a row are not.
//! - An *answer of the leader's*, to a request that was sent at E, shows that such a PING was there: the second newest of the
//!   requests that were answered before E - D is the anchor of a touch that came before this answer.
//! - *Opening* and *resuming* the session touch it at the leader itself, after they were asked for.
//! - A touch *counts* if the session could not be due when it came: an earlier one counts, and lasts until then. Or if a proof
//!   shows a while later (W) that the session still lives: whatever the leader had taken is closed by then.
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
}

/// A touch that an answer of the leader shows.
#[derive(Clone, Copy, Debug)]
struct Shown {
    /// When the request was sent that had this answer.
    sent_at: Time,
    touch: Touch,
}

/// The leader has renewed the session: after `anchor`, and before `heard_at`.
#[derive(Clone, Copy, Debug)]
struct Touch {
    anchor: Time,
    heard_at: Time,
    /// The opening or resumption of the session, not a request.
    is_opening: bool,
}

/// When a connection asked for the session.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// This connection.
    pub at: Time,
    /// The first of the connections that asked since the session last stood: this one, or one that had no answer.
    pub since: Time,
}

/// What the present end was counted from; for diagnostics.
#[derive(Clone, Copy, Debug)]
struct Basis {
    proof: Answered,
    touch: Touch,
}

#[derive(Debug)]
pub struct Lease {
    config: Config,
    /// T, in nanoseconds: the shortest that a server has granted this session. Marks with a shorter one may still be on
    /// their way to the leader when another server grants a longer one.
    timeout: u64,
    /// The one that was granted last: a server grants at least two of its ticks.
    granted: u64,
    /// Requests that were sent before belong to an earlier connection.
    connected_at: Time,
    /// A new session is asked for, and requests are sent with that, since this moment.
    opening_at: Option<Time>,
    /// The newest touch that counts by itself: the leader of this connection does not end the session before
    /// its anchor and T. Known without a proof, if that leader is the leader.
    counts: Option<Touch>,
    /// The session was resumed on this connection when nothing was known to count: to be counted later.
    resumed: Option<Touch>,
    /// No leader ends the session before this moment: that is known of its opening, or proved.
    lives_until: Option<Time>,
    /// The answered requests of this connection in order; older ones than can matter are dropped.
    answered: VecDeque<Answered>,
    /// The touches that answers of the leader on this connection have shown, in order, without those that have been found to
    /// count.
    shown: VecDeque<Shown>,
    /// When the request was sent whose answer showed the last of those.
    last_counted: Option<Time>,
    end: Option<Time>,
    basis: Option<Basis>,
}

impl Lease {
    pub fn new(config: Config) -> Lease {
        Lease {
            config,
            timeout: 0,
            granted: 0,
            connected_at: Time(0),
            opening_at: None,
            counts: None,
            resumed: None,
            lives_until: None,
            answered: VecDeque::new(),
            shown: VecDeque::new(),
            last_counted: None,
            end: None,
            basis: None,
        }
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

    /// From now on, requests may be sent before it is known that the session was opened. They count like others: the
    /// server carries them out after it has opened the session, on the same connection.
    pub fn opening(&mut self, now: Time) {
        self.opening_at = Some(now);
    }

    /// The connection of `opening` has ended.
    pub fn not_opened(&mut self) {
        self.opening_at = None;
    }

    /// A new session was opened by a request sent at `asked_at` or later. That the server says so shows that a quorum has
    /// committed it, and a session that is new is in no bucket that is due.
    pub fn opened(&mut self, now: Time, timeout_ns: u64, asked_at: Time) {
        let opening = Touch { anchor: asked_at, heard_at: now, is_opening: true };
        self.closed();
        self.timeout = timeout_ns;
        self.connected_at = self.opening_at.take().unwrap_or(now);
        self.granted = timeout_ns;
        self.counts = Some(opening);
        self.lives_until = Some(self.lasts(&opening));
    }

    /// The session was resumed on a new connection, and has this timeout there.
    pub fn resumed(&mut self, now: Time, timeout_ns: u64, asked: Asked) {
        self.forget_requests();
        self.connected_at = now;
        self.counts = None;
        self.resumed = None;
        self.granted = timeout_ns;
        let anchor = if self.config.keeps(Rule::OwnConnect) { asked.at } else { now };
        let resumption = Touch { anchor, heard_at: now, is_opening: true };
        if timeout_ns < self.timeout && self.config.keeps(Rule::ShorterTimeout) {
            // The leader counts by that from now on, and counts anew from one of these attempts.
            self.timeout = timeout_ns;
            let until = Some(self.lasts(&Touch { anchor: asked.since, ..resumption }));
            self.lives_until = self.lives_until.min(until);
            self.end = self.end.min(until);
        }
        let lives = self.lives_until.is_some_and(|until| now < until);
        match lives || !self.config.keeps(Rule::ResumedAlive) {
            true => self.counts = Some(resumption),
            false => self.resumed = Some(resumption),
        }
    }

    /// The session is over.
    pub fn closed(&mut self) {
        self.end = None;
        self.basis = None;
        self.counts = None;
        self.resumed = None;
        self.lives_until = None;
        self.forget_requests();
    }

    fn forget_requests(&mut self) {
        self.answered.clear();
        self.shown.clear();
        self.last_counted = None;
    }

    /// A request that was sent at `sent_at` was answered.
    pub fn answered(&mut self, now: Time, sent_at: Time, answer: Answer) {
        if sent_at < self.connected_at {
            return;
        }
        let counted = if self.config.keeps(Rule::CountFromSending) { sent_at } else { now };
        // An anchor that is as old as T gives no lease.
        let is_useless = |sent_at: Time| sent_at.0 + self.timeout <= now.0;
        let useless = self.answered.partition_point(|earlier| is_useless(earlier.sent_at));
        let shown = self.shown.partition_point(|shown| is_useless(shown.sent_at));
        self.answered.drain(..useless);
        for useless in self.shown.drain(..shown).collect::<Vec<_>>() {
            self.counts = self.follow(self.counts, useless.touch, None);
        }
        let any_answer_proves =
            self.config.lease_mode == LeaseMode::Answered || !self.config.keeps(Rule::CommittedProof);
        let answered = Answered { sent_at: counted, heard_at: now };
        if answer == Answer::Quorum || any_answer_proves {
            self.proved(answered);
        }
        if answer >= Answer::Leader || !self.config.asks_leader() {
            let shown = self.shown_by(counted, now);
            self.shown.extend(shown.map(|touch| Shown { sent_at: counted, touch }));
        }
        self.answered.push_back(answered);
    }

    /// The touch that has reached the leader before an answer of its own did, to a request sent at `asked_at`.
    fn shown_by(&self, asked_at: Time, heard_at: Time) -> Option<Touch> {
        let newest = usize::from(self.config.keeps(Rule::SecondNewest));
        let at = self.noted_before(asked_at).checked_sub(1 + newest)?;
        Some(Touch { anchor: self.answered[at].sent_at, heard_at, is_opening: false })
    }

    /// How many of the answered requests a server has noted long enough before that moment for a PING to take them along.
    fn noted_before(&self, moment: Time) -> usize {
        let before = moment.0.saturating_sub(self.distance());
        self.answered.partition_point(|earlier| match self.config.keeps(Rule::HeardBefore) {
            true => earlier.heard_at.0 <= before,
            false => earlier.sent_at.0 <= before,
        })
    }

    /// The newest touch that counts after this one. It does if the session could not be due yet: it was renewed, and not
    /// taken to be closed. Or if it was proved a while later, at `proved_at`: who is taken is closed by then.
    fn follow(&self, counts: Option<Touch>, touch: Touch, proved_at: Option<Time>) -> Option<Touch> {
        if !self.is_counted(counts, &touch, proved_at) {
            return counts;
        }
        match counts {
            Some(former) if former.anchor >= touch.anchor => Some(former),
            _ => Some(touch),
        }
    }

    fn is_counted(&self, counts: Option<Touch>, touch: &Touch, proved_at: Option<Time>) -> bool {
        let in_time = counts.is_some_and(|former| touch.heard_at < self.lasts(&former));
        let survived = proved_at.is_some_and(|proved_at| self.settled(touch) <= proved_at);
        let rule = if touch.is_opening { Rule::ResumedAlive } else { Rule::TouchedAlive };
        in_time || survived || !self.config.keeps(rule)
    }

    /// The newest touch that counts, as far as was known when a proof was sent. Takes out those that count. The first one
    /// that does not is the last to be looked at: those after it came later, and do not count either.
    fn newest_touch(&mut self, proof: &Answered) -> Option<Touch> {
        let (sent_at, known) = (proof.sent_at, |touch: &Touch| touch.heard_at <= proof.sent_at);
        let mut counts = self.counts;
        for resumed in self.resumed.into_iter().filter(known) {
            counts = self.follow(counts, resumed, Some(sent_at));
        }
        while let Some(first) = self.shown.front().copied().filter(|first| known(&first.touch)) {
            if !self.is_counted(counts, &first.touch, Some(sent_at)) {
                break;
            }
            counts = self.follow(counts, first.touch, Some(sent_at));
            self.shown.pop_front();
            self.last_counted = Some(first.sent_at);
        }
        // Where the leader need not be asked, the proof shows by itself what has come to it.
        let by_itself = if self.config.asks_leader() { None } else { self.shown_by(sent_at, sent_at) };
        by_itself.map_or(counts, |touch| self.follow(counts, touch, Some(sent_at)))
    }

    /// The answer to this request proves the lease.
    fn proved(&mut self, proof: Answered) {
        let Some(touch) = self.newest_touch(&proof) else { return };
        self.counts = Some(touch);
        let end = self.lasts(&touch);
        self.lives_until = self.lives_until.max(Some(end));
        if self.end < Some(end) {
            self.end = Some(end);
            self.basis = Some(Basis { proof, touch });
        }
        // What lies before the second newest will never be the second newest.
        let known = self.shown.partition_point(|shown| shown.touch.heard_at <= proof.sent_at);
        let last = known.checked_sub(1).map(|at| self.shown[at].sent_at).or(self.last_counted);
        if let Some(last) = last {
            let useless = self.noted_before(last).saturating_sub(2);
            self.answered.drain(..useless);
            let first = self.answered.front().map(|request| request.sent_at);
            let older = self.shown.partition_point(|shown| first.is_some_and(|first| shown.sent_at < first));
            self.shown.drain(..older);
        }
    }

    /// No leader that has touched the session after this touch's anchor ends it before. The margin covers clocks that differ by
    /// more than 1 %, so it is taken off wherever our clock is compared with the leader's: for the end of a lease, and
    /// for whether the session could be due when a later touch came.
    fn lasts(&self, touch: &Touch) -> Time {
        let margin =
            if self.config.keeps(Rule::Margin) { self.config.margin_ms.saturating_mul(1_000_000) } else { 0 };
        Time((touch.anchor.0 + self.timeout - self.clock_rate()).saturating_sub(margin))
    }

    /// When a session is closed that had been taken before this touch: W later.
    fn settled(&self, touch: &Touch) -> Time {
        Time(touch.heard_at.0 + self.distance().max(self.granted / 8))
    }

    /// The first moment after `last_proof` at which a proof would show that a touch counts which does not by itself.
    pub fn settles(&self, last_proof: Time) -> Option<Time> {
        let waits = |touch: &Touch| {
            let counts_not = self.counts.is_none_or(|counts| self.lasts(&counts) <= touch.heard_at);
            counts_not && self.settled(touch) > last_proof
        };
        // In order: of those that are shown, all wait after the first that does.
        let first = self.shown.partition_point(|shown| !waits(&shown.touch));
        let shown = self.shown.get(first).map(|shown| shown.touch);
        self.resumed.filter(waits).or(shown).map(|touch| self.settled(&touch))
    }

    /// How often in a session timeout two touches at once keep an anchor. The leader's answer to a pair shows the pair
    /// before, if D is well below the time between them, and then the chain of claim 7 holds with three pairs; else it
    /// shows the pair before that one, and four are needed.
    pub fn pairs_per_timeout(&self) -> u64 {
        if self.distance() <= self.timeout / 4 {
            3
        } else {
            4
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
        let why_not = match (self.end, self.lives_until) {
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
            (
                "anchor",
                basis.map(|b| if b.touch.is_opening { "session opened or resumed" } else { "request" }).into(),
            ),
            ("anchor_ago_ms", basis.map(|b| ago(b.touch.anchor)).into()),
            ("proof_sent_ago_ms", basis.map(|b| ago(b.proof.sent_at)).into()),
            ("proof_answered_ago_ms", basis.map(|b| ago(b.proof.heard_at)).into()),
            ("last_answer_ago_ms", self.answered.back().map(|last| ago(last.heard_at)).into()),
        ])
    }

    /// D, in nanoseconds: more than the time between two PINGs, which is half a tick and what the leader takes to send
    /// them. Half as much again, and where the tick is not told, that of the longest tick that T allows: T is at
    /// least two ticks.
    fn distance(&self) -> u64 {
        if !self.config.keeps(Rule::Distance) {
            return 0;
        }
        self.config.tick_ms.map_or(self.granted / 8 * 3, |tick_ms| tick_ms * 1_000_000 / 4 * 3)
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

    /// Resumed on a connection that asked for it this long before.
    fn resume(lease: &mut Lease, now: Time) {
        let at = Time(now.0 - 3_000_000);
        lease.resumed(now, T * 1_000_000, Asked { at, since: at });
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
        for sent in [1_100, 1_200, 1_300, 1_400, 1_500, 1_600] {
            lease.answered(at(sent + 5), at(sent), Leader);
        }
        assert_eq!(lease.end(), None, "neither a read nor a sync proves anything");
        lease.answered(at(1_705), at(1_700), Quorum);
        assert_eq!(lease.end(), Some(at(1_100 + 990)), "1,200 is the newest before 1,600 - 375");
    }

    #[test]
    fn what_no_answer_of_the_leader_came_after_is_no_anchor() {
        let mut lease = lease();
        for sent in [1_100, 1_200, 1_300, 1_400, 1_500, 1_600] {
            let answer = if sent == 1_500 { Leader } else { Server };
            lease.answered(at(sent + 5), at(sent), answer);
        }
        lease.answered(at(1_705), at(1_700), Quorum);
        assert_eq!(lease.end(), Some(at(1_000 + 990)), "1,100 is the newest before 1,500 - 375, and may be lost");
        lease.answered(at(1_805), at(1_704), Quorum);
        assert_eq!(
            lease.end(),
            Some(at(1_000 + 990)),
            "what was heard after 1,704 says nothing of what came before"
        );
        lease.answered(at(1_905), at(1_900), Quorum);
        assert_eq!(lease.end(), Some(at(1_200 + 990)), "1,300 is the newest before 1,704 - 375");
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
        assert_eq!(lease.end(), Some(at(1_100 + 990)), "of what was heard before 1,600 - 375");
    }

    #[test]
    fn a_resumption_counts_from_its_own_connect() {
        let mut lease = lease();
        lease.answered(at(1_105), at(1_100), Quorum);
        lease.answered(at(1_205), at(1_200), Leader);
        resume(&mut lease, at(1_500));
        lease.answered(at(1_505), at(1_450), Quorum);
        assert_eq!(lease.end(), Some(at(1_990)), "sent before the connection: not of it");
        lease.answered(at(1_605), at(1_600), Quorum);
        assert_eq!(lease.end(), Some(at(1_497 + 990)));
    }

    /// The tracker may have taken the session to close it, and not have come to that.
    #[test]
    fn a_session_resumed_when_it_was_due_counts_when_it_has_survived() {
        let mut lease = lease();
        lease.answered(at(1_105), at(1_100), Quorum);
        lease.answered(at(1_905), at(1_900), Leader);
        resume(&mut lease, at(2_000));
        lease.answered(at(2_005), at(2_001), Quorum);
        assert_eq!(lease.end(), Some(at(1_990)));
        assert_eq!(lease.settles(at(2_001)), Some(at(2_375)));
        lease.answered(at(2_380), at(2_374), Quorum);
        assert_eq!(lease.end(), Some(at(1_990)), "sent too soon");
        lease.answered(at(2_385), at(2_375), Quorum);
        assert_eq!(lease.end(), Some(at(1_997 + 990)));
        assert_eq!(lease.settles(at(2_375)), None);
    }

    #[test]
    fn a_session_that_nobody_proved_is_resumed_within_its_first_timeout_or_counts_later() {
        for (resumed, counts) in [(1_989, true), (1_990, false)] {
            let mut lease = lease();
            lease.answered(at(1_905), at(1_900), Leader);
            resume(&mut lease, at(resumed));
            lease.answered(at(2_005), at(2_001), Quorum);
            assert_eq!(lease.end(), counts.then_some(at(resumed - 3 + 990)), "{resumed}");
        }
    }

    /// As `a_session_resumed_when_it_was_due_counts_when_it_has_survived`, by requests: a follower was cut off from its
    /// leader, and went on answering.
    #[test]
    fn a_touch_that_came_when_the_session_was_due_counts_when_it_has_survived() {
        let mut lease = lease();
        for sent in [1_100, 1_200, 1_300, 1_400] {
            lease.answered(at(sent + 5), at(sent), Server);
        }
        // The first answer of the leader for long.
        lease.answered(at(2_000), at(1_800), Leader);
        lease.answered(at(2_005), at(2_001), Quorum);
        assert_eq!(lease.end(), Some(at(1_990)), "1,300 is no anchor yet");
        assert_eq!(lease.settles(at(2_001)), Some(at(2_375)));
    }

    #[test]
    fn touches_in_time_count_one_by_one() {
        let mut lease = lease();
        for sent in (1_100..9_000).step_by(100) {
            lease.answered(at(sent + 5), at(sent), Leader);
        }
        lease.answered(at(9_005), at(9_000), Quorum);
        assert_eq!(lease.end(), Some(at(8_400 + 990)), "8,500 is the newest before 8,900 - 375");
    }

    #[test]
    fn a_server_that_shortens_the_timeout_shortens_the_lease() {
        let mut lease = lease();
        lease.answered(at(1_105), at(1_100), Quorum);
        lease.answered(at(1_205), at(1_200), Leader);
        lease.resumed(at(1_300), T / 2 * 1_000_000, Asked { at: at(1_290), since: at(1_250) });
        assert_eq!(
            lease.end(),
            Some(at(1_250 + 495)),
            "at once, and by the first attempt that may have touched it"
        );
        lease.answered(at(1_355), at(1_350), Quorum);
        assert_eq!(lease.end(), Some(at(1_290 + 495)));
        resume(&mut lease, at(1_400));
        lease.answered(at(1_505), at(1_500), Quorum);
        assert_eq!(lease.end(), Some(at(1_397 + 495)), "and T stays so");
    }

    #[test]
    fn a_shorter_timeout_alone_proves_nothing() {
        let mut lease = lease();
        lease.answered(at(1_105), at(1_100), Quorum);
        let asked = Asked { at: at(1_900), since: at(1_900) };
        lease.resumed(at(1_905), T / 2 * 1_000_000, asked);
        assert_eq!(lease.end(), Some(at(1_990)), "it never lengthens the lease");
        resume(&mut lease, at(2_000));
        lease.answered(at(2_010), at(2_005), Quorum);
        assert_eq!(lease.end(), Some(at(1_990)), "nobody has proved that the session lived on");
    }

    /// The first attempt had no answer. Its timeout has passed since, so the leader may have taken the session.
    #[test]
    fn a_shorter_timeout_that_has_passed_leaves_nothing_to_count_from() {
        let mut lease = lease();
        lease.answered(at(1_105), at(1_100), Quorum);
        let asked = Asked { at: at(1_790), since: at(1_200) };
        lease.resumed(at(1_800), T / 2 * 1_000_000, asked);
        assert_eq!(lease.end(), Some(at(1_200 + 495)));
        lease.answered(at(1_805), at(1_801), Quorum);
        assert_eq!(lease.end(), Some(at(1_200 + 495)), "it may be closed in a moment");
        lease.answered(at(1_995), at(1_988), Quorum);
        assert_eq!(lease.end(), Some(at(1_790 + 495)), "it has survived");
    }

    /// A server that grants more may have longer ticks.
    #[test]
    fn a_server_that_lengthens_the_timeout_lengthens_the_distance() {
        let mut lease = lease();
        lease.answered(at(1_105), at(1_100), Quorum);
        lease.resumed(at(1_200), 2 * T * 1_000_000, Asked { at: at(1_190), since: at(1_190) });
        for sent in (1_250..2_150).step_by(50) {
            lease.answered(at(sent + 5), at(sent), Leader);
        }
        lease.answered(at(2_125), at(2_120), Quorum);
        assert_eq!(
            lease.end(),
            Some(at(1_250 + 990)),
            "1,300 is the newest before 2,100 - 750, and T does not grow"
        );
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
        assert_eq!(lease.end(), Some(at(1_100 + 890)), "1,200 is the newest before 1,400 - 150");
    }
}
