//! Stores brought together as their users do it: `wfldb-admin mirror sync`, through running servers and of stopped stores.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use wfldb_tests::{Server, binary, is_verified_sound};

struct Site {
    dir: PathBuf,
    server: Server,
}

impl Site {
    fn new(dir: &Path, name: &str, flags: &[&str]) -> Self {
        let dir = dir.join(name);
        fs::create_dir(&dir).unwrap();
        let server = Server::start_with(&dir.join("data"), flags, &[]);
        Self { dir, server }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> (Option<i32>, Value, String) {
        let output = Command::new(binary(program))
            .env("XDG_STATE_HOME", self.dir.join("state"))
            .env("WFLDB_PROFILE", self.server.profile_file())
            .arg("--json")
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        let line = serde_json::from_str(line.lines().next().unwrap_or_default());
        (output.status.code(), line.unwrap_or_default(), said)
    }

    fn ok(&self, arguments: &[&str]) -> Value {
        let (code, said, why) = self.run("wfldb", arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {why}");
        said
    }

    fn put(&self, target: &str, document: &Value) {
        let file = self.dir.join("document.json");
        fs::write(&file, document.to_string()).unwrap();
        self.ok(&["put", file.to_str().unwrap(), target]);
    }

    fn sync(&self, flags: &[&str]) -> (Option<i32>, Value, String) {
        self.run("wfldb-admin", &[&["mirror", "sync"], flags].concat())
    }

    fn document(&self, target: &str) -> Value {
        self.ok(&["doc", target])
    }
}

/// The id of the key that a store signs with, as its mirror names it.
fn node(data: &Path) -> String {
    let root = fs::read(data.join("mirror/wfldb.json")).unwrap();
    let root: Value = serde_json::from_slice(&root).unwrap();
    root.pointer("/keys/0")
        .and_then(Value::as_str)
        .unwrap()
        .to_owned()
}

#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
fn remote(dir: &Path) -> Option<String> {
    let remote = dir.join("remote.git").to_str().unwrap().to_owned();
    let made = Command::new("git")
        .args(["init", "--quiet", "--bare", "--initial-branch=main", &remote])
        .status();
    if !made.is_ok_and(|made| made.success()) {
        eprintln!("SKIPPED: there is no git on this machine");
        return None;
    }
    Some(remote)
}

/// DEFECT: servers that work apart and cannot be brought together, or only by taking from one of them.
#[test]
fn servers_are_brought_together_and_people_decide() {
    let dir = tempfile::tempdir().unwrap();
    let Some(remote) = remote(dir.path()) else { return };
    // A server that was given no remote has none.
    let alone = Site::new(dir.path(), "alone", &[]);
    let (code, _, why) = alone.sync(&[]);
    assert!(code != Some(0) && why.contains("SyncNotConfigured"), "{why}");
    drop(alone);

    let flags = |trust: &[&str]| -> Vec<String> {
        let mut flags = vec!["--mirror-remote".to_owned(), remote.clone()];
        for id in trust {
            flags.extend(["--mirror-trust".to_owned(), (*id).to_owned()]);
        }
        flags
    };
    let start = |name: &str, trust: &[&str]| {
        let flags = flags(trust);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Site::new(dir.path(), name, &flags)
    };
    let first = start("first", &[]);
    first.ok(&["mb", "notes", "--kind", "documents"]);
    first.put("notes/fox", &json!({"name": "fox", "legs": 4}));
    let (code, said, why) = first.sync(&[]);
    assert_eq!((code, &said["pushed"]), (Some(0), &json!(true)), "{why}");

    // Nobody has said that the first is to be believed.
    let stranger = start("stranger", &[]);
    let (code, _, why) = stranger.sync(&[]);
    assert!(code != Some(0) && why.contains("SyncUntrusted"), "{why}");
    drop(stranger);

    let second = start("second", &[&node(&first.dir.join("data"))]);
    let (code, said, why) = second.sync(&[]);
    assert_eq!((code, &said["taken"]), (Some(0), &json!(1)), "{why}");
    assert_eq!(second.document("notes/fox"), first.document("notes/fox"));

    // Both change it, and each something of its own.
    first.put("notes/fox", &json!({"name": "fox", "legs": 3}));
    first.put("notes/hen", &json!({"name": "hen"}));
    second.put("notes/fox", &json!({"name": "vixen", "legs": 4}));
    second.put("notes/owl", &json!({"name": "owl"}));
    // What the first pushed last is from before the second was there: it has to be told whom to believe.
    let first_data = first.dir.join("data");
    let second_id = node(&second.dir.join("data"));
    let Site { server, .. } = first;
    assert!(server.terminate().success());
    let admin = |arguments: &[&str]| {
        let output = Command::new(binary("wfldb-admin"))
            .args([
                "--json",
                "mirror",
                "sync",
                &remote,
                "--data",
                first_data.to_str().unwrap(),
            ])
            .args(arguments)
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (
            output.status.code(),
            said,
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, _, why) = admin(&[]);
    assert!(
        code != Some(0) && why.contains(&second_id) && why.contains("--trust"),
        "{why}"
    );
    let (code, said, why) = admin(&["--trust", &second_id]);
    assert_eq!((code, &said["pushed"]), (Some(0), &json!(true)), "{why}");

    let (code, said, _) = second.sync(&["--dry-run"]);
    assert_eq!(
        (code, &said["taken"], &said["conflicts"][0]["key"]),
        (Some(1), &json!(1), &json!("fox"))
    );
    assert_ne!(second.run("wfldb", &["doc", "notes/hen"]).0, Some(0));
    let (code, said, _) = second.sync(&[]);
    assert_eq!((code, &said["pushed"]), (Some(1), &json!(false)));
    assert_eq!(said["conflicts"][0]["key"], "fox");
    assert_eq!(second.document("notes/hen")["name"], "hen");
    let (code, said, why) = second.sync(&["--strategy", "fields"]);
    assert_eq!((code, &said["written"]), (Some(0), &json!(1)), "{why}");
    let fox = second.document("notes/fox");
    assert_eq!((&fox["name"], &fox["legs"]), (&json!("vixen"), &json!(3)));

    let (code, said, why) = admin(&[]);
    assert_eq!((code, &said["taken"]), (Some(0), &json!(2)), "{why}");
    let files = |data: &Path| {
        ["fox", "hen", "owl"].map(|key| fs::read(data.join(format!("mirror/notes/{key}.json"))).unwrap())
    };
    let second_data = second.dir.join("data");
    is_verified_sound(&second.server);
    let Site { server, .. } = second;
    assert!(server.terminate().success());
    assert_eq!(files(&first_data), files(&second_data));
    for data in [&first_data, &second_data] {
        let output = Command::new(binary("wfldb-admin"))
            .args(["mirror", "verify", "--data", data.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
