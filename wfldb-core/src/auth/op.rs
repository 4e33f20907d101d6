//! The operations that grants name.

use std::fmt;

/// An operation. A grant lists the ones it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Read objects and their versions.
    Get,
    /// List keys.
    List,
    /// Write and restore objects.
    Put,
    /// Delete objects (add a tombstone).
    Delete,
    /// Remove versions for good.
    Erase,
    /// Query documents.
    Query,
    /// Follow changes.
    Watch,
    /// Create, configure, read and delete buckets.
    Manage,
    /// Read the audit log.
    Audit,
    /// Administer the store; only in grants for all buckets.
    Admin,
}

impl Op {
    /// All operations.
    pub const ALL: [Self; 10] = [
        Self::Get,
        Self::List,
        Self::Put,
        Self::Delete,
        Self::Erase,
        Self::Query,
        Self::Watch,
        Self::Manage,
        Self::Audit,
        Self::Admin,
    ];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Erase => "erase",
            Self::Query => "query",
            Self::Watch => "watch",
            Self::Manage => "manage",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    /// Reads the wire form; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == text)
    }

    /// Whether the operation concerns a bucket as a whole, so that a grant for a part of its keys
    /// does not allow it.
    pub const fn needs_whole_bucket(self) -> bool {
        match self {
            Self::Manage | Self::Admin => true,
            Self::Get
            | Self::List
            | Self::Put
            | Self::Delete
            | Self::Erase
            | Self::Query
            | Self::Watch
            | Self::Audit => false,
        }
    }

    /// Whether the operation changes objects, so that `create_only` limits it.
    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::Put | Self::Delete | Self::Erase)
    }

    /// Whether a request of a session may do it.
    ///
    /// SECURITY: what changes something leaves a signature behind as evidence, and what is done to a whole bucket or store
    /// is done with the caller's own key each time.
    pub const fn fits_session(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Query | Self::Watch => true,
            Self::Put | Self::Delete | Self::Erase | Self::Manage | Self::Audit | Self::Admin => false,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of operations.
///
/// ```
/// use wfldb_core::auth::{Op, OpSet};
///
/// let ops: OpSet = [Op::Get, Op::List].into_iter().collect();
/// assert!(ops.contains(Op::Get) && !ops.contains(Op::Put));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OpSet(u16);

impl OpSet {
    /// The set without members.
    pub const EMPTY: Self = Self(0);

    /// The set of all operations.
    pub fn all() -> Self {
        Op::ALL.into_iter().collect()
    }

    /// Whether the operation is in the set.
    pub const fn contains(self, op: Op) -> bool {
        self.0 & op.bit() != 0
    }

    /// The set with one more operation.
    #[must_use]
    pub const fn with(self, op: Op) -> Self {
        Self(self.0 | op.bit())
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The operations, in the order of [`Op::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Op> {
        Op::ALL.into_iter().filter(move |op| self.contains(*op))
    }
}

impl FromIterator<Op> for OpSet {
    fn from_iter<T: IntoIterator<Item = Op>>(ops: T) -> Self {
        ops.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for OpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Op::as_str)).finish()
    }
}
