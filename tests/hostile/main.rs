//! A hostile or broken server: an error and a new attempt, never a crash, a hang of the caller, a spin or memory without
//! bound.

mod alone;
mod causes;
mod liar;
mod lies;
mod soak;
mod stalls;
mod subject;

use alone::{alone, carry_out, told, LONGEST};
use election::Options;
use liar::{framed, Deed, Liar};
use lies::{lie, Case, To};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use subject::{Load, Subject};
use testkit::{eventually, Ensemble};

const SIEGE: Duration = Duration::from_secs(2);

/// So often a server is tried in that time.
const MOST_ATTEMPTS: usize = 100;

/// So many programs are lied to at the same time.
const PROGRAMS: usize = 5;

#[test]
fn each_lie_is_an_error_and_a_new_attempt() {
    if let Some(told) = told() {
        let (server, name) = told.split_once(' ').expect("the server's address, and a name");
        let case = lies::all().into_iter().find(|case| case.name == name).expect("a lie of that name");
        return besiege(case, server);
    }
    let ensemble = Ensemble::start(1);
    let (cases, failures) = (Mutex::new(lies::all().into_iter()), Mutex::new(Vec::new()));
    let next = || cases.lock().unwrap().next();
    let work = || {
        while let Some(case) = next() {
            let what = format!("{} {}", ensemble.host(0), case.name);
            let (status, said) = carry_out("each_lie_is_an_error_and_a_new_attempt", &what, LONGEST);
            said.lines().filter(|line| line.contains(case.name)).for_each(|line| println!("{line}"));
            if status.is_none_or(|status| !status.success()) {
                failures.lock().unwrap().push(format!("{}: {status:?}\n{said}", case.name));
            }
        }
    };
    std::thread::scope(|scope| (0..PROGRAMS).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A server, a liar before it that is honest so far, and whoever talks to that.
fn settled(to: To, path: &str) -> (Ensemble, Liar, Subject) {
    let ensemble = Ensemble::start(1);
    let liar = Liar::start(ensemble.addr(0));
    let subject = Subject::start(to, &liar.host(), &ensemble.host(0), path);
    subject.is_settled();
    (ensemble, liar, subject)
}

fn besiege(case: Case, server: &str) {
    let Case { name, to, lie } = case;
    let path = format!("/hostile/{}", name.replace([' ', ':'], "-"));
    let liar = Liar::start(server.parse().expect("an address"));
    let subject = Subject::start(to, &liar.host(), server, &path);
    subject.is_settled();
    liar.lie(Some(lie));
    // What may be used at once is used up first.
    subject.answers_for(SIEGE / 2);
    let (before, connections) = (Load::now(), liar.connections());
    subject.answers_for(SIEGE);
    let load = Load::now().since(&before);
    let tried = liar.connections() - connections;
    // Whoever comes and goes meanwhile.
    let stranger = Subject::start(to, &liar.host(), server, &format!("{path}-stranger"));
    stranger.answers_once();
    stranger.close();
    liar.lie(None);
    let back = subject.is_served();
    println!("{name}: {load}, {tried} connections, back after {back:?}");
    if load.excess(SIEGE, 1).is_some() {
        // The same questions cost something when the answers are honest, too, and more on a machine that is slow.
        let before = Load::now();
        subject.answers_for(SIEGE);
        let honest = Load::now().since(&before);
        println!("{name}: {honest}, when the server is honest");
        assert_eq!(load.without_cpu_of(&honest).excess(SIEGE, 1), None);
    }
    assert!(tried <= MOST_ATTEMPTS, "{tried} connections");
    subject.close();
}

/// Events as fast as they are taken: a session reads so much a turn, so the others have theirs.
#[test]
fn a_flood_starves_no_other_handle() {
    alone("a_flood_starves_no_other_handle", LONGEST, || {
        let ensemble = Ensemble::builder(1).max_session_timeout_ms(10_000).start();
        let liar = Liar::start(ensemble.addr(0));
        let subject = Subject::start(To::Candidate, &liar.host(), &ensemble.host(0), "/flood");
        subject.is_settled();
        let flooded = Subject::start(To::Observer, &liar.host(), &ensemble.host(0), "/flood-closed");
        flooded.is_settled();
        let mut options = Options::default();
        options.set_session_timeout(Duration::from_secs(8)).unwrap();
        let host = ensemble.host(0);
        let other = Subject::with_options(To::Candidate, &host, &host, "/flood-other", &options);
        other.is_settled();
        let (token, answered) = (other.token(), other.counters().requests_answered);
        liar.lie(Some(lies::flood()));
        let since = Instant::now();
        while since.elapsed() < 2 * SIEGE {
            assert_eq!(other.token(), token, "after {:?}", since.elapsed());
            subject.answers_once();
            other.answers_once();
        }
        // It sends eight requests for its lease in that time.
        assert!(other.counters().requests_answered >= answered + 4, "{:?}", other.counters());
        let closed = Instant::now();
        flooded.close();
        assert!(closed.elapsed() < Duration::from_secs(3), "close took {:?}", closed.elapsed());
        assert_eq!(other.token(), token);
        liar.lie(None);
        subject.is_served();
        subject.close();
        other.close();
    });
}

/// One connection on which bytes come and no answer; the server is honest on the next. Who waited for the connection to
/// break would wait for ever.
#[test]
fn a_connection_that_only_trickles_is_given_up() {
    alone("a_connection_that_only_trickles_is_given_up", LONGEST, || {
        let (_ensemble, liar, subject) = settled(To::Candidate, "/trickle");
        let before = trickle_once(&liar, |number, _| number >= 2);
        let back = subject.is_served();
        println!("back after {back:?}, {} connections", liar.connections() - before);
        subject.close();
    });
}

/// Who only watches asks for nothing until what it watches is read again, every 30 s.
#[test]
#[ignore = "half a minute: `make test-long` runs it"]
fn an_observer_gives_a_connection_that_only_trickles_up() {
    alone("an_observer_gives_a_connection_that_only_trickles_up", LONGEST, || {
        let (_ensemble, liar, subject) = settled(To::Observer, "/trickle");
        // What it asks when it is back is answered.
        let since = Instant::now();
        trickle_once(&liar, move |number, body| {
            number > 0 && lies::is_pong(body) && since.elapsed() > Duration::from_secs(1)
        });
        let back = subject.is_served_within(Duration::from_secs(40));
        println!("back after {back:?}");
        subject.close();
    });
}

/// In place of the first frame that is fit for it, and returns then. How many connections there were.
fn trickle_once(liar: &Liar, is_fit: impl Fn(usize, &[u8]) -> bool + Send + Sync + 'static) -> usize {
    let has_struck = Arc::new(AtomicBool::new(false));
    let (strikes, before) = (Arc::clone(&has_struck), liar.connections());
    liar.lie(Some(lie(move |number, body| match is_fit(number, body) && !strikes.swap(true, Ordering::SeqCst) {
        // A frame of 64 KiB, and two bytes of it now and then.
        true => Deed::GoOnSaying(vec![0, 1], lies::PAUSE),
        false => Deed::Say(framed(body)),
    })));
    eventually(Duration::from_secs(10), "a trickle", || has_struck.load(Ordering::SeqCst));
    before
}

/// The server goes on talking, and answers nothing.
#[test]
fn what_is_closed_leaves_nothing_behind() {
    alone("what_is_closed_leaves_nothing_behind", LONGEST, || {
        let (ensemble, liar, subject) = settled(To::Candidate, "/left");
        let keeper = Subject::start(To::Candidate, &ensemble.host(0), &ensemble.host(0), "/keeper");
        keeper.is_settled();
        liar.lie(Some(lies::trickle()));
        subject.stops_believing();
        subject.close();
        eventually(Duration::from_secs(6), "the library's end of each connection is closed", || liar.is_alone());
        keeper.close();
    });
}

/// Of a new session; one that is resumed keeps what it was granted first.
#[test]
fn a_session_timeout_that_nobody_means_is_refused() {
    alone("a_session_timeout_that_nobody_means_is_refused", LONGEST, || {
        let ensemble = Ensemble::start(1);
        let liar = Liar::start(ensemble.addr(0));
        for granted_ms in [-1, 0, 39, i32::MAX] {
            liar.lie(Some(lies::grants(granted_ms)));
            let (before, path) = (liar.connections(), format!("/grant-{granted_ms}"));
            let subject = Subject::start(To::Candidate, &liar.host(), &ensemble.host(0), &path);
            std::thread::sleep(SIEGE / 2);
            assert!(liar.connections() - before > 1, "{granted_ms}: a new attempt");
            assert_eq!((subject.counters().sessions_opened, subject.token()), (0, None), "{granted_ms}");
            liar.lie(None);
            subject.is_served();
            subject.close();
        }
    });
}

/// A server, or what stands in front of it, that gives whoever resumes a session another one: what was ours stays until
/// our session expires, and so each proof would find it and prove nothing.
#[test]
fn a_session_that_is_resumed_as_another_is_given_up() {
    alone("a_session_that_is_resumed_as_another_is_given_up", LONGEST, || {
        const TIMEOUT: Duration = Duration::from_secs(12);
        let ensemble = Ensemble::builder(1).max_session_timeout_ms(20_000).start();
        let liar = Liar::start(ensemble.addr(0));
        let mut options = Options::default();
        options.set_session_timeout(TIMEOUT).unwrap();
        let (host, server) = (liar.host(), ensemble.host(0));
        let subject = Subject::with_options(To::Candidate, &host, &server, "/another", &options);
        subject.is_settled();
        let token = subject.token();
        liar.forget_session();
        let since = Instant::now();
        eventually(TIMEOUT / 2, "a mastership of a new session", || {
            subject.token().is_some_and(|now| Some(now) != token)
        });
        println!("a new mastership after {:?}", since.elapsed());
        subject.close();
    });
}

/// At each byte of the handshake and of the first answers, for as long as it lasts, and each at once with the others.
#[test]
fn the_connection_ends_at_each_byte() {
    alone("the_connection_ends_at_each_byte", LONGEST, || {
        const BYTES: usize = 160;
        let ensemble = Ensemble::builder(1).config_line("maxClientCnxns=0").start();
        let each: Vec<(Liar, Subject)> = (0..BYTES)
            .map(|bytes| {
                let liar = Liar::start(ensemble.addr(0));
                let said = Mutex::new(0);
                liar.lie(Some(lie(move |number, body| {
                    let mut said = said.lock().unwrap();
                    *said = if number == 0 { 0 } else { *said };
                    let frame = framed(body);
                    let left = bytes - *said;
                    *said += frame.len().min(left);
                    match frame.len() <= left {
                        true => Deed::Say(frame),
                        false => Deed::SayAndClose(frame[..left].to_vec()),
                    }
                })));
                let subject =
                    Subject::start(To::Candidate, &liar.host(), &ensemble.host(0), &format!("/byte-{bytes}"));
                (liar, subject)
            })
            .collect();
        let before = Load::now();
        std::thread::sleep(SIEGE);
        let load = Load::now().since(&before);
        println!("{BYTES} handles: {load}");
        for (liar, subject) in &each {
            assert!(liar.connections() > 0);
            liar.lie(None);
            subject.answers_once();
        }
        for (_, subject) in each {
            subject.is_served();
            subject.close();
        }
        assert_eq!(load.excess(SIEGE, BYTES as u32), None);
    });
}
