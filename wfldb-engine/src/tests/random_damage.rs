//! Random damage to one file of a sound store, many times for each kind of file: opening or the full check names it, or
//! everything is as it was; no wrong byte is served, and nothing panics.
//!
//! `WFLDB_DAMAGE_CASES` sets how many cases each kind has. Each kind runs in a process of its own, so that a panic
//! on any thread is counted and an abort fails one test only. What is broken by hand is in `damage`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::AtomicUsize;

use super::laws::copy;
use super::*;
use crate::{Prober, ScanQuery, Unready};

/// Panics on any thread of the process.
static PANICS: AtomicUsize = AtomicUsize::new(0);

const CASES: u64 = 60;
const CASES_VARIABLE: &str = "WFLDB_DAMAGE_CASES";
const ALONE_VARIABLE: &str = "WFLDB_DAMAGE_ALONE";
const BUCKET: &str = "aaa";
const KEYS: u64 = 40;
/// What a case's random numbers begin with, beside its number.
const SEED: u64 = 0x5EED;

/// What a kind of damage came to.
#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    read_only: u64,
    named: u64,
    unchanged: u64,
}

#[derive(Debug)]
enum Verdict {
    /// It does not open, with a reason.
    Refused,
    /// It opens read-only, with a reason.
    ReadOnly,
    /// The full check names it.
    Named,
    /// Nothing is different.
    Unchanged,
}

/// Random numbers that are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let hash = blake3::hash(&self.0.to_le_bytes());
        u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap())
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// A sound, closed store with everything in it, and what is known of it.
struct Sound {
    dir: tempfile::TempDir,
    /// Every body that a key ever had.
    bodies: BTreeMap<String, BTreeSet<Vec<u8>>>,
    state: BTreeMap<String, Answer>,
    raw: Vec<PathBuf>,
    packed: Vec<PathBuf>,
    /// The replay mark before the last one.
    replay_before: UnixMillis,
}

/// What a question to the engine is answered with; no error is like another, and all are alike.
type Answer = Result<String, ()>;

impl Sound {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        make_bucket(&engine, BUCKET);
        configure(&engine, BUCKET, r#"{"quota_bytes":100000000}"#);
        let mut bodies: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
        let mut store = |key: String, body: Vec<u8>| {
            let tags = [("x-wfldb-tags", "colour=red"), ("content-type", "text/plain")];
            put_with(&engine, BUCKET, &key, &body, &tags).unwrap();
            bodies.entry(key).or_default().insert(body);
        };
        let chunks = || files_of(&dir.path().join("chunks"));
        store("raw".to_owned(), noise(1, 300_000));
        let raw = chunks();
        store("packed".to_owned(), noise(2, 1000).repeat(300));
        let mut packed = chunks();
        packed.retain(|path| !raw.contains(path));
        for n in 0..KEYS {
            // Some stand in blob files, some within tables.
            let len = if n % 4 == 0 { 20_000 } else { 50 };
            store(format!("k{:02}", n * 7 % 30), noise(100 + n, len));
        }
        engine
            .compact(&Authorized::local("test", Op::Admin, Target::Store))
            .unwrap();
        // What follows is in the journal only.
        for n in 0..KEYS {
            let len = if n % 4 == 0 { 5000 } else { 50 };
            store(format!("k{:02}", n * 11 % 35), noise(200 + n, len));
        }
        for n in [3, 9] {
            delete(&engine, BUCKET, &format!("k{n:02}")).unwrap();
        }
        let replay = engine.replay_mark();
        for second in 1..=3 {
            replay.reserve(UnixMillis::new(second * 10_000)).unwrap();
        }
        let state = state(&engine, &bodies).unwrap();
        engine.close().unwrap();
        Self {
            dir,
            bodies,
            state,
            raw,
            packed,
            replay_before: UnixMillis::new(20_000),
        }
    }

    fn of_kind(&self, kind: &str) -> Vec<PathBuf> {
        let all = || files_of(&self.dir.path().join("db")).into_iter();
        let has = |path: &PathBuf, part: &str| path.to_str().unwrap().contains(part);
        let own = |name: &str| vec![self.dir.path().join(name)];
        let found: Vec<PathBuf> = match kind {
            "raw" => self.raw.clone(),
            "packed" => self.packed.clone(),
            "journal" => all().filter(|path| has(path, ".jnl")).collect(),
            "table" => all().filter(|path| has(path, "/tables/")).collect(),
            "blob" => all().filter(|path| has(path, "/blobs/")).collect(),
            "manifest" => {
                let others = ["/tables/", "/blobs/", ".jnl"];
                all()
                    .filter(|path| !others.iter().any(|part| has(path, part)))
                    .collect()
            }
            name => own(name),
        };
        let found = found
            .into_iter()
            .filter(|path| fs::metadata(path).unwrap().len() > 0);
        found
            .map(|path| path.strip_prefix(self.dir.path()).unwrap().to_owned())
            .collect()
    }
}

fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_of(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Everything that can be asked, with its answer; `Err`: a body that the key never had.
fn state(
    engine: &Engine,
    bodies: &BTreeMap<String, BTreeSet<Vec<u8>>>,
) -> Result<BTreeMap<String, Answer>, String> {
    let mut state = BTreeMap::new();
    let mut note = |question: String, answer: Result<String, EngineError>| {
        state.insert(question, answer.map_err(drop));
    };
    let info = engine.bucket(&of_bucket(BUCKET, Op::Manage));
    note("bucket".to_owned(), info.map(|info| format!("{info:?}")));
    let all = Authorized::local("test", Op::List, Target::Listing(name(BUCKET)));
    let query = |tags: &str| ScanQuery {
        prefix: wfldb_core::name::KeyPrefix::all(),
        after: None,
        limit: 1000,
        delimiter: None,
        reverse: false,
        tags: wfldb_core::object::Tags::parse(tags).unwrap(),
    };
    for tags in ["", "colour=red"] {
        let page = engine.scan(&all, &query(tags));
        note(format!("scan {tags}"), page.map(|page| format!("{page:?}")));
    }
    for (key, known) in bodies {
        let proof = object(BUCKET, key, Op::Get);
        let versions = engine.versions(&proof, None, 1000);
        let mut asked = vec![("newest".to_owned(), Which::Newest)];
        if let Ok(page) = &versions {
            let each = page.items.iter().filter(|item| !item.deleted);
            asked.extend(each.map(|item| (item.version.to_string(), Which::Version(item.version))));
        }
        note(
            format!("versions {key}"),
            versions.map(|page| format!("{:?}", page.items)),
        );
        for (which, what) in asked {
            let mut received = Vec::new();
            let answer = engine.object(&proof, what).and_then(|mut reader| {
                while let Some(piece) = reader.next()? {
                    received.extend_from_slice(&piece);
                }
                Ok(())
            });
            let is_right = match &answer {
                Ok(()) => known.contains(&received),
                Err(_) => known.iter().any(|body| body.starts_with(&received)),
            };
            if !is_right {
                return Err(format!("a wrong byte of {key} {which}"));
            }
            note(
                format!("body {key} {which}"),
                answer.map(|()| blake3::hash(&received).to_string()),
            );
        }
    }
    Ok(state)
}

/// Damages a file, and says how.
fn damage(path: &Path, random: &mut Random) -> String {
    let mut bytes = fs::read(path).unwrap();
    let at = random.below(bytes.len());
    let how = random.below(20);
    match how {
        0 => {
            fs::remove_file(path).unwrap();
            return "removed".to_owned();
        }
        1..=3 => {
            bytes.truncate(at);
            fs::write(path, &bytes).unwrap();
            return format!("cut at {at}");
        }
        4..=5 => {
            for byte in bytes.iter_mut().skip(at).take(16) {
                *byte = u8::try_from(random.next() & 0xff).unwrap();
            }
        }
        6 => bytes.iter_mut().skip(at).take(64).for_each(|byte| *byte = 0),
        _ => bytes[at] ^= 1 << random.below(8),
    }
    fs::write(path, &bytes).unwrap();
    format!("changed at {at}, way {how}")
}

fn judge(sound: &Sound, dir: &Path) -> Result<Verdict, String> {
    let prober = Prober::Child(
        std::env::current_exe().unwrap(),
        ["tests::random_damage::opens_a_copy", "--exact", "--nocapture"]
            .map(Into::into)
            .into(),
    );
    let Ok(engine) = Engine::open(dir, EngineOptions { prober, ..options() }) else {
        return Ok(Verdict::Refused);
    };
    // Older than the one before the last it never is. That last step can be lost: a slot that rotted looks like one that
    // a power cut tore, which nobody was answered for.
    if engine.replay_mark().at_start() < sound.replay_before {
        return Err("the replay mark went back".to_owned());
    }
    let now = state(&engine, &sound.bodies)?;
    if let Err(Unready::ReadOnly(reason)) = engine.health().writable {
        if reason.is_empty() {
            return Err("read-only without a reason".to_owned());
        }
        return Ok(Verdict::ReadOnly);
    }
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let report = engine.verify(&proof).unwrap();
    let differs = sound
        .state
        .iter()
        .find(|(question, answer)| now.get(*question) != Some(*answer));
    match (report.sound, differs) {
        (false, _) => Ok(Verdict::Named),
        (true, None) => Ok(Verdict::Unchanged),
        (true, Some((question, _))) => Err(format!(
            "open for writing, sound, and `{question}` is answered otherwise: {:?}",
            now.get(question)
        )),
    }
}

/// The side of the prober, when this test is run as one: the last argument is the store.
#[test]
fn opens_a_copy() {
    let Some(dir) = std::env::args().next_back().map(PathBuf::from) else {
        return;
    };
    if !dir.join("probe").is_dir() {
        return;
    }
    let code = crate::probe_main(&dir);
    let known = [0, 10].into_iter().find(|known| code == ExitCode::from(*known));
    std::process::exit(known.unwrap_or(11).into());
}

/// Runs the cases of a kind in a process of its own.
fn law(test: &str, kind: &str) {
    if std::env::var_os(ALONE_VARIABLE).is_none() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([&format!("tests::random_damage::{test}"), "--exact", "--nocapture"])
            .env(ALONE_VARIABLE, "1")
            .output()
            .unwrap();
        let words =
            String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success(), "{}: {words}", child.status);
        for line in words.lines().filter(|line| line.starts_with("damage")) {
            eprintln!("{line}");
        }
        return;
    }
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        default(panic);
    }));
    let cases = std::env::var(CASES_VARIABLE).map_or(CASES, |cases| cases.parse().unwrap());
    let sound = Sound::new();
    let files = sound.of_kind(kind);
    assert!(!files.is_empty(), "no files of kind {kind}");
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for case in 0..cases {
        let copied = tempfile::tempdir().unwrap();
        copy(sound.dir.path(), copied.path());
        let mut random = Random(SEED + case);
        let file = &files[random.below(files.len())];
        let how = damage(&copied.path().join(file), &mut random);
        let panics = PANICS.load(Ordering::SeqCst);
        let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(&sound, copied.path())));
        let mut failed = |why: String| {
            failures.push(format!("case {case}: {} {how}: {why}", file.display()));
            // Told at once: the next case may end the process.
            eprintln!("{}", failures.last().unwrap());
        };
        match verdict {
            Ok(Ok(Verdict::Refused)) => tally.refused += 1,
            Ok(Ok(Verdict::ReadOnly)) => tally.read_only += 1,
            Ok(Ok(Verdict::Named)) => tally.named += 1,
            Ok(Ok(Verdict::Unchanged)) => tally.unchanged += 1,
            Ok(Err(why)) => failed(why),
            Err(_) => failed("a panic".to_owned()),
        }
        if PANICS.load(Ordering::SeqCst) > panics {
            failed("something panicked on the way".to_owned());
        }
    }
    eprintln!(
        "damage to {kind}: {cases} cases in {} files: {tally:?}, {} failures",
        files.len(),
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:#?}");
}

macro_rules! laws {
    ($($test:ident: $kind:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                law(stringify!($test), $kind);
            }
        )*
    };
}
laws!(
    damage_to_a_plain_chunk_is_named: "raw",
    damage_to_a_packed_chunk_is_named: "packed",
    damage_to_the_journal_is_named: "journal",
    damage_to_a_table_is_named: "table",
    damage_to_a_blob_file_is_named: "blob",
    damage_to_a_manifest_is_named: "manifest",
    damage_to_the_store_file_is_named: "STORE",
    damage_to_the_durable_mark_is_named: "HWM",
    damage_to_the_replay_mark_is_named: "REPLAY",
);
