#!/bin/sh
# Builds the Debian packages, in $TARGET/deb: `make deb` runs this after the build.
#
#   libelection0       the shared library
#   libelection-dev    what programs are built with: headers, archive, man pages, files for pkg-config and CMake
#   python3-election   the Python module
#   election           the command
#
# DEBFULLNAME and DEBEMAIL name who answers for the packages, as with Debian's own tools.
set -eu
cd "$(dirname "$0")/../.."
: "${TARGET:=target}"
deb=$TARGET/deb
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
revision=$version-1
architecture=$(dpkg-architecture -qDEB_HOST_ARCH)
libdir=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
maintainer="${DEBFULLNAME:-The libelection authors} <${DEBEMAIL:-nobody@libelection.invalid}>"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
TARGET=$(realpath "$TARGET")
export TARGET

rm -rf "$deb"
mkdir -p "$deb/stage" "$deb/debian"
deb=$(realpath "$deb")
stage=$deb/stage

prefix=/usr exec_prefix=/usr bindir=/usr/bin libdir=$libdir includedir=/usr/include datarootdir=/usr/share mandir=/usr/share/man \
    docdir=/usr/share/doc/libelection-dev pythondir=/usr/lib/python3/dist-packages DESTDIR=$stage \
    src/packaging/install.sh install >/dev/null
# dpkg knows by itself what it put where; the licence is in the copyright file.
rm "$stage/usr/share/doc/libelection-dev/install_manifest.txt" "$stage/usr/share/doc/libelection-dev/LICENSE"
rm "$stage/usr/lib/python3/dist-packages/election/libelection.so.0"
strip --remove-section=.comment --remove-section=.note "$stage$libdir/libelection.so.$version"
strip --strip-debug --remove-section=.comment --enable-deterministic-archives "$stage$libdir/libelection.a"
chmod 644 "$stage$libdir/libelection.so.$version"

# move PACKAGE PATH...: from the stage into the package's folder.
move() {
    package=$1
    shift
    for path in "$@"; do
        mkdir -p "$deb/$package$(dirname "$path")"
        mv "$stage$path" "$deb/$package$path"
    done
}

# What Debian's tools want to read; what changed is in the project's CHANGELOG.md, which goes along.
changelog() {
    cat <<END
libelection ($revision) unstable; urgency=medium

  * Version $version.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
}

# What every package has, and the package itself: build PACKAGE ARCHITECTURE, with the stanza on standard input.
build() {
    tree=$deb/$1
    doc=$tree/usr/share/doc/$1
    mkdir -p "$doc" "$tree/DEBIAN"
    changelog | gzip -9n >"$doc/changelog.Debian.gz"
    install -m 644 src/packaging/copyright "$doc/copyright"
    {
        echo "Package: $1"
        echo "Source: libelection"
        echo "Version: $revision"
        echo "Architecture: $2"
        echo "Maintainer: $maintainer"
        echo "Installed-Size: $(du -k -s --apparent-size --exclude=DEBIAN "$tree" | cut -f 1)"
        cat
    } >"$tree/DEBIAN/control"
    (cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
    dpkg-deb --root-owner-group --build "$tree" "$deb/" >/dev/null
    rm -rf "$tree"
}

# ---- What goes where ---------------------------------------------------------------------------------------------

move libelection0 "$libdir/libelection.so.$version" "$libdir/libelection.so.0"
move python3-election /usr/lib/python3
# Debian's zsh looks here.
mkdir "$stage/usr/share/zsh/vendor-completions"
mv "$stage/usr/share/zsh/site-functions/_election" "$stage/usr/share/zsh/vendor-completions/_election"
rmdir "$stage/usr/share/zsh/site-functions"
strip --remove-section=.comment --remove-section=.note "$stage/usr/bin/election"
for page in "$stage"/usr/share/man/man?/*; do
    if [ -h "$page" ]; then
        ln -s "$(readlink "$page").gz" "$page.gz"
        rm "$page"
    else
        gzip -9n "$page"
    fi
done
gzip -9nc CHANGELOG.md >"$stage/usr/share/doc/libelection-dev/changelog.gz"
rm "$stage/usr/share/doc/libelection-dev/CHANGELOG.md"
move election /usr/bin /usr/share/man/man1 /usr/share/bash-completion /usr/share/zsh /usr/share/fish
move libelection-dev "$libdir" /usr/include /usr/share
for package in libelection0 python3-election election; do
    gzip -9nc CHANGELOG.md | install -D -m 644 /dev/stdin "$deb/$package/usr/share/doc/$package/changelog.gz"
done
left=$(find "$stage" ! -type d)
if [ -n "$left" ]; then
    echo "debian: nobody's files: $left" >&2
    exit 1
fi

# ---- The packages ------------------------------------------------------------------------------------------------

# Which versions of the system's libraries it needs, as their own packages tell it; and what its users need of it.
mkdir "$deb/libelection0/DEBIAN"
printf 'Source: libelection\nMaintainer: %s\n\nPackage: libelection0\nArchitecture: any\n' "$maintainer" >"$deb/debian/control"
changelog >"$deb/debian/changelog"
shlibs=$(cd "$deb" && dpkg-shlibdeps -O "libelection0$libdir/libelection.so.$version")
echo "libelection 0 libelection0 (>= $version)" >"$deb/libelection0/DEBIAN/shlibs"
# It says, too, that there was no list of symbols before.
(cd "$deb" && dpkg-gensymbols -plibelection0 -Plibelection0 -v"$version" -Odebian/symbols >debian/said 2>&1) || {
    cat "$deb/debian/said" >&2
    exit 1
}
sed '1a * Build-Depends-Package: libelection-dev' "$deb/debian/symbols" >"$deb/libelection0/DEBIAN/symbols"
echo 'activate-noawait ldconfig' >"$deb/libelection0/DEBIAN/triggers"

build libelection0 "$architecture" <<END
Section: libs
Priority: optional
Multi-Arch: same
Depends: ${shlibs#shlibs:Depends=}
Description: master election on Apache ZooKeeper
 A program that calls go_to_election stands as a candidate for master; of all
 that stand at the same path one is master, never two, and when it goes the next
 one comes within milliseconds.
 .
 This package has the shared library.
END

build libelection-dev "$architecture" <<END
Section: libdevel
Priority: optional
Multi-Arch: same
Depends: libelection0 (= $revision)
Suggests: pkg-config, cmake
Description: master election on Apache ZooKeeper - development files
 A program that calls go_to_election stands as a candidate for master; of all
 that stand at the same path one is master, never two, and when it goes the next
 one comes within milliseconds.
 .
 This package has the headers, the library for static linking, the man pages,
 examples, and the files for pkg-config and CMake.
END

build python3-election all <<END
Section: python
Priority: optional
Depends: python3 (>= 3.9), libelection0 (>= $version)
Description: master election on Apache ZooKeeper - Python module
 A program that calls go_to_election stands as a candidate for master; of all
 that stand at the same path one is master, never two, and when it goes the next
 one comes within milliseconds.
 .
 This package has the Python module election, for threads and for asyncio.
END

shlibs=$(cd "$deb" && dpkg-shlibdeps -O election/usr/bin/election)
build election "$architecture" <<END
Section: admin
Priority: optional
Depends: ${shlibs#shlibs:Depends=}
Description: master election on Apache ZooKeeper - command
 The command "election run" waits until it is master of all that stand at the
 same path, and runs a program while that lasts. Other commands show who is
 master, and say why something does not work.
 .
 This package has the command, its man pages, and what shells complete with it.
END

rm -rf "$deb/stage" "$deb/debian"
echo "built:"
ls "$deb"/*.deb
