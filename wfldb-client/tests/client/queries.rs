//! Questions: what goes out for each page, and where it ends.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use serde_json::{Value, json};
use wfldb_client::Query;

use crate::fake::{Fake, answer, problem};
use crate::wire::place;

fn body(of: &[u8]) -> Value {
    serde_json::from_slice(of).unwrap()
}

/// DEFECT: a limit that is asked for again on each page, a bookmark that is left out, an empty page taken for the last.
#[tokio::test]
async fn pages_are_followed_as_far_as_the_limit() {
    let fake = Fake::start(|number, seen| {
        let asked = body(&seen.body);
        let page = match number {
            0 => json!({"docs": [{"n": 1}, {"n": 2}], "bookmark": "first"}),
            1 => json!({"docs": [], "bookmark": "second"}),
            _ => json!({"docs": [{"n": 3}], "bookmark": "third"}),
        };
        let bookmark = [Value::Null, json!("first"), json!("second")][number].clone();
        assert_eq!(asked.get("bookmark").cloned().unwrap_or_default(), bookmark);
        answer(200, &[("content-type", "application/json")], page.to_string())
    })
    .await;
    let (bucket, _) = place();
    let query = Query::all()
        .filter(json!({"a": 1}))
        .filter(json!({"b": 2}))
        .limit(3)
        .page(2);
    let found = fake.client().find(&bucket, &query).all().await.unwrap();
    assert_eq!(found, [json!({"n": 1}), json!({"n": 2}), json!({"n": 3})]);
    let seen = fake.seen();
    let limits: Vec<Value> = seen
        .iter()
        .map(|seen| body(&seen.body)["limit"].clone())
        .collect();
    assert_eq!(limits, [2, 1, 1]);
    assert!(
        seen.iter()
            .all(|seen| seen.method == "POST" && seen.target.ends_with("/_find"))
    );
    assert_eq!(
        body(&seen[0].body)["selector"],
        json!({"$and": [{"a": 1}, {"b": 2}]})
    );
}

/// A question changes nothing, so it is sent again where the answer was lost or is to be waited for.
#[tokio::test]
async fn a_question_is_sent_again_and_a_refused_one_is_not() {
    let fake = Fake::start(|number, _| match number {
        0 => problem(503, "Busy", None, &[("retry-after", "0")]),
        1 => answer(
            200,
            &[("content-type", "application/json")],
            r#"{"docs":[],"count":7}"#,
        ),
        _ => problem(400, "UnknownOperator", None, &[]),
    })
    .await;
    let (bucket, _) = place();
    let query = Query::all().sort("a").limit(5);
    assert_eq!(fake.client().count(&bucket, &query).await.unwrap(), 7);
    let asked = body(&fake.seen()[1].body);
    assert_eq!(
        (&asked["limit"], &asked["count"], asked.get("sort")),
        (&json!(0), &json!(true), None)
    );
    let refused = fake.client().explain(&bucket, &query).await.unwrap_err();
    assert_eq!(refused.code(), Some("UnknownOperator"));
    assert_eq!(fake.seen().len(), 3);
}
