//! `_stats` and `_admin`: the store's own services, for administrators of all of it.

use http::StatusCode;
use serde_json::json;

use crate::harness::{Ask, BOTH, Store};

#[tokio::test(flavor = "multi_thread")]
async fn stats_and_admin_are_for_admins_of_the_whole_store() {
    let store = Store::photos().await;
    store
        .send(Ask::new("PUT", "/v1/photos/k").body(vec![1; 100_000]))
        .await
        .ok(StatusCode::CREATED);
    let everything_else = store.holder(&[
        r#"{"b":"*","p":"","ops":["get","list","put","delete","erase","query","watch","manage","audit"]}"#,
    ]);
    let admin = store.holder(&[r#"{"b":"*","p":"","ops":["admin"]}"#]);
    let elsewhere = store.holder(&[r#"{"b":"*","p":"","ops":["admin"],"cidr":["10.0.0.0/8"]}"#]);
    for http in BOTH {
        let stats = || Ask::new("GET", "/v1/_stats").over(http);
        let work = |body: &str| Ask::new("POST", "/v1/_admin").over(http).body(body);
        for holder in [&everything_else, &elsewhere] {
            store.send_as(holder, stats()).await.is(403, "Forbidden");
            // Before what is asked for is looked at.
            for body in [
                r#"{"do":"verify"}"#,
                r#"{"do":"mirror-verify"}"#,
                r#"{"do":"mirror-look"}"#,
                "nonsense",
            ] {
                store.send_as(holder, work(body)).await.is(403, "Forbidden");
            }
        }
        let figures = store.send_as(&admin, stats()).await.ok(StatusCode::OK).json();
        for name in [
            "commits",
            "log_position",
            "waiting",
            "write_buffer_bytes",
            "journals",
            "storage_bytes",
        ] {
            assert!(figures[name].is_u64(), "{name}: {figures}");
        }
        assert!(figures["log_position"].as_u64().unwrap() >= 2);
        let verdict = store
            .send_as(&admin, work(r#"{"do":"verify"}"#))
            .await
            .ok(StatusCode::OK)
            .json();
        assert_eq!(
            (
                &verdict["sound"],
                &verdict["buckets"],
                &verdict["versions"],
                &verdict["findings"]
            ),
            (&json!(true), &json!(1), &json!(1), &json!([]))
        );
        let compacted = store
            .send_as(&admin, work(r#"{"do":"compact"}"#))
            .await
            .ok(StatusCode::OK)
            .json();
        for name in [
            "storage_bytes_before",
            "storage_bytes",
            "chunk_files_removed",
            "chunk_bytes_removed",
        ] {
            assert!(compacted[name].is_u64(), "{name}: {compacted}");
        }
        for body in [
            "",
            "{}",
            "[]",
            r#"{"do":"forget"}"#,
            r#"{"do":"verify","then":1}"#,
            r#"{"do":"mirror-verify","mirror":"/etc"}"#,
            r#"{"do":"MirrorLook"}"#,
            r#"["verify"]"#,
        ] {
            store.send_as(&admin, work(body)).await.is(400, "BadBody");
        }
        // `admin` is nothing else.
        let get = Ask::new("GET", "/v1/photos/k").over(http);
        store.send_as(&admin, get).await.is(403, "Forbidden");
        for (method, target, allow) in [
            ("POST", "/v1/_stats", "GET"),
            ("GET", "/v1/_admin", "POST"),
            ("DELETE", "/v1/_admin", "POST"),
        ] {
            let refused = store.send_as(&admin, Ask::new(method, target).over(http)).await;
            refused.is(405, "MethodNotAllowed");
            assert_eq!(refused.header("allow"), allow);
        }
    }
    // A packet with `admin` of less than the store is no packet.
    assert!(wfldb_core::packet::Grant::parse_json(r#"{"b":"photos","p":"","ops":["admin"]}"#).is_err());
}
