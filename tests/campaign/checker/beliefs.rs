//! Never two masters, and tokens rise: at no instant do two processes hold a lease by the answers of election_lease.
//!
//! A belief lasts *for certain* from after its first yes to before its last one. It lasts on to the end of the lease
//! that the last answer stated if the process asked nothing and heard nothing until then, for example because it was
//! stopped or killed: the lease promises that time. So each reported overlap has really happened.
//!
//! The promise does not cover two cases (election.h, README): another client deletes the znode of a master, or takes
//! its session over and ends it. Then another candidate may be elected before the old master hears of it. Such an
//! overlap is counted and not reported if the znode was taken away in that manner and the old belief ends within a
//! session timeout of the new one's beginning: the next proof of life fails, so a lease cannot last longer.

use std::collections::BTreeMap;

use super::truth::Truth;
use super::{ms, second, Verdict};
use crate::history::{Belief, History, Life, MASTER};

/// The certain part of a belief.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    pub belief: &'a Belief,
    pub from: i64,
    pub to: i64,
}

/// All beliefs at a path, in order of their beginning.
pub fn spans<'a>(history: &'a History, path: &str) -> Vec<Span<'a>> {
    let mut spans = Vec::new();
    for life in &history.lives {
        for belief in life.beliefs.iter().filter(|belief| belief.path == path) {
            spans.push(Span { belief, from: belief.first.after, to: end(life, belief) });
        }
    }
    spans.sort_by_key(|span| span.from);
    spans
}

fn end(life: &Life, belief: &Belief) -> i64 {
    let told = belief.last.before.max(belief.first.after);
    let last_word = match &belief.no {
        Some(no) => no.before,
        None => i64::MAX,
    };
    // A callback or a resignation after the last question also ended the belief.
    let heard = life.told.iter().filter(|event| event.path == belief.path && event.role != MASTER).map(|it| it.at);
    let resigned = life.resigned.iter().filter(|(_, path)| *path == belief.path).map(|(at, _)| *at);
    let closed = life.closed.iter().map(|(closing, _)| closing.before);
    let over = heard.chain(resigned).chain(closed).filter(|at| *at >= belief.last.before).min();
    if belief.until <= last_word && over.is_none_or(|over| belief.until < over) {
        told.max(belief.until)
    } else {
        told
    }
}

pub fn check(history: &History, truth: &Truth, verdict: &mut Verdict) {
    let (mut masterships, mut exempt, mut longest_exempt) = (0, 0, 0);
    let mut closest: Option<i64> = None;
    let mut least_left = i64::MAX;
    let mut by_process: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, path) in &history.elections {
        let spans = spans(history, path);
        masterships += spans.len();
        for span in &spans {
            *by_process.entry(&span.belief.who).or_default() += 1;
            least_left = least_left.min(span.belief.least_left);
            if span.belief.until > span.belief.last.after + history.timeout {
                verdict.violation(format!(
                    "{} was told at {path} of a lease longer than a session timeout",
                    span.belief.who
                ));
            }
            if truth.reign(path, span.belief.token).is_none() && !truth.is_lost(span.from) {
                verdict.violation(format!(
                    "{} believed at {path} with token {} from {}, and no znode of that number was first there",
                    span.belief.who,
                    span.belief.token,
                    second(history, span.from)
                ));
            }
        }
        for (i, next) in spans.iter().enumerate() {
            for former in &spans[..i] {
                if former.belief.token >= next.belief.token {
                    verdict.violation(format!(
                        "the token does not rise at {path}: {} {} at {}, then {} {} at {}",
                        former.belief.who,
                        former.belief.token,
                        second(history, former.from),
                        next.belief.who,
                        next.belief.token,
                        second(history, next.from)
                    ));
                }
                if former.to < next.from {
                    continue;
                }
                let overlap = former.to.min(next.to) - next.from;
                let is_exempt = truth.taken_away.contains(&former.belief.token)
                    && former.to <= next.belief.first.before + history.timeout;
                if is_exempt {
                    exempt += 1;
                    longest_exempt = longest_exempt.max(overlap);
                } else {
                    verdict.violation(format!(
                        "two masters at {path} for {} ms from {}: {} (token {}) and {} (token {})",
                        ms(overlap),
                        second(history, next.from),
                        former.belief.who,
                        former.belief.token,
                        next.belief.who,
                        next.belief.token
                    ));
                }
            }
            if let Some(former) = i.checked_sub(1).map(|i| &spans[i]) {
                if former.to < next.from {
                    let distance = next.belief.first.before - former.to;
                    closest = Some(closest.map_or(distance, |closest| closest.min(distance)));
                }
            }
        }
    }
    let answers: i64 = history.lives.iter().flat_map(|life| &life.beliefs).map(|belief| belief.answers).sum();
    let asked: i64 = history.lives.iter().map(|life| life.asked).sum();
    if masterships == 0 {
        verdict.violation("nobody ever was master: nothing was tried".to_owned());
    }
    verdict.figure(format!(
        "{masterships} masterships of {} processes in {} elections; asked {asked} times, yes {answers} times",
        by_process.len(),
        history.elections.len()
    ));
    verdict.figure(format!(
        "closest handover {} ms; the least that was told to be left of a lease {} ms",
        closest.map_or("-".to_owned(), |closest| ms(closest).to_string()),
        ms(least_left)
    ));
    verdict.figure(format!(
        "{} znodes of masters deleted, or their sessions ended, from outside: {exempt} overlaps from that, the longest {} ms",
        truth.taken_away.len(),
        ms(longest_exempt)
    ));
}
