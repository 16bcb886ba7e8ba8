//! The wheel: pip installs it into a fresh environment, and a program there is elected with the library of the wheel.

use std::path::PathBuf;
use std::process::Command;

use testkit::ScratchFolder;

use crate::consumers::becomes_master;
use crate::tools::{self, call, make, output, root, run, target, version};

const PROGRAM: &str = "import sys, election
with election.Election(sys.argv[1]) as e:
    e.go_to_election(sys.argv[2], b'wheel')
    e.wait(sys.argv[2], election.Role.MASTER, 60)
    assert e.is_master(sys.argv[2])
    print('master')
    e.resign(sys.argv[2])
    print('resigned')
with open('/proc/self/maps') as maps:
    mapped = {line.split()[-1] for line in maps if 'libelection' in line}
assert mapped == {PLACE}, mapped
";

/// The newest glibc that a symbol of the library asks for, as `major_minor`.
fn glibc() -> String {
    let symbols =
        call("readelf", ["-V".as_ref(), "-W".as_ref(), target().join("release/libelection.so").as_os_str()]);
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|text| {
        let (major, rest) = text.split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    });
    let (major, minor) = versions.max().expect("it uses glibc");
    format!("{major}_{minor}")
}

fn wheel() -> PathBuf {
    run(make(["wheel"]));
    let name = format!("libelection-{}-py3-none-manylinux_{}_{}.whl", version(), glibc(), std::env::consts::ARCH);
    target().join("wheel").join(name)
}

#[test]
fn pip_installs_it_and_it_elects() {
    let scratch = ScratchFolder::new("wheel");
    let wheel = wheel();
    let first = std::fs::read(&wheel).expect("make wheel has made it, with an honest name");
    assert_eq!(first, std::fs::read(self::wheel()).expect("twice"), "the same files make the same wheel");

    let environment = scratch.path().join("venv");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&environment);
    run(venv);
    let python = environment.join("bin/python");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check"]).arg(&wheel);
    run(install);

    // Whatever else there is: another library for the loader, and modules elsewhere.
    let site = "import sysconfig; print(sysconfig.get_path('platlib'))";
    let site = PathBuf::from(call(&python.display().to_string(), ["-c", site]).trim());
    let elsewhere = scratch.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a scratch folder takes folders");
    for name in ["libelection.so", "libelection.so.0"] {
        std::fs::copy(target().join("release/libelection.so"), elsewhere.join(name)).expect("the library is built");
    }
    let own = site.join("election/libelection.so.0");
    let program = PROGRAM.replace("PLACE", &format!("{:?}", own.display().to_string()));
    for module_path in ["", elsewhere.to_str().expect("a plain path")] {
        let mut command = Command::new(&python);
        command.args(["-B", "-u", "-W", "error", "-X", "dev", "-c", &program]).current_dir(&elsewhere);
        command.env("PYTHONPATH", module_path).env("LD_LIBRARY_PATH", &elsewhere);
        becomes_master(command, "/wheel");
    }

    let mut show = Command::new(&python);
    show.args(["-m", "pip", "show", "--files", "libelection", "--disable-pip-version-check"]);
    let shown = run(show);
    for what in [
        &format!("Version: {}", version()),
        "election/py.typed",
        "licenses/LICENSE",
        "licenses/copyright",
        "sboms/libelection.cdx.json",
    ] {
        assert!(shown.contains(what), "{what} in\n{shown}");
    }
    let mut remove = Command::new(&python);
    remove.args(["-m", "pip", "uninstall", "--quiet", "--yes", "libelection", "--disable-pip-version-check"]);
    run(remove);
    assert!(!site.join("election").exists(), "pip removes all that it put there");
}

/// Who builds it by pip says where the library is.
#[test]
fn pip_builds_it_from_the_tree() {
    let scratch = ScratchFolder::new("wheel");
    run(make(["build"]));
    let build = |library: Option<PathBuf>| {
        let mut build = Command::new("python3");
        build.args(["-m", "pip", "wheel", "--quiet", "--no-index", "--disable-pip-version-check", "--wheel-dir"]);
        build.arg(scratch.path()).arg(root().join("python")).env_remove("ELECTION_LIB");
        build.envs(library.map(|library| ("ELECTION_LIB", library)));
        output(build)
    };
    let refused = build(None);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("run `make wheel`"), "{said}");
    let built = build(Some(tools::target().join("release/libelection.so")));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let wheels = std::fs::read_dir(scratch.path()).expect("the folder is there");
    assert_eq!(wheels.filter(|entry| entry.as_ref().is_ok_and(|e| e.path().extension().is_some())).count(), 1);
}
