//! JSON Merge Patch and JSON Patch: the cases of their RFCs, and what a hostile patch would like.

use serde_json::json;
use wfldb_core::doc::{JsonPatch, Object, PatchFault, Value, merge, parse};
use wfldb_core::limits::PATCH_OPS_MAX;

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// RFC 7396, appendix A, as far as both sides are objects.
#[test]
fn merges_are_those_of_the_rfc() {
    for (document, patch, result) in [
        (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
        (json!({"a":"b"}), json!({"a":null}), json!({})),
        (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
        (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
        (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
        (
            json!({"a":{"b":"c"}}),
            json!({"a":{"b":"d","c":null}}),
            json!({"a":{"b":"d"}}),
        ),
        (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
        (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        (
            json!({}),
            json!({"a":{"bb":{"ccc":null}}}),
            json!({"a":{"bb":{}}}),
        ),
    ] {
        let made = merge(object(document.clone()), object(patch.clone()));
        assert_eq!(Value::Object(made), result, "{document} {patch}");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so the cases read better")]
fn patched(document: Value, patch: Value) -> Result<Value, (PatchFault, String)> {
    let patch = JsonPatch::parse(&patch).map_err(|error| (error.fault, error.pointer))?;
    patch
        .apply(object(document))
        .map(Value::Object)
        .map_err(|error| (error.fault, error.pointer))
}

/// RFC 6902, appendix A.
#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn patches_are_those_of_the_rfc() {
    for (document, patch, result) in [
        (
            json!({"foo":"bar"}),
            json!([{"op":"add","path":"/baz","value":"qux"}]),
            json!({"baz":"qux","foo":"bar"}),
        ),
        (
            json!({"foo":["bar","baz"]}),
            json!([{"op":"add","path":"/foo/1","value":"qux"}]),
            json!({"foo":["bar","qux","baz"]}),
        ),
        (
            json!({"baz":"qux","foo":"bar"}),
            json!([{"op":"remove","path":"/baz"}]),
            json!({"foo":"bar"}),
        ),
        (
            json!({"foo":["bar","qux","baz"]}),
            json!([{"op":"remove","path":"/foo/1"}]),
            json!({"foo":["bar","baz"]}),
        ),
        (
            json!({"baz":"qux","foo":"bar"}),
            json!([{"op":"replace","path":"/baz","value":"boo"}]),
            json!({"baz":"boo","foo":"bar"}),
        ),
        (
            json!({"foo":[1,2]}),
            json!([{"op":"replace","path":"/foo/0","value":3}]),
            json!({"foo":[3,2]}),
        ),
        (
            json!({"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}),
            json!([{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]),
            json!({"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}),
        ),
        (
            json!({"foo":["all","grass","cows","eat"]}),
            json!([{"op":"move","from":"/foo/1","path":"/foo/3"}]),
            json!({"foo":["all","cows","eat","grass"]}),
        ),
        (
            json!({"baz":"qux","foo":["a",2,"c"]}),
            json!([{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]),
            json!({"baz":"qux","foo":["a",2,"c"]}),
        ),
        (
            json!({"foo":"bar"}),
            json!([{"op":"add","path":"/child","value":{"grandchild":{}}}]),
            json!({"foo":"bar","child":{"grandchild":{}}}),
        ),
        (
            json!({"foo":"bar"}),
            json!([{"op":"add","path":"/baz","value":"qux","xyz":123}]),
            json!({"foo":"bar","baz":"qux"}),
        ),
        (
            json!({"/":9,"~1":10}),
            json!([{"op":"test","path":"/~01","value":10}]),
            json!({"/":9,"~1":10}),
        ),
        (
            json!({"foo":["bar"]}),
            json!([{"op":"add","path":"/foo/-","value":["abc","def"]}]),
            json!({"foo":["bar",["abc","def"]]}),
        ),
        (
            json!({"a":{"b":1}}),
            json!([{"op":"copy","from":"/a","path":"/c"}]),
            json!({"a":{"b":1},"c":{"b":1}}),
        ),
        (
            json!({"a":1}),
            json!([{"op":"replace","path":"","value":{"b":2}}]),
            json!({"b":2}),
        ),
        (
            json!({"a":1}),
            json!([{"op":"move","from":"/a","path":"/a"}]),
            json!({"a":1}),
        ),
    ] {
        assert_eq!(
            patched(document.clone(), patch.clone()),
            Ok(result),
            "{document} {patch}"
        );
    }
    for (document, patch, fault, place) in [
        (
            json!({"baz":"qux"}),
            json!([{"op":"test","path":"/baz","value":"bar"}]),
            PatchFault::Test,
            "/0",
        ),
        (
            json!({"foo":"bar"}),
            json!([{"op":"add","path":"/baz/bat","value":"qux"}]),
            PatchFault::NoSuchPlace,
            "/0",
        ),
        (
            json!({"/":9,"~1":10}),
            json!([{"op":"test","path":"/~01","value":"10"}]),
            PatchFault::Test,
            "/0",
        ),
        (
            json!({"a":[1]}),
            json!([{"op":"add","path":"/a/2","value":1}]),
            PatchFault::NoSuchPlace,
            "/0",
        ),
        (
            json!({"a":[1]}),
            json!([{"op":"remove","path":"/a/01"}]),
            PatchFault::NoSuchPlace,
            "/0",
        ),
        (
            json!({"a":[1]}),
            json!([{"op":"remove","path":"/a/-"}]),
            PatchFault::NoSuchPlace,
            "/0",
        ),
        (
            json!({"a":1}),
            json!([{"op":"replace","path":"/b","value":1}]),
            PatchFault::NoSuchPlace,
            "/0",
        ),
        (
            json!({"a":{}}),
            json!([{"op":"move","from":"/a","path":"/a/b"}]),
            PatchFault::NoSuchPlace,
            "/0",
        ),
        (
            json!({"a":1}),
            json!([{"op":"remove","path":""}]),
            PatchFault::NoSuchPlace,
            "/0",
        ),
        (
            json!({"a":1}),
            json!([{"op":"remove","path":"/a"},{"op":"test","path":"/a","value":1}]),
            PatchFault::NoSuchPlace,
            "/1",
        ),
        (
            json!({"a":1}),
            json!([{"op":"replace","path":"","value":[]}]),
            PatchFault::Result,
            "",
        ),
        (
            json!({}),
            json!([{"op":"remove","path":"a"}]),
            PatchFault::Malformed,
            "/0",
        ),
        (
            json!({}),
            json!([{"op":"remove","path":"/~2"}]),
            PatchFault::Malformed,
            "/0",
        ),
        (
            json!({}),
            json!([{"op":"add","path":"/a"}]),
            PatchFault::Malformed,
            "/0",
        ),
        (
            json!({}),
            json!([{"op":"spam","path":"/a"}]),
            PatchFault::Malformed,
            "/0",
        ),
        (json!({}), json!({}), PatchFault::Malformed, ""),
    ] {
        assert_eq!(
            patched(document.clone(), patch.clone()),
            Err((fault, place.to_owned())),
            "{document} {patch}"
        );
    }
}

/// DEFECTS: a patch of a few bytes that makes a document of gigabytes, or one deeper than any stack.
#[test]
fn a_patch_does_not_make_much_of_little() {
    let doubling = json!([{"op":"copy","from":"","path":"/a"}]);
    let bomb: Vec<Value> = (0..PATCH_OPS_MAX).map(|_| doubling[0].clone()).collect();
    let (fault, _) = patched(json!({"a":1}), Value::Array(bomb)).unwrap_err();
    assert_eq!(fault, PatchFault::Result);
    let wide = json!([{"op":"copy","from":"/a","path":"/a/-"}]);
    let bomb: Vec<Value> = (0..PATCH_OPS_MAX).map(|_| wide[0].clone()).collect();
    let (fault, _) = patched(json!({"a":["x".repeat(100)]}), Value::Array(bomb)).unwrap_err();
    assert_eq!(fault, PatchFault::Result);
    let many = vec![json!({"op":"test","path":"/a","value":1}); PATCH_OPS_MAX + 1];
    assert_eq!(
        patched(json!({"a":1}), Value::Array(many)).unwrap_err().0,
        PatchFault::TooMany
    );
    // As deep as a document may be, and one deeper.
    let nested =
        |depth: usize| parse(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).as_bytes()).unwrap();
    let add = |value| json!([{"op":"add","path":"/a","value":value}]);
    assert!(patched(json!({}), add(nested(63))).is_ok());
    assert_eq!(
        patched(json!({}), add(nested(64))).unwrap_err().0,
        PatchFault::Result
    );
}
