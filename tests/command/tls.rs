//! Encrypted connections, by the recipe of docs/security.md.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use testkit::{Ensemble, Program, ScratchFolder};

use crate::ground::{election, ended, number, SOON, WORK};

/// The blocks of the recipe in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/security.md");
    let recipe = page.split("### A recipe").nth(1).expect("a recipe").split("\n## ").next().expect("a section");
    let fenced = recipe.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

fn shell(script: &str, folder: &Path) {
    let done = Command::new("sh").args(["-ec", script]).current_dir(folder).output().expect("a shell");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The server of the recipe, on this machine instead of zk1.
fn server(folder: &Path) -> (Ensemble, String) {
    let [certificates, _] = blocks("sh")[..] else { panic!("the certificates and the candidate") };
    shell(&certificates.replace("DNS:zk1", "DNS:localhost"), folder);
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let [config] = blocks("properties")[..] else { panic!("the lines of zoo.cfg") };
    let config = config.replace("/etc/zookeeper", folder.to_str().expect("a plain name"));
    let config = config.replace("secureClientPort=2281", &format!("secureClientPort={port}"));
    let builder = Ensemble::builder(1).config_line("secureClientPortAddress=127.0.0.1");
    let ensemble = config.lines().fold(builder, |builder, line| builder.config_line(line)).start();
    (ensemble, format!("localhost:{port}"))
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn the_recipe_works_and_what_is_wrong_is_told() {
    let folder = ScratchFolder::new("recipe");
    let (_server, hosts) = server(folder.path());
    let [_, candidate] = blocks("sh")[..] else { panic!("the certificates and the candidate") };
    let words: Vec<&str> = candidate.split_whitespace().collect();
    let ["election", options @ .., "--", "worker"] = &words[..] else { panic!("{words:?}") };
    let options: Vec<&str> =
        options.iter().map(|word| if *word == "zk1:2281" { hosts.as_str() } else { *word }).collect();
    let here = |mut command: Command| {
        command.current_dir(folder.path());
        command
    };

    let mut run = election(&options);
    run.args(["--", "sh", "-c", &format!("echo \"[$ELECTION_TLS_KEY_PASSWORD]\"; {WORK}")]);
    run.env("ELECTION_TLS_KEY_PASSWORD", "not needed");
    let master = Program::spawn(here(run));
    number(&master, "started");
    assert!(master.lines().iter().any(|line| line.text == "[]"), "{}", master.transcript());

    // The same by an encrypted key, with its password in a file or in the environment.
    shell(
        "openssl pkcs8 -topk8 -v2 aes-256-cbc -in worker.key -out locked.key -passout pass:sesame",
        folder.path(),
    );
    fs::write(folder.path().join("password"), "sesame\n").expect("a file");
    set_mode(&folder.path().join("password"), 0o600);
    set_mode(&folder.path().join("locked.key"), 0o640);
    let ask = |verb: &str, key: &str, more: &[&str]| {
        let tls = ["--tls-ca", "ca.pem", "--tls-cert", "worker.crt", "--tls-key", key];
        let mut command = here(election([verb, "--hosts", &hosts, "--path", "/jobs/worker"]));
        command.args(tls).args(more);
        command
    };
    let by_file = ask("status", "locked.key", &["--tls-key-password-file", "password"]);
    let mut by_environment = ask("status", "locked.key", &[]);
    by_environment.env("ELECTION_TLS_KEY_PASSWORD", "sesame");
    for command in [by_file, by_environment] {
        let (code, out, said) = ended(command);
        assert_eq!(code, 0, "{out}{said}");
    }

    // What the command refuses before it connects.
    set_mode(&folder.path().join("worker.key"), 0o644);
    for (key, more, words) in [
        ("worker.key", &[][..], ["--tls-key worker.key", "mode 644"]),
        ("locked.key", &[], ["the key file locked.key", "there is no password"]),
        ("none.key", &[], ["--tls-key none.key", "no such file"]),
        ("locked.key", &["--tls-key-password-file", "worker.crt"], ["--tls-key-password-file", "mode 644"]),
        ("locked.key", &["--tls-ca", "none.pem"], ["--tls-ca", "cannot be used multiple times"]),
        ("a,key", &[], ["--tls-key", "comma"]),
    ] {
        let (code, _, said) = ended(ask("status", key, more));
        assert_eq!(code, 2, "{said}");
        assert!(words.iter().all(|word| said.contains(word)) && !said.contains("sesame"), "{words:?}: {said}");
    }

    // The doctor, who is well here, and names what is wrong.
    set_mode(&folder.path().join("worker.key"), 0o600);
    let (code, out, said) = ended(ask("doctor", "worker.key", &[]));
    assert_eq!(code, 0, "{out}{said}");
    assert!(out.contains("opens a session") && out.contains("master is"), "{out}");
    let (code, out, _) =
        ended(here(election(["doctor", "--timeout", "3s", "--hosts", &hosts, "--tls-ca", "ca.pem"])));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("demands a client certificate, and there is none"), "{out}");
    let skipping = ["--timeout", "3s", "--tls", "--tls-skip-host-check"];
    let (code, out, _) = ended(here(election(["doctor", "--hosts", &hosts].iter().chain(&skipping))));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("not signed by an authority that is trusted here"), "{out}");

    master.terminate();
    assert!(master.wait(SOON).is_some());
}
