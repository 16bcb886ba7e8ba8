//! After the last fault, each path has one master within a bound, and no other master until the end. When all have
//! closed, nothing is left in ZooKeeper.

use super::beliefs::spans;
use super::{machine, second, Verdict};
use crate::history::History;

/// The bound, in session timeouts, from the moment at which all servers served again and no fault was active.
pub const BOUND: i64 = 3;

pub fn check(history: &History, verdict: &mut Verdict) {
    if history.calm == 0 || history.closing < history.calm + BOUND * history.timeout {
        let text = "the campaign was not seen to its end".to_owned();
        machine::late(history, verdict, history.calm, history.closing, text);
        return;
    }
    let mut longest = 0;
    for (_, path) in &history.elections {
        let bound = history.calm + BOUND * history.timeout;
        let after: Vec<_> = spans(history, path).into_iter().filter(|span| span.to > bound).collect();
        match &after[..] {
            [one]
                if one.belief.first.before <= bound && one.belief.last.after + 1_000_000_000 > history.closing =>
            {
                longest = longest.max(one.belief.first.before - history.calm);
            }
            _ => {
                let who: Vec<String> = after
                    .iter()
                    .map(|span| format!("{} from {}", span.belief.who, second(history, span.from)))
                    .collect();
                let text = format!(
                    "not one master at {path} from {} session timeouts after the last fault ({}) to the end, but {who:?}",
                    BOUND,
                    second(history, bound)
                );
                machine::late(history, verdict, history.calm, history.closing, text);
            }
        }
    }
    verdict.figure(format!(
        "after the last fault one master everywhere within {:.2} session timeouts (bound: {BOUND})",
        longest as f64 / history.timeout as f64
    ));
    for path in &history.left {
        verdict.violation(format!("left in ZooKeeper: {path}"));
    }
}
