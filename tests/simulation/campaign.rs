//! Runs many seeds, and counts the events in them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Instant;

use testkit::Progress;

use crate::clock::Ns;
use crate::number;
use crate::plan::Fault;
use crate::run::{run, Outcome};

const SEEDS: u64 = 20_000;

#[derive(Default)]
struct Sums {
    runs: u64,
    steps: u64,
    simulated_s: f64,
    requests: u64,
    transactions: u64,
    leaders: u64,
    expiries: u64,
    masterships: u64,
    takeovers: u64,
    lapses: u64,
    foreign_deletes: u64,
    fenced: u64,
    longest_vacancy: Ns,
    faults: BTreeMap<Fault, u64>,
}

impl Sums {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.steps += outcome.stats.steps;
        self.simulated_s += outcome.simulated as f64 / 1e9;
        self.requests += outcome.stats.requests;
        self.transactions += outcome.stats.transactions;
        self.leaders += outcome.stats.elections;
        self.expiries += outcome.stats.expiries;
        self.masterships += outcome.masterships;
        self.takeovers += outcome.takeovers;
        self.lapses += outcome.lapses;
        self.foreign_deletes += outcome.stats.foreign_deletes;
        self.fenced += outcome.stats.fenced;
        self.longest_vacancy = self.longest_vacancy.max(outcome.longest_vacancy);
        for (fault, count) in &outcome.stats.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
    }

    fn print(&self, started: Instant) {
        println!("{} runs in {:.1} s, {} steps", self.runs, started.elapsed().as_secs_f64(), self.steps);
        println!("{:.0} hours simulated", self.simulated_s / 3600.0);
        println!("{} requests, {} transactions", self.requests, self.transactions);
        println!("{} leaders of ensembles, {} sessions expired", self.leaders, self.expiries);
        println!("{} masterships, {} of them ended by their lease", self.masterships, self.lapses);
        println!("{} of them began at the event that told of the predecessor's end", self.takeovers);
        println!("{} fenced writes", self.fenced);
        println!("longest time without a master: {:.1} s", self.longest_vacancy as f64 / 1e9);
        println!("{} znodes of others deleted after an operator's delete", self.foreign_deletes);
        for (fault, count) in &self.faults {
            println!("{count:>9} x {fault:?}");
        }
    }
}

/// Reports the violation of a run, with the trace and the command that repeats it.
pub fn judge(seed: u64, outcome: Outcome) {
    let Some(violation) = outcome.violation else { return };
    run(seed, None, true).trace.iter().for_each(|line| println!("{line}"));
    println!("violated: {}: {}", violation.property, violation.detail);
    println!("again: SEED={seed} cargo test --release --test simulation one_seed -- --nocapture");
    panic!("seed {seed}: {}: {}", violation.property, violation.detail);
}

/// Hides the messages of expected panics: a core with a broken rule may run into its own assertions.
pub fn quietly(work: impl FnOnce()) {
    QUIET.with(|quiet| quiet.set(true));
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.with(std::cell::Cell::get) {
                usual(panic);
            }
        }));
    });
    work();
    QUIET.with(|quiet| quiet.set(false));
}

thread_local! {
    static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[test]
fn no_seed_finds_a_fault() {
    let first = number("FIRST").unwrap_or(0);
    let last = first + number("SEEDS").unwrap_or(SEEDS);
    let started = Instant::now();
    let sums = Mutex::new(Sums::default());
    let progress = Progress::new("simulation", last - first, "seeds");
    let next = AtomicU64::new(first);
    // The lowest bad seed, from any thread.
    let bad = AtomicU64::new(u64::MAX);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= last || seed > bad.load(Ordering::Relaxed) {
                    return;
                }
                let outcome = run(seed, None, false);
                if outcome.violation.is_some() {
                    println!("seed {seed}: {:?}", outcome.violation);
                    bad.fetch_min(seed, Ordering::Relaxed);
                }
                sums.lock().expect("no run panics").add(&outcome);
                progress.advance(1);
            });
        }
    });
    drop(progress);
    sums.into_inner().expect("no run panics").print(started);
    let bad = bad.into_inner();
    if bad != u64::MAX {
        judge(bad, run(bad, None, false));
    }
}
