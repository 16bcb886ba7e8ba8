//! The nemesis: draws one fault after another from the seed, several at a time, never two on the same thing, and ends each
//! when its time has come. What it does it writes down as `begin` and `end`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::arena::Arena;
use crate::clock;
use crate::deed::{write_much, Deed, Thing};
use crate::fault::{Fault, Phase};
use crate::rng::Rng;

const BETWEEN_SAMPLES: Duration = Duration::from_secs(1);
const PHASE: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Active {
    number: i64,
    due: Instant,
    deed: Deed,
}

pub struct Nemesis<'a> {
    arena: &'a Arena,
    rng: Rng,
    active: Vec<Active>,
    busy: BTreeSet<Thing>,
    count: i64,
    /// How many errands are under way.
    errands: &'a AtomicI64,
}

impl<'a> Nemesis<'a> {
    pub fn new(arena: &'a Arena, seed: u64, errands: &'a AtomicI64) -> Nemesis<'a> {
        Nemesis { arena, rng: Rng::new(seed), active: Vec::new(), busy: BTreeSet::new(), count: 0, errands }
    }

    /// Does harm for this long, and then ends all faults: when it returns, all processes and servers run and nothing is in
    /// the way.
    pub fn rage<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, length: Duration)
    where
        'a: 'scope,
    {
        let until = Instant::now() + length;
        let (mut next, mut next_sample) = (Instant::now(), Instant::now());
        let (mut phase, mut next_phase) = (Phase::All, Instant::now() + PHASE);
        while Instant::now() < until {
            if Instant::now() >= next {
                self.strike(scope, phase);
                // At times many at once, at times nothing for a while.
                let pause =
                    if self.rng.chance(300) { self.rng.between(0, 150) } else { self.rng.between(300, 1_500) };
                next = Instant::now() + Duration::from_millis(pause);
            }
            if Instant::now() >= next_phase {
                phase = Phase::draw(&mut self.rng);
                next_phase = Instant::now() + PHASE;
            }
            if Instant::now() >= next_sample {
                self.arena.sample();
                next_sample = Instant::now() + BETWEEN_SAMPLES;
            }
            self.end_what_is_due(Instant::now());
            std::thread::sleep(LOOK_EVERY);
        }
        while !self.active.is_empty() || self.errands.load(Ordering::SeqCst) > 0 {
            self.active.iter_mut().for_each(|active| active.due = Instant::now());
            self.end_what_is_due(Instant::now());
            std::thread::sleep(LOOK_EVERY);
        }
        for part in 0..self.arena.parts.len() {
            if self.arena.has_ended(part) {
                self.arena.start(part);
            }
        }
        self.arena.wait_servers();
    }

    fn strike<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, phase: Phase)
    where
        'a: 'scope,
    {
        let arena = self.arena;
        let fault = Fault::draw(&mut self.rng, phase);
        let Some(deed) = Deed::draw(fault, &mut self.rng, arena) else { return };
        let things = deed.things();
        if things.iter().any(|thing| self.busy.contains(thing)) {
            return;
        }
        let number = self.count;
        self.count += 1;
        arena.note(&format!("begin {} {number} {} {}", clock::now(), fault.name(), deed.target(arena)));
        if deed.is_errand() {
            self.send(scope, move || {
                deed.begin(arena);
                arena.note(&format!("end {} {number}", clock::now()));
            });
            return;
        }
        deed.begin(arena);
        if fault == Fault::DiskFull {
            self.send(scope, || drop(write_much(arena)));
        }
        self.busy.extend(things);
        self.active.push(Active { number, due: Instant::now() + deed.lasts, deed });
    }

    /// What may have to wait for the servers is done on a thread of its own.
    fn send<'scope>(&self, scope: &'scope Scope<'scope, '_>, errand: impl FnOnce() + Send + 'scope)
    where
        'a: 'scope,
    {
        let errands = self.errands;
        errands.fetch_add(1, Ordering::SeqCst);
        scope.spawn(move || {
            errand();
            errands.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn end_what_is_due(&mut self, now: Instant) {
        let all = std::mem::take(&mut self.active);
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|active| active.due <= now);
        self.active = later;
        for mut active in due {
            match active.deed.end(self.arena) {
                Some(pause) => {
                    active.due = Instant::now() + pause;
                    self.active.push(active);
                }
                None => {
                    self.arena.note(&format!("end {} {}", clock::now(), active.number));
                    for thing in active.deed.things() {
                        self.busy.remove(&thing);
                    }
                }
            }
        }
    }
}
