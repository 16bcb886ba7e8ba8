//! The ordinary course: one is master, the others are its slaves, and when it goes, one of them follows.

use crate::candidates::{Candidate, Observer, TestHandle};
use crate::ground::{one_server, three_servers, AT_ONCE, A_MOMENT, SHORT_MS, SOON};
use crate::witness::{acl, Witness};
use election::{Error, Role};
use std::time::Instant;
use testkit::eventually;
use zookeeper::Permission;

#[test]
fn the_first_is_master_and_the_next_is_its_slave() {
    const PATH: &str = "/first-and-next";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));

    let first = Candidate::stand(&ensemble.hosts(), PATH, "one");
    let token = first.becomes_master();
    assert!(first.is_master());
    let znode = witness.read(PATH).expect("the master's znode");
    assert_eq!((znode.value.as_slice(), znode.czxid, znode.version), (b"one".as_slice(), token, 0));
    assert_eq!(ensemble.server_of_session(znode.owner), Some(0), "a live session owns it");
    assert_eq!(witness.acl(PATH), acl(Permission::ALL), "as the seeds make it");

    let next = Candidate::stand(&ensemble.hosts(), PATH, "two");
    assert_eq!(next.becomes_slave_of("one"), token);
    assert!(!next.is_master() && first.is_master());
    assert_eq!(witness.read(PATH), Some(znode.clone()), "a slave changes nothing");

    first.handle.close().unwrap();
    let next_token = next.becomes_master();
    assert!(next.is_master() && next_token > token);
    let next_znode = witness.read(PATH).expect("the next master's znode");
    assert_eq!((next_znode.value.as_slice(), next_znode.czxid), (b"two".as_slice(), next_token));
    assert_ne!(next_znode.owner, znode.owner);
    first.is_closed();
}

/// One after the other goes, each in another way; each time exactly one of the others follows, and tokens only grow.
#[test]
fn of_many_exactly_one_is_master_until_none_is_left() {
    const PATH: &str = "/many";
    const HOW_MANY: usize = 6;
    let ensemble = three_servers();
    let witness = Witness::new(&ensemble.host(0));
    let mut candidates: Vec<Candidate> =
        (0..HOW_MANY).map(|i| Candidate::stand(&ensemble.hosts(), PATH, format!("candidate {i}"))).collect();
    let mut former_token = 0;
    while !candidates.is_empty() {
        eventually(SOON, "there is a master", || candidates.iter().any(Candidate::is_master));
        let masters: Vec<usize> = (0..candidates.len()).filter(|&i| candidates[i].is_master()).collect();
        assert_eq!(masters.len(), 1, "two masters at once");
        let master = candidates.remove(masters[0]);
        let mut event = master.ear.next().news;
        while event.role == Role::Slave {
            assert!(event.token >= former_token, "a slave heard of an older master than before: {event:?}");
            event = master.ear.next().news;
        }
        let token = master.check_master(&event);
        assert!(token > former_token);
        former_token = token;
        // Every other one comes to hear of this master before it goes.
        for slave in &candidates {
            let hears = (0..HOW_MANY).any(|_| {
                let event = slave.ear.next().news;
                assert_eq!(event.role, Role::Slave, "{event:?}");
                event.token == token && *event.value == *master.value
            });
            assert!(hears);
        }
        match candidates.len() % 3 {
            0 => master.resign(),
            1 => master.handle.close().unwrap(),
            _ => drop(master),
        }
    }
    witness.wait_gone(PATH);
}

#[test]
fn a_slave_takes_over_within_a_moment() {
    const PATH: &str = "/within-a-moment";
    let ensemble = one_server();
    let master = Candidate::stand(&ensemble.hosts(), PATH, "one");
    master.becomes_master();
    let slave = Candidate::stand(&ensemble.hosts(), PATH, "two");
    slave.becomes_slave_of("one");
    let resigned = Instant::now();
    master.resign();
    let heard = slave.ear.next();
    slave.check_master(&heard.news);
    let took = heard.at - resigned;
    assert!(took < AT_ONCE, "{took:?}");
}

/// The handles share the process's one I/O thread, and nothing else.
#[test]
fn two_handles_of_one_process_do_not_disturb_each_other() {
    const PATH: &str = "/two-handles";
    let ensemble = one_server();
    let one = TestHandle::open(&ensemble.hosts());
    let two = TestHandle::open(&ensemble.hosts());
    let first = one.stand(PATH, "one");
    first.becomes_master();
    let second = two.stand(PATH, "two");
    second.becomes_slave_of("one");
    assert_eq!(one.go_to_election(PATH, b"again", |_| {}), Err(Error::Already));
    let elsewhere = two.stand("/two-handles-elsewhere", "two");
    elsewhere.becomes_master();
    assert!(!one.is_master(&elsewhere.path) && !two.is_master(PATH));
    one.close().unwrap();
    first.is_closed();
    second.becomes_master();
    elsewhere.ear.hears_nothing_for(A_MOMENT);
    assert!(elsewhere.is_master());
    assert_eq!(one.go_to_election(PATH, b"closed", |_| {}), Err(Error::BadHandle));
}

#[test]
fn one_handle_stands_at_200_paths_at_once() {
    const HOW_MANY: usize = 200;
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let one = TestHandle::open(&ensemble.hosts());
    let other = TestHandle::open(&ensemble.hosts());
    let path = |i: usize| format!("/at-once/{i}/master");
    let masters: Vec<Candidate> = (0..HOW_MANY).map(|i| one.stand(&path(i), i.to_string())).collect();
    for (i, master) in masters.iter().enumerate() {
        let token = master.becomes_master();
        let znode = witness.read(&path(i)).expect("the master's znode");
        assert_eq!((znode.value, znode.czxid), (i.to_string().into_bytes(), token));
    }
    let slaves: Vec<Candidate> = (0..HOW_MANY).map(|i| other.stand(&path(i), "other")).collect();
    for (i, slave) in slaves.iter().enumerate() {
        slave.becomes_slave_of(i.to_string());
    }
    one.close().unwrap();
    for slave in &slaves {
        slave.becomes_master();
    }
}

/// Seed 000 writes 15 bytes, whatever it was given.
#[test]
fn a_value_is_what_the_caller_gave_byte_for_byte() {
    const MOST: usize = 1_000_000;
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = TestHandle::open(&ensemble.hosts());
    let others = TestHandle::open(&ensemble.hosts());
    let most: Vec<u8> = (0..MOST).map(|i| (i % 251) as u8).collect();
    for value in [&[][..], b"x", b"\0", b"longer than fifteen bytes", &most] {
        let path = format!("/value-of-{}", value.len());
        let path = if value == b"\0" { "/value-of-zero".to_owned() } else { path };
        let master = handle.stand(&path, value);
        let token = master.becomes_master();
        assert!(witness.read(&path).unwrap().value == value, "the znode of {path}");
        let slave = others.stand(&path, "slave");
        assert_eq!(slave.becomes_slave_of(value), token);
        let observer = others.observe(&path);
        assert_eq!(observer.sees(value).czxid, token);
    }

    let path = "/value-too-large";
    let too_large = vec![0; MOST + 1];
    assert_eq!(handle.go_to_election(path, &too_large, |_| {}), Err(Error::BadValue));
    assert_eq!(handle.resign(path), Err(Error::NotThere), "nothing has changed");
    // A later request of the same session has been answered, so an earlier one would have been, too.
    handle.stand("/value-after-too-large", "x").becomes_master();
    assert_eq!(witness.read(path), None);
    handle.stand(path, "x").becomes_master();
}

#[test]
fn a_path_is_any_text_that_zookeeper_takes() {
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let longest = format!("/longest/{}", "x".repeat(4096 - "/longest/".len()));
    for path in ["/主/选举 master", "/dots...", "/%41?&#", &longest] {
        let master = Candidate::stand(&ensemble.hosts(), path, "mine");
        let token = master.becomes_master();
        assert_eq!(witness.read(path).map(|znode| znode.czxid), Some(token), "{path}");
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    const PATH: &str = "/refused";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = TestHandle::open(&ensemble.hosts());
    for path in ["", "/", "refused", "/refused/", "//refused", "/refused/../x", "/ref\0used"] {
        assert_eq!(handle.go_to_election(path, b"x", |_| {}), Err(Error::BadPath), "{path:?}");
        assert_eq!(handle.watch_master(path, |_| {}), Err(Error::BadPath), "{path:?}");
        assert_eq!(handle.resign(path), Err(Error::BadPath), "{path:?}");
        assert!(!handle.is_master(path));
    }
    let master = handle.stand(PATH, "one");
    let token = master.becomes_master();
    assert_eq!(handle.go_to_election(PATH, b"two", |_| {}), Err(Error::Already));
    assert_eq!(handle.unwatch_master(PATH), Err(Error::NotThere));
    assert_eq!(handle.resign("/elsewhere"), Err(Error::NotThere));
    master.ear.hears_nothing_for(A_MOMENT);
    let znode = witness.read(PATH).unwrap();
    assert_eq!((znode.value.as_slice(), znode.czxid), (b"one".as_slice(), token));
    assert!(handle.is_master(PATH));
}

/// A program that is killed says nothing to anybody: its session expires, and with it goes its znode.
#[test]
fn whoever_dies_without_a_word_is_followed_when_its_session_expires() {
    const PATH: &str = "/dies";
    let ensemble = one_server();
    let relay = testkit::Relay::start(ensemble.addr(0));
    let dies = Candidate::stand_for(&relay.host(), SHORT_MS, PATH, "dies");
    let token = dies.becomes_master();
    let follows = Candidate::stand(&ensemble.hosts(), PATH, "follows");
    follows.becomes_slave_of("dies");
    let observer = Observer::watch(&ensemble.hosts(), PATH);
    observer.sees("dies");
    // As a killed process looks to a server: its connection ends, and it does not come back.
    relay.refuse(true);
    relay.cut_all();
    let heard = follows.ear.next();
    assert!(!dies.is_master(), "two masters");
    assert!(follows.check_master(&heard.news) > token);
    assert!(dies.lapses() < heard.at, "it knew before the next one came");
    observer.sees_next("follows");
    // And here it comes back after all.
    relay.refuse(false);
    dies.check_slave(&dies.expires(), "follows");
}
