//! Verifying signatures of keys that sign often: with a table for such a key in two fifths of the time.
//!
//! What is accepted is exactly what [`PublicKey::verify_strict`] accepts; docs/decisions/0010 has the reasoning and the
//! measurement. A table is made for a key after it was used for a while, their number is bounded, and keys that are no
//! longer used lose theirs.

mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity as _;
use sha2::{Digest as _, Sha512};

use self::table::PointTable;
use crate::id::{PublicKey, SignatureBytes};

/// Uses after which a key gets its table. Making one costs about as much as 10 verifications, and 220 KiB.
const USES_FOR_TABLE: u32 = 64;
/// Tables at once, 14 MiB.
const TABLES_MAX: usize = 64;
/// Keys whose uses are counted.
const KEYS_MAX: usize = 4096;
/// Verifications after which all counts are halved, and keys at zero forgotten.
const USES_BETWEEN_AGING: u32 = 16 * 1024;

/// Verifies signatures, and learns which keys sign often. For many threads.
#[derive(Debug, Default)]
pub struct Verifier(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    known: HashMap<PublicKey, Known>,
    tables: usize,
    uses: u32,
}

#[derive(Debug, Default)]
struct Known {
    uses: u32,
    table: Table,
}

#[derive(Debug, Default)]
enum Table {
    #[default]
    None,
    /// Somebody makes it.
    Coming,
    Made(Arc<KeyTable>),
}

/// What is to be done for one verification.
enum Turn {
    Plainly,
    MakeTable,
    WithTable(Arc<KeyTable>),
}

impl Verifier {
    /// Whether the signature over the message was made with the key: the same answer as [`PublicKey::verify_strict`].
    ///
    /// For keys of verified packets: a stranger who can have any key looked at could push the tables of others out.
    #[must_use]
    pub fn verify_strict(&self, key: &PublicKey, message: &[u8], signature: &SignatureBytes) -> bool {
        let turn = self.keys().turn(key);
        match turn {
            Turn::WithTable(table) => table.verify_strict(message, signature),
            Turn::Plainly => key.verify_strict(message, signature),
            Turn::MakeTable => {
                // Outside the lock: it takes about half a millisecond.
                let table = Arc::new(KeyTable::new(key));
                self.keys().made(key, Arc::clone(&table));
                table.verify_strict(message, signature)
            }
        }
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn turn(&mut self, key: &PublicKey) -> Turn {
        self.uses += 1;
        if self.uses >= USES_BETWEEN_AGING {
            self.age();
        }
        let Some(known) = self.known.get_mut(key) else {
            if self.known.len() < KEYS_MAX {
                self.known.insert(
                    key.clone(),
                    Known {
                        uses: 1,
                        table: Table::None,
                    },
                );
            }
            return Turn::Plainly;
        };
        known.uses = known.uses.saturating_add(1);
        match &known.table {
            Table::Made(table) => Turn::WithTable(Arc::clone(table)),
            Table::None if known.uses >= USES_FOR_TABLE && self.tables < TABLES_MAX => {
                known.table = Table::Coming;
                self.tables += 1;
                Turn::MakeTable
            }
            Table::None | Table::Coming => Turn::Plainly,
        }
    }

    fn made(&mut self, key: &PublicKey, table: Arc<KeyTable>) {
        // It may have been forgotten meanwhile; then its place was given back too.
        if let Entry::Occupied(mut known) = self.known.entry(key.clone()) {
            known.get_mut().table = Table::Made(table);
        }
    }

    fn age(&mut self) {
        self.uses = 0;
        self.known.retain(|_, known| {
            known.uses /= 2;
            known.uses > 0
        });
        let has_table = |known: &&Known| !matches!(known.table, Table::None);
        self.tables = self.known.values().filter(has_table).count();
    }
}

/// A key's own table.
struct KeyTable {
    key: [u8; 32],
    /// Of the key's negative.
    minus_key: PointTable<6>,
}

impl std::fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyTable").finish_non_exhaustive()
    }
}

impl KeyTable {
    fn new(key: &PublicKey) -> Self {
        Self {
            key: *key.as_bytes(),
            minus_key: PointTable::new(-key.point()),
        }
    }

    /// RFC 8032 5.1.7 without the cofactor, and strict.
    fn verify_strict(&self, message: &[u8], signature: &SignatureBytes) -> bool {
        /// 676 KiB, one for all keys.
        static BASEPOINT: LazyLock<PointTable<8>> =
            LazyLock::new(|| PointTable::new(ED25519_BASEPOINT_POINT));

        let (r, s) = signature.halves();
        // SECURITY: a second S for the same signature would be a second signature of the same request.
        let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)) else {
            return false;
        };
        let hash = Sha512::new()
            .chain_update(r)
            .chain_update(self.key)
            .chain_update(message)
            .finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());
        let product = self.minus_key.add_product(EdwardsPoint::identity(), &k);
        let expected = BASEPOINT.add_product(product, &s);
        // SECURITY: the encoding is compared, so R is that of this point and canonical; R of small order is refused by
        // looking at the point that it must be. The key's own order was looked at when it was read.
        expected.compress().to_bytes() == r && !expected.is_small_order()
    }
}
