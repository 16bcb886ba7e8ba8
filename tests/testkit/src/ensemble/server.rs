//! One server of an ensemble: its folder, its configuration, its JVM and its log.

use super::{EnsembleBuilder, Release};
use crate::loopback::Claim;
use crate::process::{lock, Process};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

pub(super) const CLIENT_PORT: u16 = 21_810;
pub(super) const QUORUM_PORT: u16 = 22_880;
pub(super) const ELECTION_PORT: u16 = 23_880;
pub(super) const TLS_PORT: u16 = 24_880;

const LOG_TAIL_LINES: usize = 20;

const JVM_ARGS: [&str; 10] = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx256m",
    "-XX:-UsePerfData",
    "-Dzookeeper.admin.enableServer=false",
    "-Dzookeeper.4lw.commands.whitelist=*",
    "-Dzookeeper.jmx.log4j.disable=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.showShortLogName=true",
];

/// Logs a line for each question whether the server serves.
const NOISY_CLASS: &str = "org.apache.zookeeper.server.NIOServerCnxn";

/// For the servers of `ZOOKEEPER_HOME`, which log through logback; Debian's log through slf4j-simple.
const LOGBACK_XML: &str = r#"<configuration>
  <appender name="ERR" class="ch.qos.logback.core.ConsoleAppender">
    <target>System.err</target>
    <encoder><pattern>%d{HH:mm:ss.SSS} [%thread] %level %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <logger name="org.apache.zookeeper.server.NIOServerCnxn" level="WARN"/>
  <root level="INFO"><appender-ref ref="ERR"/></root>
</configuration>
"#;

#[derive(Debug)]
pub(super) struct Server {
    pub client_addr: SocketAddr,
    pub tls_addr: SocketAddr,
    pub folder: PathBuf,
    /// The release with which the server starts the next time.
    pub release: Mutex<Release>,
    pub process: Mutex<Option<Process>>,
    pub _ipv6_port: Option<Claim>,
}

impl Server {
    /// Makes the server's folder, with its disk if it has one, and writes its configuration. `i` counts from 0.
    pub fn write_folder(&self, builder: &EnsembleBuilder, peer_ips: &[IpAddr], i: usize) {
        let data = self.data_folder();
        let write = || {
            fs::create_dir_all(&data)?;
            if let Some(mb) = builder.disk_mb {
                mount_memory(&data, mb)?;
            }
            fs::write(data.join("myid"), format!("{}\n", i + 1))?;
            fs::write(self.config_file(), self.config(builder, peer_ips))?;
            fs::write(self.folder.join("logback.xml"), LOGBACK_XML)?;
            if let Some(jaas) = &builder.jaas {
                fs::write(self.jaas_file(), jaas)?;
            }
            File::create(self.log_file()).map(drop)
        };
        if let Err(error) = write() {
            panic!("cannot write {}: {error}", self.folder.display());
        }
    }

    fn config(&self, builder: &EnsembleBuilder, peer_ips: &[IpAddr]) -> String {
        let mut config = format!(
            "tickTime={}\ninitLimit={}\nsyncLimit={}\ndataDir={}\nclientPortAddress={}\nclientPort={}\n\
             maxClientCnxns=0\npreAllocSize=1024\nforceSync={}\n",
            builder.tick_ms,
            builder.init_limit,
            builder.sync_limit,
            self.data_folder().display(),
            self.client_addr.ip(),
            self.client_addr.port(),
            match builder.force_sync {
                true => "yes",
                false => "no",
            },
        );
        if let Some(timeout_ms) = builder.min_session_timeout_ms {
            config.push_str(&format!("minSessionTimeout={timeout_ms}\n"));
        }
        if let Some(timeout_ms) = builder.max_session_timeout_ms {
            config.push_str(&format!("maxSessionTimeout={timeout_ms}\n"));
        }
        if builder.len > 1 {
            for (k, ip) in peer_ips.iter().enumerate() {
                let (quorum, election) = (QUORUM_PORT + k as u16, ELECTION_PORT + k as u16);
                config.push_str(&format!("server.{}={ip}:{quorum}:{election}\n", k + 1));
            }
        }
        if let Some(authority) = &builder.tls {
            let ip = self.tls_addr.ip();
            // Relays to the servers of a network listen on loopback.
            let names = format!("IP:{ip}{}", if builder.has_network { ",IP:127.0.0.1" } else { "" });
            let key_store = authority.issue(&format!("server-{ip}"), &names).both;
            config.push_str(&format!(
                "serverCnxnFactory={}\nsecureClientPortAddress={}\n\
                 secureClientPort={}\nssl.keyStore.location={}\nssl.keyStore.type=PEM\nssl.trustStore.location={}\n\
                 ssl.trustStore.type=PEM\nssl.clientAuth=need\n",
                lock(&self.release).class("org.apache.zookeeper.server.NettyServerCnxnFactory"),
                ip,
                self.tls_addr.port(),
                key_store.display(),
                authority.ca().display(),
            ));
        }
        if builder.jaas.is_some() {
            config.push_str("authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n");
        }
        for line in &builder.config_lines {
            config.push_str(&format!("{line}\n"));
        }
        config
    }

    /// The command that starts the server, with its output appended to its log.
    pub fn command(&self, builder: &EnsembleBuilder) -> Command {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = log.unwrap_or_else(|error| panic!("{}: {error}", self.log_file().display()));
        let release = lock(&self.release);
        let mut command = release.java(&self.folder); // for logback.xml
        command
            .args(JVM_ARGS)
            .arg(format!("-Dorg.slf4j.simpleLogger.log.{}=warn", release.class(NOISY_CLASS)))
            .args(self.jaas_arg(builder))
            .args(&builder.java_args)
            .arg(release.class("org.apache.zookeeper.server.quorum.QuorumPeerMain"))
            .arg(self.config_file())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err);
        for (name, value) in &builder.environment {
            command.env(name, value.replace("{server}", &self.folder.display().to_string()));
        }
        command
    }

    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn jaas_file(&self) -> PathBuf {
        self.folder.join("jaas.conf")
    }

    fn jaas_arg(&self, builder: &EnsembleBuilder) -> Option<String> {
        let file = self.jaas_file();
        builder.jaas.as_ref().map(|_| format!("-Djava.security.auth.login.config={}", file.display()))
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("zoo.cfg")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        tail.join("\n")
    }

    /// A frozen server answers nothing, so the caller need not wait for an answer.
    pub fn may_answer(&self) -> bool {
        lock(&self.process).as_ref().is_some_and(|process| process.is_running() && !process.is_frozen())
    }

    pub fn unmount_disk(&self) {
        if let Ok(target) = CString::new(self.data_folder().as_os_str().as_encoded_bytes()) {
            // SAFETY: the string ends with a 0 byte and outlives the call.
            unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

fn mount_memory(folder: &Path, mb: u32) -> io::Result<()> {
    let target = CString::new(folder.as_os_str().as_encoded_bytes())?;
    let size = CString::new(format!("size={mb}m"))?;
    // SAFETY: all strings end with a 0 byte and outlive the call.
    let rc = unsafe {
        libc::mount(c"tmpfs".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, size.as_ptr().cast::<libc::c_void>())
    };
    match rc {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
