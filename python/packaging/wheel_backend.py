"""Builds the wheel: the module, with the library inside. It needs nothing but Python's standard library.

    wheel_backend.py LIBRARY FOLDER

It is the build backend of pyproject.toml as well; the library is then what $ELECTION_LIB names. The same files make the
same wheel, byte for byte.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, Optional

PYTHON = Path(__file__).resolve().parent.parent
PROJECT = PYTHON.parent
NAME = "libelection"
SONAME = "libelection.so.0"

METADATA = """\
Metadata-Version: 2.4
Name: {name}
Version: {version}
Summary: Master election on Apache ZooKeeper
License-Expression: MIT OR Apache-2.0
License-File: LICENSE
License-File: copyright
Keywords: zookeeper,leader election,master election,distributed
Classifier: Development Status :: 4 - Beta
Classifier: Framework :: AsyncIO
Classifier: Intended Audience :: Developers
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: Python :: 3 :: Only
Classifier: Programming Language :: Python :: 3.9
Classifier: Programming Language :: Python :: 3.10
Classifier: Programming Language :: Python :: 3.11
Classifier: Programming Language :: Python :: 3.12
Classifier: Programming Language :: Python :: 3.13
Classifier: Programming Language :: Python :: Implementation :: CPython
Classifier: Topic :: System :: Distributed Computing
Classifier: Typing :: Typed
Requires-Python: >=3.9
Description-Content-Type: text/markdown

{readme}"""


def version() -> str:
    found = re.search(r'^version = "(.*)"$', (PROJECT / "Cargo.toml").read_text(), re.MULTILINE)
    assert found
    return found[1]


def tag(library: Path) -> str:
    """The platforms that the library runs on: those with the newest glibc that a symbol of it asks for, or a newer one."""
    told = subprocess.run(["readelf", "-V", "-W", str(library)], check=True, capture_output=True, text=True).stdout
    glibc = max((int(major), int(minor)) for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", told))
    return "py3-none-manylinux_{}_{}_{}".format(*glibc, platform.machine())


def files(library: Path) -> dict[str, bytes]:
    """What is in the wheel but the list of it."""
    info = f"{NAME}-{version()}.dist-info"
    readme = (PROJECT / "docs/python.md").read_text()
    found = {f"election/{path.name}": path.read_bytes() for path in (PYTHON / "election").glob("*.py")}
    found["election/py.typed"] = b""
    found[f"election/{SONAME}"] = stripped(library)
    found[f"{info}/METADATA"] = METADATA.format(name=NAME, version=version(), readme=readme).encode()
    wheel = f"Wheel-Version: 1.0\nGenerator: {NAME} ({version()})\nRoot-Is-Purelib: false\nTag: {tag(library)}\n"
    found[f"{info}/WHEEL"] = wheel.encode()
    found[f"{info}/licenses/LICENSE"] = (PROJECT / "LICENSE").read_bytes()
    # The library has other crates and Rust's standard library in it.
    found[f"{info}/licenses/copyright"] = (PROJECT / "src/packaging/copyright").read_bytes()
    found[f"{info}/sboms/libelection.cdx.json"] = (PROJECT / "src/packaging/libelection.cdx.json").read_bytes()
    return found


def stripped(library: Path) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / SONAME
        subprocess.run(["strip", "--strip-unneeded", "-o", str(copy), str(library)], check=True)
        return copy.read_bytes()


def build(library: Path, folder: Path) -> Path:
    found = files(library)
    record = f"{NAME}-{version()}.dist-info/RECORD"
    lines = []
    for name, content in sorted(found.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    found[record] = "".join([*lines, f"{record},,\n"]).encode()
    # The oldest time that a zip file knows, unless there is a better one.
    seconds = max(int(os.environ.get("SOURCE_DATE_EPOCH", 0)), 315532800)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}-{version()}-{tag(library)}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in sorted(found.items()):
            entry = zipfile.ZipInfo(name, time.gmtime(seconds)[:6])
            entry.external_attr = (0o100755 if name.endswith(SONAME) else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, content)
    return path


def build_wheel(folder: str, settings: Optional[dict[str, Any]] = None, metadata: Optional[str] = None) -> str:
    library = os.environ.get("ELECTION_LIB")
    if not library:
        raise SystemExit("ELECTION_LIB does not say where libelection.so is: run `make wheel`")
    return build(Path(library), Path(folder)).name


def build_sdist(folder: str, settings: Optional[dict[str, Any]] = None) -> str:
    raise SystemExit("there is no source distribution: the library is built with cargo")


if __name__ == "__main__":
    print(f"built {build(Path(sys.argv[1]), Path(sys.argv[2]))}")
