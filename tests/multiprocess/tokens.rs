//! Tokens rise with each new master, whatever was restarted in between.

use election::{Dialect, Recipe};
use testkit::Ensemble;

use crate::candidate::{options, Candidate};

#[test]
fn tokens_rise_over_restarts_of_everything_but_the_data() {
    let ensemble = Ensemble::start(3);
    let mut tokens: [Vec<i64>; 2] = Default::default();
    for round in 0..3 {
        if round > 0 {
            ensemble.stop_all();
            ensemble.start_all();
            ensemble.wait_all_serving();
        }
        for (recipe, tokens) in [Recipe::Node, Recipe::Queue(Dialect::CuratorLatch)].into_iter().zip(&mut tokens) {
            let path = format!("/tokens-{}", matches!(recipe, Recipe::Node));
            let options = options(10_000, recipe);
            // In one life of the servers as well: the second one follows the first.
            let first = Candidate::stand(&ensemble.hosts(), &path, "first", &options);
            tokens.push(first.wait_master());
            let second = Candidate::stand(&ensemble.hosts(), &path, "second", &options);
            second.wait_reason(election::Reason::Following);
            first.handle.close().expect("the servers are there");
            tokens.push(second.wait_master());
            // The servers are told, so that no session of this round is waited for in the next.
            second.handle.close().expect("the servers are there");
        }
    }
    for tokens in &tokens {
        assert!(tokens.is_sorted_by(|former, next| former < next), "{tokens:x?}");
    }
    println!("tokens of both recipes over two restarts of all servers: {tokens:x?}");
}
