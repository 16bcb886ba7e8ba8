//! Each violation, planted in a history, is found.
