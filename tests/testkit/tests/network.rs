//! The network's faults do what they say, as seen by whoever sends and receives in it.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use testkit::Network;

const PORT: u16 = 9_999;
const SOON: Duration = Duration::from_secs(5);
const NEVER: Duration = Duration::from_millis(300);

struct Two {
    network: Network,
    sockets: [UdpSocket; 2],
}

impl Two {
    fn new() -> Two {
        let network = Network::new(2);
        let sockets = [0, 1].map(|i| {
            let bind = || UdpSocket::bind((network.peer_ip(i), PORT)).expect("an address of its own");
            network.server(i).run(bind)
        });
        Two { network, sockets }
    }

    /// Whether a message from one server comes to the other in this time.
    fn arrives(&self, from: usize, within: Duration) -> bool {
        let to = 1 - from;
        let addr = SocketAddr::new(self.network.peer_ip(to), PORT);
        let begin = Instant::now();
        self.sockets[to].set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
        loop {
            // The first of all may be lost while the bridge and the neighbours learn of each other.
            let _ = self.sockets[from].send_to(b"x", addr);
            if self.sockets[to].recv(&mut [0; 8]).is_ok() {
                return true;
            }
            if begin.elapsed() > within {
                return false;
            }
        }
    }
}

#[test]
fn a_blocked_direction_loses_and_the_other_does_not() {
    let two = Two::new();
    assert!(two.arrives(0, SOON) && two.arrives(1, SOON));
    two.network.block(0, 1);
    while two.arrives(0, Duration::ZERO) {} // what was under way
    assert!(!two.arrives(0, NEVER));
    assert!(two.arrives(1, SOON));
    two.network.unblock(0, 1);
    assert!(two.arrives(0, SOON));
}

#[test]
fn a_narrow_link_is_slow_and_loses() {
    // As many as the receiver has room for.
    const SENT: usize = 50;
    let two = Two::new();
    assert!(two.arrives(0, SOON));
    let addr = SocketAddr::new(two.network.peer_ip(1), PORT);
    two.sockets[1].set_read_timeout(Some(Duration::from_secs(1))).expect("a time");
    // How many of these come, and how long that takes; what was sent before is shorter.
    let come = || {
        let begin = Instant::now();
        for _ in 0..SENT {
            two.sockets[0].send_to(&[0; 1_000], addr).expect("sent");
        }
        let (mut came, mut last) = (0, begin);
        while let Ok(len) = two.sockets[1].recv(&mut [0; 2_000]) {
            if len == 1_000 {
                came += 1;
                last = Instant::now();
            }
            if came == SENT {
                break;
            }
        }
        (came, last - begin)
    };
    two.network.narrow(0, 64);
    // 8,000 bytes a second, 3,000 at once, a queue of 2,400.
    let (came, time) = come();
    assert!((3..SENT / 2).contains(&came), "{came} came");
    assert!(time > Duration::from_millis(100), "in {time:?}");
    two.network.widen(0);
    assert_eq!(come().0, SENT);
}
