//! All elections of one session: the candidates and observers by path, the state of the connection that they
//! share, and the way from an answer to whoever asked.

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

/// How long a session that holds nothing may stay suspended before a new one is opened in its place. Whoever
/// holds nothing loses nothing by that, and a fresh session is connected sooner than an old one, whose attempts
/// come at ever longer distances.
const RENEW_AFTER_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Not connected yet, and nothing to report of it.
    Fresh,
    Up(SessionId),
    /// A session that may live on without a connection; renewed at that moment if nothing depends on it.
    Suspended {
        rc: i32,
        renew_at: Time,
    },
    /// No session.
    Down {
        rc: i32,
    },
    /// The servers will have no session of ours.
    Denied {
        rc: i32,
    },
}

/// The elections of one session. See the module `logic` for how to drive it.
#[derive(Debug)]
pub struct Elections {
    config: Config,
    link: Link,
    lease: Lease,
    /// The lease held when it was last looked at.
    lease_held: bool,
    /// The end of it that was told last.
    lease_told: Option<Time>,
    /// When the lease was last worked for: a proof or a touch was sent.
    last_renewal: Time,
    /// When it was last proved, or tried to be.
    last_proof: Time,
    /// That was a touch.
    touched: bool,
    /// The candidates whose recipe says that they are master.
    elected: BTreeSet<Arc<str>>,
    /// The last one whose znode was checked by a proof.
    last_checked: Option<Arc<str>>,
    /// Where a change of our znode, or a write that depends on it, has had no answer: it may be carried out as long as this
    /// session lives, and meet another's znode.
    in_doubt: BTreeSet<Arc<str>>,
    /// One of these places was given up: the session is to end as soon as nobody leads in it.
    session_doomed: bool,
    /// What the proofs under way check.
    proofs: BTreeMap<RequestId, Vec<Arc<str>>>,
    candidates: BTreeMap<Arc<str>, Candidate>,
    observers: BTreeMap<Arc<str>, Observer>,
    members: BTreeMap<Arc<str>, MembersWatcher>,
    /// Each subscription's next moment, and the same by moment.
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

    /// Stand at `path` with `value`. At most one candidacy at a path stands at a time; a second one may be
    /// handed in once the first has resigned, and starts when that has left. `guid` is a number that no other
    /// candidate anywhere has, nor the few that follow it.
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

    /// Stand with another value from now on. The znode that stands gets it, however long it takes until that can be
    /// done, and so does each that is made later.
    pub fn set_value(&mut self, now: Time, id: SubscriptionId, path: &Arc<str>, value: Value) {
        self.begin(now);
        if let Some(candidate) = self.candidates.get_mut(path) {
            candidate.set_value(now, id, value, self.lease.end(), &mut self.outbox);
            self.settle(now, &Subscription::Candidate(path.clone()));
        }
    }

    /// Stop standing. The candidate hears so at once, as its last news; its znode is deleted, however long it
    /// takes until that can be done.
    pub fn resign(&mut self, now: Time, id: SubscriptionId, path: &Arc<str>) {
        self.begin(now);
        if let Some(candidate) = self.candidates.get_mut(path) {
            candidate.resign(now, id, &mut self.outbox);
            self.settle(now, &Subscription::Candidate(path.clone()));
        }
    }

    /// A write that depended on our mastership at `path` has had no answer, and may be carried out later: it comes by way of a
    /// server that we have left, and the check that our znode stands is one of a path. Another master's may stand there
    /// by then, unless what ends with our mastership is the session: then ZooKeeper refuses the write.
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

    /// Report who is master at `path`, and every change. One observer for each path.
    pub fn observe(&mut self, now: Time, id: SubscriptionId, path: Arc<str>) {
        self.begin(now);
        let mut observer = Observer::new(id, path.clone(), self.config.recipe);
        if let Link::Denied { rc } = self.link {
            return observer.end(rc, &mut self.outbox);
        }
        self.observers.insert(path.clone(), observer);
        self.catch_up(now, &Subscription::Observer(path));
    }

    /// Report no longer.
    pub fn unobserve(&mut self, now: Time, id: SubscriptionId, path: &Arc<str>) {
        self.begin(now);
        if self.observers.get(path).is_some_and(|observer| observer.id() == id) {
            if let Some(mut observer) = self.observers.remove(path) {
                observer.stop(&mut self.outbox);
            }
            self.settle(now, &Subscription::Observer(path.clone()));
        }
    }

    /// Report who is in at `path`, and every change, with an alarm when fewer than `enough` are (0 for none). One such
    /// watcher for each path.
    pub fn watch_members(&mut self, now: Time, id: SubscriptionId, path: Arc<str>, enough: usize) {
        self.begin(now);
        let mut watcher = MembersWatcher::new(id, path.clone(), enough, self.config.recipe);
        if let Link::Denied { rc } = self.link {
            return watcher.end(rc, &mut self.outbox);
        }
        self.members.insert(path.clone(), watcher);
        self.catch_up(now, &Subscription::Members(path));
    }

    /// Report who is in no longer.
    pub fn unwatch_members(&mut self, now: Time, id: SubscriptionId, path: &Arc<str>) {
        self.begin(now);
        if self.members.get(path).is_some_and(|watcher| watcher.id() == id) {
            if let Some(mut watcher) = self.members.remove(path) {
                watcher.stop(&mut self.outbox);
            }
            self.settle(now, &Subscription::Members(path.clone()));
        }
    }

    /// The handle is closed, and the session with it: the last news to everybody. Nothing is deleted here, the
    /// end of the session does that.
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

    /// The session is connected: a new one, which was asked for at `asked_at` or later, or the same one again; with this
    /// timeout, as the server granted it.
    pub fn handle_connected(&mut self, now: Time, session: SessionId, timeout_ns: u64, asked_at: Time) {
        self.begin(now);
        match self.link {
            Link::Suspended { .. } => self.lease.resumed(now, timeout_ns),
            _ => self.lease.opened(now, timeout_ns, asked_at),
        }
        self.tell_lease();
        self.link = Link::Up(session);
        // A session that was resumed just now needs no touch before its proof.
        self.touched = true;
        self.handle_all(now, &Input::Up(session));
        if !self.elected.is_empty() {
            self.renew(now);
        }
    }

    /// The connection is broken, or could not be made; `rc` is ZooKeeper's number for why.
    pub fn handle_suspended(&mut self, now: Time, rc: i32) {
        self.begin(now);
        self.link = match self.link {
            Link::Up(_) => Link::Suspended { rc, renew_at: now.plus_ms(RENEW_AFTER_MS) },
            Link::Suspended { renew_at, .. } => Link::Suspended { rc, renew_at },
            Link::Fresh | Link::Down { .. } => Link::Down { rc },
            Link::Denied { .. } => return,
        };
        self.handle_all(now, &Input::Down(rc));
        // What the end of a lease had just asked for, when there was no connection any more.
        for request in self.outbox.forget_unsent() {
            self.handle_reply(now, request, Reply::Unknown);
        }
    }

    /// The session is over: no request of it that has no answer yet gets one.
    pub fn handle_expired(&mut self, now: Time) {
        self.begin(now);
        let rc = rc::SESSION_EXPIRED;
        self.end_session(now, Link::Down { rc }, Reason::Expired, rc);
    }

    /// The servers refused our credentials, with this number of ZooKeeper's, and would refuse them again: the last
    /// news to everybody, and to whoever comes later.
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
                (Reply::Refused(_), _) => self.lease.answered(now, sent_at, Answer::Server),
                _ => self.lease.answered(now, sent_at, answer),
            }
        }
        self.tell_lease();
        let leaves_watch = asked_to_watch && !matches!(reply, Reply::Refused(_) | Reply::Unknown);
        let subscription = match leaves_watch {
            true => self.outbox.routes.get(&request).cloned(),
            false => self.outbox.routes.remove(&request),
        };
        match subscription {
            Some(Subscription::Lease) => self.proof_ended(now, request, &reply),
            // Whoever asked has left.
            Some(subscription) if leaves_watch && !self.is_here(&subscription) => self.outbox.unwatch(request),
            Some(subscription) => self.handle(now, &subscription, Input::Reply(request, reply)),
            None => {}
        }
        self.review(now);
    }

    /// The watch that `request` left has seen something, and is spent.
    pub fn handle_watch_event(&mut self, now: Time, request: RequestId, news: WatchEvent) {
        self.begin(now);
        if let Some(subscription) = self.outbox.routes.remove(&request) {
            self.handle(now, &subscription, Input::WatchEvent(request, news));
        }
    }

    /// The moment of `poll_timeout` has come.
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

    /// Until when the masters of this session may believe.
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

    /// The token of our mastership at `path`, if we may believe in one at this moment.
    pub fn master_token(&self, now: Time, path: &str) -> Option<i64> {
        let candidate = self.candidates.get(path)?;
        candidate.master_token().filter(|_| self.lease.holds(now))
    }

    /// The arithmetic of the lease.
    pub fn describe_lease(&self, now: Time) -> Report {
        self.lease.describe(now)
    }

    /// What all of this is, and believes.
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
        // Without a connection nothing is renewed, however long ago the last time was.
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

    /// Before anything else is handled: a lease that has run out has run out, whatever is heard now.
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

    /// The znode that stands for our mastership at `path`, if we may believe in one at this moment: a write that
    /// depends on it is carried out only while it stands.
    pub fn fence(&self, now: Time, path: &str) -> Option<Arc<str>> {
        self.master_token(now, path)?;
        self.candidates.get(path)?.elected_by()
    }

    /// A znode with which a candidate is elected: as long as it stands, its owner is our session.
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

    /// Bring a new subscription to where the link is.
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

    /// After a subscription has acted: its place in the timetable, and its successor if it has left.
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

    /// Keeps the list of the elected. Whoever is elected without a lease gets a proof at once.
    fn note_elected(&mut self, now: Time, path: &Arc<str>) {
        if self.candidates.get(path).is_none_or(|candidate| candidate.elected_by().is_none()) {
            self.session_doomed |= self.elected.remove(path) && self.in_doubt.contains(path);
        } else if self.elected.insert(path.clone()) && matches!(self.link, Link::Up(_)) && !self.lease.holds(now) {
            self.touched = true;
            self.renew(now);
        }
    }
}
