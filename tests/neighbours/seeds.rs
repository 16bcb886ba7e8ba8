//! Three of a seed's program, as it stands, and two of ours, at one znode. There is no queue: who creates the znode first leads.

use std::fmt::Write;
use std::time::{Duration, Instant};

use testkit::{wait_until, Ensemble, Program, RawClient};

use crate::believer::{Believer, Believers, Line};
use crate::group::{believes, plan, Strike, LONGER_MS, SESSION_TIMEOUT_MS, STRIKES, TICK_MS};
use crate::hand_rolled::run;
use crate::judge::wrong;
use crate::witness::{Life, Witness};
use crate::SOON;

const PATH: &str = "/master";
const RECIPE_NODE: i32 = 0;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

pub struct Seed {
    /// As the table of the documentation names it.
    pub name: &'static str,
    number: &'static str,
    /// What it says when it has become master.
    leads: &'static str,
    /// Whether the lines of one that does not lead say that it will hear when this master goes.
    waits: fn(lines: &[&str], master: &str) -> bool,
    /// Whether the lines of one that does not lead say that it will never lead.
    is_out: fn(lines: &[&str]) -> bool,
}

/// The recipe for a group with any of them.
pub const RECIPE: &str = "NODE";

pub const ALL: [Seed; 3] = [
    Seed {
        name: "seed 000's program",
        number: "000",
        leads: "Become master",
        // It sleeps for a second before it watches, and is stuck for ever if the znode goes in that time and nobody else makes
        // one.
        waits: |lines, master| {
            let told = lines.iter().rev().find_map(|line| line.strip_prefix("get master ip :"));
            told.is_some_and(|value| value.starts_with(master))
        },
        is_out: |_| false,
    },
    Seed {
        name: "seed 003's program",
        number: "003",
        leads: "becase master",
        // It tries once a second.
        waits: |lines, _| lines.last().is_some_and(|line| line.contains("failed: (-110)")),
        is_out: |_| false,
    },
    Seed {
        name: "seed 004's program",
        number: "004",
        leads: "elect master success!",
        waits: |lines, _| lines.contains(&"watch result, 0"),
        // It watches once.
        is_out: |lines| {
            lines.last().is_some_and(|line| line.contains("elect master failure"))
                && lines.contains(&"receive znode delete event")
                || lines.contains(&"watch result, -101")
        },
    },
];

enum Process {
    Ours(Believer),
    Theirs(Program),
}

struct Member {
    name: String,
    lives: Vec<Process>,
}

struct Group {
    seed: &'static Seed,
    witness: Witness,
    ensemble: Ensemble,
    programs: Believers,
    members: Vec<Member>,
    story: String,
}

fn owner_of(life: &Life) -> &str {
    // Seed 000 writes 15 bytes, whatever it is given.
    life.value.split('\0').next().unwrap_or_default()
}

impl Process {
    fn program(&self) -> &Program {
        match self {
            Process::Ours(believer) => believer.process(),
            Process::Theirs(program) => program,
        }
    }

    fn says(&self, text: &str) -> bool {
        self.program().lines().iter().any(|line| line.text.starts_with(text))
    }
}

impl Member {
    fn now(&self) -> &Process {
        self.lives.last().expect("it is started when it is made")
    }

    fn leads(&self, seed: &Seed, life: &Life) -> bool {
        match self.now() {
            Process::Ours(believer) => believes(believer).is_some_and(|at| at > life.absent_until),
            Process::Theirs(_) => self.now().says(seed.leads),
        }
    }

    /// Whether it will hear when this master goes.
    fn waits_for(&self, seed: &Seed, master: &str) -> bool {
        match self.now() {
            Process::Ours(_) => true,
            Process::Theirs(program) => {
                let lines = program.lines();
                let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
                (seed.waits)(&lines, master) && !(seed.is_out)(&lines)
            }
        }
    }

    fn is_out(&self, seed: &Seed) -> bool {
        match self.now() {
            Process::Ours(_) => false,
            Process::Theirs(program) => {
                let lines = program.lines();
                let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
                !self.now().says(seed.leads) && (seed.is_out)(&lines)
            }
        }
    }
}

impl Group {
    fn run(&self, name: &str, life: usize) -> Process {
        let hosts = self.ensemble.hosts();
        match name.starts_with("ours") {
            false => Process::Theirs(run(self.seed.number, &hosts, PATH, name, u64::from(SESSION_TIMEOUT_MS))),
            true => Process::Ours(self.programs.start_program(name, &format!("{name}-{life}"), |log| {
                let mut command = std::process::Command::new(self.programs.program());
                command.args([&hosts, PATH, name]).arg(log).arg(format!("recipe={RECIPE_NODE}"));
                command.arg(format!("session_timeout_ms={SESSION_TIMEOUT_MS}"));
                command
            })),
        }
    }

    fn restart(&mut self, who: usize) {
        let member = &self.members[who];
        let process = self.run(&member.name, member.lives.len());
        self.members[who].lives.push(process);
    }

    fn master(&self) -> Option<(usize, Life)> {
        let life = self.witness.queue().pop()?;
        let who = self.members.iter().position(|member| member.name == owner_of(&life))?;
        Some((who, life))
    }

    #[track_caller]
    fn wait(&self, what: &str, is_it: impl Fn(&Self) -> bool) {
        if !wait_until(SOON, || is_it(self)) {
            self.fail(what);
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let said: Vec<String> = self.members.iter().map(|member| member.now().program().transcript()).collect();
        panic!(
            "{}: it does not come to this: {what}\n{}\n{:?}\n{}",
            self.seed.name,
            self.story,
            self.witness.queue(),
            said.join("\n")
        );
    }

    /// Waits until one is master, knows it, and all others wait for it to go. Whoever is out of the election is started again.
    #[track_caller]
    fn settle(&mut self) -> (usize, Life) {
        let until = Instant::now() + SOON;
        loop {
            let out: Vec<usize> =
                (0..self.members.len()).filter(|who| self.members[*who].is_out(self.seed)).collect();
            for who in out {
                let _ = writeln!(self.story, "  {} is out, and is started again", self.members[who].name);
                self.members[who].now().program().kill9();
                self.restart(who);
            }
            let settled = self.master().filter(|(who, life)| {
                let master = &self.members[*who].name;
                let mut others = self.members.iter().filter(|member| member.name != *master);
                self.members[*who].leads(self.seed, life) && others.all(|other| other.waits_for(self.seed, master))
            });
            match settled {
                Some(settled) => return settled,
                None if Instant::now() > until => self.fail("one leads, and the others wait for it"),
                None => std::thread::sleep(BETWEEN_LOOKS),
            }
        }
    }

    fn gone(&self, life: &Life) {
        self.wait("its znode goes", |group| group.witness.queue().iter().all(|other| other.name != life.name));
    }

    fn strike(&mut self, rng: &mut fastrand::Rng, what: Strike, at_the_master: bool) {
        let (master, life) = self.settle();
        let others: Vec<usize> = (0..self.members.len()).filter(|who| *who != master).collect();
        let who = if at_the_master { master } else { others[rng.usize(..others.len())] };
        let _ =
            writeln!(self.story, "{what:?} {}, while {} leads", self.members[who].name, self.members[master].name);
        let is_theirs = matches!(self.members[who].now(), Process::Theirs(_));
        match what {
            Strike::Resign => {
                match self.members[who].now() {
                    Process::Ours(believer) => {
                        believer.tell("resign");
                        believer.tell("stand");
                    }
                    // It has no way to resign but to end.
                    Process::Theirs(program) => {
                        program.write_line("").expect("it listens");
                        assert!(program.wait(SOON).is_some(), "{}", program.transcript());
                    }
                }
                if who == master {
                    self.gone(&life);
                }
                if is_theirs {
                    self.restart(who);
                }
            }
            Strike::Kill => {
                self.members[who].now().program().kill9();
                if who == master {
                    self.gone(&life);
                }
                self.restart(who);
            }
            Strike::Stop => {
                self.members[who].now().program().freeze();
                match who == master {
                    true => self.gone(&life),
                    false => std::thread::sleep(Duration::from_millis(u64::from(SESSION_TIMEOUT_MS) + LONGER_MS)),
                }
                self.members[who].now().program().thaw();
                // It does not notice that its session has expired, and is out of the election until it is started again.
                if is_theirs {
                    self.members[who].now().program().kill9();
                    self.restart(who);
                }
            }
        }
    }
}

#[test]
#[ignore = "a minute: make test-long"]
fn seed_000() {
    strike(&ALL[0]);
}

#[test]
#[ignore = "a minute: make test-long"]
fn seed_003() {
    strike(&ALL[1]);
}

#[test]
#[ignore = "a minute: make test-long"]
fn seed_004() {
    strike(&ALL[2]);
}

fn strike(seed: &'static Seed) {
    let (mut rng, plan) = plan(seed.name);
    let ensemble = Ensemble::builder(1).tick_ms(TICK_MS).max_session_timeout_ms(60_000).start();
    let witness = Witness::start_node(&ensemble.host(0), PATH);
    let mut group =
        Group { seed, witness, ensemble, programs: Believers::new(), members: Vec::new(), story: String::new() };
    for name in ["theirs0", "ours0", "theirs1", "ours1", "theirs2"] {
        let lives = vec![group.run(name, 0)];
        group.members.push(Member { name: name.to_owned(), lives });
        group.wait("somebody leads", |group| group.master().is_some());
    }
    for (what, at_the_master) in plan {
        group.strike(&mut rng, what, at_the_master);
    }
    // Each leads once those before it have gone.
    let mut ended: Vec<Member> = Vec::new();
    while !group.members.is_empty() {
        let (who, life) = group.settle();
        let member = group.members.remove(who);
        let _ = writeln!(group.story, "{} leads, and goes", member.name);
        match member.now() {
            Process::Ours(believer) => believer.tell("close"),
            Process::Theirs(program) => program.write_line("").expect("it listens"),
        }
        group.gone(&life);
        ended.push(member);
    }
    let all = group.witness.finish();
    let mut client = RawClient::connect(&group.ensemble.host(0), 10_000).expect("a session");
    assert_eq!(client.get(PATH).expect("an answer"), None, "left behind");
    client.close_session().expect("an answer");
    for member in &ended {
        let mine: Vec<&Life> = all.iter().filter(|life| owner_of(life) == member.name).collect();
        for process in &member.lives {
            if let Process::Ours(believer) = process {
                let lines: Vec<Line> = believer.lines();
                let found = wrong(&lines, &mine, &all);
                assert!(found.is_empty(), "{} believed wrongly: {found:?}\n{}", member.name, group.story);
            }
        }
    }
    println!(
        "{}: with ELECTION_RECIPE_{}; {STRIKES} strikes, {} znodes, ours never wrong",
        seed.name,
        RECIPE,
        all.len()
    );
    println!("{}", group.story);
}
