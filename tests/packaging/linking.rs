//! What docs/install.md says of linking with the installed library, as it stands there.

use std::process::Command;

use crate::consumers::{becomes_master, compile_with_cmake, consumer, dynamic};
use crate::tools::{output, root, Installed};

fn page() -> String {
    std::fs::read_to_string(root().join("docs/install.md")).expect("docs/install.md is there")
}

#[test]
fn its_commands_link() {
    let installed = Installed::new();
    let text = page();
    let commands: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("cc program.c ") && line.contains("$(pkg-config"))
        .collect();
    // The shared library, everything in the program, the library alone in the program: what is left to be loaded.
    let needed = [(true, true), (false, false), (false, true)];
    assert_eq!(commands.len(), needed.len(), "{commands:?}");
    std::fs::copy(consumer("program.c"), installed.beside("program.c")).expect("a scratch folder takes files");
    let lib = installed.prefix().join("lib");
    for (i, (command, needed)) in commands.into_iter().zip(needed).enumerate() {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", command]).current_dir(installed.beside("."));
        shell.env("PKG_CONFIG_PATH", lib.join("pkgconfig"));
        let linked = output(shell);
        let said = String::from_utf8_lossy(&linked.stderr);
        assert!(linked.status.success(), "{command}: {said}");
        // glibc: "Using 'getaddrinfo' in statically linked applications requires ..."
        for function in said.lines().filter_map(|line| line.split_once("Using '")?.1.split('\'').next()) {
            assert!(text.contains(&format!("`{function}`")), "the page does not speak of {function}: {said}");
        }
        let loads = dynamic(&installed.beside("a.out"));
        assert_eq!((loads.contains("[libelection.so.0]"), loads.contains("[libc.so.6]")), needed, "{command}");
        let mut program = Command::new(installed.beside("a.out"));
        program.env("LD_LIBRARY_PATH", &lib);
        becomes_master(program, &format!("/readme-{i}"));
    }
}

#[test]
fn its_lines_for_cmake_link() {
    let installed = Installed::new();
    let text = page();
    let (_, block) = text.split_once("```cmake\n").expect("it has a block marked cmake");
    let (find, link) = block.split_once("```").expect("a block ends").0.split_once('\n').expect("two lines");
    let target = "election::election";
    assert!(link.contains(&format!("{target})")) && link.contains(&format!("{target}_static")), "{link}");
    let project = installed.beside("project");
    std::fs::create_dir(&project).expect("a scratch folder takes folders");
    std::fs::copy(consumer("program.c"), project.join("program.c")).expect("a scratch folder takes files");
    for (name, link) in
        [("shared", link.to_owned()), ("static", link.replacen(target, &format!("{target}_static"), 1))]
    {
        let lists = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(readme C)\n{find}\nadd_executable(program program.c)\n{link}"
        );
        std::fs::write(project.join("CMakeLists.txt"), lists).expect("a scratch folder takes files");
        let build = installed.beside(name);
        compile_with_cmake(&project, &build, "CMAKE_PREFIX_PATH", &installed.prefix(), "program");
        becomes_master(Command::new(build.join("program")), &format!("/readme-cmake-{name}"));
    }
}
