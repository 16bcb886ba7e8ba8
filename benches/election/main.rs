//! `make bench`: the cost of an election, beside the cost of ZooKeeper itself on the same servers in the same run.
//!
//! All figures are latencies of a distributed system. So each figure of the library is taken in turns with the raw
//! requests that it is compared with, and is shown by its median and its tail. Figures are reported, not judged: a slow
//! machine is not a failure. But a step that does not happen is a failure: then the exit code is not 0.

mod by_hand;
mod command;
mod handover;
mod idle;
mod is_master;
mod lease;
mod machine;
mod member;
mod queue;
mod raw;
mod report;
mod samples;
mod start;
mod tls;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use report::Report;
use testkit::Ensemble;

/// Every error, as a sentence.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long to wait for a step that takes milliseconds, before the benchmark reports that it did not happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The tick of ZooKeeper's sample configuration.
const TICK_MS: u32 = 2_000;

fn main() -> ExitCode {
    // `cargo test --all-targets` runs this, too, in a debug build. The figures of a debug build prove nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("to measure: make bench");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nFAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let began = Instant::now();
    let mut report = Report::default();
    machine::print_before(&mut report)?;
    // What TLS costs is compared with nothing else: `cargo bench -- tls` measures it alone.
    if std::env::args().any(|argument| argument == "tls") {
        tls::measure(&mut report)?;
        report.print_aims();
        return machine::print_after(began);
    }
    for len in [1, 3] {
        measure_with(len, &mut report)?;
    }
    lease::measure(&mut report)?;
    tls::measure(&mut report)?;
    report.print_aims();
    machine::print_after(began)?;
    match report.is_complete() {
        true => Ok(()),
        false => Err("the number of sections in report.rs is not that of the sections".into()),
    }
}

fn measure_with(servers: usize, report: &mut Report) -> Result<()> {
    let ensemble = Ensemble::builder(servers).tick_ms(TICK_MS).force_sync(true).start();
    machine::print_ensemble(&ensemble)?;
    let hosts: Vec<String> = (0..servers).map(|i| ensemble.host(i)).collect();

    report.section("raw requests: one after the other, on each server in turns");
    raw::measure(&hosts, report)?;
    report.section("start to master: from open and stand until the callback says MASTER");
    start::measure(&hosts, report)?;
    for candidates in [3, 50] {
        let who = format!("handover among {candidates} candidates, a session each");
        report.section(&format!("{who}: from resign until the next one's callback says MASTER"));
        handover::measure(&hosts, candidates, report)?;
    }
    for candidates in [3, 200] {
        report.section(&format!(
            "handover in a queue of {candidates}, a session each: from resign until the next one's callback"
        ));
        queue::measure(&hosts, candidates, report)?;
    }
    report.section(
        "handover of the command `election run`: from SIGTERM until the next one's COMMAND says that it has started",
    );
    command::measure(&hosts, report)?;
    if servers == 1 {
        report.section("one call of election_is_master that says yes; a sample is the mean over a thousand calls");
        is_master::measure(&hosts, report)
    } else {
        report.section("one idle candidate: a C program on libelection.so, as master");
        idle::measure(&ensemble, report)
    }
}
