//! Whether the machine kept up. While the machine stands still (see [`crate::machine`]), no process can be in time. A
//! time bound that is missed then is not a violation, but the campaign is not good either: it proves nothing and has to
//! be run again. Violations that must never happen, such as two masters, are judged all the same.

use super::{ms, Verdict};
use crate::history::{History, Pair};

/// If the machine stands still for less than this part of a session timeout in any one session timeout, all events have
/// to be in time.
const PART: i64 = 10;

pub fn check(history: &History, verdict: &mut Verdict) {
    let longest = history.stalls.iter().map(|stall| stall.after - stall.before).max().unwrap_or(0);
    verdict.figure(format!(
        "the machine stood still {} times, the longest {} ms, in all {} ms",
        history.stalls.len(),
        ms(longest),
        ms(stood_still(history, i64::MIN, i64::MAX))
    ));
}

/// Judges an event that should have happened by `to`, counted from `from`, and did not.
pub fn late(history: &History, verdict: &mut Verdict, from: i64, to: i64, text: String) {
    let from = from - history.timeout;
    let begins = history.stalls.iter().map(|stall| stall.before.max(from)).filter(|begin| *begin < to);
    let most = begins.map(|begin| stood_still(history, begin, to.min(begin + history.timeout))).max().unwrap_or(0);
    match most * PART >= history.timeout {
        true => verdict.doubts.push(format!(
            "{text}; within one session timeout of that the machine stood still for {} ms",
            ms(most)
        )),
        false => verdict.violation(text),
    }
}

/// How long a thread of the campaign stood still in that time. Several threads at once count once.
fn stood_still(history: &History, from: i64, to: i64) -> i64 {
    let mut stalls: Vec<&Pair> = history.stalls.iter().collect();
    stalls.sort_by_key(|stall| stall.before);
    let (mut sum, mut end) = (0, from);
    for stall in stalls {
        let (begin, stop) = (stall.before.max(end), stall.after.min(to));
        sum += (stop - begin).max(0);
        end = end.max(stop);
    }
    sum
}
