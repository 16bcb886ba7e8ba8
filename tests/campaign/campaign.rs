//! The fault campaign: the real library in real processes, in C, in Python and as `election run`, on three real
//! servers, under real faults. A checker judges the campaign by the records that the processes wrote.
//!
//!     campaign run [--seconds N] [--seed N] [--pace N] [--folder FOLDER]
//!     campaign plants
//!     campaign check HISTORY
//!     campaign draw HISTORY PICTURE [PATH FROM TO]
//!
//! `run` leaves `history.txt` ([`history`] describes it) and `timeline.svg` in the folder, by default in the target
//! folder. It fails with 1 if the checker finds anything. It fails with 3 if the machine or a server did not keep up,
//! and then the run proves nothing. `check` and `draw` do the same again from a history. `plants` tries the checker on
//! faults that are planted in the processes themselves.

mod arena;
mod cast;
mod checker;
mod clock;
mod deed;
mod drawing;
mod fault;
mod history;
mod link;
mod machine;
mod nemesis;
mod plan;
mod plants;
mod register;
#[path = "../simulation/rng.rs"]
mod rng;
mod transactions;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use arena::{Arena, SESSION_TIMEOUT_MS, TICK_MS};
use drawing::Frame;
use history::History;
use nemesis::Nemesis;
use rng::Rng;

const USAGE: &str =
    "campaign run [--seconds N] [--seed N] [--pace N] [--folder FOLDER]     --pace 3: pauses three times as long
campaign plants
campaign check HISTORY
campaign draw HISTORY PICTURE [PATH FROM TO]     the election at PATH from second FROM to TO";
/// The exit code of this program if the machine may have caused the findings.
const INVALID: u8 = 3;
/// After the last fault the campaign is quiet for this long. The bound for the next master lies within it.
const CALM: Duration = Duration::from_millis(6 * SESSION_TIMEOUT_MS);
/// If the machine stands still for this long within a session timeout, that counts as a fault: the calm begins anew.
const STILL: i64 = SESSION_TIMEOUT_MS as i64 * 1_000_000 / 10;
const CALMS: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const LOOKS: usize = (SESSION_TIMEOUT_MS / 1_000) as usize;
const CLOSING: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", ref options @ ..] => run(options),
        ["plants"] => try_plants(),
        ["check", history] => check(Path::new(history)),
        ["draw", history, picture] => draw(Path::new(history), Path::new(picture), None),
        ["draw", history, picture, path, from, to] => match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) => {
                let frame = Frame { path: path.to_owned(), from, to };
                draw(Path::new(history), Path::new(picture), Some(frame))
            }
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn run(options: &[&str]) -> ExitCode {
    let (mut seconds, mut seed, mut pace, mut folder) = (60, clock::time_of_day() as u64 / 1_000_000_000, 1, None);
    for pair in options.chunks(2) {
        match pair {
            ["--seconds", value] => seconds = value.parse().unwrap_or(seconds),
            ["--seed", value] => seed = value.parse().unwrap_or(seed),
            ["--pace", value] => pace = value.parse().unwrap_or(pace),
            ["--folder", value] => folder = Some(PathBuf::from(value)),
            _ => return usage(),
        }
    }
    let folder = folder.unwrap_or_else(|| folder_of(&format!("seed-{seed}")));
    own_mounts();
    let history = play(seed, Duration::from_secs(seconds), pace, &folder);
    draw(&history, &folder.join("timeline.svg"), None);
    check(&history)
}

fn draw(path: &Path, picture: &Path, frame: Option<Frame>) -> ExitCode {
    let drawn = History::read(path).and_then(|history| {
        let frame = frame.unwrap_or_else(|| Frame::best(&history));
        let svg = drawing::draw(&history, &frame);
        fs::write(picture, svg).map_err(|error| format!("{}: {error}", picture.display()))
    });
    match drawn {
        Ok(()) => {
            println!("picture: {}", picture.display());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn try_plants() -> ExitCode {
    own_mounts();
    let path = plants::play(&folder_of("plants"));
    let history = History::read(&path).unwrap_or_else(|why| panic!("{why}"));
    let verdict = checker::check(&history);
    print!("{verdict}");
    let mistakes = plants::mistakes(&verdict);
    mistakes.iter().for_each(|mistake| println!("MISTAKE of the checker: {mistake}"));
    match mistakes.is_empty() {
        true => {
            println!("the checker found each planted fault, and nothing else");
            ExitCode::SUCCESS
        }
        false => ExitCode::FAILURE,
    }
}

fn folder_of(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    let target = program.ancestors().nth(3).expect("it is in the target folder").to_owned();
    target.join("campaign").join(name)
}

/// Mounts that are made from now on end with this process and its children.
fn own_mounts() {
    // SAFETY: unshare takes a number, and mount takes strings that end with a 0 byte. This process has only one thread
    // yet.
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
    };
    assert!(done, "no mount namespace ({}): a campaign runs as root", std::io::Error::last_os_error());
}

fn play(seed: u64, length: Duration, pace: u32, folder: &Path) -> PathBuf {
    let parts = cast::draw(&mut Rng::new(seed));
    println!("seed {seed}: {} processes, {} s of faults", parts.len(), length.as_secs());
    let arena = Arena::new(seed, parts, &cast::all_elections(), folder);
    let count = arena.parts.len();
    (0..count).for_each(|part| arena.start(part));
    std::thread::sleep(Duration::from_secs(2));

    let errands = AtomicI64::new(0);
    let plan = plan::draw(seed, length, pace);
    std::thread::scope(|scope| Nemesis::new(&arena, &errands).rage(scope, plan, length));
    finish(&arena)
}

/// Waits for a time of calm in which the machine keeps up, up to a limit.
fn wait_for_calm(arena: &Arena) {
    for calm in 1..=CALMS {
        arena.note(&format!("calm {}", clock::now()));
        // Stalls before this time do not count.
        arena.note_stalls();
        let until = Instant::now() + CALM;
        let mut stood_still = VecDeque::from([0; LOOKS]);
        while Instant::now() < until && (calm == CALMS || stood_still.iter().sum::<i64>() < STILL) {
            std::thread::sleep(BETWEEN_LOOKS);
            stood_still.pop_front();
            stood_still.push_back(arena.sample());
        }
        if Instant::now() >= until {
            return;
        }
    }
}

/// From the last fault to the end: a time of calm, the closing of all processes, and the gathering of the history.
fn finish(arena: &Arena) -> PathBuf {
    wait_for_calm(arena);
    arena.note(&format!("closing {}", clock::now()));
    (0..arena.parts.len()).for_each(|part| arena.tell(part, "close"));
    testkit::wait_until(CLOSING, || (0..arena.parts.len()).all(|part| arena.has_ended(part)));
    arena.note_stalls();
    // Each process that was killed before has left a session, which ends by itself.
    std::thread::sleep(Duration::from_millis(SESSION_TIMEOUT_MS + 4 * u64::from(TICK_MS)));
    arena.note_what_is_left();
    // The history shows a process that did not end.
    (0..arena.parts.len()).for_each(|part| arena.kill(part));
    arena.ensemble.stop_all();
    arena.note_complaints();
    let truth = transactions::logged(&arena.data_folders(), &[cast::ROOT, cast::REGISTER]);
    fs::write(arena.folder().join(history::ZOOKEEPER), truth).expect("the history can be written");
    let path = arena.folder().join("history.txt");
    fs::write(&path, history::gather(arena.folder(), &arena.names())).expect("the history can be written");
    path
}

fn check(path: &Path) -> ExitCode {
    let history = match History::read(path) {
        Ok(history) => history,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let verdict = checker::check(&history);
    print!("{verdict}");
    println!("history: {}", path.display());
    match (verdict.violations.is_empty(), verdict.doubts.is_empty()) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(INVALID),
        (false, _) => ExitCode::FAILURE,
    }
}
