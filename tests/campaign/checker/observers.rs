//! No event is lost: an observer was told the true sequence of masters. Exempt are masters that came and went while the
//! observer was cut off, or within one round trip: a watch only says that something has changed, and the observer is
//! told the state that it reads then. At the end, when all has been well for a while, every process knows the master.

use super::truth::{Reign, Truth};
use super::{machine, ms, second, Verdict};
use crate::history::{Fault, History, Life, Seen, MASTER, SLAVE};

const OK: i32 = 0;
const NO_NODE: i32 = -101;
/// The value that an operator of the campaign writes into a znode.
const CHANGED: &str = "changed";

pub fn check(history: &History, truth: &Truth, verdict: &mut Verdict) {
    let mut figures = Figures::default();
    for life in &history.lives {
        for (_, path) in &life.watches {
            figures.observers += 1;
            let reigns = truth.reigns.get(path).map(Vec::as_slice).unwrap_or_default();
            Observed { history, truth, life, path, reigns }.check(&mut figures, verdict);
        }
    }
    for (recipe, path) in &history.elections {
        let reigns = truth.reigns.get(path).map(Vec::as_slice).unwrap_or_default();
        if let Some(reign) = at_the_end(history, reigns) {
            // `election run` records none of the events that it receives.
            let lives = history.lives.iter().filter(|life| life.language != "Command");
            lives.for_each(|life| knows(history, life, *recipe, path, reign, verdict));
        }
    }
    verdict.figure(format!(
        "{} observers were told {} times of a master, {} times of another one than before; {} masters came and went unseen \
         while the observer was cut off, {} within a moment, the longest of {} ms; {} times an older one was told of, in a new \
         session on a server that lagged",
        figures.observers,
        figures.told,
        figures.masters,
        figures.cut_off,
        figures.moment,
        ms(figures.longest_moment),
        figures.back
    ));
    for (from, to, what) in &truth.losses {
        verdict.figure(format!(
            "ZOOKEEPER LOST committed transactions: {what}, between {} and {}",
            second(history, *from),
            second(history, *to)
        ));
    }
    if !truth.losses.is_empty() {
        verdict.figure(format!("{} times what observers were told then is not judged", figures.lost));
    }
}

#[derive(Default)]
struct Figures {
    observers: usize,
    told: usize,
    masters: usize,
    cut_off: usize,
    moment: usize,
    longest_moment: i64,
    back: usize,
    lost: usize,
}

struct Observed<'a> {
    history: &'a History,
    truth: &'a Truth,
    life: &'a Life,
    path: &'a str,
    reigns: &'a [Reign],
}

impl Observed<'_> {
    fn check(&self, figures: &mut Figures, verdict: &mut Verdict) {
        let (history, path, who) = (self.history, self.path, &self.life.name);
        // The reign that the observer was told of last, and whether the observer has been told since that the master is
        // unknown.
        let mut last: Option<usize> = None;
        let mut was_cut_off = false;
        for seen in self.life.seen.iter().filter(|seen| seen.path == path) {
            if seen.rc != OK {
                was_cut_off |= seen.rc != NO_NODE;
                continue;
            }
            figures.told += 1;
            let Some(at) = self.reigns.iter().position(|reign| reign.token == seen.token) else {
                if self.truth.is_lost(seen.at) {
                    figures.lost += 1;
                    continue;
                }
                verdict.violation(format!(
                    "{who} was told at {} of a master at {path} with token {}, and there was none",
                    second(history, seen.at),
                    seen.token
                ));
                continue;
            };
            let reign = &self.reigns[at];
            if seen.value != reign.value && seen.value != CHANGED {
                verdict.violation(format!(
                    "{who} was told the value {} of the master {} at {path}, which is {}",
                    seen.value, seen.token, reign.value
                ));
            }
            if last != Some(at) {
                figures.masters += 1;
                self.changed(seen, last, at, was_cut_off, figures, verdict);
            }
            last = Some(at);
            was_cut_off = false;
        }
    }

    fn changed(
        &self,
        seen: &Seen,
        last: Option<usize>,
        at: usize,
        was_cut_off: bool,
        figures: &mut Figures,
        verdict: &mut Verdict,
    ) {
        let (history, path, who) = (self.history, self.path, &self.life.name);
        // A master from before the observer began to watch does not matter.
        let Some(last) = last else { return };
        if at < last && was_cut_off {
            figures.back += 1;
        } else if at < last && self.truth.is_lost(seen.at) {
            figures.lost += 1;
        } else if at < last {
            verdict.violation(format!(
                "{who} was told at {} of the master {} at {path}, after a newer one",
                second(history, seen.at),
                seen.token
            ));
        }
        for missed in self.reigns.get(last + 1..at).unwrap_or_default() {
            let lasted = missed.to - missed.from;
            if was_cut_off {
                figures.cut_off += 1;
            } else if self.truth.is_lost(missed.from) || self.truth.is_lost(seen.at) {
                figures.lost += 1;
            } else if lasted <= self.moment(missed) {
                figures.moment += 1;
                figures.longest_moment = figures.longest_moment.max(lasted);
            } else {
                let text = format!(
                    "{who} was not told of the master {} ({}) at {path}, who was there for {} ms from {}, and it was not cut \
                     off",
                    missed.token,
                    missed.value,
                    ms(lasted),
                    second(history, missed.from)
                );
                machine::late(history, verdict, missed.from, missed.to, text);
            }
        }
    }

    /// How long a master may exist without being seen by a connected observer. Normally a fifth of a session timeout:
    /// within that time an answer comes, or the client gives the connection up. If the observer, its links or a server
    /// had a fault, a session timeout: within that time the connection may have broken and been made again.
    fn moment(&self, missed: &Reign) -> i64 {
        let lanes: Vec<&str> = self.history.lives.iter().map(|life| life.lane.as_str()).collect();
        let concerns = |fault: &Fault| {
            let target = fault.target.split(' ').next().unwrap_or_default();
            target == self.life.lane || !lanes.contains(&target)
        };
        let is_then = |fault: &Fault| fault.begin <= missed.to && missed.from <= fault.end;
        match self.history.faults.iter().any(|fault| concerns(fault) && is_then(fault)) {
            true => self.history.timeout,
            false => self.history.timeout / 5,
        }
    }
}

fn at_the_end<'a>(history: &History, reigns: &'a [Reign]) -> Option<&'a Reign> {
    reigns.iter().find(|reign| reign.from <= history.closing && history.closing < reign.to)
}

/// Whether this process, if it was there, knew the master at the end.
fn knows(history: &History, life: &Life, recipe: i32, path: &str, reign: &Reign, verdict: &mut Verdict) {
    let is_there = life.started < history.calm && life.ended.as_ref().is_none_or(|(at, _)| *at > history.closing);
    if !is_there {
        return;
    }
    let master = format!("{} ({}) was master", reign.token, reign.value);
    if life.watches.iter().any(|(_, at)| at == path) {
        let last = life.seen.iter().rfind(|seen| seen.path == path && seen.at < history.closing);
        if last.is_none_or(|seen| seen.rc != OK || seen.token != reign.token) {
            let text = format!("{} was told last of {last:?} at {path}, and {master}", life.name);
            ignorant(
                history,
                last.filter(|seen| seen.rc != OK && seen.rc != NO_NODE).map(|it| it.at),
                text,
                verdict,
            );
        }
    }
    if life.stands.iter().any(|(_, at)| at == path) {
        let last = life.told.iter().rfind(|told| told.path == path && told.at < history.closing);
        let is_right = last.is_some_and(|told| match told.role {
            MASTER => told.token == reign.token && reign.value == life.name,
            // A slave in a queue does not know the first candidate.
            SLAVE => reign.value != life.name && (recipe != 0 || told.token == reign.token),
            _ => false,
        });
        if !is_right {
            let text = format!("{} was told last of {last:?} at {path}, and {master}", life.name);
            ignorant(
                history,
                last.filter(|told| ![MASTER, SLAVE].contains(&told.role)).map(|it| it.at),
                text,
                verdict,
            );
        }
    }
}

/// Judges a process that did not know the master. If it was just told that the master is unknown, the machine may be
/// the cause.
fn ignorant(history: &History, cut_off: Option<i64>, text: String, verdict: &mut Verdict) {
    match cut_off.filter(|at| *at + history.timeout >= history.closing) {
        Some(at) => machine::late(history, verdict, at, history.closing, text),
        None => verdict.violation(text),
    }
}
