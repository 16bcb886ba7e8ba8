//! Checks COMMAND before `election` does anything else: whether it exists and can be executed. It searches as a shell
//! does.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{access, AccessFlags};

use crate::failure::{Failure, Result, CANNOT_EXECUTE, NOT_FOUND};
use crate::guard::Program;

/// A program with its arguments.
pub fn find(command: &[OsString]) -> Result<Program> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::usage("COMMAND is missing"));
    };
    if program == "--" || program.is_empty() {
        return Err(Failure::usage(format!("COMMAND is missing: {program:?} stands where it should")));
    }
    look_at(program)?;
    Ok(Program { program: program.clone(), arguments: arguments.to_vec() })
}

/// A shell command.
pub fn shell(command: &OsString) -> Program {
    Program { program: "/bin/sh".into(), arguments: vec!["-c".into(), command.clone()] }
}

fn look_at(program: &OsString) -> Result<()> {
    if program.as_bytes().contains(&b'/') {
        return match why_not(Path::new(program)) {
            None => Ok(()),
            Some(failure) => Err(failure),
        };
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut candidates = env::split_paths(&path).map(|folder| folder.join(program));
    let mut found: Option<PathBuf> = None;
    let is_there = candidates.any(|candidate| {
        let is_file = candidate.is_file();
        let can_run = is_file && why_not(&candidate).is_none();
        if is_file && found.is_none() {
            found = Some(candidate);
        }
        can_run
    });
    match (is_there, found) {
        (true, _) => Ok(()),
        (false, Some(path)) => why_not(&path).map_or(Ok(()), Err),
        (false, None) => {
            Err(Failure::new(NOT_FOUND, format!("{}: there is no such command in PATH", program.to_string_lossy())))
        }
    }
}

fn why_not(path: &Path) -> Option<Failure> {
    let name = path.display();
    match path.metadata() {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            Some(Failure::new(CANNOT_EXECUTE, format!("{name}: permission denied")))
        }
        Err(_) => Some(Failure::new(NOT_FOUND, format!("{name}: there is no such file"))),
        Ok(metadata) if metadata.is_dir() => Some(Failure::new(CANNOT_EXECUTE, format!("{name}: is a directory"))),
        Ok(_) if access(path, AccessFlags::X_OK).is_err() => {
            Some(Failure::new(CANNOT_EXECUTE, format!("{name}: is not executable")))
        }
        Ok(_) => None,
    }
}
