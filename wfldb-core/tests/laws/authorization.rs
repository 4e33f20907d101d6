//! Grants: the authorizer against a plain model, and monotony.

use std::net::IpAddr;

use proptest::prelude::*;
use wfldb_core::auth::{Method, ObjectAttributes, Op, OpSet, RouteKind, Target, Written, authorize};
use wfldb_core::name::{BucketName, KeyPrefix, ObjectKey};
use wfldb_core::packet::{Cidr, Grant, GrantBucket, GrantLimits};

use crate::support::fresh;

const PEER: &str = "10.1.2.3";

pub(crate) fn grant() -> impl Strategy<Value = Grant> {
    let bucket = prop_oneof![
        Just(GrantBucket::Any),
        prop_oneof![Just("docs"), Just("photos")]
            .prop_map(|name| GrantBucket::Named(BucketName::parse(name).unwrap())),
    ];
    let prefix = prop_oneof![Just(""), Just("a"), Just("a/"), Just("ab"), Just("b")];
    let op = prop::sample::select(vec![
        Op::Get,
        Op::List,
        Op::Put,
        Op::Delete,
        Op::Erase,
        Op::Manage,
    ]);
    let range = prop_oneof![Just("10.0.0.0/8"), Just("127.0.0.0/8")];
    let limits = (
        proptest::option::weighted(0.2, 0_u64..4),
        proptest::bool::weighted(0.2),
        proptest::option::weighted(0.2, proptest::collection::vec(range, 0..2)),
        proptest::option::weighted(
            0.2,
            proptest::collection::vec(prop_oneof![Just("a/b"), Just("c/d")], 0..2),
        ),
    );
    (bucket, prefix, proptest::collection::vec(op, 0..4), limits).prop_map(
        |(bucket, prefix, ops, (max_bytes, create_only, cidr, content_type))| Grant {
            bucket,
            prefix: KeyPrefix::parse(prefix).unwrap(),
            ops: ops.into_iter().collect(),
            limits: GrantLimits {
                max_bytes,
                create_only,
                cidr: cidr.map(|list| list.iter().map(|text| Cidr::parse(text).unwrap()).collect()),
                content_type: content_type.map(|list| list.iter().map(|text| (*text).to_owned()).collect()),
                ..GrantLimits::default()
            },
        },
    )
}

#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) route: RouteKind,
    pub(crate) target: Target,
    pub(crate) put: Option<(Option<&'static str>, u64)>,
}

pub(crate) fn question() -> impl Strategy<Value = Question> {
    let photos = || BucketName::parse("photos").unwrap();
    let key = prop_oneof![Just("a"), Just("ab"), Just("a/b"), Just("b"), Just("c")]
        .prop_map(|key| ObjectKey::parse(key).unwrap());
    let put = (
        prop_oneof![Just(None), Just(Some("a/b")), Just(Some("e/f"))],
        0_u64..6,
    );
    prop_oneof![
        (
            key,
            prop_oneof![Just(Method::Get), Just(Method::Put), Just(Method::Delete)],
            put
        )
            .prop_map(move |(key, method, put)| Question {
                method,
                route: RouteKind::Object,
                target: Target::Key(photos(), key),
                put: (method == Method::Put).then_some(put),
            }),
        Just(Question {
            method: Method::Get,
            route: RouteKind::Scan,
            target: Target::Listing(photos()),
            put: None
        }),
        Just(Question {
            method: Method::Delete,
            route: RouteKind::BucketForce,
            target: Target::Bucket(photos()),
            put: None
        }),
    ]
}

/// The visible prefixes when it is allowed.
fn ask(cap: Vec<Grant>, question: &Question) -> Option<wfldb_core::auth::Authorized> {
    let request = fresh(question.method, &question.target.path(), cap);
    let put = question
        .put
        .map(|(content_type, len)| ObjectAttributes { content_type, len });
    let peer: IpAddr = PEER.parse().unwrap();
    authorize(
        request,
        question.method,
        question.route,
        question.target.clone(),
        peer,
        put.map_or(Written::Later, Written::Known),
    )
    .ok()
}

/// The rule of the protocol once more, as plainly as it can be said.
fn model(cap: &[Grant], question: &Question) -> bool {
    let ops: &[Op] = match (question.route, question.method) {
        (RouteKind::Scan, _) => &[Op::List],
        (RouteKind::BucketForce, _) => &[Op::Manage, Op::Erase],
        (_, Method::Get) => &[Op::Get],
        (_, Method::Put) => &[Op::Put],
        _ => &[Op::Delete],
    };
    let allows = |grant: &Grant, op: Op| {
        let bucket = grant.bucket == GrantBucket::Any || grant.bucket.as_str() == "photos";
        let place = match &question.target {
            Target::Key(_, key) => key.as_str().starts_with(grant.prefix.as_str()),
            Target::Bucket(_) => grant.prefix.as_str().is_empty(),
            _ => true,
        };
        let near = grant
            .limits
            .cidr
            .as_ref()
            .is_none_or(|list| list.iter().any(|range| range.to_string() == "10.0.0.0/8"));
        let fits = question.put.is_none_or(|(content_type, len)| {
            grant.limits.max_bytes.is_none_or(|max| len <= max)
                && grant
                    .limits
                    .content_type
                    .as_ref()
                    .is_none_or(|list| list.iter().any(|one| Some(one.as_str()) == content_type))
        });
        bucket && place && near && fits && grant.ops.contains(op)
    };
    ops.iter().all(|op| cap.iter().any(|grant| allows(grant, *op)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_authorizer_agrees_with_a_plain_model(cap in proptest::collection::vec(grant(), 0..5), question in question()) {
        prop_assert_eq!(ask(cap.clone(), &question).is_some(), model(&cap, &question));
    }

    /// A further access is decided like one of its own. Seeded defect: the first access's grants passed on.
    #[test]
    fn a_further_access_is_allowed_when_a_request_for_it_would_be(
        cap in proptest::collection::vec(grant(), 1..5),
        question in question(),
    ) {
        let any = Question {
            method: Method::Get,
            route: RouteKind::Buckets,
            target: Target::Store,
            put: None,
        };
        let op = match (question.route, question.method) {
            // Two operations are no single access.
            (RouteKind::BucketForce, _) => return Ok(()),
            (route, method) => wfldb_core::auth::required(method, route).unwrap()[0],
        };
        if let Some(proof) = ask(cap.clone(), &any) {
            let written = question.put.map_or(Written::Later, |(content_type, len)| {
                Written::Known(ObjectAttributes { content_type, len })
            });
            let further = proof.further(op, question.target.clone(), written);
            let alone = ask(cap, &question);
            prop_assert_eq!(further.is_ok(), alone.is_some());
            if let (Ok(further), Some(alone)) = (further, alone) {
                prop_assert_eq!(further.charges(), alone.charges());
                prop_assert_eq!(further.create_only(), alone.create_only());
                prop_assert_eq!(further.object_bytes_max(), alone.object_bytes_max());
            }
        }
    }

    #[test]
    fn authorization_only_shrinks_when_a_grant_is_removed(
        cap in proptest::collection::vec(grant(), 1..6),
        removed in any::<prop::sample::Index>(),
        question in question(),
    ) {
        let mut fewer = cap.clone();
        fewer.remove(removed.index(cap.len()));
        if let Some(less) = ask(fewer, &question) {
            let more = ask(cap, &question);
            prop_assert!(more.is_some(), "fewer grants allow what more do not");
            let more = more.unwrap();
            // Nor does a removed grant lift a restriction, show a key or add a right.
            prop_assert!(less.create_only() || !more.create_only());
            for key in ["a", "ab", "a/b", "b", "c"].map(|key| ObjectKey::parse(key).unwrap()) {
                prop_assert!(more.sees_key(&key) || !less.sees_key(&key));
            }
            for op in Op::ALL {
                prop_assert!(more.may_also(op) || !less.may_also(op));
            }
        }
    }

    #[test]
    fn visible_prefixes_are_what_single_accesses_would_show(cap in proptest::collection::vec(grant(), 0..5)) {
        let photos = BucketName::parse("photos").unwrap();
        let scan = Question { method: Method::Get, route: RouteKind::Scan, target: Target::Listing(photos.clone()), put: None };
        let listed = |key: &ObjectKey| {
            cap.iter().any(|grant| {
                let near = grant.limits.cidr.as_ref().is_none_or(|list| list.iter().any(|range| range.contains(PEER.parse().unwrap())));
                grant.ops.contains(Op::List) && grant.bucket.covers(&photos) && near && grant.prefix.covers(key)
            })
        };
        let proof = ask(cap.clone(), &scan);
        for key in ["a", "ab", "a/b", "b", "c"].map(|key| ObjectKey::parse(key).unwrap()) {
            prop_assert_eq!(proof.as_ref().is_some_and(|proof| proof.sees_key(&key)), listed(&key));
        }
        if let Some(prefixes) = proof.and_then(|proof| proof.visible_prefixes()) {
            prop_assert!(prefixes.is_sorted());
            for (index, prefix) in prefixes.iter().enumerate() {
                prop_assert!(prefixes[index + 1..].iter().all(|other| !prefix.covers_prefix(other)));
            }
        }
    }
}

#[test]
fn existence_is_told_only_to_those_who_may_ask() {
    let photos = BucketName::parse("photos").unwrap();
    let put = Question {
        method: Method::Put,
        route: RouteKind::Object,
        target: Target::Key(photos, ObjectKey::parse("a").unwrap()),
        put: Some((None, 1)),
    };
    let with = |ops: &[Op]| {
        let ops: OpSet = ops.iter().copied().collect();
        ask(
            vec![Grant {
                ops,
                ..Grant::everything()
            }],
            &put,
        )
        .unwrap()
    };
    assert!(!with(&[Op::Put]).reveals_existence());
    assert!(with(&[Op::Put, Op::Get]).reveals_existence());
    assert!(with(&[Op::Put, Op::List]).reveals_existence());
    assert!(with(&[Op::Put]).may_also(Op::Put) && !with(&[Op::Put]).may_also(Op::Get));
}

#[test]
fn counters_are_kept_apart_by_signer_holder_bucket_and_prefix_alone() {
    use wfldb_core::id::{Role, SecretKey};
    let id = |seed: u8| SecretKey::from_seed([seed; 32]).key_id(Role::Issuer);
    let plain = Grant::parse_json(r#"{"b":"photos","p":"a","ops":["put"]}"#).unwrap();
    let limited = Grant::parse_json(r#"{"b":"photos","p":"a","ops":["get"],"rate":5}"#).unwrap();
    assert_eq!(plain.id(&id(1), &id(2)), limited.id(&id(1), &id(2)));
    let others = [
        plain.id(&id(2), &id(1)),
        plain.id(&id(1), &id(3)),
        Grant {
            prefix: KeyPrefix::all(),
            ..plain.clone()
        }
        .id(&id(1), &id(2)),
        Grant {
            bucket: GrantBucket::Any,
            ..plain.clone()
        }
        .id(&id(1), &id(2)),
    ];
    assert!(!others.contains(&plain.id(&id(1), &id(2))));
}
