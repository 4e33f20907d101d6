//! `wfldb restore --at COMMIT`: a key as a commit of the mirror's history has it.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::mirror::Scene;

/// DEFECT: a key that is brought back as something else than the commit has, or from a commit of somebody else.
#[test]
fn a_key_is_brought_back_as_a_commit_has_it() {
    if Command::new("git").arg("--version").output().is_err() {
        println!("SKIPPED: there is no git on this machine");
        return;
    }
    let scene = Scene::new();
    scene.ok(&["mb", "notes", "--kind", "documents", "--keep", "1"]);
    scene.ok(&["mb", "photos", "--mirror", "--keep", "1"]);
    scene.put("notes/Fox/1", &json!({"n": 1}));
    scene.ok(&["mb", "kept", "--kind", "documents"]);
    scene.put("kept/gone", &json!({"n": 1}));
    scene.ok(&["rm", "kept/gone"]);
    scene.store(
        "one",
        "photos/a",
        &["--content-type", "text/x-one", "--tag", "k=1"],
    );
    scene.is_recorded("kept/.deleted/gone.json", "\"n\": 1");
    scene.is_recorded("photos/.meta/a.json", "text/x-one");
    let first = scene.is_recorded("notes/Fox%2f1+1.json", "\"n\": 1");
    scene.put("notes/Fox/1", &json!({"n": 2}));
    scene.store("two", "photos/a", &[]);
    scene.put("notes/late", &json!({"n": 1}));
    scene.is_recorded("notes/late.json", "\"n\": 1");
    let place = scene.mirror();
    let mirror = place.to_str().unwrap();
    let restore = |target: &str, commit: &str, more: &[&str]| {
        let arguments = ["--json", "restore", target, "--at", commit, "--mirror", mirror];
        let output = scene.run("wfldb", &[&arguments, more].concat());
        let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
        (output.status.success(), said)
    };
    // The store has removed both.
    assert_eq!(scene.ok(&["versions", "notes/Fox/1"]).len(), 1);
    let (done, said) = restore("notes/Fox/1", first.get(..9).unwrap(), &[]);
    assert!(done, "{said}");
    let now = &scene.ok(&["doc", "notes/Fox/1"])[0];
    assert_eq!((&now["n"], &now["_v"]), (&json!(1), &json!(3)));
    let (done, said) = restore("photos/a", &first, &[]);
    assert!(done, "{said}");
    let stat = &scene.ok(&["stat", "photos/a"])[0];
    assert_eq!(
        (&stat["content_type"], &stat["tags"]),
        (&json!("text/x-one"), &json!({"k": "1"}))
    );
    assert_eq!(scene.bytes("photos/a"), "one");
    for (target, why) in [
        ("notes/late", "was not there"),
        ("kept/gone", "was deleted"),
        ("absent/x", "was not there"),
    ] {
        let (done, said) = restore(target, &first, &[]);
        assert!(!done && said.contains(why), "{said}");
    }

    // What is the newest one already stays.
    let newest = scene.is_recorded("notes/Fox%2f1+1.json", "\"_v\": 3");
    let (done, said) = restore("notes/Fox/1", &newest, &[]);
    assert!(done && said.contains("\"restored\":false"), "{said}");

    // Whose commit it is, and whether what is below it is that.
    let git = |arguments: &[&str]| {
        let git = Command::new("git")
            .arg("-C")
            .arg(&place)
            .args(arguments)
            .output()
            .unwrap();
        assert!(git.status.success(), "{git:?}");
        String::from_utf8(git.stdout).unwrap().trim().to_owned()
    };
    let tree = git(&["rev-parse", &format!("{first}^{{tree}}")]);
    let theirs = git(&[
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@x",
        "commit-tree",
        "-m",
        "x",
        &tree,
    ]);
    let (done, said) = restore("notes/Fox/1", &theirs, &[]);
    assert!(!done && said.contains("not signed"), "{said}");
    let (done, said) = restore("notes/Fox/1", "0123456", &[]);
    assert!(!done && said.contains("no commit"), "{said}");
    git(&[
        "update-ref",
        &format!("refs/heads/{}", first.get(..8).unwrap()),
        &newest,
    ]);
    let (done, said) = restore("notes/Fox/1", first.get(..8).unwrap(), &[]);
    assert!(!done, "another one by the name of a branch: {said}");
    let blob = git(&["rev-parse", &format!("{first}:photos/a")]);
    let other = git(&["rev-parse", &format!("{newest}:notes/late.json")]);
    let loose = |id: &str| {
        let (dir, name) = id.split_at(2);
        place.join(".git/objects").join(dir).join(name)
    };
    unpack(&scene);
    fs::remove_file(loose(&blob)).unwrap();
    fs::copy(loose(&other), loose(&blob)).unwrap();
    scene.store("three", "photos/a", &[]);
    let (done, said) = restore("photos/a", &first, &[]);
    assert!(!done && said.contains(&blob), "{said}");
    assert_eq!(scene.bytes("photos/a"), "three");
}

/// Makes loose objects of all packs.
fn unpack(scene: &Scene) {
    let packs = scene.mirror().join(".git/objects/pack");
    let files = fs::read_dir(&packs).unwrap().map(|file| file.unwrap().path());
    for pack in files.filter(|path| path.extension().is_some_and(|it| it == "pack")) {
        let aside = scene.dir.path().join(pack.file_name().unwrap());
        fs::rename(&pack, &aside).unwrap();
        fs::remove_file(pack.with_extension("idx")).unwrap();
        let unpacked = Command::new("git")
            .arg("-C")
            .arg(scene.mirror())
            .args(["unpack-objects", "-q"])
            .stdin(fs::File::open(&aside).unwrap())
            .status();
        assert!(unpacked.unwrap().success());
    }
}
