//! What goes out of the core: the actions in order, who is to get each answer, and when each request was sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::vocabulary::{Action, Op, RequestId, Time};

/// Who asked: each open request, and each armed watch, belongs to a candidate, an observer or the lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    Candidate(Arc<str>),
    Observer(Arc<str>),
    Lease,
}

#[derive(Debug)]
pub struct Outbox {
    pub actions: VecDeque<Action>,
    pub routes: BTreeMap<RequestId, Party>,
    /// Requests without an answer yet: when they were sent, and whether they are transactions.
    sent: BTreeMap<RequestId, (Time, bool)>,
    /// The moment of the input that is being handled: what is handed out now is sent now or later.
    pub now: Time,
    last_request: u64,
}

impl Outbox {
    pub fn new() -> Outbox {
        Outbox {
            actions: VecDeque::new(),
            routes: BTreeMap::new(),
            sent: BTreeMap::new(),
            now: Time(0),
            last_request: 0,
        }
    }

    pub fn submit(&mut self, party: Party, op: Op) -> RequestId {
        self.last_request += 1;
        let request = RequestId(self.last_request);
        let transaction =
            matches!(op, Op::Create { .. } | Op::CreateSequential { .. } | Op::Delete { .. } | Op::Prove { .. });
        self.sent.insert(request, (self.now, transaction));
        self.routes.insert(request, party);
        self.actions.push_back(Action::Submit(request, op));
        request
    }

    pub fn unwatch(&mut self, request: RequestId) {
        self.routes.remove(&request);
        self.actions.push_back(Action::Unwatch(request));
    }

    /// The request has its answer: when it was sent, and whether it was a transaction.
    pub fn answered(&mut self, request: RequestId) -> Option<(Time, bool)> {
        self.sent.remove(&request)
    }

    /// The session is over: no answer is to come.
    pub fn forget_requests(&mut self) {
        self.routes.clear();
        self.sent.clear();
    }
}
