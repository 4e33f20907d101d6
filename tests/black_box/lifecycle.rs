//! Starting, stopping, health, metrics, logs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wfldb_client::PutOptions;
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Request, Server, binary, bucket, key, send_raw, wait_until};

fn get(address: &str, path: &str) -> wfldb_tests::Answer {
    send_raw(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
    )
    .unwrap()
}

fn wait_ready(server: &Server) {
    wait_until(Duration::from_secs(15), "readiness", || {
        get(&server.listen, "/readyz").status == 200
    });
}

#[test]
fn a_first_start_makes_a_realm_and_a_profile_that_works_and_keeps_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let bootstrap = data.join("bootstrap");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bootstrap), 0o700);
    assert_eq!(mode(&bootstrap.join("root.key")), 0o600);
    assert_eq!(mode(&bootstrap.join("admin.json")), 0o600);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = server.client();
        assert!(
            client
                .create_bucket(&bucket("first"), &BucketConfig::default())
                .await
                .unwrap()
        );
        client
            .put(&bucket("first"), &key("k"), "v", PutOptions::default())
            .await
            .unwrap();
    });
    let secret = fs::read_to_string(bootstrap.join("root.key")).unwrap();
    let profile: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(bootstrap.join("admin.json")).unwrap()).unwrap();
    let metrics = get(&server.metrics, "/metrics");
    assert_eq!(metrics.status, 200);
    let metrics = String::from_utf8(metrics.body).unwrap();
    let log = server.log();
    assert!(server.terminate().success(), "SIGTERM ends with 0");
    for secret in [
        secret.trim(),
        profile["key"].as_str().unwrap(),
        profile["packet"].as_str().unwrap(),
    ] {
        assert!(
            !log.contains(secret) && !metrics.contains(secret),
            "a secret is in the log or the metrics"
        );
    }
    assert!(log.lines().count() > 0);
    for line in log.lines().filter(|line| line.starts_with('{')) {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let second = Command::new(binary("wfldb-server"))
        .arg("--data")
        .arg(&data)
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(!second.status.success());
    let words =
        String::from_utf8_lossy(&second.stderr).into_owned() + &String::from_utf8_lossy(&second.stdout);
    assert!(words.contains("another process"), "{words}");
    assert_eq!(get(&server.listen, "/healthz").status, 200);
}

#[test]
fn health_needs_no_key_and_says_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    wait_ready(&server);
    for path in ["/healthz", "/readyz"] {
        let answer = get(&server.listen, path);
        assert_eq!((answer.status, answer.body.trim_ascii()), (200, b"ok".as_slice()));
    }
    assert_ne!(
        get(&server.listen, "/metrics").status,
        200,
        "metrics are not on the data port"
    );
    let profile = server.profile();
    assert_eq!(
        Request::signed(&profile, "GET", "/v1", &[], b"")
            .send(&server.listen)
            .status,
        200
    );
}

/// PROTOCOL 4: what a killed server accepted is not accepted again by the next one.
#[test]
fn a_request_is_not_accepted_again_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(&data);
    wait_ready(&server);
    let profile = server.profile();
    let created = Request::signed(&profile, "PUT", "/v1/replay", &[], b"");
    assert_eq!(created.send(&server.listen).status, 201);
    let put = Request::signed(&profile, "PUT", "/v1/replay/k", &[], b"once");
    assert_eq!(put.send(&server.listen).status, 201);
    assert_eq!(
        put.send(&server.listen).status,
        401,
        "the same nonce, the same process"
    );
    server.kill();
    let server = Server::start(&data);
    let start = Instant::now();
    loop {
        let ready = get(&server.listen, "/readyz").status == 200;
        assert_eq!(
            put.send(&server.listen).status,
            401,
            "a replay after {:?}",
            start.elapsed()
        );
        if ready {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    let fresh = Request::signed(&profile, "PUT", "/v1/replay/k", &[], b"twice");
    assert_eq!(fresh.send(&server.listen).status, 200);
}

/// Attaches strace to the server's syncs.
fn trace(server: &Server, flags: &[&str]) -> Child {
    let pid = server.pid().to_string();
    let strace = Command::new("strace")
        .args(["-f", "-qq", "-p", &pid, "-e", "trace=fsync,fdatasync"])
        .args(flags)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(Duration::from_secs(10), "strace to attach", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mut lines = status.lines();
        lines.any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    });
    strace
}

#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
fn has_strace(test: &str) -> bool {
    let there = Command::new("strace").arg("-V").output().is_ok();
    if !there {
        eprintln!("SKIPPED {test}: strace is not installed");
    }
    there
}

const PUTS: usize = 10;

/// INVARIANT 1. A defect it catches: a batch without `SyncAll`, which a killed process does not show.
#[test]
fn every_answer_comes_after_a_sync() {
    if !has_strace("every_answer_comes_after_a_sync") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    wait_ready(&server);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = server.client();
    let synced = bucket("synced");
    runtime
        .block_on(client.create_bucket(&synced, &BucketConfig::default()))
        .unwrap();
    let calls = dir.path().join("calls");
    let mut strace = trace(&server, &["-y", "-o", calls.to_str().unwrap()]);
    for n in 0..PUTS {
        // One after the other, so that no two share a group.
        let (bucket, key) = (bucket("synced"), key("k"));
        let put = client.put(&bucket, &key, format!("{n}"), PutOptions::default());
        runtime.block_on(put).unwrap();
    }
    // Ended in order, so that everything it saw is in the file.
    let pid = i32::try_from(strace.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    strace.wait().unwrap();
    let calls = fs::read_to_string(calls).unwrap();
    let syncs = calls
        .lines()
        .filter(|line| line.contains("fsync(") && line.contains(".jnl>"))
        .count();
    assert!(
        syncs >= PUTS,
        "{syncs} syncs of the journal for {PUTS} answers:\n{calls}"
    );
}

/// DESIGN 4: a storage that hangs takes readiness away within ten seconds.
#[test]
fn stalled_storage_is_not_ready_within_ten_seconds() {
    if !has_strace("stalled_storage_is_not_ready_within_ten_seconds") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // A first start without interference, so that only the stall is slow.
    assert!(Server::start(&data).terminate().success());
    let server = Server::start(&data);
    wait_ready(&server);
    let mut strace = trace(&server, &["-e", "inject=fsync,fdatasync:delay_enter=60000000"]);
    // Nobody writes: readiness itself asks for a heartbeat.
    let start = Instant::now();
    wait_until(Duration::from_secs(14), "503 from /readyz", || {
        get(&server.listen, "/readyz").status == 503
    });
    // Three seconds pass before an idle store is asked, ten after that are allowed.
    assert!(start.elapsed() < Duration::from_secs(14));
    assert_eq!(get(&server.listen, "/healthz").status, 200, "the process is up");
    strace.kill().unwrap();
    strace.wait().unwrap();
    wait_ready(&server);
}
