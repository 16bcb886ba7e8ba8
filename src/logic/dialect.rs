//! The dialects of the **queue** recipe: the names of the contenders' znodes, and their order. With them, one
//! election can hold members of several implementations.

use std::sync::Arc;

/// The names of the znodes. They decide which implementations can share an election. All members of one election use
/// the same names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `_c_<uuid>-latch-SEQ`: Apache Curator's LeaderLatch.
    #[default]
    CuratorLatch,
    /// `_c_<uuid>-lock-SEQ`: Curator's LeaderSelector and InterProcessMutex, and Go's `zk.Lock`.
    CuratorLock,
    /// `<32 hex>__lock__SEQ`: kazoo's Election and Lock.
    Kazoo,
    /// `n_SEQ`: ZooKeeper's LeaderElectionSupport. It reads each child's name as "n_" and a number, so the name has
    /// no room for a GUID.
    LeaderElectionSupport,
    /// `w-SEQ`: seed 002, which orders whole names, so the name has no room for a GUID.
    Seed,
    /// `x-<32 hex>-SEQ`; every other child with a name that ends in a number counts as well: ZooKeeper's WriteLock
    /// and its `zoo_lock` in C, Go's `zk.Lock`, the LeaderLatch of the Rust crate `zookeeper`. They also count all of
    /// these children.
    WriteLock,
}

/// The meaning of a name in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A contender that the dialect counts, with its sequence number.
    Contender(i32),
    /// Numbered like a contender, but the dialect does not count it.
    ForeignContender(i32),
    /// Any other name.
    Other,
}

impl Dialect {
    /// The name of a znode with this GUID, up to the sequence number.
    pub fn prefix(self, guid: u128) -> String {
        let hex = format!("{guid:032x}");
        let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        match self {
            Dialect::CuratorLatch => format!("_c_{uuid}-latch-"),
            Dialect::CuratorLock => format!("_c_{uuid}-lock-"),
            Dialect::Kazoo => format!("{hex}__lock__"),
            Dialect::LeaderElectionSupport => "n_".to_string(),
            Dialect::Seed => "w-".to_string(),
            Dialect::WriteLock => format!("x-{hex}-"),
        }
    }

    /// Whether the name identifies the maker of the znode.
    pub fn has_guid(self) -> bool {
        !matches!(self, Dialect::LeaderElectionSupport | Dialect::Seed)
    }

    /// The contenders among these names, in the order in which they will lead.
    pub fn in_order<'a>(self, names: &'a [Arc<str>]) -> Vec<&'a Arc<str>> {
        let number = |name: &'a Arc<str>| match self.read(name) {
            Name::Contender(number) => Some((number, name)),
            _ => None,
        };
        let mut contenders: Vec<_> = names.iter().filter_map(number).collect();
        let first = contenders.iter().map(|(number, _)| *number).reduce(|a, b| if is_before(b, a) { b } else { a });
        // Serial numbers are in order relative to the first of them.
        contenders.sort_by_key(|(number, _)| number.wrapping_sub(first.unwrap_or(0)));
        contenders.into_iter().map(|(_, name)| name).collect()
    }

    /// The contenders among which the oldest leads. This is one contender, unless the numbers do not tell.
    pub fn leading(self, names: &[Arc<str>]) -> Vec<&Arc<str>> {
        let in_order = self.in_order(names);
        let Some(first) = in_order.first().copied() else { return Vec::new() };
        in_order.into_iter().filter(|name| self.are_tied(name, first)).collect()
    }

    /// Reorders contenders that are already in order: where the numbers do not tell, age decides. `name` and `czxid`
    /// are a contender's.
    pub fn settle_ties<T>(self, in_order: &mut [T], name: impl Fn(&T) -> &str, czxid: impl Fn(&T) -> i64) {
        for tied in in_order.chunk_by_mut(|a, b| self.are_tied(name(a), name(b))) {
            tied.sort_by_key(&czxid);
        }
    }

    fn are_tied(self, a: &str, b: &str) -> bool {
        match (self.read(a), self.read(b)) {
            (Name::Contender(a), Name::Contender(b)) => a == b || is_used_up(a) && is_used_up(b),
            _ => false,
        }
    }

    /// Whether the dialect counts a contender with this text before its number.
    fn counts(self, before: &str) -> bool {
        match self {
            Dialect::CuratorLatch => before.ends_with("-latch-"),
            Dialect::CuratorLock => before.ends_with("-lock-"),
            Dialect::Kazoo => before.ends_with("__lock__"),
            // LeaderElectionSupport cannot read a number from any other name: its members fail on such a name.
            Dialect::LeaderElectionSupport => before == "n_",
            Dialect::Seed => before.ends_with("w-"),
            Dialect::WriteLock => true,
        }
    }

    pub fn read(self, name: &str) -> Name {
        let Some((before, number)) = split_number(name) else { return Name::Other };
        match self.counts(before) {
            true => Name::Contender(number),
            false => Name::ForeignContender(number),
        }
    }
}

/// Splits off the number that ZooKeeper puts at the end: `%010d` of a signed 32-bit number. That is ten digits, or,
/// after the number has wrapped, a minus sign and nine or ten digits.
fn split_number(name: &str) -> Option<(&str, i32)> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let minus = |len: usize| name.len().checked_sub(len).is_some_and(|at| name.as_bytes()[at] == b'-');
    // A name that ends with the prefix's own "-" and ten digits has a positive number. A dash before nine digits, or
    // before the ten digits of a number below -999,999,999, belongs to the number.
    let len = match digits {
        9 if minus(10) => 10,
        10 if minus(11) && name[..name.len() - 11].ends_with(['-', '_']) => 11,
        10.. => 10,
        _ => return None,
    };
    let (before, number) = name.split_at(name.len() - len);
    number.parse().ok().map(|number| (before, number))
}

/// Whether the contender with number `a` is before the one with number `b`. The counter wraps, so numbers are
/// compared as serial numbers (as in RFC 1982).
fn is_before(a: i32, b: i32) -> bool {
    a.wrapping_sub(b) < 0
}

/// Whether a contender with this number was created when the counter was used up. Servers since 3.6
/// (`DataTree.createNode`) then leave the counter at 2,147,483,647, so every new contender gets this number. But a
/// contender that is created while another create is under way (`PrepRequestProcessor`, `outstandingChanges`) gets a
/// number that has wrapped. Neither number tells the order: only the age does, the czxid.
pub fn is_used_up(number: i32) -> bool {
    number == i32::MAX || number < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let guid = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        for (dialect, expected) in [
            (Dialect::CuratorLatch, "_c_01234567-89ab-cdef-0123-456789abcdef-latch-"),
            (Dialect::CuratorLock, "_c_01234567-89ab-cdef-0123-456789abcdef-lock-"),
            (Dialect::Kazoo, "0123456789abcdef0123456789abcdef__lock__"),
            (Dialect::LeaderElectionSupport, "n_"),
            (Dialect::Seed, "w-"),
            (Dialect::WriteLock, "x-0123456789abcdef0123456789abcdef-"),
        ] {
            assert_eq!(dialect.prefix(guid), expected);
            for number in [0, 7, 123_456, i32::MAX, i32::MIN, -1, -123_456_789] {
                let name = format!("{expected}{number:010}");
                assert_eq!(dialect.read(&name), Name::Contender(number), "{name}");
            }
        }
    }

    #[test]
    fn others_are_told_from_foreign_contenders() {
        assert_eq!(Dialect::Seed.read("w-0000000003"), Name::Contender(3));
        assert_eq!(Dialect::LeaderElectionSupport.read("n_0000000003"), Name::Contender(3));
        assert_eq!(Dialect::LeaderElectionSupport.read("x-n_0000000003"), Name::ForeignContender(3));
        for name in
            ["x-72057594037927936-0000000003", "_c_x-lock-0000000003", "latch-me-0000000003", "n_0000000003"]
        {
            assert_eq!(Dialect::WriteLock.read(name), Name::Contender(3), "{name}");
        }
        assert_eq!(Dialect::Seed.read("n_0000000003"), Name::ForeignContender(3));
        assert_eq!(Dialect::Kazoo.read("_c_x-latch-0000000003"), Name::ForeignContender(3));
        for name in ["", "config", "w-3", "w000000003", "0"] {
            assert_eq!(Dialect::Seed.read(name), Name::Other, "{name}");
        }
        // No server creates such a number, because it does not fit into 32 bits.
        for name in ["w-2147483648", "w-9999999999", "w--9999999999"] {
            for dialect in [Dialect::Seed, Dialect::WriteLock] {
                assert_eq!(dialect.read(name), Name::Other, "{name}");
            }
        }
    }

    #[test]
    fn contenders_are_listed_in_order() {
        let names: Vec<Arc<str>> =
            ["w--2147483648", "config", "w-2147483647", "n_0000000001", "w-2147483600", "w--2147483647"]
                .map(Arc::from)
                .to_vec();
        let listed: Vec<_> = Dialect::Seed.in_order(&names).into_iter().map(|name| &**name).collect();
        assert_eq!(listed, ["w-2147483600", "w-2147483647", "w--2147483648", "w--2147483647"]);
    }

    #[test]
    fn the_oldest_leads_where_numbers_do_not_tell() {
        let listed = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect::<Vec<Arc<str>>>();
        let leading = |names: &[&str]| Dialect::Kazoo.leading(&listed(names)).len();
        assert_eq!(leading(&[]), 0);
        assert_eq!(leading(&["a__lock__2147483646", "b__lock__2147483647", "c__lock__2147483647"]), 1);
        assert_eq!(leading(&["b__lock__2147483647", "config", "c__lock__2147483647"]), 2);
        assert_eq!(leading(&["b__lock__2147483647", "c__lock__-2147483648"]), 2);
        assert_eq!(leading(&["b__lock__0000000007", "c__lock__0000000007", "d__lock__0000000008"]), 2);
        let mut members = vec![
            ("a__lock__2147483646", 50),
            ("b__lock__2147483647", 90),
            ("c__lock__2147483647", 70),
            ("d__lock__-2147483648", 80),
        ];
        Dialect::Kazoo.settle_ties(&mut members, |member| member.0, |member| member.1);
        assert_eq!(members.iter().map(|member| member.1).collect::<Vec<_>>(), [50, 70, 80, 90]);
    }

    #[test]
    fn the_order_survives_the_wrap() {
        assert!(is_before(1, 2));
        assert!(!is_before(2, 2));
        assert!(is_before(i32::MAX, i32::MIN));
        assert!(is_before(-1, 0));
    }
}
