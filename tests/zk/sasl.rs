//! SASL on a connection: nothing goes before its end, and how it ends.

use election::testing::logic::{Op, RequestId, SessionId};
use election::testing::zk::{opcode, Cause, Credential, Event, Settings};

use crate::peer::{read, settings, unanswered, Peer, Record, ID, OK, T_MS};

const AUTH: i32 = -4;
const SET_WATCHES: i32 = -8;
const AUTH_FAILED: i32 = -115;
const REQUIRES_SASL: i32 = -124;

fn with_sasl() -> Settings {
    Settings { sasl: true, ..settings() }
}

fn challenge(token: &[u8]) -> Event {
    Event::Challenge(token.to_vec())
}

impl Peer {
    /// A connection to a server that has opened the session and waits for SASL.
    fn waits_for_sasl(settings: Settings) -> Peer {
        let mut peer = Peer::new(settings);
        peer.session.handle_connected(peer.now);
        peer.transmits();
        peer.next_frame();
        peer.welcomes(ID, T_MS);
        assert_eq!(peer.events(), [challenge(b"")]);
        peer
    }

    /// We say this. Returns the xid of the message.
    #[track_caller]
    fn says(&mut self, token: &[u8], is_last: bool) -> i32 {
        self.session.answer_challenge(self.now, token, is_last);
        let sent = self.request();
        assert_eq!((sent.opcode, sent.content), (opcode::SASL, Record::new().buffer(token).0));
        sent.xid
    }

    fn answers_sasl(&mut self, xid: i32, token: &[u8]) {
        self.answers(xid, OK, &Record::new().buffer(token).0);
    }
}

/// As DIGEST-MD5 goes: an empty message, the challenge, our answer, the server's proof. For a session that was there before
/// it comes before the watches.
#[test]
fn nothing_goes_before_the_end_of_sasl() {
    let credentials = vec![Credential { scheme: "digest".into(), auth: "a:b".into() }];
    let mut peer = Peer::new(Settings { credentials, ..with_sasl() });
    let mut last_xid = 0;
    for watches in [0, 1] {
        peer.session.handle_connected(peer.now);
        peer.session.ask_for_answer();
        peer.submits(1 + watches, read("/a"));
        peer.transmits();
        peer.next_frame();
        assert_eq!(peer.request().xid, AUTH);
        peer.welcomes(ID, T_MS);
        assert_eq!((peer.requests(), peer.events()), (vec![], vec![]), "the credentials are not answered");
        peer.answers(AUTH, OK, &[]);
        assert_eq!(peer.events(), [challenge(b"")]);
        let xid = peer.says(b"", false);
        assert_eq!(xid, last_xid + 1);
        peer.answers_sasl(xid, b"challenge");
        assert_eq!((peer.requests(), peer.events()), (vec![], vec![challenge(b"challenge")]));
        let xid = peer.says(b"answer", false);
        peer.answers_sasl(xid, b"proof");
        assert_eq!((peer.requests(), peer.events()), (vec![], vec![challenge(b"proof")]));
        peer.session.answer_challenge(peer.now, b"", true);
        let resumed = watches > 0;
        let events = peer.events();
        assert!(matches!(events[..], [Event::Connected { resumed: told, .. }] if told == resumed), "{events:?}");
        let sent: Vec<i32> = peer.requests().iter().map(|sent| sent.xid).collect();
        assert_eq!(sent, [&[-2][..], &[SET_WATCHES][..usize::from(resumed)], &[xid + 1]].concat());
        peer.answers(xid + 1, OK, &Record::new().buffer(b"x").stat(7, 0, 0).0);
        last_xid = xid + 1;
        peer.breaks();
        peer.events();
    }
}

/// As GSSAPI goes: our last message has an answer with nothing in it.
#[test]
fn the_answer_to_the_last_message_ends_sasl() {
    let mut peer = Peer::waits_for_sasl(with_sasl());
    let xid = peer.says(b"ticket", false);
    peer.answers_sasl(xid, b"mutual");
    assert_eq!(peer.events(), [challenge(b"mutual")]);
    let xid = peer.says(b"wrapped", true);
    assert_eq!(peer.events(), []);
    peer.answers(xid, OK, &Record::new().int(-1).0);
    assert!(matches!(peer.events()[..], [Event::Connected { session: SessionId(ID), .. }]));
    // What is said afterwards is not asked for.
    peer.session.answer_challenge(peer.now, b"more", false);
    assert_eq!(peer.requests(), []);
}

#[test]
fn a_refusal_says_at_which_message() {
    for error in [AUTH_FAILED, REQUIRES_SASL] {
        for is_first in [true, false] {
            let mut peer = Peer::waits_for_sasl(with_sasl());
            peer.submits(1, Op::Touch);
            let mut xid = peer.says(b"", false);
            if !is_first {
                peer.answers_sasl(xid, b"challenge");
                peer.events();
                xid = peer.says(b"answer", false);
            }
            peer.answers(xid, error, &Record::new().int(-1).0);
            let cause = Cause::SaslRefused { error, is_first };
            assert_eq!(peer.events(), [unanswered(1, None), Event::HangUp(cause)]);
            // The session has not stood, so nobody resumes it.
            assert_eq!(peer.session.id(), SessionId(0));
            assert!(peer.session.take_orphan().is_some());
        }
    }
}

#[test]
fn what_is_no_answer_to_sasl_ends_the_connection() {
    for (content, cause) in [
        (Record::new().int(5).0, Cause::Malformed),
        (Record::new().buffer(b"x").int(0).0, Cause::WrongLength),
        (Record::new().0, Cause::WrongLength),
    ] {
        let mut peer = Peer::waits_for_sasl(with_sasl());
        let xid = peer.says(b"", false);
        peer.answers(xid, OK, &content);
        peer.hangs_up(cause);
    }
    let mut peer = Peer::waits_for_sasl(with_sasl());
    let xid = peer.says(b"", false);
    peer.answers_sasl(xid + 1, b"");
    peer.hangs_up(Cause::OutOfOrder);
    let mut peer = Peer::waits_for_sasl(with_sasl());
    peer.answers_sasl(1, b"");
    peer.hangs_up(Cause::OutOfOrder);
}

/// No ping goes out meanwhile, so all of it takes less than the session timeout. The server has a fifth for each answer.
#[test]
fn sasl_has_an_end() {
    let t = T_MS as u64;
    let mut peer = Peer::waits_for_sasl(with_sasl());
    peer.passes(t / 3 * 2 - 1);
    assert_eq!((peer.events(), peer.requests()), (vec![], vec![]));
    peer.passes(1);
    peer.hangs_up(Cause::SaslTakesLong);

    let mut peer = Peer::waits_for_sasl(with_sasl());
    assert!(!peer.session.awaits_sasl());
    peer.says(b"", false);
    assert!(peer.session.awaits_sasl());
    peer.passes(t / 5 - 1);
    assert_eq!((peer.events(), peer.requests()), (vec![], vec![]));
    peer.passes(1);
    peer.hangs_up(Cause::Silence);

    // A server that never comes to an end.
    let mut peer = Peer::waits_for_sasl(with_sasl());
    let mut steps = 0;
    loop {
        let xid = peer.says(b"x", false);
        peer.later(t / 20);
        peer.session.handle_timeout(peer.now);
        peer.answers_sasl(xid, b"again");
        match &peer.events()[..] {
            [Event::Challenge(_)] => steps += 1,
            events => break assert_eq!(events, [Event::HangUp(Cause::Silence)]),
        }
    }
    assert_eq!(steps, 13);
}

#[test]
fn a_close_waits_for_sasl() {
    let mut peer = Peer::waits_for_sasl(with_sasl());
    peer.session.close();
    assert_eq!((peer.events(), peer.requests()), (vec![], vec![]));
    let xid = peer.says(b"x", true);
    peer.answers_sasl(xid, b"");
    assert!(matches!(peer.events()[..], [Event::Connected { .. }]));
    let close = peer.request();
    assert_eq!(close.opcode, opcode::CLOSE);
    peer.answers(close.xid, OK, &[]);
    assert_eq!(peer.events(), [Event::Closed]);
}

/// A server that demands SASL and does not hear of it.
#[test]
fn without_sasl_the_demand_is_told() {
    let mut peer = Peer::up();
    peer.submits(1, Op::Touch);
    let sent = peer.request();
    peer.answers(sent.xid, REQUIRES_SASL, &[]);
    let denied = [Event::HangUp(Cause::Denied(REQUIRES_SASL)), Event::Denied(REQUIRES_SASL)];
    let events = peer.events();
    assert!(matches!(events[0], Event::Reply { request: RequestId(1), .. }), "{events:?}");
    assert_eq!(events[1..], denied);
}
