//! The C border: every `extern "C"` item and every C type. A body checks pointers, calls the handle and maps the error;
//! nothing else.
//!
//! C programmers read the doc comments of the public items below. `build.rs` has cbindgen copy them into
//! `include/election.h`, file by file, in the best order for a reader.

mod border;

mod access;
mod candidate;
mod diagnostics;
mod dispatch;
mod fence;
mod lead;
mod observe;
mod open;
mod options;
mod sasl;
mod tls;
mod types;

pub use access::*;
pub use candidate::*;
pub use diagnostics::*;
pub use dispatch::*;
pub use fence::*;
pub use lead::*;
pub use observe::*;
pub use open::*;
pub use options::*;
pub use sasl::*;
pub use tls::*;
pub use types::*;
