//! Whether who believed to lead was first in the queue then.
//!
//! Only what is certain counts: a belief is stale when its znode had been seen to be gone before the question was asked, and out
//! of turn when another znode with a lower number was seen both before and after it.

use std::fmt;

use crate::believer::{ms, Line};
use crate::witness::Life;

/// A belief that was wrong all the time, and how long.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub why: &'static str,
    pub from: i64,
    pub to: i64,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:.1} ms from {}", self.why, ms(self.to - self.from), self.from)
    }
}

fn fault(mine: &[&Life], all: &[Life], from: i64, to: i64) -> Option<&'static str> {
    let mut standing = mine.iter().filter(|life| life.possibly(from, to)).peekable();
    if standing.peek().is_none() {
        return Some("without a znode");
    }
    let is_behind = |mine: &Life| all.iter().any(|life| life.number < mine.number && life.certainly(from, to));
    standing.all(|mine| is_behind(mine)).then_some("not the first")
}

/// What one process wrote, which had these znodes of all.
pub fn wrong(lines: &[Line], mine: &[&Life], all: &[Life]) -> Vec<Wrong> {
    let mut found: Vec<Wrong> = Vec::new();
    let mut is_wrong = false;
    for line in lines {
        match *line {
            Line::Yes { before, after, .. } => {
                let why = fault(mine, all, before, after);
                match (why, found.last_mut().filter(|_| is_wrong)) {
                    (Some(why), Some(last)) if last.why == why => last.to = after,
                    (Some(why), _) => found.push(Wrong { why, from: before, to: after }),
                    (None, _) => {}
                }
                is_wrong = why.is_some();
            }
            Line::No { .. } => is_wrong = false,
            _ => {}
        }
    }
    found
}

fn yes(at: i64) -> Line {
    Line::Yes { before: at, after: at + 1, boot: at, token: 0, left: 0 }
}

#[test]
fn a_belief_without_a_znode_or_out_of_turn_is_found() {
    let life = |number, from, until, gone| Life {
        name: format!("n-{number:010}"),
        number,
        owner: 1,
        value: String::new(),
        absent_until: from - 5,
        seen_from: from,
        seen_until: until,
        gone,
    };
    let all = [life(1, 10, 100, Some(105)), life(2, 20, 200, Some(205))];
    let of = |i: usize, lines: &[Line]| {
        let found = wrong(lines, &[&all[i]], &all);
        found.iter().map(|wrong| (wrong.why, wrong.from, wrong.to)).collect::<Vec<_>>()
    };
    assert_eq!(of(0, &[yes(8), yes(50), yes(104), Line::No { before: 110, after: 111 }]), []);
    assert_eq!(of(0, &[yes(50), yes(106), yes(150)]), [("without a znode", 106, 151)]);
    assert_eq!(of(0, &[yes(2)]), [("without a znode", 2, 3)]);
    assert_eq!(of(1, &[yes(30), yes(90), yes(102), yes(150)]), [("not the first", 30, 91)]);
}
