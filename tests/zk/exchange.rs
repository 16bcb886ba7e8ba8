//! What each operation of the core is on the wire, and what the answers to that are for the core.

use election::testing::logic::{rc, Op, Reply, RequestId, Stat, Value, WatchEvent, Write, Znode};
use election::testing::zk::opcode;
use election::testing::zk::{Cause, Event, Settings};

use crate::peer::{path, settings, unanswered, watched, Peer, Record, ID, OK};

const RUNTIME_INCONSISTENCY: i32 = -2;

fn value() -> Value {
    b"10.0.0.7"[..].into()
}

fn stat(czxid: i64, owner: i64) -> Stat {
    Stat { czxid, mzxid: czxid, ctime_ms: 1, version: 0, ephemeral_owner: owner }
}

/// The content of a create of a znode that is open to all.
fn create(path: &str, value: &[u8], flags: i32) -> Vec<u8> {
    Record::new().text(path).buffer(value).int(1).int(31).text("world").text("anyone").int(flags).0
}

fn made(path: &str, czxid: i64, owner: i64) -> Vec<u8> {
    Record::new().text(path).stat(czxid, 0, owner).0
}

/// Each operation that is one request: its opcode and content, and an answer with the reply that it is.
#[test]
fn one_request_for_one_operation() {
    let set = |version| Op::SetValue { path: path("/a"), value: value(), version };
    let prove = || Op::Prove { paths: vec![path("/a"), path("/b")] };
    let check = |record: Record, path: &str| record.multi(opcode::CHECK, false, -1).text(path).int(-1);
    let checks = check(check(Record::new(), "/a"), "/b").multi(-1, true, -1).0;
    let both = Record::new().multi(opcode::CHECK, false, 0).multi(opcode::CHECK, false, 0).multi(-1, true, -1).0;
    let second = Record::new().multi(-1, false, 0).int(0).multi(-1, false, rc::NO_NODE).int(rc::NO_NODE);
    let first = Record::new().multi(-1, false, rc::NO_NODE).int(rc::NO_NODE);
    let first = first.multi(-1, false, RUNTIME_INCONSISTENCY).int(RUNTIME_INCONSISTENCY);
    for (op, opcode, content, error, answer, reply) in [
        (
            Op::Create { path: path("/a"), value: value() },
            opcode::CREATE2,
            create("/a", b"10.0.0.7", 1),
            OK,
            made("/a", 7, ID),
            Reply::Created(stat(7, ID)),
        ),
        (
            Op::Create { path: path("/a"), value: value() },
            opcode::CREATE2,
            create("/a", b"10.0.0.7", 1),
            rc::NODE_EXISTS,
            vec![],
            Reply::Refused(rc::NODE_EXISTS),
        ),
        (
            Op::CreateSequential { prefix: path("/q/n_"), value: value() },
            opcode::CREATE2,
            create("/q/n_", b"10.0.0.7", 3),
            OK,
            made("/q/n_0000000004", 7, ID),
            Reply::CreatedAs(path("/q/n_0000000004"), stat(7, ID)),
        ),
        (
            Op::Read { path: path("/a"), sync: false, watch: true },
            opcode::GET_DATA,
            Record::new().text("/a").bool(true).0,
            OK,
            Record::new().buffer(b"x").stat(7, 0, 5).0,
            Reply::Read(Znode { value: b"x"[..].into(), stat: stat(7, 5) }),
        ),
        // A znode that was made without a value.
        (
            Op::Read { path: path("/a"), sync: false, watch: false },
            opcode::GET_DATA,
            Record::new().text("/a").bool(false).0,
            OK,
            Record::new().int(-1).stat(7, 0, 5).0,
            Reply::Read(Znode { value: b""[..].into(), stat: stat(7, 5) }),
        ),
        (
            Op::Exists { path: path("/a") },
            opcode::EXISTS,
            Record::new().text("/a").bool(true).0,
            OK,
            Record::new().stat(7, 0, 5).0,
            Reply::Exists(true),
        ),
        (
            Op::Stat { path: path("/a") },
            opcode::EXISTS,
            Record::new().text("/a").bool(false).0,
            OK,
            Record::new().stat(7, 0, 5).0,
            Reply::Stat(stat(7, 5)),
        ),
        (
            Op::Stat { path: path("/a") },
            opcode::EXISTS,
            Record::new().text("/a").bool(false).0,
            rc::NO_NODE,
            vec![],
            Reply::Refused(rc::NO_NODE),
        ),
        (
            Op::List { path: path("/a"), sync: false, watch: true },
            opcode::GET_CHILDREN,
            Record::new().text("/a").bool(true).0,
            OK,
            Record::new().texts(&["b", "a"]).0,
            Reply::Listed(vec![path("b"), path("a")]),
        ),
        (
            set(3),
            opcode::SET_DATA,
            Record::new().text("/a").buffer(b"10.0.0.7").int(3).0,
            OK,
            Record::new().stat(7, 4, ID).0,
            Reply::Done,
        ),
        (
            set(3),
            opcode::SET_DATA,
            Record::new().text("/a").buffer(b"10.0.0.7").int(3).0,
            rc::BAD_VERSION,
            vec![],
            Reply::Refused(rc::BAD_VERSION),
        ),
        (
            Op::Delete { path: path("/a"), version: -1 },
            opcode::DELETE,
            Record::new().text("/a").int(-1).0,
            OK,
            vec![],
            Reply::Done,
        ),
        (prove(), opcode::MULTI, checks.clone(), OK, both, Reply::Done),
        (prove(), opcode::MULTI, checks.clone(), OK, second.multi(-1, true, -1).0, Reply::Refused(rc::NO_NODE)),
        (prove(), opcode::MULTI, checks.clone(), OK, first.multi(-1, true, -1).0, Reply::Refused(rc::NO_NODE)),
        (prove(), opcode::MULTI, checks, -125, vec![], Reply::Refused(-125)),
        (Op::Touch, opcode::SYNC, Record::new().text("/").0, OK, Record::new().text("/").0, Reply::Done),
    ] {
        let mut peer = Peer::up();
        peer.submits(1, op.clone());
        let sent = peer.request();
        assert_eq!((sent.xid, sent.opcode, sent.content), (1, opcode, content), "{op:?}");
        peer.answers(1, error, &answer);
        assert_eq!(peer.replies(), [(1, reply)], "{op:?}");
        // An answer that is cut short, at any place, or goes on.
        if error == OK {
            for len in 0..answer.len() {
                let mut peer = Peer::up();
                peer.submits(1, op.clone());
                peer.transmits();
                peer.answers(1, OK, &answer[..len]);
                let events = peer.events();
                assert!(matches!(events.last(), Some(Event::HangUp(_))), "{op:?}, {len} bytes: {events:?}");
            }
            let mut peer = Peer::up();
            peer.submits(1, op);
            peer.transmits();
            peer.answers(1, OK, &[&answer[..], &[0]].concat());
            peer.hangs_up(Cause::WrongLength);
        }
    }
}

#[test]
fn a_write_that_depends_on_our_znode() {
    let own = || path("/own");
    let check = || Record::new().multi(opcode::CHECK, false, -1).text("/own").int(-1);
    let made =
        Record::new().multi(opcode::CHECK, false, 0).multi(opcode::CREATE, false, 0).text("/a").multi(-1, true, -1);
    let set = Record::new().multi(opcode::CHECK, false, 0).multi(opcode::SET_DATA, false, 0).stat(7, 1, 0);
    let deleted = Record::new().multi(opcode::CHECK, false, 0).multi(opcode::DELETE, false, 0);
    let failed = |errors: [i32; 2]| {
        let one = |record: Record, error: i32| record.multi(-1, false, error).int(error);
        errors.into_iter().fold(Record::new(), one).multi(-1, true, -1)
    };
    let create = || Write::Create { path: path("/a"), value: value() };
    let made_with_stat = Record::new().multi(opcode::CHECK, false, 0).multi(opcode::CREATE2, false, 0).text("/a");
    for (write, content, answer, reply) in [
        // Some servers tell the stat of what a transaction creates, if they are asked for it.
        (
            Write::Delete { path: path("/b"), version: None },
            check().multi(opcode::DELETE, false, -1).text("/b").int(-1),
            made_with_stat.stat(7, 0, 0).multi(-1, true, -1),
            Reply::Done,
        ),
        (
            create(),
            check()
                .multi(opcode::CREATE, false, -1)
                .text("/a")
                .buffer(b"10.0.0.7")
                .int(1)
                .int(31)
                .text("world")
                .text("anyone")
                .int(0),
            made,
            Reply::Done,
        ),
        (
            Write::Set { path: path("/a"), value: value(), version: Some(4) },
            check().multi(opcode::SET_DATA, false, -1).text("/a").buffer(b"10.0.0.7").int(4),
            set.multi(-1, true, -1),
            Reply::Done,
        ),
        (
            Write::Delete { path: path("/a"), version: None },
            check().multi(opcode::DELETE, false, -1).text("/a").int(-1),
            deleted.multi(-1, true, -1),
            Reply::Done,
        ),
        (
            Write::Delete { path: path("/a"), version: Some(2) },
            check().multi(opcode::DELETE, false, -1).text("/a").int(2),
            failed([rc::NO_NODE, RUNTIME_INCONSISTENCY]),
            Reply::NotMaster,
        ),
        (
            Write::Delete { path: path("/a"), version: Some(2) },
            check().multi(opcode::DELETE, false, -1).text("/a").int(2),
            failed([0, rc::BAD_VERSION]),
            Reply::Refused(rc::BAD_VERSION),
        ),
        // Our znode may not be read, so nobody tells us whether it stands.
        (
            Write::Delete { path: path("/a"), version: Some(2) },
            check().multi(opcode::DELETE, false, -1).text("/a").int(2),
            failed([rc::NO_AUTH, RUNTIME_INCONSISTENCY]),
            Reply::Refused(rc::NO_AUTH),
        ),
    ] {
        let mut peer = Peer::up();
        peer.submits(1, Op::Write { own: own(), write });
        let sent = peer.request();
        assert_eq!((sent.opcode, sent.content), (opcode::MULTI, content.multi(-1, true, -1).0));
        peer.answers(1, OK, &answer.0);
        assert_eq!(peer.replies(), [(1, reply)]);
    }
}

/// The transaction before a read with `sync` need not succeed, but must be answered.
#[test]
fn a_read_that_catches_up() {
    for (answer, then) in [
        (Record::new().multi(opcode::CHECK, false, 0).multi(-1, true, -1), Reply::Listed(vec![])),
        (Record::new().multi(-1, false, -101).int(-101).multi(-1, true, -1), Reply::Listed(vec![])),
    ] {
        let mut peer = Peer::up();
        peer.submits(1, Op::List { path: path("/a"), sync: true, watch: false });
        let sent = peer.requests();
        let content = Record::new().multi(opcode::CHECK, false, -1).text("/").int(-1).multi(-1, true, -1).0;
        assert_eq!((sent[0].opcode, &sent[0].content), (opcode::MULTI, &content));
        assert_eq!(sent[1].opcode, opcode::GET_CHILDREN);
        peer.answers(1, OK, &answer.0);
        assert_eq!(peer.events(), []);
        peer.answers(2, OK, &Record::new().int(0).0);
        assert_eq!(peer.replies(), [(1, then)]);
    }
    let mut peer = Peer::up();
    peer.submits(1, Op::Read { path: path("/a"), sync: true, watch: true });
    peer.transmits();
    peer.answers(1, rc::NO_AUTH, &[]);
    assert_eq!(peer.replies(), [(1, Reply::Refused(rc::NO_AUTH))]);
    peer.answers(2, OK, &Record::new().buffer(b"").stat(7, 0, 0).0);
    peer.tells(3, "/a");
    assert_eq!(peer.events(), [], "an answer that came too late leaves no watch");
}

/// A server that does not know `create2` says so and hangs up: nothing was made. From then on create and exists go out
/// in one write.
#[test]
fn a_server_without_create2() {
    let create2 = || Op::Create { path: path("/a"), value: value() };
    let mut peer = Peer::up();
    peer.submits(1, create2());
    let sent_at = Some(peer.now);
    peer.transmits();
    peer.answers(1, rc::UNIMPLEMENTED, &[]);
    peer.breaks();
    assert_eq!(peer.events(), [unanswered(1, sent_at)]);
    falls_back(peer, 2);

    // Another one closes the connection without a word, as ClickHouse Keeper does.
    let mut peer = Peer::up();
    for request in 1..=3 {
        peer.submits(request, create2());
        assert_eq!(peer.request().opcode, opcode::CREATE2);
        peer.breaks();
        peer.events();
        peer.connects();
    }
    peer.breaks();
    falls_back(peer, 4);
}

/// It says so before it answers older requests, and it hangs up while older ones have no answer.
#[test]
fn a_server_without_create2_that_works_on_something_else() {
    let create2 = || Op::Create { path: path("/a"), value: value() };
    let mut peer = Peer::up();
    peer.submits(1, Op::Touch);
    peer.submits(2, create2());
    peer.transmits();
    peer.answers(2, rc::UNIMPLEMENTED, &[]);
    peer.hangs_up(Cause::OutOfOrder);
    falls_back(peer, 3);

    let mut peer = Peer::up();
    for _ in 1..=3 {
        peer.submits(1, Op::Touch);
        peer.submits(2, create2());
        peer.submits(3, create2());
        let sent = peer.requests();
        assert_eq!(sent.iter().map(|sent| sent.opcode).collect::<Vec<_>>(), [9, opcode::CREATE2, opcode::CREATE2]);
        peer.breaks();
        peer.events();
        peer.connects();
    }
    peer.breaks();
    falls_back(peer, 10);
}

/// `create2` and the removal of watches came with the same release.
#[test]
fn a_server_that_hangs_up_when_a_watch_is_removed_does_not_know_create2() {
    let mut peer = Peer::up();
    for round in 1..=3 {
        peer.submits(1, Op::Read { path: path("/a"), sync: false, watch: true });
        peer.requests();
        peer.answers(2 * round - 1, OK, &Record::new().buffer(b"").stat(7, 0, 0).0);
        peer.session.unwatch(RequestId(1));
        assert_eq!(peer.request().opcode, opcode::REMOVE_WATCHES);
        peer.breaks();
        peer.events();
        peer.connects();
    }
    peer.breaks();
    falls_back(peer, 7);
}

/// The next two requests have these xids.
fn falls_back(mut peer: Peer, xid: i32) {
    peer.connects();
    peer.submits(1, Op::Create { path: path("/a"), value: value() });
    peer.session.poll_transmit(peer.now);
    let sent = peer.requests();
    let opcodes: Vec<_> = sent.iter().map(|sent| (sent.xid, sent.opcode)).collect();
    assert_eq!(opcodes, [(xid, opcode::CREATE), (xid + 1, opcode::EXISTS)]);
    assert_eq!(sent[0].content, create("/a", b"10.0.0.7", 1));
    assert_eq!(sent[1].content, Record::new().text("/a").bool(false).0);
    peer.answers(xid, OK, &Record::new().text("/a").0);
    assert_eq!(peer.events(), []);
    peer.answers(xid + 1, OK, &Record::new().stat(7, 0, ID).0);
    assert_eq!(peer.replies(), [(1, Reply::Created(stat(7, ID)))]);

    // Refused; made and gone; made, gone, and another one's made; made, and nobody knows what became of it.
    for (made, found, reply) in [
        ((rc::NODE_EXISTS, vec![]), (OK, Record::new().stat(9, 0, 1).0), Reply::Refused(rc::NODE_EXISTS)),
        ((OK, Record::new().text("/a").0), (rc::NO_NODE, vec![]), Reply::Unknown),
        ((OK, Record::new().text("/a").0), (OK, Record::new().stat(9, 0, 1).0), Reply::Unknown),
    ] {
        peer.submits(1, Op::Create { path: path("/a"), value: value() });
        let sent = peer.requests();
        peer.answers(sent[0].xid, made.0, &made.1);
        peer.answers(sent[1].xid, found.0, &found.1);
        assert_eq!(peer.replies(), [(1, reply)]);
    }

    // The name of a sequential znode is known only when it is made.
    peer.submits(1, Op::CreateSequential { prefix: path("/q/n_"), value: value() });
    let sent = peer.request();
    assert_eq!((sent.opcode, sent.content), (opcode::CREATE, create("/q/n_", b"10.0.0.7", 3)));
    peer.answers(sent.xid, OK, &Record::new().text("/q/n_0000000004").0);
    let sent = peer.request();
    assert_eq!((sent.opcode, sent.content), (opcode::EXISTS, Record::new().text("/q/n_0000000004").bool(false).0));
    peer.answers(sent.xid, OK, &Record::new().stat(7, 0, ID).0);
    assert_eq!(peer.replies(), [(1, Reply::CreatedAs(path("/q/n_0000000004"), stat(7, ID)))]);

    // Such a server knows no containers either, and removes no watches.
    peer.submits(1, Op::MakeParents { path: path("/a/b") });
    let sent = peer.request();
    assert_eq!((sent.opcode, sent.content), (opcode::CREATE, create("/a", b"", 0)));
    peer.answers(sent.xid, OK, &Record::new().text("/a").0);
    peer.submits(2, Op::Exists { path: path("/a") });
    let sent = peer.request();
    peer.answers(sent.xid, OK, &Record::new().stat(7, 0, ID).0);
    peer.session.unwatch(RequestId(2));
    assert_eq!(peer.requests(), []);
}

/// Two connections that ended at a create tell nothing, nor do those that we end; and none does after an answer.
#[test]
fn a_connection_that_ends_at_a_create() {
    let mut peer = Peer::up();
    let create = || Op::Create { path: path("/a"), value: value() };
    for request in 1..=6 {
        peer.submits(request, create());
        assert_eq!(peer.request().opcode, opcode::CREATE2);
        match request {
            1 | 2 => peer.breaks(),
            _ => peer.passes(2_000),
        }
        peer.connects_again();
    }
    peer.submits(7, create());
    let sent = peer.request();
    assert_eq!(sent.opcode, opcode::CREATE2);
    peer.answers(sent.xid, rc::NODE_EXISTS, &[]);
    for request in 8..15 {
        peer.submits(request, create());
        assert_eq!(peer.request().opcode, opcode::CREATE2);
        peer.breaks();
        peer.connects_again();
    }
}

/// The nearest parent alone if that is enough, else all of them; containers, or where they are not known, persistent
/// ones. The chroot is one of the parents.
#[test]
fn parents() {
    let mut peer = Peer::new(Settings { chroot: "/app".into(), ..settings() });
    peer.connects();
    let parents = || Op::MakeParents { path: path("/a/b/c") };
    peer.submits(1, parents());
    let sent = peer.request();
    assert_eq!((sent.opcode, sent.content), (opcode::CREATE_CONTAINER, create("/app/a/b", b"", 4)));
    peer.answers(1, OK, &made("/app/a/b", 7, 0));
    assert_eq!(peer.replies(), [(1, Reply::Done)]);

    peer.submits(2, parents());
    peer.transmits();
    peer.answers(2, rc::NODE_EXISTS, &[]);
    assert_eq!(peer.replies(), [(2, Reply::Done)]);

    peer.submits(3, parents());
    peer.submits(4, Op::Touch);
    peer.requests();
    peer.answers(3, rc::NO_NODE, &[]);
    let sent = peer.requests();
    let contents: Vec<_> = sent.iter().map(|sent| (sent.xid, sent.content.clone())).collect();
    let all = [(5, create("/app", b"", 4)), (6, create("/app/a", b"", 4)), (7, create("/app/a/b", b"", 4))];
    assert_eq!(contents, all);
    peer.answers(4, OK, &Record::new().text("/app").0);
    peer.answers(5, rc::NO_AUTH, &[]);
    peer.answers(6, OK, &made("/app/a", 7, 0));
    peer.answers(7, OK, &made("/app/a/b", 7, 0));
    assert_eq!(peer.replies(), [(4, Reply::Done), (3, Reply::Done)]);

    peer.submits(5, parents());
    peer.transmits();
    peer.answers(8, rc::UNIMPLEMENTED, &[]);
    assert_eq!(peer.replies(), [(5, Reply::Unknown)]);
    peer.breaks();
    peer.connects_again();
    peer.submits(6, parents());
    let sent = peer.request();
    assert_eq!((sent.opcode, sent.content), (opcode::CREATE, create("/app/a/b", b"", 0)));
    peer.answers(sent.xid, rc::NO_AUTH, &[]);
    assert_eq!(peer.replies(), [(6, Reply::Refused(rc::NO_AUTH))]);

    // All are missing, and the first one may not be made.
    peer.submits(7, parents());
    let sent = peer.request();
    peer.answers(sent.xid, rc::NO_NODE, &[]);
    for (sent, error) in peer.requests().iter().zip([rc::NODE_EXISTS, rc::NO_AUTH, rc::NO_NODE]) {
        peer.answers(sent.xid, error, &[]);
    }
    assert_eq!(peer.replies(), [(7, Reply::Refused(rc::NO_AUTH))]);

    // A path below the root has no parent to make.
    let mut peer = Peer::up();
    peer.submits(1, Op::MakeParents { path: path("/a") });
    assert_eq!(peer.requests(), []);
    assert_eq!(peer.replies(), [(1, Reply::Done)]);
}

/// Servers before 3.4 have no multi: nothing can be proved there.
#[test]
fn a_server_that_is_too_old() {
    for op in [Op::Prove { paths: vec![path("/a")] }, Op::Read { path: path("/a"), sync: true, watch: true }] {
        let mut peer = Peer::up();
        peer.submits(1, op);
        peer.transmits();
        peer.answers(1, rc::UNIMPLEMENTED, &[]);
        peer.hangs_up(Cause::TooOld);
    }
}

/// A server cannot make us believe that our znode is one that we did not ask for.
#[test]
fn a_name_that_does_not_begin_as_ours() {
    for name in ["/q/m_0000000001", "", "/q"] {
        let mut peer = Peer::up();
        peer.submits(1, Op::CreateSequential { prefix: path("/q/n_"), value: value() });
        peer.transmits();
        peer.answers(1, OK, &made(name, 7, ID));
        peer.hangs_up(Cause::Malformed);
    }
}

/// A watch that nobody needs is taken from the server, unless a request on its way may need it.
#[test]
fn watches_are_removed() {
    let mut peer = Peer::up();
    let read = |of: &str| Op::Read { path: path(of), sync: false, watch: true };
    let found = Record::new().buffer(b"").stat(7, 0, 0).0;
    peer.submits(1, read("/a"));
    peer.requests();
    peer.answers(1, OK, &found);
    peer.session.unwatch(RequestId(1));
    let sent = peer.request();
    assert_eq!((sent.opcode, sent.content), (opcode::REMOVE_WATCHES, Record::new().text("/a").int(2).0));
    peer.answers(sent.xid, OK, &[]);
    // Of two that watch, the second one still does.
    for request in [2, 3] {
        peer.submits(request, read("/a"));
        let sent = peer.request();
        peer.answers(sent.xid, OK, &found);
    }
    peer.session.unwatch(RequestId(2));
    assert_eq!(peer.requests(), []);
    peer.tells(3, "/a");
    assert_eq!(peer.events().last(), Some(&watched(3, WatchEvent::Changed)));

    // A request on its way may leave the same watch.
    peer.submits(4, read("/a"));
    let sent = peer.request();
    peer.answers(sent.xid, OK, &found);
    peer.submits(5, read("/a"));
    assert_eq!(peer.request().opcode, opcode::GET_DATA);
    peer.session.unwatch(RequestId(4));
    assert_eq!(peer.requests(), []);
}

/// A server of 3.4 hangs up when it is asked to remove a watch. It is not asked again.
#[test]
fn a_server_that_removes_no_watches() {
    let mut peer = Peer::up();
    let found = Record::new().buffer(b"").stat(7, 0, 0).0;
    for asks in [true, false] {
        peer.submits(1, Op::Read { path: path("/a"), sync: false, watch: true });
        let sent = peer.request();
        peer.answers(sent.xid, OK, &found);
        peer.session.unwatch(RequestId(1));
        let sent = peer.requests();
        assert_eq!(!sent.is_empty(), asks);
        for sent in sent {
            peer.answers(sent.xid, rc::UNIMPLEMENTED, &[]);
            peer.breaks();
            peer.connects_again();
        }
    }
}
