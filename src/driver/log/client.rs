//! Forwards the ZooKeeper client's own `tracing` events to our log. We receive them only on the I/O thread, while a
//! task of ours runs and the log is on. We never replace a subscriber that a Rust program has set; that subscriber
//! receives all other events.
//!
//! The client logs endpoints, paths, kinds of requests and errors. It does not log the session's password, and of a
//! request it logs only the path. So neither credentials nor values reach our log.

use std::fmt::{self, Write};

use once_cell::sync::Lazy;
use tracing_core::dispatcher::{set_default, DefaultGuard, Dispatch};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, Level, Metadata, Subscriber};

use super::{is_on, repeat, LogLevel};

/// Forwards the client's events on this thread until the guard is dropped.
pub fn overhear() -> DefaultGuard {
    static DISPATCH: Lazy<Dispatch> = Lazy::new(|| Dispatch::new(Overheard));
    set_default(&DISPATCH)
}

struct Overheard;

impl Subscriber for Overheard {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match is_the_client_s(metadata) {
            // The level may change at any time.
            true => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_the_client_s(metadata) && is_on(level(metadata))
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        repeat(level(event.metadata()), format_args!("{}{}", said.message, said.fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Accepts events only, no spans: the log knows by itself which handle an event concerns.
fn is_the_client_s(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target().starts_with("zookeeper_client")
}

/// The client's info level is a debug detail for us.
fn level(metadata: &Metadata<'_>) -> LogLevel {
    match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        _ => LogLevel::Debug,
    }
}

#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A write to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
