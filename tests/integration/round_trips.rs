//! How many round trips each step takes. All bytes pass a relay that delays them, so that a round trip takes 250 ms.
//! What the servers and a busy machine take beside that is little. The TCP handshake is not delayed.
//!
//! A test asserts on a median, so that one slow try fails nothing.

use crate::candidates::{options, TestHandle};
use crate::ground::{one_server, A_MOMENT, LONG_MS, SHORT_MS, SOON};
use crate::witness::Witness;
use election::{Dialect, Options, Reason, Recipe};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::{eventually, opcode, RawClient, Relay, Verdict};

const ONE_WAY: Duration = Duration::from_millis(125);
const TRIES: usize = 5;
const CHANCES: usize = 5;
const PERSISTENT: i32 = 0;

/// The xid of the answer to SetWatches.
const SET_WATCHES: i32 = -8;

/// Bytes, and when they are to arrive. None is the end.
type Delayed = (Instant, Option<Vec<u8>>);

/// A relay in front of one server.
struct SlowRelay {
    address: SocketAddr,
    links: Arc<Mutex<Vec<Link>>>,
}

struct Link {
    accepted_at: Instant,
    client: TcpStream,
    server: TcpStream,
    /// When each frame of the server has arrived at the client, and its xid. The first one has none.
    arrived: Vec<(Instant, i32)>,
    /// The relay has hung up, because something followed the first frame too early.
    is_refused: bool,
}

impl SlowRelay {
    fn start(server: SocketAddr) -> SlowRelay {
        SlowRelay::start_as(server, false)
    }

    /// One that hangs up if anything follows the first frame of a client before the server has answered that.
    fn start_wary(server: SocketAddr) -> SlowRelay {
        SlowRelay::start_as(server, true)
    }

    fn start_as(server: SocketAddr, is_wary: bool) -> SlowRelay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let links = Arc::<Mutex<Vec<Link>>>::default();
        let shared = Arc::clone(&links);
        // It serves until the end of the test program.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let accepted_at = Instant::now();
                let server = TcpStream::connect(server).unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (up, down) = (clone(&client, &server), clone(&server, &client));
                let number = shared.lock().unwrap().len();
                shared.lock().unwrap().push(Link {
                    accepted_at,
                    client,
                    server,
                    arrived: Vec::new(),
                    is_refused: false,
                });
                let (links, mut sent, mut frames) = (Arc::clone(&shared), Vec::new(), 0);
                delay(up, move |bytes| {
                    sent.extend_from_slice(bytes);
                    frames += take_xids(&mut sent).len();
                    let link = &mut links.lock().unwrap()[number];
                    link.is_refused = is_wary && link.arrived.is_empty() && frames > 1;
                    !link.is_refused
                });
                let (links, mut unread) = (Arc::clone(&shared), Vec::new());
                delay(down, move |bytes| {
                    unread.extend_from_slice(bytes);
                    let xids = take_xids(&mut unread);
                    let now = Instant::now();
                    links.lock().unwrap()[number].arrived.extend(xids.into_iter().map(|xid| (now, xid)));
                    true
                });
            }
        });
        SlowRelay { address, links }
    }

    fn host(&self) -> String {
        self.address.to_string()
    }

    /// Breaks all connections.
    fn cut(&self) {
        for link in &*self.links.lock().unwrap() {
            let _ = link.client.shutdown(Shutdown::Both);
            let _ = link.server.shutdown(Shutdown::Both);
        }
    }

    fn refusals(&self) -> usize {
        self.links.lock().unwrap().iter().filter(|link| link.is_refused).count()
    }

    fn connections(&self) -> usize {
        self.links.lock().unwrap().len()
    }

    /// How long after a connection was made the answer with this xid came on it; of those after the first `before`.
    /// Others may ask the server what is wrong with it.
    fn answered_after(&self, before: usize, xid: i32) -> Option<Duration> {
        let links = self.links.lock().unwrap();
        links[before..].iter().find_map(|link| {
            let at = link.arrived.iter().find(|(_, other)| *other == xid).map(|(at, _)| *at)?;
            Some(at - link.accepted_at)
        })
    }
}

fn clone(from: &TcpStream, to: &TcpStream) -> (TcpStream, TcpStream) {
    (from.try_clone().unwrap(), to.try_clone().unwrap())
}

/// One direction of a connection. Each piece arrives `ONE_WAY` after it was sent, however many are on their way. If it
/// does not pass, both directions end.
fn delay((mut from, mut to): (TcpStream, TcpStream), mut passes: impl FnMut(&[u8]) -> bool + Send + 'static) {
    let (sends, arrives): (Sender<Delayed>, Receiver<Delayed>) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 64 << 10];
        loop {
            let read = from.read(&mut buffer).ok().filter(|len| *len > 0);
            let piece = read.map(|len| buffer[..len].to_vec());
            if sends.send((Instant::now() + ONE_WAY, piece)).is_err() || read.is_none() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, piece) in arrives {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let Some(piece) = piece else { break };
            if !passes(&piece) || to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Takes the whole frames off the beginning, and returns their xids.
fn take_xids(unread: &mut Vec<u8>) -> Vec<i32> {
    let number = |bytes: &[u8]| i32::from_be_bytes(bytes.try_into().unwrap());
    let mut xids = Vec::new();
    while unread.len() >= 8 && unread.len() - 4 >= number(&unread[..4]) as usize {
        xids.push(number(&unread[4..8]));
        unread.drain(..4 + number(&unread[..4]) as usize);
    }
    xids
}

/// Asserts that the median of several tries is at most so many round trips. A machine that is busy with something else
/// gets a few chances: it can only add to what a step takes.
#[track_caller]
fn takes_at_most(trips: f64, what: &str, mut measure: impl FnMut(usize) -> Duration) {
    let round_trip = (2 * ONE_WAY).as_secs_f64();
    let mut number = 0..;
    let mut all = Vec::new();
    while all.len() < CHANCES {
        let tries = number.by_ref().take(TRIES);
        let mut times: Vec<f64> = tries.map(|number| measure(number).as_secs_f64() / round_trip).collect();
        times.sort_by(f64::total_cmp);
        println!("{what}: {times:.2?}");
        if times[TRIES / 2] <= trips {
            return;
        }
        all.push(times);
    }
    panic!("{what} takes more than {trips} round trips: {all:.2?}");
}

/// Without a wait for the connection.
fn unhurried() -> Options {
    let mut options = options(LONG_MS);
    options.set_connect_timeout(Duration::ZERO).unwrap();
    options
}

fn of_queue(mut options: Options) -> Options {
    options.set_recipe(Recipe::Queue(Dialect::CuratorLatch));
    options
}

fn make(path: &str) {
    let mut client = RawClient::connect(&one_server().host(0), LONG_MS as i32).unwrap();
    assert_eq!(client.create(path, b"", PERSISTENT).map(|reply| reply.err).ok(), Some(0));
}

/// From `open` to MASTER.
fn join(relay: &SlowRelay, options: &Options, path: &str) -> Duration {
    let began = Instant::now();
    let candidate = TestHandle::open_with(&relay.host(), options).stand(path, "mine");
    let heard = candidate.ear.next();
    candidate.check_master(&heard.news);
    heard.at - began
}

/// From `resign` of the master to MASTER of the other candidate, on connections of the same kind.
fn handover(relay: &SlowRelay, options: &Options, path: &str) -> Duration {
    let first = TestHandle::open_with(&relay.host(), options).stand(path, "first");
    first.becomes_master();
    let second = TestHandle::open_with(&relay.host(), options).stand(path, "second");
    second.becomes_slave_of("first");
    // Until the second one's watches are set.
    std::thread::sleep(3 * ONE_WAY);
    let began = Instant::now();
    first.resign();
    let heard = second.ear.next();
    second.check_master(&heard.news);
    heard.at - began
}

#[test]
fn a_candidate_joins_a_node_in_one_round_trip() {
    let relay = SlowRelay::start(one_server().addr(0));
    takes_at_most(1.3, "join of a node", |number| join(&relay, &unhurried(), &format!("/trips-node-{number}")));
}

#[test]
fn a_candidate_joins_a_queue_in_one_round_trip() {
    let relay = SlowRelay::start(one_server().addr(0));
    make("/trips-queue");
    takes_at_most(1.3, "join of a queue", |_| join(&relay, &of_queue(unhurried()), "/trips-queue"));
}

#[test]
fn a_node_is_handed_over_in_two_round_trips() {
    let relay = SlowRelay::start(one_server().addr(0));
    takes_at_most(2.3, "handover of a node", |number| {
        handover(&relay, &options(LONG_MS), &format!("/trips-handover-{number}"))
    });
}

#[test]
fn a_queue_is_handed_over_in_one_round_trip() {
    let relay = SlowRelay::start(one_server().addr(0));
    make("/trips-handover");
    takes_at_most(1.3, "handover of a queue", |_| handover(&relay, &of_queue(options(LONG_MS)), "/trips-handover"));
}

#[test]
fn a_session_is_resumed_with_all_its_watches_in_one_round_trip() {
    let relay = SlowRelay::start(one_server().addr(0));
    let handle = TestHandle::open_with(&relay.host(), &options(LONG_MS));
    let masters: Vec<_> = (0..3).map(|number| handle.stand(&format!("/trips-resumed-{number}"), "mine")).collect();
    let tokens: Vec<i64> = masters.iter().map(|master| master.becomes_master()).collect();
    // Until the watch on each znode is set.
    std::thread::sleep(3 * ONE_WAY);
    let asked: Vec<_> = masters.iter().map(|master| master.interrogate()).collect();
    takes_at_most(1.3, "resumption with watches", |_| {
        let before = relay.connections();
        relay.cut();
        eventually(SOON, "the session is resumed", || relay.answered_after(before, SET_WATCHES).is_some());
        let took = relay.answered_after(before, SET_WATCHES).expect("just seen");
        // Until the requests of this connection are answered.
        std::thread::sleep(3 * ONE_WAY);
        took
    });
    for ((asked, master), token) in asked.into_iter().zip(&masters).zip(tokens) {
        asked.end().are_always_yes(token);
        master.ear.hears_nothing_for(Duration::ZERO);
    }
}

#[test]
fn a_fenced_write_takes_one_round_trip() {
    const PATH: &str = "/trips-fenced";
    let relay = SlowRelay::start(one_server().addr(0));
    make("/trips-written");
    let master = TestHandle::open_with(&relay.host(), &options(LONG_MS)).stand(PATH, "mine");
    master.becomes_master();
    takes_at_most(1.2, "fenced write", |number| {
        let began = Instant::now();
        let value = number.to_string();
        master.handle.fenced_set(PATH, "/trips-written", value.as_bytes(), None, SOON).unwrap();
        began.elapsed()
    });
}

/// Some server that looks like ZooKeeper takes no request behind a ConnectRequest. The library finds out with the first
/// connection, and asks one thing at a time from then on, also when it resumes the session.
#[test]
fn a_server_that_hangs_up_on_what_follows_a_connect_request_is_asked_one_thing_at_a_time() {
    let relay = SlowRelay::start_wary(one_server().addr(0));
    let candidate = TestHandle::open_with(&relay.host(), &unhurried()).stand("/trips-wary", "mine");
    let token = candidate.check_master(&candidate.next_but_for(&[Reason::Suspended]));
    std::thread::sleep(3 * ONE_WAY);
    let asked = candidate.interrogate();
    let before = relay.connections();
    relay.cut();
    eventually(SOON, "the session is resumed", || relay.answered_after(before, SET_WATCHES).is_some());
    asked.end().are_always_yes(token);
    candidate.ear.hears_nothing_for(Duration::ZERO);
    assert_eq!(relay.refusals(), 1);
}

/// The program closes the handle when the servers have got its requests and it has no answer. What the requests have made
/// does not stay.
#[test]
fn a_handle_that_is_closed_before_its_session_stands_leaves_nothing() {
    const PATH: &str = "/trips-closed";
    let witness = Witness::new(&one_server().host(0));
    let relay = SlowRelay::start(one_server().addr(0));
    for part in 0..10 {
        let candidate = TestHandle::open_with(&relay.host(), &unhurried()).stand(PATH, "mine");
        eventually(SOON, "a connection", || relay.connections() == part + 1);
        std::thread::sleep(2 * ONE_WAY * part as u32 / 10);
        candidate.handle.close().unwrap();
        assert_eq!(witness.read(PATH), None, "closed after {part} tenths of a round trip");
    }
}

/// The answer to the ConnectRequest is lost, and the create behind it was carried out: in a session of which nobody knows.
/// In a queue the name of the znode tells whose it is.
#[test]
fn what_was_made_in_a_session_that_nobody_knows_is_deleted_from_a_queue() {
    let server = one_server();
    let relay = Relay::start(server.addr(0));
    make("/trips-lost");
    let witness = Witness::new(&server.host(0));
    relay.strike_once(Verdict::DropReplyAndCut, |request| request.opcode == opcode::CREATE_SESSION);
    let candidate = TestHandle::open_with(&relay.host(), &of_queue(unhurried())).stand("/trips-lost", "mine");
    candidate.check_master(&candidate.next_but_for(&[Reason::Suspended]));
    eventually(SOON, "one znode stands", || witness.children("/trips-lost").len() == 1);
    candidate.ear.hears_nothing_for(A_MOMENT);
}

/// In a node it stands until that session expires. Others wait for that, and so does the candidate.
#[test]
fn what_was_made_in_a_session_that_nobody_knows_blocks_a_node_until_that_expires() {
    const PATH: &str = "/trips-lost-node";
    let relay = Relay::start(one_server().addr(0));
    relay.strike_once(Verdict::DropReplyAndCut, |request| request.opcode == opcode::CREATE_SESSION);
    let began = Instant::now();
    let mut options = unhurried();
    options.set_session_timeout(Duration::from_millis(SHORT_MS)).unwrap();
    let candidate = TestHandle::open_with(&relay.host(), &options).stand(PATH, "mine");
    let lost = candidate.check_slave(&candidate.next_but_for(&[Reason::Suspended]), "mine");
    let token = candidate.check_master(&candidate.next_but_for(&[Reason::Suspended]));
    assert!(token > lost);
    let blocked = began.elapsed();
    assert!(blocked < Duration::from_millis(2 * SHORT_MS), "{blocked:?}");
}
