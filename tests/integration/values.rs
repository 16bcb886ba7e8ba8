//! `set_value`: one's own value, changed while one stands, in both recipes and through every fault.

use crate::candidates::{Candidate, TestHandle};
use crate::ground::{one_server, A_MOMENT, LONG_MS, SOON};
use crate::relays::{count, expire_and_keep_out, is, wait_held};
use crate::witness::{acl, Witness, Znode};
use election::{Dialect, Error, Reason};
use testkit::{eventually, opcode, Relay, Verdict};
use zookeeper::Permission;

/// A candidate behind a relay, who leads: its handle, and the path of its znode.
struct Ground {
    relay: Relay,
    witness: Witness,
    candidate: Candidate,
    own: String,
    token: i64,
}

impl Ground {
    #[track_caller]
    fn new(path: &str, recipe: Option<Dialect>) -> Ground {
        let ensemble = one_server();
        let relay = Relay::start(ensemble.addr(0));
        let witness = Witness::new(&ensemble.host(0));
        let handle = match recipe {
            None => TestHandle::open(&relay.host()),
            Some(dialect) => TestHandle::open_in_queue(&relay.host(), LONG_MS, dialect),
        };
        let candidate = handle.stand(path, "1");
        let token = candidate.becomes_master();
        let own = match recipe {
            None => path.to_owned(),
            Some(_) => format!("{path}/{}", witness.children(path)[0]),
        };
        Ground { relay, witness, candidate, own, token }
    }

    #[track_caller]
    fn set(&self, value: &str) {
        self.candidate.handle.set_value(&self.candidate.path, value.as_bytes()).unwrap();
    }

    /// Its znode comes to have this value and this data version.
    #[track_caller]
    fn has(&self, value: &str, version: i32) {
        let is_so = |znode: &Znode| (&*znode.value, znode.version) == (value.as_bytes(), version);
        assert_eq!(self.witness.wait_for(&self.own, is_so).czxid, self.token);
    }

    /// Its znode comes to have this value, and keeps it.
    #[track_caller]
    fn comes_to_have(&self, value: &str) {
        self.witness.wait_for(&self.own, |znode| znode.value == value.as_bytes());
        std::thread::sleep(A_MOMENT);
        let znode = self.witness.read(&self.own).expect("its znode");
        assert_eq!((&*znode.value, znode.czxid), (value.as_bytes(), self.token));
    }

    /// It has been master all the time.
    #[track_caller]
    fn is_still_master(&self) {
        assert_eq!(self.candidate.lease().map(|mastership| mastership.token), Some(self.token));
        self.candidate.ear.hears_nothing_for(A_MOMENT);
    }
}

const RECIPES: [(&str, Option<Dialect>); 3] =
    [("node", None), ("latch", Some(Dialect::CuratorLatch)), ("seed", Some(Dialect::Seed))];

#[test]
fn the_others_hear_of_it_and_the_mastership_goes_on() {
    const PATH: &str = "/value/heard";
    let ground = Ground::new(PATH, None);
    let hosts = one_server().hosts();
    let slave = Candidate::stand(&hosts, PATH, "slave");
    slave.becomes_slave_of("1");
    let observer = slave.handle.observe(PATH);
    observer.sees("1");
    let asked = ground.candidate.interrogate();
    for value in ["2", "", "three"] {
        ground.set(value);
        assert_eq!(slave.becomes_slave_of(value), ground.token);
        assert_eq!(observer.sees(value).czxid, ground.token);
    }
    asked.end().are_always_yes(ground.token);
    ground.is_still_master();
    // Resigned and stood anew, it is the value of the new call.
    ground.candidate.resign();
    ground.candidate.has_resigned();
    assert_eq!(ground.candidate.handle.set_value(PATH, b"late"), Err(Error::NotThere));
    slave.becomes_master();
    observer.sees_next("slave");
    // A slave's is that with which it will become master.
    let again = ground.candidate.handle.stand(PATH, "again");
    again.becomes_slave_of("slave");
    again.handle.set_value(PATH, b"once more").unwrap();
    slave.resign();
    let event = again.ear.next().news;
    assert_eq!((&*event.value, event.rc), (b"once more".as_slice(), 0));
    assert_eq!(observer.sees_next("once more").czxid, event.token);
}

#[test]
fn a_lost_answer_and_a_lost_request() {
    for (name, recipe) in RECIPES {
        let ground = Ground::new(&format!("/value/lost/{name}"), recipe);
        let asked = ground.candidate.interrogate();
        // Carried out: not done again.
        ground.relay.strike_once(Verdict::DropReplyAndCut, is(opcode::SET_DATA, &ground.own));
        ground.set("2");
        ground.has("2", 1);
        eventually(SOON, "it is back", || ground.candidate.handle.master(&ground.candidate.path, SOON).is_ok());
        ground.is_still_master();
        assert_eq!(ground.witness.read(&ground.own).unwrap().version, 1, "{name}");
        // Not carried out: done with the next connection.
        ground.relay.strike_once(Verdict::Cut, is(opcode::SET_DATA, &ground.own));
        ground.set("3");
        ground.has("3", 2);
        // And one that is not the last is lost after it was carried out.
        ground.relay.strike_once(Verdict::DropReplyAndCut, is(opcode::SET_DATA, &ground.own));
        ground.set("4");
        ground.set("5");
        ground.comes_to_have("5");
        asked.end().are_always_yes(ground.token);
    }
}

#[test]
fn without_a_connection_and_without_a_session() {
    for (name, recipe) in RECIPES {
        let path = format!("/value/away/{name}");
        let mut ground = Ground::new(&path, recipe);
        ground.relay.refuse(true);
        ground.relay.cut_all();
        eventually(SOON, "there is no connection", || ground.candidate.handle.master(&path, SOON).is_err());
        ground.set("2");
        ground.set("3");
        ground.relay.refuse(false);
        ground.comes_to_have("3");
        ground.is_still_master();

        // The znode of the next session is made with it.
        expire_and_keep_out(&one_server(), &ground.relay);
        ground.set("4");
        ground.relay.refuse(false);
        ground.candidate.value = b"4".to_vec();
        let event = ground.candidate.expires();
        assert!(ground.candidate.check_master(&event) > ground.token);
        let own = match recipe {
            None => path.clone(),
            Some(_) => format!("{path}/{}", ground.witness.children(&path)[0]),
        };
        let znode = ground.witness.read(&own).unwrap();
        assert_eq!(
            (znode.value.as_slice(), znode.version, znode.czxid),
            (b"4".as_slice(), 0, event.token),
            "{name}"
        );
    }
}

#[test]
fn many_at_once_are_few_on_the_wire() {
    for (name, recipe) in RECIPES {
        let ground = Ground::new(&format!("/value/burst/{name}"), recipe);
        for i in 0..1_000 {
            ground.set(&i.to_string());
        }
        ground.witness.wait_for(&ground.own, |znode| znode.value == b"999");
        let written = count(&ground.relay, opcode::SET_DATA, &ground.own);
        assert!(written < 500, "{name}: {written} writes");
        ground.is_still_master();
        assert_eq!(ground.witness.read(&ground.own).unwrap().value, b"999");
    }
}

#[test]
fn an_operator_writes_in_between() {
    for (name, recipe) in RECIPES {
        let ground = Ground::new(&format!("/value/operator/{name}"), recipe);
        ground.relay.strike_once(Verdict::Hold, is(opcode::SET_DATA, &ground.own));
        ground.set("2");
        wait_held(&ground.relay);
        ground.witness.set(&ground.own, b"operator");
        ground.relay.release();
        ground.has("2", 2);
        // One who writes later is left alone.
        ground.witness.set(&ground.own, b"operator");
        ground.is_still_master();
        assert_eq!(ground.witness.read(&ground.own).unwrap().value, b"operator", "{name}");
    }
}

/// An operator deletes the znode while its value is being changed, and another candidate is faster: its znode is not
/// written to.
#[test]
fn the_znode_of_another_is_left_alone() {
    const PATH: &str = "/value/deleted";
    let ground = Ground::new(PATH, None);
    let other = Candidate::stand(&one_server().hosts(), PATH, "other");
    other.becomes_slave_of("1");
    ground.set("2");
    other.becomes_slave_of("2");
    ground.has("2", 1);
    ground.relay.strike_once(Verdict::Hold, is(opcode::SET_DATA, PATH));
    ground.set("3");
    wait_held(&ground.relay);
    ground.witness.delete(PATH);
    other.becomes_master();
    ground.relay.release();
    ground.candidate.becomes_unknown(Reason::Deleted, -101);
    ground.candidate.becomes_slave_of("other");
    assert_eq!(ground.witness.read(PATH).map(|znode| znode.value), Some(b"other".to_vec()));
    // When it becomes master, it is with the last value.
    other.resign();
    let event = ground.candidate.ear.next().news;
    assert_eq!((&*event.value, event.rc), (b"3".as_slice(), 0));
    ground.witness.wait_for(PATH, |znode| znode.value == b"3" && znode.version == 0);
}

#[test]
fn what_zookeeper_refuses_is_done_when_it_allows() {
    const PATH: &str = "/value/refused";
    let ground = Ground::new(PATH, None);
    ground.witness.set_acl(PATH, &acl(Permission::READ | Permission::DELETE | Permission::ADMIN));
    ground.set("2");
    eventually(SOON, "it has been refused twice", || count(&ground.relay, opcode::SET_DATA, PATH) >= 2);
    assert_eq!(ground.witness.read(PATH).unwrap().value, b"1");
    ground.witness.set_acl(PATH, &acl(Permission::ALL));
    ground.has("2", 1);
    ground.is_still_master();
}

/// In a queue everybody has a znode, and changes it where it stands.
#[test]
fn a_slave_in_a_queue() {
    const PATH: &str = "/value/queue";
    let ground = Ground::new(PATH, Some(Dialect::CuratorLatch));
    let slave =
        TestHandle::open_in_queue(&one_server().hosts(), LONG_MS, Dialect::CuratorLatch).stand(PATH, "slave");
    slave.queues();
    let roll = slave.handle.count(PATH, 2);
    roll.sees(&["1", "slave"]);
    slave.handle.set_value(PATH, b"slave, idle").unwrap();
    roll.sees(&["1", "slave, idle"]);
    ground.set("1, busy");
    roll.sees(&["1, busy", "slave, idle"]);
    slave.queues();
    ground.is_still_master();
    slave.ear.hears_nothing_for(A_MOMENT);
    ground.candidate.resign();
    let event = slave.ear.next().news;
    assert_eq!((&*event.value, event.rc), (b"slave, idle".as_slice(), 0));
}
