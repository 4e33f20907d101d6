//! Passing a packet on without any server: what is signed, and what is refused.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use wfldb_client::profile::new_key;
use wfldb_client::{Delegation, Endpoint, Error, Profile, TERM_SECONDS_DEFAULT, parse_grant};
use wfldb_core::id::{Role, SecretKey};
use wfldb_core::name::Realm;
use wfldb_core::packet::{self, Claims, Packet, TrustedRoots};
use wfldb_core::time::UnixMillis;

const NOW: UnixMillis = UnixMillis::new(1_800_000_000_000);
const DAY: u64 = 24 * 60 * 60;

fn root() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

/// A holder whose packet a root signed, changed before it did.
fn holder(change: impl FnOnce(&mut Claims)) -> Profile {
    let (key, realm) = (
        SecretKey::from_seed([2; 32]),
        Realm::parse("test-cluster").unwrap(),
    );
    let mut claims = Claims {
        iss: root().key_id(Role::Root),
        sub: key.key_id(Role::Client),
        aud: realm.audience(),
        iat: NOW.seconds() - DAY,
        nbf: NOW.seconds() - DAY,
        exp: NOW.seconds() + 90 * DAY,
        jti: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
        cap: vec![parse_grant("b=photos,p=a,ops=get+put,max_bytes=10").unwrap()],
        dlg: 2,
    };
    change(&mut claims);
    Profile {
        endpoint: Endpoint::parse("http://127.0.0.1:7070").unwrap(),
        packet: packet::issue(&root(), Role::Root, &claims).unwrap(),
        realm,
        key,
        node: None,
    }
}

fn reading(key: &SecretKey) -> Delegation {
    Delegation {
        holder: key.key_id(Role::Client),
        grants: vec![parse_grant("b=photos,p=ab,ops=get").unwrap()],
        until: None,
        dlg: 1,
    }
}

#[test]
fn what_is_passed_on_verifies_and_ends_with_its_parent() {
    let (key, trust) = (new_key().unwrap(), TrustedRoots::new([root().key_id(Role::Root)]));
    for (days, left) in [(90, TERM_SECONDS_DEFAULT), (7, 7 * DAY)] {
        let parent = holder(|claims| claims.exp = NOW.seconds() + days * DAY);
        let token = parent.delegate(&reading(&key), NOW).unwrap();
        let verified = packet::verify(&token, &trust, &parent.realm.audience(), NOW).unwrap();
        assert_eq!(verified.subject(), &key.key_id(Role::Client));
        let [first, last] = verified.links() else {
            panic!("two links")
        };
        assert_eq!((&last.iss, last.dlg), (&first.sub, 1));
        assert_eq!((last.nbf, last.exp), (NOW.seconds(), NOW.seconds() + left));
        // Nobody can tell two packets apart by their ids alone, but they are not the same one.
        let again = Packet::parse(&parent.delegate(&reading(&key), NOW).unwrap()).unwrap();
        assert_ne!(again.claims().jti, last.jti);
    }
    // One that begins later begins then.
    let later = holder(|claims| claims.nbf = NOW.seconds() + DAY);
    let token = later.delegate(&reading(&key), NOW).unwrap();
    let claims = Packet::parse(&token).unwrap().claims().clone();
    assert_eq!((claims.iat, claims.nbf), (NOW.seconds(), NOW.seconds() + DAY));
}

#[test]
fn what_cannot_be_passed_on_is_refused_and_says_why() {
    let key = new_key().unwrap();
    let refused = |parent: &Profile, change: &dyn Fn(&mut Delegation)| {
        let mut delegation = reading(&key);
        change(&mut delegation);
        parent.delegate(&delegation, NOW).unwrap_err()
    };
    let good = || holder(|_| {});
    let widening = |error: Error| match error {
        Error::Widening(why) => why,
        other => panic!("{other}"),
    };
    for (parent, why) in [
        (holder(|claims| claims.dlg = 0), "may not be passed on"),
        (holder(|claims| claims.dlg = 1), "dlg is 0 at most"),
        (holder(|claims| claims.exp = NOW.seconds()), "has expired"),
        (holder(|claims| claims.cap.clear()), "it allows: nothing"),
        (
            holder(|claims| claims.sub = SecretKey::from_seed([2; 32]).key_id(Role::Node)),
            "a node's packet",
        ),
    ] {
        let told = widening(refused(&parent, &|_| {}));
        assert!(told.contains(why), "{told}");
    }
    let told = widening(refused(&good(), &|delegation| {
        delegation.until = Some(NOW.seconds() + 91 * DAY);
    }));
    assert!(told.contains("is after its end"), "{told}");
    let told = widening(refused(&good(), &|delegation| {
        delegation.grants.push(parse_grant("b=photos,ops=get").unwrap());
    }));
    assert!(
        told.contains("by `p` for get: asked for was get in photos, all keys; it allows: get put in photos, a, max_bytes 10"),
        "{told}"
    );
    // What is no widening, and makes no sense.
    let past = refused(&good(), &|delegation| delegation.until = Some(NOW.seconds()));
    assert!(matches!(past, Error::Local(why) if why.contains("never be valid")));
    for stranger in [
        Profile {
            key: new_key().unwrap(),
            ..good()
        },
        // The claims of one packet under the signature of another.
        Profile {
            packet: {
                let (claims, signature) = (holder(|claims| claims.dlg = 3).packet, good().packet);
                let claims = claims.rsplit_once('.').unwrap().0.to_owned();
                format!("{claims}.{}", signature.rsplit_once('.').unwrap().1)
            },
            ..good()
        },
        Profile {
            packet: "a.b.c".to_owned(),
            ..good()
        },
    ] {
        assert!(matches!(refused(&stranger, &|_| {}), Error::Local(_)));
    }
    let root = refused(&good(), &|delegation| {
        delegation.holder = root().key_id(Role::Root);
    });
    assert!(matches!(root, Error::Local(_)), "a root is no holder");
}
