//! The dialects of the **queue** recipe: how the znodes of its contenders are called, and in which order they
//! stand, so that one election can hold members of several implementations.

use std::sync::Arc;

/// The names of the znodes, and so who can share an election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `_c_<uuid>-latch-SEQ`: Apache Curator's LeaderLatch.
    #[default]
    CuratorLatch,
    /// `_c_<uuid>-lock-SEQ`: Curator's LeaderSelector and mutex, Go's `zk.Lock`, ZooKeeper's lock recipes.
    CuratorLock,
    /// `<32 hex>__lock__SEQ`: kazoo's Election and Lock, Go's `zk.Lock`.
    Kazoo,
    /// `<guid>-n_SEQ` and `n_SEQ`: ZooKeeper's documented recipe and its LeaderElectionSupport.
    Recipe,
    /// `w-SEQ`: seed 002, which orders whole names, so that there is no room for a GUID.
    Seed,
}

/// A name in a queue, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A contender that the dialect counts, with its sequence number.
    Contender(i32),
    /// Numbered like a contender, but not one that the dialect counts.
    Stranger,
    /// Something else.
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
            Dialect::Recipe => format!("{uuid}-n_"),
            Dialect::Seed => "w-".to_string(),
        }
    }

    /// Whether the name tells who made the znode.
    pub fn has_guid(self) -> bool {
        self != Dialect::Seed
    }

    /// The contenders among these names, the first to lead first.
    pub fn in_order<'a>(self, names: &'a [Arc<str>]) -> Vec<&'a Arc<str>> {
        let number = |name: &'a Arc<str>| match self.read(name) {
            Name::Contender(number) => Some((number, name)),
            _ => None,
        };
        let mut contenders: Vec<_> = names.iter().filter_map(number).collect();
        let first = contenders.iter().map(|(number, _)| *number).reduce(|a, b| if is_before(b, a) { b } else { a });
        // Serial numbers are in order seen from the first of them.
        contenders.sort_by_key(|(number, _)| number.wrapping_sub(first.unwrap_or(0)));
        contenders.into_iter().map(|(_, name)| name).collect()
    }

    /// The part of a name that stands right before the number of a contender that this dialect counts.
    fn marks(self) -> &'static [&'static str] {
        match self {
            Dialect::CuratorLatch => &["-latch-"],
            Dialect::CuratorLock => &["-lock-"],
            Dialect::Kazoo => &["__lock__"],
            Dialect::Recipe => &["n_"],
            Dialect::Seed => &["w-"],
        }
    }

    pub fn read(self, name: &str) -> Name {
        let Some((before, number)) = split_number(name) else { return Name::Other };
        match self.marks().iter().any(|mark| before.ends_with(mark)) {
            true => Name::Contender(number),
            false => Name::Stranger,
        }
    }
}

/// Splits off the number that ZooKeeper put at the end: `%010d` of a signed 32-bit number, so ten digits, or,
/// once it has wrapped, a minus sign and nine or ten.
fn split_number(name: &str) -> Option<(&str, i32)> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let minus = |len: usize| name.len().checked_sub(len).is_some_and(|at| name.as_bytes()[at] == b'-');
    // A name that ends with a mark's own "-" and ten digits is a positive number: a dash before nine digits, or
    // before the ten of a number below -999,999,999, belongs to the number.
    let len = match digits {
        9 if minus(10) => 10,
        10 if minus(11) && name[..name.len() - 11].ends_with(['-', '_']) => 11,
        10.. => 10,
        _ => return None,
    };
    let (before, number) = name.split_at(name.len() - len);
    number.parse().ok().map(|number| (before, number))
}

/// Whether the contender with number `a` stands before the one with number `b`: the counter wraps, so numbers
/// are compared as serial numbers (as in RFC 1982).
pub fn is_before(a: i32, b: i32) -> bool {
    a.wrapping_sub(b) < 0
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
            (Dialect::Recipe, "01234567-89ab-cdef-0123-456789abcdef-n_"),
            (Dialect::Seed, "w-"),
        ] {
            assert_eq!(dialect.prefix(guid), expected);
            for number in [0, 7, 123_456, i32::MAX, i32::MIN, -1, -123_456_789] {
                let name = format!("{expected}{number:010}");
                assert_eq!(dialect.read(&name), Name::Contender(number), "{name}");
            }
        }
    }

    #[test]
    fn others_are_told_from_strangers() {
        assert_eq!(Dialect::Seed.read("w-0000000003"), Name::Contender(3));
        assert_eq!(Dialect::Recipe.read("n_0000000003"), Name::Contender(3));
        assert_eq!(Dialect::Seed.read("n_0000000003"), Name::Stranger);
        assert_eq!(Dialect::Kazoo.read("_c_x-latch-0000000003"), Name::Stranger);
        for name in ["", "config", "w-3", "w000000003", "0"] {
            assert_eq!(Dialect::Seed.read(name), Name::Other, "{name}");
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
    fn the_order_survives_the_wrap() {
        assert!(is_before(1, 2));
        assert!(!is_before(2, 2));
        assert!(is_before(i32::MAX, i32::MIN));
        assert!(is_before(-1, 0));
    }
}
