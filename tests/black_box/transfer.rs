//! Large files: in parts, through crashes of either side, in bounded memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use wfldb_client::{Client, GetOptions, Profile};
use wfldb_core::id::UploadId;
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Proxy, Server, binary, bucket, key, noise, wait_until};

const MIB: u64 = 1024 * 1024;
/// Six parts of 16 MiB and one of 4 MiB.
const FILE_BYTES: u64 = 100 * MIB;
const PART_BYTES: u64 = 16 * MIB;
const CLIENT_BYTES_MAX: u64 = 96 * MIB;

/// A server behind a wire that stays, a file, and a place for the client's state.
struct Scene {
    dir: tempfile::TempDir,
    server: Option<Server>,
    wire: Proxy,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"));
        let wire = Proxy::start(&server.listen);
        let mut bytes = Vec::new();
        for block in 0..FILE_BYTES / MIB {
            bytes.extend_from_slice(&noise(block, 1 << 20));
        }
        fs::write(dir.path().join("file"), bytes).unwrap();
        let mut profile = server.profile();
        profile.endpoint = wfldb_client::Endpoint::parse(&format!("http://{}", wire.listen)).unwrap();
        profile.save(&dir.path().join("profile")).unwrap();
        let client = server.client();
        block_on(async {
            client
                .create_bucket(&bucket("large"), &BucketConfig::default())
                .await
                .unwrap();
        });
        Self {
            dir,
            server: Some(server),
            wire,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn put(&self, verb: &[&str], target: &str) -> Child {
        Command::new(binary("wfldb"))
            .env("XDG_STATE_HOME", self.path("state"))
            .arg("--json")
            .arg("--profile")
            .arg(self.path("profile"))
            .args(verb)
            .arg(self.path("file"))
            .arg(target)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn states(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("state/wfldb/uploads"));
        entries.map_or_else(
            |_| Vec::new(),
            |entries| entries.map(|entry| entry.unwrap().path()).collect(),
        )
    }

    /// How many parts of the noted upload the server has.
    fn parts(&self) -> usize {
        let states = self.states();
        let text = states
            .first()
            .and_then(|path| fs::read(path).ok())
            .unwrap_or_default();
        let Ok(state) = serde_json::from_slice::<Value>(&text) else {
            return 0;
        };
        let id = UploadId::parse(state.get("upload").and_then(Value::as_str).unwrap()).unwrap();
        let client = self.server().client();
        block_on(async {
            let parts = client
                .upload_parts(&bucket("large"), &key("file"), id)
                .await
                .unwrap();
            parts.parts.len()
        })
    }

    fn check_object(&self) {
        let client: Client = self.server().client();
        let whole = fs::read(self.path("file")).unwrap();
        let info = block_on(client.head(&bucket("large"), &key("file"), GetOptions::default())).unwrap();
        assert_eq!(
            (info.len, info.etag),
            (FILE_BYTES, wfldb_core::id::ContentHash::of(&whole))
        );
        let copy = self.path("copy");
        block_on(client.get_to_file(&bucket("large"), &key("file"), &copy, GetOptions::default())).unwrap();
        assert!(
            fs::read(copy).unwrap() == whole,
            "the bytes are those of the file"
        );
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn done(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The most memory that a process ever had.
fn peak_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn an_upload_whose_client_was_killed_sends_only_what_is_missing() {
    for verb in [["put"].as_slice(), &["cp"]] {
        let scene = Scene::new();
        let target = if verb == ["cp"] {
            "wfldb://large/file"
        } else {
            "large/file"
        };
        scene.wire.allow(80 * MIB);
        let mut first = scene.put(verb, target);
        // Of 80 MiB at most four parts of 16 MiB are not whole.
        wait_until(Duration::from_mins(1), "three parts to be there", || {
            let running = first.try_wait().unwrap().is_none();
            assert!(running, "the wire holds the upload back");
            scene.wire.sent() >= 80 * MIB && scene.parts() >= 3
        });
        let peak = peak_bytes(first.id());
        first.kill().unwrap();
        first.wait().unwrap();
        scene.wire.cut();
        assert!(peak < CLIENT_BYTES_MAX, "the client had {} MiB", peak / MIB);
        let there = u64::try_from(scene.parts()).unwrap();
        let before = scene.wire.sent();
        let answer = done(scene.put(verb, target));
        let sent = scene.wire.sent() - before;
        // The server may have been finishing one more when the client died.
        let kept = answer["parts_kept"].as_u64().unwrap();
        assert!(
            answer["parts"] == 7 && kept >= there,
            "{answer}, {there} were there"
        );
        let missing = FILE_BYTES - kept * PART_BYTES;
        assert!(
            sent < missing + PART_BYTES / 4,
            "{sent} bytes went for {missing} that were missing"
        );
        scene.check_object();
        assert_eq!(scene.states(), Vec::<PathBuf>::new());
    }
}

#[test]
fn an_upload_goes_on_when_its_server_was_killed_and_comes_back() {
    let mut scene = Scene::new();
    scene.wire.allow(80 * MIB);
    let mut put = scene.put(&["put"], "large/file");
    wait_until(Duration::from_mins(1), "three parts to be there", || {
        assert!(
            put.try_wait().unwrap().is_none(),
            "the wire holds the upload back"
        );
        scene.wire.sent() >= 80 * MIB && scene.parts() >= 3
    });
    let mut server = scene.server.take().unwrap();
    server.kill();
    scene.wire.cut();
    let server = Server::start(&scene.path("data"));
    scene.wire.retarget(&server.listen);
    scene.server = Some(server);
    let output = put.wait_with_output().unwrap();
    // Where the machine is too slow for one run, the next goes on.
    if !output.status.success() {
        assert_eq!(
            output.status.code(),
            Some(6),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer = done(scene.put(&["put"], "large/file"));
        assert!(answer["parts_kept"].as_u64() >= Some(3), "{answer}");
    }
    scene.check_object();
    assert_eq!(scene.states(), Vec::<PathBuf>::new());
}

#[test]
fn an_upload_whose_state_is_lost_or_wrong_is_still_right() {
    let scene = Scene::new();
    scene.wire.allow(80 * MIB);
    let mut first = scene.put(&["put"], "large/file");
    wait_until(Duration::from_mins(1), "three parts to be there", || {
        scene.parts() >= 3
    });
    first.kill().unwrap();
    first.wait().unwrap();
    scene.wire.cut();
    // Other bytes of the same length and time: what is there is not what is here any more.
    change_but_keep_the_time(&scene.path("file"));
    let answer = done(scene.put(&["put"], "large/file"));
    assert!(
        answer["parts_kept"].as_u64() <= Some(6),
        "the part that changed is sent: {answer}"
    );
    scene.check_object();
}

fn change_but_keep_the_time(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    *bytes.first_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
}

#[test]
fn a_profile_of_another_place_does_not_take_over_an_upload() {
    let scene = Scene::new();
    scene.wire.allow(80 * MIB);
    let mut first = scene.put(&["put"], "large/file");
    wait_until(Duration::from_mins(1), "three parts to be there", || {
        scene.parts() >= 3
    });
    first.kill().unwrap();
    first.wait().unwrap();
    scene.wire.cut();
    let direct: Profile = scene.server().profile();
    direct.save(&scene.path("profile")).unwrap();
    let answer = done(scene.put(&["put"], "large/file"));
    assert_eq!(
        answer["parts_kept"].as_u64(),
        Some(0),
        "the address is part of what names an upload"
    );
    assert_eq!(scene.states().len(), 1, "that of the other profile");
    scene.check_object();
}
