//! A release of ZooKeeper: the folder of its jars, and the names of its classes.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const DISTRIBUTION_JARS: &str = "/usr/share/java";
const JARS: [&str; 19] = [
    "zookeeper",
    "zookeeper-jute",
    "slf4j-api",
    "slf4j-simple",
    "netty-buffer",
    "netty-codec",
    "netty-common",
    "netty-handler",
    "netty-resolver",
    "netty-transport",
    "netty-transport-native-epoll",
    "netty-transport-native-unix-common",
    "snappy-java",
    "metrics-core",
    "commons-io",
    "commons-cli",
    "jackson-annotations",
    "jackson-core",
    "jackson-databind",
];

/// A release of ZooKeeper with which servers can be started.
#[derive(Clone, Debug)]
pub struct Release {
    version: [u32; 3],
    jars: Vec<PathBuf>,
    /// The prefix of its class names.
    prefix: String,
}

impl Release {
    /// The release that `ZOOKEEPER_HOME` names, or Debian's.
    pub fn in_use() -> Release {
        match std::env::var_os("ZOOKEEPER_HOME") {
            Some(home) => Release::of_home(Path::new(&home)),
            None => Release::of_distribution(),
        }
    }

    pub fn of_distribution() -> Release {
        let jar = |name: &&str| Path::new(DISTRIBUTION_JARS).join(format!("{name}.jar"));
        let jars: Vec<PathBuf> = JARS.iter().map(jar).collect();
        for jar in &jars {
            assert!(jar.exists(), "ZooKeeper is not installed: run `make setup` (no {})", jar.display());
        }
        let named = fs::read_dir(DISTRIBUTION_JARS).into_iter().flatten().flatten();
        let version = named.filter_map(|entry| version_in(&entry.file_name().to_string_lossy())).next();
        Release { version: version.expect("a zookeeper-VERSION.jar"), jars, prefix: String::new() }
    }

    /// A release that `tests/versions/fetch.py` has fetched, such as "3.6.3".
    pub fn fetched(version: &str) -> Release {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        let home = cache.expect("a HOME").join("libelection/zookeeper").join(version);
        assert!(home.exists(), "there is no {}: run tests/versions/fetch.py {version}", home.display());
        Release::of_home(&home)
    }

    /// A folder with the jars in `lib`. The version is that of the `zookeeper-VERSION.jar` among them.
    fn of_home(home: &Path) -> Release {
        let lib = home.join("lib");
        let entries = fs::read_dir(&lib).unwrap_or_else(|error| {
            panic!("ZOOKEEPER_HOME is {}, and its lib cannot be read: {error}", home.display())
        });
        let mut jars: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
            .collect();
        jars.sort();
        let name = |jar: &PathBuf| jar.file_name().map(|name| name.to_string_lossy().into_owned());
        let version = jars.iter().filter_map(name).find_map(|name| version_in(&name));
        let version = version.unwrap_or_else(|| panic!("no zookeeper-VERSION.jar in {}", lib.display()));
        let prefix = fs::read_to_string(home.join("prefix")).unwrap_or_default().trim().to_owned();
        Release { version, jars, prefix }
    }

    /// Such as `[3, 8, 0]`.
    pub fn version(&self) -> [u32; 3] {
        self.version
    }

    /// Whether it is this release or a later one, such as `since(3, 7)`.
    pub fn since(&self, major: u32, minor: u32) -> bool {
        self.version >= [major, minor, 0]
    }

    /// The name of a ZooKeeper class in these jars.
    pub fn class(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Java with these jars, and with this folder for configuration at the end of its class path.
    pub fn java(&self, folder: &Path) -> Command {
        let mut command = match std::env::var_os("JAVA_HOME") {
            Some(home) => Command::new(Path::new(&home).join("bin/java")),
            None => Command::new("java"),
        };
        command.arg("-cp").arg(self.class_path(folder));
        command
    }

    fn class_path(&self, folder: &Path) -> String {
        let paths = self.jars.iter().map(PathBuf::as_path).chain([folder]);
        paths.map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.version;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The version in the name of ZooKeeper's own jar.
fn version_in(name: &str) -> Option<[u32; 3]> {
    let version = name.strip_prefix("zookeeper-")?.strip_suffix(".jar")?;
    let numbers: Option<Vec<u32>> = version.split('.').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_jar() {
        assert_eq!(version_in("zookeeper-3.9.5.jar"), Some([3, 9, 5]));
        for name in ["zookeeper.jar", "zookeeper-jute-3.9.5.jar", "zookeeper-3.9.jar", "slf4j-api-1.7.32.jar"] {
            assert_eq!(version_in(name), None, "{name}");
        }
    }

    #[test]
    fn releases_are_compared() {
        let release = Release::of_distribution();
        assert!(release.since(3, 5) && !release.since(4, 0), "{release}");
        assert_eq!(release.class("org.apache.zookeeper.ZooKeeper"), "org.apache.zookeeper.ZooKeeper");
    }
}
