#!/bin/sh
# Writes down what an install needs to know of a build, which another user may have made:
#
#   RELEASE_FOLDER/libelection.libs    the libraries of the system that a program must be linked with when it holds
#                                      libelection.a, `-lm -lpthread ...`
#   RELEASE_FOLDER/libelection.paths   the folders of this machine that the files of the build name
#
#   native_libs.sh RELEASE_FOLDER
#
# rustc knows them, of the library and of every crate in it. libgcc and libc are left to the C compiler, which puts them
# in by itself, and in the form that goes with -static or without.
set -eu
release=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo 'extern crate election;' >"$scratch/all.rs"
"${RUSTC:-rustc}" --crate-type staticlib --print native-static-libs --out-dir "$scratch" \
    --extern election="$release/libelection.rlib" -L dependency="$release/deps" "$scratch/all.rs" 2>"$scratch/said" || {
    cat "$scratch/said" >&2
    exit 1
}
libs=$(sed -n 's/^note: native-static-libs: //p' "$scratch/said")
if [ -z "$libs" ]; then
    cat "$scratch/said" >&2
    echo "native_libs: rustc names no libraries" >&2
    exit 1
fi
for lib in $libs; do
    case $lib in
    -lgcc_s | -lgcc_eh | -lgcc | -lc) ;;
    *) printf '%s\n' "$lib" ;;
    esac
done | awk '!seen[$0]++' | paste -s -d ' ' - >"$release/libelection.libs.$$"
# At once, for an install that reads it at the same time.
mv "$release/libelection.libs.$$" "$release/libelection.libs"

printf '%s\n' "${CARGO_HOME:-$HOME/.cargo}" "$(pwd)" "$(pwd -P)" >"$release/libelection.paths.$$"
mv "$release/libelection.paths.$$" "$release/libelection.paths"
