//! What stands above the path, or does not, or may not be touched; and the chroot.

use crate::candidates::{Candidate, Observer, TestHandle};
use crate::ground::{one_server, A_MOMENT, LONG_MS, SHORT_MS, SOON};
use crate::relays::{count, is, wait_held};
use crate::witness::{acl, Witness};
use election::testing::ffi;
use election::{Dialect, Error};
use std::ffi::{c_void, CStr, CString};
use std::sync::mpsc::{channel, Sender};
use std::time::Duration;
use testkit::{eventually, opcode, Relay, Verdict};
use zookeeper::{CreateMode, Permission};

#[test]
fn parents_that_do_not_exist_are_made_as_containers() {
    const PATH: &str = "/parents/of/three/levels";
    const PARENTS: [&str; 3] = ["/parents", "/parents/of", "/parents/of/three"];
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    let candidate = Candidate::stand(&relay.host(), PATH, "mine");
    candidate.becomes_master();
    for parent in PARENTS {
        let znode = witness.read(parent).expect(parent);
        assert_eq!((znode.owner, znode.value.len(), znode.version), (0, 0, 0), "{parent}");
        assert_eq!(witness.acl(parent), acl(Permission::ALL), "{parent}");
        assert!(count(&relay, opcode::CREATE_CONTAINER, parent) > 0, "{parent} is a container");
        assert_eq!(count(&relay, opcode::CREATE, parent), 0);
    }
}

#[test]
fn a_parent_that_exists_is_left_as_it_is() {
    const PARENT: &str = "/parent-exists";
    const PATH: &str = "/parent-exists/made/master";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let narrow = acl(Permission::READ | Permission::CREATE);
    witness.create_with(PARENT, b"precious", CreateMode::Persistent, &narrow);
    let before = witness.read(PARENT);
    let candidate = Candidate::stand(&ensemble.hosts(), PATH, "mine");
    candidate.becomes_master();
    assert_eq!(witness.read(PARENT), before);
    assert_eq!(witness.acl(PARENT), narrow);
}

/// Containers go when they are empty. A candidate that comes back makes them again.
#[test]
fn parents_go_when_nobody_needs_them_and_are_made_again() {
    const PATH: &str = "/parents-go/and-come/master";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = TestHandle::open(&ensemble.hosts());
    let candidate = handle.stand(PATH, "one");
    let token = candidate.becomes_master();
    candidate.resign();
    witness.wait_gone("/parents-go");
    let candidate = handle.stand(PATH, "two");
    assert!(candidate.becomes_master() > token);

    // Not so with one that somebody else has made to last.
    candidate.resign();
    witness.wait_gone("/parents-go");
    witness.create("/parents-go", b"", CreateMode::Persistent);
    let candidate = handle.stand(PATH, "three");
    candidate.becomes_master();
    candidate.resign();
    witness.wait_gone("/parents-go/and-come");
    assert!(witness.read("/parents-go").is_some());
}

/// Between a slave's create and the server's answer somebody clears the whole directory away.
#[test]
fn parents_are_deleted_while_it_stands() {
    const PARENT: &str = "/parents-deleted";
    const PATH: &str = "/parents-deleted/master";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    witness.create(PARENT, b"", CreateMode::Persistent);
    witness.create(PATH, b"somebody", CreateMode::Ephemeral);
    let candidate = Candidate::stand(&relay.host(), PATH, "mine");
    candidate.becomes_slave_of("somebody");
    relay.strike_once(Verdict::Hold, is(opcode::CREATE, PATH));
    witness.delete(PATH);
    wait_held(&relay);
    witness.delete(PARENT);
    relay.release();
    let token = candidate.becomes_master();
    assert_eq!(witness.read(PATH).unwrap().czxid, token);
}

#[test]
fn a_parent_that_is_ephemeral_ends_a_candidate() {
    const PARENT: &str = "/ephemeral-parent";
    const PATH: &str = "/ephemeral-parent/deep/master";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create(PARENT, b"", CreateMode::Ephemeral);
    let handle = TestHandle::open(&ensemble.hosts());
    handle.stand(PATH, "mine").is_denied(-108);
    handle.stand("/ephemeral-parent/master", "mine").is_denied(-108);
    witness.delete(PARENT);
    handle.stand(PATH, "mine").becomes_master();
    handle.stand("/ephemeral-parent/master", "mine").becomes_master();
}

#[test]
fn a_parent_that_may_not_be_written_ends_a_candidate() {
    const PARENT: &str = "/forbidden";
    const PATH: &str = "/forbidden/master";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let relay = Relay::start(ensemble.addr(0));
    witness.create_with(PARENT, b"", CreateMode::Persistent, &acl(Permission::READ | Permission::ADMIN));
    let candidate = Candidate::stand(&relay.host(), PATH, "mine");
    candidate.is_denied(-102);
    assert_eq!(candidate.handle.resign(PATH), Err(Error::NotThere));
    // The number that counts is the one after a while; there is nothing to wait for but the time.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(count(&relay, opcode::CREATE, PATH), 1, "it is asked once");
    witness.set_acl(PARENT, &acl(Permission::ALL));
    candidate.handle.stand(PATH, "mine").becomes_master();
}

/// Not even the master's znode can be read: it is there, and that is all that can be known.
#[test]
fn a_master_that_may_not_be_read_is_reported() {
    const PATH: &str = "/unreadable";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create_with(PATH, b"secret", CreateMode::Ephemeral, &acl(Permission::ADMIN));
    let candidate = Candidate::stand(&ensemble.hosts(), PATH, "mine");
    candidate.is_denied(-102);
    let handle = TestHandle::open(&ensemble.hosts());
    handle.observe(PATH).is_denied(-102);
    assert_eq!(handle.unwatch_master(PATH), Err(Error::NotThere));
    witness.set_acl(PATH, &acl(Permission::ALL));
    let candidate = candidate.handle.stand(PATH, "mine");
    candidate.becomes_slave_of("secret");
    let observer = handle.observe(PATH);
    observer.sees("secret");
    witness.delete(PATH);
    candidate.becomes_master();
    observer.sees_next("mine");
}

#[test]
fn a_chroot_that_is_missing_is_made_and_paths_are_below_it() {
    const CHROOT: &str = "/chroot/of/tenant";
    const PATH: &str = "/app/master";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let hosts = format!("{}{CHROOT}", ensemble.hosts());
    let observer = Observer::watch(&hosts, PATH);
    observer.sees_nobody(-101);
    let candidate = Candidate::stand(&hosts, PATH, "mine");
    let token = candidate.becomes_master();
    assert!(candidate.handle.is_master(PATH) && !candidate.handle.is_master("/chroot/of/tenant/app/master"));
    assert_eq!(observer.sees("mine").czxid, token);
    let znode = witness.read("/chroot/of/tenant/app/master").expect("it is below the chroot");
    assert_eq!(znode.czxid, token);
    assert_eq!(witness.read("/app"), None);
    assert_eq!(witness.read(CHROOT).unwrap().value, b"");

    // Its watch is below the chroot as well.
    let slave = Candidate::stand(&hosts, PATH, "slave");
    slave.becomes_slave_of("mine");
    witness.set("/chroot/of/tenant/app/master", b"changed");
    slave.becomes_slave_of("changed");
    observer.sees("changed");
    candidate.resign();
    slave.becomes_master();
}

#[test]
fn a_candidate_right_below_the_chroot() {
    let ensemble = one_server();
    let hosts = format!("{}/chroot-only", ensemble.hosts());
    Candidate::stand(&hosts, "/master", "mine").becomes_master();
    // A chroot of / is none.
    let root = format!("{}/", ensemble.hosts());
    Candidate::stand(&root, "/chroot-of-root", "mine").becomes_master();
}

/// A session that is resumed is asked for the znodes that it owns, which are below the chroot: it is the same, and goes on.
#[test]
fn a_master_below_a_chroot_whose_connection_breaks() {
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let hosts = format!("{}/chroot-broken", relay.host());
    for path in ["/node", "/queue"] {
        let handle = match path {
            "/node" => TestHandle::open_for(&hosts, SHORT_MS),
            _ => TestHandle::open_in_queue(&hosts, SHORT_MS, Dialect::default()),
        };
        let candidate = handle.stand(path, "mine");
        let token = candidate.becomes_master();
        relay.cut_all();
        let counters = || handle.counters().expect("open");
        eventually(SOON, "a new connection", || counters().connections >= 2);
        let proofs = counters().proofs_committed;
        eventually(SOON, "proofs on it", || counters().proofs_committed >= proofs + 2);
        assert_eq!(candidate.lease().map(|mastership| mastership.token), Some(token), "{path}");
        assert_eq!(counters().sessions_opened, 1, "{path}");
        candidate.resign();
    }
}

/// What a C program hears is the path that it gave, without the chroot.
#[test]
fn events_carry_the_path_as_the_caller_gave_it() {
    const PATH: &CStr = c"/app/caller";
    unsafe extern "C" fn on_role(event: *const ffi::election_event_t, ctx: *mut c_void) {
        let (tell, event) = unsafe { (&*ctx.cast::<Sender<CString>>(), &*event) };
        let _ = tell.send(unsafe { CStr::from_ptr(event.path) }.to_owned());
    }
    unsafe extern "C" fn on_master(master: *const ffi::election_master_t, ctx: *mut c_void) {
        let (tell, master) = unsafe { (&*ctx.cast::<Sender<CString>>(), &*master) };
        let _ = tell.send(unsafe { CStr::from_ptr(master.path) }.to_owned());
    }
    let ensemble = one_server();
    let hosts = CString::new(format!("{}/chroot-of-caller", ensemble.hosts())).unwrap();
    let (tell, told) = channel::<CString>();
    let ctx: *const Sender<CString> = &tell;
    let ctx = ctx.cast_mut().cast::<c_void>();
    // SAFETY: all pointers are to what outlives the handle, which is closed below.
    unsafe {
        let mut handle = std::ptr::null_mut();
        assert_eq!(ffi::election_open(hosts.as_ptr(), std::ptr::null(), &mut handle), 0);
        assert_eq!(
            ffi::go_to_election(handle, PATH.as_ptr(), c"x".as_ptr().cast(), 1, Some(on_role), ctx, None),
            0
        );
        assert_eq!(told.recv_timeout(SOON).as_deref(), Ok(PATH));
        assert_eq!(ffi::watch_master(handle, PATH.as_ptr(), Some(on_master), ctx, None), 0);
        assert_eq!(told.recv_timeout(SOON).as_deref(), Ok(PATH));
        assert_eq!(ffi::election_close(handle), 0);
    }
}

/// A create above a chroot that may not be made is reported as any other.
#[test]
fn a_chroot_that_may_not_be_made_is_reported() {
    const ROOT: &str = "/chroot-forbidden";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    witness.create_with(ROOT, b"", CreateMode::Persistent, &acl(Permission::READ | Permission::ADMIN));
    let candidate = Candidate::stand_for(&format!("{}{ROOT}/x/y", ensemble.hosts()), LONG_MS, "/master", "mine");
    candidate.is_denied(-102);
    witness.set_acl(ROOT, &acl(Permission::ALL));
    candidate.handle.stand("/master", "mine").becomes_master();
}

/// The connection breaks while the parents are made.
#[test]
fn the_reply_to_a_parent_is_lost() {
    const PATH: &str = "/parent-reply/lost/master";
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let handle = TestHandle::open_for(&relay.host(), SHORT_MS);
    relay.strike_once(Verdict::DropReplyAndCut, |request| {
        request.opcode == opcode::CREATE_CONTAINER && request.path.as_deref() == Some("/parent-reply")
    });
    let candidate = handle.stand(PATH, "mine");
    candidate.is_suspended();
    eventually(SOON, "it is master", || candidate.is_master());
    candidate.becomes_master();
    candidate.ear.hears_nothing_for(A_MOMENT);
}
