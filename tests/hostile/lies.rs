//! What a server may be like, by name.

use crate::liar::{framed, Deed, Lie};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Between two words of a server that goes on and on.
pub const PAUSE: Duration = Duration::from_millis(50);

/// Whom it tells lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Candidate,
    Queue,
    /// A handle that does nothing else than `watch_master`.
    Observer,
}

pub struct Case {
    pub name: &'static str,
    pub to: To,
    pub lie: Lie,
}

pub fn lie(lie: impl Fn(usize, &[u8]) -> Deed + Send + Sync + 'static) -> Lie {
    Arc::new(lie)
}

/// Honest in the handshake, and then not.
fn later(change: impl Fn(&[u8]) -> Deed + Send + Sync + 'static) -> Lie {
    lie(move |number, body| if number == 0 { Deed::Say(framed(body)) } else { change(body) })
}

fn xid(body: &[u8]) -> i32 {
    i32::from_be_bytes(body[..4].try_into().unwrap())
}

const PONG: i32 = -2;

pub fn is_pong(body: &[u8]) -> bool {
    xid(body) == PONG
}

/// Changes the connect response: protocol version, timeout, session id, password.
fn greeting(change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Lie {
    lie(move |number, body| {
        let mut body = body.to_vec();
        if number == 0 {
            change(&mut body);
        }
        Deed::Say(framed(&body))
    })
}

/// So many milliseconds of session timeout.
pub fn grants(session_timeout_ms: i32) -> Lie {
    greeting(put(4, session_timeout_ms))
}

/// Changes the answers, which begin with xid, zxid and error; not those to pings.
fn answers(change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Lie {
    later(move |body| {
        let mut body = body.to_vec();
        if xid(&body) > 0 {
            change(&mut body);
        }
        Deed::Say(framed(&body))
    })
}

/// Changes what comes after that: where there is a path, a value or a list of names.
fn contents(change: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Lie {
    answers(move |body| {
        if body.len() > 24 {
            change(&mut body[16..])
        }
    })
}

fn put(at: usize, value: i32) -> impl Fn(&mut Vec<u8>) + Send + Sync {
    move |body| body[at..at + 4].copy_from_slice(&value.to_be_bytes())
}

pub fn count(count: i32) -> Lie {
    contents(move |contents| contents[..4].copy_from_slice(&count.to_be_bytes()))
}

/// A length, and after it what the server said.
pub fn length(len: i32) -> Lie {
    later(move |body| Deed::Say([&len.to_be_bytes(), body].concat()))
}

fn event(kind: i32, state: i32, path: &[u8]) -> Vec<u8> {
    let mut body = (-1i32).to_be_bytes().to_vec();
    body.extend_from_slice(&(-1i64).to_be_bytes());
    for number in [0, kind, state] {
        body.extend_from_slice(&number.to_be_bytes());
    }
    body.extend_from_slice(&framed(path));
    framed(&body)
}

/// An event before each answer.
fn events(kind: i32, state: i32, path: &'static [u8]) -> Lie {
    later(move |body| Deed::Say([event(kind, state, path), framed(body)].concat()))
}

/// As fast as they are taken.
pub fn flood() -> Lie {
    let frames = event(4, 3, b"/nobody/asked").repeat(1000);
    later(move |_| Deed::GoOnSaying(frames.clone(), Duration::ZERO))
}

fn garbage(seed: u64) -> Lie {
    lie(move |number, body| {
        let mut state = seed + number as u64;
        let noise = body.iter().map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        });
        Deed::Say(noise.collect())
    })
}

/// Each answer after the one that comes next.
pub fn out_of_order() -> Lie {
    let kept = Mutex::new(None);
    lie(move |number, body| {
        let mut kept = kept.lock().unwrap();
        if number == 0 {
            *kept = None;
        }
        match kept.take() {
            Some(former) if xid(body) > 0 => Deed::Say([framed(body), former].concat()),
            None if number > 0 && xid(body) > 0 => {
                *kept = Some(framed(body));
                Deed::Say(Vec::new())
            }
            former => {
                *kept = former;
                Deed::Say(framed(body))
            }
        }
    })
}

pub fn silence() -> Lie {
    lie(|_, _| Deed::GoOnSaying(Vec::new(), PAUSE))
}

pub fn silence_later() -> Lie {
    later(|_| Deed::GoOnSaying(Vec::new(), PAUSE))
}

pub fn cut_short() -> Lie {
    answers(|body| body.truncate(15))
}

/// The last byte of a connect response.
pub fn is_read_only() -> Lie {
    greeting(|body| body[36] = 1)
}

pub fn another_session() -> Lie {
    greeting(|body| body[15] ^= 1)
}

/// Our names begin so.
fn is_list(body: &[u8]) -> bool {
    body.len() > 27 && &body[24..27] == b"_c_"
}

fn empty_lists() -> Lie {
    answers(|body| {
        if is_list(body) {
            body.truncate(16);
            body.extend_from_slice(&[0; 4]);
        }
    })
}

/// Lists that are so many bytes longer, by names that are no contender's.
pub fn long_lists(bytes: usize) -> Lie {
    const NAME: &[u8] = &[b'x'; 96];
    let names = bytes.div_ceil(4 + NAME.len());
    let more = framed(NAME).repeat(names);
    answers(move |body| {
        if is_list(body) {
            let count = i32::from_be_bytes(body[16..20].try_into().unwrap());
            put(16, count + names as i32)(body);
            body.splice(20..20, more.iter().copied());
        }
    })
}

fn zxid_goes_back() -> Lie {
    let zxid = AtomicI64::new(1 << 40);
    answers(move |body| {
        let zxid = zxid.fetch_sub(1, Ordering::SeqCst);
        body[4..12].copy_from_slice(&zxid.to_be_bytes());
    })
}

/// Stands until the client has its pong, and then never for long enough to be asked.
pub fn closes_after_the_pong() -> Lie {
    lie(|number, body| match number > 0 && is_pong(body) {
        true => Deed::SayAndClose(framed(body)),
        false => Deed::Say(framed(body)),
    })
}

/// What a connection resumes with comes before the first pong; after that the client is served once.
pub fn answers_once_and_closes() -> Lie {
    let has_pinged = Mutex::new(false);
    lie(move |number, body| {
        let mut has_pinged = has_pinged.lock().unwrap();
        let is_over = *has_pinged && number > 0 && xid(body) > 0;
        *has_pinged = number > 0 && (*has_pinged || is_pong(body));
        if is_over {
            Deed::SayAndClose(framed(body))
        } else {
            Deed::Say(framed(body))
        }
    })
}

pub fn trickle() -> Lie {
    lie(|number, body| match number {
        0 | 1 => Deed::Say(framed(body)),
        2 => Deed::Say((1i32 << 20).to_be_bytes().to_vec()),
        _ => Deed::GoOnSaying(vec![0], PAUSE),
    })
}

pub fn all() -> Vec<Case> {
    let to_candidates = vec![
        ("closes at once", lie(|_, _| Deed::SayAndClose(Vec::new()))),
        ("closes after the handshake", lie(|_, body| Deed::SayAndClose(framed(body)))),
        ("closes after the pong", closes_after_the_pong()),
        ("closes instead of answering", later(|_| Deed::SayAndClose(Vec::new()))),
        ("answers once and closes", answers_once_and_closes()),
        ("garbage, seed 1", garbage(1)),
        ("garbage, seed 2", garbage(2)),
        ("is silent", silence()),
        ("is silent after the handshake", silence_later()),
        ("a byte now and then", lie(|_, _| Deed::GoOnSaying(vec![0], PAUSE))),
        ("a frame that never ends", trickle()),
        ("empty frames", later(|_| Deed::Say(vec![0; 4]))),
        ("length -1", length(-1)),
        ("length 2^31-1", length(i32::MAX)),
        ("length over jute.maxbuffer", length((1 << 20) + 1)),
        ("length too short", length(15)),
        (
            "pongs without end",
            later(|_| Deed::GoOnSaying(framed(&[&PONG.to_be_bytes()[..], &[0; 12]].concat()), Duration::ZERO)),
        ),
        ("wrong xid", answers(put(0, 1_000_000))),
        ("the same xid each time", answers(put(0, 1))),
        ("out of order", out_of_order()),
        ("unknown error", answers(put(12, -9999))),
        ("zxid -1", answers(|body| body[4..12].fill(0xff))),
        ("zxid 2^63-1", answers(|body| body[4..12].copy_from_slice(&i64::MAX.to_be_bytes()))),
        ("zxid goes back", zxid_goes_back()),
        ("answers cut short", answers(|body| body.truncate(16))),
        ("length -1 of what is told", count(-1)),
        ("length 2^24 of what is told", count(1 << 24)),
        ("timeout 0", grants(0)),
        ("timeout -1", grants(-1)),
        ("timeout 2^31-1", grants(i32::MAX)),
        ("is read-only", is_read_only()),
        ("another session id", another_session()),
        ("password of -1 bytes", greeting(put(16, -1))),
        ("password of 2^31-1 bytes", greeting(put(16, i32::MAX))),
        ("event of an unknown type", events(77, 3, b"/hostile")),
        ("event of an unknown state", events(1, 77, b"/hostile")),
        ("event at no path", events(3, 3, b"")),
        ("event at a path of broken UTF-8", events(3, 3, b"/\xff\xfe")),
        ("event at another path", events(3, 3, b"/nobody/asked")),
    ];
    let to_queues = vec![
        ("list: wrong xid", answers(put(0, 1_000_000))),
        ("list: out of order", out_of_order()),
        ("list: cut short", answers(|body| body.truncate(22))),
        ("list: -1 names", count(-1)),
        ("list: empty", empty_lists()),
        ("list: 10 million names", count(10_000_000)),
        ("list: 2^31-1 names", count(i32::MAX)),
        ("list: broken UTF-8", contents(|contents| contents[8] = 0xff)),
        ("list: a name of -1 bytes", contents(|contents| contents[4..8].fill(0xff))),
    ];
    let to_observers = vec![
        ("observer: closes after the pong", closes_after_the_pong()),
        ("observer: garbage", garbage(1)),
        ("observer: is silent", silence_later()),
        ("observer: wrong xid", answers(put(0, 1_000_000))),
        ("observer: answers cut short", answers(|body| body.truncate(16))),
        ("observer: event of an unknown type", events(77, 3, b"/hostile")),
        ("observer: timeout 0", grants(0)),
        ("observer: another session id", another_session()),
    ];
    let case = |to| move |(name, lie)| Case { name, to, lie };
    let cases = to_candidates.into_iter().map(case(To::Candidate));
    cases
        .chain(to_queues.into_iter().map(case(To::Queue)))
        .chain(to_observers.into_iter().map(case(To::Observer)))
        .collect()
}
