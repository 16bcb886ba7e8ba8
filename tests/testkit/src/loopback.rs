//! A loopback address for one test, 127.a.b.c, so that its fixed ports never conflict with those of another test.
//!
//! All of 127.0.0.0/8 is local on Linux. The address is drawn from the process id and a counter. The claim listens on
//! one port of it for as long as it lives. The kernel lets only one process listen there, so two test runs that draw
//! the same address cannot both have it. All ports lie below the range from which the kernel draws ports for outgoing
//! connections (32768 and up). Otherwise a client's own port could be one that a restarted server needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

const CLAIM_PORT: u16 = 20_000;
const ATTEMPTS: usize = 1000;

/// IPv6 has only the address `::1`, so the claims are for ports there. Each claim holds the port this far above the
/// claimed one.
const V6_PORTS: std::ops::Range<u16> = 10_000..18_000;
const V6_CLAIM_ABOVE: u16 = 10_000;

#[derive(Debug)]
pub struct Claim {
    addr: SocketAddr,
    _held: TcpListener,
}

impl Claim {
    /// Claims an address of 127.0.0.0/8 on which all of `ports` are free.
    pub fn address(ports: &[u16]) -> Claim {
        for _ in 0..ATTEMPTS {
            let draw = draw();
            let [a, b, c, _] = draw.to_le_bytes();
            // Not 127.0.*.*, which other programs use, and neither a network's nor a broadcast address.
            let ip = IpAddr::V4(Ipv4Addr::new(127, 16 + a % 200, b, 1 + c % 254));
            let Ok(held) = TcpListener::bind((ip, CLAIM_PORT)) else {
                continue;
            };
            if ports.iter().all(|&port| is_free(ip, port)) {
                let addr = SocketAddr::new(ip, CLAIM_PORT);
                return Claim { addr, _held: held };
            }
        }
        panic!("no loopback address with the ports {ports:?} free in {ATTEMPTS} attempts");
    }

    /// Claims a port of `::1`.
    pub fn ipv6_port() -> Claim {
        let ip = IpAddr::V6(Ipv6Addr::LOCALHOST);
        if let Err(error) = TcpListener::bind((ip, 0)) {
            panic!("this machine has no IPv6 loopback address ::1: {error}");
        }
        for _ in 0..ATTEMPTS {
            let count = V6_PORTS.end - V6_PORTS.start;
            let port = V6_PORTS.start + (draw() % u32::from(count)) as u16;
            let Ok(held) = TcpListener::bind((ip, port + V6_CLAIM_ABOVE)) else {
                continue;
            };
            if is_free(ip, port) {
                let addr = SocketAddr::new(ip, port);
                return Claim { addr, _held: held };
            }
        }
        panic!("no free port on ::1 in {ATTEMPTS} attempts");
    }

    pub fn ip(&self) -> IpAddr {
        self.addr.ip()
    }

    pub fn port(&self) -> u16 {
        self.addr.port()
    }
}

fn is_free(ip: IpAddr, port: u16) -> bool {
    TcpListener::bind((ip, port)).is_ok()
}

/// The next number of this process's own sequence, spread over all 32 bits.
fn draw() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut x = std::process::id().wrapping_mul(0x9e37_79b9).wrapping_add(count.wrapping_mul(0x85eb_ca6b));
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^ (x >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn claims_never_share_an_address() {
        let claims: Vec<Claim> = (0..50).map(|_| Claim::address(&[21_810])).collect();
        let ips: HashSet<IpAddr> = claims.iter().map(Claim::ip).collect();
        assert_eq!(ips.len(), claims.len());
    }
}
