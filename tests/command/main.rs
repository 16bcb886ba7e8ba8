//! The command `election`: real processes on a real server.
//!
//! - [`run`]: `election run` in the ordinary course; [`faults`]: when it, its guard or its command is killed or stopped, or
//!   its link is cut; [`bad_input`]: what the user got wrong;
//! - [`show`]: `status`, `members`, `watch` and `wait`; [`doctor`]: `doctor`.

mod bad_input;
mod doctor;
mod faults;
mod ground;
mod run;
mod show;
