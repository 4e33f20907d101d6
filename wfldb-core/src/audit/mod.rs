//! The audit log: an RFC 6962 Merkle tree over every change (and the reads and refusals of buckets that ask for it),
//! published as C2SP tlog-tiles with checkpoints that are signed notes. Not here: where entries and tiles are kept.
//!
//! - [`Entry`] is what a leaf hashes: small canonical JSON of salted [`Commitment`]s, never content.
//! - [`tree`](leaf_hash) maths: [`leaf_hash`], [`Frontier`], [`root`], [`inclusion_proof`], [`consistency_proof`] and
//!   what verifies them.
//! - [`TileId`], [`BundleId`], [`Resource`]: the names of tiles, as paths. [`Tile`], [`encode_bundle`],
//!   [`parse_bundle`]: their bytes. [`GrowingTree`] makes tiles while leaves come in, [`TiledTree`] answers roots and
//!   proofs from tiles.
//! - [`VerifierKey`], [`NoteSigner`], [`SignedNote`]: signed notes. [`SignedCheckpoint`]: a size and a root, signed.
//! - [`TlogProof`]: an inclusion proof with its checkpoint, as text. [`Receipt`]: an entry with all that it commits to and
//!   its proof, as JSON. [`LogCheck`]: a whole copy of a log against its checkpoint.
//!
//! ```
//! use wfldb_core::audit::{GrowingTree, LogName, NoteSigner, SignedCheckpoint, leaf_hash};
//! use wfldb_core::id::SecretKey;
//! use wfldb_core::name::Realm;
//!
//! let mut tree = GrowingTree::new();
//! for entry in ["one", "two", "three"] {
//!     let full_tiles = tree.push(leaf_hash(entry.as_bytes()));
//!     assert!(full_tiles.is_empty(), "a tile is full with 256 hashes");
//! }
//! let name = LogName::of_store(&Realm::parse("local")?, &[7; 16]);
//! let signer = NoteSigner::new(name, SecretKey::from_seed([7; 32]));
//! let checkpoint = SignedCheckpoint::sign(tree.size(), tree.root(), &signer)?;
//!
//! let read = SignedCheckpoint::open(checkpoint.text().as_bytes(), signer.verifier_key())?;
//! assert_eq!((read.size(), read.root()), (3, tree.root()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod believe;
mod bundle;
mod check;
mod checkpoint;
mod commitment;
mod content;
mod entry;
mod error;
mod growing;
mod note;
mod proof;
mod prove;
mod receipt;
mod tile;
mod tiled;
mod tree;
mod verify;

pub use believe::{Proven, ProvenRequest, ReceiptError};
pub use bundle::{encode_bundle, parse_bundle};
pub use check::{Finding, LogCheck};
pub use checkpoint::SignedCheckpoint;
pub use commitment::{Commitment, Label, evidence_value};
pub use content::{BucketEffects, Content, Effect, EffectAction};
pub use entry::{Entry, EntryActor, EntryOp, Outcome};
pub use error::AuditError;
pub use growing::GrowingTree;
pub use note::{LogName, NoteSigner, SignedNote, VerifierKey};
pub use proof::TlogProof;
pub use prove::{SubtreeReader, consistency_proof, inclusion_proof, root};
pub use receipt::{Receipt, ReceiptEvidence};
pub use tile::{BundleId, Resource, Tile, TileId};
pub use tiled::{TileSource, TiledTree, tile_from_below};
pub use tree::{Frontier, TreeHash, leaf_hash, node_hash};
pub use verify::{verify_consistency, verify_inclusion};
