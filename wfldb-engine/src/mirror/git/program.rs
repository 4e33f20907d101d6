//! Running the `git` program so that nothing but its arguments and input decide what it does.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, setpriority_process, waitid};
use wfldb_core::mirror::GitId;

use super::GitError;

/// For what is done at once, whatever the history holds.
pub(super) const QUICK: Duration = Duration::from_mins(1);
/// For what reads or writes much; without input it may work in silence that long.
pub(super) const STEADY: Duration = Duration::from_mins(30);

/// How often the watch looks.
const TICK: Duration = Duration::from_millis(100);
/// Most that is taken of what the program says.
const OUTPUT_BYTES_MAX: u64 = 1 << 30;
const REASON_BYTES_MAX: u64 = 2048;
/// Commits of the store come first.
const NICENESS: i32 = 19;

/// Settings that the configuration file of a repository cannot undo.
///
/// SECURITY: `core.hooksPath` is why no hook runs; without a work tree no attribute or filter of a file is found.
const SETTINGS: [(&str, &str); 13] = [
    ("core.hooksPath", "/dev/null"),
    ("core.bare", "true"),
    ("core.attributesFile", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.logAllRefUpdates", "false"),
    // DURABILITY: packs, objects and references are synced before git says that they are there.
    ("core.fsync", "all"),
    ("core.compression", "1"),
    ("core.bigFileThreshold", "1m"),
    // Small packs stay packs: a commit is three files, and not one for each object.
    ("fastimport.unpackLimit", "0"),
    ("pack.threads", "1"),
    ("pack.windowMemory", "64m"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
];

/// What is obeyed beside, where the program speaks with another repository.
///
/// SECURITY: what comes is checked as it comes, and `ext::`, which runs a command, is not spoken.
const REMOTE_SETTINGS: [(&str, &str); 12] = [
    ("transfer.fsckObjects", "true"),
    ("transfer.unpackLimit", "1"),
    ("protocol.allow", "never"),
    ("protocol.file.allow", "always"),
    ("protocol.ssh.allow", "always"),
    ("protocol.git.allow", "always"),
    ("protocol.http.allow", "always"),
    ("protocol.https.allow", "always"),
    ("submodule.recurse", "false"),
    ("push.gpgSign", "false"),
    ("push.followTags", "false"),
    ("fetch.writeCommitGraph", "false"),
];
/// Of the environment's names that begin with `GIT_`, those that say how others are reached, by their beginnings.
const REACHES: [&str; 4] = ["GIT_SSH", "GIT_SSL", "GIT_ASKPASS", "GIT_PROXY"];

/// The `git` program: the first on the path.
///
/// SECURITY: only absolute entries of the path count, so that no directory's own `git` is run.
pub(crate) fn find() -> Result<PathBuf, GitError> {
    find_in(&env::var_os("PATH").unwrap_or_default())
}

pub(super) fn find_in(path: &OsStr) -> Result<PathBuf, GitError> {
    let programs = env::split_paths(path).filter(|dir| dir.is_absolute());
    let is_program = |file: &PathBuf| {
        file.metadata()
            .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    programs
        .map(|dir| dir.join("git"))
        .find(is_program)
        .ok_or(GitError::Unavailable)
}

/// The program and the repository that it works on.
#[derive(Clone, Debug)]
pub(crate) struct Git {
    program: PathBuf,
    dir: PathBuf,
    /// Whether it speaks with others, by the environment and the configuration of the user.
    reaches: bool,
    stopped: Arc<AtomicBool>,
}

/// What goes into the program. Writing shows that it goes on.
pub(super) struct Input<'a> {
    pipe: &'a mut dyn Write,
    written: &'a AtomicU64,
}

impl Input<'_> {
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> Result<(), GitError> {
        self.write_slowly(bytes).map_err(|error| GitError::Failed {
            command: String::new(),
            reason: format!("it does not take its input: {error}"),
        })
    }

    fn write_slowly(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = match self.pipe.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.written.fetch_add(1, Ordering::Relaxed);
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }
}

impl Git {
    pub(crate) fn new(program: &Path, dir: &Path) -> Self {
        Self {
            program: program.to_owned(),
            dir: dir.to_owned(),
            reaches: false,
            stopped: Arc::default(),
        }
    }

    /// Another handle, which speaks with other repositories, and is stopped with this one.
    pub(super) fn reaching(&self) -> Self {
        Self {
            reaches: true,
            ..self.clone()
        }
    }

    /// Another handle, which whoever has the switch stops.
    pub(super) fn stopped_by(self, stopped: &Arc<AtomicBool>) -> Self {
        Self {
            stopped: Arc::clone(stopped),
            ..self
        }
    }

    /// Ends what runs, and lets nothing begin.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Another handle, which is stopped by itself.
    pub(super) fn apart(&self) -> Self {
        Self::new(&self.program, &self.dir)
    }

    /// Runs it and gives back what it writes. It is ended when neither its input nor its end comes for `limit`.
    pub(crate) fn run(
        &self,
        arguments: &[&str],
        limit: Duration,
        feed: impl FnOnce(&mut Input<'_>) -> Result<(), GitError>,
    ) -> Result<Vec<u8>, GitError> {
        let name = arguments.first().copied().unwrap_or_default().to_owned();
        let failed = |reason: String| GitError::Failed {
            command: name.clone(),
            reason,
        };
        let mut child = self
            .command(arguments)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => GitError::Unavailable,
                _ => failed(error.to_string()),
            })?;
        // Its id is that of its group, which it leads.
        let group = Pid::from_child(&child);
        let _ = setpriority_process(Some(group), NICENESS);
        let ran = self.attend(&mut child, group, limit, feed);
        if ran.is_err() {
            end(group);
        }
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        let Ran {
            taken,
            output,
            said,
            timed_out,
        } = ran.map_err(|error| failed(error.to_string()))?;
        match taken {
            _ if timed_out => Err(GitError::Ended(name)),
            // It does not listen any more because it failed, which says more.
            Err(GitError::Failed { .. }) | Ok(()) if status.code().is_some_and(|code| code != 0) => {
                Err(failed(format!("{status}: {said}")))
            }
            Err(GitError::Failed { .. }) | Ok(()) if !status.success() => Err(GitError::Ended(name)),
            Err(GitError::Failed { reason, .. }) => Err(failed(reason)),
            Err(error) => Err(error),
            Ok(()) if output.len() as u64 == OUTPUT_BYTES_MAX => Err(failed("it says too much".to_owned())),
            Ok(()) => Ok(output),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        if self.reaches {
            for (name, _) in env::vars_os() {
                let name = name.to_string_lossy().into_owned();
                if name.starts_with("GIT_") && !REACHES.iter().any(|reaches| name.starts_with(reaches)) {
                    command.env_remove(name);
                }
            }
        } else {
            command
                .env_clear()
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_CONFIG_GLOBAL", "/dev/null");
        }
        let others: &[_] = if self.reaches { &REMOTE_SETTINGS } else { &[] };
        command
            .args(arguments)
            .env("PATH", search_path())
            .env("LC_ALL", "C")
            .env("GIT_DIR", &self.dir)
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env(
                "GIT_CONFIG_COUNT",
                (SETTINGS.len() + others.len() + 1).to_string(),
            );
        let owner = [("safe.directory", self.dir.as_os_str())];
        let settings = SETTINGS.iter().chain(others);
        let settings = settings.map(|(name, value)| (*name, OsStr::new(*value)));
        for (index, (name, value)) in settings.chain(owner).enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), name);
            command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        command
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Feeds and reads the program until it has ended, or has been.
    fn attend(
        &self,
        child: &mut Child,
        group: Pid,
        limit: Duration,
        feed: impl FnOnce(&mut Input<'_>) -> Result<(), GitError>,
    ) -> io::Result<Ran> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(io::Error::other("no pipes"));
        };
        let written = AtomicU64::new(0);
        thread::scope(|scope| {
            let (ended, wait_for_end) = mpsc::channel::<()>();
            let written = &written;
            let watch = thread::Builder::new()
                .spawn_scoped(scope, move || self.watch(&wait_for_end, group, limit, written))?;
            let threads = thread::Builder::new()
                .spawn_scoped(scope, move || read_at_most(stdout, OUTPUT_BYTES_MAX))
                .and_then(|output| {
                    let said = thread::Builder::new()
                        .spawn_scoped(scope, move || read_at_most(stderr, REASON_BYTES_MAX))?;
                    Ok((output, said))
                });
            let (output, said) = match threads {
                Ok(threads) => threads,
                Err(error) => {
                    end(group);
                    return Err(error);
                }
            };
            let taken = feed(&mut Input {
                pipe: &mut stdin,
                written,
            });
            // What has no end must not be taken for all; one that does not listen any more ends by itself, and says why.
            if taken
                .as_ref()
                .is_err_and(|error| !matches!(error, GitError::Failed { .. }))
            {
                end(group);
            }
            drop(stdin);
            let joined = |bytes: thread::Result<Vec<u8>>| bytes.unwrap_or_default();
            let (output, said) = (joined(output.join()), joined(said.join()));
            wait_until_ended(group);
            drop(ended);
            Ok(Ran {
                taken,
                output,
                said: String::from_utf8_lossy(&said).trim().to_owned(),
                timed_out: watch.join().unwrap_or(true),
            })
        })
    }

    /// Ends the program when it does not go on, or when all is to stop. Whether it did.
    fn watch(&self, ended: &mpsc::Receiver<()>, group: Pid, limit: Duration, written: &AtomicU64) -> bool {
        let (mut since, mut seen) = (Instant::now(), 0);
        while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let now = written.load(Ordering::Relaxed);
            if now != seen {
                (since, seen) = (Instant::now(), now);
            }
            if since.elapsed() >= limit || self.stopped.load(Ordering::Relaxed) {
                end(group);
                return true;
            }
        }
        false
    }
}

struct Ran {
    taken: Result<(), GitError>,
    output: Vec<u8>,
    said: String,
    timed_out: bool,
}

/// Ends the program with whatever it started. Its id is its own until it is waited for.
fn end(group: Pid) {
    let _ = kill_process_group(group, Signal::KILL);
}

/// Waits, and leaves the exit status where it is, so that the id is not given to another process meanwhile.
fn wait_until_ended(child: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(child), options), Err(Errno::INTR)) {}
}

/// Reads to the end and keeps the beginning.
fn read_at_most(mut pipe: impl Read, bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = (&mut pipe).take(bytes_max).read_to_end(&mut bytes);
    if read.is_ok() {
        // What is not read would make it wait.
        let _ = io::copy(&mut pipe, &mut io::sink());
    }
    bytes
}

fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&path).filter(|dir| dir.is_absolute())).unwrap_or_default()
}

/// Reads the name of an object that a command wrote.
pub(super) fn id(arguments: &[&str], text: &[u8]) -> Result<GitId, GitError> {
    let id = std::str::from_utf8(text).ok().and_then(GitId::parse);
    id.ok_or_else(|| GitError::Failed {
        command: arguments.first().copied().unwrap_or_default().to_owned(),
        reason: "its answer is not the name of an object".to_owned(),
    })
}
