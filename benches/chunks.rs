//! What chunk files cost: ways of reading them, and packing their groups.
//! `cargo bench -p wfldb-benches --bench chunks -- [FILE…]`
//!
//! Not through criterion: ways are compared in turn within one run, by the CPU time of one thread, because the speed of
//! the machine changes between runs.

#![expect(clippy::print_stdout, reason = "a report for people")]

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustix::time::{ClockId, clock_gettime};
use wfldb_core::chunk::{group_matches, group_values};
use wfldb_core::limits::{CHUNK_BYTES, GROUP_BYTES};

// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error>;

const FILES: usize = 64;
const PIECE_BYTES: usize = 1 << 20;
/// A download has so many pieces on their way.
const PIECES_HELD: usize = 3;
const ROUNDS: usize = 15;

/// Time of this thread and of the clock on the wall.
fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(T, Duration, Duration), Failure> {
    let cpu = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(now).unwrap_or_default()
    };
    let (wall, before) = (Instant::now(), cpu());
    let done = work()?;
    Ok((done, cpu().saturating_sub(before), wall.elapsed()))
}

/// A buffer that goes back to where it came from.
struct Pooled {
    buffer: Vec<u8>,
    pool: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < 16 {
            pool.push(buffer);
        }
    }
}

/// Ways of getting one piece into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// An allocation of zeros, read over.
    Zeroed,
    /// An allocation that is not written before it is read into.
    Unwritten,
    /// Buffers that are used again.
    Pooled,
    /// The same, read and checked group by group.
    Stepped,
    /// The file's own pages.
    Map,
}

struct Chunk {
    file: File,
    map: Arc<memmap2::Mmap>,
}

/// A part of a map, as an owner of bytes.
struct Mapped(Arc<memmap2::Mmap>);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn piece(
    way: Way,
    chunk: &Chunk,
    offset: usize,
    len: usize,
    pool: &Arc<Mutex<Vec<Vec<u8>>>>,
    values: Option<&[[u8; 32]]>,
) -> Result<Bytes, Failure> {
    let step = if way == Way::Stepped { GROUP_BYTES } else { len };
    let check = |offset: usize, bytes: &[u8]| match values {
        Some(values) => check(values, offset, bytes),
        None => Ok(()),
    };
    let piece = match way {
        Way::Zeroed => {
            let mut buffer = BytesMut::zeroed(len);
            chunk.file.read_exact_at(&mut buffer, offset as u64)?;
            buffer.freeze()
        }
        Way::Unwritten => {
            let mut buffer = Vec::with_capacity(len);
            fill(&chunk.file, &mut buffer, offset, len)?;
            Bytes::from(buffer)
        }
        Way::Pooled | Way::Stepped => {
            let idle = pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut buffer = idle.unwrap_or_else(|| vec![0; PIECE_BYTES]);
            buffer.resize(len, 0);
            for (number, part) in buffer.chunks_mut(step).enumerate() {
                chunk.file.read_exact_at(part, (offset + number * step) as u64)?;
                check(offset + number * step, part)?;
            }
            let pool = Arc::clone(pool);
            return Ok(Bytes::from_owner(Pooled { buffer, pool }));
        }
        Way::Map => Bytes::from_owner(Mapped(Arc::clone(&chunk.map))).slice(offset..offset + len),
    };
    check(offset, &piece)?;
    Ok(piece)
}

fn check(values: &[[u8; 32]], offset: usize, bytes: &[u8]) -> Result<(), Failure> {
    for (index, group) in bytes.chunks(GROUP_BYTES).enumerate() {
        if !group_matches(values, offset / GROUP_BYTES + index, group, CHUNK_BYTES) {
            return Err("a group is damaged".into());
        }
    }
    Ok(())
}

/// Appends until `buffer` holds `len` bytes of the file from `offset` on.
fn fill(file: &File, buffer: &mut Vec<u8>, offset: usize, len: usize) -> Result<(), Failure> {
    while buffer.len() < len {
        let at = (offset + buffer.len()) as u64;
        if rustix::io::pread(file, rustix::buffer::spare_capacity(buffer), at)? == 0 {
            return Err("the file was cut".into());
        }
    }
    buffer.truncate(len);
    Ok(())
}

#[expect(unsafe_code, reason = "only to measure what a map would give")]
fn map(file: &File) -> std::io::Result<memmap2::Mmap> {
    // SAFETY: the file was made by this process in a directory of its own, and nobody changes it.
    unsafe { memmap2::Mmap::map(file) }
}

/// One round: every chunk opened anew, read whole, each group compared with its value when there are values.
fn round(
    way: Way,
    dir: &Path,
    values: Option<&[[u8; 32]]>,
    out: Option<&File>,
    pool: &Arc<Mutex<Vec<Vec<u8>>>>,
) -> Result<(), Failure> {
    let mut held = VecDeque::new();
    for number in 0..FILES {
        let file = File::open(dir.join(number.to_string()))?;
        // Only the way that needs it pays for a map.
        let chunk = match way {
            Way::Map => Chunk {
                map: Arc::new(map(&file)?),
                file,
            },
            _ => Chunk {
                map: Arc::new(memmap2::MmapMut::map_anon(1)?.make_read_only()?),
                file,
            },
        };
        for offset in (0..CHUNK_BYTES).step_by(PIECE_BYTES) {
            let bytes = piece(way, &chunk, offset, PIECE_BYTES, pool, values)?;
            if let Some(mut out) = out {
                out.write_all(&bytes)?;
            }
            held.push_back(bytes);
            if held.len() > PIECES_HELD {
                held.pop_front();
            }
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn reading() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let mut chunk = vec![0; CHUNK_BYTES];
    getrandom::fill(&mut chunk).map_err(|error| error.to_string())?;
    let values = group_values(&chunk);
    for number in 0..FILES {
        std::fs::write(dir.path().join(number.to_string()), &chunk)?;
    }
    let gib = (FILES * CHUNK_BYTES) as f64 / f64::from(1 << 30);
    let sink = tempfile::tempfile()?;
    for (what, check, send) in [
        ("read", false, false),
        ("read, check", true, false),
        ("read, check, copy to the kernel", true, true),
    ] {
        println!("\n{what}: {FILES} chunks of 4 MiB in the page cache, median of {ROUNDS} rounds in turn");
        let ways = [Way::Zeroed, Way::Unwritten, Way::Pooled, Way::Stepped, Way::Map];
        let mut spent = [const { Vec::new() }; 5];
        let pool = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..ROUNDS {
            for (way, spent) in ways.into_iter().zip(&mut spent) {
                let values = check.then_some(values.as_slice());
                let out = send.then_some(&sink);
                if send {
                    rewind(&sink)?;
                }
                let ((), cpu, wall) = timed(|| round(way, dir.path(), values, out, &pool))?;
                spent.push((cpu, wall));
            }
        }
        let first = median(spent.first().map(Deref::deref).unwrap_or_default());
        for (way, spent) in ways.iter().zip(&spent) {
            let (cpu, wall, low, high) = median(spent);
            println!(
                "  {way:<10?} {:6.0} ms CPU/GiB ({:.0} to {:.0})  {:5.2} GiB/s  {:.2} of the first",
                cpu / gib * 1e3,
                low / gib * 1e3,
                high / gib * 1e3,
                gib / wall,
                cpu / first.0,
            );
        }
    }
    Ok(())
}

/// A file that is written over from its start costs the copy and no new pages.
fn rewind(file: &File) -> Result<(), Failure> {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0))?;
    Ok(())
}

/// Median CPU and wall time in seconds, and the smallest and largest CPU time.
fn median(spent: &[(Duration, Duration)]) -> (f64, f64, f64, f64) {
    let sorted = |pick: fn(&(Duration, Duration)) -> Duration| {
        let mut times: Vec<f64> = spent.iter().map(|both| pick(both).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (cpu, wall) = (sorted(|both| both.0), sorted(|both| both.1));
    let middle = |times: &[f64]| times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    let end = |time: Option<&f64>| time.copied().unwrap_or(f64::NAN);
    (middle(&cpu), middle(&wall), end(cpu.first()), end(cpu.last()))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn packing(path: &str) -> Result<(), Failure> {
    let bytes = std::fs::read(path)?;
    let gib = bytes.len() as f64 / f64::from(1 << 30);
    println!(
        "\npacking {path}, {} bytes, in groups of 64 KiB, median of 5 rounds in turn",
        bytes.len()
    );
    let levels = [1, 3];
    let (mut packing, mut unpacking) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    let mut sizes = [0; 2];
    for _ in 0..5 {
        for (index, level) in levels.into_iter().enumerate() {
            let mut context = zstd::bulk::Compressor::new(level)?;
            let (packed, cpu, wall) = timed(|| {
                let groups = bytes.chunks(GROUP_BYTES).map(|group| context.compress(group));
                Ok(groups.collect::<Result<Vec<_>, _>>()?)
            })?;
            let mut context = zstd::bulk::Decompressor::new()?;
            let mut plain = vec![0; GROUP_BYTES];
            let ((), cpu_back, wall_back) = timed(|| {
                for group in &packed {
                    context.decompress_to_buffer(group, plain.as_mut_slice())?;
                }
                Ok(())
            })?;
            if let (Some(packing), Some(unpacking), Some(size)) = (
                packing.get_mut(index),
                unpacking.get_mut(index),
                sizes.get_mut(index),
            ) {
                packing.push((cpu, wall));
                unpacking.push((cpu_back, wall_back));
                *size = packed.iter().map(Vec::len).sum::<usize>();
            }
        }
    }
    let (_, hashing, _) = timed(|| Ok(bytes.chunks(CHUNK_BYTES).map(group_values).count()))?;
    println!(
        "  group values {:6.0} ms CPU/GiB",
        hashing.as_secs_f64() / gib * 1e3
    );
    for (level, ((packing, unpacking), size)) in levels.iter().zip(packing.iter().zip(&unpacking).zip(sizes))
    {
        println!(
            "  level {level}: {:.3} of the size, packing {:6.0}, unpacking {:5.0} ms CPU/GiB",
            size as f64 / bytes.len() as f64,
            median(packing).0 / gib * 1e3,
            median(unpacking).0 / gib * 1e3,
        );
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    // cargo adds `--bench`.
    let files: Vec<_> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    reading()?;
    files.iter().try_for_each(|file| packing(file))
}
