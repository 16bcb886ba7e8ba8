#!/bin/sh
# Puts the library and the command, as `make` built them, where the system looks for them, and takes them away again:
#
#   install.sh install | uninstall
#
# `make install` and `make uninstall` run this, with the folders in the environment; DESTDIR is put in front of each. What
# is installed is stripped by $STRIP.
#
# What was put where is noted in the documentation's folder, each folder that was not there before among it. So an
# uninstall removes exactly that, whichever version it is called from, and an install removes what an earlier version
# had put there and this one has not. A list that came from elsewhere, with a copy of the folders, removes nothing.
set -eu
cd "$(dirname "$0")/../.."
here=src/packaging
: "${TARGET:=target}" "${DESTDIR:=}" "${STRIP:=strip}"
# shellcheck disable=SC2154 # the environment has them
: "$prefix" "$exec_prefix" "$bindir" "$libdir" "$includedir" "$datarootdir" "$mandir" "$docdir" "$pythondir"

for folder in "$prefix" "$exec_prefix" "$bindir" "$libdir" "$includedir" "$datarootdir" "$mandir" "$docdir" \
    "$pythondir"; do
    case $folder in
    /*) ;;
    *)
        echo "install: $folder is no absolute path" >&2
        exit 2
        ;;
    esac
done
# The list of what is installed has one file on each line.
case $prefix$exec_prefix$bindir$libdir$includedir$datarootdir$mandir$docdir$pythondir in
*"
"*)
    echo "install: a folder has a line break in its name" >&2
    exit 2
    ;;
esac
# These are in files that pkg-config and CMake read.
case $prefix$exec_prefix$libdir$includedir in
*[\"\\\$\`\#\;]*)
    echo "install: a folder for the library or the headers has one of \" \\ \$ \` # ; in its name" >&2
    exit 2
    ;;
esac

release=$TARGET/release
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
soname=libelection.so.0
library=libelection.so.$version

manifest=$docdir/install_manifest.txt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
noted=$scratch/noted
: >"$noted"

# Makes a folder and those above it, and notes the ones that were not there.
folder() {
    if [ ! -d "$DESTDIR$1" ]; then
        if [ "$1" != / ] && [ -n "$1" ]; then
            folder "$(dirname "$1")"
            install -d -m 755 "$DESTDIR$1"
            echo "$1/" >>"$noted"
        else
            install -d -m 755 "$DESTDIR/"
        fi
    fi
}

# put MODE SOURCE PATH
put() {
    folder "$(dirname "$3")"
    install -m "$1" "$2" "$DESTDIR$3"
    echo "$3" >>"$noted"
}

# put_link TARGET PATH
put_link() {
    folder "$(dirname "$2")"
    ln -sfn "$1" "$DESTDIR$2"
    echo "$2" >>"$noted"
}

# filled TEMPLATE KEY VALUE...: the template with @KEY@ replaced; prints where it is.
filled() {
    template=$1 result=$scratch/$(basename "$1" .in)
    shift
    cp "$template" "$result"
    while [ $# -gt 0 ]; do
        value=$(printf '%s' "$2" | sed 's/[\\&|]/\\&/g')
        sed "s|@$1@|$value|g" "$result" >"$result.next"
        mv "$result.next" "$result"
        shift 2
    done
    echo "$result"
}

# A folder as a .pc file names it: below the variable $1 where it is below its folder $2.
# shellcheck disable=SC2016 # pkg-config expands it
below() {
    case $3 in
    "$2"/*) printf '${%s}%s' "$1" "${3#"$2"}" ;;
    "$2") printf '${%s}' "$1" ;;
    *) printf '%s' "$3" ;;
    esac
}

from_to() { realpath -m -s --relative-to="$1" "$2"; }

# Takes the folders of the machine that built it out of a file: messages of the crates name their sources by them. Each
# character becomes a slash, so that nothing in the file moves. (rustc can do so while it compiles, --remap-path-prefix,
# but only by flags that have everything built once more.)
hide_paths() {
    while IFS= read -r path; do
        case $path in
        /?*) ;;
        *) continue ;;
        esac
        pattern=$(printf '%s' "$path" | sed 's/[].[*^$\\|]/\\&/g')
        slashes=$(printf '%s' "$path" | LC_ALL=C sed 's/./\//g')
        LC_ALL=C sed -i "s|$pattern|$slashes|g" "$1"
    done <"$release/libelection.paths"
}

put_library() {
    put 755 "$release/libelection.so" "$libdir/$library"
    put_link "$library" "$libdir/$soname"
    put_link "$soname" "$libdir/libelection.so"
    put 644 "$release/libelection.a" "$libdir/libelection.a"
    "$STRIP" --strip-unneeded "$DESTDIR$libdir/$library"
    "$STRIP" --strip-debug "$DESTDIR$libdir/libelection.a"
    hide_paths "$DESTDIR$libdir/$library"
    hide_paths "$DESTDIR$libdir/libelection.a"
    for header in include/*.h include/*.hpp; do
        [ ! -e "$header" ] || put 644 "$header" "$includedir/$(basename "$header")"
    done
}

put_build_files() {
    native_libs=$(cat "$release/libelection.libs")
    pc=$(filled $here/election.pc.in version "$version" native_libs "$native_libs" prefix "$prefix" \
        exec_prefix "$(below prefix "$prefix" "$exec_prefix")" \
        libdir "$(below exec_prefix "$exec_prefix" "$libdir")" \
        includedir "$(below prefix "$prefix" "$includedir")")
    put 644 "$pc" "$libdir/pkgconfig/election.pc"

    cmakedir=$libdir/cmake/election
    config=$(filled $here/electionConfig.cmake.in library "$library" soname "$soname" \
        to_libdir "$(from_to "$cmakedir" "$libdir")" to_includedir "$(from_to "$cmakedir" "$includedir")" \
        native_libs_list "$(printf '%s' "$native_libs" | tr ' ' ';')")
    put 644 "$config" "$cmakedir/electionConfig.cmake"
    # The fifth byte of an ELF file: 1 for 32 bits, 2 for 64.
    class=$(od -An -tu1 -j4 -N1 "$release/libelection.so" | tr -d ' ')
    put 644 "$(filled $here/electionConfigVersion.cmake.in version "$version" pointer_size $((class * 4)))" \
        "$cmakedir/electionConfigVersion.cmake"
}

put_man_pages() {
    mkdir "$scratch/man" "$scratch/man/man3" "$scratch/man/man7"
    seconds=${SOURCE_DATE_EPOCH:-$(stat -c %Y include/election.h)}
    # Where the pages go is in the environment: awk would take a backslash in a variable for more than itself.
    MAN_OUT=$scratch/man awk -v version="$version" -v date="$(date -u -d "@$seconds" +%F)" \
        -f $here/man.awk include/election.h docs/examples/*.c
    while read -r page alias; do
        ln -s "$page" "$scratch/man/man3/$alias"
    done <"$scratch/man/aliases"
    for page in "$scratch"/man/man?/*; do
        place=$mandir/${page#"$scratch/man/"}
        if [ -h "$page" ]; then
            put_link "$(readlink "$page")" "$place"
        else
            put 644 "$page" "$place"
        fi
    done
}

# Its man pages and what shells complete with it tells itself.
put_command() {
    put 755 "$release/election" "$bindir/election"
    seconds=${SOURCE_DATE_EPOCH:-$(stat -c %Y include/election.h)}
    "$release/election" generate "$scratch/command" --date "$(date -u -d "@$seconds" +%F)"
    "$STRIP" "$DESTDIR$bindir/election"
    hide_paths "$DESTDIR$bindir/election"
    for page in "$scratch"/command/man1/*; do
        put 644 "$page" "$mandir/man1/$(basename "$page")"
    done
    completions=$scratch/command/completions
    put 644 "$completions/election.bash" "$datarootdir/bash-completion/completions/election"
    put 644 "$completions/_election" "$datarootdir/zsh/site-functions/_election"
    put 644 "$completions/election.fish" "$datarootdir/fish/vendor_completions.d/election.fish"
}

# The link is what leads the module to the library of the same installation, wherever that is; a package of a
# distribution leaves it out, for the loader finds the library there.
put_python() {
    for module in python/election/*.py python/election/py.typed; do
        put 644 "$module" "$pythondir/election/$(basename "$module")"
    done
    put_link "$libdir/$soname" "$pythondir/election/$soname"
}

put_documents() {
    for document in README.md CHANGELOG.md ARCHITECTURE.md LICENSE docs/*.md docs/examples/*.c; do
        [ ! -e "$document" ] || put 644 "$document" "$docdir/$document"
    done
    for example in c_examples/*.c c_examples/*.cpp c_examples/*.py c_examples/*.h c_examples/*.md; do
        [ ! -e "$example" ] || put 644 "$example" "$docdir/examples/$(basename "$example")"
    done
    put 644 $here/examples.mk "$docdir/examples/Makefile"
    for document in copyright libelection.cdx.json tsan.supp; do
        put 644 "$here/$document" "$docdir/$document"
    done
}

# Writes the manifest, of one list or more.
note() {
    LC_ALL=C sort -u "$@" >"$scratch/manifest"
    install -m 644 "$scratch/manifest" "$DESTDIR$manifest"
}

# Lines of $1 that $2 has not.
lines_without() { grep -v -x -F -f "$2" "$1" || true; }

# Removes what the lines on standard input name; folders last, the inner ones first, and only when they are empty.
remove_named() {
    LC_ALL=C sort -r -u | while IFS= read -r path; do
        case $path in
        */) [ ! -d "$DESTDIR$path" ] || [ -n "$(ls -A "$DESTDIR$path")" ] || rmdir "$DESTDIR$path" ;;
        *) rm -f "$DESTDIR$path" ;;
        esac
    done
}

install_all() {
    for built in libelection.so libelection.a libelection.libs libelection.paths election; do
        [ -e "$release/$built" ] || {
            echo "install: $release/$built is missing: run \`make\` first" >&2
            exit 1
        }
    done
    earlier=$scratch/earlier
    : >"$earlier"
    if [ -e "$DESTDIR$manifest" ] && grep -q -x -F -e "$manifest" "$DESTDIR$manifest"; then
        cp "$DESTDIR$manifest" "$earlier"
    fi
    folder "$docdir"
    echo "$manifest" >>"$noted"
    # An install that fails half-way has noted what it did.
    trap 'note "$noted" "$earlier"; rm -rf "$scratch"' EXIT
    put_library
    put_build_files
    put_man_pages
    put_command
    put_python
    put_documents
    # The folders that an earlier install made are still to be removed by an uninstall.
    grep '/$' "$earlier" >>"$noted" || true
    trap 'rm -rf "$scratch"' EXIT
    note "$noted"
    lines_without "$earlier" "$noted" | remove_named
    echo "installed libelection $version in $DESTDIR$prefix"
}

case $1 in
install)
    install_all
    ;;
uninstall)
    if [ ! -e "$DESTDIR$manifest" ]; then
        echo "uninstall: nothing to remove: there is no $DESTDIR$manifest" >&2
        exit 1
    fi
    # The list names itself, by the path that it was written for.
    if ! grep -q -x -F -e "$manifest" "$DESTDIR$manifest"; then
        echo "uninstall: nothing removed: $DESTDIR$manifest is a copy, of what was installed elsewhere" >&2
        exit 1
    fi
    cp "$DESTDIR$manifest" "$scratch/manifest"
    remove_named <"$scratch/manifest"
    ;;
*)
    echo "install.sh: what is $1?" >&2
    exit 2
    ;;
esac
