//! A session on one connection and over several: what is sent in which order, what an answer leads to, and which answers
//! end a connection.

use election::testing::logic::{rc, Op, Reply, RequestId, SessionId, Time, WatchEvent, Write};
use election::testing::zk::opcode;
use election::testing::zk::{AclEntry, Cause, Credential, Event, Pace, Session, Settings};

use crate::peer::{
    answer, connected, notification, path, read, settings, unanswered, watched, Peer, Record, ID, OK, T_MS,
};

const PING: i32 = -2;
const AUTH: i32 = -4;
const SET_WATCHES: i32 = -8;
const REQUIRES_SASL: i32 = -124;

fn ms(ms: u64) -> Time {
    Time(0).plus_ms(ms)
}

#[test]
fn a_new_session() {
    let mut peer = Peer::new(Settings { session_timeout_ms: 4_000, ..settings() });
    peer.session.handle_connected(ms(10));
    let connect = Record::new().int(0).long(0).int(4_000).long(0).buffer(&[0; 16]).bool(false).frame();
    assert_eq!(peer.session.poll_transmit(ms(20)), connect);
    peer.session.handle_transmitted(connect.len());
    peer.now = ms(50);
    peer.welcomes(ID, 6_000);
    let session = SessionId(ID);
    let (asked_at, asked_since) = (ms(20), ms(20));
    let connected = Event::Connected { session, timeout_ns: 6_000_000_000, asked_at, asked_since, resumed: false };
    assert_eq!(peer.events(), [connected]);
    assert_eq!(peer.session.id(), session);
}

/// Connect, the credentials, and for a new session the requests, for another one the watches, all in one write. The
/// answers to requests come when the session stands and all credentials are answered.
#[test]
fn the_order_on_a_connection() {
    let credential = |auth: &str| Credential { scheme: "digest".into(), auth: auth.into() };
    let credentials = vec![credential("a:b"), credential("c:d")];
    let mut peer = Peer::new(Settings { credentials, chroot: "/app".into(), ..settings() });
    peer.session.handle_connected(peer.now);
    peer.transmits();
    peer.next_frame();
    assert_eq!(peer.requests().iter().map(|sent| sent.xid).collect::<Vec<_>>(), [AUTH, AUTH]);
    peer.submits(1, read("/a"));
    assert_eq!(peer.request().xid, 1);
    peer.welcomes(ID, T_MS);
    peer.answers(AUTH, OK, &[]);
    assert_eq!((peer.requests(), peer.events()), (vec![], vec![]), "one of the credentials is not answered");
    peer.answers(AUTH, OK, &[]);
    peer.answers(1, OK, &Record::new().buffer(b"x").stat(7, 0, 0).0);
    assert!(matches!(peer.events()[..], [Event::Connected { resumed: false, .. }, Event::Reply { .. }]));
    peer.breaks();

    peer.session.handle_connected(peer.now);
    peer.submits(2, Op::Touch);
    peer.transmits();
    let connect = peer.next_frame();
    let resume = Record::new().int(0).long(103).int(T_MS).long(ID).buffer(&[9; 16]).bool(false).frame();
    assert_eq!(connect, Some(resume));
    let sent = peer.requests();
    assert_eq!(sent.iter().map(|sent| sent.xid).collect::<Vec<_>>(), [AUTH, AUTH, SET_WATCHES]);
    assert_eq!(sent[0].content, Record::new().int(0).text("digest").text("a:b").0);
    assert_eq!(sent[2].opcode, opcode::SET_WATCHES);
    assert_eq!(sent[2].content, Record::new().long(103).texts(&["/app/a"]).texts(&[]).texts(&[]).0);
    peer.welcomes(ID, T_MS);
    peer.answers(AUTH, OK, &[]);
    peer.answers(SET_WATCHES, OK, &[]);
    assert_eq!(peer.events(), []);
    peer.answers(AUTH, OK, &[]);
    let sent = peer.request();
    assert_eq!((sent.xid, sent.opcode, sent.content), (2, opcode::SYNC, Record::new().text("/app").0));
    assert!(matches!(peer.events()[..], [Event::Connected { resumed: true, .. }]));
}

/// A server that answers a request before the session stands and all credentials are answered makes no sense.
#[test]
fn no_request_is_answered_before_the_session_stands() {
    let credentials = vec![Credential { scheme: "digest".into(), auth: "a:b".into() }];
    let mut peer = Peer::new(Settings { credentials, ..settings() });
    peer.session.handle_connected(peer.now);
    peer.submits(1, Op::Touch);
    peer.transmits();
    let sent_at = Some(peer.now);
    peer.welcomes(ID, T_MS);
    peer.answers(1, OK, &Record::new().text("/").0);
    assert_eq!(peer.events(), [unanswered(1, sent_at), Event::HangUp(Cause::OutOfOrder)]);
}

/// A session that a server has opened, and whose connection ended before the credentials were answered: nobody was told of
/// it. It is closed, and another one is asked for.
#[test]
fn a_session_that_has_not_stood_is_not_resumed() {
    let credentials = vec![Credential { scheme: "digest".into(), auth: "a:b".into() }];
    let mut peer = Peer::new(Settings { credentials, ..settings() });
    peer.session.handle_connected(peer.now);
    peer.transmits();
    peer.welcomes(ID, T_MS);
    peer.breaks();
    assert_eq!((peer.events(), peer.session.id()), (vec![], SessionId(0)));
    assert!(peer.session.take_orphan().is_some());
    peer.session.handle_connected(peer.now);
    peer.transmits();
    let connect = Record::new().int(0).long(0).int(T_MS).long(0).buffer(&[0; 16]).bool(false).frame();
    assert_eq!(peer.next_frame(), Some(connect));
}

/// A server that was told nothing but the ConnectRequest, and the credentials, until it has answered.
#[test]
fn one_thing_at_a_time() {
    let credentials = vec![Credential { scheme: "digest".into(), auth: "a:b".into() }];
    let mut peer = Peer::new(Settings { credentials, ..settings() });
    peer.session.set_pipelining(false);
    for watches in [0, 1] {
        peer.session.handle_connected(peer.now);
        peer.submits(1 + watches, read("/a"));
        peer.transmits();
        peer.next_frame();
        assert_eq!(peer.request().xid, AUTH);
        peer.welcomes(ID, T_MS);
        assert_eq!(peer.requests(), []);
        peer.answers(AUTH, OK, &[]);
        let sent = peer.requests();
        let xids: Vec<i32> = sent.iter().map(|sent| sent.xid).collect();
        assert_eq!(xids, [&[SET_WATCHES][..usize::from(watches > 0)], &[1 + watches as i32]].concat());
        peer.answers(1 + watches as i32, OK, &Record::new().buffer(b"x").stat(7, 0, 0).0);
        assert_eq!(peer.session.unanswered(), None);
        peer.breaks();
        assert_eq!(peer.session.unanswered(), None);
        peer.events();
    }
}

#[test]
fn the_ping_for_an_answer_waits_like_the_others() {
    let mut peer = Peer::new(settings());
    peer.session.set_pipelining(false);
    peer.session.handle_connected(peer.now);
    peer.session.ask_for_answer();
    peer.transmits();
    peer.next_frame();
    assert_eq!(peer.requests(), []);
    peer.welcomes(ID, T_MS);
    assert_eq!(peer.request().opcode, opcode::PING);
    peer.answers(PING, OK, &[]);
    assert_eq!(peer.events().last(), Some(&Event::Answered));
}

/// Which of them may have made the server hang up.
#[test]
fn what_followed_a_connect_request_without_an_answer_is_told() {
    for (pipelines, submits, sends, has_followed) in [
        (true, true, true, true),
        (true, true, false, false),
        (true, false, true, false),
        (false, true, true, false),
    ] {
        let mut peer = Peer::new(settings());
        peer.session.set_pipelining(pipelines);
        peer.session.handle_connected(peer.now);
        let create = Op::Create { path: path("/a"), value: b"x"[..].into() };
        if submits {
            peer.submits(1, create);
        }
        if sends {
            peer.transmits();
        }
        let sent_at = has_followed.then_some(peer.now);
        assert_eq!(peer.session.unanswered(), Some(has_followed));
        peer.breaks();
        assert_eq!(peer.session.unanswered(), Some(has_followed));
        assert_eq!(peer.events(), if submits { vec![unanswered(1, sent_at)] } else { vec![] });
    }
}

/// A server that hangs up on a create behind a ConnectRequest may still know `create2`.
#[test]
fn a_create_that_no_server_came_to_says_nothing_about_create2() {
    let mut peer = Peer::new(settings());
    for request in 1..=4 {
        peer.session.handle_connected(peer.now);
        peer.submits(request, Op::Create { path: path("/a"), value: b"x"[..].into() });
        peer.transmits();
        peer.next_frame();
        assert_eq!(peer.request().opcode, opcode::CREATE2);
        peer.breaks();
    }
}

/// A session that is closed before it stands is closed in the same round trip.
#[test]
fn close_follows_a_connect_request() {
    let mut peer = Peer::new(settings());
    peer.session.handle_connected(peer.now);
    peer.submits(1, Op::Create { path: path("/a"), value: b"x"[..].into() });
    peer.transmits();
    peer.session.close();
    peer.next_frame();
    let opcodes: Vec<i32> = peer.requests().iter().map(|sent| sent.opcode).collect();
    assert_eq!(opcodes, [opcode::CREATE2, opcode::CLOSE]);
    peer.welcomes(ID, T_MS);
    peer.answers(1, OK, &Record::new().text("/a").stat(7, 0, ID).0);
    peer.answers(2, OK, &[]);
    assert_eq!(peer.events().last(), Some(&Event::Closed));
}

/// A server takes the leader's answer about an attempt that we have left for that about a later one. So the leader has to
/// answer a request on each later one before the session stands.
#[test]
fn an_attempt_without_an_answer_makes_the_later_ones_ask_the_leader() {
    let mut peer = Peer::up();
    peer.breaks();
    for attempt in 2..=4 {
        peer.now = ms(1_000 * attempt);
        peer.session.handle_connected(peer.now);
        peer.later(10);
        // The socket takes nothing of the first one.
        if attempt > 2 {
            peer.transmits();
        }
        if attempt < 4 {
            peer.breaks();
        }
    }
    peer.next_frame();
    peer.welcomes(ID, T_MS);
    peer.submits(1, Op::Touch);
    let sent = peer.request();
    assert_eq!((sent.xid, sent.opcode, sent.content), (1, opcode::SYNC, Record::new().text("/").0));
    assert_eq!((peer.events(), peer.session.is_up()), (vec![], false));
    peer.answers(1, OK, &Record::new().text("/").0);
    let asked = |events: &[Event]| match events {
        [Event::Connected { asked_at, asked_since, resumed: true, .. }] => (*asked_at, *asked_since),
        events => panic!("{events:?}"),
    };
    assert_eq!(asked(&peer.events()), (ms(4_010), ms(3_010)));
    assert_eq!(peer.request().xid, 2);
    peer.breaks();
    peer.events();

    // The answer about one that was left may still be on its way to this server.
    peer.now = ms(5_000);
    peer.session.handle_connected(peer.now);
    peer.transmits();
    peer.next_frame();
    peer.welcomes(ID, T_MS);
    let sent = peer.request();
    assert_eq!((sent.xid, sent.opcode, peer.events()), (3, opcode::SYNC, vec![]));
    peer.answers(3, OK, &Record::new().text("/").0);
    assert_eq!(asked(&peer.events()), (ms(5_000), ms(5_000)));
}

/// What is stamped is the write that took the first byte; what was not begun was not sent.
#[test]
fn moments_of_sending() {
    let mut peer = Peer::up();
    for request in 1..=3 {
        peer.submits(request, Op::Touch);
    }
    // Each is a frame of 4 + 8 + 4 + 1 bytes.
    peer.now = ms(2_000);
    assert_eq!(peer.transmits_some(1), 1);
    peer.now = ms(2_100);
    assert_eq!(peer.transmits_some(16), 16);
    peer.now = ms(2_200);
    assert_eq!(peer.transmits_some(16), 16);
    peer.now = ms(2_300);
    assert_eq!(peer.transmits_some(1), 1);
    peer.now = ms(2_400);
    // Handed out, and nothing was taken.
    assert_eq!(peer.transmits_some(0), 0);
    peer.submits(4, Op::Touch);
    peer.breaks();
    let sent_at = [(1, Some(ms(2_000))), (2, Some(ms(2_200))), (3, None), (4, None)];
    assert_eq!(peer.events(), sent_at.map(|(request, sent_at)| unanswered(request, sent_at)));
}

/// An operation of several requests has the moment of the first one.
#[test]
fn the_moment_of_several_requests() {
    let mut peer = Peer::up();
    peer.submits(1, Op::Read { path: path("/a"), sync: true, watch: false });
    peer.now = ms(2_000);
    peer.transmits_some(1);
    peer.now = ms(3_000);
    let xids: Vec<_> = peer.requests().iter().map(|sent| (sent.xid, sent.opcode)).collect();
    assert_eq!(xids, [(1, opcode::MULTI), (2, opcode::GET_DATA)]);
    peer.answers(1, OK, &multi(&[]));
    peer.breaks();
    assert_eq!(peer.events(), [unanswered(1, Some(ms(2_000)))]);
}

/// The content of the answer to a multi whose operations ended with these errors.
fn multi(errors: &[i32]) -> Vec<u8> {
    let one = |record: Record, error: &i32| match error {
        0 => record.multi(opcode::CHECK, false, 0),
        error => record.multi(opcode::ERROR, false, *error).int(*error),
    };
    errors.iter().fold(Record::new(), one).multi(opcode::ERROR, true, -1).0
}

#[test]
fn xids_go_on_over_the_connections() {
    let mut peer = Peer::up();
    peer.submits(1, Op::Touch);
    assert_eq!(peer.request().xid, 1);
    peer.breaks();
    peer.events();
    peer.connects();
    peer.submits(2, Op::Touch);
    assert_eq!(peer.request().xid, 2);
}

#[test]
fn answers_out_of_order_end_the_connection() {
    let text = Record::new().text("/").0;
    for xid in [2, 0, 3, i32::MAX, i32::MIN, -3, -2, AUTH, SET_WATCHES] {
        let mut peer = Peer::up();
        peer.submits(1, Op::Touch);
        peer.submits(2, Op::Touch);
        peer.transmits();
        peer.answers(xid, OK, &text);
        peer.hangs_up(Cause::OutOfOrder);
    }
    // Not sent yet.
    let mut peer = Peer::up();
    peer.submits(1, Op::Touch);
    peer.answers(1, OK, &text);
    peer.hangs_up(Cause::OutOfOrder);
    // Answered already.
    let mut peer = Peer::up();
    peer.submits(1, Op::Touch);
    peer.transmits();
    peer.answers(1, OK, &text);
    peer.answers(1, OK, &text);
    assert_eq!(peer.session.id(), SessionId(ID), "the session goes on");
    peer.hangs_up(Cause::OutOfOrder);
    // Before it was asked.
    let mut peer = Peer::new(settings());
    peer.session.handle_connected(peer.now);
    peer.welcomes(ID, T_MS);
    peer.hangs_up(Cause::OutOfOrder);
}

#[test]
fn a_zxid_counts_if_it_came_with_an_answer() {
    let mut peer = Peer::up();
    peer.passes(T_MS as u64 / 5 + 1);
    peer.answers(-2, OK, &[]);
    peer.tells(3, "/a");
    assert_eq!(peer.session.last_zxid(), 0);
    peer.submits(1, Op::Touch);
    peer.transmits();
    peer.answers(1, OK, &Record::new().text("/").0);
    assert_eq!(peer.session.last_zxid(), 102);
}

#[test]
fn a_ping_when_nothing_was_sent_for_a_fifth() {
    let mut peer = Peer::up();
    peer.passes(1_999);
    assert_eq!(peer.requests(), []);
    peer.passes(1);
    let ping = peer.request();
    assert_eq!((ping.xid, ping.opcode, &ping.content[..]), (-2, opcode::PING, &[][..]));
    peer.later(500);
    peer.answers(-2, OK, &[]);
    // The next one comes a fifth after the last one, not after its answer.
    peer.passes(1_499);
    assert_eq!(peer.requests(), []);
    peer.passes(1);
    assert_eq!(peer.request().opcode, opcode::PING);
    // Its answer is due within a fifth.
    peer.passes(1_999);
    assert_eq!(peer.events(), []);
    peer.passes(1);
    peer.hangs_up(Cause::Silence);
}

#[test]
fn a_session_without_a_lease_is_kept_with_three_packets() {
    let mut peer = Peer::up();
    peer.session.set_pace(Pace::Session);
    peer.passes(3_332);
    assert_eq!(peer.requests(), []);
    peer.passes(1);
    assert_eq!(peer.request().opcode, opcode::PING);
    peer.passes(3_332);
    assert_eq!(peer.events(), []);
    peer.passes(1);
    peer.hangs_up(Cause::Silence);
}

/// Answers that come one after the other are no silence, however many are still due. Events and parts of an answer are
/// none.
#[test]
fn silence_is_when_nothing_is_answered() {
    let mut peer = Peer::up();
    for request in 1..=3 {
        peer.submits(request, Op::Touch);
    }
    peer.transmits();
    for xid in 1..=2 {
        peer.passes(1_900);
        peer.answers(xid, OK, &Record::new().text("/").0);
    }
    assert_eq!(peer.replies().len(), 2);
    peer.tells(3, "/a");
    let last = answer(3, 200, OK, &Record::new().text("/").0);
    for byte in &last[..18] {
        peer.passes(100);
        peer.sends(&[*byte]);
    }
    peer.passes(199);
    assert_eq!(peer.events(), []);
    peer.passes(1);
    peer.hangs_up(Cause::Silence);
}

/// Also when the socket takes nothing, and when the server says nothing to the ConnectRequest.
#[test]
fn a_server_that_stops_is_left() {
    let mut peer = Peer::up();
    peer.submits(1, Op::Touch);
    peer.session.poll_transmit(peer.now);
    peer.now = peer.now.plus_ms(2_000);
    peer.session.handle_timeout(peer.now);
    peer.hangs_up(Cause::Silence);

    let mut peer = Peer::new(settings());
    peer.session.handle_connected(peer.now);
    peer.passes(1_999);
    assert_eq!(peer.events(), []);
    peer.passes(1);
    peer.hangs_up(Cause::Silence);
    assert_eq!(peer.session.poll_timeout(), None);
}

#[test]
fn a_session_is_over_when_the_server_says_so() {
    let mut peer = Peer::up();
    peer.submits(1, read("/a"));
    peer.transmits();
    peer.answers(1, OK, &Record::new().buffer(b"").stat(7, 0, 0).0);
    peer.breaks();
    peer.events();
    peer.session.handle_connected(peer.now);
    peer.submits(2, Op::Touch);
    peer.transmits();
    peer.welcomes(0, 0);
    let (over, hang_up) = (Event::Expired(Cause::Expired), Event::HangUp(Cause::Expired));
    assert_eq!(peer.events(), [unanswered(2, None), hang_up, over]);
    // A new one, without the former one's watches and zxid. Its xids go on.
    peer.breaks();
    peer.session.handle_connected(peer.now);
    peer.transmits();
    let connect = Record::new().int(0).long(0).int(T_MS).long(0).buffer(&[0; 16]).bool(false).frame();
    assert_eq!(peer.next_frame(), Some(connect));
    assert_eq!(peer.requests(), []);
    peer.welcomes(ID + 1, T_MS);
    assert!(matches!(peer.events()[..], [Event::Connected { resumed: false, .. }]));
}

#[test]
fn another_session_is_not_ours() {
    let mut peer = Peer::up();
    peer.breaks();
    peer.session.handle_connected(peer.now);
    peer.transmits();
    peer.welcomes(ID + 1, T_MS);
    let cause = Cause::AnotherSession(ID + 1);
    assert_eq!(peer.events(), [Event::HangUp(cause.clone()), Event::Expired(cause)]);
    assert!(peer.session.take_orphan().is_some(), "the servers may still have ours");
    assert_eq!(peer.session.id(), SessionId(0));
}

#[test]
fn a_server_that_moved_or_lost_the_session_says_so_in_an_answer() {
    for (error, cause, is_over) in [(rc::SESSION_EXPIRED, Cause::Expired, true), (-118, Cause::Moved, false)] {
        let mut peer = Peer::up();
        peer.submits(1, Op::Touch);
        peer.transmits();
        peer.answers(1, error, &[]);
        assert_eq!(peer.session.id() == SessionId(0), is_over);
        peer.hangs_up(cause);
    }
}

/// In a transaction of several operations it is the error of one of them.
#[test]
fn a_server_that_moved_or_lost_the_session_says_so_in_the_result_of_a_multi() {
    let write = Write::Set { path: path("/b"), value: b"x"[..].into(), version: None };
    for (op, errors) in [
        (Op::Prove { paths: vec![path("/a"), path("/b")] }, [true, false]),
        (Op::Write { own: path("/a"), write: write.clone() }, [true, false]),
        (Op::Write { own: path("/a"), write }, [false, true]),
        (Op::Read { path: path("/a"), sync: true, watch: false }, [true, false]),
        (Op::List { path: path("/a"), sync: true, watch: false }, [true, false]),
    ] {
        for (error, cause) in [(rc::SESSION_EXPIRED, Cause::Expired), (-118, Cause::Moved)] {
            let mut peer = Peer::up();
            peer.submits(1, op.clone());
            peer.transmits();
            let sent_at = Some(peer.now);
            peer.answers(1, OK, &multi(&errors.map(|is_here| if is_here { error } else { 0 })));
            let mut events = vec![unanswered(1, sent_at), Event::HangUp(cause.clone())];
            if error == rc::SESSION_EXPIRED {
                events.push(Event::Expired(cause));
            }
            assert_eq!(peer.events(), events, "{op:?}");
        }
    }
}

/// Each kind of bad answer to the ConnectRequest has its cause; none of them ends a session that may live.
#[test]
fn bad_answers_to_the_connect_request() {
    let too_long = [&Record::new().int(0).int(T_MS).long(ID).buffer(&[9; 16]).bool(false).int(1).frame()[..]];
    let garbage = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3 and more\r\n";
    for (bytes, cause) in [
        (&connected(T_MS, ID, Some(true))[..], Cause::ReadOnly),
        (&connected(0, ID, Some(false)), Cause::Timeout(0)),
        (&connected(-5, ID, Some(false)), Cause::Timeout(-5)),
        (&connected(39, ID, Some(false)), Cause::Timeout(39)),
        (&connected(i32::MAX, ID, Some(false)), Cause::Timeout(i32::MAX)),
        (&Record::new().int(0).int(T_MS).long(ID).buffer(&[9; 15]).bool(false).frame(), Cause::Malformed),
        (&Record::new().int(0).int(T_MS).long(ID).int(17).frame(), Cause::Malformed),
        (&Record::new().int(0).int(T_MS).long(ID).frame(), Cause::WrongLength),
        (too_long[0], Cause::WrongLength),
        (&[0, 0, 0, 0], Cause::WrongLength),
        (b"HTTP/1.1 400 Bad Request\r\n", Cause::Http),
        (&[0x15, 3, 3, 0, 2, 2, 0x50], Cause::Tls),
        (&[0x16, 3, 1, 0], Cause::Tls),
        (garbage, Cause::NotZooKeeper(garbage[..32].to_vec())),
        (&[0xff; 5], Cause::NotZooKeeper(vec![0xff; 5])),
    ] {
        let mut peer = Peer::up();
        peer.breaks();
        peer.session.handle_connected(peer.now);
        peer.transmits();
        peer.sends(bytes);
        peer.hangs_up(cause);
        assert_eq!(peer.session.id(), SessionId(ID));
    }
    let mut peer = Peer::new(settings());
    peer.session.handle_connected(peer.now);
    peer.transmits();
    peer.welcomes(0, 0);
    assert_eq!(peer.events(), [Event::HangUp(Cause::NoSession)]);
}

/// Servers that do not say whether they are read-only are taken.
#[test]
fn a_server_without_the_last_byte() {
    let mut peer = Peer::new(settings());
    peer.session.handle_connected(peer.now);
    peer.transmits();
    peer.sends(&connected(T_MS, ID, None));
    assert!(matches!(peer.events()[..], [Event::Connected { .. }]));
}

#[test]
fn bad_frames_end_the_connection() {
    let limit = 1_000;
    let long = [(limit as u32 + 1).to_be_bytes().as_slice(), &[0; 8]].concat();
    for (bytes, cause) in [
        (long, Cause::FrameTooLong { len: limit as u32 + 1, limit }),
        (vec![0xff; 4], Cause::FrameTooLong { len: u32::MAX, limit }),
        (vec![0, 0, 0, 0], Cause::WrongLength),
        (answer(1, 200, OK, &Record::new().text("/").0[..4]), Cause::Malformed),
        (answer(1, 200, OK, &[]), Cause::WrongLength),
        (answer(1, 200, OK, &Record::new().text("/").int(0).0), Cause::WrongLength),
        (answer(1, 200, OK, &Record::new().buffer(&[0xff]).0), Cause::Malformed),
        (answer(1, 200, 1, &Record::new().text("/").0), Cause::Malformed),
        (answer(-1, -1, 0, &[0; 8]), Cause::WrongLength),
    ] {
        let mut peer = Peer::new(Settings { frame_limit: limit, ..settings() });
        peer.connects();
        peer.submits(1, Op::Touch);
        peer.transmits();
        peer.sends(&bytes);
        peer.hangs_up(cause);
        assert_eq!(peer.session.id(), SessionId(ID), "the session goes on");
    }
    // A list that claims 2^31 - 1 names.
    let mut peer = Peer::up();
    peer.submits(1, Op::List { path: path("/a"), sync: false, watch: false });
    peer.transmits();
    peer.answers(1, OK, &Record::new().int(i32::MAX).0);
    peer.hangs_up(Cause::Malformed);
}

#[test]
fn refused_credentials() {
    let credentials = vec![Credential { scheme: "digest".into(), auth: b"a:b".to_vec() }];
    let mut peer = Peer::new(Settings { credentials, ..settings() });
    peer.session.handle_connected(peer.now);
    peer.submits(1, Op::Touch);
    peer.transmits();
    peer.welcomes(ID, T_MS);
    peer.answers(AUTH, rc::AUTH_FAILED, &[]);
    let denied = [Event::HangUp(Cause::Denied(rc::AUTH_FAILED)), Event::Denied(rc::AUTH_FAILED)];
    assert_eq!(peer.events(), [&[unanswered(1, Some(peer.now))][..], &denied].concat());
    peer.session.leave();
    assert!(peer.session.take_orphan().is_some(), "the session stands all the same");
}

/// A server that demands credentials opens the session without them, and refuses whatever comes next.
#[test]
fn demanded_credentials() {
    for error in [rc::AUTH_FAILED, REQUIRES_SASL] {
        let denied = [Event::HangUp(Cause::Denied(error)), Event::Denied(error)];
        let mut peer = Peer::up();
        peer.submits(1, Op::Touch);
        peer.transmits();
        peer.answers(1, error, &[]);
        assert_eq!(peer.events(), [&[unanswered(1, Some(peer.now))][..], &denied].concat());

        let mut peer = Peer::new(settings());
        peer.session.handle_connected(peer.now);
        peer.session.ask_for_answer();
        peer.transmits();
        peer.next_frame();
        assert_eq!(peer.request().opcode, opcode::PING, "behind the ConnectRequest");
        peer.welcomes(ID, T_MS);
        peer.answers(PING, error, &[]);
        assert_eq!(peer.events()[1..], denied);
    }
}

#[test]
fn the_answer_that_was_asked_for_is_told_once() {
    let mut peer = Peer::new(settings());
    peer.session.ask_for_answer();
    assert_eq!(peer.requests(), [], "there is no connection");
    peer.session.handle_connected(peer.now);
    peer.session.ask_for_answer();
    peer.transmits();
    peer.welcomes(ID, T_MS);
    assert!(matches!(peer.events()[..], [Event::Connected { .. }]));
    peer.answers(PING, OK, &[]);
    assert_eq!(peer.events(), [Event::Answered]);
    peer.passes(T_MS as u64 / 5);
    peer.answers(PING, OK, &[]);
    assert_eq!(peer.events(), []);
}

/// Two clients may have one session by mistake. Their xids differ.
#[test]
fn xids_begin_where_they_are_told_to() {
    for (first_xid, next) in [(0, [1, 2]), (i32::MAX - 1, [i32::MAX, 1]), (i32::MAX, [1, 2]), (-1, [1, 2])] {
        let mut peer = Peer::new(Settings { first_xid, ..settings() });
        peer.connects();
        peer.submits(1, Op::Touch);
        peer.submits(2, Op::Touch);
        assert_eq!(peer.requests().iter().map(|sent| sent.xid).collect::<Vec<_>>(), next);
    }
}

/// 10,000 watches outlive a connection: SetWatches comes in chunks, all of them with the zxid of the beginning.
#[test]
fn many_watches_are_set_again() {
    let chroot = format!("/{}", "chroot".repeat(20));
    let mut peer = Peer::new(Settings { chroot: chroot.clone(), ..settings() });
    peer.connects();
    let name = |request: u64| format!("/elections/of/some/service/with/a/long/name/election-{request:06}");
    for request in 1..=10_000 {
        peer.submits(request, read(&name(request)));
    }
    for sent in peer.requests() {
        peer.answers(sent.xid, OK, &Record::new().buffer(b"x").stat(7, 0, 0).0);
    }
    let zxid = peer.session.last_zxid();
    assert_eq!(peer.events().len(), 10_000);
    peer.breaks();
    peer.session.handle_connected(peer.now);
    peer.submits(10_001, Op::Touch);
    peer.transmits();
    peer.next_frame();
    let sent = peer.requests();
    let total: usize = sent.iter().map(|sent| sent.content.len()).sum();
    assert_eq!(sent.len(), total / (128 << 10) + 1, "frames for {total} bytes");
    for sent in &sent {
        assert_eq!((sent.xid, sent.opcode), (SET_WATCHES, opcode::SET_WATCHES));
        assert_eq!(sent.content[..8], zxid.to_be_bytes());
        assert!(sent.content.len() <= (128 << 10) + 20);
    }
    peer.welcomes(ID, T_MS);
    assert_eq!(peer.request().opcode, opcode::SYNC);
    for _ in &sent {
        peer.answers(SET_WATCHES, OK, &[]);
    }
    peer.tells(2, &format!("{chroot}{}", name(10_000)));
    peer.tells(3, &format!("{chroot}{}", name(1)));
    let events = peer.events();
    assert_eq!(events[1..], [watched(10_000, WatchEvent::Deleted), watched(1, WatchEvent::Changed)]);
}

/// A server that cannot set watches again: each request that left one looks for itself.
#[test]
fn watches_that_are_refused() {
    let mut peer = Peer::up();
    peer.submits(1, read("/a"));
    peer.transmits();
    peer.answers(1, OK, &Record::new().buffer(b"x").stat(7, 0, 0).0);
    peer.breaks();
    peer.connects();
    peer.events();
    peer.answers(SET_WATCHES, rc::UNIMPLEMENTED, &[]);
    assert_eq!(peer.events(), [watched(1, WatchEvent::Changed)]);
}

#[test]
fn events_come_without_the_chroot() {
    let mut peer = Peer::new(Settings { chroot: "/app".into(), ..settings() });
    peer.connects();
    peer.submits(1, Op::Exists { path: path("/a") });
    assert_eq!(peer.request().content, Record::new().text("/app/a").bool(true).0);
    peer.answers(1, rc::NO_NODE, &[]);
    assert_eq!(peer.replies(), [(1, Reply::Exists(false))]);
    for other in ["/a", "/application/a", "/app", "", "/app/b"] {
        peer.tells(1, other);
    }
    assert_eq!(peer.events(), []);
    peer.tells(1, "/app/a");
    assert_eq!(peer.events(), [watched(1, WatchEvent::Created)]);
}

#[test]
fn a_session_is_given_up_after_seven_fifths() {
    let mut peer = Peer::up();
    peer.later(1_000);
    peer.breaks();
    peer.passes(5_000);
    peer.session.handle_connected(peer.now);
    peer.submits(1, Op::Touch);
    peer.breaks();
    assert_eq!(peer.events(), [unanswered(1, None)]);
    peer.submits(2, Op::Touch);
    // 7T/5 after the last answer.
    peer.passes(7_999);
    assert_eq!(peer.events(), []);
    peer.passes(1);
    assert_eq!(peer.events(), [unanswered(2, None), Event::Expired(Cause::GivenUp)]);
    assert!(peer.session.take_orphan().is_some());
    assert_eq!(peer.session.poll_timeout(), None);
}

/// Also while a server keeps us waiting for the answer to a ConnectRequest.
#[test]
fn a_session_is_given_up_while_connecting() {
    let mut peer = Peer::up();
    peer.breaks();
    peer.passes(13_000);
    peer.session.handle_connected(peer.now);
    peer.transmits();
    peer.passes(999);
    assert_eq!(peer.events(), []);
    peer.passes(1);
    assert_eq!(peer.events(), [Event::HangUp(Cause::GivenUp), Event::Expired(Cause::GivenUp)]);
}

#[test]
fn a_session_is_closed() {
    let mut peer = Peer::up();
    peer.submits(1, Op::Touch);
    peer.transmits();
    peer.submits(2, Op::Touch);
    peer.session.close();
    peer.submits(3, Op::Touch);
    assert_eq!(peer.events(), [unanswered(2, None), unanswered(3, None)]);
    let sent = peer.requests();
    assert_eq!(sent.iter().map(|sent| (sent.xid, sent.opcode)).collect::<Vec<_>>(), [(1, 9), (2, opcode::CLOSE)]);
    peer.answers(1, OK, &Record::new().text("/").0);
    peer.answers(2, OK, &[]);
    assert!(matches!(peer.events()[..], [Event::Reply { .. }, Event::Closed]));
    assert_eq!(peer.session.id(), SessionId(0));
    assert_eq!(peer.session.poll_timeout(), None);
}

#[test]
fn a_close_finds_no_session_or_no_connection() {
    let mut peer = Peer::new(settings());
    peer.session.close();
    assert_eq!(peer.events(), [Event::Closed]);

    // The ConnectRequest was not sent.
    let mut peer = Peer::new(settings());
    peer.session.handle_connected(peer.now);
    peer.session.close();
    assert_eq!(peer.events(), [Event::HangUp(Cause::Left), Event::Closed]);

    // It was sent: the session that it makes is closed.
    let mut peer = Peer::new(settings());
    peer.session.handle_connected(peer.now);
    peer.transmits();
    peer.next_frame();
    peer.session.close();
    peer.welcomes(ID, T_MS);
    assert_eq!(peer.request().opcode, opcode::CLOSE);
    peer.answers(1, OK, &[]);
    assert_eq!(peer.events().last(), Some(&Event::Closed));

    // The connection breaks before the answer: the close goes out on the next one.
    let mut peer = Peer::up();
    peer.session.close();
    assert_eq!(peer.request().opcode, opcode::CLOSE);
    peer.breaks();
    assert_eq!(peer.events(), []);
    peer.session.handle_connected(peer.now);
    peer.transmits();
    peer.next_frame();
    peer.welcomes(ID, T_MS);
    let close = peer.request();
    assert_eq!((close.xid, close.opcode), (2, opcode::CLOSE));
}

/// A session that was left is closed on a connection of its own, with an xid that it has not used.
#[test]
fn an_orphan_is_closed() {
    let mut peer = Peer::up();
    peer.submits(1, Op::Touch);
    peer.transmits();
    peer.session.leave();
    assert_eq!(peer.events(), [Event::HangUp(Cause::Left)]);
    let orphan = peer.session.take_orphan().expect("it was left");
    let mut other = Peer::new(settings());
    other.session = Session::to_close(settings(), orphan, other.now);
    other.session.handle_connected(other.now);
    other.transmits();
    let connect = other.next_frame().expect("a ConnectRequest");
    assert_eq!(connect[20..28], ID.to_be_bytes());
    assert_eq!(other.requests(), []);
    other.welcomes(ID, T_MS);
    let close = other.request();
    assert_eq!((close.xid, close.opcode), (2, opcode::CLOSE));
    other.answers(2, OK, &[]);
    assert_eq!(other.events().last(), Some(&Event::Closed));
}

/// Nothing of the former session's requests is left when it was left, also if it never stood.
#[test]
fn a_session_that_is_left_before_it_stood() {
    let mut peer = Peer::new(settings());
    peer.submits(1, read("/a"));
    peer.session.leave();
    assert_eq!(peer.session.take_orphan(), None);
    peer.connects();
    assert_eq!(peer.requests(), []);
    peer.submits(2, read("/a"));
    let sent = peer.request();
    peer.answers(sent.xid, OK, &Record::new().buffer(b"x").stat(7, 0, 0).0);
    peer.session.unwatch(RequestId(2));
    assert_eq!(peer.request().opcode, opcode::REMOVE_WATCHES, "no request is taken to be on its way");
}

/// The buffer for the socket may be cut anywhere in the credentials.
#[test]
fn credentials_in_pieces() {
    let credentials = vec![Credential { scheme: "digest".into(), auth: vec![b'x'; 1_000] }];
    let mut peer = Peer::new(Settings { credentials, ..settings() });
    peer.session.handle_connected(peer.now);
    while peer.transmits_some(7) > 0 {}
    peer.next_frame();
    let sent = peer.request();
    assert_eq!(sent.content, Record::new().int(0).text("digest").buffer(&[b'x'; 1_000]).0);
}

/// What the session holds is bounded, whatever the server sends and however little the socket takes.
#[test]
fn memory_is_bounded() {
    let limit = 1 << 20;
    let mut peer = Peer::new(Settings { frame_limit: limit, ..settings() });
    peer.connects();
    let value = vec![7; 1 << 20].into();
    for request in 1..=100 {
        peer.submits(request, Op::SetValue { path: path("/a"), value: std::sync::Arc::clone(&value), version: 0 });
    }
    assert!(!peer.session.has_room(), "100 MiB wait");
    for _ in 0..1_000 {
        peer.transmits_some(1_000);
        assert!(peer.session.bytes_not_sent() <= (1 << 20) + (128 << 10) + 100);
    }
    peer.transmits();
    assert!(peer.session.has_room(), "nothing waits, and a hundred are without an answer");
    for request in 101..=4_096 {
        assert!(peer.session.has_room());
        peer.submits(request, Op::Touch);
        peer.transmits();
    }
    assert!(!peer.session.has_room());
    peer.answers(1, OK, &Record::new().stat(7, 1, 0).0);
    assert_eq!(peer.replies().len(), 1);
    assert!(peer.session.has_room());

    peer.sends(&(limit as u32).to_be_bytes());
    for _ in 0..limit / 1_000 {
        peer.sends(&[0; 1_000]);
        assert!(peer.session.bytes_not_read() <= limit + 4);
    }
    assert_eq!(peer.events(), []);
    peer.sends(&[0; 1_000]);
    assert_eq!(peer.session.bytes_not_read(), 0);
}

/// A frame that comes byte by byte is not copied byte by byte. If it were, this would take minutes.
#[test]
fn a_frame_in_many_pieces() {
    let mut peer = Peer::up();
    let value = vec![7; 3 << 20];
    peer.submits(1, Op::Read { path: path("/a"), sync: false, watch: false });
    peer.transmits();
    let bytes = answer(1, 200, OK, &Record::new().buffer(&value).stat(7, 0, 0).0);
    for byte in &bytes {
        peer.sends(std::slice::from_ref(byte));
    }
    let replies = peer.replies();
    assert!(matches!(&replies[..], [(1, Reply::Read(znode))] if znode.value[..] == value[..]));
}

/// Nor do many small frames that arrive at once cost more than their bytes.
#[test]
fn many_frames_in_one_piece() {
    let mut peer = Peer::up();
    let events = notification(3, "/nobody").repeat(100_000);
    peer.sends(&events);
    assert_eq!(peer.events(), []);
    for chunk in events.chunks(7) {
        peer.sends(chunk);
    }
    assert_eq!(peer.events(), []);
}

/// The time in which this thread has computed.
fn computed() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number of nanoseconds")
}

/// The life of so many watches: left, set again on the next connection, half of them fired, byte by byte, and the others
/// dropped.
fn live_with_watches(count: u64) {
    let name = |request: u64| format!("/elections/{request:06}");
    let mut peer = Peer::up();
    for request in 1..=count {
        peer.submits(request, read(&name(request)));
        if !peer.session.has_room() || request == count {
            for sent in peer.requests() {
                peer.answers(sent.xid, OK, &Record::new().buffer(b"x").stat(7, 0, 0).0);
            }
            assert!(peer.replies().iter().all(|(_, reply)| matches!(reply, Reply::Read(_))));
        }
    }
    peer.breaks();
    peer.connects_again();
    let sent = peer.requests();
    assert!(sent.iter().all(|sent| sent.opcode == opcode::SET_WATCHES));
    sent.iter().for_each(|_| peer.answers(SET_WATCHES, OK, &[]));
    for request in 1..=count / 2 {
        for byte in notification(3, &name(request)) {
            peer.sends(&[byte]);
        }
    }
    assert_eq!(peer.events().len(), count as usize / 2);
    for request in count / 2 + 1..=count {
        peer.session.unwatch(RequestId(request));
    }
    assert_eq!(peer.requests().len(), (count - count / 2) as usize);
}

/// Five times as many watches take about five times as long. If any step looked at all of them, it would be 25 times.
#[test]
fn no_time_is_quadratic() {
    let of = |count| {
        let before = computed();
        live_with_watches(count);
        computed() - before
    };
    // The first run warms up.
    let (_, few, many) = (of(1_000), of(20_000), of(100_000));
    assert!(many < 12 * few, "{few} ns for 20,000 watches, {many} ns for 100,000");
}

#[test]
fn the_access_control_list_of_a_znode() {
    let acl = vec![AclEntry { permissions: 5, scheme: "digest".into(), id: "a:h".into() }];
    let mut peer = Peer::new(Settings { acl, ..settings() });
    peer.connects();
    peer.submits(1, Op::Create { path: path("/a"), value: b"v"[..].into() });
    let create = Record::new().text("/a").buffer(b"v").int(1).int(5).text("digest").text("a:h").int(1);
    assert_eq!(peer.request().content, create.0);
}
