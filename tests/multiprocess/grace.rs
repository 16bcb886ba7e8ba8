//! The grace delay: who is elected is told so, and is master only when the delay is over and nothing came between.

use std::time::{Duration, Instant};

use election::{Dialect, Options, Reason, Recipe};
use testkit::{eventually, expire_session, Ensemble, Relay};

use crate::candidate::{first_in_queue, options, Candidate};
use crate::{witness, SOON, WITNESS_TIMEOUT_MS};

const GRACE: Duration = Duration::from_millis(1_500);

fn with_grace(recipe: Recipe) -> Options {
    let mut options = options(10_000, recipe);
    options.set_grace(GRACE).expect("a time in range");
    options
}

#[test]
fn grace_node() {
    grace(Recipe::Node);
}

#[test]
fn grace_queue() {
    grace(Recipe::Queue(Dialect::CuratorLatch));
}

fn grace(recipe: Recipe) {
    let ensemble = Ensemble::builder(1).max_session_timeout_ms(WITNESS_TIMEOUT_MS).start();
    let relay = Relay::start(ensemble.addr(0));
    let options = with_grace(recipe);
    let mut watcher = witness(&ensemble, 0);
    let mut own_znode = |path: &str| match recipe {
        Recipe::Node => path.to_owned(),
        Recipe::Queue(_) => format!("{path}/{}", first_in_queue(&mut watcher, path)),
    };

    // The ordinary course, from a fresh election and from a handover. What is checked is the time from before the election, for
    // the callback that tells of it may come late on a busy machine.
    let mut before = Instant::now();
    let first = Candidate::stand(&ensemble.hosts(), "/grace", "first", &options);
    let second = Candidate::stand(&ensemble.hosts(), "/grace", "second", &options);
    let waited = |candidate: &Candidate| {
        eventually(SOON, "master or in grace", || {
            candidate.was_master() || candidate.reason() == Some(Reason::Grace)
        });
        assert!(!candidate.was_master() && !candidate.is_master(), "{:?}", candidate.heard());
        candidate.wait_master();
        candidate.wait_reason(Reason::Elected);
        let heard = candidate.heard();
        let at = |reason| heard.iter().rfind(|(_, event)| event.reason == reason).expect("it was told").0;
        (at(Reason::Elected), at(Reason::Elected) - at(Reason::Grace))
    };
    eventually(SOON, "one is elected", || {
        [&first, &second].iter().any(|candidate| candidate.reason() == Some(Reason::Grace))
    });
    let (one, other) = match first.reason() == Some(Reason::Grace) {
        true => (&first, &second),
        false => (&second, &first),
    };
    let waits = [one, other].map(|candidate| {
        let (elected, wait) = waited(candidate);
        assert!(elected - before >= GRACE, "{wait:?}");
        before = Instant::now();
        candidate.handle.resign("/grace").expect("it stood");
        wait
    });
    println!("{recipe:?}: MASTER {waits:?} after GRACE, which is to be {GRACE:?}");

    // A role that ends during the delay never was master: resigned, deleted, expired.
    for end in ["resigned", "deleted", "expired"] {
        let path = format!("/grace-{end}");
        let candidate = Candidate::stand(&relay.host(), &path, "x", &options);
        candidate.wait_reason(Reason::Grace);
        let told = candidate.heard().len();
        let before = Instant::now();
        let next = match end {
            "resigned" => {
                candidate.handle.resign(&path).expect("it stood");
                Reason::Resigned
            }
            "deleted" => {
                let znode = own_znode(&path);
                let mut operator = witness(&ensemble, 0);
                assert_eq!(operator.delete(&znode).expect("an answer").err, 0);
                Reason::Deleted
            }
            _ => {
                let session = relay.session().expect("a session");
                // Else its owner takes it back before it is closed.
                relay.refuse(true);
                assert!(expire_session(&ensemble.host(0), session.id, &session.password));
                relay.refuse(false);
                Reason::Expired
            }
        };
        eventually(SOON, end, || candidate.heard()[told..].iter().any(|(_, event)| event.reason == next));
        assert!(!candidate.is_master());
        // What comes next is a new role with a delay of its own: never MASTER right after the end of the former one.
        if end != "resigned" {
            candidate.wait_master();
            candidate.wait_reason(Reason::Elected);
        } else {
            std::thread::sleep(GRACE + Duration::from_millis(200));
        }
        let heard = candidate.heard();
        let reasons: Vec<Reason> = heard.iter().map(|(_, event)| event.reason).collect();
        let masters = reasons.iter().filter(|reason| **reason == Reason::Elected).count();
        let graces = reasons.iter().filter(|reason| **reason == Reason::Grace).count();
        let expected = if end == "resigned" { (0, 1) } else { (1, 2) };
        assert_eq!((masters, graces), expected, "{end}: {reasons:?}");
        if masters == 1 {
            let master = heard.iter().find(|(_, event)| event.reason == Reason::Elected).expect("told").0;
            assert!(master - before >= GRACE, "{end}: {reasons:?}");
        }
    }
}
