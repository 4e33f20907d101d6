//! The sessions of this process: bounded, in memory only, found by their id.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use wfldb_core::id::{PublicKey, SecretKey, SessionId};
use wfldb_core::limits::{PACKET_SKEW_SECONDS, SESSION_MS_MAX, SESSIONS_MAX, SESSIONS_OF_ONE_KEY};
use wfldb_core::name::Audience;
use wfldb_core::packet::VerifiedPacket;
use wfldb_core::request::{FreshError, FreshRequest, TaggedRequest};
use wfldb_core::session::{CounterWindow, ExchangeKey, ExchangeSecret, Offer, Session, accept};
use wfldb_core::time::UnixMillis;
use wfldb_engine::RevocationView;

use crate::fault::Fault;

/// How often a full table is looked through for sessions that have ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Maps that the sessions are spread over, so that requests seldom wait for one another.
const SHARDS: usize = 16;

type Shard = RwLock<HashMap<SessionId, Arc<Live>>>;

/// The table of sessions. It is lost with the process, and with it every replay of what they carried.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// What offers are signed with; `None`: there are no sessions in this run.
    node: Option<SecretKey>,
    shards: [Shard; SHARDS],
    /// ORDER: locked before a shard, never after.
    holders: Mutex<Holders>,
    most: usize,
    revocations: Arc<RevocationView>,
}

/// A session and the counters that it used.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) session: Session,
    /// The wall clock may be set back; this does not go back with it.
    ends: Instant,
    counters: Mutex<CounterWindow>,
    /// The generation of revocations that its packet was last found not to be covered by; 0: none.
    checked: AtomicU64,
}

impl Live {
    fn has_ended(&self, now: UnixMillis, instant: Instant) -> bool {
        self.session.has_ended(now) || instant >= self.ends
    }

    /// Whether the packet was revoked since the session was opened.
    fn is_revoked(&self, revocations: &RevocationView) -> bool {
        // ORDER: asked for before the set is, so that what is noted is never newer than what was looked at.
        let generation = revocations.generation();
        if self.checked.load(Ordering::Relaxed) == generation {
            return false;
        }
        let revoked = revocations.covers(self.session.packet.chain());
        if !revoked {
            self.checked.store(generation, Ordering::Relaxed);
        }
        revoked
    }

    /// Checks that packet and session are valid, and takes the request's counter.
    pub(crate) fn spend(&self, request: TaggedRequest, now: UnixMillis) -> Result<FreshRequest, FreshError> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        request.fresh(&mut counters, now)
    }
}

/// Whose they are, the oldest first.
#[derive(Debug, Default)]
struct Holders {
    of_key: HashMap<PublicKey, VecDeque<SessionId>>,
    all: usize,
    /// When all were last looked through.
    looked: Option<Instant>,
}

impl Sessions {
    pub(crate) fn new(node: Option<SecretKey>, revocations: Arc<RevocationView>) -> Self {
        Self {
            node,
            shards: std::array::from_fn(|_| RwLock::default()),
            holders: Mutex::default(),
            most: SESSIONS_MAX,
            revocations,
        }
    }

    /// Opens a session for the holder of a packet. Computes for about as long as three signatures take to verify.
    ///
    /// The oldest session of a key makes room for its newest. Nobody's session makes room for another's: when all are
    /// taken, the caller goes on signing.
    pub(crate) fn open(
        &self,
        client: ExchangeKey,
        packet: &VerifiedPacket,
        audience: &Audience,
        now: UnixMillis,
    ) -> Result<Offer, Fault> {
        let node = self.node.as_ref().ok_or(Fault::NoSessions)?;
        let expires = ends_at(packet, now);
        let secret = ExchangeSecret::from_bytes(random()?);
        let id = SessionId::from_bytes(random()?);
        let (offer, key) =
            accept(client, secret, id, expires, audience, packet.hash(), node).map_err(|_| Fault::Body)?;
        let lasts = expires.get().saturating_sub(now.get());
        let instant = Instant::now();
        let live = Live {
            session: Session {
                id,
                packet: packet.clone(),
                expires,
                key,
            },
            ends: instant + Duration::from_millis(lasts),
            counters: Mutex::default(),
            checked: AtomicU64::new(0),
        };
        self.keep(live, now, instant)?;
        Ok(offer)
    }

    fn keep(&self, live: Live, now: UnixMillis, instant: Instant) -> Result<(), Fault> {
        let holder = live.session.subject().public_key().clone();
        let mut holders = self.holders();
        let own = holders.of_key.get(&holder).map_or(0, VecDeque::len);
        if own >= SESSIONS_OF_ONE_KEY {
            let oldest = holders.of_key.get_mut(&holder).and_then(VecDeque::pop_front);
            if let Some(oldest) = oldest {
                write(self.shard(&oldest)).remove(&oldest);
                holders.all = holders.all.saturating_sub(1);
            }
        } else if holders.all >= self.most && holders.looked.is_none_or(|at| instant >= at + LOOK_EVERY) {
            self.forget(&mut holders, now, instant);
        }
        if holders.all >= self.most {
            return Err(Fault::Overloaded);
        }
        let id = live.session.id;
        holders.of_key.entry(holder).or_default().push_back(id);
        holders.all += 1;
        write(self.shard(&id)).insert(id, Arc::new(live));
        Ok(())
    }

    /// The session with this id, if it goes on: it has not ended, and its packet was not revoked.
    pub(crate) fn find(&self, id: &SessionId, now: UnixMillis) -> Option<Arc<Live>> {
        let shard = self.shard(id).read().unwrap_or_else(PoisonError::into_inner);
        let live = shard.get(id).cloned()?;
        drop(shard);
        let goes_on = !live.has_ended(now, Instant::now()) && !live.is_revoked(&self.revocations);
        goes_on.then_some(live)
    }

    /// Forgets what has ended or was revoked, keys with it.
    pub(crate) fn forget_ended(&self, now: UnixMillis) {
        self.forget(&mut self.holders(), now, Instant::now());
    }

    fn forget(&self, holders: &mut Holders, now: UnixMillis, instant: Instant) {
        holders.looked = Some(instant);
        for shard in &self.shards {
            for (id, live) in write(shard)
                .extract_if(|_, live| live.has_ended(now, instant) || live.is_revoked(&self.revocations))
            {
                let holder = live.session.subject().public_key();
                if let Some(own) = holders.of_key.get_mut(holder) {
                    own.retain(|known| *known != id);
                    if own.is_empty() {
                        holders.of_key.remove(holder);
                    }
                }
                holders.all = holders.all.saturating_sub(1);
            }
        }
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, id: &SessionId) -> &Shard {
        // The id is random.
        let ([byte, ..], [first, ..]) = (id.as_bytes(), &self.shards);
        self.shards.get(usize::from(*byte) % SHARDS).unwrap_or(first)
    }
}

fn write(shard: &Shard) -> RwLockWriteGuard<'_, HashMap<SessionId, Arc<Live>>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// When a session of this packet ends: after fifteen minutes, or with the packet.
fn ends_at(packet: &VerifiedPacket, now: UnixMillis) -> UnixMillis {
    let packet_ends = packet
        .links()
        .iter()
        .map(|link| link.exp.saturating_add(PACKET_SKEW_SECONDS).saturating_mul(1000))
        .min()
        .unwrap_or(0);
    now.plus_ms(SESSION_MS_MAX).min(UnixMillis::new(packet_ends))
}

fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Fault::NoSessions)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::Role;
    use wfldb_core::name::Realm;
    use wfldb_core::packet::{self, Claims, Grant, TrustedRoots, verify_signatures};

    use super::*;

    const NOW: UnixMillis = UnixMillis::new(1_767_323_045_006);

    fn audience() -> Audience {
        Realm::parse("test").unwrap().audience()
    }

    fn packet(client: u8, seconds: u64) -> VerifiedPacket {
        let root = SecretKey::from_seed([1; 32]);
        let claims = Claims {
            iss: root.key_id(Role::Root),
            sub: SecretKey::from_seed([client; 32]).key_id(Role::Client),
            aud: audience(),
            iat: NOW.seconds(),
            nbf: NOW.seconds(),
            exp: NOW.seconds() + seconds,
            jti: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
            cap: vec![Grant::everything()],
            dlg: 0,
        };
        let token = packet::issue(&root, Role::Root, &claims).unwrap();
        let trust = TrustedRoots::new([root.key_id(Role::Root)]);
        verify_signatures(&token, &trust, &audience()).unwrap()
    }

    fn sessions(most: usize) -> Sessions {
        Sessions {
            most,
            ..Sessions::new(Some(SecretKey::from_seed([9; 32])), Arc::default())
        }
    }

    fn open(sessions: &Sessions, packet: &VerifiedPacket, now: UnixMillis) -> Result<SessionId, Fault> {
        let client = ExchangeSecret::from_bytes([5; 32]).public();
        Ok(sessions.open(client, packet, &audience(), now)?.session)
    }

    #[test]
    fn the_oldest_session_of_a_key_makes_room_for_its_newest() {
        let sessions = sessions(100);
        let (one, other) = (packet(2, 3600), packet(3, 3600));
        let others = open(&sessions, &other, NOW).unwrap();
        let ids: Vec<_> = (0..SESSIONS_OF_ONE_KEY + 3)
            .map(|_| open(&sessions, &one, NOW).unwrap())
            .collect();
        let known: Vec<_> = ids.iter().map(|id| sessions.find(id, NOW).is_some()).collect();
        let expected: Vec<_> = (0..ids.len()).map(|place| place >= 3).collect();
        assert_eq!(known, expected);
        assert!(sessions.find(&others, NOW).is_some());
        assert_eq!(sessions.holders().all, SESSIONS_OF_ONE_KEY + 1);
    }

    /// A defect it catches: a full table that pushed out a stranger's session.
    #[test]
    fn a_full_table_refuses_and_what_has_ended_makes_room() {
        let sessions = sessions(2);
        let short = open(&sessions, &packet(2, 5), NOW).unwrap();
        let long = open(&sessions, &packet(3, 3600), NOW).unwrap();
        let third = packet(4, 3600);
        assert!(matches!(open(&sessions, &third, NOW), Err(Fault::Overloaded)));
        assert!(sessions.find(&short, NOW).is_some() && sessions.find(&long, NOW).is_some());
        let later = NOW.plus_ms(65_000);
        assert!(sessions.find(&short, later).is_none(), "it ends with its packet");
        // A second has not passed since all were looked through.
        assert!(matches!(open(&sessions, &third, later), Err(Fault::Overloaded)));
        sessions.forget_ended(later);
        assert_eq!(sessions.holders().all, 1);
        assert!(open(&sessions, &third, later).is_ok());
        assert!(sessions.find(&long, later).is_some());
    }

    #[test]
    fn a_session_lasts_a_quarter_of_an_hour_at_most() {
        let sessions = sessions(10);
        let id = open(&sessions, &packet(2, 86_400), NOW).unwrap();
        assert!(sessions.find(&id, NOW.plus_ms(SESSION_MS_MAX - 1)).is_some());
        assert!(sessions.find(&id, NOW.plus_ms(SESSION_MS_MAX)).is_none());
        let live = sessions.find(&id, NOW).unwrap();
        let over = live.ends;
        assert!(
            live.has_ended(NOW, over),
            "a clock that was set back does not lengthen it"
        );
        sessions.forget_ended(NOW.plus_ms(SESSION_MS_MAX));
        let holders = sessions.holders();
        assert_eq!((holders.all, holders.of_key.len()), (0, 0));
    }

    #[test]
    fn without_a_node_key_and_with_a_weak_key_there_is_no_session() {
        let packet = packet(2, 3600);
        assert!(matches!(
            open(&Sessions::new(None, Arc::default()), &packet, NOW),
            Err(Fault::NoSessions)
        ));
        let weak = ExchangeKey::from_bytes([0; 32]);
        let refused = sessions(10).open(weak, &packet, &audience(), NOW);
        assert!(matches!(refused, Err(Fault::Body)));
    }
}
