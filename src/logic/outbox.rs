//! The output of the core: the actions in order, the receiver of each answer, and the moment when each request was
//! sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::config::Recipe;
use super::lease::Answer;
use super::report::Report;
use super::subscription::Key;
use super::types::{Action, Op, Reply, RequestId, SubscriptionId, Time};

/// A request without an answer yet.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub at: Time,
    /// The source of the answer (server, leader or quorum), if the request is carried out.
    pub answer: Answer,
    /// Whether the request changes or deletes our znode, and another contender's may have the same path later.
    pub may_change_another: bool,
    /// Whether the answer leaves a watch.
    pub watch: bool,
}

/// The results of the creates of a session at a path.
#[derive(Clone, Copy, Debug, Default)]
struct Creates {
    /// The transaction that made the last znode that an answer reported.
    made: Option<i64>,
    /// The first create with an unknown outcome, and the newest transaction known from an answer when that create was
    /// sent. The znode that this create made is younger than that transaction, and so are the znodes of later
    /// creates.
    in_doubt: Option<(RequestId, i64)>,
}

#[derive(Debug)]
pub struct Outbox {
    recipe: Recipe,
    pub actions: VecDeque<Action>,
    pub routes: BTreeMap<RequestId, Key>,
    /// The subscriptions that have not had their last event.
    pub subscribed: BTreeMap<SubscriptionId, Key>,
    /// A candidate asks for the end of the session.
    pub session_is_given_up: bool,
    /// The paths of the elections on which a write depended that has had no answer.
    pub writes_in_doubt: Vec<Arc<str>>,
    sent: BTreeMap<RequestId, Sent>,
    /// The results of the candidates' creates in this session, by path.
    creates: BTreeMap<Arc<str>, Creates>,
    /// The newest transaction that an answer reported in this session.
    newest_zxid: i64,
    /// The moment of the input that is being handled. An action that is handed out now is sent at this moment or
    /// later.
    pub now: Time,
    last_request: u64,
}

impl Outbox {
    pub fn new(recipe: Recipe) -> Outbox {
        Outbox {
            recipe,
            actions: VecDeque::new(),
            routes: BTreeMap::new(),
            subscribed: BTreeMap::new(),
            session_is_given_up: false,
            writes_in_doubt: Vec::new(),
            sent: BTreeMap::new(),
            creates: BTreeMap::new(),
            newest_zxid: 0,
            now: Time(0),
            last_request: 0,
        }
    }

    pub fn submit(&mut self, key: Key, op: Op) -> RequestId {
        self.last_request += 1;
        let request = RequestId(self.last_request);
        let answer = match op {
            Op::Create { .. } | Op::CreateSequential { .. } | Op::SetValue { .. } => Answer::Quorum,
            Op::Delete { .. } | Op::Prove { .. } | Op::Write { .. } => Answer::Quorum,
            Op::Touch => Answer::Leader,
            _ => Answer::Server,
        };
        let may_change_another = match &op {
            Op::SetValue { path, .. } | Op::Delete { path, .. } => self.recipe.may_be_another_later(path),
            _ => false,
        };
        let watch = op.leaves_watch();
        self.sent.insert(request, Sent { at: self.now, answer, may_change_another, watch });
        if let (Key::Candidate(path), Op::Create { .. } | Op::CreateSequential { .. }) = (&key, &op) {
            let creates = self.creates.entry(path.clone()).or_default();
            creates.in_doubt.get_or_insert((request, self.newest_zxid));
        }
        self.routes.insert(request, key);
        self.actions.push_back(Action::Submit(request, op));
        request
    }

    /// Drops the watch that a request left, or would leave. Its answer is not needed then.
    pub fn unwatch(&mut self, request: RequestId) {
        self.routes.remove(&request);
        self.sent.remove(&request);
        self.actions.push_back(Action::Unwatch(request));
    }

    /// This subscription gets no more events.
    pub fn finish(&mut self, id: SubscriptionId) {
        self.subscribed.remove(&id);
        self.actions.push_back(Action::Finished(id));
    }

    /// Records the answer to the request.
    pub fn answered(&mut self, request: RequestId, reply: &Reply) -> Option<Sent> {
        let told = match reply {
            Reply::Created(stat) | Reply::CreatedAs(_, stat) | Reply::Stat(stat) => Some(stat),
            Reply::Read(znode) => Some(&znode.stat),
            _ => None,
        };
        self.newest_zxid = told.map_or(0, |stat| stat.czxid.max(stat.mzxid)).max(self.newest_zxid);
        match reply {
            Reply::Created(stat) | Reply::CreatedAs(_, stat) => self.has_made(request, Some(stat.czxid)),
            Reply::Refused(_) | Reply::NotSent => self.has_made(request, None),
            _ => {}
        }
        self.sent.remove(&request)
    }

    /// If this was a create, what it may have made is not of this session.
    pub fn forget_create(&mut self, request: RequestId) {
        self.has_made(request, None);
    }

    /// If this was a create, records that it made this znode, or none.
    fn has_made(&mut self, request: RequestId, czxid: Option<i64>) {
        let Some(Key::Candidate(path)) = self.routes.get(&request) else { return };
        let Some(creates) = self.creates.get_mut(path) else { return };
        creates.made = czxid.or(creates.made);
        creates.in_doubt = creates.in_doubt.filter(|(first, _)| *first != request);
    }

    /// Whether the transaction `czxid` may have made a znode that a candidate at `path` made in this session.
    pub fn may_have_made(&self, path: &Arc<str>, czxid: i64) -> bool {
        let in_doubt = |(_, before): (RequestId, i64)| czxid > before;
        let made = |creates: &Creates| creates.made == Some(czxid) || creates.in_doubt.is_some_and(in_doubt);
        self.creates.get(path).is_some_and(made)
    }

    /// The requests without an answer, the oldest first.
    pub fn under_way(&self, now: Time) -> Report {
        let describe = |(request, sent): (&RequestId, &Sent)| {
            let (kind, path) = self.routes.get(request).map_or(("nobody", None), Key::names);
            Report::from([
                ("request", request.0.into()),
                ("of", kind.into()),
                ("path", path.into()),
                ("sent_ago_ms", Report::ms_between(sent.at.0, now.0)),
            ])
        };
        Report::List(self.sent.iter().map(describe).collect())
    }

    /// The session is over: no answer follows, and unsent requests are dropped.
    pub fn forget_requests(&mut self) {
        self.forget_unsent();
        self.routes.clear();
        self.sent.clear();
        self.session_is_given_up = false;
        self.creates.clear();
        self.newest_zxid = 0;
    }

    /// Drops the requests that the driver has not fetched, and returns them, so that `Elections` can answer them.
    pub fn forget_unsent(&mut self) -> Vec<RequestId> {
        let mut unsent = Vec::new();
        self.actions.retain(|action| match action {
            Action::Submit(request, _) => {
                unsent.push(*request);
                false
            }
            _ => true,
        });
        for request in &unsent {
            self.sent.remove(request);
            self.has_made(*request, None);
        }
        unsent
    }
}
