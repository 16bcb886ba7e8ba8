//! The checker finds each violation that is planted in a history, and does not report cases that are not promised.

use super::{check, Verdict};
use crate::history::History;

/// A good campaign of nine seconds: ann is master and resigns, then bob is master. oz observes. `@S` is a stamp, in
/// seconds.
const GOOD: &str = "
== run
seed 1
timeout_ms 1000
tick_ms 100
servers 3
clock @0 @1000
election 0 /e
process @0.1 ann-1 C ann
process @0.1 bob-1 C bob
process @0.1 oz-1 C oz
operator 99
sample @3.2 bob-1 3000 10 4 100
sample @8.2 bob-1 3100 11 4 200
begin @2 0 stop-short ann
end @2.5 0
calm @5
closing @9
exit @9.6 ann-1 code 0
exit @9.6 bob-1 code 0
exit @9.6 oz-1 code 0
== register
write @0.5 /e fenced 10 ann-1 1
write @0.5 /e unfenced 10 ann-1 1
write @3.5 /e fenced 20 bob-1 1
write @3.6 /e fenced 10 ann-1 0
write @3.6 /e unfenced 20 bob-1 1
== zookeeper
create 10 1000200 77 3 /e ann-1
set 12 1000500 77 3 /register/e 10 ann-1
delete 15 1003000 77 3 /e
create 20 1003005 88 3 /e bob-1
set 22 1003500 88 3 /register/e 20 bob-1
delete 30 1009400 88 3 /e
== ann-1
stand @0.11 /e
belief /e 10 @0.3 @0.301 @2.98 @2.981 @3.4 500 2000 2000000 @2.99 @2.991
role @0.3 /e 1 0 0 10
act @0.4 @0.5 /e znode 10 0
resign @2.985 /e 0
role @2.986 /e -1 7 -1014 0
stand @3.5 /e
role @3.6 /e 0 1 -110 20
close @9.1 @9.2 0 0
role @9.15 /e -1 8 -116 0
freed @3 /e role
freed @9.2 /e role
asked @9.3 9000
== bob-1
stand @0.11 /e
belief /e 20 @3.01 @3.011 @9.3 @9.301 @9.9 500 6000 2000000 @9.4 @9.401
role @0.3 /e 0 1 -110 10
role @3.01 /e 1 0 0 20
close @9.3 @9.5 0 0
role @9.45 /e -1 8 -116 0
freed @9.5 /e role
asked @9.3 9000
== oz-1
watch @0.11 /e
master @0.3 /e 0 10 77 ann-1
master @3 /e -101 0 0 -
master @3.01 /e 0 20 88 bob-1
master @9.3 /e -116 0 0 -
close @9.3 @9.5 0 0
freed @9.5 /e master
";

fn verdict(text: &str) -> Verdict {
    let mut stamped = String::new();
    for (i, piece) in text.split('@').enumerate() {
        let len = if i == 0 { 0 } else { piece.find([' ', '\n']).unwrap_or(piece.len()) };
        if i > 0 {
            let seconds: f64 = piece[..len].parse().expect("seconds");
            stamped.push_str(&format!("{:.0}", seconds * 1e9));
        }
        stamped.push_str(&piece[len..]);
    }
    check(&History::parse(&stamped).expect("a history"))
}

/// The good campaign with some lines replaced by others: by none, one or several.
fn with(replaced: &[(&str, &str)]) -> Verdict {
    let mut text = GOOD.to_owned();
    for (line, other) in replaced {
        assert_eq!(text.matches(line).count(), 1, "in the good campaign once: {line}");
        text = text.replace(line, other);
    }
    verdict(&text)
}

#[track_caller]
fn found(replaced: &[(&str, &str)], what: &str) {
    let verdict = with(replaced);
    let is_found = verdict.violations.iter().any(|violation| violation.contains(what));
    assert!(is_found, "not found: {what}, but {:?}", verdict.violations);
}

#[test]
fn a_good_campaign_is_good() {
    assert_eq!(verdict(GOOD).violations, Vec::<String>::new());
}

const OF_ANN: &str = "belief /e 10 @0.3 @0.301 @2.98 @2.981 @3.4 500 2000 2000000 @2.99 @2.991";
const OF_BOB: &str = "belief /e 20 @3.01 @3.011 @9.3 @9.301 @9.9 500 6000 2000000 @9.4 @9.401";
const RESIGNS: &str = "resign @2.985 /e 0\nrole @2.986 /e -1 7 -1014 0\nstand @3.5 /e\nrole @3.6 /e 0 1 -110 20\n";

#[test]
fn two_masters_are_found() {
    let both = "belief /e 10 @0.3 @0.301 @3.2 @3.201 @3.4 500 2000 2000000 @3.3 @3.301";
    found(&[(OF_ANN, both)], "two masters at /e for 189 ms");
    let one_answer = "belief /e 10 @3.2 @3.201 @3.2 @3.201 @3.2 0 1 0 @3.3 @3.301";
    found(&[(OF_ANN, one_answer)], "two masters");
    // Stopped or killed inside a lease that an answer had stated: the lease promises that time as well.
    let silent = "belief /e 10 @0.3 @0.301 @2.98 @2.981 @3.4 500 2000 2000000 0 0";
    found(&[(OF_ANN, silent), (RESIGNS, ""), ("freed @3 /e role\n", "")], "two masters at /e for 389 ms");
    let woke = "belief /e 10 @0.3 @0.301 @2.98 @2.981 @3.4 500 2000 2000000 @3.9 @3.901";
    found(&[(OF_ANN, woke), (RESIGNS, "")], "two masters at /e for 389 ms");
}

/// Two runs of a command are two masters, because a command that does not run writes nothing.
#[test]
fn two_commands_at_once_are_found() {
    let processes = "process @0.1 joe-1 Command joe\nprocess @0.1 kim-1 Command kim\noperator 99";
    let ends = "exit @9.6 joe-1 code 0\nexit @9.6 kim-1 code 0\nexit @9.6 ann-1 code 0";
    let elections = "election 0 /e\nelection 0 /c";
    let created = "create 11 1000300 79 3 /c joe-1\ndelete 16 1003900 79 3 /c\ncreate 21 1004000 89 3 /c kim-1";
    let of_joe = |to: &str| format!("belief /c 11 @0.4 @0.4 {to} {to} {to} 0 100 1000000 0 0");
    let campaign = |to: &str| {
        let commands = format!(
            "== joe-1\n{}\n== kim-1\nbelief /c 21 @4.1 @4.1 @9.05 @9.05 @9.05 0 100 1000000 0 0\n== ann-1",
            of_joe(to)
        );
        with(&[
            ("operator 99", processes),
            ("exit @9.6 ann-1 code 0", ends),
            ("election 0 /e", elections),
            ("create 20 1003005 88 3 /e bob-1", &format!("create 20 1003005 88 3 /e bob-1\n{created}")),
            ("== ann-1", &commands),
        ])
    };
    let good = campaign("@3.8");
    assert_eq!(good.violations, Vec::<String>::new());
    assert!(
        good.figures.iter().any(|it| it.contains("2 runs of commands") && it.contains("300 ms apart")),
        "{:?}",
        good.figures
    );
    let bad = campaign("@4.2");
    assert!(bad.violations.iter().any(|it| it.contains("two masters at /c for 100 ms")), "{:?}", bad.violations);
}

const DELETES: (&str, &str) = ("delete 15 1003000 77 3 /e", "delete 15 1003000 99 3 /e");

#[test]
fn what_an_operator_does_is_counted_and_bounded() {
    let overlaps = (OF_ANN, "belief /e 10 @0.3 @0.301 @3.2 @3.201 @3.4 500 2000 2000000 @3.3 @3.301");
    let counted =
        |verdict: Verdict| verdict.figures.iter().any(|it| it.contains("1 overlaps from that, the longest 189 ms"));
    let deleted = with(&[overlaps, DELETES]);
    assert_eq!(deleted.violations, Vec::<String>::new());
    assert!(counted(deleted));
    let ended = ("delete 15 1003000 77 3 /e", "over 15 1003000 77 3");
    let from_outside = ("operator 99", "operator 99\nexpire @2.9 @3.1 77");
    let expired = with(&[overlaps, ended, from_outside]);
    assert_eq!(expired.violations, Vec::<String>::new());
    assert!(counted(expired));
    found(&[overlaps, ended], "two masters");
    let long_before = ("operator 99", "operator 99\nexpire @1.7 @1.9 77");
    found(&[overlaps, ended, long_before], "two masters");
    let too_long = (OF_ANN, "belief /e 10 @0.3 @0.301 @4.2 @4.201 @4.2 500 2000 2000000 @4.3 @4.301");
    found(&[too_long, DELETES], "two masters");
}

/// The znode of a candidate that resigns is deleted by an operator, and its own deletion, which was under way, hits the
/// next one's.
#[test]
fn a_deletion_that_was_under_way_is_a_part_of_the_operators() {
    let deletions = |first: i64| {
        format!("delete 15 1003000 {first} 3 /e\ncreate 16 1003001 66 3 /e cid-1\ndelete 17 1003004 77 3 /e")
    };
    let cid = "process @0.1 cid-1 C cid\noperator 99";
    let of_cid = "== cid-1\nbelief /e 16 @3.002 @3.003 @3.2 @3.201 @3.4 500 200 200000 @3.3 @3.301\n== ann-1";
    let overlap = |by: i64| {
        let deleted = deletions(by);
        let verdict = with(&[("operator 99", cid), ("== ann-1", of_cid), (DELETES.0, &deleted)]);
        verdict.violations.iter().any(|it| it.contains("two masters"))
    };
    assert!(!overlap(99));
    assert!(overlap(77), "it deleted its own before, so the second is the library's fault");
}

#[test]
fn a_token_that_does_not_rise_is_found() {
    found(
        &[(OF_BOB, "belief /e 8 @3.01 @3.011 @9.3 @9.301 @9.9 500 6000 2000000 @9.4 @9.401")],
        "the token does not rise at /e: ann-1 10 at 0.301 s, then bob-1 8",
    );
    found(
        &[(OF_BOB, "belief /e 21 @3.01 @3.011 @9.3 @9.301 @9.9 500 6000 2000000 @9.4 @9.401")],
        "no znode of that number",
    );
}

#[test]
fn what_zookeeper_has_lost_is_told_and_blames_nobody() {
    // The end of ann's znode was lost, and a session ends twice. Facts that are not lost are judged.
    let deletes = "delete 15 1003000 77 3 /e\n";
    let losses = |replaced: &[(&str, &str)]| {
        let verdict = with(replaced);
        let lost = verdict.figures.iter().filter(|figure| figure.contains("ZOOKEEPER LOST")).count();
        (lost, verdict.violations)
    };
    assert_eq!(losses(&[]).0, 0);
    assert_eq!(losses(&[(deletes, "")]), (1, Vec::new()));
    let both = "belief /e 10 @0.3 @0.301 @3.2 @3.201 @3.4 500 2000 2000000 @3.3 @3.301";
    let (lost, violations) = losses(&[(deletes, ""), (OF_ANN, both)]);
    assert_eq!(lost, 1);
    assert!(violations.iter().any(|it| it.contains("two masters at /e")), "{violations:?}");
    let over = "over 16 1003001 66 3\nover 18 1003002 66 3\n";
    assert_eq!(losses(&[(deletes, &format!("{deletes}{over}"))]).0, 0);
    let again = "over 5 1000100 66 3\n";
    assert_eq!(losses(&[("create 10", &format!("{again}create 10")), (deletes, &format!("{deletes}{over}"))]).0, 1);
    // A queue never gives a number twice.
    let queue = ("election 0 /e\n", "election 0 /e\nelection 1 /q\n");
    for (number, expected) in [("0000000003", 1), ("0000000002", 1), ("0000000004", 0)] {
        let first = ("create 20", "create 16 1003001 88 3 /q/a-0000000003 bob-1\ncreate 20");
        let second = format!("create 25 1004000 88 3 /q/b-{number} bob-1\ndelete 30");
        assert_eq!(losses(&[queue, first, ("delete 30", &second)]).0, expected, "{number}");
    }
}

#[test]
fn callbacks_that_do_not_pair_up_are_found() {
    found(&[("role @3.01 /e 1 0 0 20", "role @3.01 /e 1 0 0 20\nrole @4 /e 1 0 0 20")], "told MASTER at /e twice");
    found(&[("role @3.01 /e 1 0 0 20\n", "")], "was never told MASTER");
    found(&[("role @9.45 /e -1 8 -116 0\n", "")], "bob-1 closed, and the last that it heard");
    found(&[("freed @9.5 /e role\n", "")], "bob-1 registered 1 callbacks and 0 were freed");
    found(&[("freed @9.5 /e role\n", "freed @9.5 /e role\nfreed @9.5 /e role\n")], "and 2 were freed");
    found(&[("role @3.6 /e 0 1 -110 20", "role @3.6 /e -1 9 -1016 0")], "the library failed");
}

#[test]
fn late_writes_that_were_taken_are_found() {
    found(
        &[("write @3.6 /e fenced 10 ann-1 0", "write @3.6 /e fenced 10 ann-1 1")],
        "the register took a fenced write",
    );
    let late = (
        "set 22 1003500 88 3 /register/e 20 bob-1",
        "set 22 1003500 88 3 /register/e 20 bob-1\nset 23 1003600 77 3 /register/e 10 ann-1",
    );
    found(&[late], "a fenced write to /register/e of ann-1");
    // In the node recipe another candidate's znode counts as ours until the process has heard that ours was deleted.
    assert_eq!(with(&[late, DELETES]).violations, Vec::<String>::new());
    found(
        &[("set 12 1000500 77 3 /register/e 10 ann-1\n", "")],
        "ann-1 was told of 1 fenced writes with token 10, and 0",
    );
}

#[test]
fn a_lost_event_is_found() {
    let second = (
        "delete 15 1003000 77 3 /e",
        "delete 15 1002000 77 3 /e\ncreate 16 1002001 66 3 /e cid-1\ndelete 17 1003000 66 3 /e",
    );
    found(&[second], "oz-1 was not told of the master 16 (cid-1)");
    let was_cut_off = ("master @3 /e -101 0 0 -", "master @1.9 /e -4 0 0 -");
    assert_eq!(with(&[second, was_cut_off]).violations, Vec::<String>::new());
    found(&[("master @3.01 /e 0 20 88 bob-1\n", "")], "oz-1 was told last of");
    found(
        &[("master @3.01 /e 0 20 88 bob-1", "master @3.01 /e 0 19 88 bob-1")],
        "with token 19, and there was none",
    );
    found(&[("master @3.01 /e 0 20 88 bob-1", "master @3.01 /e 0 20 88 ann-1")], "was told the value ann-1");
    found(
        &[(
            "master @3.01 /e 0 20 88 bob-1",
            "master @3.01 /e 0 20 88 bob-1\nmaster @4 /e 0 10 77 ann-1\nmaster @5 /e 0 20 88 bob-1",
        )],
        "of the master 10 at /e, after a newer one",
    );
    found(&[("role @3.6 /e 0 1 -110 20\n", "")], "ann-1 was told last of");
}

#[test]
fn what_only_one_server_has_counts_when_somebody_was_told() {
    let alone = ("create 20 1003005 88 3 /e bob-1", "create 20 1003005 88 1 /e bob-1");
    assert_eq!(with(&[alone]).violations, Vec::<String>::new());
    let nobody_knows = (
        "delete 15 1003000 77 3 /e",
        "delete 15 1002000 77 3 /e\ncreate 16 1002001 66 1 /e cid-1\ndelete 17 1003000 66 1 /e",
    );
    assert_eq!(with(&[nobody_knows]).violations, Vec::<String>::new());
}

#[test]
fn a_bad_ending_is_found() {
    found(
        &[(OF_BOB, "belief /e 20 @8.5 @8.501 @9.3 @9.301 @9.9 500 6000 2000000 @9.4 @9.401")],
        "not one master at /e",
    );
    found(
        &[(OF_BOB, "belief /e 20 @3.01 @3.011 @7.5 @7.501 @7.6 500 6000 2000000 @7.7 @7.701")],
        "not one master at /e",
    );
    found(&[("closing @9", "closing @7.9")], "not seen to its end");
    found(&[("closing @9", "closing @9\nleft /e")], "left in ZooKeeper: /e");
}

#[test]
fn a_long_time_without_a_master_is_found() {
    let early = (OF_ANN, "belief /e 10 @0.3 @0.301 @0.9 @0.901 @0.95 500 2000 2000000 @0.99 @0.991");
    let elsewhere = ("begin @2 0 stop-short ann", "begin @2 0 stop-short oz");
    found(&[early, elsewhere], "nobody was master for 2109 ms: /e at 0.901 s");
    let disturbed = ("begin @2 0 stop-short ann", "begin @2 0 server-kill 1");
    assert_eq!(with(&[early, disturbed]).violations, Vec::<String>::new());
    // A candidate was elected and could not take the mastership up.
    let in_vain = (
        "delete 15 1003000 77 3 /e",
        "delete 15 1000900 77 3 /e\ncreate 16 1000901 66 3 /e cid-1\ndelete 17 1003000 66 3 /e",
    );
    let verdict = with(&[early, elsewhere, in_vain]);
    assert!(!verdict.violations.iter().any(|it| it.contains("nobody was master")), "{:?}", verdict.violations);
    // The old master comes back, and is stopped again. Without the second stop it had to lead.
    let back = ("role @2.986 /e -1 7 -1014 0", "role @1.5 /e 0 1 -110 10\nrole @2.986 /e -1 7 -1014 0");
    let again = ("begin @2 0 stop-short ann", "begin @2 0 stop-short ann\nbegin @2 1 stop-short oz\nend @2.5 1");
    let verdict = with(&[early, back, again]);
    assert!(!verdict.violations.iter().any(|it| it.contains("nobody was master")), "{:?}", verdict.violations);
    found(&[early, back, elsewhere], "nobody was master for 2109 ms: /e at 0.901 s");
    let too_long = "belief /e 20 @3.01 @3.011 @9.3 @9.301 @10.4 500 6000 2000000 @9.4 @9.401";
    found(&[(OF_BOB, too_long)], "a lease longer than a session timeout");
}

#[test]
fn a_process_that_is_not_well_is_found() {
    found(&[("exit @9.6 ann-1 code 0", "exit @9.6 ann-1 code 1")], "ann-1 ended with code 1");
    found(&[("exit @9.6 ann-1 code 0", "exit @4 ann-1 signal 11")], "ann-1 ended with signal 11");
    found(&[("exit @9.6 ann-1 code 0\n", "")], "ann-1 was not seen to end");
    found(&[("exit @9.6 ann-1 code 0", "exit @9.6 ann-1 killed")], "ann-1 did not end when it was told to close");
    found(&[("calm @5", "said ann-1 a panic\ncalm @5")], "ann-1 said: a panic");
    let sample = "sample @8.2 bob-1 3100 11 4 200";
    found(&[(sample, "sample @8.2 bob-1 3100 11 5 200")], "bob-1 had 4 threads and came to 5");
    found(&[(sample, "sample @8.2 bob-1 3100 30 4 200")], "bob-1 had 10 descriptors and came to 30");
    found(&[(sample, "sample @8.2 bob-1 9000 11 4 200")], "bob-1 had 3000 KiB of memory and came to 9000");
    found(&[(sample, "sample @8.2 bob-1 3100 11 4 4900")], "bob-1 used 96 % of a core");
}

#[test]
fn a_campaign_in_which_nothing_happened_is_not_good() {
    let nobody = [(OF_ANN, ""), (OF_BOB, "")];
    found(&nobody, "nobody ever was master");
    let full = ("begin @2 0 stop-short ann", "begin @2 0 disk-full 1");
    found(&[full], "disk-full of server 1 at 2.000 s, and the server did not notice");
    let noticed = ("end @2.5 0", "noticed @2.1 0\nend @2.5 0");
    assert_eq!(with(&[full, noticed]).violations, Vec::<String>::new());
    let slow = ("begin @2 0 stop-short ann", "begin @2 0 disk-slow 2 40 ms");
    found(&[slow], "disk-slow of server 2 40 ms at 2.000 s, and the server did not notice");
    // A server's complaint about another fault does not count.
    let one_of_two = "begin @1 1 disk-full 1\nnoticed @1.1 1\nend @1.2 1\nbegin @2 0 disk-full 1";
    found(&[("begin @2 0 stop-short ann", one_of_two)], "disk-full of server 1 at 2.000 s");
    let expired = |ends: [&str; 5]| -> String {
        let one = |(i, end): (usize, &&str)| format!("begin @4 {i} expire bob\nend @4 {i}{end}\n", i = i + 1);
        ends.iter().enumerate().map(one).collect()
    };
    let never = format!("{}calm @5", expired([" vain"; 5]));
    found(&[("calm @5", &never)], "expire was tried 5 times, and came to nothing each time");
    let once = format!("{}calm @5", expired([" vain", "", " vain", " vain", " vain"]));
    let verdict = with(&[("calm @5", &once)]);
    assert_eq!(verdict.violations, Vec::<String>::new());
    assert!(
        verdict.figures.iter().any(|it| it.contains("2 faults of 2 kinds: expire 1, stop-short 1")),
        "{verdict}"
    );
    assert!(verdict.figures.iter().any(|it| it == "came to nothing: expire 4"), "{verdict}");
    let no_write = [("write @0.5 /e fenced 10 ann-1 1\n", ""), ("write @3.5 /e fenced 20 bob-1 1\n", "")];
    found(&no_write, "no fenced write was ever taken");
}

/// The good campaign with some lines replaced, on a machine that stands still at these times.
#[track_caller]
fn stands_still(replaced: &[(&str, &str)], stalls: &str) -> Verdict {
    let stalls = format!("{stalls}operator 99");
    with(&[replaced, &[("operator 99", &stalls)]].concat())
}

#[test]
fn what_came_late_while_the_machine_stood_still_is_neither_good_nor_a_violation() {
    let in_doubt = |replaced: &[(&str, &str)], stalls: &str, what: &str| {
        let verdict = stands_still(replaced, stalls);
        assert_eq!(verdict.violations, Vec::<String>::new());
        assert!(verdict.doubts.iter().any(|doubt| doubt.contains(what)), "not in doubt: {what}, but {verdict}");
        assert!(verdict.to_string().contains("INVALID"));
    };
    let is_found = |replaced: &[(&str, &str)], stalls: &str, what: &str| {
        let verdict = stands_still(replaced, stalls);
        assert!(verdict.violations.iter().any(|it| it.contains(what)), "not found: {what}, but {verdict}");
        assert!(!verdict.to_string().contains("INVALID"));
    };
    in_doubt(&[], "absent 3\n", "server 3 did not serve again");
    let late = (OF_BOB, "belief /e 20 @8.5 @8.501 @9.3 @9.301 @9.9 500 6000 2000000 @9.4 @9.401");
    in_doubt(&[late], "stall @6 @6.11\n", "not one master at /e");
    in_doubt(&[late], "stall @6 @6.06\nstall @6.5 @6.56\n", "not one master at /e");
    // Two threads at the same time are not twice the time. A stall that is short, long past or spread out is no excuse.
    is_found(&[late], "stall @6 @6.06\nstall @6 @6.06\n", "not one master at /e");
    is_found(&[late], "stall @6 @6.06\nstall @7.5 @7.56\n", "not one master at /e");
    is_found(&[late], "stall @3 @3.9\nstall @9.1 @9.9\n", "not one master at /e");
    in_doubt(&[("closing @9", "closing @7.9")], "stall @7 @7.8\n", "not seen to its end");
    let killed = ("exit @9.6 ann-1 code 0", "exit @9.6 ann-1 killed");
    in_doubt(&[killed], "stall @9.1 @9.3\n", "ann-1 did not end");

    let early = (OF_ANN, "belief /e 10 @0.3 @0.301 @0.9 @0.901 @0.95 500 2000 2000000 @0.99 @0.991");
    let elsewhere = ("begin @2 0 stop-short ann", "begin @2 0 stop-short oz");
    in_doubt(&[early, elsewhere], "stall @1 @1.5\n", "nobody was master for 2109 ms");
    is_found(&[early, elsewhere], "stall @4 @4.5\n", "nobody was master for 2109 ms");
    let second = (
        "delete 15 1003000 77 3 /e",
        "delete 15 1002000 77 3 /e\ncreate 16 1002001 66 3 /e cid-1\ndelete 17 1003000 66 3 /e",
    );
    in_doubt(&[second], "stall @2.1 @2.4\n", "oz-1 was not told of the master 16");
    let cut_off = ("role @3.6 /e 0 1 -110 20\n", "role @3.6 /e 0 1 -110 20\nrole @8.9 /e -1 2 -4 0\n");
    in_doubt(&[cut_off], "stall @8.8 @8.95\n", "ann-1 was told last of");
    is_found(&[cut_off], "", "ann-1 was told last of");
    // A process that is wrong, or that has not known for long, is wrong whatever the machine did.
    is_found(&[("master @3.01 /e 0 20 88 bob-1\n", "")], "stall @8.8 @8.95\n", "oz-1 was told last of");
    is_found(
        &[("role @3.6 /e 0 1 -110 20\n", "role @4 /e -1 2 -4 0\n")],
        "stall @8.8 @8.95\n",
        "ann-1 was told last",
    );
    let both = (OF_ANN, "belief /e 10 @0.3 @0.301 @3.2 @3.201 @3.4 500 2000 2000000 @3.3 @3.301");
    is_found(&[both], "stall @2.5 @3.2\n", "two masters at /e for 189 ms");
    is_found(&[both, killed], "stall @3 @9.6\n", "two masters at /e for 189 ms");
    is_found(&[("closing @9", "closing @9\nleft /e")], "stall @3 @9\n", "left in ZooKeeper: /e");
}

#[test]
fn what_is_no_record_is_told() {
    for line in ["belief /e 10 1 2", "nonsense 1", "role 5 /e one 0 0 0"] {
        let text = format!("== run\nprocess 1 ann-1 C ann\n== ann-1\n{line}\n");
        let why = History::parse(&text).expect_err("not a record");
        assert!(why.starts_with("line 4: not a record of ann-1"), "{why}");
    }
}
