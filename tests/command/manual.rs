//! The man pages and the completions, as they are made for an installation.

use std::fs;
use std::process::Command;

use testkit::ScratchFolder;

use crate::ground::{election, ended};

#[test]
fn man_pages_and_completions_are_sound() {
    let folder = ScratchFolder::new("command");
    let (code, _, said) =
        ended(election(["generate".as_ref(), folder.path().as_os_str(), "--date".as_ref(), "2026-01-01".as_ref()]));
    assert_eq!(code, 0, "{said}");
    let pages = folder.path().join("man1");
    let mut names: Vec<String> = fs::read_dir(&pages)
        .expect("pages")
        .map(|page| page.expect("a page").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    let expected = ["doctor", "members", "run", "status", "wait", "watch"].map(|name| format!("election-{name}.1"));
    assert_eq!(names, expected.into_iter().chain(["election.1".to_owned()]).collect::<Vec<_>>());
    for name in &names {
        let page = pages.join(name);
        let text = fs::read_to_string(&page).expect("the page can be read");
        assert!(text.contains(".SH EXAMPLES") && text.contains("2026-01-01"), "{name}");
        // The generator of clap puts a break beside a space; that is harmless.
        let lint =
            Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(&page).output().expect("mandoc: make setup");
        let lint = String::from_utf8_lossy(&lint.stdout).into_owned();
        let mistakes: Vec<&str> = lint.lines().filter(|line| !line.contains("paragraph macro: br")).collect();
        assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
    }
    let completions = folder.path().join("completions");
    for name in ["election.bash", "_election", "election.fish"] {
        let text = fs::read_to_string(completions.join(name)).expect("it is there");
        assert!(
            ["doctor", "--session-timeout", "--stop-signal"]
                .iter()
                .all(|word| text.contains(word.trim_start_matches('-'))),
            "{name}"
        );
        assert!(!text.contains("generate"), "{name} tells of what is hidden");
    }
    let script = format!(". {}; complete -p election", completions.join("election.bash").display());
    let bash = Command::new("bash").args(["-c", &script]).output().expect("bash is there");
    assert!(bash.status.success(), "{}", String::from_utf8_lossy(&bash.stderr));
}

/// Each option has a variable, and the page of its subcommand names it.
#[test]
fn help_is_help_and_its_status_is_0() {
    let (code, out, err) = ended(election(["--help"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("run ") && out.contains("doctor ") && !out.contains("generate"), "{out}");
    let (code, out, _) = ended(election(["run", "--help"]));
    assert_eq!(code, 0);
    assert!(out.contains("ELECTION_STOP_TIMEOUT") && out.contains("-- COMMAND"), "{out}");
    let (code, out, _) = ended(election(["--version"]));
    assert_eq!((code, out), (0, format!("election {}\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(ended(election([] as [&str; 0])).0, 2);
}
