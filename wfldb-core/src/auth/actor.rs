//! Who makes an access.

use std::fmt;

use crate::id::KeyId;

/// Who makes an access, as the audit log names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The holder of a key, who signed the request.
    Key(KeyId),
    /// The process itself, embedded or offline, with its reason.
    Local(&'static str),
    /// One of our own workers, with its name.
    System(&'static str),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => fmt::Display::fmt(id, f),
            Self::Local(reason) => write!(f, "local:{reason}"),
            Self::System(worker) => write!(f, "system:{worker}"),
        }
    }
}
