//! Revoking with the real programs: a link in the middle, by the operator and by whoever passed it on; across `kill -9`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use wfldb_client::Profile;
use wfldb_core::packet::Packet;
use wfldb_tests::{Server, binary, is_verified_sound};

const REFUSED: Option<i32> = Some(3);

struct Scene {
    dir: tempfile::TempDir,
    server: Option<Server>,
    admin: PathBuf,
}

impl Scene {
    /// A store with one object, and a chain of profiles: the first start's, `middle`, `child`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"));
        let admin = server.profile_file();
        let scene = Self {
            dir,
            server: Some(server),
            admin,
        };
        scene.ok(&scene.admin, &["mb", "docs"]);
        let file = scene.path("file");
        fs::write(&file, "text").unwrap();
        scene.ok(&scene.admin, &["put", file.to_str().unwrap(), "docs/a"]);
        scene.delegate(&scene.admin, "middle", "1");
        scene.delegate(&scene.path("middle"), "child", "0");
        scene.delegate(&scene.path("middle"), "sibling", "0");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn delegate(&self, from: &Path, name: &str, dlg: &str) {
        let out = self.path(name);
        let grant = ["--grant", "b=docs,p=,ops=get+list", "--dlg", dlg];
        let into = ["--new-key", "--out", out.to_str().unwrap()];
        self.ok(from, &[&["delegate"][..], &grant, &into].concat());
    }

    fn run(&self, program: &str, profile: &Path, arguments: &[&str]) -> Output {
        Command::new(binary(program))
            .current_dir(self.dir.path())
            .env("WFLDB_PROFILE", profile)
            .args(arguments)
            .output()
            .unwrap()
    }

    fn ok(&self, profile: &Path, arguments: &[&str]) -> String {
        let output = self.run("wfldb", profile, arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn administer(&self, arguments: &[&str]) -> Value {
        let output = self.run("wfldb-admin", &self.admin, &[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn reads(&self, name: &str) -> bool {
        let output = self.run("wfldb", &self.path(name), &["cat", "docs/a"]);
        if output.status.success() {
            assert_eq!(output.stdout, b"text");
        } else {
            assert_eq!(output.status.code(), REFUSED, "{output:?}");
        }
        output.status.success()
    }

    /// Killed and started on the same directory; the profiles are pointed at where it listens then.
    fn kill_and_start(&mut self) {
        self.server.take().unwrap().kill();
        let server = Server::start(&self.path("data"));
        self.admin = server.profile_file();
        for name in ["middle", "child", "sibling"] {
            let path = self.path(name);
            let mut profile = Profile::load(&path).unwrap();
            profile.endpoint = server.profile().endpoint;
            profile.save(&path).unwrap();
        }
        self.server = Some(server);
    }
}

/// DURABILITY: killed right after its answer, the server refuses all the same when it comes back. A defect it catches: a
/// revocation that is answered before it is on disk.
#[test]
fn a_revoked_link_stays_revoked_across_kill_9() {
    let mut scene = Scene::new();
    assert!(scene.reads("middle") && scene.reads("child") && scene.reads("sibling"));
    // Who passed it on takes it back, and nothing else.
    let child = scene.path("child");
    let refused = scene.run("wfldb", &child, &["revoke", "middle"]);
    assert_eq!(refused.status.code(), REFUSED, "{refused:?}");
    let middle = scene.path("middle");
    let told = scene.ok(&middle, &["revoke", "child"]);
    assert!(told.starts_with("revoked packet "), "{told}");
    scene.kill_and_start();
    assert!(!scene.reads("child") && scene.reads("middle") && scene.reads("sibling"));

    // The operator ends the link in the middle by its hash; what was passed on goes with it.
    let packet = Packet::parse(&Profile::load(&middle).unwrap().packet).unwrap();
    let revoked = scene.administer(&["revoke", &packet.hash().to_string()]);
    assert_eq!(revoked["new"], true);
    scene.kill_and_start();
    assert!(!scene.reads("child") && !scene.reads("middle") && !scene.reads("sibling"));
    let listed = scene.administer(&["revoked"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
    is_verified_sound(scene.server.as_ref().unwrap());
    // A root key does not go by a slip.
    let root = packet.root().claims().iss.to_string();
    let slip = scene.run("wfldb-admin", &scene.admin, &["revoke", &root]);
    assert_eq!(slip.status.code(), Some(2), "{slip:?}");
    scene.administer(&["revoke", "--root", &root]);
    let late = scene.run("wfldb", &scene.admin, &["ls", "docs/"]);
    assert_eq!(late.status.code(), REFUSED, "{late:?}");
}
