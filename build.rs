//! Writes `include/election.h` from `src/ffi` with cbindgen, and tells the linker how to link `libelection.so`.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const PREFACE: &str = "\
/* election.h - master election on Apache ZooKeeper.
 *
 * At most one candidate for a path is master; when it leaves, another takes over. The shortest program:
 *
 *     static void on_role(const election_event_t *event, void *ctx) {
 *         puts(event->role == ELECTION_MASTER ? \"master\" : \"not master\");
 *     }
 *
 *     election_t *handle;
 *     int rc = election_open(\"127.0.0.1:2181\", NULL, &handle);
 *     if (rc == ELECTION_OK)
 *         rc = go_to_election(handle, \"/master\", \"10.0.0.7\", 8, on_role, NULL, NULL);
 *     ...
 *     while (election_is_master(handle, \"/master\"))
 *         do_a_piece_of_work();
 *     ...
 *     election_close(handle);
 *
 * Every function here has these rules, unless it says otherwise:
 *
 * - It returns an int: ELECTION_OK (0), or a negative number of election_rc_t, and then nothing has happened. Arguments are
 *   checked first; the error code names the bad one. A result is written only on success.
 * - The library prints nothing, never exits and installs no signal handler. It reads no environment variable.
 * - Any thread may call it, also inside a callback. A handle cannot be closed inside its own callback.
 * - Strings are UTF-8, end with a 0 byte and are copied. Times are in milliseconds.
 * - A call that waits can be ended. It returns ELECTION_INTERRUPTED if a signal handler runs on its thread while it waits, with
 *   SA_RESTART or without, or if election_interrupt is called.
 * - A signal handler may call election_interrupt, election_version and election_strerror, and nothing else. If a handler has
 *   interrupted a function of this library on its thread, every other function returns ELECTION_IN_HANDLER, \"not master\", NULL
 *   or 0, and does nothing. If the handler has interrupted something else, for example malloc, the call may never return.
 * - In a child of the process that opened a handle, every function that takes the handle returns ELECTION_FORKED, or \"not
 *   master\", at once, and does nothing. That holds for each child: of fork, _Fork, clone and clone3. In a child that fork did not
 *   make, every other function returns ELECTION_FORKED, NULL or 0, too, because malloc may never return there. A child of
 *   vfork, or of clone with CLONE_VM, shares its parent's memory: there election_is_master and election_lease answer for the parent.
 * - If there is no memory left, Rust's runtime says so on stderr and ends the process (SIGABRT).
 *
 * Every callback has these rules:
 *
 * - Callbacks of one handle run one at a time, in order, on a thread of the handle (with a stack of 2 MiB), or where the program
 *   calls election_dispatch. The library holds no lock meanwhile. A callback that takes long delays only the callbacks after
 *   it. It must return normally (no longjmp, no C++ exception).
 * - After MASTER comes SLAVE or UNKNOWN before another MASTER at that path.
 * - If callbacks take so long that more than 16 events of one call wait, or 4 MiB of values, the library leaves out events that a
 *   later one makes out of date, the oldest first. The latest event always comes. The event after a MASTER, and an alarm about
 *   members, are left out only together with that MASTER, and with the opposite alarm. The log says so at ELECTION_LOG_WARN.
 * - free_ctx, if given, runs exactly once for each call that returned ELECTION_OK, after the last callback.
 * - While callbacks and free_ctx run on the thread of the handle, it has the signal mask of the thread that opened the handle. So a
 *   child process that a callback starts can be ended by the same signals as one that the opening thread starts. At all
 *   other times that thread blocks all signals but SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGSYS, which no thread of the
 *   library ever blocks: a fault in a callback reaches the program's handler. A program that takes a signal by sigwait or signalfd
 *   must block it before it opens a handle, as before it starts any thread.
 *
 * How to stop: a service handles SIGTERM. It stops its work first, and then resigns or closes the handle; election_lead works in
 * this order. The next master comes within milliseconds. If the process dies of SIGTERM instead, as on `systemctl stop` without a
 * handler, nobody is master until its session times out: 10 seconds by default.
 *
 * Two functions have names without a prefix: go_to_election and watch_master. A program with a function of its own of such a
 * name defines ELECTION_NO_BARE_NAMES before it includes this header, and calls election_go_to_election and
 * election_watch_master, which are the same functions.
 *
 * Made by cbindgen from src/ffi. Edit the files there, not this one.
 */";

/// The files of `src/ffi` that make the header, in the best order for a reader.
const CHAPTERS: [&str; 12] = [
    "types",
    "open",
    "options",
    "access",
    "tls",
    "sasl",
    "candidate",
    "lead",
    "observe",
    "dispatch",
    "fence",
    "diagnostics",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=include/election.h");
    write_header();

    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        for argument in [
            // Programs ask for this name at run time. It changes with the ABI, not with the version.
            "-soname,libelection.so.0",
            // A program's own `watch_master` must never replace the library's.
            "-Bsymbolic-functions",
            // The threads of the library run its code. If the library were unloaded, they would crash.
            "-z,nodelete",
        ] {
            println!("cargo:rustc-cdylib-link-arg=-Wl,{argument}");
        }
        version_symbols();
    }
}

/// Gives each exported function a version, which is the soname. By the version, the dynamic linker distinguishes the
/// functions of this library from functions of the same name in another library.
///
/// rustc passes its linker a version script of its own, which has no versions. No linker takes a second script beside
/// it. GNU ld can add the version by itself. Without GNU ld the library has no versions, and works all the same.
fn version_symbols() {
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let compiler = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_string());
    let has_gnu_ld = Command::new(&compiler)
        .args(["-fuse-ld=bfd", "-Wl,--version"])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).starts_with("GNU ld"));
    if has_gnu_ld {
        println!("cargo:rustc-cdylib-link-arg=-fuse-ld=bfd");
        println!("cargo:rustc-cdylib-link-arg=-Wl,--default-symver");
    } else {
        println!("cargo:warning=GNU ld is not there: the functions of libelection.so have no symbol versions");
    }
}

fn write_header() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets this"));
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets this");
    let config = cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(PREFACE.to_string()),
        include_guard: Some("ELECTION_H".to_string()),
        no_includes: true,
        sys_includes: vec!["stddef.h".to_string(), "stdint.h".to_string()],
        after_includes: Some(format!(
            "\n/** The version of the library that this header belongs to. */\n#define ELECTION_VERSION \"{version}\""
        )),
        cpp_compat: true,
        export: cbindgen::ExportConfig {
            // Functions take and return these types as int, so cbindgen would not find them by itself.
            include: [
                "election_rc_t",
                "election_recipe_t",
                "election_lease_mode_t",
                "election_dispatch_t",
                "election_acl_t",
                "election_perm_t",
                "election_dump_format_t",
            ]
            .map(String::from)
            .to_vec(),
            ..Default::default()
        },
        usize_is_size_t: true,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        style: cbindgen::Style::Both,
        line_length: 100,
        tab_width: 4,
        ..cbindgen::Config::default()
    };
    let builder = CHAPTERS.iter().fold(cbindgen::Builder::new(), |builder, chapter| {
        let source = format!("src/ffi/{chapter}.rs");
        println!("cargo:rerun-if-changed={source}");
        builder.with_src(root.join(source))
    });
    let bindings = builder.with_config(config).generate().expect("src/ffi can be read by cbindgen");
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = tidy(&String::from_utf8(header).expect("cbindgen writes UTF-8"));

    let path = root.join("include/election.h");
    if fs::read_to_string(&path).ok().as_ref() != Some(&header) {
        fs::write(&path, &header).expect("include/election.h can be written");
    }
}

/// The functions whose names have no prefix. A program may have functions of its own with these names.
const BARE_NAMES: [&str; 2] = ["go_to_election", "watch_master"];

/// Makes the header easier to read. A comment of one sentence takes one line; cbindgen writes three. A typedef name
/// stands where cbindgen writes `struct` or `enum` before the name.
fn tidy(header: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for line in header.lines() {
        let opened = out.len().checked_sub(2).filter(|at| out[*at].trim_start() == "/**");
        match (opened, line.trim_start()) {
            (Some(at), "*/") => {
                let sentence = out.pop().unwrap_or_default();
                let sentence = sentence.trim_start().trim_start_matches('*').trim_start();
                out[at] = format!("{} {sentence} */", out[at]);
            }
            (_, text) if text.starts_with("typedef struct") || text.starts_with("typedef enum") => {
                out.push(line.to_string());
            }
            _ => out.push(line.replace("struct election_", "election_").replace("enum election_", "election_")),
        }
    }
    for name in BARE_NAMES {
        let starts = format!("int {name}(");
        let first = out.iter().position(|line| line.starts_with(&starts)).expect("the function is declared");
        let last = first + out[first..].iter().position(|line| line.ends_with(");")).expect("a declaration ends");
        let comment = out[..first].iter().rposition(|line| line.starts_with("/**")).expect("it is documented");
        out.insert(last + 1, "#endif".to_string());
        out.insert(comment, "#ifndef ELECTION_NO_BARE_NAMES".to_string());
    }
    out.join("\n") + "\n"
}
