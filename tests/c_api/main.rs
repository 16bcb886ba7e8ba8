//! The border: what `include/election.h` promises, held by C, C++ and Python programs that are built here with the
//! real compilers, linked with the library as users link it, and run on a real ZooKeeper.
//!
//! What is tested is the release build, `target/release/libelection.{so,a}`: that is what is installed.

mod abi;
mod causes;
mod documents;
mod examples;
#[path = "../fuzz/mod.rs"]
mod fuzz;
mod header;
mod hpp;
mod layout;
mod library;
mod page;
mod place;
mod programs;
mod python;
#[path = "../sanitizers/mod.rs"]
mod sanitizers;
mod stopping;
mod symbols;
mod tools;
