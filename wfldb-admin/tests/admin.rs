//! The program as an operator uses it: keys, packets, profiles, renewal.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use wfldb_admin::{Error, Subject, Term, Verdict, inspect, issue, load_key_file, renew};
use wfldb_client::profile::new_key;
use wfldb_client::{Delegation, Profile, parse_grant};
use wfldb_core::id::{Role, SecretKey};
use wfldb_core::name::Realm;
use wfldb_core::packet::{self, PacketError, TrustedRoots};
use wfldb_core::time::UnixMillis;

const NOW: UnixMillis = UnixMillis::new(1_800_000_000_000);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn realm() -> Realm {
    Realm::parse("test-cluster").unwrap()
}

fn subject(key: &SecretKey) -> Subject {
    Subject {
        holder: key.key_id(Role::Client),
        realm: realm(),
        delegation: 1,
    }
}

fn profile(packet: &str, key: SecretKey) -> Profile {
    let url = wfldb_client::Endpoint::parse("http://127.0.0.1:7070").unwrap();
    Profile {
        endpoint: url,
        realm: realm(),
        packet: packet.to_owned(),
        key,
        node: None,
    }
}

#[test]
fn what_is_issued_verifies_until_it_expires() {
    let (root, client) = (new_key().unwrap(), new_key().unwrap());
    let grants = vec![parse_grant("b=photos,p=2024/,ops=get+list").unwrap()];
    let token = issue(
        &root,
        &subject(&client),
        grants.clone(),
        Term::days(NOW, 40).unwrap(),
    )
    .unwrap();
    let trust = TrustedRoots::new([root.key_id(Role::Root)]);
    let verified = packet::verify(&token, &trust, &realm().audience(), NOW).unwrap();
    assert_eq!(verified.subject(), &client.key_id(Role::Client));
    assert_eq!(verified.links()[0].cap, grants);

    let at = |days: u64| inspect(&token, Some(&trust), Some(&client), NOW.plus_ms(days * DAY_MS)).unwrap();
    assert_eq!((at(0).verdict, at(0).warnings), (Verdict::Trusted, vec![]));
    assert!(at(20).warnings[0].contains("expires in 20 days"));
    assert_eq!(at(41).verdict, Verdict::Refused(PacketError::Expired));
    assert!(at(41).warnings[0].contains("has expired"));

    let stranger = TrustedRoots::new([new_key().unwrap().key_id(Role::Root)]);
    assert_eq!(
        inspect(&token, Some(&stranger), None, NOW).unwrap().verdict,
        Verdict::Refused(PacketError::Untrusted)
    );
    assert_eq!(
        inspect(&token, None, None, NOW).unwrap().verdict,
        Verdict::SignedByItsIssuer
    );
    assert!(inspect(&token, None, Some(&root), NOW).unwrap().warnings[0].contains("another key"));
}

#[test]
fn renewal_keeps_everything_but_the_term() {
    let (root, client) = (new_key().unwrap(), new_key().unwrap());
    let grants = vec![parse_grant("b=*,ops=all").unwrap()];
    let token = issue(&root, &subject(&client), grants, Term::days(NOW, 365).unwrap()).unwrap();
    let old = packet::Packet::parse(&token).unwrap().claims().clone();
    let later = NOW.plus_ms(1000 * DAY_MS);
    let seed = SecretKey::parse(&client.to_wire()).unwrap();
    let renewed = renew(&root, profile(&token, seed), later, None).unwrap();
    let new = packet::Packet::parse(&renewed.packet).unwrap().claims().clone();
    assert_eq!(
        (&new.iss, &new.sub, &new.aud, &new.cap, new.dlg),
        (&old.iss, &old.sub, &old.aud, &old.cap, old.dlg)
    );
    assert_eq!(new.exp - new.nbf, old.exp - old.nbf);
    assert_eq!(new.nbf, later.seconds());
    assert_ne!(new.jti, old.jti);

    let again = renew(&root, renewed, later, Some(1)).unwrap();
    let claims = packet::Packet::parse(&again.packet).unwrap().claims().clone();
    assert_eq!(claims.exp, later.seconds() + 24 * 60 * 60);
}

#[test]
fn what_does_not_belong_together_is_not_renewed() {
    let (root, client) = (new_key().unwrap(), new_key().unwrap());
    let grants = || vec![parse_grant("b=photos,ops=get").unwrap()];
    let token = issue(&root, &subject(&client), grants(), Term::days(NOW, 1).unwrap()).unwrap();
    let client = || SecretKey::parse(&client.to_wire()).unwrap();
    assert!(
        renew(&new_key().unwrap(), profile(&token, client()), NOW, None).is_err(),
        "another root"
    );
    assert!(
        renew(&root, profile(&token, new_key().unwrap()), NOW, None).is_err(),
        "another key"
    );
    // The claims of a packet with more grants, under the signature of this one.
    let more = vec![parse_grant("b=*,ops=all").unwrap()];
    let larger = issue(&root, &subject(&client()), more, Term::days(NOW, 1).unwrap()).unwrap();
    let forged = format!(
        "{}.{}",
        larger.rsplit_once('.').unwrap().0,
        token.rsplit_once('.').unwrap().1
    );
    assert!(matches!(
        renew(&root, profile(&forged, client()), NOW, None),
        Err(Error::Usage(_))
    ));
}

/// Defects it catches: the last link shown for the whole; a chain called good because its last signature is; a link in
/// the middle that expired.
#[test]
fn a_chain_is_shown_link_by_link_and_for_what_it_comes_to() {
    let (root, client) = (new_key().unwrap(), new_key().unwrap());
    let grants = vec![
        parse_grant("b=photos,p=2024/,ops=get+list+put,rate=9").unwrap(),
        parse_grant("b=docs,ops=get").unwrap(),
    ];
    let token = issue(&root, &subject(&client), grants, Term::days(NOW, 40).unwrap()).unwrap();
    let holder = profile(&token, client);
    let reader = new_key().unwrap();
    let delegation = Delegation {
        holder: reader.key_id(Role::Client),
        grants: vec![parse_grant("b=photos,p=2024/01/,ops=get+list").unwrap()],
        until: Some(NOW.seconds() + 60),
        dlg: 0,
    };
    let chain = holder.delegate(&delegation, NOW).unwrap();
    let trust = TrustedRoots::new([root.key_id(Role::Root)]);
    let report = inspect(&chain, Some(&trust), Some(&reader), NOW).unwrap();
    assert_eq!(report.verdict, Verdict::Trusted);
    let human = report.human();
    for words in [
        "link 0     wr1",
        "link 1     wc1",
        "grant 1: get in docs, all keys",
        "grant 0: get list in photos, 2024/01/\n",
        "allows     get list in photos, 2024/01/, rate 9\n",
        "verdict    trusted",
    ] {
        assert!(human.contains(words), "{words}: {human}");
    }
    let json = report.json();
    assert_eq!(json["sub"], json["links"][1]["sub"]);
    assert_eq!(json["hash"], json["links"][1]["hash"]);
    assert_ne!(json["hash"], json["links"][0]["hash"]);
    assert_eq!(json["allows"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["allows"][0]["p"], "2024/01/");
    let later = inspect(&chain, Some(&trust), None, NOW.plus_ms(DAY_MS)).unwrap();
    assert_eq!(later.verdict, Verdict::Refused(PacketError::Expired));
    // Under another root's link 0 nothing is believed, whatever the last link is.
    let forged = issue(
        &new_key().unwrap(),
        &subject(&holder.key),
        Vec::new(),
        Term::days(NOW, 40).unwrap(),
    );
    let forged = profile(&forged.unwrap(), holder.key);
    let empty = Delegation {
        grants: Vec::new(),
        ..delegation
    };
    let forged = forged.delegate(&empty, NOW).unwrap();
    let report = inspect(&forged, Some(&trust), None, NOW).unwrap();
    assert_eq!(report.verdict, Verdict::Refused(PacketError::Untrusted));
    assert!(report.warnings.iter().any(|warning| warning == "grants nothing"));
    // What a root did not sign, it does not renew.
    assert!(renew(&root, profile(&chain, reader), NOW, None).is_err());
}

fn admin(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wfldb-admin"))
        .current_dir(dir)
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn the_program_makes_issues_inspects_and_renews() {
    let dir = TempDir::new().unwrap();
    let at = dir.path();
    let made = admin(at, &["keygen", "--role", "root"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let root_id = text(&made.stdout).lines().next().unwrap().to_owned();
    assert!(root_id.starts_with("wr1"));
    assert_eq!(mode(at.join("root.key")), 0o600);
    assert_eq!(
        load_key_file(&at.join("root.key"))
            .unwrap()
            .key_id(Role::Root)
            .to_string(),
        root_id
    );
    assert!(!text(&made.stdout).contains("wsk1"));
    assert_eq!(
        admin(at, &["keygen", "--role", "root"]).status.code(),
        Some(1),
        "a key is never overwritten"
    );

    let issued = admin(
        at,
        &[
            "issue",
            "--key",
            "root.key",
            "--new-key",
            "--realm",
            "test-cluster",
            "--grant",
            "b=photos,p=2024/,ops=get+list",
            "--days",
            "10",
            "--url",
            "http://127.0.0.1:7070",
            "--out",
            "p.json",
        ],
    );
    assert!(issued.status.success(), "{}", text(&issued.stderr));
    assert_eq!(mode(at.join("p.json")), 0o600);
    let profile = Profile::load(&at.join("p.json")).unwrap();

    for (trust, code) in [
        (root_id.as_str(), 0),
        (&new_key().unwrap().key_id(Role::Root).to_string(), 1),
    ] {
        let seen = admin(at, &["--json", "inspect", "p.json", "--trust", trust]);
        assert_eq!(seen.status.code(), Some(code));
        let value: serde_json::Value = serde_json::from_slice(&seen.stdout).unwrap();
        assert_eq!(value["cap"][0]["b"], "photos");
        assert!(value["warnings"][0].as_str().unwrap().starts_with("expires in "));
        assert!(!text(&seen.stdout).contains("wsk1"));
    }
    let human = text(&admin(at, &["inspect", &profile.packet]).stdout);
    assert!(human.contains("get list in photos, 2024/"), "{human}");

    let renewed = admin(
        at,
        &[
            "renew",
            "--key",
            "root.key",
            "--profile",
            "p.json",
            "--days",
            "100",
        ],
    );
    assert!(renewed.status.success(), "{}", text(&renewed.stderr));
    let after = Profile::load(&at.join("p.json")).unwrap();
    assert_ne!(after.packet, profile.packet);
    assert_eq!(*after.key.to_wire(), *profile.key.to_wire());
    assert_eq!(mode(at.join("p.json")), 0o600);
    assert_eq!(fs::read_dir(at).unwrap().count(), 2, "no temporary file stays");

    let sub = after.key.key_id(Role::Client).to_string();
    let packet = admin(
        at,
        &[
            "issue",
            "--key",
            "root.key",
            "--sub",
            &sub,
            "--realm",
            "test-cluster",
            "--grant",
            "b=photos,ops=get",
        ],
    );
    assert!(packet::Packet::parse(text(&packet.stdout).trim()).is_ok());
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let dir = TempDir::new().unwrap();
    admin(dir.path(), &["keygen", "--role", "root"]);
    for arguments in [
        &["issue"][..],
        &[
            "issue",
            "--key",
            "root.key",
            "--new-key",
            "--realm",
            "r",
            "--grant",
            "b=photos,ops=get",
        ],
        &[
            "issue",
            "--key",
            "root.key",
            "--sub",
            "wc1",
            "--realm",
            "r",
            "--grant",
            "b=photos,ops=get",
        ],
        &[
            "issue",
            "--key",
            "root.key",
            "--sub",
            "wc1",
            "--realm",
            "R",
            "--grant",
            "b=photos,ops=get",
        ],
        &["inspect", "x", "--trust", "wc1"],
    ] {
        let output = admin(dir.path(), arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
    fs::set_permissions(dir.path().join("root.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let sub = new_key().unwrap().key_id(Role::Client).to_string();
    let output = admin(
        dir.path(),
        &[
            "issue",
            "--key",
            "root.key",
            "--sub",
            &sub,
            "--realm",
            "r",
            "--grant",
            "b=photos,ops=get",
        ],
    );
    assert!(text(&output.stderr).contains("chmod 600"));
}
