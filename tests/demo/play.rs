//! The play while it runs: hears what the programs say, shows it, remembers who is what, and waits for what is to happen.

use crate::cast::{Actor, Script, Sight, Standing, Voice, Word};
use crate::interrupt;
use crate::ledger::{Ledger, Moment};
use crate::timeline::{Ink, Lane, Timeline};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::{Duration, Instant};
use testkit::{Line, Stream};

pub const CANDIDATES: [&str; 4] = ["ann", "bob", "cid", "pia"];
/// The candidate that is written in Python.
pub const IN_PYTHON: usize = 3;
pub const OBSERVER_NAME: &str = "eve";
const OBSERVER: usize = CANDIDATES.len();

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a play ends before its end.
#[derive(Debug)]
pub enum Stop {
    Interrupted(i32),
    NobodyReads,
    Failed(String),
}

pub struct Play {
    pub timeline: Timeline,
    pub ledger: Ledger,
    script: Script,
    actors: [Actor; OBSERVER + 1],
    standings: [(Standing, Moment); OBSERVER],
    sight: Sight,
    nobody_at: Option<Moment>,
    sender: Sender<(Voice, Line)>,
    receiver: Receiver<(Voice, Line)>,
}

impl Play {
    pub fn new(script: Script, timeline: Timeline) -> Play {
        let [ann, bob, cid, pia] = CANDIDATES;
        let (sender, receiver) = channel();
        Play {
            timeline,
            ledger: Ledger::default(),
            script,
            actors: [ann, bob, cid, pia, OBSERVER_NAME].map(Actor::new),
            standings: [(Standing::Silent, Moment::ZERO); OBSERVER],
            sight: Sight::Nothing,
            nobody_at: None,
            sender,
            receiver,
        }
    }

    /// Ends what still runs, and keeps what is to be told of it.
    pub fn into_record(self) -> (Timeline, Ledger) {
        (self.timeline, self.ledger)
    }

    /// The time since the demo began.
    pub fn now(&self) -> Moment {
        self.timeline.moment(Instant::now())
    }

    // --- What is known ---------------------------------------------------------------------------------------

    pub fn name(&self, who: usize) -> &'static str {
        self.actors[who].name
    }

    pub fn pid(&self, who: usize) -> u32 {
        self.actors[who].program().map_or(0, |program| program.pid())
    }

    pub fn standing(&self, who: usize) -> Standing {
        self.standings[who].0
    }

    /// Since when a candidate is what it is.
    pub fn since(&self, who: usize) -> Moment {
        self.standings[who].1
    }

    pub fn sight(&self) -> &Sight {
        &self.sight
    }

    /// When the observer last saw nobody.
    pub fn nobody_at(&self) -> Option<Moment> {
        self.nobody_at
    }

    /// The master and its token, when all agree: one candidate says that it is master, all others that still stand say that
    /// they are its slaves, and the observer sees it.
    pub fn agreed_master(&self) -> Option<(usize, i64)> {
        let master = |(who, (standing, _)): (usize, &(Standing, Moment))| match standing {
            Standing::Master { token } => Some((who, *token)),
            _ => None,
        };
        let (who, its_token) = self.standings.iter().enumerate().find_map(master)?;
        let agrees = |other: usize| match self.standing(other) {
            Standing::Slave { token } => token == its_token,
            Standing::Master { .. } => other == who,
            Standing::Silent | Standing::Unknown => false,
            Standing::Resigned | Standing::Left | Standing::Killed => true,
        };
        let is_seen = matches!(self.sight(), Sight::Master { token, .. } if *token == its_token);
        (is_seen && (0..OBSERVER).all(agrees)).then_some((who, its_token))
    }

    /// Whether nobody can tell who is master, neither a candidate nor the observer.
    pub fn nobody_can_tell(&self) -> bool {
        let is_unknown = |(standing, _): &(Standing, Moment)| *standing == Standing::Unknown;
        self.standings.iter().all(is_unknown) && matches!(self.sight(), Sight::Unknown { .. })
    }

    /// What everybody is and sees, for the message of a failure.
    fn state(&self) -> String {
        let candidate = |who: usize| format!("{} is {}", self.name(who), self.standing(who).text());
        let candidates: Vec<String> = (0..OBSERVER).map(candidate).collect();
        format!("{}, and {OBSERVER_NAME} {}", candidates.join(", "), self.sight.text())
    }

    // --- What is done ----------------------------------------------------------------------------------------

    pub fn start_candidate(&mut self, who: usize) {
        let name = CANDIDATES[who];
        let command = match who {
            IN_PYTHON => self.script.candidate_in_python(name),
            _ => self.script.candidate(name),
        };
        self.standings[who] = (Standing::Silent, self.now());
        self.actors[who].start(who, command, &self.sender);
    }

    pub fn start_observer(&mut self) {
        self.actors[OBSERVER].start(OBSERVER, self.script.observer(), &self.sender);
    }

    /// Kills a candidate with SIGKILL.
    pub fn kill(&mut self, who: usize) -> Moment {
        let at = self.now();
        self.actors[who].kill9();
        // It has ended now, and not before: so its mastership is not made shorter than it was.
        self.ledger.end(who, self.now());
        self.standings[who] = (Standing::Killed, at);
        at
    }

    /// Writes a line to a candidate's standard input.
    pub fn tell(&mut self, who: usize, line: &str) -> Result<Moment, Stop> {
        let at = self.now();
        let program = self.actors[who].program();
        match program.map(|program| program.write_line(line)) {
            Some(Ok(())) => Ok(at),
            _ => Err(Stop::Failed(format!("{} does not listen to `{line}`", self.name(who)))),
        }
    }

    /// Asks every program to end (SIGTERM), the master last of the candidates, and waits until each has ended well.
    pub fn curtain(&mut self) -> Result<(), Stop> {
        let is_master = |play: &Play, who: usize| matches!(play.standing(who), Standing::Master { .. });
        let (masters, others) = (0..OBSERVER).partition(|&who| is_master(self, who));
        let groups: [Vec<usize>; 3] = [others, masters, vec![OBSERVER]];
        for group in groups {
            for &who in &group {
                if let Some(program) = self.actors[who].program() {
                    program.terminate();
                }
            }
            for who in group {
                self.see_off(who)?;
            }
        }
        Ok(())
    }

    /// Asks every program to end, and gives each some time for it.
    pub fn see_all_off(&mut self) {
        let programs = || self.actors.iter().filter_map(Actor::program);
        programs().for_each(|program| program.terminate());
        for program in programs() {
            program.wait(LEAVE_TIMEOUT);
        }
    }

    fn see_off(&mut self, who: usize) -> Result<(), Stop> {
        let name = self.name(who);
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        let status = loop {
            let Some(program) = self.actors[who].program() else { return Ok(()) };
            if let Some(status) = program.exit_status() {
                // And for the end of what it has to say.
                program.wait(LEAVE_TIMEOUT);
                break status;
            }
            if Instant::now() >= deadline {
                return Err(Stop::Failed(format!("{name} does not end within {LEAVE_TIMEOUT:?} on SIGTERM")));
            }
            self.hear_one(BETWEEN_LOOKS);
        };
        while self.hear_one(Duration::ZERO) {}
        self.actors[who].kill9();
        match status.success() {
            true => Ok(()),
            false => Err(Stop::Failed(format!("{name} ended with {status}"))),
        }
    }

    // --- Waiting ---------------------------------------------------------------------------------------------

    /// Shows what happens until `look` finds what is waited for. It looks after each single event, so it misses no state.
    pub fn wait<T>(
        &mut self,
        what: &str,
        at_most: Duration,
        mut look: impl FnMut(&mut Play) -> Option<T>,
    ) -> Result<T, Stop> {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return Ok(found);
            }
            self.check()?;
            if began.elapsed() > at_most {
                return Err(Stop::Failed(format!(
                    "no {what} within {} ms; now {}",
                    at_most.as_millis(),
                    self.state()
                )));
            }
            if !self.hear_one(BETWEEN_LOOKS) {
                self.timeline.count(what, began);
            }
        }
    }

    /// Whether the play can go on.
    fn check(&mut self) -> Result<(), Stop> {
        if let Some(signal) = interrupt::caught() {
            return Err(Stop::Interrupted(signal));
        }
        if !self.timeline.has_reader() {
            return Err(Stop::NobodyReads);
        }
        for actor in &self.actors {
            let program = actor.program().filter(|program| !program.is_running());
            if let Some(program) = program {
                let status = program.wait(LEAVE_TIMEOUT).map_or_else(String::new, |status| format!(" ({status})"));
                let last_words = program.lines().pop().map_or("none".to_owned(), |line| line.text);
                return Err(Stop::Failed(format!(
                    "{} has ended by itself{status}; its last words: {last_words}",
                    actor.name
                )));
            }
        }
        Ok(())
    }

    /// Waits for one line and shows what it says; false when none came in time.
    fn hear_one(&mut self, timeout: Duration) -> bool {
        let Ok((voice, line)) = self.receiver.recv_timeout(timeout) else {
            return false;
        };
        if self.actors[voice.who].is_it(voice) {
            self.hear(voice.who, &line);
        }
        true
    }

    fn hear(&mut self, who: usize, line: &Line) {
        let at = self.timeline.moment(line.at);
        let name = self.name(who);
        if who == OBSERVER {
            if let Some(sight) = Sight::of_line(&line.text) {
                if sight == Sight::Nobody {
                    self.nobody_at = Some(at);
                }
                let text = sight.text();
                self.sight = sight;
                self.row(at, Ink::Faint, &format!("{name} {text}"));
            }
            return;
        }
        if line.stream == Stream::Err {
            self.row(at, Ink::Red, &format!("{name} complains: {}", line.text));
        } else if let Some(word) = Word::of_line(name, &line.text) {
            match word.standing {
                Standing::Master { token } => self.ledger.begin(who, token, at),
                _ => self.ledger.end(who, at),
            }
            self.standings[who] = (word.standing, at);
            self.row(at, word.ink, &format!("{name} {}", word.text));
        }
    }

    /// Shows an event.
    pub fn row(&mut self, at: Moment, ink: Ink, what: &str) {
        let lanes: [Lane; OBSERVER] = self.standings.map(|(standing, _)| standing.lane());
        let sees = self.sight.short().to_owned();
        self.timeline.row(at, &lanes, &sees, ink, what);
    }
}
