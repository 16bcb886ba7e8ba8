//! A scratch folder under the machine's temporary folder that does not outlive its owner.
//!
//! `Drop` removes it. A killed process drops nothing, so each folder holds a locked file. The kernel releases the lock
//! when the process ends, however it ends. The process that makes the next folder removes all folders whose lock no
//! process holds.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const PREFIX: &str = "election-scratch-";
/// A folder has this prefix until its lock is held, so that no sweep removes it as an abandoned folder.
const UNBORN_PREFIX: &str = "election-unborn-";
const LOCK: &str = "in-use";

#[derive(Debug)]
pub struct ScratchFolder {
    path: PathBuf,
    _lock: File,
}

impl ScratchFolder {
    /// Makes an empty folder whose name contains its purpose.
    pub fn new(what_for: &str) -> ScratchFolder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = std::env::temp_dir();
        sweep(&root);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{count}-{what_for}", std::process::id());
            let unborn = root.join(format!("{UNBORN_PREFIX}{name}"));
            let path = root.join(format!("{PREFIX}{name}"));
            if path.exists() {
                continue;
            }
            match try_make(&unborn, &path) {
                Ok(lock) => return ScratchFolder { path, _lock: lock },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => panic!("no scratch folder {}: {error}", path.display()),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("scratch folder {} stays behind: {error}", self.path.display());
        }
    }
}

fn try_make(unborn: &Path, path: &Path) -> io::Result<File> {
    fs::create_dir(unborn)?;
    let lock = File::create(unborn.join(LOCK))?;
    if !try_lock(&lock) {
        return Err(io::Error::other("its lock is taken"));
    }
    fs::rename(unborn, path)?;
    Ok(lock)
}

fn try_lock(file: &File) -> bool {
    // SAFETY: flock takes a descriptor, which `file` keeps open, and no memory.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// Removes the folders of processes that have ended. A folder that this process cannot remove is left for another
/// process.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        if let Ok(lock) = File::open(entry.path().join(LOCK)) {
            if try_lock(&lock) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner_and_a_sweep_spares_those_in_use() {
        let folder = ScratchFolder::new("owner");
        let path = folder.path().to_owned();
        sweep(&std::env::temp_dir());
        assert!(path.join(LOCK).exists());
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_left_behind_is_swept() {
        let root = ScratchFolder::new("left-behind");
        let left_behind = root.path().join(format!("{PREFIX}0-0-killed"));
        fs::create_dir(&left_behind).unwrap();
        File::create(left_behind.join(LOCK)).unwrap();
        sweep(root.path());
        assert!(!left_behind.exists());
    }
}
