//! The addresses of the servers in the connect string. Names are looked up anew for each round.
//!
//! A look-up is no part of an attempt. The attempts of a round begin with the addresses that are known 250 ms after its
//! start. A name whose look-up takes longer joins with the addresses that it had before; if nothing is known of any name,
//! the round begins with the first answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::driver::connect_cause::CauseKind;
use crate::driver::hosts::{Hosts, Server};
use crate::driver::io::lookup::LookedUp;
use crate::driver::io::reactor::Io;
use crate::logic::Time;

/// How long a round waits for look-ups if it knows some address.
const HEAD_START_MS: u64 = 250;

/// A look-up that takes longer is told as the cause.
const IS_LONG_MS: u64 = 1_000;

pub struct Addresses {
    servers: Vec<Server>,
    names: BTreeMap<Arc<str>, Name>,
    /// The round waits for its addresses since this moment.
    looks_up_since: Option<Time>,
    /// Which server of the connect string an address belongs to.
    owners: BTreeMap<SocketAddr, usize>,
}

#[derive(Default)]
struct Name {
    is_asked: bool,
    addresses: Vec<SocketAddr>,
    fault: Option<CauseKind>,
}

impl Addresses {
    pub fn new(hosts: &Hosts) -> Addresses {
        let names = hosts.servers.iter().filter(|server| server.address().is_none());
        Addresses {
            names: names.map(|server| (server.host.as_str().into(), Name::default())).collect(),
            servers: hosts.servers.clone(),
            looks_up_since: None,
            owners: BTreeMap::new(),
        }
    }

    /// A round begins: looks the names up.
    pub fn look_up(&mut self, io: &mut Io, now: Time) {
        self.looks_up_since = Some(now);
        for (host, name) in &mut self.names {
            name.is_asked = true;
            io.look_up(host);
        }
    }

    pub fn looked_up(&mut self, answer: &LookedUp) {
        let Some(name) = self.names.get_mut(&answer.host) else { return };
        name.is_asked = false;
        (name.addresses, name.fault) = match &answer.found {
            Ok(addresses) => (addresses.clone(), None),
            Err(kind) => (Vec::new(), Some(kind.clone())),
        };
    }

    /// The addresses of the round that waits for them, once it has waited long enough.
    pub fn take(&mut self, now: Time) -> Option<Vec<SocketAddr>> {
        let since = self.looks_up_since?;
        let is_pending = self.names.values().any(|name| name.is_asked);
        if is_pending && now < since.plus_ms(HEAD_START_MS) {
            return None;
        }
        self.owners.clear();
        for (at, server) in self.servers.iter().enumerate() {
            let addresses = match server.address() {
                Some(address) => &[SocketAddr::new(address, server.port)][..],
                None => self.names.get(server.host.as_str()).map_or(&[][..], |name| &name.addresses),
            };
            for address in addresses {
                let mut address = *address;
                address.set_port(server.port);
                self.owners.insert(address, at);
            }
        }
        if self.owners.is_empty() && is_pending {
            return None;
        }
        self.looks_up_since = None;
        Some(self.owners.keys().copied().collect())
    }

    /// When `take` may have something, or a look-up is long.
    pub fn poll_timeout(&self, now: Time) -> Option<Time> {
        let since = self.looks_up_since?;
        [HEAD_START_MS, IS_LONG_MS].map(|ms| since.plus_ms(ms)).into_iter().find(|then| *then > now)
    }

    /// The round waits for a look-up that takes long.
    pub fn is_long(&self, now: Time) -> bool {
        self.looks_up_since.is_some_and(|since| now >= since.plus_ms(IS_LONG_MS))
    }

    /// Whether a look-up has failed.
    pub fn has_fault(&self) -> bool {
        self.names.values().any(|name| name.fault.is_some())
    }

    /// What is wrong with the name of this server.
    pub fn fault(&self, server: &Server) -> Option<CauseKind> {
        let name = self.names.get(server.host.as_str())?;
        let is_long = name.is_asked && name.addresses.is_empty() && self.looks_up_since.is_some();
        name.fault.clone().or(is_long.then_some(CauseKind::LookupTakesLong))
    }

    /// In the order of the connect string.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The place in `servers` of the server with this address. An address that was good before may be no address of any
    /// name now.
    pub fn owner(&self, address: SocketAddr) -> Option<usize> {
        self.owners.get(&address).copied()
    }

    pub fn server(&self, address: SocketAddr) -> Option<&Server> {
        self.servers.get(self.owner(address)?)
    }

    /// The host that the certificate of this address must be for.
    pub fn host(&self, address: SocketAddr) -> String {
        self.server(address).map_or_else(|| address.ip().to_string(), |server| server.host.clone())
    }
}
