//! Many elections on one handle: what concerns none of them does not cost more with their number.

use election::testing::logic::{
    Action, Config, Elections, Input, Op, Reply, SessionId, Stat, SubscriptionId, Time,
};
use std::time::Duration;

const NOW: Time = Time(1_000_000_000);

/// A session has begun anew: so many are elected, and no proof has been answered.
fn without_a_lease(how_many: u64) -> Elections {
    let mut logic = Elections::new(Config::default());
    let session = SessionId(7);
    logic.handle(NOW, Input::Connected { session, timeout_ns: 10_000_000_000, asked_at: NOW, asked_since: NOW });
    let mut created = 0;
    for i in 1..=how_many {
        let (id, path, value) = (SubscriptionId(i), format!("/many/one-of-many-{i:05}").into(), [].into());
        logic.handle(NOW, Input::Stand { id, path, value, guid: i.into(), once: false });
        while let Some(action) = logic.poll_action() {
            if let Action::Submit(request, Op::Create { .. }) = action {
                let stat = Stat { czxid: i as i64, ephemeral_owner: session.0, ..Stat::default() };
                logic.handle(NOW, Input::Reply(request, Reply::Created(stat)));
                created += 1;
            }
        }
    }
    assert_eq!(created, how_many);
    logic
}

#[test]
fn an_input_of_many_elections_without_a_lease_costs_no_more_than_of_few() {
    const NOBODY: SubscriptionId = SubscriptionId(u64::MAX);
    let cost = |how_many: u64| {
        let mut logic = without_a_lease(how_many);
        let before = cpu_of_this_thread();
        for _ in 0..500 {
            logic.handle(NOW, Input::Leave(NOBODY));
            assert!(logic.poll_timeout().is_some());
        }
        cpu_of_this_thread() - before
    };
    let (of_few, of_many) = (cost(200), cost(6_000));
    assert!(of_many < of_few * 6, "{of_few:?} and {of_many:?}");
}

/// All of these are answered before any of the answers can be told to have reached the leader.
#[test]
fn a_burst_of_elections_costs_each_of_them_the_same() {
    let cost = |how_many: u64| {
        let before = cpu_of_this_thread();
        drop(without_a_lease(how_many));
        (cpu_of_this_thread() - before) / how_many as u32
    };
    let (of_few, of_many) = (cost(1_000), cost(20_000));
    println!("{of_few:?} and {of_many:?}");
    assert!(of_many < of_few * 4, "{of_few:?} and {of_many:?}");
}

fn cpu_of_this_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time, and nothing else.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
