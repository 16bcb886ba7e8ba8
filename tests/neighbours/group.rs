//! Three of theirs and two of ours in one queue, struck twenty times.

use std::collections::HashSet;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use testkit::{wait_until, Ensemble, RawClient, ScratchFolder};

use crate::believer::{ms, now, Believer, Believers, Line};
use crate::judge::{wrong, Wrong};
use crate::neighbours::{Built, Neighbour};
use crate::table;
use crate::witness::{Life, Witness};
use crate::SOON;

const PATH: &str = "/shared";
pub const SESSION_TIMEOUT_MS: u32 = 2_000;
pub const TICK_MS: u32 = 250;
const THEIRS: usize = 3;
const OURS: usize = 2;
pub const STRIKES: usize = 20;
/// Of twenty. The others hit somebody who waits.
const AT_THE_LEADER: usize = 14;
/// How much longer than its session somebody stands still, at most.
pub const LONGER_MS: u64 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It gives the lead away, and stands again.
    Resign,
    /// kill -9; another one is started in its place.
    Kill,
    /// It stands still until its znode has gone, and longer.
    Stop,
}

struct Member {
    name: String,
    is_ours: bool,
    /// The processes that it has been; the last one runs.
    lives: Vec<Believer>,
}

impl Member {
    fn now(&self) -> &Believer {
        self.lives.last().expect("it is started when it is made")
    }

    fn owns(&self, life: &Life) -> bool {
        let has_session = |line: &Line| matches!(line, Line::Session { id } if *id == life.owner);
        life.value == self.name
            || life.name.contains(&self.name)
            || self.lives.iter().any(|life| life.with_lines(|lines| lines.iter().any(has_session)))
    }

    /// When it said for the last time that it leads, if it has not said since that it does not.
    fn believes(&self) -> Option<i64> {
        believes(self.now())
    }
}

/// When it said for the last time that it leads, if it has not said since that it does not.
pub fn believes(believer: &Believer) -> Option<i64> {
    believer.with_lines(|lines| {
        let last = lines.iter().rev().find(|line| matches!(line, Line::Yes { .. } | Line::No { .. }));
        last.and_then(|line| match line {
            Line::Yes { before, .. } => Some(*before),
            _ => None,
        })
    })
}

struct Group<'a> {
    neighbour: &'a Neighbour,
    // Before the servers: it has to end first.
    witness: Witness,
    ensemble: Ensemble,
    programs: Believers,
    built: Built,
    members: Vec<Member>,
    /// What happened, for the message of a failure.
    story: String,
    _folder: ScratchFolder,
}

/// Does it all, and says what theirs did wrong.
pub fn strike(neighbour: &Neighbour) {
    let (mut rng, plan) = plan(neighbour.name);
    let mut group = Group::start(neighbour);
    for (what, at_the_leader) in plan {
        group.strike(&mut rng, what, at_the_leader);
    }
    group.lead_in_turn();
    group.end();
}

/// The strikes, and whether each is at the leader.
pub fn plan(name: &str) -> (fastrand::Rng, Vec<(Strike, bool)>) {
    let seed = match std::env::var("NEIGHBOURS_SEED") {
        Ok(seed) => seed.parse().expect("NEIGHBOURS_SEED is a number"),
        Err(_) => fastrand::u64(..1_000_000),
    };
    println!("{name}: NEIGHBOURS_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut plan: Vec<(Strike, bool)> =
        (0..STRIKES).map(|i| ([Strike::Resign, Strike::Kill, Strike::Stop][i % 3], false)).collect();
    rng.shuffle(&mut plan);
    plan[..AT_THE_LEADER].iter_mut().for_each(|(_, at_the_leader)| *at_the_leader = true);
    rng.shuffle(&mut plan);
    (rng, plan)
}

impl<'a> Group<'a> {
    fn start(neighbour: &'a Neighbour) -> Group<'a> {
        let folder = ScratchFolder::new("neighbours");
        let built = neighbour.build(&folder);
        let ensemble = Ensemble::builder(1).tick_ms(TICK_MS).max_session_timeout_ms(60_000).start();
        let mut client = RawClient::connect(&ensemble.host(0), 10_000).expect("a session");
        assert_eq!(client.create(PATH, b"", 0).expect("an answer").err, 0);
        client.close_session().expect("an answer");
        let witness = Witness::start(&ensemble.host(0), PATH);
        let mut group = Group {
            neighbour,
            ensemble,
            programs: Believers::new(),
            built,
            members: Vec::new(),
            witness,
            story: String::new(),
            _folder: folder,
        };
        // One of each in turn, so that both stand before and behind the other.
        for i in 0..THEIRS.max(OURS) {
            for (is_ours, count, what) in [(false, THEIRS, "theirs"), (true, OURS, "ours")] {
                if i < count {
                    let name = format!("{what}{i}");
                    let lives = vec![group.run(is_ours, &name, 0)];
                    group.members.push(Member { name, is_ours, lives });
                    group.wait("all stand", |group| group.standing().len() == group.members.len());
                }
            }
        }
        group.settle();
        if neighbour.lists {
            let theirs = group.members[0].now();
            theirs.tell("contenders");
            let names: Vec<&str> = group.members.iter().map(|member| &*member.name).collect();
            let line = theirs.process().expect_text(SOON, "contenders").text;
            assert_eq!(line, format!("contenders {}", names.join(" ")), "it counts ours, in the same order");
        }
        group
    }

    fn run(&self, is_ours: bool, name: &str, life: usize) -> Believer {
        let hosts = self.ensemble.hosts();
        self.programs.start_program(name, &format!("{name}-{life}"), |log| match is_ours {
            true => {
                let mut command = Command::new(self.programs.program());
                command.args([&hosts, PATH, name]).arg(log);
                command.arg(format!("recipe={}", self.neighbour.recipe.1));
                command.arg(format!("session_timeout_ms={SESSION_TIMEOUT_MS}"));
                command
            }
            false => self.built.command(&hosts, PATH, name, log, SESSION_TIMEOUT_MS),
        })
    }

    /// Whose znodes stand, in order: members by their place in the list.
    fn standing(&self) -> Vec<usize> {
        let owner = |life: &Life| self.members.iter().position(|member| member.owns(life));
        self.witness.queue().iter().map(|life| owner(life).unwrap_or(usize::MAX)).collect()
    }

    #[track_caller]
    fn wait(&self, what: &str, is_it: impl Fn(&Self) -> bool) {
        if !wait_until(SOON, || is_it(self)) {
            self.fail(what);
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let mut text = format!("{}: it does not come to this: {what}\n{}\n", self.neighbour.name, self.story);
        for life in self.witness.queue() {
            let owner = self.members.iter().find(|member| member.owns(&life)).map(|member| &member.name);
            let _ = writeln!(text, "stands: {} of {owner:?}, session {:#x}", life.name, life.owner);
        }
        for member in &self.members {
            let _ = writeln!(
                text,
                "{} believes: {:?}\n{}",
                member.name,
                member.believes(),
                member.now().process().transcript()
            );
        }
        panic!("{text}");
    }

    /// Waits until each of them stands once, and the first believes to lead.
    #[track_caller]
    fn settle(&self) {
        self.wait("each stands once, and the first of them leads", |group| {
            let queue = group.witness.queue();
            let standing = group.standing();
            let known: HashSet<_> = standing.iter().filter(|who| **who < group.members.len()).collect();
            let is_each_once = standing.len() == group.members.len() && known.len() == standing.len();
            let first = standing.first().and_then(|first| group.members.get(*first));
            is_each_once && first.is_some_and(|first| first.believes().is_some_and(|at| at > queue[0].absent_until))
        });
    }

    #[track_caller]
    fn strike(&mut self, rng: &mut fastrand::Rng, what: Strike, at_the_leader: bool) {
        let before = self.standing();
        let queue = self.witness.queue();
        let place = if at_the_leader { 0 } else { 1 + rng.usize(..before.len() - 1) };
        let who = before[place];
        let can_leave = place == 0 || self.members[who].is_ours || self.neighbour.can_leave;
        let what = if what == Strike::Resign && !can_leave { Strike::Kill } else { what };
        let name = self.members[who].name.clone();
        let _ = writeln!(self.story, "{what:?} {name}, which stands at {place} of {before:?}");
        let struck_at = now();
        let znode = queue[place].name.clone();
        let is_gone = |group: &Self| group.witness.queue().iter().all(|life| life.name != znode);
        match what {
            Strike::Resign => {
                self.resign(who);
                self.wait("who resigned has left its place", is_gone);
            }
            Strike::Kill => {
                self.members[who].now().process().kill9();
                self.wait("the znode of the dead goes", is_gone);
                let life = self.run(self.members[who].is_ours, &name, self.members[who].lives.len());
                self.members[who].lives.push(life);
            }
            Strike::Stop => {
                self.members[who].now().process().freeze();
                self.wait("the znode of the one that stands still goes", is_gone);
                std::thread::sleep(Duration::from_millis(rng.u64(..LONGER_MS)));
                self.members[who].now().process().thaw();
            }
        }
        self.settle();
        let after = self.standing();
        // The load of the machine may cost another one its session.
        let lost: Vec<&Life> = queue.iter().filter(|life| life.name != znode && !self.stands(&life.name)).collect();
        if lost.is_empty() {
            let expected: Vec<usize> =
                before.iter().copied().filter(|member| *member != who).chain([who]).collect();
            if after != expected {
                self.fail(&format!("the order {expected:?}, and not {after:?}"));
            }
        }
        let took = ms(now() - struck_at);
        let _ = writeln!(self.story, "  all stand again after {took:.0} ms; without being struck went {lost:?}");
    }

    fn stands(&self, znode: &str) -> bool {
        self.witness.queue().iter().any(|life| life.name == znode)
    }

    fn resign(&self, who: usize) {
        let member = &self.members[who];
        member.now().tell("resign");
        if member.is_ours {
            member.now().tell("stand");
        }
    }

    /// Nobody is starved: if each resigns when it leads, each leads. That takes as many turns as there are members, and some more
    /// if one of theirs has given its place up by itself, as LeaderElectionSupport does.
    fn lead_in_turn(&mut self) {
        let mut led = HashSet::new();
        for _ in 0..2 * self.members.len() {
            if led.len() == self.members.len() {
                break;
            }
            let who = self.standing()[0];
            let znode = self.witness.queue()[0].name.clone();
            led.insert(who);
            let _ = writeln!(self.story, "{} leads in its turn", self.members[who].name);
            self.resign(who);
            self.wait("who resigned has left its place", |group| !group.stands(&znode));
            self.settle();
        }
        if led.len() != self.members.len() {
            self.fail(&format!("a turn for each; only {led:?} led"));
        }
    }

    fn end(self) {
        for member in &self.members {
            member.now().tell("close");
            let is_closed = |line: &Line| matches!(line, Line::Closed { .. });
            self.wait("each closes", |_| member.now().with_lines(|lines| lines.iter().any(is_closed)));
        }
        self.wait("nothing is left behind", |group| group.witness.queue().is_empty());
        let Group { ensemble, members, witness, story, neighbour, .. } = self;
        let all = witness.finish();
        let mut client = RawClient::connect(&ensemble.host(0), 10_000).expect("a session");
        assert_eq!(client.children(PATH).expect("an answer"), [""; 0], "left behind");
        client.close_session().expect("an answer");

        let mut of_theirs: Vec<(String, Wrong)> = Vec::new();
        for member in &members {
            let mine: Vec<&Life> = all.iter().filter(|life| member.owns(life)).collect();
            let found: Vec<Wrong> =
                member.lives.iter().flat_map(|life| wrong(&life.lines(), &mine, &all)).collect();
            let questions = member.lives.iter().map(Believer::mark).sum::<usize>();
            assert!(questions > 0, "{} never led", member.name);
            match member.is_ours {
                true => assert!(found.is_empty(), "{} believed wrongly: {found:?}\n{story}", member.name),
                false => of_theirs.extend(found.into_iter().map(|wrong| (member.name.clone(), wrong))),
            }
        }
        let longest = of_theirs.iter().map(|(_, wrong)| wrong.to - wrong.from).max().unwrap_or(0);
        println!(
            "{}: with ELECTION_RECIPE_{}; {STRIKES} strikes, {} znodes, ours never wrong; theirs wrong {} times, for {:.1} ms at most",
            neighbour.name,
            neighbour.recipe.0,
            all.len(),
            of_theirs.len(),
            ms(longest)
        );
        table::record(neighbour, ms(longest));
        for (who, wrong) in &of_theirs {
            println!("  {who}: {wrong}");
        }
        println!("{story}");
    }
}
