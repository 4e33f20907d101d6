//! The change log as callers and views follow it: one bucket's part, by `seq` ([`Engine::changes`]), and how they are
//! woken after a commit (`news`).
//!
//! What follows the log subscribes first and reads a snapshot then: what is committed after the subscription wakes it,
//! what was committed before stands in the snapshot.
//!
//! [`Engine::changes`]: crate::Engine::changes

mod news;
mod read;

pub use self::news::ChangesToCome;
pub(crate) use self::news::{Changed, News};
pub use self::read::{BucketChange, ChangeKind, ChangePage, ChangesQuery, KeyChange, Since};
