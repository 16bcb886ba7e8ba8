//! The requests under way on one session, and the watches that they left.
//!
//! An answer and the watch that came with it are one future, so that what a watch saw is heard before the
//! answers that the server gave after it.

use std::collections::BTreeMap;
use std::future::{poll_fn, Future};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures::channel::mpsc::{unbounded, UnboundedReceiver, UnboundedSender};
use futures::future::{AbortHandle, Abortable};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::client::Client;
use crate::logic::{Op, Reply, RequestId, WatchEvent};

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Reply(RequestId, Reply),
    WatchEvent(RequestId, WatchEvent),
    /// A write under the fence of this election has had no answer.
    InDoubt(Arc<str>),
}

/// A request with its watch; ends with its number when nothing more is to come of it.
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

    /// Sends a request the next time that this stream is polled. Requests go out in the order of these calls.
    pub fn submit(&mut self, client: Client, request: RequestId, op: Op) {
        let answered = self.answered.clone();
        let work = async move {
            // A panic in the client crate costs this request its answer, not the session its task.
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

    /// Where to say what becomes of a request that is not the core's; after the session, nobody listens.
    pub fn answered(&self) -> UnboundedSender<Answer> {
        self.answered.clone()
    }

    /// Drops the watch that a request left.
    pub fn unwatch(&mut self, request: RequestId) {
        if let Some(abort) = self.aborts.remove(&request) {
            abort.abort();
        }
    }

    /// Waits for what comes back next; carries the requests on meanwhile.
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
