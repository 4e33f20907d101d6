//! Sending a feed of changes: what is there page by page, then what comes, until somebody ends it.
//!
//! A feed that waits is a future and no thread: it is woken by the commit, and reads then on a thread that may block. In
//! memory it has one page, which counts against the byte budget, and what the peer has not taken of the one before.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use wfldb_core::auth::Authorized;
use wfldb_core::packet::PacketError;
use wfldb_engine::{ChangePage, ChangesQuery, ChangesToCome, EngineError, Since};
use wfldb_net::changes::{Framing, Place};

use super::reply::Piece;
use super::{ReplyBody, Watch};
use crate::app::App;
use crate::budget::Feeding;
use crate::fault::Fault;
use crate::handlers::{blocking, change_json};

/// Pieces that wait for the peer.
const PIECES_AHEAD: usize = 1;
/// A peer that takes no piece in this time is given up; the pieces of other answers have as long.
const PATIENCE: Duration = Duration::from_secs(64);
/// The same when the server is stopping.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(2);
/// Between two reads of a feed that has caught up, so that a bucket that is written to all the time costs each of its feeds a bounded number.
pub(crate) const BETWEEN_READS: Duration = Duration::from_millis(10);
/// How often it is looked at whether the packet is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a feed delivers, and to whom.
pub(crate) struct Feed {
    pub(crate) app: Arc<App>,
    pub(crate) proof: Arc<Authorized>,
    pub(crate) query: ChangesQuery,
    pub(crate) to_come: ChangesToCome,
    pub(crate) _feeding: Feeding,
}

/// How a feed is framed and when it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) framing: Framing,
    /// Changes that are still to be sent; `None`: no end.
    pub(crate) left: Option<usize>,
    pub(crate) ends: Option<Instant>,
    pub(crate) heartbeat: Duration,
}

/// Why a feed ends in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Limit,
    Timeout,
    Expired,
    Stopping,
    Gone,
    /// The bucket wants reads logged by now, and this one is not.
    Audited,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Expired => "expired",
            Self::Stopping => "stopping",
            Self::Gone => "gone",
            Self::Audited => "audited",
        }
    }
}

/// The peer went away, is too slow, or the bytes could not be made: the body breaks off.
struct BrokenOff;

impl Feed {
    /// The next page, behind what was read before.
    pub(crate) async fn read(&mut self) -> Result<ChangePage, Fault> {
        let (proof, query) = (Arc::clone(&self.proof), self.query.clone());
        let read = move |app: &Arc<App>| Ok(app.engine.changes(&proof, &query)?);
        let page = blocking(&self.app, read).await?;
        self.query.since = Since::Seq(page.last);
        // What comes later is of this bucket or of none.
        self.query.bucket = Some(page.bucket);
        Ok(page)
    }

    /// Whether the packet that allows it is still valid.
    ///
    /// # Errors
    /// It is over.
    pub(crate) fn check_time(&self) -> Result<(), PacketError> {
        let packet = self.proof.packet();
        packet.map_or(Ok(()), |packet| packet.check_time(self.app.clock.now()))
    }

    /// A body that goes on with what comes behind `first`. It breaks off when the packet is revoked.
    pub(crate) fn stream(self, first: ChangePage, terms: Terms) -> ReplyBody {
        let (pieces, received) = mpsc::channel(PIECES_AHEAD);
        let watch = Watch::of(&self.proof, self.app.engine.revocation_view());
        let cut = watch.as_ref().map(Watch::cut);
        let pump = Pump {
            said: begun_at(&first),
            feed: self,
            terms,
            pieces,
            quiet_since: Instant::now(),
        };
        tokio::spawn(async move {
            let revoked = async {
                match watch {
                    Some(watch) => watch.until_revoked().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                _ = pump.run(first) => {}
                // What waits for the peer is not sent any more either.
                () = revoked => tracing::info!("a feed ended: its packet was revoked"),
            }
        });
        let body = ReplyBody::feed(received);
        match cut {
            Some(cut) => body.until(cut),
            None => body,
        }
    }
}

/// Where a feed stands before its first page, as far as the page tells.
fn begun_at(first: &ChangePage) -> u64 {
    let change = first.changes.first();
    change.map_or(first.last.get(), |change| change.seq.get().saturating_sub(1))
}

struct Pump {
    feed: Feed,
    terms: Terms,
    pieces: mpsc::Sender<Piece>,
    /// Where the peer was last told that the feed stands.
    said: u64,
    /// When it was last told anything.
    quiet_since: Instant,
}

impl Pump {
    async fn run(mut self, first: ChangePage) -> Result<(), BrokenOff> {
        let begin = Place {
            bucket: Some(first.bucket),
            last_seq: self.said,
            end: None,
        };
        let mut out = self.place("begin", &begin)?;
        let logged = first.audited;
        let mut page = first;
        let end = loop {
            self.terms.left = self
                .terms
                .left
                .map(|left| left.saturating_sub(page.changes.len()));
            self.changes(&page, &mut out)?;
            self.send(std::mem::take(&mut out)).await?;
            // Others' changes alone are no sign of life, however many there are.
            self.show_life().await?;
            if self.terms.left == Some(0) {
                break End::Limit;
            }
            if !page.more
                && let Some(end) = self.wait().await?
            {
                break end;
            }
            if let Some(end) = self.is_at_end() {
                break end;
            }
            self.feed.query.limit = self.terms.left.unwrap_or(usize::MAX);
            page = match self.feed.read().await {
                Ok(page) => page,
                Err(Fault::Engine(EngineError::NoSuchBucket | EngineError::SinceUnknown)) => break End::Gone,
                Err(fault) => {
                    tracing::warn!(code = fault.code(), reason = %fault.reason(), "a feed broke off");
                    return Err(BrokenOff);
                }
            };
            if page.audited && !logged {
                break End::Audited;
            }
        };
        let last = Place {
            bucket: None,
            last_seq: self.last(),
            end: Some(end.as_str().to_owned()),
        };
        let out = self.place("end", &last)?;
        self.send(out).await?;
        // An empty piece: the body is whole.
        self.send_piece(Bytes::new()).await
    }

    /// Everything up to here was looked at.
    fn last(&self) -> u64 {
        match self.feed.query.since {
            Since::Seq(seq) => seq.get(),
            Since::Now => self.said,
        }
    }

    fn is_at_end(&self) -> Option<End> {
        if self.feed.app.is_draining() {
            Some(End::Stopping)
        } else if self.terms.ends.is_some_and(|ends| ends <= Instant::now()) {
            Some(End::Timeout)
        } else if self.feed.check_time().is_err() {
            Some(End::Expired)
        } else {
            None
        }
    }

    /// Waits for the next change, with signs of life. `Some`: the feed ends instead.
    async fn wait(&mut self) -> Result<Option<End>, BrokenOff> {
        let app = Arc::clone(&self.feed.app);
        let mut look = tokio::time::interval(LOOK_EVERY.min(self.terms.heartbeat));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ends = self.terms.ends;
            let timeout = async {
                match ends {
                    Some(ends) => tokio::time::sleep_until(ends).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                changed = self.feed.to_come.changed() => {
                    // ORDER: here, where nothing ends it: once told, a change must not be forgotten.
                    tokio::time::sleep(BETWEEN_READS).await;
                    return Ok((!changed).then_some(End::Stopping));
                }
                () = app.draining() => return Ok(Some(End::Stopping)),
                () = timeout => return Ok(Some(End::Timeout)),
                () = self.pieces.closed() => return Err(BrokenOff),
                _ = look.tick() => {}
            }
            if self.feed.check_time().is_err() {
                return Ok(Some(End::Expired));
            }
            self.show_life().await?;
        }
    }

    /// A sign of life, when the peer has heard nothing for as long as that may be.
    async fn show_life(&mut self) -> Result<(), BrokenOff> {
        if self.quiet_since.elapsed() < self.terms.heartbeat {
            return Ok(());
        }
        let last = self.last();
        let mut out = Vec::new();
        let moved_to = (last > self.said).then_some(last);
        self.terms.framing.heartbeat(&mut out, moved_to);
        self.said = last;
        self.send(out).await
    }

    fn place(&self, event: &'static str, place: &Place) -> Result<Vec<u8>, BrokenOff> {
        let json = serde_json::to_vec(place).map_err(|_| BrokenOff)?;
        let mut out = Vec::new();
        self.terms.framing.place(&mut out, event, place.last_seq, &json);
        Ok(out)
    }

    fn changes(&mut self, page: &ChangePage, out: &mut Vec<u8>) -> Result<(), BrokenOff> {
        for change in &page.changes {
            let json = serde_json::to_vec(&change_json(change)).map_err(|_| BrokenOff)?;
            self.terms.framing.change(out, change.seq.get(), &json);
            self.said = change.seq.get();
        }
        self.feed.app.metrics.changes(page.changes.len());
        Ok(())
    }

    async fn send(&mut self, out: Vec<u8>) -> Result<(), BrokenOff> {
        if out.is_empty() {
            return Ok(());
        }
        self.send_piece(out.into()).await
    }

    async fn send_piece(&mut self, piece: Bytes) -> Result<(), BrokenOff> {
        let app = &self.feed.app;
        let at_the_end = async {
            app.draining().await;
            tokio::time::sleep(PATIENCE_AT_THE_END).await;
        };
        let slot = tokio::select! {
            slot = tokio::time::timeout(PATIENCE, self.pieces.reserve()) => slot,
            () = at_the_end => return Err(BrokenOff),
        };
        let Ok(Ok(slot)) = slot else {
            return Err(BrokenOff);
        };
        let share = app.budget.bytes(piece.len()).await.map_err(|_| BrokenOff)?;
        slot.send((piece, share));
        self.quiet_since = Instant::now();
        Ok(())
    }
}
