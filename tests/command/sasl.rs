//! SASL, by the recipe of docs/security.md.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use testkit::{Ensemble, Program, ScratchFolder};

use crate::ground::{election, ended, number, SOON, WORK};

/// The blocks of the recipe in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/security.md");
    let section = page.split("\n## SASL\n").nth(1).expect("a section").split("\n## ").next().expect("its text");
    let fenced = section.split("### A recipe").nth(1).expect("a recipe").split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

#[test]
fn the_recipe_works_and_what_is_wrong_is_told() {
    let folder = ScratchFolder::new("recipe");
    let [jaas] = blocks("text")[..] else { panic!("the JAAS file") };
    let [config] = blocks("properties")[..] else { panic!("the lines of zoo.cfg") };
    let server = config
        .lines()
        .filter(|line| !line.starts_with("authProvider.1="))
        .fold(Ensemble::builder(1).jaas(jaas), |builder, line| builder.config_line(line))
        .start();
    let hosts = server.host(0);
    let [password, candidate] = blocks("sh")[..] else { panic!("the password and the candidate") };
    let here = |mut command: Command| {
        command.current_dir(folder.path());
        command
    };
    let mut shell = Command::new("sh");
    shell.args(["-ec", password]);
    assert!(here(shell).status().expect("a shell").success());
    let words: Vec<&str> = candidate.split_whitespace().collect();
    let ["election", options @ .., "--", "worker"] = &words[..] else { panic!("{words:?}") };
    let options: Vec<&str> =
        options.iter().map(|word| if *word == "zk1:2181" { hosts.as_str() } else { *word }).collect();

    let mut run = election(&options);
    run.args(["--", "sh", "-c", WORK]);
    let master = Program::spawn(here(run));
    number(&master, "started");

    let password = folder.path().join("worker.password");
    let ask = |command: &str, more: &[&str]| {
        let mut words = vec![command, "--hosts", &hosts, "--path", "/jobs/worker"];
        words.extend(["--sasl-mechanism", "DIGEST-MD5", "--sasl-password-file", "worker.password"]);
        words.extend(more);
        here(election(words))
    };
    let (code, out, said) = ended(ask("status", &["--sasl-user", "worker"]));
    assert_eq!(code, 0, "{out}{said}");
    let (code, out, said) = ended(ask("doctor", &["--sasl-user", "worker"]));
    assert_eq!(code, 0, "{out}{said}");
    assert!(out.contains("opens a session") && out.contains("master is"), "{out}");

    // Without SASL, with another password, and with a file that others may read.
    let (code, _, said) = ended(here(election(["status", "--hosts", &hosts, "--path", "/jobs/worker"])));
    assert!(code == 3 && said.contains("refused the credentials"), "{code}: {said}");
    let (code, out, _) = ended(here(election(["doctor", "--timeout", "5s", "--hosts", &hosts])));
    assert!(code == 1 && out.contains("refuses the credentials"), "{code}: {out}");
    fs::write(&password, "another\n").expect("it is ours");
    let (code, out, _) = ended(ask("doctor", &["--timeout", "5s", "--sasl-user", "worker"]));
    assert!(code == 1 && out.contains("refuses the user \"worker\" of SASL"), "{code}: {out}");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let (code, _, said) = ended(ask("status", &["--sasl-user", "worker"]));
    assert!(code == 2 && said.contains("--sasl-password-file worker.password: others than its owner"), "{said}");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("it is ours");
    fs::write(&password, "\n").expect("it is ours");
    let (code, _, said) = ended(ask("status", &["--sasl-user", "worker"]));
    assert!(code == 2 && said.contains("the password file worker.password: its first line is empty"), "{said}");
    let (code, _, said) = ended(ask("status", &["--sasl-user", "a\nb"]));
    assert!(code == 2 && said.contains("control character"), "{said}");
    // What belongs together.
    let (code, _, said) = ended(ask("status", &[]));
    assert!(code == 2 && said.contains("DIGEST-MD5 needs a user"), "{said}");

    master.terminate();
    assert!(master.wait(SOON).is_some());
}
