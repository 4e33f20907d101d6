//! The processes under load: our server, the empty handler, and other stores. Ended when dropped.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use wfldb_client::Profile;

use crate::Failure;

/// How long a process may take to begin or to end.
const WAIT: Duration = Duration::from_secs(30);

/// A process that serves on loopback.
pub(crate) struct Peer {
    child: Child,
    facts: Facts,
    /// The store's directory, for our server.
    dir: PathBuf,
}

/// What a peer's script prints in one line when the peer is ready.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Facts {
    /// `host:port`.
    pub(crate) address: String,
    /// `host:port` of HTTP/2, where that is another one.
    #[serde(default)]
    pub(crate) address_http2: Option<String>,
    /// The serving process, or the one that started it.
    pub(crate) pid: u32,
    /// What the peer promises about writes that it confirmed.
    pub(crate) durability: String,
    /// What it says that it is.
    pub(crate) version: String,
    /// It does not set `TCP_NODELAY`, so the client has to acknowledge at once what it reads.
    #[serde(default)]
    pub(crate) holds_back: bool,
    /// Of one that listens on a Unix socket, whose directory is the address.
    #[serde(default)]
    #[cfg_attr(not(feature = "sql"), expect(dead_code, reason = "only a SQL server has one"))]
    pub(crate) port: Option<u16>,
    #[serde(default)]
    pub(crate) access_key: String,
    #[serde(default)]
    pub(crate) secret_key: String,
    #[serde(default)]
    pub(crate) region: String,
    #[serde(default)]
    pub(crate) bucket: String,
}

/// A peer, or why there is none.
pub(crate) enum Started {
    Ready(Box<Peer>),
    Skipped(String),
}

impl Peer {
    /// This program again, as an empty handler.
    pub(crate) fn empty_handler(size: u64) -> Result<Self, Failure> {
        Self::this("--empty-handler", size.to_string().as_ref())
    }

    /// This program again, as a handler without authentication on a store in `dir`.
    pub(crate) fn open_handler(dir: &Path) -> Result<Self, Failure> {
        Self::this("--open-handler", dir.as_os_str())
    }

    fn this(option: &str, value: &OsStr) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(option)
            .arg(value)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        let facts = Facts {
            address: address.trim().to_owned(),
            pid: child.id(),
            ..Facts::default()
        };
        Ok(Self {
            child,
            facts,
            dir: PathBuf::new(),
        })
    }

    /// The server's binary, built beside this one, on the store in `dir`; on one core only, if that is given.
    pub(crate) fn server(dir: &Path, core: Option<usize>) -> Result<Self, Failure> {
        let program = std::env::current_exe()?.with_file_name("wfldb-server");
        if !program.is_file() {
            return Err("build the server first: cargo build --release --workspace".into());
        }
        let ready = dir.join("server.json");
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let mut command = match core {
            None => Command::new(program),
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(program);
                command
            }
        };
        let mut child = command
            .arg("--data")
            .arg(dir)
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let start = Instant::now();
        while !ready.is_file() {
            if start.elapsed() > WAIT || child.try_wait()?.is_some() {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return Err("the server did not become ready".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut peer = Self {
            facts: Facts {
                pid: child.id(),
                ..Facts::default()
            },
            child,
            dir: dir.to_path_buf(),
        };
        peer.facts.address = peer.server_fact("listen")?;
        Ok(peer)
    }

    /// A member of our server's `server.json`.
    pub(crate) fn server_fact(&self, name: &str) -> Result<String, Failure> {
        let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(self.dir.join("server.json"))?)?;
        let fact = facts.get(name).and_then(serde_json::Value::as_str);
        Ok(fact.ok_or("a member of server.json is missing")?.to_owned())
    }

    /// Another store, started by its script.
    pub(crate) fn script(script: &Path, scratch: &Path) -> Result<Started, Failure> {
        let mut child = Command::new("bash")
            .arg(script)
            .arg(scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take();
        let mut reader = BufReader::new(stdout.ok_or("no output")?);
        reader.read_line(&mut line)?;
        let line = line.trim();
        if let Ok(facts) = serde_json::from_str::<Facts>(line) {
            // What it says from now on goes nowhere, but the pipe stays open.
            std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
            return Ok(Started::Ready(Box::new(Self {
                child,
                facts,
                dir: scratch.to_path_buf(),
            })));
        }
        child.wait()?;
        match line.strip_prefix("skipped: ") {
            Some(why) => Ok(Started::Skipped(why.to_owned())),
            None => Err(format!("{} did not become ready: {line:?}", script.display()).into()),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.facts.pid
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The bootstrap's profile of our server.
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        let text = std::fs::read_to_string(self.dir.join("bootstrap").join("admin.json"))?;
        let mut fields: serde_json::Value = serde_json::from_str(&text)?;
        let fields_map = fields.as_object_mut().ok_or("the profile is no object")?;
        fields_map.insert("url".to_owned(), format!("http://{}", self.facts.address).into());
        Ok(Profile::parse(&fields.to_string())?)
    }

    /// Asks it to end, and waits; ends it if it does not.
    fn end(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let start = Instant::now();
        while start.elapsed() < WAIT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}
