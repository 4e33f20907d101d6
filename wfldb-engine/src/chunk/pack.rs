//! Packing: the groups of a chunk compressed one by one with zstd, where that pays. `file` holds the layout.
//!
//! The plain bytes alone are hashed and named, so nothing here is trusted: what comes out is compared with the
//! group's value by whoever asked.

use wfldb_core::limits::GROUP_BYTES;
use zstd::bulk::{Compressor, Decompressor};

use super::file::{PACKED_FOOTER, TABLE_ENTRY_BYTES, VALUE_BYTES, packed_fits, packed_trailer_bytes};
use super::pool::Pool;

/// Level 1: level 3 took two fifths more time for a few per cent (docs/decisions/0008-compression.md).
const LEVEL: i32 = 1;
/// Contexts of either kind: more threads than cores gain nothing from one of their own.
const CONTEXTS_MAX: usize = 16;
/// How many groups are tried before the others.
const SAMPLES: usize = 2;

/// Packs and unpacks groups, with contexts that are used again: making one costs more than a group.
#[derive(Debug)]
pub(crate) struct Packer {
    packing: Pool<Packing>,
    unpacking: Pool<Decompressor<'static>>,
}

struct Packing {
    context: Compressor<'static>,
    /// One byte less than a group: what does not fit does not shrink.
    scratch: Vec<u8>,
}

impl Packer {
    pub(crate) fn new() -> Self {
        Self {
            packing: Pool::new(CONTEXTS_MAX, || {
                let context = Compressor::new(LEVEL)?;
                let scratch = vec![0; GROUP_BYTES - 1];
                Ok(Packing { context, scratch })
            }),
            unpacking: Pool::new(CONTEXTS_MAX, Decompressor::new),
        }
    }

    /// The whole packed file of `chunk`, whose groups have these values; `None` when the plain one is to be written.
    pub(super) fn pack(&self, chunk: &[u8], values: &[[u8; VALUE_BYTES]]) -> Option<Vec<u8>> {
        // A context that cannot be made is no reason to refuse the chunk.
        self.packing
            .with(|packing| packing.pack(chunk, values))
            .ok()
            .flatten()
    }

    /// Unpacks one group into `plain`, which has its length. `false`: it is not the packed form of so many bytes.
    pub(super) fn unpack(&self, packed: &[u8], plain: &mut [u8]) -> std::io::Result<bool> {
        // SECURITY: zstd writes into `plain` and nowhere else, so what claims to be larger is an error, and a window
        // is never allocated.
        self.unpacking.with(|context| {
            let unpacked = context.decompress_to_buffer(packed, plain);
            unpacked.is_ok_and(|len| len == plain.len())
        })
    }
}

impl Packing {
    fn pack(&mut self, chunk: &[u8], values: &[[u8; VALUE_BYTES]]) -> Option<Vec<u8>> {
        let samples = self.samples(chunk)?;
        let mut samples = samples.into_iter().peekable();
        let trailer = packed_trailer_bytes(chunk.len());
        let mut file = Vec::with_capacity(chunk.len() / 2);
        let mut ends = Vec::with_capacity(values.len() * TABLE_ENTRY_BYTES);
        for (index, group) in chunk.chunks(GROUP_BYTES).enumerate() {
            match samples.next_if(|(sampled, _)| *sampled == index) {
                Some((_, packed)) => file.extend_from_slice(&packed),
                None => file.extend_from_slice(self.group(group)),
            }
            if !packed_fits(chunk.len(), (file.len() + trailer) as u64) {
                return None;
            }
            ends.extend_from_slice(&u32::try_from(file.len()).ok()?.to_be_bytes());
        }
        file.extend_from_slice(&ends);
        file.extend_from_slice(values.as_flattened());
        file.extend_from_slice(&PACKED_FOOTER);
        Some(file)
    }

    /// Some groups packed before the others, with their numbers; `None` when they do not shrink enough, so that bytes
    /// that cannot be packed cost little. Not the first group: it often holds a head unlike the rest.
    fn samples(&mut self, chunk: &[u8]) -> Option<Vec<(usize, Vec<u8>)>> {
        let count = chunk.len().div_ceil(GROUP_BYTES);
        if count <= SAMPLES {
            return Some(Vec::new());
        }
        let (mut plain_bytes, mut packed_bytes) = (0, 0);
        let mut samples = Vec::with_capacity(SAMPLES);
        for sample in 1..=SAMPLES {
            let index = sample * count / (SAMPLES + 1);
            let group = chunk.chunks(GROUP_BYTES).nth(index)?;
            let packed = self.group(group).to_vec();
            plain_bytes += group.len();
            packed_bytes += packed.len();
            samples.push((index, packed));
        }
        (packed_bytes * 8 < plain_bytes * 7).then_some(samples)
    }

    /// The group as it stands in a packed file: a zstd frame, or its own bytes where that is not shorter.
    fn group<'a>(&'a mut self, group: &'a [u8]) -> &'a [u8] {
        let room = group.len().saturating_sub(1).min(self.scratch.len());
        let packed = self
            .scratch
            .get_mut(..room)
            .and_then(|room| self.context.compress_to_buffer(group, room).ok())
            .and_then(|len| self.scratch.get(..len));
        packed.unwrap_or(group)
    }
}
