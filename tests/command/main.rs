//! The command `election`: real processes on a real server.
//!
//! - [`run`]: `election run` in the ordinary course; [`faults`]: when it, its guard or its command is killed or stopped, or
//!   its link is cut; [`duties`]: checks, hooks, service managers, HTTP, credentials; [`bad_input`]: what the user got wrong;
//! - [`systemd`]: the units of the pages under a real systemd;
//! - [`library`]: what the library has of all this, which is nothing;
//! - [`sasl`]: proving who we are, by the recipe of docs/security.md;
//! - `kerberos`: SASL by GSSAPI, by the recipe of docs/security.md;
//! - [`tls`]: encrypted connections, by the recipe of docs/security.md;
//! - [`show`]: `status`, `members`, `watch` and `wait`; [`doctor`]: `doctor`; [`manual`]: the man
//!   pages and the completions.

mod bad_input;
mod doctor;
mod duties;
mod faults;
mod ground;
#[cfg(feature = "sasl")]
mod kerberos;
mod library;
mod manual;
mod run;
#[cfg(feature = "sasl")]
mod sasl;
mod show;
mod systemd;
#[cfg(feature = "tls")]
mod tls;
