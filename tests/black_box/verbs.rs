//! The verbs of the data plane as a user types them, and the same over HTTP/1.1.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use wfldb_client::Profile;
use wfldb_core::id::ContentHash;
use wfldb_tests::{Answer, Request, Server, binary, noise, wait_until};

struct Scene {
    dir: tempfile::TempDir,
    server: Server,
    profile: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"));
        let profile = server.profile_file();
        let scene = Self { dir, server, profile };
        scene.ok(&["mb", "verbs"]);
        scene
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(binary("wfldb"))
            .env("XDG_STATE_HOME", self.dir.path().join("state"))
            .arg("--profile")
            .arg(&self.profile)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn with(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        self.with(arguments, "")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        serde_json::from_str(&self.ok(&arguments)).unwrap()
    }

    fn code(&self, arguments: &[&str]) -> Option<i32> {
        self.run(arguments, "").status.code()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Over HTTP/1.1.
    fn http1(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let profile: Profile = self.server.profile();
        Request::signed(&profile, method, target, headers, body).send(&self.server.listen)
    }
}

#[test]
fn a_batch_happens_whole_or_not_at_all() {
    let scene = Scene::new();
    let file = scene.file("old", b"old");
    scene.ok(&["put", &file, "verbs/old"]);
    let lines = r#"{"op":"put","key":"a","body":"text","content_type":"text/plain","tags":{"colour":"red"}}
{"op":"put","key":"b","body_base64":"AP8"}
{"op":"delete","key":"old","if_match":"*"}
{"op":"check","key":"none","if_none_match":"*"}
"#;
    let words = scene.with(&["batch", "verbs"], lines);
    assert!(
        words.contains("stored a as version") && words.contains("4 entries in one commit"),
        "{words}"
    );
    assert_eq!(scene.ok(&["cat", "verbs/a"]), "text");
    assert_eq!(scene.code(&["cat", "verbs/old"]), Some(4));

    let refused = r#"{"ops":[{"op":"put","key":"c","body":"x"},{"op":"put","key":"a","body":"y","if_none_match":"*"}]}"#;
    let output = scene.run(&["batch", "verbs", "-"], refused);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{words}");
    assert!(words.contains("key a, entry 1"), "{words}");
    let output = scene.run(&["--json", "batch", "verbs"], refused);
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(
        (&error["error"]["entry"], &error["error"]["key"]),
        (&1.into(), &"a".into())
    );
    assert_eq!(scene.code(&["cat", "verbs/c"]), Some(4), "nothing of it happened");
    assert_eq!(scene.ok(&["cat", "verbs/a"]), "text");
    assert_eq!(scene.run(&["batch", "verbs"], "nonsense").status.code(), Some(2));

    // The same over HTTP/1.1.
    let json = &[("content-type", "application/json")];
    let answer = scene.http1("POST", "/v1/verbs/batch", json, refused.as_bytes());
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &problem["entry"]), (412, &1.into()));
    let allowed = br#"{"ops":[{"op":"put","key":"c","body":"x"},{"op":"delete","key":"a"}]}"#;
    let answer = scene.http1("POST", "/v1/verbs/batch", json, allowed);
    let results: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status, results["results"].as_array().map(Vec::len)),
        (200, Some(2))
    );
    assert_eq!(scene.ok(&["cat", "verbs/c"]), "x");
}

#[test]
fn a_copy_is_a_new_version_with_the_same_bytes() {
    let scene = Scene::new();
    scene.ok(&["mb", "other"]);
    let bytes = noise(3, 9_000_000);
    let file = scene.file("large.bin", &bytes);
    scene.ok(&["put", &file, "verbs/a", "--tag", "k=v", "--meta", "m=1"]);
    let source = scene.json(&["stat", "verbs/a"]);
    for target in ["verbs/b c", "other/dir/"] {
        scene.ok(&["cp", "wfldb://verbs/a", &format!("wfldb://{target}")]);
    }
    for target in ["verbs/b c", "other/dir/a"] {
        let copy = scene.json(&["stat", target]);
        for member in ["etag", "size", "tags", "meta", "content_type"] {
            assert_eq!(copy[member], source[member], "{target} {member}");
        }
        let back = scene.dir.path().join("back");
        scene.ok(&["get", target, back.to_str().unwrap()]);
        assert!(fs::read(&back).unwrap() == bytes, "{target}");
    }
    assert_eq!(
        scene.code(&["cp", "wfldb://verbs/none", "wfldb://verbs/x"]),
        Some(4)
    );
    let answer = scene.http1(
        "POST",
        "/v1/other/h1?copy=%2Fverbs%2Fb%20c",
        &[("x-wfldb-tags", "z=1")],
        b"",
    );
    assert_eq!(answer.status, 201);
    assert_eq!(
        scene.json(&["tag", "other/h1"])["tags"],
        serde_json::json!({"z": "1"})
    );

    // An old version comes back by a copy, and only on top of what was seen.
    let version = source["version"].as_str().unwrap().to_owned();
    scene.ok(&["put", &scene.file("new", b"new"), "verbs/a"]);
    scene.ok(&["restore", "verbs/a", "--version", &version]);
    assert_eq!(scene.json(&["stat", "verbs/a"])["etag"], source["etag"]);
}

#[test]
fn tags_are_set_on_the_object_and_found_by_a_scan() {
    let scene = Scene::new();
    let file = scene.file("f", b"bytes");
    for (key, tags) in [("a", ["colour=red", "size=5/6"]), ("b", ["colour=red", "size=7"])] {
        let target = format!("verbs/{key}");
        scene.ok(&[
            "put", &file, &target, "--tag", tags[0], "--tag", tags[1], "--meta", "m=1", "--ttl", "3600",
        ]);
    }
    let found = |arguments: &[&str]| {
        let arguments = [&["scan", "verbs"], arguments].concat();
        scene.ok(&arguments).lines().count()
    };
    assert_eq!(found(&["--tag", "colour=red"]), 2);
    assert_eq!(found(&["--tag", "colour=red", "--tag", "size=5/6"]), 1);
    assert_eq!(found(&["--tag", "colour=blue"]), 0);
    assert_eq!(scene.ok(&["tag", "verbs/a"]), "colour=red\nsize=5/6\n");

    let before = scene.json(&["stat", "verbs/a"]);
    assert_eq!(
        scene.ok(&["tag", "verbs/a", "colour=blue", "new=1"]),
        "colour=blue\nnew=1\nsize=5/6\n"
    );
    let after = scene.json(&["stat", "verbs/a"]);
    for member in ["etag", "meta", "content_type"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_ne!(after["version"], before["version"]);
    let left = after["ttl"].as_u64().unwrap();
    assert!(
        (3500..=3600).contains(&left),
        "what is left of the time to live stays: {left}"
    );
    assert_eq!(found(&["--tag", "colour=blue"]), 1);
    assert_eq!(scene.ok(&["tag", "verbs/a", "only=1", "--replace"]), "only=1\n");
    assert_eq!(scene.code(&["tag", "verbs/none", "a=b"]), Some(4));
    assert_eq!(scene.code(&["tag", "verbs/a", "novalue"]), Some(2));
}

#[test]
fn a_time_to_live_ends_and_a_time_is_looked_back_to() {
    let scene = Scene::new();
    let brief = scene.file("brief", b"brief");
    scene.ok(&["put", &brief, "verbs/brief", "--ttl", "2"]);
    assert_eq!(scene.ok(&["cat", "verbs/brief"]), "brief");
    wait_until(Duration::from_secs(20), "the object to end", || {
        scene.code(&["stat", "verbs/brief"]) == Some(4)
    });
    assert_eq!(scene.ok(&["scan", "verbs"]), "");

    scene.ok(&["put", &scene.file("one", b"one"), "verbs/k"]);
    scene.ok(&["put", &scene.file("two", b"two"), "verbs/k"]);
    let versions = scene.ok(&["--json", "versions", "verbs/k"]);
    let oldest: Value = serde_json::from_str(versions.lines().last().unwrap()).unwrap();
    let at = oldest["modified"].as_str().unwrap();
    assert_eq!(scene.ok(&["cat", "verbs/k", "--at", at]), "one");
    assert_eq!(
        scene.json(&["stat", "verbs/k", "--at", at])["version"],
        oldest["version"]
    );
    let out = scene.dir.path().join("out");
    scene.ok(&["get", "verbs/k", out.to_str().unwrap(), "--at", at]);
    assert_eq!(fs::read(out).unwrap(), b"one");
    assert_eq!(scene.code(&["stat", "verbs/k", "--at", "2020-01-02"]), Some(4));
    assert_eq!(scene.code(&["stat", "verbs/k", "--at", "yesterday"]), Some(2));
    let target = format!("/v1/verbs/k?at={}", at.replace(':', "%3A"));
    let answer = scene.http1("GET", &target, &[], b"");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"one".as_slice()));
}

#[test]
fn a_bucket_is_configured_member_by_member() {
    let scene = Scene::new();
    scene.ok(&[
        "mb",
        "bounded",
        "--keep",
        "2",
        "--quota",
        "1000000",
        "--quota-objects",
        "5",
    ]);
    assert_eq!(
        scene.code(&["mb", "bounded"]),
        Some(5),
        "what is there is not reset"
    );
    scene.ok(&[
        "mb",
        "bounded",
        "--configure",
        "--quota-objects",
        "none",
        "--days",
        "3",
    ]);
    let stats = scene.json(&["stats", "bounded"]);
    assert_eq!(stats["versions"], serde_json::json!({"keep": 2, "days": 3}));
    assert_eq!(
        (&stats["quota_bytes"], &stats["quota_objects"]),
        (&1_000_000.into(), &Value::Null)
    );
    scene.ok(&["mb", "bounded", "--configure", "--keep", "none", "--days", "none"]);
    assert_eq!(scene.json(&["stats", "bounded"])["versions"], Value::Null);
    assert_eq!(
        scene.json(&["stats", "bounded"])["usage"]["objects"],
        Value::from(0)
    );

    assert!(scene.json(&["stats"])["commits"].as_u64() > Some(0));
    assert!(scene.ok(&["stats"]).contains("storage_bytes"));
    assert!(scene.json(&["compact"])["storage_bytes_before"].is_u64());
    assert!(scene.ok(&["compact"]).starts_with("storage: "));
}

#[test]
fn parts_over_http1_make_an_object() {
    let scene = Scene::new();
    let bytes = noise(8, 7_000_000);
    let part_bytes = 5 * 1024 * 1024;
    let start = format!("/v1/verbs/parts?multipart=start&part_bytes={part_bytes}");
    let answer = scene.http1("POST", &start, &[("x-wfldb-meta-m", "1")], b"");
    assert_eq!(answer.status, 200);
    let started: Value = serde_json::from_slice(&answer.body).unwrap();
    let upload = format!(
        "/v1/verbs/parts?multipart={}",
        started["upload"].as_str().unwrap()
    );
    let mut list = Vec::new();
    for (part, number) in bytes.chunks(part_bytes).zip(1..) {
        let answer = scene.http1("PUT", &format!("{upload}&part={number}"), &[], part);
        let etag = ContentHash::of(part).to_string();
        assert_eq!(
            (answer.status, answer.header("etag")),
            (200, Some(format!("\"{etag}\"").as_str()))
        );
        list.push(serde_json::json!({"part": number, "etag": etag}));
    }
    let listed: Value = serde_json::from_slice(&scene.http1("GET", &upload, &[], b"").body).unwrap();
    assert_eq!(listed["parts"].as_array().map(Vec::len), Some(2));
    let list = serde_json::to_vec(&list).unwrap();
    let first = scene.http1("POST", &upload, &[], &list);
    let again = scene.http1("POST", &upload, &[], &list);
    assert_eq!(
        (first.status, first.header("x-wfldb-version")),
        (201, again.header("x-wfldb-version"))
    );
    let shown = scene.json(&["stat", "verbs/parts"]);
    assert_eq!(shown["etag"], Value::from(ContentHash::of(&bytes).to_string()));
    assert_eq!(shown["meta"], serde_json::json!({"m": "1"}));
    assert_eq!(same_file(&scene, "verbs/parts"), bytes);
    assert_eq!(
        scene.http1("DELETE", &upload, &[], b"").code().as_deref(),
        Some("NoSuchUpload")
    );
}

fn same_file(scene: &Scene, target: &str) -> Vec<u8> {
    let back: &Path = &scene.dir.path().join("back");
    scene.ok(&["get", target, back.to_str().unwrap()]);
    fs::read(back).unwrap()
}
