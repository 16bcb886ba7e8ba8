//! The machine on which the figures were taken, and the facts that Linux knows about a process.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::{Ensemble, RawClient, ScratchFolder};

use crate::report::Report;
use crate::samples::Samples;
use crate::{Result, TICK_MS};

pub fn print_before(report: &mut Report) -> Result<()> {
    let cpu = field(&read("/proc/cpuinfo")?, "model name").unwrap_or_else(|| "unknown CPU".into());
    let cores = std::thread::available_parallelism()?;
    println!("machine    {cores} cores of {cpu}, {}", read("/proc/sys/kernel/osrelease")?.trim());
    println!("others     took {} before the first server was started", busy()?);
    println!("versions   election {}", env!("CARGO_PKG_VERSION"));
    println!("           {}, {}", first_line("rustc", "-V"), first_line("cc", "--version"));
    println!("           {}", first_line("java", "-version"));
    let folder = std::env::temp_dir();
    println!("disk       the servers write to {}, {}", folder.display(), file_system(&folder)?);
    report.section("the disk under the servers");
    report.row("append 512 bytes to a file, fdatasync", &flushes()?);
    Ok(())
}

pub fn print_after(began: Instant) -> Result<()> {
    let took = began.elapsed();
    println!(
        "\nothers took {} after the last server was stopped; it all took {:.0} s",
        busy()?,
        took.as_secs_f64()
    );
    Ok(())
}

pub fn print_ensemble(ensemble: &Ensemble) -> Result<()> {
    let version =
        field(&ensemble.four_letter(0, "srvr"), "Zookeeper version").ok_or("a server tells its version")?;
    let version = version.split('-').next().unwrap_or_default();
    let client = RawClient::connect(&ensemble.host(0), 10_000)?;
    let timeout_ms = client.session().timeout_ms;
    client.close_session()?;
    println!(
        "\n=== {} on loopback: ZooKeeper {version}, tickTime {TICK_MS} ms, forceSync=yes, sessions {timeout_ms} ms",
        servers(ensemble.len()),
    );
    Ok(())
}

pub fn servers(count: usize) -> String {
    format!("{count} server{}", if count == 1 { "" } else { "s" })
}

/// The CPU time that a process has used so far, including threads that have ended.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut clock = 0;
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to variables of this function.
    let failed = unsafe {
        libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) != 0 || libc::clock_gettime(clock, &mut used) != 0
    };
    match failed {
        true => Err(format!("the CPU time of process {pid} cannot be read").into()),
        false => Ok(Duration::new(used.tv_sec as u64, used.tv_nsec as u32)),
    }
}

/// Runs `act`. Returns its result, and the share of a core that a thread of this process took meanwhile.
pub fn cpu_share_of_thread<T>(name: &str, act: impl FnOnce() -> T) -> Result<(T, f64)> {
    let used_ns = || {
        for task in fs::read_dir("/proc/self/task")?.flatten() {
            if read(task.path().join("comm"))?.trim() == name {
                let schedstat = read(task.path().join("schedstat"))?;
                return Ok(schedstat.split(' ').next().unwrap_or_default().parse::<f64>()?);
            }
        }
        Result::Err(format!("there is no thread {name}").into())
    };
    let (began, before) = (Instant::now(), used_ns()?);
    let done = act();
    let share = (used_ns()? - before) / began.elapsed().as_nanos() as f64;
    Ok((done, share))
}

/// The memory of a process.
pub struct Memory {
    pub resident_kib: f64,
    /// Resident; memory that several processes share is divided among them.
    pub proportional_kib: f64,
    /// Resident, and not backed by a file.
    pub anonymous_kib: f64,
}

pub fn memory(pid: u32) -> Result<Memory> {
    let status = read(format!("/proc/{pid}/status"))?;
    let rollup = read(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = |text: &str, name: &str| -> Result<f64> {
        let value = field(text, name).ok_or_else(|| format!("/proc does not tell {name}"))?;
        Ok(value.trim_end_matches(" kB").parse()?)
    };
    Ok(Memory {
        resident_kib: kib(&status, "VmRSS")?,
        proportional_kib: kib(&rollup, "Pss")?,
        anonymous_kib: kib(&rollup, "Anonymous")?,
    })
}

/// The names of the threads of a process.
pub fn threads(pid: u32) -> Result<Vec<String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    tasks.map(|task| Ok(read(task?.path().join("comm"))?.trim().to_string())).collect()
}

fn flushes() -> Result<Samples> {
    let folder = ScratchFolder::new("disk");
    let mut file = File::create(folder.path().join("log"))?;
    let mut samples = Samples::default();
    for _ in 0..100 {
        let began = Instant::now();
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        samples.add(began.elapsed());
    }
    Ok(samples)
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// How busy other programs keep this machine: a figure that was taken beside other work tells less.
fn busy() -> Result<String> {
    let (idle_before, all_before) = cpu_ticks()?;
    sleep(Duration::from_secs(1));
    let (idle, all) = cpu_ticks()?;
    let share = 1.0 - (idle - idle_before) / (all - all_before);
    Ok(format!(
        "{:.0} % of the CPU (load {})",
        share * 100.0,
        read("/proc/loadavg")?.split(' ').next().unwrap_or_default()
    ))
}

/// The time that all cores together have spent idle, and the total.
fn cpu_ticks() -> Result<(f64, f64)> {
    let stat = read("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks = line.split_whitespace().skip(1).map(str::parse).collect::<std::result::Result<Vec<f64>, _>>()?;
    let idle = ticks.get(3).ok_or("/proc/stat tells no idle time")?;
    Ok((*idle, ticks.iter().take(8).sum()))
}

/// The value of a line `name: value` or `name = value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?.trim_start();
        Some(rest.strip_prefix([':', '='])?.trim().to_string())
    })
}

/// The first line of a program's version output, on either stream.
fn first_line(program: &str, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else { return format!("no {program}") };
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_string()
}

/// Type and device of the file system of a folder.
fn file_system(folder: &Path) -> Result<String> {
    let folder = folder.canonicalize()?;
    let mounts = read("/proc/mounts")?;
    let mount = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
        folder.starts_with(at).then(|| (at.len(), format!("{kind} on {device}")))
    });
    // Of two mounts at one place, the later one is visible.
    Ok(mount.max_by_key(|(depth, _)| *depth).map_or_else(|| "unknown".into(), |(_, mount)| mount))
}
