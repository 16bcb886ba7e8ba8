//! Tests a watcher of members against a model of one server and of the client's connection to it. Whatever joins,
//! leaves, changes, breaks or expires, and in whatever order the client hears it, the watcher knows the members in
//! the end, without a refresh.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::super::config::{Config, Recipe};
use super::super::dialect::Dialect;
use super::super::elections::Elections;
use super::super::input::Input;
use super::super::types::{
    rc, Action, Alarm, Members, Op, Reply, RequestId, SessionId, Stat, SubscriptionId, Time, Value, WatchEvent,
    Znode,
};
use super::{READS_AT_ONCE, REFRESH_MS};

const PATH: &str = "/q";
const ENOUGH: usize = 3;
const TIMEOUT_NS: u64 = 4_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Data,
    Birth,
    List,
}

type Watch = (Kind, Arc<str>);

/// A message from the server.
enum Said {
    /// With the last transaction that the server knew.
    Reply(RequestId, Op, Reply, i64),
    Event(Watch, WatchEvent),
}

/// A message from the client to the core.
enum Heard {
    Reply(RequestId, Reply),
    WatchEvent(RequestId, WatchEvent),
}

struct Model {
    /// Shown when the test fails.
    name: String,
    recipe: Recipe,
    seed: u64,
    now: Time,
    // The server.
    znodes: BTreeMap<Arc<str>, Znode>,
    /// The transaction that changed the list last.
    pzxid: i64,
    zxid: i64,
    made: i32,
    armed: BTreeSet<Watch>,
    // The connection.
    connected: bool,
    /// The state of the connection that the core heard last.
    is_up: bool,
    sessions: i64,
    requests: VecDeque<(RequestId, Op)>,
    wire: VecDeque<Said>,
    // The client.
    seen_zxid: i64,
    watches: BTreeMap<Watch, Vec<RequestId>>,
    heard: VecDeque<Heard>,
    unwatched: BTreeSet<RequestId>,
    // The core, and its output.
    elections: Elections,
    told: Option<Members>,
    too_few: bool,
    tellings: usize,
}

impl Model {
    fn new(recipe: Recipe, seed: u64) -> Model {
        let mut elections = Elections::new(Config { recipe, ..Config::default() });
        elections.handle(Time(0), Input::WatchMembers { id: SubscriptionId(1), path: PATH.into(), enough: ENOUGH });
        Model {
            name: format!("{recipe:?}, seed {seed}"),
            recipe,
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now: Time(0),
            znodes: BTreeMap::new(),
            pzxid: 0,
            zxid: 0,
            made: 0,
            armed: BTreeSet::new(),
            connected: false,
            is_up: false,
            sessions: 0,
            requests: VecDeque::new(),
            wire: VecDeque::new(),
            seen_zxid: 0,
            watches: BTreeMap::new(),
            heard: VecDeque::new(),
            unwatched: BTreeSet::new(),
            elections,
            told: None,
            too_few: false,
            tellings: 0,
        }
    }

    fn draw(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as usize % below
    }

    fn step(&mut self) {
        self.now = self.now.plus_ms(1);
        match self.draw(20) {
            0..=5 => self.serve(),
            6..=9 => self.receive(),
            10..=14 => self.hear(),
            15..=18 => self.change(),
            _ => match (self.draw(6), self.connected) {
                (0, true) => self.expire(),
                (_, true) => self.suspend(),
                (_, false) => self.connect(),
            },
        }
        self.time();
        self.act();
    }

    /// A member joins, leaves, or changes its value; or the path itself is created or deleted.
    fn change(&mut self) {
        let members: Vec<_> = self.znodes.keys().filter(|path| self.is_member(path)).cloned().collect();
        let any = members.get(self.draw(members.len().max(1))).cloned();
        match (self.draw(5), any) {
            (0 | 1, Some(path)) => self.set(&path),
            (2, Some(path)) => self.delete(&path),
            (3, None) if self.znodes.contains_key(PATH) => self.delete(&PATH.into()),
            (_, _) => self.create(),
        }
    }

    fn is_member(&self, path: &str) -> bool {
        self.recipe == Recipe::Node || path != PATH
    }

    fn create(&mut self) {
        let is_missing = !self.znodes.contains_key(PATH);
        let path: Arc<str> = match self.recipe {
            Recipe::Queue(_) if !is_missing => format!("{PATH}/w-{:010}", self.made).into(),
            _ if is_missing => PATH.into(),
            _ => return,
        };
        self.made += 1;
        self.zxid += 1;
        let owner = if self.draw(8) == 0 { 0 } else { 7 };
        let stat = Stat { czxid: self.zxid, mzxid: self.zxid, ephemeral_owner: owner, ..Stat::default() };
        self.znodes.insert(path.clone(), Znode { value: Value::from(*b"new"), stat });
        self.fire(Kind::Birth, &path, WatchEvent::Created);
        if *path != *PATH {
            self.pzxid = self.zxid;
            self.fire(Kind::List, &PATH.into(), WatchEvent::Changed);
        }
    }

    fn set(&mut self, path: &Arc<str>) {
        self.zxid += 1;
        let znode = self.znodes.get_mut(path).expect("one that is there");
        znode.value = Value::from(self.zxid.to_string().as_bytes());
        znode.stat.mzxid = self.zxid;
        znode.stat.version += 1;
        self.fire(Kind::Data, path, WatchEvent::Changed);
    }

    fn delete(&mut self, path: &Arc<str>) {
        self.zxid += 1;
        self.znodes.remove(path);
        self.fire(Kind::Data, path, WatchEvent::Deleted);
        self.fire(Kind::List, path, WatchEvent::Deleted);
        if **path != *PATH {
            self.pzxid = self.zxid;
            self.fire(Kind::List, &PATH.into(), WatchEvent::Changed);
        }
    }

    fn fire(&mut self, kind: Kind, path: &Arc<str>, news: WatchEvent) {
        let watch = (kind, path.clone());
        if self.armed.remove(&watch) {
            self.wire.push_back(Said::Event(watch, news));
        }
    }

    /// The server handles the next request.
    fn serve(&mut self) {
        let Some((request, op)) = self.requests.pop_front() else { return };
        let reply = match &op {
            Op::Read { path, .. } => {
                self.znodes.get(path).cloned().map_or(Reply::Refused(rc::NO_NODE), Reply::Read)
            }
            Op::Exists { path } => Reply::Exists(self.znodes.contains_key(path)),
            Op::List { path, .. } if self.znodes.contains_key(path) => {
                let names = self.znodes.keys().filter_map(|path| path.strip_prefix(&format!("{PATH}/")));
                Reply::Listed(names.map(Arc::from).collect())
            }
            Op::List { .. } => Reply::Refused(rc::NO_NODE),
            op => panic!("nobody asks for {op:?}"),
        };
        self.armed.extend(watch_of(&op, &reply));
        self.wire.push_back(Said::Reply(request, op, reply, self.zxid));
    }

    /// The client receives the server's next message.
    fn receive(&mut self) {
        let Some(said) = self.wire.pop_front() else { return };
        match said {
            Said::Reply(request, op, reply, zxid) => {
                self.seen_zxid = zxid;
                if let Some(watch) = watch_of(&op, &reply).filter(|_| !self.unwatched.contains(&request)) {
                    self.watches.entry(watch).or_default().push(request);
                }
                self.heard.push_back(Heard::Reply(request, reply));
            }
            Said::Event(watch, news) => self.event(&watch, news),
        }
    }

    fn event(&mut self, watch: &Watch, news: WatchEvent) {
        for request in self.watches.remove(watch).unwrap_or_default() {
            self.heard.push_back(Heard::WatchEvent(request, news));
        }
    }

    /// The core hears the oldest message first, or a watch event before the answers to earlier requests.
    fn hear(&mut self) {
        let open: BTreeSet<_> = self.heard.iter().filter_map(reply_to).collect();
        let is_free = |heard: &Heard| matches!(heard, Heard::WatchEvent(request, _) if !open.contains(request));
        let ahead = self.heard.iter().position(is_free).filter(|_| self.seed & 64 == 0);
        match self.heard.remove(ahead.unwrap_or(0)) {
            Some(Heard::Reply(request, reply)) => self.elections.handle(self.now, Input::Reply(request, reply)),
            Some(Heard::WatchEvent(request, _)) if self.unwatched.contains(&request) => {}
            Some(Heard::WatchEvent(request, news)) => {
                self.elections.handle(self.now, Input::WatchEvent(request, news))
            }
            None => {}
        }
        self.act();
    }

    fn hear_all(&mut self) {
        while !self.heard.is_empty() {
            self.hear();
        }
    }

    /// Messages that the client did not receive are lost, and so are the watches on the server.
    fn lose(&mut self) {
        self.connected = false;
        self.armed.clear();
        let said = self.wire.drain(..).filter_map(|said| match said {
            Said::Reply(request, ..) => Some(request),
            Said::Event(..) => None,
        });
        let lost: Vec<_> = said.chain(self.requests.drain(..).map(|(request, _)| request)).collect();
        self.heard.extend(lost.into_iter().map(|request| Heard::Reply(request, Reply::Unknown)));
    }

    fn suspend(&mut self) {
        self.lose();
        if self.draw(2) == 0 {
            self.hear_all();
        }
        self.is_up = false;
        self.elections.handle(self.now, Input::Suspended(rc::CONNECTION_LOSS));
        self.act();
        self.hear_all();
    }

    fn expire(&mut self) {
        self.lose();
        self.heard.clear();
        self.watches.clear();
        self.sessions += 1;
        self.is_up = false;
        self.elections.handle(self.now, Input::Expired);
    }

    /// The client restores its watches, and the server reports missed changes at once.
    fn connect(&mut self) {
        self.connected = true;
        for (kind, path) in self.watches.keys().cloned().collect::<Vec<_>>() {
            let stat = self.znodes.get(&path).map(|znode| znode.stat);
            let missed = match (kind, stat) {
                (Kind::Data | Kind::List, None) => Some(WatchEvent::Deleted),
                (Kind::Data, Some(stat)) => (stat.mzxid > self.seen_zxid).then_some(WatchEvent::Changed),
                (Kind::List, Some(_)) => (self.pzxid > self.seen_zxid).then_some(WatchEvent::Changed),
                (Kind::Birth, Some(_)) => Some(WatchEvent::Created),
                (Kind::Birth, None) => None,
            };
            match missed {
                Some(news) => self.wire.push_back(Said::Event((kind, path), news)),
                None => drop(self.armed.insert((kind, path))),
            }
        }
        self.is_up = true;
        let (session, timeout_ns, asked_at) = (SessionId(self.sessions), TIMEOUT_NS, self.now);
        self.elections.handle(self.now, Input::Connected { session, timeout_ns, asked_at, asked_since: asked_at });
    }

    fn time(&mut self) {
        if self.elections.poll_timeout().is_some_and(|at| at <= self.now) {
            self.elections.handle(self.now, Input::Timeout);
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.elections.poll_action() {
            match action {
                Action::Submit(request, op) => {
                    assert!(self.is_up, "{}: asked without a connection", self.name);
                    match self.connected {
                        true => self.requests.push_back((request, op)),
                        // The client has not told the core of the break yet.
                        false => self.heard.push_back(Heard::Reply(request, Reply::Unknown)),
                    }
                    assert!(self.requests.len() <= READS_AT_ONCE + 1, "{}: too much at once", self.name);
                }
                Action::Unwatch(request) => {
                    self.unwatched.insert(request);
                    self.watches.values_mut().for_each(|requests| requests.retain(|other| *other != request));
                    self.heard.retain(|heard| reply_to(heard) != Some(request));
                }
                Action::TellMembers(_, members) => self.told(members),
                // The session holds nothing, so the core gives it up.
                Action::Renew => {
                    self.lose();
                    self.heard.clear();
                    self.watches.clear();
                    self.sessions += 1;
                }
                Action::Pace(_) => {}
                action => panic!("nobody asked for {action:?}"),
            }
        }
    }

    /// The alarm is raised exactly when the number of members crosses the limit.
    fn told(&mut self, members: Members) {
        self.tellings += 1;
        let few = members.members.iter().filter(|member| member.znode.stat.is_ephemeral()).count() < ENOUGH;
        let alarm = match (members.rc, few, self.too_few) {
            (rc::OK, true, false) => Alarm::TooFew,
            (rc::OK, false, true) => Alarm::Enough,
            _ => Alarm::None,
        };
        assert_eq!(members.alarm, alarm, "{}", self.name);
        if members.rc == rc::OK {
            self.too_few = few;
        }
        assert_ne!(self.told.as_ref(), Some(&members), "{}: told twice", self.name);
        self.told = Some(members);
    }

    /// No change follows, and all messages are heard: the watcher knows the members.
    fn settle(&mut self) {
        if !self.connected {
            self.connect();
        }
        let refresh_at = self.now.plus_ms(REFRESH_MS / 2);
        loop {
            self.act();
            self.serve();
            self.receive();
            self.hear();
            if self.requests.is_empty() && self.wire.is_empty() && self.heard.is_empty() {
                // The test waits out a pause after failures, but not the refresh.
                match self.elections.poll_timeout().filter(|at| *at < refresh_at) {
                    Some(at) => self.now = at,
                    None => break,
                }
                self.time();
            }
        }
        let members = self.told.as_ref().expect("something was told");
        let told: Vec<_> = members.members.iter().map(|member| member.znode.clone()).collect();
        let mut there: Vec<_> = self.znodes.iter().filter(|(path, _)| self.is_member(path)).collect();
        there.sort_by_key(|(_, znode)| znode.stat.czxid);
        let there: Vec<_> = there.into_iter().map(|(_, znode)| znode.clone()).collect();
        assert_eq!((members.rc, told), (rc::OK, there), "{}", self.name);
    }
}

fn reply_to(heard: &Heard) -> Option<RequestId> {
    match heard {
        Heard::Reply(request, _) => Some(*request),
        Heard::WatchEvent(..) => None,
    }
}

fn watch_of(op: &Op, reply: &Reply) -> Option<Watch> {
    match (op, reply) {
        (Op::Read { path, watch: true, .. }, Reply::Read(_)) | (Op::Exists { path }, Reply::Exists(true)) => {
            Some((Kind::Data, path.clone()))
        }
        (Op::Exists { path }, Reply::Exists(false)) => Some((Kind::Birth, path.clone())),
        (Op::List { path, watch: true, .. }, Reply::Listed(_)) => Some((Kind::List, path.clone())),
        _ => None,
    }
}

#[test]
fn in_the_end_it_knows_who_is_in() {
    let mut tellings = 0;
    for recipe in [Recipe::Queue(Dialect::Seed), Recipe::Node] {
        for seed in 0..1_000 {
            let mut model = Model::new(recipe, seed);
            for _ in 0..3 {
                (0..150).for_each(|_| model.step());
                model.settle();
            }
            tellings += model.tellings;
        }
    }
    assert!(tellings > 20_000, "much was told: {tellings}");
}
