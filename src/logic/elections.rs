//! All elections of one session: the candidates and observers by path, the state of the connection that they share,
//! and the routing of each answer to the subscription that sent the request.

mod proofs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::candidate::{finish, Candidate, Entry};
use super::config::{Config, Recipe, Rule};
use super::lease::{Answer, Lease};
use super::members::MembersWatcher;
use super::observer::Observer;
use super::outbox::{Outbox, Sent, Subscription};
use super::recipe::Input;
use super::report::Report;
use super::types::{rc, Action, Reason, Reply, RequestId, SessionId, SubscriptionId, Time, Value, WatchEvent};

/// How long a session that holds nothing may stay suspended before the library opens a new session in its place. A
/// session that holds nothing loses nothing when it is replaced. A new session connects sooner than an old one,
/// because the old one waits longer after each failed attempt.
const RENEW_AFTER_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Not connected yet; no failure to report.
    Fresh,
    Up(SessionId),
    /// A session that may live on without a connection. If nothing depends on it at `renew_at`, a new session
    /// replaces it.
    Suspended {
        rc: i32,
        renew_at: Time,
    },
    /// No session.
    Down {
        rc: i32,
    },
    /// The servers refuse every session of ours.
    Denied {
        rc: i32,
    },
}

/// The elections of one session. The module `logic` explains how to drive it.
#[derive(Debug)]
pub struct Elections {
    config: Config,
    link: Link,
    lease: Lease,
    /// Whether the lease held at the last check.
    lease_held: bool,
    /// The end of the lease in the last `Action::Lease`.
    lease_told: Option<Time>,
    /// The last moment when a proof or a touch was sent for the lease.
    last_renewal: Time,
    /// The last moment when the lease was proved, or a proof was tried.
    last_proof: Time,
    /// The last request for the lease was a touch.
    touched: bool,
    /// The candidates that are master according to their recipe.
    elected: BTreeSet<Arc<str>>,
    /// The last of these candidates with a znode that a proof checked.
    last_checked: Option<Arc<str>>,
    /// The paths at which a change of our znode, or a write that depends on our znode, had no answer. The server may
    /// carry it out as long as this session lives, and another contender's znode may stand at the path by then.
    in_doubt: BTreeSet<Arc<str>>,
    /// We gave up one of the paths in `in_doubt`: the session must end as soon as no candidate leads in the session.
    session_doomed: bool,
    /// The znodes that each proof under way checks, by path of the election.
    proofs: BTreeMap<RequestId, Vec<Arc<str>>>,
    candidates: BTreeMap<Arc<str>, Candidate>,
    observers: BTreeMap<Arc<str>, Observer>,
    members: BTreeMap<Arc<str>, MembersWatcher>,
    /// The next deadline of each subscription, and the same deadlines ordered by moment.
    deadlines: BTreeMap<Subscription, Time>,
    timetable: BTreeSet<(Time, Subscription)>,
    outbox: Outbox,
}

impl Default for Elections {
    fn default() -> Self {
        Elections::new(Config::default())
    }
}

impl Elections {
    pub fn new(config: Config) -> Elections {
        Elections {
            config,
            link: Link::Fresh,
            lease: Lease::new(config),
            lease_held: false,
            lease_told: None,
            last_renewal: Time(0),
            last_proof: Time(0),
            touched: false,
            elected: BTreeSet::new(),
            last_checked: None,
            in_doubt: BTreeSet::new(),
            session_doomed: false,
            proofs: BTreeMap::new(),
            candidates: BTreeMap::new(),
            observers: BTreeMap::new(),
            members: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            timetable: BTreeSet::new(),
            outbox: Outbox::new(),
        }
    }

    /// Starts a candidacy at `path` with `value`. At most one candidacy is active at a path at a time. The caller may
    /// start a second one when the first has resigned; it begins when the first has left. `guid` is a number that no
    /// other candidate anywhere has, and no other candidate has the few numbers after it.
    pub fn stand(&mut self, now: Time, id: SubscriptionId, path: Arc<str>, value: Value, guid: u128) {
        self.begin(now);
        if let Link::Denied { rc } = self.link {
            return finish(id, Reason::Denied, rc, &mut self.outbox);
        }
        let entry = Entry { id, value, guid };
        match self.candidates.get_mut(&path) {
            Some(leaving) => {
                let rc = match self.link {
                    Link::Suspended { rc, .. } | Link::Down { rc } => Some(rc),
                    Link::Fresh | Link::Up(_) | Link::Denied { .. } => None,
                };
                leaving.succeed(entry, rc, &mut self.outbox);
            }
            None => {
                self.candidates.insert(path.clone(), Candidate::new(path.clone(), entry, self.config));
                self.catch_up(now, &Subscription::Candidate(path));
            }
        }
    }

    /// Uses another value from now on. The existing znode gets the value, however long that takes. Each znode that is
    /// created later gets it, too.
    pub fn set_value(&mut self, now: Time, id: SubscriptionId, path: &Arc<str>, value: Value) {
        self.begin(now);
        if let Some(candidate) = self.candidates.get_mut(path) {
            candidate.set_value(now, id, value, self.lease.end(), &mut self.outbox);
            self.settle(now, &Subscription::Candidate(path.clone()));
        }
    }

    /// Ends a candidacy. The candidate receives its last event at once. Its znode is deleted, however long that
    /// takes.
    pub fn resign(&mut self, now: Time, id: SubscriptionId, path: &Arc<str>) {
        self.begin(now);
        if let Some(candidate) = self.candidates.get_mut(path) {
            candidate.resign(now, id, &mut self.outbox);
            self.settle(now, &Subscription::Candidate(path.clone()));
        }
    }

    /// A write that depended on our mastership at `path` had no answer, and may be carried out later: it travels
    /// through a server that we have left, and its check that our znode exists names only a path. By then another
    /// master's znode may stand at this path. If our session has ended with our mastership, ZooKeeper refuses the
    /// write.
    pub fn write_in_doubt(&mut self, now: Time, path: Arc<str>) {
        self.begin(now);
        let names_return = match self.config.recipe {
            Recipe::Node => true,
            Recipe::Queue(dialect) => !dialect.has_guid(),
        };
        if names_return {
            self.note_doubt(path);
        }
    }

    fn note_doubt(&mut self, path: Arc<str>) {
        if self.config.keeps(Rule::DoubtEndsSession) {
            self.session_doomed |= !self.elected.contains(&path);
            self.in_doubt.insert(path);
        }
    }

    /// Reports the master at `path`, and every change. One observer for each path.
    pub fn observe(&mut self, now: Time, id: SubscriptionId, path: Arc<str>) {
        self.begin(now);
        let mut observer = Observer::new(id, path.clone(), self.config.recipe);
        if let Link::Denied { rc } = self.link {
            return observer.end(rc, &mut self.outbox);
        }
        self.observers.insert(path.clone(), observer);
        self.catch_up(now, &Subscription::Observer(path));
    }

    /// Ends the reports about the master at `path`.
    pub fn unobserve(&mut self, now: Time, id: SubscriptionId, path: &Arc<str>) {
        self.begin(now);
        if self.observers.get(path).is_some_and(|observer| observer.id() == id) {
            if let Some(mut observer) = self.observers.remove(path) {
                observer.stop(&mut self.outbox);
            }
            self.settle(now, &Subscription::Observer(path.clone()));
        }
    }

    /// Reports the members at `path`, and every change. Raises an alarm when fewer than `enough` members are present
    /// (0 for no alarm). One such watcher for each path.
    pub fn watch_members(&mut self, now: Time, id: SubscriptionId, path: Arc<str>, enough: usize) {
        self.begin(now);
        let mut watcher = MembersWatcher::new(id, path.clone(), enough, self.config.recipe);
        if let Link::Denied { rc } = self.link {
            return watcher.end(rc, &mut self.outbox);
        }
        self.members.insert(path.clone(), watcher);
        self.catch_up(now, &Subscription::Members(path));
    }

    /// Ends the reports about the members at `path`.
    pub fn unwatch_members(&mut self, now: Time, id: SubscriptionId, path: &Arc<str>) {
        self.begin(now);
        if self.members.get(path).is_some_and(|watcher| watcher.id() == id) {
            if let Some(mut watcher) = self.members.remove(path) {
                watcher.stop(&mut self.outbox);
            }
            self.settle(now, &Subscription::Members(path.clone()));
        }
    }

    /// The handle is closed, and the session with it: each subscription gets its last event. This function deletes no
    /// znode, because the end of the session deletes them.
    pub fn close(&mut self) {
        self.end(Reason::Closed, rc::CLOSING);
    }

    fn end(&mut self, reason: Reason, rc: i32) {
        for (_, mut candidate) in std::mem::take(&mut self.candidates) {
            candidate.end(reason, rc, &mut self.outbox);
        }
        for (_, mut observer) in std::mem::take(&mut self.observers) {
            observer.end(rc, &mut self.outbox);
        }
        for (_, mut watcher) in std::mem::take(&mut self.members) {
            watcher.end(rc, &mut self.outbox);
        }
        self.deadlines.clear();
        self.timetable.clear();
        self.elected.clear();
        self.in_doubt.clear();
        self.session_doomed = false;
        self.outbox.forget_requests();
    }

    /// The session is connected with the timeout that the server granted. It is a new session, requested at
    /// `asked_at` or later, or the same session again.
    pub fn handle_connected(&mut self, now: Time, session: SessionId, timeout_ns: u64, asked_at: Time) {
        self.begin(now);
        match self.link {
            Link::Suspended { .. } => self.lease.resumed(now, timeout_ns),
            _ => self.lease.opened(now, timeout_ns, asked_at),
        }
        self.tell_lease();
        self.link = Link::Up(session);
        // A session that was resumed at this moment needs no touch before its proof.
        self.touched = true;
        self.handle_all(now, &Input::Up(session));
        if !self.elected.is_empty() {
            self.renew(now);
        }
    }

    /// The connection is broken, or could not be made; `rc` is ZooKeeper's number for the reason.
    pub fn handle_suspended(&mut self, now: Time, rc: i32) {
        self.begin(now);
        self.link = match self.link {
            Link::Up(_) => Link::Suspended { rc, renew_at: now.plus_ms(RENEW_AFTER_MS) },
            Link::Suspended { renew_at, .. } => Link::Suspended { rc, renew_at },
            Link::Fresh | Link::Down { .. } => Link::Down { rc },
            Link::Denied { .. } => return,
        };
        self.handle_all(now, &Input::Down(rc));
        // The requests that the end of a lease produced when the connection was already broken.
        for request in self.outbox.forget_unsent() {
            self.handle_reply(now, request, Reply::Unknown);
        }
    }

    /// The session is over: its unanswered requests get no answer.
    pub fn handle_expired(&mut self, now: Time) {
        self.begin(now);
        let rc = rc::SESSION_EXPIRED;
        self.end_session(now, Link::Down { rc }, Reason::Expired, rc);
    }

    /// The servers refused our credentials with this number of ZooKeeper's, and would refuse them again. Each
    /// subscription gets its last event, and so does each later one.
    pub fn handle_denied(&mut self, now: Time, rc: i32) {
        self.begin(now);
        self.link = Link::Denied { rc };
        self.lease.closed();
        self.tell_lease();
        self.proofs.clear();
        self.end(Reason::Denied, rc);
    }

    pub fn handle_reply(&mut self, now: Time, request: RequestId, reply: Reply) {
        self.begin(now);
        let mut asked_to_watch = false;
        if let Some(Sent { at: sent_at, answer, changes, watch }) = self.outbox.answered(request, &reply) {
            asked_to_watch = watch;
            match (&reply, self.outbox.routes.get(&request)) {
                (Reply::Unknown, Some(Subscription::Candidate(path)))
                    if changes && self.config.recipe == Recipe::Node =>
                {
                    self.note_doubt(path.clone());
                }
                (Reply::Unknown, _) => {}
                (Reply::Refused(_) | Reply::NotMaster, _) => self.lease.answered(now, sent_at, Answer::Server),
                _ => self.lease.answered(now, sent_at, answer),
            }
        }
        self.tell_lease();
        let leaves_watch =
            asked_to_watch && !matches!(reply, Reply::Refused(_) | Reply::NotMaster | Reply::Unknown);
        let subscription = match leaves_watch {
            true => self.outbox.routes.get(&request).cloned(),
            false => self.outbox.routes.remove(&request),
        };
        match subscription {
            Some(Subscription::Lease) => self.proof_ended(now, request, &reply),
            // The subscription that sent the request has left.
            Some(subscription) if leaves_watch && !self.is_here(&subscription) => self.outbox.unwatch(request),
            Some(subscription) => self.handle(now, &subscription, Input::Reply(request, reply)),
            None => {}
        }
        self.review(now);
    }

    /// The watch that `request` left has reported an event, and is used up.
    pub fn handle_watch_event(&mut self, now: Time, request: RequestId, news: WatchEvent) {
        self.begin(now);
        if let Some(subscription) = self.outbox.routes.remove(&request) {
            self.handle(now, &subscription, Input::WatchEvent(request, news));
        }
    }

    /// The moment that `poll_timeout` returned has arrived.
    pub fn handle_timeout(&mut self, now: Time) {
        self.begin(now);
        while let Some((at, subscription)) = self.timetable.first().cloned() {
            if at > now {
                break;
            }
            self.handle(now, &subscription, Input::Tick);
            assert!(self.deadlines.get(&subscription).is_none_or(|next| *next > now), "a deadline is met once");
        }
        match self.link {
            Link::Suspended { rc, renew_at } if renew_at <= now => {
                if self.candidates.values().any(Candidate::holds_session) {
                    self.link = Link::Suspended { rc, renew_at: now.plus_ms(RENEW_AFTER_MS) };
                } else {
                    self.end_session(now, Link::Down { rc }, Reason::Suspended, rc);
                    self.outbox.actions.push_back(Action::Renew);
                }
            }
            Link::Up(_) if self.next_renewal().is_some_and(|renew| renew <= now) => self.renew(now),
            _ => {}
        }
    }

    /// The end of the lease: the masters of this session may believe until then.
    pub fn lease_end(&self) -> Option<Time> {
        self.lease.end()
    }

    /// Tells the end of the lease, if it has moved.
    fn tell_lease(&mut self) {
        let end = self.lease.end();
        if std::mem::replace(&mut self.lease_told, end) != end {
            match self.config.keeps(Rule::UnseatFirst) {
                true => self.outbox.actions.push_back(Action::Lease(end)),
                false => self.outbox.actions.push_front(Action::Lease(end)),
            }
        }
    }

    /// The token of our mastership at `path`, if we may believe that we are master at this moment.
    pub fn master_token(&self, now: Time, path: &str) -> Option<i64> {
        let candidate = self.candidates.get(path)?;
        candidate.master_token().filter(|_| self.lease.holds(now))
    }

    /// The calculation of the lease.
    pub fn describe_lease(&self, now: Time) -> Report {
        self.lease.describe(now)
    }

    /// The whole state of the elections.
    pub fn describe(&self, now: Time) -> Report {
        let (state, session, rc) = match self.link {
            Link::Fresh => ("fresh", 0, rc::OK),
            Link::Up(SessionId(session)) => ("up", session, rc::OK),
            Link::Suspended { rc, .. } => ("suspended", 0, rc),
            Link::Down { rc } => ("down", 0, rc),
            Link::Denied { rc } => ("denied", 0, rc),
        };
        let renewed_in = match self.link {
            Link::Suspended { renew_at, .. } => Some(Report::ms_between(now.0, renew_at.0)),
            _ => None,
        };
        let link = Report::from([
            ("state", state.into()),
            ("session_id", Report::session(session)),
            ("rc", rc.into()),
            ("renewed_in_ms", renewed_in.into()),
        ]);
        // Without a connection nothing is renewed, however long ago the last renewal was.
        let next_renewal = self.next_renewal().filter(|_| matches!(self.link, Link::Up(_)));
        let lease = self
            .lease
            .describe(now)
            .with("proofs_under_way", self.proofs.len())
            .with("next_renewal_in_ms", next_renewal.map(|renew| Report::ms_between(now.0, renew.0)));
        let candidates: Vec<_> = self.candidates.values().map(|candidate| candidate.describe(now)).collect();
        let observers: Vec<_> = self.observers.values().map(|observer| observer.describe(now)).collect();
        let watchers: Vec<_> = self.members.values().map(|watcher| watcher.describe(now)).collect();
        Report::from([
            ("link", link),
            ("lease", lease),
            ("candidates", candidates.into()),
            ("observers", observers.into()),
            ("watchers_of_members", watchers.into()),
            ("requests_under_way", self.outbox.under_way(now)),
        ])
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.session_doomed |= std::mem::take(&mut self.outbox.session_is_given_up);
        if self.session_doomed && self.elected.is_empty() {
            let rc = rc::SESSION_EXPIRED;
            self.end_session(self.outbox.now, Link::Down { rc }, Reason::Expired, rc);
            self.outbox.actions.push_back(Action::Renew);
        }
        self.outbox.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let next = self.timetable.first().map(|(at, _)| *at);
        let of_link = match self.link {
            Link::Suspended { renew_at, .. } => Some(renew_at),
            Link::Up(_) => self.next_renewal(),
            _ => None,
        };
        let lapse = self.lease.end().filter(|_| self.anyone_leads());
        next.into_iter().chain(of_link).chain(lapse).min()
    }

    /// Runs before every other step of an input. If the lease has run out, the present input cannot restore it.
    fn begin(&mut self, now: Time) {
        self.outbox.now = now;
        self.lease_held &= self.lease.holds(now);
        if self.config.keeps(Rule::LapseIsFinal) && !self.lease.holds(now) && self.anyone_leads() {
            for path in self.elected.clone() {
                if self.candidates.get(&path).is_some_and(Candidate::led) {
                    self.handle(now, &Subscription::Candidate(path), Input::LeaseExpired);
                }
            }
        }
    }

    /// The znode that represents our mastership at `path`, if we may believe that we are master at this moment. A
    /// write that depends on the mastership is carried out only while the znode exists.
    pub fn fence(&self, now: Time, path: &str) -> Option<Arc<str>> {
        self.master_token(now, path)?;
        self.candidates.get(path)?.elected_by()
    }

    /// A znode with which a candidate is elected. As long as it exists, our session owns it.
    pub fn elected_znode(&self) -> Option<Arc<str>> {
        self.elected.iter().find_map(|path| self.candidates.get(path)?.elected_by())
    }

    fn end_session(&mut self, now: Time, link: Link, reason: Reason, rc: i32) {
        self.link = link;
        self.lease.closed();
        self.tell_lease();
        self.proofs.clear();
        self.in_doubt.clear();
        self.session_doomed = false;
        self.outbox.forget_requests();
        self.handle_all(now, &Input::Over(reason, rc));
    }

    fn is_here(&self, subscription: &Subscription) -> bool {
        match subscription {
            Subscription::Candidate(path) => self.candidates.contains_key(path),
            Subscription::Observer(path) => self.observers.contains_key(path),
            Subscription::Members(path) => self.members.contains_key(path),
            Subscription::Lease => true,
        }
    }

    fn subscriptions(&self) -> Vec<Subscription> {
        let candidates = self.candidates.keys().cloned().map(Subscription::Candidate);
        let observers = self.observers.keys().cloned().map(Subscription::Observer);
        candidates.chain(observers).chain(self.members.keys().cloned().map(Subscription::Members)).collect()
    }

    fn handle_all(&mut self, now: Time, input: &Input) {
        for subscription in self.subscriptions() {
            self.handle(now, &subscription, input.clone());
        }
    }

    /// Brings a new subscription to the present state of the connection.
    fn catch_up(&mut self, now: Time, subscription: &Subscription) {
        match self.link {
            Link::Fresh | Link::Denied { .. } => {}
            Link::Up(session) => self.handle(now, subscription, Input::Up(session)),
            Link::Suspended { rc, .. } | Link::Down { rc } => self.handle(now, subscription, Input::Down(rc)),
        }
    }

    fn handle(&mut self, now: Time, subscription: &Subscription, input: Input) {
        match subscription {
            Subscription::Candidate(path) => {
                if let Some(candidate) = self.candidates.get_mut(path) {
                    candidate.handle(now, input, self.lease.end(), &mut self.outbox);
                }
            }
            Subscription::Observer(path) => {
                if let Some(observer) = self.observers.get_mut(path) {
                    observer.handle(now, input, &mut self.outbox);
                }
            }
            Subscription::Members(path) => {
                if let Some(watcher) = self.members.get_mut(path) {
                    watcher.handle(now, input, &mut self.outbox);
                }
            }
            Subscription::Lease => {}
        }
        self.settle(now, subscription);
    }

    /// Runs after a subscription has acted. Updates its deadline, and starts its successor if it has left.
    fn settle(&mut self, now: Time, subscription: &Subscription) {
        if let Subscription::Observer(path) = subscription {
            if self.observers.get(path).is_some_and(Observer::is_gone) {
                self.observers.remove(path);
            }
        }
        if let Subscription::Members(path) = subscription {
            if self.members.get(path).is_some_and(MembersWatcher::is_gone) {
                self.members.remove(path);
            }
        }
        if let Subscription::Candidate(path) = subscription {
            if self.candidates.get(path).is_some_and(Candidate::is_gone) {
                let left = self.candidates.remove(path);
                if let Some(successor) = left.and_then(Candidate::into_successor) {
                    self.candidates.insert(path.clone(), successor);
                    return self.catch_up(now, subscription);
                }
            }
        }
        if let Subscription::Candidate(path) = subscription {
            self.note_elected(now, path);
        }
        let deadline = match subscription {
            Subscription::Candidate(path) => self.candidates.get(path).and_then(Candidate::deadline),
            Subscription::Observer(path) => self.observers.get(path).and_then(Observer::deadline),
            Subscription::Members(path) => self.members.get(path).and_then(MembersWatcher::deadline),
            Subscription::Lease => None,
        };
        let former = match deadline {
            Some(at) => self.deadlines.insert(subscription.clone(), at),
            None => self.deadlines.remove(subscription),
        };
        if former != deadline {
            if let Some(former) = former {
                self.timetable.remove(&(former, subscription.clone()));
            }
            if let Some(at) = deadline {
                self.timetable.insert((at, subscription.clone()));
            }
        }
    }

    /// Updates the list of elected candidates. An elected candidate without a lease gets a proof at once.
    fn note_elected(&mut self, now: Time, path: &Arc<str>) {
        if self.candidates.get(path).is_none_or(|candidate| candidate.elected_by().is_none()) {
            self.session_doomed |= self.elected.remove(path) && self.in_doubt.contains(path);
        } else if self.elected.insert(path.clone()) && matches!(self.link, Link::Up(_)) && !self.lease.holds(now) {
            self.touched = true;
            self.renew(now);
        }
    }
}
