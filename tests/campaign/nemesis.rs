//! The nemesis carries the plan out. It runs several faults at a time, never two on the same target, and ends each
//! fault when its time is over. It records each fault as `begin` and `end`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use testkit::Progress;

use crate::arena::{Arena, SESSION_TIMEOUT_MS};
use crate::clock;
use crate::deed::{write_much, Deed, Thing};
use crate::plan::Strike;
use crate::rng::Rng;

const BETWEEN_SAMPLES: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a strike waits for a resource that another fault uses. After that it is left out.
const WAITS: Duration = Duration::from_millis(SESSION_TIMEOUT_MS);
const BETWEEN_WRITES: Duration = Duration::from_millis(500);
/// How long a fault goes on that no server has noticed. This is longer than the servers need to agree once all is well,
/// so a fault that ends unnoticed did not happen.
const UNNOTICED: Duration = Duration::from_secs(60);

struct Active {
    number: i64,
    began: Instant,
    due: Instant,
    deed: Deed,
    /// The fault has shown its effect. Most faults need not.
    is_noticed: bool,
    next_write: Instant,
}

pub struct Nemesis<'a> {
    arena: &'a Arena,
    waiting: Vec<Strike>,
    active: Vec<Active>,
    busy: BTreeSet<Thing>,
    count: i64,
    /// How many errands are running.
    errands: &'a AtomicI64,
}

impl<'a> Nemesis<'a> {
    pub fn new(arena: &'a Arena, errands: &'a AtomicI64) -> Nemesis<'a> {
        Nemesis { arena, waiting: Vec::new(), active: Vec::new(), busy: BTreeSet::new(), count: 0, errands }
    }

    /// Causes faults for this long, and then ends all of them. When it returns, all processes and servers run, and no
    /// fault is active.
    pub fn rage<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, plan: Vec<Strike>, length: Duration)
    where
        'a: 'scope,
    {
        let began = Instant::now();
        let mut plan = plan.into_iter().peekable();
        let mut next_sample = began;
        let progress = Progress::new("faults", length.as_secs(), "s");
        while began.elapsed() < length {
            while let Some(strike) = plan.next_if(|strike| strike.at <= began.elapsed()) {
                self.waiting.push(strike);
            }
            self.strike_where_it_fits(scope, began);
            if Instant::now() >= next_sample {
                self.arena.sample();
                progress.reach(began.elapsed().as_secs());
                next_sample = Instant::now() + BETWEEN_SAMPLES;
            }
            self.see_to_it_that_all_are_noticed(scope);
            self.end_what_is_due();
            std::thread::sleep(LOOK_EVERY);
        }
        drop(progress);
        while !self.active.is_empty() || self.errands.load(Ordering::SeqCst) > 0 {
            self.active.iter_mut().for_each(|active| active.due = Instant::now());
            self.see_to_it_that_all_are_noticed(scope);
            self.end_what_is_due();
            std::thread::sleep(LOOK_EVERY);
        }
        for part in 0..self.arena.parts.len() {
            if self.arena.has_ended(part) {
                self.arena.start(part);
            }
        }
        self.arena.wait_servers();
    }

    /// Strikes come in order: if a strike has to wait for a resource, later strikes cannot use it first.
    fn strike_where_it_fits<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, began: Instant)
    where
        'a: 'scope,
    {
        let mut taken = self.busy.clone();
        for strike in std::mem::take(&mut self.waiting) {
            let Some(deed) = Deed::draw(strike.fault, &mut Rng::new(strike.seed), self.arena) else { continue };
            let things = deed.things();
            let is_free = !things.iter().any(|thing| taken.contains(thing));
            taken.extend(things);
            if is_free {
                self.strike(scope, deed);
            } else if began.elapsed() < strike.at + WAITS {
                self.waiting.push(strike);
            }
        }
    }

    fn strike<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, deed: Deed)
    where
        'a: 'scope,
    {
        let arena = self.arena;
        let number = self.count;
        self.count += 1;
        arena.note(&format!("begin {} {number} {} {}", clock::now(), deed.fault.name(), deed.target(arena)));
        if deed.is_errand() {
            self.send(scope, move || {
                let vain = if deed.begin(arena) { "" } else { " vain" };
                arena.note(&format!("end {} {number}{vain}", clock::now()));
            });
            return;
        }
        deed.begin(arena);
        self.busy.extend(deed.things());
        let (began, is_noticed) = (Instant::now(), !deed.has_to_be_noticed());
        self.active.push(Active { number, began, due: began + deed.lasts, deed, is_noticed, next_write: began });
    }

    /// Runs on a thread of its own, because the errand may have to wait for the servers.
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

    /// A server with a full or slow disk finds out when it writes, and it writes when it has a majority with it. So the
    /// campaign writes again and again until the server has complained.
    fn see_to_it_that_all_are_noticed<'scope>(&mut self, scope: &'scope Scope<'scope, '_>)
    where
        'a: 'scope,
    {
        let arena = self.arena;
        let mut is_to_be_written = false;
        for active in self.active.iter_mut().filter(|active| !active.is_noticed) {
            if active.deed.is_noticed(arena) {
                active.is_noticed = true;
                arena.note(&format!("noticed {} {}", clock::now(), active.number));
            } else if Instant::now() >= active.next_write {
                active.next_write = Instant::now() + BETWEEN_WRITES;
                active.deed.renew(arena);
                is_to_be_written = true;
            }
        }
        if is_to_be_written {
            self.send(scope, || drop(write_much(arena)));
        }
    }

    fn end_what_is_due(&mut self) {
        let all = std::mem::take(&mut self.active);
        let is_due = |active: &Active| {
            active.due <= Instant::now() && (active.is_noticed || active.began.elapsed() > UNNOTICED)
        };
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(is_due);
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
