//! What a login needs before the server hears of it, in a realm of its own. libkrb5 finds its realm by the environment, so
//! each login runs in a process of its own: this test program, run once more.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::{wait_until, Program, Realm};

use super::*;

const SOON: Duration = Duration::from_secs(60);

/// A process that begins a login for each line on its standard input: principal, keytab, cache, service, separated by blanks,
/// `-` for none. `doubt` instead says that a server has refused the tickets.
struct Logins(Program);

#[test]
fn begins_logins_when_told_to() {
    if std::env::var_os("ELECTION_TEST_LOGINS").is_none() {
        return;
    }
    let (mut settings, mut told) = (KerberosSettings::default(), String::new());
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if line == "doubt" {
            settings.tickets.doubt();
            continue;
        }
        let words: Vec<Option<&str>> = line.split(' ').map(|word| (word != "-").then_some(word)).collect();
        let [user, keytab, ccache, service] = words[..] else { panic!("{line}") };
        let text = |word: Option<&str>| word.map(str::to_owned);
        if told != line {
            settings = KerberosSettings {
                service: service.expect("a service").to_owned(),
                user: text(user),
                keytab: keytab.map(PathBuf::from),
                ccache: text(ccache),
                ..KerberosSettings::default()
            };
            told.clone_from(&line);
        }
        match Gssapi::new(&settings, "localhost").and_then(|mut login| login.step(&[])) {
            Ok(token) => println!("TOKEN {}", token.len()),
            Err(SaslFault::Credentials(said)) => println!("FAULT {said}"),
            Err(fault) => println!("{fault:?}"),
        }
    }
}

impl Logins {
    fn of(realm: &Realm) -> Logins {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["driver::sasl::gssapi::tests::begins_logins_when_told_to", "--exact", "--nocapture"]);
        command.env("ELECTION_TEST_LOGINS", "1");
        realm.enter(&mut command);
        Logins(Program::spawn(command))
    }

    #[track_caller]
    fn begin(&self, principal: &str, keytab: Option<&Path>, cache: Option<&Path>) -> String {
        self.begin_at(principal, keytab, cache, "zookeeper")
    }

    #[track_caller]
    fn begin_at(&self, principal: &str, keytab: Option<&Path>, cache: Option<&Path>, service: &str) -> String {
        let name = |file: Option<&Path>| file.map_or("-".to_owned(), |file| file.display().to_string());
        self.0.write_line(&format!("{principal} {} {} {service}", name(keytab), name(cache))).expect("it listens");
        let is_outcome = |text: &str| ["TOKEN ", "FAULT "].iter().any(|word| text.contains(word));
        match self.0.wait_for(SOON, |line| is_outcome(&line.text)) {
            Some(line) => line.text,
            None => panic!("{}", self.0.transcript()),
        }
    }
}

#[track_caller]
fn is_fault(said: &str, words: [&str; 2]) {
    assert!(said.contains("FAULT ") && words.iter().all(|word| said.contains(word)), "{said}, not {words:?}");
}

fn realm() -> Realm {
    let realm = Realm::new();
    realm.add("zookeeper/localhost", "");
    realm.add("worker", "");
    realm
}

#[test]
fn each_cause_is_its_own() {
    let realm = realm();
    let keytab = realm.keytab("worker");
    let [cache, none] = ["cache", "none"].map(|name| realm.path(name));
    realm.kinit("worker", &keytab, &cache);
    let logins = Logins::of(&realm);

    for (principal, keytab, cache) in [
        ("worker", Some(&keytab), None),
        ("-", Some(&keytab), None),
        ("worker@ELECTION.TEST", Some(&keytab), None),
        ("-", None, Some(&cache)),
        ("worker", None, Some(&cache)),
    ] {
        let said = logins.begin(principal, keytab.map(|it| &**it), cache.map(|it| &**it));
        assert!(said.contains("TOKEN "), "{principal} {keytab:?} {cache:?}: {said}");
    }

    // Nobody has a ticket in the default cache, or in another one.
    is_fault(&logins.begin("-", None, None), ["there is no Kerberos ticket: ", "default-cache"]);
    is_fault(&logins.begin("-", None, Some(&none)), ["there is no Kerberos ticket: ", ""]);
    is_fault(&logins.begin("worker", None, None), ["there is no Kerberos ticket: ", ""]);
    is_fault(&logins.begin("other", None, Some(&cache)), ["there is no Kerberos ticket: ", "does not match"]);
    // The keytab has other principals, is no keytab, is not there, has a former key.
    let of_keytab = format!("the keytab {} cannot be used: ", keytab.display());
    let text = realm.config();
    for (principal, keytab) in
        [("other", &keytab), ("worker", &text), ("worker", &none), ("-", &none), ("-", &text)]
    {
        let has_none = format!("the keytab {} has no key of the principal", keytab.display());
        is_fault(&logins.begin(principal, Some(keytab), None), [&has_none, ""]);
    }
    realm.admin("cpw -randkey worker");
    is_fault(&logins.begin("worker", Some(&keytab), None), [&of_keytab, ""]);
    realm.admin("modprinc +requires_preauth worker");
    is_fault(&logins.begin("-", Some(&keytab), None), [&of_keytab, "reauthentication"]);
    is_fault(&logins.begin("a@b@c", None, None), ["Kerberos failed: ", ""]);
    // The KDC knows us no more, or not the server.
    realm.add("gone", "");
    let gone = realm.keytab("gone");
    realm.admin("delprinc -force gone");
    is_fault(&logins.begin("gone", Some(&gone), None), ["Kerberos has no such principal: ", "gone@ELECTION.TEST"]);
    is_fault(
        &logins.begin_at("-", None, Some(&cache), "zoo"),
        ["Kerberos has no such principal: ", "zoo/localhost@ELECTION.TEST"],
    );

    realm.stop_kdc();
    let keytab = realm.keytab("worker");
    is_fault(&logins.begin("worker", Some(&keytab), None), ["the KDC cannot be reached: ", "ELECTION.TEST"]);
}

#[test]
fn a_keytab_is_checked_when_the_handle_is_opened() {
    let folder = testkit::ScratchFolder::new("keytab");
    let with = |keytab: &Path| KerberosSettings { keytab: Some(keytab.to_owned()), ..KerberosSettings::default() };
    assert_eq!(check(&KerberosSettings::default()), Ok(()));
    let none = folder.path().join("none");
    assert_eq!(check(&with(&none)), Err(format!("the keytab {}: no such file or directory", none.display())));
    let said = check(&with(folder.path())).expect_err("a folder");
    assert!(said.ends_with(": it is not a regular file"), "{said}");
}

/// A ticket that has expired is renewed if there is a keytab.
#[test]
fn a_keytab_renews_and_a_cache_does_not() {
    let realm = realm();
    realm.add("short", "-maxlife 6sec");
    let (keytab, cache) = (realm.keytab("short"), realm.path("cache"));
    realm.kinit("short", &keytab, &cache);
    let logins = Logins::of(&realm);
    assert!(logins.begin("short", Some(&keytab), None).contains("TOKEN "));
    let mut said = String::new();
    let expires = || {
        said = logins.begin("short", None, Some(&cache));
        !said.contains("TOKEN ")
    };
    assert!(wait_until(SOON, expires), "{said}");
    is_fault(&said, ["the Kerberos ticket has expired: ", ""]);
    let former = realm.tickets_of("short");
    let said = logins.begin("short", Some(&keytab), None);
    assert!(said.contains("TOKEN ") && realm.tickets_of("short") > former, "{said}\n{}", realm.log());
    // Who renews the ticket in the cache helps the next login.
    realm.kinit("short", &keytab, &cache);
    assert!(logins.begin("short", None, Some(&cache)).contains("TOKEN "));
}

/// Tickets are kept. If a server has refused them, new ones are asked for; but the old ones may be good, and serve while there
/// are no others.
#[test]
fn tickets_are_kept_while_they_are_good() {
    let realm = realm();
    let keytab = realm.keytab("worker");
    let logins = Logins::of(&realm);
    for count in 1..3 {
        for _ in 0..3 {
            assert!(logins.begin("worker", Some(&keytab), None).contains("TOKEN "));
            assert_eq!(realm.tickets_of("worker"), count, "{}", realm.log());
        }
        logins.0.write_line("doubt").expect("it listens");
    }
    realm.stop_kdc();
    assert!(logins.begin("worker", Some(&keytab), None).contains("TOKEN "));
    let service = "zoo"; // For which there is no ticket.
    is_fault(&logins.begin_at("worker", Some(&keytab), None, service), ["the KDC cannot be reached: ", ""]);
}

/// The KDC's clock is an hour ahead, and libkrb5 is told not to follow it.
#[test]
fn clocks_that_differ_are_told() {
    let realm = realm();
    let keytab = realm.keytab("worker");
    realm.set_defaults("kdc_timesync = 0");
    realm.stop_kdc();
    realm.start_kdc_ahead(Duration::from_secs(3_600));
    let said = Logins::of(&realm).begin("worker", Some(&keytab), None);
    is_fault(&said, ["the clocks differ too much for Kerberos: ", "Clock skew"]);
}

#[test]
fn only_a_context_without_a_layer_is_taken() {
    assert_eq!(choose_layer(&[7, 0, 1, 0]), Ok([1, 0, 0, 0]));
    for offer in [&[6, 0, 1, 0][..], &[1, 0, 0], &[1, 0, 0, 0, 0], &[]] {
        assert!(matches!(choose_layer(offer), Err(SaslFault::Malformed(_))), "{offer:?}");
    }
}
