//! No event is lost: what an observer was told is the true sequence of masters, but for those that came and went while it was
//! cut off, or within one round trip: a watch says that something has changed, and what stands there then is what is told.
//! And at the end, when all has been well for a while, everybody knows who is master.

use super::truth::{Reign, Truth};
use super::{machine, ms, second, Verdict};
use crate::history::{Fault, History, Life, Seen, MASTER, SLAVE};

const OK: i32 = 0;
const NO_NODE: i32 = -101;
/// What an operator of the campaign writes into a znode.
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
            // `election run` writes down nothing of what it is told.
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
        // The reign that it was told of last, and whether it has been told since that nobody can tell.
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
        // Who was master before it began to watch is none of its business.
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

    /// How long a master may have been there without being seen by an observer that has a connection: a fifth of a session
    /// timeout, in which an answer comes or the connection is given up; and when the observer, its links or a server were in
    /// trouble, a session timeout, in which the connection may have broken and been made again.
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

/// Whether this process, if it was there, knew at the end who was master.
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
            // A slave in a queue does not know who is first.
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

/// It did not know who was master. Who has just been told that nobody can tell may have the machine to blame for it.
fn ignorant(history: &History, cut_off: Option<i64>, text: String, verdict: &mut Verdict) {
    match cut_off.filter(|at| *at + history.timeout >= history.closing) {
        Some(at) => machine::late(history, verdict, at, history.closing, text),
        None => verdict.violation(text),
    }
}
