//! Sending an object, or another long answer: blocking reads of pieces on a thread that may block, a short channel, hyper.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use wfldb_engine::{EngineError, ObjectReader};

use super::reply::Piece;
use super::{ReplyBody, Watch};
use crate::app::App;

/// Pieces that wait for the peer; one more is being read.
const PIECES_AHEAD: usize = 2;
/// A peer that takes no piece of 1 MiB in this time reads slower than 16 KiB/s and is given up.
const PATIENCE: Duration = Duration::from_secs(64);

/// What is sent, piece by piece.
pub(crate) trait Pieces: Send + 'static {
    /// The next bytes; `None` at the end. May block.
    fn next(&mut self) -> Result<Option<Bytes>, EngineError>;
}

impl Pieces for ObjectReader {
    fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        Self::next(self)
    }
}

/// A body of `len` bytes: `first`, which was read already, and the rest of `reader`. It ends early when the packet that
/// allowed it is revoked.
pub(crate) fn stream(
    app: Arc<App>,
    first: Bytes,
    reader: impl Pieces,
    len: u64,
    watch: Option<Watch>,
) -> ReplyBody {
    let (pieces, received) = mpsc::channel(PIECES_AHEAD);
    let cut = watch.as_ref().map(Watch::cut);
    let pumping = pump(app, first, reader, pieces);
    tokio::spawn(async move {
        match watch {
            None => pumping.await,
            Some(watch) => tokio::select! {
                () = pumping => {}
                // What waits for the peer is not sent any more either.
                () = watch.until_revoked() => tracing::info!("a download ended: its packet was revoked"),
            },
        }
    });
    let body = ReplyBody::pieces(received, len);
    match cut {
        Some(cut) => body.until(cut),
        None => body,
    }
}

/// Ends early, and so breaks the body, when reading fails or the peer is gone or too slow.
async fn pump(app: Arc<App>, first: Bytes, mut reader: impl Pieces, pieces: mpsc::Sender<Piece>) {
    let mut next = first;
    loop {
        let Ok(Ok(slot)) = tokio::time::timeout(PATIENCE, pieces.reserve()).await else {
            return;
        };
        let Ok(share) = app.budget.bytes(next.len().max(1)).await else {
            return;
        };
        slot.send((next, share));
        let Ok(permit) = app.budget.work().await else {
            return;
        };
        let read = tokio::task::spawn_blocking(move || {
            let piece = reader.next();
            drop(permit);
            (reader, piece)
        });
        match read.await {
            Ok((_, Ok(None))) => return,
            Ok((same, Ok(Some(piece)))) => {
                reader = same;
                next = piece;
            }
            Ok((_, Err(error))) => {
                tracing::error!(code = error.code(), reason = %error, "a download broke off");
                return;
            }
            Err(_) => {
                tracing::error!("reading a piece of a download panicked");
                return;
            }
        }
    }
}
