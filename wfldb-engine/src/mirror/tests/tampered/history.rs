//! Attacks on the history in git.

use std::fs;
use std::path::Path;

use super::{Attack, each, git, has_git, of_bytes};
use crate::MirrorFault;

fn on_history() -> Vec<Attack> {
    use MirrorFault as F;
    let commit = |place: &Path, arguments: &[&str]| {
        let name = ["-c", "user.name=x", "-c", "user.email=x"];
        git(place, &[name.as_slice(), arguments].concat())
    };
    vec![
        (
            "the branch was moved to an unsigned commit",
            Box::new(move |place, _| {
                let forged = commit(place, &["commit-tree", "-m", "x", "-p", "main", "main^{tree}"]);
                git(place, &["update-ref", "refs/heads/main", &forged]);
            }),
            &[(F::History, ".git")],
        ),
        (
            "the history was begun anew below the newest commit",
            Box::new(move |place, _| {
                let text = git(place, &["cat-file", "commit", "main"]);
                let base = commit(place, &["commit-tree", "-m", "x", "main^{tree}"]);
                let parent = text.lines().find(|line| line.starts_with("parent ")).unwrap();
                let forged = text.replace(parent, &format!("parent {base}")) + "\n";
                fs::write(place.join("../forged"), forged).unwrap();
                let path = place.join("../forged").display().to_string();
                let forged = git(place, &["hash-object", "-t", "commit", "-w", &path]);
                git(place, &["update-ref", "refs/heads/main", &forged]);
            }),
            &[(F::History, ".git")],
        ),
        (
            "the branch was moved back",
            Box::new(|place, _| _ = git(place, &["update-ref", "refs/heads/main", "main~1"])),
            &[(F::History, "refs/heads/main")],
        ),
        (
            "the branch was removed",
            Box::new(|place, _| _ = git(place, &["update-ref", "-d", "refs/heads/main"])),
            &[(F::History, ".git")],
        ),
        (
            "an object was corrupted",
            Box::new(|place, _| {
                let packs = fs::read_dir(place.join(".git/objects/pack")).unwrap();
                let pack = packs
                    .map(|file| file.unwrap().path())
                    .find(|path| path.extension().is_some_and(|it| it == "pack"));
                let pack = pack.unwrap();
                let mut bytes = fs::read(&pack).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                fs::remove_file(&pack).unwrap();
                fs::write(&pack, bytes).unwrap();
            }),
            &[(F::History, ".git")],
        ),
        (
            "a hook was planted",
            Box::new(|place, _| {
                fs::create_dir_all(place.join(".git/hooks")).unwrap();
                fs::write(place.join(".git/hooks/post-checkout"), "#!/bin/sh\n").unwrap();
            }),
            &[(F::History, ".git/hooks/post-checkout")],
        ),
        (
            "its settings were changed",
            of_bytes(".git/config", |mut bytes| {
                bytes.extend(b"[core]\n\tpager = x\n");
                bytes
            }),
            &[(F::History, ".git/config")],
        ),
        (
            "it was led elsewhere",
            Box::new(|place, _| {
                fs::write(place.join(".git/objects/info/alternates"), "/elsewhere\n").unwrap();
            }),
            &[(F::History, ".git")],
        ),
    ]
}

#[test]
fn what_is_done_to_the_history_is_found_and_named() {
    if has_git() {
        each(on_history(), true);
    }
}
