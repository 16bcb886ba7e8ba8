//! The command `election`. It runs a command on one machine at a time, shows which candidate is master, and finds out
//! why something does not work.
//!
//! Like any other program, it uses the public Rust API of the library. [`run`] is its main part. The [`guard`] makes
//! sure that a command never outlives the lease. [`show`] and [`doctor`] report on an election.

#![deny(unsafe_op_in_unsafe_fn)]

mod check;
mod clock;
mod doctor;
mod failure;
mod guard;
mod http;
mod manual;
mod options;
mod processes;
mod program;
mod run;
mod servers;
mod service;
mod show;

use std::os::unix::process::ExitStatusExt;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use nix::sys::resource::{setrlimit, Resource};
use nix::sys::signal::{raise, signal, SigHandler, SigSet, Signal};

use failure::{Failure, FAILED};
use options::{Arguments, Generate, Verb};
use run::End;

fn main() -> ExitCode {
    let command = Arguments::command().subcommand(Generate::command().hide(true));
    let arguments = match command.try_get_matches() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let shown = match arguments.subcommand() {
        Some(("generate", arguments)) => Generate::from_arg_matches(arguments)
            .map_err(Failure::usage)
            .and_then(|options| manual::generate(&options.folder, &options.date)),
        _ => match Arguments::from_arg_matches(&arguments) {
            Ok(arguments) => match &arguments.subcommand {
                Verb::Run(options) => {
                    return match run::run(options) {
                        Ok(end) => end_as(end),
                        Err(failure) => fail(&failure),
                    }
                }
                Verb::Status(options) => show::status(options),
                Verb::Members(options) => show::members(options),
                Verb::Watch(options) => show::watch(options),
                Verb::Wait(options) => show::wait(options),
                Verb::Doctor(options) => doctor::doctor(options),
            },
            Err(error) => return explain(&error),
        },
    };
    match shown {
        Ok(status) => ExitCode::from(status),
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    eprintln!("election: {}", failure.text.replace('\n', " "));
    ExitCode::from(failure.status)
}

/// Prints help in full, and a usage error as one line.
fn explain(error: &clap::Error) -> ExitCode {
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_help {
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 });
    }
    let text = error.to_string();
    let mistake: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).collect();
    let mistake = mistake.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let mistake = mistake.strip_prefix("error: ").unwrap_or(&mistake);
    let mistake = mistake.split(" For more information").next().unwrap_or(mistake);
    fail(&Failure::usage(mistake))
}

/// Ends as COMMAND ended. If a signal ended COMMAND, the same signal ends `election`. The parent of `election` then
/// sees the status that COMMAND would have given it.
fn end_as(end: End) -> ExitCode {
    let (code, number) = match end {
        End::Status(status) => (status.code(), status.signal()),
        End::Signal(signal) => (None, Some(signal as i32)),
    };
    if let Some(signal) = number.and_then(|number| Signal::try_from(number).ok()) {
        die_by(signal);
    }
    // As the first process of a container, `election` cannot end itself by a signal. It then exits as a shell does.
    let code = code.or(number.map(|number| 128 + number));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED))
}

fn die_by(number: Signal) {
    // A core dump of COMMAND may be useful. One of `election` is not.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // SAFETY: the call installs no function.
    let _ = unsafe { signal(number, SigHandler::SigDfl) };
    let mut only = SigSet::empty();
    only.add(number);
    let _ = raise(number);
    let _ = only.thread_unblock();
}
