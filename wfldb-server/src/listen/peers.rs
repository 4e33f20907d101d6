//! Connections by address: one address gets its share, not all of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// The addresses that have connections, with their numbers. Bounded by the connections there are.
#[derive(Debug)]
pub(super) struct Peers {
    connections_max: usize,
    handshakes_max: usize,
    open: Mutex<HashMap<IpAddr, Peer>>,
}

#[derive(Debug)]
struct Peer {
    connections: usize,
    handshakes: Arc<Semaphore>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    peers: Arc<Peers>,
    address: IpAddr,
    handshakes: Arc<Semaphore>,
}

impl Peers {
    pub(super) fn new(connections_max: usize, handshakes_max: usize) -> Self {
        Self {
            connections_max,
            handshakes_max,
            open: Mutex::default(),
        }
    }

    /// A place for one more connection; `None` when the address has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = counted(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = open.entry(address).or_insert_with(|| Peer {
            connections: 0,
            handshakes: Arc::new(Semaphore::new(self.handshakes_max)),
        });
        // A peer that is in the table has a connection, so one that is refused is never left there empty.
        if peer.connections >= self.connections_max {
            return None;
        }
        peer.connections += 1;
        Some(Place {
            peers: Arc::clone(self),
            address,
            handshakes: Arc::clone(&peer.handshakes),
        })
    }
}

impl Place {
    /// Handshakes that the address may have at the same time.
    pub(super) fn handshakes(&self) -> &Semaphore {
        &self.handshakes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = open.get_mut(&self.address) {
            peer.connections = peer.connections.saturating_sub(1);
            if peer.connections == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: of IPv6 the first 64 bits, since whoever has one of them has them all.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Defects it catches: places that are never given back, a table that grows with every address ever seen, an
    /// IPv4 address that gets a second share in its IPv6 form.
    #[test]
    fn an_address_has_its_share_and_gives_it_back() {
        let peers = Arc::new(Peers::new(2, 1));
        let first = peers.enter(address("192.0.2.1")).unwrap();
        let second = peers.enter(address("::ffff:192.0.2.1")).unwrap();
        assert!(peers.enter(address("192.0.2.1")).is_none());
        let other = peers.enter(address("192.0.2.2")).unwrap();
        drop(first);
        let third = peers.enter(address("192.0.2.1")).unwrap();
        assert!(peers.enter(address("192.0.2.1")).is_none());
        drop((second, third, other));
        assert!(peers.open.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let peers = Arc::new(Peers::new(1, 1));
        let _held = peers.enter(address("2001:db8::1")).unwrap();
        assert!(peers.enter(address("2001:db8::ffff:0:0:2")).is_none());
        assert!(peers.enter(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn handshakes_are_counted_over_all_connections_of_an_address() {
        let peers = Arc::new(Peers::new(2, 1));
        let (one, two) = (
            peers.enter(address("192.0.2.1")).unwrap(),
            peers.enter(address("192.0.2.1")).unwrap(),
        );
        let turn = one.handshakes().try_acquire().unwrap();
        assert!(two.handshakes().try_acquire().is_err());
        drop(turn);
        assert!(two.handshakes().try_acquire().is_ok());
    }
}
