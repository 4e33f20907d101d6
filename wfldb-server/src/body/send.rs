//! Sending an object: blocking reads of pieces on a thread that may block, a short channel, hyper.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use wfldb_engine::ObjectReader;

use super::ReplyBody;
use super::reply::Piece;
use crate::app::App;

/// Pieces that wait for the peer; one more is being read.
const PIECES_AHEAD: usize = 2;
/// A peer that takes no piece of 1 MiB in this time reads slower than 16 KiB/s and is given up.
const PATIENCE: Duration = Duration::from_secs(64);

/// A body of `len` bytes: `first`, which was read already, and the rest of `reader`.
pub(crate) fn stream(app: Arc<App>, first: Bytes, reader: ObjectReader, len: u64) -> ReplyBody {
    let (pieces, received) = mpsc::channel(PIECES_AHEAD);
    tokio::spawn(pump(app, first, reader, pieces));
    ReplyBody::pieces(received, len)
}

/// Ends early, and so breaks the body, when reading fails or the peer is gone or too slow.
async fn pump(app: Arc<App>, first: Bytes, mut reader: ObjectReader, pieces: mpsc::Sender<Piece>) {
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
