//! The kinds of faults, and how often each is drawn.

use crate::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill,
    ShortStop,
    LongStop,
    Exit,
    Resign,
    CommandKill,
    CommandStop,
    BothKill,
    GuardKill,
    ServerKill,
    ServerStop,
    ServerRestart,
    TwoServersKill,
    TwoServersStop,
    AllServersKill,
    AllServersStop,
    Rolling,
    LinkDrop,
    LinkDropOneWay,
    LinkReset,
    LinkRefuse,
    LinkSlow,
    LinkLossy,
    ServerUnreachable,
    PeersCut,
    PeersOneWay,
    PeersSlow,
    DiskFull,
    DiskSlow,
    OperatorDeletes,
    OperatorChanges,
    Expire,
}

/// Each kind, with its name in the history, and its weight.
pub const ALL: [(Fault, &str, u64); 32] = [
    (Fault::Kill, "kill", 10),
    (Fault::ShortStop, "stop-short", 8),
    (Fault::LongStop, "stop-long", 10),
    (Fault::Exit, "exit", 6),
    (Fault::Resign, "resign", 8),
    (Fault::CommandKill, "command-kill", 5),
    (Fault::CommandStop, "command-stop", 4),
    (Fault::BothKill, "command-both-kill", 4),
    (Fault::GuardKill, "command-guard-kill", 4),
    (Fault::ServerKill, "server-kill", 5),
    (Fault::ServerStop, "server-stop", 6),
    (Fault::ServerRestart, "server-restart", 4),
    (Fault::TwoServersKill, "two-servers-kill", 1),
    (Fault::TwoServersStop, "two-servers-stop", 1),
    (Fault::AllServersKill, "all-servers-kill", 1),
    (Fault::AllServersStop, "all-servers-stop", 2),
    (Fault::Rolling, "rolling-restart", 1),
    (Fault::LinkDrop, "link-drop", 7),
    (Fault::LinkDropOneWay, "link-drop-one-way", 6),
    (Fault::LinkReset, "link-reset", 6),
    (Fault::LinkRefuse, "link-refuse", 3),
    (Fault::LinkSlow, "link-slow", 5),
    (Fault::LinkLossy, "link-lossy", 5),
    (Fault::ServerUnreachable, "server-unreachable", 3),
    (Fault::PeersCut, "peers-cut", 5),
    (Fault::PeersOneWay, "peers-one-way", 5),
    (Fault::PeersSlow, "peers-slow", 3),
    (Fault::DiskFull, "disk-full", 2),
    (Fault::DiskSlow, "disk-slow", 4),
    (Fault::OperatorDeletes, "operator-deletes", 5),
    (Fault::OperatorChanges, "operator-changes", 4),
    (Fault::Expire, "expire", 5),
];

/// In some periods only the servers and the links between them are struck, in others only the rest. So the next master
/// has to come soon in some periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    All,
    Servers,
    Others,
}

impl Phase {
    pub fn draw(rng: &mut Rng) -> Phase {
        rng.pick(&[Phase::All, Phase::Servers, Phase::Others, Phase::Others])
    }
}

impl Fault {
    pub fn draw(rng: &mut Rng, phase: Phase) -> Fault {
        let fits = |fault: Fault| match phase {
            Phase::All => true,
            Phase::Servers => fault.is_of_servers(),
            Phase::Others => !fault.is_of_servers(),
        };
        let fitting: Vec<_> = ALL.iter().filter(|(fault, ..)| fits(*fault)).collect();
        let mut left = rng.below(fitting.iter().map(|(.., weight)| weight).sum());
        for (fault, _, weight) in fitting {
            match left.checked_sub(*weight) {
                Some(less) => left = less,
                None => return *fault,
            }
        }
        unreachable!("less than the sum of all weights was drawn")
    }

    pub fn name(self) -> &'static str {
        ALL.iter().find(|(fault, ..)| *fault == self).map_or("unknown", |(_, name, _)| name)
    }

    /// The complaint in the server's log if this fault strikes it, if one must appear: see [`crate::arena`].
    pub fn complaint(self) -> Option<&'static str> {
        match self {
            Fault::DiskFull => Some("no-space"),
            Fault::DiskSlow => Some("slow-flush"),
            _ => None,
        }
    }

    fn is_of_servers(self) -> bool {
        let of_servers = ["server-", "two-", "all-", "rolling-", "peers-", "disk-"];
        of_servers.iter().any(|start| self.name().starts_with(start))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_is_drawn_in_its_phases_and_in_no_other() {
        let mut rng = Rng::new(1);
        let mut drawn =
            |phase| -> BTreeSet<&str> { (0..2_000).map(|_| Fault::draw(&mut rng, phase).name()).collect() };
        let (all, servers, others) = (drawn(Phase::All), drawn(Phase::Servers), drawn(Phase::Others));
        assert_eq!(all.len(), ALL.len());
        assert!(servers.is_disjoint(&others));
        assert_eq!(&servers | &others, all);
        assert!(servers.contains("disk-full") && others.contains("link-drop"));
    }
}
