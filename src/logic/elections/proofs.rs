//! The requests that keep the lease: a touch and a proof behind it if a candidate is elected or the next in a queue, touches
//! if all candidates wait. If all of them only wait in queues, the touches come seldom, and in pairs. And the handling of a
//! proof that failed.
//!
//! The proof goes out when the touch is answered: it can count from what that answer shows. Such a pair goes out a little
//! less often than every third part of the longest distance (`Lease::distance`). So the third pair before it was answered
//! that distance before, if an answer takes little of T, and both of its requests have left marks: the first one
//! is the second newest.

use std::ops::Bound;
use std::sync::Arc;

use super::{Elections, Link};
use crate::logic::candidate::Candidate;
use crate::logic::config::{LeaseMode, Rule};
use crate::logic::recipe::Effort;
use crate::logic::subscription::{Key, Trigger};
use crate::logic::types::{rc, Op, Reason, Reply, RequestId, Time};

/// While a candidate is elected, or next in a queue, a touch and a proof go out each time that this part of the session timeout has passed.
const PAIR_PERCENT: u64 = 13;

/// If no proofs are needed, this many touches go out per session timeout meanwhile.
const ANSWERS_PER_TIMEOUT: u64 = 16;

/// While all candidates wait and one of them may be elected at any moment, this many touches per session timeout make the
/// leader answer. So the lease has a touch to count from when a candidate is elected.
const TOUCHES_PER_TIMEOUT: u64 = 7;

/// How many znodes one proof checks. If the session leads more elections, the proofs check them in turn.
const CHECKS_PER_PROOF: usize = 64;

impl Elections {
    pub(super) fn anyone_leads(&self) -> bool {
        self.config.keeps(Rule::LapseIsFinal) && !self.led.is_empty()
    }

    /// The lease may have begun to hold. If it has, the elected candidates may believe that they are master.
    pub(super) fn review(&mut self, now: Time) {
        let held = std::mem::replace(&mut self.lease_held, self.lease.holds(now));
        if self.lease_held && !held {
            for path in self.elected.clone() {
                self.trigger(now, &Key::Candidate(path), Trigger::Tick);
            }
        }
    }

    /// The next moment of a request for the lease, while the session is connected.
    pub(super) fn next_renewal(&self) -> Option<Time> {
        let timeout = self.lease.timeout();
        let period = match self.efforts.most()? {
            _ if !self.at_work.is_empty() && self.needs_proofs() => timeout / 100 * PAIR_PERCENT,
            _ if !self.at_work.is_empty() => timeout / ANSWERS_PER_TIMEOUT,
            Effort::Lease | Effort::Anchor => timeout / TOUCHES_PER_TIMEOUT,
            Effort::Session if !self.config.keeps(Rule::WaitersKeepAnchor) => return None,
            Effort::Session => timeout / self.lease.pairs_per_timeout(),
        };
        let beat = Time(self.last_renewal.0 + period);
        Some(self.settles().map_or(beat, |settles| settles.min(beat)))
    }

    /// The first moment at which a proof may succeed, if a candidate works for a lease and has none. The proof is sent
    /// then.
    fn settles(&self) -> Option<Time> {
        let waits = !self.at_work.is_empty() && !self.lease_held;
        waits.then(|| self.lease.settles(self.last_proof)).flatten()
    }

    fn needs_proofs(&self) -> bool {
        self.config.lease_mode == LeaseMode::Committed && self.config.keeps(Rule::CommittedProof)
    }

    /// Sends a request for the lease: a proof while a candidate works for it; a touch otherwise and before each proof.
    /// A touch costs no quorum.
    pub(super) fn renew(&mut self, now: Time) {
        self.last_renewal = now;
        let settled = self.settles().is_some_and(|settles| settles <= now);
        let Some(first) = self.candidates().next().map(Candidate::path) else { return };
        let needs_proofs = self.needs_proofs();
        let touches = !needs_proofs || !self.touched && !settled;
        self.touched = self.at_work.is_empty() || touches;
        if !self.touched || !needs_proofs {
            self.last_proof = now;
        }
        if self.touched {
            let touch = match self.config.asks_leader() {
                true => Op::Touch,
                false => Op::Stat { path: first.clone() },
            };
            // Those who only wait touch seldom. Two touches at once leave two marks, of which one is not lost.
            if self.efforts.most() == Some(Effort::Session) && self.config.keeps(Rule::PairedTouches) {
                self.outbox.submit(Key::Lease, touch.clone());
            }
            self.touch = Some(self.outbox.submit(Key::Lease, touch));
            return;
        }
        self.prove_next();
    }

    /// The touch was answered: a proof follows, if none has gone out meanwhile.
    fn touch_ended(&mut self, now: Time, reply: &Reply) {
        let is_due = self.touched && !self.at_work.is_empty() && self.needs_proofs();
        if reply.is_success() && is_due && matches!(self.link, Link::Up(_)) {
            (self.touched, self.last_proof) = (false, now);
            self.prove_next();
        }
    }

    fn prove_next(&mut self) {
        let checked = self.next_to_check();
        assert!(!checked.is_empty(), "who works for a lease has a znode");
        self.prove(checked);
    }

    /// Checks the znodes of these candidates, if they work for a lease.
    fn prove(&mut self, mut checked: Vec<Arc<str>>) {
        let breaks = !self.config.keeps(Rule::WaitersProveOwn);
        let own_path = |path: &Arc<str>| match self.candidate(path)?.proved_by()? {
            _ if breaks && !self.elected.contains(path) => Some("/".into()),
            own => Some(own),
        };
        checked.retain(|path| own_path(path).is_some());
        let paths: Vec<_> = checked.iter().filter_map(own_path).collect();
        if !paths.is_empty() {
            let request = self.outbox.submit(Key::Lease, Op::Prove { paths });
            self.proofs.insert(request, checked);
        }
    }

    /// The candidates that work for a lease and are next to be checked, in rotation.
    fn next_to_check(&mut self) -> Vec<Arc<str>> {
        let has_znode = |path: &&Arc<str>| self.candidate(path).is_some_and(|c| c.proved_by().is_some());
        let last = self.last_checked.as_ref();
        let after = (last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let later = self.at_work.range::<Arc<str>, _>(after);
        let earlier = last.into_iter().flat_map(|last| self.at_work.range::<Arc<str>, _>(..=last));
        let turn: Vec<_> = later.chain(earlier).filter(has_znode).take(CHECKS_PER_PROOF).cloned().collect();
        self.last_checked = turn.last().cloned();
        turn
    }

    pub(super) fn proof_ended(&mut self, now: Time, request: RequestId, reply: &Reply) {
        if self.touch.take_if(|touch| *touch == request).is_some() {
            return self.touch_ended(now, reply);
        }
        let checked = self.proofs.remove(&request).unwrap_or_default();
        let found = match (reply, checked.len()) {
            (Reply::Refused(rc::NO_NODE), 1) => Trigger::Missing,
            // A candidate that cannot be proved cannot lead any longer. It must not stop the other candidates.
            (Reply::Refused(rc), 1) if rc::is_for_good(*rc) => match self.elected.contains(&checked[0]) {
                true => Trigger::Leave(Reason::Denied, *rc),
                false => return,
            },
            (Reply::Refused(rc), 2..) if rc::is_for_good(*rc) => {
                return checked.into_iter().for_each(|path| self.prove(vec![path]));
            }
            (Reply::Refused(_), _) => Trigger::Doubt,
            _ => return,
        };
        for path in checked {
            self.trigger(now, &Key::Candidate(path), found.clone());
        }
    }
}
