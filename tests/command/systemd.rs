//! A real systemd, first process of namespaces of its own, runs the units of docs/operations.md and docs/command.md.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::{eventually, wait_until, Ensemble, Process, ScratchFolder};

use crate::ground::{dies, election, lives, number, run, server, signal, LONG, SOON, WORK};

const OPERATIONS: &str = include_str!("../../docs/operations.md");
const COMMAND: &str = include_str!("../../docs/command.md");

/// Becomes systemd: in control groups and namespaces of its own, with a /run of its own that has the unit.
const BECOME_SYSTEMD: &str = r#"
    set -e
    for group in $GROUPS_OF_ITS_OWN; do
        # Not every hierarchy takes a process without being told more. systemd needs its own, and no other.
        (mkdir "$group" && echo $$ > "$group/cgroup.procs") 2>/dev/null || true
    done
    exec unshare --pid --fork --kill-child --mount --uts --ipc --mount-proc sh -ec '
        mount -t tmpfs tmpfs /run
        mkdir -p /run/systemd/system
        printf "[Unit]\nDefaultDependencies=no\n" > /run/systemd/system/nothing.target
        cp "$UNIT" /run/systemd/system/job.service
        exec env container=other systemd --system --unit=nothing.target --log-target=console'
"#;

struct Systemd {
    unshare: Process,
    groups: Vec<PathBuf>,
}

impl Systemd {
    fn start(unit: &Path) -> Systemd {
        static SYSTEMS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("election-test-{}-{}", std::process::id(), SYSTEMS.fetch_add(1, Ordering::Relaxed));
        // One hierarchy, or one for each controller and one for systemd itself.
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the kernel lists mounts");
        let is_of_groups = |line: &&str| line.contains(" - cgroup ") || line.contains(" - cgroup2 ");
        let folder = |line: &str| line.split(' ').nth(4).map(|folder| Path::new(folder).join(&name));
        let groups: Vec<PathBuf> = mounts.lines().filter(is_of_groups).filter_map(folder).collect();
        let list: Vec<String> = groups.iter().map(|group| group.display().to_string()).collect();
        let mut command = Command::new("sh");
        command.args(["-c", BECOME_SYSTEMD]).env("GROUPS_OF_ITS_OWN", list.join(" ")).env("UNIT", unit);
        let systemd = Systemd { unshare: Process::spawn(command), groups };
        eventually(SOON, "systemd is up", || systemd.ctl(&["is-active", "nothing.target"]).status.success());
        systemd
    }

    /// The first process of the namespaces.
    fn first(&self) -> Option<i32> {
        let pid = self.unshare.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().next().and_then(|pid| pid.parse().ok())
    }

    fn ctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        let first = self.first().unwrap_or_default().to_string();
        command.args(["--target", &first, "--pid", "--mount", "--uts", "--ipc", "systemctl"]).args(arguments);
        command.output().expect("util-linux has nsenter")
    }

    #[track_caller]
    fn does(&self, arguments: &[&str]) {
        let output = self.ctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn shows(&self, property: &str) -> String {
        let output = self.ctl(&["show", "--value", "--property", property, "job.service"]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // Its namespaces end with the first process, and every process in them.
        self.unshare.kill9();
        for group in &self.groups {
            let has_gone = || remove_group(group).is_ok();
            if !wait_until(SOON, has_gone) {
                eprintln!("{} is left", group.display());
            }
        }
    }
}

/// Control groups are removed from the inside out, once no process is in them.
fn remove_group(group: &Path) -> std::io::Result<()> {
    if !group.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(group)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path())?;
        }
    }
    std::fs::remove_dir(group)
}

/// The unit of a page, for this server and this path: a script that says nothing works, the watchdog comes soon.
fn unit_of(page: &str, server: &Ensemble, path: &str) -> String {
    let from = page.find("[Unit]\n").or_else(|| page.find("    [Unit]\n")).expect("the page has a unit");
    let unit: Vec<&str> = page[from..]
        .lines()
        .map(str::trim)
        .take_while(|line| *line != "```" && !line.starts_with("A machine"))
        .collect();
    let program = election(["run"]).get_program().to_string_lossy().into_owned();
    let mut text = String::new();
    for line in unit {
        let line = match line.split_once('=') {
            // What would be there on a machine that was booted.
            Some(("After" | "Wants", _)) => continue,
            Some(("WatchdogSec", _)) => "WatchdogSec=2".to_owned(),
            Some(("ExecStart" | "Environment", _)) => line
                .replace("/usr/bin/election run", &format!("{program} run --session-timeout {LONG}"))
                .replace("zk1,zk2,zk3", &server.hosts())
                .replace("/jobs/report", path)
                .replace("/jobs/worker", path)
                .replace(" --listen 9100", "")
                .replace(" ELECTION_LISTEN=9100", "")
                .replace("/usr/local/bin/report", "sleep 1000")
                .replace("/usr/bin/worker --verbose", "sleep 1000"),
            _ => line.to_owned(),
        };
        text += &line;
        text += "\n";
        if text.ends_with("[Unit]\n") {
            text += "DefaultDependencies=no\n";
        }
    }
    text
}

impl Systemd {
    /// The process of the unit with this name.
    #[track_caller]
    fn process(&self, name: &str) -> i32 {
        let unit = "system.slice/job.service/cgroup.procs";
        let processes: Vec<i32> = self
            .groups
            .iter()
            .filter_map(|group| std::fs::read_to_string(group.join(unit)).ok())
            .flat_map(|pids| pids.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
            .collect();
        let is_it =
            |pid: &&i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|is| is.trim() == name);
        *processes.iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {processes:?}"))
    }
}

fn lives_as_a_unit(page: &str, path: &str) {
    let server = server();
    let folder = ScratchFolder::new("command");
    let file = folder.path().join("job.service");
    let unit = unit_of(page, &server, path);
    std::fs::write(&file, &unit).expect("a file");
    let systemd = Systemd::start(&file);
    // Type=notify: the start returns when the unit has said that it is ready.
    systemd.does(&["start", "job.service"]);
    eventually(SOON, "its status says that it is master", || {
        systemd.shows("StatusText").starts_with(&format!("master at {path}, token "))
    });
    let standby = run(&server.hosts(), path, &["--session-timeout", LONG], WORK);

    // Stopped, it says nothing to the watchdog: systemd ends all of it and starts it again.
    let (former, command) = (systemd.process("election"), systemd.process("sleep"));
    signal(former, libc::SIGSTOP);
    dies(former, SOON, "election");
    dies(command, SOON, "its command");
    let is_again = || systemd.shows("NRestarts") == "1" && systemd.shows("ActiveState") == "active";
    eventually(SOON, "it is started again", is_again);

    // Either of them may be the next master. Without the standby it is the unit.
    standby.terminate();
    assert!(standby.wait(SOON).is_some());
    eventually(SOON, "it is master again", || systemd.shows("StatusText").starts_with("master at"));

    // The standby becomes master when the unit is stopped: at once, not a session timeout later.
    let standby = run(&server.hosts(), path, &["--session-timeout", LONG], WORK);
    standby.expect_text(SOON, "waiting for mastership");
    let command = systemd.process("sleep");
    let began = Instant::now();
    systemd.does(&["stop", "job.service"]);
    number(&standby, "started");
    assert!(began.elapsed() < Duration::from_secs(8), "it has resigned: {:?}", began.elapsed());
    assert!(!lives(command), "and stopped its command before");
    assert_eq!((systemd.shows("ActiveState"), systemd.shows("Result")), ("inactive".into(), "success".into()));
}

#[test]
fn the_unit_of_the_operators_page() {
    lives_as_a_unit(OPERATIONS, "/systemd/operations");
}

#[test]
fn the_unit_of_the_commands_page() {
    lives_as_a_unit(COMMAND, "/systemd/command");
}
