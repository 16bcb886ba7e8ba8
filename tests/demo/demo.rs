//! `make demo`: an election among four programs on three ZooKeeper servers, and what becomes of it when the master is killed,
//! when it resigns, when its server is killed and when all servers are restarted. Exits 0 when all of that went as it should.

mod cast;
mod interrupt;
mod ledger;
mod play;
mod scenes;
mod stage;
mod timeline;

use cast::Script;
use ledger::Ledger;
use play::{Play, Stop, CANDIDATES, OBSERVER_NAME};
use stage::Stage;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use timeline::{Ink, Timeline};

const USAGE: &str = "\
usage: demo [--hosts HOSTS]
Show an election, and what it survives, on three ZooKeeper servers of its own.

  --hosts HOSTS   play on your own ZooKeeper, host:port,host:port/chroot, and leave its servers alone
  --help          print this

Exit code: 0 when everything went as it should; 1 when something did not; 2 for a wrong command line; 128 and the
signal's number when interrupted.
";

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const SIGNALLED: u8 = 128;

/// Two programs speak through two pipes: the later of two lines may be heard first, by so much on a busy machine.
const HEARING: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let hosts = match hosts_of(std::env::args().skip(1)) {
        Ok(hosts) => hosts,
        Err(code) => return code,
    };
    interrupt::catch();
    // What the scratch servers have to say when they fail is a sentence, and is printed as one below.
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let outcome = catch_unwind(|| run(hosts.as_deref())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Stop::Failed(text.unwrap_or("it failed, and cannot say why").to_owned()))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Interrupted(signal)) => {
            eprintln!("demo: interrupted; what it had started is ended, what it had made is removed");
            ExitCode::from(SIGNALLED + signal as u8)
        }
        Err(Stop::NobodyReads) => ExitCode::from(FAILED),
        Err(Stop::Failed(why)) => {
            eprintln!("demo: failed: {why}");
            ExitCode::from(FAILED)
        }
    }
}

fn hosts_of(mut args: impl Iterator<Item = String>) -> Result<Option<String>, ExitCode> {
    let mut hosts = None;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--hosts" => hosts = args.next(),
            "--help" => {
                print!("{USAGE}");
                return Err(ExitCode::SUCCESS);
            }
            _ => hosts = None,
        }
        if hosts.as_ref().is_none_or(|hosts| hosts.trim().is_empty()) {
            eprint!("{USAGE}");
            return Err(ExitCode::from(WRONG_USAGE));
        }
    }
    Ok(hosts)
}

fn run(hosts: Option<&str>) -> Result<(), Stop> {
    let mut timeline = Timeline::new(Instant::now());
    let stage = match hosts {
        Some(hosts) => Stage::guest(hosts).map_err(Stop::Failed)?,
        None => {
            timeline.line("Three ZooKeeper servers are being started ...");
            Stage::own()
        }
    };
    let session_timeout = stage.session_timeout();
    let script = Script::new(stage.hosts(), stage.path().to_owned(), session_timeout).map_err(Stop::Failed)?;
    introduce(&mut timeline, &stage);

    let mut play = Play::new(script, timeline);
    let performed = scenes::perform(&mut play, &stage);
    if let (Err(_), Stage::Guest(_)) = (&performed, &stage) {
        // Killed, they would leave their znodes to somebody's ZooKeeper for a session timeout.
        play.see_all_off();
    }
    let (mut timeline, ledger) = play.into_record();
    let struck = stage.strike();
    let told = match (performed, struck) {
        (Ok(told), Ok(())) => told,
        (Ok(_), Err(why)) => return Err(Stop::Failed(why)),
        (Err(stop), Ok(())) => return Err(stop),
        (Err(stop), Err(why)) => {
            timeline.text(Ink::Red, 2, &format!("not all could be removed: {why}"));
            return Err(stop);
        }
    };
    conclude(&mut timeline, &ledger, &told)
}

fn introduce(timeline: &mut Timeline, stage: &Stage) {
    let [ann, bob, cid, pia] = CANDIDATES;
    timeline.text(
        Ink::Bold,
        2,
        &format!(
            "libelection: four candidates and one observer on {}; session timeout {} ms.",
            stage.description(),
            stage.session_timeout().as_millis()
        ),
    );
    timeline.line(&format!("  {ann} {bob} {cid}   c_examples/election.cpp"));
    timeline.line(&format!("  {pia}           c_examples/stand.py"));
    timeline.line(&format!("  {OBSERVER_NAME}           c_examples/watch.c, which only looks on"));
    timeline.head(&CANDIDATES, OBSERVER_NAME);
}

/// The last line, or why the play was no success though every scene was.
fn conclude(timeline: &mut Timeline, ledger: &Ledger, told: &[String]) -> Result<(), Stop> {
    let overlap = ledger.longest_overlap();
    if overlap > HEARING {
        return Err(Stop::Failed(format!("two programs were master at once, for {} ms", overlap.as_millis())));
    }
    if !ledger.tokens_rise() {
        return Err(Stop::Failed("a later master had no larger token than the one before it".to_owned()));
    }
    let at_once = match overlap.as_millis() {
        0 => "never two at once".to_owned(),
        ms => format!("two at once by {ms} ms, which is how exactly the demo hears"),
    };
    let seconds = timeline.moment(Instant::now()).as_secs_f64();
    timeline.line(&format!(
        "\ndemo ok in {seconds:.1} s: {} masterships, {at_once}; {}; nothing is left behind",
        ledger.masterships(),
        told.join(", ")
    ));
    Ok(())
}
