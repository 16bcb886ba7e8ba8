//! A fenced write: a write of the program that ZooKeeper carries out only if our znode exists, so only while we are
//! master. It waits for a connection, and is sent once. If the connection breaks before a byte of it was sent, it waits again.
//!
//! A write without an answer may be carried out later: it travels through a server that we have left, and its check that
//! our znode exists names only a path. By then another master's znode may stand at this path, unless the names of a
//! queue have a GUID. If our session has ended with our mastership, ZooKeeper refuses the write. `Elections` sees to
//! that.

use std::sync::Arc;

use super::report::Report;
use super::subscription::{Context, Subscription, Trigger};
use super::types::{Action, CallId, Op, Outcome, Reply, RequestId, Time, Write};

#[derive(Debug)]
enum State {
    Waiting(Write),
    Sent(RequestId, Write),
    Answered,
}

#[derive(Debug)]
pub struct FencedWrite {
    id: CallId,
    /// The path of the election.
    path: Arc<str>,
    state: State,
}

impl FencedWrite {
    pub fn new(id: CallId, path: Arc<str>, write: Write) -> FencedWrite {
        FencedWrite { id, path, state: State::Waiting(write) }
    }

    fn answer(&mut self, outcome: Outcome, context: &mut Context) {
        self.state = State::Answered;
        context.tell(Action::Answer(self.id, outcome));
    }
}

impl Subscription for FencedWrite {
    fn handle(&mut self, _: Time, trigger: Trigger, context: &mut Context) {
        match (std::mem::replace(&mut self.state, State::Answered), trigger) {
            (State::Answered, _) => {}
            // A connection exists. `own` is our znode, if we are master now.
            (State::Waiting(write), Trigger::Fence(Some(own))) => {
                let asked = context.submit(Op::Write { own, write: write.clone() });
                self.state = State::Sent(asked, write);
            }
            // It was never sent, and our znode is gone, or goes with the session.
            (State::Waiting(_), Trigger::Fence(None) | Trigger::Over(..) | Trigger::End(..)) => {
                self.answer(Outcome::NotMaster, context);
            }
            (State::Sent(..), Trigger::Over(..) | Trigger::End(..)) => self.answer(Outcome::Unknown, context),
            (State::Sent(asked, write), Trigger::Reply(request, Reply::NotSent)) if asked == request => {
                self.state = State::Waiting(write);
            }
            (State::Sent(asked, _), Trigger::Reply(request, reply)) if asked == request => {
                let outcome = match reply {
                    Reply::Done => Outcome::Written,
                    Reply::NotMaster => Outcome::NotMaster,
                    Reply::Refused(rc) => Outcome::Refused(rc),
                    _ => {
                        context.outbox.writes_in_doubt.push(self.path.clone());
                        Outcome::Unknown
                    }
                };
                self.answer(outcome, context);
            }
            (state, _) => self.state = state,
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn is_gone(&self) -> bool {
        matches!(self.state, State::Answered)
    }

    fn election(&self) -> Option<&Arc<str>> {
        Some(&self.path)
    }

    fn describe(&self, _: Time) -> Report {
        Report::from([("path", (&self.path).into())])
    }
}
