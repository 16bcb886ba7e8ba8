//! The pending requests of one session, and the watches that they left.
//!
//! One future returns both an answer and the event of its watch. So we receive a watch event before the answers that
//! the server sent after it.

use std::collections::BTreeMap;
use std::future::{poll_fn, Future};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::Poll;

use futures::channel::mpsc::{unbounded, UnboundedReceiver, UnboundedSender};
use futures::future::{AbortHandle, Abortable};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::client::Client;
use crate::logic::{Op, Reply, RequestId, WatchEvent};

/// What a request returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Reply(RequestId, Reply),
    WatchEvent(RequestId, WatchEvent),
}

/// A request with its watch. Resolves to the request's number when no further result can arrive.
type Running = Pin<Box<dyn Future<Output = RequestId> + Send>>;

pub struct Requests {
    running: FuturesUnordered<Running>,
    aborts: BTreeMap<RequestId, AbortHandle>,
    answered: UnboundedSender<Answer>,
    answers: UnboundedReceiver<Answer>,
}

impl Requests {
    pub fn new() -> Requests {
        let (answered, answers) = unbounded();
        Requests { running: FuturesUnordered::new(), aborts: BTreeMap::new(), answered, answers }
    }

    /// Queues a request; the next poll of this stream sends it. Requests are sent in the order of these calls.
    pub fn submit(&mut self, client: Client, request: RequestId, op: Op) {
        let answered = self.answered.clone();
        let work = async move {
            // If the client crate panics, only this request loses its answer; the session's task continues.
            let carried_out = AssertUnwindSafe(client.carry_out(op)).catch_unwind().await;
            let (reply, watch) = carried_out.unwrap_or((Reply::Unknown, None));
            let _ = answered.unbounded_send(Answer::Reply(request, reply));
            if let Some(watch) = watch {
                if let Ok(Some(news)) = AssertUnwindSafe(watch.fired()).catch_unwind().await {
                    let _ = answered.unbounded_send(Answer::WatchEvent(request, news));
                }
            }
        };
        let (abort, registration) = AbortHandle::new_pair();
        self.aborts.insert(request, abort);
        self.running.push(Box::pin(Abortable::new(work, registration).map(move |_| request)));
    }

    /// Drops the watch that a request left.
    pub fn unwatch(&mut self, request: RequestId) {
        if let Some(abort) = self.aborts.remove(&request) {
            abort.abort();
        }
    }

    /// Waits for the next result. Meanwhile the requests continue.
    pub async fn next_answer(&mut self) -> Answer {
        poll_fn(|context| {
            while let Poll::Ready(Some(ended)) = self.running.poll_next_unpin(context) {
                self.aborts.remove(&ended);
            }
            match self.answers.poll_next_unpin(context) {
                Poll::Ready(Some(answer)) => Poll::Ready(answer),
                _ => Poll::Pending,
            }
        })
        .await
    }
}
