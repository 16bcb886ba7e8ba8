//! A Kerberos realm serves its own tickets, and ends with its owner.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use testkit::{wait_until, Realm};

const SOON: Duration = Duration::from_secs(60);

/// The processes that listen for a KDC with files in this folder.
fn processes_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir("/proc").expect("there are processes").flatten();
    entries.filter(|entry| std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder)).count()
}

#[test]
fn a_realm_gives_tickets_and_ends_with_its_owner() {
    let realms = [Realm::new(), Realm::new()];
    for realm in &realms {
        realm.add("worker", "-maxlife 1hour");
        let (keytab, cache) = (realm.keytab("worker"), realm.path("cache"));
        realm.kinit("worker", &keytab, &cache);
        let mut list = Command::new("klist");
        realm.enter(&mut list);
        let listed = list.arg("-c").arg(&cache).output().expect("klist is installed: run `make setup`");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.contains("worker@ELECTION.TEST"), "{listed}");
        assert_eq!((realm.tickets_of("worker"), realm.tickets_of("orker")), (1, 0), "{}", realm.log());
    }
    let [one, other] = realms;
    let folder = one.path("");
    let folder = folder.components().as_path();
    assert_eq!(processes_in(folder), 1);
    drop(one);
    assert!(wait_until(SOON, || processes_in(folder) == 0) && !folder.exists());
    let (keytab, cache) = (other.keytab("worker"), other.path("cache"));
    other.kinit("worker", &keytab, &cache);
}

#[test]
#[should_panic(expected = "Cannot contact any KDC")]
fn a_realm_without_a_kdc_gives_none() {
    let realm = Realm::new();
    realm.add("worker", "");
    let keytab = realm.keytab("worker");
    realm.stop_kdc();
    realm.kinit("worker", &keytab, &realm.path("cache"));
}

#[test]
#[should_panic(expected = "already exists")]
fn a_fault_of_the_database_is_told() {
    let realm = Realm::new();
    realm.add("worker", "");
    realm.add("worker", "");
}
