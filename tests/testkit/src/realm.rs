//! A Kerberos realm for one test: a KDC of MIT's on a loopback address of its own, with its database, its principals and their
//! keytabs in a scratch folder. The programs of the machine know nothing of it; who is to take part gets its configuration
//! by [`Realm::enter`].

use crate::folder::ScratchFolder;
use crate::loopback::Claim;
use crate::process::{lock, Process};
use crate::wait::wait_until;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// The name of every realm.
pub const REALM: &str = "ELECTION.TEST";

const KDC_PORT: u16 = 25_880;
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Shifts the clock of the program that it is loaded into, by `SHIFT` seconds.
const CLOCK: &str = "\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) { const char *text = getenv(\"SHIFT\"); return text ? atol(text) : 0; }

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int rc = syscall(SYS_clock_gettime, clock, now);
    if (rc == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += shift();
    return rc;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *to)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to)
        *to = now.tv_sec;
    return now.tv_sec;
}
";

/// A realm of its own. Dropping it ends its KDC and removes its files.
#[derive(Debug)]
pub struct Realm {
    // Dropped in this order: no KDC may write into a folder that is being removed.
    kdc: Mutex<Option<Process>>,
    folder: ScratchFolder,
    address: SocketAddr,
    _claim: Claim,
}

/// Something that takes what is sent to the KDC, and never answers.
#[derive(Debug)]
pub struct SilentKdc(#[allow(dead_code)] (UdpSocket, TcpListener));

impl Realm {
    /// Makes the realm and starts its KDC. Tickets are good for a day.
    #[allow(clippy::new_without_default)] // It starts programs.
    pub fn new() -> Realm {
        let claim = Claim::address(&[KDC_PORT]);
        let address = SocketAddr::new(claim.ip(), KDC_PORT);
        let realm = Realm { kdc: Mutex::new(None), folder: ScratchFolder::new("realm"), address, _claim: claim };
        let folder = realm.folder.path().display();
        realm.write("krb5.conf", &realm.client_config(""));
        realm.write(
            "kdc.conf",
            &format!(
                "[kdcdefaults]\nkdc_listen = {address}\nkdc_tcp_listen = {address}\n[realms]\n{REALM} = {{\n\
                 database_name = {folder}/principal\nkey_stash_file = {folder}/stash\nacl_file = {folder}/acl\n\
                 max_life = 1d\nmax_renewable_life = 0\nsupported_enctypes = aes256-cts-hmac-sha1-96:normal\n}}\n\
                 [logging]\nkdc = FILE:{folder}/kdc.log\n"
            ),
        );
        realm.run("/usr/sbin/kdb5_util", &["create", "-s", "-r", REALM, "-P", "of the database"]);
        realm.start_kdc();
        realm
    }

    fn client_config(&self, defaults: &str) -> String {
        format!(
            "[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\ndns_lookup_realm = false\n\
             dns_canonicalize_hostname = false\nrdns = false\nudp_preference_limit = 1\n{defaults}\n[realms]\n{REALM} = {{\n\
             kdc = {}\n}}\n[domain_realm]\nlocalhost = {REALM}\n",
            self.address
        )
    }

    /// Adds lines to the section `libdefaults` of the configuration, for those that read it from now on.
    pub fn set_defaults(&self, lines: &str) {
        self.write("krb5.conf", &self.client_config(lines));
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap_or_else(|error| panic!("cannot write {name}: {error}"));
    }

    /// A file in the folder of the realm.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration of the realm, as programs other than those of MIT take it.
    pub fn config(&self) -> PathBuf {
        self.path("krb5.conf")
    }

    /// Has a program take part in the realm. Its default cache is one that nobody has written yet.
    pub fn enter(&self, command: &mut Command) {
        command
            .env("KRB5_CONFIG", self.config())
            .env("KRB5_KDC_PROFILE", self.path("kdc.conf"))
            .env("KRB5CCNAME", self.path("default-cache"))
            .env("KRB5_CLIENT_KTNAME", self.path("default-client-keytab"))
            .env("KRB5_KTNAME", self.path("default-keytab"));
    }

    /// Adds a principal with a random key. `options` are those of kadmin's `addprinc`, such as `-maxlife 10sec`.
    #[track_caller]
    pub fn add(&self, principal: &str, options: &str) {
        self.admin(&format!("addprinc {options} -randkey {principal}"));
    }

    /// Writes the key that a principal has now into a keytab of its own, beside those that are there.
    #[track_caller]
    pub fn keytab(&self, principal: &str) -> PathBuf {
        let file = self.path(&format!("{}.keytab", principal.replace('/', "-")));
        self.admin(&format!("ktadd -k {} -norandkey {principal}", file.display()));
        file
    }

    /// Runs one command of kadmin(1) on the database.
    #[track_caller]
    pub fn admin(&self, command: &str) {
        self.run("/usr/sbin/kadmin.local", &["-r", REALM, "-q", command]);
    }

    /// Gets a ticket for a principal by its keytab, and writes it into a cache.
    #[track_caller]
    pub fn kinit(&self, principal: &str, keytab: &Path, cache: &Path) {
        let [keytab, cache] = [keytab, cache].map(|file| file.to_str().expect("a plain name"));
        self.run("kinit", &["-k", "-t", keytab, "-c", cache, principal]);
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        self.enter(&mut command);
        match command.output() {
            // kadmin.local does not tell by its status that a command has failed.
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let is_done = output.status.success() && !said.contains(" while ");
                assert!(is_done, "{program} {arguments:?}: {said}");
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("{program} is not installed: run `make setup`")
            }
            Err(error) => panic!("cannot run {program}: {error}"),
        }
    }

    /// Starts the KDC if it does not run, and waits until it serves.
    #[track_caller]
    pub fn start_kdc(&self) {
        self.start_kdc_with(|_| {});
    }

    /// The same for a KDC whose clock is that much ahead of ours.
    #[track_caller]
    pub fn start_kdc_ahead(&self, ahead: Duration) {
        let [source, library] = ["clock.c", "clock.so"].map(|name| self.path(name));
        self.write("clock.c", CLOCK);
        let [from, to] = [&source, &library].map(|file| file.to_str().expect("a plain name"));
        self.run("cc", &["-shared", "-fPIC", "-O1", "-o", to, from]);
        self.start_kdc_with(|command| {
            command.env("LD_PRELOAD", &library).env("SHIFT", ahead.as_secs().to_string());
        });
    }

    #[track_caller]
    fn start_kdc_with(&self, prepare: impl FnOnce(&mut Command)) {
        let mut kdc = lock(&self.kdc);
        if kdc.as_ref().is_some_and(Process::is_running) {
            return;
        }
        let out = File::options().create(true).append(true).open(self.path("kdc.out")).expect("a file");
        let mut command = Command::new("/usr/sbin/krb5kdc");
        command.args(["-n", "-r", REALM]).current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(out.try_clone().expect("a descriptor")).stderr(out);
        self.enter(&mut command);
        prepare(&mut command);
        let process = kdc.insert(Process::spawn(command));
        let serves = || !process.is_running() || TcpStream::connect(self.address).is_ok();
        assert!(
            wait_until(START_TIMEOUT, serves) && process.is_running(),
            "the KDC does not serve:\n{}\n{}",
            fs::read_to_string(self.path("kdc.out")).unwrap_or_default(),
            self.log()
        );
    }

    /// Ends the KDC. Its address refuses connections then.
    pub fn stop_kdc(&self) {
        lock(&self.kdc).take();
    }

    /// Ends the KDC and has something in its place that never answers.
    pub fn silence_kdc(&self) -> SilentKdc {
        self.stop_kdc();
        let datagrams = UdpSocket::bind(self.address).expect("the KDC's port is free");
        SilentKdc((datagrams, TcpListener::bind(self.address).expect("the KDC's port is free")))
    }

    /// What the KDC has logged.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.path("kdc.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many first tickets the KDC has given this principal.
    pub fn tickets_of(&self, principal: &str) -> usize {
        let issued = format!("{principal}@{REALM} for krbtgt/{REALM}@{REALM}");
        self.log()
            .lines()
            .filter(|line| {
                line.contains("AS_REQ") && line.contains("ISSUE") && line.contains(&format!(" {issued}"))
            })
            .count()
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the KDC:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}
