//! Who believed to be master, and when: what several processes wrote down, on one line of time.
//!
//! Two bounds for each belief. The *certain* one is inside: from after the first "yes" to before the last, and on to the end
//! of the lease that was told last if nothing was asked until then, as when the process stood still. The *possible* one is
//! outside. Two masters are found by the certain bounds, so that what is reported has happened; a gap between two beliefs is
//! given by the possible ones, so it is at least as long.

use crate::believer::{ms, Believer, Line};

const ANSWERED_AT_ONCE: i64 = 50_000_000;

/// One uninterrupted belief of one process.
#[derive(Clone, Debug)]
pub struct Belief {
    pub who: String,
    pub token: i64,
    /// Believed from here...
    pub begin: i64,
    /// ...to here for certain.
    pub end: i64,
    /// Not before this,
    pub earliest: i64,
    /// and not after that.
    pub latest: i64,
    /// How often it said yes in the log.
    pub count: usize,
    /// The longest time between two of these.
    pub longest_silence: i64,
}

/// The beliefs of one process, in order.
pub fn beliefs(believer: &Believer) -> Vec<Belief> {
    of_lines(&believer.name, &believer.lines())
}

fn of_lines(who: &str, lines: &[Line]) -> Vec<Belief> {
    let mut all: Vec<Belief> = Vec::new();
    let mut open = false;
    let mut lease_end = (0, 0);
    let mut clocks = None;
    for line in lines {
        match *line {
            Line::Yes { before, after, boot, token, left } => {
                // Both clocks run alike: nobody suspended the machine, so that `left` holds on this clock as well.
                let apart = before - boot;
                assert!((apart - *clocks.get_or_insert(apart)).abs() < 1_000_000_000, "the machine was suspended");
                match all.last_mut().filter(|belief| open && belief.token == token) {
                    Some(belief) => {
                        belief.longest_silence = belief.longest_silence.max(before - belief.end);
                        belief.end = belief.end.max(before);
                        belief.count += 1;
                    }
                    None => all.push(Belief {
                        who: who.to_owned(),
                        token,
                        begin: after,
                        end: before.max(after),
                        earliest: before,
                        latest: after,
                        count: 1,
                        longest_silence: 0,
                    }),
                }
                open = true;
                // The end of the lease was `left` from some moment between the two stamps.
                lease_end = (before + left, after + left);
                let belief = all.last_mut().expect("it was just looked at or made");
                // A question that went on while the process stood still tells nothing of when its lease was read.
                if after - before < ANSWERED_AT_ONCE {
                    belief.latest = lease_end.1;
                }
            }
            Line::No { before, after } => {
                let belief = all.last_mut().expect("no comes after yes");
                if lease_end.0 <= before {
                    belief.end = belief.end.max(lease_end.0);
                }
                belief.latest = belief.latest.min(after);
                open = false;
            }
            _ => {}
        }
    }
    all
}

/// Fails when two of these processes were master at one instant, or when a later master has not the larger token. Returns
/// all beliefs in order of their beginning.
#[track_caller]
pub fn check(believers: &[&Believer]) -> Vec<Belief> {
    check_beliefs(believers.iter().flat_map(|believer| beliefs(believer)).collect())
        .unwrap_or_else(|why| panic!("{why}"))
}

fn check_beliefs(mut all: Vec<Belief>) -> Result<Vec<Belief>, String> {
    all.sort_by_key(|belief| belief.begin);
    for pair in all.windows(2) {
        let (former, next) = (&pair[0], &pair[1]);
        if former.end >= next.begin {
            return Err(format!("two masters for {} ms: {former:#?} and {next:#?}", ms(former.end - next.begin)));
        }
        if former.token >= next.token {
            return Err(format!("the token does not rise: {former:#?} and then {next:#?}"));
        }
    }
    Ok(all)
}

/// How long nobody was master between these two, at least.
pub fn gap_ms(former: &Belief, next: &Belief) -> f64 {
    ms(next.earliest - former.latest)
}

fn yes(at: i64, token: i64, left: i64) -> Line {
    Line::Yes { before: at, after: at + 1, boot: at, token, left }
}

fn no(at: i64) -> Line {
    Line::No { before: at, after: at + 1 }
}

#[test]
fn the_checker_finds_two_masters() {
    let first = |until| [yes(10, 1, 100), yes(40, 1, 100), no(until)];
    let second = of_lines("second", &[yes(60, 2, 100)]);
    let with_second = |lines: &[Line]| {
        let all = [of_lines("first", lines), second.clone()].concat();
        check_beliefs(all).is_ok()
    };
    assert!(with_second(&first(50)), "told no in time, by its session");
    assert!(!with_second(&first(200)), "silent, with a lease until 140");
    assert!(!with_second(&[yes(10, 1, 100), yes(70, 1, 100)]), "both said yes at 65");
    assert!(!with_second(&[yes(10, 3, 5), no(20)]), "the larger token came first");
    let gap = [yes(10, 1, 20), no(100)];
    assert!(with_second(&gap));
    assert_eq!(of_lines("first", &gap)[0].latest, 31);
}

#[test]
fn a_belief_is_one_token_without_a_no() {
    let lines = [yes(10, 1, 100), yes(20, 1, 100), no(30), yes(40, 2, 100), yes(50, 3, 100)];
    let found = of_lines("one", &lines);
    let spans: Vec<_> = found.iter().map(|belief| (belief.token, belief.begin, belief.end, belief.count)).collect();
    assert_eq!(spans, [(1, 11, 20, 2), (2, 41, 41, 1), (3, 51, 51, 1)]);
}
