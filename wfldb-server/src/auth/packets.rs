//! Key packets that were verified before, by the hash of their bytes. Bounded; time is not part of what is kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use wfldb_core::id::PacketHash;
use wfldb_core::name::Audience;
use wfldb_core::packet::{PacketError, TrustedRoots, VerifiedPacket, verify_signatures};

/// Packets of one generation; two are kept.
const GENERATION_PACKETS: usize = 4096;

/// Verifies packets, each once while it is in use.
///
/// Two generations: a packet that is used moves to the young one; when that is full it becomes the old one and the
/// old one goes. So what is in use stays, and no number of other packets makes it grow.
#[derive(Debug)]
pub(crate) struct Packets {
    trust: TrustedRoots,
    audience: Audience,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<PacketHash, VerifiedPacket>,
    old: HashMap<PacketHash, VerifiedPacket>,
}

impl Generations {
    fn put(&mut self, hash: PacketHash, packet: VerifiedPacket) {
        if self.young.len() >= GENERATION_PACKETS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, packet);
    }
}

impl Packets {
    pub(crate) fn new(trust: TrustedRoots, audience: Audience) -> Self {
        Self {
            trust,
            audience,
            generations: Mutex::default(),
        }
    }

    pub(crate) fn audience(&self) -> &Audience {
        &self.audience
    }

    /// The packet, verified now or before, in all but its time.
    pub(crate) fn verified(&self, token: &str) -> Result<VerifiedPacket, PacketError> {
        // SECURITY: the hash is over the packet's exact bytes; another spelling is another packet.
        let hash = PacketHash::of(token.as_bytes());
        if let Some(packet) = self.known(&hash) {
            return Ok(packet);
        }
        let packet = verify_signatures(token, &self.trust, &self.audience)?;
        // Only what verified is kept, so strangers cannot push anything out.
        self.generations().put(hash, packet.clone());
        Ok(packet)
    }

    fn known(&self, hash: &PacketHash) -> Option<VerifiedPacket> {
        let mut generations = self.generations();
        if let Some(packet) = generations.young.get(hash) {
            return Some(packet.clone());
        }
        let packet = generations.old.remove(hash)?;
        generations.put(*hash, packet.clone());
        Some(packet)
    }

    fn generations(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
