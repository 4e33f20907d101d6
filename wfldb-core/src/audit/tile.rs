//! Tiles: the tree's hashes in pieces of 256 (C2SP tlog-tiles), their names and their bytes.

use std::fmt;

use super::{AuditError, TreeHash};
use crate::limits::AUDIT_TILE_WIDTH;

/// Levels of tiles that a tree with 64 bits of leaves can have.
const LEVELS: u8 = 8;
const FULL: u64 = AUDIT_TILE_WIDTH as u64;
const NOT_A_PATH: AuditError = AuditError::Form("tile path");

/// The name of a tile of hashes: level, number within the level, and how many of its 256 hashes it holds.
///
/// A full tile at level 0 holds the hashes of 256 leaves, one at level `l` the roots of 256 full tiles of the level
/// below. The last tile of each level can be partial; it is a tile of its own, with another name.
///
/// ```
/// use wfldb_core::audit::TileId;
///
/// assert_eq!(TileId::full(0, 1_234_067).to_string(), "tile/0/x001/x234/067");
/// // The tree of 70,000 leaves has 273 full tiles at level 0, and one with 112 hashes.
/// assert_eq!(TileId::in_tree(0, 273, 70_000), TileId::partial(0, 273, 112));
/// assert_eq!(TileId::in_tree(0, 274, 70_000), None);
/// assert_eq!(TileId::parse("tile/1/001.p/17")?, TileId::in_tree(1, 1, 70_000).unwrap());
/// # Ok::<(), wfldb_core::audit::AuditError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    number: u64,
    width: u16,
}

impl TileId {
    /// A full tile.
    pub const fn full(level: u8, number: u64) -> Self {
        Self {
            level,
            number,
            width: AUDIT_TILE_WIDTH,
        }
    }

    /// A tile with the first `width` hashes, from 1 to 256; `None` for another number, or a level above 7.
    pub const fn partial(level: u8, number: u64, width: u16) -> Option<Self> {
        if width == 0 || width > AUDIT_TILE_WIDTH || level >= LEVELS {
            return None;
        }
        Some(Self { level, number, width })
    }

    /// The tile with this place as it is in the tree of `size` leaves: full, partial, or `None` when it has no hashes.
    pub fn in_tree(level: u8, number: u64, size: u64) -> Option<Self> {
        let hashes = hashes_at(level, size).checked_sub(number.checked_mul(FULL)?)?;
        let width = u16::try_from(hashes.min(FULL)).ok()?;
        Self::partial(level, number, width)
    }

    /// The level, from 0 for leaves.
    pub const fn level(self) -> u8 {
        self.level
    }

    /// The number within the level, from 0.
    pub const fn number(self) -> u64 {
        self.number
    }

    /// How many hashes it holds, 1 to 256.
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Whether it holds all its 256 hashes, so that it never changes.
    pub const fn is_full(self) -> bool {
        self.width == AUDIT_TILE_WIDTH
    }

    /// Whether the tree of `size` leaves has all these hashes. A partial tile is in every later tree too.
    pub fn is_in_tree(self, size: u64) -> bool {
        Self::in_tree(self.level, self.number, size).is_some_and(|tile| self.width <= tile.width)
    }

    /// All tiles of the tree of `size` leaves, level by level, each in order. The last of a level can be partial.
    pub fn all_in_tree(size: u64) -> impl Iterator<Item = Self> {
        (0..LEVELS).flat_map(move |level| {
            let tiles = hashes_at(level, size).div_ceil(FULL);
            (0..tiles).filter_map(move |number| Self::in_tree(level, number, size))
        })
    }

    /// Reads `tile/<level>/<number>` with or without `.p/<width>`, in its one spelling.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else, levels above 7 included.
    pub fn parse(path: &str) -> Result<Self, AuditError> {
        let (level, rest) = path
            .strip_prefix("tile/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(NOT_A_PATH)?;
        let level: u8 = level.parse().map_err(|_| NOT_A_PATH)?;
        let (number, width) = parse_number(rest)?;
        let tile = Self::partial(level, number, width).ok_or(NOT_A_PATH)?;
        one_spelling(tile, path)
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        write_number(f, self.number, self.width)
    }
}

/// The name of a bundle of entries: those of 256 leaves, or of the first `width` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId {
    number: u64,
    width: u16,
}

impl BundleId {
    /// A full bundle: the entries from leaf `256 · number` on.
    pub const fn full(number: u64) -> Self {
        Self {
            number,
            width: AUDIT_TILE_WIDTH,
        }
    }

    /// The bundle with this number as it is in the tree of `size` leaves; `None` when it has no entries.
    pub fn in_tree(number: u64, size: u64) -> Option<Self> {
        TileId::in_tree(0, number, size).map(|TileId { number, width, .. }| Self { number, width })
    }

    /// The number, from 0.
    pub const fn number(self) -> u64 {
        self.number
    }

    /// How many entries it holds, 1 to 256.
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Whether it holds all its 256 entries, so that it never changes.
    pub const fn is_full(self) -> bool {
        self.width == AUDIT_TILE_WIDTH
    }

    /// Whether the tree of `size` leaves has all these entries.
    pub fn is_in_tree(self, size: u64) -> bool {
        Self::in_tree(self.number, size).is_some_and(|bundle| self.width <= bundle.width)
    }

    /// The index of its first leaf.
    pub const fn first_leaf(self) -> u64 {
        self.number.saturating_mul(FULL)
    }

    /// The tile of level 0 with the hashes of these entries.
    pub const fn tile(self) -> TileId {
        TileId {
            level: 0,
            number: self.number,
            width: self.width,
        }
    }

    /// All bundles of the tree of `size` leaves, in order.
    pub fn all_in_tree(size: u64) -> impl Iterator<Item = Self> {
        (0..size.div_ceil(FULL)).filter_map(move |number| Self::in_tree(number, size))
    }

    /// Reads `tile/entries/<number>` with or without `.p/<width>`, in its one spelling.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else.
    pub fn parse(path: &str) -> Result<Self, AuditError> {
        let rest = path.strip_prefix("tile/entries/").ok_or(NOT_A_PATH)?;
        let (number, width) = parse_number(rest)?;
        one_spelling(Self { number, width }, path)
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tile/entries/")?;
        write_number(f, self.number, self.width)
    }
}

/// Anything that a tiled log publishes, by its path below the log's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `checkpoint`: the newest one.
    Checkpoint,
    /// `tile/<level>/<number>[.p/<width>]`: hashes.
    Tile(TileId),
    /// `tile/entries/<number>[.p/<width>]`: entries.
    Entries(BundleId),
}

impl Resource {
    /// Reads the path of a resource, in its one spelling.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else.
    pub fn parse(path: &str) -> Result<Self, AuditError> {
        if path == "checkpoint" {
            Ok(Self::Checkpoint)
        } else if path.starts_with("tile/entries/") {
            BundleId::parse(path).map(Self::Entries)
        } else {
            TileId::parse(path).map(Self::Tile)
        }
    }

    /// Everything that belongs to the tree of `size` leaves: the checkpoint, all bundles, all tiles.
    pub fn all_in_tree(size: u64) -> impl Iterator<Item = Self> {
        let bundles = BundleId::all_in_tree(size).map(Self::Entries);
        let tiles = TileId::all_in_tree(size).map(Self::Tile);
        std::iter::once(Self::Checkpoint).chain(bundles).chain(tiles)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Tile(tile) => tile.fmt(f),
            Self::Entries(bundle) => bundle.fmt(f),
        }
    }
}

/// The hashes of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    id: TileId,
    hashes: Vec<TreeHash>,
}

impl Tile {
    /// A tile of these hashes.
    ///
    /// # Errors
    /// [`AuditError::Range`] when there are not as many as its name says.
    pub fn new(id: TileId, hashes: Vec<TreeHash>) -> Result<Self, AuditError> {
        if hashes.len() == usize::from(id.width) {
            Ok(Self { id, hashes })
        } else {
            Err(AuditError::Range)
        }
    }

    /// Reads a tile: 32 bytes for each hash and nothing else.
    ///
    /// # Errors
    /// [`AuditError::Form`] when there are not as many as its name says.
    pub fn parse(id: TileId, bytes: &[u8]) -> Result<Self, AuditError> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() != usize::from(id.width) {
            return Err(AuditError::Form("tile"));
        }
        let hashes = hashes.iter().copied().map(TreeHash::from_bytes).collect();
        Ok(Self { id, hashes })
    }

    /// Its bytes: 8,192 for a full tile.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    /// Its name.
    pub fn id(&self) -> TileId {
        self.id
    }

    /// Its hashes, in order.
    pub fn hashes(&self) -> &[TreeHash] {
        &self.hashes
    }

    /// Its hashes, in order.
    pub fn into_hashes(self) -> Vec<TreeHash> {
        self.hashes
    }
}

/// How many hashes tiles of a level hold together in the tree of `size` leaves: one for each `256^level` leaves.
pub(super) fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// Writes `x001/234` or `x001/234.p/5`.
fn write_number(f: &mut fmt::Formatter<'_>, number: u64, width: u16) -> fmt::Result {
    let mut groups = vec![number % 1000];
    let mut rest = number / 1000;
    while rest > 0 {
        groups.push(rest % 1000);
        rest /= 1000;
    }
    for (place, group) in groups.iter().enumerate().rev() {
        if place > 0 {
            write!(f, "x{group:03}/")?;
        } else {
            write!(f, "{group:03}")?;
        }
    }
    if width == AUDIT_TILE_WIDTH {
        Ok(())
    } else {
        write!(f, ".p/{width}")
    }
}

/// Reads what [`write_number`] writes, and some other spellings, which [`one_spelling`] refuses.
fn parse_number(text: &str) -> Result<(u64, u16), AuditError> {
    let (groups, width) = match text.split_once(".p/") {
        None => (text, AUDIT_TILE_WIDTH),
        Some((groups, width)) => (groups, width.parse().map_err(|_| NOT_A_PATH)?),
    };
    let number = groups.split('/').try_fold(0_u64, |number, group| {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let group: u64 = digits.parse().ok()?;
        number.checked_mul(1000)?.checked_add(group)
    });
    if width == 0 || width > AUDIT_TILE_WIDTH {
        return Err(NOT_A_PATH);
    }
    number.map(|number| (number, width)).ok_or(NOT_A_PATH)
}

/// What was read, if it is written as it was spelled.
fn one_spelling<T: fmt::Display>(read: T, path: &str) -> Result<T, AuditError> {
    if read.to_string() == path {
        Ok(read)
    } else {
        Err(NOT_A_PATH)
    }
}
