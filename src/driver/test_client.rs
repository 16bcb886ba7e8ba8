//! A bare session for tests. It sends requests of the core to a real ZooKeeper in the way a session's task does, and
//! returns the answers in the form that the core gets. Tests use it to compare the simulated ensemble with a real one.

use std::sync::mpsc;
use std::time::Duration;

use futures::channel::mpsc::{unbounded, UnboundedSender};
use futures::{select_biased, FutureExt, StreamExt};

use super::access::Access;
use super::client::connect;
use super::hosts;
use super::requests::{Answer, Requests};
use super::runtime;
use crate::logic::{Op, RequestId, SessionId};

/// A session that carries only its owner's requests. Dropping it closes the session.
pub struct TestClient {
    session: SessionId,
    requests: UnboundedSender<(RequestId, Op)>,
    answers: mpsc::Receiver<Answer>,
}

impl TestClient {
    /// Opens a session. Returns `None` if that fails.
    pub fn open(hosts: &str, session_timeout: Duration) -> Option<TestClient> {
        let hosts = hosts::parse(hosts).ok()?;
        let (opened, session) = mpsc::sync_channel(1);
        let (requests, mut submitted) = unbounded();
        let (answered, answers) = mpsc::channel();
        runtime::start().ok()?;
        runtime::spawn(async move {
            let Ok((client, _)) = connect(&hosts, &Access::default(), session_timeout).await else { return };
            let _ = opened.send(client.session_id());
            let mut running = Requests::new();
            loop {
                select_biased! {
                    answer = running.next_answer().fuse() => {
                        let _ = answered.send(answer);
                    }
                    submit = submitted.next().fuse() => match submit {
                        Some((request, op)) => running.submit(client.clone(), request, op),
                        None => return,
                    },
                }
            }
        });
        let session = session.recv().ok()?;
        Some(TestClient { session, requests, answers })
    }

    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Sends a request after the requests that were submitted before.
    pub fn submit(&self, request: RequestId, op: Op) {
        let _ = self.requests.unbounded_send((request, op));
    }

    /// Returns the next answer or watch event; `None` if neither arrives in time.
    pub fn next(&self, timeout: Duration) -> Option<Answer> {
        self.answers.recv_timeout(timeout).ok()
    }
}
