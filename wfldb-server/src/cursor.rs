//! Cursors: where a listing goes on, authenticated so that only we can have written it, for this caller and query.
//!
//! A cursor is base64url of tag ‖ position ‖ MAC. The MAC is keyed BLAKE3 over everything that selects the listing.

use wfldb_core::encoding::base64url;
use wfldb_core::id::{KeyId, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_engine::{After, FindPosition};
use wfldb_net::route::ScanQuery;
use zeroize::Zeroizing;

use crate::fault::Fault;

const MAC_BYTES: usize = 32;
const AFTER_KEY: u8 = b'k';
const AFTER_PREFIX: u8 = b'p';
const BEFORE_VERSION: u8 = b'v';
/// What the key of bookmarks' cipher stream is derived with.
const BOOKMARK_STREAM: &str = "wfldb bookmark stream 1";

/// Makes and checks cursors.
pub(crate) struct Cursors {
    key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursors").finish_non_exhaustive()
    }
}

/// Which listing a cursor belongs to.
pub(crate) enum Of<'a> {
    /// `scan` with these parameters.
    Scan(&'a ScanQuery),
    /// The versions of this key.
    Versions(&'a ObjectKey),
    /// The answers to a question of this identity.
    Find(&'a [u8]),
}

impl Cursors {
    /// `key` is derived from the store's secret, so cursors outlive a restart.
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key }
    }

    pub(crate) fn after(
        &self,
        subject: &KeyId,
        bucket: &BucketName,
        query: &ScanQuery,
        after: &After,
    ) -> String {
        let (tag, text) = match after {
            After::Key(text) => (AFTER_KEY, text),
            After::Prefix(text) => (AFTER_PREFIX, text),
        };
        self.seal(subject, bucket, &Of::Scan(query), tag, text.as_bytes())
    }

    pub(crate) fn before(
        &self,
        subject: &KeyId,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionId,
    ) -> String {
        self.seal(
            subject,
            bucket,
            &Of::Versions(key),
            BEFORE_VERSION,
            &version.to_bytes(),
        )
    }

    pub(crate) fn open_scan(
        &self,
        subject: &KeyId,
        bucket: &BucketName,
        query: &ScanQuery,
    ) -> Result<Option<After>, Fault> {
        let Some(cursor) = &query.cursor else {
            return Ok(query.after.clone().map(After::Key));
        };
        let (tag, position) = self.open(subject, bucket, &Of::Scan(query), cursor)?;
        let text = String::from_utf8(position).map_err(|_| Fault::Cursor)?;
        match tag {
            AFTER_KEY => Ok(Some(After::Key(text))),
            AFTER_PREFIX => Ok(Some(After::Prefix(text))),
            _ => Err(Fault::Cursor),
        }
    }

    pub(crate) fn open_versions(
        &self,
        subject: &KeyId,
        bucket: &BucketName,
        key: &ObjectKey,
        cursor: &str,
    ) -> Result<VersionId, Fault> {
        let (tag, position) = self.open(subject, bucket, &Of::Versions(key), cursor)?;
        let version = <[u8; 16]>::try_from(position).map_err(|_| Fault::Cursor)?;
        if tag == BEFORE_VERSION {
            Ok(VersionId::from_bytes(version))
        } else {
            Err(Fault::Cursor)
        }
    }

    /// A bookmark: MAC ‖ position, enciphered by a stream of its own for each MAC.
    ///
    /// SECURITY: a position can be an entry of an index with values and a key that the caller may not see.
    pub(crate) fn bookmark(
        &self,
        subject: &KeyId,
        bucket: &BucketName,
        question: &[u8],
        position: &FindPosition,
    ) -> String {
        let mut position = position.to_bytes();
        let mac = self.mac(subject, bucket, &Of::Find(question), &position);
        self.encipher(&mac, &mut position);
        base64url::encode(&[mac.as_bytes().as_slice(), &position].concat())
    }

    pub(crate) fn open_bookmark(
        &self,
        subject: &KeyId,
        bucket: &BucketName,
        question: &[u8],
        bookmark: &str,
    ) -> Result<FindPosition, Fault> {
        let bytes = base64url::decode(bookmark).map_err(|_| Fault::Cursor)?;
        let (mac, position) = bytes.split_first_chunk::<MAC_BYTES>().ok_or(Fault::Cursor)?;
        let mut position = position.to_vec();
        let mac = blake3::Hash::from_bytes(*mac);
        self.encipher(&mac, &mut position);
        // SECURITY: blake3 compares in constant time.
        if self.mac(subject, bucket, &Of::Find(question), &position) != mac {
            return Err(Fault::Cursor);
        }
        FindPosition::from_bytes(&position).ok_or(Fault::Cursor)
    }

    /// Enciphers, and deciphers again. Two positions with one MAC are the same position.
    fn encipher(&self, mac: &blake3::Hash, position: &mut [u8]) {
        let key = Zeroizing::new(blake3::derive_key(BOOKMARK_STREAM, &*self.key));
        let mut stream = vec![0; position.len()];
        let mut hasher = blake3::Hasher::new_keyed(&key);
        hasher.update(mac.as_bytes());
        hasher.finalize_xof().fill(&mut stream);
        for (byte, mask) in position.iter_mut().zip(stream) {
            *byte ^= mask;
        }
    }

    fn seal(&self, subject: &KeyId, bucket: &BucketName, of: &Of<'_>, tag: u8, position: &[u8]) -> String {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(position);
        let mac = self.mac(subject, bucket, of, &bytes);
        bytes.extend_from_slice(mac.as_bytes());
        base64url::encode(&bytes)
    }

    fn open(
        &self,
        subject: &KeyId,
        bucket: &BucketName,
        of: &Of<'_>,
        cursor: &str,
    ) -> Result<(u8, Vec<u8>), Fault> {
        let bytes = base64url::decode(cursor).map_err(|_| Fault::Cursor)?;
        let (sealed, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(Fault::Cursor)?;
        // SECURITY: blake3 compares in constant time.
        if self.mac(subject, bucket, of, sealed) != *mac {
            return Err(Fault::Cursor);
        }
        let (tag, position) = sealed.split_first().ok_or(Fault::Cursor)?;
        Ok((*tag, position.to_vec()))
    }

    fn mac(&self, subject: &KeyId, bucket: &BucketName, of: &Of<'_>, sealed: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // Each part with its length, so that no two lists of parts are the same bytes.
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(b"wfldb-cursor-1");
        part(subject.to_string().as_bytes());
        part(bucket.as_str().as_bytes());
        match of {
            Of::Scan(query) => {
                part(b"scan");
                part(query.prefix.as_str().as_bytes());
                for optional in [&query.after, &query.delimiter] {
                    part(&[u8::from(optional.is_some())]);
                    part(optional.as_deref().unwrap_or_default().as_bytes());
                }
                part(&[u8::from(query.reverse)]);
                part(query.tags.to_string().as_bytes());
            }
            Of::Versions(key) => {
                part(b"versions");
                part(key.as_str().as_bytes());
            }
            Of::Find(question) => {
                part(b"find");
                part(question);
            }
        }
        part(sealed);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::{Role, SecretKey};
    use wfldb_core::name::KeyPrefix;
    use wfldb_core::object::Tags;

    use super::*;

    fn query() -> ScanQuery {
        ScanQuery {
            prefix: KeyPrefix::parse("a/").unwrap(),
            after: None,
            limit: 5,
            delimiter: Some("/".to_owned()),
            reverse: false,
            tags: Tags::default(),
            cursor: None,
        }
    }

    /// DEFECT: a bookmark that shows where an index ended, or that another question, caller or bucket goes on with.
    #[test]
    fn a_bookmark_opens_for_its_caller_and_question_only_and_shows_nothing() {
        let cursors = Cursors::new(Zeroizing::new([7; 32]));
        let caller = SecretKey::from_seed([1; 32]).key_id(Role::Client);
        let other = SecretKey::from_seed([2; 32]).key_id(Role::Client);
        let bucket = BucketName::parse("photos").unwrap();
        let position = FindPosition::Entry {
            index: 3,
            place: b"a value that is not shown".to_vec(),
        };
        let bookmark = cursors.bookmark(&caller, &bucket, b"q", &position);
        let open = |subject: &KeyId, bucket: &BucketName, question: &[u8], bookmark: &str| {
            cursors.open_bookmark(subject, bucket, question, bookmark)
        };
        assert_eq!(open(&caller, &bucket, b"q", &bookmark).unwrap(), position);
        assert!(open(&other, &bucket, b"q", &bookmark).is_err());
        assert!(open(&caller, &BucketName::parse("photo").unwrap(), b"q", &bookmark).is_err());
        assert!(open(&caller, &bucket, b"r", &bookmark).is_err());
        assert!(open(&caller, &bucket, b"q", "").is_err());
        let bytes = base64url::decode(&bookmark).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"value"));
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1;
            assert!(open(&caller, &bucket, b"q", &base64url::encode(&bytes)).is_err());
        }
    }

    #[test]
    fn a_cursor_opens_for_its_caller_and_query_only() {
        let cursors = Cursors::new(Zeroizing::new([7; 32]));
        let caller = SecretKey::from_seed([1; 32]).key_id(Role::Client);
        let other = SecretKey::from_seed([2; 32]).key_id(Role::Client);
        let bucket = BucketName::parse("photos").unwrap();
        let after = After::Prefix("a/b/".to_owned());
        let cursor = cursors.after(&caller, &bucket, &query(), &after);
        let with = |change: fn(&mut ScanQuery)| {
            let mut query = ScanQuery {
                cursor: Some(cursor.clone()),
                ..query()
            };
            change(&mut query);
            query
        };
        assert_eq!(
            cursors.open_scan(&caller, &bucket, &with(|_| {})).unwrap(),
            Some(after.clone())
        );
        assert_eq!(
            cursors
                .open_scan(&caller, &bucket, &with(|query| query.limit = 9))
                .unwrap(),
            Some(after)
        );

        let refused = |result: Result<Option<After>, Fault>| matches!(result, Err(Fault::Cursor));
        assert!(refused(cursors.open_scan(&other, &bucket, &with(|_| {}))));
        assert!(refused(cursors.open_scan(
            &caller,
            &BucketName::parse("photo").unwrap(),
            &with(|_| {})
        )));
        assert!(refused(Cursors::new(Zeroizing::new([8; 32])).open_scan(
            &caller,
            &bucket,
            &with(|_| {})
        )));
        for change in [
            (|query: &mut ScanQuery| query.reverse = true) as fn(&mut ScanQuery),
            |query| query.prefix = KeyPrefix::all(),
            |query| query.after = Some(String::new()),
            |query| query.delimiter = None,
            |query| query.cursor = Some(String::new()),
            |query| query.cursor = Some("A".repeat(100)),
            |query| {
                let mut bytes = base64url::decode(query.cursor.as_deref().unwrap()).unwrap();
                bytes[1] ^= 1;
                query.cursor = Some(base64url::encode(&bytes));
            },
        ] {
            assert!(refused(cursors.open_scan(&caller, &bucket, &with(change))));
        }
        let key = ObjectKey::parse("a/b").unwrap();
        assert!(cursors.open_versions(&caller, &bucket, &key, &cursor).is_err());
    }
}
