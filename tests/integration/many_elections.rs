//! Ten thousand elections on one handle through everything that may happen to a handle, and a hundred thousand calls at
//! once. Each election writes down what it hears: nobody is lost, nobody is told twice, and nobody misses a watch.

use crate::candidates::{Candidate, TestHandle};
use crate::ground::{one_server, resident_kib, LONG_MS};
use crate::relays::Relays;
use election::{Event, Reason, Role};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::{eventually, expire_session, opcode, Ensemble, RawClient};

const HOW_MANY: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(120);

type Told = (Role, Reason, i64);

struct Elections {
    handle: TestHandle,
    told: Arc<Vec<Mutex<Vec<Told>>>>,
    /// How many callbacks are gone.
    dropped: Arc<AtomicUsize>,
}

struct CountsItsEnd(Arc<AtomicUsize>);

impl Drop for CountsItsEnd {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn path(i: usize) -> String {
    format!("/many/one-of-ten-thousand-{i:05}")
}

impl Elections {
    fn join(handle: TestHandle) -> Elections {
        let told: Arc<Vec<Mutex<Vec<Told>>>> = Arc::new((0..HOW_MANY).map(|_| Mutex::default()).collect());
        let dropped = Arc::new(AtomicUsize::new(0));
        for i in 0..HOW_MANY {
            let (told, end) = (told.clone(), CountsItsEnd(dropped.clone()));
            let hears = move |event: &Event| {
                let _ = &end;
                told[i].lock().unwrap().push((event.role, event.reason, event.token));
            };
            handle.go_to_election(&path(i), b"mine", hears).unwrap();
        }
        Elections { handle, told, dropped }
    }

    /// Waits until each of `these` has heard as much as that, and checks that they have heard exactly that, and the others
    /// nothing. Returns the last tokens.
    #[track_caller]
    fn hear(&self, what: &str, these: impl Fn(usize) -> bool, expected: &[(Role, Reason)]) -> Vec<i64> {
        let is_heard = |i: usize| !these(i) || self.told[i].lock().unwrap().len() >= expected.len();
        eventually(PATIENCE, what, || (0..HOW_MANY).all(is_heard));
        let mut tokens = Vec::new();
        for i in 0..HOW_MANY {
            let told = std::mem::take(&mut *self.told[i].lock().unwrap());
            let heard: Vec<(Role, Reason)> = told.iter().map(|(role, reason, _)| (*role, *reason)).collect();
            assert_eq!(heard, if these(i) { expected } else { &[] }, "{what}: {i}");
            tokens.extend(told.last().map(|(_, _, token)| *token));
        }
        tokens
    }

    #[track_caller]
    fn all_lead(&self, tokens: &[i64]) {
        for (i, token) in tokens.iter().enumerate() {
            assert_eq!(self.handle.lease(&path(i)).map(|lease| lease.token), Some(*token), "{i}");
        }
    }
}

/// Deletes their znodes, many in one write.
fn delete(host: &str, these: impl Iterator<Item = usize>) {
    let mut operator = RawClient::connect(host, 30_000).unwrap();
    let these: Vec<usize> = these.collect();
    for chunk in these.chunks(200) {
        for i in chunk {
            let path = path(*i);
            let mut body = (path.len() as i32).to_be_bytes().to_vec();
            body.extend(path.as_bytes());
            body.extend((-1i32).to_be_bytes());
            operator.send(opcode::DELETE, &body).unwrap();
        }
        for i in chunk {
            assert_eq!(operator.receive().unwrap().err, 0, "{i}");
        }
    }
    operator.close_session().unwrap();
}

fn watches(ensemble: &Ensemble, servers: Range<usize>) -> usize {
    let of_server = |i| {
        let text = ensemble.four_letter(i, "wchs");
        let total = text.lines().find_map(|line| line.strip_prefix("Total watches:")).unwrap_or("0");
        total.trim().parse::<usize>().unwrap()
    };
    servers.map(of_server).sum()
}

const MASTER: (Role, Reason) = (Role::Master, Reason::Elected);

#[test]
#[ignore = "two minutes: `make test-long` runs it"]
fn ten_thousand_elections_come_through_everything() {
    let ensemble = Ensemble::start(3);
    let relays = Relays::before(&ensemble);
    let handle = TestHandle::open_for(&relays.hosts(), LONG_MS);

    let (before, began) = (resident_kib(), Instant::now());
    let elections = Elections::join(handle.clone());
    let first = elections.hear("all lead", |_| true, &[MASTER]);
    let joined = began.elapsed();
    elections.all_lead(&first);
    eventually(PATIENCE, "all are watched", || watches(&ensemble, 0..3) >= HOW_MANY);
    let each = (resident_kib() - before) * 1_024 / HOW_MANY as u64;

    // The session moves to another server, and nobody hears of it.
    let left = relays.drive_off();
    let moved_at = Instant::now();
    let others = || (0..3).filter(|i| *i != left).map(|i| watches(&ensemble, i..i + 1)).sum::<usize>();
    eventually(PATIENCE, "all are watched on another server", || others() >= HOW_MANY);
    let back = moved_at.elapsed();
    elections.hear("nobody hears of the reconnect", |_| false, &[]);
    elections.all_lead(&first);
    relays.let_back();

    // Each of the watches is set on the new server: an operator deletes all znodes.
    let elected_anew = [(Role::Unknown, Reason::Deleted), MASTER];
    delete(&ensemble.host(left), 0..HOW_MANY);
    let second = elections.hear("all hear of the deletion", |_| true, &elected_anew);
    assert!(first.iter().zip(&second).all(|(first, second)| first < second));
    elections.all_lead(&second);

    // What happens while there is no connection is heard after the next one, by whom it concerns.
    let is_struck = |i: usize| i % 10 == 0;
    eventually(PATIENCE, "all are watched", || watches(&ensemble, 0..3) >= HOW_MANY);
    let left = relays.current();
    relays.drive_off_all();
    delete(&ensemble.host(left), (0..HOW_MANY).filter(|i| is_struck(*i)));
    relays.let_back();
    elections.hear("those hear of the deletion", is_struck, &elected_anew);

    // The session expires.
    let current = relays.current();
    let session = relays.0[current].session().unwrap();
    relays.drive_off_all();
    assert!(expire_session(&ensemble.host(current), session.id, &session.password));
    relays.let_back();
    let expired_at = Instant::now();
    let third = elections.hear("all hear of the end", |_| true, &[(Role::Unknown, Reason::Expired), MASTER]);
    let elected_again = expired_at.elapsed();
    assert!(second.iter().zip(&third).all(|(second, third)| second < third));
    elections.all_lead(&third);

    (0..HOW_MANY).for_each(|i| handle.resign(&path(i)).unwrap());
    elections.hear("all have resigned", |_| true, &[(Role::Unknown, Reason::Resigned)]);
    eventually(PATIENCE, "all callbacks are gone", || elections.dropped.load(Ordering::SeqCst) == HOW_MANY);
    let mut operator = RawClient::connect(&ensemble.host(0), 10_000).unwrap();
    eventually(PATIENCE, "no znode is left", || operator.children("/many").unwrap().is_empty());
    handle.close().unwrap();
    elections.hear("nobody hears more", |_| false, &[]);

    println!(
        "{HOW_MANY} joined in {joined:?}, {each} bytes each; all watched again {back:?} after a break; \
         all elected again {elected_again:?} after the session had expired"
    );
    assert!(back < Duration::from_secs(5), "{back:?}");
}

/// One handle is given a hundred thousand elections at once. It and another handle stay masters, and what waits is bounded.
#[test]
#[ignore = "a minute: `make test-long` runs it"]
fn a_hundred_thousand_calls_at_once() {
    const CALLS: usize = 100_000;
    const TIMEOUT_MS: u64 = 4_000;
    let ensemble = one_server();
    let busy = Candidate::stand_for(&ensemble.host(0), TIMEOUT_MS, "/calls/one", "0");
    let other = Candidate::stand_for(&ensemble.host(0), TIMEOUT_MS, "/calls/other", "mine");
    let (token, others_token) = (busy.becomes_master(), other.becomes_master());
    let (asked, others) = (busy.interrogate(), other.interrogate());
    let path = |i: usize| format!("/calls/one-of-many-{i}");
    let (before, began) = (resident_kib(), Instant::now());
    for i in 0..CALLS {
        busy.handle.go_to_election(&path(i), b"mine", |_| {}).unwrap();
    }
    busy.handle.set_value("/calls/one", b"last").unwrap();
    let called = began.elapsed();
    eventually(PATIENCE, "the last ones lead", || (CALLS - 1_000..CALLS).all(|i| busy.handle.is_master(&path(i))));
    assert!((0..CALLS).all(|i| busy.handle.is_master(&path(i))));
    let led = began.elapsed();
    let each = (resident_kib() - before) * 1_024 / CALLS as u64;
    eventually(PATIENCE, "the last value arrives", || {
        busy.handle.master("/calls/one", PATIENCE).is_ok_and(|master| *master.value == *b"last")
    });
    asked.end().are_always_yes(token);
    others.end().are_always_yes(others_token);
    println!("{CALLS} calls in {called:?}, all lead after {led:?}, {each} bytes each");
    assert!(each < 6_000, "{each} bytes for each election");
    let began = Instant::now();
    busy.handle.close().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?} for the close", began.elapsed());
}
