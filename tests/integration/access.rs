//! Credentials and access control lists: who is let in, what others may do with what we make, and what is heard of a refusal.

use crate::candidates::{options, Candidate, TestHandle};
use crate::ground::{one_server, since, AT_ONCE, A_MOMENT, LONG_MS, SOON};
use crate::relays::{count, expire, is, Relays};
use crate::witness::{acl, Witness};
use election::{Acl, Dialect, Error, Handle, Options, Reason, Recipe, Role};
use std::time::{Duration, Instant};
use testkit::{eventually, opcode, Ensemble, RawClient, Relay, Release, Verdict};
use zookeeper::{CreateMode, Permission};

const NOAUTH: i32 = -102;
const INVALIDACL: i32 = -114;
const AUTHFAILED: i32 = -115;
const ALL: i32 = 31;
const READ: i32 = 1;
/// `alice:wonder` as ZooKeeper has it in its lists: the name, and the base64 of the SHA-1 of both.
const ALICE: &str = "alice:8y0lhh/7xkdEiwhX7vo9i+/Nmzc=";

fn with_auth(session_timeout_ms: u64, auth: &str, acl: Acl) -> Options {
    let mut options = options(session_timeout_ms);
    options.add_auth("digest", auth.as_bytes()).expect("a credential");
    options.set_acl(acl);
    options
}

/// A znode's access control list, as `user:password` is shown it: permissions, scheme and id of each entry.
fn list_of(host: &str, auth: &str, path: &str) -> Vec<(i32, String, String)> {
    fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
        let len = take_i32(rest) as usize;
        let (taken, left) = rest.split_at(len);
        *rest = left;
        taken
    }
    fn take_i32(rest: &mut &[u8]) -> i32 {
        let (number, left) = rest.split_first_chunk::<4>().expect("a number");
        *rest = left;
        i32::from_be_bytes(*number)
    }
    let put = |body: &mut Vec<u8>, bytes: &[u8]| {
        body.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        body.extend_from_slice(bytes);
    };
    let mut client = RawClient::connect(host, 10_000).expect("a session");
    let mut body = 0i32.to_be_bytes().to_vec();
    put(&mut body, b"digest");
    put(&mut body, auth.as_bytes());
    assert_eq!(client.request(opcode::AUTH, &body).expect("an answer").err, 0);
    let mut body = Vec::new();
    put(&mut body, path.as_bytes());
    let reply = client.request(opcode::GET_ACL, &body).expect("an answer");
    assert_eq!(reply.err, 0, "the list of {path}");
    client.close_session().expect("the end of that session");
    let rest = &mut &reply.body[..];
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (0..take_i32(rest)).map(|_| (take_i32(rest), text(take(rest)), text(take(rest)))).collect()
}

fn entry(permissions: i32, scheme: &str, id: &str) -> (i32, String, String) {
    (permissions, scheme.to_owned(), id.to_owned())
}

/// Both recipes: those with the same credentials elect; one with others, and one with none, are refused for good.
fn elects_its_own(recipe: Recipe, path: &str, options_of: impl Fn(&str) -> Options) {
    let ensemble = one_server();
    let open = |auth: &str| {
        let mut options = options_of(auth);
        options.set_recipe(recipe);
        TestHandle::open_with(&ensemble.hosts(), &options)
    };
    let first = open("alice:wonder").stand(path, "first");
    first.becomes_master();
    let second = open("alice:wonder").stand(path, "second");
    assert_eq!(second.ear.next().news.role, Role::Slave);

    let asked_at = Instant::now();
    let stranger = open("mallory:wonder");
    let refused = stranger.stand(path, "stranger");
    assert!(refused.is_denied(NOAUTH) - asked_at < AT_ONCE * 4, "a refusal is heard at once");
    assert!(!refused.is_master());
    assert_eq!(stranger.wait(path, Role::Master, SOON), Err(Error::ZooKeeper(NOAUTH)));
    assert_eq!(stranger.resign(path), Err(Error::NotThere));
    stranger.stand(path, "stranger, again").is_denied(NOAUTH);

    first.resign();
    second.becomes_master();
}

#[test]
fn those_with_the_same_credentials_elect() {
    elects_its_own(Recipe::Node, "/access-node/master", |auth| with_auth(LONG_MS, auth, Acl::Creator));
}

#[test]
fn those_with_the_same_credentials_elect_in_a_queue() {
    let queue = Recipe::Queue(Dialect::default());
    elects_its_own(queue, "/access-queue", |auth| with_auth(LONG_MS, auth, Acl::Creator));
}

#[test]
fn an_entry_of_the_callers_own_names_who_may_take_part() {
    elects_its_own(Recipe::Node, "/access-custom/master", |auth| {
        let mut options = options(LONG_MS);
        options.add_auth("digest", auth.as_bytes()).unwrap();
        options.add_acl(ALL, "digest", ALICE).unwrap();
        options
    });
}

/// Whoever may only read watches, and does not take part.
#[test]
fn the_world_may_watch_and_not_take_part() {
    const PATH: &str = "/access-world/master";
    let ensemble = one_server();
    let master =
        TestHandle::open_with(&ensemble.hosts(), &with_auth(LONG_MS, "alice:wonder", Acl::CreatorWorldRead));
    let candidate = master.stand(PATH, "mine");
    candidate.becomes_master();
    let anybody = TestHandle::open(&ensemble.hosts());
    let observer = anybody.observe(PATH);
    observer.sees("mine");
    assert_eq!(anybody.members(PATH, SOON).map(|members| members.len()), Ok(1));
    anybody.stand(PATH, "me too").is_denied(NOAUTH);
    candidate.resign();
    observer.sees_nobody(-101);
}

/// The candidates' znodes, the parents that were missing, and what a fenced write makes; nothing that was there before.
#[test]
fn what_we_make_has_the_list_that_was_asked_for() {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create("/access-lists", b"", CreateMode::Persistent);
    let creator = vec![entry(ALL, "digest", ALICE)];
    let mut custom = with_auth(LONG_MS, "alice:wonder", Acl::Creator);
    custom.add_acl(READ | 2, "ip", "127.0.0.1").unwrap();
    let with_more = vec![entry(ALL, "digest", ALICE), entry(READ | 2, "ip", "127.0.0.1")];
    let with_world = vec![entry(ALL, "digest", ALICE), entry(READ, "world", "anyone")];
    let cases = [
        ("creator", with_auth(LONG_MS, "alice:wonder", Acl::Creator), creator),
        ("world", with_auth(LONG_MS, "alice:wonder", Acl::CreatorWorldRead), with_world),
        ("more", custom, with_more),
        ("open", with_auth(LONG_MS, "alice:wonder", Acl::Open), vec![entry(ALL, "world", "anyone")]),
    ];
    let list = |path: &str| list_of(&ensemble.host(0), "alice:wonder", path);
    for (name, mut options, expected) in cases {
        let (node, queue) = (format!("/access-lists/{name}/node"), format!("/access-lists/{name}-queue/deep"));
        let handle = TestHandle::open_with(&ensemble.hosts(), &options);
        handle.stand(&node, "mine").becomes_master();
        let made = format!("/access-lists/{name}/made");
        assert_eq!(handle.fenced_create(&node, &made, b"", SOON), Ok(()));
        options.set_recipe(Recipe::Queue(Dialect::default()));
        let in_queue = TestHandle::open_with(&ensemble.hosts(), &options);
        in_queue.stand(&queue, "mine").becomes_master();
        let own = in_queue.members(&queue, SOON).expect("it stands")[0].name.clone();
        let parents = [format!("/access-lists/{name}"), format!("/access-lists/{name}-queue"), queue.clone()];
        for path in parents.iter().chain([&node, &made, &format!("{queue}/{own}")]) {
            assert_eq!(list(path), expected, "{path}");
        }
    }
    assert_eq!(list("/access-lists"), [entry(ALL, "world", "anyone")]);
}

/// Also when the server grants another session timeout than was asked for, and the session is opened again for that.
#[test]
fn several_credentials_are_presented() {
    const MORE_THAN_GRANTED_MS: u64 = 60_000;
    const PATH: &str = "/access-several/master";
    let ensemble = one_server();
    let mut both = with_auth(MORE_THAN_GRANTED_MS, "bob:builder", Acl::Creator);
    both.add_auth("digest", b"alice:wonder").unwrap();
    let candidate = TestHandle::open_with(&ensemble.hosts(), &both).stand(PATH, "mine");
    candidate.becomes_master();
    let list = list_of(&ensemble.host(0), "alice:wonder", PATH);
    assert!(list.len() == 2 && list.contains(&entry(ALL, "digest", ALICE)), "{list:?}");
    let alice = TestHandle::open_with(&ensemble.hosts(), &with_auth(LONG_MS, "alice:wonder", Acl::Creator));
    alice.observe(PATH).sees("mine");
    alice.stand(PATH, "alice").becomes_slave_of("mine");
}

/// On each new connection of the session, before anything else; and on each new session.
#[test]
fn credentials_are_presented_again_and_again() {
    const PATH: &str = "/access-again/master";
    let ensemble = Ensemble::start(3);
    let relays = Relays::before(&ensemble);
    let auths = || relays.0.iter().map(|relay| relay.count(opcode::AUTH)).sum::<usize>();
    let options = with_auth(LONG_MS, "alice:wonder", Acl::Creator);
    let candidate = TestHandle::open_with(&relays.hosts(), &options).stand(PATH, "mine");
    let token = candidate.becomes_master();
    let other = TestHandle::open_with(&ensemble.hosts(), &options).stand(PATH, "other");
    other.becomes_slave_of("mine");
    assert_eq!(auths(), 1);

    // The same session, on another connection: what is asked there takes the credentials.
    relays.drive_off();
    eventually(SOON, "it is back on another server", || auths() >= 2);
    let write = |path: &str| candidate.handle.fenced_create(PATH, path, b"", SOON);
    eventually(SOON, "it writes below a parent that is its own", || write("/access-again/fenced") == Ok(()));
    relays.let_back();
    ensemble.kill9(relays.current());
    eventually(SOON, "it is back after a server has died", || auths() >= 3);
    eventually(SOON, "it writes", || write("/access-again/fenced-again") == Ok(()));
    assert_eq!(candidate.lease().map(|mastership| mastership.token), Some(token));
    candidate.ear.hears_nothing_for(A_MOMENT);
    for relay in &relays.0 {
        let requests = relay.requests();
        for connect in requests.iter().filter(|request| request.opcode == opcode::CREATE_SESSION) {
            let first = requests.iter().find(|next| {
                next.connection_number == connect.connection_number && next.opcode != opcode::CREATE_SESSION
            });
            assert!(first.is_none_or(|first| first.opcode == opcode::AUTH), "{first:?} before the credentials");
        }
    }
}

#[test]
fn credentials_are_presented_in_a_new_session() {
    const PATH: &str = "/access-anew/master";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let options = with_auth(LONG_MS, "alice:wonder", Acl::Creator);
    let candidate = TestHandle::open_with(&relay.host(), &options).stand(PATH, "mine");
    let token = candidate.becomes_master();
    expire(&ensemble, &relay);
    let again = candidate.expires();
    assert!(candidate.check_master(&again) > token);
    assert_eq!(list_of(&ensemble.host(0), "alice:wonder", PATH), [entry(ALL, "digest", ALICE)]);
}

/// A session that was given up while its servers could not be reached is closed with the credentials that these demand.
#[test]
fn a_session_that_was_given_up_is_closed_where_credentials_are_demanded() {
    const PATH: &str = "/access-buried/master";
    const TIMEOUT_MS: u64 = 6_000;
    let ensemble = demanding();
    let relay = Relay::start(ensemble.addr(0));
    let options = with_auth(TIMEOUT_MS, "alice:wonder", Acl::Open);
    let candidate = TestHandle::open_with(&relay.host(), &options).stand(PATH, "mine");
    let token = candidate.becomes_master();
    let session = relay.session().expect("a session");
    // The server goes, and with it its clock, so that the session outlives the client's patience.
    ensemble.stop(0);
    let event = candidate.next_but_for(&[Reason::LeaseExpired, Reason::Suspended]);
    assert_eq!((event.role, event.reason), (Role::Unknown, Reason::Expired));
    let started_at = Instant::now();
    ensemble.start_server(0);
    let event = candidate.next_but_for(&[Reason::Suspended]);
    let event = if event.role == Role::Slave { candidate.next_but_for(&[]) } else { event };
    assert!(candidate.check_master(&event) > token);
    let took = started_at.elapsed();
    assert!(took < Duration::from_millis(TIMEOUT_MS), "{took:?}: nobody waited for the old session to expire");
    assert!(RawClient::resume(&ensemble.host(0), &session).is_err(), "the old session is closed");
}

/// Servers that let in whoever presents a `digest`, and nobody else.
fn demanding() -> Ensemble {
    let demand = ["enforce.auth.enabled=true", "enforce.auth.schemes=digest"];
    demand.iter().fold(Ensemble::builder(1), |builder, line| builder.config_line(line)).start()
}

/// Everything that needs a session is refused, with ZooKeeper's number.
#[track_caller]
fn is_of_no_more_use(handle: &Handle) {
    let refused = Err(Error::ZooKeeper(AUTHFAILED));
    assert_eq!(handle.go_to_election("/no/more", b"", |_| {}), refused);
    assert_eq!(handle.watch_master("/no/more", |_| {}), refused);
    assert_eq!(handle.members("/no/more", SOON).map(drop), refused);
    assert_eq!(handle.fenced_delete("/no/more", "/x", None, SOON), refused);
    assert_eq!(handle.resign("/no/more"), Err(Error::NotThere));
    assert!(!handle.is_master("/no/more"));
    assert_eq!(handle.close(), Ok(()));
}

#[test]
fn an_open_without_the_credentials_that_are_demanded_fails_at_once() {
    if !since(3, 7, "enforce.auth") {
        return;
    }
    let ensemble = demanding();
    let asked_at = Instant::now();
    let refused = Handle::open(&ensemble.hosts(), &options(LONG_MS)).map(drop);
    assert_eq!(refused, Err(Error::ZooKeeper(AUTHFAILED)));
    assert!(asked_at.elapsed() < SOON / 4, "not when the connect timeout is over");
    let let_in = TestHandle::open_with(&ensemble.hosts(), &with_auth(LONG_MS, "alice:wonder", Acl::Creator));
    let_in.stand("/demanded", "mine").becomes_master();

    // Who does not wait for a connection hears it as the last news.
    let mut in_background = options(LONG_MS);
    in_background.set_connect_timeout(Duration::ZERO).unwrap();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open_with(&relay.host(), &in_background);
    let (candidate, observer) = (handle.stand("/demanded", "mine"), handle.observe("/demanded"));
    // A server that closes a connection before it has read all of it takes its last answer back (RST). The next one tells it.
    let event = candidate.next_but_for(&[Reason::Suspended]);
    assert_eq!((event.role, event.reason, event.rc), (Role::Unknown, Reason::Denied, AUTHFAILED));
    candidate.ear.hears_no_more();
    while observer.ear.next().news.rc != AUTHFAILED {}
    observer.ear.hears_no_more();
    assert_eq!(handle.wait("/demanded", Role::Master, SOON), Err(Error::ZooKeeper(AUTHFAILED)));
    // One more connection closes the session, or finds it closed.
    eventually(SOON, "the session is over", || relay.connection_count() > 1 && relay.open_count() == 0);
    let connections = relay.connection_count();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(relay.connection_count(), connections, "it is not tried again");
    is_of_no_more_use(&handle);
}

#[test]
fn a_scheme_that_the_servers_do_not_know_is_refused() {
    let ensemble = one_server();
    let mut unknown = with_auth(LONG_MS, "alice:wonder", Acl::Open);
    unknown.add_auth("no-such-scheme", b"secret").unwrap();
    let asked_at = Instant::now();
    assert_eq!(Handle::open(&ensemble.hosts(), &unknown).map(drop), Err(Error::ZooKeeper(AUTHFAILED)));
    assert!(asked_at.elapsed() < SOON / 4);
}

/// A master whose credentials are refused on a later connection of its session: it ends, and what stands of it goes, so that
/// the next master need not wait until that session expires.
#[test]
fn a_master_whose_credentials_are_refused_later() {
    const PATH: &str = "/access-later";
    if !since(3, 6, "EnsembleAuthenticationProvider") {
        return;
    }
    let class = Release::in_use().class("org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider");
    let provider = format!("authProvider.1={class}");
    let ensemble = Ensemble::builder(1).config_line(&provider).start();
    let mut known = options(LONG_MS);
    known.add_auth("ensemble", b"").unwrap();
    let handle = TestHandle::open_with(&ensemble.hosts(), &known);
    let (candidate, observer) = (handle.stand(PATH, "mine"), handle.observe(PATH));
    candidate.becomes_master();
    observer.sees("mine");

    // The server comes back and knows the scheme no longer.
    ensemble.stop(0);
    let file = ensemble.folder().join("server-1/zoo.cfg");
    let config = std::fs::read_to_string(&file).expect("its configuration");
    assert!(config.contains(&provider));
    std::fs::write(&file, config.replace(&provider, "")).expect("its configuration");
    let started_at = Instant::now();
    ensemble.start_server(0);
    let event = candidate.next_but_for(&[Reason::Suspended, Reason::LeaseExpired]);
    assert_eq!((event.role, event.reason, event.rc), (Role::Unknown, Reason::Denied, AUTHFAILED));
    candidate.ear.hears_no_more();
    assert!(!candidate.is_master());
    observer.sees_nobody(-4);
    observer.is_denied(AUTHFAILED);
    let next = Candidate::stand(&ensemble.hosts(), PATH, "next");
    let event = next.ear.next();
    let event = if event.news.role == Role::Slave { next.ear.next() } else { event };
    next.check_master(&event.news);
    let took = event.at - started_at;
    assert!(took < Duration::from_millis(LONG_MS), "{took:?}: nobody waited for the session to expire");
    is_of_no_more_use(&handle);
}

#[test]
fn a_list_without_anybody_in_it_is_refused() {
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let mut nobody = options(LONG_MS);
    nobody.set_acl(Acl::Creator);
    let handle = TestHandle::open_with(&relay.host(), &nobody);
    handle.stand("/access-invalid", "mine").is_denied(INVALIDACL);
    handle.stand("/access-invalid-parent/master", "mine").is_denied(INVALIDACL);
    nobody.set_acl(Acl::Open);
    nobody.add_acl(ALL, "no-such-scheme", "x").unwrap();
    TestHandle::open_with(&ensemble.hosts(), &nobody).stand("/access-invalid", "mine").is_denied(INVALIDACL);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(count(&relay, opcode::CREATE, "/access-invalid"), 1, "it is asked once");
}

/// A list that keeps even ourselves from reading: mastership cannot be proved, and ends for good; the znode goes.
#[test]
fn a_master_that_may_not_read_its_own_znode() {
    const PATH: &str = "/access-unreadable/own";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create("/access-unreadable", b"", CreateMode::Persistent);
    let mut unreadable = options(LONG_MS);
    unreadable.add_acl(16, "world", "anyone").unwrap();
    for recipe in [Recipe::Node, Recipe::Queue(Dialect::default())] {
        unreadable.set_recipe(recipe);
        if recipe != Recipe::Node {
            witness.create(PATH, b"", CreateMode::Persistent);
        }
        let handle = TestHandle::open_with(&ensemble.hosts(), &unreadable);
        let candidate = handle.stand(PATH, "mine");
        candidate.becomes_master();
        candidate.is_denied(NOAUTH);
        eventually(SOON, "what stood is gone", || match recipe {
            Recipe::Node => !witness.children("/access-unreadable").contains(&"own".to_owned()),
            Recipe::Queue(_) => handle.members(PATH, SOON).is_ok_and(|members| members.is_empty()),
        });
    }
}

/// An operator keeps one of two masters of a handle from being proved: that one ends, and the other one leads on.
#[test]
fn a_master_that_may_not_be_proved_takes_no_other_along() {
    const PATHS: [&str; 2] = ["/access-taken", "/access-left"];
    const TIMEOUT_MS: u64 = 6_000;
    for recipe in [Recipe::Node, Recipe::Queue(Dialect::default())] {
        let ensemble = one_server();
        let witness = Witness::new(&ensemble.host(0));
        let mut options = options(TIMEOUT_MS);
        options.set_recipe(recipe);
        let handle = TestHandle::open_with(&ensemble.hosts(), &options);
        let [taken, left] = PATHS.map(|path| handle.stand(path, "mine"));
        taken.becomes_master();
        let token = left.becomes_master();
        let interrogation = left.interrogate();
        let own = &handle.members(PATHS[0], SOON).expect("it stands")[0].name;
        let own = match recipe {
            Recipe::Node => PATHS[0].to_owned(),
            Recipe::Queue(_) => format!("{}/{own}", PATHS[0]),
        };
        witness.set_acl(&own, &acl(Permission::ADMIN));
        taken.is_denied(NOAUTH);
        std::thread::sleep(Duration::from_millis(TIMEOUT_MS));
        left.ear.hears_nothing_for(A_MOMENT);
        interrogation.end().are_always_yes(token);
        handle.stand(PATHS[0], "again").becomes_master();
    }
}

/// Its create is carried out, its answer lost, and what was made may not be read: whose it is is told all the same.
#[test]
fn a_lost_create_that_may_not_be_read_is_not_left_behind() {
    for recipe in [Recipe::Node, Recipe::Queue(Dialect::Seed)] {
        let ensemble = one_server();
        let witness = Witness::new(&ensemble.host(0));
        let relay = Relay::start(ensemble.addr(0));
        let mut unreadable = options(LONG_MS);
        unreadable.set_recipe(recipe);
        unreadable.add_acl(16, "world", "anyone").unwrap();
        let handle = TestHandle::open_with(&relay.host(), &unreadable);
        witness.create("/access-lost", b"", CreateMode::Persistent);
        let (path, created) = match recipe {
            Recipe::Node => ("/access-lost/node", "/access-lost/node"),
            Recipe::Queue(_) => ("/access-lost", "/access-lost/w-"),
        };
        relay.strike_once(Verdict::DropReplyAndCut, is(opcode::CREATE, created));
        let candidate = handle.stand(path, "mine");
        candidate.is_suspended();
        // Where nobody tells whose it is, the session is given up, and a queue is joined anew.
        let mut event = candidate.next_but_for(&[Reason::Expired]);
        if event.role == Role::Master {
            event = candidate.ear.next().news;
        }
        assert_eq!((event.reason, event.rc), (Reason::Denied, NOAUTH), "{event:?}");
        candidate.ear.hears_no_more();
        eventually(SOON, "nothing is left", || witness.children("/access-lost").is_empty());
        witness.delete("/access-lost");
    }
}

/// In a queue that may be joined and not listed nobody knows who is first.
#[test]
fn a_queue_that_may_not_be_listed() {
    const PATH: &str = "/access-unlisted";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let list = acl(Permission::CREATE | Permission::DELETE | Permission::ADMIN);
    witness.create_with(PATH, b"", CreateMode::Persistent, &list);
    let handle = TestHandle::open_in_queue(&ensemble.hosts(), LONG_MS, Dialect::default());
    handle.stand(PATH, "mine").is_denied(NOAUTH);
    handle.observe(PATH).is_denied(NOAUTH);
    for _ in 0..2 {
        let roll = handle.count(PATH, 0);
        roll.cannot_tell(NOAUTH);
        roll.ear.hears_no_more();
    }
    assert_eq!(handle.unwatch_members(PATH), Err(Error::NotThere));
    assert_eq!(handle.set_value(PATH, b"other"), Err(Error::NotThere));
    assert_eq!(handle.members(PATH, SOON).map(drop), Err(Error::ZooKeeper(NOAUTH)));
    witness.set_acl(PATH, &acl(Permission::ALL));
    eventually(SOON, "what stood of it is gone", || witness.children(PATH).is_empty());
    handle.stand(PATH, "mine").becomes_master();
}

/// No password in what a program might log.
#[test]
fn options_do_not_show_credentials() {
    let options = with_auth(LONG_MS, "alice:wonder", Acl::Creator);
    let shown = format!("{options:?}");
    assert!(shown.contains("digest") && !shown.contains("wonder") && !shown.contains("alice"), "{shown}");
    let bytes = format!("{:?}", b"wonder".as_slice());
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}
