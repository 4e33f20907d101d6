//! Numbers that must not be confused with one another.

use std::fmt;

macro_rules! number_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// Wraps the number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

macro_rules! counter_newtype {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            number_newtype! { $(#[$doc])* $name }

            impl $name {
                /// The number after this one; it stays at the last of 2^64, which no store reaches.
                #[must_use]
                pub const fn next(self) -> Self {
                    Self(self.0.saturating_add(1))
                }
            }
        )*
    };
}

counter_newtype! {
    /// A bucket's own number of a commit that touched it: 1, 2, 3 … This is what users see.
    Seq;
    /// A plan's place in the store-wide, gap-free log, which views and backups follow.
    LogPosition;
    /// The number of a storage batch.
    CommitNumber;
    /// A leaf's place in the audit log: 0, 1, 2 … It is not a [`LogPosition`]: reads can be leaves too, and have no
    /// position.
    LeafIndex;
}

number_newtype! {
    /// A length or an amount of storage, in bytes.
    ByteLen
}

impl ByteLen {
    /// The sum, or `None` when it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}
