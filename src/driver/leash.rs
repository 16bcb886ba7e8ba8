//! The client crate serves each session in a task that it starts by itself. Here that task is on a leash: when it ends, by
//! a panic as well, whoever waits for the session hears of it; once nobody holds the leash any more, it ends, whatever
//! the server does to keep it busy.

use std::cell::RefCell;
use std::future::{poll_fn, Future};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_io::Timer;
use futures::channel::oneshot;
use futures::future::{select, Shared};
use futures::{pin_mut, FutureExt};

use super::rehearsal;

thread_local! {
    /// For the task that is started next, while a future of `with_leash` is polled.
    static COLLAR: RefCell<Option<Collar>> = const { RefCell::new(None) };
}

/// Keeps the task going. Dropping it lets the task go on for the patience that it was given, and no longer.
pub struct Leash {
    held: Mutex<Option<oneshot::Sender<()>>>,
    ended: Ended,
}

/// Resolves when the task has ended.
pub type Ended = Shared<oneshot::Receiver<()>>;

/// The task's end of a leash.
pub struct Collar {
    let_go: oneshot::Receiver<()>,
    _end: oneshot::Sender<()>,
    patience: Duration,
}

impl Leash {
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Ends the task now.
    pub fn cut(&self) {
        if let Some(held) = self.held.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = held.send(());
        }
    }
}

/// Carries out `making`, with a leash for the task that it starts.
pub async fn with_leash<T>(patience: Duration, making: impl Future<Output = T>) -> (T, Leash) {
    let (held, let_go) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let mut collar = Some(Collar { let_go, _end: end, patience });
    pin_mut!(making);
    let made = poll_fn(|context| {
        COLLAR.set(collar.take());
        let made = making.as_mut().poll(context);
        collar = COLLAR.take();
        made
    });
    (made.await, Leash { held: Mutex::new(Some(held)), ended: ended.shared() })
}

/// The collar that waits for the task that is started at this moment.
pub fn collar() -> Option<Collar> {
    COLLAR.take()
}

/// A task that is started at this moment, with its collar if one is waiting for it.
pub async fn leashed(collar: Option<Collar>, task: impl Future<Output = ()>) {
    let Some(Collar { let_go, _end, patience }) = collar else { return task.await };
    let abandoned = async {
        if let_go.await.is_err() {
            Timer::after(patience).await;
        }
    };
    pin_mut!(abandoned, task);
    let rehearsed = poll_fn(|context| {
        rehearsal::pass("the client's task");
        task.as_mut().poll(context)
    });
    select(abandoned, rehearsed).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const NOT_LONG: Duration = Duration::from_millis(20);

    /// The leash of a task that is started while it is made, and the task.
    fn start(task: impl Future<Output = ()>) -> (Leash, impl Future<Output = ()>) {
        let (collar, leash) = async_io::block_on(with_leash(NOT_LONG, async { collar() }));
        assert!(collar.is_some());
        (leash, leashed(collar, task))
    }

    #[test]
    fn a_task_ends_when_it_is_let_go() {
        let (leash, task) = start(pending());
        let ended = leash.ended();
        drop(leash);
        async_io::block_on(task);
        assert!(ended.now_or_never().is_some());
    }

    #[test]
    fn a_task_ends_at_once_when_its_leash_is_cut() {
        let (collar, leash) = async_io::block_on(with_leash(Duration::MAX, async { collar() }));
        leash.cut();
        async_io::block_on(leashed(collar, pending()));
        assert!(leash.ended().now_or_never().is_some());
    }

    #[test]
    fn a_task_goes_on_while_it_is_held() {
        let (leash, task) = start(pending());
        async_io::block_on(async {
            let waited = Timer::after(NOT_LONG * 3);
            pin_mut!(task);
            assert!(matches!(select(task, waited).await, futures::future::Either::Right(_)));
            assert!(leash.ended().now_or_never().is_none());
        });
    }

    #[test]
    fn the_end_of_a_task_is_told() {
        let (leash, task) = start(ready(()));
        async_io::block_on(task);
        assert!(leash.ended().now_or_never().is_some());
        let (leash, task) = start(async { panic!("on purpose") });
        assert!(async_io::block_on(std::panic::AssertUnwindSafe(task).catch_unwind()).is_err());
        assert!(leash.ended().now_or_never().is_some());
    }

    #[test]
    fn a_collar_is_for_one_task() {
        let (collars, _leash) = async_io::block_on(with_leash(NOT_LONG, async { [collar(), collar()] }));
        assert!(collars[0].is_some() && collars[1].is_none());
        assert!(collar().is_none());
    }
}
