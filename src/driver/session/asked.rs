//! Requests that a handle sends to ZooKeeper for its caller, independent of the elections.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::{pin_mut, select_biased, FutureExt};

use super::{Link, Task};
use crate::driver::client::{Client, Written};
use crate::driver::clock;
use crate::driver::counters::Count;
use crate::driver::requests::Answer;
use crate::driver::runtime;
use crate::driver::telemetry::Asked;
use crate::driver::waits::ReplyTo;
use crate::logic::{rc, Recipe, Write};

impl Task {
    /// Sends a request for the caller, independent of all other requests. If the handle is not connected, the request
    /// fails at once; it is not kept for the next connection.
    pub(super) fn ask<T, A>(
        &mut self,
        answer: ReplyTo<Result<T, i32>>,
        asked: Asked,
        ask: impl FnOnce(Client, Recipe) -> A,
    ) where
        T: Send + 'static,
        A: Future<Output = Result<T, i32>> + Send + 'static,
    {
        match &self.link {
            Link::Open(connection) if connection.up => {
                let broken = connection.client.states().broken();
                let told = ask(connection.client.clone(), self.settings.elections.recipe);
                runtime::spawn(async move {
                    let (told, broken) = (told.fuse(), broken.fuse());
                    pin_mut!(told, broken);
                    let told = select_biased! {
                        told = told => told,
                        () = broken => Err(rc::CONNECTION_LOSS),
                    };
                    asked.ended(!matches!(told, Err(rc::CONNECTION_LOSS)));
                    answer.send(told);
                });
            }
            _ => {
                asked.ended(false);
                answer.send(Err(rc::CONNECTION_LOSS));
            }
        }
    }

    pub(super) fn write(&mut self, path: Arc<str>, write: Write, written: ReplyTo<Written>) {
        let own = self.elections.fence(clock::now(), &path);
        let client = match &self.link {
            Link::Open(connection) => Some(connection.client.clone()),
            Link::Connecting(_) | Link::Denied => None,
        };
        let (Some(own), Some(client)) = (own, client) else {
            written.send(Written::NotMaster);
            return;
        };
        let asked = self.telemetry.asks(Count::FencedWrites, "write fenced by", &own);
        let outcome = AssertUnwindSafe(client.write_fenced(own, write)).catch_unwind();
        let mut outcome = Box::pin(outcome.map(|outcome| outcome.unwrap_or(Written::Unknown)));
        // The first poll sends the write. It must be sent now, before any later request of the core, for example one
        // that deletes our znode. In the node recipe, another candidate's znode may exist at that path by then.
        let refused = outcome.as_mut().now_or_never();
        let answered = self.requests.answered();
        runtime::spawn(async move {
            let outcome = match refused {
                Some(refused) => refused,
                None => outcome.await,
            };
            asked.ended(outcome != Written::Unknown);
            if outcome == Written::Unknown {
                // Sent before the caller gets the outcome, because the caller may then resign.
                let _ = answered.unbounded_send(Answer::InDoubt(path));
            }
            written.send(outcome);
        });
    }
}
