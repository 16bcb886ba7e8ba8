//! The settings of the elections of one session, given once: recipe, grace delay, lease; and, for tests only, a rule
//! that the core breaks.

use super::dialect::{is_used_up, Dialect, Name};

/// How the candidates of one election agree on the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// One ephemeral znode at the path.
    Node,
    /// Ephemeral sequential children of the path; the lowest one is the master's.
    Queue(Dialect),
}

impl Recipe {
    /// Whether the znode of another contender may have this path after ours. In a queue without GUIDs that is so when
    /// its counter is used up.
    pub fn may_be_another_later(self, path: &str) -> bool {
        let Recipe::Queue(dialect) = self else { return true };
        let name = path.rsplit('/').next().unwrap_or_default();
        !dialect.has_guid() && matches!(dialect.read(name), Name::Contender(number) if is_used_up(number))
    }
}

/// The evidence for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseMode {
    /// Committed transactions. Never two masters.
    Committed,
    /// Any answer of a server and its leader; costs no writes. If a master's leader is cut off from the other
    /// servers, the master believes that it is master for as long as that leader goes on answering (up to syncLimit x
    /// tickTime).
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub recipe: Recipe,
    /// How long a newly elected candidate waits before it is told that it is master, in milliseconds.
    pub grace_ms: u64,
    /// The time that is subtracted from each lease beyond the safety requirement, in milliseconds.
    pub margin_ms: u64,
    /// The server's tickTime, if known, in milliseconds.
    pub tick_ms: Option<u64>,
    pub lease_mode: LeaseMode,
    /// For tests of the tests: a rule that the core breaks.
    #[cfg(feature = "testing")]
    pub broken: Option<Rule>,
}

impl Default for Config {
    fn default() -> Self {
        let recipe = Recipe::Node;
        Config {
            recipe,
            grace_ms: 0,
            margin_ms: 0,
            tick_ms: None,
            lease_mode: LeaseMode::Committed,
            #[cfg(feature = "testing")]
            broken: None,
        }
    }
}

impl Config {
    /// Whether the core keeps this rule. True, except in a test that shows the purpose of the rule.
    #[cfg(feature = "testing")]
    pub fn keeps(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    #[cfg(not(feature = "testing"))]
    #[inline(always)]
    pub const fn keeps(&self, _: Rule) -> bool {
        true
    }

    /// Whether the core keeps all rules.
    #[cfg(feature = "testing")]
    pub fn keeps_all(&self) -> bool {
        self.broken.is_none()
    }

    #[cfg(not(feature = "testing"))]
    #[inline(always)]
    pub const fn keeps_all(&self) -> bool {
        true
    }

    /// Whether the lease counts only from requests that passed through the leader. True, except where a test breaks
    /// one of the two rules that need it.
    pub fn asks_leader(&self) -> bool {
        self.keeps(Rule::LeaderAwake) && self.keeps(Rule::CommittedProof)
    }
}

/// The rules of the lease and of the recipes. If any of them is broken, the simulation must find it. In a build that is
/// not for tests, a rule is only a name in the source: none can be broken.
#[cfg_attr(feature = "testing", derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash))]
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub enum Rule {
    /// Lease: time counts from the moment when a request was sent, not from the moment when its answer arrived.
    CountFromSending,
    /// Lease: of the requests that may have renewed the session, the second newest counts.
    SecondNewest,
    /// Lease: a request counts only if it was sent at least a minimum time before the proof.
    Distance,
    /// Lease: the answer to that request must also have arrived that minimum time before the proof.
    HeardBefore,
    /// Lease: a minimum time after that, the leader must have been asked something, and its answer must have arrived
    /// before the proof.
    LeaderAwake,
    /// Lease: only a committed transaction is a proof.
    CommittedProof,
    /// Lease: clocks may differ by 1 %.
    ClockRate,
    /// Lease: a resumption counts from the moment when its own connection asked for it, not from the moment when we
    /// heard of it.
    OwnConnect,
    /// Lease: a touch by a request may arrive too late, when the leader has already taken the session to close it.
    /// Such a touch counts if the session was not due, or if the session still lived a minimum time later.
    TouchedAlive,
    /// Lease: a touch by a resumption may also arrive too late.
    ResumedAlive,
    /// Lease: if a server shortens the timeout of a session that it resumes, the lease becomes shorter.
    ShorterTimeout,
    /// Lease: the margin is subtracted from the lease, for clocks that differ by more than 1 %.
    Margin,
    /// Lease: when a lease ends, its masterships are taken away before the end of the lease moves.
    UnseatFirst,
    /// Lease: when it has run out, the mastership is over and does not return.
    LapseIsFinal,
    /// Node: a create without an answer may have been carried out.
    UnknownMayBeOurs,
    /// Node: a znode is ours only if a create of ours may have made it. It is not enough that our session owns it.
    OwnCreate,
    /// Both: a create that was sent together with the request for a session made nothing of ours if nobody knows that
    /// session.
    OwnOpening,
    /// Node: a znode of our earlier session is not ours.
    EarlierSessionIsNotOurs,
    /// Node: if a znode is gone when it is read, the candidate contends for the place at once.
    GoneIsOpen,
    /// Node: if a candidate gives up its place while a write of it may still be carried out, it also gives up the
    /// session.
    DoubtEndsSession,
    /// Node: after a change, the znode is read again, with a new watch.
    WatchAgain,
    /// Node: a candidate in doubt reads from a server that has caught up.
    SyncWhenInDoubt,
    /// Both: a candidate that resigns while a create is under way learns the outcome of the create.
    ResignFindsOut,
    /// Both: a candidate steps down when another client deletes its znode.
    DeletedStepsDown,
    /// Queue: after a create without an answer, the candidate looks for its znode by the GUID before it sends another
    /// create.
    LookForGuid,
    /// Queue: a candidate leads only when no contender is before it.
    LowestLeads,
    /// Queue: sequence numbers are compared as serial numbers, across the wrap.
    SerialOrder,
    /// Queue: where the numbers do not tell which znode came first, the age decides.
    OldestLeads,
    /// Queue: a name without a GUID may belong to another contender by now; the czxid decides.
    SameZnode,
    /// Queue: when a candidate learns that its predecessor is gone, it lists the queue again.
    ListAgain,
    /// Queue: if the predecessor is gone when the candidate sets a watch on it, the candidate does not wait.
    PredecessorGone,
    /// Queue: the master watches for contenders that join.
    MasterWatchesQueue,
    /// Queue: if a foreign contender is behind a candidate, the candidate deletes its own znode from the queue.
    ForeignBehindWithdraws,
    /// The next in a queue: it leads at the deletion of its predecessor only if nobody else was before it.
    OnlyOneBefore,
    /// The next in a queue: the list that shows its predecessor shows its own znode, too. (A broken rule also takes
    /// away the watch on that znode.)
    ListShowsOwn,
    /// The next in a queue: the numbers tell the order.
    FreshCounter,
    /// The next in a queue: the deleted znode is that of its predecessor, not of another contender.
    PredecessorsEnd,
    /// The next in a queue: a change of that znode is no deletion.
    OnlyDeleted,
    /// The next in a queue: what it knows was answered on this connection.
    ArmedHere,
    /// Both: without a lease, no candidate believes, whatever has elected it.
    LeaseFirst,
    /// The next in a queue: its proofs check its own znode. (A broken rule also takes away the watch and the list that tell of
    /// its end.)
    WaitersProveOwn,
    /// The next in a queue: a candidate that leaves is not master any more.
    NotLeaving,
    /// The next in a queue: nobody has joined since the list, because it might be a foreign contender.
    NoForeignContender,
    /// Queue: a candidate that only waits keeps an anchor, so that the lease begins with one proof if those before it go
    /// one after the other.
    WaitersKeepAnchor,
    /// Queue: its touches come in pairs, because one mark may be lost, and they are seldom.
    PairedTouches,
}

#[cfg(feature = "testing")]
impl Rule {
    pub const ALL: [Rule; 45] = [
        Rule::CountFromSending,
        Rule::SecondNewest,
        Rule::Distance,
        Rule::HeardBefore,
        Rule::LeaderAwake,
        Rule::CommittedProof,
        Rule::ClockRate,
        Rule::OwnConnect,
        Rule::TouchedAlive,
        Rule::ResumedAlive,
        Rule::ShorterTimeout,
        Rule::Margin,
        Rule::UnseatFirst,
        Rule::LapseIsFinal,
        Rule::UnknownMayBeOurs,
        Rule::OwnCreate,
        Rule::OwnOpening,
        Rule::EarlierSessionIsNotOurs,
        Rule::GoneIsOpen,
        Rule::DoubtEndsSession,
        Rule::WatchAgain,
        Rule::SyncWhenInDoubt,
        Rule::ResignFindsOut,
        Rule::DeletedStepsDown,
        Rule::LookForGuid,
        Rule::LowestLeads,
        Rule::SerialOrder,
        Rule::OldestLeads,
        Rule::SameZnode,
        Rule::ListAgain,
        Rule::PredecessorGone,
        Rule::MasterWatchesQueue,
        Rule::ForeignBehindWithdraws,
        Rule::OnlyOneBefore,
        Rule::ListShowsOwn,
        Rule::FreshCounter,
        Rule::PredecessorsEnd,
        Rule::OnlyDeleted,
        Rule::ArmedHere,
        Rule::LeaseFirst,
        Rule::WaitersProveOwn,
        Rule::NotLeaving,
        Rule::NoForeignContender,
        Rule::WaitersKeepAnchor,
        Rule::PairedTouches,
    ];
}
