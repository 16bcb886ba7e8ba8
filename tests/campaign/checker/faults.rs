//! What was done to them; and that it was done: a disk that is said to be full or slow is one of which the server complained.

use std::collections::BTreeMap;

use super::Verdict;
use crate::history::History;

pub fn check(history: &History, verdict: &mut Verdict) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    history.faults.iter().for_each(|fault| *kinds.entry(&fault.kind).or_default() += 1);
    let complaints = |name: &str| {
        let of_name = history.complaints.iter().filter(|(what, _)| what == name);
        of_name.map(|(_, count)| count).sum::<i64>()
    };
    for (kind, complaint) in [("disk-full", "no-space"), ("disk-slow", "slow-flush")] {
        if kinds.contains_key(kind) && complaints(complaint) == 0 {
            verdict.violation(format!("{} times {kind}, and no server noticed", kinds[kind]));
        }
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    verdict.figure(format!("seed {}: {} faults: {}", history.seed, history.faults.len(), kinds.join(", ")));
    verdict.figure(format!(
        "the servers complained {} times of no space, {} times of slow flushes",
        complaints("no-space"),
        complaints("slow-flush")
    ));
}
