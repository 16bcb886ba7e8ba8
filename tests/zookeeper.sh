#!/bin/sh
# One ZooKeeper server to try things on, in the foreground until Ctrl-C. Its data goes when it ends.
#
#   tests/zookeeper.sh [PORT]     on 127.0.0.1, port 2181 unless told
set -eu

port=${1:-2181}
case $port in
'' | *[!0-9]*)
    echo "zookeeper: $port is no port number" >&2
    exit 2
    ;;
esac

if [ -n "${ZOOKEEPER_HOME:-}" ]; then
    classpath="$ZOOKEEPER_HOME/lib/*"
else
    classpath=/usr/share/java/zookeeper.jar
fi
java=java
[ -z "${JAVA_HOME:-}" ] || java=$JAVA_HOME/bin/java

if bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null; then
    echo "zookeeper: something listens on 127.0.0.1:$port already: stop it, or choose another PORT" >&2
    exit 1
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/zookeeper-XXXXXX")
server=
stop() {
    trap '' INT TERM HUP
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server"; } || :
    rm -rf "$folder"
}
trap 'exit 0' INT TERM HUP
trap stop EXIT

cat >"$folder/zoo.cfg" <<CONFIG
tickTime=2000
dataDir=$folder/data
clientPortAddress=127.0.0.1
clientPort=$port
4lw.commands.whitelist=*
admin.enableServer=false
CONFIG

"$java" -cp "$classpath" -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.logFile="$folder/log" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$folder/zoo.cfg" >"$folder/out" 2>&1 &
server=$!

# "imok" within ten seconds, or what the server had to say.
tries=0
until printf ruok | timeout 1 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; cat >&3; cat <&3" 2>/dev/null | grep -q imok; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
        echo "zookeeper: the server did not start on 127.0.0.1:$port:" >&2
        grep -hiE 'exception|error|in use' "$folder/out" "$folder/log" 2>/dev/null | head -n 3 >&2 || :
        exit 1
    fi
    sleep 0.1
done
echo "ZooKeeper serves on 127.0.0.1:$port. Ctrl-C ends it and deletes its data."
wait "$server" || :
