//! Checkpoints (C2SP tlog-checkpoint): a log's name, its size and its root, signed as a note.

use super::{AuditError, LogName, NoteSigner, SignedNote, TreeHash, VerifierKey};
use crate::limits::AUDIT_LEAVES_MAX;

const NOT_A_CHECKPOINT: AuditError = AuditError::Form("checkpoint");

/// A checkpoint that its log signed: made by [`sign`](Self::sign), or by [`open`](Self::open) from what was received.
/// There is no other way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    note: SignedNote,
    log: LogName,
    size: u64,
    root: TreeHash,
}

impl SignedCheckpoint {
    /// Signs the root of the tree of `size` leaves.
    ///
    /// SECURITY: a log never signs what is not durable, and never two roots of one size or a root that is not
    /// consistent with the one before. That is the caller's to see to.
    ///
    /// # Errors
    /// [`AuditError::Range`] for a size above 2^53.
    pub fn sign(size: u64, root: TreeHash, signer: &NoteSigner) -> Result<Self, AuditError> {
        if size > AUDIT_LEAVES_MAX {
            return Err(AuditError::Range);
        }
        let log = signer.verifier_key().name().clone();
        let note = signer.sign(&format!("{log}\n{size}\n{root}\n"))?;
        Ok(Self {
            note,
            log,
            size,
            root,
        })
    }

    /// Reads a checkpoint and verifies it: the note is signed by this key, its origin is the key's name, and it has
    /// exactly three lines, each in its one spelling. Signatures of other keys (witnesses) are not looked at.
    ///
    /// # Errors
    /// [`AuditError::Form`], [`AuditError::Signature`] or [`AuditError::Origin`].
    pub fn open(bytes: &[u8], key: &VerifierKey) -> Result<Self, AuditError> {
        let note = SignedNote::parse(bytes)?;
        let text = note.verified_by(key)?;
        let lines: Vec<&str> = text.lines().collect();
        let &[origin, size, root] = lines.as_slice() else {
            return Err(NOT_A_CHECKPOINT);
        };
        if origin != key.name().as_str() {
            return Err(AuditError::Origin);
        }
        let (size_text, size) = (size, size.parse::<u64>().map_err(|_| NOT_A_CHECKPOINT)?);
        let root = TreeHash::parse(root)?;
        let in_one_spelling = size.to_string() == size_text && size <= AUDIT_LEAVES_MAX;
        if !in_one_spelling || (size == 0 && root != TreeHash::EMPTY) {
            return Err(NOT_A_CHECKPOINT);
        }
        Ok(Self {
            log: key.name().clone(),
            note,
            size,
            root,
        })
    }

    /// The log: the note's origin line.
    pub fn log(&self) -> &LogName {
        &self.log
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        self.root
    }

    /// The whole note as it is sent and stored, signatures included.
    pub fn text(&self) -> &str {
        self.note.as_str()
    }
}
