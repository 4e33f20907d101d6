//! The change log as readers follow it: the whole of it, by position, for views ([`read_log`]); one bucket's part, by
//! `seq`, for callers ([`Engine::changes`]); and how both are woken after a commit (`news`).
//!
//! What follows the log subscribes first and reads a snapshot then: what is committed after the subscription wakes it,
//! what was committed before stands in the snapshot.
//!
//! [`Engine::changes`]: crate::Engine::changes

mod log;
mod news;
mod read;

pub(crate) use self::log::{LogPage, read_log};
pub use self::news::ChangesToCome;
pub(crate) use self::news::{Changed, Follower, News};
pub use self::read::{BucketChange, ChangeKind, ChangePage, ChangesQuery, KeyChange, Since};
