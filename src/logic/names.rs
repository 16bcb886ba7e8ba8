//! The names of roles, reasons, requests and recipes in logs and dumps.

use super::config::{Config, LeaseMode, Recipe};
use super::dialect::Dialect;
use super::report::Report;
use super::types::{Op, Reason, Role};

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Unknown => "unknown",
            Role::Slave => "slave",
            Role::Master => "master",
        }
    }
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Reason::Elected => "elected",
            Reason::Following => "following",
            Reason::Suspended => "suspended",
            Reason::Expired => "expired",
            Reason::Deleted => "deleted",
            Reason::LeaseExpired => "lease expired",
            Reason::Grace => "grace",
            Reason::ForeignContender => "foreign contender",
            Reason::Refused => "refused",
            Reason::Blocked => "blocked",
            Reason::Resigned => "resigned",
            Reason::Closed => "closed",
            Reason::Failed => "failed",
            Reason::Denied => "denied",
        }
    }
}

impl Op {
    pub fn name(&self) -> &'static str {
        match self {
            Op::Create { .. } => "create",
            Op::CreateSequential { .. } => "create sequential",
            Op::MakeParents { .. } => "make parents",
            Op::Read { .. } => "read",
            Op::Exists { .. } => "exists",
            Op::Stat { .. } => "stat",
            Op::List { .. } => "list",
            Op::Delete { .. } => "delete",
            Op::SetValue { .. } => "set value",
            Op::Prove { .. } => "prove",
            Op::Write { .. } => "fenced write",
            Op::Touch => "touch",
        }
    }

    /// The path of the request; for several paths, the first one. The path of a fenced write is that of our znode.
    pub fn path(&self) -> &str {
        match self {
            Op::Create { path, .. }
            | Op::CreateSequential { prefix: path, .. }
            | Op::MakeParents { path }
            | Op::Read { path, .. }
            | Op::Exists { path }
            | Op::Stat { path }
            | Op::List { path, .. }
            | Op::Delete { path, .. }
            | Op::SetValue { path, .. } => path,
            Op::Write { own, .. } => own,
            Op::Prove { paths } => paths.first().map_or("", |path| path),
            Op::Touch => "",
        }
    }
}

impl Recipe {
    pub fn name(self) -> &'static str {
        match self {
            Recipe::Node => "node",
            Recipe::Queue(Dialect::CuratorLatch) => "queue",
            Recipe::Queue(Dialect::CuratorLock) => "queue_curator_lock",
            Recipe::Queue(Dialect::Kazoo) => "queue_kazoo",
            Recipe::Queue(Dialect::LeaderElectionSupport) => "queue_leader_election_support",
            Recipe::Queue(Dialect::Seed) => "queue_w",
            Recipe::Queue(Dialect::WriteLock) => "queue_write_lock",
        }
    }
}

impl LeaseMode {
    pub fn name(self) -> &'static str {
        match self {
            LeaseMode::Committed => "committed",
            LeaseMode::Answered => "answered",
        }
    }
}

impl Config {
    pub fn describe(&self) -> Report {
        Report::from([
            ("recipe", self.recipe.name().into()),
            ("grace_ms", self.grace_ms.into()),
            ("lease_mode", self.lease_mode.name().into()),
            ("lease_margin_ms", self.margin_ms.into()),
            ("tick_ms", self.tick_ms.into()),
        ])
    }
}
