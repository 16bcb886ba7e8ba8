//! Callbacks pair up. After MASTER, a callback reports its end before another MASTER at that path. The last callback of
//! a candidate that was closed or resigned reports that. Each ctx was freed once.

use super::{second, Verdict};
use crate::history::{History, Life, MASTER};

const RESIGNED: i32 = 7;
const CLOSED: i32 = 8;
const FAILED: i32 = 9;

pub fn check(history: &History, verdict: &mut Verdict) {
    let mut count = 0;
    for life in &history.lives {
        for (_, path) in &history.elections {
            count += of_path(history, life, path, verdict);
        }
        let has_closed = !life.closed.is_empty() && life.closed.iter().all(|(_, rc)| *rc == 0 || *rc == -4);
        // The Python binding keeps its contexts itself.
        let registered = life.stands.len() + life.watches.len();
        if has_closed && life.language == "C" && life.freed.len() != registered {
            verdict.violation(format!(
                "{} registered {registered} callbacks and {} were freed",
                life.name,
                life.freed.len()
            ));
        }
    }
    verdict.figure(format!("{count} callbacks of candidates"));
}

fn of_path(history: &History, life: &Life, path: &str, verdict: &mut Verdict) -> usize {
    let told: Vec<_> = life.told.iter().filter(|event| event.path == path).collect();
    for pair in told.windows(2) {
        if pair[0].role == MASTER && pair[1].role == MASTER {
            verdict.violation(format!(
                "{} was told MASTER at {path} twice, without an end in between, the second time at {}",
                life.name,
                second(history, pair[1].at)
            ));
        }
    }
    if let Some(failed) = told.iter().find(|event| event.reason == FAILED) {
        verdict.violation(format!("the library failed in {} at {}", life.name, second(history, failed.at)));
    }
    let stood = life.stands.iter().any(|(_, at)| at == path);
    if stood && !life.closed.is_empty() {
        match told.last() {
            Some(last) if [RESIGNED, CLOSED].contains(&last.reason) => {}
            last => verdict
                .violation(format!("{} closed, and the last that it heard at {path} was {last:?}", life.name)),
        }
    }
    for belief in life.beliefs.iter().filter(|belief| belief.path == path) {
        // The answer may precede the callback by a moment. A process that was killed may have had no callback.
        let is_told = told.iter().any(|event| event.role == MASTER && event.token == belief.token);
        if !is_told && !life.closed.is_empty() {
            verdict.violation(format!(
                "{} believed at {path} with token {} and was never told MASTER",
                life.name, belief.token
            ));
        }
    }
    told.len()
}
