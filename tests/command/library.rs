//! The library is the same with the command and without it.

use std::path::Path;
use std::process::Command;

/// The crates that the library is built of, with this feature or without.
fn crates(features: &[&str]) -> Vec<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).args(["tree", "--locked", "--offline"]);
    tree.args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]).args(features);
    let output = tree.output().expect("cargo is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn without_the_feature_it_has_none_of_the_commands_crates() {
    let (library, command) = (crates(&[]), crates(&["--features", "command"]));
    for name in ["clap", "clap_complete", "clap_mangen", "httparse", "humantime", "nix", "sd-notify", "serde_json"]
    {
        assert!(!library.iter().any(|it| it == name), "{name} is in the library");
        assert!(command.iter().any(|it| it == name), "{name} is not in the command");
    }
}
