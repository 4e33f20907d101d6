//! Every route against every operation, through a running server.

use http::StatusCode;
use wfldb_core::auth::{Op, RouteKind};
use wfldb_security::count;

use crate::harness::{Ask, Holder, Store};
use crate::routes::{all, ask, opens_to_any_grant};

async fn store() -> Store {
    let store = Store::photos().await;
    for key in ["k", "source"] {
        let put = Ask::new("PUT", &format!("/v1/photos/{key}")).body("x");
        store.send(put).await.ok(StatusCode::CREATED);
    }
    store
}

fn holder(store: &Store, ops: &[Op]) -> Holder {
    let ops: Vec<String> = ops.iter().map(|op| format!("\"{op}\"")).collect();
    store.holder(&[&format!(r#"{{"b":"*","p":"","ops":[{}]}}"#, ops.join(","))])
}

/// Operations of which one is enough to come to a request's entries, which are then decided one by one.
fn enough(kind: RouteKind, ops: &'static [Op]) -> Vec<Op> {
    match kind {
        RouteKind::Batch | RouteKind::Bulk => vec![Op::Put],
        // The row lets in whoever has a grant; what is asked for here is an administrator's.
        RouteKind::Keys => vec![Op::Admin],
        _ => ops.to_vec(),
    }
}

/// Defects it catches: a route whose row names a weaker operation; a handler that is reached before the decision; an
/// operation that opens more than its own routes.
#[tokio::test(flavor = "multi_thread")]
async fn no_route_answers_to_an_operation_that_is_not_its_own() {
    let store = store().await;
    let before = store.contents().await;
    let mut cases = 0;
    for (method, kind, ops) in all() {
        // What comes by a link comes without the headers that a request here is signed with, and is refused before its
        // caller is known: `wfldb-server/tests/server/links.rs` tries those.
        if opens_to_any_grant(kind) || kind == RouteKind::ObjectLink {
            continue;
        }
        let needed = enough(kind, ops);
        // Each operation alone, and everything but one that is needed.
        let mut holders: Vec<Vec<Op>> = Op::ALL.into_iter().map(|op| vec![op]).collect();
        for missing in &needed {
            holders.push(Op::ALL.into_iter().filter(|op| op != missing).collect());
        }
        holders.retain(|held| !needed.iter().all(|op| held.contains(op)));
        for held in holders {
            let answer = store.send_as(&holder(&store, &held), ask(method, kind)).await;
            assert_eq!(answer.status, 403, "{method} {kind:?} with {held:?}: {answer:?}");
            cases += 1;
        }
    }
    assert_eq!(
        store.contents().await,
        before,
        "a refused request changed something"
    );
    count("route by operation, refused", cases);
}

/// The other half: with exactly the operations of its row, a request is never refused for want of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_asks_for_no_more_than_its_row_says() {
    let mut cases = 0;
    let mut store = store().await;
    for (method, kind, ops) in all() {
        let mut ops = ops.to_vec();
        if kind == RouteKind::ObjectCopy {
            ops.push(Op::Get);
        }
        if kind == RouteKind::Keys {
            ops = vec![Op::Admin];
        }
        let answer = store.send_as(&holder(&store, &ops), ask(method, kind)).await;
        assert_ne!(answer.status, 401, "{method} {kind:?}: {answer:?}");
        let forbidden = answer.status == 403 && (method.as_str() == "HEAD" || answer.code() == "Forbidden");
        assert!(!forbidden, "{method} {kind:?} with {ops:?}: {answer:?}");
        cases += 1;
        if matches!(kind, RouteKind::Bucket | RouteKind::BucketForce) {
            store = self::store().await;
        }
    }
    count("route by operation, allowed", cases);
}

/// Routes that any grant opens tell each holder what its own grants cover, and a packet without grants opens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_packet_without_grants_opens_no_route() {
    let store = store().await;
    let nobody = store.holder(&[]);
    let mut cases = 0;
    for (method, kind, _) in all() {
        let answer = store.send_as(&nobody, ask(method, kind)).await;
        let nothing = kind == RouteKind::Buckets
            && answer.status == 200
            && answer.json()["buckets"] == serde_json::json!([]);
        let link = kind == RouteKind::ObjectLink && answer.status == 400;
        assert!(
            answer.status == 403 || nothing || link,
            "{method} {kind:?}: {answer:?}"
        );
        cases += 1;
    }
    count("packet without grants", cases);
}
