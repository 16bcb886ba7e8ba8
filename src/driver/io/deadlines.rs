//! The next deadline of each of many things, and the earliest of all.

use std::collections::{BTreeMap, BTreeSet};

use crate::logic::Time;

#[derive(Debug)]
pub struct Deadlines<K> {
    of: BTreeMap<K, Time>,
    in_order: BTreeSet<(Time, K)>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Deadlines { of: BTreeMap::new(), in_order: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Deadlines<K> {
    /// Sets the deadline of `key`, in place of its former one.
    pub fn set(&mut self, key: K, at: Option<Time>) {
        let former = match at {
            Some(at) => self.of.insert(key, at),
            None => self.of.remove(&key),
        };
        if former == at {
            return;
        }
        if let Some(former) = former {
            self.in_order.remove(&(former, key));
        }
        if let Some(at) = at {
            self.in_order.insert((at, key));
        }
    }

    pub fn first(&self) -> Option<Time> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Removes and returns a key whose deadline has come, the earliest first.
    pub fn pop_due(&mut self, now: Time) -> Option<K> {
        let (at, key) = *self.in_order.first()?;
        if at > now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first() {
        let mut deadlines = Deadlines::default();
        assert_eq!((deadlines.first(), deadlines.pop_due(Time(9))), (None, None));
        for (key, at) in [('a', 30), ('b', 10), ('c', 20), ('d', 10)] {
            deadlines.set(key, Some(Time(at)));
        }
        deadlines.set('a', Some(Time(5)));
        deadlines.set('c', None);
        assert_eq!(deadlines.first(), Some(Time(5)));
        assert_eq!(deadlines.pop_due(Time(4)), None);
        let due: Vec<char> = std::iter::from_fn(|| deadlines.pop_due(Time(10))).collect();
        assert_eq!(due, ['a', 'b', 'd']);
        assert!(deadlines.of.is_empty() && deadlines.in_order.is_empty());
    }
}
