//! What the user got wrong: one line that says what and where, the exit status of the shells, and nothing is changed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use testkit::{RawClient, ScratchFolder};

use crate::ground::{election, ended, server};

/// Runs `election run` with these arguments; what it says has all of these words.
#[track_caller]
fn refused(arguments: &[&str], status: i32, words: &[&str]) {
    let (code, out, err) = ended(election(["run"].iter().chain(arguments)));
    assert_eq!(code, status, "{arguments:?}: {err}");
    assert_eq!((out.as_str(), err.lines().count()), ("", 1), "{arguments:?}: {out}{err}");
    assert!(err.starts_with("election: ") && words.iter().all(|word| err.contains(word)), "{arguments:?}: {err}");
}

fn file(folder: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("a scratch folder takes files");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
    path.to_str().expect("a plain name").to_owned()
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let server = server();
    let folder = ScratchFolder::new("command");
    let hosts = server.hosts();
    let plain = file(folder.path(), "plain", "text", 0o644);
    let folder_name = folder.path().to_str().expect("a plain name");
    let open = file(folder.path(), "open", "digest jobs:secret", 0o644);
    let malformed = file(folder.path(), "malformed", "digest jobs:secret\nsecret\n", 0o600);
    let missing = format!("{folder_name}/missing");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("it has an address").to_string();

    let at = ["--hosts", &hosts, "--path", "/bad"];
    let with = |more: &[&'static str]| [&at[..], more].concat();
    let file_is =
        |path: &'_ str| ["--hosts", &hosts, "--path", "/bad", "--auth-file", path, "--", "true"].map(str::to_owned);

    refused(&["--hosts", &hosts, "--path", "bad", "--", "true"], 2, &["--path", "\"bad\""]);
    refused(&["--hosts", &hosts, "--path", "/", "--", "true"], 2, &["--path", "\"/\""]);
    refused(&["--hosts", "a:b:c", "--path", "/bad", "--", "true"], 2, &["--hosts", "a:b:c"]);
    refused(&["--hosts", "", "--path", "/bad", "--", "true"], 2, &["--hosts"]);
    refused(&["--path", "/bad", "--", "true"], 2, &["--hosts"]);
    refused(&["--hosts", &hosts, "--", "true"], 2, &["--path"]);

    refused(&with(&[]), 2, &["COMMAND"]);
    refused(&with(&["--"]), 2, &["COMMAND"]);
    refused(&with(&["true"]), 2, &["'true'"]);
    refused(&with(&["--", "--", "true"]), 2, &["COMMAND is missing", "\"--\""]);
    refused(&with(&["--", "no-such-command"]), 127, &["no-such-command"]);
    refused(&with(&["--", "/no/such/command"]), 127, &["/no/such/command"]);
    let not_executable = with(&["--"]).into_iter().chain([plain.as_str()]).collect::<Vec<_>>();
    refused(&not_executable, 126, &[&plain, "not executable"]);
    let a_folder = with(&["--"]).into_iter().chain([folder_name]).collect::<Vec<_>>();
    refused(&a_folder, 126, &[folder_name, "directory"]);

    for (path, words) in [
        (missing.as_str(), ["--auth-file", "no such file"]),
        (open.as_str(), ["mode 644", "chmod"]),
        (malformed.as_str(), ["--auth-file", "line 2"]),
        (folder_name, ["--auth-file", "not a file"]),
    ] {
        let arguments = file_is(path);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refused(&arguments, 2, &[&words[..], &[path]].concat());
        let (_, _, said) = ended(election(["run"].into_iter().chain(arguments)));
        assert!(!said.contains("secret"), "{said}");
    }

    let listen = ["--hosts", &hosts, "--path", "/bad", "--listen", &taken, "--", "true"];
    refused(&listen, 2, &["--listen", &taken, "address already in use"]);
    refused(&with(&["--listen", "nowhere", "--", "true"]), 2, &["--listen", "nowhere"]);
    refused(&with(&["--stop-signal", "NONE", "--", "true"]), 2, &["--stop-signal", "NONE"]);
    refused(&with(&["--stop-timeout", "10", "--", "true"]), 2, &["--stop-timeout", "10s"]);
    refused(&with(&["--session-timeout", "1ms", "--", "true"]), 2, &["--session-timeout", "1ms"]);
    refused(&with(&["--recipe", "none", "--", "true"]), 2, &["--recipe", "none"]);
    refused(&with(&["--no-such-option", "--", "true"]), 2, &["--no-such-option"]);

    let check = with(&["--check", "sleep 100", "--check-timeout", "200ms", "--", "true"]);
    refused(&check, 2, &["--check", "sleep 100", "200ms"]);
    refused(&with(&["--check", "no-such-check 2>/dev/null", "--", "true"]), 127, &["no-such-check"]);
    let check = format!("{plain} 2>/dev/null");
    let check = ["--hosts", &hosts, "--path", "/bad", "--check", &check, "--", "true"];
    refused(&check, 126, &[&plain]);

    // Nothing of this has reached ZooKeeper.
    let mut client = RawClient::connect(&server.host(0), 10_000).expect("a session");
    assert!(!client.exists("/bad").expect("an answer"));
    client.close_session().expect("an answer");
}

#[test]
fn a_credential_in_the_environment_is_looked_at_too() {
    let server = server();
    let mut command = election(["run", "--hosts", &server.hosts(), "--path", "/bad/environment", "--", "true"]);
    command.env("ELECTION_AUTH", "secret");
    let (code, _, said) = ended(command);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("ELECTION_AUTH: line 1") && !said.contains("secret"), "{said}");
}

#[test]
fn the_other_subcommands_say_it_too() {
    for arguments in [
        &["status", "--hosts", "a", "--path", "bad"][..],
        &["members", "--hosts", "a", "--path", "bad"],
        &["watch", "--hosts", "a", "--path", "bad"],
        &["wait", "--hosts", "a", "--path", "bad"],
        &["doctor", "--hosts", "a", "--path", "bad"],
        &["doctor", "--hosts", "a:b:c"],
        &["status", "--hosts", "a:b:c", "--path", "/bad"],
        &["nothing"],
    ] {
        let (code, out, err) = ended(election(arguments));
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{arguments:?}: {err}");
    }
}
