#!/usr/bin/env python3
"""Writes what the binaries are made of, from Cargo.lock and the sources of the crates:

    src/packaging/copyright             the licence of each crate that is linked in, as Debian's copyright format 1.0
    src/packaging/libelection.cdx.json  the same crates as a software bill of materials, CycloneDX 1.5

`make licences` runs this after Cargo.lock has changed; with --check nothing is written, and a difference is an error.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = "x86_64-unknown-linux-gnu"
# Of the licences that a crate offers, the first of these is taken.
PREFERRED = ["MIT", "Apache-2.0", "Zlib", "BSD-3-Clause", "BSL-1.0", "ISC"]
LICENCE_FILE = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)")
COPYRIGHT_LINE = re.compile(r"(?i)^\W*(copyright\b.*(\d{4}|\(c\)).*)$")

PREFACE = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: libelection
Comment: The library and the command hold the code of the crates below, and of
 Rust's standard library. Made by src/packaging/third_party.py from Cargo.lock.

Files: *
Copyright: {copyright}
License: MIT or Apache-2.0
"""

STANDARD_LIBRARY = """
Files: rust-std/*
Copyright: The Rust Project Contributors
License: MIT or Apache-2.0
Comment: Rust's standard library (core, alloc, std, panic_unwind, unwind), with
 the crates that it is built with: addr2line, adler2 (0BSD or MIT or Apache-2.0),
 cfg-if, gimli, hashbrown, libc, memchr (Unlicense or MIT), miniz_oxide (MIT or
 Zlib or Apache-2.0), object, rustc-demangle, and compiler_builtins, of which
 parts are LLVM's compiler-rt (MIT, and Apache-2.0 with LLVM exceptions).
"""

APACHE = """
License: Apache-2.0
 The text of the Apache License, version 2.0, is in the file LICENSE of
 libelection; on Debian systems also in /usr/share/common-licenses/Apache-2.0.
"""


def cargo(command, *arguments):
    """What cargo says, without asking the network."""
    line = [os.environ.get("CARGO", "cargo"), command, "--locked", "--offline", "--features", "command", *arguments]
    return subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def names_linked():
    """The names and versions of the packages that are linked in. Only `cargo tree` leaves the tests' features out."""
    shape = ["--edges", "normal,no-proc-macro", "--target", PLATFORM, "--prefix", "none", "--format", "{p}"]
    lines = cargo("tree", "--package", "election", *shape).splitlines()
    return {(line.split()[0], line.split()[1].lstrip("v")) for line in lines}


def linked():
    """The packages that are linked in, without the one itself, and who depends on whom."""
    said = json.loads(cargo("metadata", "--filter-platform", PLATFORM, "--format-version", "1"))
    names = names_linked()
    packages = {package["id"]: package for package in said["packages"]}
    nodes = {node["id"]: node for node in said["resolve"]["nodes"]}
    root = said["resolve"]["root"]

    def is_linked(dependency):
        package = packages[dependency["pkg"]]
        is_for_running = any(kind["kind"] is None for kind in dependency["dep_kinds"])
        return is_for_running and (package["name"], package["version"]) in names

    depends, waiting = {}, [root]
    while waiting:
        name = waiting.pop()
        if name not in depends:
            depends[name] = sorted(each["pkg"] for each in nodes[name]["deps"] if is_linked(each) and each["pkg"] != name)
            waiting += depends[name]
    crates = sorted((packages[name] for name in depends if name != root), key=lambda crate: (crate["name"], crate["version"]))
    return packages[root], crates, {packages[name]["id"]: ids for name, ids in depends.items()}, packages


def chosen(crate):
    """The licences that the crate is taken under: one, unless parts of it have others."""
    wanted = []
    for part in crate["license"].split(" AND "):
        offered = re.split(r" OR |/", part.strip("()"))
        known = [licence for licence in PREFERRED if licence in offered]
        if not known:
            raise SystemExit(f"third_party: {crate['name']} offers {crate['license']}: none that is known here")
        wanted.append(known[0])
    return wanted


def licence_files(crate):
    folder = Path(crate["manifest_path"]).parent
    names = sorted(name for name in os.listdir(folder) if LICENCE_FILE.match(name))
    return {name: (folder / name).read_text(encoding="utf-8", errors="replace") for name in names if (folder / name).is_file()}


def copyright_lines(crate, files):
    """Who holds the copyright, as the crate says it; else its authors."""
    found = []
    for name, text in files.items():
        if "apache" in name.lower():
            continue  # its appendix has a form to be filled in
        for line in text.splitlines():
            match = COPYRIGHT_LINE.match(line.strip())
            if match and "[yyyy]" not in line and "{yyyy}" not in line:
                who = re.sub(r"(?i)^copyright( ?:)? ?(\(c\)|©)? ?", "", match.group(1)).strip(" *")
                found += [who] if who and who not in found else []
    return found or [re.sub(r" <.*>", "", author) for author in crate["authors"]] or [f"The authors of {crate['name']}"]


def as_field(text):
    """Text below a field of Debian's format."""
    return "".join(f" {line.rstrip()}\n" if line.strip() else " .\n" for line in text.strip().splitlines())


def licence_text(licence, texts):
    """The text of a licence without the line that names the holder."""
    text = re.sub(r"(?m)^// ?", "", texts[licence])
    starts = {"MIT": "Permission is hereby granted", "BSD-3-Clause": "Redistribution and use", "Zlib": "This software is provided", "ISC": "Permission to use, copy"}
    at = text.find(starts.get(licence, "")) if licence in starts else 0
    if at < 0:
        raise SystemExit(f"third_party: the text of {licence} is not where it should be")
    return text[at:]


def copyright_file(root, crates):
    own = (ROOT / "LICENSE").read_text(encoding="utf-8")
    holder = re.search(r"Copyright \(c\) (.*)", own).group(1)
    mit = own[own.index("Permission is hereby granted"):]
    texts = {"MIT": mit[: mit.index("=====")]}
    out = [PREFACE.format(copyright=holder), STANDARD_LIBRARY]
    for crate in crates:
        licences, files = chosen(crate), licence_files(crate)
        holders = "\n           ".join(copyright_lines(crate, files))
        out.append(f"\nFiles: {crate['name']}-{crate['version']}/*\nCopyright: {holders}\nLicense: {' and '.join(licences)}\n")
        third = [text for name, text in files.items() if "third" in name.lower()]
        if third:
            out.append("Comment: The crate itself holds work of others:\n" + as_field("\n\n".join(third)))
        licence = licences[0]
        if len(licences) == 1 and licence not in texts:
            fitting = [text for name, text in files.items() if licence.split("-")[0].lower() in name.lower()]
            texts[licence] = (fitting or list(files.values()) or [""])[0]
        if "Apache-2.0" in licences:
            texts["Apache-2.0"] = ""  # APACHE takes its place
    for licence in sorted(texts):
        out.append(APACHE if licence == "Apache-2.0" else f"\nLicense: {licence}\n" + as_field(licence_text(licence, texts)))
    return "".join(out)


def checksums():
    """The checksums of Cargo.lock by name and version."""
    entries = (ROOT / "Cargo.lock").read_text(encoding="utf-8").split("[[package]]")[1:]
    found = {}
    for entry in entries:
        fields = dict(re.findall(r'^(name|version|checksum) = "(.*)"$', entry, re.MULTILINE))
        found[fields["name"], fields["version"]] = fields.get("checksum")
    return found


def bill_of_materials(root, crates, depends, packages):
    sums = checksums()

    def reference(package):
        return f"pkg:cargo/{package['name']}@{package['version']}"

    def component(package, kind):
        described = {"type": kind, "bom-ref": reference(package), "name": package["name"], "version": package["version"]}
        if package["description"]:
            described["description"] = " ".join(package["description"].split())
        digest = sums.get((package["name"], package["version"]))
        if digest:
            described["hashes"] = [{"alg": "SHA-256", "content": digest}]
        described["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        described["purl"] = reference(package)
        return described

    graph = {packages[name]["id"]: [packages[each] for each in ids] for name, ids in depends.items()}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(root, "library")},
        "components": [component(crate, "library") for crate in crates],
        "dependencies": [
            {"ref": reference(package), "dependsOn": sorted(reference(each) for each in graph[package["id"]])}
            for package in [root, *crates]
        ],
    }


def main():
    root, crates, depends, packages = linked()
    bill = json.dumps(bill_of_materials(root, crates, depends, packages), indent=2, ensure_ascii=False) + "\n"
    made = {"copyright": copyright_file(root, crates), "libelection.cdx.json": bill}
    for name, text in made.items():
        file = ROOT / "src/packaging" / name
        if "--check" in sys.argv[1:]:
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                raise SystemExit(f"third_party: {name} is not that of Cargo.lock: make licences")
        else:
            file.write_text(text, encoding="utf-8")


main()
