//! The agent and links as their users meet them: real programs, real `curl` where there is one, and everything that
//! would like to use the agent without being its user.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use wfldb_tests::{Server, binary};

struct Scene {
    dir: tempfile::TempDir,
    server: Server,
    admin: PathBuf,
}

impl Scene {
    /// A store with `docs/a`, which holds `text`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // With everything that an operator may ask for in the log.
        let server = Server::start_with(&dir.path().join("data"), &[], &["env", "RUST_LOG=debug"]);
        let admin = server.profile_file();
        let scene = Self { dir, server, admin };
        scene.ok(&["mb", "docs"]);
        fs::write(scene.path("file"), "text").unwrap();
        scene.ok(&["put", scene.path("file").to_str().unwrap(), "docs/a"]);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("wfldb"));
        command.arg("--profile").arg(&self.admin).args(arguments);
        command.current_dir(self.dir.path()).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn agent(&self, arguments: &[&str]) -> Agent {
        let runtime = self.path("runtime");
        fs::create_dir_all(&runtime).unwrap();
        let mut child = Command::new(binary("wfldb"))
            .arg("--profile")
            .arg(&self.admin)
            .args(["--json", "agent"])
            .args(arguments)
            .env("XDG_RUNTIME_DIR", &runtime)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let facts: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| facts.get(name).and_then(Value::as_str).unwrap().to_owned();
        Agent {
            child,
            curl: text("curl"),
            file: text("file").into(),
        }
    }
}

/// A running agent. Killed when it is dropped.
struct Agent {
    child: Child,
    curl: String,
    file: PathBuf,
}

impl Agent {
    /// Sends bytes as they are, and reads all that comes back.
    fn raw(&self, bytes: &str) -> String {
        let mut answer = Vec::new();
        if let Some((_, port)) = self.curl.rsplit_once("127.0.0.1:") {
            let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
            let _ = stream.read_to_end(&mut answer);
        } else {
            let mut stream = UnixStream::connect(&self.file).unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
            let _ = stream.read_to_end(&mut answer);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status of a request with these lines of headers.
    #[track_caller]
    fn status(&self, line: &str, headers: &str) -> u16 {
        let answer = self.raw(&format!("{line} HTTP/1.1\r\n{headers}\r\n"));
        let status = answer.split(' ').nth(1).unwrap_or_default();
        status
            .parse()
            .unwrap_or_else(|_| panic!("{line} {headers}: {answer:?}"))
    }

    fn end(mut self) -> std::process::ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
fn has_curl() -> bool {
    let there = Command::new("curl").arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: curl is not installed");
    }
    there
}

/// Runs the command that the agent printed, with a path and more arguments behind it, as a user's shell would.
fn shell(curl: &str, path: &str, more: &str) -> Output {
    let line = format!("{curl}{path} -sS {more}");
    Command::new("sh").args(["-c", &line]).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_works_through_the_agent_both_ways() {
    if !has_curl() {
        return;
    }
    let scene = Scene::new();
    let big = scene.path("big");
    fs::write(&big, wfldb_tests::noise(7, 5_000_000)).unwrap();
    let big_path = big.to_str().unwrap().to_owned();
    for arguments in [[].as_slice(), &["--tcp"]] {
        let agent = scene.agent(arguments);
        let curl = |path: &str, more: &str| shell(&agent.curl, path, more);
        assert_eq!(text(&curl("/v1/docs/a", "")), "text");
        assert_eq!(text(&curl("/v1/docs/a", "-r 1-2")), "ex");
        let head = text(&curl("/v1/docs/a", "-I"));
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("x-wfldb-version: "),
            "{head}"
        );
        // A body of a known length, one of an unknown, headers that are signed, and back again.
        let status = "-o /dev/null -w '%{http_code}'";
        let put = format!("-T {big_path} -H 'x-wfldb-tags: colour=red' -H 'content-type: a/b' {status}");
        let stored = text(&curl("/v1/docs/big", &put));
        assert!(stored == "201" || stored == "200", "{stored}");
        let line = format!("cat {big_path} | {}/v1/docs/piped -sS -T - {status}", agent.curl);
        let piped = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(text(&piped) == "201" || text(&piped) == "200", "{piped:?}");
        for name in ["big", "piped"] {
            let back = scene.path("back");
            text(&curl(
                &format!("/v1/docs/{name}"),
                &format!("-o {}", back.display()),
            ));
            assert!(fs::read(&back).unwrap() == fs::read(&big).unwrap(), "{name}");
        }
        assert!(
            scene.ok(&["stat", "docs/big"]).contains("colour"),
            "the tag was signed and kept"
        );
        let etag = text(&curl("/v1/docs/a", "-o /dev/null -w '%header{etag}'"));
        if etag.starts_with('"') {
            let same = text(&curl(
                "/v1/docs/a",
                &format!("-H 'if-none-match: {etag}' {status}"),
            ));
            assert_eq!(same, "304");
        }
        // The server's refusals come back as they are.
        let missing = text(&curl("/v1/docs/none", ""));
        assert!(missing.contains("\"code\":\"NoSuchKey\""), "{missing}");
        let path = text(&curl("/v1/docs/x/../a", ""));
        assert!(path.contains("wfldb agent"), "{path}");
        let listed = text(&curl("/v1/docs/scan?prefix=a", ""));
        assert!(listed.contains("\"key\":\"a\""), "{listed}");
        let directory = agent.file.parent().unwrap().to_owned();
        assert!(agent.end().success());
        assert!(!directory.exists(), "what was made for it is gone");
    }
}

#[test]
fn the_socket_is_its_users_alone_and_goes_with_the_agent() {
    let scene = Scene::new();
    let agent = scene.agent(&[]);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert!(fs::metadata(&agent.file).unwrap().file_type().is_socket());
    assert_eq!(mode(&agent.file), 0o600);
    assert_eq!(mode(agent.file.parent().unwrap()), 0o700);
    if rustix::process::geteuid().is_root() && has_curl() {
        // The way to the directory is open; the directory is not.
        fs::set_permissions(scene.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let ask = |uid| {
            let mut command = Command::new("curl");
            command
                .args(["-sS", "--unix-socket"])
                .arg(&agent.file)
                .arg("http://wfldb/v1/docs/a");
            command.uid(uid).gid(uid).output().unwrap()
        };
        assert!(!ask(65_534).status.success(), "another user was let in");
        // Nor where somebody opened directory and socket.
        fs::set_permissions(agent.file.parent().unwrap(), PermissionsExt::from_mode(0o777)).unwrap();
        fs::set_permissions(&agent.file, PermissionsExt::from_mode(0o777)).unwrap();
        assert!(!ask(65_534).status.success(), "another user was let in");
        assert_eq!(text(&ask(0)), "text");
    }
    let file = agent.file.clone();
    assert!(agent.end().success());
    assert!(!file.exists());

    let open = scene.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
    let socket = open.join("s");
    let refused = scene.run(&["agent", "--socket", socket.to_str().unwrap()]);
    assert!(!refused.status.success() && !socket.exists(), "{refused:?}");
    fs::set_permissions(&open, PermissionsExt::from_mode(0o700)).unwrap();
    let agent = scene.agent(&["--socket", socket.to_str().unwrap()]);
    assert_eq!(agent.status("GET /v1/docs/a", "host: wfldb\r\n"), 200);
    let twice = scene.run(&["agent", "--socket", socket.to_str().unwrap()]);
    assert!(!twice.status.success(), "{twice:?}");
    assert!(agent.end().success());
    assert!(!socket.exists() && open.exists());
}

/// What a page, a proxy or a neighbour would try. Defects it catches are named in `rules`; here it is the wire.
#[test]
fn the_agent_is_no_confused_deputy() {
    let scene = Scene::new();
    let agent = scene.agent(&["--tcp"]);
    let header = fs::read_to_string(&agent.file).unwrap();
    assert_eq!(fs::metadata(&agent.file).unwrap().mode() & 0o777, 0o600);
    let (_, port) = agent.curl.rsplit_once(':').unwrap();
    let token = format!("{}\r\n", header.trim_end());
    let host = format!("host: 127.0.0.1:{port}\r\n");
    let good = format!("{host}{token}");
    assert_eq!(agent.status("GET /v1/docs/a", &good), 200);
    let get = |headers: &str| agent.status("GET /v1/docs/a", headers);
    assert_eq!(get(&host), 403, "no token");
    assert_eq!(
        get(&format!("{host}x-wfldb-agent-token: {}\r\n", "A".repeat(43))),
        403
    );
    assert_eq!(
        get(&format!("host: evil.example:{port}\r\n{token}")),
        403,
        "a name that was rebound"
    );
    assert_eq!(get(&format!("host: evil.example\r\n{token}")), 403);
    assert_eq!(get(&format!("{good}host: evil.example\r\n")), 400);
    for more in [
        "origin: http://evil.example",
        "origin: null",
        "sec-fetch-site: cross-site",
        "sec-fetch-site: same-origin",
        "referer: http://evil.example/",
        "cookie: a=b",
        "authorization: Bearer x",
        "x-wfldb-signature: x",
    ] {
        assert_eq!(get(&format!("{good}{more}\r\n")), 403, "{more}");
    }
    assert_eq!(
        agent.status(
            "OPTIONS /v1/docs/a",
            &format!("{good}origin: http://evil.example\r\n")
        ),
        403
    );
    for (line, status) in [
        ("OPTIONS /v1/docs/a", 405),
        ("GET http://127.0.0.1/v1/docs/a", 400),
        ("GET /v1/docs/%61", 400),
        ("GET /v1/docs/a#x", 400),
        ("GET /v1/x/../docs/a", 400),
        ("GET /v1/docs/a?link=x", 400),
        ("GET /metrics", 404),
        ("POST /v1/_session", 403),
        ("GET /v1/docs/a%0d%0ax", 400),
    ] {
        assert_eq!(agent.status(line, &good), status, "{line}");
    }
    // Two readings of where a request ends, a second request behind the first, and line breaks inside.
    let hidden = format!("DELETE /v1/docs/a HTTP/1.1\r\n{good}\r\n");
    for head in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
        "content-length: 0\r\ncontent-length: 5\r\n\r\n",
        "content-length: 0\r\n\r\n",
        "x: a\rb\r\n\r\n",
        "x: a\r\n b\r\n\r\n",
        "content-type: a\u{0}b\r\n\r\n",
        "transfer-encoding: gzip, chunked\r\n\r\n",
        "connection: x-wfldb-tags\r\n\r\n",
    ] {
        let answer = agent.raw(&format!("PUT /v1/docs/new HTTP/1.1\r\n{good}{head}{hidden}"));
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{head:?}: {answer:?}");
    }
    assert_eq!(
        agent.status("GET /v1/docs/a", &good),
        200,
        "nothing that was hidden was done"
    );
    let http2 = agent.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(!http2.contains(" 200 "), "{http2:?}");
    let old = agent.raw(&format!("GET /v1/docs/a HTTP/1.0\r\n{good}\r\n"));
    assert!(old.contains(" 400 "), "{old:?}");
    let log = scene.server.log();
    let secret = header.trim_end().rsplit(' ').next().unwrap();
    assert!(!log.contains(secret), "the secret went to the server");
}

#[test]
fn a_narrowed_agent_signs_for_less_and_bodies_are_bounded() {
    let scene = Scene::new();
    let agent = scene.agent(&[
        "--bucket",
        "docs",
        "--prefix",
        "in/",
        "--ops",
        "put+get",
        "--for",
        "5m",
        "--max-body",
        "10",
    ]);
    let host = "host: wfldb\r\n";
    assert_eq!(agent.status("GET /v1/docs/a", host), 403);
    assert_eq!(agent.status("GET /v1/docs/in/none", host), 404);
    assert_eq!(agent.status("GET /v1/docs/scan", host), 403);
    assert_eq!(agent.status("DELETE /v1/docs/in/a", host), 403);
    assert_eq!(agent.status("GET /v1/_stats", host), 403);
    let put = |len: usize| {
        let body = "x".repeat(len);
        agent.raw(&format!(
            "PUT /v1/docs/in/a HTTP/1.1\r\n{host}content-length: {len}\r\n\r\n{body}"
        ))
    };
    assert!(put(10).contains(" 201 "), "{}", put(10));
    assert!(put(11).contains(" 413 "));
    let chunked = "transfer-encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n";
    let chunked = agent.raw(&format!("PUT /v1/docs/in/a HTTP/1.1\r\n{host}{chunked}"));
    assert!(chunked.contains(" 413 "), "{chunked}");
    let more = agent.raw(&format!(
        "GET /v1/docs/in/a HTTP/1.1\r\n{host}content-length: 1\r\n\r\nx"
    ));
    assert!(more.contains(" 400 "), "{more}");
}

#[test]
fn a_link_is_made_offline_used_by_curl_and_in_no_log() {
    if !has_curl() {
        return;
    }
    let scene = Scene::new();
    let link = |arguments: &[&str]| scene.ok(&[&["link"], arguments].concat()).trim().to_owned();
    let curl = |url: &str, more: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "-w", "\n%{http_code}"])
            .args(more)
            .arg(url)
            .output()
            .unwrap();
        text(&output)
    };
    let read = link(&["get", "docs/a", "--expires", "1h", "--uses", "2"]);
    assert_eq!(curl(&read, &[]), "text\n200");
    assert_eq!(curl(&read, &["-r", "0-1"]), "te\n206");
    assert!(curl(&read, &[]).ends_with("\n403"));
    let write = link(&[
        "put",
        "docs/in",
        "--expires",
        "1h",
        "--uses",
        "1",
        "--max-size",
        "4",
    ]);
    let file = scene.path("file");
    let upload = |file: &Path| curl(&write, &["-T", file.to_str().unwrap()]);
    let large = scene.path("large");
    fs::write(&large, "more than four").unwrap();
    assert!(upload(&large).ends_with("\n413"));
    assert!(upload(&file).ends_with("\n200"));
    assert!(upload(&file).ends_with("\n403"));
    assert_eq!(scene.ok(&["cat", "docs/in"]), "text");
    let below = link(&["get", "docs/i", "--prefix", "--expires", "7d"]);
    let (before, query) = below.split_once('?').unwrap();
    assert_eq!(curl(&format!("{before}n?{query}"), &[]), "text\n200");
    for wrong in [
        ["link", "get", "docs/a", "--expires", "8d"].as_slice(),
        &["link", "put", "docs/a", "--prefix", "--expires", "1d"],
        &["link", "get", "docs/a", "--expires", "1d", "--max-size", "1"],
        &["link", "get", "docs", "--expires", "1d"],
        &["link", "get", "docs/a", "--expires", "1d", "--uses", "0"],
        &["link", "get", "docs/a"],
    ] {
        assert!(!scene.run(wrong).status.success(), "{wrong:?}");
    }
    let log = scene.server.log();
    for url in [&read, &write, &below] {
        let (_, link) = url.split_once("?link=").unwrap();
        let (_, signature) = link.rsplit_once('.').unwrap();
        assert!(!log.contains(signature) && !log.contains("?link="), "{log}");
    }
}
