//! How much memory a server can make us use: a frame that is read costs at most `TIMES` its length, whatever is in it.
//!
//! The allocator of this test program counts what each thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use election::testing::logic::{Op, Reply};
use election::testing::zk::{Cause, Settings};

use crate::peer::{path, read, settings, Peer, Record, OK};

/// A list of names of one byte is the worst: five bytes of the frame become a pointer, its counters and the byte.
const TIMES: usize = 16;

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no counters any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: the system's allocator does everything; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most that this thread holds during `act`, beyond what it held before.
fn most_held(act: impl FnOnce()) -> usize {
    let before = HELD.get();
    MOST.set(before);
    act();
    (MOST.get() - before) as usize
}

#[test]
fn a_frame_costs_no_more_than_a_multiple_of_its_length() {
    let limit = 1 << 20;
    let names = |name: &str| {
        let count = (limit - 30) / (4 + name.len());
        (0..count).fold(Record::new().int(count as i32), |record, _| record.text(name))
    };
    for (op, content) in [
        (Op::List { path: path("/a"), sync: false, watch: false }, names("x")),
        (Op::List { path: path("/a"), sync: false, watch: false }, names("latch-0000000001")),
        (
            Op::Read { path: path("/a"), sync: false, watch: false },
            Record::new().buffer(&vec![0; limit - 100]).stat(7, 0, 0),
        ),
    ] {
        let mut peer = Peer::new(Settings { frame_limit: limit, ..settings() });
        peer.connects();
        peer.submits(1, op.clone());
        peer.transmits();
        let answer = crate::peer::answer(1, 200, OK, &content.0);
        assert!(answer.len() > limit - 100 && answer.len() <= limit + 4);
        let held = most_held(|| {
            peer.sends(&answer);
            let replies = peer.replies();
            assert!(matches!(replies[..], [(1, Reply::Listed(_) | Reply::Read(_))]));
        });
        assert!(held < TIMES * limit, "{op:?}: {held}");
        assert!(held > limit, "it counts");
    }
}

/// A session is full at some point, and what it holds then, with all that comes of it, is bounded.
#[test]
fn a_full_session_has_a_size() {
    // A mebibyte of values that wait, 4,096 requests, and what is written for the socket.
    let most = (1 << 20) + (64 << 10) + 4_096 * 1_000 + 2 * (128 << 10);
    for len in [0, 1_000, 64 << 10] {
        let mut peer = Peer::up();
        let held = most_held(|| {
            let mut request = 0;
            while peer.session.has_room() {
                request += 1;
                let (path, value) = (path("/elections/one"), vec![7; len].into());
                peer.submits(request, Op::SetValue { path, value, version: 0 });
            }
            for _ in 0..100 {
                peer.transmits_some(100);
            }
            peer.breaks();
            assert_eq!(peer.replies().len() as u64, request);
        });
        assert!(held < most, "{len}: {held}");
    }
}

/// A watch costs so much beside its path.
#[test]
fn a_watch_has_a_size() {
    let mut peer = Peer::up();
    let count = 4_000;
    let mut leave = |round: u64| {
        for request in round * count..(round + 1) * count {
            peer.submits(request, read(&format!("/{request:031}")));
        }
        for sent in peer.requests() {
            peer.answers(sent.xid, OK, &Record::new().buffer(b"").stat(7, 0, 0).0);
        }
        drop(peer.events());
    };
    // The first round makes the queues as large as they will be.
    leave(0);
    let before = HELD.get();
    leave(1);
    let each = (HELD.get() - before) as usize / count as usize;
    assert!((32..32 + 200).contains(&each), "{each}");
}

/// Nor does a claim cost anything.
#[test]
fn what_is_claimed_costs_nothing() {
    for content in [Record::new().int(i32::MAX), Record::new().int(i32::MAX / 5), Record::new().int(3)] {
        let mut peer = Peer::up();
        peer.submits(1, Op::List { path: path("/a"), sync: false, watch: false });
        peer.transmits();
        let held = most_held(|| {
            peer.answers(1, OK, &content.0);
            peer.hangs_up(Cause::Malformed);
        });
        assert!(held < 10_000, "{held}");
    }
    let mut peer = Peer::up();
    let held = most_held(|| {
        peer.sends(&(4_u32 << 20).to_be_bytes());
        peer.sends(&[0; 100]);
    });
    assert!(held < 10_000, "{held}");
}
