//! Callbacks that hang while everything changes: what waits for them is bounded, and what matters is heard in the end.

use crate::candidates::{options, TestHandle};
use crate::ground::{one_server, resident_kib, LONG_MS, SOON};
use election::{ConnectionState, Dispatch, Handle, Master, Role};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use testkit::{eventually, RawClient, Relay};

/// Closed by the first callback that comes, which then hangs until the test opens it.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opens: Condvar,
}

impl Gate {
    fn pass(&self) {
        drop(self.opens.wait_while(self.is_open.lock().unwrap(), |is_open| !*is_open).unwrap());
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opens.notify_all();
    }
}

/// A handle does not close while a callback hangs.
struct OpensLater(Arc<Gate>);

impl Drop for OpensLater {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// What a callback has heard. Its callback holds the second half: when it is gone, the callback is.
struct Heard<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone + Send + 'static> Heard<T> {
    fn new(gate: &Arc<Gate>) -> (Heard<T>, impl FnMut(&T) + Send + 'static) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (to, gate) = (heard.clone(), gate.clone());
        (Heard(heard), move |news: &T| {
            to.lock().unwrap().push(news.clone());
            gate.pass();
        })
    }

    #[track_caller]
    fn of_callback_that_is_gone(self) -> Vec<T> {
        Arc::into_inner(self.0).expect("the callback is dropped").into_inner().unwrap()
    }
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value[..8].try_into().unwrap())
}

const CHANGES: u64 = 1_500;
const VALUE: usize = 30_000;
const MASTERSHIPS: usize = 30;
const BREAKS: usize = 12;

/// Values that change, a mastership that comes and goes, and a connection that breaks, while the first callback of the
/// handle hangs. It would take hundreds of megabytes to keep all that.
#[test]
fn callbacks_that_hang_cost_no_memory_without_end() {
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    hang(&relay, &ensemble.host(0), TestHandle::open(&relay.host()), "/slow-callbacks", |_| {});
}

/// The same if the program does not dispatch.
#[test]
fn a_program_that_does_not_dispatch_costs_no_memory_without_end() {
    let ensemble = one_server();
    let relay = Relay::start(ensemble.addr(0));
    let mut options = options(LONG_MS);
    options.set_dispatch(Dispatch::Manual);
    let handle = TestHandle::open_with(&relay.host(), &options);
    let dispatch = |handle: &Handle| while handle.dispatch(Duration::ZERO) != Ok(0) {};
    hang(&relay, &ensemble.host(0), handle, "/slow-program", dispatch);
}

fn hang(relay: &Relay, host: &str, handle: TestHandle, parent: &str, dispatch: impl Fn(&Handle)) {
    let (observed, stood) = (format!("{parent}/observed"), format!("{parent}/stood"));
    let mut operator = RawClient::connect(host, 30_000).unwrap();
    let value = |i: u64| [&i.to_be_bytes()[..], &vec![b'x'; VALUE]].concat();
    let master = TestHandle::open(host).stand(&observed, value(0));
    master.becomes_master();

    let gate = Arc::new(Gate::default());
    let _open_after_a_failure = OpensLater(gate.clone());
    let (observer, on_master) = Heard::<Master>::new(&gate);
    let (members, on_members) = Heard::new(&gate);
    let (slave, on_slave) = Heard::new(&gate);
    let (candidate, on_role) = Heard::new(&gate);
    let (connection, on_connection) = Heard::new(&gate);
    handle.watch_master(&observed, on_master).unwrap();
    handle.watch_members(&observed, 1, on_members).unwrap();
    handle.go_to_election(&observed, b"never", on_slave).unwrap();
    handle.go_to_election(&stood, b"mine", on_role).unwrap();
    handle.watch_connection(on_connection).unwrap();
    eventually(SOON, "it leads", || handle.is_master(&stood));

    let before = resident_kib();
    for i in 1..=CHANGES {
        assert_eq!(operator.set(&observed, &value(i)).unwrap().err, 0);
    }
    for _ in 0..MASTERSHIPS {
        let token = handle.lease(&stood).unwrap().token;
        assert_eq!(operator.delete(&stood).unwrap().err, 0);
        eventually(SOON, "it leads again", || handle.lease(&stood).is_some_and(|lease| lease.token != token));
    }
    for _ in 0..BREAKS {
        let connections = relay.connection_count();
        relay.cut_all();
        eventually(SOON, "it is back", || {
            relay.connection_count() > connections && handle.master(&stood, SOON).is_ok()
        });
    }
    let current = handle.master(&observed, SOON).unwrap();
    assert_eq!(number(&current.value), CHANGES);
    let grown = resident_kib().saturating_sub(before);
    println!("{grown} KiB more");
    assert!(grown < 30_000, "{grown} KiB more");

    gate.open();
    dispatch(&handle);
    let last_is_heard = |observer: &Heard<Master>| {
        observer.0.lock().unwrap().last().is_some_and(|master| master.rc == 0 && number(&master.value) == CHANGES)
    };
    eventually(SOON, "the last value is heard", || last_is_heard(&observer));
    handle.close().unwrap();

    let heard = observer.of_callback_that_is_gone();
    let values: Vec<u64> =
        heard.iter().filter(|master| master.rc == 0).map(|master| number(&master.value)).collect();
    assert!(values.is_sorted() && values.len() < 40, "{values:?}");
    let heard = members.of_callback_that_is_gone();
    let values = heard.iter().filter_map(|members: &election::Members| members.members.first());
    let values: Vec<u64> = values.map(|member| number(&member.znode.value)).collect();
    assert!(values.is_sorted() && values.len() < 40 && values.last() == Some(&CHANGES), "{values:?}");
    let heard: Vec<election::Event> = slave.of_callback_that_is_gone();
    let roles: Vec<_> = heard.iter().map(|event| event.role).collect();
    assert!(roles.len() < 40 && !roles.contains(&Role::Master), "{roles:?}");
    let heard: Vec<election::Event> = candidate.of_callback_that_is_gone();
    let roles: Vec<_> = heard.iter().map(|event| (event.role, event.token)).collect();
    assert!(roles.len() < 40, "{roles:?}");
    assert!(roles.windows(2).all(|pair| pair.iter().any(|(role, _)| *role != Role::Master)), "{roles:?}");
    let tokens = || roles.iter().filter(|(role, _)| *role == Role::Master).map(|(_, token)| *token);
    assert!(tokens().is_sorted() && tokens().count() > 1, "{roles:?}");
    assert_eq!(roles.last(), Some(&(Role::Unknown, 0)), "it is closed");
    let heard: Vec<election::Connection> = connection.of_callback_that_is_gone();
    assert!(heard.len() < 40, "{heard:?}");
    assert_eq!(heard.last().map(|connection| connection.state), Some(ConnectionState::Closed));
}
