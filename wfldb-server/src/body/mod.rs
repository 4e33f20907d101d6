//! Bodies on their way in and out, never whole in memory.

mod feed;
mod progress;
mod receive;
mod reply;
mod send;
mod watch;

pub(crate) use feed::{BETWEEN_READS, Feed, Terms};
pub(crate) use progress::Progress;
pub(crate) use receive::{Frames, nothing, small};
pub(crate) use reply::ReplyBody;
pub(crate) use send::{Pieces, stream};
pub(crate) use watch::Watch;
