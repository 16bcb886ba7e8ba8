//! A function that runs while master.

use crate::ground::{one_server, SOON};
use crate::witness::Witness;
use election::{Error, Handle, Options};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use testkit::eventually;

#[test]
fn the_next_function_runs_when_the_first_has_returned() {
    const PATH: &str = "/lead";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let [first, second] = [(); 2].map(|()| Handle::open(&ensemble.hosts(), &Options::default()).unwrap());
    let (is_leading, has_returned) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let leading = scope.spawn(|| {
            first.lead(PATH, b"first", |leadership| {
                is_leading.store(true, Ordering::SeqCst);
                assert_eq!(leadership.wait_stop(Duration::from_millis(1)), Err(Error::Timeout));
                assert_eq!(leadership.wait_stop(SOON), Ok(()));
                assert!(leadership.should_stop() && !leadership.is_lost() && first.is_master(PATH));
                assert_eq!(witness.read(PATH).unwrap().value, b"first");
                has_returned.store(true, Ordering::SeqCst);
                leadership.token()
            })
        });
        eventually(SOON, "it leads", || is_leading.load(Ordering::SeqCst));
        let waiting = scope.spawn(|| {
            second.lead_within(PATH, b"second", SOON, |leadership| {
                assert!(has_returned.load(Ordering::SeqCst));
                leadership.token()
            })
        });
        eventually(SOON, "the second stands", || second.wait(PATH, election::Role::Slave, SOON).is_ok());
        first.interrupt();
        let (first_token, second_token) = (leading.join().unwrap().unwrap(), waiting.join().unwrap().unwrap());
        assert!(second_token > first_token);
    });
    assert!(first.is_interrupted());
    assert_eq!(first.lead(PATH, b"", |_| ()), Err(Error::Interrupted));
    first.clear_interrupt().unwrap();
    assert_eq!(first.lead(PATH, b"", |_| 7), Ok(7));
    eventually(SOON, "its znode is gone", || witness.read(PATH).is_none());
}

#[test]
fn a_function_that_panics_gives_the_place_up() {
    const PATH: &str = "/lead-panics";
    let ensemble = one_server();
    let witness = Witness::new(&ensemble.host(0));
    let handle = Handle::open(&ensemble.hosts(), &Options::default()).unwrap();
    let led = catch_unwind(AssertUnwindSafe(|| handle.lead(PATH, b"", |_| std::panic::resume_unwind(Box::new(5)))));
    let led: Box<dyn std::any::Any + Send> = led.map(|_: Result<(), Error>| ()).unwrap_err();
    assert_eq!(led.downcast_ref::<i32>(), Some(&5));
    assert!(!handle.is_master(PATH));
    eventually(SOON, "its znode is gone", || witness.read(PATH).is_none());
    assert_eq!(handle.lead(PATH, b"", |_| ()), Ok(()));
}
