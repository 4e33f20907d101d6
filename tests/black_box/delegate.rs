//! Passing rights on with the real programs: offline with `wfldb delegate`, used against a running server.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use wfldb_client::Profile;
use wfldb_core::encoding::base64url;
use wfldb_tests::{Request, Server, binary};

struct Scene {
    dir: tempfile::TempDir,
    server: Server,
    admin: PathBuf,
}

impl Scene {
    /// A store with `docs/a`, `docs/ab` and `docs/b`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"));
        let admin = server.profile_file();
        let scene = Self { dir, server, admin };
        scene.ok(&scene.admin, &["mb", "docs"]);
        let file = scene.path("file");
        fs::write(&file, "text").unwrap();
        for key in ["docs/a", "docs/ab", "docs/b"] {
            scene.ok(&scene.admin, &["put", file.to_str().unwrap(), key]);
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, profile: &Path, arguments: &[&str]) -> Output {
        Command::new(binary("wfldb"))
            .current_dir(self.dir.path())
            .arg("--profile")
            .arg(profile)
            .args(arguments)
            .output()
            .unwrap()
    }

    fn ok(&self, profile: &Path, arguments: &[&str]) -> String {
        let output = self.run(profile, arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, profile: &Path, arguments: &[&str]) -> String {
        let output = self.run(profile, arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Passes a profile on with a key of its own, and gives the new profile.
    fn delegate(&self, from: &Path, name: &str, arguments: &[&str]) -> PathBuf {
        let out = self.path(name);
        let arguments = [
            &["delegate", "--new-key", "--out", out.to_str().unwrap()],
            arguments,
        ]
        .concat();
        self.ok(from, &arguments);
        assert_eq!(fs::metadata(&out).unwrap().mode() & 0o777, 0o600);
        out
    }
}

fn inspect(profile: &Path) -> Value {
    let output = Command::new(binary("wfldb-admin"))
        .args(["--json", "inspect"])
        .arg(profile)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_packet_that_was_passed_on_offline_is_used_and_narrowed() {
    let scene = Scene::new();
    // The server has no part in it: it is not even there while the packets are made.
    let reader = scene.delegate(
        &scene.admin,
        "reader.json",
        &[
            "--grant",
            "b=docs,p=a,ops=get+list+put,max_bytes=100,rate=1000,cidr=127.0.0.0/8",
            "--for",
            "8h",
            "--dlg",
            "1",
        ],
    );
    let file = scene.path("file");
    let file = file.to_str().unwrap();
    assert_eq!(scene.ok(&reader, &["cat", "docs/ab"]), "text");
    scene.ok(&reader, &["put", file, "docs/a-new"]);
    scene.refused(&reader, &["cat", "docs/b"]);
    scene.refused(&reader, &["put", file, "docs/b"]);
    scene.refused(&reader, &["rm", "docs/a"]);
    scene.refused(&reader, &["mb", "other"]);
    fs::write(scene.path("large"), vec![7; 101]).unwrap();
    scene.refused(&reader, &["put", scene.path("large").to_str().unwrap(), "docs/a"]);
    let listed = scene.ok(&reader, &["scan", "docs"]);
    assert!(
        listed.contains("ab") && !listed.lines().any(|line| line.contains("docs/b")),
        "{listed}"
    );

    // Once more, and then no more: the network is another one, the keys are fewer.
    let elsewhere = scene.delegate(
        &reader,
        "elsewhere.json",
        &["--grant", "b=docs,p=ab,ops=get,cidr=127.1.0.0/16"],
    );
    scene.refused(&elsewhere, &["cat", "docs/ab"]);
    let near = scene.delegate(&reader, "near.json", &["--grant", "b=docs,p=ab,ops=get"]);
    assert_eq!(scene.ok(&near, &["cat", "docs/ab"]), "text");
    scene.refused(&near, &["cat", "docs/a"]);
    let words = scene.refused(
        &near,
        &[
            "delegate",
            "--new-key",
            "--out",
            "x",
            "--grant",
            "b=docs,p=ab,ops=get",
        ],
    );
    assert!(words.contains("may not be passed on"), "{words}");
    assert!(!scene.path("x").exists());

    let seen = inspect(&near);
    assert_eq!(seen["links"].as_array().map(Vec::len), Some(3));
    assert_eq!(seen["links"][1]["sub"], seen["links"][2]["iss"]);
    assert_eq!(
        seen["allows"],
        json!([{"b": "docs", "p": "ab", "ops": ["get"], "rate": 1000, "cidr": ["127.0.0.0/8"]}])
    );
    assert_eq!(seen["verdict"], "signed");
}

#[test]
fn what_would_widen_is_refused_before_anything_is_written() {
    let scene = Scene::new();
    let holder = scene.delegate(
        &scene.admin,
        "holder.json",
        &[
            "--grant",
            "b=docs,p=a,ops=get+put,max_bytes=100,rate=5,quota_bytes=1000,cidr=127.0.0.0/8",
            "--for",
            "1h",
            "--dlg",
            "2",
        ],
    );
    let out = scene.path("out.json");
    let ask = |grant: &str, more: &[&str]| {
        let arguments = [
            "delegate",
            "--new-key",
            "--out",
            out.to_str().unwrap(),
            "--grant",
            grant,
        ];
        let words = scene.refused(&holder, &[&arguments, more].concat());
        assert!(!out.exists(), "nothing is written");
        words
    };
    for (grant, member) in [
        ("b=*,p=a,ops=get", "`b`"),
        ("b=other,p=a,ops=get", "`b`"),
        ("b=docs,ops=get", "`p`"),
        ("b=docs,p=b,ops=get", "`p`"),
        ("b=docs,p=a,ops=get+delete", "`ops`"),
        ("b=docs,p=a,ops=put,max_bytes=101", "`max_bytes`"),
        ("b=docs,p=a,ops=put,rate=6", "`rate`"),
        ("b=docs,p=a,ops=put,quota_bytes=1001", "`quota_bytes`"),
        ("b=docs,p=a,ops=put,cidr=0.0.0.0/0", "`cidr`"),
    ] {
        let words = ask(grant, &[]);
        assert!(
            words.contains(member) && words.contains("it allows:"),
            "{grant}: {words}"
        );
    }
    let good = "b=docs,p=a,ops=get";
    assert!(ask(good, &["--for", "2h"]).contains("is after its end"));
    assert!(ask(good, &["--until", "2999-01-01"]).contains("is after its end"));
    assert!(ask(good, &["--dlg", "2"]).contains("dlg is 1 at most"));
    // Wrong usage is something else.
    for arguments in [
        &["delegate", "--grant", good][..],
        &["delegate", "--grant", good, "--new-key"],
        &["delegate", "--grant", "b=docs", "--sub", "wc1"],
        &["delegate", "--grant", good, "--sub", "wr1x"],
        &["delegate", "--grant", good, "--for", "1", "--sub", "wc1"],
    ] {
        assert_eq!(
            scene.run(&holder, arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    // With a key id alone, the packet goes to standard output; the secret never does.
    let other = Profile::load(&scene.admin).unwrap().key;
    let id = other.key_id(wfldb_core::id::Role::Client).to_string();
    let shown: Value =
        serde_json::from_str(&scene.ok(&holder, &["--json", "delegate", "--grant", good, "--sub", &id]))
            .unwrap();
    assert_eq!(shown["holder"], Value::from(id));
    let given = Profile {
        packet: shown["packet"].as_str().unwrap().to_owned(),
        ..Profile::load(&scene.admin).unwrap()
    };
    let read = Request::signed(&given, "GET", "/v1/docs/a", &[], b"").send(&scene.server.listen);
    assert_eq!(read.status, 200, "{read:?}");
    let write = Request::signed(&given, "PUT", "/v1/docs/a", &[], b"x").send(&scene.server.listen);
    assert_eq!((write.status, write.code().as_deref()), (403, Some("Forbidden")));
}

#[test]
fn a_chain_ends_after_four_links() {
    let scene = Scene::new();
    let grant = ["--grant", "b=docs,ops=get+list"];
    let mut profile = scene.admin.clone();
    for (number, dlg) in [(1, "2"), (2, "1"), (3, "0")] {
        profile = scene.delegate(
            &profile,
            &format!("{number}.json"),
            &[&grant[..], &["--dlg", dlg]].concat(),
        );
        assert_eq!(scene.ok(&profile, &["cat", "docs/b"]), "text");
    }
    assert_eq!(inspect(&profile)["links"].as_array().map(Vec::len), Some(4));
    let out = scene.path("4.json");
    let arguments = [
        &["delegate", "--new-key", "--out", out.to_str().unwrap()],
        &grant[..],
    ]
    .concat();
    scene.refused(&profile, &arguments);
    // A fifth link that somebody made without asking any program of ours: refused by the server.
    let last = Profile::load(&profile).unwrap();
    let fifth = fifth_link(&last);
    let refused = Request::signed(&fifth, "GET", "/v1/docs/b", &[], b"").send(&scene.server.listen);
    assert_eq!(
        (refused.status, refused.code().as_deref()),
        (401, Some("Unauthenticated"))
    );
    let good = Request::signed(&last, "GET", "/v1/docs/b", &[], b"").send(&scene.server.listen);
    assert_eq!(good.status, 200);

    // What it says of itself, asked by its holder.
    let question = br#"{"method":"PUT","target":"/v1/docs/b"}"#;
    let answer = Request::signed(&last, "POST", "/v1/_dryrun", &[], question).send(&scene.server.listen);
    let answer = answer.json();
    assert_eq!(answer["allowed"], json!(false));
    assert_eq!(answer["needs"][0]["refused_by"], json!(1));
    assert_eq!(answer["needs"][0]["links"][0], json!({"grant": 0}));
    assert_eq!(answer["needs"][0]["links"][3], json!({"objection": "ops"}));
}

#[test]
fn a_dry_run_in_words_and_in_json() {
    let scene = Scene::new();
    let holder = scene.delegate(
        &scene.admin,
        "holder.json",
        &["--grant", "b=docs,p=a,ops=get+put,max_bytes=10,rate=1000"],
    );
    let words = scene.ok(&holder, &["dry-run", "PUT", "/v1/docs/ab", "--bytes", "10"]);
    assert_eq!(
        words,
        "allowed\nput docs/ab\n  link 0: grant 0 allows it\n  link 1: grant 0 allows it within rate\n"
    );
    for (arguments, says) in [
        (&["PUT", "/v1/docs/ab", "--bytes", "11"][..], "`max_bytes`"),
        (&["GET", "/v1/docs/b"], "`p`"),
        (&["DELETE", "/v1/docs/a"], "`ops`"),
        (&["GET", "/v1/none-such/a"], "`b`"),
    ] {
        let output = scene.run(&holder, &[&["dry-run"], arguments].concat());
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let words = String::from_utf8(output.stdout).unwrap();
        let says = format!("link 1: no grant allows it, by {says}");
        assert!(words.starts_with("denied\n") && words.contains(&says), "{words}");
    }
    let output = scene.run(
        &holder,
        &["--json", "dry-run", "GET", "/v1/docs/b", "--peer", "10.0.0.1"],
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&answer["allowed"], &answer["needs"][0]["refused_by"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(
        scene
            .run(&holder, &["dry-run", "GET", "/v1/docs/b?x=1"])
            .status
            .code(),
        Some(1)
    );
    assert_eq!(
        scene
            .run(&holder, &["dry-run", "get", "/v1/docs/b"])
            .status
            .code(),
        Some(2)
    );
}

/// The packet with one link more, signed as it should be, to its own holder.
fn fifth_link(last: &Profile) -> Profile {
    let claims = last.packet.split('.').nth(1).unwrap();
    let mut claims: Value = serde_json::from_slice(&base64url::decode(claims).unwrap()).unwrap();
    let members = claims.as_object_mut().unwrap();
    let holder = members.get("sub").unwrap().clone();
    members.insert("iss".to_owned(), holder.clone());
    members.insert("prf".to_owned(), last.packet.clone().into());
    let header = json!({"alg": "EdDSA", "kid": holder, "typ": "wfldb-kp+jwt"});
    let part = |value: &Value| base64url::encode(&serde_json::to_vec(value).unwrap());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let packet = format!("{signed}.{}", last.key.sign(signed.as_bytes()));
    Profile {
        packet,
        endpoint: last.endpoint.clone(),
        realm: last.realm.clone(),
        key: last.key.clone(),
        node: None,
    }
}
