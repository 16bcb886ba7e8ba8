//! Transcripts: stories of what an election does, as text files beside this one. Each is played to the core
//! (`src/logic/`, which does no I/O), and what the core does must be what the file says.
//!
//! - `cargo test --test transcripts` plays every `*.txt` here; a difference is shown with file and line.
//! - `BLESS=1 cargo test --test transcripts` writes what the core does now into the files. Read the diff
//!   before you commit it: it says what has changed for the callers.
//!
//! # How to read one
//!
//! A file begins with comments (`#`) that say what the story is. Then come steps, with an empty line between
//! two: what happens, `----`, and all that comes of it. Nothing that is not understood is skipped.
//!
//!     config grace=2000                        options; also recipe=queue dialect=seed margin= tick= lease_mode=
//!     at 0   connected session=0x1 timeout=7000
//!            stand /master "10.0.0.1"          time in milliseconds; without "at", the same moment
//!     ----
//!     submit 1 create /master "10.0.0.1"       the core asks ZooKeeper; 1 is the number of the request
//!     next at 1000                             it wants to be woken then
//!
//!     at 5   reply 1 created czxid=10          ZooKeeper's answer to request 1
//!     ----
//!     tell /master MASTER reason=ELECTED ...   what the caller of go_to_election hears
//!     submit 2 read /master
//!     lease until 6930                         until when the masters of this process may believe
//!
//! What can happen:
//!
//! | line | meaning |
//! | --- | --- |
//! | `connected session= timeout= [asked=]` | a session is opened (asked for at `asked`), or the same is resumed |
//! | `suspended CONNECTIONLOSS` | the connection is broken; the session may live on |
//! | `expired` | the session is over |
//! | `denied AUTHFAILED` | the servers refuse our credentials |
//! | `stand PATH VALUE [as=NAME] [once]`, `resign NAME` | a candidate; its name is its path unless `as` says other; `once`: it leaves when its mastership ends |
//! | `set-value NAME VALUE` | a candidate has another value from now on |
//! | `observe PATH`, `unobserve PATH`, `close` | an observer (`watch_master`); the end of the handle |
//! | `watch-members PATH [enough=N]`, `unwatch-members PATH` | a watcher of the members |
//! | `ask-master PATH`, `ask-members PATH` | a question, to be answered once (`master`, `members`) |
//! | `write PATH set PATH VALUE [version=]` (`create`, `delete`) | a fenced write of the master at the first path |
//! | `reply N created czxid=`, `created-as PATH czxid=`, `read VALUE czxid= owner=`, `exists yes`, `stat czxid=`, `listed NAME...`, `done`, `not-master` | the answer to request N |
//! | `reply N refused NOAUTH`, `reply N unknown` | ZooKeeper said no; nobody knows whether it was carried out |
//! | `watch N deleted` (`changed`, `created`) | the watch that request N left has fired |
//! | `timeout` | the moment of `next` has come |
//! | `beats` | up to this moment each timer was served, and each proof and touch answered at once |
//! | `paused` | this process did not run until now, so that its timers are late |
//! | `ask PATH` | `election_is_master`: the token if there is a mastership to believe in, or no |
//!
//! With several processes, `a:` before a line says which one. `{01-70}` in a line stands for 70 lines.
//! What comes out is `submit`, `unwatch`, `tell`, `show` (to an observer), `show-members` (to a watcher of the members: who
//! is in, in order, with values), `answer` (to the first call, the second, ...), `dismiss` (that was the last news),
//! `renew` (a new session, please), and what has changed of `lease`, `next` and `watches` (those that are armed);
//! `nothing`, if nothing does. `only a timer will wake it` points at those who wait for nobody's answer.
//!
//! Whatever a file says, `audit.rs` holds every story to what must always be true.

mod audit;
mod fold;
mod many;
mod notation;
mod play;
mod process;

use std::path::Path;

#[test]
fn every_transcript_is_what_happens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let files = std::fs::read_dir(&folder).expect("the folder of this file");
    let mut files: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "no transcript in {}", folder.display());
    let bless = std::env::var_os("BLESS").is_some();
    let mut failures = Vec::new();
    for file in &files {
        let name = file.file_name().expect("a name").to_string_lossy();
        println!("playing {name}"); // for the reader of a panic in the core
        let text = std::fs::read_to_string(file).expect("a text file");
        match play::play(&text) {
            Ok(played) if bless => std::fs::write(file, played.rewritten()).expect("a writable file"),
            Ok(played) => {
                failures.extend(played.differences().map(|(line, diff)| format!("{name}:{line}: {diff}")))
            }
            Err((line, error)) => failures.push(format!("{name}:{line}: {error}")),
        }
    }
    println!("{} transcripts", files.len());
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n\n"));
}

/// What the harness refuses, it refuses.
mod refusals {
    use crate::play::play;

    const UP: &str = "# A story.\nconfig recipe=node\nat 0 connected session=0x1 timeout=4000\n stand /m \"a\"\n";

    fn error(text: &str) -> String {
        match play(text) {
            Err((_, error)) => error,
            Ok(played) => played.differences().map(|(_, diff)| diff).collect(),
        }
    }

    #[test]
    fn what_is_not_understood() {
        for (added, complaint) in [
            ("dance", "dance"),
            ("expired now", "left over: now"),
            ("reply 1 created czxid=1 colour=2", "left over: colour=2"),
            ("reply 1 created", "czxid= is missing"),
            ("reply 1 created czxid=ten", "not a number: ten"),
            ("reply 1 refused NOWAY", "NOWAY"),
            ("reply 1 done", "does not answer"),
            ("reply 7 done", "no request 7"),
            ("watch 1 deleted", "no watch 1"),
            ("resign /x", "no candidate or observer /x"),
            ("timeout", "before next"),
            ("at 900 expired", "was not served"),
            ("config recipe=node", "config"),
        ] {
            let error = error(&format!("{UP}{added}\n----\nsubmit 1\n"));
            assert!(error.contains(complaint), "{added}: {error}");
        }
        assert!(error("# A story.\nconfig recipe=nod\n").contains("nod"));
        assert!(error(&format!("{UP}at 5 ask /m\nat 4 ask /m\n----\n")).contains("backwards"));
    }

    #[test]
    fn what_expects_nothing() {
        assert!(error("# A story.\n").contains("no step"));
        assert!(error(UP).contains("no expectation"));
        assert!(error(&format!("{UP}----\n")).contains("+ submit 1 create"));
        assert!(error(&UP.replace("# A story.\n", "")).contains("what the story is"));
    }
}
