//! The master's process is stopped for two session timeouts and goes on: the first thing that it asks is answered by no,
//! before anything of the library has told it: its callbacks wait until it has asked.

use std::time::Duration;

use testkit::Ensemble;

use crate::belief;
use crate::believer::{ms, now, Believer, Believers, Line, RECIPE_NODE, RECIPE_QUEUE};

const ROUNDS: usize = 20;
const SESSION_TIMEOUT_MS: u64 = 1_000;

#[test]
fn a_master_that_was_stopped_hears_no_first_node() {
    stop_and_go(RECIPE_NODE);
}

#[test]
fn a_master_that_was_stopped_hears_no_first_queue() {
    stop_and_go(RECIPE_QUEUE);
}

fn stop_and_go(recipe: i32) {
    let ensemble = Ensemble::builder(1).tick_ms(200).start();
    let believers = Believers::new();
    let recipe = format!("recipe={recipe}");
    let timeout = format!("session_timeout_ms={SESSION_TIMEOUT_MS}");
    let start = |name| {
        believers.start(&ensemble.hosts(), "/paused", name, &[&recipe, &timeout, "pause_us=50", "hold_master=1"])
    };
    let first = start("first");
    first.wait_master(0);
    let second = start("second");
    let (mut master, mut other): (&Believer, &Believer) = (&first, &second);

    let mut slowest = 0;
    let (mut shown, mut rounds) = (0, 0);
    while shown < ROUNDS {
        rounds += 1;
        assert!(
            rounds <= 2 * ROUNDS,
            "the callback came before the question in {} of {rounds} rounds",
            rounds - shown
        );
        master.wait_master(master.mark());
        let (mark, other_mark) = (master.mark(), other.mark());
        master.process().freeze();
        let frozen = now();
        other.wait_master(other_mark);
        let taken_over = now() - frozen;
        // The other is in; the sleep is what the test is about: two timeouts of standing still.
        std::thread::sleep(
            Duration::from_millis(2 * SESSION_TIMEOUT_MS).saturating_sub(Duration::from_nanos(taken_over as u64)),
        );
        let thawed = now();
        master.process().thaw();
        let (after, yes) = master.wait("a question after it woke", mark, |line| match *line {
            Line::Question { before, after, yes } if before >= thawed => Some((after, yes)),
            _ => None,
        });
        assert!(!yes, "the first question after {} ms of standing still was answered by yes", ms(thawed - frozen));
        slowest = slowest.max(after - thawed);
        master.wait("the callback", mark, |line| {
            matches!(line, Line::Callback { at, .. } if *at >= thawed).then_some(())
        });
        let first_callback = master.lines()[mark..].iter().find_map(|line| match *line {
            Line::Callback { at, .. } if at >= thawed => Some(at),
            _ => None,
        });
        // Which thread the machine runs first is luck. A round in which the callback came first shows nothing.
        shown += usize::from(first_callback.is_some_and(|at| at > after));
        (master, other) = (other, master);
    }
    let all = belief::check(&[&first, &second]);
    assert!(all.len() > ROUNDS, "each round has a new master: {}", all.len());
    let gaps: Vec<f64> = all.windows(2).map(|pair| belief::gap_ms(&pair[0], &pair[1])).collect();
    let shortest = gaps.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "{recipe}: no at the first question {rounds} of {rounds} times, {shown} times before any callback; it was answered at most {} ms after \
         SIGCONT; {} masterships, between two of them nobody believed for at least {shortest:.1} ms",
        ms(slowest),
        all.len()
    );
}
