#!/bin/sh
# Runs the tests that touch a ZooKeeper server on each release that is supported, one release after the other, and prints a table of
# what held. Fails when a cell of the table fails.
#
#   tests/versions/run.sh              all of them, a minute of campaign on each
#   VERSIONS="3.5.9" SECONDS_OF_CAMPAIGN=20 FILTER=queue:: tests/versions/run.sh
set -u

: "${VERSIONS:=3.9.5 3.7.2 3.6.3 3.5.9}"
: "${SECONDS_OF_CAMPAIGN:=60}"
: "${FILTER:=}"
: "${THREADS:=4}"
: "${CARGO:=cargo}"

here=$(cd "$(dirname "$0")/../.." && pwd)
cd "$here" || exit 1
logs=${LOGS:-$here/target/versions}
mkdir -p "$logs"
cache=$(tests/versions/fetch.py) || exit 1

echo "building"
$CARGO build --locked --release --quiet --lib --example campaign || exit 1
$CARGO test --locked --quiet --no-run --test simulation --test integration --test multiprocess --test versions || exit 1

table="| | conformance | integration | multiprocess | campaign |
| --- | --- | --- | --- | --- |"
failed=0

# cell VERSION NAME COMMAND...: runs it on that release, and adds what came of it to the row.
cell() {
    version=$1 name=$2
    shift 2
    log="$logs/$version-$name.log"
    if ZOOKEEPER_HOME="$cache/$version" "$@" >"$log" 2>&1; then
        told=$(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1 passed/p' "$log" | tail -n 1)
        skipped=$(grep -c '^NOT RUN' "$log")
        [ "$skipped" -eq 0 ] || told="$told, $skipped not for this release"
        row="$row ${told:-held} |"
    else
        failed=1
        row="$row FAILED |"
        echo "FAILED: $name on ZooKeeper $version; see $log"
        grep -E '^test .* FAILED|panicked at|violated' "$log" | head -n 20
    fi
    echo "$version $name: done"
}

for version in $VERSIONS; do
    row="| ZooKeeper $version |"
    cell "$version" conformance $CARGO test --locked --test simulation conformance -- --nocapture
    cell "$version" integration $CARGO test --locked --test integration "$FILTER" -- --nocapture --test-threads="$THREADS"
    cell "$version" multiprocess $CARGO test --locked --test multiprocess "$FILTER" -- --nocapture --test-threads="$THREADS"
    cell "$version" campaign target/release/examples/campaign run --seconds "$SECONDS_OF_CAMPAIGN" --seed 1865
    table="$table
$row"
done

row="| all of them |"
cell 3.9.5 upgrade env -u ZOOKEEPER_HOME $CARGO test --locked --test versions -- --ignored --nocapture --test-threads=1
echo
echo "$table"
echo "A rolling upgrade 3.6.3, 3.7.2, Debian's, 3.9.5 under a master, reconnects to 3.5.9, and a server of 3.4.14:${row#| all of them |}"
exit "$failed"
