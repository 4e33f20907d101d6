//! The session of a client: opened when a second read comes, used by reads, renewed before its end, and never a reason
//! for a request to fail: whatever it is refused for, the request is signed and sent again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wfldb_core::id::SessionId;
use wfldb_core::session::{Offer, SessionKey};
use wfldb_core::time::UnixMillis;

/// How long reads are signed after a server refused to open a session: it may not know what that is.
const AFTER_REFUSAL: Duration = Duration::from_mins(1);
/// The same after a failure that says nothing about the server.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long a read waits for the session that it opens.
pub(crate) const OPEN_WAIT: Duration = Duration::from_secs(5);
/// A session that is about to end is not begun.
const SHORTEST: Duration = Duration::from_secs(3);
/// Buckets that are known to demand signatures.
const STRICT_BUCKETS_MAX: usize = 1024;

/// An open session.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: SessionId,
    pub(crate) key: SessionKey,
    next: AtomicU64,
    renew_at: Instant,
    ends_at: Instant,
}

impl Live {
    /// `asked` and `server_time`: when it was asked for, by both clocks. `None` when it is hardly worth beginning.
    pub(crate) fn new(
        offer: &Offer,
        key: SessionKey,
        asked: Instant,
        server_time: UnixMillis,
    ) -> Option<Self> {
        let lasts = Duration::from_millis(offer.expires.get().saturating_sub(server_time.get()));
        // A server's word is not taken for longer than the protocol allows.
        let lasts = lasts.min(Duration::from_millis(wfldb_core::limits::SESSION_MS_MAX));
        (lasts >= SHORTEST).then(|| Self {
            id: offer.session,
            key,
            next: AtomicU64::new(1),
            renew_at: asked + lasts * 2 / 3,
            ends_at: asked + lasts,
        })
    }

    /// A counter that was not used before.
    pub(crate) fn counter(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// Why a session's request was refused, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server does not know the session (any more).
    Unknown,
    /// The bucket wants signatures.
    Strict,
    /// The tag is not accepted, although both sides should have the same key.
    Tag,
    /// Something about this request alone, or not said.
    Other,
}

/// What there is to read with.
pub(crate) struct Look {
    pub(crate) live: Option<Arc<Live>>,
    /// It is time for a new one.
    pub(crate) due: bool,
}

/// The one session that a client and its clones share.
#[derive(Debug)]
pub(crate) struct Sessions {
    enabled: bool,
    has_read: AtomicBool,
    state: Mutex<State>,
    /// Held by whoever opens one; the others go on with what there is.
    pub(crate) opening: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Arc<Live>>,
    wait_until: Option<Instant>,
    strict: HashSet<String>,
}

impl Sessions {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            has_read: AtomicBool::new(false),
            state: Mutex::default(),
            opening: tokio::sync::Mutex::new(()),
        }
    }

    /// What a read below this path can be sent with. Whoever reads once has no use for a session, so the first read
    /// does not ask for one.
    pub(crate) fn look(&self, path: &str, now: Instant) -> Look {
        let first = !self.has_read.swap(true, Ordering::Relaxed);
        let state = self.state();
        let strict = bucket_of(path).is_some_and(|bucket| state.strict.contains(bucket));
        if !self.enabled || strict {
            return Look {
                live: None,
                due: false,
            };
        }
        let live = state.live.as_ref().filter(|live| now < live.ends_at);
        let waits = state.wait_until.is_some_and(|until| now < until);
        let due = !waits && !first && live.is_none_or(|live| now >= live.renew_at);
        Look {
            live: live.cloned(),
            due,
        }
    }

    /// A session was opened.
    pub(crate) fn opened(&self, live: Arc<Live>) {
        let mut state = self.state();
        state.live = Some(live);
        state.wait_until = None;
    }

    /// None could be opened; `refused`: because the server said so.
    pub(crate) fn not_opened(&self, refused: bool, now: Instant) {
        let pause = if refused { AFTER_REFUSAL } else { AFTER_FAILURE };
        self.state().wait_until = Some(now + pause);
    }

    /// A request of a session was refused.
    pub(crate) fn refused(&self, live: &Live, path: &str, why: Refused, now: Instant) {
        let mut state = self.state();
        let is_current = state.live.as_ref().is_some_and(|current| current.id == live.id);
        match why {
            Refused::Other => {}
            Refused::Strict => {
                if state.strict.len() < STRICT_BUCKETS_MAX {
                    state.strict.extend(bucket_of(path).map(str::to_owned));
                }
            }
            Refused::Unknown | Refused::Tag => {
                if is_current {
                    state.live = None;
                }
                if why == Refused::Tag {
                    state.wait_until = Some(now + AFTER_REFUSAL);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bucket in `/v1/{bucket}/…`.
fn bucket_of(path: &str) -> Option<&str> {
    path.split('/').nth(2).filter(|bucket| !bucket.is_empty())
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::{PacketHash, SecretKey};
    use wfldb_core::name::Realm;
    use wfldb_core::session::{ExchangeSecret, accept};

    use super::*;

    const KEY: &str = "/v1/photos/k";

    fn live(id: u8, seconds: u64, asked: Instant) -> Option<Live> {
        let (offer, key) = accept(
            ExchangeSecret::from_bytes([1; 32]).public(),
            ExchangeSecret::from_bytes([2; 32]),
            SessionId::from_bytes([id; 16]),
            UnixMillis::new(1_000 * seconds),
            &Realm::parse("test").unwrap().audience(),
            PacketHash::of(b""),
            &SecretKey::from_seed([3; 32]),
        )
        .unwrap();
        Live::new(&offer, key, asked, UnixMillis::new(0))
    }

    fn seen(sessions: &Sessions, now: Instant) -> (Option<u8>, bool) {
        let look = sessions.look(KEY, now);
        let id = look.live.map(|live| live.id.as_bytes()[0]);
        (id, look.due)
    }

    #[test]
    fn one_is_opened_for_the_second_read_and_renewed_before_its_end() {
        let sessions = Sessions::new(true);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(seen(&sessions, start), (None, false));
        assert_eq!(seen(&sessions, start), (None, true));
        sessions.opened(Arc::new(live(1, 900, start).unwrap()));
        assert_eq!(seen(&sessions, at(599)), (Some(1), false));
        assert_eq!(seen(&sessions, at(600)), (Some(1), true));
        // Where renewing fails, the old one is used while it lasts.
        sessions.not_opened(true, at(600));
        assert_eq!(seen(&sessions, at(601)), (Some(1), false));
        assert_eq!(seen(&sessions, at(661)), (Some(1), true));
        assert_eq!(seen(&sessions, at(900)), (None, true));
        assert!(live(1, 2, start).is_none(), "not worth it");
        let long = live(1, 100_000, start).unwrap();
        assert_eq!(long.ends_at, at(900), "no longer than the protocol allows");
        assert_eq!((long.counter(), long.counter()), (1, 2));
    }

    #[test]
    fn a_refusal_ends_what_it_is_about() {
        let sessions = Sessions::new(true);
        let now = Instant::now();
        sessions.look(KEY, now);
        let (one, two) = (live(1, 900, now).unwrap(), live(2, 900, now).unwrap());
        sessions.opened(Arc::new(two));
        // A late refusal of the session before does not end this one.
        sessions.refused(&one, KEY, Refused::Unknown, now);
        assert_eq!(seen(&sessions, now), (Some(2), false));
        let two = live(2, 900, now).unwrap();
        sessions.refused(&two, KEY, Refused::Other, now);
        assert_eq!(seen(&sessions, now), (Some(2), false));
        sessions.refused(&two, KEY, Refused::Strict, now);
        assert_eq!(seen(&sessions, now), (None, false));
        assert!(sessions.look("/v1/others/k", now).live.is_some());
        assert!(sessions.look("/v1", now).live.is_some());
        sessions.refused(&two, "/v1", Refused::Unknown, now);
        let look = sessions.look("/v1", now);
        assert!(look.live.is_none() && look.due);
        sessions.opened(Arc::new(live(3, 900, now).unwrap()));
        sessions.refused(&live(3, 900, now).unwrap(), "/v1", Refused::Tag, now);
        let look = sessions.look("/v1", now);
        assert!(look.live.is_none() && !look.due, "it would be refused again");
    }

    #[test]
    fn an_option_turns_them_off() {
        let sessions = Sessions::new(false);
        for _ in 0..3 {
            assert_eq!(seen(&sessions, Instant::now()), (None, false));
        }
    }
}
