//! The packaging: `make install` into folders of the test's own, C, C++, CMake and Python programs that find the library
//! there as they would on a system and become master with it on a real ZooKeeper, the man pages, and the Debian packages.

mod consumers;
mod debian;
mod install;
mod licences;
mod linking;
mod man;
mod published;
mod tools;
mod wheel;
