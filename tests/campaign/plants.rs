//! Tries the checker on a real run. Faults are planted in some of the processes themselves. The checker has to find
//! each of them, by name, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::eventually;

use crate::arena::{Arena, SESSION_TIMEOUT_MS};
use crate::cast::{command, elections, Language, Part, COMMAND, NODE};
use crate::checker::Verdict;
use crate::clock;
use crate::link::Trouble;

const SOON: Duration = Duration::from_secs(30);

/// The lane, its planted fault, and the violation to find: one violation must have all of these words.
const PLANTS: [(&str, &str, &[&str]); 7] = [
    ("ann", "believes", &["two masters at /campaign/node", "ann-1", "bob-1"]),
    ("pia", "forgets", &["pia-1 was told last of"]),
    ("cid", "keeps", &["left in ZooKeeper: /campaign/queue"]),
    ("dan", "leaks", &["dan-1 had", "descriptors and came to"]),
    ("dan", "leaks", &["dan-1 had", "of memory and came to"]),
    ("eve", "spins", &["eve-1 used"]),
    ("joe", "is stopped together with its guard", &["two masters at /campaign/command", "joe-1", "kim-1"]),
];
const HEALTHY: [&str; 2] = ["bob", "oz"];
/// `election run`: if it is stopped together with its guard, its command goes on, as its manual says.
const COMMANDS: [&str; 2] = ["joe", "kim"];

fn parts() -> Vec<Part> {
    let all = elections();
    let part = |lane: &str, plant| Part {
        lane: lane.to_owned(),
        language: if lane == "oz" { Language::Python } else { Language::C },
        dispatches: false,
        has_tls: lane == "oz",
        stands: match lane {
            "ann" | "bob" => all[..1].to_vec(),
            "cid" | "dan" | "eve" => all[1..2].to_vec(),
            _ => Vec::new(),
        },
        watches: if ["pia", "oz"].contains(&lane) { all[..1].to_vec() } else { Vec::new() },
        plant,
    };
    let plants: BTreeMap<&str, &'static str> = PLANTS.iter().map(|(lane, plant, _)| (*lane, *plant)).collect();
    let of_library = plants.iter().filter(|(lane, _)| !COMMANDS.contains(lane));
    let planted = of_library.map(|(lane, plant)| part(lane, Some(*plant)));
    planted.chain(HEALTHY.iter().map(|lane| part(lane, None))).chain(COMMANDS.map(command)).collect()
}

/// Ann is master and is cut off until bob is master. Pia has heard only of ann.
pub fn play(folder: &Path) -> PathBuf {
    let of = [&elections()[..2], &[(NODE, COMMAND.to_owned())]].concat();
    let arena = Arena::new(0, parts(), &of, folder);
    arena.start(0);
    let path = &elections()[0].1;
    eventually(SOON, "ann is master", || arena.master(path) == Some(0));
    let place = |lane: &str| arena.parts.iter().position(|part| part.lane == lane).expect("it is there");
    let (joe, kim) = (place("joe"), place("kim"));
    (1..arena.parts.len()).filter(|part| *part != kim).for_each(|part| arena.start(part));
    eventually(SOON, "joe's command runs", || arena.master(COMMAND) == Some(joe));
    arena.start(kim);
    watch_for(&arena, 2 * SESSION_TIMEOUT_MS);

    arena.note(&format!("begin {} 1 stop-long joe", clock::now()));
    arena.strike_guard(joe, libc::SIGSTOP);
    arena.freeze(joe, true);
    // Both commands run: joe's is the first that is found.
    eventually(SOON, "kim's command runs", || arena.runs_command(kim));
    watch_for(&arena, SESSION_TIMEOUT_MS / 3);
    arena.strike_guard(joe, libc::SIGCONT);
    arena.freeze(joe, false);
    arena.note(&format!("end {} 1", clock::now()));

    let bob = place("bob");
    arena.note(&format!("begin {} 0 link-drop ann 1+2+3 both-ways", clock::now()));
    let cut = Trouble { stops: [true, true], ..Trouble::default() };
    arena.links[0].iter().for_each(|link| link.set_trouble(cut));
    eventually(SOON, "bob is master", || arena.master(path) == Some(bob) || arena.has_ended(bob));
    watch_for(&arena, SESSION_TIMEOUT_MS);
    arena.links[0].iter().for_each(|link| link.set_trouble(Trouble::default()));
    arena.note(&format!("end {} 0", clock::now()));
    crate::finish(&arena)
}

fn watch_for(arena: &Arena, ms: u64) {
    for _ in 0..ms / 1_000 {
        arena.sample();
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The planted faults that were not found, and the findings that were not planted.
pub fn mistakes(verdict: &Verdict) -> Vec<String> {
    let says = |violation: &str, what: &[&str]| what.iter().all(|words| violation.contains(words));
    let found = |what: &[&str]| verdict.violations.iter().any(|violation| says(violation, what));
    let missed = PLANTS.iter().filter(|(.., what)| !found(what));
    let missed = missed.map(|(lane, plant, what)| format!("{lane} {plant}, and this was not found: {what:?}"));
    let is_planted = |violation: &&String| {
        PLANTS.iter().any(|(lane, _, what)| violation.contains(&format!("{lane}-1")) || says(violation, what))
    };
    let others = verdict.violations.iter().filter(|violation| !is_planted(violation));
    missed.chain(others.map(|violation| format!("not planted: {violation}"))).collect()
}
