//! No process crashed, wrote to standard error, leaked or spun.

use super::{machine, second, Verdict};
use crate::history::{History, Life, Sample};

/// A process is sampled from its third second on, and not before it has heard its first event: by then it has started
/// everything.
const SETTLING: i64 = 3_000_000_000;
const AFTER_THE_FIRST_WORD: i64 = 1_000_000_000;
/// For each of two handles: a second attempt to connect, the connection of a session that was given up, and one to each of three
/// servers that are asked why there is no connection; and the register.
const MORE_DESCRIPTORS: i64 = 12;
/// With TLS, each attempt to connect has a short-lived thread that reads the files: for each of two handles, one for its session and
/// one for a session that was given up.
const MORE_THREADS: i64 = 4;
const MORE_RSS_KIB: i64 = 4_096;
const WINDOW: i64 = 5_000_000_000;
/// The limit, in percent of one core. The questions, one for each election in a millisecond, take a tenth.
const SPINNING: i64 = 80;

pub fn check(history: &History, verdict: &mut Verdict) {
    let (mut looked_at, mut most_cpu, mut most_rss) = (0, 0, 0);
    for life in &history.lives {
        match &life.ended {
            Some((_, how)) if how == "killed" || how == "code 0" => {}
            Some((at, how)) if life.language == "Command" && is_end_of_command(history, life, *at, how) => {}
            Some((at, how)) => {
                verdict.violation(format!("{} ended with {how} at {}", life.name, second(history, *at)))
            }
            None => verdict.violation(format!("{} was not seen to end", life.name)),
        }
        match &life.ended {
            Some((at, how)) if history.closing > 0 && *at > history.closing && how == "killed" => {
                let text = format!("{} did not end when it was told to close", life.name);
                machine::late(history, verdict, history.closing, *at, text);
            }
            _ => {}
        }
        for said in &life.said {
            verdict.violation(format!("{} said: {said}", life.name));
        }
        let settled = settled(life);
        if let [first, .., last] = settled[..] {
            looked_at += settled.len();
            flat(life, first, last, &settled, verdict);
            most_rss = most_rss.max(last.rss_kib - first.rss_kib);
        }
        for (i, from) in settled.iter().enumerate() {
            let Some(to) = settled[i..].iter().find(|to| to.at >= from.at + WINDOW) else { break };
            let percent = (to.cpu_ms - from.cpu_ms) * 100_000_000 / (to.at - from.at).max(1);
            most_cpu = most_cpu.max(percent);
            if percent > SPINNING {
                verdict.violation(format!(
                    "{} used {percent} % of a core from {} for {} s",
                    life.name,
                    second(history, from.at),
                    WINDOW / 1_000_000_000
                ));
                break;
            }
        }
    }
    verdict.figure(format!(
        "{} processes, {} of them over TLS, {looked_at} looks at them: none grew by more than {most_rss} KiB, none used more than {most_cpu} % of a core \
         for {} s",
        history.lives.len(),
        history.lives.iter().filter(|life| life.has_tls).count(),
        WINDOW / 1_000_000_000
    ));
}

/// How `election run` may end: by the signal that it got while it waited, and by itself when its guard was killed.
fn is_end_of_command(history: &History, life: &Life, at: i64, how: &str) -> bool {
    let is_of = |target: &str| target.split(' ').next() == Some(&life.lane);
    let was = |kind: &str| {
        history
            .faults
            .iter()
            .any(|it| it.kind == kind && is_of(&it.target) && it.begin < at && it.end.saturating_add(1) >= at)
    };
    match how {
        "signal 15" => was("exit") || (history.closing > 0 && at > history.closing),
        "code 125" => was("command-guard-kill"),
        _ => false,
    }
}

fn settled(life: &Life) -> Vec<&Sample> {
    let heard = life.told.iter().map(|told| told.at).chain(life.seen.iter().map(|seen| seen.at)).min();
    let Some(heard) = heard else { return Vec::new() };
    let from = (life.started + SETTLING).max(heard + AFTER_THE_FIRST_WORD);
    life.samples.iter().filter(|sample| sample.at > from).collect()
}

fn flat(life: &Life, first: &Sample, last: &Sample, all: &[&Sample], verdict: &mut Verdict) {
    let most = |field: fn(&Sample) -> i64| all.iter().map(|sample| field(sample)).max().unwrap_or(0);
    // A process that closes has begun to end its threads.
    let more_threads = if life.has_tls { MORE_THREADS } else { 0 };
    if most(|sample| sample.threads) > first.threads + more_threads {
        verdict.violation(format!(
            "{} had {} threads and came to {}",
            life.name,
            first.threads,
            most(|sample| sample.threads)
        ));
    }
    if most(|sample| sample.descriptors) > first.descriptors + MORE_DESCRIPTORS + more_threads {
        verdict.violation(format!(
            "{} had {} descriptors and came to {}",
            life.name,
            first.descriptors,
            most(|sample| sample.descriptors)
        ));
    }
    if last.rss_kib > first.rss_kib + MORE_RSS_KIB {
        verdict
            .violation(format!("{} had {} KiB of memory and came to {}", life.name, first.rss_kib, last.rss_kib));
    }
}
