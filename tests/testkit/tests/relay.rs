//! The relay strikes at the very request it is told to, and a session can be taken away from its owner.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;
use testkit::{eventually, expire_session, opcode, wait_until, Ensemble, RawClient, Relay, Verdict};

const SOON: Duration = Duration::from_secs(20);
const A_MOMENT: Duration = Duration::from_millis(100);
const TIMEOUT_MS: i32 = 10_000;
const EPHEMERAL: i32 = 1;

#[test]
fn each_fault_does_what_it_says() {
    let ensemble = Ensemble::start(1);
    let relay = Relay::start(ensemble.addr(0));
    let connect = || RawClient::connect(&relay.host(), TIMEOUT_MS).expect("a session");
    let mut witness = RawClient::connect(&ensemble.host(0), TIMEOUT_MS).unwrap();

    // Without a rule it is only a wire, and it sees all.
    let mut client = connect();
    assert_eq!(client.create("/forwarded", b"x", 0).unwrap().err, 0);
    let seen: Vec<_> = relay
        .requests()
        .iter()
        .map(|request| (request.connection_number, request.opcode, request.path.clone()))
        .collect();
    assert_eq!(seen, [(1, opcode::CREATE_SESSION, None), (1, opcode::CREATE, Some("/forwarded".to_owned())),]);
    assert_eq!(relay.session().as_ref(), Some(client.session()));

    // The reply is lost after the request was applied; only that request is struck.
    relay.strike_once(Verdict::DropReplyAndCut, |request| request.opcode == opcode::CREATE);
    assert!(!client.exists("/applied").unwrap());
    assert!(client.create("/applied", b"", 0).is_err());
    assert!(witness.exists("/applied").unwrap());
    let mut client = RawClient::resume(&relay.host(), relay.session().as_ref().unwrap()).unwrap();
    assert_eq!(client.create("/next", b"", 0).unwrap().err, 0);
    assert_eq!(relay.count(opcode::CREATE), 3);

    // Cut before the server heard of it.
    relay.set_rule(|request| match request.path.as_deref() {
        Some("/unheard") => Verdict::Cut,
        _ => Verdict::Forward,
    });
    assert!(client.create("/unheard", b"", 0).is_err());
    assert!(!witness.exists("/unheard").unwrap());

    // Held, then released; what follows waits behind it.
    relay.strike_once(Verdict::Hold, |request| request.opcode == opcode::CREATE);
    let mut client = connect();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| {
            client.create("/held", b"", 0).unwrap();
            client.exists("/held").unwrap()
        });
        eventually(SOON, "the create is held", || relay.held() == 1);
        assert!(!witness.exists("/held").unwrap());
        relay.release();
        assert!(held.join().unwrap());
    });
    assert_eq!(relay.held(), 0);

    // A connection that is cut while it is held is gone, and so is its request.
    relay.strike_once(Verdict::Hold, |request| request.opcode == opcode::CREATE);
    client.send(opcode::CREATE, b"").unwrap();
    eventually(SOON, "the create is held", || relay.held() == 1);
    relay.cut_all();
    assert!(client.receive().is_err());
    eventually(SOON, "nothing is held or open", || relay.held() == 0 && relay.open_count() == 0);
    relay.clear_rule();

    // Refused.
    relay.refuse(true);
    assert!(RawClient::connect(&relay.host(), TIMEOUT_MS).is_err());
    relay.refuse(false);

    // Silent while the cable is cut; afterwards all arrives.
    let mut client = connect();
    relay.clear_requests();
    relay.blackhole(true);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let created = client.create("/late", b"", 0).unwrap();
            tell.send(created.err).unwrap();
        });
        scope.spawn(|| RawClient::connect(&relay.host(), TIMEOUT_MS).unwrap());
        assert!(told.recv_timeout(A_MOMENT).is_err());
        assert!(!witness.exists("/late").unwrap() && relay.requests().is_empty());
        relay.blackhole(false);
        assert_eq!(told.recv_timeout(SOON), Ok(0));
    });

    // Four-letter commands pass.
    let mut stream = TcpStream::connect(relay.addr()).unwrap();
    stream.write_all(b"ruok").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "imok");

    // A dropped relay takes its connections along, held or not.
    relay.set_rule(|_| Verdict::Hold);
    client.send(opcode::PING, b"").unwrap();
    eventually(SOON, "the ping is held", || relay.held() == 1);
    drop(relay);
    assert!(client.receive().is_err());
}

#[test]
fn a_relay_outlives_its_server_and_a_session_expires_for_real() {
    let ensemble = Ensemble::start(3);
    let relay = Relay::start(ensemble.host(0));
    let mut owner = RawClient::connect(&relay.host(), TIMEOUT_MS).unwrap();
    let session = owner.session().clone();
    assert_eq!(owner.create("/mine", b"", EPHEMERAL).unwrap().err, 0);
    assert_eq!(ensemble.server_of_session(session.id), Some(0));

    assert!(!expire_session(&ensemble.host(1), session.id, b"not the password"));
    assert!(owner.exists("/mine").unwrap());

    assert!(expire_session(&ensemble.host(1), session.id, &session.password));
    let mut witness = RawClient::connect(&ensemble.host(1), TIMEOUT_MS).unwrap();
    assert!(!witness.exists("/mine").unwrap());
    assert!(wait_until(SOON, || owner.exists("/mine").is_err()));
    let refused = RawClient::resume(&relay.host(), &session).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    // The connection that was refused is the session's until the server has closed it.
    eventually(SOON, "no server has the session", || ensemble.server_of_session(session.id).is_none());
    // A refusal is not the newest session.
    assert_eq!(relay.session(), Some(session));

    let mut client = RawClient::connect(&relay.host(), TIMEOUT_MS).unwrap();
    ensemble.kill9(0);
    assert!(client.exists("/").is_err());
    assert!(RawClient::connect(&relay.host(), TIMEOUT_MS).is_err());
    ensemble.start_server(0);
    ensemble.wait_serving(0);
    client = RawClient::resume(&relay.host(), client.session()).unwrap();
    assert!(client.exists("/").unwrap());
}
