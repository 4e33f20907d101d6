//! What was done to a file that should be a document.

use std::fmt::Write as _;
use std::sync::Arc;

use wfldb_core::doc::{self, DocumentFault, Envelope, Object, canonical, parse_object, split_signature};
use wfldb_core::name::{BucketName, ObjectKey};

use super::MirrorFault;
use crate::engine::Inner;
use crate::mirror::root::signing_keys;

/// Says how `found` differs from `expected`, as precisely as envelope and signature allow.
pub(super) fn what_differs(
    inner: &Arc<Inner>,
    bucket: &BucketName,
    expected: &[u8],
    found: &[u8],
) -> (MirrorFault, String) {
    let Ok(ours) = parse_object(expected) else {
        return (MirrorFault::Content, "it is not what the store has".to_owned());
    };
    let Ok(theirs) = parse_object(found) else {
        return (
            MirrorFault::Content,
            "it is not the JSON of a document".to_owned(),
        );
    };
    let members = members(&ours, &theirs);
    if members.is_empty() && canonical(&ours) == canonical(&theirs) {
        return (
            MirrorFault::Spelling,
            "the same document, in another spelling".to_owned(),
        );
    }
    let differ = format!("other than in the store: {members}");
    let signed_by = ours
        .get("_sig")
        .and_then(|sig| sig.as_str())
        .and_then(doc::DocumentSignature::parse);
    let Ok((theirs, signature)) = split_signature(theirs) else {
        return (MirrorFault::Signature, format!("it has no signature; {differ}"));
    };
    let envelope = match Envelope::of(&theirs) {
        Ok(envelope) => envelope,
        Err(error) => return (MirrorFault::Envelope, format!("{error}; {differ}")),
    };
    let Ok(key) = ObjectKey::parse(&envelope.id) else {
        return (MirrorFault::Envelope, format!("`_id` is no key; {differ}"));
    };
    match doc::verify(bucket, &key, &theirs, &signature) {
        Ok(_) => {}
        Err(error @ DocumentFault::Hash) => return (MirrorFault::Hash, format!("{error}; {differ}")),
        Err(error @ DocumentFault::Signature) => {
            return (MirrorFault::Signature, format!("{error}; {differ}"));
        }
        Err(error) => return (MirrorFault::Envelope, format!("{error}; {differ}")),
    }
    let known = signed_by.is_some_and(|ours| ours.key == signature.key)
        || signing_keys(inner).is_ok_and(|keys| keys.iter().any(|key| *key.as_bytes() == signature.key));
    if !known {
        let by = signature.key_id();
        return (
            MirrorFault::Signature,
            format!("signed by {by}, which is not the store's key; {differ}"),
        );
    }
    let (id, version) = (
        ours.get("_id"),
        ours.get("_v").and_then(doc::Value::as_u64).unwrap_or(0),
    );
    if id.and_then(doc::Value::as_str) != Some(&envelope.id) {
        return (
            MirrorFault::Elsewhere,
            format!("it is the document of the key {:?}", envelope.id),
        );
    }
    let detail = format!(
        "version {} as the store signed it; the store has {version}",
        envelope.version
    );
    (MirrorFault::OtherVersion, detail)
}

/// The names of members that are not the same.
fn members(ours: &Object, theirs: &Object) -> String {
    const NAMES_MAX: usize = 8;
    let names = ours
        .keys()
        .chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    let mut differing = names.filter(|name| ours.get(*name) != theirs.get(*name));
    let mut text = String::new();
    for name in differing.by_ref().take(NAMES_MAX) {
        let _ = write!(text, "{}{name:?}", if text.is_empty() { "" } else { ", " });
    }
    if differing.next().is_some() {
        text.push_str(" and more");
    }
    text
}
