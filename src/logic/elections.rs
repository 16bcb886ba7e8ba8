//! All elections of one session: the subscriptions, the state of the connection that they share, and the routing of each
//! answer to the subscription that sent the request. `handle` is the only way in.

mod efforts;
mod proofs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::efforts::Efforts;
use super::candidate::{Candidate, Entry};
use super::config::{Config, Recipe, Rule};
use super::fenced_write::FencedWrite;
use super::input::Input;
use super::lease::{Answer, Asked, Lease};
use super::members::MembersWatcher;
use super::observer::Observer;
use super::outbox::{Outbox, Sent};
use super::question::{Question, Wanted};
use super::recipe::Effort;
use super::report::Report;
use super::subscription::{Context, Key, Subscription, Trigger};
use super::types::{
    rc, Action, Call, CallId, Outcome, Pace, Reason, Reply, RequestId, SessionId, SubscriptionId, Time,
};

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
    /// A new session is asked for, and requests are sent with that.
    is_opening: bool,
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
    /// The last touch, while it has no answer.
    touch: Option<RequestId>,
    /// The candidates that are master according to their recipe.
    elected: BTreeSet<Arc<str>>,
    /// Those of them that have led: the end of the lease ends their masterships.
    led: BTreeSet<Arc<str>>,
    /// The candidates that work for the lease: those, and each that is next in a queue.
    at_work: BTreeSet<Arc<str>>,
    /// What each candidate needs of the session.
    efforts: Efforts,
    /// What the driver was told last.
    pace: Pace,
    /// The last of these candidates with a znode that a proof checked.
    last_checked: Option<Arc<str>>,
    /// The paths at which a change of our znode, or a write that depends on our znode, had no answer. The server may
    /// carry it out as long as this session lives, and another contender's znode may stand at the path by then.
    in_doubt: BTreeSet<Arc<str>>,
    /// We gave up one of the paths in `in_doubt`: the session must end, and with it all that leads in it.
    session_ends: bool,
    /// The session must end as soon as no candidate leads in the session.
    session_doomed: bool,
    /// The znodes that each proof under way checks, by path of the election.
    proofs: BTreeMap<RequestId, Vec<Arc<str>>>,
    subscriptions: BTreeMap<Key, Box<dyn Subscription>>,
    /// The next deadline of each subscription, and the same deadlines ordered by moment.
    deadlines: BTreeMap<Key, Time>,
    timetable: BTreeSet<(Time, Key)>,
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
            is_opening: false,
            lease: Lease::new(config),
            lease_held: false,
            lease_told: None,
            last_renewal: Time(0),
            last_proof: Time(0),
            touched: false,
            touch: None,
            elected: BTreeSet::new(),
            led: BTreeSet::new(),
            at_work: BTreeSet::new(),
            efforts: Efforts::default(),
            pace: Pace::default(),
            last_checked: None,
            in_doubt: BTreeSet::new(),
            session_ends: false,
            session_doomed: false,
            proofs: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            timetable: BTreeSet::new(),
            outbox: Outbox::new(config.recipe),
        }
    }

    /// Something has happened. What is to be done about it is in `poll_action`.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.begin(now);
        match input {
            Input::Opening => self.opening(now),
            Input::NotOpened => {
                self.answer_unsent(now);
                self.is_opening = false;
                self.lease.not_opened();
            }
            Input::Connected { session, timeout_ns, asked_at, asked_since } => {
                self.connected(now, session, timeout_ns, Asked { at: asked_at, since: asked_since })
            }
            Input::Suspended(rc) => self.suspended(now, rc),
            Input::Expired => {
                let rc = rc::SESSION_EXPIRED;
                self.end_session(now, Link::Down { rc }, Reason::Expired, rc);
            }
            Input::Denied(rc) => self.denied(rc),
            Input::Reply(request, reply) => self.replied(now, request, reply),
            Input::WatchEvent(request, news) => {
                if let Some(key) = self.outbox.routes.remove(&request) {
                    self.trigger(now, &key, Trigger::WatchEvent(request, news));
                }
            }
            Input::Timeout => self.time_has_come(now),
            Input::Stand { id, path, value, guid, once } => self.stand(now, path, Entry { id, value, guid, once }),
            Input::Observe { id, path } => {
                let observer = Observer::new(id, path.clone(), self.config.recipe);
                self.subscribe(now, id, Key::Observer(path), Box::new(observer));
            }
            Input::WatchMembers { id, path, enough } => {
                let watcher = MembersWatcher::new(id, path.clone(), enough, self.config.recipe);
                self.subscribe(now, id, Key::Members(path), Box::new(watcher));
            }
            Input::SetValue(id, value) => self.called(now, id, Trigger::SetValue(value)),
            Input::Leave(id) => self.called(now, id, Trigger::Unsubscribe),
            Input::Call(id, call) => self.call(now, id, call),
            Input::Close => self.end(Reason::Closed, rc::CLOSING),
        }
        self.end_doomed_session(now);
        self.tell_pace();
    }

    /// Tells how much hangs on the session, if that has changed. Without a connection, a new one is wanted soon.
    fn tell_pace(&mut self) {
        let pace = match (self.link, self.efforts.most()) {
            (Link::Up(_), None | Some(Effort::Session)) => Pace::Session,
            _ => Pace::Lease,
        };
        if std::mem::replace(&mut self.pace, pace) != pace {
            self.outbox.actions.push_back(Action::Pace(pace));
        }
    }

    fn stand(&mut self, now: Time, path: Arc<str>, entry: Entry) {
        let (id, key) = (entry.id, Key::Candidate(path.clone()));
        if self.subscriptions.contains_key(&key) {
            let down = match self.link {
                Link::Suspended { rc, .. } | Link::Down { rc } => Some(rc),
                Link::Fresh | Link::Up(_) | Link::Denied { .. } => None,
            };
            self.outbox.subscribed.insert(id, key.clone());
            return self.trigger(now, &key, Trigger::StandAgain(entry, down));
        }
        self.subscribe(now, id, key, Box::new(Candidate::new(path, entry, self.config)));
    }

    /// Adds a subscription, and brings it to the present state of the connection.
    fn subscribe(&mut self, now: Time, id: SubscriptionId, key: Key, subscription: Box<dyn Subscription>) {
        self.outbox.subscribed.insert(id, key.clone());
        self.subscriptions.insert(key.clone(), subscription);
        match self.link {
            Link::Denied { rc } => self.end_one(&key, Reason::Denied, rc),
            _ => self.catch_up(now, &key),
        }
    }

    /// The program has called the subscription `id`. If it has had its last event, nothing is left to be done.
    fn called(&mut self, now: Time, id: SubscriptionId, trigger: Trigger) {
        if let Some(key) = self.outbox.subscribed.get(&id).cloned() {
            self.trigger(now, &key, trigger);
        }
    }

    /// The program asks, or writes.
    fn call(&mut self, now: Time, id: CallId, call: Call) {
        let recipe = self.config.recipe;
        let key = Key::Call(id);
        match call {
            Call::Write { path, write } if self.fence(now, &path).is_some() => {
                self.subscriptions.insert(key, Box::new(FencedWrite::new(id, path, write)));
                self.fence_writes(now);
            }
            Call::Write { .. } => self.outbox.actions.push_back(Action::Answer(id, Outcome::NotMaster)),
            Call::Master { .. } | Call::Members { .. } if !matches!(self.link, Link::Up(_)) => {
                self.outbox.actions.push_back(Action::Answer(id, Outcome::Unknown));
            }
            Call::Master { path } => {
                self.subscriptions.insert(key.clone(), Box::new(Question::new(id, path, recipe, Wanted::Master)));
                self.catch_up(now, &key);
            }
            Call::Members { path } => {
                self.subscriptions.insert(key.clone(), Box::new(Question::new(id, path, recipe, Wanted::Members)));
                self.catch_up(now, &key);
            }
        }
    }

    /// Sends the writes that wait, if a connection exists.
    fn fence_writes(&mut self, now: Time) {
        if !matches!(self.link, Link::Up(_)) {
            return;
        }
        let calls = self.subscriptions.range(Key::Call(CallId(0))..);
        let writes: Vec<_> =
            calls.filter_map(|(key, call)| Some((key.clone(), call.election()?.clone()))).collect();
        for (key, path) in writes {
            let own = self.fence(now, &path);
            self.trigger(now, &key, Trigger::Fence(own));
        }
    }

    fn note_doubt(&mut self, path: Arc<str>) {
        if self.config.keeps(Rule::DoubtEndsSession) {
            self.session_ends |= !self.elected.contains(&path);
            self.in_doubt.insert(path);
        }
    }

    /// If the session must end: gives it up. A late write may hit the znode of another master only after ours is gone at
    /// that path, and ours goes no sooner than the session.
    fn end_doomed_session(&mut self, now: Time) {
        let names_return = match self.config.recipe {
            Recipe::Node => true,
            Recipe::Queue(dialect) => !dialect.has_guid(),
        };
        for path in std::mem::take(&mut self.outbox.writes_in_doubt) {
            if names_return {
                self.note_doubt(path);
            }
        }
        self.session_doomed |= std::mem::take(&mut self.outbox.session_is_given_up);
        if self.session_ends || self.session_doomed && self.elected.is_empty() {
            let rc = rc::SESSION_EXPIRED;
            self.end_session(now, Link::Down { rc }, Reason::Expired, rc);
            self.outbox.actions.push_back(Action::Renew);
        }
    }

    /// No session exists any more, and none will follow.
    fn end(&mut self, reason: Reason, rc: i32) {
        for key in self.keys() {
            self.end_one(&key, reason, rc);
        }
        self.deadlines.clear();
        self.timetable.clear();
        self.elected.clear();
        self.led.clear();
        self.at_work.clear();
        self.efforts = Efforts::default();
        self.in_doubt.clear();
        (self.session_ends, self.session_doomed) = (false, false);
        self.outbox.forget_requests();
    }

    fn end_one(&mut self, key: &Key, reason: Reason, rc: i32) {
        if let Some(mut subscription) = self.subscriptions.remove(key) {
            let mut context = Context { key, lease_end: None, outbox: &mut self.outbox };
            subscription.handle(context.outbox.now, Trigger::End(reason, rc), &mut context);
        }
    }

    /// The first requests go with the one for the session. What they find is believed when the session stands: no
    /// answer comes before that.
    fn opening(&mut self, now: Time) {
        if matches!(self.link, Link::Fresh | Link::Down { .. }) {
            self.is_opening = true;
            self.lease.opening(now);
            self.trigger_all(now, &Trigger::Opening);
        }
    }

    fn connected(&mut self, now: Time, session: SessionId, timeout_ns: u64, asked: Asked) {
        self.is_opening = false;
        match self.link {
            Link::Suspended { .. } => self.lease.resumed(now, timeout_ns, asked),
            _ => self.lease.opened(now, timeout_ns, asked.at),
        }
        self.tell_lease();
        self.link = Link::Up(session);
        // A session that was resumed at this moment needs no touch before its proof.
        self.touched = true;
        self.trigger_all(now, &Trigger::Up(session));
        if !self.at_work.is_empty() {
            self.renew(now);
        }
        self.fence_writes(now);
    }

    fn suspended(&mut self, now: Time, rc: i32) {
        self.link = match self.link {
            Link::Up(_) => Link::Suspended { rc, renew_at: now.plus_ms(RENEW_AFTER_MS) },
            Link::Suspended { renew_at, .. } => Link::Suspended { rc, renew_at },
            Link::Fresh | Link::Down { .. } => Link::Down { rc },
            Link::Denied { .. } => return,
        };
        self.trigger_all(now, &Trigger::Down(rc));
        self.answer_unsent(now);
    }

    /// The requests that the driver has not fetched, for example those that the end of a lease produced when the
    /// connection was already broken.
    fn answer_unsent(&mut self, now: Time) {
        for request in self.outbox.forget_unsent() {
            self.replied(now, request, Reply::NotSent);
        }
    }

    fn denied(&mut self, rc: i32) {
        self.link = Link::Denied { rc };
        self.is_opening = false;
        self.lease.closed();
        self.tell_lease();
        self.proofs.clear();
        self.end(Reason::Denied, rc);
    }

    fn replied(&mut self, now: Time, request: RequestId, reply: Reply) {
        let mut asked_to_watch = false;
        if self.is_opening && reply == Reply::Unknown && self.config.keeps(Rule::OwnOpening) {
            // Nobody knows the session in which it may have been carried out.
            self.outbox.forget_create(request);
        }
        if let Some(Sent { at: sent_at, answer, may_change_another, watch }) = self.outbox.answered(request, &reply)
        {
            asked_to_watch = watch;
            match (&reply, self.outbox.routes.get(&request)) {
                (Reply::Unknown, Some(Key::Candidate(path))) if may_change_another => {
                    self.note_doubt(path.clone());
                }
                // The lease counts nothing that the program asks.
                (Reply::Unknown | Reply::NotSent, _) | (_, Some(Key::Call(_))) => {}
                (Reply::Refused(_) | Reply::NotMaster, _) => self.lease.answered(now, sent_at, Answer::Server),
                _ => self.lease.answered(now, sent_at, answer),
            }
        }
        self.tell_lease();
        let leaves_watch = asked_to_watch && reply.is_success();
        let key = match leaves_watch {
            true => self.outbox.routes.get(&request).cloned(),
            false => self.outbox.routes.remove(&request),
        };
        match key {
            Some(Key::Lease) => self.proof_ended(now, request, &reply),
            // The subscription that sent the request has left.
            Some(key) if leaves_watch && !self.subscriptions.contains_key(&key) => self.outbox.unwatch(request),
            Some(key) => self.trigger(now, &key, Trigger::Reply(request, reply)),
            None => {}
        }
        self.review(now);
    }

    fn time_has_come(&mut self, now: Time) {
        while let Some((at, key)) = self.timetable.first().cloned() {
            if at > now {
                break;
            }
            self.trigger(now, &key, Trigger::Tick);
            assert!(self.deadlines.get(&key).is_none_or(|next| *next > now), "a deadline is met once");
        }
        match self.link {
            Link::Suspended { rc, renew_at } if renew_at <= now => {
                if self.candidates().any(Candidate::holds_session) {
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
        let candidate = self.candidate(&path.into())?;
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
        let all_of = |kind: &str| {
            let of_kind = self.subscriptions.iter().filter(|(key, _)| key.names().0 == kind);
            Report::List(of_kind.map(|(_, subscription)| subscription.describe(now)).collect())
        };
        Report::from([
            ("link", link),
            ("lease", lease),
            ("candidates", all_of("candidate")),
            ("observers", all_of("observer")),
            ("watchers_of_members", all_of("members")),
            ("requests_under_way", self.outbox.under_way(now)),
        ])
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.outbox.actions.pop_front()
    }

    /// The moment of the next `Input::Timeout`.
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
            for path in self.led.clone() {
                self.trigger(now, &Key::Candidate(path), Trigger::LeaseExpired);
            }
        }
    }

    /// The znode that represents our mastership at `path`, if we may believe that we are master at this moment. A
    /// write that depends on the mastership is carried out only while the znode exists.
    pub fn fence(&self, now: Time, path: &str) -> Option<Arc<str>> {
        self.master_token(now, path)?;
        self.candidate(&path.into())?.elected_by()
    }

    fn end_session(&mut self, now: Time, link: Link, reason: Reason, rc: i32) {
        self.link = link;
        self.lease.closed();
        self.tell_lease();
        self.proofs.clear();
        self.in_doubt.clear();
        (self.session_ends, self.session_doomed) = (false, false);
        self.outbox.forget_requests();
        self.trigger_all(now, &Trigger::Over(reason, rc));
    }

    fn keys(&self) -> Vec<Key> {
        self.subscriptions.keys().cloned().collect()
    }

    fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        // They come first.
        self.subscriptions.values().map_while(|subscription| subscription.candidate())
    }

    fn candidate(&self, path: &Arc<str>) -> Option<&Candidate> {
        self.subscriptions.get(&Key::Candidate(path.clone()))?.candidate()
    }

    fn trigger_all(&mut self, now: Time, trigger: &Trigger) {
        for key in self.keys() {
            self.trigger(now, &key, trigger.clone());
        }
    }

    /// Brings a new subscription to the present state of the connection.
    fn catch_up(&mut self, now: Time, key: &Key) {
        match self.link {
            Link::Fresh | Link::Down { .. } if self.is_opening => self.trigger(now, key, Trigger::Opening),
            Link::Fresh | Link::Denied { .. } => {}
            Link::Up(session) => self.trigger(now, key, Trigger::Up(session)),
            Link::Suspended { rc, .. } | Link::Down { rc } => self.trigger(now, key, Trigger::Down(rc)),
        }
    }

    fn trigger(&mut self, now: Time, key: &Key, trigger: Trigger) {
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            let mut context = Context { key, lease_end: self.lease.end(), outbox: &mut self.outbox };
            subscription.handle(now, trigger, &mut context);
        }
        self.settle(now, key);
    }

    /// Runs after a subscription has acted. Updates its deadline, and starts its successor if it is gone.
    fn settle(&mut self, now: Time, key: &Key) {
        if self.subscriptions.get(key).is_some_and(|subscription| subscription.is_gone()) {
            let left = self.subscriptions.remove(key);
            if let Some(successor) = left.and_then(|left| left.into_successor()) {
                self.subscriptions.insert(key.clone(), successor);
                return self.catch_up(now, key);
            }
        }
        if let Key::Candidate(path) = key {
            self.note_elected(now, path);
        }
        let deadline = self.subscriptions.get(key).and_then(|subscription| subscription.deadline());
        let former = match deadline {
            Some(at) => self.deadlines.insert(key.clone(), at),
            None => self.deadlines.remove(key),
        };
        if former != deadline {
            if let Some(former) = former {
                self.timetable.remove(&(former, key.clone()));
            }
            if let Some(at) = deadline {
                self.timetable.insert((at, key.clone()));
            }
        }
    }

    /// Updates the lists of candidates that are elected, or work for a lease. One that begins to, and has no lease,
    /// gets a proof at once.
    fn note_elected(&mut self, now: Time, path: &Arc<str>) {
        let leads = |candidate: &Candidate| candidate.led() && candidate.elected_by().is_some();
        match self.candidate(path).is_some_and(leads) {
            true => _ = self.led.insert(path.clone()),
            false => _ = self.led.remove(path),
        }
        let effort = self.candidate(path).map(Candidate::effort);
        self.efforts.note(path, effort);
        let has = |znode: fn(&Candidate) -> Option<Arc<str>>| self.candidate(path).and_then(znode).is_some();
        let (is_elected, is_at_work) = (has(Candidate::elected_by), has(Candidate::proved_by));
        let begins = match is_at_work {
            true => self.at_work.insert(path.clone()),
            false => {
                self.at_work.remove(path);
                false
            }
        };
        let is_elected_now = match is_elected {
            true => self.elected.insert(path.clone()),
            false => {
                self.session_ends |= self.elected.remove(path) && self.in_doubt.contains(path);
                false
            }
        };
        if (begins || is_elected_now) && matches!(self.link, Link::Up(_)) && !self.lease.holds(now) {
            self.touched = true;
            self.renew(now);
        }
    }
}
