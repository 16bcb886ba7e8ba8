//! Conformance: real servers and the simulated ensemble play the same scripts of the core's own requests, and must
//! answer alike: results, watches, their order, and how transaction ids rise. `conformance.txt` has the scripts, each
//! with its history. The real server's answer is right.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use election::testing::logic::{self, rc, Op, Recipe, Reply, RequestId, SessionId, Stat, Value};
use testkit::{opcode, Ensemble, RawClient};

use crate::client::Link;
use crate::clock::MS;
use crate::messages::{ConnId, Packet};
use crate::process::Input;
use crate::server::password;
use crate::test_client::{Answer, TestClient};
use crate::tree::Change;
use crate::wire::connect_request;
use crate::world::World;

const SCRIPTS: &str = include_str!("conformance.txt");
const FILE: &str = "tests/simulation/conformance.txt";

/// The bound for an event that must come on any machine, however slow.
const SOON: Duration = Duration::from_secs(20);

/// How often a server is asked for a session. A follower of 3.8.0 may overlook its only request until another one
/// comes: `CommitProcessor` checks whether it has requests before it takes the lock to wait for one (ZOOKEEPER-4537).
/// Within a session such a request is answered after the next ping. If the first ping of a new session is overlooked,
/// the client gives it up together with the session.
const ATTEMPTS: usize = 3;

/// How many simulated ensembles of each size play the scripts. They differ in delays, in lag, and in the server of each
/// client.
const WORLDS: usize = 30;

/// An ensemble on which scripts can be played. Sessions are numbered from 0, and a stage has room for three at a time.
trait Stage {
    fn open(&mut self, session: usize) -> SessionId;
    fn submit(&mut self, session: usize, request: RequestId, op: Op);
    /// The next answer or event of a session; `None` if the session waits for nothing.
    fn next(&mut self, session: usize) -> Option<Answer>;
    fn close(&mut self, session: usize);
    /// The connection of a session ends.
    fn breaks(&mut self, session: usize);
    /// A session has another connection, to the next server. It may have become another session.
    fn returns(&mut self, session: usize) -> SessionId;
    /// Another client takes the session over, on the next server.
    fn takes(&mut self, session: usize);
    /// Another client ends the session.
    fn ends(&mut self, session: usize);
    fn create(&mut self, path: &str, value: &[u8]);
    fn set(&mut self, path: &str, value: &[u8]);
}

/// Real servers. A script's sessions are spread over them, beginning with `first`.
struct Real<'a> {
    ensemble: &'a Ensemble,
    operator: RawClient,
    clients: [Option<TestClient>; 3],
    /// The server of each session.
    servers: [usize; 3],
    /// The clients that have taken sessions over.
    others: Vec<RawClient>,
}

impl Real<'_> {
    fn new(ensemble: &Ensemble, first: usize) -> Real<'_> {
        let operator = RawClient::connect(&ensemble.host(first), 10_000).expect("a server that serves");
        let servers = [0, 1, 2].map(|session| (first + session) % ensemble.len());
        Real { ensemble, operator, clients: [None, None, None], servers, others: Vec::new() }
    }

    fn client(&mut self, session: usize) -> &mut TestClient {
        self.clients[session].as_mut().expect("an open session")
    }

    /// The server after that of a session.
    fn next_server(&self, session: usize) -> usize {
        (self.servers[session] + 1) % self.ensemble.len()
    }

    /// The session as another client has it on the next server.
    fn taken(&mut self, session: usize) -> RawClient {
        let (host, identity) = (self.ensemble.host(self.next_server(session)), self.client(session).identity());
        RawClient::resume(&host, &identity).expect("a session that lives")
    }
}

impl Stage for Real<'_> {
    fn open(&mut self, session: usize) -> SessionId {
        let host = self.ensemble.host(self.servers[session]);
        let client = (0..ATTEMPTS).find_map(|_| TestClient::open(&host, Duration::from_secs(10)));
        self.clients[session].insert(client.expect("a server that serves")).session()
    }

    fn submit(&mut self, session: usize, request: RequestId, op: Op) {
        self.client(session).submit(request, op);
    }

    fn next(&mut self, session: usize) -> Option<Answer> {
        self.client(session).next(SOON)
    }

    fn close(&mut self, session: usize) {
        self.clients[session] = None;
    }

    fn breaks(&mut self, session: usize) {
        self.client(session).disconnect();
    }

    fn returns(&mut self, session: usize) -> SessionId {
        self.servers[session] = self.next_server(session);
        let host = self.ensemble.host(self.servers[session]);
        let client = self.client(session);
        // The leader may still give the session to the server that somebody else had it on.
        assert!(testkit::wait_until(SOON, || client.resume(&host)), "a server that serves");
        client.session()
    }

    fn takes(&mut self, session: usize) {
        let other = self.taken(session);
        self.others.push(other);
    }

    fn ends(&mut self, session: usize) {
        written(self.taken(session).request(opcode::CLOSE_SESSION, &[]));
    }

    fn create(&mut self, path: &str, value: &[u8]) {
        written(self.operator.create(path, value, 0));
    }

    fn set(&mut self, path: &str, value: &[u8]) {
        let mut body = Vec::new();
        for bytes in [path.as_bytes(), value] {
            body.extend((bytes.len() as i32).to_be_bytes());
            body.extend(bytes);
        }
        body.extend((-1i32).to_be_bytes()); // any version
        written(self.operator.request(opcode::SET_DATA, &body));
    }
}

fn written(answer: io::Result<testkit::Reply>) {
    assert_eq!(answer.expect("a server that serves").err, 0, "the operator may do everything");
}

/// The simulated ensemble, without faults and without candidates.
struct Simulated(World);

impl Simulated {
    /// The first ensembles of this size.
    fn of(servers: usize) -> impl Iterator<Item = (u64, Simulated)> {
        let worlds = (0..).map(|seed| (seed, World::new(seed, None, false)));
        let fits = move |world: &World| {
            let plan = &world.plan;
            let is_fast = 20 * plan.latency + plan.lag < plan.timeout / 5;
            let is_plain = plan.config.recipe == Recipe::Node && plan.chroot.is_empty() && plan.unknown.is_none();
            plan.servers == servers && plan.processes >= 3 && is_plain && is_fast
        };
        worlds
            .filter(move |(_, world)| fits(world))
            .take(WORLDS)
            .map(|(seed, world)| (seed, Simulated::calm(world)))
    }

    fn calm(mut world: World) -> Simulated {
        world.faults_on = false;
        world.plan.containers_go = false;
        world.plan.reorders = 0;
        for process in &mut world.processes {
            process.life = 1; // it does not start
            process.heard = Some(Vec::new());
        }
        Simulated(world)
    }

    fn conn(&self, session: usize) -> ConnId {
        match self.0.processes[session].client.link {
            Link::Up(conn) => conn,
            link => panic!("session {session} has no connection: {link:?}"),
        }
    }

    fn heard(&mut self, session: usize) -> &mut Vec<Input> {
        self.0.processes[session].heard.as_mut().expect("set for all")
    }

    /// Runs until `done` says yes. Returns whether it did.
    fn run_until(&mut self, mut done: impl FnMut(&mut Simulated) -> bool) -> bool {
        let end = self.0.now + 120_000 * MS;
        while self.0.now < end {
            if done(self) {
                return true;
            }
            self.0.run_until(self.0.now + MS / 10);
            assert!(!self.0.checker.failed(), "{:?}", self.0.checker.take_violation());
        }
        false
    }

    fn operate(&mut self, change: Change) {
        assert!(self.run_until(|it| it.0.operate(vec![change.clone()])), "a leader is elected");
    }
}

impl Stage for Simulated {
    fn open(&mut self, session: usize) -> SessionId {
        self.0.client_restarts(session);
        assert!(self.run_until(|it| it.0.processes[session].client.is_connected()), "a server that serves");
        self.heard(session).clear();
        SessionId(self.0.processes[session].client.session)
    }

    fn submit(&mut self, session: usize, request: RequestId, op: Op) {
        if !self.0.processes[session].client.is_connected() {
            return self.heard(session).push(Input::Reply(request, Reply::Unknown));
        }
        self.0.client_sends(session, request, op);
        self.0.go_on(session);
    }

    fn next(&mut self, session: usize) -> Option<Answer> {
        let is_answer = |input: &Input| matches!(input, Input::Reply(..) | Input::WatchEvent(..));
        let has_heard = |it: &mut Simulated| {
            it.heard(session).retain(is_answer);
            !it.heard(session).is_empty()
        };
        self.run_until(has_heard).then(|| match self.heard(session).remove(0) {
            Input::Reply(request, reply) => Answer::Reply(request, reply),
            Input::WatchEvent(request, news) => Answer::WatchEvent(request, news),
            _ => unreachable!("only answers are kept"),
        })
    }

    fn breaks(&mut self, session: usize) {
        let conn = self.conn(session);
        self.0.hang_up(conn);
        self.0.barred[session] = true;
        assert!(self.run_until(|it| !it.0.processes[session].client.is_connected()), "the connection ends");
    }

    fn returns(&mut self, session: usize) -> SessionId {
        // Real servers are as quick.
        let is_calm = |it: &mut Simulated| {
            let mut zxids = it.0.servers.iter().map(|server| server.tree.zxid);
            let first = zxids.next();
            zxids.all(|zxid| Some(zxid) == first)
        };
        assert!(self.run_until(is_calm), "the servers know the same");
        self.0.barred[session] = false;
        assert!(self.run_until(|it| it.0.processes[session].client.is_connected()), "a server that serves");
        SessionId(self.0.processes[session].client.session)
    }

    fn takes(&mut self, session: usize) {
        let (conn, servers) = (self.conn(session), self.0.plan.servers);
        let id = self.0.conns[conn].session;
        self.0.barred[session] = true;
        let other = self.0.connect(session, (self.0.conns[conn].server + 1) % servers);
        // Nobody hears what arrives on it.
        self.0.conns[other].buries = true;
        self.0.send_up(other, Packet::Syn);
        self.0.send_up_bytes(other, connect_request(id, &password(id), 10_000));
        assert!(self.run_until(|it| it.0.conns[other].established), "the session moves");
    }

    fn ends(&mut self, session: usize) {
        let id = self.0.processes[session].client.session;
        self.0.barred[session] = true;
        let leader = self.0.leader().expect("a leader that serves");
        self.0.end_session(leader, id);
    }

    fn close(&mut self, session: usize) {
        self.0.client_closes(session);
    }

    fn create(&mut self, path: &str, value: &[u8]) {
        self.operate(Change::Create { path: path.into(), value: value.into(), owner: 0, container: false });
    }

    fn set(&mut self, path: &str, value: &[u8]) {
        self.operate(Change::Set { path: path.into(), value: value.into() });
    }
}

/// A script in play on a stage: below a path of its own, and with its sessions.
struct Play<'a> {
    stage: &'a mut dyn Stage,
    /// The prefix of the script's paths.
    root: String,
    open: [bool; 3],
    owners: BTreeMap<i64, char>,
    requests: [u64; 3],
    /// The history: lines and answers. The answers can be written as text only when all transactions are known.
    history: Vec<Line>,
}

enum Line {
    Step(String),
    /// Whether it has become another session.
    Returned(bool),
    Heard(Answer),
    Silence,
}

impl Play<'_> {
    /// Plays one line of a script. A session is opened when a line first names it.
    fn step(&mut self, line: &str) {
        self.history.push(Line::Step(line.to_owned()));
        let named = |name: &str| "ABC".find(name).unwrap_or_else(|| panic!("who is to: {line}"));
        if let Some(command) = line.strip_prefix("operator: ") {
            return self.operate(command);
        }
        match line.strip_prefix("another client ").and_then(|act| act.split_once(' ')) {
            Some(("takes", whom)) => return self.stage.takes(named(whom)),
            Some(("ends", whom)) => return self.stage.ends(named(whom)),
            _ => {}
        }
        let session = named(&line[..1]);
        if !self.open[session] {
            self.open[session] = true;
            let SessionId(id) = self.stage.open(session);
            self.owners.insert(id, char::from(b"ABC"[session]));
        }
        match &line[1..] {
            " closes" => {
                self.stage.close(session);
                self.open[session] = false;
            }
            " breaks" => self.stage.breaks(session),
            " returns" => {
                let SessionId(id) = self.stage.returns(session);
                let is_new = self.owners.insert(id, char::from(b"ABC"[session])).is_none();
                self.history.push(Line::Returned(is_new));
            }
            rest => match (rest.strip_prefix(": "), rest.strip_prefix(": hears")) {
                (_, Some(count)) => (0..count.trim().parse().unwrap_or(1)).for_each(|_| drop(self.hear(session))),
                (Some(requests), None) => self.ask(session, requests.split("; ")),
                (None, None) => panic!("no step: {line}"),
            },
        }
    }

    fn operate(&mut self, command: &str) {
        let mut words = command.split(' ');
        let (what, path) = (words.next(), self.path(words.next().expect("a path")));
        let value = words.next().unwrap_or_default().as_bytes();
        match what {
            Some("create") => self.stage.create(&path, value),
            Some("set") => self.stage.set(&path, value),
            _ => panic!("no operator does this: {command}"),
        }
    }

    /// Sends the requests and receives everything until the last of them is answered.
    fn ask<'a>(&mut self, session: usize, requests: impl Iterator<Item = &'a str>) {
        let mut unanswered = 0;
        for request in requests {
            let op = self.op(request);
            self.requests[session] += 1;
            unanswered += 1;
            self.stage.submit(session, RequestId(self.requests[session]), op);
        }
        while unanswered > 0 {
            match self.hear(session) {
                Some(Answer::Reply(..)) => unanswered -= 1,
                Some(Answer::WatchEvent(..)) => {}
                None => return,
            }
        }
    }

    /// No server promises which of several watches for the same event it reports first.
    fn hear(&mut self, session: usize) -> Option<Answer> {
        let answer = self.stage.next(session);
        let mut at = self.history.len();
        if let Some(Answer::WatchEvent(request, news)) = answer {
            let is_same = |line: &Line| matches!(line, Line::Heard(Answer::WatchEvent(other, seen)) if *seen == news && *other > request);
            while at > 0 && is_same(&self.history[at - 1]) {
                at -= 1;
            }
        }
        self.history.insert(at, answer.clone().map_or(Line::Silence, Line::Heard));
        answer
    }

    fn path(&self, path: &str) -> Arc<str> {
        format!("{}{path}", self.root).into()
    }

    fn op(&self, request: &str) -> Op {
        let words: Vec<_> = request.split(' ').collect();
        let path = self.path(words.get(1).copied().unwrap_or_default());
        let value = || Value::from(words[2].as_bytes());
        let [sync, watch] = ["-synced", "-watched"].map(|flag| words[0].contains(flag));
        match words[0].trim_end_matches("-watched").trim_end_matches("-synced") {
            "create" => Op::Create { path, value: value() },
            "create-sequential" => Op::CreateSequential { prefix: path, value: value() },
            "make-parents" => Op::MakeParents { path },
            "read" => Op::Read { path, sync, watch: true },
            "exists" => Op::Exists { path },
            "stat" => Op::Stat { path },
            "set" => Op::SetValue { path, value: value(), version: words[3].parse().unwrap_or(-1) },
            "list" => Op::List { path, sync, watch },
            "delete" => Op::Delete { path, version: words[2].parse().unwrap_or(-1) },
            "prove" => Op::Prove { paths: words[1..].iter().map(|path| self.path(path)).collect() },
            "touch" => Op::Touch,
            what if what.starts_with("write-") => {
                let (own, path) = (path, self.path(words[2]));
                let version = |at: usize| words[at].parse().ok();
                let write = match what {
                    "write-create" => logic::Write::Create { path, value: Value::from(words[3].as_bytes()) },
                    "write-set" => {
                        logic::Write::Set { path, value: Value::from(words[3].as_bytes()), version: version(4) }
                    }
                    "write-delete" => logic::Write::Delete { path, version: version(3) },
                    _ => panic!("no write: {request}"),
                };
                Op::Write { own, write }
            }
            _ => panic!("no request: {request}"),
        }
    }

    /// Every open session reads once more, which all earlier events precede. Then all sessions end.
    fn end(&mut self) {
        let open: Vec<_> = (0..3).filter(|session| self.open[*session]).collect();
        for session in &open {
            self.step(&format!("{}: read-synced /the-end", char::from(b"ABC"[*session])));
        }
        open.into_iter().for_each(|session| self.stage.close(session));
    }

    /// The history as text, without the values that differ from one run to the next.
    fn told(&self) -> String {
        let stats = || {
            self.history.iter().filter_map(|line| match line {
                Line::Heard(Answer::Reply(_, Reply::Created(stat) | Reply::CreatedAs(_, stat))) => Some(stat),
                Line::Heard(Answer::Reply(_, Reply::Read(znode))) => Some(&znode.stat),
                Line::Heard(Answer::Reply(_, Reply::Stat(stat))) => Some(stat),
                _ => None,
            })
        };
        let mut zxids: Vec<_> = stats().flat_map(|stat| [stat.czxid, stat.mzxid]).collect();
        zxids.sort_unstable();
        zxids.dedup();
        let mut times = BTreeMap::new();
        for stat in stats() {
            let time = times.entry(stat.czxid).or_insert(stat.ctime_ms);
            assert_eq!(*time, stat.ctime_ms, "a znode is always told to have been created at the same time");
            assert!(stat.ctime_ms > 0 && stat.czxid > 0, "{stat:?}");
        }
        let mut text = String::new();
        for line in &self.history {
            let _ = match line {
                Line::Step(step) => writeln!(text, "{step}"),
                Line::Returned(true) => writeln!(text, "    another session"),
                Line::Returned(false) => writeln!(text, "    the same session"),
                Line::Silence => writeln!(text, "    nothing"),
                Line::Heard(Answer::WatchEvent(request, news)) => {
                    writeln!(text, "    {} sees: {news:?}", request.0)
                }
                Line::Heard(Answer::Reply(request, reply)) => {
                    writeln!(text, "    {}: {}", request.0, self.told_reply(reply, &zxids))
                }
            };
        }
        text
    }

    fn told_reply(&self, reply: &Reply, zxids: &[i64]) -> String {
        let stat = |stat: &Stat| {
            let rank = |zxid| zxids.binary_search(&zxid).expect("all are known") + 1;
            let owner = match stat.ephemeral_owner {
                0 => "nobody's".to_owned(),
                id => self.owners.get(&id).map_or("a stranger's".to_owned(), |owner| format!("{owner}'s")),
            };
            let (version, created, changed) = (stat.version, rank(stat.czxid), rank(stat.mzxid));
            format!("{owner}, version {version}, created by transaction {created}, changed by {changed}")
        };
        match reply {
            Reply::Created(it) => format!("created, {}", stat(it)),
            Reply::CreatedAs(path, it) => {
                format!("created {}, {}", path.strip_prefix(&self.root).unwrap_or(path), stat(it))
            }
            Reply::Read(it) => format!("{:?}, {}", String::from_utf8_lossy(&it.value), stat(&it.stat)),
            Reply::Stat(it) => stat(it),
            Reply::Exists(true) => "there".into(),
            Reply::Exists(false) => "not there".into(),
            Reply::Listed(names) => {
                let mut names = names.clone();
                names.sort();
                format!("[{}]", names.join(" "))
            }
            Reply::Done => "done".into(),
            Reply::NotMaster => "not written".into(),
            Reply::Refused(rc::NO_NODE) => "NONODE".into(),
            Reply::Refused(rc::NODE_EXISTS) => "NODEEXISTS".into(),
            Reply::Refused(rc::BAD_VERSION) => "BADVERSION".into(),
            Reply::Refused(-111) => "NOTEMPTY".into(),
            Reply::Refused(-108) => "NOCHILDRENFOREPHEMERALS".into(),
            Reply::Refused(rc) => format!("error {rc}"),
            Reply::Unknown => "nobody knows".into(),
            Reply::NotSent => "not sent".into(),
        }
    }
}

/// The scripts: the text before the first, and each script with its title and its answers.
fn scripts() -> (&'static str, Vec<(&'static str, &'static str)>) {
    let mut parts = SCRIPTS.split("\n## ");
    let preface = parts.next().expect("there is always one");
    (preface, parts.map(|part| part.split_once('\n').expect("a title, and then steps")).collect())
}

/// Plays a script and returns its history.
fn history(stage: &mut dyn Stage, root: String, script: &str) -> String {
    stage.create(&root, &[]);
    let owners = BTreeMap::new();
    let mut play = Play { stage, root, open: [false; 3], owners, requests: [0; 3], history: Vec::new() };
    let steps = script.lines().filter(|line| !line.is_empty() && !line.starts_with("    "));
    steps.filter(|line| !line.contains(" /the-end")).for_each(|step| play.step(step));
    play.end();
    play.told()
}

/// The difference from the history in the file, if any.
fn difference(place: &str, title: &str, script: &str, history: &str) -> Option<String> {
    let (expected, found) = (script.trim_end(), history.trim_end());
    if expected == found {
        return None;
    }
    let mut text = format!("{place}, \"{title}\":\n");
    let (mut expected, mut found) = (expected.lines(), found.lines());
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return Some(text),
            (Some(expected), Some(found)) if expected == found => writeln!(text, "  {expected}"),
            (expected, found) => {
                writeln!(text, "! {}   <- not: {}", found.unwrap_or_default(), expected.unwrap_or_default())
            }
        }
        .expect("a String takes everything");
    }
}

fn judge(differences: Vec<String>) {
    assert!(
        differences.is_empty(),
        "{} histories differ from {FILE}:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

struct Played {
    title: &'static str,
    script: &'static str,
    history: String,
}

/// Plays all scripts on real servers, each time with the sessions on other servers.
fn play_for_real(ensemble: &Ensemble) -> Vec<Played> {
    let mut played = Vec::new();
    for first in 0..ensemble.len() {
        for (number, (title, script)) in scripts().1.into_iter().enumerate() {
            let root = format!("/{first}-{number}");
            let history = history(&mut Real::new(ensemble, first), root, script);
            played.push(Played { title, script, history });
        }
    }
    played
}

fn start(servers: usize) -> Ensemble {
    // Empty containers have to stay until the end of the test.
    Ensemble::builder(servers).java_arg("-Dznode.container.checkIntervalMs=86400000").start()
}

#[test]
fn one_real_server_answers_as_written() {
    let played = play_for_real(&start(1));
    if std::env::var_os("BLESS").is_some() {
        let mut text = scripts().0.to_owned();
        for Played { title, history, .. } in played {
            write!(text, "\n## {title}\n{history}").expect("a String takes everything");
        }
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        return std::fs::write(file, text).expect("the file can be written");
    }
    judge(played.iter().filter_map(|it| difference("one server", it.title, it.script, &it.history)).collect());
}

#[test]
fn three_real_servers_answer_as_written() {
    let played = play_for_real(&start(3));
    judge(played.iter().filter_map(|it| difference("three servers", it.title, it.script, &it.history)).collect());
}

#[test]
fn simulated_servers_answer_as_written() {
    let mut differences = Vec::new();
    for servers in [1, 3] {
        for (title, script) in scripts().1 {
            let of_world = |(seed, mut world): (u64, Simulated)| {
                let place = format!("{servers} simulated, seed {seed}");
                difference(&place, title, script, &history(&mut world, "/root".into(), script))
            };
            // One difference per script is enough.
            differences.extend(Simulated::of(servers).find_map(of_world));
        }
    }
    judge(differences);
}
