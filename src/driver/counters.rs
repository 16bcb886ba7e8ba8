//! Counters of a handle's activity, for monitoring. They only rise. Each is a relaxed atomic. A reader reads them one
//! by one, at any time, without waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::logic::Report;

/// The counters of one handle since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections on which a session was opened or resumed.
    pub connections: u64,
    /// Rounds through all servers in which no server opened a session.
    pub connect_failures: u64,
    /// Connections that broke while the session existed.
    pub suspensions: u64,
    pub sessions_opened: u64,
    /// Sessions that were over before the handle was closed.
    pub sessions_expired: u64,
    /// Sessions that held nothing and that we replaced with a new one after a second without connection.
    pub sessions_renewed: u64,
    /// Requests of every kind: answered, unknown or pending.
    pub requests_sent: u64,
    /// Requests that a server answered, also with an error.
    pub requests_answered: u64,
    /// Requests whose answer never arrived, or for which we stopped waiting.
    pub requests_unknown: u64,
    /// Requests that create znodes, including parents.
    pub creates: u64,
    pub deletes: u64,
    /// Requests that set the value of our znode.
    pub sets: u64,
    /// Requests that read a znode, its stat or its children, or that check whether it exists.
    pub reads: u64,
    /// Requests that only give the lease a starting point.
    pub touches: u64,
    /// Proofs of the lease.
    pub proofs_sent: u64,
    pub proofs_committed: u64,
    /// The time from sending a proof to its answer, in microseconds: of the last proof, and the longest.
    pub proof_last_us: u64,
    pub proof_longest_us: u64,
    /// Fenced writes of a master.
    pub fenced_writes: u64,
    pub watches_fired: u64,
    /// Masterships that candidates were notified of.
    pub masterships_begun: u64,
    pub masterships_ended: u64,
    /// Ended masterships whose lease expired.
    pub leases_expired: u64,
    pub callbacks_run: u64,
    /// The run time of the longest callback, in microseconds.
    pub callback_longest_us: u64,
}

impl Counters {
    pub fn describe(&self) -> Report {
        Report::from([
            ("connections", self.connections.into()),
            ("connect_failures", self.connect_failures.into()),
            ("suspensions", self.suspensions.into()),
            ("sessions_opened", self.sessions_opened.into()),
            ("sessions_expired", self.sessions_expired.into()),
            ("sessions_renewed", self.sessions_renewed.into()),
            ("requests_sent", self.requests_sent.into()),
            ("requests_answered", self.requests_answered.into()),
            ("requests_unknown", self.requests_unknown.into()),
            ("creates", self.creates.into()),
            ("deletes", self.deletes.into()),
            ("sets", self.sets.into()),
            ("reads", self.reads.into()),
            ("touches", self.touches.into()),
            ("proofs_sent", self.proofs_sent.into()),
            ("proofs_committed", self.proofs_committed.into()),
            ("proof_last_us", self.proof_last_us.into()),
            ("proof_longest_us", self.proof_longest_us.into()),
            ("fenced_writes", self.fenced_writes.into()),
            ("watches_fired", self.watches_fired.into()),
            ("masterships_begun", self.masterships_begun.into()),
            ("masterships_ended", self.masterships_ended.into()),
            ("leases_expired", self.leases_expired.into()),
            ("callbacks_run", self.callbacks_run.into()),
            ("callback_longest_us", self.callback_longest_us.into()),
        ])
    }
}

/// The name of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Connections,
    ConnectFailures,
    Suspensions,
    SessionsOpened,
    SessionsExpired,
    SessionsRenewed,
    RequestsSent,
    RequestsAnswered,
    RequestsUnknown,
    Creates,
    Deletes,
    Sets,
    Reads,
    Touches,
    ProofsSent,
    ProofsCommitted,
    ProofLastUs,
    ProofLongestUs,
    FencedWrites,
    WatchesFired,
    MastershipsBegun,
    MastershipsEnded,
    LeasesExpired,
    CallbacksRun,
    CallbackLongestUs,
}

const COUNTS: usize = Count::CallbackLongestUs as usize + 1;

/// The storage of the counters.
#[derive(Debug, Default)]
pub struct Tally([AtomicU64; COUNTS]);

impl Tally {
    pub fn add(&self, count: Count, more: u64) {
        self.0[count as usize].fetch_add(more, Ordering::Relaxed);
    }

    pub fn one(&self, count: Count) {
        self.add(count, 1);
    }

    pub fn last(&self, count: Count, time: Duration) {
        self.0[count as usize].store(microseconds(time), Ordering::Relaxed);
    }

    pub fn longest(&self, count: Count, time: Duration) {
        self.0[count as usize].fetch_max(microseconds(time), Ordering::Relaxed);
    }

    pub fn read(&self) -> Counters {
        let read = |count: Count| self.0[count as usize].load(Ordering::Relaxed);
        Counters {
            connections: read(Count::Connections),
            connect_failures: read(Count::ConnectFailures),
            suspensions: read(Count::Suspensions),
            sessions_opened: read(Count::SessionsOpened),
            sessions_expired: read(Count::SessionsExpired),
            sessions_renewed: read(Count::SessionsRenewed),
            requests_sent: read(Count::RequestsSent),
            requests_answered: read(Count::RequestsAnswered),
            requests_unknown: read(Count::RequestsUnknown),
            creates: read(Count::Creates),
            deletes: read(Count::Deletes),
            sets: read(Count::Sets),
            reads: read(Count::Reads),
            touches: read(Count::Touches),
            proofs_sent: read(Count::ProofsSent),
            proofs_committed: read(Count::ProofsCommitted),
            proof_last_us: read(Count::ProofLastUs),
            proof_longest_us: read(Count::ProofLongestUs),
            fenced_writes: read(Count::FencedWrites),
            watches_fired: read(Count::WatchesFired),
            masterships_begun: read(Count::MastershipsBegun),
            masterships_ended: read(Count::MastershipsEnded),
            leases_expired: read(Count::LeasesExpired),
            callbacks_run: read(Count::CallbacksRun),
            callback_longest_us: read(Count::CallbackLongestUs),
        }
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
