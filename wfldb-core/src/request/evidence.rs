//! What proves to a third party who asked for a change.

use std::sync::Arc;

use crate::id::{KeyId, SignatureBytes};

/// Who signed what: kept with each change, so that the audit log can prove it to a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The key that signed the request.
    pub key: KeyId,
    /// The packet as sent, which says what the key may do.
    pub packet: Arc<str>,
    /// The canonical string that was signed, nonce included.
    pub canonical: Vec<u8>,
    /// The signature over it.
    pub signature: SignatureBytes,
}
