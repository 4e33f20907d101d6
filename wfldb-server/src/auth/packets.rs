//! Key packets that were verified before, by the hash of their bytes. Bounded; time is not part of what is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wfldb_core::id::PacketHash;
use wfldb_core::name::Audience;
use wfldb_core::packet::{PacketError, TrustedRoots, VerifiedPacket, verify_signatures};
use wfldb_engine::RevocationView;

/// Packets of one generation; two are kept.
const GENERATION_PACKETS: usize = 4096;
/// Bytes of the packets of one generation, as they were sent; what was read from them is a few times as much. Whoever
/// may pass a packet on can make any number of packets, each of full size.
const GENERATION_BYTES: usize = 8 * 1024 * 1024;

/// Verifies packets, each once while it is in use. A chain is one packet: it is known by the hash of all its bytes, and
/// of its links none is believed for another chain's sake.
///
/// Two generations: a packet that is used moves to the young one; when that is full it becomes the old one and the
/// old one goes. So what is in use stays, and no number of other packets makes it grow.
#[derive(Debug)]
pub(crate) struct Packets {
    trust: TrustedRoots,
    audience: Audience,
    revocations: Arc<RevocationView>,
    generations: Mutex<Generations>,
}

#[derive(Debug)]
struct Generations {
    bytes_max: usize,
    young: HashMap<PacketHash, Kept>,
    young_bytes: usize,
    old: HashMap<PacketHash, Kept>,
}

/// A packet whose signatures verified.
#[derive(Clone, Debug)]
struct Kept {
    packet: VerifiedPacket,
    /// The generation of revocations that it was last found not to be covered by; 0: none.
    checked: u64,
}

impl Generations {
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            young: HashMap::new(),
            young_bytes: 0,
            old: HashMap::new(),
        }
    }

    fn put(&mut self, hash: PacketHash, kept: Kept) {
        let bytes = kept.packet.token().len();
        if self.young.len() >= GENERATION_PACKETS || self.young_bytes + bytes > self.bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        // Two requests may have verified the same packet at the same time.
        if self.young.insert(hash, kept).is_none() {
            self.young_bytes += bytes;
        }
    }
}

impl Packets {
    pub(crate) fn new(trust: TrustedRoots, audience: Audience, revocations: Arc<RevocationView>) -> Self {
        Self {
            trust,
            audience,
            revocations,
            generations: Mutex::new(Generations::new(GENERATION_BYTES)),
        }
    }

    pub(crate) fn audience(&self) -> &Audience {
        &self.audience
    }

    /// What is revoked.
    pub(crate) fn revocations(&self) -> &RevocationView {
        &self.revocations
    }

    /// The packet, verified now or before, in all but its time, and not revoked.
    pub(crate) fn verified(&self, token: &str) -> Result<VerifiedPacket, PacketError> {
        // SECURITY: the hash is over the packet's exact bytes; another spelling is another packet.
        let hash = PacketHash::of(token.as_bytes());
        // ORDER: asked for before the set is, so that what is noted is never newer than what was looked at.
        let generation = self.revocations.generation();
        let kept = self.believed(hash, token)?;
        if kept.checked != generation {
            if self.revocations.covers(kept.packet.chain()) {
                return Err(PacketError::Revoked);
            }
            if let Some(kept) = self.generations().young.get_mut(&hash) {
                kept.checked = generation;
            }
        }
        Ok(kept.packet)
    }

    /// A packet that is shown in order to be revoked: its signatures verify; it may be over or revoked already.
    pub(crate) fn shown(&self, token: &str) -> Result<VerifiedPacket, PacketError> {
        let hash = PacketHash::of(token.as_bytes());
        Ok(self.believed(hash, token)?.packet)
    }

    fn believed(&self, hash: PacketHash, token: &str) -> Result<Kept, PacketError> {
        if let Some(kept) = self.known(&hash) {
            return Ok(kept);
        }
        let packet = verify_signatures(token, &self.trust, &self.audience)?;
        let kept = Kept { packet, checked: 0 };
        // Only what verified is kept, so strangers cannot push anything out.
        self.generations().put(hash, kept.clone());
        Ok(kept)
    }

    fn known(&self, hash: &PacketHash) -> Option<Kept> {
        let mut generations = self.generations();
        if let Some(kept) = generations.young.get(hash) {
            return Some(kept.clone());
        }
        let kept = generations.old.remove(hash)?;
        generations.put(*hash, kept.clone());
        Some(kept)
    }

    fn generations(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::{Role, SecretKey};
    use wfldb_core::name::{KeyPrefix, Realm};
    use wfldb_core::packet::{Claims, Grant, issue};

    use super::*;

    /// Defects it catches: a generation that is bounded by number only, so that packets of full size take gigabytes; a
    /// packet in use that is pushed out by others.
    #[test]
    fn the_memory_is_bounded_in_bytes_and_what_is_in_use_stays() {
        let (root, client) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
        let audience = Realm::parse("r").unwrap().audience();
        let grant = Grant {
            prefix: KeyPrefix::parse(&"k".repeat(240)).unwrap(),
            ..Grant::everything()
        };
        let token = |n: u64| {
            let claims = Claims {
                iss: root.key_id(Role::Root),
                sub: client.key_id(Role::Client),
                aud: audience.clone(),
                iat: n,
                nbf: n,
                exp: n + 1,
                jti: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
                cap: vec![grant.clone(); 22],
                dlg: 0,
            };
            issue(&root, Role::Root, &claims).unwrap()
        };
        let bytes_max = 100_000;
        let packets = Packets {
            generations: Mutex::new(Generations::new(bytes_max)),
            ..Packets::new(
                TrustedRoots::new([root.key_id(Role::Root)]),
                audience.clone(),
                Arc::default(),
            )
        };
        let used = token(0);
        assert!(used.len() > 10_000, "{}", used.len());
        for n in 1..30 {
            packets.verified(&token(n)).unwrap();
            assert_eq!(packets.known(&PacketHash::of(used.as_bytes())).is_some(), n > 1);
            packets.verified(&used).unwrap();
        }
        let generations = packets.generations();
        for generation in [&generations.young, &generations.old] {
            let bytes: usize = generation.values().map(|kept| kept.packet.token().len()).sum();
            assert!(bytes <= bytes_max, "{bytes}");
        }
        assert!(!generations.old.is_empty(), "the bound was reached");
        let young: usize = generations
            .young
            .values()
            .map(|kept| kept.packet.token().len())
            .sum();
        assert_eq!(generations.young_bytes, young);
    }
}
