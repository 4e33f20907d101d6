//! Proofs that a stranger verifies offline (C2SP tlog-proof): a leaf's index, its inclusion proof and a checkpoint.

use std::fmt;
use std::sync::Arc;

use super::{AuditError, LogName, SignedCheckpoint, SignedNote, TreeHash, VerifierKey, verify_inclusion};
use crate::id::LeafIndex;
use crate::limits::{AUDIT_LEAVES_MAX, NOTE_BYTES_MAX};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
const NOT_A_PROOF: AuditError = AuditError::Form("tlog-proof");
/// A tree of 2^53 leaves has no longer way to its root.
const HASHES_MAX: usize = 53;

/// A proof as text, which was read and not verified yet.
///
/// ```
/// use wfldb_core::audit::{LogName, NoteSigner, SignedCheckpoint, TlogProof, leaf_hash, node_hash};
/// use wfldb_core::id::{LeafIndex, SecretKey};
///
/// let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
/// let signer = NoteSigner::new(LogName::parse("example.com/log")?, SecretKey::from_seed([7; 32]));
/// let checkpoint = SignedCheckpoint::sign(2, node_hash(a, b), &signer)?;
/// let text = TlogProof::new(LeafIndex::new(1), vec![a], &checkpoint).to_string();
///
/// let proof = TlogProof::parse(text.as_bytes())?;
/// assert_eq!(proof.verify(b, signer.verifier_key())?.size(), 2);
/// assert!(proof.verify(a, signer.verifier_key()).is_err());
/// # Ok::<(), wfldb_core::audit::AuditError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    leaf: LeafIndex,
    hashes: Vec<TreeHash>,
    checkpoint: Arc<str>,
}

impl TlogProof {
    /// The proof for a leaf in the tree of a checkpoint. `hashes` is from
    /// [`inclusion_proof`](super::inclusion_proof) for that tree.
    pub fn new(leaf: LeafIndex, hashes: Vec<TreeHash>, checkpoint: &SignedCheckpoint) -> Self {
        Self {
            leaf,
            hashes,
            checkpoint: checkpoint.text().into(),
        }
    }

    /// Reads a proof. One with extra data is refused: nothing would vouch for it.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuditError> {
        if bytes.len() > 2 * NOTE_BYTES_MAX {
            return Err(NOT_A_PROOF);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NOT_A_PROOF)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(NOT_A_PROOF)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(NOT_A_PROOF);
        }
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .ok_or(NOT_A_PROOF)?;
        let leaf: u64 = index.parse().map_err(|_| NOT_A_PROOF)?;
        if leaf.to_string() != index || leaf >= AUDIT_LEAVES_MAX {
            return Err(NOT_A_PROOF);
        }
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() >= HASHES_MAX {
                return Err(NOT_A_PROOF);
            }
            hashes.push(TreeHash::parse(line).map_err(|_| NOT_A_PROOF)?);
        }
        SignedNote::parse(checkpoint.as_bytes())?;
        // A checkpoint has one empty line; with another, its beginning would be the end of the proof.
        if checkpoint.matches("\n\n").count() != 1 {
            return Err(NOT_A_PROOF);
        }
        Ok(Self {
            leaf: LeafIndex::new(leaf),
            hashes,
            checkpoint: checkpoint.into(),
        })
    }

    /// Checks that the log of this key signed a tree in which a leaf with this hash stands at the proof's index; gives
    /// the checkpoint that says so.
    ///
    /// # Errors
    /// [`AuditError`] by what is wrong: the checkpoint, or the way to its root.
    pub fn verify(&self, leaf_hash: TreeHash, key: &VerifierKey) -> Result<SignedCheckpoint, AuditError> {
        let checkpoint = SignedCheckpoint::open(self.checkpoint.as_bytes(), key)?;
        verify_inclusion(
            self.leaf,
            checkpoint.size(),
            leaf_hash,
            &self.hashes,
            checkpoint.root(),
        )?;
        Ok(checkpoint)
    }

    /// The log that the checkpoint says it is of; not verified.
    pub(super) fn log_name(&self) -> Option<LogName> {
        LogName::parse(self.checkpoint.split('\n').next()?).ok()
    }

    /// Which leaf it is of.
    pub fn leaf(&self) -> LeafIndex {
        self.leaf
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FIRST_LINE}\nindex {}\n", self.leaf)?;
        for hash in &self.hashes {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
