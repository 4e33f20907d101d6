//! Chains of links: never more than any of their links, and what passing on may not do.

use std::net::IpAddr;

use proptest::prelude::*;
use wfldb_core::auth::{
    Authorized, Inquiry, Method, ObjectAttributes, Objection, Op, RouteKind, Service, Target, Written,
    authorize, required,
};
use wfldb_core::id::Role;
use wfldb_core::limits::LINKS_MAX;
use wfldb_core::name::{BucketName, KeyPrefix, ObjectKey};
use wfldb_core::packet::{self, Grant, GrantBucket, GrantLimits, Packet, PacketError, effective, widening};

use crate::authorization::{Question, grant, question};
use crate::support::{
    NOW, audience, chain_claims, claims, fresh, fresh_with, issue_chain, middle, root, trust,
};

const PEER: &str = "10.1.2.3";
const KEYS: [&str; 5] = ["a", "ab", "a/b", "b", "c"];

fn peer() -> IpAddr {
    PEER.parse().unwrap()
}

fn photos() -> BucketName {
    BucketName::parse("photos").unwrap()
}

/// Half of the grants are wide, so that chains which allow something are no rarity.
fn caps() -> impl Strategy<Value = Vec<Vec<Grant>>> {
    let wide = grant().prop_map(|narrow| Grant {
        ops: Op::ALL.into_iter().filter(|op| *op != Op::Admin).collect(),
        limits: GrantLimits::default(),
        ..narrow
    });
    let either = prop_oneof![grant(), wide];
    proptest::collection::vec(proptest::collection::vec(either, 0..5), 2..=LINKS_MAX)
}

fn written(put: Option<(Option<&'static str>, u64)>) -> Written<'static> {
    put.map_or(Written::Later, |(content_type, len)| {
        Written::Known(ObjectAttributes { content_type, len })
    })
}

fn ask_with(token: &str, question: &Question) -> Option<Authorized> {
    let request = fresh_with(token, question.method, &question.target.path());
    let (method, route) = (question.method, question.route);
    authorize(
        request,
        method,
        route,
        question.target.clone(),
        peer(),
        written(question.put),
    )
    .ok()
}

/// What a packet of one link with these grants says.
fn ask_one(cap: Vec<Grant>, question: &Question) -> Option<Authorized> {
    let request = fresh(question.method, &question.target.path(), cap);
    let (method, route) = (question.method, question.route);
    authorize(
        request,
        method,
        route,
        question.target.clone(),
        peer(),
        written(question.put),
    )
    .ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Seeded defects, each caught here: only the last link asked; only link 0; `any` for `all` over the links; the
    /// prefixes of a listing taken from the last link alone. (`create_only` of the last link alone: the corpus.)
    #[test]
    fn a_chain_allows_exactly_what_every_link_allows(caps in caps(), question in question()) {
        let token = issue_chain(&chain_claims(&caps));
        let whole = ask_with(&token, &question);
        let single: Vec<_> = caps.iter().map(|cap| ask_one(cap.clone(), &question)).collect();
        prop_assert_eq!(whole.is_some(), single.iter().all(Option::is_some));
        let Some(whole) = whole else { return Ok(()) };
        for link in single.into_iter().flatten() {
            prop_assert!(whole.create_only() || !link.create_only());
            prop_assert!(whole.object_bytes_max().unwrap_or(u64::MAX) <= link.object_bytes_max().unwrap_or(u64::MAX));
            for key in KEYS.map(|key| ObjectKey::parse(key).unwrap()) {
                prop_assert!(link.sees_key(&key) || !whole.sees_key(&key), "{key} is shown");
            }
            for op in Op::ALL {
                prop_assert!(link.may_also(op) || !whole.may_also(op), "{op} is added");
            }
        }
    }

    /// Charged is at each link what a packet of that link alone would be charged for. Seeded defects: the last link's
    /// charges only; link 0's only.
    #[test]
    fn every_link_is_charged(caps in caps(), question in question()) {
        let links = chain_claims(&caps);
        let Some(whole) = ask_with(&issue_chain(&links), &question) else { return Ok(()) };
        let alone = claims(Vec::new());
        let mut expected: Vec<_> = Vec::new();
        for link in &links {
            let charged = ask_one(link.cap.clone(), &question).unwrap();
            let charged = charged.charges().iter().map(|charge| charge.grant);
            for id in charged {
                let same = |grant: &&Grant| grant.id(&alone.iss, &alone.sub) == id;
                let grant = link.cap.iter().find(same).unwrap();
                expected.push(grant.id(&link.iss, &link.sub));
            }
        }
        let mut charged: Vec<_> = whole.charges().iter().map(|charge| charge.grant).collect();
        charged.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(charged, expected);
    }

    /// The grants that `inspect` shows are the chain itself: no more and no less. Seeded defects: a limit that only one
    /// side names dropped; the wider prefix taken; grants that cover others partly left out.
    #[test]
    fn the_effective_grants_are_the_chain(caps in caps(), question in question()) {
        let links = chain_claims(&caps);
        let all = effective(&links);
        let whole = ask_with(&issue_chain(&links), &question);
        // One at a time, since there may be more of them than a packet holds.
        let ops = required(question.method, question.route).unwrap();
        let one = |op: &Op| all.iter().filter_map(|grant| further(grant, *op, &question)).collect::<Vec<_>>();
        if matches!(question.target, Target::Listing(_)) {
            // A listing may be asked for by whoever has a grant in each link, and shows nothing then.
            for key in KEYS.map(|key| ObjectKey::parse(key).unwrap()) {
                let sees = whole.as_ref().is_some_and(|proof| proof.sees_key(&key));
                let shown = one(&Op::List).iter().any(|proof| proof.sees_key(&key));
                prop_assert_eq!(sees, shown, "{}", key);
            }
        } else {
            let shown = ops.iter().all(|op| !one(op).is_empty());
            prop_assert_eq!(whole.is_some(), shown, "{:?}", all);
        }
        for grant in &all {
            for link in &links {
                prop_assert_eq!(widening(&link.cap, grant), None, "{:?} is more than a link has", grant);
            }
        }
    }

    /// A grant that is not called a widening reaches no key, bucket or operation that the parent does not. Limits that it
    /// does not name are the parent's, so only where both are looked at without limits can one reach more.
    #[test]
    fn what_is_no_widening_reaches_nothing_more(parent in proptest::collection::vec(grant(), 0..4), child in grant(), question in question()) {
        let links = chain_claims(&[parent, vec![child.clone()]]);
        let allowed = effective(links.iter().take(1));
        if widening(&allowed, &child).is_some() {
            return Ok(());
        }
        let unlimited = |grant: Grant| Grant { limits: GrantLimits::default(), ..grant };
        let parent: Vec<Grant> = allowed.into_iter().map(unlimited).collect();
        let (child, parent) = (ask_one(vec![unlimited(child)], &question), ask_one(parent, &question));
        prop_assert!(child.is_none() || parent.is_some());
        let sees = |proof: &Option<Authorized>, key: &ObjectKey| proof.as_ref().is_some_and(|proof| proof.sees_key(key));
        for key in KEYS.map(|key| ObjectKey::parse(key).unwrap()) {
            prop_assert!(!sees(&child, &key) || sees(&parent, &key), "{}", key);
        }
    }

    /// A dry run is the decision itself.
    #[test]
    fn a_dry_run_says_what_the_request_would_get(caps in caps(), asked in question()) {
        let token = issue_chain(&chain_claims(&caps));
        let path = Target::Service(Service::DryRun);
        let any = ask_with(&token, &Question {
            method: Method::Post,
            route: RouteKind::DryRun,
            target: path,
            put: None,
        });
        let real = ask_with(&token, &asked);
        let Some(any) = any else {
            prop_assert!(real.is_none(), "whoever may do anything may ask");
            return Ok(());
        };
        let inquiry = |peer| Inquiry {
            method: asked.method,
            route: asked.route,
            target: asked.target.clone(),
            source: None,
            written: written(asked.put),
            peer,
        };
        let said = any.dry_run(&inquiry(None)).unwrap();
        prop_assert_eq!(said.is_allowed(), real.is_some());
        prop_assert_eq!(said.accesses.len(), required(asked.method, asked.route).unwrap().len());
        for access in &said.accesses {
            prop_assert_eq!(access.links.len(), caps.len());
            for (link, cap) in access.links.iter().zip(&caps) {
                if let Some(place) = link.grant {
                    prop_assert!(place < cap.len() && link.objection.is_none());
                } else {
                    prop_assert_eq!(link.objection.is_none(), cap.is_empty());
                }
            }
        }
        let elsewhere = any.dry_run(&inquiry(Some("127.0.0.1".parse().unwrap()))).unwrap();
        let limited = caps.iter().flatten().any(|grant| grant.limits.cidr.is_some());
        prop_assert!(limited || elsewhere == said);
    }
}

/// The proof of an operation to the question's target, where this grant alone allows it.
fn further(grant: &Grant, op: Op, question: &Question) -> Option<Authorized> {
    let any = Question {
        method: Method::Get,
        route: RouteKind::Buckets,
        target: Target::Store,
        put: None,
    };
    let any = ask_one(vec![grant.clone()], &any)?;
    any.further(op, question.target.clone(), written(question.put))
        .ok()
}

#[test]
fn the_corner_cases_of_a_chain() {
    let grant = |text: &str| Grant::parse_json(text).unwrap();
    let get = |key: &str| Question {
        method: Method::Get,
        route: RouteKind::Object,
        target: Target::Key(photos(), ObjectKey::parse(key).unwrap()),
        put: None,
    };
    let allows = |caps: &[&[&str]], key: &str| {
        let caps: Vec<Vec<Grant>> = caps
            .iter()
            .map(|cap| cap.iter().map(|text| grant(text)).collect())
            .collect();
        ask_with(&issue_chain(&chain_claims(&caps)), &get(key)).is_some()
    };
    let all = r#"{"b":"*","p":"","ops":["get"]}"#;
    let (a, ab) = (
        r#"{"b":"photos","p":"a","ops":["get"]}"#,
        r#"{"b":"*","p":"ab","ops":["get"]}"#,
    );
    let b = r#"{"b":"photos","p":"b","ops":["get"]}"#;
    // The empty set, in every place.
    for caps in [&[&[][..], &[all]][..], &[&[all], &[]], &[&[all], &[], &[all]]] {
        assert!(!allows(caps, "a"));
    }
    // `*` gives nothing back that a link before took away.
    assert!(allows(&[&[all], &[a]], "a") && allows(&[&[a], &[all]], "a"));
    assert!(!allows(&[&[a], &[all]], "b"));
    // A prefix is of bytes: `a` covers `ab`, and `ab` narrows `a`.
    assert!(allows(&[&[a], &[ab]], "ab") && allows(&[&[ab], &[a]], "ab/c"));
    assert!(!allows(&[&[a], &[ab]], "a/b") && !allows(&[&[ab], &[a]], "a"));
    // What several grants of a link allow is there in all of them, and nothing twice.
    let shown = |caps: [&[&str]; 2]| {
        let caps = caps.map(|cap| cap.iter().map(|text| grant(text)).collect());
        effective(&chain_claims(&caps)).len()
    };
    assert_eq!([shown([&[a, b], &[all]]), shown([&[all], &[a, b]])], [2, 2]);
    assert_eq!(
        [shown([&[a, all], &[all]]), shown([&[all, a], &[b, all, ab]])],
        [1, 1]
    );
    // Grants of one link do not combine across links either.
    assert!(!allows(&[&[a, b], &[ab]], "b") && allows(&[&[a, b], &[b, ab]], "b"));
    assert_eq!(
        effective(&chain_claims(&[vec![grant(a)], vec![grant(ab)]]))[0].to_json(),
        r#"{"b":"photos","p":"ab","ops":["get"]}"#
    );
}

/// A counter that a chain comes to twice is charged once, by the tighter limits. The defect it catches: two charges of
/// one counter, of which the commit looks at the first only, so that a packet handed to and fro loses its quota.
#[test]
fn a_counter_that_occurs_twice_keeps_its_tighter_limits() {
    let grant = |quota: u64, rate: u64| {
        let text = format!(r#"{{"b":"photos","p":"","ops":["put"],"quota_bytes":{quota},"rate":{rate}}}"#);
        vec![Grant::parse_json(&text).unwrap()]
    };
    let mut links = chain_claims(&[grant(9, 9), grant(8, 2), grant(9, 9), grant(7, 5)]);
    // Link 1 and link 3 have the same signer and the same holder.
    let (one, other) = (middle(0).key_id(Role::Issuer), middle(1).key_id(Role::Issuer));
    (links[2].iss, links[2].sub) = (other.clone(), one.clone());
    (links[3].iss, links[3].sub) = (one, other);
    let signers = [root(), middle(0), middle(1), middle(0)];
    let mut token = packet::issue(&root(), Role::Root, &links[0]).unwrap();
    for (signer, link) in signers.iter().zip(&links).skip(1) {
        token = packet::delegate(signer, &Packet::parse(&token).unwrap(), link).unwrap();
    }
    let verified = packet::verify(&token, &trust(), &audience(), NOW).unwrap();
    let proof = crate::support::authorized_by(&verified, &middle(1), "/v1/photos/k");
    let limits: Vec<_> = proof
        .charges()
        .iter()
        .map(|charge| (charge.quota_bytes, charge.rate))
        .collect();
    assert_eq!(
        limits,
        [(Some(9), Some(9)), (Some(7), Some(2)), (Some(9), Some(9))]
    );
}

/// What is passed on is checked before it is signed. Seeded defects: the comparison of each claim left out.
#[test]
fn nobody_passes_on_more_than_the_chain_has() {
    let everything = || vec![Grant::everything()];
    let good = chain_claims(&[everything(), everything()]);
    let parent = Packet::parse(&issue_chain(&good[..1])).unwrap();
    let refused = |change: &dyn Fn(&mut packet::Claims)| {
        let mut claims = good[1].clone();
        change(&mut claims);
        packet::delegate(&middle(0), &parent, &claims).unwrap_err()
    };
    assert!(packet::delegate(&middle(0), &parent, &good[1]).is_ok());
    assert_eq!(refused(&|claims| claims.exp += 1), PacketError::Chain("exp"));
    assert_eq!(refused(&|claims| claims.nbf -= 1), PacketError::Chain("nbf"));
    assert_eq!(refused(&|claims| claims.iat -= 1), PacketError::Chain("iat"));
    assert_eq!(refused(&|claims| claims.dlg = 1), PacketError::Chain("dlg"));
    assert_eq!(
        refused(&|claims| claims.iss = middle(1).key_id(Role::Issuer)),
        PacketError::Chain("iss")
    );
    assert_eq!(
        refused(&|claims| claims.iss = middle(0).key_id(Role::Client)),
        PacketError::Chain("iss")
    );
    assert_eq!(
        packet::delegate(&middle(1), &parent, &good[1]),
        Err(PacketError::Issue),
        "by another key"
    );
    // A root issues, and does not pass on; nobody else issues.
    assert_eq!(
        packet::issue(&middle(0), Role::Issuer, &good[1]),
        Err(PacketError::Claim("prf"))
    );
    // A packet that may not be passed on, and a chain that is as long as can be.
    let last = Packet::parse(&issue_chain(&good)).unwrap();
    let mut next = claims(everything());
    next.iss = last.claims().sub.clone();
    assert_eq!(
        packet::delegate(&crate::support::client(), &last, &next),
        Err(PacketError::Chain("dlg"))
    );
}

#[test]
fn widening_names_the_operation_and_the_member() {
    let grant = |text: &str| Grant::parse_json(text).unwrap();
    let parent = [
        grant(
            r#"{"b":"photos","p":"a","ops":["get","put"],"max_bytes":10,"rate":5,"quota_bytes":100,"cidr":["10.0.0.0/8"],"content_type":["a/b"]}"#,
        ),
        grant(r#"{"b":"photos","p":"a","ops":["list"]}"#),
    ];
    let told = |text: &str| widening(&parent, &grant(text)).map(|found| (found.op, found.member));
    for (text, expected) in [
        (r#"{"b":"photos","p":"a","ops":["get","put","list"]}"#, None),
        (
            r#"{"b":"photos","p":"ab","ops":["put"],"max_bytes":10,"cidr":["10.1.0.0/16"]}"#,
            None,
        ),
        (r#"{"b":"photos","p":"a","ops":[]}"#, None),
        (r#"{"b":"*","p":"a","ops":["get"]}"#, Some((Op::Get, "b"))),
        (r#"{"b":"docs","p":"a","ops":["get"]}"#, Some((Op::Get, "b"))),
        (r#"{"b":"photos","p":"","ops":["list"]}"#, Some((Op::List, "p"))),
        (r#"{"b":"photos","p":"b","ops":["list"]}"#, Some((Op::List, "p"))),
        (
            r#"{"b":"photos","p":"a","ops":["get","delete"]}"#,
            Some((Op::Delete, "ops")),
        ),
        (
            r#"{"b":"photos","p":"a","ops":["put"],"max_bytes":11}"#,
            Some((Op::Put, "max_bytes")),
        ),
        (
            r#"{"b":"photos","p":"a","ops":["put"],"rate":6}"#,
            Some((Op::Put, "rate")),
        ),
        (
            r#"{"b":"photos","p":"a","ops":["put"],"quota_bytes":101}"#,
            Some((Op::Put, "quota_bytes")),
        ),
        (
            r#"{"b":"photos","p":"a","ops":["put"],"cidr":["0.0.0.0/0"]}"#,
            Some((Op::Put, "cidr")),
        ),
        (
            r#"{"b":"photos","p":"a","ops":["put"],"content_type":["a/b","c/d"]}"#,
            Some((Op::Put, "content_type")),
        ),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
    assert_eq!(
        widening(&[], &grant(r#"{"b":"photos","p":"","ops":["get"]}"#)).map(|found| found.member),
        Some("b")
    );
}

#[test]
fn limits_of_a_chain_are_the_tighter_ones() {
    let grant = |text: &str| vec![Grant::parse_json(text).unwrap()];
    let caps = [
        grant(
            r#"{"b":"*","p":"","ops":["get","put","manage","admin"],"max_bytes":10,"rate":9,"cidr":["10.0.0.0/8","127.0.0.1/32"],"content_type":["a/b","c/d"]}"#,
        ),
        grant(
            r#"{"b":"photos","p":"a","ops":["put","manage"],"max_bytes":20,"rate":3,"quota_bytes":7,"create_only":true,"cidr":["10.2.0.0/16","192.168.0.0/16"],"content_type":["c/d","e/f"]}"#,
        ),
    ];
    let shown = effective(&chain_claims(&caps));
    let shown: Vec<String> = shown.iter().map(Grant::to_json).collect();
    assert_eq!(
        shown,
        [
            r#"{"b":"photos","p":"a","ops":["put"],"max_bytes":10,"rate":3,"quota_bytes":7,"create_only":true,"cidr":["10.2.0.0/16"],"content_type":["c/d"]}"#
        ]
    );
    assert!(effective(&chain_claims(&[caps[0].clone(), Vec::new()])).is_empty());
    // Limits on writing are not shown where nothing is written.
    let reading = grant(r#"{"b":"*","p":"","ops":["get","list"]}"#);
    let shown = effective(&chain_claims(&[caps[0].clone(), reading]));
    assert_eq!(
        shown[0].to_json(),
        r#"{"b":"*","p":"","ops":["get"],"rate":9,"cidr":["10.0.0.0/8","127.0.0.1/32"]}"#
    );
    let everything = Grant {
        bucket: GrantBucket::Any,
        prefix: KeyPrefix::all(),
        ..Grant::everything()
    };
    assert_eq!(
        effective(&chain_claims(&[
            vec![everything.clone()],
            vec![everything.clone(), everything.clone()]
        ])),
        [everything]
    );
}

/// Defects it catches: the peer of the question, or of the caller, left out of a dry run; an objection that is not the
/// one of the grant that fits longest; the operations after the first, or the source of a copy, left out.
#[test]
fn a_dry_run_tells_where_and_why() {
    let caps = [
        vec![Grant::everything()],
        vec![
            Grant::parse_json(r#"{"b":"docs","p":"","ops":["get"]}"#).unwrap(),
            Grant::parse_json(r#"{"b":"photos","p":"a","ops":["get","put"],"rate":1,"cidr":["10.0.0.0/8"]}"#)
                .unwrap(),
        ],
    ];
    let any = Question {
        method: Method::Post,
        route: RouteKind::DryRun,
        target: Target::Service(Service::DryRun),
        put: None,
    };
    let any = ask_with(&issue_chain(&chain_claims(&caps)), &any).unwrap();
    let ask = |key: &str, peer: Option<&str>, source: Option<&str>| {
        let target = |key: &str| Target::Key(photos(), ObjectKey::parse(key).unwrap());
        let inquiry = Inquiry {
            method: Method::Post,
            route: RouteKind::ObjectCopy,
            target: target(key),
            source: source.map(target),
            written: Written::Later,
            peer: peer.map(|peer| peer.parse().unwrap()),
        };
        any.dry_run(&inquiry).unwrap()
    };
    let here = ask("a", None, None);
    assert!(here.is_allowed());
    assert_eq!(here.accesses[0].links[0].grant, Some(0));
    assert_eq!(
        (
            here.accesses[0].links[1].grant,
            &here.accesses[0].links[1].undecided
        ),
        (Some(1), &vec!["rate"])
    );
    for (run, access, objection) in [
        (ask("a", Some("127.0.0.1"), None), 0, Objection::Peer),
        (ask("b", None, None), 0, Objection::Prefix),
        (ask("a", None, Some("b")), 1, Objection::Prefix),
    ] {
        let (refused, link) = run.refusal().unwrap();
        assert_eq!((refused, link), (&run.accesses[access], 1));
        assert_eq!(refused.links[1].objection, Some(objection));
    }
    let force = Inquiry {
        method: Method::Delete,
        route: RouteKind::BucketForce,
        target: Target::Bucket(photos()),
        source: None,
        written: Written::Later,
        peer: None,
    };
    let ops: Vec<Op> = any
        .dry_run(&force)
        .unwrap()
        .accesses
        .iter()
        .map(|access| access.op)
        .collect();
    assert_eq!(ops, [Op::Manage, Op::Erase]);
    // A method that the route has not, and a target of another kind.
    assert_eq!(
        any.dry_run(&Inquiry {
            method: Method::Get,
            ..force.clone()
        }),
        None
    );
    assert_eq!(
        any.dry_run(&Inquiry {
            target: Target::Store,
            ..force
        }),
        None
    );
}
