"""Where the module loads the library from: where the program says, its own folder, the system; and nowhere else.

    loading.py LIBRARY
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import election
from common import PATIENCE, check

WHICH = """if True:
    import election, sys
    election.load(*sys.argv[1:])
    election.load()
    with open("/proc/self/maps") as maps:
        print(*{line.split(maxsplit=5)[-1].strip() for line in maps if "libelection" in line}, sep="|")
"""
MODULE = Path(election.__file__).parent


def run(code, *arguments, **environment):
    """A program that has nothing of this one's environment."""
    python = [sys.executable, "-B", "-W", "error", "-X", "dev", "-c", code, *arguments]
    plain = {name: value for name, value in os.environ.items() if name not in ("ELECTION_LIB", "PYTHONPATH")}
    return subprocess.run(python, env={**plain, **environment}, capture_output=True, text=True, timeout=PATIENCE)


def loads(place, *arguments, **environment):
    program = run(WHICH, *arguments, **environment)
    check(program.stdout.strip() == str(place), program)


def fails(code, error, **environment):
    program = run(code, **environment)
    check(program.returncode != 0 and error in program.stderr, program)


def main(library, folder):
    module = {"PYTHONPATH": str(MODULE.parent)}
    # Where the program says.
    loads(library, **module, ELECTION_LIB=library)
    loads(library, library, **module)
    loads(library, library, **module, ELECTION_LIB="/nowhere.so")
    fails(WHICH, "OSError: /nowhere.so", **module, ELECTION_LIB="/nowhere.so")
    other = f"import election; election.load({library!r}); election.load('/other.so')"
    fails(other, f"RuntimeError: {library} is loaded already", **module)
    fails("import election; election.load('libc.so.6')", "OSError: libc.so.6: there is no election_version", **module)

    # The system.
    system = folder / "system"
    system.mkdir()
    shutil.copy(library, system / "libelection.so.0")
    loads(system / "libelection.so.0", **module, LD_LIBRARY_PATH=str(system))
    fails(WHICH, "OSError: libelection.so.0", **module)

    # Its own folder, whatever the path to it and the system's have.
    shutil.copytree(MODULE, folder / "own" / "election")
    shutil.copy(library, folder / "own" / "election" / "libelection.so.0")
    own = {"PYTHONPATH": f"{folder}/own:{MODULE.parent}", "LD_LIBRARY_PATH": str(system)}
    loads(folder / "own" / "election" / "libelection.so.0", **own)

    # A copy in a folder of a directory in which anybody may put something.
    job = folder / "shared" / "job"
    shutil.copytree(MODULE, job / "election")
    for planted in ("target/release", "job", "target/debug", "lib", "job/lib", "job/target/release", "."):
        place = folder / "shared" / planted
        place.mkdir(parents=True, exist_ok=True)
        for name in ("libelection.so", "libelection.so.0"):
            shutil.copy(library, place / name)
    os.chdir(job)
    fails(WHICH, "OSError: libelection.so.0", PYTHONPATH=str(job))
    loads(system / "libelection.so.0", PYTHONPATH=str(job), LD_LIBRARY_PATH=str(system))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(os.path.realpath(sys.argv[1]), Path(folder).resolve())
