//! Chains of links against a running server: every link is asked, and charged.

use http::StatusCode;
use serde_json::json;
use wfldb_core::encoding::base64url;

use crate::harness::{Ask, BOTH, Holder, Store, text};

/// A holder of these grants who may pass them on three times.
fn passing_on(store: &Store, grants: &[&str]) -> Holder {
    store.holder_with(grants, |claims| claims.dlg = 3)
}

fn put(key: &str, body: &'static str) -> Ask {
    Ask::new("PUT", &format!("/v1/photos/{key}")).body(body)
}

fn get(key: &str) -> Ask {
    Ask::new("GET", &format!("/v1/photos/{key}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_has_to_allow() {
    let store = Store::photos().await;
    store.send(put("ab", "x")).await.ok(StatusCode::CREATED);
    store.send(put("b", "x")).await.ok(StatusCode::CREATED);
    let wide = passing_on(&store, &[r#"{"b":"*","p":"","ops":["get","put","list"]}"#]);
    let narrow = Store::delegate(&wide, &[r#"{"b":"photos","p":"a","ops":["get","list"]}"#]);
    // What is named again here was taken away before.
    let wide_again = Store::delegate(
        &narrow,
        &[r#"{"b":"*","p":"","ops":["get","put","list","manage","admin"]}"#],
    );
    let last = Store::delegate(&wide_again, &[r#"{"b":"*","p":"","ops":["get","list"]}"#]);
    let nothing = Store::delegate(&narrow, &[]);
    for http in BOTH {
        for holder in [&narrow, &wide_again, &last] {
            store
                .send_as(holder, get("ab").over(http))
                .await
                .ok(StatusCode::OK);
            store
                .send_as(holder, get("b").over(http))
                .await
                .is(403, "Forbidden");
            store
                .send_as(holder, put("ab", "y").over(http))
                .await
                .is(403, "Forbidden");
            let stats = Ask::new("GET", "/v1/_stats").over(http);
            store.send_as(holder, stats).await.is(403, "Forbidden");
            let listing = store
                .send_as(holder, Ask::new("GET", "/v1/photos/scan").over(http))
                .await
                .json();
            let keys = listing["items"].as_array().unwrap().iter();
            let keys: Vec<_> = keys.map(|item| text(&item["key"])).collect();
            assert_eq!(keys, ["ab"]);
            let buckets = store
                .send_as(holder, Ask::new("GET", "/v1").over(http))
                .await
                .json();
            assert_eq!(buckets["buckets"].as_array().map(Vec::len), Some(1));
        }
        store
            .send_as(&nothing, get("ab").over(http))
            .await
            .is(403, "Forbidden");
    }
}

/// The public answer is one and the same whatever is wrong with a chain.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_does_not_hold_is_401_and_says_no_more() {
    let store = Store::photos().await;
    let grant = [r#"{"b":"photos","p":"","ops":["get","put"]}"#];
    let first = passing_on(&store, &grant);
    let second = Store::delegate(&first, &grant);
    let other = Store::delegate(&first, &grant);
    let with_claims = |holder: &Holder, change: &dyn Fn(&mut serde_json::Value)| {
        let mut parts: Vec<_> = holder.packet.split('.').map(str::to_owned).collect();
        let claims = base64url::decode(&parts[1]).unwrap();
        let mut claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        change(&mut claims);
        parts[1] = base64url::encode(&serde_json::to_vec(&claims).unwrap());
        let signed = format!("{}.{}", parts[0], parts[1]);
        let signature = first.key.sign(signed.as_bytes());
        Holder {
            packet: format!("{signed}.{signature}"),
            ..holder.clone()
        }
    };
    assert_eq!(
        store
            .send_as(&with_claims(&second, &|_| {}), put("k", "x"))
            .await
            .status,
        201,
        "the same claims, signed the same way"
    );
    let refused = [
        with_claims(&second, &|claims| claims["prf"] = other.packet.clone().into()),
        with_claims(&second, &|claims| claims["prf"] = "a.b.c".into()),
        with_claims(&second, &|claims| {
            claims.as_object_mut().unwrap().remove("prf");
        }),
        with_claims(&second, &|claims| claims["dlg"] = 3.into()),
        with_claims(&second, &|claims| {
            claims["exp"] = (claims["exp"].as_u64().unwrap() + 1).into();
        }),
        // The packet of one with the key of another.
        Holder {
            key: other.key.clone(),
            ..second.clone()
        },
        Holder {
            key: first.key.clone(),
            ..second.clone()
        },
    ];
    for holder in refused {
        for http in BOTH {
            let answer = store.send_as(&holder, get("k").over(http)).await;
            answer.is(401, "Unauthenticated");
            assert!(answer.json().get("hint").is_none(), "{answer:?}");
        }
    }
    let too_long = (0..3).fold(first.clone(), |holder, _| Store::delegate(&holder, &grant));
    store.send_as(&too_long, get("k")).await.ok(StatusCode::OK);
}

/// Defects it catches: the quota or the rate of a link that is not the last one passed over, so that passing a packet
/// on, again and again, gives more of both.
#[tokio::test(flavor = "multi_thread")]
async fn quota_and_rate_are_charged_at_every_link() {
    let store = Store::photos().await;
    let first = passing_on(
        &store,
        &[r#"{"b":"photos","p":"","ops":["put","get"],"quota_bytes":10}"#],
    );
    let child = || {
        Store::delegate(
            &first,
            &[r#"{"b":"photos","p":"","ops":["put","get"],"quota_bytes":6}"#],
        )
    };
    let (one, other) = (child(), child());
    store
        .send_as(&one, put("a", "12345"))
        .await
        .ok(StatusCode::CREATED);
    store.send_as(&one, put("b", "12")).await.is(403, "QuotaExceeded");
    store
        .send_as(&other, put("b", "12345"))
        .await
        .ok(StatusCode::CREATED);
    // Of the first link's ten bytes none is left, for whomever it was passed on to.
    store
        .send_as(&other, put("c", "1"))
        .await
        .is(403, "QuotaExceeded");
    store
        .send_as(&child(), put("c", "1"))
        .await
        .is(403, "QuotaExceeded");
    store
        .send_as(&first, put("c", "1"))
        .await
        .is(403, "QuotaExceeded");

    let slow = passing_on(&store, &[r#"{"b":"photos","p":"","ops":["get"],"rate":1}"#]);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let fresh = Store::delegate(&slow, &[r#"{"b":"photos","p":"","ops":["get"]}"#]);
        statuses.push(store.send_as(&fresh, get("a")).await.status);
    }
    assert_eq!(statuses[0], 200, "{statuses:?}");
    assert!(statuses[1..].contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_which_grant_of_which_link_decides() {
    let store = Store::photos().await;
    let first = passing_on(
        &store,
        &[
            r#"{"b":"photos","p":"a","ops":["get"]}"#,
            r#"{"b":"photos","p":"","ops":["put"],"rate":1000,"quota_bytes":100,"create_only":true}"#,
        ],
    );
    let holder = Store::delegate(
        &first,
        &[r#"{"b":"*","p":"","ops":["get","put"],"max_bytes":3,"content_type":["a/b"]}"#],
    );
    let ask = |holder: &Holder, question: serde_json::Value| {
        let ask = Ask::new("POST", "/v1/_dryrun").body(question.to_string());
        let (store, holder) = (&store, holder.clone());
        async move { store.send_as(&holder, ask).await }
    };
    let answer = ask(&holder, json!({"method": "GET", "target": "/v1/photos/ab"})).await;
    assert_eq!(
        answer.ok(StatusCode::OK).json(),
        json!({"allowed": true, "needs": [{"op": "get", "bucket": "photos", "key": "ab", "allowed": true,
            "links": [{"grant": 0}, {"grant": 0}]}]})
    );
    let answer = ask(&holder, json!({"method": "HEAD", "target": "/v1/photos/b"})).await;
    assert_eq!(
        answer.json(),
        json!({"allowed": false, "needs": [{"op": "get", "bucket": "photos", "key": "b", "allowed": false,
            "refused_by": 0, "links": [{"objection": "p"}, {"grant": 0}]}]})
    );
    let question = |object| json!({"method": "PUT", "target": "/v1/photos/b", "object": object});
    let limits = json!(["create_only", "quota_bytes", "rate"]);
    for (object, last) in [
        (json!({"bytes": 3, "content_type": "a/b"}), json!({"grant": 0})),
        (
            json!({"bytes": 4, "content_type": "a/b"}),
            json!({"objection": "max_bytes"}),
        ),
        (json!({"bytes": 3}), json!({"objection": "content_type"})),
        (json!(null), json!({"grant": 0})),
    ] {
        let answer = ask(&holder, question(object.clone())).await.json();
        assert_eq!(answer["needs"][0]["links"][1], last, "{object}");
        assert_eq!(
            answer["needs"][0]["links"][0],
            json!({"grant": 1, "undecided": limits})
        );
    }
    // A copy needs its source too.
    let copy = json!({"method": "POST", "target": "/v1/photos/b?copy=%2Fphotos%2Fc"});
    let answer = ask(&holder, copy).await.json();
    assert_eq!(
        (
            &answer["allowed"],
            &answer["needs"][0]["allowed"],
            &answer["needs"][1]["refused_by"]
        ),
        (&json!(false), &json!(true), &json!(0))
    );
    // Nothing was written, and nothing tells whether the bucket is there.
    let elsewhere = ask(&holder, json!({"method": "GET", "target": "/v1/none-such/ab"})).await;
    assert_eq!(
        elsewhere.json()["needs"][0]["links"][0],
        json!({"objection": "b"})
    );
    let everywhere = store.holder(&[r#"{"b":"*","p":"","ops":["get"]}"#]);
    for bucket in ["photos", "none-such"] {
        let target = format!("/v1/{bucket}/absent");
        let answer = ask(&everywhere, json!({"method": "GET", "target": target})).await;
        assert_eq!(answer.json()["allowed"], json!(true));
    }
    let near = store.holder(&[r#"{"b":"photos","p":"","ops":["get"],"cidr":["127.0.0.0/8"]}"#]);
    for (peer, link) in [
        (json!("127.9.9.9"), json!({"grant": 0})),
        (json!("10.0.0.1"), json!({"objection": "cidr"})),
    ] {
        let question = json!({"method": "GET", "target": "/v1/photos/a", "peer": peer});
        assert_eq!(ask(&near, question).await.json()["needs"][0]["links"][0], link);
    }
    // Who may do nothing may not ask; what is no request is no question.
    let nobody = store.holder(&[]);
    let question = json!({"method": "GET", "target": "/v1/photos/a"});
    ask(&nobody, question.clone()).await.is(403, "Forbidden");
    let far = store.holder(&[r#"{"b":"photos","p":"","ops":["get"],"cidr":["10.0.0.0/8"]}"#]);
    ask(&far, question).await.is(403, "Forbidden");
    for question in [
        json!({}),
        json!([]),
        json!({"method": "GET", "target": "/v1/photos/a?x=1"}),
    ] {
        ask(&near, question).await.is(400, "BadBody");
    }
    let (items, versions) = store.contents().await;
    assert_eq!((items.len(), versions), (0, 0));
}
