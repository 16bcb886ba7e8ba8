//! Kerberos, by the recipe of docs/security.md.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use testkit::{Ensemble, Program, Realm, Release};

use crate::ground::{election, ended, number, SOON, WORK};

/// Before anybody has a key.
const NO_REALM: &str = "Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_x=\"y\"; };";

/// The blocks of the recipe in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/security.md");
    let recipe = page.split("\n## Kerberos\n").nth(1).expect("a recipe").split("\n## ").next().expect("a section");
    let fenced = recipe.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// The server of the recipe, at its address instead of zk1.
fn server(realm: &Realm) -> Ensemble {
    let folder = realm.path("");
    let [config] = blocks("properties")[..] else { panic!("the lines of zoo.cfg") };
    let builder = Ensemble::builder(1)
        .jaas(NO_REALM)
        .java_arg(&format!("-Djava.security.krb5.conf={}", realm.config().display()));
    let ensemble = config.lines().fold(builder, |builder, line| builder.config_line(line)).start();
    let host = ensemble.addr(0).ip().to_string();

    let [principals, _] = blocks("sh")[..] else { panic!("the principals and the candidate") };
    let mut shell = Command::new("sh");
    shell.args(["-ec", &principals.replace("zookeeper/zk1", &format!("zookeeper/{host}"))]).current_dir(&folder);
    realm.enter(&mut shell);
    let path = std::env::var("PATH").unwrap_or_default();
    let done = shell.env("PATH", format!("{path}:/usr/sbin")).output().expect("a shell");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let [jaas] = blocks("java")[..] else { panic!("the JAAS file") };
    let jaas = jaas.replace("/etc/zookeeper", folder.to_str().expect("a plain name"));
    ensemble.set_jaas(0, &jaas.replace("zookeeper/zk1", &format!("zookeeper/{host}")));
    ensemble.restart(0);
    ensemble
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn the_recipe_works_and_what_is_wrong_is_told() {
    if !Release::in_use().since(3, 6) {
        return println!("NOT RUN on ZooKeeper {}: sessionRequireClientSASLAuth came with 3.6", Release::in_use());
    }
    let realm = Realm::new();
    let server = server(&realm);
    let hosts = server.host(0);
    let [_, candidate] = blocks("sh")[..] else { panic!("the principals and the candidate") };
    let words: Vec<&str> = candidate.split_whitespace().collect();
    let ["election", options @ .., "--", "worker"] = &words[..] else { panic!("{words:?}") };
    let options: Vec<&str> =
        options.iter().map(|word| if *word == "zk1:2181" { hosts.as_str() } else { *word }).collect();
    let here = |mut command: Command| {
        command.current_dir(realm.path(""));
        realm.enter(&mut command);
        command
    };

    let mut run = election(&options);
    run.args(["--acl", "creator", "--", "sh", "-c", WORK]);
    let master = Program::spawn(here(run));
    number(&master, "started");
    let ask = |verb: &str, more: &[&str]| {
        let mut command = here(election([verb, "--hosts", &hosts, "--path", "/jobs/worker"]));
        command.args(more);
        command
    };
    let mechanism = ["--sasl-mechanism", "GSSAPI"];
    let by_keytab = [&mechanism[..], &["--sasl-keytab", "worker.keytab"]].concat();
    realm.kinit("worker", &realm.path("worker.keytab"), &realm.path("default-cache"));
    for by in [&by_keytab[..], &mechanism] {
        let (code, out, said) = ended(ask("status", by));
        assert_eq!(code, 0, "{out}{said}");
    }
    // The server knows us by the name that access control lists have.
    let log = fs::read_to_string(server.server_folder(0).join("server.log")).expect("a log");
    assert!(log.contains("Setting authorizedID: worker\n"), "{log}");

    // The doctor, who is well here, and names what is wrong.
    let (code, out, said) = ended(ask("doctor", &by_keytab));
    assert_eq!(code, 0, "{out}{said}");
    assert!(out.contains("opens a session") && out.contains("master is"), "{out}");
    let no_ticket = [&mechanism[..], &["--sasl-ccache", "FILE:none", "--timeout", "3s"]].concat();
    let (code, out, _) = ended(ask("doctor", &no_ticket));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("there is no Kerberos ticket: "), "{out}");

    // What the command refuses before it connects.
    set_mode(&realm.path("worker.keytab"), 0o644);
    for (options, words) in [
        (&by_keytab[..], ["--sasl-keytab worker.keytab", "mode 644"]),
        (&["--sasl-mechanism", "PLAIN"], ["SASL", "there is no mechanism \"PLAIN\""]),
        (&["--sasl-mechanism", "GSSAPI", "--sasl-realm", "X"], ["SASL", "GSSAPI takes no realm"]),
        (&["--sasl-keytab", "worker.keytab"], ["--sasl-mechanism", "required"]),
    ] {
        let (code, _, said) = ended(ask("status", options));
        assert_eq!(code, 2, "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }

    master.terminate();
    assert!(master.wait(SOON).is_some());
}
