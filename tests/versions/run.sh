#!/bin/sh
# Runs the tests that touch a ZooKeeper server on each release that is supported, one release after the other, and prints a table of
# what held. Fails when a cell of the table fails.
#
#   tests/versions/run.sh              all of them, a minute of campaign on each
#   VERSIONS="3.5.9" SECONDS_OF_CAMPAIGN=20 FILTER=queue:: tests/versions/run.sh
#   BLESS=1 tests/versions/run.sh      writes the table into docs/compatibility.md as well
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
make --no-print-directory library QUIET=--quiet CARGO="$CARGO" || exit 1
$CARGO build --locked --release --quiet --example campaign || exit 1
# The campaign runs it as well.
make --no-print-directory command QUIET=--quiet CARGO="$CARGO" || exit 1
$CARGO test --locked --quiet --no-run --test simulation --test integration --test multiprocess --test versions || exit 1

header="| | conformance | integration | multiprocess | campaign |"
table="$header
| --- | --- | --- | --- | --- |"
failed=0

# The code with which a campaign ends if the machine was so slow that its findings mean nothing.
MACHINE_TOO_SLOW=3

# cell VERSION NAME COMMAND...: runs it on that release, and adds what came of it to the row.
cell() {
    version=$1 name=$2
    shift 2
    log="$logs/$version-$name.log"
    began=$(date +%s)
    ZOOKEEPER_HOME="$cache/$version" "$@" >"$log" 2>&1
    code=$?
    if [ "$name" = campaign ] && [ "$code" -eq "$MACHINE_TOO_SLOW" ]; then
        echo "campaign on ZooKeeper $version: the machine was too slow; once more"
        mv "$log" "$log.slow"
        ZOOKEEPER_HOME="$cache/$version" "$@" >"$log" 2>&1
        code=$?
    fi
    if [ "$code" -eq 0 ]; then
        told=$(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1 passed/p' "$log" | tail -n 1)
        skipped=$(grep -c '^NOT RUN' "$log")
        # A test that does not run passes.
        [ "$skipped" -eq 0 ] || told="$((${told%% *} - skipped)) passed, $skipped not for this release"
        row="$row ${told:-held} |"
    else
        failed=1
        row="$row FAILED |"
        echo "FAILED: $name on ZooKeeper $version; see $log"
        grep -E '^test .* FAILED|panicked at|violated|VIOLATION' "$log" | head -n 20
    fi
    echo "$version $name: ${told:-done}, $(($(date +%s) - began)) s"
    told=
}

for version in $VERSIONS; do
    row="| ZooKeeper $version |"
    cell "$version" conformance $CARGO test --locked --test simulation -- conformance a_real_server --nocapture
    cell "$version" integration $CARGO test --locked --test integration "$FILTER" -- --nocapture --test-threads="$THREADS"
    cell "$version" multiprocess $CARGO test --locked --test multiprocess "$FILTER" -- --nocapture --test-threads="$THREADS"
    cell "$version" campaign target/release/examples/campaign run --seconds "$SECONDS_OF_CAMPAIGN" --seed 48
    table="$table
$row"
done

row="| all of them |"
cell 3.9.5 upgrade env -u ZOOKEEPER_HOME $CARGO test --locked --test versions -- --ignored --nocapture --test-threads=1
echo
echo "$table"
echo "A rolling upgrade 3.6.3, 3.7.2, Debian's, 3.9.5 under a master, reconnects to 3.5.9, and a server of 3.4.14:${row#| all of them |}"

if [ -n "${BLESS:-}" ] && [ "$failed" -eq 0 ]; then
    page=docs/compatibility.md
    # The rows after the header go; the table takes the place of the header.
    table="$table" awk -v header="$header" '
        $0 == header { print ENVIRON["table"]; in_table = 1; next }
        in_table && /^\|/ { next }
        { in_table = 0; print }
    ' "$page" >"$page.new" && mv "$page.new" "$page"
fi
exit "$failed"
