//! Bundles of entries: each entry behind its length in two big-endian bytes (C2SP tlog-tiles).

use super::{AuditError, BundleId};
use crate::limits::AUDIT_ENTRY_BYTES_MAX;

/// The bytes of a bundle with these entries, in order.
///
/// ```
/// use wfldb_core::audit::{BundleId, encode_bundle, parse_bundle};
///
/// let id = BundleId::in_tree(0, 2).unwrap();
/// let bytes = encode_bundle([b"one", b"two"])?;
/// assert_eq!(bytes, b"\x00\x03one\x00\x03two");
/// assert_eq!(parse_bundle(id, &bytes)?, [b"one", b"two"]);
/// # Ok::<(), wfldb_core::audit::AuditError>(())
/// ```
///
/// # Errors
/// [`AuditError::Form`] when an entry is longer than 4 KiB.
pub fn encode_bundle<E: AsRef<[u8]>>(entries: impl IntoIterator<Item = E>) -> Result<Vec<u8>, AuditError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).ok();
        let length = length.filter(|length| usize::from(*length) <= AUDIT_ENTRY_BYTES_MAX);
        bytes.extend(length.ok_or(AuditError::Form("entry"))?.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// Reads a bundle: as many entries as its name says, and nothing else. What an entry says is not looked at.
///
/// # Errors
/// [`AuditError::Form`] for anything else, and for an entry longer than 4 KiB.
pub fn parse_bundle(id: BundleId, bytes: &[u8]) -> Result<Vec<&[u8]>, AuditError> {
    const NOT_A_BUNDLE: AuditError = AuditError::Form("entry bundle");
    let mut rest = bytes;
    let mut entries = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(NOT_A_BUNDLE)?;
        if length > AUDIT_ENTRY_BYTES_MAX || entries.len() >= usize::from(id.width()) {
            return Err(NOT_A_BUNDLE);
        }
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() && entries.len() == usize::from(id.width()) {
        Ok(entries)
    } else {
        Err(NOT_A_BUNDLE)
    }
}
