//! What docs/install.md says of linking with the installed library, as it stands there.

use std::process::Command;

use crate::consumers::{becomes_master, compile_with_cmake, consumer};
use crate::tools::{root, run, Installed};

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
    assert_eq!(commands.len(), 2, "one for the shared library, one for the static: {commands:?}");
    // Where the C library has everything in one file a program would be linked without, too.
    assert!(commands[1].contains(" -static ") && commands[1].contains("--static"), "{}", commands[1]);
    std::fs::copy(consumer("program.c"), installed.beside("program.c")).expect("a scratch folder takes files");
    let lib = installed.prefix().join("lib");
    for (i, command) in commands.into_iter().enumerate() {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", command]).current_dir(installed.beside("."));
        shell.env("PKG_CONFIG_PATH", lib.join("pkgconfig"));
        run(shell);
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
