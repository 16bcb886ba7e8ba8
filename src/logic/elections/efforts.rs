//! What the candidates of a session need of it: the most that one of them needs decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::logic::recipe::Effort;

#[derive(Debug, Default)]
pub struct Efforts {
    of: BTreeMap<Arc<str>, Effort>,
    /// How many candidates need each.
    counts: [usize; 3],
}

impl Efforts {
    /// What the candidate at this path needs from now on; `None` if there is none.
    pub fn note(&mut self, path: &Arc<str>, effort: Option<Effort>) {
        let former = match effort {
            Some(effort) => {
                self.counts[effort as usize] += 1;
                match self.of.get_mut(path) {
                    Some(known) => Some(std::mem::replace(known, effort)),
                    None => self.of.insert(path.clone(), effort),
                }
            }
            None => self.of.remove(path),
        };
        if let Some(former) = former {
            self.counts[former as usize] -= 1;
        }
    }

    /// The most that a candidate needs.
    pub fn most(&self) -> Option<Effort> {
        [Effort::Lease, Effort::Anchor, Effort::Session]
            .into_iter()
            .find(|effort| self.counts[*effort as usize] > 0)
    }
}
