//! A watcher of the members: one call of `election_watch_members` (seeds 001 and 002). It knows the members, their
//! order and their values, and reports each member that joins, leaves, or changes its value. It works in rounds:
//!
//! - *It watches the list*, and reads the list again when it has changed. If the path is missing, `exists` leaves the
//!   watch.
//! - *The read of a member's value also leaves the watch on that member.* A round reads the members without a watch:
//!   new members, and members with a changed value. It reads a few at a time, however many members exist.
//! - *At the end of a round it reports once*, however many changes there were. Events that arrive during the round
//!   belong to the next round.
//! - *If a member leaves*, the watch on the list reports that as well, so the member's own watch causes no request.
//! - *A new connection* keeps the watches; only the list is read again. A lost watch would wait for ever, so
//!   everything is read again every `REFRESH_MS`.
//!
//! The node recipe has no list: the path itself is the only possible member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::Recipe;
use super::report::Report;
use super::retry::{Next, Retry};
use super::subscription::{Context, Subscription, Trigger, REFRESH_MS};
use super::types::{
    rc, Action, Alarm, Member, Members, Op, Reply, RequestId, SubscriptionId, Time, WatchEvent, Znode,
};

/// The number of members that are read at the same time.
const READS_AT_ONCE: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Offline,
    Listing(RequestId),
    /// No znode was at the path: checks whether one is there now.
    Checking(RequestId),
    /// Reads the members of a round.
    Reading,
    Watching {
        refresh_at: Time,
    },
    Pausing(Time),
    /// A request was refused for good.
    Gone,
}

/// One member that is present.
#[derive(Debug, Default)]
struct Present {
    /// `None` until the znode has been read.
    znode: Option<Znode>,
    /// The read that left the armed watch.
    watch: Option<RequestId>,
}

#[derive(Debug)]
pub struct MembersWatcher {
    id: SubscriptionId,
    path: Arc<str>,
    recipe: Recipe,
    /// Fewer members than this raise an alarm; 0 for no alarm.
    enough: usize,
    state: State,
    /// The request that left the armed watch on the list, or on the creation of the path.
    list_watch: Option<RequestId>,
    list_due: bool,
    /// All members must be read, watched or not.
    all_due: bool,
    /// The members, by the path of the znode.
    present: BTreeMap<Arc<str>, Present>,
    /// The members that are still unread in this round.
    unread: BTreeSet<Arc<str>>,
    reading: BTreeMap<RequestId, Arc<str>>,
    /// The member of each watch in `present`.
    watches: BTreeMap<RequestId, Arc<str>>,
    /// The failure in this round.
    failure: Option<Reply>,
    retry: Retry,
    /// The last alarm reported too few members.
    too_few: bool,
    told: Option<Members>,
}

impl MembersWatcher {
    pub fn new(id: SubscriptionId, path: Arc<str>, enough: usize, recipe: Recipe) -> MembersWatcher {
        MembersWatcher {
            id,
            path,
            recipe,
            enough,
            state: State::Offline,
            list_watch: None,
            list_due: true,
            all_due: false,
            present: BTreeMap::new(),
            unread: BTreeSet::new(),
            reading: BTreeMap::new(),
            watches: BTreeMap::new(),
            failure: None,
            retry: Retry::default(),
            too_few: false,
            told: None,
        }
    }
}

impl Subscription for MembersWatcher {
    fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    fn describe(&self, now: Time) -> Report {
        let (state, request) = match self.state {
            State::Offline => ("offline", None),
            State::Listing(request) => ("listing", Some(request)),
            State::Checking(request) => ("checking", Some(request)),
            // Several requests are under way; this is the oldest.
            State::Reading => ("reading", self.reading.keys().next().copied()),
            State::Watching { .. } => ("watching", None),
            State::Pausing(_) => ("pausing", None),
            State::Gone => ("gone", None),
        };
        let machine = Report::from([
            ("state", state.into()),
            ("request", request.map(|request| request.0).into()),
            ("next_in_ms", self.deadline().map(|at| Report::ms_between(now.0, at.0)).into()),
            ("watched_znode", self.list_watch.map(|_| &self.path).into()),
            ("watched_members", self.watches.len().into()),
            ("failures_in_a_row", self.retry.failures().into()),
        ]);
        Report::from([
            ("path", (&self.path).into()),
            ("rc", self.told.as_ref().map(|told| told.rc).into()),
            ("members", self.told.as_ref().map(|told| told.members.len()).into()),
            ("enough", self.enough.into()),
            ("too_few", self.too_few.into()),
            ("machine", machine),
        ])
    }

    fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Watching { refresh_at } => Some(refresh_at),
            State::Pausing(until) => Some(until),
            _ => None,
        }
    }

    fn handle(&mut self, now: Time, trigger: Trigger, context: &mut Context) {
        match (self.state.clone(), trigger) {
            (State::Gone, _) => {}
            (_, Trigger::Unsubscribe) => self.stop(context),
            (_, Trigger::End(_, rc)) => self.end(rc, context),
            (state, Trigger::Up(session)) => {
                self.retry.connected(session);
                self.list_due = true;
                if state == State::Offline {
                    self.start(now, context);
                }
            }
            (state, Trigger::Down(rc)) => {
                self.retry.disconnected();
                self.unread.clear();
                self.tell(nobody(rc), context);
                if matches!(state, State::Watching { .. } | State::Pausing(_)) {
                    self.state = State::Offline;
                }
            }
            (_, Trigger::Over(_, rc)) => {
                self.retry.disconnected();
                self.list_watch = None;
                self.present.clear();
                self.unread.clear();
                self.reading.clear();
                self.watches.clear();
                self.failure = None;
                self.state = State::Offline;
                self.tell(nobody(rc), context);
            }
            (State::Listing(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) => {
                    self.arm_list(request, context);
                    self.listed(&names, context);
                    self.read_due(now, context);
                }
                Reply::Refused(rc::NO_NODE) => {
                    self.keep_only(&BTreeSet::new(), context);
                    self.check_path(now, context);
                }
                reply => self.not_listed(now, reply, context),
            },
            (State::Checking(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Exists(there) => {
                    self.arm_list(request, context);
                    match there && self.retry.is_connected() {
                        true => self.look(now, context),
                        false => self.end_round(now, context),
                    }
                }
                reply => self.not_listed(now, reply, context),
            },
            (State::Reading, Trigger::Reply(request, reply)) => {
                if let Some(path) = self.reading.remove(&request) {
                    self.was_read(request, path, reply, context);
                    self.read_next(now, context);
                }
            }
            (state, Trigger::WatchEvent(request, _)) if self.list_watch == Some(request) => {
                self.list_watch = None;
                // A list under way leaves a new watch.
                self.list_due |= !matches!(state, State::Listing(_));
                self.wake(now, context);
            }
            (_, Trigger::WatchEvent(request, news)) => {
                if let Some(path) = self.watches.remove(&request) {
                    let is_gone = news == WatchEvent::Deleted;
                    if is_gone {
                        self.present.remove(&path);
                    } else if let Some(present) = self.present.get_mut(&path) {
                        present.watch = None;
                    }
                    // If a member leaves, the watch on the list reports that as well, immediately after.
                    if !is_gone || self.list_watch.is_none() {
                        self.list_due |= is_gone;
                        self.wake(now, context);
                    }
                }
            }
            (State::Watching { refresh_at }, Trigger::Tick) if now >= refresh_at => {
                self.list_due = true;
                self.all_due = true;
                self.begin_round(now, context);
            }
            (State::Pausing(until), Trigger::Tick) if now >= until => self.begin_round(now, context),
            (_, Trigger::Reply(..) | Trigger::Tick) => {}
            // For candidates and writes.
            (_, Trigger::LeaseExpired | Trigger::Doubt | Trigger::Missing | Trigger::Leave(..)) => {}
            (_, Trigger::Opening | Trigger::SetValue(_) | Trigger::StandAgain(..) | Trigger::Fence(_)) => {}
        }
        self.check();
    }
}

impl MembersWatcher {
    /// The caller gets no more events.
    fn stop(&mut self, context: &mut Context) {
        let asked = match self.state {
            State::Listing(asked) | State::Checking(asked) => Some(asked),
            _ => None,
        };
        let watches = self.list_watch.take().into_iter().chain(std::mem::take(&mut self.watches).into_keys());
        let reading = std::mem::take(&mut self.reading).into_keys();
        for request in watches.chain(asked).chain(reading) {
            context.unwatch(request);
        }
        self.state = State::Gone;
        context.finish(self.id);
    }

    /// No session exists any more, and none will follow: the last event for the caller.
    fn end(&mut self, rc: i32, context: &mut Context) {
        self.tell(nobody(rc), context);
        context.finish(self.id);
    }

    /// The invariants between any two inputs.
    fn check(&self) {
        let is_known = |present: &Present| present.znode.is_some() && present.watch.is_some();
        if matches!(self.state, State::Watching { .. }) {
            assert!(self.retry.is_connected() && !self.list_due, "who watches has nothing to ask");
            assert!(self.reading.is_empty() && self.unread.is_empty());
            assert!(self.present.values().all(is_known), "each member is watched");
            let by_list = self.list_watch.is_some();
            assert!(by_list || self.recipe == Recipe::Node && !self.present.is_empty(), "and so is who comes");
        }
    }

    fn start(&mut self, now: Time, context: &mut Context) {
        match self.retry.next(now) {
            Next::Now => self.begin_round(now, context),
            Next::After(until) => self.state = State::Pausing(until),
            Next::Offline => self.state = State::Offline,
        }
    }

    /// A request is due: starts it at once, unless a round is under way.
    fn wake(&mut self, now: Time, context: &mut Context) {
        if matches!(self.state, State::Watching { .. }) {
            self.begin_round(now, context);
        }
    }

    fn begin_round(&mut self, now: Time, context: &mut Context) {
        match self.list_due {
            true => self.look(now, context),
            false => self.read_due(now, context),
        }
    }

    /// Finds the members.
    fn look(&mut self, now: Time, context: &mut Context) {
        self.list_due = false;
        match self.recipe {
            Recipe::Queue(_) => {
                let op = Op::List { path: self.path.clone(), sync: false, watch: true };
                self.state = State::Listing(context.submit(op));
            }
            Recipe::Node => {
                self.present.entry(self.path.clone()).or_default();
                self.all_due = true;
                self.read_due(now, context);
            }
        }
    }

    fn check_path(&mut self, now: Time, context: &mut Context) {
        match self.retry.is_connected() {
            true => {
                let op = Op::Exists { path: self.path.clone() };
                self.state = State::Checking(context.submit(op));
            }
            false => self.end_round(now, context),
        }
    }

    fn listed(&mut self, names: &[Arc<str>], context: &mut Context) {
        let Recipe::Queue(dialect) = self.recipe else { return };
        let names = dialect.in_order(names).into_iter();
        let paths: BTreeSet<Arc<str>> = names.map(|name| format!("{}/{name}", self.path).into()).collect();
        self.keep_only(&paths, context);
        for path in paths {
            self.present.entry(path).or_default();
        }
    }

    /// Reads the members that were not read yet, or that changed.
    fn read_due(&mut self, now: Time, context: &mut Context) {
        let all = std::mem::take(&mut self.all_due);
        let due = self.present.iter().filter(|(_, present)| all || present.watch.is_none());
        self.unread = due.map(|(path, _)| path.clone()).collect();
        self.read_next(now, context);
    }

    fn read_next(&mut self, now: Time, context: &mut Context) {
        self.state = State::Reading;
        while self.retry.is_connected() && self.reading.len() < READS_AT_ONCE {
            let Some(path) = self.unread.pop_first() else { break };
            let request = context.submit(Op::Read { path: path.clone(), sync: false, watch: true });
            self.reading.insert(request, path);
        }
        match (self.reading.is_empty(), self.recipe) {
            (false, _) => {}
            // If the path has no znode to read, its creation is watched.
            (true, Recipe::Node) if self.present.is_empty() && self.list_watch.is_none() => {
                self.check_path(now, context);
            }
            (true, _) => self.end_round(now, context),
        }
    }

    fn was_read(&mut self, request: RequestId, path: Arc<str>, reply: Reply, context: &mut Context) {
        match (reply, self.present.get_mut(&path)) {
            (Reply::Read(znode), Some(present)) => {
                present.znode = Some(znode);
                if let Some(former) = present.watch.replace(request) {
                    self.watches.remove(&former);
                    context.unwatch(former);
                }
                self.watches.insert(request, path);
                if let (Recipe::Node, Some(birth)) = (self.recipe, self.list_watch) {
                    self.list_watch = None;
                    context.unwatch(birth);
                }
            }
            // The member left while it was being read; its former watch has reported that.
            (Reply::Read(_), None) => context.unwatch(request),
            (Reply::Refused(rc::NO_NODE), _) => self.remove(&path, context),
            (reply, _) => {
                if !matches!(self.failure, Some(Reply::Refused(_))) {
                    self.failure = Some(reply);
                }
            }
        }
    }

    /// All answers of this round have arrived.
    fn end_round(&mut self, now: Time, context: &mut Context) {
        let failure = self.failure.take();
        if !self.retry.is_connected() {
            self.state = State::Offline;
        } else if let Some(reply) = failure {
            self.retry.failed();
            if let Reply::Refused(rc) = reply {
                if rc::is_for_good(rc) {
                    self.tell(nobody(rc), context);
                    self.state = State::Gone;
                    return self.stop(context);
                }
                self.retry.refused();
                self.tell(nobody(rc), context);
            }
            self.start(now, context);
        } else {
            self.retry.succeeded();
            self.tell_present(context);
            self.state = State::Watching { refresh_at: now.plus_ms(REFRESH_MS) };
            if self.list_due || self.present.values().any(|present| present.watch.is_none()) {
                self.begin_round(now, context);
            }
        }
    }

    fn not_listed(&mut self, now: Time, reply: Reply, context: &mut Context) {
        self.list_due = true;
        self.failure = Some(reply);
        self.end_round(now, context);
    }

    /// The watch that came with this answer replaces the former one.
    fn arm_list(&mut self, request: RequestId, context: &mut Context) {
        if let Some(former) = self.list_watch.replace(request) {
            context.unwatch(former);
        }
    }

    fn keep_only(&mut self, paths: &BTreeSet<Arc<str>>, context: &mut Context) {
        let gone: Vec<_> = self.present.keys().filter(|path| !paths.contains(*path)).cloned().collect();
        for path in gone {
            self.remove(&path, context);
        }
    }

    fn remove(&mut self, path: &Arc<str>, context: &mut Context) {
        if let Some(watch) = self.present.remove(path).and_then(|present| present.watch) {
            self.watches.remove(&watch);
            context.unwatch(watch);
        }
    }

    /// The master first. Members with equal numbers are in the order of their creation.
    fn in_order(&self) -> Vec<Member> {
        let member = |(path, present): (&Arc<str>, &Present)| {
            let name = path.rsplit('/').next().unwrap_or_default().into();
            present.znode.clone().map(|znode| Member { name, znode })
        };
        let mut members: Vec<_> = self.present.iter().filter_map(member).collect();
        if let Recipe::Queue(dialect) = self.recipe {
            let names: Vec<_> = members.iter().map(|member| member.name.clone()).collect();
            let in_order = dialect.in_order(&names).into_iter().enumerate();
            let rank: BTreeMap<_, _> = in_order.map(|(rank, name)| (name.clone(), rank)).collect();
            members.sort_by_key(|member| rank.get(&member.name).copied());
            dialect.settle_ties(&mut members, |member| &member.name, |member| member.znode.stat.czxid);
        }
        members
    }

    fn tell_present(&mut self, context: &mut Context) {
        let members = self.in_order();
        // A znode without a session is no member.
        let count = members.iter().filter(|member| member.znode.stat.is_ephemeral()).count();
        let former = std::mem::replace(&mut self.too_few, count < self.enough);
        let alarm = match (self.too_few, former) {
            (true, false) => Alarm::TooFew,
            (false, true) => Alarm::Enough,
            _ => Alarm::None,
        };
        self.tell(Members { rc: rc::OK, members: members.into(), alarm }, context);
    }

    /// Tells the caller, unless nothing has changed. An alarm also counts as a change.
    fn tell(&mut self, members: Members, context: &mut Context) {
        let is_told = |told: &Members| (told.rc, &told.members) == (members.rc, &members.members);
        if !self.told.as_ref().is_some_and(is_told) {
            self.told = Some(members.clone());
            context.tell(Action::TellMembers(self.id, members));
        }
    }
}

fn nobody(rc: i32) -> Members {
    Members { rc, members: Arc::new([]), alarm: Alarm::None }
}

#[cfg(test)]
mod tests;
