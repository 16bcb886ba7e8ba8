//! What must be true in every story, whatever its file says. The driver's side of the contract is checked as
//! well (an answer answers an open request, a watch fires once), so that no story tells what cannot happen.

use std::collections::{BTreeMap, BTreeSet};

use election::testing::logic::{
    rc, Action, Alarm, CallId, Event, Master, Members, Op, Reply, RequestId, Role, SubscriptionId, Time,
};

use crate::notation::{Input, Parsed};

#[derive(Default)]
pub struct Audit {
    pub connected: bool,
    /// Requests go with the one for a new session.
    pub opening: bool,
    /// The end of the lease that was told last.
    pub lease_end: Option<Time>,
    /// The requests without an answer.
    open: BTreeMap<RequestId, Op>,
    /// Those of them that were sent on a connection which is broken: no answer comes any more.
    lost: BTreeSet<RequestId>,
    /// The watches that are armed, and on what.
    pub watches: BTreeMap<RequestId, String>,
    /// Those whose news are not over: where they stand, and what they were told last.
    pub candidates: BTreeMap<SubscriptionId, (String, Option<Event>)>,
    pub observers: BTreeMap<SubscriptionId, Option<Master>>,
    pub watchers_of_members: BTreeMap<SubscriptionId, Option<Members>>,
    pub calls: Calls,
}

/// Questions and fenced writes. Each is answered once.
#[derive(Default)]
pub struct Calls {
    last: u64,
    open: BTreeSet<CallId>,
}

impl Calls {
    pub fn begin(&mut self) -> CallId {
        self.last += 1;
        self.open.insert(CallId(self.last));
        CallId(self.last)
    }
}

impl Audit {
    /// Whether this can happen, as things are.
    pub fn before(&mut self, input: &Input) -> Parsed<()> {
        match input {
            Input::Connected { .. } => ensure(!self.connected, "it is connected already")?,
            Input::Opening => ensure(!self.connected, "it is connected already")?,
            Input::NotOpened => ensure(self.opening && self.open.is_empty(), "not all requests are answered")?,
            Input::Suspended(_) => self.lost.extend(self.open.keys()),
            Input::Expired | Input::Denied(_) => self.session_is_over(),
            Input::Reply(request, reply) => {
                let op = self.open.remove(request).ok_or(format!("no request {} is open", request.0))?;
                ensure(answers(&op, reply), "that does not answer this request")?;
                let lost = self.lost.remove(request) && reply.is_answer();
                ensure(!lost, "the connection on which that was asked is broken")?;
                if leaves_watch(&op, reply) {
                    self.watches.insert(*request, path_of(&op));
                }
            }
            Input::Watch(request, _) => {
                self.watches.remove(request).ok_or(format!("no watch {} is armed", request.0))?;
            }
            _ => {}
        }
        self.connected = match input {
            Input::Connected { .. } => true,
            Input::Suspended(_) | Input::Expired | Input::Denied(_) | Input::Close => false,
            _ => self.connected,
        };
        self.opening = match input {
            Input::Opening => true,
            Input::NotOpened | Input::Connected { .. } | Input::Denied(_) => false,
            _ => self.opening,
        };
        Ok(())
    }

    /// Whether this may be done, as things are.
    pub fn action(&mut self, now: Time, action: &Action) -> Parsed<()> {
        match action {
            Action::Submit(request, op) => {
                ensure(self.connected || self.opening, "a request while there is no connection")?;
                let master = |(path, told): &(String, Option<Event>)| {
                    path_of(op).starts_with(path.as_str())
                        && told.as_ref().is_some_and(|told| told.role == Role::Master)
                };
                let deletes = matches!(op, Op::Delete { .. });
                ensure(!deletes || !self.candidates.values().any(master), "deleted before the master was told")?;
                self.open.insert(*request, op.clone());
            }
            Action::Unwatch(request) => {
                let was_open = self.open.remove(request).is_some();
                ensure(self.watches.remove(request).is_some() || was_open, "there is no such watch")?;
            }
            Action::TellRole(id, event) => {
                let (_, told) = self.candidates.get_mut(id).ok_or("told after its last news")?;
                let former = told.replace(event.clone());
                let leads = |event: &Event| event.role == Role::Master;
                ensure(former.as_ref() != Some(event), "told twice")?;
                ensure(
                    !leads(event) || !former.is_some_and(|former| leads(&former)),
                    "master twice without an end",
                )?;
                let leased = self.lease_end.is_some_and(|end| now < end);
                ensure(!leads(event) || leased, "told to be master without a lease")?;
            }
            Action::TellMaster(id, master) => {
                let told = self.observers.get_mut(id).ok_or("shown after its last news")?;
                ensure(told.replace(master.clone()).as_ref() != Some(master), "shown twice")?;
            }
            Action::TellMembers(id, members) => {
                let told = self.watchers_of_members.get_mut(id).ok_or("shown after its last news")?;
                ensure(told.replace(members.clone()).as_ref() != Some(members), "shown twice")?;
                let nobody_can_tell = members.rc != rc::OK;
                ensure(!nobody_can_tell || members.members.is_empty(), "members though nobody can tell")?;
                ensure(!nobody_can_tell || members.alarm == Alarm::None, "an alarm though nobody can tell")?;
            }
            Action::Finished(id) => {
                let candidate = self.candidates.remove(id).is_some();
                let looks_on = self.observers.remove(id).is_some() || self.watchers_of_members.remove(id).is_some();
                ensure(candidate || looks_on, "dismissed twice")?;
            }
            Action::Lease(end) => {
                // Whoever asks between two actions hears of no mastership that was over.
                let has_run_out = self.lease_end.is_some_and(|former| former <= now);
                let leads = |told: &Option<Event>| told.as_ref().is_some_and(|told| told.role == Role::Master);
                let unseated = !self.candidates.values().any(|(_, told)| leads(told));
                ensure(!has_run_out || end.is_none() || unseated, "a lease that had run out goes on")?;
                self.lease_end = *end;
            }
            Action::Answer(id, _) => ensure(self.calls.open.remove(id), "answered twice")?,
            Action::Pace(_) => {}
            Action::Renew => self.session_is_over(),
        }
        Ok(())
    }

    /// Between two steps.
    pub fn after(&self, next: Option<Time>) -> Parsed<()> {
        let parties = self.parties();
        for path in self.watches.values() {
            let watches = self.watches.values().filter(|other| *other == path).count();
            // Whoever leaves is dismissed already, and may still watch.
            ensure(watches <= parties.max(1), "more watches on a znode than there are who could want them")?;
        }
        let at_rest = self.open.is_empty() && next.is_none();
        let idle = self.connected && parties == 0 && at_rest;
        ensure(!idle || self.watches.is_empty(), "a watch that nobody is left to want")
    }

    /// Nothing of ZooKeeper's will wake those who are not dismissed: a timer must.
    pub fn waits_for_a_timer(&self) -> bool {
        let beat = |op: &Op| matches!(op, Op::Prove { .. } | Op::Touch);
        let parties = self.parties();
        self.connected && parties > 0 && self.watches.is_empty() && self.open.values().all(beat)
    }

    fn parties(&self) -> usize {
        self.candidates.len() + self.observers.len() + self.watchers_of_members.len()
    }

    fn session_is_over(&mut self) {
        self.open.clear();
        self.lost.clear();
        self.watches.clear();
        self.connected = false;
    }
}

fn ensure(true_: bool, complaint: &str) -> Parsed<()> {
    true_.then_some(()).ok_or(complaint.to_string())
}

fn answers(op: &Op, reply: &Reply) -> bool {
    match (op, reply) {
        (_, Reply::Refused(_) | Reply::Unknown | Reply::NotSent) => true,
        (Op::CreateSequential { prefix, .. }, Reply::CreatedAs(path, _)) => path.starts_with(&**prefix),
        (Op::Create { .. }, Reply::Created(_)) | (Op::Read { .. }, Reply::Read(_)) => true,
        (Op::Exists { .. }, Reply::Exists(_)) | (Op::Stat { .. }, Reply::Stat(_)) => true,
        (Op::List { .. }, Reply::Listed(_)) => true,
        (Op::MakeParents { .. } | Op::SetValue { .. } | Op::Delete { .. }, Reply::Done) => true,
        (Op::Prove { .. } | Op::Touch, Reply::Done) => true,
        (Op::Write { .. }, Reply::Done | Reply::NotMaster) => true,
        _ => false,
    }
}

fn leaves_watch(op: &Op, reply: &Reply) -> bool {
    op.leaves_watch() && reply.is_success()
}

fn path_of(op: &Op) -> String {
    match op {
        Op::Create { path, .. } | Op::MakeParents { path } | Op::Read { path, .. } | Op::Exists { path } => path,
        Op::List { path, .. } | Op::Delete { path, .. } | Op::Stat { path } => path,
        Op::SetValue { path, .. } => path,
        Op::CreateSequential { prefix, .. } => prefix,
        Op::Write { own, .. } => own,
        Op::Prove { .. } | Op::Touch => return String::new(),
    }
    .to_string()
}
