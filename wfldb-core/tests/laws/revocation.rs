//! What revocations cover, against a model that is written out plainly; and who may revoke what.

use proptest::prelude::*;
use wfldb_core::auth::{Authorized, Forbidden, Method, Op, RouteKind, Service, Target, Written, authorize};
use wfldb_core::id::{Nonce, PacketHash, Role, SecretKey};
use wfldb_core::object::ContentDigest;
use wfldb_core::packet::{self, Grant, Packet, VerifiedPacket};
use wfldb_core::replay::ReplayMemory;
use wfldb_core::request::{RequestToSign, sign};
use wfldb_core::revocation::{Asked, Chain, KeyBytes, LinkIdentity, Revocations, Revoked, Terms, order};
use wfldb_core::time::UnixMillis;
use wfldb_core::verifier::Verifier;

use crate::support::{NOW, Wire, audience, chain_claims, issue_chain, middle, verified};

/// Few keys and times, so that chains and revocations meet.
const KEYS: u8 = 4;
const TIMES: u64 = 4;

fn key(number: u8) -> KeyBytes {
    [number; 32]
}

/// A chain whose links fit together: each is signed by the holder before, none is issued before its parent, and a link's
/// hash is of everything up to it.
fn chain_of(root: u8, holders: &[(u8, u64)]) -> Chain {
    let mut links: Vec<LinkIdentity> = Vec::new();
    for (sub, step) in holders {
        let before = links.last();
        let iss = before.map_or(key(root), |before| before.sub);
        let iat = before.map_or(0, |before| before.iat) + step;
        let parent = before.map_or([0; 32], |before| *before.hash.as_bytes());
        let hash = PacketHash::of(&[&parent[..], &iss, &key(*sub), &iat.to_be_bytes()].concat());
        let sub = key(*sub);
        links.push(LinkIdentity { hash, iss, sub, iat });
    }
    Chain::new(links)
}

fn holders() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0..KEYS, 0..2_u64), 1..=4)
}

/// The holder of the first link is named apart: a key is a root's in some chains and a holder's in others.
fn chain() -> impl Strategy<Value = Chain> {
    (0..KEYS, holders()).prop_map(|(root, holders)| chain_of(root, &holders))
}

fn terms(issued_until: u64) -> Terms {
    Terms {
        issued_until,
        kept_until: None,
        share: None,
    }
}

/// Of packets and links those of some chain, so that they name something.
fn revoked() -> impl Strategy<Value = Revoked> {
    let link = || {
        let link = (chain(), any::<prop::sample::Index>());
        link.prop_map(|(chain, at)| chain.links()[at.index(chain.links().len())].hash)
    };
    let below = (link(), 0..KEYS);
    prop_oneof![
        link().prop_map(Revoked::Packet),
        (0..KEYS).prop_map(|number| Revoked::Key(key(number))),
        below.prop_map(|(link, number)| Revoked::Below {
            link,
            key: key(number)
        }),
    ]
}

fn revocations() -> impl Strategy<Value = Vec<(Revoked, Terms)>> {
    prop::collection::vec((revoked(), (0..TIMES).prop_map(terms)), 0..6)
}

fn set(all: &[(Revoked, Terms)]) -> Revocations {
    let mut set = Revocations::default();
    for (what, terms) in all {
        set.insert(*what, *terms);
    }
    set
}

/// docs/PROTOCOL.md, section 3, word for word: a packet by its hash; a key that signed or holds a link of the chain,
/// issued by then, a root's whenever; below a link the same, in chains that contain that very link, from it on.
fn model(all: &[(Revoked, Terms)], chain: &Chain) -> bool {
    let links = chain.links();
    all.iter().any(|(what, terms)| match what {
        Revoked::Packet(hash) => links.iter().any(|link| link.hash == *hash),
        Revoked::Key(key) => {
            let root = links[0].iss == *key;
            let has = |link: &LinkIdentity| link.iss == *key || link.sub == *key;
            root || links
                .iter()
                .any(|link| has(link) && link.iat <= terms.issued_until)
        }
        Revoked::Below { link, key } => {
            let Some(place) = links.iter().position(|known| known.hash == *link) else {
                return false;
            };
            let from_there = &links[place..];
            from_there
                .iter()
                .any(|link| link.sub == *key && link.iat <= terms.issued_until)
        }
    })
}

/// The last of equal revocations holds, as in the set.
fn last_of_each(all: &[(Revoked, Terms)]) -> Vec<(Revoked, Terms)> {
    let mut kept: Vec<(Revoked, Terms)> = Vec::new();
    for (what, terms) in all {
        kept.retain(|(known, _)| known != what);
        kept.push((*what, *terms));
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Defects it catches: `<` for `<=` at `issued_until`; the root's key asked with its time; only the
    /// last link asked; `Below` that looks at links before the named one; `Below` with any link for the named one.
    #[test]
    fn a_set_covers_exactly_what_the_protocol_says(all in revocations(), chain in chain()) {
        prop_assert_eq!(set(&all).covers(&chain), model(&last_of_each(&all), &chain));
    }

    /// A packet that was passed on is never worth more than what it came from.
    #[test]
    fn what_goes_on_from_a_revoked_chain_is_revoked(all in revocations(), root in 0..KEYS, holders in holders()) {
        let set = set(&all);
        for len in 1..holders.len() {
            if set.covers(&chain_of(root, &holders[..len])) {
                prop_assert!(set.covers(&chain_of(root, &holders)));
            }
        }
    }

    #[test]
    fn revoking_more_never_gives_anything_back(all in revocations(), more in revoked(), chain in chain()) {
        let mut set = set(&all);
        let before = set.covers(&chain);
        let until = set.get(&more).map_or(0, |terms| terms.issued_until);
        set.insert(more, terms(until));
        prop_assert!(set.covers(&chain) || !before);
    }

    /// Whoever revoked in the chains of one link did nothing to chains without it. A defect it catches: a key that is
    /// revoked below a link and looked for everywhere.
    #[test]
    fn below_a_link_touches_no_chain_without_it(number in 0..KEYS, link in chain(), other in chain()) {
        let link = link.links().last().unwrap().hash;
        prop_assume!(other.links().iter().all(|known| known.hash != link));
        let all = [(Revoked::Below { link, key: key(number) }, terms(u64::MAX))];
        prop_assert!(!set(&all).covers(&other));
    }

    /// Insertions and removals leave the counts of what is there, and nothing else.
    #[test]
    fn the_counts_are_those_of_the_entries(
        steps in prop::collection::vec((revoked(), any::<bool>(), prop::option::of(0..2_u8), prop::option::of(0..9_u64)), 0..40),
    ) {
        let (mut set, mut model) = (Revocations::default(), std::collections::BTreeMap::new());
        for (what, add, share, end) in steps {
            if add {
                let terms = Terms { issued_until: 1, kept_until: end.map(UnixMillis::new), share: share.map(key) };
                prop_assert_eq!(set.insert(what, terms), model.insert(what, terms));
            } else {
                prop_assert_eq!(set.remove(&what), model.remove(&what));
            }
        }
        prop_assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
        for number in 0..2 {
            let of = model.values().filter(|terms| terms.share == Some(key(number))).count();
            prop_assert_eq!(set.of_share(&key(number)), of);
        }
        prop_assert_eq!(set.shared(), model.values().filter(|terms| terms.share.is_some()).count());
        let ended = |terms: &Terms| terms.kept_until.is_some_and(|end| end <= UnixMillis::new(4));
        let expected = model.values().filter(|terms| ended(terms)).count();
        let found = set.ended(UnixMillis::new(4), usize::MAX);
        prop_assert_eq!(found.len(), expected);
        prop_assert!(found.iter().all(|what| ended(&model[what])));
        prop_assert_eq!(set.ended(UnixMillis::new(4), 1).len(), expected.min(1));
    }

    #[test]
    fn the_text_of_a_revocation_is_its_one_spelling(what in revoked()) {
        let text = what.to_string();
        prop_assert_eq!(Revoked::parse(&text), Some(what));
        prop_assert_eq!(Revoked::parse(&text.to_uppercase()), None);
        prop_assert_eq!(Revoked::parse(&format!("{text}0")), None);
    }
}

fn everything() -> Vec<Grant> {
    vec![Grant::everything()]
}

fn reading() -> Vec<Grant> {
    vec![Grant::parse_json(r#"{"b":"*","p":"","ops":["get"]}"#).unwrap()]
}

/// The proof that the holder of a packet gets for a route of `_keys`.
fn proof(packet: &VerifiedPacket, holder: &SecretKey, method: Method) -> Result<Authorized, Forbidden> {
    let request = RequestToSign {
        method,
        path: "/v1/_keys",
        query: "",
        timestamp: NOW,
        nonce: Nonce::from_bytes([9; 16]),
        content: ContentDigest::None,
        headers: &[],
    };
    let headers = sign(&request, packet.token(), &audience(), holder).unwrap();
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name, value.into_bytes()));
    let wire = Wire {
        method: method.to_string(),
        target: "/v1/_keys".to_owned(),
        headers: headers.collect(),
    };
    let request = wire.parse().unwrap();
    let request = request.verify(packet, &audience(), &Verifier::default()).unwrap();
    let request = request.fresh(&mut ReplayMemory::new(10, 10), NOW).unwrap();
    let target = Target::Service(Service::Keys);
    let peer = "127.0.0.1".parse().unwrap();
    authorize(request, method, RouteKind::Keys, target, peer, Written::Later)
}

/// Root → middle 0 → middle 1 → client, and the packets on the way.
fn family() -> [VerifiedPacket; 3] {
    let claims = chain_claims(&[reading(), reading(), reading()]);
    let whole = Packet::parse(&issue_chain(&claims)).unwrap();
    let token = |links| verified(&issue_again(&whole, links));
    [token(1), token(2), token(3)]
}

/// The packet of the first links of a chain: what the next link carries inside.
fn issue_again(whole: &Packet, links: usize) -> String {
    let mut token = whole.token().to_string();
    for _ in links..3 {
        let claims = token.split('.').nth(1).unwrap();
        let claims = wfldb_core::encoding::base64url::decode(claims).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        claims["prf"].as_str().unwrap().clone_into(&mut token);
    }
    token
}

/// Defects it catches: any caller by hash or key; the holder (`sub`) of the last link for its signer; a
/// link of any caller's chain for one of the presented packet.
#[test]
fn others_than_administrators_end_what_they_passed_on_and_nothing_else() {
    let [first, second, third] = family();
    let (top, mid) = (middle(0), middle(1));
    let by = |packet: &VerifiedPacket, holder: &SecretKey, asked: Asked| {
        order(&proof(packet, holder, Method::Post).unwrap(), &asked)
    };
    let below = |packet: &VerifiedPacket, key: &SecretKey| Asked::Below(packet.clone(), key.public_key());
    let client = SecretKey::from_seed([2; 32]);

    // Whole packets: of those that one's own key signed a link of.
    for (packet, holder, target, allowed) in [
        (&first, &top, &second, true),
        (&first, &top, &third, true),
        (&second, &mid, &third, true),
        (&first, &top, &first, false),
        (&second, &mid, &second, false),
        (&second, &mid, &first, false),
        (&third, &client, &third, false),
    ] {
        let found = by(packet, holder, Asked::Packet(target.clone()));
        assert_eq!(found.is_ok(), allowed);
        if let Ok(order) = found {
            assert_eq!(order.what(), Revoked::Packet(target.hash()));
            assert_eq!(
                order.share(),
                Some(*top.public_key().as_bytes()),
                "the share of whom the root gave it to"
            );
            let end = target.links().iter().map(|link| link.exp).min().unwrap() + 60 + 86_400;
            assert_eq!(order.kept_until(), Some(UnixMillis::new(end * 1000)));
        }
    }
    // Keys, in chains with one's own link and below it.
    let link = |packet: &VerifiedPacket| packet.chain().links().last().unwrap().hash;
    let found = by(&first, &top, below(&third, &client)).unwrap();
    let key = *client.public_key().as_bytes();
    assert_eq!(
        found.what(),
        Revoked::Below {
            link: link(&second),
            key
        }
    );
    assert_eq!(found.kept_until(), None);
    let found = by(&second, &mid, below(&third, &client)).unwrap();
    assert_eq!(
        found.what(),
        Revoked::Below {
            link: link(&third),
            key
        }
    );
    for (packet, holder, asked) in [
        (&first, &top, below(&third, &top)),
        (&second, &mid, below(&third, &mid)),
        (&second, &mid, below(&third, &top)),
        (&third, &client, below(&third, &client)),
        (&first, &top, Asked::Hash(third.hash())),
        (&first, &top, Asked::Key(client.public_key())),
    ] {
        assert_eq!(by(packet, holder, asked.clone()), Err(Forbidden), "{asked:?}");
    }
    // A key that was given the same packet's rights elsewhere has signed nothing here.
    let stranger = chain_claims(&[reading(), reading()]);
    let stranger = verified(&issue_chain(&stranger));
    assert_eq!(by(&second, &mid, Asked::Packet(stranger)), Err(Forbidden));
}

#[test]
fn administrators_end_anything_and_see_what_is_revoked() {
    let [first, second, third] = family();
    let admin = verified(
        &packet::issue(
            &crate::support::root(),
            Role::Root,
            &crate::support::claims(everything()),
        )
        .unwrap(),
    );
    let client = SecretKey::from_seed([2; 32]);
    assert_eq!(proof(&admin, &client, Method::Get).unwrap().op(), Op::Admin);
    assert!(proof(&second, &middle(1), Method::Get).is_err());
    for (asked, what) in [
        (Asked::Hash(first.hash()), Revoked::Packet(first.hash())),
        (Asked::Packet(third.clone()), Revoked::Packet(third.hash())),
        (
            Asked::Key(middle(0).public_key()),
            Revoked::Key(*middle(0).public_key().as_bytes()),
        ),
    ] {
        let found = order(&proof(&admin, &client, Method::Post).unwrap(), &asked).unwrap();
        assert_eq!((found.what(), found.share()), (what, None));
    }
    // The proof is of `_keys` or it is none.
    let elsewhere = Authorized::local("test", Op::Admin, Target::Service(Service::Admin));
    assert_eq!(order(&elsewhere, &Asked::Hash(first.hash())), Err(Forbidden));
    let local = Authorized::local("test", Op::Admin, Target::Service(Service::Keys));
    assert!(order(&local, &Asked::Hash(first.hash())).is_ok());
}

/// The chain of a packet is what its bytes say.
#[test]
fn the_chain_of_a_packet_names_its_links() {
    let [first, second, third] = family();
    let hashes: Vec<_> = third.chain().links().iter().map(|link| link.hash).collect();
    assert_eq!(hashes, [first.hash(), second.hash(), third.hash()]);
    for (link, claims) in third.chain().links().iter().zip(third.links()) {
        assert_eq!(link.iss, *claims.iss.public_key().as_bytes());
        assert_eq!(link.sub, *claims.sub.public_key().as_bytes());
        assert_eq!(link.iat, claims.iat);
    }
}
