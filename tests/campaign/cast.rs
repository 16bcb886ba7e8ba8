//! The participants: processes in both recipes and two languages, and `election run` of a command that records when it
//! runs. Some processes have many elections on one handle, some dispatch by hand, and some are observers. All are drawn
//! from the seed. A third of all processes speaks to the servers by TLS.

use crate::rng::Rng;

pub const NODE: i32 = 0;
pub const QUEUE: i32 = 1;
pub const ROOT: &str = "/campaign";
/// The path at which the processes of `election run` stand, and no other process.
pub const COMMAND: &str = "/campaign/command";
/// The znodes that masters write to in ZooKeeper: one for each election.
pub const REGISTER: &str = "/register";
/// A znode that is written only to cause writes.
pub const BALLAST: &str = "/ballast";
const MANY: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    C,
    Python,
    /// `election run`. The command that it runs is in C.
    Command,
}

/// One part of the cast. It has one process after another.
#[derive(Clone, Debug)]
pub struct Part {
    pub lane: String,
    pub language: Language,
    pub dispatches: bool,
    /// Its connections are encrypted.
    pub has_tls: bool,
    pub stands: Vec<(i32, String)>,
    pub watches: Vec<(i32, String)>,
    /// A planted fault of the program itself, on which the checker is tried.
    pub plant: Option<&'static str>,
}

/// The same, and the elections of the commands.
pub fn all_elections() -> Vec<(i32, String)> {
    elections().into_iter().chain([(NODE, COMMAND.to_owned())]).collect()
}

/// A part for `election run`.
pub fn command(lane: &str) -> Part {
    Part {
        lane: lane.to_owned(),
        language: Language::Command,
        dispatches: false,
        has_tls: false,
        stands: vec![(NODE, COMMAND.to_owned())],
        watches: Vec::new(),
        plant: None,
    }
}

/// Recipe and path of each election of the library's candidates.
pub fn elections() -> Vec<(i32, String)> {
    let many = (0..MANY).map(|i| (NODE, format!("{ROOT}/many-{i}")));
    [(NODE, format!("{ROOT}/node")), (QUEUE, format!("{ROOT}/queue"))].into_iter().chain(many).collect()
}

/// Five to nine candidates, two observers, and three commands.
pub fn draw(rng: &mut Rng) -> Vec<Part> {
    let names = ["ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal", "ivy"];
    let count = rng.between(5, names.len() as u64) as usize;
    let all = elections();
    let mut parts: Vec<Part> = (0..count)
        .map(|i| Part {
            lane: names[i].to_owned(),
            // Some of each recipe, some of each language.
            language: if i % 4 == 1 || i == 4 { Language::Python } else { Language::C },
            dispatches: rng.chance(400),
            has_tls: false,
            stands: match i % 3 {
                0 => all.iter().filter(|(recipe, _)| *recipe == NODE).cloned().collect(),
                1 => all[1..2].to_vec(),
                _ => all[..2].to_vec(),
            },
            watches: Vec::new(),
            plant: None,
        })
        .collect();
    for (lane, language) in [("pia", Language::C), ("quin", Language::Python)] {
        parts.push(Part {
            lane: lane.to_owned(),
            language,
            dispatches: rng.chance(400),
            has_tls: false,
            stands: Vec::new(),
            watches: all[..3].to_vec(),
            plant: None,
        });
    }
    parts.extend(["joe", "kim", "lee"].map(command));
    // One of three, and not always the one with the same elections.
    let first = rng.below(3) as usize;
    for (i, part) in parts.iter_mut().enumerate() {
        part.has_tls = (i + i / 3 + first) % 3 == 0;
    }
    parts
}
