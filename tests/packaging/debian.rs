//! The Debian packages: what they hold, what lintian finds, and programs built with them in a root of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use testkit::ScratchFolder;

use crate::consumers::{becomes_master, compile_with_cmake, consumer, dynamic};
use crate::tools::{self, call, make, output, run, target, version};

/// Tags of lintian's that remain: the packages are not in Debian, so no bug asks for them to be.
const ACCEPTED: &str = "initial-upload-closes-no-bugs";

fn field(package: &Path, name: &str) -> String {
    call("dpkg-deb", ["--field".as_ref(), package.as_os_str(), name.as_ref()]).trim().to_owned()
}

/// The names of the files in a package.
fn contents(package: &Path) -> Vec<String> {
    let list = call("dpkg-deb", ["--contents".as_ref(), package.as_os_str()]);
    // drwxr-xr-x root/root 0 2026-11-21 02:42 ./usr/lib/x [-> y]
    let name = |line: &str| line.split_whitespace().nth(5).map(|path| path.trim_start_matches('.').to_owned());
    list.lines().filter(|line| !line.starts_with('d')).filter_map(name).collect()
}

fn architecture(what: &str) -> String {
    call("dpkg-architecture", [format!("-qDEB_HOST_{what}")]).trim().to_owned()
}

struct Packages {
    shared: PathBuf,
    dev: PathBuf,
    python: PathBuf,
    command: PathBuf,
}

impl Packages {
    fn all(&self) -> [&PathBuf; 4] {
        [&self.shared, &self.dev, &self.python, &self.command]
    }
}

/// The packages as `make deb` builds them; built when a test first asks for them.
fn packages() -> &'static Packages {
    static BUILT: OnceLock<Packages> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut deb = make(["deb"]);
        // Packed as tightly as can be they take a quarter of a minute more.
        deb.env_remove("DEBFULLNAME").env_remove("DEBEMAIL").env("DPKG_DEB_COMPRESSOR_LEVEL", "1");
        run(deb);
        let file = |name: &str, architecture: &str| {
            target().join(format!("deb/{name}_{}-1_{architecture}.deb", version()))
        };
        let here = architecture("ARCH");
        Packages {
            shared: file("libelection0", &here),
            dev: file("libelection-dev", &here),
            python: file("python3-election", "all"),
            command: file("election", &here),
        }
    })
}

#[test]
fn each_package_has_what_belongs_there() {
    let Packages { shared, dev, python, command } = packages();
    // dpkg-shlibdeps found what it needs, and from which version on.
    let depends = field(shared, "Depends");
    assert!(depends.contains("libc6 (>= 2.") && depends.contains("libgcc-s1"), "{depends}");
    assert_eq!(field(dev, "Depends"), format!("libelection0 (= {}-1)", version()));
    assert_eq!(field(shared, "Multi-Arch"), "same");

    let lib = format!("/usr/lib/{}", architecture("MULTIARCH"));
    let is_document = |path: &String| path.starts_with("/usr/share/doc/");
    let library: Vec<String> = contents(shared).into_iter().filter(|path| !is_document(path)).collect();
    assert_eq!(library, [format!("{lib}/libelection.so.{}", version()), format!("{lib}/libelection.so.0")]);
    // A program's package asks for the version of this package that first had each function.
    let symbols = call("dpkg-deb", ["--info".as_ref(), shared.as_os_str(), "symbols".as_ref()]);
    let (soname, first) = ("libelection.so.0", version());
    assert!(symbols.contains(&format!("\n election_go_to_election@{soname} {first}\n")), "{symbols}");

    let held = contents(dev);
    for path in ["libelection.a", "libelection.so", "pkgconfig/election.pc", "cmake/election/electionConfig.cmake"]
    {
        assert!(held.contains(&format!("{lib}/{path}")), "{path} in {held:?}");
    }
    for path in ["include/election.h", "share/man/man3/go_to_election.3.gz", "share/man/man7/election.7.gz"] {
        assert!(held.contains(&format!("/usr/{path}")), "{path} in {held:?}");
    }
    let mut held: Vec<String> = contents(command).into_iter().filter(|path| !is_document(path)).collect();
    held.sort();
    let pages = ["election-doctor", "election-members", "election-run", "election-status", "election-wait"];
    let pages = pages.into_iter().chain(["election-watch", "election"]);
    let pages = pages.map(|page| format!("/usr/share/man/man1/{page}.1.gz"));
    let mut expected: Vec<String> = pages.collect();
    expected.extend(
        ["bash-completion/completions/election", "fish/vendor_completions.d/election.fish"]
            .map(|path| format!("/usr/share/{path}")),
    );
    expected.extend(["/usr/bin/election", "/usr/share/zsh/vendor-completions/_election"].map(str::to_owned));
    expected.sort();
    assert_eq!(held, expected);
    assert!(field(command, "Depends").contains("libc6 (>= 2."), "{}", field(command, "Depends"));
    assert!(contents(python).contains(&"/usr/lib/python3/dist-packages/election/__init__.py".to_owned()));
}

#[test]
fn lintian_finds_no_error_and_no_warning() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning", "--suppress-tags", ACCEPTED]);
    lintian.args(packages().all());
    let said = output(lintian);
    assert!(said.status.success() && said.stdout.is_empty(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// dpkg installs the packages into a root that has nothing else, a program is built there and run, and dpkg removes them.
#[test]
fn in_a_root_of_its_own() {
    let multiarch = &architecture("MULTIARCH");
    let scratch = ScratchFolder::new("packaging");
    let root = scratch.path().join("root");
    for folder in ["updates", "info"] {
        std::fs::create_dir_all(root.join("var/lib/dpkg").join(folder)).expect("a scratch folder takes folders");
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").expect("a scratch folder takes files");
    let dpkg = |arguments: &[&str]| {
        let mut dpkg = Command::new("dpkg");
        // Depends on libc6, which this root has not; nothing in the packages is run. A slim machine leaves manuals out.
        dpkg.arg(format!("--root={}", root.display())).args([
            "--force-depends",
            "--force-not-root",
            "--force-bad-path",
        ]);
        dpkg.arg(format!("--log={}", scratch.path().join("log").display())).args(arguments);
        dpkg
    };
    let mut install = dpkg(&["--install"]);
    install.args(packages().all());
    run(install);
    let mut verify = dpkg(&["--verify"]);
    verify.env("LC_ALL", "C");
    assert_eq!(run(verify), "", "md5sums");

    let lib = root.join("usr/lib").join(multiarch);
    let flags = |how: &[&str]| {
        let mut pkg_config = Command::new("pkg-config");
        pkg_config.args(["--cflags", "--libs"]).args(how).arg("election");
        pkg_config.env("PKG_CONFIG_LIBDIR", lib.join("pkgconfig")).env("PKG_CONFIG_SYSROOT_DIR", &root);
        pkg_config.env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1").env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1");
        run(pkg_config).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for (name, how) in [("shared", &[][..]), ("static", &["--static"])] {
        let program = scratch.path().join(name);
        let mut gcc = Command::new("gcc");
        gcc.arg(consumer("program.c")).arg("-o").arg(&program).args(flags(how));
        gcc.args(if name == "static" { &["-static"][..] } else { &[] });
        run(gcc);
        assert_eq!(dynamic(&program).contains("[libelection.so.0]"), name == "shared");
        let mut command = Command::new(&program);
        command.env("LD_LIBRARY_PATH", &lib);
        becomes_master(command, &format!("/debian-{name}"));
    }

    // CMake finds the root's, through /lib that leads to /usr/lib as well.
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).expect("as on a system with merged folders");
    let config = root.join("lib").join(multiarch).join("cmake/election");
    compile_with_cmake(&consumer(""), &scratch.path().join("build"), "election_DIR", &config, "static-c");
    becomes_master(Command::new(scratch.path().join("build/static-c")), "/debian-cmake");

    let mut python = Command::new("python3");
    python.args(["-B", "-c", "import election, sys; print(election.__file__, election.version())"]);
    python.env("PYTHONPATH", root.join("usr/lib/python3/dist-packages")).env("LD_LIBRARY_PATH", &lib);
    python.env_remove("ELECTION_LIB");
    assert_eq!(
        run(python).trim(),
        format!("{} {}", root.join("usr/lib/python3/dist-packages/election/__init__.py").display(), version())
    );

    let mut command = Command::new(root.join("usr/bin/election"));
    command.arg("--version");
    assert_eq!(run(command), format!("election {}\n", version()));

    run(dpkg(&["--purge", "election", "python3-election", "libelection-dev", "libelection0"]));
    let left = tools::call("find", [root.as_os_str(), "-path".as_ref(), "*/usr/*".as_ref()]);
    assert_eq!(left, "", "removed");
}
