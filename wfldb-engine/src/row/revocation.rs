//! A revocation as stored: fixed fields, then who made it.

use bytes::Bytes;
use wfldb_core::id::PacketHash;
use wfldb_core::revocation::{KeyBytes, Revoked, Terms};
use wfldb_core::time::UnixMillis;

use super::RowError;

const DAMAGED: RowError = RowError("revocation");
/// Beginning of the keys of revocations in `meta`.
pub(crate) const REVOKED: &[u8] = b"revoked/";
/// Stands for "whenever it was issued" and "for ever".
const NEVER: u64 = u64::MAX;
const NO_SHARE: KeyBytes = [0; 32];

/// What is kept of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevocationRow {
    /// When it was committed.
    pub(crate) at: UnixMillis,
    pub(crate) terms: Terms,
    /// Who made it, as evidence names them.
    pub(crate) by: String,
}

/// `meta`: [`REVOKED`], `p` packet hash, or `k` key, or `b` link hash and key.
pub(crate) fn revoked(what: &Revoked) -> Bytes {
    let key = match what {
        Revoked::Packet(hash) => [REVOKED, b"p", hash.as_bytes()].concat(),
        Revoked::Key(key) => [REVOKED, b"k", key].concat(),
        Revoked::Below { link, key } => [REVOKED, b"b", link.as_bytes(), key].concat(),
    };
    Bytes::from(key)
}

/// What a row of [`revoked`] names.
pub(crate) fn parse_revoked(row: &[u8]) -> Result<Revoked, RowError> {
    let rest = row.strip_prefix(REVOKED).ok_or(DAMAGED)?;
    let (kind, rest) = rest.split_first().ok_or(DAMAGED)?;
    let (first, rest) = rest.split_first_chunk::<32>().ok_or(DAMAGED)?;
    match (kind, rest.len()) {
        (b'p', 0) => Ok(Revoked::Packet(PacketHash::from_bytes(*first))),
        (b'k', 0) => Ok(Revoked::Key(*first)),
        (b'b', 32) => Ok(Revoked::Below {
            link: PacketHash::from_bytes(*first),
            key: rest.try_into().map_err(|_| DAMAGED)?,
        }),
        _ => Err(DAMAGED),
    }
}

impl RevocationRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let kept_until = self.terms.kept_until.map_or(NEVER, UnixMillis::get);
        [
            &self.at.get().to_be_bytes()[..],
            &self.terms.issued_until.to_be_bytes(),
            &kept_until.to_be_bytes(),
            &self.terms.share.unwrap_or(NO_SHARE),
            self.by.as_bytes(),
        ]
        .concat()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let (at, rest) = row.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let (issued_until, rest) = rest.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let (kept_until, rest) = rest.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let (share, by) = rest.split_first_chunk::<32>().ok_or(DAMAGED)?;
        let kept_until = u64::from_be_bytes(*kept_until);
        Ok(Self {
            at: UnixMillis::new(u64::from_be_bytes(*at)),
            terms: Terms {
                issued_until: u64::from_be_bytes(*issued_until),
                kept_until: (kept_until != NEVER).then(|| UnixMillis::new(kept_until)),
                share: (*share != NO_SHARE).then_some(*share),
            },
            by: std::str::from_utf8(by).map_err(|_| DAMAGED)?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_shorter_ones_are_damage() {
        let whats = [
            Revoked::Packet(PacketHash::from_bytes([1; 32])),
            Revoked::Key([2; 32]),
            Revoked::Below {
                link: PacketHash::from_bytes([3; 32]),
                key: [4; 32],
            },
        ];
        for what in whats {
            let key = revoked(&what);
            assert_eq!(parse_revoked(&key), Ok(what));
            assert_eq!(parse_revoked(&key[..key.len() - 1]), Err(DAMAGED));
            assert_eq!(parse_revoked(&[&key[..], &[0]].concat()), Err(DAMAGED));
        }
        for (kept_until, share) in [(None, None), (Some(UnixMillis::new(7)), Some([9; 32]))] {
            let row = RevocationRow {
                at: UnixMillis::new(5),
                terms: Terms {
                    issued_until: 6,
                    kept_until,
                    share,
                },
                by: "wc1x".to_owned(),
            };
            assert_eq!(RevocationRow::decode(&row.encode()), Ok(row.clone()));
            assert_eq!(RevocationRow::decode(&row.encode()[..55]), Err(DAMAGED));
        }
    }
}
