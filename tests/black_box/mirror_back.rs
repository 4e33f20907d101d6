//! What comes back from a mirror, as its users have it: edits of objects, files that were removed, and versions from git.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use wfldb_core::id::{Role, SecretKey};
use wfldb_tests::{is_verified_sound, wait_until};

use crate::mirror::{Scene, edit};

const LONG: Duration = Duration::from_mins(1);

impl Scene {
    pub(crate) fn store(&self, bytes: &str, target: &str, more: &[&str]) {
        let file = self.dir.path().join("bytes");
        fs::write(&file, bytes).unwrap();
        self.ok(&[&["put", file.to_str().unwrap(), target], more].concat());
    }

    pub(crate) fn bytes(&self, target: &str) -> String {
        let output = self.run("wfldb", &["cat", target]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the manifest of a directory has a file as the file is.
    fn rests(&self, dir: &str, name: &str) {
        let place = self.mirror().join(dir);
        wait_until(LONG, name, || {
            if !place.join("MANIFEST.sha256").exists() {
                return false;
            }
            let sums = Command::new("sha256sum")
                .current_dir(&place)
                .args(["-c", "--quiet", "MANIFEST.sha256"])
                .output()
                .unwrap();
            let text = fs::read_to_string(place.join("MANIFEST.sha256")).unwrap_or_default();
            sums.status.success() && text.lines().any(|line| line.ends_with(&format!("  {name}")))
        });
    }

    /// Waits until the newest commit has a file that says this; its name.
    pub(crate) fn is_recorded(&self, path: &str, text: &str) -> String {
        let git = |arguments: &[&str]| {
            let git = Command::new("git")
                .arg("-C")
                .arg(self.mirror())
                .args(arguments)
                .output();
            String::from_utf8_lossy(&git.unwrap().stdout).trim().to_owned()
        };
        wait_until(LONG, path, || {
            git(&["show", &format!("main:{path}")]).contains(text)
        });
        git(&["rev-parse", "main"])
    }

    fn is_gone(&self, target: &str) -> bool {
        !self.run("wfldb", &["stat", target]).status.success()
    }
}

/// DEFECT: an object's edit that is lost, or that takes back what somebody else wrote.
#[test]
fn edits_of_objects_become_versions_and_conflicts_are_for_people() {
    let scene = Scene::new();
    scene.ok(&["mb", "photos", "--mirror"]);
    scene.store(
        "one",
        "photos/a.txt",
        &["--content-type", "text/x-one", "--tag", "k=1"],
    );
    scene.store("two", "photos/b", &[]);
    scene.rests("photos", ".meta/b.json");
    let (place, beside) = (
        scene.mirror().join("photos/a.txt"),
        scene.mirror().join("photos/.meta/a.txt.json"),
    );
    let (code, said) = scene.import(&[]);
    assert_eq!((code, &said["unchanged"]), (Some(0), &json!(2)), "{said}");

    fs::write(&place, "uno").unwrap();
    fs::write(scene.mirror().join("photos/new.html"), "<p>").unwrap();
    let (code, said) = scene.import(&[]);
    assert_eq!(
        (code, &said["written"]),
        (Some(0), &json!(["photos/a.txt", "photos/new.html"])),
        "{said}"
    );
    assert_eq!(scene.bytes("photos/a.txt"), "uno");
    let stat = &scene.ok(&["stat", "photos/a.txt"])[0];
    assert_eq!(
        (&stat["content_type"], &stat["tags"]),
        (&json!("text/x-one"), &json!({"k": "1"})),
        "{stat}"
    );
    assert_eq!(
        scene.ok(&["stat", "photos/new.html"])[0]["content_type"],
        "text/html"
    );

    // What is said of it.
    let version = stat["version"].as_str().unwrap().to_owned();
    wait_until(LONG, "the mirror", || {
        fs::read_to_string(&beside).is_ok_and(|text| text.contains(&version))
    });
    scene.rests("photos", ".meta/a.txt.json");
    edit(&beside, "tags", json!({"k": "2", "l": "3"}));
    let (code, said) = scene.import(&[]);
    assert_eq!(
        (code, &said["written"]),
        (Some(0), &json!(["photos/a.txt"])),
        "{said}"
    );
    let stat = &scene.ok(&["stat", "photos/a.txt"])[0];
    assert_eq!(stat["tags"], json!({"k": "2", "l": "3"}));
    assert_eq!(scene.bytes("photos/a.txt"), "uno");

    // Both sides, from the same version.
    let version = stat["version"].as_str().unwrap().to_owned();
    wait_until(LONG, "the mirror", || {
        fs::read_to_string(&beside).is_ok_and(|text| text.contains(&version))
    });
    let then = fs::read(&beside).unwrap();
    scene.store("theirs", "photos/a.txt", &[]);
    wait_until(LONG, "the mirror", || {
        fs::read(&place).is_ok_and(|bytes| bytes == b"theirs")
    });
    wait_until(LONG, "the mirror", || {
        fs::read(&beside).is_ok_and(|text| text != then)
    });
    fs::write(&beside, &then).unwrap();
    fs::write(&place, "uno").unwrap();
    let (code, said) = scene.import(&[]);
    assert_eq!(
        (code, &said["written"], &said["conflicts"]),
        (Some(0), &json!([]), &json!([])),
        "only behind: {said}"
    );
    fs::write(&place, "mine").unwrap();
    for strategy in ["manual", "fields"] {
        let (code, said) = scene.import(&["--strategy", strategy]);
        assert_eq!((code, &said["written"]), (Some(1), &json!([])), "{said}");
        assert_eq!(said["conflicts"][0]["path"], "photos/a.txt");
    }
    assert_eq!(scene.bytes("photos/a.txt"), "theirs");
    let (code, _) = scene.import(&["--strategy", "last-write-wins"]);
    assert_eq!((code, scene.bytes("photos/a.txt")), (Some(0), "mine".to_owned()));
    is_verified_sound(&scene.server);
}

/// DEFECT: a removed file that deletes what the mirror never had, or deletes unasked; one that is not named.
#[test]
fn removed_files_are_named_and_deleted_where_that_is_asked_for() {
    let scene = Scene::new();
    scene.ok(&["mb", "notes", "--kind", "documents"]);
    scene.ok(&["mb", "photos", "--mirror"]);
    for key in ["fox", "hen", "owl"] {
        scene.put(&format!("notes/{key}"), &json!({"name": key}));
        scene.store(key, &format!("photos/{key}"), &[]);
    }
    scene.rests("notes", "owl.json");
    scene.rests("photos", ".meta/owl.json");
    let remove = |path: &str| fs::remove_file(scene.mirror().join(path)).unwrap();
    for path in [
        "notes/fox.json",
        "photos/fox",
        "photos/hen",
        "photos/.meta/hen.json",
    ] {
        remove(path);
    }
    let (code, said) = scene.import(&[]);
    let paths = |said: &Value| {
        let all = said["removed"].as_array().unwrap().iter();
        all.map(|one| one["path"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let gone = ["notes/fox.json", "photos/fox", "photos/hen"];
    assert_eq!((code, &said["deleted"]), (Some(0), &json!([])));
    assert_eq!(paths(&said), gone);
    assert!(
        ["notes/fox", "photos/fox", "photos/hen"]
            .iter()
            .all(|key| !scene.is_gone(key))
    );

    // The mirror stands still, and the store goes on.
    let mirror = scene.dir.path().join("copy");
    let copied = Command::new("cp")
        .arg("-a")
        .args([&scene.mirror(), &mirror])
        .status();
    assert!(copied.unwrap().success());
    fs::remove_file(mirror.join("notes/hen.json")).unwrap();
    fs::remove_file(mirror.join("photos/owl")).unwrap();
    scene.put("notes/hen", &json!({"name": "newer"}));
    scene.store("newer", "photos/owl", &[]);
    scene.put("notes/new", &json!({"name": "new"}));
    let arguments = ["import", "--mirror", mirror.to_str().unwrap(), "--deletions"];
    let (code, said, _) = scene.admin(&arguments);
    assert_eq!((code, &said["deleted"]), (Some(0), &json!(gone)), "{said}");
    assert_eq!(paths(&said), ["notes/hen.json", "photos/owl"]);
    assert!(
        said["removed"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["why"].is_string())
    );
    assert!(
        ["notes/fox", "photos/fox", "photos/hen"]
            .iter()
            .all(|key| scene.is_gone(key))
    );
    assert!(
        ["notes/hen", "notes/new", "notes/owl", "photos/owl"]
            .iter()
            .all(|key| !scene.is_gone(key))
    );
    let (_, said, _) = scene.admin(&arguments);
    assert_eq!(said["deleted"], json!([]));
    scene.ok(&["restore", "notes/fox"]);
    is_verified_sound(&scene.server);
}

/// DEFECT: a store that is made of a mirror with its history has the newest versions only, or says of them something else.
#[test]
fn versions_come_back_from_the_history() {
    if Command::new("git").arg("--version").output().is_err() {
        println!("SKIPPED: there is no git on this machine");
        return;
    }
    let scene = Scene::new();
    scene.ok(&["mb", "notes", "--kind", "documents"]);
    for n in 1..=3 {
        scene.put("notes/fox", &json!({"n": n}));
        scene.is_recorded("notes/fox.json", &format!("\"n\": {n}"));
    }
    let before = scene.ok(&["history", "notes/fox"]);
    let root = fs::read_to_string(scene.dir.path().join("data/bootstrap/root.key")).unwrap();
    let root = SecretKey::parse(root.trim_end())
        .unwrap()
        .key_id(Role::Root)
        .to_string();
    let node: Value = serde_json::from_slice(&fs::read(scene.mirror().join("wfldb.json")).unwrap()).unwrap();
    let (mirror, data) = (scene.mirror(), scene.dir.path().join("again"));
    let rebuild = [
        "rebuild",
        "--mirror",
        mirror.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
        "--root",
        &root,
        "--trust",
        node["keys"][0].as_str().unwrap(),
    ];
    let (code, said, why) = scene.admin(&rebuild);
    assert_eq!(
        (code, &said["refused"], &said["versions"]),
        (Some(0), &json!([]), &json!(2)),
        "{why}"
    );
    let (code, said, _) = scene.admin(&rebuild);
    assert_eq!(
        (code, &said["versions"], &said["present"]),
        (Some(0), &json!(0), &json!(1))
    );
    let verified = scene.run("wfldb-admin", &["verify", "--data", data.to_str().unwrap()]);
    assert!(verified.status.success(), "{verified:?}");
    let again = scene.again();
    let hashes = |versions: &[Value]| {
        versions
            .iter()
            .map(|version| version["hash"].clone())
            .collect::<Vec<_>>()
    };
    let after = again.ok(&["history", "notes/fox", "--verify"]);
    assert_eq!(hashes(&after), hashes(&before), "{after:?}");
    assert_eq!(after.len(), 3);
    is_verified_sound(&again.server);
}
