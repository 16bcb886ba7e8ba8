//! The checker judges, by the history alone, whether a campaign kept each promise. Each file judges one promise. It
//! adds the violations that it found and how much it checked, so that a campaign in which nothing happened does not
//! pass for a good one.

mod acts;
mod beliefs;
mod callbacks;
mod commands;
mod ending;
mod faults;
mod gaps;
mod machine;
mod observers;
mod processes;
mod truth;

#[cfg(test)]
mod planted;

use std::fmt;

use crate::history::History;
use truth::Truth;

/// The findings of the checker.
#[derive(Debug, Default)]
pub struct Verdict {
    pub violations: Vec<String>,
    /// Delays while the machine stood still, or a server that did not come back: the cause cannot be known.
    pub doubts: Vec<String>,
    /// The counts of the checks, line by line.
    pub figures: Vec<String>,
}

impl Verdict {
    fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    fn figure(&mut self, text: String) {
        self.figures.push(text);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        self.figures.iter().try_for_each(|figure| writeln!(out, "  {figure}"))?;
        for violation in &self.violations {
            writeln!(out, "VIOLATION: {violation}")?;
        }
        for doubt in &self.doubts {
            writeln!(out, "IN DOUBT: {doubt}")?;
        }
        match (self.violations.len(), self.doubts.len()) {
            (0, 0) => writeln!(out, "the checker found nothing"),
            (0, _) => writeln!(
                out,
                "INVALID: the machine, or a server, did not keep up with this campaign, which proves nothing: run it again on a \
                 machine that has less to do"
            ),
            (count, _) => writeln!(out, "the checker found {count} violations"),
        }
    }
}

pub fn check(history: &History) -> Verdict {
    let truth = Truth::of(history);
    let mut verdict = Verdict::default();
    faults::check(history, &mut verdict);
    machine::check(history, &mut verdict);
    beliefs::check(history, &truth, &mut verdict);
    commands::check(history, &mut verdict);
    gaps::check(history, &truth, &mut verdict);
    callbacks::check(history, &mut verdict);
    acts::check(history, &truth, &mut verdict);
    observers::check(history, &truth, &mut verdict);
    ending::check(history, &mut verdict);
    processes::check(history, &mut verdict);
    verdict
}

/// The processes that believed at a path, and from when to when for certain, in order of the beginning.
pub fn spans<'a>(history: &'a History, path: &str) -> Vec<(&'a str, i64, i64)> {
    let spans = beliefs::spans(history, path).into_iter();
    spans.map(|span| (span.belief.who.as_str(), span.from, span.to)).collect()
}

/// The seconds since the beginning of the campaign, as text.
fn second(history: &History, at: i64) -> String {
    format!("{:.3} s", (at - history.began) as f64 / 1e9)
}

fn ms(ns: i64) -> f64 {
    (ns as f64 / 1e4).round() / 100.0
}
