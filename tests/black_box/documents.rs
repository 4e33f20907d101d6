//! `wfldb import` and `wfldb export` against the running server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Server, binary, bucket};

const DOCUMENTS: usize = 2500;

struct Scene {
    dir: tempfile::TempDir,
    _server: Server,
    profile: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"));
        let config = BucketConfig::parse_json(br#"{"kind":"documents"}"#).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for name in ["one", "two", "three"] {
            let client = server.client();
            runtime
                .block_on(async { client.create_bucket(&bucket(name), &config).await })
                .unwrap();
        }
        let profile = server.profile_file();
        Self {
            dir,
            _server: server,
            profile,
        }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("wfldb"));
        command.arg("--profile").arg(&self.profile).args(arguments);
        command.output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Documents by their keys, as a file has them.
fn lines(path: impl AsRef<Path>) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Defects it catches: a document that is lost between two batches; a format that changes what it carries; an envelope that
/// comes back as a part of the document.
#[test]
fn what_is_imported_is_exported_in_every_format_and_imported_again() {
    let scene = Scene::new();
    let documents: Vec<Value> = (0..DOCUMENTS)
        .map(|number| {
            json!({"_id": format!("k{number:05}"), "n": number, "half": 0.5, "tags": ["a", {"b": null}],
                   "text": format!("größe {number} \"quoted\""), "at": {"$date": "2026-01-02T03:04:05Z"}})
        })
        .collect();
    let text = documents.iter().fold(String::new(), |text, document| {
        text + &document.to_string() + "\n"
    });
    let file = scene.path("in.jsonl");
    fs::write(&file, &text).unwrap();
    let sum = scene.json(&["import", "one", &file]);
    assert_eq!(
        (&sum["stored"], &sum["failed"], &sum["whole"], &sum["bytes"]),
        (&json!(DOCUMENTS), &json!(0), &json!(true), &json!(text.len()))
    );
    for (name, into) in [("out.jsonl", "two"), ("out.json", "two"), ("out.bson", "three")] {
        let out = scene.path(name);
        let sum = scene.json(&["export", "one", &out]);
        assert_eq!(sum["documents"], json!(DOCUMENTS));
        scene.json(&["import", into, &out]);
        let plain = scene.path("plain.jsonl");
        scene.json(&["export", into, &plain, "--plain"]);
        assert_eq!(lines(&plain), documents, "{name}");
    }
    // With what the server added, which says the same of itself.
    let whole = lines(scene.path("out.jsonl"));
    assert!(
        whole
            .iter()
            .all(|document| document["_v"] == 1 && document["_sig"].is_string())
    );
    let stdout = scene
        .run(&["export", "one", "--prefix", "k0000", "--plain"])
        .stdout;
    assert_eq!(String::from_utf8(stdout).unwrap().lines().count(), 10);
}

/// Defects it catches: an error that does not say where; a run that goes on behind it unasked; a document that is stored a
/// second time although only new ones were asked for.
#[test]
fn what_cannot_be_stored_is_named_and_the_rest_can_go_on() {
    let scene = Scene::new();
    let file = scene.path("in.jsonl");
    let text = "{\"_id\":\"a\",\"n\":1}\n{\"n\":2}\n{\"_id\":\"c\",\"_own\":1}\n{\"_id\":\"d\"}\nnonsense\n{\"_id\":\"e\"}\n";
    fs::write(&file, text).unwrap();
    let stopped = scene.run(&["import", "one", &file]);
    let words = String::from_utf8(stopped.stderr).unwrap();
    assert_eq!(stopped.status.code(), Some(1), "{words}");
    assert!(words.contains("line 2: it has no `_id`"), "{words}");
    let all = scene.run(&["--json", "import", "one", &file, "--keep-going"]);
    assert_eq!(all.status.code(), Some(1));
    let sum: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!((&sum["stored"], &sum["failed"]), (&json!(3), &json!(3)), "{sum}");
    let words = String::from_utf8(all.stderr).unwrap();
    for line in ["line 2: ", "line 3: ", "line 5: "] {
        assert!(words.contains(line), "{words}");
    }
    // The server refuses it: its own place in the file is told.
    fs::write(&file, "{\"_id\":\"x\"}\n\n{\"_id\":\"c\",\"_own\":1}\n").unwrap();
    let refused = scene.run(&["import", "one", &file]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("line 3: "));

    fs::write(&file, "{\"_id\":\"a\",\"n\":9}\n{\"_id\":\"new\"}\n").unwrap();
    let sum = scene.json(&["import", "one", &file, "--new-only"]);
    assert_eq!((&sum["stored"], &sum["skipped"]), (&json!(1), &json!(1)));
    let one = scene.run(&["cat", "one/new"]);
    assert!(one.status.success(), "{one:?}");
    assert!(one.stdout.ends_with(b"\"}"), "as it is sent, `_sig` last");
    let plain = scene.path("plain.jsonl");
    scene.json(&["export", "one", &plain, "--plain"]);
    let ids: Vec<_> = lines(&plain)
        .iter()
        .map(|document| document["_id"].clone())
        .collect();
    assert_eq!(ids, ["a", "d", "e", "new"]);
    assert_eq!(lines(&plain)[0]["n"], 1);

    // Of a key that occurs several times the last one stays.
    let documents: Vec<String> = (0..300)
        .map(|number| format!("{{\"_id\":\"same\",\"n\":{number}}}\n{{\"_id\":\"k{number}\"}}"))
        .collect();
    let many = documents.join("\n");
    fs::write(&file, many).unwrap();
    scene.json(&["import", "two", &file, "--in-flight", "8"]);
    scene.json(&["export", "two", &plain, "--plain", "--prefix", "same"]);
    assert_eq!(lines(&plain), [json!({"_id": "same", "n": 299})]);

    let nowhere = scene.run(&["import", "nowhere", &file]);
    assert_eq!(nowhere.status.code(), Some(4));
    let unknown = scene.run(&["import", "one", &scene.path("file")]);
    assert_eq!(unknown.status.code(), Some(2));
}
