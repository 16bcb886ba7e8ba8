//! No write of an old master is accepted after a write of a newer master. This is checked where the register asks the
//! verifier, and in ZooKeeper where election_fenced_set checks it. The unfenced writes show the damage that fencing
//! prevents.

use std::collections::BTreeMap;

use super::truth::Truth;
use super::{second, Verdict};
use crate::history::{Change, History, Kind};

pub fn check(history: &History, truth: &Truth, verdict: &mut Verdict) {
    let mut highest: BTreeMap<(Kind, &str), i64> = BTreeMap::new();
    let (mut fenced, mut refused, mut unfenced, mut late) = (0, 0, 0, 0);
    for write in &history.writes {
        let highest = highest.entry((write.kind, &write.path)).or_default();
        match write.kind {
            Kind::Fenced if !write.taken => refused += 1,
            Kind::Fenced => {
                fenced += 1;
                if write.token < *highest {
                    verdict.violation(format!(
                        "the register took a fenced write of {} with token {} at {}, after one with {highest}",
                        write.who,
                        write.token,
                        second(history, write.at)
                    ));
                }
            }
            _ => {
                unfenced += 1;
                late += usize::from(write.token < *highest);
            }
        }
        *highest = write.token.max(*highest);
    }
    if fenced == 0 {
        verdict.violation("no fenced write was ever taken: nothing was tried".to_owned());
    }
    verdict.figure(format!(
        "register: {fenced} fenced writes taken, {refused} refused; of {unfenced} unfenced ones {late} were an old \
         master's, taken after a newer one's"
    ));
    let (znodes, exempt) = znodes(history, truth, verdict);
    let silent =
        history.lives.iter().flat_map(|life| &life.acts).filter(|act| act.kind == Kind::Znode && act.rc != 0);
    verdict.figure(format!(
        "ZooKeeper: {znodes} fenced writes carried out, {} came to nothing or to no answer; {exempt} by a master whose \
         znode had been taken away",
        silent.count()
    ));
}

/// Judges the writes to ZooKeeper, in the order of the transaction logs: `token name`.
fn znodes(history: &History, truth: &Truth, verdict: &mut Verdict) -> (usize, usize) {
    let (mut count, mut exempt) = (0, 0);
    let mut highest: BTreeMap<&str, i64> = BTreeMap::new();
    let mut told: BTreeMap<(i64, &str), usize> = BTreeMap::new();
    for transaction in &history.transactions {
        let Change::Set { path, value } = &transaction.change else { continue };
        if !path.starts_with("/register/") {
            continue;
        }
        let Some((token, who)) = value.split_once(' ') else { continue };
        let Ok(token) = token.parse::<i64>() else { continue };
        count += 1;
        *told.entry((token, who)).or_default() += 1;
        if !transaction.is_sure {
            continue;
        }
        let highest = highest.entry(path).or_default();
        // In the node recipe the path is checked, and another candidate's znode may stand there by now.
        if token < *highest && truth.taken_away.contains(&token) {
            exempt += 1;
        } else if token < *highest {
            verdict.violation(format!(
                "a fenced write to {path} of {who} with token {token} was carried out at {}, after one with {highest}",
                second(history, transaction.at)
            ));
        }
        *highest = token.max(*highest);
    }
    for life in &history.lives {
        let mut done: BTreeMap<i64, usize> = BTreeMap::new();
        for act in life.acts.iter().filter(|act| act.kind == Kind::Znode && act.rc == 0) {
            *done.entry(act.token).or_default() += 1;
        }
        for (token, done) in done {
            let carried_out = told.get(&(token, life.name.as_str())).copied().unwrap_or(0);
            if carried_out < done {
                verdict.violation(format!(
                    "{} was told of {done} fenced writes with token {token}, and {carried_out} were carried out",
                    life.name
                ));
            }
        }
    }
    (count, exempt)
}
