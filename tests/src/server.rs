//! The server's binary as a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wfldb_client::{Client, ClientOptions, Profile, TlsOptions};

/// The program `name` as cargo built it, beside the test's own directory.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let target = here.parent().and_then(Path::parent).unwrap();
    let program = target.join(name);
    assert!(
        program.is_file(),
        "{} is not built; run `cargo test --workspace`",
        program.display()
    );
    program
}

/// Waits until `what` holds, at most `within`.
pub fn wait_until(within: Duration, about: &str, mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < within, "waited {within:?} for {about}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A running server. Killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    dir: PathBuf,
    scheme: &'static str,
    /// `host:port` of the data listener.
    pub listen: String,
    /// `host:port` of the metrics listener.
    pub metrics: String,
}

impl Server {
    /// Starts on `dir`, and returns when it is ready.
    #[must_use]
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[], &[])
    }

    /// Starts on `dir` with more flags, below `wrapper` (such as strace), and returns when `server.json` is there.
    #[must_use]
    pub fn start_with(dir: &Path, flags: &[&str], wrapper: &[&str]) -> Self {
        Self::try_start_with(dir, flags, wrapper)
            .unwrap_or_else(|log| panic!("the server ended before it was ready: {log}"))
    }

    /// The same.
    ///
    /// # Errors
    /// When the process ends before it is ready: everything that it printed.
    pub fn try_start_with(dir: &Path, flags: &[&str], wrapper: &[&str]) -> Result<Self, String> {
        let facts = dir.join("server.json");
        match fs::remove_file(&facts) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
        let program = binary("wfldb-server");
        let mut command = match wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(Self::log_path(dir))
            .unwrap();
        command
            .arg("--data")
            .arg(dir)
            .args(["--metrics-listen", "127.0.0.1:0", "--log", "json"])
            .args(if flags.contains(&"--min-free") {
                &[]
            } else {
                ["--min-free", "0"].as_slice()
            })
            .args(if flags.contains(&"--listen") {
                &[]
            } else {
                ["--listen", "127.0.0.1:0"].as_slice()
            })
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut child = command.spawn().unwrap();
        let mut ended = None;
        wait_until(Duration::from_mins(1), "the server to be ready", || {
            ended = child.try_wait().unwrap();
            ended.is_some() || facts.is_file()
        });
        if let Some(status) = ended {
            let log = fs::read_to_string(Self::log_path(dir)).unwrap();
            return Err(format!("{status}: {log}"));
        }
        let facts: serde_json::Value = serde_json::from_slice(&fs::read(&facts).unwrap()).unwrap();
        let text = |name: &str| {
            facts
                .get(name)
                .and_then(serde_json::Value::as_str)
                .unwrap()
                .to_owned()
        };
        Ok(Self {
            child,
            dir: dir.to_path_buf(),
            scheme: if flags.contains(&"--tls-cert") {
                "https"
            } else {
                "http"
            },
            listen: text("listen"),
            metrics: text("metrics"),
        })
    }

    fn log_path(dir: &Path) -> PathBuf {
        dir.with_extension("log")
    }

    /// Everything that the server printed, over all its starts on this directory.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(Self::log_path(&self.dir)).unwrap_or_default()
    }

    /// The full-rights profile of the bootstrap, pointed at where the server listens now.
    #[must_use]
    pub fn profile(&self) -> Profile {
        let text = fs::read_to_string(self.dir.join("bootstrap").join("admin.json")).unwrap();
        let mut fields: serde_json::Value = serde_json::from_str(&text).unwrap();
        let url = format!("{}://{}", self.scheme, self.listen);
        fields
            .as_object_mut()
            .unwrap()
            .insert("url".to_owned(), url.into());
        Profile::parse(&fields.to_string()).unwrap()
    }

    /// That profile as a file, for the command line.
    #[must_use]
    pub fn profile_file(&self) -> PathBuf {
        let path = self.dir.with_extension("profile");
        if path.exists() {
            fs::remove_file(&path).unwrap();
        }
        self.profile().save(&path).unwrap();
        path
    }

    /// A client with full rights.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::from_profile(self.profile())
    }

    /// A client with full rights that trusts what `tls` says.
    #[must_use]
    pub fn client_with(&self, tls: TlsOptions) -> Client {
        Client::with_options(
            self.profile(),
            ClientOptions {
                tls,
                ..ClientOptions::default()
            },
        )
    }

    /// Asks the server to look at its certificates.
    pub fn hangup(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), Signal::HUP).unwrap();
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process as a power cut of the process does: no signal handler, no destructor.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the server to end, and waits for it.
    #[must_use]
    pub fn terminate(mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let mut status = None;
        wait_until(Duration::from_secs(40), "the server to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Resident memory in bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
