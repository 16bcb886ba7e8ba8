#!/bin/sh
# Installs what the demo and the tests need and this machine lacks, with apt-get, and says what and why. When nothing
# is missing it does nothing and says nothing.
#
#   tests/setup.sh NEED...     compiler   to build c_examples
#                              python     to run the programs in Python
#                              servers    to start ZooKeeper servers: nothing to install for them but a Java runtime
#                                         when ZOOKEEPER_HOME names a release of ZooKeeper
#                              checks     what only the tests use
#                              neighbours what only make test-long uses: other implementations of an election
set -eu

packages=
reasons=

# need PACKAGE WHAT-FOR TEST...: the package, unless the test holds.
need() {
    package=$1 what_for=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        packages="$packages $package"
        reasons="$reasons
  $package: $what_for"
    fi
}

command_there() { command -v "$1"; }
file_there() { test -e "$1"; }
clang_there() { command -v clang && command -v clang++; }
fuzzer_there() { test -e "$(clang -print-file-name="libclang_rt.fuzzer-$(uname -m).a")"; }
# Debian's python3, for which the package is, may not be the first in PATH.
prometheus_there() { /usr/bin/python3 -c 'import prometheus_client'; }
java_there() { test -x "${JAVA_HOME:-}/bin/java" || { test -z "${JAVA_HOME:-}" && command -v java; }; }

# The clang that is there, or that is going to be.
clang_version() {
    version=$(clang -dumpversion 2>/dev/null || apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-//p')
    version=${version%%.*}
    echo "${version:-14}"
}

for group in "$@"; do
    case $group in
    compiler)
        need gcc "builds the programs in C" command_there gcc
        need g++ "builds the programs in C++" command_there g++
        ;;
    python)
        need python3 "runs the programs in Python" command_there python3
        ;;
    servers)
        need default-jre-headless "runs the ZooKeeper servers" java_there
        if [ -z "${ZOOKEEPER_HOME:-}" ]; then
            need libzookeeper-java "the ZooKeeper servers" file_there /usr/share/java/zookeeper.jar
        fi
        ;;
    checks)
        need openssl "makes the certificates of the tests with TLS" command_there openssl
        need ca-certificates "the authorities that a handle trusts if no others are named" \
            file_there /etc/ssl/certs/ca-certificates.crt
        need krb5-kdc "a Kerberos realm for the tests" file_there /usr/sbin/krb5kdc
        need krb5-admin-server "fills that realm with principals" file_there /usr/sbin/kadmin.local
        need krb5-user "gets tickets of that realm" command_there kinit
        need libzookeeper-mt-dev "builds a hand-rolled candidate, which shares elections with ours" \
            file_there /usr/include/zookeeper/zookeeper.h
        need libuv1-dev "builds an example on libuv" file_there /usr/include/uv.h
        need valgrind "checks the memory of the programs in C" command_there valgrind
        need clang "the other compiler, with sanitizers and a fuzzer" clang_there
        need "libclang-rt-$(clang_version)-dev" "what clang's sanitizers and fuzzer link" fuzzer_there
        need mypy "checks the types of the Python module" command_there mypy
        need python3-venv "installs the wheel into an environment of its own" python3 -c "import ensurepip, venv"
        need python3-pip "builds the wheel" python3 -m pip --version
        need binutils "reads the symbols of the library (readelf, nm)" command_there readelf
        need iproute2 "cuts and joins links (ip)" command_there ip
        need cmake "builds a program that finds the installed library by find_package" command_there cmake
        need pkgconf "tells how to link with the installed library (pkg-config)" command_there pkg-config
        need python3-prometheus-client "reads what the command tells Prometheus" prometheus_there
        need systemd "runs the command as a service, in namespaces of its own" command_there systemd
        need man-db "shows the man pages" command_there man
        need mandoc "checks the man pages" command_there mandoc
        need dpkg-dev "builds the Debian packages" command_there dpkg-shlibdeps
        need lintian "checks the Debian packages" command_there lintian
        need default-jdk-headless "compiles the members of a group in Java" command_there javac
        need libzookeeper-java "the recipes that ZooKeeper brings" file_there /usr/share/java/zookeeper-recipes-lock.jar
        need git "tells whether a generated file differs from the committed one" command_there git
        ;;
    neighbours)
        need libcurator-recipes-java "Apache Curator's recipes" file_there /usr/share/java/curator-recipes.jar
        need golang-go "builds a member of a group in Go" command_there go
        need golang-github-samuel-go-zookeeper-dev "Go's zk.Lock" \
            file_there /usr/share/gocode/src/github.com/samuel/go-zookeeper/zk/lock.go
        ;;
    *)
        echo "setup: there is no group $group" >&2
        exit 2
        ;;
    esac
done

if ! command -v cargo >/dev/null; then
    echo "setup: cargo is missing. Install Rust 1.85 or later, with rustfmt and clippy, and see that cargo is in PATH." >&2
    exit 1
fi
[ -n "$packages" ] || exit 0

echo "setup: this machine lacks$reasons"
by_hand="Install by hand:$packages"
if ! command -v apt-get >/dev/null; then
    echo "setup: there is no apt-get here. $by_hand" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: installing takes root, and there is no sudo here. $by_hand" >&2
        exit 1
    fi
    # It asks for a password where it must, and fails where it cannot.
    as_root=sudo
fi

apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@"
}

# The lists of a fresh machine are empty, those of an old one name versions that are gone.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # one word for each package
if ! apt install --yes --no-install-recommends $packages >"$log" 2>&1; then
    echo "setup: fetching the lists of packages first"
    if ! { apt update && apt install --yes --no-install-recommends $packages; } >"$log" 2>&1; then
        cat "$log" >&2
        echo "setup: apt-get failed, see above. $by_hand" >&2
        exit 1
    fi
fi
echo "setup: installed$packages"
