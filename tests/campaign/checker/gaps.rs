//! How long a path had no master. If the servers were well, and a candidate without a fault of its own stood at the
//! path, the next master has to come within a bound: the old session ends after a session timeout and two ticks at
//! most, and the next candidate is elected at once. If that candidate cannot take the mastership up because it was just
//! stopped or cut off, the same time passes once more. So it does if the old master comes back, which renews its session,
//! and is stopped or cut off again before it can lead.

use super::beliefs::spans;
use super::truth::Truth;
use super::{machine, ms, second, Verdict};
use crate::history::{Fault, History, Life, MASTER};

/// The bound, in session timeouts.
const BOUND: i64 = 2;
/// The kinds of faults that affect all processes.
const OF_SERVERS: [&str; 6] = ["server-", "two-", "all-", "rolling-", "peers-", "disk-"];

pub fn check(history: &History, truth: &Truth, verdict: &mut Verdict) {
    let mut longest = (0, "nowhere".to_owned());
    let mut longest_of_well = (0, "nowhere".to_owned());
    let mut judged = 0;
    for (_, path) in &history.elections {
        let spans = spans(history, path);
        let Some(first) = spans.first() else { continue };
        let (mut last, mut former) = (first.belief.last.after, first.belief.token);
        for next in &spans[1..] {
            let (from, to) = (last, next.belief.first.before);
            let between = former + 1..next.belief.token;
            let since = back_in_vain(history, path, former, from, to).unwrap_or(from);
            last = last.max(next.belief.last.after);
            former = next.belief.token;
            if to <= from {
                continue;
            }
            let gap = (to - from, format!("{path} at {}", second(history, from)));
            if is_well(history, path, from, to) {
                judged += 1;
                let reigns = truth.reigns.get(path).map(Vec::as_slice).unwrap_or_default();
                let in_vain = reigns.iter().filter(|reign| between.contains(&reign.token)).count() as i64;
                if to - since > (1 + in_vain) * BOUND * history.timeout {
                    let text = format!(
                        "nobody was master for {} ms: {}, though the servers were well and somebody undisturbed stood there",
                        ms(gap.0),
                        gap.1
                    );
                    machine::late(history, verdict, from, to, text);
                }
                longest_of_well = longest_of_well.max(gap.clone());
            }
            longest = longest.max(gap);
        }
    }
    let figure = |gap: (i64, String)| {
        format!("{} ms, {:.2} session timeouts ({})", ms(gap.0), gap.0 as f64 / history.timeout as f64, gap.1)
    };
    verdict.figure(format!("longest time without a master {}", figure(longest)));
    verdict.figure(format!(
        "with the servers well and somebody undisturbed there ({judged} times) {}, bound {BOUND} for each elected",
        figure(longest_of_well)
    ));
}

fn is_well(history: &History, path: &str, from: i64, to: i64) -> bool {
    // A server that was started again needs a while, and so do the clients that were connected to it.
    let meets = |fault: &&Fault| fault.begin <= to && fault.end.saturating_add(history.timeout) >= from;
    let of_servers = |fault: &&Fault| OF_SERVERS.iter().any(|of| fault.kind.starts_with(of));
    if history.faults.iter().filter(of_servers).any(|fault| meets(&fault)) {
        return false;
    }
    history.lives.iter().any(|life| {
        let disturbs = |fault: &Fault| fault.target.split(' ').next() == Some(&life.lane);
        stands_throughout(life, path, from, to)
            && !history.faults.iter().filter(|fault| disturbs(fault)).any(|fault| meets(&fault))
    })
}

/// When the old master last came back in the gap, and was disturbed again within a session timeout.
fn back_in_vain(history: &History, path: &str, token: i64, from: i64, to: i64) -> Option<i64> {
    let was_master = |life: &&Life| life.beliefs.iter().any(|belief| belief.path == path && belief.token == token);
    let master = history.lives.iter().find(was_master)?;
    let is_disturbed = |at: i64| {
        history.faults.iter().any(|fault| {
            fault.target.split(' ').next() == Some(&master.lane)
                && (at..=at + history.timeout).contains(&fault.begin)
        })
    };
    // It hears that its own znode stands there.
    let hears = master.told.iter().filter(|told| told.path == path && told.token == token && told.role != MASTER);
    hears.map(|told| told.at).filter(|at| (from..to).contains(at) && is_disturbed(*at)).max()
}

fn stands_throughout(life: &Life, path: &str, from: i64, to: i64) -> bool {
    life.stands.iter().any(|(at, there)| there == path && *at < from)
        && life.ended.as_ref().is_none_or(|(at, _)| *at > to)
        && life.closed.iter().all(|(closing, _)| closing.before > to)
}
