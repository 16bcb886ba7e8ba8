//! No event is lost: what an observer was told is the true sequence of masters, but for those that came and went while it was
//! cut off, or within one round trip: a watch says that something has changed, and what stands there then is what is told.

use super::truth::{Reign, Truth};
use super::{ms, second, Verdict};
use crate::history::{History, Life, Seen};

const OK: i32 = 0;
const NO_NODE: i32 = -101;
const CHANGED: &str = "changed";

pub fn check(history: &History, truth: &Truth, verdict: &mut Verdict) {
    let mut figures = Figures::default();
    let mut observers = 0;
    for life in &history.lives {
        for (_, path) in &life.watches {
            observers += 1;
            let seen: Vec<&Seen> = life.seen.iter().filter(|seen| seen.path == *path).collect();
            let reigns = truth.reigns.get(path).map(Vec::as_slice).unwrap_or_default();
            of_path(history, life, path, &seen, reigns, &mut figures, verdict);
        }
    }
    verdict.figure(format!(
        "{observers} observers were told {} times of a master, of {} different ones; {} came and went unseen while the observer was \
         cut off, {} within a moment, the longest of {} ms; {} were told again after a newer one, in a new session on a server \
         that lagged",
        figures.told, figures.masters, figures.cut_off, figures.moment, ms(figures.longest_moment), figures.back
    ));
}

#[derive(Default)]
struct Figures {
    told: usize,
    masters: usize,
    cut_off: usize,
    moment: usize,
    longest_moment: i64,
    back: usize,
}

fn of_path(
    history: &History,
    life: &Life,
    path: &str,
    seen: &[&Seen],
    reigns: &[Reign],
    figures: &mut Figures,
    verdict: &mut Verdict,
) {
    let who = &life.name;
    // The reign that it was told of last, and whether it has been told since that it cannot tell.
    let mut last: Option<usize> = None;
    let mut was_cut_off = true;
    for seen in seen {
        if seen.rc != OK {
            was_cut_off |= seen.rc != NO_NODE;
            continue;
        }
        figures.told += 1;
        let Some(at) = reigns.iter().position(|reign| reign.token == seen.token) else {
            verdict.violation(format!("{who} was told at {} of a master at {path} with token {}, and there was none", second(history, seen.at), seen.token));
            continue;
        };
        if seen.value != reigns[at].value && seen.value != CHANGED {
            verdict.violation(format!("{who} was told the value {} of the master {} at {path}, which is {}", seen.value, seen.token, reigns[at].value));
        }
        if Some(at) == last {
            was_cut_off = false;
            continue;
        }
        figures.masters += 1;
        if last.is_some_and(|last| at < last) {
            if was_cut_off {
                figures.back += 1;
            } else {
                verdict.violation(format!("{who} was told at {} of the master {} at {path}, after a newer one", second(history, seen.at), seen.token));
            }
        }
        // Who was master before it began to watch is none of its business.
        if let Some(last) = last {
            for missed in reigns.get(last + 1..at).unwrap_or_default() {
                let lasted = missed.to - missed.from;
                if was_cut_off {
                    figures.cut_off += 1;
                } else if lasted <= moment(history, life, missed) {
                    figures.moment += 1;
                    figures.longest_moment = figures.longest_moment.max(lasted);
                } else {
                    verdict.violation(format!(
                        "{who} was not told of the master {} ({}) at {path}, who was there for {} ms from {}, and it was not cut off",
                        missed.token, missed.value, ms(lasted), second(history, missed.from)
                    ));
                }
            }
        }
        last = Some(at);
        was_cut_off = false;
    }
    // At the end, when all had been well for a while, it knew who was master.
    let at_the_end = seen.iter().rfind(|seen| seen.at < history.closing);
    let is_there = life.started < history.calm && life.ended.as_ref().is_none_or(|(at, _)| *at > history.closing);
    let true_one = reigns.iter().find(|reign| reign.from <= history.closing && history.closing < reign.to);
    if let (true, Some(true_one)) = (is_there, true_one) {
        if at_the_end.is_none_or(|seen| seen.rc != OK || seen.token != true_one.token) {
            verdict.violation(format!("{who} was told last of {at_the_end:?} at {path}, and {} ({}) was master", true_one.token, true_one.value));
        }
    }
}

/// How long a master may have been there without being seen by an observer with a connection: a fifth of a session timeout, in
/// which an answer comes or the connection is given up; and for as long as the observer, or a server, stood still.
fn moment(history: &History, life: &Life, missed: &Reign) -> i64 {
    let stops = |fault: &&crate::history::Fault| {
        let is_of_all = fault.kind.starts_with("server") || fault.kind.starts_with("all-servers") || fault.kind.starts_with("disk") || fault.kind.starts_with("peers") || fault.kind.starts_with("rolling") || fault.kind.starts_with("two-servers");
        (is_of_all || fault.target.split(' ').next() == Some(&life.lane)) && fault.begin <= missed.to && missed.from <= fault.end
    };
    let is_disturbed = history.faults.iter().any(|fault| stops(&fault));
    history.timeout / 5 * if is_disturbed { 5 } else { 1 }
}
