//! The client crate serves each session in a task that it starts by itself. This module gives that task a guard. When
//! the task ends, also by a panic, the threads and tasks that wait for the session learn of it. When the guard is
//! dropped, the task ends, even if the server keeps it busy.

use std::cell::RefCell;
use std::future::{poll_fn, Future};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_io::Timer;
use futures::channel::oneshot;
use futures::future::{select, Shared};
use futures::{pin_mut, FutureExt};

use super::failpoint::failpoint;

thread_local! {
    /// The token for the task that starts next, while a future of `with_task_guard` is polled.
    static CANCEL_TOKEN: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// Keeps the task running. After the guard is dropped, the task may run only for the patience that it was given.
pub struct TaskGuard {
    held: Mutex<Option<oneshot::Sender<()>>>,
    ended: Ended,
}

/// Resolves when the task has ended.
pub type Ended = Shared<oneshot::Receiver<()>>;

/// The task's side of a guard.
pub struct CancelToken {
    let_go: oneshot::Receiver<()>,
    _end: oneshot::Sender<()>,
    patience: Duration,
}

impl TaskGuard {
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

/// Runs `making`, and creates a guard for the task that it starts.
pub async fn with_task_guard<T>(patience: Duration, making: impl Future<Output = T>) -> (T, TaskGuard) {
    let (held, let_go) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let mut cancel_token = Some(CancelToken { let_go, _end: end, patience });
    pin_mut!(making);
    let made = poll_fn(|context| {
        CANCEL_TOKEN.set(cancel_token.take());
        let made = making.as_mut().poll(context);
        cancel_token = CANCEL_TOKEN.take();
        made
    });
    (made.await, TaskGuard { held: Mutex::new(Some(held)), ended: ended.shared() })
}

/// Takes the cancel token for the task that starts at this moment.
pub fn cancel_token() -> Option<CancelToken> {
    CANCEL_TOKEN.take()
}

/// Runs a task that starts at this moment, with its cancel token if it has one.
pub async fn guarded(cancel_token: Option<CancelToken>, task: impl Future<Output = ()>) {
    let Some(CancelToken { let_go, _end, patience }) = cancel_token else { return task.await };
    let abandoned = async {
        if let_go.await.is_err() {
            Timer::after(patience).await;
        }
    };
    pin_mut!(abandoned, task);
    let rehearsed = poll_fn(|context| {
        failpoint!("the client's task");
        task.as_mut().poll(context)
    });
    select(abandoned, rehearsed).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const NOT_LONG: Duration = Duration::from_millis(20);

    /// Returns a task that was started with a guard, and the guard.
    fn start(task: impl Future<Output = ()>) -> (TaskGuard, impl Future<Output = ()>) {
        let (cancel_token, task_guard) = async_io::block_on(with_task_guard(NOT_LONG, async { cancel_token() }));
        assert!(cancel_token.is_some());
        (task_guard, guarded(cancel_token, task))
    }

    #[test]
    fn a_task_ends_when_it_is_let_go() {
        let (task_guard, task) = start(pending());
        let ended = task_guard.ended();
        drop(task_guard);
        async_io::block_on(task);
        assert!(ended.now_or_never().is_some());
    }

    #[test]
    fn a_task_ends_at_once_when_its_leash_is_cut() {
        let (cancel_token, task_guard) =
            async_io::block_on(with_task_guard(Duration::MAX, async { cancel_token() }));
        task_guard.cut();
        async_io::block_on(guarded(cancel_token, pending()));
        assert!(task_guard.ended().now_or_never().is_some());
    }

    #[test]
    fn a_task_goes_on_while_it_is_held() {
        let (task_guard, task) = start(pending());
        async_io::block_on(async {
            let waited = Timer::after(NOT_LONG * 3);
            pin_mut!(task);
            assert!(matches!(select(task, waited).await, futures::future::Either::Right(_)));
            assert!(task_guard.ended().now_or_never().is_none());
        });
    }

    #[test]
    fn the_end_of_a_task_is_told() {
        let (task_guard, task) = start(ready(()));
        async_io::block_on(task);
        assert!(task_guard.ended().now_or_never().is_some());
        let (task_guard, task) = start(async { panic!("on purpose") });
        assert!(async_io::block_on(std::panic::AssertUnwindSafe(task).catch_unwind()).is_err());
        assert!(task_guard.ended().now_or_never().is_some());
    }

    #[test]
    fn a_collar_is_for_one_task() {
        let (collars, _leash) =
            async_io::block_on(with_task_guard(NOT_LONG, async { [cancel_token(), cancel_token()] }));
        assert!(collars[0].is_some() && collars[1].is_none());
        assert!(cancel_token().is_none());
    }
}
