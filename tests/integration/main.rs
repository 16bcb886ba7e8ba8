//! The library on a real ZooKeeper: every doubtful moment made to happen, and read back by an independent client.
//!
//! - [`node_election`]: the ordinary course; [`node_create`], [`node_parents`], [`node_blocked`], [`node_operator`],
//!   [`node_resign`], [`node_session`]: what may go wrong with it, by where it goes wrong; all in the node recipe;
//! - [`queue`]: the same in the queue recipe;
//! - [`lease`]: until when a master believes, and what that costs the servers; `blip`: servers that are away for a moment;
//! - [`access`]: credentials and access control lists;
//! - [`observer`], [`members`], [`values`]: watching who is master and who is in, and values that change;
//! - [`close`], [`servers`], [`old_servers`]: the end of a handle, and the servers themselves;
//! - [`many_elections`]: ten thousand of them on one handle, and a hundred thousand calls at once;
//! - `system_faults`: a network, a resolver and a process that fail under the library;
//! - `given_back`: the threads and descriptors that handles have used;
//! - [`slow_callbacks`]: callbacks that hang while everything changes;
//! - `round_trips`: how many round trips each step takes;
//! - [`diagnostics`]: what the log, the connection and the counters tell of all that;
//! - `sasl`: proving who we are to servers that demand it, and what is said of those that refuse;
//! - `tls`: encrypted connections, and what is said of those that fail;
//! - [`seeds`]: what the seeds' programs do in the same faults, and one election of theirs and ours;
//! - the rest is what these stand on.

mod access;
mod amnesia;
mod blip;
mod candidates;
mod child;
mod close;
mod diagnostics;
mod given_back;
mod ground;
mod hand_rolled;
mod kerberos;
mod lead;
mod lease;
mod many_elections;
mod members;
mod node_blocked;
mod node_create;
mod node_election;
mod node_operator;
mod node_parents;
mod node_resign;
mod node_session;
mod observer;
mod old_servers;
mod pace;
mod queue;
mod relays;
mod round_trips;
#[cfg(feature = "sasl")]
mod sasl;
mod seeds;
mod servers;
mod slow_callbacks;
mod system_faults;
#[cfg(feature = "tls")]
mod tls;
mod values;
mod witness;
