//! Counts the faults, and checks that they really happened. A full or slow disk counts only if its server complained of
//! it. A fault that came to nothing is not counted: no server answered, or its target did not exist.

use std::collections::BTreeMap;

use super::{second, Verdict};
use crate::history::History;

const OF_DISKS: [&str; 2] = ["disk-full", "disk-slow"];
/// If this many faults of a kind were tried, and none of them was done, that is not chance.
const TRIES: usize = 5;

pub fn check(history: &History, verdict: &mut Verdict) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut vain: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in &history.faults {
        let count = if fault.is_vain { &mut vain } else { &mut kinds };
        *count.entry(&fault.kind).or_default() += 1;
        if OF_DISKS.contains(&fault.kind.as_str()) && fault.noticed.is_none() {
            verdict.violation(format!(
                "{} of server {} at {}, and the server did not notice",
                fault.kind,
                fault.target,
                second(history, fault.begin)
            ));
        }
    }
    for (kind, count) in &vain {
        if *count >= TRIES && !kinds.contains_key(kind) {
            verdict.violation(format!("{kind} was tried {count} times, and came to nothing each time"));
        }
    }
    let list = |kinds: &BTreeMap<&str, usize>| {
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        kinds.join(", ")
    };
    verdict.figure(format!(
        "seed {}: {} faults of {} kinds: {}",
        history.seed,
        kinds.values().sum::<usize>(),
        kinds.len(),
        list(&kinds)
    ));
    if !vain.is_empty() {
        verdict.figure(format!("came to nothing: {}", list(&vain)));
    }
    for server in &history.absent {
        verdict.doubts.push(format!("server {server} did not serve again after the last fault"));
    }
    let complaints = |name: &str| {
        let of_name = history.complaints.iter().filter(|(what, _)| what == name);
        of_name.map(|(_, count)| count).sum::<i64>()
    };
    verdict.figure(format!(
        "the servers complained {} times of no space, {} times of slow flushes",
        complaints("no-space"),
        complaints("slow-flush")
    ));
}
