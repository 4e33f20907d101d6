//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};

use crate::target::Operation;

/// Loads wflDB and others with the same work, beside what the machine can do at all.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "wfldb-bench",
    version,
    after_help = "Prints a table to standard error and JSON to standard output; the raw histograms go to --out. \
                  Build first: cargo build --release --workspace. benches/README.md says what is measured and how."
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Options {
    /// Bytes of each object, as in 1,4k,64k,1m,64m,1g [default: all of these; with --quick 1,4k,1m]
    #[arg(long, value_delimiter = ',')]
    sizes: Option<Vec<Size>>,
    /// Requests in flight at once [default: 1,16,64; with --quick 1,16]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    clients: Option<Vec<u16>>,
    /// What is done [default: all]
    #[arg(long, value_delimiter = ',')]
    operations: Option<Vec<Operation>>,
    /// What is put under load [default: wfldb]
    #[arg(long, value_delimiter = ',')]
    targets: Option<Vec<Chosen>>,
    /// Seconds for each measurement [default: 5; with --quick 1]
    #[arg(long)]
    seconds: Option<f64>,
    /// A short look instead of a measurement
    #[arg(long)]
    pub(crate) quick: bool,
    /// HTTP/2 connections that the clients share, where HTTP/2 is spoken
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Measures wfldb's reads a second time, over a session instead of signed, as the target "wfldb session"
    #[arg(long)]
    pub(crate) sessions: bool,
    /// Distinct objects that are read, over and over [default: 4096; with --quick 256]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    keys: Option<u64>,
    /// Bytes of bodies that one case moves at most; larger cases are skipped
    #[arg(long, default_value = "4g")]
    pub(crate) case_bytes: Size,
    /// Directory for the stores, on the disk that is to be measured [default: the system's for temporary files]
    #[arg(long)]
    pub(crate) scratch: Option<PathBuf>,
    /// File for the report with raw histograms [default: wfldb-bench-TIME.json beside this program]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Directory of the scripts that start the peers
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers"), hide_default_value = true)]
    pub(crate) peers: PathBuf,
    /// Instead of the suite: what one bucket notices of a flood in another
    #[arg(long, conflicts_with = "million")]
    pub(crate) walls: bool,
    /// With --walls: writes of 4 KiB per second into the flooded bucket
    #[arg(long, default_value_t = 2000)]
    pub(crate) flood_rate: u32,
    /// With --walls: requests per second to the other bucket
    #[arg(long, default_value_t = 100)]
    pub(crate) probe_rate: u32,
    /// Instead of the suite: many small objects, one listing of all, memory before and after
    #[arg(long)]
    pub(crate) million: bool,
    /// With --million: objects
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) objects: u64,
    /// With --million: bytes of each object
    #[arg(long, default_value = "100")]
    pub(crate) object_bytes: Size,
    /// With --million: seconds without a request before memory is read again
    #[arg(long, default_value_t = 60)]
    pub(crate) idle_seconds: u64,
    /// Instead of the suite: documents, beside `PostgreSQL` and `SQLite` where it was built with `--features sql`
    #[arg(long, conflicts_with_all = ["million", "walls"])]
    pub(crate) documents: bool,
    /// With --documents: how many
    #[arg(long, default_value_t = 200_000)]
    pub(crate) documents_count: u64,
    /// With --documents: instead of the questions, what they cost among 10^4, 10^5 and 10^6 documents
    #[arg(long, requires = "documents")]
    pub(crate) growth: bool,
    /// Serves an empty handler of this body size instead: used by the program itself
    #[arg(long, hide = true)]
    pub(crate) empty_handler: Option<Size>,
    /// Serves a handler without authentication on a new store here instead: used by the program itself
    #[arg(long, hide = true)]
    pub(crate) open_handler: Option<PathBuf>,
}

/// A store that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Chosen {
    Wfldb,
    Garage,
    Redis,
    Etcd,
    Nginx,
    Seaweedfs,
    /// All of them.
    All,
}

impl Chosen {
    const EACH: [Self; 6] = [
        Self::Wfldb,
        Self::Garage,
        Self::Redis,
        Self::Etcd,
        Self::Nginx,
        Self::Seaweedfs,
    ];

    /// Its name, and that of its script.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wfldb => "wfldb",
            Self::Garage => "garage",
            Self::Redis => "redis",
            Self::Etcd => "etcd",
            Self::Nginx => "nginx",
            Self::Seaweedfs => "seaweedfs",
            Self::All => "all",
        }
    }
}

/// A number of bytes: digits, and `k`, `m` or `g` for powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let (digits, shift) = [('k', 10), ('m', 20), ('g', 30)]
            .into_iter()
            .find_map(|(unit, shift)| Some((lower.strip_suffix(unit)?, shift)))
            .unwrap_or((&lower, 0));
        let number: u64 = digits
            .parse()
            .map_err(|_| format!("{text:?} is not a size as in 4096, 4k, 1m or 1g"))?;
        let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes > 0);
        bytes.map(Self).ok_or_else(|| format!("{text:?} is out of range"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, " GiB"), (20, " MiB"), (10, " KiB")] {
            if self.0 > 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl Options {
    pub(crate) fn sizes(&self) -> Vec<Size> {
        self.sizes.clone().unwrap_or_else(|| {
            let sizes: &[u64] = if self.quick {
                &[1, 4 << 10, 1 << 20]
            } else {
                &[1, 4 << 10, 64 << 10, 1 << 20, 64 << 20, 1 << 30]
            };
            sizes.iter().copied().map(Size).collect()
        })
    }

    pub(crate) fn clients(&self) -> Vec<usize> {
        match &self.clients {
            Some(clients) => clients.iter().copied().map(usize::from).collect(),
            None if self.quick => vec![1, 16],
            None => vec![1, 16, 64],
        }
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.operations
            .clone()
            .unwrap_or_else(|| Operation::value_variants().to_vec())
    }

    /// What is put under load, each once.
    pub(crate) fn targets(&self) -> Vec<Chosen> {
        let chosen = self.targets.clone().unwrap_or_else(|| vec![Chosen::Wfldb]);
        let all = chosen.contains(&Chosen::All);
        Chosen::EACH
            .into_iter()
            .filter(|each| all || chosen.contains(each))
            .collect()
    }

    pub(crate) fn keys(&self) -> u64 {
        self.keys.unwrap_or(if self.quick { 256 } else { 4096 })
    }

    /// The time of one measurement: never negative, at most a day.
    pub(crate) fn time(&self) -> std::time::Duration {
        let seconds = self.seconds.unwrap_or(if self.quick { 1.0 } else { 5.0 });
        std::time::Duration::try_from_secs_f64(seconds.clamp(0.0, 86_400.0)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Options {
        Options::try_parse_from([&["wfldb-bench"], arguments].concat()).unwrap()
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes, shown) in [
            ("1", 1, "1 B"),
            ("4k", 4096, "4 KiB"),
            ("1M", 1 << 20, "1 MiB"),
            ("1g", 1 << 30, "1 GiB"),
            ("1025", 1025, "1025 B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        for text in ["", "k", "0", "-1", "4kb", "1.5m", "99999999999g"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn lists_replace_the_defaults() {
        let options = parse(&["--sizes", "1,64m", "--clients", "2", "--operations", "get,mixed"]);
        assert_eq!(options.sizes(), [Size(1), Size(64 << 20)]);
        assert_eq!(options.clients(), [2]);
        assert_eq!(options.operations(), [Operation::Get, Operation::Mixed]);
        assert_eq!(options.targets(), [Chosen::Wfldb]);
    }

    #[test]
    fn quick_is_shorter_and_can_be_overridden() {
        let (full, quick) = (parse(&[]), parse(&["--quick", "--clients", "64"]));
        assert_eq!(
            (full.sizes().len(), full.clients(), full.operations().len()),
            (6, vec![1, 16, 64], 6)
        );
        assert_eq!((quick.sizes().len(), quick.clients()), (3, vec![64]));
        assert!(quick.time() < full.time() && quick.keys() < full.keys());
    }

    #[test]
    fn all_targets_come_once_each() {
        assert_eq!(parse(&["--targets", "all,redis"]).targets().len(), 6);
        let twice = parse(&["--targets", "redis,wfldb,redis"]);
        assert_eq!(twice.targets(), [Chosen::Wfldb, Chosen::Redis]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            &["--clients", "0"][..],
            &["--walls", "--million"],
            &["--operations", "rename"],
            &["--targets", "none"],
        ] {
            let arguments = [&["wfldb-bench"], bad].concat();
            assert!(Options::try_parse_from(arguments).is_err(), "{bad:?}");
        }
    }
}
