//! The processes under load: our server, and the empty handler. Ended when dropped.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wfldb_client::Profile;

/// A process that serves on loopback.
pub(crate) struct Peer {
    child: Child,
    /// `host:port`.
    pub(crate) address: String,
    /// The store's directory, for our server.
    dir: PathBuf,
}

impl Peer {
    /// This program again, as an empty handler.
    pub(crate) fn empty_handler(size: usize) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--empty-handler", "--size", &size.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut address)?;
        }
        Ok(Self {
            child,
            address: address.trim().to_owned(),
            dir: PathBuf::new(),
        })
    }

    /// The server's binary, built beside this one, on a new store.
    pub(crate) fn server(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let program = std::env::current_exe()?.with_file_name("wfldb-server");
        if !program.is_file() {
            return Err("build the server first: cargo build --release --workspace".into());
        }
        let mut child = Command::new(program)
            .arg("--data")
            .arg(dir)
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let facts = dir.join("server.json");
        let start = Instant::now();
        while !facts.is_file() {
            if start.elapsed() > Duration::from_secs(20) || child.try_wait()?.is_some() {
                return Err("the server did not become ready".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(facts)?)?;
        let address = facts
            .get("listen")
            .and_then(serde_json::Value::as_str)
            .ok_or("no address")?
            .to_owned();
        Ok(Self {
            child,
            address,
            dir: dir.to_path_buf(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The bootstrap's profile.
    pub(crate) fn profile(&self) -> Result<Profile, Box<dyn Error>> {
        let text = std::fs::read_to_string(self.dir.join("bootstrap").join("admin.json"))?;
        let mut fields: serde_json::Value = serde_json::from_str(&text)?;
        let fields_map = fields.as_object_mut().ok_or("the profile is no object")?;
        fields_map.insert("url".to_owned(), format!("http://{}", self.address).into());
        Ok(Profile::parse(&fields.to_string())?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
