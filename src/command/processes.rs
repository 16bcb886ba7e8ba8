//! Finds all descendants of a process, and sends them signals.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

/// Sends a signal to every descendant of a process. A descendant of another user gets none if this process may not
/// signal it.
pub fn signal_descendants(of: Pid, signal: Signal) {
    for pid in descendants(of.as_raw(), &parents()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The descendants that live, or are dead and not yet reaped.
fn descendants(of: i32, parents: &[(i32, i32)]) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut generation = BTreeSet::from([of]);
    while !generation.is_empty() {
        let children = parents.iter().filter(|(pid, parent)| generation.contains(parent) && !found.contains(pid));
        generation = children.map(|(pid, _)| *pid).collect();
        found.extend(&generation);
    }
    found
}

/// Every process that /proc shows, with its parent.
fn parents() -> Vec<(i32, i32)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, parent_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// The parent in a line of /proc/PID/stat. The second field is a name in parentheses. It may contain any character.
fn parent_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_fields_behind_it() {
        assert_eq!(parent_of("17 (a) S 99 (b) R 5 17 17 0"), Some(5));
        assert_eq!(parent_of("17"), None);
    }

    #[test]
    fn descendants_are_children_and_theirs() {
        let parents = [(9, 4), (2, 1), (4, 3), (3, 2), (5, 1)];
        assert_eq!(descendants(2, &parents), BTreeSet::from([3, 4, 9]));
        assert_eq!(descendants(9, &parents), BTreeSet::new());
    }
}
