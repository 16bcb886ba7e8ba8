//! A map that is read without waiting. A reader takes no lock, waits for no writer and delays no writer. In a child of
//! a process with threads the map is intact, whatever the threads did at the time of the fork. A removed value is
//! dropped as soon as its last reader is done.
//!
//! A writer copies the shard that it changes. The entries are spread over many shards, so that this stays cheap with
//! thousands of entries.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

const SHARDS: usize = 256;

pub struct Map<K, V> {
    shards: [ArcSwapOption<Shard<K, V>>; SHARDS],
}

/// Ordered by the hash of the key. The hash is stored, so that it can be compared first.
type Shard<K, V> = Vec<(u64, K, V)>;

impl<K: Hash + Eq + Clone, V: Clone> Map<K, V> {
    pub const fn new() -> Map<K, V> {
        Map { shards: [const { ArcSwapOption::const_empty() }; SHARDS] }
    }

    /// Looks at a value.
    pub fn with<Q: Hash + Eq + ?Sized, T>(&self, key: &Q, look: impl FnOnce(&V) -> T) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let hash = hash(key);
        let shard = self.shard(hash).load();
        let shard = shard.as_deref()?;
        position(shard, hash, key).ok().map(|at| look(&shard[at].2))
    }

    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.with(key, V::clone)
    }

    pub fn insert(&self, key: K, value: V) {
        let hash = hash(&key);
        self.shard(hash).rcu(|shard| {
            let mut changed = shard.as_deref().cloned().unwrap_or_default();
            let entry = (hash, key.clone(), value.clone());
            match position(&changed, hash, &key) {
                Ok(at) => changed[at] = entry,
                Err(at) => changed.insert(at, entry),
            }
            Some(Arc::new(changed))
        });
    }

    /// Removes a value and returns it. If several threads remove the same value at the same time, one of them gets it.
    pub fn remove<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let hash = hash(key);
        let former = self.shard(hash).rcu(|shard| {
            let mut changed = shard.as_deref().cloned().unwrap_or_default();
            if let Ok(at) = position(&changed, hash, key) {
                changed.remove(at);
            }
            (!changed.is_empty()).then(|| Arc::new(changed))
        });
        let former = former.as_deref()?;
        position(former, hash, key).ok().map(|at| former[at].2.clone())
    }

    pub fn clear(&self) {
        self.shards.iter().for_each(|shard| shard.store(None));
    }

    pub fn for_each(&self, mut look: impl FnMut(&K, &V)) {
        for shard in &self.shards {
            shard.load().as_deref().into_iter().flatten().for_each(|(_, key, value)| look(key, value));
        }
    }

    fn shard(&self, hash: u64) -> &ArcSwapOption<Shard<K, V>> {
        // Inside a shard, the higher bits come first in the order.
        &self.shards[hash as usize % SHARDS]
    }
}

/// Quick, and good enough for keys that nobody chooses to make them collide. It mixes words in by multiplication, as
/// FxHash does. It finishes as MurmurHash3 does.
#[derive(Default)]
struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_ne_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        mixed ^ mixed >> 33
    }
}

fn hash<Q: Hash + ?Sized>(key: &Q) -> u64 {
    let mut hasher = QuickHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The position of the key, or the position at which it would be inserted.
fn position<K: Borrow<Q>, V, Q: Eq + ?Sized>(shard: &[(u64, K, V)], hash: u64, key: &Q) -> Result<usize, usize> {
    // Hashes are spread evenly. So the search begins at the position that the hash suggests.
    let mut first = ((u128::from(hash) * shard.len() as u128) >> 64) as usize;
    while first > 0 && shard[first - 1].0 >= hash {
        first -= 1;
    }
    while shard.get(first).is_some_and(|entry| entry.0 < hash) {
        first += 1;
    }
    let same = shard[first..].iter().take_while(|entry| entry.0 == hash);
    same.enumerate().find(|(_, entry)| entry.1.borrow() == key).map(|(at, _)| first + at).ok_or(first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    /// All keys have the same hash.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Colliding(u32);

    impl Hash for Colliding {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }

    fn as_a_tree<K: Hash + Eq + Ord + Clone, V: Clone>(map: &Map<K, V>) -> BTreeMap<K, V> {
        let mut tree = BTreeMap::new();
        map.for_each(|key, value| assert!(tree.insert(key.clone(), value.clone()).is_none()));
        tree
    }

    fn is_like_a_tree<K: Hash + Eq + Ord + Clone>(key: impl Fn(u32) -> K) {
        let (map, mut tree) = (Map::new(), BTreeMap::new());
        for step in 0..4000 {
            let key = key(fastrand::u32(..700));
            if fastrand::bool() {
                map.insert(key.clone(), step);
                tree.insert(key.clone(), step);
            } else {
                assert_eq!(map.remove(&key), tree.remove(&key));
            }
            assert_eq!(map.get(&key), tree.get(&key).copied());
        }
        assert!(as_a_tree(&map) == tree && !tree.is_empty());
        map.clear();
        assert!(as_a_tree(&map).is_empty());
    }

    #[test]
    fn it_is_a_map() {
        is_like_a_tree(|number| number);
        is_like_a_tree(Colliding);
    }

    #[test]
    fn what_is_removed_is_dropped_at_once() {
        let (map, value) = (Map::new(), Arc::new(()));
        map.insert("a", value.clone());
        map.with("a", |_| {
            drop(map.remove("a"));
            assert_eq!(Arc::strong_count(&value), 2, "it is looked at");
        });
        assert_eq!(Arc::strong_count(&value), 1);
        map.insert("a", value.clone());
        map.insert("a", Arc::new(()));
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn one_removes_it() {
        let map = Map::new();
        for round in 0..200 {
            map.insert(round, ());
            let removed = std::thread::scope(|scope| {
                let threads = [(); 3].map(|()| scope.spawn(|| map.remove(&round).is_some()));
                threads.map(|thread| thread.join().expect("it does not panic"))
            });
            assert_eq!(removed.iter().filter(|removed| **removed).count(), 1);
        }
    }
}
