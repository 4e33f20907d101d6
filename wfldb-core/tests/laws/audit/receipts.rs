//! Receipts: a true one is believed, and nothing about it can change.

use proptest::prelude::*;
use wfldb_core::audit::{
    AuditError, BucketEffects, Commitment, Content, Effect, EffectAction, Entry, EntryActor, EntryOp,
    GrowingTree, Label, LogName, NoteSigner, Outcome, Proven, Receipt, ReceiptError, ReceiptEvidence,
    SignedCheckpoint, TiledTree, TlogProof, TreeHash, evidence_value, leaf_hash,
};
use wfldb_core::auth::Method;
use wfldb_core::id::{BucketId, ContentHash, LeafIndex, Role, SecretKey, SignatureBytes, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::ContentDigest;
use wfldb_core::packet::{Grant, Packet, UrlLinkClaims, UrlLinkKeys, UrlLinkMethod, issue_url_link};
use wfldb_core::time::UnixMillis;

use super::naive::{self, Tiles};
use crate::support::{NOW, audience, chain_claims, client, issue, issue_chain, root, signed, verified};

const BODY: &[u8] = b"hello wflDB";
const SALT: [u8; 32] = [9; 32];

fn signer() -> NoteSigner {
    let name = LogName::of_store(&audience().realm(), &[0xab; 16]);
    NoteSigner::new(name, SecretKey::from_seed([7; 32]))
}

/// The evidence of a PUT of [`BODY`] to this path.
fn evidence(path: &str) -> ReceiptEvidence {
    evidence_of(Method::Put, path, "")
}

fn evidence_of(method: Method, path: &str, query: &str) -> ReceiptEvidence {
    let body = if method == Method::Put {
        ContentDigest::of(BODY)
    } else {
        ContentDigest::None
    };
    let packet = issue(vec![
        Grant::parse_json(r#"{"b":"photos","p":"","ops":["put"]}"#).unwrap(),
    ]);
    let wire = signed(
        method,
        path,
        query,
        body,
        &[("content-type", "text/plain")],
        &packet,
    );
    let request = wire.parse().unwrap();
    let canonical = request.canonical_bytes(&audience(), &verified(&packet));
    ReceiptEvidence {
        packet,
        signature: client().sign(&canonical),
        canonical,
    }
}

fn version() -> VersionId {
    VersionId::from_parts(NOW, [3; 10])
}

fn stored() -> Content {
    Content::Object {
        etag: Some(ContentHash::of(BODY)),
        len: BODY.len() as u64,
        version: Some(version()),
    }
}

/// What a test changes about a receipt before its entry is made, so that the log really holds what it says.
#[derive(Clone)]
struct Case {
    actor: String,
    op: EntryOp,
    bucket: Option<BucketId>,
    key: Option<String>,
    content: Option<Content>,
    evidence: Option<ReceiptEvidence>,
}

impl Case {
    fn put() -> Self {
        Self {
            actor: client().key_id(Role::Client).to_string(),
            op: EntryOp::PUT,
            bucket: Some(BucketId::from_bytes([1; 16])),
            key: Some("a b/cat.jpg".to_owned()),
            content: Some(stored()),
            evidence: Some(evidence("/v1/photos/a%20b/cat.jpg")),
        }
    }

    /// The receipt of leaf 5 in a log of 300 leaves.
    fn receipt(&self) -> Receipt {
        let commit = |label, value: Option<Vec<u8>>| value.map(|value| Commitment::new(&SALT, label, &value));
        let entry = Entry {
            leaf: LeafIndex::new(5),
            at: NOW,
            actor: Some(EntryActor::lossy(&self.actor)),
            op: self.op.clone(),
            outcome: Outcome::Ok,
            bucket: commit(
                Label::Bucket,
                self.bucket.map(|bucket| bucket.as_bytes().to_vec()),
            ),
            key: commit(Label::Key, self.key.clone().map(String::into_bytes)),
            content: commit(Label::Content, self.content.as_ref().map(Content::value)),
            evidence: commit(
                Label::Evidence,
                self.evidence
                    .as_ref()
                    .map(|it| evidence_value(&it.packet, &it.canonical, it.signature.as_bytes())),
            ),
        };
        let entry = entry.to_bytes();
        let mut leaves = naive::leaves(300);
        leaves[5] = leaf_hash(&entry);
        let (mut tiles, tree) = Tiles::of(&leaves);
        let checkpoint = SignedCheckpoint::sign(300, tree.root(), &signer()).unwrap();
        let hashes = TiledTree::new(300, &mut tiles)
            .inclusion_proof(LeafIndex::new(5))
            .unwrap();
        Receipt {
            entry,
            salt: SALT,
            bucket: self.bucket,
            key: self.key.clone(),
            content: self.content.clone(),
            document: false,
            evidence: self.evidence.clone(),
            proof: TlogProof::new(LeafIndex::new(5), hashes, &checkpoint),
        }
    }

    fn verify(&self) -> Result<Proven, ReceiptError> {
        self.receipt().verify(signer().verifier_key())
    }
}

/// Defects it catches: no receipt of a document is true, since its envelope is not what was sent; the word that something is
/// a document makes anything else true.
#[test]
fn a_document_is_not_stored_as_it_was_sent() {
    let case = Case {
        content: Some(Content::Object {
            etag: Some(ContentHash::of(b"with an envelope")),
            len: 400,
            version: None,
        }),
        ..Case::put()
    };
    assert_eq!(case.verify().unwrap_err(), ReceiptError::Request("body"));
    let receipt = Receipt {
        document: true,
        ..case.receipt()
    };
    assert!(receipt.verify(signer().verifier_key()).is_ok());
    let again = Receipt::parse(receipt.to_json().unwrap().as_bytes()).unwrap();
    assert_eq!(again, receipt);
    let plain = Case::put().receipt().to_json().unwrap();
    assert!(!plain.contains("document"), "{plain}");
    let other = Case {
        key: Some("another".to_owned()),
        ..case
    };
    let other = Receipt {
        document: true,
        ..other.receipt()
    };
    assert_eq!(
        other.verify(signer().verifier_key()).unwrap_err(),
        ReceiptError::Request("key")
    );
}

#[test]
fn a_true_receipt_says_who_did_what() {
    let receipt = Case::put().receipt();
    let json = receipt.to_json().unwrap();
    let read = Receipt::parse(json.as_bytes()).unwrap();
    assert_eq!(read, receipt);
    let proven = read.verify(signer().verifier_key()).unwrap();
    assert_eq!((proven.entry.leaf.get(), proven.checkpoint.size()), (5, 300));
    let request = proven.request.unwrap();
    assert_eq!(request.signer, client().key_id(Role::Client));
    assert_eq!(request.root, root().key_id(Role::Root));
    assert_eq!(
        (request.method.as_str(), request.bucket.as_ref().unwrap().as_str()),
        ("PUT", "photos")
    );
    assert_eq!(request.timestamp, NOW);
}

/// A defect it catches: a member of the receipt that nothing is compared with.
#[test]
fn every_changed_byte_of_a_receipt_is_refused() {
    let signer = signer();
    let json = Case::put().receipt().to_json().unwrap().into_bytes();
    let believed = |json: &[u8]| {
        Receipt::parse(json)
            .map_err(ReceiptError::from)
            .and_then(|read| read.verify(signer.verifier_key()))
            .is_ok()
    };
    assert!(believed(&json));
    for place in 0..json.len() {
        let mut changed = json.clone();
        changed[place] ^= 1 << (place % 7);
        assert!(
            !believed(&changed),
            "byte {place} of {}",
            String::from_utf8_lossy(&changed)
        );
    }
    for end in (0..json.len()).step_by(7) {
        assert!(!believed(&json[..end]));
    }
}

#[test]
fn a_member_that_is_taken_away_or_added_is_refused() {
    let json = Case::put().receipt().to_json().unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let object = value.as_object().unwrap();
    for name in object.keys() {
        let mut less = object.clone();
        less.remove(name);
        let text = serde_json::to_vec(&less).unwrap();
        let verdict = Receipt::parse(&text).map_err(ReceiptError::from);
        assert!(
            verdict
                .and_then(|read| read.verify(signer().verifier_key()))
                .is_err(),
            "without {name}"
        );
    }
    let mut more = object.clone();
    more.insert("more".to_owned(), 1.into());
    assert!(Receipt::parse(&serde_json::to_vec(&more).unwrap()).is_err());
    let mut other = object.clone();
    other.insert("leaf".to_owned(), 6.into());
    assert!(Receipt::parse(&serde_json::to_vec(&other).unwrap()).is_err());
}

/// The log itself may lie: what it says of somebody is believed by their signature only.
///
/// A defect it catches: a verifier that is content with the commitments.
#[test]
fn a_log_that_tells_of_another_request_than_was_signed_is_refused() {
    let put = Case::put();
    let foreign = SecretKey::from_seed([42; 32]);
    let cases = [
        (
            Case {
                actor: foreign.key_id(Role::Client).to_string(),
                ..put.clone()
            },
            ReceiptError::Actor,
        ),
        (
            Case {
                evidence: None,
                ..put.clone()
            },
            ReceiptError::Commitment("evidence"),
        ),
        (
            Case {
                key: Some("another".to_owned()),
                ..put.clone()
            },
            ReceiptError::Request("key"),
        ),
        (
            Case {
                content: Some(Content::Object {
                    etag: Some(ContentHash::of(b"other")),
                    len: BODY.len() as u64,
                    version: None,
                }),
                ..put.clone()
            },
            ReceiptError::Request("body"),
        ),
        (
            Case {
                content: Some(Content::Object {
                    etag: Some(ContentHash::of(BODY)),
                    len: 12,
                    version: None,
                }),
                ..put.clone()
            },
            ReceiptError::Request("body"),
        ),
        (
            Case {
                evidence: Some(ReceiptEvidence {
                    signature: foreign.sign(&put.evidence.clone().unwrap().canonical),
                    ..put.evidence.clone().unwrap()
                }),
                ..put.clone()
            },
            ReceiptError::Signature,
        ),
        (
            Case {
                evidence: Some(ReceiptEvidence {
                    packet: evidence("/v1/photos/x").packet,
                    ..put.evidence.clone().unwrap()
                }),
                ..put.clone()
            },
            ReceiptError::Packet,
        ),
    ];
    for (case, refusal) in cases {
        assert_eq!(case.verify().unwrap_err(), refusal);
    }
    let mut forged = put.evidence.clone().unwrap();
    forged.canonical = b"WFLDB-B3MAC-1\n".to_vec();
    forged.signature = client().sign(&forged.canonical);
    let case = Case {
        evidence: Some(forged),
        ..put
    };
    assert_eq!(case.verify().unwrap_err(), ReceiptError::Request("form"));
}

/// A put by a link: what is signed is the link. Defects it catches: one for another key, for reading, for less bytes, of
/// another packet, or that its signer could not make.
#[test]
fn a_write_by_a_link_is_believed_as_far_as_the_link_goes() {
    let everything = || Grant::parse_json(r#"{"b":"photos","p":"","ops":["get","put"]}"#).unwrap();
    let mut chain = chain_claims(&[vec![everything()]]);
    chain[0].dlg = 1;
    let packet = issue_chain(&chain);
    let claims = UrlLinkClaims {
        iss: client().key_id(Role::Client),
        aud: audience(),
        iat: NOW.seconds(),
        exp: NOW.seconds() + 600,
        jti: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
        method: UrlLinkMethod::Put,
        bucket: BucketName::parse("photos").unwrap(),
        keys: UrlLinkKeys::Key(ObjectKey::parse("a b/cat.jpg").unwrap()),
        uses: None,
        max_bytes: Some(BODY.len() as u64),
    };
    let by = |claims: &UrlLinkClaims| {
        let token = issue_url_link(&client(), &Packet::parse(&packet).unwrap(), claims).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        Case {
            evidence: Some(ReceiptEvidence {
                packet: packet.clone(),
                canonical: input.as_bytes().to_vec(),
                signature: SignatureBytes::parse(signature).unwrap(),
            }),
            ..Case::put()
        }
    };
    let proven = by(&claims).verify().unwrap().request.unwrap();
    assert!(proven.by_link && !Case::put().verify().unwrap().request.unwrap().by_link);
    assert_eq!(proven.path, "/v1/photos/a%20b/cat.jpg");
    assert_eq!(
        (proven.signer, proven.timestamp.seconds()),
        (claims.iss.clone(), claims.iat)
    );

    let other_key = UrlLinkKeys::Key(ObjectKey::parse("a b/dog.jpg").unwrap());
    let cases = [
        (
            UrlLinkClaims {
                keys: other_key,
                ..claims.clone()
            },
            "key",
        ),
        (
            UrlLinkClaims {
                method: UrlLinkMethod::Get,
                max_bytes: None,
                ..claims.clone()
            },
            "key",
        ),
        (
            UrlLinkClaims {
                max_bytes: Some(10),
                ..claims.clone()
            },
            "body",
        ),
    ];
    for (claims, what) in cases {
        assert_eq!(by(&claims).verify().unwrap_err(), ReceiptError::Request(what));
    }
    let mut of_another_packet = by(&claims);
    of_another_packet.evidence.as_mut().unwrap().packet = issue(vec![everything()]);
    assert_eq!(of_another_packet.verify().unwrap_err(), ReceiptError::Packet);
}

#[test]
fn a_receipt_is_of_its_store() {
    let receipt = Case::put().receipt();
    let other_key = NoteSigner::new(
        signer().verifier_key().name().clone(),
        SecretKey::from_seed([8; 32]),
    );
    assert_eq!(
        receipt.verify(other_key.verifier_key()).unwrap_err(),
        ReceiptError::Audit(AuditError::Signature)
    );
    // A log of another realm that took in the entry of this one.
    let name = LogName::parse("wfldb/elsewhere/abababababababababababababababab").unwrap();
    let elsewhere = NoteSigner::new(name, SecretKey::from_seed([7; 32]));
    let checkpoint = SignedCheckpoint::sign(1, leaf_hash(&receipt.entry), &elsewhere).unwrap();
    let moved = Receipt {
        proof: TlogProof::new(LeafIndex::new(0), vec![], &checkpoint),
        ..receipt.clone()
    };
    assert!(moved.verify(elsewhere.verifier_key()).is_err());
    let mut tree = GrowingTree::new();
    let mut leaves = naive::leaves(6);
    leaves[5] = leaf_hash(&receipt.entry);
    for leaf in &leaves {
        tree.push(*leaf);
    }
    let checkpoint = SignedCheckpoint::sign(6, tree.root(), &elsewhere).unwrap();
    let proof = TlogProof::new(LeafIndex::new(5), naive::path(5, &leaves), &checkpoint);
    let moved = Receipt { proof, ..receipt };
    assert_eq!(
        moved.verify(elsewhere.verifier_key()).unwrap_err(),
        ReceiptError::Audience
    );
}

/// A transaction names its buckets by their ids, and no key. Defects it catches: effects that can be moved to another
/// bucket; a key that was written by a request which names none.
#[test]
fn a_transaction_has_a_receipt_of_all_its_buckets() {
    let put = Case::put();
    let effect = |action, key: &str| Effect {
        action,
        key: ObjectKey::parse(key).unwrap(),
        version: version(),
        etag: None,
        len: 0,
    };
    let (own, pruned) = (effect(EffectAction::Put, "a"), effect(EffectAction::Prune, "a"));
    let tombstone = effect(EffectAction::Delete, "x");
    let in_bucket = |number, effects| BucketEffects {
        bucket: BucketId::from_bytes([number; 16]),
        effects,
    };
    let transaction = Case {
        op: EntryOp::TRANSACTION,
        bucket: None,
        key: None,
        content: Some(Content::Buckets(vec![
            in_bucket(1, vec![own.clone(), pruned.clone()]),
            in_bucket(2, vec![tombstone.clone()]),
        ])),
        evidence: Some(evidence("/v1/_tx")),
        ..put.clone()
    };
    // The same effects elsewhere are another content, and a key is not written by a request that names none.
    let moved = Content::Buckets(vec![
        in_bucket(1, vec![own.clone()]),
        in_bucket(2, vec![pruned.clone(), tombstone.clone()]),
    ]);
    assert_ne!(
        transaction.content.as_ref().map(Content::value),
        Some(moved.value())
    );
    let of_a_key = Case {
        evidence: Some(evidence("/v1/_tx")),
        ..put.clone()
    };
    assert_eq!(of_a_key.verify().unwrap_err(), ReceiptError::Request("path"));
    let json = transaction.receipt().to_json().unwrap();
    assert_eq!(Receipt::parse(json.as_bytes()).unwrap(), transaction.receipt());
    let proven = transaction.verify().unwrap();
    assert_eq!(proven.request.unwrap().bucket, None);
}

#[test]
fn changes_of_other_kinds_have_receipts_too() {
    let put = Case::put();
    let effect = |action, key: &str, etag: Option<ContentHash>, len| Effect {
        action,
        key: ObjectKey::parse(key).unwrap(),
        version: version(),
        etag,
        len,
    };
    let own = effect(
        EffectAction::Put,
        "a b/cat.jpg",
        Some(ContentHash::of(BODY)),
        BODY.len() as u64,
    );
    let pruned = effect(
        EffectAction::Prune,
        "a b/cat.jpg",
        Some(ContentHash::of(b"old")),
        3,
    );
    let tombstone = effect(EffectAction::Delete, "x", None, 0);
    let bucket = evidence("/v1/photos");
    let believed = [
        Case {
            content: Some(Content::Effects(vec![own.clone(), pruned.clone()])),
            ..put.clone()
        },
        Case {
            op: EntryOp::BATCH,
            key: None,
            content: Some(Content::Effects(vec![own, tombstone.clone()])),
            evidence: Some(evidence("/v1/photos/batch")),
            ..put.clone()
        },
        Case {
            op: EntryOp::BUCKET_CREATE,
            key: Some("photos".to_owned()),
            content: Some(Content::Configuration("{}".to_owned())),
            evidence: Some(bucket),
            ..put.clone()
        },
        Case {
            op: EntryOp::EXPIRE,
            actor: "system:expire".to_owned(),
            evidence: None,
            ..put.clone()
        },
        Case {
            op: EntryOp::LIST,
            key: None,
            content: None,
            evidence: Some(evidence_of(Method::Get, "/v1/photos/scan", "")),
            ..put.clone()
        },
        Case {
            op: EntryOp::READ,
            evidence: Some(evidence_of(Method::Head, "/v1/photos/a%20b/cat.jpg", "")),
            ..put.clone()
        },
        // The source of a copy.
        Case {
            op: EntryOp::READ,
            content: None,
            evidence: Some(evidence_of(
                Method::Post,
                "/v1/other/x",
                "copy=%2Fphotos%2Fa%20b%2Fcat.jpg",
            )),
            ..put.clone()
        },
    ];
    for case in believed {
        let json = case.receipt().to_json().unwrap();
        assert_eq!(Receipt::parse(json.as_bytes()).unwrap(), case.receipt());
        case.verify().unwrap();
    }
    let lied = effect(
        EffectAction::Put,
        "a b/cat.jpg",
        Some(ContentHash::of(b"other")),
        5,
    );
    let case = Case {
        content: Some(Content::Effects(vec![lied, pruned])),
        ..put.clone()
    };
    assert_eq!(case.verify().unwrap_err(), ReceiptError::Request("body"));
    let other_bucket = Case {
        op: EntryOp::BUCKET_DELETE,
        key: Some("secrets".to_owned()),
        content: None,
        evidence: Some(evidence("/v1/photos")),
        ..put
    };
    assert_eq!(other_bucket.verify().unwrap_err(), ReceiptError::Request("key"));
    assert_ne!(
        Content::Effects(vec![tombstone.clone()]).value(),
        Content::Effects(vec![tombstone.clone(), tombstone]).value()
    );
}

/// Who wrote is not said to have read, who read not to have written, and no copy is of another key.
#[test]
fn a_receipt_is_of_the_request_that_is_its_evidence() {
    let put = Case::put();
    for (op, evidence, why) in [
        (EntryOp::READ, evidence("/v1/photos/a%20b/cat.jpg"), "method"),
        (
            EntryOp::PUT,
            evidence_of(Method::Get, "/v1/photos/a%20b/cat.jpg", ""),
            "method",
        ),
        (
            EntryOp::READ,
            evidence_of(Method::Post, "/v1/other/a%20b/cat.jpg", "copy=%2Fphotos%2Fdog"),
            "key",
        ),
    ] {
        let case = Case {
            op,
            content: None,
            evidence: Some(evidence),
            ..put.clone()
        };
        assert_eq!(case.verify().unwrap_err(), ReceiptError::Request(why));
    }
}

#[test]
fn a_proof_has_one_spelling() {
    let text = Case::put().receipt().proof.to_string();
    assert_eq!(TlogProof::parse(text.as_bytes()).unwrap().to_string(), text);
    for other in [
        text.replace("index 5", "index 05"),
        text.replace("index 5", "index +5"),
        text.replace("index 5\n", "extra AAAA\nindex 5\n"),
        text.replace("index 5\n", ""),
        text.replace("index 5\n", "index 5\n\n"),
        text.replace("@v1", "@v2"),
        text.replacen("=\n", "\n", 1),
        text.replacen("=\n", "=\r\n", 1),
        format!("{text}\n"),
        format!("\n{text}"),
        text.replace(
            "index 5\n",
            &format!("index 5\n{}", format!("{}\n", TreeHash::EMPTY).repeat(60)),
        ),
        text.replace("index 5", "index 9007199254740992"),
        String::new(),
    ] {
        assert_ne!(other, text);
        let read = TlogProof::parse(other.as_bytes());
        assert!(read.is_err(), "{other}");
    }
}

proptest! {
    #[test]
    fn no_parser_of_receipts_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0_usize..4000, byte in any::<u8>()) {
        let _ = Receipt::parse(&bytes);
        let _ = TlogProof::parse(&bytes);
        let mut json = RECEIPT.with(Clone::clone);
        let at = at % json.len();
        json[at] = byte;
        if let Ok(read) = Receipt::parse(&json) {
            let _ = read.verify(signer().verifier_key());
        }
    }
}

thread_local! {
    static RECEIPT: Vec<u8> = Case::put().receipt().to_json().unwrap().into_bytes();
}

#[test]
fn signatures_are_not_taken_from_elsewhere() {
    let mut case = Case::put();
    if let Some(evidence) = &mut case.evidence {
        evidence.signature = SignatureBytes::from_bytes([0; 64]);
    }
    assert_eq!(case.verify().unwrap_err(), ReceiptError::Signature);
    assert_eq!(UnixMillis::parse("2026-01-02T03:04:05.006Z"), Ok(NOW));
}
