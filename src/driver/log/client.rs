//! What the ZooKeeper client says of itself, by way of `tracing`. It is heard on the I/O thread alone, while a task of
//! ours runs and the log is on: a subscriber that a Rust program has set is never replaced, and hears all else.
//!
//! The client tells of endpoints, paths, kinds of requests and errors. It leaves out the password of the session, and what
//! is in a request besides its path: so neither credentials nor values come here.

use std::fmt::{self, Write};

use once_cell::sync::Lazy;
use tracing_core::dispatcher::{set_default, DefaultGuard, Dispatch};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Interest, Level, Metadata, Subscriber};

use super::{is_on, repeat, LogLevel};

/// Until the guard is dropped, what the client says on this thread is passed on.
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

/// Events only: whom they are about the log knows by itself.
fn is_the_client_s(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target().starts_with("zookeeper_client")
}

/// What is of interest to the client is a detail of ours.
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
        // A String takes everything.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
