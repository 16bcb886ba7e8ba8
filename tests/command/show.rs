//! `status`, `members`, `watch` and `wait`, for people and for programs.

use testkit::Program;

use crate::ground::{election, ended, number, run, server, SOON, WORK};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn status_says_who_is_master() {
    let server = server();
    let hosts = server.hosts();
    let status =
        |more: &[&str]| ended(election(["status", "--hosts", &hosts, "--path", "/show/status"].iter().chain(more)));
    assert_eq!(status(&[]), (1, "no master\n".to_owned(), String::new()));
    assert_eq!(json(&status(&["--json"]).1), json(r#"{"path":"/show/status","state":"none"}"#));

    let master =
        run(&hosts, "/show/status", &["--value", "10.0.0.7"], "echo token $ELECTION_TOKEN; exec sleep 1000");
    let token = number(&master, "token");
    let (code, out, err) = status(&[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with(&format!("master  10.0.0.7  token {token}  session 0x")), "{out}");
    let shown = json(&status(&["--json"]).1);
    assert_eq!(shown["master"]["value"], "10.0.0.7");
    assert_eq!(shown["master"]["token"], token);
    assert!(shown["master"]["since_unix_ms"].as_i64().is_some_and(|since| since > 1_600_000_000_000), "{shown}");

    // And from within COMMAND, by what it finds in its environment.
    let within =
        run(&hosts, "/show/within", &["--value", "me"], &format!("{} status", env!("CARGO_BIN_EXE_election")));
    within.expect_text(SOON, "master  me");
}

#[test]
fn a_value_that_is_no_text_is_shown_all_the_same() {
    let server = server();
    let mut client = testkit::RawClient::connect(&server.host(0), 10_000).expect("a session");
    for (path, value, text, shown) in [
        ("/show-binary", &b"\xff\x00"[..], "master  0xff00  ", ("value_hex", "ff00")),
        ("/show-control", b"a\x1b[2Jb", "master  a\\u{1b}[2Jb  ", ("value", "a\u{1b}[2Jb")),
    ] {
        assert_eq!(client.create(path, value, 1).expect("an answer").err, 0);
        let look = |more: &[&str]| {
            ended(election(["status", "--hosts", &server.hosts(), "--path", path].iter().chain(more)))
        };
        let (code, out, _) = look(&[]);
        assert!(code == 0 && out.starts_with(text), "{out:?}");
        assert_eq!(json(&look(&["--json"]).1)["master"][shown.0], shown.1);
    }
    client.close_session().expect("an answer");
}

#[test]
fn members_stand_in_order() {
    let server = server();
    let hosts = server.hosts();
    let look = |more: &[&str]| {
        let at = ["members", "--hosts", &hosts, "--path", "/show/members", "--recipe", "queue"];
        ended(election(at.iter().chain(more)))
    };
    assert_eq!(look(&[]).0, 1);
    let options = |value| ["--recipe", "queue", "--value", value];
    let ann = run(&hosts, "/show/members", &options("ann"), WORK);
    number(&ann, "started");
    let bob = run(&hosts, "/show/members", &options("bob"), WORK);
    bob.expect_text(SOON, "waiting for mastership");
    let (code, out, _) = look(&[]);
    let starts: Vec<&str> = out.lines().map(|line| line.split("  token").next().unwrap_or_default()).collect();
    assert_eq!((code, starts), (0, vec!["master  ann", "member  bob"]));
    assert_eq!(look(&["--enough", "3"]).0, 1);
    let shown = json(&look(&["--json", "--enough", "2"]).1);
    assert_eq!(shown["members"][1]["value"], "bob");
}

#[test]
fn watch_shows_each_change() {
    let server = server();
    let hosts = server.hosts();
    let watch = |more: &[&str]| {
        Program::spawn(election(["watch", "--hosts", &hosts, "--path", "/show/watch"].iter().chain(more)))
    };
    let (text, lines) = (watch(&["--count", "3"]), watch(&["--json"]));
    text.expect_text(SOON, "no master");
    let master = run(&hosts, "/show/watch", &["--value", "ann"], WORK);
    text.expect_text(SOON, "master  ann");
    master.terminate();
    text.expect_text(SOON, "no master");
    assert!(text.wait(SOON).is_some_and(|status| status.success()), "{}", text.transcript());
    for state in ["none", "master", "none"] {
        let line = lines.wait_for(SOON, |_| true).unwrap_or_else(|| panic!("{}", lines.transcript()));
        assert_eq!(json(&line.text)["state"], state);
    }
}

#[test]
fn wait_ends_when_there_is_a_master() {
    let server = server();
    let hosts = server.hosts();
    let wait = |more: &[&str]| election(["wait", "--hosts", &hosts, "--path", "/show/wait"].iter().chain(more));
    assert_eq!(ended(wait(&["--timeout", "300ms"])).0, 1);
    assert_eq!(ended(wait(&["--none"])).0, 0);
    let waiting = Program::spawn(wait(&[]));
    let for_bob = Program::spawn(wait(&["--value", "bob"]));
    let ann = run(&hosts, "/show/wait", &["--value", "ann"], WORK);
    waiting.expect_text(SOON, "master  ann");
    assert!(waiting.wait(SOON).is_some_and(|status| status.success()));
    assert_eq!(ended(wait(&["--none", "--timeout", "300ms"])).0, 1);
    assert!(for_bob.is_running());
    ann.terminate();
    let bob = run(&hosts, "/show/wait", &["--value", "bob"], WORK);
    number(&bob, "started");
    for_bob.expect_text(SOON, "master  bob");
    assert!(for_bob.wait(SOON).is_some_and(|status| status.success()));
}

#[test]
fn without_a_server_nobody_can_tell() {
    let (code, out, err) =
        ended(election(["status", "--hosts", "127.0.0.1:1", "--path", "/show", "--timeout", "500ms"]));
    assert_eq!((code, out.as_str(), err.lines().count()), (3, "", 1), "{err}");
    assert!(err.contains("127.0.0.1:1"), "{err}");
}
