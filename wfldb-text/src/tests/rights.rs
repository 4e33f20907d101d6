//! What callers with narrow grants are told, and what nobody is told: the index is asked with what the log did not
//! bring it yet.

use std::time::Duration;

use serde_json::json;
use wfldb_core::auth::{Authorized, Method, Op, RouteKind, Target, Written, authorize};
use wfldb_core::id::{Nonce, Role, SecretKey, Seq};
use wfldb_core::name::{Audience, KeyPrefix};
use wfldb_core::object::ContentDigest;
use wfldb_core::packet::{self, Claims, Grant, GrantBucket, GrantLimits, TrustedRoots};
use wfldb_core::replay::ReplayMemory;
use wfldb_core::request::{RequestToSign, SignedRequest, sign};
use wfldb_core::text::SearchRequest;
use wfldb_core::time::UnixMillis;
use wfldb_core::verifier::Verifier;

use super::follow::{Store, query};
use crate::error::TextViewError;

const NOW: UnixMillis = UnixMillis::new(1_767_323_045_006);

/// The proof of a query by somebody who may query below these prefixes only.
fn narrow(prefixes: &[&str]) -> Authorized {
    let (root, client) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    let audience = Audience::parse("wfldb:test").unwrap();
    let grant = |prefix: &&str| Grant {
        bucket: GrantBucket::Any,
        prefix: KeyPrefix::parse(prefix).unwrap(),
        ops: [Op::List, Op::Query].into_iter().collect(),
        limits: GrantLimits::default(),
    };
    let claims = Claims {
        iss: root.key_id(Role::Root),
        sub: client.key_id(Role::Client),
        aud: audience.clone(),
        iat: NOW.seconds(),
        nbf: NOW.seconds(),
        exp: NOW.seconds() + 3600,
        jti: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
        cap: prefixes.iter().map(grant).collect(),
        dlg: 0,
    };
    let token = packet::issue(&root, Role::Root, &claims).unwrap();
    let trust = TrustedRoots::new([root.key_id(Role::Root)]);
    let packet = packet::verify(&token, &trust, &audience, NOW).unwrap();
    let request = RequestToSign {
        method: Method::Get,
        path: "/v1/notes/scan",
        query: "",
        timestamp: NOW,
        nonce: Nonce::from_bytes([9; 16]),
        content: ContentDigest::None,
        headers: &[],
    };
    let headers = sign(&request, &token, &audience, &client).unwrap();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let request = SignedRequest::parse("GET", "/v1/notes/scan", &headers).unwrap();
    let request = request.verify(&packet, &audience, &Verifier::default()).unwrap();
    let request = request.fresh(&mut ReplayMemory::new(10, 10), NOW).unwrap();
    let target = Target::Listing(super::follow::bucket());
    let peer = "127.0.0.1".parse().unwrap();
    let listing = authorize(
        request,
        Method::Get,
        RouteKind::Scan,
        target.clone(),
        peer,
        Written::Later,
    );
    listing
        .unwrap()
        .further(Op::Query, target, Written::Later)
        .unwrap()
}

/// Keys and scores of all that a search finds.
fn found(store: &Store, proof: &Authorized, text: &str) -> Vec<(String, f32)> {
    let page = store.views().search(proof, &SearchRequest::new(text)).unwrap();
    let hits = page.hits.iter();
    hits.map(|hit| (hit.key.as_str().to_owned(), hit.score)).collect()
}

/// A defect it catches: a score that is counted over the whole bucket.
#[test]
fn what_a_caller_may_not_see_changes_neither_its_hits_nor_their_scores() {
    let mut store = Store::new("{}");
    store.put("a/1", json!({"t": "fox den"}));
    store.put("a/2", json!({"t": "fox fox hen"}));
    store.put("b/1", json!({"t": "hen"}));
    store.settle();
    let searches = [
        "fox",
        "den",
        "fox hen",
        "fo*",
        "fix~1",
        "\"fox den\"",
        "+fox -hen",
    ];
    let of = |store: &Store| searches.map(|text| found(store, &narrow(&["a/"]), text));
    let before = of(&store);
    assert_eq!(before[0].len(), 2);
    let all = searches.map(|text| found(&store, &query(), text));
    for number in 0..40 {
        store.put(
            &format!("b/x{number}"),
            json!({"t": "fox fix den layoffs and many other words"}),
        );
        store.put(&format!("a0{number}"), json!({"t": "fox"}));
    }
    store.delete("b/x1");
    store.settle();
    assert_eq!(of(&store), before);
    assert!(found(&store, &narrow(&["a/"]), "layoffs").is_empty());
    assert!(found(&store, &narrow(&["zzz/"]), "fox").is_empty());
    // Whoever sees all sees what came.
    assert_ne!(searches.map(|text| found(&store, &query(), text)), all);
    let both = found(&store, &narrow(&["a/", "b/"]), "fox");
    assert_eq!(both.iter().filter(|(key, _)| key.starts_with("b/")).count(), 18);
}

/// Defects it catches: a hit that is believed although its document was replaced or deleted since; a page that comes
/// short because of them.
#[test]
fn what_the_index_does_not_know_yet_is_not_told() {
    let mut store = Store::new("{}");
    for number in 0..60 {
        store.put(&format!("k{number:02}"), json!({"t": "fox"}));
    }
    store.settle();
    store.hold();
    for number in 0..50 {
        match number % 3 {
            0 => store.delete(&format!("k{number:02}")),
            1 => store.put(&format!("k{number:02}"), json!({"t": "hen"})),
            _ => store.erase_newest(&format!("k{number:02}")),
        }
    }
    let page = store
        .views()
        .search(&query(), &SearchRequest::new("fox"))
        .unwrap();
    let keys: Vec<_> = page.hits.iter().map(|hit| hit.key.as_str().to_owned()).collect();
    let expected: Vec<_> = (50..60).map(|number| format!("k{number}")).collect();
    assert_eq!(keys, expected);
    assert!(!page.more);
    store.let_go();
    store.settle();
    assert_eq!(found(&store, &query(), "hen").len(), 17);
}

#[test]
fn a_page_is_a_part_of_all_with_places_and_documents() {
    let mut store = Store::new(r#"{"fields":["title","body"],"language":"english"}"#);
    for number in 0..9 {
        let body = format!(
            "{} the <b>foxes</b> were running & hunting",
            "and so on ".repeat(30)
        );
        store.put(&format!("k{number}"), json!({"title": "Fox", "body": body}));
    }
    store.settle();
    let all = found(&store, &query(), "title:fox");
    let mut request = SearchRequest {
        limit: 4,
        highlight: true,
        documents: true,
        ..SearchRequest::new("fox \"running hunting\"")
    };
    let mut pages = Vec::new();
    loop {
        let page = store.views().search(&query(), &request).unwrap();
        for hit in &page.hits {
            let marked: Vec<Vec<&str>> = hit
                .highlights
                .iter()
                .map(|place| {
                    place
                        .pieces
                        .iter()
                        .skip(1)
                        .step_by(2)
                        .map(String::as_str)
                        .collect()
                })
                .collect();
            assert_eq!(marked, [vec!["Fox"], vec!["foxes", "running", "hunting"]]);
            let body = &hit.highlights[1];
            assert_eq!(body.field, "body");
            // As it stands there, and no more than a little of it.
            let text = body.pieces.concat();
            assert!(
                text.ends_with("<b>foxes</b> were running & hunting") && text.len() < 260,
                "{text}"
            );
            assert!(hit.document.is_some());
            pages.push(hit.key.as_str().to_owned());
        }
        request.skip += 4;
        if !page.more {
            break;
        }
    }
    let keys: Vec<_> = all.into_iter().map(|(key, _)| key).collect();
    assert_eq!(pages, keys);
}

/// A defect it catches: a search that answers before what was written before is in the index, although it was asked to
/// wait.
#[test]
fn who_waits_for_a_seq_reads_what_was_written() {
    let mut store = Store::new("{}");
    store.settle();
    for number in 0..20 {
        store.put(&format!("k{number}"), json!({"t": format!("word{number}")}));
        let seq = Seq::new(store.seq());
        let views = store.views();
        views
            .until(&query(), seq)
            .unwrap()
            .wait(Duration::from_secs(30))
            .unwrap();
        assert_eq!(found(&store, &query(), &format!("word{number}")).len(), 1);
    }
    let seq = Seq::new(store.seq() + 1);
    let late = store
        .views()
        .until(&query(), seq)
        .unwrap()
        .wait(Duration::from_millis(20));
    assert!(matches!(late, Err(TextViewError::Behind(_))), "{late:?}");
}
