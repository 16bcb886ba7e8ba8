//! A question: one call of `master` or `members`. It reads what the server has now, leaves no watch, and gives one
//! answer. It does not outlive the connection on which it began.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::config::Recipe;
use super::report::Report;
use super::subscription::{Context, Subscription, Trigger};
use super::types::{rc, Action, CallId, Master, Member, Op, Outcome, Reply, RequestId, Stat, Time, Value};

/// The number of members that are read at the same time.
const READS_AT_ONCE: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Master,
    Members,
}

#[derive(Debug)]
enum State {
    New,
    /// Lists the queue.
    Listing(RequestId),
    /// Asks for the age of the contenders among which the oldest leads. `asked` holds those that have not answered,
    /// and `oldest` the oldest that has.
    Ranking {
        asked: BTreeMap<RequestId, Arc<str>>,
        oldest: Option<(i64, Arc<str>)>,
    },
    /// Reads the master's znode; with its czxid, where the age has decided.
    ReadingMaster {
        asked: RequestId,
        czxid: Option<i64>,
    },
    /// Reads the members, by their position in the list.
    ReadingMembers {
        unread: VecDeque<(usize, Arc<str>)>,
        asked: BTreeMap<RequestId, (usize, Arc<str>)>,
        read: BTreeMap<usize, Member>,
    },
    Answered,
}

#[derive(Debug)]
pub struct Question {
    id: CallId,
    path: Arc<str>,
    recipe: Recipe,
    wanted: Wanted,
    state: State,
}

impl Question {
    pub fn new(id: CallId, path: Arc<str>, recipe: Recipe, wanted: Wanted) -> Question {
        Question { id, path, recipe, wanted, state: State::New }
    }
}

impl Subscription for Question {
    fn handle(&mut self, _: Time, trigger: Trigger, context: &mut Context) {
        match (std::mem::replace(&mut self.state, State::Answered), trigger) {
            (State::Answered, _) => {}
            (State::New, Trigger::Up(_)) => self.begin(context),
            (_, Trigger::Down(_) | Trigger::Over(..) | Trigger::End(..)) => self.answer(Outcome::Unknown, context),
            (_, Trigger::Reply(_, Reply::Unknown | Reply::NotSent)) => self.answer(Outcome::Unknown, context),
            (State::Listing(asked), Trigger::Reply(request, reply)) if asked == request => match reply {
                Reply::Listed(names) => self.listed(&names, context),
                Reply::Refused(rc::NO_NODE) => self.listed(&[], context),
                reply => self.failed(&reply, context),
            },
            (State::Ranking { mut asked, mut oldest }, Trigger::Reply(request, reply)) => {
                let path = asked.remove(&request);
                match reply {
                    Reply::Stat(stat) => {
                        let this = path.map(|path| (stat.czxid, path));
                        oldest = oldest.into_iter().chain(this).min();
                    }
                    Reply::Refused(rc::NO_NODE) => {}
                    reply => return self.failed(&reply, context),
                }
                match oldest {
                    oldest if !asked.is_empty() => self.state = State::Ranking { asked, oldest },
                    Some((czxid, path)) => self.read_master(path, Some(czxid), context),
                    None => self.begin(context),
                }
            }
            (State::ReadingMaster { asked, czxid }, Trigger::Reply(request, reply)) if asked == request => {
                match reply {
                    Reply::Read(znode) if czxid.is_none_or(|czxid| czxid == znode.stat.czxid) => {
                        let rc = if znode.stat.is_ephemeral() { rc::OK } else { rc::NOT_EPHEMERAL };
                        self.answer(Outcome::Master(Master { rc, value: znode.value, stat: znode.stat }), context);
                    }
                    Reply::Refused(rc::NO_NODE) if self.recipe == Recipe::Node => self.nobody(context),
                    // The znode has gone since the list was made, and another znode may have its name.
                    Reply::Read(_) | Reply::Refused(rc::NO_NODE) => self.begin(context),
                    reply => self.failed(&reply, context),
                }
            }
            (State::ReadingMembers { unread, mut asked, mut read }, Trigger::Reply(request, reply)) => {
                match (reply, asked.remove(&request)) {
                    (Reply::Read(znode), Some((position, path))) => {
                        let name = path.rsplit('/').next().unwrap_or_default().into();
                        read.insert(position, Member { name, znode });
                    }
                    (Reply::Refused(rc::NO_NODE), _) => {} // the member has left since the list was made
                    (reply, _) => return self.failed(&reply, context),
                }
                self.read_members(unread, asked, read, context);
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

    fn describe(&self, _: Time) -> Report {
        Report::from([("path", (&self.path).into())])
    }
}

impl Question {
    fn begin(&mut self, context: &mut Context) {
        match (self.recipe, self.wanted) {
            (Recipe::Queue(_), _) => {
                let op = Op::List { path: self.path.clone(), sync: false, watch: false };
                self.state = State::Listing(context.submit(op));
            }
            (Recipe::Node, Wanted::Master) => self.read_master(self.path.clone(), None, context),
            (Recipe::Node, Wanted::Members) => {
                let itself = VecDeque::from([(0, self.path.clone())]);
                self.read_members(itself, BTreeMap::new(), BTreeMap::new(), context);
            }
        }
    }

    fn listed(&mut self, names: &[Arc<str>], context: &mut Context) {
        let Recipe::Queue(dialect) = self.recipe else { return };
        let path = |name: &Arc<str>| -> Arc<str> { format!("{}/{name}", self.path).into() };
        match self.wanted {
            Wanted::Members => {
                let unread = dialect.in_order(names).into_iter().map(path).enumerate().collect();
                self.read_members(unread, BTreeMap::new(), BTreeMap::new(), context);
            }
            Wanted::Master => {
                let mut leading: Vec<Arc<str>> = dialect.leading(names).into_iter().map(path).collect();
                match leading.len() {
                    0 => self.nobody(context),
                    1 => self.read_master(leading.remove(0), None, context),
                    // The numbers do not tell which one leads.
                    _ => {
                        let ask = |path: Arc<str>| (context.submit(Op::Stat { path: path.clone() }), path);
                        let asked = leading.into_iter().map(ask).collect();
                        self.state = State::Ranking { asked, oldest: None };
                    }
                }
            }
        }
    }

    fn read_master(&mut self, path: Arc<str>, czxid: Option<i64>, context: &mut Context) {
        let asked = context.submit(Op::Read { path, sync: false, watch: false });
        self.state = State::ReadingMaster { asked, czxid };
    }

    fn read_members(
        &mut self,
        mut unread: VecDeque<(usize, Arc<str>)>,
        mut asked: BTreeMap<RequestId, (usize, Arc<str>)>,
        read: BTreeMap<usize, Member>,
        context: &mut Context,
    ) {
        while asked.len() < READS_AT_ONCE {
            let Some((position, path)) = unread.pop_front() else { break };
            let request = context.submit(Op::Read { path: path.clone(), sync: false, watch: false });
            asked.insert(request, (position, path));
        }
        if !asked.is_empty() {
            self.state = State::ReadingMembers { unread, asked, read };
            return;
        }
        let mut members: Vec<_> = read.into_values().collect();
        if let Recipe::Queue(dialect) = self.recipe {
            dialect.settle_ties(&mut members, |member| &member.name, |member| member.znode.stat.czxid);
        }
        self.answer(Outcome::Members(members), context);
    }

    fn nobody(&mut self, context: &mut Context) {
        let master = Master { rc: rc::NO_NODE, value: Value::from([]), stat: Stat::default() };
        self.answer(Outcome::Master(master), context);
    }

    fn failed(&mut self, reply: &Reply, context: &mut Context) {
        let outcome = match reply {
            Reply::Refused(rc) => Outcome::Refused(*rc),
            _ => Outcome::Unknown,
        };
        self.answer(outcome, context);
    }

    fn answer(&mut self, outcome: Outcome, context: &mut Context) {
        self.state = State::Answered;
        context.tell(Action::Answer(self.id, outcome));
    }
}
