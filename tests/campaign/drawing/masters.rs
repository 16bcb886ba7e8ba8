//! How many processes believe that they are master, at each instant of a piece of a history; and the reason for each
//! long time without a master.

use crate::checker;
use crate::history::{Fault, History, Life};

/// A gap this long gets an explanation, in nanoseconds.
const LONG: i64 = 1_000_000_000;

/// This many masters, from one instant to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub from: i64,
    pub to: i64,
    pub masters: usize,
}

/// The stretches of an election, one after the other, without a hole.
pub fn stretches(history: &History, path: &str, from: i64, to: i64) -> Vec<Stretch> {
    let spans: Vec<(i64, i64)> =
        checker::spans(history, path).into_iter().map(|(_, begin, end)| (begin, end)).collect();
    let mut moments: Vec<i64> = spans.iter().flat_map(|(begin, end)| [*begin, *end]).chain([from, to]).collect();
    moments.retain(|at| (from..=to).contains(at));
    moments.sort_unstable();
    moments.dedup();
    let mut stretches: Vec<Stretch> = Vec::new();
    for pair in moments.windows(2) {
        let masters = spans.iter().filter(|(begin, end)| *begin <= pair[0] && pair[1] <= *end).count();
        match stretches.last_mut() {
            Some(last) if last.masters == masters => last.to = pair[1],
            _ => stretches.push(Stretch { from: pair[0], to: pair[1], masters }),
        }
    }
    stretches
}

/// The reason for each long stretch without a master.
pub fn long_gaps<'a>(history: &'a History, path: &str, stretches: &'a [Stretch]) -> Vec<(&'a Stretch, String)> {
    let is_long = |stretch: &&Stretch| stretch.masters == 0 && stretch.to - stretch.from >= LONG;
    stretches.iter().filter(is_long).map(|gap| (gap, why(history, path, gap))).collect()
}

fn why(history: &History, path: &str, gap: &Stretch) -> String {
    let mut causes = vec![end_of_the_former(history, path, gap.from)];
    let without = without_quorum(history, gap);
    if without >= LONG / 10 {
        causes.push(format!("most servers were down for {}", seconds(without)));
    }
    let mut kinds: Vec<&str> = troubles(history, gap)
        .filter(|fault| servers_down(fault).len() < 2)
        .map(|fault| fault.kind.as_str())
        .collect();
    if !kinds.is_empty() {
        kinds.sort_unstable();
        kinds.dedup();
        causes.push(format!("servers in trouble ({})", kinds.join(", ")));
    }
    causes.retain(|cause| !cause.is_empty());
    if causes.is_empty() {
        causes.push("the former master's session ran out".to_owned());
    }
    causes.join("; ")
}

/// How the last master before this moment ended.
fn end_of_the_former(history: &History, path: &str, at: i64) -> String {
    let spans = checker::spans(history, path);
    let Some((who, _, end)) = spans.into_iter().filter(|(_, _, end)| *end <= at).max_by_key(|(_, _, end)| *end)
    else {
        return "the first master is elected".to_owned();
    };
    let Some(life) = history.lives.iter().find(|life| life.name == who) else { return String::new() };
    let timeout = seconds(history.timeout);
    if let Some((ended, how)) = &life.ended {
        if *ended <= end.saturating_add(history.timeout) && how == "killed" {
            return format!("kill -9 of {}: its session lives for {timeout}", life.lane);
        }
    }
    let fault = of_process(history, life)
        .filter(|fault| fault.begin <= end && fault.end >= end - history.timeout)
        .max_by_key(|fault| fault.begin);
    match fault.map(|fault| fault.kind.as_str()) {
        Some("stop-long" | "stop-short") => {
            format!("{} was stopped: its session lives for {timeout}", life.lane)
        }
        Some("expire") => format!("the session of {} was ended from outside", life.lane),
        Some(kind) if kind.starts_with("link-") => {
            format!("{} was cut off: its session lives for {timeout}", life.lane)
        }
        Some("exit") => format!("{} crashed: its session lives for {timeout}", life.lane),
        _ => String::new(),
    }
}

fn of_process<'a>(history: &'a History, life: &'a Life) -> impl Iterator<Item = &'a Fault> {
    history
        .faults
        .iter()
        .filter(|fault| !fault.is_vain && fault.target.split(' ').next() == Some(life.lane.as_str()))
}

/// The servers that a fault takes away while it lasts.
fn servers_down(fault: &Fault) -> Vec<&str> {
    let takes_away = ["server-kill", "server-stop", "two-servers-", "all-servers-", "disk-full"];
    match takes_away.iter().any(|kind| fault.kind.starts_with(kind)) {
        true => fault.target.split(' ').next().unwrap_or_default().split('+').collect(),
        false => Vec::new(),
    }
}

fn troubles<'a>(history: &'a History, gap: &'a Stretch) -> impl Iterator<Item = &'a Fault> {
    let of_servers = ["server-", "two-", "all-", "rolling-", "peers-", "disk-"];
    history.faults.iter().filter(move |fault| {
        !fault.is_vain
            && of_servers.iter().any(|kind| fault.kind.starts_with(kind))
            && fault.begin < gap.to
            && fault.end > gap.from
    })
}

/// For how much of a gap fewer than a majority of the servers ran.
fn without_quorum(history: &History, gap: &Stretch) -> i64 {
    let mut moments: Vec<i64> = troubles(history, gap)
        .flat_map(|fault| [fault.begin.max(gap.from), fault.end.min(gap.to)])
        .chain([gap.from, gap.to])
        .collect();
    moments.sort_unstable();
    let mut lasted = 0;
    for pair in moments.windows(2) {
        let mut down: Vec<&str> = troubles(history, gap)
            .filter(|fault| fault.begin <= pair[0] && pair[1] <= fault.end)
            .flat_map(servers_down)
            .collect();
        down.sort_unstable();
        down.dedup();
        if 2 * down.len() >= history.servers {
            lasted += pair[1] - pair[0];
        }
    }
    lasted
}

fn seconds(ns: i64) -> String {
    format!("{:.1} s", ns as f64 / 1e9)
}
