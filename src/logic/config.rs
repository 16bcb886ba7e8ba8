//! What the elections of one session are told once: recipe, grace delay, lease; and, for tests only, a rule that
//! is to be broken.

use super::dialect::Dialect;

/// How the candidates of one election find out who is master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// One ephemeral znode at the path.
    Node,
    /// Ephemeral sequential children of the path; the lowest leads.
    Queue(Dialect),
}

/// What a lease rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseMode {
    /// Committed transactions. Never two masters.
    Committed,
    /// Any answer of a server and its leader; costs no writes. A master whose leader is cut off from the other servers
    /// believes for as long as that leader goes on answering (up to syncLimit x tickTime).
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub recipe: Recipe,
    /// How long a new master waits before it is told, in milliseconds.
    pub grace_ms: u64,
    /// What is taken off each lease beyond what safety asks for, in milliseconds.
    pub margin_ms: u64,
    /// The server's tickTime, if known, in milliseconds.
    pub tick_ms: Option<u64>,
    pub lease_mode: LeaseMode,
    /// For tests of the tests: a rule of the core that is not kept.
    pub broken: Option<Rule>,
}

impl Default for Config {
    fn default() -> Self {
        let recipe = Recipe::Node;
        Config { recipe, grace_ms: 0, margin_ms: 0, tick_ms: None, lease_mode: LeaseMode::Committed, broken: None }
    }
}

impl Config {
    /// Whether the core is to keep this rule. Always, but in a test that shows what the rule is good for.
    pub fn keeps(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    /// Whether what the lease counts from is to have gone by way of the leader. Always, but where one of the two rules is
    /// broken that this is for.
    pub fn asks_leader(&self) -> bool {
        self.keeps(Rule::LeaderAwake) && self.keeps(Rule::CommittedProof)
    }
}

/// The rules of the lease and of the recipes, one by one. Breaking any of them must be found by the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Lease: time counts from when a request was sent, not from when its answer came.
    CountFromSending,
    /// Lease: of the requests that may have renewed the session, the second newest counts.
    SecondNewest,
    /// Lease: a request counts only when it was sent a while before the proof.
    Distance,
    /// Lease: a while before means that its answer had come by then.
    HeardBefore,
    /// Lease: and that the leader was asked something a while after that, and its answer had come before the proof.
    LeaderAwake,
    /// Lease: only a committed transaction is a proof.
    CommittedProof,
    /// Lease: clocks may differ by 1 %.
    ClockRate,
    /// Lease: a resumption counts from what was answered before it, not from when we heard of it.
    OneConnection,
    /// Lease: a touch by a request may come too late, when the session has been taken to be closed. It counts if the session
    /// was not due, or still lived a while later.
    TouchedAlive,
    /// Lease: and so may that by a resumption.
    ResumedAlive,
    /// Lease: a server that shortens the timeout of a session that is resumed shortens the lease.
    ShorterTimeout,
    /// Lease: the margin is taken off, for clocks that differ by more than 1 %.
    Margin,
    /// Lease: the masterships that have ended with a lease are taken away before its end moves.
    UnseatFirst,
    /// Lease: once it has run out, that mastership is over for good.
    LapseIsFinal,
    /// Node: a create without an answer may have been carried out.
    UnknownMayBeOurs,
    /// Node: a znode is ours only if a create of ours may have made it; that our session owns it is not enough.
    OwnCreate,
    /// Node: a znode of our earlier session is not ours.
    EarlierSessionIsNotOurs,
    /// Node: a znode that is gone when it is read is contended for at once.
    GoneIsOpen,
    /// Node: whoever gives its place up while a write of it may still be carried out gives the session up, too.
    DoubtEndsSession,
    /// Node: what changed is read again, with a new watch.
    WatchAgain,
    /// Node: who is in doubt reads from a server that has caught up.
    SyncWhenInDoubt,
    /// Both: who resigns while a create is under way finds out what came of it.
    ResignFindsOut,
    /// Both: whose znode is deleted by somebody steps down.
    DeletedStepsDown,
    /// Queue: a create without an answer is looked for by its GUID before another is sent.
    LookForGuid,
    /// Queue: only when nobody is before us we lead.
    LowestLeads,
    /// Queue: sequence numbers are compared as serial numbers, over the wrap.
    SerialOrder,
    /// Queue: where the numbers do not tell who came first, age does.
    OldestLeads,
    /// Queue: a name without a GUID may be another's by now; the czxid tells.
    SameZnode,
    /// Queue: who is told that the one before is gone lists again.
    ListAgain,
    /// Queue: the one before us who is gone when we come to watch is no reason to wait.
    PredecessorGone,
    /// Queue: the master watches who joins.
    MasterWatchesQueue,
    /// Queue: whoever has a foreign contender behind it takes its znode out of the queue.
    ForeignBehindWithdraws,
}

impl Rule {
    pub const ALL: [Rule; 32] = [
        Rule::CountFromSending,
        Rule::SecondNewest,
        Rule::Distance,
        Rule::HeardBefore,
        Rule::LeaderAwake,
        Rule::CommittedProof,
        Rule::ClockRate,
        Rule::OneConnection,
        Rule::TouchedAlive,
        Rule::ResumedAlive,
        Rule::ShorterTimeout,
        Rule::Margin,
        Rule::UnseatFirst,
        Rule::LapseIsFinal,
        Rule::UnknownMayBeOurs,
        Rule::OwnCreate,
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
    ];
}
